//! What leaves: resets, then SYNs, then data, then bare acknowledgements.

use super::Connection;
use crate::receive::Acknowledged;
use crate::reset::Reset;
use crate::sack::BLOCKS_SENT_MAX;
use crate::send::Departing;
use crate::state::Phase;
use crate::{Event, Path, Segment, Why};
use packet::Chain;
use time::{Instant, SequenceNumber};
use wire::Ecn;
use wire::tcp::{Flags, HEADER_LENGTH, HEADER_LENGTH_MAX, Header, Options};

/// Bytes of the timestamps option with its padding (RFC 7323 appendix A).
const TIMESTAMPS_LENGTH: u16 = 12;
/// Bytes of the SACK option without a block, with its padding (RFC 2018 §3), and of one block.
const SACK_LENGTH: usize = 4;
const BLOCK_LENGTH: usize = 8;
/// Bytes of options in all.
const OPTIONS_LENGTH_MAX: usize = HEADER_LENGTH_MAX - HEADER_LENGTH;

/// What room there is for options beside timestamps.
#[derive(Clone, Copy)]
struct Room {
    /// The segment carries data.
    data: bool,
    /// For all of them, in bytes.
    bytes: usize,
    /// For that of accurate ECN.
    ecn: usize,
}

impl Connection {
    pub(super) fn depart(&mut self, mut path: Path, now: Instant) -> Option<Segment> {
        if let Some(reset) = self.reset.take() {
            return Some(self.reset_segment(*reset, now));
        }
        let mss = path.segment_bytes_max.saturating_sub(HEADER_LENGTH as u16);
        self.use_path_mss(mss);
        if self.is_single() {
            path.offload_bytes_max = 0;
        }
        match self.phase {
            Phase::SynSent(_) => return self.depart_syn(mss, false, now),
            Phase::SynReceived(_) => {
                return self.depart_syn(mss, true, now).or_else(|| self.depart_early(path, now));
            }
            Phase::Established | Phase::FinWait1 | Phase::CloseWait | Phase::Closing | Phase::LastAck => {
                if self.owes_answer() || self.owes_timeout() {
                    return Some(self.bare_segment(self.send.acceptable_sequence(), now));
                }
                if let Some(departing) = self.send.next_departure(path, &self.config, now) {
                    return Some(self.data_segment(departing, now));
                }
                if let Some(at) = self.send.paced_until(now) {
                    self.timers.set(Why::Pacing, at);
                } else if self.send.is_stalled() {
                    self.timers.start(Why::Persist, now + self.send.timeout(&self.config));
                    self.start_user_timeout(now);
                } else if self.send.is_awaiting() {
                    // RFC 6298 §5.1: it runs for what is lost too. The persist timer had its place while the window was
                    // closed, and what has opened may be less than a segment, which only a timeout may use.
                    self.start_retransmission(now);
                }
            }
            Phase::FinWait2 { .. } | Phase::TimeWait { .. } => {}
            Phase::Closed(_) => return None,
        }
        if core::mem::take(&mut self.keep_alive_due) {
            // RFC 9293 §3.8.4: an old number, so that the peer has to answer.
            return Some(self.bare_segment(self.send.una() - 1, now));
        }
        if self.receive.acks().is_now() {
            return Some(self.bare_segment(self.send.acceptable_sequence(), now));
        }
        None
    }

    /// An acknowledgement that waits for nothing else of its turn; not where data of ours is on its way, or may be.
    pub(super) fn depart_apart(&mut self, now: Instant) -> Option<Segment> {
        self.acknowledges_apart().then(|| self.bare_segment(self.send.acceptable_sequence(), now))
    }

    /// The path takes `mss` bytes behind a header without options.
    pub(super) fn use_path_mss(&mut self, mss: u16) {
        let options = if self.timestamps.is_enabled() { TIMESTAMPS_LENGTH } else { 0 };
        self.send.set_path(mss, options + self.ecn_option_room());
    }

    /// SYN or SYN-ACK, if it is due.
    fn depart_syn(&mut self, mss: u16, acknowledges: bool, now: Instant) -> Option<Segment> {
        let handshake = self.phase.handshake()?;
        if !core::mem::take(&mut handshake.due) {
            return None;
        }
        let offer = self.config.window_scaling && (!acknowledges || self.receive.window().is_scaled());
        let syn = Flags::SYN | self.syn_flags(acknowledges);
        let mut header = self.header(self.send.initial(), syn, now);
        header.window = self.receive.window().of_syn();
        if acknowledges {
            header.flags |= Flags::ACK;
            header.acknowledgement = self.receive.next();
            // Data that came with the SYN has taken some of it.
            header.window = self.receive.window().left_of_syn(self.receive.next());
        }
        let (fast_open, payload) = self.open_fast(acknowledges);
        header.options = Options {
            mss: Some(mss.min(self.config.mss_max)),
            window_scale: offer.then(|| self.receive.window().scale()),
            timestamps: self.timestamps.option(acknowledges, now),
            sack_permitted: self.config.sack && (!acknowledges || self.receive.is_selective()),
            order: self.config.option_order,
            fast_open,
            ..Options::default()
        };
        if acknowledges {
            header.options.accurate_ecn = self.syn_ack_option(header.options.length());
        }
        self.tell_in_syn(&mut header.options);
        if self.send.handle_syn_sent(now) {
            self.figures.handle_repeated(0, 1);
        }
        self.handle_opened_fast(acknowledges, now);
        self.start_retransmission(now);
        Some(Segment { payload, ..single(header) })
    }

    pub(super) fn data_segment(&mut self, departing: Departing, now: Instant) -> Segment {
        let Departing { sequence, payload, fin, push, anew, whole, fresh } = departing;
        self.timers.stop(Why::Persist);
        self.timers.stop(Why::Pacing);
        if self.send.is_awaiting() {
            if !fresh {
                let bytes = payload.len() as u32;
                self.figures.handle_repeated(bytes, bytes.div_ceil(self.send.mss()).max(1));
            }
            if anew {
                self.timers.stop(Why::Retransmit);
            }
            self.start_retransmission(now);
            if self.phase.is_synchronised() {
                self.schedule_probes(now);
            }
        } else {
            // A probe of a closed window: the persist timer, not this one, asks again.
            self.timers.start(Why::Persist, now + self.send.timeout(&self.config));
        }
        if self.config.unsent_bytes_max != u32::MAX && self.may_write() && self.send.unblock(&self.config) {
            self.events.push(Event::Writable);
        }
        let mut flags = Flags::ACK;
        if fin {
            flags |= Flags::FIN;
        }
        let mss = self.send.mss();
        // What the device cuts is a burst by itself.
        let cut = payload.len() as u32 > mss && !whole;
        if (push && !payload.is_empty()) || (cut && self.config.push_bursts) {
            flags |= Flags::PSH;
        }
        // DEVIATES RFC 2018 §4 (SHOULD: in all acknowledgements that leave a gap): payload is not made smaller for the
        // option. Where it leaves no room, an acknowledgement of its own follows.
        let left = (mss as usize).saturating_sub(payload.len()) + usize::from(self.ecn_option_room());
        // RFC 9768 §3.2.3.2.2: what leaves again may have been dropped for the option. DEVIATES RFC 9768 §3.2.3.2.2 (MAY: after
        // several such losses no option at all): a loss does not tell what it is for, and few paths let the SYN-ACK's pass only.
        let room = Room { data: true, bytes: left, ecn: if fresh { left } else { 0 } };
        let header = self.acknowledging_header(sequence, flags, room, now);
        let segment_size = cut.then_some(mss as u16);
        let fresh = fresh && !payload.is_empty();
        let mut segment = Segment { header, payload, joined: 1, segment_size, ecn: Ecn::NotEct };
        self.mark(&mut segment, fresh);
        segment
    }

    fn bare_segment(&mut self, sequence: SequenceNumber, now: Instant) -> Segment {
        let room = Room { data: false, bytes: OPTIONS_LENGTH_MAX, ecn: OPTIONS_LENGTH_MAX };
        let mut segment = single(self.acknowledging_header(sequence, Flags::ACK, room, now));
        self.mark(&mut segment, false);
        segment
    }

    /// A header that acknowledges all that has arrived, with the options that there is room for.
    fn acknowledging_header(
        &mut self,
        sequence: SequenceNumber,
        flags: Flags,
        room: Room,
        now: Instant,
    ) -> Header {
        let mut header = self.header(sequence, flags, now);
        if !room.data {
            header.options.user_timeout = self.timeout_option();
        }
        // RFC 2018 §3: three beside timestamps, else four.
        let others = header.options.length();
        let mut length = others;
        if self.marking.is_some() {
            header.options.accurate_ecn = self.ecn_option(others, room.ecn);
            length = header.options.length();
        }
        let left = (OPTIONS_LENGTH_MAX - length).min((room.bytes + others).saturating_sub(length));
        let blocks = (left.saturating_sub(SACK_LENGTH) / BLOCK_LENGTH).min(BLOCKS_SENT_MAX);
        let Acknowledged { number, window, sack } =
            self.receive.acknowledge(room.data, blocks, self.send.mss());
        self.timers.stop(Why::DelayedAck);
        header.acknowledgement = number;
        header.window = window;
        header.options.sack = sack;
        header
    }

    fn header(&self, sequence: SequenceNumber, flags: Flags, now: Instant) -> Header {
        Header {
            source_port: self.local_port,
            destination_port: self.remote_port,
            sequence,
            flags,
            options: Options {
                timestamps: self.timestamps.option(flags.contains(Flags::ACK), now),
                ..Options::default()
            },
            ..Header::default()
        }
    }

    fn reset_segment(&self, reset: Reset, now: Instant) -> Segment {
        let Reset { sequence, acknowledgement } = reset;
        let flags = if acknowledgement.is_some() { Flags::RST | Flags::ACK } else { Flags::RST };
        // RFC 7323 §3.2 (SHOULD): where timestamps were agreed on a reset has them too.
        let mut header = self.header(sequence, flags, now);
        header.acknowledgement = acknowledgement.unwrap_or_default();
        if let Phase::SynSent(_) = self.phase {
            header.options = Options::default();
        }
        single(header)
    }

    /// RACK's timer and the tail loss probe's (RFC 8985 §6.2, §7.2), as things stand now.
    pub(super) fn schedule_probes(&mut self, now: Instant) {
        self.timers.set(Why::Reordering, self.send.reordering_until());
        match self.send.probe_timeout(&self.config) {
            // RFC 8985 §7.2: never later than the timeout that it is to forestall.
            Some(timeout) => {
                let at = (now + timeout).min(self.timers.at(Why::Retransmit));
                self.timers.set(Why::TailProbe, at);
            }
            None => self.timers.stop(Why::TailProbe),
        }
    }

    /// RFC 6298 §5.1.
    pub(super) fn start_retransmission(&mut self, now: Instant) {
        self.timers.start(Why::Retransmit, now + self.send.timeout(&self.config));
        self.start_user_timeout(now);
    }
}

fn single(header: Header) -> Segment {
    Segment { header, payload: Chain::new(), joined: 1, segment_size: None, ecn: Ecn::NotEct }
}
