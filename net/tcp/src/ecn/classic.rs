//! ECE and CWR (RFC 3168 §6.1.2, §6.1.3): a mark is told in every acknowledgement, until its sender says that it has
//! heard.
//!
//! ```text
//!   sender                      receiver
//!      |-------- data, CE -------->|
//!      |<---------- ECE -----------|
//!      |<---------- ECE -----------|   in all of them: one may be lost
//!      |----- new data, CWR ------>|
//!      |<--------------------------|
//! ```

use wire::Ecn;
use wire::tcp::Flags;

/// One connection's marks, told once a round trip.
#[derive(Debug, Default)]
pub(super) struct Classic {
    /// The peer's data was marked, and it has not said that it knows.
    echo: bool,
    /// The reductions of the window that the peer was told of, modulo 256.
    told: u8,
}

impl Classic {
    /// A segment has arrived with these. Returns whether it is to be acknowledged at once.
    pub(super) fn handle_arrival(&mut self, flags: Flags, ecn: Ecn, data: bool) -> bool {
        if !data {
            // RFC 3168 §6.1.3, §6.1.4: what carries no data is never sent to be marked.
            return false;
        }
        let before = self.echo;
        let heard = flags.contains(Flags::CWR);
        // RFC 3168 §6.1.3: CWR ends what was before it; the segment's own mark begins anew.
        self.echo = ecn == Ecn::Ce || (before && !heard);
        // A first mark is news. And whoever has reduced its window may have no more than this segment in flight.
        heard || (self.echo && !before)
    }

    /// Whether the window was reduced, and the peer does not know.
    pub(super) fn is_untold(&self, reductions: u8) -> bool {
        self.told != reductions
    }

    /// The flags of a segment that leaves.
    pub(super) fn flags(&mut self, fresh: bool, reductions: u8) -> Flags {
        let mut flags = if self.echo { Flags::ECE } else { Flags::default() };
        // RFC 3168 §6.1.2: on the first new data after a reduction, whatever it was for. Not on what leaves again
        // (§6.1.5), which may be older than the reduction.
        if fresh && self.is_untold(reductions) {
            self.told = reductions;
            flags |= Flags::CWR;
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Flags = Flags(0);

    #[test]
    fn a_mark_is_told_until_it_is_heard() {
        let mut classic = Classic::default();
        assert!(!classic.handle_arrival(NONE, Ecn::Ect0, true));
        assert_eq!(classic.flags(false, 0), NONE);
        assert!(classic.handle_arrival(NONE, Ecn::Ce, true));
        assert!(!classic.handle_arrival(NONE, Ecn::Ect0, true), "it is told already");
        assert_eq!(classic.flags(false, 0), Flags::ECE);
        assert_eq!(classic.flags(true, 0), Flags::ECE);
        assert!(classic.handle_arrival(Flags::CWR, Ecn::Ect0, true));
        assert_eq!(classic.flags(false, 0), NONE);
    }

    #[test]
    fn a_marked_segment_that_has_heard_tells_of_itself() {
        let mut classic = Classic::default();
        assert!(classic.handle_arrival(NONE, Ecn::Ce, true));
        assert!(classic.handle_arrival(Flags::CWR, Ecn::Ce, true));
        assert_eq!(classic.flags(false, 0), Flags::ECE);
        assert!(!classic.handle_arrival(Flags::CWR, Ecn::NotEct, false), "no data, no answer");
        assert_eq!(classic.flags(false, 0), Flags::ECE);
    }

    #[test]
    fn new_data_tells_of_a_reduction_once() {
        let mut classic = Classic::default();
        assert_eq!(classic.flags(true, 0), NONE);
        assert!(classic.is_untold(1));
        assert_eq!(classic.flags(false, 1), NONE);
        assert_eq!(classic.flags(true, 1), Flags::CWR);
        assert_eq!(classic.flags(true, 1), NONE);
    }
}
