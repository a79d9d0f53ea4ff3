//! Loss and its repair where both sides permit SACK (RFC 6675, RFC 8985, RFC 9937, RFC 5682, RFC 3522).

use super::script::{Script, plain};
use crate::{Config, CongestionAlgorithm, Path, Why};
use std::format;
use time::Duration;

/// ESTABLISHED with SACK and NewReno, after a round trip of 40 ms: RTO is 200 ms.
fn selective(config: Config) -> Script {
    let config = Config { congestion: CongestionAlgorithm::NewReno, ..config };
    let mut it = Script::accept(config, "S 0 win 65535 mss 1000 wscale 0 sackok yes");
    it.leaves("S 0 ack 1 sackok yes");
    it.after(40);
    it.arrives(". 1 ack 1 win 65535");
    it.events();
    it
}

/// The same with timestamps: ours are the milliseconds, the peer's are 1.
fn stamped() -> Script {
    let config = Config { timestamps: true, congestion: CongestionAlgorithm::NewReno, ..plain() };
    let mut it = Script::accept(config, "S 0 win 65535 mss 1012 wscale 0 ts 1:0 sackok yes");
    it.path.segment_bytes_max = 1_032;
    it.leaves("S 0 ack 1 sackok yes");
    it.after(40);
    it.arrives(". 1 ack 1 win 65535 ts 1:1000000");
    it.events();
    it
}

fn leave(it: &mut Script, segments: core::ops::Range<u32>) {
    for n in segments {
        it.leaves(&format!(". {}+1000 ack 1", 1 + n * 1_000));
    }
}

/// Ten segments in flight, more waiting, and a round trip gone.
fn flying() -> Script {
    let mut it = selective(plain());
    it.write(1, 60_000);
    leave(&mut it, 0..10);
    it.after(40);
    it
}

#[test]
fn established_third_held_segment_repeats_what_is_missing() {
    let mut it = flying();
    it.arrives(". 1 ack 1 win 65535 sack 1001:2001");
    // RFC 3042: what the peer holds makes room for new segments.
    it.leaves(". 10001+1000 ack 1");
    it.arrives(". 1 ack 1 win 65535 sack 1001:3001");
    it.leaves(". 11001+1000 ack 1");
    it.arrives(". 1 ack 1 win 65535 sack 1001:4001");
    it.leaves(". 1+1000 ack 1");
    it.is_quiet();
    // RFC 9937: half of the ten that RecoverFS counts; one leaves for two that arrive.
    it.arrives(". 1 ack 1 win 65535 sack 1001:5001");
    it.is_quiet();
    it.arrives(". 1 ack 1 win 65535 sack 1001:6001");
    it.leaves(". 12001+1000 ack 1");
    it.is_quiet();
    it.arrives(". 1 ack 1 win 65535 sack 1001:7001");
    it.is_quiet();
    // All that was in flight is acknowledged: ssthresh is 5 and 3 are in flight.
    it.arrives(". 1 ack 12001 win 65535");
    leave(&mut it, 13..17);
    it.is_quiet();
}

#[test]
fn established_one_held_segment_repeats_what_is_missing_after_the_reordering_window() {
    let mut it = flying();
    it.arrives(". 1 ack 1 win 65535 sack 1001:2001");
    it.leaves(". 10001+1000 ack 1");
    // RFC 8985 §6.2: a quarter of the round trip.
    assert_eq!(it.connection.poll_timeout().unwrap(), (it.now + Duration::from_millis(10), Why::Reordering));
    it.after(10);
    it.leaves(". 1+1000 ack 1");
    it.is_quiet();
}

#[test]
fn established_reordered_segment_is_waited_for() {
    let mut it = flying();
    it.arrives(". 1 ack 1 win 65535 sack 1001:2001");
    it.leaves(". 10001+1000 ack 1");
    it.after(5);
    it.arrives(". 1 ack 2001 win 65535");
    leave(&mut it, 11..14);
    it.is_quiet();
    // Reordering was seen: three held segments are no proof any more.
    it.arrives(". 1 ack 2001 win 65535 sack 3001:7001");
    leave(&mut it, 14..18);
    it.after(9);
    it.is_quiet();
    it.after(1);
    it.leaves(". 2001+1000 ack 1");
    it.is_quiet();
}

#[test]
fn established_several_holes_are_filled_in_order() {
    let mut it = flying();
    it.arrives(". 1 ack 1 win 65535 sack 9001:10001,5001:6001,2001:3001");
    // Six are lost at once, and one is left of the ten that RecoverFS counts.
    it.leaves(". 1+1000 ack 1");
    it.leaves(". 1001+1000 ack 1");
    it.leaves(". 3001+1000 ack 1");
    it.is_quiet();
    it.after(40);
    it.arrives(". 1 ack 1001 win 65535 sack 9001:10001,5001:6001,2001:3001");
    it.leaves(". 4001+1000 ack 1");
    it.leaves(". 6001+1000 ack 1");
    it.is_quiet();
    it.arrives(". 1 ack 3001 win 65535 sack 9001:10001,5001:6001");
    it.leaves(". 7001+1000 ack 1");
    it.leaves(". 8001+1000 ack 1");
    it.is_quiet();
    it.arrives(". 1 ack 10001 win 65535");
    leave(&mut it, 10..15);
    it.is_quiet();
}

#[test]
fn established_lost_repetition_is_repeated_without_a_timeout() {
    let mut it = flying();
    it.arrives(". 1 ack 1 win 65535 sack 1001:4001");
    it.leaves(". 1+1000 ack 1");
    it.leaves(". 10001+1000 ack 1");
    it.after(40);
    // What left after the repetition has arrived, the repetition has not.
    it.arrives(". 1 ack 1 win 65535 sack 10001:11001,1001:10001");
    it.leaves(". 1+1000 ack 1");
}

#[test]
fn established_large_segment_is_repeated_in_part() {
    let mut it = selective(plain());
    it.path = Path { segment_bytes_max: 1_020, offload_bytes_max: 64_000 };
    it.write(1, 10_000);
    it.leaves("P 1+10000 ack 1 size 1000");
    it.after(40);
    it.arrives(". 1 ack 2001 win 65535 sack 5001:10001");
    // Three of the ten are missing, and the first two have arrived: they leave as one.
    it.leaves(". 2001+3000 ack 1 size 1000");
    it.is_quiet();
    it.after(40);
    it.arrives(". 1 ack 10001 win 65535");
    assert_eq!(it.connection.unacknowledged(), 0);
    assert_eq!((it.connection.poll_timeout(), it.connection.buffers_held()), (None, 0));
}

#[test]
fn established_blocks_outside_of_what_is_outstanding_tell_nothing() {
    let mut it = flying();
    it.arrives(". 1 ack 1001 win 65535");
    leave(&mut it, 10..12);
    for sack in ["12001:13001", "5001:12002", "3001:2001", "4001:4001", "-900:1", "-70000:5001"] {
        it.arrives(&format!(". 1 ack 1001 win 65535 sack 20001:30001,{sack}"));
    }
    it.after(30);
    it.is_quiet();
}

#[test]
fn established_silent_tail_is_probed_by_the_last_segment() {
    let mut it = selective(plain());
    it.write(1, 3_000);
    leave(&mut it, 0..2);
    it.leaves("P 2001+1000 ack 1");
    // RFC 8985 §7.2: two round trips.
    it.after(80);
    it.leaves("P 2001+1000 ack 1");
    it.is_quiet();
    it.after(40);
    it.arrives(". 1 ack 1 win 65535 sack 2001:3001");
    // RACK: the first two left long before.
    leave(&mut it, 0..1);
    it.after(40);
    it.arrives(". 1 ack 1001 win 65535 sack 2001:3001");
    leave(&mut it, 1..2);
    it.after(40);
    it.arrives(". 1 ack 3001 win 65535");
    assert_eq!(it.connection.poll_timeout(), None);
}

#[test]
fn established_silent_flight_is_probed_by_something_new() {
    let mut it = selective(plain());
    it.write(1, 30_000);
    leave(&mut it, 0..10);
    it.after(80);
    // Beyond the congestion window, and once.
    leave(&mut it, 10..11);
    it.after(239);
    it.is_quiet();
    it.after(1);
    leave(&mut it, 0..1);
}

#[test]
fn established_lone_segment_is_given_time_for_a_delayed_acknowledgement() {
    let config = Config { ack_delay_max: Duration::from_millis(50), ..plain() };
    let mut it = selective(config);
    it.write(1, 1_000);
    it.leaves("P 1+1000 ack 1");
    it.after(129);
    it.is_quiet();
    it.after(1);
    it.leaves("P 1+1000 ack 1");
    // RFC 6298: the timeout counts from the probe.
    it.after(239);
    it.is_quiet();
    it.after(1);
    it.leaves("P 1+1000 ack 1");
}

#[test]
fn established_probe_that_came_twice_leaves_the_window() {
    let mut it = selective(plain());
    it.write(1, 10_000);
    leave(&mut it, 0..9);
    it.leaves("P 9001+1000 ack 1");
    it.after(80);
    it.leaves("P 9001+1000 ack 1");
    it.arrives(". 1 ack 10001 win 65535");
    it.arrives(". 1 ack 10001 win 65535 sack 9001:10001");
    it.write(10_001, 40_000);
    // Slow start has gone on: 20.
    leave(&mut it, 10..30);
    it.is_quiet();
}

#[test]
fn established_probe_that_repaired_a_loss_halves_the_window() {
    let mut it = selective(plain());
    it.write(1, 10_000);
    leave(&mut it, 0..9);
    it.leaves("P 9001+1000 ack 1");
    it.after(80);
    it.leaves("P 9001+1000 ack 1");
    it.after(40);
    it.arrives(". 1 ack 10001 win 65535");
    it.write(10_001, 40_000);
    leave(&mut it, 10..30);
    it.is_quiet();
    it.arrives(". 1 ack 11001 win 65535");
    // RFC 8985 §7.4.1: half of the twenty, of which nineteen are in flight.
    it.is_quiet();
    // Ten, and one for the window that was acknowledged.
    it.arrives(". 1 ack 21001 win 65535");
    leave(&mut it, 30..32);
    it.is_quiet();
}

#[test]
fn established_timeout_repeats_what_is_not_held() {
    let mut it = selective(plain());
    it.write(1, 6_000);
    leave(&mut it, 0..5);
    it.leaves("P 5001+1000 ack 1");
    it.after(40);
    it.arrives(". 1 ack 1 win 65535 sack 3001:4001,1001:2001");
    it.after(10);
    leave(&mut it, 0..1);
    // It is lost again; no acknowledgement lets the other hole be filled.
    it.after(240);
    leave(&mut it, 0..1);
    it.after(40);
    it.arrives(". 1 ack 2001 win 65535 sack 3001:4001");
    leave(&mut it, 2..3);
    it.leaves(". 4001+1000 ack 1");
    it.is_quiet();
    it.after(40);
    it.arrives(". 1 ack 5001 win 65535");
    it.leaves("P 5001+1000 ack 1");
    it.after(40);
    it.arrives(". 1 ack 6001 win 65535");
    assert_eq!(it.connection.poll_timeout(), None);
}

#[test]
fn established_peer_that_drops_what_it_held_gets_it_again() {
    let mut it = selective(plain());
    it.write(1, 3_000);
    leave(&mut it, 0..2);
    it.leaves("P 2001+1000 ack 1");
    it.after(40);
    it.arrives(". 1 ack 1 win 65535 sack 1001:3001");
    it.after(10);
    leave(&mut it, 0..1);
    // RFC 2018 §8: it acknowledges the first, but no longer what followed.
    it.arrives(". 1 ack 1001 win 65535");
    it.after(240);
    leave(&mut it, 1..2);
    it.arrives(". 1 ack 2001 win 65535");
    it.leaves("P 2001+1000 ack 1");
}

#[test]
fn established_late_segments_after_a_timeout_undo_it() {
    let mut it = selective(plain());
    it.write(1, 60_000);
    leave(&mut it, 0..10);
    it.after(80);
    leave(&mut it, 10..11);
    it.after(240);
    leave(&mut it, 0..1);
    // RFC 5682: something new instead of what seems lost.
    it.arrives(". 1 ack 1001 win 65535");
    leave(&mut it, 11..13);
    it.is_quiet();
    // An acknowledgement of what left once: nothing was lost.
    it.arrives(". 1 ack 2001 win 65535");
    it.is_quiet();
    it.arrives(". 1 ack 11001 win 65535");
    leave(&mut it, 13..30);
    it.is_quiet();
}

#[test]
fn established_duplicate_after_a_timeout_makes_it_right() {
    let mut it = selective(plain());
    it.write(1, 60_000);
    leave(&mut it, 0..10);
    it.after(80);
    leave(&mut it, 10..11);
    it.after(240);
    leave(&mut it, 0..1);
    it.arrives(". 1 ack 1001 win 65535");
    leave(&mut it, 11..13);
    it.arrives(". 1 ack 1001 win 65535 sack 11001:12001");
    leave(&mut it, 1..2);
}

#[test]
fn established_echo_of_the_first_transmission_undoes_the_timeout() {
    let mut it = stamped();
    it.write(1, 30_000);
    for n in 0..10 {
        it.leaves(&format!(". {}+1000 ack 1 ts 1000040:1", 1 + n * 1_000));
    }
    it.after(80);
    leave(&mut it, 10..11);
    it.after(240);
    it.leaves(". 1+1000 ack 1 ts 1000360:1");
    it.after(10);
    // RFC 3522: it answers what left at 40, not at 360.
    it.arrives(". 1 ack 1001 win 65535 ts 2:1000040");
    // The window is ten, and ten are in flight.
    it.is_quiet();
    it.arrives(". 1 ack 2001 win 65535 ts 2:1000040");
    leave(&mut it, 11..13);
}

#[test]
fn established_echo_of_the_repetition_leaves_the_timeout() {
    let mut it = stamped();
    it.write(1, 30_000);
    leave(&mut it, 0..10);
    it.after(80);
    leave(&mut it, 10..11);
    it.after(240);
    it.leaves(". 1+1000 ack 1 ts 1000360:1");
    it.after(40);
    it.arrives(". 1 ack 1001 win 65535 ts 2:1000360");
    leave(&mut it, 11..13);
    it.after(40);
    it.arrives(". 1 ack 1001 win 65535 ts 2:1000360 sack 11001:12001");
    leave(&mut it, 1..2);
}

#[test]
fn established_duplicates_of_all_that_was_repeated_restore_the_window() {
    let mut it = flying();
    it.arrives(". 1 ack 1 win 65535 sack 1001:4001");
    it.leaves(". 1+1000 ack 1");
    it.leaves(". 10001+1000 ack 1");
    it.is_quiet();
    // It was only late, and the rest with it.
    it.arrives(". 1 ack 11001 win 65535");
    leave(&mut it, 11..16);
    it.is_quiet();
    // RFC 2883: the repetition was the second.
    it.arrives(". 1 ack 11001 win 65535 sack 1:1001");
    leave(&mut it, 16..21);
    it.is_quiet();
}

#[test]
fn established_duplicates_widen_the_reordering_window() {
    let mut it = flying();
    it.arrives(". 1 ack 1 win 65535 sack 1001:2001");
    it.leaves(". 10001+1000 ack 1");
    it.after(10);
    it.leaves(". 1+1000 ack 1");
    it.arrives(". 1 ack 11001 win 65535 sack 1:1001");
    leave(&mut it, 11..21);
    it.is_quiet();
    it.after(40);
    it.arrives(". 1 ack 11001 win 65535 sack 12001:13001");
    it.leaves(". 21001+1000 ack 1");
    // RFC 8985 §6.2, step 4: two quarters now.
    assert_eq!(it.connection.poll_timeout().unwrap(), (it.now + Duration::from_millis(20), Why::Reordering));
}
