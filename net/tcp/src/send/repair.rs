//! What leaves again: lost segments as the window allows (RFC 6675 §5), and the probe of a silent tail (RFC 8985 §7.3).

use super::{Departing, SendHalf};
use crate::Path;
use crate::loss::Mode;
use time::{Instant, SequenceNumber};

impl SendHalf {
    /// The next segment that leaves again, or in the place of one that might.
    pub(super) fn next_repair(&mut self, path: Path, now: Instant) -> Option<Departing> {
        if self.loss.tail_probe.take_due()
            && self.loss.is_open()
            && let Some(departing) = self.probe_tail(now)
        {
            return Some(departing);
        }
        if self.loss.scoreboard.lost() == 0 || self.prefers_news() {
            return None;
        }
        let (start, end) = self.loss.scoreboard.next_lost()?;
        let (count, fin) = self.choose_repair(start, end, path)?;
        self.held_back = !self.loss.is_urgent() && self.pacer.waits_until(now).is_some();
        if self.held_back {
            return None;
        }
        self.loss.set_urgent(false);
        Some(self.repeat(start, count, fin, now))
    }

    /// RFC 5682 §2.1, step 2b: whether something new leaves before what seems to be lost.
    fn prefers_news(&self) -> bool {
        matches!(self.loss.mode(), Mode::Timeout(forward) if forward.prefers_news())
            && self.bytes_left().is_some_and(|left| left > 0)
            && self.window > self.outstanding()
    }

    /// How many of the lost bytes `start .. end` leave as one segment, and whether the FIN with them.
    fn choose_repair(&self, start: SequenceNumber, end: SequenceNumber, path: Path) -> Option<(u32, bool)> {
        let mss = self.mss();
        let bytes = end.earlier(self.end()) - start;
        let edge = self.una + self.window;
        // The peer may have taken back what it offered.
        let offered = if edge.after(start) { edge - start } else { 0 };
        let large = (path.offload_bytes_max.min(self.pacer.quantum(mss)) / mss).max(1) * mss;
        let mut count = bytes.min(self.quota()).min(offered).min(large);
        if count < bytes {
            count -= count % mss;
        }
        if count == 0 && self.loss.is_urgent() {
            count = bytes.min(offered).min(mss);
        }
        let fin = end.after(self.end()) && count == bytes && offered > count;
        (count > 0 || fin).then_some((count, fin))
    }

    /// `count` bytes from `start` on leave again.
    fn repeat(&mut self, start: SequenceNumber, count: u32, fin: bool, now: Instant) -> Departing {
        let end = start + count + u32::from(fin);
        let payload = self.queue.slice((start - self.start) as usize, count as usize);
        self.loss.scoreboard.send_again(start, end, now);
        self.loss.undo.handle_repeated(end - start, now);
        if let Some(prr) = self.loss.prr() {
            prr.handle_sent(count);
        }
        if let Some(rates) = &mut self.delivery_rate {
            rates.handle_repeated(start, now);
        }
        self.pacer.handle_sent(count, now);
        self.sent_at = now;
        let push = count > 0 && start + count == self.end();
        // The first segment of all is what the timer waits for: it has its full time again.
        Departing { sequence: start, payload, fin, push, anew: start == self.una, whole: false, fresh: false }
    }

    /// TLP_send_probe: something new, or else the last segment once more (RFC 8985 §7.3). It leaves whatever the
    /// congestion window says.
    fn probe_tail(&mut self, now: Instant) -> Option<Departing> {
        let mss = self.mss();
        let left = self.bytes_left().unwrap_or(0);
        let fresh = left.min(mss);
        if fresh > 0 && self.window.saturating_sub(self.outstanding()) >= fresh {
            let sequence = self.nxt;
            let unsent = sequence == self.max;
            let payload = self.queue.slice((sequence - self.start) as usize, fresh as usize);
            self.depart(&payload, false, now);
            self.loss.tail_probe.handle_sent(self.nxt, false);
            return Some(Departing {
                sequence,
                payload,
                fin: false,
                push: fresh == left,
                anew: true,
                whole: false,
                fresh: unsent,
            });
        }
        let fin = self.nxt.after(self.end());
        let (start, end) = self.loss.scoreboard.last_flying(mss + u32::from(fin))?;
        let departing = self.repeat(start, end.earlier(self.end()) - start, fin, now);
        self.loss.tail_probe.handle_sent(self.nxt, true);
        Some(Departing { anew: true, ..departing })
    }
}
