//! Pacing: what the window allows leaves spread over the round trip, a quantum at a time, rather than as one burst
//! that overflows the first small queue (RFC 9438 §5.8 and RFC 9406 §4.3 ask for it; no RFC says how).
//!
//! ```text
//!   |=quantum=|.......|=quantum=|.......|=quantum=|
//!             ^ next_at: the wheel wakes the connection
//! ```
//!
//! Where a round trip is about as short as the wheel's tick, nothing is paced: a tick's wait would cost more than the
//! burst does.

use time::{Duration, Instant};

/// The least round trip with pacing: 8 ticks of the wheel.
const RTT_MIN: Duration = Duration::from_millis(1);
/// What a quantum takes at the rate, but two segments at least and one large one at most (Linux: tcp_tso_autosize).
const QUANTUM_SPAN_MS: u64 = 1;
const QUANTUM_SEGMENTS_MIN: u32 = 2;
const QUANTUM_BYTES_MAX: u32 = 64 << 10;
/// How late a departure may be for the next not to be later too: what the wheel and its owner take.
const LATENESS_MAX: Duration = Duration::from_millis(1);

/// When the next data may leave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pacer {
    next_at: Instant,
    /// Bytes a second; 0 where nothing is paced.
    rate: u64,
    /// Bytes that leave at once after the handshake (Linux: the first ten segments).
    free_bytes: u32,
}

impl Pacer {
    pub(crate) const fn new() -> Self {
        Self { next_at: Instant::ZERO, rate: 0, free_bytes: 0 }
    }

    /// The handshake is over: the initial window is not paced.
    pub(crate) fn start(&mut self, window: u32) {
        self.free_bytes = window;
    }

    /// The rate from now on; without one, or on a path that is too short, none.
    pub(crate) fn set_rate(&mut self, rate: Option<u64>, min_rtt: Option<Duration>) {
        let long = min_rtt.is_some_and(|rtt| rtt >= RTT_MIN);
        self.rate = rate.filter(|_| long).unwrap_or(0);
    }

    /// Bytes a second, where anything is paced.
    pub(crate) fn rate(&self) -> Option<u64> {
        (self.rate > 0).then_some(self.rate)
    }

    /// Until when data has to wait, where it has to.
    pub(crate) fn waits_until(&self, now: Instant) -> Option<Instant> {
        (self.rate > 0 && self.free_bytes == 0 && self.next_at > now).then_some(self.next_at)
    }

    /// The most that leaves at once.
    pub(crate) fn quantum(&self, mss: u32) -> u32 {
        if self.rate == 0 { u32::MAX } else { quantum(self.rate, mss) }
    }

    /// `bytes` leave.
    pub(crate) fn handle_sent(&mut self, bytes: u32, now: Instant) {
        if self.rate == 0 {
            return;
        }
        if self.free_bytes > 0 {
            self.free_bytes = self.free_bytes.saturating_sub(bytes);
            self.next_at = now;
            return;
        }
        let span = Duration::from_nanos(u64::from(bytes) * 1_000_000_000 / self.rate);
        self.next_at = self.next_at.max(now - LATENESS_MAX) + span;
    }
}

/// What leaves at once at a rate, in bytes.
pub(crate) fn quantum(rate: u64, mss: u32) -> u32 {
    let bytes = u32::try_from(rate / 1_000 * QUANTUM_SPAN_MS).unwrap_or(u32::MAX);
    bytes.min(QUANTUM_BYTES_MAX).max(QUANTUM_SEGMENTS_MIN * mss)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_secs(9);
    const LONG: Option<Duration> = Some(Duration::from_millis(20));

    #[test]
    fn bytes_leave_at_the_rate() {
        let mut pacer = Pacer::new();
        pacer.set_rate(Some(1_000_000), LONG);
        pacer.handle_sent(3_000, NOW);
        // A millisecond of credit for being late, at first.
        assert_eq!(pacer.waits_until(NOW), Some(NOW + Duration::from_millis(2)));
        let next = NOW + Duration::from_millis(2);
        assert_eq!(pacer.waits_until(next), None);
        // 400 µs late: the next is not late too.
        pacer.handle_sent(5_000, next + Duration::from_micros(400));
        assert_eq!(pacer.waits_until(next), Some(NOW + Duration::from_millis(7)));
        // 100 ms late: no burst makes up for it.
        let late = NOW + Duration::from_millis(107);
        pacer.handle_sent(5_000, late);
        assert_eq!(pacer.waits_until(late), Some(late + Duration::from_millis(4)));
    }

    #[test]
    fn a_quantum_is_a_millisecond_and_two_segments_at_least() {
        let mut pacer = Pacer::new();
        assert_eq!(pacer.quantum(1_448), u32::MAX);
        for (rate, bytes) in [(1_000, 2_896), (1_250_000, 2_896), (12_500_000, 12_500), (1 << 40, 65_536)] {
            pacer.set_rate(Some(rate), LONG);
            assert_eq!(pacer.quantum(1_448), bytes);
        }
    }

    #[test]
    fn a_short_path_and_the_initial_window_are_not_paced() {
        let mut pacer = Pacer::new();
        pacer.set_rate(Some(1_000), Some(Duration::from_micros(999)));
        pacer.handle_sent(60_000, NOW);
        assert_eq!(pacer.waits_until(NOW), None);
        pacer.start(10_000);
        pacer.set_rate(Some(1_000_000), LONG);
        pacer.handle_sent(10_000, NOW);
        assert_eq!(pacer.waits_until(NOW), None);
        pacer.handle_sent(10_000, NOW);
        assert!(pacer.waits_until(NOW).is_some());
    }
}
