//! How long a thread looks for work again before it sleeps.
//!
//! To be woken up across processors costs more than a short wait that keeps the processor; a long wait that does
//! costs others their time. So the window grows while work comes soon after work, and shrinks while it does not, as
//! the polling of an idle virtual processor does: a conversation of short answers is awaited, a slow one is not.

use time::{Duration, Instant};

/// The window of a thread whose work comes seldom.
const WINDOW_MIN: Duration = Duration::from_micros(20);

/// The longest window: a round trip to another process of the same machine and back, a wake-up each way.
const WINDOW_MAX: Duration = Duration::from_micros(200);

/// Whether to look again, by what came of it before.
///
/// ```
/// use runtime::Spin;
/// use time::{Duration, Instant};
/// let start = Instant::from_millis(1);
/// let mut spin = Spin::new(start);
/// spin.handle_work(start);
/// assert!(spin.is_worth_it(start + Duration::from_micros(10)));
/// assert!(!spin.is_worth_it(start + Duration::from_micros(300)));
/// ```
#[derive(Debug)]
pub struct Spin {
    window: Duration,
    /// When there was work last.
    worked: Instant,
}

impl Spin {
    /// At `now`, with the shortest window.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { window: WINDOW_MIN, worked: now }
    }

    /// There was work at `now`.
    pub fn handle_work(&mut self, now: Instant) {
        let gap = now.since(self.worked);
        self.window = if gap <= WINDOW_MAX {
            (self.window * 2).min(WINDOW_MAX)
        } else {
            (self.window / 2).max(WINDOW_MIN)
        };
        self.worked = now;
    }

    /// Whether the thread looks again at `now`, instead of sleeping.
    #[must_use]
    pub fn is_worth_it(&self, now: Instant) -> bool {
        now.since(self.worked) < self.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long it looks after work at intervals of `gap`, having had work often or seldom before.
    fn window_after(gaps: &[(u64, usize)]) -> u64 {
        let mut now = Instant::from_secs(1);
        let mut spin = Spin::new(now);
        for &(micros, count) in gaps {
            for _ in 0..count {
                now += Duration::from_micros(micros);
                spin.handle_work(now);
            }
        }
        (1..).find(|&micros| !spin.is_worth_it(now + Duration::from_micros(micros))).expect("it ends")
    }

    #[test]
    fn the_window_follows_how_soon_work_comes() {
        let longest = window_after(&[(100, 10)]);
        assert!(longest >= 100, "what comes each 100 µs is awaited, not {longest} µs");
        let shortest = window_after(&[(100, 10), (1_000, 10)]);
        assert!(shortest * 10 < 1_000, "what comes each millisecond is not, not for {shortest} µs");
        assert_eq!(window_after(&[(1_000, 10), (100, 10)]), longest, "it grows again");
        assert!(window_after(&[(100, 10), (1_000, 1)]) > shortest, "one pause does not end it");
    }
}
