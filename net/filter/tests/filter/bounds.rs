//! Every table of the filter, full: who goes.

use super::Bench;
use filter::{Config, State};
use time::Duration;

const OPEN: &str = "receive default accept\n count state new\nsend default accept";

fn bench(connections_max: usize) -> Bench {
    Bench::with(OPEN, Config { connections_max, ..Config::default() })
}

/// Opens and answers a UDP connection, numbered by its port.
fn answered(bench: &mut Bench, port: u16) {
    bench.carry(&format!("send udp 198.51.100.2:{port} > 192.0.2.1:53 after 1"));
    bench.carry(&format!("udp 192.0.2.1:53 > 198.51.100.2:{port}"));
}

fn asked(bench: &mut Bench, port: u16) {
    bench.carry(&format!("send udp 198.51.100.2:{port} > 192.0.2.1:53 after 1"));
}

/// Whether the other side's packet belongs to a connection.
fn is_known(bench: &mut Bench, port: u16) -> bool {
    bench.judge(&format!("udp 192.0.2.1:53 > 198.51.100.2:{port}")).state == State::Established
}

#[test]
fn of_a_full_table_the_unanswered_idle_longest_goes_and_then_the_answered() {
    let mut bench = bench(4);
    answered(&mut bench, 1);
    asked(&mut bench, 2);
    answered(&mut bench, 3);
    asked(&mut bench, 4);
    asked(&mut bench, 2);
    // 4 is idle for longer than 2 now, 1 for longer than either.
    asked(&mut bench, 5);
    assert_eq!(bench.filter.memory().connections, 4);
    assert_eq!(bench.filter.memory().connections_evicted, 1);
    assert!(is_known(&mut bench, 2));
    // 2 is answered by that; of the unanswered 5 is left.
    answered(&mut bench, 6);
    answered(&mut bench, 7);
    assert_eq!(bench.filter.memory().connections_evicted, 3);
    let left: Vec<u16> = [2, 3, 6, 7].into_iter().filter(|port| is_known(&mut bench, *port)).collect();
    assert_eq!(left, [2, 3, 6, 7], "1 was idle longest");
}

#[test]
fn a_flood_of_syns_does_not_touch_what_is_established() {
    let mut bench = bench(1_000);
    bench.carry("send tcp 198.51.100.2:7000 > 192.0.2.1:80 flags syn");
    bench.carry("tcp 192.0.2.1:80 > 198.51.100.2:7000 flags syn,ack");
    bench.carry("send tcp 198.51.100.2:7000 > 192.0.2.1:80 flags ack");
    for number in 0..20_000_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        bench.carry(&format!("tcp 10.{a}.{b}.{c}:1 > 198.51.100.2:80 flags syn"));
        assert!(bench.filter.memory().connections <= 1_000);
    }
    assert_eq!(bench.filter.memory().connections_evicted, 20_001 - 1_000);
    assert_eq!(bench.judge("tcp 192.0.2.1:80 > 198.51.100.2:7000 flags ack").state, State::Established);
}

#[test]
fn what_has_expired_gives_its_room_back() {
    let mut bench = bench(1_000);
    for port in 1..=1_000 {
        asked(&mut bench, port);
    }
    // Two go with each packet, so that none pays for all.
    bench.carry("132 192.0.2.1 > 192.0.2.2 after 121000");
    assert_eq!(bench.filter.memory().connections, 998);
    assert_eq!(bench.filter.handle_timeout(bench.now), None);
    assert_eq!(bench.filter.memory().connections, 0);
    assert_eq!(bench.filter.memory().connections_evicted, 0);
    asked(&mut bench, 7);
    assert_eq!(bench.filter.handle_timeout(bench.now), Some(bench.now + Duration::from_secs(120)));
}

#[test]
fn of_a_full_table_of_rates_the_one_idle_longest_goes() {
    let rules = "receive default drop\n accept rate 1/day per source";
    let mut bench = Bench::with(rules, Config { rate_keys_max: 3, ..Config::default() });
    let from = |number: u8| format!("udp 192.0.2.{number}:1 > 192.0.2.200:2 after 1");
    for number in 1..=3 {
        assert!(bench.passes(&from(number)) && !bench.passes(&from(number)));
    }
    assert!(!bench.passes(&from(1)), "it was used last now");
    assert!(bench.passes(&from(4)));
    assert_eq!(bench.filter.memory().rate_keys, 3);
    assert!(
        !bench.passes(&from(1)) && !bench.passes(&from(3)) && bench.passes(&from(2)),
        "2 was idle longest"
    );
}
