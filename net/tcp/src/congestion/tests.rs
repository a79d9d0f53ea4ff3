//! What all laws have in common: slow start, losses, marks, idle times, and what is undone.

use super::*;
use time::SequenceNumber;

pub(super) const MSS: u32 = 1_000;

/// `acked` bytes of a window that was used in full.
pub(super) fn ack(acked: u32, window: u32) -> Ack {
    Ack {
        acked_bytes: acked,
        flight_before: window,
        mss: MSS,
        una: SequenceNumber(0),
        nxt: SequenceNumber(0),
        rtt: None,
        smoothed_rtt: None,
        min_rtt: None,
        application_limited: false,
        rate: None,
        now: Instant::from_secs(1),
    }
}

fn profile(congestion: CongestionAlgorithm) -> Config {
    Config { congestion, ..Config::linux() }
}

fn started() -> Congestion {
    started_with(CongestionAlgorithm::NewReno)
}

fn started_with(algorithm: CongestionAlgorithm) -> Congestion {
    let config = profile(algorithm);
    let mut congestion = Congestion::new(&config);
    congestion.start(&config, MSS, false, NOW);
    congestion
}

const NOW: Instant = Instant::from_secs(1);

#[test]
fn slow_start_doubles_and_avoidance_adds_one_segment_a_window() {
    let mut congestion = started();
    assert_eq!(congestion.window(), 10 * MSS);
    congestion.handle_ack(&ack(10 * MSS, 10 * MSS));
    assert_eq!(congestion.window(), 20 * MSS);
    congestion.enter_recovery(20 * MSS, MSS, NOW);
    assert_eq!((congestion.window(), congestion.threshold()), (10 * MSS, 10 * MSS));
    congestion.handle_ack(&ack(20 * MSS, 20 * MSS));
    assert_eq!(congestion.window(), 10 * MSS, "recovery is no time to grow");
    congestion.leave_recovery();
    for _ in 0..10 {
        congestion.handle_ack(&ack(MSS, 10 * MSS));
    }
    assert_eq!(congestion.window(), 11 * MSS);
}

#[test]
fn a_window_that_is_not_used_does_not_grow() {
    let windows = |flight: u32| {
        let mut congestion = started();
        let round = |acked: u32| {
            let (una, nxt) = (SequenceNumber(acked * MSS), SequenceNumber(flight * MSS));
            let left = (flight + 2 - acked) * MSS;
            let acked = Ack { application_limited: true, una, nxt, ..ack(2 * MSS, left) };
            congestion.handle_ack(&acked);
            congestion.window() / MSS
        };
        (1..=flight / 2).map(|two| two * 2).map(round).collect::<alloc::vec::Vec<_>>()
    };
    assert_eq!(windows(2), [10]);
    assert_eq!(windows(4), [10, 10]);
    // Up to twice what the round trip had in flight.
    assert_eq!(windows(6), [12, 12, 12]);
    assert_eq!(windows(8), [12, 14, 16, 16]);
}

#[test]
fn a_timeout_leaves_one_segment_and_half_the_flight_once() {
    let mut congestion = started();
    congestion.collapse(10 * MSS, MSS, true, NOW);
    congestion.collapse(MSS, MSS, false, NOW);
    assert_eq!((congestion.window(), congestion.threshold()), (MSS, 5 * MSS));
}

#[test]
fn what_limited_transmit_sent_does_not_count() {
    let mut congestion = started();
    congestion.enter_recovery(12 * MSS, MSS, NOW);
    assert_eq!(congestion.threshold(), 5 * MSS);
}

#[test]
fn a_loss_that_was_none_is_undone_also_where_a_timeout_followed() {
    let mut congestion = started();
    congestion.handle_ack(&ack(10 * MSS, 10 * MSS));
    congestion.enter_recovery(20 * MSS, MSS, NOW);
    congestion.collapse(20 * MSS, MSS, true, NOW);
    congestion.collapse(20 * MSS, MSS, false, NOW);
    congestion.undo();
    assert_eq!((congestion.window(), congestion.threshold()), (20 * MSS, THRESHOLD_INITIAL));
    congestion.enter_recovery(20 * MSS, MSS, NOW);
    congestion.undo();
    congestion.undo();
    assert_eq!((congestion.window(), congestion.threshold()), (20 * MSS, THRESHOLD_INITIAL));
}

#[test]
fn a_mark_lowers_the_window_less_than_a_loss() {
    let mut congestion = started();
    congestion.handle_ecn(10 * MSS, MSS, NOW);
    assert_eq!((congestion.window(), congestion.threshold()), (8 * MSS, 8 * MSS));
    congestion.undo();
    assert_eq!(congestion.window(), 8 * MSS, "a mark is no guess");
}

#[test]
fn idle_time_halves_the_window_down_to_the_initial_one() {
    let mut congestion = started();
    congestion.handle_ack(&ack(70 * MSS, 80 * MSS));
    congestion.threshold = 50 * MSS;
    let timeout = Duration::from_millis(200);
    congestion.restart(&Config::linux(), MSS, Duration::from_millis(399), timeout);
    assert_eq!((congestion.window(), congestion.threshold()), (40 * MSS, 60 * MSS));
    congestion.restart(&Config::linux(), MSS, Duration::from_secs(60), timeout);
    assert_eq!(congestion.window(), 10 * MSS);
    congestion.collapse(10 * MSS, MSS, true, NOW);
    congestion.restart(&Config::linux(), MSS, Duration::from_secs(60), timeout);
    assert_eq!(congestion.window(), MSS, "never more than there was");
}

#[test]
fn a_syn_that_was_lost_leaves_one_segment() {
    let mut congestion = Congestion::new(&Config::linux());
    congestion.start(&Config::linux(), MSS, true, NOW);
    assert_eq!(congestion.window(), MSS);
}

#[test]
fn large_segments_make_a_smaller_initial_window() {
    assert_eq!(initial_window(INITIAL_SEGMENTS, 9_000), 18_000);
    assert_eq!(initial_window(INITIAL_SEGMENTS, 1_448), 14_480);
}

#[test]
fn cubic_takes_three_tenths_and_a_mark_fifteen_hundredths() {
    let mut congestion = started_with(CongestionAlgorithm::Cubic);
    congestion.handle_ack(&ack(90 * MSS, 90 * MSS));
    congestion.enter_recovery(100 * MSS, MSS, NOW);
    assert_eq!((congestion.window(), congestion.threshold()), (70 * MSS, 70 * MSS));
    congestion.leave_recovery();
    congestion.handle_ecn(70 * MSS, MSS, NOW);
    assert_eq!(congestion.window(), 59_500);
    congestion.collapse(50 * MSS, MSS, true, NOW);
    assert_eq!((congestion.window(), congestion.threshold()), (MSS, 35 * MSS));
}

#[test]
fn what_the_round_trip_had_in_flight_before_was_used() {
    // A hundred in flight, of which ninety are acknowledged before anything can leave, and then a loss shows.
    for (algorithm, percent) in [(CongestionAlgorithm::Cubic, 70), (CongestionAlgorithm::NewReno, 50)] {
        let mut congestion = started_with(algorithm);
        congestion.handle_ack(&ack(90 * MSS, 100 * MSS));
        congestion.enter_recovery(10 * MSS, MSS, NOW);
        assert_eq!(congestion.window(), MSS * percent);
    }
}

#[test]
fn cubic_undone_goes_on_where_it_was() {
    let mut congestion = started_with(CongestionAlgorithm::Cubic);
    congestion.handle_ack(&ack(90 * MSS, 90 * MSS));
    congestion.enter_recovery(100 * MSS, MSS, NOW);
    congestion.leave_recovery();
    let grown = |congestion: &mut Congestion, ms| {
        let window = congestion.window();
        congestion.handle_ack(&Ack { now: NOW + Duration::from_millis(ms), ..ack(window, window) });
        congestion.window()
    };
    let before = [100, 200, 300].map(|ms| grown(&mut congestion, ms));
    congestion.enter_recovery(congestion.window(), MSS, NOW);
    congestion.undo();
    assert_eq!(congestion.window(), before[2]);
    let mut untouched = started_with(CongestionAlgorithm::Cubic);
    untouched.handle_ack(&ack(90 * MSS, 90 * MSS));
    untouched.enter_recovery(100 * MSS, MSS, NOW);
    untouched.leave_recovery();
    let _ = [100, 200, 300].map(|ms| grown(&mut untouched, ms));
    assert_eq!(grown(&mut congestion, 2_000), grown(&mut untouched, 2_000));
}

#[test]
fn hystart_ends_the_initial_slow_start_and_no_other() {
    let slow_start = |congestion: &mut Congestion| {
        let mut una = 0;
        for round in 0..10 {
            for n in 0..20 {
                una = (round * 20 + n + 1) * MSS;
                let rtt = Some(Duration::from_millis(u64::from(50 + 20 * round)));
                let nxt = SequenceNumber((round + 1 + u32::from(n == 19)) * 20 * MSS);
                let una = SequenceNumber(una);
                congestion.handle_ack(&Ack { una, nxt, rtt, ..ack(MSS, congestion.window()) });
            }
        }
        assert_eq!(una, 200 * MSS);
        (congestion.window(), congestion.threshold())
    };
    let quiet = |config| {
        let mut congestion = Congestion::new(&config);
        congestion.start(&config, MSS, false, NOW);
        congestion
    };
    // One round and seven segments of the next at full speed, its other 13 and four rounds more at a quarter.
    let (window, threshold) = slow_start(&mut started());
    assert_eq!(window, threshold + MSS, "79 segments in avoidance");
    assert_eq!(threshold, 10 * MSS + 27 * MSS + (13 + 79) * MSS / 4);
    let without = Config { hystart: false, ..profile(CongestionAlgorithm::NewReno) };
    assert_eq!(slow_start(&mut quiet(without)), (210 * MSS, THRESHOLD_INITIAL));
    let mut again = started();
    again.collapse(1_000 * MSS, MSS, true, NOW);
    assert_eq!(slow_start(&mut again), (201 * MSS, 500 * MSS));
}

#[test]
fn another_law_takes_the_window_over() {
    let mut congestion = started();
    congestion.handle_ack(&ack(90 * MSS, 90 * MSS));
    congestion.enter_recovery(100 * MSS, MSS, NOW);
    congestion.leave_recovery();
    congestion.set_algorithm(CongestionAlgorithm::Cubic);
    assert_eq!(congestion.algorithm(), CongestionAlgorithm::Cubic);
    assert_eq!((congestion.window(), congestion.threshold()), (50 * MSS, 50 * MSS));
    congestion.enter_recovery(50 * MSS, MSS, NOW);
    assert_eq!(congestion.window(), 35 * MSS);
}

#[test]
fn a_window_that_nobody_uses_is_halved_every_five_minutes() {
    let mut congestion = started();
    congestion.handle_ack(&ack(70 * MSS, 80 * MSS));
    congestion.threshold = 40 * MSS;
    let little = |secs| Ack {
        application_limited: true,
        una: SequenceNumber(1),
        now: NOW + Duration::from_secs(secs),
        ..ack(MSS, MSS)
    };
    let mut seen = alloc::vec::Vec::new();
    for secs in [1, 299, 300, 301, 599, 600, 900, 1_200, 1_500] {
        congestion.handle_ack(&little(secs));
        seen.push(congestion.window() / MSS);
    }
    assert_eq!(seen, [80, 80, 40, 40, 40, 20, 10, 10, 10]);
    assert_eq!(congestion.threshold(), 60 * MSS);
}
