//! The send half: what waits, what is in flight, and what the peer and the network allow
//! (RFC 9293 §3.3.1 and §3.8, RFC 5681).
//!
//! ```text
//!           una                        nxt                end
//!  ---------|==========================|==================|
//!  acked     outstanding: in flight,    not sent yet
//!            held by the peer, or lost
//! ```
//!
//! What became of the outstanding part stands on the scoreboard of the loss detector.

mod account;
mod opening;
mod progress;
mod recovery;
mod repair;
mod sizing;

use crate::Config;
use crate::congestion::{Congestion, CongestionAlgorithm, Inflation};
use crate::delivery_rate::DeliveryRate;
use crate::loss::Loss;
use crate::min_rtt::MinRtt;
use crate::pacing::Pacer;
use crate::path_mtu::PathMtu;
use crate::queue::ByteQueue;
use crate::rtt::Rtt;
use alloc::boxed::Box;
use packet::Chain;
use time::{Duration, Instant, SequenceNumber};

pub use opening::syn_payload_bytes_max;
pub(crate) use progress::Acknowledgement;
pub(crate) use sizing::Departing;

/// What a peer that names no MSS can take (RFC 9293 §3.7.1).
const MSS_DEFAULT: u16 = 536;

/// Room for which a writer is called back at the latest, in bytes: a paced window that waits for a third of a large buffer is
/// two thirds of it.
const WRITER_ROOM_BYTES: usize = 256 << 10;

/// What one write may put beyond a bound of what is unsent, in bytes: what leaves as one large segment.
const UNSENT_WRITE_BYTES: usize = 64 << 10;

/// What the answer to our SYN tells of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syn {
    /// It left once, and so its answer measures a round trip.
    Once,
    /// It left more than once, or was not ours to time.
    Again,
    /// It was acknowledged before, by a peer that had nothing to say yet.
    Held,
}

#[derive(Debug)]
pub(crate) struct SendHalf {
    queue: ByteQueue,
    /// The number of the queue's first byte.
    start: SequenceNumber,
    /// SND.UNA.
    una: SequenceNumber,
    /// SND.NXT: what leaves next for the first time.
    nxt: SequenceNumber,
    /// Behind the last number ever sent: SND.NXT, or the octet behind it with which a closed window was asked.
    max: SequenceNumber,
    /// SND.WND, scaled.
    window: u32,
    /// Max(SND.WND).
    window_max: u32,
    /// SND.WL1 and SND.WL2.
    window_sequence: SequenceNumber,
    window_acknowledgement: SequenceNumber,
    /// The shift of the peer's windows.
    scale: u8,
    /// FIN follows the last byte.
    fin: bool,
    /// A write was refused, cut short, or took the last room.
    blocked: bool,
    /// The one octet that asks a closed window has to leave (RFC 9293 §3.8.6.1).
    probe: bool,
    /// What was held back as too small may leave (RFC 9293 §3.8.6.2.1, the override timeout).
    urge: bool,
    /// Timeouts and unanswered probes since there was progress.
    retries: u8,
    /// The MSS that the peer announced.
    mss_peer: u16,
    /// The MSS that the path has room for.
    mss_path: u16,
    /// The largest payload of a segment that leaves now.
    mss: u16,
    /// The largest such size of which the peer has acknowledged a segment, options included.
    mss_delivered: u16,
    /// Bytes of a full segment that options take.
    options: u16,
    /// What of these the path is known to carry, where that is not taken for granted.
    path_mtu: PathMtu,
    /// Behind the last segment that was smaller than that.
    small_end: SequenceNumber,
    /// What became of our SYN.
    syn: Syn,
    /// Behind it the next round trip is measured.
    round_end: SequenceNumber,
    /// When data last left.
    sent_at: Instant,
    congestion: Congestion,
    /// What may be in flight during recovery.
    inflation: Inflation,
    /// Behind what had left when the congestion window, and nothing else, last held something back.
    limited_until: SequenceNumber,
    loss: Loss,
    rtt: Rtt,
    min_rtt: MinRtt,
    /// For a law that asks for it.
    delivery_rate: Option<Box<DeliveryRate>>,
    pacer: Pacer,
    /// Whether every law is paced, or only one that cannot do without.
    pacing: bool,
    /// Something that may leave is held back, for the sake of the pace.
    held_back: bool,
    /// A segment has left, and the owner has not yet been told that no other does.
    bursting: bool,
}

impl SendHalf {
    pub(crate) fn new(config: &Config, initial: SequenceNumber) -> Self {
        Self {
            queue: ByteQueue::default(),
            start: initial + 1,
            una: initial,
            nxt: initial,
            max: initial,
            window: 0,
            window_max: 0,
            window_sequence: initial,
            window_acknowledgement: initial,
            scale: 0,
            fin: false,
            blocked: false,
            probe: false,
            urge: false,
            retries: 0,
            mss_peer: MSS_DEFAULT,
            mss_path: MSS_DEFAULT,
            mss: MSS_DEFAULT,
            mss_delivered: 0,
            options: 0,
            path_mtu: PathMtu::default(),
            small_end: initial,
            syn: Syn::Again,
            round_end: initial,
            sent_at: Instant::ZERO,
            congestion: Congestion::new(config),
            inflation: Inflation::default(),
            limited_until: initial,
            loss: Loss::new(initial),
            rtt: Rtt::default(),
            min_rtt: MinRtt::new(),
            delivery_rate: rates_for(config.congestion),
            pacer: Pacer::new(),
            pacing: config.pacing,
            held_back: false,
            bursting: false,
        }
    }

    /// The peer's SYN is known: what it takes, and how its windows are scaled.
    pub(crate) fn agree(&mut self, mss: Option<u16>, scale: Option<u8>, selective: bool, config: &Config) {
        self.loss.agree(selective);
        self.mss_peer = mss.unwrap_or(MSS_DEFAULT).max(config.mss_min).min(config.mss_max);
        // RFC 7323 §2.3: a shift above 14 counts as 14.
        self.scale = scale.unwrap_or(0).min(14);
    }

    /// Our SYN leaves. Whether it has left before.
    pub(crate) fn handle_syn_sent(&mut self, now: Instant) -> bool {
        // RFC 6298 §3: a SYN that was repeated times nothing.
        self.syn = if self.max == self.una { Syn::Once } else { Syn::Again };
        let again = self.syn == Syn::Again;
        if self.is_early() {
            return again;
        }
        self.nxt = self.una + 1;
        self.max = self.max.later(self.nxt);
        self.sent_at = now;
        again
    }

    /// Our SYN has left long ago.
    pub(crate) fn handle_syn_sent_before(&mut self) {
        self.nxt = self.una + 1;
        self.max = self.nxt;
    }

    /// The handshake is over: `number` acknowledges our SYN, with the first window.
    pub(crate) fn handle_established(
        &mut self,
        first: Acknowledgement,
        window: u32,
        config: &Config,
        now: Instant,
    ) {
        let syn_lost = self.retries > 0 && self.syn != Syn::Held;
        let exact = (self.syn == Syn::Once).then(|| now - self.sent_at);
        match exact.or(first.elapsed).filter(|_| self.syn != Syn::Held) {
            Some(rtt) => {
                self.rtt.sample(rtt);
                self.min_rtt.sample(rtt, now);
            }
            None if self.syn == Syn::Held => self.rtt.settle(),
            None => self.rtt.be_cautious(),
        }
        self.round_end = self.start;
        self.una = self.start;
        self.nxt = self.start;
        self.retries = 0;
        self.set_window(first, window);
        self.path_mtu.start(config, self.ceiling(), self.options);
        self.set_path(self.mss_path, self.options);
        self.congestion.start(config, u32::from(self.mss), syn_lost, now);
        self.pacer.start(self.congestion.window());
        self.set_pace();
    }

    /// Our SYN is acknowledged, but the handshake waits for the peer's data: how late that comes tells nothing.
    pub(crate) fn hold_syn(&mut self) {
        self.syn = Syn::Held;
    }

    /// The path has room for `mss` bytes behind a header without options; `options` bytes of these are taken
    /// (RFC 6691 §2).
    pub(crate) fn set_path(&mut self, mss: u16, options: u16) {
        (self.mss_path, self.options) = (mss, options);
        let mss = self.path_mtu.size(self.ceiling()).saturating_sub(options).max(1);
        if mss > self.mss {
            // What is in flight is made of smaller ones.
            self.small_end = self.nxt;
        }
        self.mss = mss;
    }

    /// The MSS that peer and path have room for.
    pub(crate) fn ceiling(&self) -> u16 {
        self.mss_peer.min(self.mss_path)
    }

    /// Whether the peer has acknowledged a segment with more than `mss` bytes, options included.
    pub(crate) fn has_delivered(&self, mss: u16) -> bool {
        self.mss_delivered > mss
    }

    /// The MSS that the path had room for when it was last used.
    pub(crate) fn mss_path(&self) -> u16 {
        self.mss_path
    }

    pub(crate) fn una(&self) -> SequenceNumber {
        self.una
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        let rates = self.delivery_rate.as_ref().map_or(0, |rates| rates.capacity());
        self.queue.capacity() + self.loss.scoreboard.capacity() + rates
    }

    /// What is outstanding is what the scoreboard knows of.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        let board = &self.loss.scoreboard;
        let known = board.flying() + board.sacked() + board.lost();
        assert!(known == 0 || known == self.outstanding(), "{board:?}");
        assert!(self.una.at_or_before(self.nxt) && self.nxt.at_or_before(self.max));
    }

    /// A tail loss probe is out.
    #[cfg(test)]
    pub(crate) fn is_probing(&self) -> bool {
        self.loss.tail_probe.is_out()
    }

    /// SND.NXT.
    pub(crate) fn nxt(&self) -> SequenceNumber {
        self.nxt
    }

    pub(crate) fn max(&self) -> SequenceNumber {
        self.max
    }

    pub(crate) fn window_max(&self) -> u32 {
        self.window_max
    }

    pub(crate) fn mss(&self) -> u32 {
        u32::from(self.mss)
    }

    /// Whether every law is paced from now on.
    pub(crate) fn set_pacing(&mut self, on: bool) {
        self.pacing = on;
        self.set_pace();
    }

    /// What is held back as too small leaves.
    pub(crate) fn urge(&mut self) {
        self.urge = true;
    }

    /// What is outstanding and not known to have arrived.
    pub(crate) fn undelivered(&self) -> u32 {
        self.outstanding().saturating_sub(self.loss.scoreboard.sacked())
    }

    /// Whether everything outstanding left in full segments.
    pub(crate) fn is_full_flight(&self) -> bool {
        self.small_end.at_or_before(self.una)
    }

    /// Our SYN arrived marked: as if it had been lost (RFC 5562 §3.2).
    pub(crate) fn handle_marked_syn(&mut self) {
        self.congestion.handle_marked_syn(u32::from(self.mss));
        self.set_pace();
    }

    /// Whether the law knows what to do about a mark.
    pub(crate) fn takes_marks(&self) -> bool {
        self.congestion.takes_marks()
    }

    /// How often the window was reduced, modulo 256.
    pub(crate) fn reductions(&self) -> u8 {
        self.congestion.reductions()
    }

    pub(crate) fn set_congestion(&mut self, algorithm: CongestionAlgorithm) {
        self.congestion.set_algorithm(algorithm);
        if self.congestion.asks_for_rates() != self.delivery_rate.is_some() {
            self.delivery_rate = rates_for(algorithm);
        }
        self.set_pace();
    }

    /// The largest number that a segment without data can have and be taken by the peer: within its window.
    pub(crate) fn acceptable_sequence(&self) -> SequenceNumber {
        let edge = self.una + self.window;
        // No window is known before the handshake is over. After it, what was sent may end behind the window because a
        // window told in steps seems to shrink by less than one (RFC 7323 §2.4): a peer that took it accepts nothing
        // older. The octet that probes a closed window is another matter: the peer has no room for it, and would take
        // none of our acknowledgements behind it.
        let slack = if self.window == 0 { 0 } else { 1 << self.scale };
        if self.una.before(self.start) || self.max.at_or_before(edge + slack) {
            return self.max;
        }
        edge
    }

    /// Behind the last byte that was written.
    fn end(&self) -> SequenceNumber {
        self.start + self.queue.len() as u32
    }

    /// What is in flight: sent, and neither acknowledged, held by the peer, nor lost (RFC 6675 §4, `pipe`).
    pub(crate) fn flight(&self) -> u32 {
        self.loss.scoreboard.flying()
    }

    /// FlightSize: what was sent and is not acknowledged (RFC 5681 §2).
    pub(crate) fn outstanding(&self) -> u32 {
        self.nxt - self.una
    }

    /// Whether the peer has something to acknowledge, so that its silence means something; not where what is lost
    /// waits for its window.
    pub(crate) fn is_awaiting(&self) -> bool {
        let board = &self.loss.scoreboard;
        board.flying() > 0 || board.is_reneged() || (board.lost() > 0 && self.window > 0)
    }

    pub(crate) fn timeout(&self, config: &Config) -> Duration {
        self.rtt.timeout(config)
    }

    pub(crate) fn retries(&self) -> u8 {
        self.retries
    }

    /// Bytes that wait to be sent or acknowledged.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// SEG.WND of the peer, in bytes.
    pub(crate) fn scaled(&self, window: u16) -> u32 {
        u32::from(window) << self.scale
    }

    /// The window of a SYN, as it would stand in a later segment.
    pub(crate) fn unscaled(&self, window: u16) -> u16 {
        window >> self.scale
    }

    /// Bytes that may wait to be sent or acknowledged: two congestion windows, so that while one is out another can be
    /// written (Linux: tcp_sndbuf_expand).
    fn buffer(&self, config: &Config) -> usize {
        let wanted = self.congestion.window().saturating_mul(2).max(config.send_start_bytes);
        wanted.min(config.send_buffer_bytes) as usize
    }

    /// Room to write, in bytes.
    pub(crate) fn room(&self, config: &Config) -> usize {
        if self.queue.is_full() {
            return 0;
        }
        let room = self.buffer(config).saturating_sub(self.queue.len());
        if config.unsent_bytes_max == u32::MAX {
            return room;
        }
        match config.unsent_bytes_max.saturating_sub(self.unsent()) as usize {
            0 => 0,
            // A bound of a few bytes is no wish for writes of a few bytes.
            unsent => room.min(unsent.max(UNSENT_WRITE_BYTES)),
        }
    }

    /// Bytes that have not left yet.
    pub(crate) fn unsent(&self) -> u32 {
        self.bytes_left().unwrap_or(0)
    }

    /// Appends what there is room for.
    pub(crate) fn write(&mut self, data: &mut packet::Bytes, config: &Config) -> usize {
        let count = data.len().min(self.room(config));
        let cut_short = count < data.len();
        self.queue.push(data.split_to(count));
        // A writer who looks at the room first fills it and is never cut short: it waits for room all the same.
        self.blocked |= cut_short || self.room(config) == 0;
        count
    }

    /// A writer waits for room.
    pub(crate) fn wait_for_room(&mut self) {
        self.blocked = true;
    }

    /// FIN follows the last byte.
    pub(crate) fn close(&mut self) {
        self.fin = true;
    }

    /// Whether every byte and the FIN are acknowledged.
    pub(crate) fn is_done(&self) -> bool {
        self.fin && self.una == self.end() + 1
    }

    /// Whether the FIN has not left yet.
    pub(crate) fn is_fin_unsent(&self) -> bool {
        self.max != self.end() + 1
    }

    /// Drops what was not sent or not acknowledged.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.loss.clear();
    }

    /// Whether the writer who was refused can go on: a third of the buffer is free, or as much as is worth a call, or half
    /// of what may be unsent.
    pub(crate) fn unblock(&mut self, config: &Config) -> bool {
        let room = self.room(config);
        let free = match config.unsent_bytes_max {
            u32::MAX => room >= (self.buffer(config) / 3).min(WRITER_ROOM_BYTES) && room > 0,
            most => self.unsent() < most.div_ceil(2) && room > 0,
        };
        self.blocked && {
            self.blocked = !free;
            free
        }
    }

    /// A SYN, or anything else that is repeated, got no answer in time.
    pub(crate) fn handle_silence(&mut self) {
        self.rtt.back_off();
        self.retries = self.retries.saturating_add(1);
    }

    /// Nothing is in flight and something waits all the same: the peer's window holds it back.
    pub(crate) fn is_stalled(&self) -> bool {
        let waits = self.loss.scoreboard.lost() > 0 || self.nxt != self.end() + u32::from(self.fin);
        waits && !self.is_awaiting()
    }

    /// The persist timer went off: ask a closed window, or use a small one (RFC 9293 §3.8.6.1, §3.8.6.2.1).
    pub(crate) fn handle_persist(&mut self) {
        self.handle_silence();
        if self.window == 0 {
            self.probe = true;
        } else {
            self.urge = true;
        }
    }

    /// Notes that `payload` and perhaps FIN leave from `nxt`.
    fn depart(&mut self, payload: &Chain, fin: bool, now: Instant) {
        let length = payload.len() as u32;
        let (first, flight) = (self.nxt, self.flight());
        self.nxt += length + u32::from(fin);
        self.loss.scoreboard.send(first, self.nxt, now);
        if let Some(prr) = self.loss.prr() {
            prr.handle_sent(length);
        }
        if let Some(rates) = &mut self.delivery_rate {
            rates.handle_sent(self.nxt, first == self.max, flight, now);
        }
        self.pacer.handle_sent(length, now);
        self.max = self.max.later(self.nxt);
        if !length.is_multiple_of(self.mss()) {
            self.small_end = self.nxt;
        }
        self.sent_at = now;
        self.urge = false;
    }
}

/// The sampler, for a law that asks for it.
fn rates_for(algorithm: CongestionAlgorithm) -> Option<Box<DeliveryRate>> {
    matches!(algorithm, CongestionAlgorithm::Bbr).then(|| Box::new(DeliveryRate::new()))
}
