//! What may leave now, and how much of it at once: the usable window (RFC 9293 §3.8.6), silly-window avoidance
//! (§3.8.6.2.1), Nagle (§3.7.4), and segments large enough to be cut by the device.

use super::SendHalf;
use crate::loss::Mode;
use crate::{Config, Path};
use packet::Chain;
use time::{Instant, SequenceNumber};

/// A part of the stream that leaves.
#[derive(Debug)]
pub(crate) struct Departing {
    pub(crate) sequence: SequenceNumber,
    pub(crate) payload: Chain,
    pub(crate) fin: bool,
    /// The peer is not to wait for what follows: nothing does that was written, or not now.
    pub(crate) push: bool,
    /// The retransmission timer begins anew with it.
    pub(crate) anew: bool,
    /// It leaves in one piece, though it is larger than other segments: a probe of the path (RFC 4821 §7.4).
    pub(crate) whole: bool,
    /// No part of it has left before.
    pub(crate) fresh: bool,
}

impl SendHalf {
    /// The next part of the stream that leaves, if any may.
    pub(crate) fn next_departure(&mut self, path: Path, config: &Config, now: Instant) -> Option<Departing> {
        let departing = self.next_part(path, config, now);
        self.bursting = departing.is_some();
        departing
    }

    fn next_part(&mut self, path: Path, config: &Config, now: Instant) -> Option<Departing> {
        self.held_back = false;
        if self.has_nothing() {
            return None;
        }
        if let Some(departing) = self.next_repair(path, now) {
            return Some(departing);
        }
        if self.held_back {
            return None;
        }
        if core::mem::take(&mut self.probe) && self.is_stalled() {
            return Some(self.probe_window());
        }
        if self.loss.scoreboard.is_full() {
            return None;
        }
        let restarts = config.slow_start_after_idle || self.congestion.asks_for_rates();
        if restarts && self.has_idled(config, now) {
            let timeout = self.rtt.timeout(config);
            self.congestion.restart(config, self.mss(), now - self.sent_at, timeout);
            self.set_pace();
        }
        let left = self.bytes_left()?;
        let usable = self.usable();
        self.note_limit(left, usable, path);
        let count = if left == 0 { 0 } else { self.choose(left, usable, path, config)? };
        let fin = self.fin && count == left && usable > count;
        if count == 0 && !fin {
            return None;
        }
        self.held_back = count > 0 && self.pacer.waits_until(now).is_some();
        if self.held_back {
            return None;
        }
        let probe = self.path_probe(left, usable, config, now);
        let count = probe.unwrap_or(count);
        let fin = fin && probe.is_none();
        let sequence = self.nxt;
        let fresh = sequence == self.max;
        let follows = config.push_bursts && self.bursting;
        let payload = self.queue.slice((sequence - self.start) as usize, count as usize);
        self.depart(&payload, fin, now);
        let push = count == left || (follows && self.is_burst_over(usable - count, now));
        if let Some(count) = probe {
            self.path_mtu.handle_sent(sequence, self.nxt, count as u16 + self.options);
        }
        Some(Departing { sequence, payload, fin, push, anew: false, whole: probe.is_some(), fresh })
    }

    /// Whether nothing waits, nothing is in flight, and nothing is asked: so it is with all who only receive.
    fn has_nothing(&self) -> bool {
        self.una == self.max && self.una == self.end() && !self.fin && !self.probe
    }

    /// The payload of a segment that tries a larger size, where one may leave now: not while anything hints at a loss,
    /// whose repair it would disturb (RFC 4821 §7.4).
    fn path_probe(&self, left: u32, usable: u32, config: &Config, now: Instant) -> Option<u32> {
        let size = self.path_mtu.probe_size(left, usable, (self.mss(), self.options), config, now)?;
        (self.loss.is_quiet() && self.nxt == self.max).then(|| u32::from(size - self.options))
    }

    /// Whether the segments that have just left are the last for now: the windows take no other one, or the pace holds
    /// it back.
    ///
    /// RFC 9293 §3.9.1.2: PSH is set at the end of what is written; a sender may set it earlier, and does so where
    /// several segments leave at once, so that who joins them does not wait for more. As Linux.
    fn is_burst_over(&self, usable: u32, now: Instant) -> bool {
        usable < self.mss() || self.pacer.waits_until(now).is_some()
    }

    /// Bytes behind SND.NXT; `None` where the FIN has left too.
    pub(super) fn bytes_left(&self) -> Option<u32> {
        let end = self.end();
        (self.nxt.at_or_before(end)).then(|| end - self.nxt)
    }

    /// What peer and network still take (RFC 5681 §3.1).
    pub(crate) fn usable(&self) -> u32 {
        self.quota().min(self.window.saturating_sub(self.outstanding()))
    }

    /// What the network still takes.
    pub(super) fn quota(&self) -> u32 {
        match self.loss.mode() {
            Mode::Recovery(prr) | Mode::Reduced(prr) => prr.quota(),
            Mode::Open | Mode::NewReno | Mode::Timeout(_) => self.allowed().saturating_sub(self.flight()),
        }
    }

    /// What may be in flight at most, outside of fast recovery with SACK.
    fn allowed(&self) -> u32 {
        // RFC 3042 §2: one segment beyond the window for each of the first two duplicates.
        let window = self.inflation.apply(self.congestion.window());
        window.saturating_add(self.loss.segments_allowed() * self.mss())
    }

    /// Notes where the congestion window, and neither writer nor peer, is what keeps the `usable` bytes below a large
    /// segment, of `left` that wait: the acknowledgements of what is in flight now may enlarge it (RFC 7661 §4.4).
    fn note_limit(&mut self, left: u32, usable: u32, path: Path) {
        let large = path.offload_bytes_max.max(self.mss());
        if usable < left.min(large) && self.congestion.window() < self.window {
            self.limited_until = self.nxt;
        }
        if left < self.mss()
            && usable > left
            && let Some(rates) = &mut self.delivery_rate
        {
            rates.note_limit(self.nxt - self.una);
        }
    }

    /// Until when something that may leave is held back for the sake of the pace, as was found just now.
    pub(crate) fn paced_until(&self, now: Instant) -> Option<Instant> {
        self.pacer.waits_until(now).filter(|_| self.held_back)
    }

    /// How many of `left` bytes leave as one segment; `None` where they wait.
    fn choose(&self, left: u32, usable: u32, path: Path, config: &Config) -> Option<u32> {
        let mss = self.mss();
        let large = (path.offload_bytes_max.min(self.pacer.quantum(mss)) / mss).max(1) * mss;
        let whole = left.min(usable).min(large) / mss * mss;
        if whole == 0 {
            return self.choose_small(left, usable, config);
        }
        if whole < large
            && left - whole < mss
            && left <= usable
            && self.may_leave_small(config)
            && large > mss
        {
            // The last bytes of a write ride with the segments before them.
            return Some(left);
        }
        if self.is_worth_waiting(left, usable, large) {
            return None;
        }
        Some(whole)
    }

    /// Less than a full segment.
    fn choose_small(&self, left: u32, usable: u32, config: &Config) -> Option<u32> {
        let count = left.min(usable);
        let leaves = count > 0
            && (self.nxt.before(self.max)
                || self.urge
                || (count == left && self.may_leave_small(config))
                // RFC 9293 §3.8.6.2.1 (3): Fs = 1/2.
                || (count >= self.window_max / 2 && !config.cork));
        leaves.then_some(count)
    }

    /// Whether a small segment may leave that empties the queue.
    ///
    /// DEVIATES RFC 9293 §3.7.4: only a small segment in flight holds back another (Minshall's variant, as
    /// Linux). So the end of a large write never waits for the acknowledgement of its beginning.
    fn may_leave_small(&self, config: &Config) -> bool {
        // What is corked waits for company, but for no more than the persist timer allows.
        self.fin || (!config.cork && (!config.nagle || self.small_end.at_or_before(self.una)))
    }

    /// Whether acknowledgements that are on their way will soon allow a segment that is much larger: each costs
    /// the device and the peer about the same, whatever its size. A third of the window is never held back, so
    /// that the peer is never left without two segments to acknowledge.
    fn is_worth_waiting(&self, left: u32, usable: u32, large: u32) -> bool {
        large > self.mss()
            && left > usable
            && usable < large
            && usable < self.allowed().min(self.window) / 3
            && self.flight() > 0
            && self.loss.is_quiet()
    }

    /// RFC 5681 §4.1: no data was sent for longer than RTO.
    fn has_idled(&self, config: &Config, now: Instant) -> bool {
        self.outstanding() == 0 && self.nxt == self.max && now - self.sent_at > self.rtt.timeout(config)
    }

    /// One octet of what waits, or the FIN (RFC 9293 §3.8.6.1).
    fn probe_window(&mut self) -> Departing {
        let payload = self.queue.slice((self.una - self.start) as usize, 1);
        self.max = self.max.later(self.una + 1);
        Departing {
            sequence: self.una,
            fin: payload.is_empty(),
            payload,
            push: false,
            anew: false,
            whole: false,
            fresh: false,
        }
    }
}
