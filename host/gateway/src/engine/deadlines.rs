//! When flows without an end of their own are forgotten, and which goes first when there are too many.

use std::collections::BTreeSet;
use time::{Duration, Instant};

/// A deadline moves only when it would move by this much, so that a packet seldom costs more than a comparison.
const GRAIN: Duration = Duration::from_secs(1);

/// Deadlines of flows by their index, earliest first.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    queue: BTreeSet<(Instant, usize)>,
}

impl Deadlines {
    /// Gives `flow` its first deadline.
    pub fn insert(&mut self, flow: usize, at: Instant) {
        self.queue.insert((at, flow));
    }

    /// Moves `flow`'s deadline from `current` to `at`, if that is worth it.
    pub fn postpone(&mut self, flow: usize, current: &mut Instant, at: Instant) {
        if at > *current + GRAIN && self.queue.remove(&(*current, flow)) {
            self.queue.insert((at, flow));
            *current = at;
        }
    }

    /// Takes `flow` out.
    pub fn remove(&mut self, flow: usize, current: Instant) {
        self.queue.remove(&(current, flow));
    }

    /// The flow whose deadline comes first.
    pub fn first(&self) -> Option<(Instant, usize)> {
        self.queue.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flow_that_was_quiet_longest_is_first() {
        let mut deadlines = Deadlines::default();
        let (mut one, two) = (Instant::from_secs(10), Instant::from_secs(11));
        deadlines.insert(1, one);
        deadlines.insert(2, two);
        deadlines.postpone(1, &mut one, Instant::from_millis(10_500));
        assert_eq!(
            deadlines.first(),
            Some((Instant::from_secs(10), 1)),
            "less than a grain is not worth a move"
        );
        deadlines.postpone(1, &mut one, Instant::from_secs(20));
        assert_eq!(deadlines.first(), Some((two, 2)));
        deadlines.remove(2, two);
        assert_eq!(deadlines.first(), Some((Instant::from_secs(20), 1)));
        deadlines.remove(1, one);
        assert_eq!(deadlines.first(), None);
    }
}
