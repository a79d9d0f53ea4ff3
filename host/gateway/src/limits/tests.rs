//! Limits in virtual time.

use super::*;
use time::{Duration, Instant};

fn limits(given: &[&str]) -> Box<Limits> {
    let given: Vec<Limit> = given.iter().map(|text| text.parse().expect("a limit")).collect();
    Limits::new(&given, Instant::ZERO).expect("one of each kind").expect("there are some")
}

/// Moves streams' bytes until there is no room; how many.
fn drain(limits: &mut Limits, direction: Direction, now: Instant) -> u64 {
    let mut moved = 0;
    loop {
        let room = limits.room(direction, now).min(60_000);
        if room == 0 {
            limits.handle_waiting(direction, now);
            return moved;
        }
        limits.take(direction, room, now);
        moved += room;
    }
}

#[test]
fn nothing_given_costs_nothing_and_one_kind_is_given_once() {
    assert!(Limits::new(&[], Instant::ZERO).expect("nothing is fine").is_none());
    let twice: Vec<Limit> =
        ["up=1M/s", "bytes=1G", "up=2M/s"].map(|text| text.parse().expect("a limit")).to_vec();
    let same = Limits::new(&twice, Instant::ZERO).expect_err("two of one kind");
    assert!(same.to_string().contains("--limit up=1M/s and --limit up=2M/s"), "{same}");
}

#[test]
fn connections_pass_by_their_burst_and_then_by_their_rate() {
    let mut limits = limits(&["connections=10/s:10"]);
    let passed = (0..50).filter(|_| limits.admit(Instant::ZERO).is_ok()).count();
    assert_eq!(passed, 10);
    let reason = limits.admit(Instant::ZERO).expect_err("over the limit");
    assert_eq!(reason, "over the limit of 10 connections a second (--limit connections=10/s)");
    let later = Instant::from_millis(100);
    assert_eq!((0..5).filter(|_| limits.admit(later).is_ok()).count(), 1);
}

#[test]
fn a_permit_is_given_back_when_its_last_holder_ends() {
    let mut limits = limits(&["open=2"]);
    let now = Instant::ZERO;
    let first = limits.admit(now).expect("one");
    let copy = first.clone();
    let _second = limits.admit(now).expect("two");
    let reason = limits.admit(now).expect_err("three");
    assert_eq!(reason, "over the limit of 2 connections at once (--limit open=2)");
    drop(first);
    assert!(limits.admit(now).is_err(), "a copy of the permit is still held");
    drop(copy);
    assert!(limits.admit(now).is_ok());
}

#[test]
fn a_stream_moves_the_burst_and_then_the_rate_and_is_told_when() {
    let mut limits = limits(&["down=1M/s"]);
    let mut now = Instant::ZERO;
    let burst = drain(&mut limits, Direction::Down, now);
    assert_eq!(burst, 100_000, "a tenth of a second's");
    let (mut moved, mut wakes) = (0, 0);
    let end = now + Duration::from_secs(10);
    loop {
        let ready = limits.ready_at(Direction::Down, now);
        assert!(ready > now, "there is no room now");
        if ready > end {
            break;
        }
        now = ready;
        let some = drain(&mut limits, Direction::Down, now);
        assert!(some > 0, "at the moment that was told there is room");
        moved += some;
        wakes += 1;
    }
    assert!((9_980_000..=10_000_000).contains(&moved), "{moved} bytes in ten seconds");
    assert!((900..=1_100).contains(&wakes), "{wakes} wakes in ten seconds");
    assert_eq!(limits.room(Direction::Up, now), u64::MAX, "the other way has no limit");
}

#[test]
fn both_ways_share_what_is_for_both_and_neither_starves() {
    let mut limits = limits(&["bandwidth=1M/s:10K"]);
    let (mut up, mut down) = (0, 0);
    for millisecond in 0..10_000 {
        let now = Instant::from_millis(millisecond);
        for direction in [limits.first(), limits.first().other()] {
            let moved = drain(&mut limits, direction, now);
            *(if direction == Direction::Up { &mut up } else { &mut down }) += moved;
        }
    }
    assert!((9_900_000..=10_100_000).contains(&(up + down)), "{up} up and {down} down");
    assert!(up.abs_diff(down) <= 20_000, "{up} up and {down} down");
}

#[test]
fn datagrams_beyond_the_rate_are_dropped_and_leave_streams_their_share() {
    let mut limits = limits(&["up=1M/s:10K"]);
    let (mut datagrams, mut streams) = (0_u64, 0);
    for tick in 0..100_000 {
        let now = Instant::from_millis(tick / 10);
        // Ten times the rate, in datagrams of 1,000 bytes.
        if limits.pass(Direction::Up, 1_000, now) {
            datagrams += 1_000;
        }
        streams += drain(&mut limits, Direction::Up, now);
    }
    let total = datagrams + streams;
    assert!((9_900_000..=10_100_000).contains(&total), "{datagrams} and {streams}");
    assert!(streams >= total / 3 && datagrams >= total / 3, "{datagrams} and {streams}");
    assert_eq!(limits.dropped(), 100_000 - datagrams / 1_000);
}

#[test]
fn datagrams_alone_have_all_of_the_rate() {
    let mut limits = limits(&["bandwidth=1M/s:10K"]);
    let passed = (0..100_000)
        .filter(|tick| limits.pass(Direction::Down, 1_000, Instant::from_millis(tick / 10)))
        .count();
    assert!((9_900..=10_100).contains(&passed), "{passed} of 1,000 bytes in ten seconds");
}

#[test]
fn a_datagram_larger_than_the_burst_passes_once_the_bucket_is_full() {
    let mut limits = limits(&["up=1K/s"]);
    assert!(limits.pass(Direction::Up, 1_400, Instant::ZERO));
    assert!(!limits.pass(Direction::Up, 1_400, Instant::from_millis(1_300)));
    assert!(limits.pass(Direction::Up, 1_400, Instant::from_millis(1_400)));
}

#[test]
fn bytes_are_carried_to_the_last_one_and_then_everything_is_cut_once() {
    let mut limits = limits(&["bytes=100K"]);
    let now = Instant::ZERO;
    assert!(limits.admit(now).is_ok() && limits.pass(Direction::Up, 1_000, now));
    assert!(!limits.is_cut_due());
    assert_eq!(drain(&mut limits, Direction::Down, now), 99_000);
    assert!(limits.is_cut_due());
    limits.handle_cut();
    assert!(!limits.pass(Direction::Up, 1, now) && !limits.is_cut_due(), "once");
    let reason = limits.admit(now).expect_err("used up");
    assert_eq!(reason, "over the limit of 100K bytes in all (--limit bytes=100K)");
}

#[test]
fn a_datagram_that_the_rest_does_not_hold_ends_the_run_of_bytes() {
    let mut limits = limits(&["bytes=1K"]);
    assert!(limits.pass(Direction::Up, 600, Instant::ZERO));
    assert!(!limits.pass(Direction::Up, 600, Instant::ZERO));
    assert!(limits.is_cut_due() && limits.dropped() == 1);
}
