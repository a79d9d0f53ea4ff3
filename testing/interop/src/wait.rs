//! Waiting for something to become true, never for time to pass.

use std::thread::park_timeout;
use std::time::{Duration, Instant};

/// How long anything in this world may take before the test calls it hung. Two loaded cores start PostgreSQL in 5 s.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(4);

/// Looks until `look` gives something.
///
/// # Panics
///
/// With `what` when `PATIENCE` is over.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, look).unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain for {what}"))
}

/// Looks until `look` gives something or the time is over.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        park_timeout(PAUSE);
    }
}
