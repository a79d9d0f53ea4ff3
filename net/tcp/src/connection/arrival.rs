//! A segment arrives (RFC 9293 §3.10.7): the checks of §3.10.7.4 in their order, with those of RFC 5961 and
//! RFC 7323 where they belong.

use super::Connection;
use crate::reset::Reset;
use crate::state::Phase;
use crate::{CloseReason, Drop, Event, Segment, Verdict, Why};
use alloc::boxed::Box;
use time::{Instant, SequenceNumber};
use wire::tcp::{Flags, Header};

impl Connection {
    pub(super) fn arrive(&mut self, mut segment: Segment, now: Instant) -> Verdict {
        self.figures.handle_arrival(segment.joined, !segment.payload.is_empty());
        if self.is_syn_again(&mut segment, now) {
            return Verdict::Accepted;
        }
        let outcome = match self.phase {
            Phase::Closed(_) => Err(Drop::Over),
            Phase::SynSent(handshake) => self.arrive_in_syn_sent(segment, handshake, now),

            Phase::SynReceived(_)
            | Phase::Established
            | Phase::FinWait1
            | Phase::FinWait2 { .. }
            | Phase::CloseWait
            | Phase::Closing
            | Phase::LastAck
            | Phase::TimeWait { .. } => self.arrive_synchronised(segment, now),
        };
        match outcome {
            Ok(()) => Verdict::Accepted,
            Err(reason) => Verdict::Dropped(reason),
        }
    }

    fn arrive_synchronised(&mut self, mut segment: Segment, now: Instant) -> Result<(), Drop> {
        let first = segment.header.sequence;
        let bare = segment.sequence_length() == 0;
        let reset = segment.header.flags.contains(Flags::RST);
        let before = self.marking.is_some().then(|| self.before(&segment, first, bare));
        // First: sequence number, and before it the timestamp.
        self.check_timestamp(&segment, now)?;
        if !self.receive.admit(&mut segment) {
            if !reset {
                self.answer_outside(&segment, now);
                self.arrive_behind_probe(&segment, now);
            }
            return Err(Drop::OutsideWindow);
        }
        let header = segment.header;
        // Second: RST.
        if reset {
            return self.arrive_reset(first, now);
        }
        // Fourth: SYN.
        if header.flags.contains(Flags::SYN) {
            self.challenge(now);
            return Err(Drop::UnexpectedSyn);
        }
        // Fifth: ACK.
        self.arrive_acknowledgement(&header, bare, now)?;
        // RFC 5961 §5.2: only now. Else a blind attacker's one segment, whose number is in the window but which acknowledges
        // nothing that can be, would leave a timestamp behind beside which all of the peer's are old.
        if let Some(peer) = header.options.timestamps {
            self.timestamps.update(peer.value, first, self.receive.acks().sent(), now);
        }
        if let Some(peer) = header.options.user_timeout {
            self.hear_user_timeout(peer, now);
        }
        self.heard_at = now;
        self.keep_alive_probes = 0;
        if let Some(before) = before {
            // RFC 3168 §6.1.5, RFC 9768 §3.2: only now, that the segment is known to be acceptable.
            self.arrive_marks(before, now);
        }
        // Sixth, URG: DEVIATES RFC 9293 §3.8.5 (a program is told of urgent data, and can send some): RFC 6093 §3 asks new
        // programs not to use it, so that it is data, and the pointer tells the owner nothing.
        // Seventh and eighth: payload and FIN.
        self.arrive_payload(segment, now)
    }

    /// A segment whose number is that of an octet that we took beyond what our window told, so that the peer could not
    /// know: what it acknowledges is of use (RFC 9293 §3.10.7.4, "special allowance"). Without it, two sides that have
    /// taken each other's probe of a closed window would take no acknowledgement of each other any more.
    fn arrive_behind_probe(&mut self, segment: &Segment, now: Instant) {
        let header = &segment.header;
        let is_behind = header.sequence + 1 == self.receive.next() && segment.payload.len() <= 1;
        let is_plain = !header.flags.intersects(Flags(Flags::SYN.0 | Flags::FIN.0));
        let news = header.acknowledgement.after(self.send.una());
        if is_behind && is_plain && news && !matches!(self.phase, Phase::SynReceived(_)) {
            // What is wrong with it is answered already, and it is no duplicate.
            let _ = self.arrive_acknowledgement(header, false, now);
        }
    }

    /// RFC 7323 §5.3, R1.
    fn check_timestamp(&mut self, segment: &Segment, now: Instant) -> Result<(), Drop> {
        if !self.timestamps.is_enabled() || segment.header.flags.contains(Flags::RST) {
            return Ok(());
        }
        let Some(peer) = segment.header.options.timestamps else {
            // RFC 7323 §3.2 (SHOULD).
            return if self.config.timestamps_required { Err(Drop::MissingTimestamp) } else { Ok(()) };
        };
        if self.timestamps.is_old(peer.value, now) {
            self.answer_outside(segment, now);
            return Err(Drop::OldTimestamp);
        }
        Ok(())
    }

    /// Tells a peer that is out of step where we stand (RFC 9293 §3.10.7.4, first).
    fn answer_outside(&mut self, segment: &Segment, now: Instant) {
        if let Phase::TimeWait { .. } = self.phase
            && segment.header.flags.contains(Flags::FIN)
        {
            // Our last acknowledgement was lost: TIME-WAIT begins anew.
            self.enter(Phase::TimeWait { until: now + self.config.time_wait }, now);
        }
        self.receive.note_duplicate(segment);
        let header = &segment.header;
        if header.flags.contains(Flags::SYN | Flags::ACK)
            && let Some(marking) = &mut self.marking
        {
            marking.handle_syn_ack_again(header.flags, segment.ecn);
        }
        // What carries something is sent again, or probes, and is always answered; in TIME-WAIT too, where that does no
        // harm as long as no reset ends it (RFC 1337 §2). Bare acknowledgements could answer each other for ever, and a
        // SYN is challenged wherever it stands, as often as RFC 5961 §7 allows.
        let carries = segment.sequence_length() > 0 && !segment.header.flags.contains(Flags::SYN);
        // One octet before what is awaited may be a keep-alive's (RFC 9293 §3.8.4), and says nothing of a loss then.
        let probes = segment.payload.len() <= 1 && header.sequence + 1 == self.receive.next();
        if carries && !probes && header.sequence.before(self.receive.next()) {
            self.receive.acks_mut().handle_duplicate(self.config.quick_acks);
        }
        if carries || self.answers.admit(now) {
            self.receive.acks_mut().set_now();
        }
    }

    /// A challenge ACK (RFC 5961 §3.2, §4.2, §5.2), as often as §7 allows.
    fn challenge(&mut self, now: Instant) {
        if self.answers.admit(now) {
            self.receive.acks_mut().set_now();
        }
    }

    /// RFC 9293 §3.10.7.4, second; RFC 5961 §3.2, by the `first` number of the segment before it was cut to the window: whoever
    /// reaches over it with a large segment has not guessed it.
    fn arrive_reset(&mut self, first: SequenceNumber, now: Instant) -> Result<(), Drop> {
        if let Phase::TimeWait { .. } = self.phase {
            // RFC 1337 §3, fix F1.
            return Err(Drop::ResetIgnored);
        }
        if first != self.receive.next() {
            if first.after(self.receive.next()) {
                self.challenge(now);
            }
            return Err(Drop::ResetNotExact);
        }
        let refused = matches!(self.phase, Phase::SynReceived(handshake) if handshake.active);
        self.finish(if refused { CloseReason::Refused } else { CloseReason::Reset }, now);
        Ok(())
    }

    /// RFC 9293 §3.10.7.4, fifth.
    fn arrive_acknowledgement(&mut self, header: &Header, bare: bool, now: Instant) -> Result<(), Drop> {
        if !header.flags.contains(Flags::ACK) {
            return Err(Drop::NoAcknowledgement);
        }
        let number = header.acknowledgement;
        if let Phase::SynReceived(handshake) = self.phase {
            if !self.send.is_syn_acknowledged_by(number) {
                self.reset = Some(Box::new(Reset { sequence: number, acknowledgement: None }));
                return Err(Drop::AcknowledgesUnsent);
            }
            if bare && self.is_held_for_data() {
                return Err(Drop::DataAwaited);
            }
            let window = self.send.scaled(header.window);
            self.establish(header, window, handshake.shutdown, now);
            return Ok(());
        }
        if number.after(self.send.max()) {
            self.challenge(now);
            return Err(Drop::AcknowledgesUnsent);
        }
        // RFC 5961 §5.2.
        if number.before(self.send.una() - self.send.window_max()) {
            self.challenge(now);
            return Err(Drop::AcknowledgementTooOld);
        }
        let done = self.send.is_done();
        let queued = self.send.queued();
        let acknowledgement = self.acknowledgement(header, bare, now);
        if self.send.handle_acknowledgement(acknowledgement, now) {
            self.handle_progress(now);
            if self.send.is_done() && !done {
                self.handle_fin_acknowledged(now);
            }
        }
        self.figures.bytes_acked += (queued - self.send.queued()) as u64;
        self.schedule_probes(now);
        // DEVIATES RFC 9293 §3.8.6.1 (a closed window is probed for ever): where nobody holds the connection any
        // more, a peer that never opens its window would keep our memory for ever.
        let orphan = self.receive.is_closed() && !self.may_write();
        if !orphan {
            self.send.handle_answer();
        }
        Ok(())
    }

    /// SND.UNA has advanced: RFC 6298 §5.2, §5.3.
    pub(super) fn handle_progress(&mut self, now: Instant) {
        self.unreachable = false;
        self.figures.handle_progress(now);
        if !self.send.is_stalled() {
            self.timers.stop(Why::Persist);
        }
        if !self.send.is_awaiting() {
            self.timers.stop(Why::Retransmit);
            self.timers.stop(Why::UserTimeout);
        } else {
            self.timers.set(Why::Retransmit, now + self.send.timeout(&self.config));
            self.timers.stop(Why::UserTimeout);
            self.start_user_timeout(now);
        }
        if self.may_write() && self.send.unblock(&self.config) {
            self.events.push(Event::Writable);
        }
    }

    /// RFC 9293 §3.10.7.4, seventh and eighth.
    pub(super) fn arrive_payload(&mut self, segment: Segment, now: Instant) -> Result<(), Drop> {
        if matches!(self.phase, Phase::Closed(_)) {
            return Ok(());
        }
        if self.receive.is_closed() && !segment.payload.is_empty() && !self.receive.is_finished() {
            self.abort(now);
            return Err(Drop::NoReader);
        }
        let next = self.receive.next();
        let echo = segment.header.options.timestamps.map(|peer| peer.echo);
        let carries = !segment.payload.is_empty();
        if carries {
            let pause = self.figures.data_heard_ago(now);
            if pause > self.config.rto_min && pause > self.send.timeout(&self.config) {
                self.receive.acks_mut().handle_pause(self.config.quick_acks);
            }
            self.figures.handle_data(now);
        }
        if carries && segment.header.sequence != next {
            self.figures.handle_out_of_order(segment.joined);
        }
        let taken = self.receive.take(segment);
        let received = self.figures.bytes_received;
        self.figures.bytes_received += u64::from(self.receive.next() - next - u32::from(taken.finished));
        if carries {
            let elapsed = echo.and_then(|echo| self.timestamps.elapsed(echo, now));
            self.receive.measure(received, self.config.receive_buffer_bytes, elapsed, now);
        }
        if taken.readable {
            self.events.push(Event::Readable);
        }
        if taken.finished {
            self.handle_fin(now);
        }
        if self.receive.acks().is_soon() {
            self.timers.start(Why::DelayedAck, now + self.config.delayed_ack);
        }
        taken.dropped.map_or(Ok(()), Err)
    }
}
