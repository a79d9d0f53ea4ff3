//! How large the receive buffer has to be: twice what the reader takes in a round trip, so that the sender is not held
//! back while its window doubles ("dynamic right-sizing": Fisk and Feng, 2001; Linux: tcp_rcv_space_adjust). A reader
//! who is slow, or a short path, keeps a small one.

use time::{Duration, Instant, SequenceNumber};

/// What a sender begins with, in segments (RFC 6928 §2): more than that in a round trip makes the buffer grow.
const SEGMENTS_FIRST: u32 = 10;
/// What is added to twice the reader's rate, in segments, so that small windows grow too.
const SEGMENTS_ADDED: u32 = 16;
/// The least round trip that is measured by: that of a clock of milliseconds (RFC 7323 §5.4).
const RTT_US_MIN: u32 = 1_000;

/// What is measured of a connection whose buffer may still grow.
#[derive(Debug)]
pub(crate) struct Tuning {
    /// Since when `read` counts.
    since: Instant,
    /// Bytes that the reader has taken since then.
    read: u32,
    /// The most that it took in a round trip.
    read_max: u32,
    /// The round trip, in microseconds; 0 where none was measured.
    rtt_us: u32,
    /// Without timestamps: behind the window as it was at `marked_at`. Data from there was sent after we told of it.
    mark: SequenceNumber,
    marked_at: Instant,
}

impl Tuning {
    /// The window ends at `edge`, and the peer's segments are of `mss` bytes.
    pub(crate) fn new(edge: SequenceNumber, mss: u32, now: Instant) -> Self {
        Self { since: now, read: 0, read_max: SEGMENTS_FIRST * mss, rtt_us: 0, mark: edge, marked_at: now }
    }

    /// Data has arrived up to `next`, with a window up to `edge`; `elapsed` is what its timestamp tells.
    pub(crate) fn handle_data(
        &mut self,
        next: SequenceNumber,
        edge: SequenceNumber,
        elapsed: Option<Duration>,
        now: Instant,
    ) {
        if let Some(elapsed) = elapsed {
            return self.sample(elapsed);
        }
        if next.at_or_after(self.mark) {
            self.sample(now - self.marked_at);
            self.mark = edge;
            self.marked_at = now;
        }
    }

    fn sample(&mut self, rtt: Duration) {
        let rtt_us = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX).max(RTT_US_MIN);
        self.rtt_us = match self.rtt_us {
            0 => rtt_us,
            // A sender that paused makes a round trip seem long; none seems shorter than it is.
            known if rtt_us < known => rtt_us,
            known => known + (rtt_us - known) / 8,
        };
    }

    /// The reader has taken `bytes`. Returns the buffer that it asks for, once a round trip, where that is more than
    /// before.
    pub(crate) fn handle_read(&mut self, bytes: u32, mss: u32, now: Instant) -> Option<u32> {
        self.read = self.read.saturating_add(bytes);
        if self.rtt_us == 0 || now - self.since < Duration::from_micros(self.rtt_us.into()) {
            return None;
        }
        let read = core::mem::take(&mut self.read);
        self.since = now;
        let before = u64::from(self.read_max.max(1));
        let read_wide = u64::from(read);
        if read_wide <= before {
            return None;
        }
        self.read_max = read;
        let needed = 2 * read_wide + u64::from(SEGMENTS_ADDED * mss);
        // As fast as it has grown since, it will grow until the sender has heard of the window.
        let growing = (2 * needed).saturating_mul(read_wide - before) / before;
        Some(u32::try_from(needed.saturating_add(growing)).unwrap_or(u32::MAX))
    }

    /// The round trip as it is estimated.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        (self.rtt_us > 0).then(|| Duration::from_micros(self.rtt_us.into()))
    }

    /// The most that the reader took in a round trip.
    pub(crate) fn read_max(&self) -> u32 {
        self.read_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_secs(7);

    fn at(ms: u64) -> Instant {
        START + Duration::from_millis(ms)
    }

    #[test]
    fn twice_what_is_read_in_a_round_trip_and_room_for_growth() {
        let mut tuning = Tuning::new(SequenceNumber(65_535), 1_000, START);
        let rtt = Some(Duration::from_millis(50));
        tuning.handle_data(SequenceNumber(1_000), SequenceNumber(65_535), rtt, at(50));
        assert_eq!(tuning.handle_read(20_000, 1_000, at(20)), None, "less than a round trip");
        // 30,000 in one: 76,000 for twice as much, and as it was three times as much as before, four times that more.
        assert_eq!(tuning.handle_read(10_000, 1_000, at(60)), Some(76_000 + 2 * 76_000 * 2));
        assert_eq!(tuning.handle_read(30_000, 1_000, at(110)), None, "no faster than before");
        assert_eq!((tuning.rtt(), tuning.read_max()), (rtt, 30_000));
    }

    #[test]
    fn a_peer_that_makes_a_round_trip_seem_an_hour_makes_nothing_overflow() {
        let mut tuning = Tuning::new(SequenceNumber(65_535), 1_000, START);
        let rtt = Some(Duration::from_secs(3_600));
        tuning.handle_data(SequenceNumber(1_000), SequenceNumber(65_535), rtt, at(50));
        assert_eq!(tuning.handle_read(u32::MAX, 1_000, at(60)), None);
        assert_eq!(tuning.handle_read(1, 1_000, START + Duration::from_secs(3_600)), Some(u32::MAX));
    }

    #[test]
    fn without_timestamps_a_window_is_a_round_trip() {
        let mut tuning = Tuning::new(SequenceNumber(1_000), 1_000, START);
        tuning.handle_data(SequenceNumber(900), SequenceNumber(1_900), None, at(30));
        assert_eq!(tuning.rtt(), None);
        tuning.handle_data(SequenceNumber(1_000), SequenceNumber(2_000), None, at(40));
        assert_eq!(tuning.rtt(), Some(Duration::from_millis(40)));
        tuning.handle_data(SequenceNumber(2_000), SequenceNumber(3_000), None, at(60));
        assert_eq!(tuning.rtt(), Some(Duration::from_millis(20)));
    }
}
