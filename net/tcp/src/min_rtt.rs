//! The least round trip of the last minutes: what the path takes where nothing queues.

use time::{Duration, Instant};

/// How long one of the two spans lasts whose minima are kept: a sample counts for 150 to 300 s, so that a route
/// that has become longer is noticed.
const SPAN: Duration = Duration::from_secs(150);

/// A minimum over two spans of time, of which the older is dropped as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MinRtt {
    current: Duration,
    previous: Duration,
    since: Instant,
}

impl MinRtt {
    pub(crate) const fn new() -> Self {
        Self { current: Duration::MAX, previous: Duration::MAX, since: Instant::ZERO }
    }

    pub(crate) fn sample(&mut self, rtt: Duration, now: Instant) {
        let age = now - self.since;
        if age >= SPAN {
            self.previous = if age < 2 * SPAN { self.current } else { Duration::MAX };
            self.current = Duration::MAX;
            self.since = now;
        }
        self.current = self.current.min(rtt);
    }

    /// The minimum, once there is a sample.
    pub(crate) fn value(&self) -> Option<Duration> {
        let least = self.current.min(self.previous);
        (least != Duration::MAX).then_some(least)
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
