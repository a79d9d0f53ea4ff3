//! The deadlines of one connection; TIME-WAIT's stands in its state.

use crate::Why;
use time::Instant;

/// Every reason, in the order of the deadlines; the first of two that come at once goes first.
const REASONS: [Why; 8] = [
    Why::Reordering,
    Why::TailProbe,
    Why::Retransmit,
    Why::Persist,
    Why::DelayedAck,
    Why::KeepAlive,
    Why::UserTimeout,
    Why::Pacing,
];

/// One deadline for each reason, [`Instant::MAX`] where there is none.
#[derive(Debug)]
pub(crate) struct Timers {
    at: [Instant; REASONS.len()],
}

impl Timers {
    pub(crate) const fn new() -> Self {
        Self { at: [Instant::MAX; REASONS.len()] }
    }

    pub(crate) fn set(&mut self, why: Why, at: Instant) {
        self.at[why as usize] = at;
    }

    /// Sets it where it is not set.
    pub(crate) fn start(&mut self, why: Why, at: Instant) {
        if !self.is_set(why) {
            self.set(why, at);
        }
    }

    pub(crate) fn stop(&mut self, why: Why) {
        self.at[why as usize] = Instant::MAX;
    }

    pub(crate) fn stop_all(&mut self) {
        *self = Self::new();
    }

    /// Its deadline; [`Instant::MAX`] where there is none.
    pub(crate) fn at(&self, why: Why) -> Instant {
        self.at[why as usize]
    }

    pub(crate) fn is_set(&self, why: Why) -> bool {
        self.at[why as usize] != Instant::MAX
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<(Instant, Why)> {
        let (at, why) = self.at.into_iter().zip(REASONS).min_by_key(|&(at, _)| at)?;
        (at != Instant::MAX).then_some((at, why))
    }

    /// Takes one deadline that has come.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Why> {
        let (at, why) = self.next()?;
        (at <= now).then(|| {
            self.stop(why);
            why
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_stands_in_its_own_place() {
        for (place, why) in REASONS.into_iter().enumerate() {
            assert_eq!(why as usize, place);
        }
    }

    #[test]
    fn deadlines_expire_in_order_and_once() {
        let mut timers = Timers::new();
        timers.set(Why::KeepAlive, Instant::from_millis(9));
        timers.set(Why::Retransmit, Instant::from_millis(5));
        timers.start(Why::Retransmit, Instant::from_millis(7));
        assert_eq!(timers.next(), Some((Instant::from_millis(5), Why::Retransmit)));
        assert_eq!(timers.expire(Instant::from_millis(4)), None);
        assert_eq!(timers.expire(Instant::from_millis(9)), Some(Why::Retransmit));
        assert_eq!(timers.expire(Instant::from_millis(9)), Some(Why::KeepAlive));
        assert_eq!(timers.next(), None);
    }
}
