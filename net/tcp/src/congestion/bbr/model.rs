//! BBR's model of the path: its greatest rate, its least round trip, and round trips counted by what is delivered.

use time::{Duration, Instant};

/// One, as a gain.
pub(crate) const GAIN_UNIT: u32 = 256;
/// Round trips for which a rate counts (§4.1.1.3).
const BANDWIDTH_ROUNDS: u64 = 10;
/// How long a round trip counts (§4.1.2.2).
const MIN_RTT_SPAN: Duration = Duration::from_secs(10);

/// The greatest rate of the last ten round trips: the best three of which each is later than the one before
/// (K. Nichols' windowed maximum).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BandwidthFilter {
    /// Bytes a second and the round, best first.
    best: [(u64, u64); 3],
}

impl BandwidthFilter {
    pub(crate) fn max(&self) -> u64 {
        self.best[0].0
    }

    pub(crate) fn update(&mut self, rate: u64, round: u64) {
        let sample = (rate, round);
        let oldest_is_gone = round - self.best[2].1.min(round) >= BANDWIDTH_ROUNDS;
        if rate >= self.best[0].0 || oldest_is_gone {
            self.best = [sample; 3];
            return;
        }
        if rate >= self.best[1].0 {
            self.best[1] = sample;
            self.best[2] = sample;
        } else if rate >= self.best[2].0 {
            self.best[2] = sample;
        }
        self.expire(sample);
    }

    /// Drops the best once it is too old, and lets later rounds have their candidates.
    fn expire(&mut self, sample: (u64, u64)) {
        let age = |of: (u64, u64)| sample.1 - of.1.min(sample.1);
        let mut drops = 0;
        while drops < 2 && age(self.best[0]) >= BANDWIDTH_ROUNDS {
            self.best = [self.best[1], self.best[2], sample];
            drops += 1;
        }
        if drops > 0 {
            return;
        }
        if self.best[1].1 == self.best[0].1 && age(self.best[0]) > BANDWIDTH_ROUNDS / 4 {
            self.best[1] = sample;
            self.best[2] = sample;
        } else if self.best[2].1 == self.best[1].1 && age(self.best[0]) > BANDWIDTH_ROUNDS / 2 {
            self.best[2] = sample;
        }
    }
}

/// The least round trip of the last ten seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MinRttFilter {
    least: Option<(Duration, Instant)>,
}

impl MinRttFilter {
    pub(crate) fn value(&self) -> Option<Duration> {
        self.least.map(|(rtt, _)| rtt)
    }

    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.least.is_some_and(|(_, at)| now > at + MIN_RTT_SPAN)
    }

    pub(crate) fn update(&mut self, rtt: Duration, now: Instant) {
        if self.is_expired(now) || self.least.is_none_or(|(least, _)| rtt <= least) {
            self.least = Some((rtt, now));
        }
    }

    /// What it holds is as good as measured now.
    pub(crate) fn renew(&mut self, now: Instant) {
        if let Some((_, at)) = &mut self.least {
            *at = now;
        }
    }
}

/// Round trips, counted by what is delivered (§4.1.1.2).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rounds {
    count: u64,
    /// What left when so much was delivered starts the next one.
    next: u64,
    delivered: u64,
    start: bool,
}

impl Rounds {
    /// Returns whether a round trip has started.
    pub(crate) fn update(&mut self, prior_delivered: u64, delivered: u64) -> bool {
        self.delivered = delivered;
        self.start = prior_delivered >= self.next;
        if self.start {
            self.next = delivered;
            self.count += 1;
        }
        self.start
    }

    /// The round trip begins now.
    pub(crate) fn restart(&mut self) {
        self.next = self.delivered;
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn is_start(&self) -> bool {
        self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_counts_for_ten_rounds() {
        let mut filter = BandwidthFilter::default();
        filter.update(100, 1);
        for round in 2..11 {
            filter.update(80 - round, round);
            assert_eq!(filter.max(), 100, "round {round}");
        }
        filter.update(60, 11);
        assert!((69..80).contains(&filter.max()), "{}", filter.max());
        filter.update(200, 12);
        assert_eq!(filter.max(), 200);
        filter.update(10, 40);
        assert_eq!(filter.max(), 10);
    }

    #[test]
    fn a_round_trip_counts_for_ten_seconds() {
        let ms = Duration::from_millis;
        let start = Instant::from_secs(100);
        let mut filter = MinRttFilter::default();
        filter.update(ms(20), start);
        filter.update(ms(30), start + Duration::from_secs(10));
        assert_eq!(filter.value(), Some(ms(20)));
        assert!(!filter.is_expired(start + MIN_RTT_SPAN));
        filter.update(ms(30), start + Duration::from_millis(10_001));
        assert_eq!(filter.value(), Some(ms(30)));
    }

    #[test]
    fn what_left_after_a_round_began_begins_the_next() {
        let mut rounds = Rounds::default();
        assert!(rounds.update(0, 1_000));
        assert!(!rounds.update(500, 2_000));
        assert!(rounds.update(1_000, 3_000));
        rounds.restart();
        assert!(!rounds.update(2_999, 4_000));
        assert_eq!(rounds.count(), 2);
    }
}
