//! The handshake: SYN-SENT and SYN-RECEIVED (RFC 9293 §3.5, §3.10.7.3).

use super::Connection;
use crate::reset::Reset;
use crate::send::Acknowledgement;
use crate::state::{Handshake, Phase};
use crate::{CloseReason, Drop, Segment, Verdict, Why};
use time::Instant;
use wire::tcp::{Flags, Header};

impl Connection {
    /// The peer's SYN: its first number and what both sides will use.
    pub(super) fn agree(&mut self, syn: &Header, now: Instant) {
        // RFC 7323 §2.2: both must have sent the option.
        let scale = syn.options.window_scale.filter(|_| self.config.window_scaling);
        self.timestamps.agree(&syn.options, now);
        self.receive.start(syn.sequence + 1, scale.is_some());
        self.send.agree(syn.options.mss, scale, &self.config);
        self.use_path_mss(self.send.mss_path());
    }

    /// RFC 9293 §3.10.7.3.
    pub(super) fn arrive_in_syn_sent(
        &mut self,
        segment: &Segment,
        handshake: Handshake,
        now: Instant,
    ) -> Verdict {
        let header = segment.header;
        let acknowledges = header.flags.contains(Flags::ACK);
        // First: the ACK bit.
        if acknowledges && header.acknowledgement != self.send.max() {
            if !header.flags.contains(Flags::RST) {
                self.reset = Some(Reset { sequence: header.acknowledgement, acknowledgement: None });
            }
            return Verdict::Dropped(Drop::AcknowledgesUnsent);
        }
        // Second: the RST bit. RFC 5961 §3.2: only with our SYN acknowledged.
        if header.flags.contains(Flags::RST) {
            if !acknowledges {
                return Verdict::Dropped(Drop::ResetIgnored);
            }
            self.finish(CloseReason::Refused, now);
            return Verdict::Accepted;
        }
        // Fourth: the SYN bit.
        if !header.flags.contains(Flags::SYN) {
            return Verdict::Dropped(Drop::NoSyn);
        }
        self.agree(&header, now);
        self.heard_at = now;
        if acknowledges {
            self.receive.acks_mut().set_now();
            self.establish(&header, u32::from(header.window), handshake.shutdown, now);
        } else {
            // RFC 9293 §3.5, figure 7: both opened at once.
            self.enter(Phase::SynReceived(Handshake { due: true, ..handshake }), now);
        }
        Verdict::Accepted
    }

    /// Our SYN is acknowledged.
    pub(super) fn establish(&mut self, header: &Header, window: u32, shutdown: bool, now: Instant) {
        let first = self.acknowledgement(header, false, now);
        self.send.handle_established(first, window, &self.config, now);
        self.timers.stop(Why::Retransmit);
        self.timers.stop(Why::UserTimeout);
        self.enter(Phase::Established, now);
        if shutdown {
            self.shutdown(now);
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
        }
    }

    /// In SYN-RECEIVED, the peer's SYN once more: `None` where the segment is something else or has more to
    /// say, which then is left in it.
    pub(super) fn arrive_again(&mut self, segment: &mut Segment) -> Option<Verdict> {
        let header = &mut segment.header;
        let again = header.sequence + 1 == self.receive.next();
        let Phase::SynReceived(handshake) = &mut self.phase else { return None };
        if !again || !header.flags.contains(Flags::SYN) || header.flags.contains(Flags::RST) {
            return None;
        }
        if header.flags.contains(Flags::ACK) {
            // Both opened at once, and this is the answer to our SYN (RFC 9293 §3.5, figure 7): its SYN is
            // known, its ACK is news.
            header.flags.0 &= !Flags::SYN.0;
            header.sequence += 1;
            return None;
        }
        // Our SYN-ACK was lost, or is slow.
        handshake.due = true;
        Some(Verdict::Accepted)
    }
}
