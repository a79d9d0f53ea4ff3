//! What the window allows leaves spread over the round trip (`pacing.rs`), and congestion control on a live connection.

use super::pair::{Channel, Pair};
use super::script::{Script, plain};
use crate::{Config, CongestionAlgorithm, Event, Path, Why};
use std::format;
use time::Duration;

/// ESTABLISHED over a path with a round trip of 20 ms.
fn distant(config: Config) -> Script {
    let mut it = Script::accept(config, "S 0 win 65535 mss 1000 wscale 0");
    it.leaves("S 0 ack 1");
    it.after(20);
    it.arrives(". 1 ack 1 win 65535");
    assert_eq!(it.events(), [Event::Established]);
    it
}

fn paced() -> Config {
    Config { pacing: true, ..plain() }
}

/// Lets time pass to the next deadline, which is the pacer's.
fn wait(it: &mut Script) -> Duration {
    it.is_quiet();
    let (at, why) = it.connection.poll_timeout().expect("a deadline");
    assert_eq!(why, Why::Pacing);
    let span = at - it.now;
    it.now = at;
    it.connection.handle_timeout(at);
    span
}

#[test]
fn established_initial_window_leaves_at_once_and_the_next_is_paced() {
    let mut it = distant(paced());
    it.write(1, 40_000);
    (0..10).for_each(|n| it.leaves(&format!(". {}+1000 ack 1", 1 + n * 1_000)));
    it.after(20);
    it.arrives(". 1 ack 5001 win 65535");
    // Slow start: 15,000 bytes twice in 20 ms, a segment each 667 µs, and a millisecond of credit at first.
    it.leaves(". 10001+1000 ack 1");
    it.leaves(". 11001+1000 ack 1");
    assert_eq!(wait(&mut it).as_micros(), 333);
    for n in 12..19 {
        it.leaves(&format!(". {}+1000 ack 1", 1 + n * 1_000));
        assert_eq!(wait(&mut it).as_micros(), 666);
    }
    it.leaves(". 19001+1000 ack 1");
    // The window is full: no deadline but the retransmission's.
    it.is_quiet();
    assert_eq!(it.connection.poll_timeout().expect("in flight").1, Why::Retransmit);
}

#[test]
fn established_large_segments_are_a_millisecond_long() {
    let mut it = distant(Config { initial_window_segments: 60, ..paced() });
    it.path = Path { segment_bytes_max: 1_020, offload_bytes_max: 64_000 };
    it.write(1, 120_000);
    // The initial window is not held back, but 60,000 bytes twice in 20 ms are 6,000 a millisecond.
    (0..10).for_each(|n| it.leaves(&format!(". {}+6000 ack 1 size 1000", 1 + n * 6_000)));
    it.after(20);
    it.arrives(". 1 ack 30001 win 65535");
    it.leaves(". 60001+9000 ack 1 size 1000");
    it.leaves(". 69001+9000 ack 1 size 1000");
    assert_eq!(wait(&mut it).as_micros(), 1_000);
    it.leaves(". 78001+9000 ack 1 size 1000");
}

#[test]
fn established_short_round_trip_is_not_paced() {
    let mut it = Script::established(paced());
    it.write(1, 40_000);
    (0..10).for_each(|n| it.leaves(&format!(". {}+1000 ack 1", 1 + n * 1_000)));
    it.after(20);
    it.arrives(". 1 ack 10001 win 65535");
    (10..30).for_each(|n| it.leaves(&format!(". {}+1000 ack 1", 1 + n * 1_000)));
    it.is_quiet();
}

#[test]
fn established_retransmission_waits_for_no_pace() {
    let mut it = distant(paced());
    it.write(1, 40_000);
    (0..10).for_each(|n| it.leaves(&format!(". {}+1000 ack 1", 1 + n * 1_000)));
    it.after(20);
    it.arrives(". 1 ack 5001 win 65535");
    it.leaves(". 10001+1000 ack 1");
    it.leaves(". 11001+1000 ack 1");
    it.is_quiet();
    (0..3).for_each(|_| it.arrives(". 1 ack 5001 win 65535"));
    it.leaves(". 5001+1000 ack 1");
    it.is_quiet();
}

#[test]
fn established_law_changes_on_the_way() {
    let algorithms = CongestionAlgorithm::ALL;
    for first in algorithms {
        for second in algorithms {
            let config = Config { congestion: first, ..Config::linux() };
            let channel = Channel { delay: Duration::from_millis(10), loss: 1, ..Channel::CLEAN };
            let mut pair = Pair::established(config, channel, 7);
            let data: std::vec::Vec<u8> = (0..400_000_u32).map(|n| n as u8).collect();
            let now = pair.now;
            pair.client.write(&data, now);
            pair.run_until(|pair| pair.server().received.len() > 100_000);
            let now = pair.now;
            pair.client.change(|config| config.congestion = second, now);
            assert_eq!(pair.client.connection.config().congestion, second);
            pair.run_until(|pair| pair.server().received.len() == data.len());
            assert!(pair.server().received == data, "{first:?} to {second:?}");
            pair.run_for(Duration::from_secs(10));
            assert_eq!(pair.client.connection.buffers_held(), 0, "{first:?} to {second:?}");
            assert_eq!(pair.client.connection.poll_timeout(), None, "{first:?} to {second:?}");
        }
    }
}
