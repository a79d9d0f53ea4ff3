//! What was lost, and what is done about it: fast retransmit and fast recovery (RFC 5681 §3.2, RFC 6582), and
//! the time after a retransmission timeout. It decides; the send half acts.

use time::SequenceNumber;

/// Duplicate acknowledgements that mean a loss (RFC 5681 §3.2).
const DUPLICATES: u8 = 3;

/// The loss detector's memory.
#[derive(Debug)]
pub(crate) struct Loss {
    mode: Mode,
    duplicates: u8,
    /// Behind the last byte that was in flight at the last loss (RFC 6582 §3.2, `recover`).
    recover: SequenceNumber,
    /// The segment at SND.UNA has to leave again.
    retransmit: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Nothing is known to be missing.
    Open,
    /// Fast recovery.
    Recovery,
    /// After a timeout, until what was in flight then is acknowledged.
    Timeout,
}

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// In order: the congestion window may grow.
    Normal,
    /// Fast recovery goes on: the next segment is missing too.
    Partial,
    /// Fast recovery is over.
    Recovered,
}

/// What a duplicate acknowledgement means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duplicate {
    /// Too few to tell.
    Waiting,
    /// Fast retransmit.
    Lost,
    /// In recovery: one more segment has left the network.
    Left,
}

impl Loss {
    pub(crate) const fn new(initial: SequenceNumber) -> Self {
        Self { mode: Mode::Open, duplicates: 0, recover: initial, retransmit: false }
    }

    /// SND.UNA has advanced to `una`.
    pub(crate) fn handle_progress(&mut self, una: SequenceNumber) -> Progress {
        self.duplicates = 0;
        self.retransmit = false;
        let covered = una.at_or_after(self.recover);
        match self.mode {
            Mode::Open => Progress::Normal,
            Mode::Recovery if covered => {
                self.mode = Mode::Open;
                Progress::Recovered
            }
            Mode::Recovery => {
                self.retransmit = true;
                Progress::Partial
            }
            Mode::Timeout => {
                if covered {
                    self.mode = Mode::Open;
                }
                Progress::Normal
            }
        }
    }

    /// A duplicate acknowledgement of `una`, with `max` behind the last byte ever sent.
    pub(crate) fn handle_duplicate(&mut self, una: SequenceNumber, max: SequenceNumber) -> Duplicate {
        match self.mode {
            Mode::Recovery => Duplicate::Left,
            Mode::Timeout => Duplicate::Waiting,
            Mode::Open => {
                self.duplicates = self.duplicates.saturating_add(1);
                // RFC 6582 §3.2, step 2: duplicates of our own retransmissions are no second loss.
                if self.duplicates < DUPLICATES || !una.after(self.recover) {
                    return Duplicate::Waiting;
                }
                self.mode = Mode::Recovery;
                self.recover = max;
                self.retransmit = true;
                Duplicate::Lost
            }
        }
    }

    /// The retransmission timer went off. Returns whether it is the first time for this flight.
    pub(crate) fn handle_timeout(&mut self, max: SequenceNumber) -> bool {
        let first = self.mode != Mode::Timeout;
        *self = Self { mode: Mode::Timeout, ..Self::new(max) };
        first
    }

    /// Segments that limited transmit allows beyond the window (RFC 3042 §2).
    pub(crate) fn segments_allowed(&self) -> u32 {
        match self.mode {
            Mode::Open => u32::from(self.duplicates.min(DUPLICATES - 1)),
            Mode::Recovery | Mode::Timeout => 0,
        }
    }

    /// Whether nothing hints at a loss.
    pub(crate) fn is_quiet(&self) -> bool {
        self.mode == Mode::Open && self.duplicates == 0
    }

    /// Whether the segment at SND.UNA has to leave again.
    pub(crate) fn retransmission_due(&self) -> bool {
        self.retransmit
    }

    /// It has left.
    pub(crate) fn retransmitted(&mut self) {
        self.retransmit = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u32) -> SequenceNumber {
        SequenceNumber(number)
    }

    #[test]
    fn the_third_duplicate_is_a_loss_and_recovery_ends_at_recover() {
        let mut loss = Loss::new(at(0));
        assert_eq!(loss.handle_duplicate(at(10), at(100)), Duplicate::Waiting);
        assert_eq!(loss.segments_allowed(), 1);
        assert_eq!(loss.handle_duplicate(at(10), at(100)), Duplicate::Waiting);
        assert_eq!(loss.handle_duplicate(at(10), at(100)), Duplicate::Lost);
        assert!(loss.retransmission_due());
        loss.retransmitted();
        assert_eq!(loss.handle_duplicate(at(10), at(120)), Duplicate::Left);
        assert_eq!(loss.handle_progress(at(50)), Progress::Partial);
        assert!(loss.retransmission_due());
        assert_eq!(loss.handle_progress(at(100)), Progress::Recovered);
        assert!(!loss.retransmission_due());
        assert_eq!(loss.handle_progress(at(120)), Progress::Normal);
    }

    #[test]
    fn duplicates_of_the_flight_of_a_timeout_are_no_second_loss() {
        let mut loss = Loss::new(at(0));
        assert!(loss.handle_timeout(at(100)));
        assert!(!loss.handle_timeout(at(100)));
        for _ in 0..9 {
            assert_eq!(loss.handle_duplicate(at(10), at(100)), Duplicate::Waiting);
        }
        assert_eq!(loss.handle_progress(at(100)), Progress::Normal);
        for _ in 0..9 {
            assert_eq!(loss.handle_duplicate(at(100), at(150)), Duplicate::Waiting);
        }
        assert_eq!(loss.handle_progress(at(101)), Progress::Normal);
        let third = (0..3).map(|_| loss.handle_duplicate(at(101), at(150))).last();
        assert_eq!(third, Some(Duplicate::Lost));
    }
}
