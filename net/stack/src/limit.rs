//! A token bucket: so many a second, and so many at once after a quiet time.

use time::Instant;

/// Tokens that refill with time up to a burst.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    per_second: u64,
    /// Tokens in units of a billionth, so that no refill is lost to rounding.
    nanotokens: u64,
    nanotokens_max: u64,
    refilled: Instant,
}

const TOKEN: u64 = 1_000_000_000;

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let most = u64::from(burst) * TOKEN;
        Self { per_second: per_second.into(), nanotokens: most, nanotokens_max: most, refilled: now }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.as_nanos().saturating_sub(self.refilled.as_nanos());
        let gained = elapsed.saturating_mul(self.per_second);
        self.nanotokens = self.nanotokens.saturating_add(gained).min(self.nanotokens_max);
        self.refilled = self.refilled.max(now);
        if self.nanotokens < TOKEN {
            return false;
        }
        self.nanotokens -= TOKEN;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = TokenBucket::new(10, 3, Instant::ZERO);
        let taken = (0..5).filter(|_| bucket.take(Instant::ZERO)).count();
        assert_eq!(taken, 3);
        assert!(!bucket.take(Instant::from_millis(99)));
        assert!(bucket.take(Instant::from_millis(100)));
        assert!(!bucket.take(Instant::from_millis(100)));
        let later = Instant::from_secs(1_000);
        assert_eq!(
            (0..9).filter(|_| bucket.take(later)).count(),
            3,
            "the burst bounds what a quiet time earns"
        );
    }
}
