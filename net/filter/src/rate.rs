//! Rates and the token buckets that keep to them.

use core::fmt;
use time::{Duration, Instant};

/// So many packets or bytes in a span of time.
///
/// ```
/// use filter::{Rate, Unit};
/// let rate = Rate { amount: 300, unit: Unit::Packets, period: filter::Period::Minute };
/// assert_eq!(rate.to_string(), "300/minute");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many in one period, 1 to 10^15.
    pub amount: u64,
    /// Of what.
    pub unit: Unit,
    /// In which time.
    pub period: Period,
}

/// The most that a rate or a burst names: a petabyte.
pub const AMOUNT_MAX: u64 = 1_000_000_000_000_000;

/// What a rate counts.
///
/// ```
/// use filter::Unit;
/// assert_eq!(Unit::Bytes.cost_of(1_500), 1_500);
/// assert_eq!(Unit::Packets.cost_of(1_500), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Packets, or whatever else is counted by ones: connections, say.
    Packets,
    /// Bytes of whole IP packets.
    Bytes,
}

impl Unit {
    /// What a packet of `length_bytes` costs.
    #[must_use]
    pub const fn cost_of(self, length_bytes: u32) -> u64 {
        match self {
            Self::Packets => 1,
            Self::Bytes => length_bytes as u64,
        }
    }
}

/// The time in which a rate's amount passes.
///
/// ```
/// use filter::Period;
/// assert_eq!(Period::Minute.seconds(), 60);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl Period {
    /// All of them, the shortest first.
    pub const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    /// How long it is, in seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// Its name, as it stands in rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    const fn nanoseconds(self) -> i128 {
        self.seconds() as i128 * 1_000_000_000
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            Unit::Packets => write!(f, "{}", self.amount)?,
            Unit::Bytes => write_bytes(f, self.amount)?,
        }
        write!(f, "/{}", self.period.name())
    }
}

/// The units of bytes, largest first, by powers of a thousand.
pub(crate) const BYTE_UNITS: [(&str, u64); 4] =
    [("gbytes", 1_000_000_000), ("mbytes", 1_000_000), ("kbytes", 1_000), ("bytes", 1)];

/// An amount of bytes in the largest unit of which it is whole ones.
pub(crate) fn write_bytes(f: &mut fmt::Formatter<'_>, amount: u64) -> fmt::Result {
    let (name, size) =
        BYTE_UNITS.into_iter().find(|(_, size)| amount.is_multiple_of(*size)).unwrap_or(("bytes", 1));
    write!(f, "{} {name}", amount / size)
}

/// A token bucket: it fills at a rate up to its burst, and what passes takes out of it.
///
/// What is larger than the burst passes when the bucket is full, and leaves a debt: a rate of bytes lets every packet
/// pass in the end, and is kept over time all the same.
///
/// ```
/// use filter::{Bucket, Period, Rate, Unit};
/// use time::Instant;
/// let now = Instant::from_secs(5);
/// let ten_a_second = Rate { amount: 10, unit: Unit::Packets, period: Period::Second };
/// let mut bucket = Bucket::new(ten_a_second, 2, now);
/// assert_eq!([1, 1, 1].map(|one| bucket.take(one, now)), [true, true, false]);
/// assert_eq!(bucket.ready_at(1, now), Some(now + time::Duration::from_millis(100)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// What is in it, in units of amount times nanosecond, so that no refill is lost to rounding; below zero: a debt.
    level: i128,
    burst: i128,
    /// Gained a nanosecond, in the same units.
    amount: i128,
    period: Period,
    refilled: Instant,
}

impl Bucket {
    /// A full bucket. `burst` is what it holds, 1 to 10^15 of the rate's units.
    #[must_use]
    pub fn new(rate: Rate, burst: u64, now: Instant) -> Self {
        let burst = i128::from(burst.clamp(1, AMOUNT_MAX)) * rate.period.nanoseconds();
        let amount = rate.amount.min(AMOUNT_MAX).into();
        Self { level: burst, burst, amount, period: rate.period, refilled: now }
    }

    /// A bucket that holds `total`, and is never filled again.
    ///
    /// ```
    /// let now = time::Instant::ZERO;
    /// let mut quota = filter::Bucket::quota(1_000, now);
    /// assert!(quota.take(600, now) && !quota.take(600, now) && quota.take(400, now));
    /// assert_eq!((quota.left(now), quota.ready_at(1, now)), (0, None));
    /// ```
    #[must_use]
    pub fn quota(total: u64, now: Instant) -> Self {
        let level = i128::from(total.min(AMOUNT_MAX)) * Period::Second.nanoseconds();
        Self { level, burst: level, amount: 0, period: Period::Second, refilled: now }
    }

    /// Takes `cost` out of it, if it holds that much. Time that goes back is taken for none.
    #[inline]
    pub fn take(&mut self, cost: u64, now: Instant) -> bool {
        self.refill(now);
        let cost = self.scaled(cost);
        let passes = self.level >= self.needed(cost);
        if passes {
            self.level -= cost;
        }
        passes
    }

    /// How much it holds, in whole units; 0 while it is in debt.
    #[must_use]
    pub fn left(&mut self, now: Instant) -> u64 {
        self.refill(now);
        u64::try_from(self.level.max(0) / self.period.nanoseconds()).unwrap_or(u64::MAX)
    }

    /// When `cost` may be taken, `now` or later; `None` where it never may.
    #[must_use]
    pub fn ready_at(&mut self, cost: u64, now: Instant) -> Option<Instant> {
        self.refill(now);
        let missing = self.needed(self.scaled(cost)) - self.level;
        if missing <= 0 {
            return Some(now);
        }
        if self.amount == 0 {
            return None;
        }
        let wait = (missing + self.amount - 1) / self.amount;
        Some(now + Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)))
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.as_nanos().saturating_sub(self.refilled.as_nanos());
        // 2^64 nanoseconds times 10^15 is below 2^127.
        self.level = (self.level + i128::from(elapsed) * self.amount).min(self.burst);
        self.refilled = self.refilled.max(now);
    }

    fn scaled(&self, cost: u64) -> i128 {
        i128::from(cost.min(AMOUNT_MAX)) * self.period.nanoseconds()
    }

    /// What has to be there for a cost: a quota is never overdrawn, a rate's bucket by what no bucket of its size holds.
    fn needed(&self, cost: i128) -> i128 {
        if self.amount == 0 { cost } else { cost.min(self.burst) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn per_second(amount: u64) -> Rate {
        Rate { amount, unit: Unit::Packets, period: Period::Second }
    }

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = Bucket::new(per_second(10), 3, Instant::ZERO);
        assert_eq!((0..5).filter(|_| bucket.take(1, Instant::ZERO)).count(), 3);
        assert!(!bucket.take(1, Instant::from_millis(99)));
        assert!(bucket.take(1, Instant::from_millis(100)));
        assert!(!bucket.take(1, Instant::from_millis(100)));
        assert_eq!(bucket.left(Instant::from_secs(1_000)), 3, "the burst bounds what a quiet time earns");
        assert!(
            !bucket.take(4, Instant::ZERO) || bucket.left(Instant::ZERO) == 0,
            "time that goes back earns nothing"
        );
    }

    #[test]
    fn what_is_larger_than_the_burst_passes_when_it_is_full_and_is_paid_for() {
        let mut bucket = Bucket::new(per_second(1_000), 1_000, Instant::ZERO);
        assert!(bucket.take(1_500, Instant::ZERO));
        assert_eq!(bucket.ready_at(1_500, Instant::ZERO), Some(Instant::from_millis(1_500)));
        assert!(!bucket.take(1_500, Instant::from_millis(1_499)));
        assert!(bucket.take(1_500, Instant::from_millis(1_500)));
    }

    #[test]
    fn the_slowest_rate_and_the_largest_amounts_do_not_overflow() {
        let rate = Rate { amount: AMOUNT_MAX, unit: Unit::Bytes, period: Period::Day };
        let mut bucket = Bucket::new(rate, u64::MAX, Instant::ZERO);
        assert!(bucket.take(u64::MAX, Instant::ZERO));
        assert_eq!(bucket.left(Instant::MAX), AMOUNT_MAX);
        let mut slow =
            Bucket::new(Rate { amount: 1, unit: Unit::Packets, period: Period::Day }, 1, Instant::ZERO);
        assert!(slow.take(1, Instant::ZERO));
        assert_eq!(slow.ready_at(1, Instant::ZERO), Some(Instant::from_secs(86_400)));
    }

    proptest! {
        /// Over any span no more passes than the burst, what the rate earns in it, and what the last one overdrew.
        #[test]
        fn no_more_passes_than_burst_and_rate(
            amount in 1_u64..10_000, burst in 1_u64..10_000,
            steps in proptest::collection::vec((0_u64..2_000, 1_u64..3_000), 1..200),
        ) {
            let mut bucket = Bucket::new(per_second(amount), burst, Instant::ZERO);
            let (mut now_ms, mut passed, mut largest) = (0, 0, 0);
            for (wait_ms, cost) in steps {
                now_ms += wait_ms;
                if bucket.take(cost, Instant::from_millis(now_ms)) {
                    passed += cost;
                    largest = largest.max(cost);
                }
                let earned = amount * now_ms / 1_000;
                prop_assert!(passed <= burst + earned + largest.saturating_sub(burst));
                let at = bucket.ready_at(cost, Instant::from_millis(now_ms)).expect("a rate earns it");
                prop_assert!(Bucket::take(&mut bucket.clone(), cost, at));
            }
        }
    }
}
