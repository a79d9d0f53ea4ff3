//! How fast the path delivers: bytes acknowledged over the time that they took, sampled by every acknowledgement
//! (draft-cheng-iccrg-delivery-rate-estimation-02).
//!
//! ```text
//!   sent at first_sent_at .. sent_at        the slower of the two
//!      |=========================|          spans is the one that
//!          |============================|   the network took
//!          acked at delivered_at .. now
//! ```

use alloc::collections::VecDeque;
use time::{Duration, Instant, SequenceNumber};

/// Departures of which one connection remembers when they left: 65,536 bytes each with offload, and 1,448 without, so
/// that 5.9 MB in flight are told apart in either case. Of more, several are taken for one.
const DEPARTURES_MAX: usize = 4_096;

/// The sampler (§3.1: the connection's state).
#[derive(Debug)]
pub(crate) struct DeliveryRate {
    /// Bytes delivered so far (C.delivered).
    delivered: u64,
    /// Of these, bytes beyond a hole: the acknowledgement that closes it counts them no second time.
    ahead: u32,
    /// When that was last true (C.delivered_time).
    delivered_at: Instant,
    /// When the departure left that was acknowledged last (C.first_sent_time).
    first_sent_at: Instant,
    /// Until so much is delivered, samples are of a writer who was slow (C.app_limited).
    limited_until: Option<u64>,
    /// The last rate that was told, in bytes a second.
    last: Option<u64>,
    departures: VecDeque<Departure>,
}

/// What was so when something left (§3.1: the packet's state).
#[derive(Clone, Copy, Debug)]
struct Departure {
    end: SequenceNumber,
    sent_at: Instant,
    delivered: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    limited: bool,
    /// It left more than once: its acknowledgement times nothing (RFC 6298 §3).
    repeated: bool,
}

/// What one acknowledgement tells (§3.1: the rate sample).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateSample {
    /// Bytes a second; none where the time is too short to tell.
    pub(crate) rate: Option<u64>,
    /// Bytes delivered so far.
    pub(crate) delivered: u64,
    /// Bytes that had been delivered when the newest departure that it acknowledges left.
    pub(crate) prior_delivered: u64,
    /// The writer, not the network, decided how fast.
    pub(crate) application_limited: bool,
    /// The round trip of the newest departure.
    pub(crate) rtt: Option<Duration>,
}

impl DeliveryRate {
    pub(crate) const fn new() -> Self {
        Self {
            delivered: 0,
            ahead: 0,
            delivered_at: Instant::ZERO,
            first_sent_at: Instant::ZERO,
            limited_until: None,
            last: None,
            departures: VecDeque::new(),
        }
    }

    /// The bytes before `end` leave, with `flight` in flight before them; `fresh` where for the first time (§3.2).
    pub(crate) fn handle_sent(&mut self, end: SequenceNumber, fresh: bool, flight: u32, now: Instant) {
        // What was in flight before this began to look is as if it were not.
        if flight == 0 || self.departures.is_empty() {
            self.first_sent_at = now;
            self.delivered_at = now;
        }
        if self.departures.len() >= DEPARTURES_MAX
            && let Some(last) = self.departures.back_mut()
        {
            last.end = end;
            last.repeated |= !fresh;
            return;
        }
        let departure = Departure { repeated: !fresh, ..self.departure(end, now) };
        self.departures.push_back(departure);
    }

    fn departure(&self, end: SequenceNumber, now: Instant) -> Departure {
        Departure {
            end,
            sent_at: now,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            limited: self.limited_until.is_some(),
            repeated: false,
        }
    }

    /// What `sequence` is part of leaves again.
    pub(crate) fn handle_repeated(&mut self, sequence: SequenceNumber, now: Instant) {
        let place = self.departures.partition_point(|departure| departure.end.at_or_before(sequence));
        if let Some(end) = self.departures.get(place).map(|departure| departure.end) {
            self.departures[place] = Departure { repeated: true, ..self.departure(end, now) };
        }
    }

    /// All that was in flight is to leave again.
    pub(crate) fn forget(&mut self) {
        self.departures = VecDeque::new();
    }

    /// There is room in the window and nothing to fill it, with `flight` in flight (§3.4).
    pub(crate) fn note_limit(&mut self, flight: u32) {
        self.limited_until = Some(self.delivered + u64::from(flight));
    }

    /// `bytes` have arrived beyond a hole, as a duplicate acknowledgement tells (§3.3: estimated where there is no
    /// SACK), with `flight` in flight.
    pub(crate) fn handle_ahead(&mut self, bytes: u32, flight: u32, now: Instant) {
        let bytes = bytes.min(flight.saturating_sub(self.ahead));
        self.ahead += bytes;
        self.delivered += u64::from(bytes);
        self.delivered_at = now;
    }

    /// `acked` bytes, all before `una`, were acknowledged (§3.3). `min_rtt` is the least that a sample can take.
    pub(crate) fn handle_ack(
        &mut self,
        una: SequenceNumber,
        acked: u32,
        min_rtt: Duration,
        now: Instant,
    ) -> Option<RateSample> {
        let known = acked.min(self.ahead);
        self.ahead -= known;
        self.delivered += u64::from(acked - known);
        self.delivered_at = now;
        let mut newest = None;
        while let Some(departure) = self.departures.front().copied() {
            if departure.end.after(una) {
                break;
            }
            newest = Some(departure);
            self.departures.pop_front();
        }
        if self.departures.is_empty() {
            // An idle connection holds no memory.
            self.departures = VecDeque::new();
        }
        if self.limited_until.is_some_and(|until| self.delivered > until) {
            self.limited_until = None;
        }
        let newest = newest?;
        self.first_sent_at = newest.sent_at;
        let sending = newest.sent_at - newest.first_sent_at;
        let interval = sending.max(now - newest.delivered_at);
        let bytes = self.delivered - newest.delivered;
        // §3.3: shorter than a round trip is acknowledgements that were held up, not the network.
        let credible = !interval.is_zero() && interval >= min_rtt;
        let rate = credible.then(|| rate(bytes, interval));
        self.last = rate.or(self.last);
        Some(RateSample {
            rate,
            delivered: self.delivered,
            prior_delivered: newest.delivered,
            application_limited: newest.limited,
            rtt: (!newest.repeated).then(|| now - newest.sent_at),
        })
    }

    /// The last rate that was told, in bytes a second.
    pub(crate) fn last_rate(&self) -> Option<u64> {
        self.last
    }

    /// Whether the writer is what limits it now.
    pub(crate) fn is_limited(&self) -> bool {
        self.limited_until.is_some()
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.departures.capacity()
    }
}

/// Bytes a second.
pub(crate) fn rate(bytes: u64, span: Duration) -> u64 {
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).max(1);
    u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(nanos)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_secs(10);

    fn at(ms: u64) -> Instant {
        START + Duration::from_millis(ms)
    }

    fn number(n: u32) -> SequenceNumber {
        SequenceNumber(n)
    }

    const NO_LEAST: Duration = Duration::ZERO;

    #[test]
    fn the_slower_of_sending_and_delivering_is_the_rate() {
        let mut sampler = DeliveryRate::new();
        // Ten departures of 1,000 bytes at once; the path delivers one each 10 ms after a round trip of 100 ms.
        for n in 1..=10 {
            sampler.handle_sent(number(n * 1_000), true, (n - 1) * 1_000, at(0));
        }
        let first = sampler.handle_ack(number(1_000), 1_000, NO_LEAST, at(100)).unwrap();
        assert_eq!((first.rate, first.rtt), (Some(10_000), Some(Duration::from_millis(100))));
        // A new one: when it left 1,000 bytes had been delivered, the last at 100 ms.
        sampler.handle_sent(number(11_000), true, 9_000, at(100));
        for n in 2..=10 {
            let sample = sampler.handle_ack(number(n * 1_000), 1_000, NO_LEAST, at(90 + u64::from(n) * 10));
            // 1,000 n bytes since 0 s.
            assert_eq!(sample.unwrap().rate, Some(u64::from(n) * 1_000_000 / (90 + u64::from(n) * 10)));
        }
        let last = sampler.handle_ack(number(11_000), 1_000, NO_LEAST, at(200)).unwrap();
        // 10,000 bytes in the 100 ms since.
        assert_eq!((last.rate, last.prior_delivered, last.delivered), (Some(100_000), 1_000, 11_000));
        assert_eq!(sampler.capacity(), 0);
    }

    #[test]
    fn acknowledgements_that_come_at_once_do_not_make_it_fast() {
        let mut sampler = DeliveryRate::new();
        for n in 1..=10 {
            sampler.handle_sent(number(n * 1_000), true, (n - 1) * 1_000, at(u64::from(n) * 20));
        }
        // All are acknowledged together: it took 180 ms to send them and 230 to deliver.
        let sample = sampler.handle_ack(number(10_000), 10_000, NO_LEAST, at(250)).unwrap();
        assert_eq!(sample.rate, Some(10_000 * 1_000 / 230));
        sampler.handle_sent(number(11_000), true, 0, at(300));
        let hurried = sampler.handle_ack(number(11_000), 1_000, Duration::from_millis(50), at(310)).unwrap();
        assert_eq!(hurried.rate, None, "less than a round trip");
    }

    #[test]
    fn a_slow_writer_is_told_until_what_was_in_flight_is_delivered() {
        let mut sampler = DeliveryRate::new();
        sampler.handle_sent(number(1_000), true, 0, at(0));
        sampler.note_limit(1_000);
        sampler.handle_sent(number(2_000), true, 1_000, at(50));
        assert!(!sampler.handle_ack(number(1_000), 1_000, NO_LEAST, at(100)).unwrap().application_limited);
        sampler.handle_sent(number(3_000), true, 1_000, at(100));
        assert!(sampler.handle_ack(number(2_000), 1_000, NO_LEAST, at(150)).unwrap().application_limited);
        sampler.handle_sent(number(4_000), true, 1_000, at(150));
        assert!(sampler.handle_ack(number(3_000), 1_000, NO_LEAST, at(200)).unwrap().application_limited);
        assert!(!sampler.handle_ack(number(4_000), 1_000, NO_LEAST, at(250)).unwrap().application_limited);
    }

    #[test]
    fn what_was_sent_again_times_nothing() {
        let mut sampler = DeliveryRate::new();
        sampler.handle_sent(number(1_000), true, 0, at(0));
        sampler.handle_sent(number(2_000), true, 1_000, at(0));
        sampler.handle_repeated(number(0), at(150));
        let sample = sampler.handle_ack(number(1_000), 1_000, NO_LEAST, at(200)).unwrap();
        assert_eq!(sample.rtt, None);
        let sample = sampler.handle_ack(number(2_000), 1_000, NO_LEAST, at(210)).unwrap();
        assert_eq!(sample.rtt, Some(Duration::from_millis(210)));
    }

    #[test]
    fn what_waits_behind_a_hole_counts_when_it_arrives() {
        let mut sampler = DeliveryRate::new();
        for n in 1..=10 {
            sampler.handle_sent(number(n * 1_000), true, (n - 1) * 1_000, at(0));
        }
        // The first is lost; one each 10 ms of the others arrives, and then the first again.
        for n in 2..=10 {
            sampler.handle_ahead(1_000, 10_000, at(90 + n * 10));
        }
        sampler.handle_sent(number(11_000), true, 10_000, at(190));
        let closed = sampler.handle_ack(number(10_000), 10_000, NO_LEAST, at(230)).unwrap();
        assert_eq!((closed.delivered, closed.rate), (10_000, Some(10_000 * 1_000 / 230)));
        // What left when 9,000 had arrived: 2,000 more; no departure was told apart in the 190 ms before it.
        let last = sampler.handle_ack(number(11_000), 1_000, NO_LEAST, at(290)).unwrap();
        assert_eq!((last.delivered, last.rate), (11_000, Some(2_000 * 1_000 / 190)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut sampler = DeliveryRate::new();
        for n in 1..=DEPARTURES_MAX as u32 + 10 {
            sampler.handle_sent(number(n), true, n - 1, at(0));
        }
        assert_eq!(sampler.departures.len(), DEPARTURES_MAX);
        let all = DEPARTURES_MAX as u32 + 10;
        assert_eq!(sampler.handle_ack(number(all), all, NO_LEAST, at(1_000)).unwrap().rate, Some(all.into()));
    }
}
