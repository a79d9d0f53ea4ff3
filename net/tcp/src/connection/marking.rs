//! Marks of the network (RFC 3168 §6.1): what the handshake agrees to, what a segment tells and is told.

use super::Connection;
use crate::Segment;
use crate::ecn::{Arrived, Marking, flags_of_syn};
use time::Instant;
use wire::Ecn;
use wire::tcp::{Flags, Header};

impl Connection {
    /// The SYN that was accepted arrived with this codepoint; to be said before anything leaves. Without it the SYN
    /// counts as not ECN-capable, as every SYN has to be (RFC 3168 §6.1.1).
    pub fn handle_marked_syn(&mut self, syn: &Header, ecn: Ecn) {
        self.marking = Marking::of_syn(syn.flags, ecn, self.config.ecn_accept, self.send.una() + 1);
    }

    /// What the peer's SYN or SYN-ACK says of marks.
    pub(super) fn agree_on_marks(&mut self, syn: &Header, ecn: Ecn) {
        if syn.flags.contains(Flags::ACK) {
            let (request, repeated) = (self.config.ecn_request, self.send.retries() > 0);
            self.marking = Marking::of_syn_ack(syn.flags, request, repeated, self.send.una() + 1);
        } else {
            self.handle_marked_syn(syn, ecn);
        }
    }

    /// The flags of a SYN or SYN-ACK that leaves.
    pub(super) fn syn_flags(&self, acknowledges: bool) -> Flags {
        if acknowledges {
            self.marking.as_ref().map_or(Flags::default(), |marking| marking.flags_of_syn_ack())
        } else {
            flags_of_syn(self.config.ecn_request, self.send.retries())
        }
    }

    /// A segment was found acceptable, with `flight` bytes outstanding before it.
    pub(super) fn arrive_marks(&mut self, arrived: Arrived, flight: u32, now: Instant) {
        let Some(marking) = &mut self.marking else { return };
        let heard = marking.handle_arrival(arrived);
        if heard.answer {
            self.receive.acks_mut().set_now();
        }
        if heard.marked && marking.is_news(self.send.una()) && self.send.handle_mark(flight, now) {
            marking.handle_reduction(self.send.nxt());
        }
    }

    /// Whether the next segment may not be one that is to be cut.
    pub(super) fn is_single(&self) -> bool {
        self.marking.as_ref().is_some_and(|marking| marking.is_single(self.send.reductions()))
    }

    /// Puts on a segment that leaves what is known of marks; `fresh` where it carries data that never left before.
    pub(super) fn mark(&mut self, segment: &mut Segment, fresh: bool) {
        let Some(marking) = &mut self.marking else { return };
        segment.header.flags |= marking.flags(fresh, self.send.reductions());
        segment.ecn = marking.codepoint(fresh && self.send.takes_marks());
    }
}
