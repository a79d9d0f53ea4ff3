//! Explicit congestion notification (RFC 3168): routers mark packets of those who can answer a mark, and need not drop
//! them. What is agreed on in the handshake, and which packets may be marked, stands here; how marks are told to the
//! sender, in the leaf of the variant:
//!
//! ```text
//!   SYN, SYN-ACK --> Marking: none, classic
//!                       |
//!   CE on data -------->+--> flags of what leaves
//!   flags that arrive ->+--> the send half: fewer bytes in flight
//!                       |
//!   new data leaves ----+--> ECT(0)
//! ```

mod classic;

use alloc::boxed::Box;
use classic::Classic;
use time::SequenceNumber;
use wire::Ecn;
use wire::tcp::Flags;

/// How marks are told to their sender, from nothing to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EcnFeedback {
    /// Not at all: nothing may be marked.
    Off,
    /// Once a round trip (RFC 3168).
    Classic,
}

/// ECE and CWR: an ECN-setup SYN (RFC 3168 §6.1.1).
const ECN_SETUP: Flags = Flags(Flags::ECE.0 | Flags::CWR.0);

/// What a connection that can answer marks knows of them.
#[derive(Debug)]
pub(crate) struct Marking {
    /// New data may leave as ECN-capable.
    capable: bool,
    /// Behind what had left at the last reduction for a mark.
    reduced: SequenceNumber,
    classic: Classic,
}

/// A segment that was found acceptable, as far as marks go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    pub(crate) flags: Flags,
    pub(crate) ecn: Ecn,
    /// Bytes of its payload.
    pub(crate) bytes: usize,
}

/// What a segment leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// It is to be acknowledged at once.
    pub(crate) answer: bool,
    /// What the connection has sent was marked.
    pub(crate) marked: bool,
}

/// The flags with which a SYN asks for `feedback`, after `retries` that had no answer.
///
/// RFC 3168 §6.1.1.1: whoever drops SYNs that ask lets the next one through.
pub(crate) fn flags_of_syn(feedback: EcnFeedback, retries: u8) -> Flags {
    match feedback {
        EcnFeedback::Classic if retries == 0 => ECN_SETUP,
        EcnFeedback::Off | EcnFeedback::Classic => Flags::default(),
    }
}

impl Marking {
    /// What `flags` of a peer's SYN, which arrived with `ecn`, lead to where at most `accept` is agreed to
    /// (RFC 3168 §6.1.1). Our first byte will be `first`.
    pub(crate) fn of_syn(
        flags: Flags,
        ecn: Ecn,
        accept: EcnFeedback,
        first: SequenceNumber,
    ) -> Option<Box<Self>> {
        // A SYN that could be marked was sent by nobody who obeys §6.1.1, unless by a later extension (RFC 8311 §4.3).
        let honest = ecn == Ecn::NotEct || flags.contains(Flags::AE);
        let asked = accept >= EcnFeedback::Classic && flags.contains(ECN_SETUP);
        (asked && honest).then(|| Self::new(true, first))
    }

    /// What `flags` of a SYN-ACK lead to, after a SYN that asked for `request`. `repeated` where a SYN has left since
    /// that did not ask.
    pub(crate) fn of_syn_ack(
        flags: Flags,
        request: EcnFeedback,
        repeated: bool,
        first: SequenceNumber,
    ) -> Option<Box<Self>> {
        // RFC 3168 §6.1.1: ECE without CWR. Both are the reflection of one who does not know them.
        let agreed = flags.contains(Flags::ECE) && !flags.contains(Flags::CWR);
        // RFC 3168 §6.1.1: who has sent a SYN that did not ask sends nothing that can be marked.
        (agreed && request >= EcnFeedback::Classic).then(|| Self::new(!repeated, first))
    }

    fn new(capable: bool, first: SequenceNumber) -> Box<Self> {
        Box::new(Self { capable, reduced: first, classic: Classic::default() })
    }

    /// Whether a mark that is told now, with everything before `una` acknowledged, is of what left after the last
    /// reduction for one (RFC 3168 §6.1.2): the same is told until the peer has heard of that, which it does with what
    /// follows.
    pub(crate) fn is_news(&self, una: SequenceNumber) -> bool {
        una.after(self.reduced)
    }

    /// The window was reduced for a mark on what left before `nxt`.
    pub(crate) fn handle_reduction(&mut self, nxt: SequenceNumber) {
        self.reduced = nxt;
    }

    /// The flags with which a SYN-ACK agrees.
    pub(crate) fn flags_of_syn_ack(&self) -> Flags {
        Flags::ECE
    }

    /// The peer's SYN came once more.
    pub(crate) fn handle_syn_again(&mut self, flags: Flags) {
        // RFC 3168 §6.1.1: after a SYN that does not ask (SHOULD).
        self.capable &= flags.contains(ECN_SETUP);
    }

    /// An acceptable segment has arrived.
    pub(crate) fn handle_arrival(&mut self, arrived: Arrived) -> Heard {
        let answer = self.classic.handle_arrival(arrived.flags, arrived.ecn, arrived.bytes > 0);
        Heard { answer, marked: arrived.flags.contains(Flags::ECE) }
    }

    /// Whether what leaves now may not stand for several segments: a device that cuts it leaves CWR to the first only.
    pub(crate) fn is_single(&self, reductions: u8) -> bool {
        self.classic.is_untold(reductions)
    }

    /// The flags of a segment that leaves, with `fresh` data or not, after `reductions` of the window.
    pub(crate) fn flags(&mut self, fresh: bool, reductions: u8) -> Flags {
        self.classic.flags(fresh, reductions)
    }

    /// The codepoint of a segment that leaves.
    pub(crate) fn codepoint(&self, fresh: bool) -> Ecn {
        // RFC 3168 §6.1.4, §6.1.5, §6.1.6: neither on what carries no data, nor on a retransmission or a probe of a
        // closed window. RFC 8311 §4.2: ECT(1) is not ours.
        if fresh && self.capable { Ecn::Ect0 } else { Ecn::NotEct }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSIC: EcnFeedback = EcnFeedback::Classic;
    const FIRST: SequenceNumber = SequenceNumber(1);

    #[test]
    fn a_syn_asks_once() {
        assert_eq!(flags_of_syn(CLASSIC, 0), Flags::ECE | Flags::CWR);
        assert_eq!(flags_of_syn(CLASSIC, 1), Flags::default());
        assert_eq!(flags_of_syn(EcnFeedback::Off, 0), Flags::default());
    }

    #[test]
    fn both_flags_ask_and_one_agrees() {
        let of_syn = |flags, ecn| Marking::of_syn(flags, ecn, CLASSIC, FIRST).is_some();
        assert!(of_syn(Flags::SYN | ECN_SETUP, Ecn::NotEct));
        assert!(!of_syn(Flags::SYN | Flags::ECE, Ecn::NotEct));
        assert!(!of_syn(Flags::SYN | ECN_SETUP, Ecn::Ect0), "no such SYN leaves by RFC 3168");
        assert!(of_syn(Flags::SYN | ECN_SETUP | Flags::AE, Ecn::Ect0));
        assert!(Marking::of_syn(Flags::SYN | ECN_SETUP, Ecn::NotEct, EcnFeedback::Off, FIRST).is_none());
        let of_syn_ack = |flags| Marking::of_syn_ack(Flags::SYN | Flags::ACK | flags, CLASSIC, false, FIRST);
        assert!(of_syn_ack(Flags::ECE).is_some_and(|marking| marking.capable));
        assert!(of_syn_ack(ECN_SETUP).is_none(), "a reflection");
        assert!(of_syn_ack(Flags::default()).is_none());
        assert!(Marking::of_syn_ack(Flags::ECE, EcnFeedback::Off, false, FIRST).is_none(), "nobody asked");
        assert!(
            Marking::of_syn_ack(Flags::ECE, CLASSIC, true, FIRST).is_some_and(|marking| !marking.capable)
        );
    }

    #[test]
    fn only_new_data_may_be_marked() {
        let mut marking = Marking::of_syn(ECN_SETUP, Ecn::NotEct, CLASSIC, FIRST).unwrap();
        assert_eq!((marking.codepoint(true), marking.codepoint(false)), (Ecn::Ect0, Ecn::NotEct));
        marking.handle_syn_again(Flags::SYN);
        assert_eq!(marking.codepoint(true), Ecn::NotEct);
    }
}
