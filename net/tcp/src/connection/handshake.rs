//! The handshake: SYN-SENT and SYN-RECEIVED (RFC 9293 §3.5, §3.10.7.3).

use super::Connection;
use crate::reset::Reset;
use crate::send::Acknowledgement;
use crate::state::{Handshake, Phase};
use crate::{CloseReason, Drop, Segment, Why};
use alloc::boxed::Box;
use time::Instant;
use wire::Ecn;
use wire::tcp::{Flags, Header};

impl Connection {
    /// The peer's SYN: its first number and what both sides will use.
    pub(super) fn agree(&mut self, syn: &Header, ecn: Ecn, now: Instant) {
        // RFC 7323 §2.2: both must have sent the option.
        let scale = syn.options.window_scale.filter(|_| self.config.window_scaling);
        self.timestamps.agree(&syn.options, now);
        // RFC 2018 §2: only whoever was permitted to may send the option; we ask that it goes both ways.
        let selective = self.config.sack && syn.options.sack_permitted;
        self.receive.start(syn.sequence + 1, scale.is_some(), selective);
        self.send.agree(syn.options.mss, scale, selective, &self.config);
        self.use_path_mss(self.send.mss_path());
        self.agree_on_marks(syn, ecn);
        if let Some(peer) = syn.options.user_timeout {
            self.hear_user_timeout(peer, now);
        }
    }

    /// RFC 9293 §3.10.7.3.
    pub(super) fn arrive_in_syn_sent(
        &mut self,
        mut segment: Segment,
        handshake: Handshake,
        now: Instant,
    ) -> Result<(), Drop> {
        let header = segment.header;
        let acknowledges = header.flags.contains(Flags::ACK);
        // First: the ACK bit.
        if acknowledges && !self.send.is_syn_acknowledged_by(header.acknowledgement) {
            if !header.flags.contains(Flags::RST) {
                self.reset =
                    Some(Box::new(Reset { sequence: header.acknowledgement, acknowledgement: None }));
            }
            return Err(Drop::AcknowledgesUnsent);
        }
        // Second: the RST bit. RFC 5961 §3.2: only with our SYN acknowledged.
        if header.flags.contains(Flags::RST) {
            if !acknowledges {
                return Err(Drop::ResetIgnored);
            }
            self.finish(CloseReason::Refused, now);
            return Ok(());
        }
        // Fourth: the SYN bit.
        if !header.flags.contains(Flags::SYN) {
            return Err(Drop::NoSyn);
        }
        self.agree(&header, segment.ecn, now);
        self.heard_at = now;
        if !acknowledges {
            // RFC 9293 §3.5, figure 7: both opened at once.
            self.withdraw_cookie();
            self.enter(Phase::SynReceived(Handshake { due: true, ..handshake }), now);
            return Ok(());
        }
        self.receive.acks_mut().set_now();
        self.establish(&header, u32::from(header.window), handshake.shutdown, now);
        self.answer_marked_syn();
        // Fifth: what came with the SYN goes the way of all payload.
        segment.header.flags.0 &= !Flags::SYN.0;
        segment.header.sequence += 1;
        if self.receive.admit(&mut segment) {
            return self.arrive_payload(segment, now);
        }
        Ok(())
    }

    /// Our SYN is acknowledged.
    pub(super) fn establish(&mut self, header: &Header, window: u32, shutdown: bool, now: Instant) {
        self.receive.handle_mss(self.send.ceiling().into());
        // As Linux: a pause is counted from here before data has come.
        self.figures.handle_data(now);
        let first = self.acknowledgement(header, false, now);
        if self.is_early() {
            self.establish_early(first, now);
        } else {
            self.send.handle_established(first, window, &self.config, now);
            self.figures.handle_progress(now);
            self.timers.stop(Why::Retransmit);
            self.timers.stop(Why::UserTimeout);
            self.finish_opening(header);
        }
        self.enter(Phase::Established, now);
        if shutdown {
            self.shutdown(now);
        }
    }

    /// In SYN-RECEIVED, acknowledged without data: whether that is not enough yet. The SYN-ACK is not sent again in the
    /// meantime, but for a last time at the end.
    pub(super) fn is_held_for_data(&mut self) -> bool {
        let waits = self.send.retries() < self.config.accept_defer_retries && !self.is_early();
        match self.phase.handshake().filter(|handshake| waits && !handshake.active) {
            Some(handshake) => {
                handshake.held = true;
                self.send.hold_syn();
                true
            }
            None => false,
        }
    }

    /// What a segment with an ACK bit says to the send half.
    pub(super) fn acknowledgement(&self, header: &Header, bare: bool, now: Instant) -> Acknowledgement {
        let echo = header.options.timestamps.map(|peer| peer.echo);
        Acknowledgement {
            sequence: header.sequence,
            number: header.acknowledgement,
            window: header.window,
            bare,
            elapsed: echo.and_then(|echo| self.timestamps.elapsed(echo, now)),
            sack: header.options.sack,
        }
    }

    /// In SYN-RECEIVED: whether it is the peer's SYN once more, and no more than that.
    pub(super) fn is_syn_again(&mut self, segment: &mut Segment, now: Instant) -> bool {
        let Phase::SynReceived(handshake) = &mut self.phase else { return false };
        let header = &mut segment.header;
        let taken = self.opening.as_ref().and_then(|opening| opening.taken).unwrap_or(0);
        let again = header.sequence + 1 + taken == self.receive.next();
        if !again || !header.flags.contains(Flags::SYN) || header.flags.contains(Flags::RST) {
            return false;
        }
        if header.flags.contains(Flags::ACK) {
            // Both opened at once, and this is the answer to our SYN (RFC 9293 §3.5, figure 7): its SYN is
            // known, its ACK is news. Its other flags are no counter (RFC 9768 §3.2.2).
            let idle = self.marking.as_ref().map_or(Flags::default(), |marking| marking.idle_flags());
            header.flags.0 &= !(Flags::SYN | Flags::ECE | Flags::CWR | Flags::AE).0;
            header.flags |= idle;
            header.sequence += 1;
            // The window of a SYN is not scaled; all that follow are read as if they were (RFC 7323 §2.2).
            header.window = self.send.unscaled(header.window);
            return false;
        }
        // Our SYN-ACK was lost, or is slow.
        handshake.due = true;
        let (flags, ecn) = (header.flags, segment.ecn);
        self.note_syn_again(flags, ecn, now);
        true
    }
}
