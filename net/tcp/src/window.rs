//! The window that we offer (RFC 9293 §3.8.6, RFC 7323 §2): it never moves back, and opens in steps worth a
//! segment.

use crate::Config;
use time::SequenceNumber;

/// The largest window that a SYN can tell: it is never scaled (RFC 7323 §2.2).
const UNSCALED_MAX: u32 = 65_535;

/// What a connection may hold while memory is short, in segments (Linux: tcp_under_memory_pressure).
const PRESSED_SEGMENTS: u32 = 4;

#[derive(Debug)]
pub(crate) struct ReceiveWindow {
    /// RCV.NXT + RCV.WND: behind the last byte that the peer may send. It only moves forward.
    edge: SequenceNumber,
    /// Bytes that may wait to be read.
    bound: u32,
    /// Bytes that the reader can take beyond those that wait.
    limit: u32,
    /// The shift of our windows.
    scale: u8,
    /// The peer scales windows too.
    scaled: bool,
    /// It holds whole segments, and all of its room is told: as FreeBSD.
    whole: bool,
    /// Memory is short: no more than a few segments are offered beyond what waits.
    pressed: bool,
}

impl ReceiveWindow {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            edge: SequenceNumber(0),
            bound: config.receive_start(),
            whole: config.receive_whole_segments,
            pressed: false,
            limit: u32::MAX,
            scale: if config.window_scaling { config.window_scale() } else { 0 },
            scaled: config.window_scaling,
        }
    }

    /// What a SYN or SYN-ACK offers.
    pub(crate) fn of_syn(&self) -> u16 {
        self.bound.min(UNSCALED_MAX) as u16
    }

    /// What a SYN-ACK offers that acknowledges all before `next`.
    pub(crate) fn left_of_syn(&self, next: SequenceNumber) -> u16 {
        self.size(next).min(UNSCALED_MAX) as u16
    }

    /// The shift that our SYN offers.
    pub(crate) fn scale(&self) -> u8 {
        self.scale
    }

    /// The peer's SYN is known: its first byte is `next`, and it scales windows or does not.
    pub(crate) fn start(&mut self, next: SequenceNumber, scaled: bool) {
        self.edge = next + u32::from(self.of_syn());
        self.scaled = scaled;
        if !scaled {
            self.scale = 0;
        }
    }

    /// Whether windows are scaled, as far as is known (RFC 7323 §2.2).
    pub(crate) fn is_scaled(&self) -> bool {
        self.scaled
    }

    /// RCV.WND as the peer may use it.
    pub(crate) fn size(&self, next: SequenceNumber) -> u32 {
        self.edge - next
    }

    pub(crate) fn edge(&self) -> SequenceNumber {
        self.edge
    }

    /// Bytes that may wait to be read.
    pub(crate) fn bound(&self) -> u32 {
        self.bound
    }

    /// Whether memory is short: what was promised still stands, but little more is.
    pub(crate) fn set_pressed(&mut self, pressed: bool) {
        self.pressed = pressed;
    }

    pub(crate) fn is_pressed(&self) -> bool {
        self.pressed
    }

    /// Another bound of what may wait: what was promised still stands.
    pub(crate) fn set_bound(&mut self, bytes: u32) {
        self.bound = bytes;
    }

    /// The peer's MSS is known: segments carry `mss` bytes.
    pub(crate) fn handle_mss(&mut self, mss: u32) {
        if self.whole {
            self.bound = self.bound.next_multiple_of(mss.max(1));
        }
    }

    pub(crate) fn set_limit(&mut self, bytes: u32) {
        self.limit = bytes;
    }

    /// Moves the edge as far as the buffer and the reader allow, if that is worth it, and returns SEG.WND.
    ///
    /// RFC 7323 §2.4: what is less than one step of the scale cannot be told, so that the edge that the peer
    /// sees may stand that much before the one that we honour.
    pub(crate) fn open(&mut self, next: SequenceNumber, waiting: usize, mss: u32) -> u16 {
        let target = self.target(waiting, mss);
        let step = if self.whole && target >= mss.min(self.bound / 4) { 1 } else { self.step(mss) };
        if self.gain(next, waiting, mss) >= step {
            self.edge = next + target;
        }
        (self.size(next) >> self.scale).min(UNSCALED_MAX) as u16
    }

    /// Whether the peer should be told of a larger window without being asked: where it has at least doubled.
    pub(crate) fn is_update_due(&self, next: SequenceNumber, waiting: usize, mss: u32) -> bool {
        let gain = self.gain(next, waiting, mss);
        gain >= self.step(mss) && gain >= self.size(next)
    }

    /// RFC 9293 §3.8.6.2.2: one segment, or half of a buffer that is smaller than two.
    fn step(&self, mss: u32) -> u32 {
        mss.min(self.bound / 2).max(1 << self.scale)
    }

    fn gain(&self, next: SequenceNumber, waiting: usize, mss: u32) -> u32 {
        self.target(waiting, mss).saturating_sub(self.size(next))
    }

    /// The window that could be offered now.
    fn target(&self, waiting: usize, mss: u32) -> u32 {
        let bound = if self.pressed { self.bound.min(PRESSED_SEGMENTS * mss) } else { self.bound };
        let free = bound.saturating_sub(waiting as u32);
        free.min(self.limit).min(UNSCALED_MAX << self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(bytes: u32, scale: u8) -> ReceiveWindow {
        let config = Config {
            receive_buffer_bytes: bytes,
            receive_start_bytes: bytes,
            window_scale_min: scale,
            ..Config::linux()
        };
        let mut window = ReceiveWindow::new(&config);
        window.start(SequenceNumber(0), true);
        window
    }

    #[test]
    fn the_edge_never_moves_back() {
        let mut window = window(100_000, 2);
        assert_eq!(window.of_syn(), 65_535);
        assert_eq!(window.open(SequenceNumber(0), 0, 1_000), 25_000);
        window.set_limit(10);
        // 40,000 bytes arrive and wait: what was promised still stands.
        assert_eq!(window.open(SequenceNumber(40_000), 40_000, 1_000), 15_000);
        assert_eq!(window.edge(), SequenceNumber(100_000));
    }

    #[test]
    fn it_opens_by_a_segment_or_not_at_all() {
        let mut window = window(100_000, 0);
        window.open(SequenceNumber(0), 0, 1_000);
        let full = SequenceNumber(100_000);
        assert_eq!(window.open(full, 100_000, 1_000), 0);
        assert_eq!(window.open(full, 99_001, 1_000), 0);
        assert!(!window.is_update_due(full, 99_001, 1_000));
        assert!(window.is_update_due(full, 99_000, 1_000));
        assert_eq!(window.open(full, 98_000, 1_000), 1_000);
    }

    #[test]
    fn the_limit_bounds_what_is_offered_beyond_what_waits() {
        let mut window = window(60_000, 0);
        window.set_limit(5_000);
        assert_eq!(window.open(SequenceNumber(0), 0, 1_000), 60_000);
        assert_eq!(window.open(SequenceNumber(58_000), 50_000, 1_000), 5_000);
    }
}
