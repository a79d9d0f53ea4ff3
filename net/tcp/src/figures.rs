//! What is counted of a connection for whoever asks how it fares: [`Info`](crate::Info). When data last arrived, and what has left more
//! than once, is asked here by who decides as well.

use alloc::boxed::Box;
use time::{Duration, Instant};

/// The clock of what limits the sender, in microseconds to a tick: 32 bits of it last 19 hours, and what is longer
/// is told as that.
const TICK_US: u64 = 16;

#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) bytes_acked: u64,
    pub(crate) bytes_received: u64,
    /// What only a path that loses or reorders makes count.
    rare: Option<Box<Rare>>,
    pub(crate) segments_in: u32,
    pub(crate) segments_out: u32,
    pub(crate) data_segments_in: u32,
    pub(crate) data_segments_out: u32,
    /// When data last arrived, or the handshake ended, in milliseconds modulo 2^32.
    data_heard_ms: u32,
    /// Ticks spent, by what limited the sender.
    spent: [u32; 3],
    /// The tick since which `limit` is what limits it.
    since: u32,
    limit: Limit,
}

/// Of what few connections have any.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rare {
    pub(crate) bytes_repeated: u64,
    pub(crate) segments_repeated: u32,
    pub(crate) segments_out_of_order: u32,
    /// Our segments that the peer has told to have arrived marked, and those of its own that have.
    pub(crate) segments_marked: u32,
    pub(crate) segments_marked_received: u32,
    pub(crate) timeouts: u32,
    /// Timeouts that followed progress, and how long it took until there was some again, in milliseconds.
    pub(crate) standstills: u32,
    pub(crate) standstill_ms: u32,
    /// Since when nothing goes on, in milliseconds modulo 2^32.
    still_since_ms: Option<u32>,
}

/// What keeps the sender from sending more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Nothing is to be sent or waits for its acknowledgement.
    #[default]
    Idle,
    /// The network, or the writer.
    Busy,
    /// The peer's window.
    Window,
    /// The send buffer: all that it holds is out, and the writer waits for room.
    Buffer,
}

impl Figures {
    /// A segment arrives, which a device may have `joined` of several.
    pub(crate) fn handle_arrival(&mut self, joined: u16, data: bool) {
        self.segments_in = self.segments_in.wrapping_add(joined.into());
        if data {
            self.data_segments_in = self.data_segments_in.wrapping_add(joined.into());
        }
    }

    /// Data arrives that is acceptable.
    pub(crate) fn handle_data(&mut self, now: Instant) {
        self.data_heard_ms = now.as_millis() as u32;
    }

    /// A segment leaves, which a device may cut into pieces of `size`.
    pub(crate) fn handle_departure(&mut self, payload: usize, size: Option<u16>) {
        let segments = size.map_or(1, |size| (payload as u32).div_ceil(size.max(1).into()));
        self.segments_out = self.segments_out.wrapping_add(segments);
        if payload > 0 {
            self.data_segments_out = self.data_segments_out.wrapping_add(segments);
        }
    }

    /// `bytes` leave again, in `segments`.
    pub(crate) fn handle_repeated(&mut self, bytes: u32, segments: u32) {
        let rare = self.rare.get_or_insert_default();
        rare.bytes_repeated += u64::from(bytes);
        rare.segments_repeated = rare.segments_repeated.wrapping_add(segments);
    }

    /// Segments arrive beyond a gap.
    pub(crate) fn handle_out_of_order(&mut self, joined: u16) {
        let rare = self.rare.get_or_insert_default();
        rare.segments_out_of_order = rare.segments_out_of_order.wrapping_add(joined.into());
    }

    /// Marked segments: `told` of ours by the peer, and `received` from it.
    pub(crate) fn handle_marks(&mut self, told: u32, received: u16) {
        if told > 0 || received > 0 {
            let rare = self.rare.get_or_insert_default();
            rare.segments_marked = rare.segments_marked.wrapping_add(told);
            rare.segments_marked_received = rare.segments_marked_received.wrapping_add(received.into());
        }
    }

    /// The retransmission timer goes off, the `first` time since there was progress, or once more.
    pub(crate) fn handle_timeout(&mut self, first: bool, now: Instant) {
        let rare = self.rare.get_or_insert_default();
        rare.timeouts = rare.timeouts.wrapping_add(1);
        if first {
            rare.standstills = rare.standstills.wrapping_add(1);
            rare.still_since_ms = Some(now.as_millis() as u32);
        }
    }

    /// The peer has acknowledged something new.
    pub(crate) fn handle_progress(&mut self, now: Instant) {
        if let Some(rare) = &mut self.rare
            && let Some(since) = rare.still_since_ms.take()
        {
            rare.standstill_ms =
                rare.standstill_ms.wrapping_add((now.as_millis() as u32).wrapping_sub(since));
        }
    }

    pub(crate) fn rare(&self) -> Rare {
        self.rare.as_deref().copied().unwrap_or_default()
    }

    /// Since when no data has arrived.
    pub(crate) fn data_heard_ago(&self, now: Instant) -> Duration {
        Duration::from_millis((now.as_millis() as u32).wrapping_sub(self.data_heard_ms).into())
    }

    /// What limits the sender from now on.
    pub(crate) fn set_limit(&mut self, limit: Limit, now: Instant) {
        if limit == self.limit {
            return;
        }
        let tick = tick(now);
        if let Some(spent) = (self.limit as usize).checked_sub(1).and_then(|at| self.spent.get_mut(at)) {
            *spent = spent.saturating_add(tick.wrapping_sub(self.since));
        }
        self.since = tick;
        self.limit = limit;
    }

    /// How long the sender was limited so.
    pub(crate) fn time_limited(&self, limit: Limit, now: Instant) -> Duration {
        let Some(spent) = (limit as usize).checked_sub(1).and_then(|at| self.spent.get(at)) else {
            return Duration::ZERO;
        };
        let current = if limit == self.limit { tick(now).wrapping_sub(self.since) } else { 0 };
        Duration::from_micros(u64::from(spent.saturating_add(current)) * TICK_US)
    }
}

fn tick(now: Instant) -> u32 {
    (now.as_micros() / TICK_US) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_by_what_limits_the_sender() {
        let mut figures = Figures::default();
        let at = |ms: u64| Instant::from_millis(7_000 + ms);
        figures.set_limit(Limit::Busy, at(0));
        figures.set_limit(Limit::Window, at(100));
        figures.set_limit(Limit::Busy, at(400));
        figures.set_limit(Limit::Idle, at(450));
        let spent = |limit| figures.time_limited(limit, at(9_000)).as_millis();
        assert_eq!((spent(Limit::Busy), spent(Limit::Window), spent(Limit::Buffer)), (150, 300, 0));
        figures.set_limit(Limit::Buffer, at(9_000));
        assert_eq!(figures.time_limited(Limit::Buffer, at(9_064)).as_millis(), 64);
    }
}
