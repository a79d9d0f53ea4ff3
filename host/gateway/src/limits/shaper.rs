//! One rate of bytes, shared by streams, which wait, and by datagrams, which are dropped.

use filter::{Bucket, Rate};
use time::Instant;

/// A rate lets streams go on this many times a second, ...
const WAKES_PER_SECOND: u64 = 100;

/// ... but for no fewer bytes than these, as far as its burst has them: a turn costs more than it is worth for less.
const QUANTUM_BYTES_MIN: u64 = 1_024;

/// More bytes than these are never waited for: what one read of the host's socket takes.
const QUANTUM_BYTES_MAX: u64 = 65_536;

/// A bucket of bytes, and who takes turns at it.
///
/// A datagram needs its own size in the bucket and a stream a [`quantum`](Self::new), so that datagrams that never end
/// would leave streams nothing: once they have had a quantum while a stream waits, it is the streams' turn.
#[derive(Debug)]
pub(super) struct Shaper {
    bucket: Bucket,
    quantum: u64,
    /// A stream waits for it.
    is_awaited: bool,
    /// What datagrams took since a stream had its turn, in bytes.
    datagram_bytes: u64,
}

impl Shaper {
    /// A full one.
    pub fn new(rate: Rate, burst: u64, now: Instant) -> Self {
        let per_second = rate.amount / rate.period.seconds();
        let quantum = (per_second / WAKES_PER_SECOND).clamp(QUANTUM_BYTES_MIN, QUANTUM_BYTES_MAX).min(burst);
        Self { bucket: Bucket::new(rate, burst, now), quantum, is_awaited: false, datagram_bytes: 0 }
    }

    /// How many bytes a stream may move now: none below a quantum.
    pub fn room(&mut self, now: Instant) -> u64 {
        let left = self.bucket.left(now);
        if left >= self.quantum { left } else { 0 }
    }

    /// A stream found no room.
    pub fn handle_waiting(&mut self) {
        self.is_awaited = true;
    }

    /// When there is room.
    pub fn ready_at(&mut self, now: Instant) -> Instant {
        // A rate is never zero, so that there is such a moment.
        self.bucket.ready_at(self.quantum, now).unwrap_or(Instant::MAX)
    }

    /// A stream moved bytes, of which there was [`room`](Self::room).
    pub fn take(&mut self, bytes: u64, now: Instant) {
        let was_there = self.bucket.take(bytes, now);
        debug_assert!(was_there, "a stream moves no more than there was room for");
        self.is_awaited = false;
        self.datagram_bytes = 0;
    }

    /// Whether a datagram may pass now.
    pub fn admits(&mut self, bytes: u64, now: Instant) -> bool {
        let is_streams_turn = self.is_awaited && self.datagram_bytes >= self.quantum;
        !is_streams_turn && self.bucket.ready_at(bytes, now) == Some(now)
    }

    /// A datagram passed that was [admitted](Self::admits).
    pub fn take_datagram(&mut self, bytes: u64, now: Instant) {
        let was_there = self.bucket.take(bytes, now);
        debug_assert!(was_there, "a datagram passes once it is admitted");
        self.datagram_bytes = self.datagram_bytes.saturating_add(bytes);
    }
}
