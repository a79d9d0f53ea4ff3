//! What an acknowledgement, or its absence, changes (RFC 9293 §3.10.7.4 fifth, RFC 5681, RFC 6298).

use super::SendHalf;
use crate::congestion::Ack;
use crate::loss::{Delivery, Selective};
use crate::sack::{BLOCKS_SENT_MAX, Block};
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
    /// Its SACK blocks.
    pub(crate) sack: [Option<Block>; BLOCKS_SENT_MAX],
}

/// What an acknowledgement brought, for those who judge by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    pub(super) number: SequenceNumber,
    /// By how much SND.UNA has moved.
    pub(super) acked: u32,
    /// What was outstanding before.
    pub(super) outstanding: u32,
    pub(super) delivery: Delivery,
    /// What came twice.
    pub(super) duplicate: Option<Block>,
    /// It is a duplicate acknowledgement (RFC 5681 §2).
    pub(super) repeats: bool,
    /// The age of the timestamp that it echoes.
    pub(super) elapsed: Option<Duration>,
}

impl News {
    /// No acknowledgement at all.
    pub(super) fn none(number: SequenceNumber, outstanding: u32) -> Self {
        Self {
            number,
            acked: 0,
            outstanding,
            delivery: Delivery::default(),
            duplicate: None,
            repeats: false,
            elapsed: None,
        }
    }
}

impl SendHalf {
    /// The ACK field, SACK blocks and window of an acceptable segment (RFC 9293 §3.10.7.4, fifth). Returns whether
    /// SND.UNA has advanced.
    pub(crate) fn handle_acknowledgement(&mut self, ack: Acknowledgement, now: Instant) -> bool {
        let window = self.scaled(ack.window);
        let advanced = ack.number.after(self.una);
        let mut news = News { elapsed: ack.elapsed, ..News::none(ack.number, self.outstanding()) };
        if advanced {
            news.acked = ack.number - self.una;
            self.advance(ack.number, &mut news.delivery);
        }
        let selective = Selective { number: ack.number, blocks: ack.sack };
        news.duplicate = self.loss.read(&selective, self.una, self.nxt, self.window_max, &mut news.delivery);
        news.repeats =
            ack.number == self.una && !advanced && ack.bare && news.outstanding > 0 && window == self.window;
        if advanced || news.repeats || news.duplicate.is_some() || news.delivery.bytes > 0 {
            self.digest(&news, now);
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

    /// SND.UNA moves.
    fn advance(&mut self, number: SequenceNumber, delivery: &mut Delivery) {
        self.retries = 0;
        self.note_delivered(number);
        self.una = number;
        self.nxt = self.nxt.later(self.una);
        self.small_end = self.small_end.later(self.una);
        self.path_mtu.handle_progress(self.una);
        self.loss.handle_progress(self.una);
        self.loss.scoreboard.acknowledge(self.una, delivery);
        let queued = (self.una.earlier(self.end()) - self.start) as usize;
        self.queue.advance(queued);
        self.start += queued as u32;
    }

    /// SND.UNA is about to move to `number`: whether the peer has a full segment by it.
    fn note_delivered(&mut self, number: SequenceNumber) {
        let size = self.mss + self.options;
        if self.mss_delivered < size {
            let from = self.una.later(self.small_end);
            if from.before(number) && number - from >= self.mss() {
                self.mss_delivered = size;
            }
        }
    }

    fn digest(&mut self, news: &News, now: Instant) {
        let rtt = self.measure(news, now);
        let least = self.min_rtt.value().unwrap_or(Duration::ZERO);
        // Without SACK a duplicate is taken for a segment that arrived.
        let mss = self.mss();
        let ahead = if news.repeats && !self.loss.is_selective() { mss } else { news.delivery.sacked };
        if ahead > 0
            && let Some(rates) = &mut self.delivery_rate
        {
            rates.handle_ahead(ahead, news.outstanding.saturating_sub(mss), now);
        }
        if news.acked > 0 {
            // After a timeout what the peer held already is acknowledged at once, and says nothing of the path now.
            let acked_bytes = if self.loss.is_open() { news.acked } else { news.delivery.bytes };
            let rates = self.delivery_rate.as_mut();
            let rate = rates.and_then(|rates| rates.handle_ack(self.una, news.acked, least, now));
            self.congestion.handle_ack(&Ack {
                acked_bytes,
                flight_before: news.outstanding,
                mss,
                una: self.una,
                nxt: self.nxt,
                rtt,
                smoothed_rtt: self.rtt.smoothed(),
                min_rtt: self.min_rtt.value(),
                application_limited: self.una.after(self.limited_until)
                    && news.outstanding.saturating_add(mss) < self.congestion.window(),
                rate,
                now,
            });
            self.limited_until = self.limited_until.later(self.una);
        }
        self.judge(news, now);
        self.set_pace();
    }

    /// The pace follows the window and the round trip.
    pub(super) fn set_pace(&mut self) {
        let needed = self.pacing || self.congestion.asks_for_rates();
        let rate = if needed { self.congestion.pacing_rate(self.rtt.smoothed()) } else { None };
        self.pacer.set_rate(rate, self.min_rtt.value());
    }

    /// The round trip that an acknowledgement tells, if it tells one.
    fn measure(&mut self, news: &News, now: Instant) -> Option<Duration> {
        let delivery = &news.delivery;
        let first = delivery.acknowledged_sent_at.filter(|_| !delivery.ambiguous);
        let exact = match (first, news.acked) {
            (Some(at), _) => Some(now - at),
            (None, 0) => delivery.newest_original.map(|sent| now - sent.at),
            // Only a timestamp can tell which transmission is acknowledged (RFC 7323 §4, RFC 6298 §3: Karn).
            (None, _) => None,
        };
        let rtt = exact.or(news.elapsed.filter(|_| news.acked > 0))?;
        self.min_rtt.sample(rtt, now);
        // RFC 6298 §3: one measurement a round trip is enough, and more would make its variation seem small.
        if news.acked > 0 && self.una.after(self.round_end) {
            match self.loss.undo.take_estimate(now - rtt) {
                Some(before) => self.rtt.adapt(before, rtt),
                None => self.rtt.sample(rtt),
            }
            self.round_end = self.nxt;
        }
        Some(rtt)
    }

    /// A peer that answers probes, though with a closed window, is alive (RFC 9293 §3.8.6.1).
    pub(crate) fn handle_answer(&mut self) {
        if !self.is_awaiting() {
            self.retries = 0;
        }
    }
}
