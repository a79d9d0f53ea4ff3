//! Marks of the network (RFC 3168 §6.1, RFC 9768): what the handshake agrees to, what a segment tells and is told.

use super::Connection;
use crate::ecn::{Ambiguous, Arrived, Marking, flags_of_syn};
use crate::state::Phase;
use crate::{EcnFeedback, Segment};
use time::{Instant, SequenceNumber};
use wire::Ecn;
use wire::tcp::{AccurateEcn, Flags, HEADER_LENGTH, HEADER_LENGTH_MAX, Header};

/// Bytes of options in all, of the SACK option without a block, with its padding, and of one block (RFC 2018 §3).
const OPTIONS_BYTES_MAX: usize = HEADER_LENGTH_MAX - HEADER_LENGTH;
const SACK_BYTES: usize = 4;
const SACK_BLOCK_BYTES: usize = 8;

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
        self.marking = Marking::of_syn(syn.flags, ecn, &self.config, self.send.una() + 1);
    }

    /// What the peer's SYN or SYN-ACK says of marks.
    pub(super) fn agree_on_marks(&mut self, syn: &Header, ecn: Ecn) {
        if syn.flags.contains(Flags::ACK) {
            let asked = (&*self.config, self.send.retries());
            let (option, first) = (syn.options.accurate_ecn, self.send.una() + 1);
            self.marking = Marking::of_syn_ack(syn.flags, ecn, option, asked, first);
        } else {
            self.handle_marked_syn(syn, ecn);
        }
    }

    /// When it became known that SYNs which ask for accurate feedback have no answer here, and the one that did not ask had:
    /// for the stack to remember (RFC 9768 §3.1.4.1, SHOULD). Asked where the handshake has just ended: what has left more than
    /// once until then is the SYN.
    pub fn ecn_unanswered_at(&self) -> Option<Instant> {
        let retries = u8::try_from(self.figures.rare().segments_repeated).unwrap_or(u8::MAX);
        let request = self.config.ecn_request;
        let in_vain = request == EcnFeedback::Accurate && flags_of_syn(request, retries) == Flags::default();
        (in_vain && self.marking.is_none()).then_some(self.heard_at)
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
            && let Err(Ambiguous) = marking.handle_syn_again(flags, ecn, self.config.ecn_accept)
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
            exact: self.send.is_full_flight(),
            mss: self.send.mss(),
            option: header.options.accurate_ecn,
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
        let received = if before.arrived.ecn == Ecn::Ce { before.arrived.packets } else { 0 };
        self.figures.handle_marks(heard.marks, received);
        if heard.answer {
            self.receive.acks_mut().set_now();
        }
        if heard.syn_marked {
            self.send.handle_marked_syn();
        }
        // Asked of every segment: it is noted that the last reduction is over.
        let news = marking.is_news(self.send.una());
        if heard.marked && news && self.send.handle_mark(before.flight, before.undelivered, now) {
            marking.handle_reduction(self.send.nxt());
        }
    }

    /// The option of a SYN-ACK that leaves beside `others` bytes of options.
    pub(super) fn syn_ack_option(&self, others: usize) -> Option<AccurateEcn> {
        let fits = others + AccurateEcn::LENGTH_PADDED_MAX <= OPTIONS_BYTES_MAX;
        let first = self.send.retries() == 0 && fits;
        self.marking.as_ref().filter(|_| first)?.option_of_syn_ack()
    }

    /// The option of a segment that leaves beside `others` bytes of options, with `room` for it. Where SACK has something
    /// to tell, two blocks of it go first (RFC 9768 §3.2.3.3).
    pub(super) fn ecn_option(&mut self, others: usize, room: usize) -> Option<AccurateEcn> {
        let marking = self.marking.as_mut()?;
        let sack = match self.receive.sack_count().min(2) {
            0 => 0,
            blocks => SACK_BYTES + SACK_BLOCK_BYTES * blocks,
        };
        marking.option(OPTIONS_BYTES_MAX.saturating_sub(others + sack).min(room))
    }

    /// Bytes of options that segments of data leave room for.
    pub(super) fn ecn_option_room(&self) -> u16 {
        match &self.marking {
            Some(marking) if marking.leaves_room() => AccurateEcn::LENGTH_PADDED_MAX as u16,
            Some(_) | None => 0,
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
        if !segment.payload.is_empty() && marking.is_pressing() {
            // There was no room for the option.
            self.receive.acks_mut().set_now();
        }
        if self.send.takes_marks() {
            segment.ecn = marking.codepoint(fresh, self.receive.is_selective());
        }
    }
}
