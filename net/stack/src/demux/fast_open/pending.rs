//! The connections of one listener that were taken by a cookie and whose handshake is not over (RFC 7413 §5.1): whoever
//! got hold of cookies must not be able to keep the program busy with connections that nobody is behind.

use alloc::collections::VecDeque;
use time::{Duration, Instant};

/// How long a connection that its peer has reset still counts: the machine whose address was forged would else make room
/// for the next forgery (RFC 7413 §5.1).
const RESET_COUNTS: Duration = Duration::from_secs(60);

/// How many there are, and may be.
#[derive(Debug)]
pub(crate) struct Pending {
    pending_max: usize,
    pending: usize,
    /// Reset since it was last looked.
    reset: usize,
    /// Until when those reset before count; the oldest first.
    reset_until: VecDeque<Instant>,
}

impl Pending {
    pub(super) const fn new(pending_max: usize) -> Self {
        Self { pending_max, pending: 0, reset: 0, reset_until: VecDeque::new() }
    }

    pub(super) fn set_max(&mut self, pending_max: usize) {
        self.pending_max = pending_max;
    }

    /// Whether no more may be taken.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        for _ in 0..core::mem::take(&mut self.reset) {
            self.reset_until.push_back(now + RESET_COUNTS);
        }
        while self.reset_until.front().is_some_and(|until| *until <= now) {
            self.reset_until.pop_front();
        }
        self.pending + self.reset_until.len() >= self.pending_max
    }

    /// One more is taken.
    pub(super) fn begin(&mut self) {
        self.pending += 1;
    }

    /// The handshake of one is over, or was reset.
    pub(crate) fn end(&mut self, reset: bool) {
        self.pending -= 1;
        self.reset += usize::from(reset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_may_be_and_a_reset_makes_no_room_for_a_minute() {
        let (mut pending, now) = (Pending::new(2), Instant::from_secs(1));
        for _ in 0..2 {
            assert!(!pending.is_full(now));
            pending.begin();
        }
        assert!(pending.is_full(now));
        pending.end(false);
        assert!(!pending.is_full(now));
        pending.end(true);
        assert!(!pending.is_full(now));
        pending.begin();
        assert!(pending.is_full(now));
        assert!(pending.is_full(now + RESET_COUNTS - Duration::from_millis(1)));
        assert!(!pending.is_full(now + RESET_COUNTS));
        pending.set_max(0);
        assert!(pending.is_full(now + RESET_COUNTS));
    }
}
