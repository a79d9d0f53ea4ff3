//! What is remembered of packets, and for how long.

use super::Bench;
use filter::{Config, State, Timeouts};
use time::Duration;

/// Everything passes, and states are looked at.
const OPEN: &str = "receive default accept\n count state new\nsend default accept";

const SYN: &str = "send tcp 198.51.100.2:7000 > 192.0.2.1:80 flags syn";
const SYN_ACK: &str = "tcp 192.0.2.1:80 > 198.51.100.2:7000 flags syn,ack";
const ACK: &str = "send tcp 198.51.100.2:7000 > 192.0.2.1:80 flags ack";
const DATA: &str = "tcp 192.0.2.1:80 > 198.51.100.2:7000 flags psh,ack";
const FIN: &str = "send tcp 198.51.100.2:7000 > 192.0.2.1:80 flags fin,ack";
const FIN_BACK: &str = "tcp 192.0.2.1:80 > 198.51.100.2:7000 flags fin,ack";
const RST: &str = "tcp 192.0.2.1:80 > 198.51.100.2:7000 flags rst";

fn states(bench: &mut Bench, packets: &[&str]) -> Vec<State> {
    packets.iter().map(|packet| bench.judge(packet).state).collect()
}

/// The packet, so many milliseconds after the one before.
fn later(packet: &str, milliseconds: u64) -> String {
    format!("{packet} after {milliseconds}")
}

#[test]
fn a_tcp_connection_is_new_until_it_is_answered() {
    let mut bench = Bench::new(OPEN);
    let seen = states(&mut bench, &[SYN, SYN, SYN_ACK, ACK, DATA, FIN, FIN_BACK, ACK]);
    let [new, old] = [State::New, State::Established];
    assert_eq!(seen, [new, new, old, old, old, old, old, old]);
    assert_eq!(bench.filter.memory().connections, 1);
}

#[test]
fn what_opens_nothing_belongs_to_nothing() {
    for packet in [SYN_ACK, DATA, FIN_BACK, RST, "tcp 192.0.2.1:80 > 198.51.100.2:7000"] {
        let mut bench = Bench::new(OPEN);
        assert_eq!(bench.judge(packet).state, State::Invalid, "{packet}");
        assert_eq!(bench.filter.memory().connections, 0, "{packet}");
    }
    for flags in ["syn,fin", "syn,rst", "fin,psh,urg", "psh"] {
        let mut bench = Bench::new(OPEN);
        bench.carry(SYN);
        let packet = format!("send tcp 198.51.100.2:7000 > 192.0.2.1:80 flags {flags}");
        assert_eq!(bench.judge(&packet).state, State::Invalid, "{flags}");
    }
}

#[test]
fn what_was_not_let_pass_is_not_remembered() {
    let mut bench = Bench::new("receive default drop\n accept state established\nsend default accept");
    assert!(!bench.passes("tcp 192.0.2.1:80 > 198.51.100.2:7000 flags syn"));
    assert_eq!(bench.filter.memory().connections, 0);
    assert!(!bench.passes(&format!("receive {}", ACK.trim_start_matches("send "))));
}

#[test]
fn an_established_tcp_connection_is_remembered_for_two_hours_and_four_minutes() {
    for (milliseconds, state) in [(7_439_999, State::Established), (7_440_000, State::Invalid)] {
        let mut bench = Bench::new(OPEN);
        states(&mut bench, &[SYN, SYN_ACK, ACK]);
        assert_eq!(bench.judge(&later(DATA, milliseconds)).state, state);
    }
    let mut bench = Bench::new(OPEN);
    states(&mut bench, &[SYN, SYN_ACK, ACK]);
    for _ in 0..3 {
        assert_eq!(
            bench.judge(&later(DATA, 7_000_000)).state,
            State::Established,
            "each packet starts it anew"
        );
    }
}

#[test]
fn an_opening_a_closing_or_a_reset_one_is_remembered_for_four_minutes() {
    for steps in [
        &[SYN][..],
        &[SYN, SYN_ACK],
        &[SYN, SYN_ACK, ACK, FIN],
        &[SYN, SYN_ACK, ACK, FIN_BACK],
        &[SYN, SYN_ACK, ACK, FIN, FIN_BACK],
        &[SYN, RST],
        &[SYN, SYN_ACK, ACK, RST],
    ] {
        for (milliseconds, state) in [(239_999, State::Established), (240_000, State::Invalid)] {
            let mut bench = Bench::new(OPEN);
            states(&mut bench, steps);
            assert_eq!(bench.judge(&later(DATA, milliseconds)).state, state, "{steps:?}");
        }
    }
}

#[test]
fn the_same_ends_open_anew_once_both_have_ended() {
    for end in [&[FIN, FIN_BACK][..], &[RST]] {
        let mut bench = Bench::new(OPEN);
        states(&mut bench, &[SYN, SYN_ACK, ACK]);
        states(&mut bench, end);
        assert_eq!(states(&mut bench, &[SYN, SYN_ACK]), [State::New, State::Established]);
        assert_eq!(bench.filter.memory().connections, 1);
    }
    // But not in the middle of one: a SYN then is somebody's guess, and is answered by who holds the connection.
    let mut bench = Bench::new(OPEN);
    assert_eq!(states(&mut bench, &[SYN, SYN_ACK, ACK, SYN])[3], State::Established);
}

#[test]
fn both_ends_may_open_at_once() {
    let syn_back = "tcp 192.0.2.1:80 > 198.51.100.2:7000 flags syn";
    let syn_ack = "send tcp 198.51.100.2:7000 > 192.0.2.1:80 flags syn,ack";
    let mut bench = Bench::new("receive default drop\n accept state established\nsend default accept");
    assert!([SYN, syn_back, syn_ack, SYN_ACK, ACK, DATA].iter().all(|packet| bench.passes(packet)));
    assert!(bench.passes(&later(DATA, 7_000_000)));
}

#[test]
fn udp_is_remembered_for_two_minutes_and_once_answered_for_five() {
    let (query, answer) =
        ("send udp 198.51.100.2:7000 > 192.0.2.1:53", "udp 192.0.2.1:53 > 198.51.100.2:7000");
    for (milliseconds, state) in [(119_999, State::Established), (120_000, State::New)] {
        let mut bench = Bench::new(OPEN);
        bench.carry(query);
        assert_eq!(bench.judge(&later(answer, milliseconds)).state, state);
    }
    for (milliseconds, state) in [(299_999, State::Established), (300_000, State::New)] {
        let mut bench = Bench::new(OPEN);
        assert_eq!(states(&mut bench, &[query, query, answer]), [State::New, State::New, State::Established]);
        assert_eq!(bench.judge(&later(query, milliseconds)).state, state);
    }
}

#[test]
fn an_icmp_query_is_remembered_for_a_minute() {
    for (ask, hear) in [
        (
            "icmp 198.51.100.2 > 192.0.2.1 type echo-request id 7",
            "icmp 192.0.2.1 > 198.51.100.2 type echo-reply id 7",
        ),
        ("icmp 198.51.100.2 > 192.0.2.1 type 13 id 7", "icmp 192.0.2.1 > 198.51.100.2 type 14 id 7"),
        ("icmpv6 ::2 > ::1 type echo-request id 7", "icmpv6 ::1 > ::2 type echo-reply id 7"),
    ] {
        for (milliseconds, state) in [(59_999, State::Established), (60_000, State::Invalid)] {
            let mut bench = Bench::new(OPEN);
            assert_eq!(bench.judge(&format!("send {ask}")).state, State::New);
            assert_eq!(bench.judge(&later(hear, milliseconds)).state, state, "{hear}");
        }
        let mut bench = Bench::new(OPEN);
        bench.carry(&format!("send {ask}"));
        assert_eq!(bench.judge(&hear.replace("id 7", "id 8")).state, State::Invalid);
        let (ends, _) = ask.split_once(" type").expect("a type");
        let (_, answer) = hear.split_once(" type").expect("a type");
        let wrong_way = format!("send {ends} type{answer}");
        assert_eq!(bench.judge(&wrong_way).state, State::Invalid, "{wrong_way}");
    }
    // Each side asks the other under the same number: two queries.
    let mut bench = Bench::new(OPEN);
    bench.carry("send icmp 198.51.100.2 > 192.0.2.1 type echo-request id 8");
    assert_eq!(bench.judge("icmp 192.0.2.1 > 198.51.100.2 type echo-request id 8").state, State::New);
    assert_eq!(bench.filter.memory().connections, 2);
}

/// An ICMP destination unreachable from `from` to 198.51.100.2 that quotes a UDP packet of it to 192.0.2.1, from port 7000
/// to `port`, as bytes.
fn unreachable(from: [u8; 4], quoted_source: [u8; 4], port: u16) -> String {
    let header = |source: [u8; 4], destination: [u8; 4], protocol, length: u16| {
        let header = wire::ipv4::Header {
            traffic_class: 0,
            total_length: 20 + length,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol,
            source: source.into(),
            destination: destination.into(),
        };
        let mut bytes = vec![0; 20];
        header.emit(&mut bytes);
        bytes
    };
    let mut quoted = header(quoted_source, [192, 0, 2, 1], wire::Protocol::UDP, 8);
    quoted.extend([0x1b, 0x58]);
    quoted.extend(port.to_be_bytes());
    quoted.extend([0, 8, 0, 0]);
    let mut packet = header(from, [198, 51, 100, 2], wire::Protocol::ICMP, 8 + quoted.len() as u16);
    let code = wire::icmpv4::Unreachable::PORT;
    let mut message = vec![0; 8];
    wire::icmpv4::Message::DestinationUnreachable { code, mtu: 0 }.emit([&quoted[..]], &mut message);
    packet.extend(message);
    packet.extend(quoted);
    "hex ".to_owned() + &packet.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
}

#[test]
fn an_error_is_related_to_the_connection_that_it_quotes() {
    let own = [198, 51, 100, 2];
    let mut bench = Bench::new(OPEN);
    bench.carry("send udp 198.51.100.2:7000 > 192.0.2.1:53");
    // From the far end, and from a router on the way.
    for from in [[192, 0, 2, 1], [203, 0, 113, 1]] {
        assert_eq!(bench.judge(&unreachable(from, own, 53)).state, State::Related);
    }
    assert_eq!(
        bench.judge(&unreachable([192, 0, 2, 1], own, 54)).state,
        State::Invalid,
        "nobody asked there"
    );
    assert_eq!(bench.judge(&unreachable([192, 0, 2, 1], [198, 51, 100, 3], 53)).state, State::Invalid);
}

#[test]
fn an_error_neither_ends_nor_prolongs_a_connection() {
    let own = [198, 51, 100, 2];
    let error = unreachable([192, 0, 2, 1], own, 53);
    let mut bench = Bench::new(OPEN);
    bench.carry("send udp 198.51.100.2:7000 > 192.0.2.1:53");
    assert_eq!(bench.judge(&later(&error, 119_000)).state, State::Related);
    assert_eq!(bench.judge("udp 192.0.2.1:53 > 198.51.100.2:7000").state, State::Established);
    let mut bench = Bench::new(OPEN);
    bench.carry("send udp 198.51.100.2:7000 > 192.0.2.1:53");
    bench.carry(&later(&error, 119_000));
    assert_eq!(bench.judge(&later(&error, 1_000)).state, State::Invalid);
}

#[test]
fn what_is_not_tracked_is_told_apart() {
    let mut bench = Bench::new(OPEN);
    let others = [
        "132 192.0.2.1 > 192.0.2.2",
        "icmpv6 ::1 > ::2 type router-solicitation",
        "icmp 192.0.2.1 > 192.0.2.2 type 15",
    ];
    assert_eq!(states(&mut bench, &others), [State::Untracked; 3]);
    let mut blind = Bench::new("receive default accept\n count tcp");
    assert_eq!(blind.judge(SYN).state, State::Untracked, "no rule asks");
    assert_eq!(blind.filter.memory().connections, 0);
}

#[test]
fn timeouts_can_be_longer_and_not_shorter_than_their_rfcs_say() {
    let least = Timeouts::default();
    let shorter = [
        Timeouts { tcp_established: Duration::from_secs(7_439), ..least.clone() },
        Timeouts { tcp_transitory: Duration::from_secs(239), ..least.clone() },
        Timeouts { udp_answered: Duration::from_secs(119), ..least.clone() },
        Timeouts { udp_unanswered: Duration::from_secs(119), ..least.clone() },
        Timeouts { icmp: Duration::from_secs(59), ..least.clone() },
    ];
    for timeouts in shorter {
        let config = Config { timeouts, ..Config::default() };
        assert!(filter::Filter::new(filter::Ruleset::default(), &[], config, &[7; 32]).is_err());
    }
    let longer = Timeouts { icmp: Duration::from_secs(600), ..least };
    let mut bench = Bench::with(OPEN, Config { timeouts: longer, ..Config::default() });
    bench.carry("send icmp 198.51.100.2 > 192.0.2.1 type echo-request id 7");
    let answer = "icmp 192.0.2.1 > 198.51.100.2 type echo-reply id 7 after 599000";
    assert_eq!(bench.judge(answer).state, State::Established);
}
