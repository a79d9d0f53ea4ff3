//! Data that leaves before the handshake is over (RFC 7413): with our SYN, or behind our SYN-ACK.

use super::progress::Acknowledgement;
use super::{SendHalf, Syn};
use crate::{Config, Path};
use packet::Chain;
use time::{Instant, SequenceNumber};
use wire::tcp::HEADER_LENGTH;

/// Bytes of the most options, for which data in a SYN leaves room: what the SYN itself will carry is not known when the
/// writer asks.
const OPTIONS_LENGTH_MAX: u16 = 40;

/// Bytes that a SYN may take along by `path`, to a peer that announced `mss` when it gave us its cookie (RFC 7413 §4.2.1).
pub fn syn_payload_bytes_max(path: Path, mss: Option<u16>) -> usize {
    room_in_syn(path.segment_bytes_max.saturating_sub(HEADER_LENGTH as u16), mss)
}

/// RFC 7413 §4.2.1: where the peer's MSS is not known, it is the default of RFC 9293 §3.7.1.
fn room_in_syn(mss_path: u16, mss: Option<u16>) -> usize {
    mss.unwrap_or(super::MSS_DEFAULT).min(mss_path).saturating_sub(OPTIONS_LENGTH_MAX).into()
}

impl SendHalf {
    /// The number of our SYN, while the handshake lasts.
    pub(crate) fn initial(&self) -> SequenceNumber {
        self.start - 1
    }

    /// Whether `number` acknowledges our SYN, and no more than has left (RFC 9293 §3.10.7.3, first; §3.10.7.4, fifth).
    pub(crate) fn is_syn_acknowledged_by(&self, number: SequenceNumber) -> bool {
        number.at_or_after(self.start) && number.at_or_before(self.max)
    }

    /// What may leave with the SYN, to a peer that announced `mss` when it gave us its cookie.
    pub(crate) fn syn_payload(&mut self, mss: Option<u16>) -> Chain {
        self.queue.slice(0, self.queue.len().min(room_in_syn(self.mss_path, mss)))
    }

    /// The SYN has left with so much data.
    pub(crate) fn handle_syn_data_sent(&mut self, length: u32) {
        self.max = self.max.later(self.start + length);
    }

    /// `number` acknowledges our SYN, and perhaps data that left with it; what it does not leaves again as if it never had
    /// (RFC 7413 §4.2.1). Returns whether it acknowledges all of that data.
    pub(crate) fn handle_syn_data_acknowledged(&mut self, number: SequenceNumber) -> bool {
        let acked = number - self.start;
        self.queue.advance(acked as usize);
        self.start = number;
        self.una = number;
        self.nxt = number;
        self.round_end = number;
        self.small_end = self.small_end.later(number);
        self.max == number
    }

    /// Data may follow our SYN-ACK at once, as far as the initial window and that of the peer's SYN allow (RFC 7413
    /// §4.2.2). The loss of the SYN-ACK is not this half's concern any more.
    pub(crate) fn start_early(&mut self, first: Acknowledgement, config: &Config, now: Instant) {
        self.una = self.start;
        self.round_end = self.start;
        self.set_window(first, u32::from(first.window));
        self.path_mtu.start(config, self.ceiling(), self.options);
        self.set_path(self.mss_path, self.options);
        self.congestion.start(config, u32::from(self.mss), false, now);
        self.pacer.start(self.congestion.window());
        self.set_pace();
    }

    /// Whether data may leave though our SYN is not acknowledged.
    pub(crate) fn is_early(&self) -> bool {
        self.una == self.start
    }

    /// The handshake is over for a side that may have sent data before. Returns whether `first` acknowledges some of it.
    pub(crate) fn handle_established_early(&mut self, first: Acknowledgement, now: Instant) -> bool {
        let alone = self.syn == Syn::Once && self.nxt == self.start;
        match alone.then(|| now - self.sent_at).or(first.elapsed) {
            Some(rtt) => {
                self.rtt.sample(rtt);
                self.min_rtt.sample(rtt, now);
            }
            // RFC 6298 §5.7: as without Fast Open, where the SYN-ACK was repeated.
            None if self.retries > 0 => self.rtt.be_cautious(),
            None => {}
        }
        self.retries = 0;
        self.set_pace();
        self.handle_acknowledgement(first, now)
    }
}
