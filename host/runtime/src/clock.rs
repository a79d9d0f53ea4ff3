//! The machine's monotonic clock, read as the stack's instants.

use time::Instant;

/// Reads CLOCK_MONOTONIC; its epoch is the moment of its making, less one second so that spans can be subtracted.
///
/// ```
/// use runtime::Clock;
/// let clock = Clock::start();
/// let then = clock.now();
/// assert!(then >= time::Instant::from_secs(1) && clock.now() >= then);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
}

impl Clock {
    /// A clock that starts at one second.
    pub fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }

    /// The moment now.
    pub fn now(&self) -> Instant {
        Instant::from_secs(1) + self.start.elapsed()
    }
}
