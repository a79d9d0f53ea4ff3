//! What an acknowledgement, or its absence, changes (RFC 9293 §3.10.7.4 fifth, RFC 5681, RFC 6298, RFC 6582).

use super::SendHalf;
use crate::congestion::Ack;
use crate::loss::{Duplicate, Progress};
use time::{Duration, Instant, SequenceNumber};

/// What an acceptable segment says to the send half.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledgement {
    pub(crate) sequence: SequenceNumber,
    pub(crate) number: SequenceNumber,
    /// SEG.WND, unscaled.
    pub(crate) window: u16,
    /// Nothing but an acknowledgement: only such a one can be a duplicate (RFC 5681 §2).
    pub(crate) bare: bool,
    /// The round trip that its timestamp tells.
    pub(crate) elapsed: Option<Duration>,
}

impl SendHalf {
    /// The ACK field and window of an acceptable segment (RFC 9293 §3.10.7.4, fifth). Returns whether SND.UNA
    /// has advanced.
    pub(crate) fn handle_acknowledgement(&mut self, ack: Acknowledgement, now: Instant) -> bool {
        let window = self.scaled(ack.window);
        let advanced = ack.number.after(self.una);
        if advanced {
            self.advance(ack, now);
        } else if ack.number == self.una && ack.bare && self.flight() > 0 && window == self.window {
            self.handle_duplicate(now);
        }

        // DEVIATES RFC 9293 §3.10.7.4, fifth (WL1 and WL2 alone decide): what acknowledges more is newer than
        // all before, though it be a repeated segment with an old number; its window must count, or the old
        // one would seem to have moved on with SND.UNA.
        let newer = advanced
            || self.window_sequence.before(ack.sequence)
            || (self.window_sequence == ack.sequence && self.window_acknowledgement.at_or_before(ack.number));
        if newer && ack.number.at_or_after(self.una) {
            if self.window == 0 && window > 0 {
                self.probe = false;
                self.rtt.settle();
            }
            self.set_window(ack, window);
        }
        advanced
    }

    pub(super) fn set_window(&mut self, ack: Acknowledgement, window: u32) {
        self.window = window;
        self.window_max = self.window_max.max(window);
        self.window_sequence = ack.sequence;
        self.window_acknowledgement = ack.number;
    }

    fn advance(&mut self, ack: Acknowledgement, now: Instant) {
        let flight = self.flight();
        let acked = ack.number - self.una;
        let rtt = self.measure(ack, now);
        self.retries = 0;
        self.una = ack.number;
        self.nxt = self.nxt.later(self.una);
        self.small_end = self.small_end.later(self.una);
        let queued = (self.una.earlier(self.end()) - self.start) as usize;
        self.queue.advance(queued);
        self.start += queued as u32;
        let mss = self.mss();
        let least = self.min_rtt.value().unwrap_or(Duration::ZERO);
        let rates = self.delivery_rate.as_mut();
        let rate = rates.and_then(|rates| rates.handle_ack(self.una, acked, least, now));
        self.congestion.handle_ack(&Ack {
            acked_bytes: acked,
            flight_before: flight,
            mss,
            una: self.una,
            nxt: self.nxt,
            rtt,
            smoothed_rtt: self.rtt.smoothed(),
            min_rtt: self.min_rtt.value(),
            application_limited: self.una.after(self.limited_until)
                && flight.saturating_add(mss) < self.congestion.window(),
            rate,
            now,
        });
        self.limited_until = self.limited_until.later(self.una);
        match self.loss.handle_progress(self.una) {
            Progress::Normal => {}
            Progress::Partial => {
                self.timed = None;
                self.inflation.deflate(acked, mss);
            }
            Progress::Recovered => {
                self.inflation.stop();
                self.congestion.leave_recovery();
                self.congestion.limit_burst(self.flight(), mss);
            }
        }
        self.set_pace();
    }

    /// The pace follows the window and the round trip.
    pub(super) fn set_pace(&mut self) {
        let needed = self.pacing || self.congestion.asks_for_rates();
        let rate = if needed { self.congestion.pacing_rate(self.rtt.smoothed()) } else { None };
        self.pacer.set_rate(rate, self.min_rtt.value());
    }

    /// The round trip that an acknowledgement tells, if it tells one.
    fn measure(&mut self, ack: Acknowledgement, now: Instant) -> Option<Duration> {
        match self.timed {
            Some((number, at)) if ack.number.after(number) => {
                self.timed = None;
                self.sample(now - at, now);
                Some(now - at)
            }
            // RTO has its one measurement a round trip (RFC 6298 §3); the congestion window takes what more there is.
            Some(_) => ack.elapsed,
            // Something was repeated: only a timestamp can tell which one is acknowledged (RFC 7323 §4).
            None => {
                if let Some(elapsed) = ack.elapsed {
                    self.sample(elapsed, now);
                }
                ack.elapsed
            }
        }
    }

    pub(super) fn sample(&mut self, rtt: Duration, now: Instant) {
        self.rtt.sample(rtt);
        self.min_rtt.sample(rtt, now);
    }

    fn handle_duplicate(&mut self, now: Instant) {
        let (mss, flight) = (self.mss(), self.flight());
        if let Some(rates) = &mut self.delivery_rate {
            rates.handle_ahead(mss, flight.saturating_sub(mss), now);
        }
        match self.loss.handle_duplicate(self.una, self.max) {
            Duplicate::Waiting => {}
            Duplicate::Lost => {
                self.timed = None;
                self.congestion.enter_recovery(self.flight(), self.mss(), now);
                self.inflation.start(self.congestion.threshold(), self.mss());
            }
            Duplicate::Left => self.inflation.inflate(self.mss()),
        }
    }

    /// A peer that answers probes, though with a closed window, is alive (RFC 9293 §3.8.6.1).
    pub(crate) fn handle_answer(&mut self) {
        if self.flight() == 0 {
            self.retries = 0;
        }
    }

    /// What is in flight is known to be lost, though not by congestion.
    pub(crate) fn repeat_flight(&mut self) {
        self.timed = None;
        self.inflation.stop();
        self.congestion.leave_recovery();
        self.forget_departures();
        let _ = self.loss.handle_timeout(self.max);
        self.nxt = self.una;
    }

    /// The retransmission timer went off (RFC 6298 §5.4 to §5.6, RFC 5681 §3.1).
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let flight = self.flight();
        self.handle_silence();
        self.timed = None;
        let first = self.loss.handle_timeout(self.max);
        self.inflation.stop();
        self.forget_departures();
        self.congestion.collapse(flight, self.mss(), first, now);
        self.nxt = self.una;
    }

    /// All that is in flight is to leave again.
    fn forget_departures(&mut self) {
        if let Some(rates) = &mut self.delivery_rate {
            rates.forget();
        }
    }
}
