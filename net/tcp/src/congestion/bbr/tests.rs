//! BBR alone on a path of one bottleneck, in virtual time: what it finds out, and how it moves between its states.

use super::super::tests::ack;
use super::*;
use crate::delivery_rate::DeliveryRate;
use alloc::collections::VecDeque;
use time::SequenceNumber;

const MSS: u32 = 1_000;

/// A sender with as much to send as it may, a bottleneck with an endless queue, and a receiver that acknowledges each
/// segment.
struct Path {
    law: Bbr,
    rates: DeliveryRate,
    now: Instant,
    window: u32,
    una: u32,
    nxt: u32,
    /// When each segment in flight is acknowledged.
    flying: VecDeque<Instant>,
    next_departure: Instant,
    /// When the bottleneck is free again.
    free_at: Instant,
    /// Bytes a second, and the round trip without a queue.
    rate: u64,
    round_trip: Duration,
    /// Segments that the writer leaves per millisecond; none: as many as may.
    slow_writer: Option<u32>,
}

impl Path {
    fn new(rate: u64, round_trip_ms: u64) -> Self {
        let now = Instant::from_secs(100);
        Self {
            law: Bbr::new(),
            rates: DeliveryRate::new(),
            now,
            window: 10 * MSS,
            una: 0,
            nxt: 0,
            flying: VecDeque::new(),
            next_departure: now,
            free_at: now,
            rate,
            round_trip: Duration::from_millis(round_trip_ms),
            slow_writer: None,
        }
    }

    fn flight(&self) -> u32 {
        self.nxt - self.una
    }

    fn product(&self) -> u32 {
        (self.rate * self.round_trip.as_millis() as u64 / 1_000) as u32
    }

    /// One event: a departure or an acknowledgement, whichever comes first.
    fn step(&mut self) {
        let may_leave = self.flight() + MSS <= self.window;
        let acknowledged = self.flying.front().copied();
        if may_leave && acknowledged.is_none_or(|at| self.next_departure <= at) {
            self.now = self.now.max(self.next_departure);
            self.depart();
            return;
        }
        self.now = self.flying.pop_front().expect("in flight");
        let flight_before = self.flight();
        self.una += MSS;
        let una = SequenceNumber(self.una);
        let rate = self.rates.handle_ack(una, MSS, Duration::ZERO, self.now);
        let ack = Ack { una, nxt: SequenceNumber(self.nxt), rate, now: self.now, ..ack(MSS, flight_before) };
        self.window = self.law.handle_ack(self.window, &ack, false);
    }

    fn depart(&mut self) {
        let flight = self.flight();
        self.nxt += MSS;
        self.rates.handle_sent(SequenceNumber(self.nxt), true, flight, self.now);
        let service = Duration::from_nanos(u64::from(MSS) * 1_000_000_000 / self.rate);
        self.free_at = self.free_at.max(self.now) + service;
        self.flying.push_back(self.free_at + self.round_trip);
        let mut gap = self
            .law
            .pacing_rate()
            .map_or(Duration::ZERO, |rate| Duration::from_nanos(u64::from(MSS) * 1_000_000_000 / rate));
        if let Some(segments) = self.slow_writer {
            gap = gap.max(Duration::from_millis(1) / segments);
            self.rates.note_limit(self.flight());
        }
        self.next_departure = self.now + gap;
    }

    fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..400_000 {
            if done(self) {
                return;
            }
            self.step();
        }
        panic!("never {what}: {:?}, window {}, flight {}", self.law, self.window, self.flight());
    }

    fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        self.run_until("later", |path| path.now >= end);
    }

    fn is_probing_bandwidth(&self) -> bool {
        matches!(self.law.state(), State::ProbeBandwidth { .. })
    }
}

#[test]
fn it_finds_the_rate_drains_the_queue_and_stays_there() {
    // 1 MB/s and 40 ms: the product is 40 segments.
    let mut path = Path::new(1_000_000, 40);
    let start = path.now;
    path.run_until("draining", |path| path.law.state() == State::Drain);
    // 10 to 40 segments are two doublings; then three rounds that show that it is full, each longer by the queue.
    assert!(path.now - start < Duration::from_millis(700), "{:?}", path.now - start);
    assert!(path.law.bandwidth().abs_diff(1_000_000) < 30_000, "{}", path.law.bandwidth());
    path.run_until("probing", Path::is_probing_bandwidth);
    // 40 segments in flight, and three quanta at the pace of STARTUP, 2,887 bytes each.
    assert!(path.flight() <= path.product() + 9 * MSS, "{}", path.flight());
    path.run_for(Duration::from_secs(2));
    assert!(path.law.bandwidth().abs_diff(1_000_000) < 30_000, "{}", path.law.bandwidth());
    assert!(path.window >= 2 * path.product() && path.window < 5 * path.product() / 2, "{}", path.window);
    // The queue: what was acknowledged in a second is what the path takes.
    let una = path.una;
    path.run_for(Duration::from_secs(1));
    assert!(path.una - una > 970 * MSS, "{}", path.una - una);
    assert!(path.flight() <= path.product() * 5 / 4 + 6 * MSS, "{} in flight", path.flight());
}

#[test]
fn every_ten_seconds_it_looks_for_the_round_trip() {
    let mut path = Path::new(1_000_000, 40);
    path.run_for(Duration::from_secs(2));
    path.round_trip = Duration::from_millis(60);
    let before = path.window;
    path.run_until("probing the round trip", |path| matches!(path.law.state(), State::ProbeRtt { .. }));
    assert_eq!(path.window, 4 * MSS);
    let start = path.now;
    path.run_until("back", Path::is_probing_bandwidth);
    let span = path.now - start;
    assert!(span >= PROBE_RTT && span < PROBE_RTT + Duration::from_millis(300), "{span:?}");
    assert!(path.window >= before, "the window of before is back");
    path.run_for(Duration::from_secs(1));
    assert!(path.window > 2 * path.product() * 9 / 10, "60 ms are known: {}", path.window);
}

#[test]
fn a_path_that_becomes_slower_is_noticed_in_ten_rounds() {
    let mut path = Path::new(1_000_000, 40);
    path.run_for(Duration::from_secs(2));
    path.rate = 500_000;
    path.run_for(Duration::from_secs(4));
    assert!(path.law.bandwidth().abs_diff(500_000) < 30_000, "{}", path.law.bandwidth());
}

#[test]
fn a_path_that_becomes_faster_is_found_by_probing() {
    let mut path = Path::new(1_000_000, 40);
    path.run_for(Duration::from_secs(2));
    path.rate = 1_500_000;
    path.run_for(Duration::from_secs(3));
    assert!(path.law.bandwidth().abs_diff(1_500_000) < 60_000, "{}", path.law.bandwidth());
}

#[test]
fn a_slow_writer_is_not_taken_for_a_slow_path() {
    let mut path = Path::new(1_000_000, 40);
    path.run_for(Duration::from_secs(2));
    // A hundred segments a second are a tenth of what the path takes.
    path.slow_writer = Some(1);
    path.rate = 10_000_000;
    path.run_for(Duration::from_secs(3));
    assert!(path.law.bandwidth() >= 970_000, "{}", path.law.bandwidth());
    assert!(path.law.filled_pipe);
}

#[test]
fn losses_leave_the_model_alone_and_the_window_comes_back() {
    let mut path = Path::new(1_000_000, 40);
    path.run_for(Duration::from_secs(2));
    let (window, bandwidth) = (path.window, path.law.bandwidth());
    let during = path.law.enter_recovery(window, path.flight(), MSS);
    assert_eq!(during, path.flight());
    assert_eq!(path.law.leave_recovery(during), window);
    assert_eq!(path.law.bandwidth(), bandwidth);
}

#[test]
fn a_short_round_trip_does_not_forget_the_rate_while_it_looks_for_it() {
    // 200 ms of four segments in flight are twenty rounds of 10 ms.
    let mut path = Path::new(10_000_000, 10);
    path.run_until("probing the round trip", |path| matches!(path.law.state(), State::ProbeRtt { .. }));
    let before = path.law.bandwidth();
    path.run_until("back", Path::is_probing_bandwidth);
    assert_eq!(path.law.bandwidth(), before);
    path.run_for(Duration::from_millis(500));
    assert!(path.law.bandwidth().abs_diff(10_000_000) < 300_000, "{}", path.law.bandwidth());
}

#[test]
fn idle_time_is_as_good_as_looking_for_the_round_trip() {
    let mut path = Path::new(1_000_000, 40);
    path.run_for(Duration::from_secs(2));
    // The queue empties, nothing is sent for a minute, and the path has become longer.
    while path.flight() > 0 {
        path.window = 0;
        path.step();
    }
    path.now += Duration::from_secs(60);
    path.next_departure = path.now;
    path.round_trip = Duration::from_millis(50);
    path.window = 40 * MSS;
    path.law.restart();
    assert!(path.law.pacing_rate().is_some_and(|rate| rate == path.law.bandwidth()));
    path.run_for(Duration::from_secs(1));
    assert!(path.is_probing_bandwidth(), "{:?}", path.law.state());
    assert_eq!(path.law.min_rtt.value().map(|rtt| rtt.as_millis()), Some(51));
}
