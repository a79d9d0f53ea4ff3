//! Bytes of payload by codepoint, told in an option (RFC 9768 §3.2.3): what the three bits of the header leave open where
//! acknowledgements are lost. It is no more than an addition: who drops it on the way costs nothing but that.

use crate::EcnOption;
use wire::Ecn;
use wire::tcp::AccurateEcn;

/// Where the counters of ECT(0) and ECT(1) start, so that zero shows an option that was cleared (RFC 9768 §3.2.1).
const ECT_INITIAL: u32 = 1;
/// The counters are told in 24 bits (RFC 9768 §3.2.3.1).
const MASK: u32 = 0x00ff_ffff;
/// An increase beyond half of that is none, but an older count.
const INCREASE_MAX: u32 = 1 << 23;
/// Bytes after which a counter is told whatever else there is to say, so that it does not turn unseen
/// (RFC 9768 §3.2.3.3).
const UNSAID_MAX: u32 = 1 << 22;
/// Segments at the start that carry the option to test the path: the answer to the SYN-ACK, and the first data
/// (RFC 9768 §3.2.3.2.1).
const TESTS: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bytes {
    ect0: u32,
    ect1: u32,
    ce: u32,
}

/// What is known of the peer's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    /// No segment has come that should have had one.
    Unknown,
    /// They arrive.
    Seen,
    /// The first did not.
    Absent,
    /// The first was cleared on its way: they are not read.
    Cleared,
}

/// The counters of one connection.
#[derive(Debug)]
pub(super) struct ByteCounters {
    /// r.e0b, r.e1b, r.ceb: what arrived.
    received: Bytes,
    /// The same when it was last told.
    said: Bytes,
    /// s.e0b, s.e1b, s.ceb: what the peer says.
    told: Bytes,
    peer: Peer,
    sending: EcnOption,
    tests: u8,
}

impl ByteCounters {
    /// Of a client where `tests`: the server's SYN-ACK has tested the path.
    pub(super) const fn new(sending: EcnOption, tests: bool) -> Self {
        let initial = Bytes { ect0: ECT_INITIAL, ect1: ECT_INITIAL, ce: 0 };
        Self {
            received: initial,
            said: initial,
            told: initial,
            peer: Peer::Unknown,
            sending,
            tests: if tests { TESTS } else { 0 },
        }
    }

    /// `bytes` of payload arrived with `ecn`.
    pub(super) fn handle_arrival(&mut self, ecn: Ecn, bytes: usize) {
        let counter = match ecn {
            Ecn::NotEct => return,
            Ecn::Ect1 => &mut self.received.ect1,
            Ecn::Ect0 => &mut self.received.ect0,
            Ecn::Ce => &mut self.received.ce,
        };
        *counter = counter.wrapping_add(bytes as u32) & MASK;
    }

    /// A segment that tells something has this option, or none. Returns by how many bytes the peer's count of those that
    /// arrived marked has grown; `None` where it cannot be known.
    pub(super) fn handle_option(&mut self, option: Option<AccurateEcn>) -> Option<u32> {
        match (self.peer, option) {
            // RFC 9768 §3.2.3.2.4.
            (Peer::Unknown, Some(option)) if option.ect0() == Some(0) || option.ect1() == Some(0) => {
                self.peer = Peer::Cleared;
            }
            // RFC 9768 §3.2.3.2.3: absent at first, they may come later.
            (Peer::Unknown | Peer::Absent, Some(_)) => self.peer = Peer::Seen,
            (Peer::Unknown, None) => self.peer = Peer::Absent,
            (Peer::Seen | Peer::Absent | Peer::Cleared, _) => {}
        }
        let option = option.filter(|_| self.peer == Peer::Seen)?;
        increase(&mut self.told.ect0, option.ect0());
        increase(&mut self.told.ect1, option.ect1());
        Some(increase(&mut self.told.ce, option.ce()))
    }

    /// Whether every segment has one, so that data leaves room for it.
    pub(super) fn is_always(&self) -> bool {
        self.sending == EcnOption::Always && self.peer == Peer::Seen
    }

    /// Whether what has arrived is to be told without waiting for a segment with room.
    pub(super) fn is_pressing(&self) -> bool {
        let unsaid = |now: u32, then: u32| now.wrapping_sub(then) & MASK;
        let Bytes { ect0, ect1, ce } = self.received;
        self.sending != EcnOption::Never
            && (ce != self.said.ce
                || unsaid(ect0, self.said.ect0) >= UNSAID_MAX
                || unsaid(ect1, self.said.ect1) >= UNSAID_MAX)
    }

    /// The option of a segment with `room` for it.
    pub(super) fn option(&mut self, room: usize) -> Option<AccurateEcn> {
        let due = match self.sending {
            EcnOption::Never => false,
            EcnOption::Changed => self.received != self.said || self.tests > 0,
            EcnOption::Always => self.peer == Peer::Seen || self.tests > 0,
        };
        if !due {
            return None;
        }
        let option = self.fit(room)?;
        self.said = self.received;
        self.tests = self.tests.saturating_sub(1);
        Some(option)
    }

    /// The option of a SYN-ACK: all counters, as they start.
    pub(super) fn option_of_syn_ack(&self) -> Option<AccurateEcn> {
        if self.sending == EcnOption::Never { None } else { self.fit(AccurateEcn::LENGTH_PADDED_MAX) }
    }

    /// As many counters as there is room for; none where one that has changed would be left out
    /// (RFC 9768 §3.2.3.3).
    fn fit(&self, room: usize) -> Option<AccurateEcn> {
        let Bytes { ect0, ect1, ce } = self.received;
        let option = |ect1_first, count| AccurateEcn::new(ect1_first, count, ect0, ce, ect1);
        let (moved_0, moved_1) = (ect0 != self.said.ect0, ect1 != self.said.ect1);
        match room / 4 * 4 {
            12.. => Some(option(true, 3)),
            8 if !(moved_0 && moved_1) => Some(option(moved_1, 2)),
            _ => None,
        }
    }
}

/// Takes a told counter over; by how much it has grown.
fn increase(counter: &mut u32, field: Option<u32>) -> u32 {
    let Some(field) = field else { return 0 };
    let more = field.wrapping_sub(*counter) & MASK;
    if more >= INCREASE_MAX {
        return 0;
    }
    *counter = field;
    more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ect0: u32, ce: u32, ect1: u32) -> Option<AccurateEcn> {
        Some(AccurateEcn::new(false, 3, ect0, ce, ect1))
    }

    #[test]
    fn what_arrives_is_told_by_codepoint() {
        let mut bytes = ByteCounters::new(EcnOption::Changed, true);
        assert_eq!(bytes.option(40), Some(AccurateEcn::new(true, 3, 1, 0, 1)), "a test of the path");
        assert!(bytes.option(40).is_some(), "another");
        assert_eq!(bytes.option(40), None);
        for (ecn, count) in [(Ecn::Ect0, 100), (Ecn::Ce, 20), (Ecn::Ect1, 3), (Ecn::NotEct, 5)] {
            bytes.handle_arrival(ecn, count);
        }
        assert!(bytes.is_pressing());
        assert_eq!(bytes.option(11), None, "two have changed, and do not fit");
        assert_eq!(bytes.option(12), Some(AccurateEcn::new(true, 3, 101, 20, 4)));
        assert!(!bytes.is_pressing());
        assert_eq!(bytes.option(40), None);
        bytes.handle_arrival(Ecn::Ect0, 1);
        assert!(!bytes.is_pressing());
        assert_eq!(bytes.option(8), Some(AccurateEcn::new(false, 2, 102, 20, 4)));
        bytes.handle_arrival(Ecn::Ect1, 1);
        assert_eq!(bytes.option(8), Some(AccurateEcn::new(true, 2, 102, 20, 5)));
        bytes.handle_arrival(Ecn::Ect0, UNSAID_MAX as usize);
        assert!(bytes.is_pressing());
    }

    #[test]
    fn increases_are_taken_over_the_turn_and_older_counts_are_not() {
        let mut bytes = ByteCounters::new(EcnOption::Always, false);
        assert_eq!(bytes.handle_option(told(1, MASK, 1)), Some(0), "older than nothing");
        assert_eq!(bytes.handle_option(told(1, 7_000_000, 1)), Some(7_000_000));
        assert_eq!(bytes.handle_option(told(1, 15_000_000, 1)), Some(8_000_000));
        assert_eq!(bytes.handle_option(told(1, 100, 1)), Some((1 << 24) - 15_000_000 + 100));
        assert_eq!(bytes.handle_option(told(1, 99, 1)), Some(0));
        assert_eq!(bytes.handle_option(None), None);
        assert_eq!(bytes.handle_option(Some(AccurateEcn::new(false, 1, 500, 0, 0))), Some(0), "left out");
        assert!(bytes.is_always());
    }

    #[test]
    fn cleared_options_are_not_read_and_absent_ones_may_come() {
        let mut bytes = ByteCounters::new(EcnOption::Always, false);
        assert_eq!(bytes.handle_option(told(0, 0, 0)), None);
        assert_eq!(bytes.handle_option(told(1, 5, 1)), None);
        let mut bytes = ByteCounters::new(EcnOption::Always, false);
        assert_eq!(bytes.handle_option(None), None);
        assert!(!bytes.is_always());
        assert_eq!(bytes.handle_option(told(1, 5, 1)), Some(5));
    }
}
