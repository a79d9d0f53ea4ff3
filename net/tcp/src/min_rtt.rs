//! The least round trip of the last minutes: what the path takes where nothing queues.

use time::{Duration, Instant};

/// How long one of the two spans lasts whose minima are kept: a sample counts for 150 to 300 s, so that a route
/// that has become longer is noticed.
const SPAN: Duration = Duration::from_secs(150);
/// No sample.
const NONE: u32 = u32::MAX;

/// A minimum over two spans of time, of which the older is dropped as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MinRtt {
    current_us: u32,
    previous_us: u32,
    since: Instant,
}

impl MinRtt {
    pub(crate) const fn new() -> Self {
        Self { current_us: NONE, previous_us: NONE, since: Instant::ZERO }
    }

    pub(crate) fn sample(&mut self, rtt: Duration, now: Instant) {
        let age = now - self.since;
        if age >= SPAN {
            self.previous_us = if age < 2 * SPAN { self.current_us } else { NONE };
            self.current_us = NONE;
            self.since = now;
        }
        self.current_us = self.current_us.min(u32::try_from(rtt.as_micros()).unwrap_or(NONE));
    }

    /// The minimum, once there is a sample.
    pub(crate) fn value(&self) -> Option<Duration> {
        let least_us = self.current_us.min(self.previous_us);
        (least_us != NONE).then(|| Duration::from_micros(least_us.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_counts_and_is_forgotten_in_time() {
        let ms = Duration::from_millis;
        let mut least = MinRtt::new();
        assert_eq!(least.value(), None);
        let start = Instant::from_secs(1_000);
        least.sample(ms(20), start);
        least.sample(ms(10), start + SPAN / 2);
        least.sample(ms(30), start + SPAN);
        assert_eq!(least.value(), Some(ms(10)));
        least.sample(ms(40), start + 2 * SPAN);
        assert_eq!(least.value(), Some(ms(30)));
        least.sample(ms(50), start + 9 * SPAN);
        assert_eq!(least.value(), Some(ms(50)));
    }
}
