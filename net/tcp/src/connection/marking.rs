//! Marks of the network (RFC 3168 §6.1, RFC 9768): what the handshake agrees to, what a segment tells and is told.

use super::Connection;
use crate::Segment;
use crate::ecn::{Ambiguous, Arrived, Marking, flags_of_syn};
use crate::state::Phase;
use time::{Instant, SequenceNumber};
use wire::Ecn;
use wire::tcp::{Flags, Header};

/// How things stood when a segment arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    arrived: Arrived,
    /// Bytes outstanding, and those of them that the peer was not known to hold.
    flight: u32,
    undelivered: u32,
    /// Its timestamp or its data shows that it was sent after all that have arrived.
    later: bool,
}

impl Connection {
    /// The SYN that was accepted arrived with this codepoint; to be said before anything leaves. Without it the SYN
    /// counts as not ECN-capable, as every SYN has to be (RFC 3168 §6.1.1).
    pub fn handle_marked_syn(&mut self, syn: &Header, ecn: Ecn) {
        self.marking = Marking::of_syn(syn.flags, ecn, self.config.ecn_accept, self.send.una() + 1);
    }

    /// What the peer's SYN or SYN-ACK says of marks.
    pub(super) fn agree_on_marks(&mut self, syn: &Header, ecn: Ecn) {
        if syn.flags.contains(Flags::ACK) {
            let asked = (self.config.ecn_request, self.send.retries());
            self.marking = Marking::of_syn_ack(syn.flags, ecn, asked, self.send.una() + 1);
        } else {
            self.handle_marked_syn(syn, ecn);
        }
    }

    /// The flags of a SYN or SYN-ACK that leaves.
    pub(super) fn syn_flags(&mut self, acknowledges: bool) -> Flags {
        let retries = self.send.retries();
        if acknowledges {
            self.marking.as_mut().map_or(Flags::default(), |marking| marking.flags_of_syn_ack(retries))
        } else {
            flags_of_syn(self.config.ecn_request, retries)
        }
    }

    /// The peer's SYN came once more.
    pub(super) fn note_syn_again(&mut self, flags: Flags, ecn: Ecn, now: Instant) {
        if let Some(marking) = &mut self.marking
            && let Err(Ambiguous) = marking.handle_syn_again(flags, ecn)
        {
            // RFC 9768 §3.1.5: reset, rather than that both sides take another meaning of the flags.
            self.abort(now);
        }
    }

    /// The answer to our SYN is known; if it says that the SYN was marked, it is as if the SYN had been lost.
    pub(super) fn answer_marked_syn(&mut self) {
        if self.marking.as_ref().is_some_and(|marking| marking.is_syn_marked()) {
            self.send.handle_marked_syn();
        }
    }

    /// How things stand as a segment arrives whose first number was `first`.
    pub(super) fn before(&self, segment: &Segment, first: SequenceNumber, bare: bool) -> Before {
        let header = &segment.header;
        let bytes = segment.payload.len();
        let stamped = header.options.timestamps.and_then(|peer| self.timestamps.is_later(peer.value));
        let acks = self.receive.acks();
        let arrived = Arrived {
            flags: header.flags,
            ecn: segment.ecn,
            bytes,
            packets: segment.joined.max(1),
            bare: bare && header.options.sack[0].is_none(),
            last: matches!(self.phase, Phase::SynReceived(_)),
            waits: acks.is_now() || acks.is_soon(),
            delivered: None,
        };
        Before {
            arrived,
            flight: self.send.outstanding(),
            undelivered: self.send.undelivered(),
            later: stamped == Some(true) || (bytes > 0 && first.at_or_after(self.receive.next())),
        }
    }

    /// A segment was found acceptable, and what it acknowledges has been digested.
    pub(super) fn arrive_marks(&mut self, before: Before, now: Instant) {
        let Some(marking) = &mut self.marking else { return };
        let bytes = before.undelivered.saturating_sub(self.send.undelivered());
        let delivered = (bytes > 0 || before.later).then(|| bytes.div_ceil(self.send.mss()));
        let heard = marking.handle_arrival(Arrived { delivered, ..before.arrived });
        if heard.answer {
            self.receive.acks_mut().set_now();
        }
        if heard.syn_marked {
            self.send.handle_marked_syn();
        }
        if heard.marked && marking.is_news(self.send.una()) && self.send.handle_mark(before.flight, now) {
            marking.handle_reduction(self.send.nxt());
        }
    }

    /// Whether the next segment may not be one that is to be cut.
    pub(super) fn is_single(&self) -> bool {
        self.marking.as_ref().is_some_and(|marking| marking.is_single(self.send.reductions()))
    }

    /// Whether a bare acknowledgement leaves before anything else.
    pub(super) fn owes_answer(&self) -> bool {
        self.marking.as_ref().is_some_and(|marking| marking.owes_answer())
    }

    /// Puts on a segment that leaves what is known of marks; `fresh` where it carries data that never left before.
    pub(super) fn mark(&mut self, segment: &mut Segment, fresh: bool) {
        let Some(marking) = &mut self.marking else { return };
        let header = &mut segment.header;
        let bare = segment.payload.is_empty()
            && !header.flags.contains(Flags::FIN)
            && header.options.sack[0].is_none();
        header.flags |= marking.flags(fresh, bare, self.send.reductions());
        if self.send.takes_marks() {
            segment.ecn = marking.codepoint(fresh, self.receive.is_selective());
        }
    }
}
