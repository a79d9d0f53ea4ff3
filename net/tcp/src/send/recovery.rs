//! What is done about losses: recovery is entered, left, or found to have been for nothing (RFC 6675 §5, RFC 8985,
//! RFC 6582, RFC 4015).

use super::SendHalf;
use super::progress::News;
use crate::Config;
use crate::loss::{Finding, Forward, Mode, Prr, Situation, TailProbe};
use crate::path_mtu::Sizes;
use time::{Duration, Instant};

impl SendHalf {
    /// What an acknowledgement says of losses, once the scoreboard knows it.
    pub(super) fn judge(&mut self, news: &News, now: Instant) {
        let rtt_min = self.min_rtt.value().unwrap_or_default();
        self.loss.rack.handle_delivery(&news.delivery, news.elapsed, rtt_min, now);
        let came_twice = self.judge_probe(news, now);
        if self.is_undone(news, came_twice, now) {
            self.undo_recovery(now);
        } else if !self.loss.is_open() && self.loss.is_covered(self.una) {
            self.finish_recovery();
        } else if self.loss.is_reduced() && self.loss.is_covered(self.una) {
            self.congestion.leave_recovery();
            self.loss.end_reduction(self.una);
        }
        if self.loss.is_selective() {
            let lost = self.loss.detect(self.situation(), now);
            self.judge_losses(news, lost, now);
        } else {
            self.judge_duplicates(news, now);
        }
    }

    /// The tail loss probe's answer (RFC 8985 §7.4). Returns whether the acknowledgement tells of a segment that came
    /// twice, other than the probe.
    fn judge_probe(&mut self, news: &News, now: Instant) -> bool {
        let bare = news.repeats && news.delivery.bytes == 0 && news.duplicate.is_none();
        let probing = self.loss.tail_probe.is_out();
        if self.loss.tail_probe.handle_acknowledgement(news.number, news.duplicate, bare)
            && !self.loss.is_reduced()
        {
            // RFC 8985 §7.4.1: a loss all the same, though it is repaired already.
            self.congestion.enter_recovery(news.outstanding, self.mss(), now);
            self.congestion.leave_recovery();
        }
        let twice = news.duplicate.is_some() && !probing;
        if twice {
            self.loss.rack.handle_duplicate(self.una, self.nxt);
        }
        twice
    }

    /// Whether the last reduction of the window was for nothing.
    fn is_undone(&mut self, news: &News, came_twice: bool, now: Instant) -> bool {
        let reported =
            came_twice && news.duplicate.is_some_and(|block| self.loss.undo.handle_duplicate(block));
        let echoed = news.acked > 0 && self.loss.undo.handle_progress(news.elapsed, now);
        self.loss.undo.expire(self.una, self.congestion.window());
        let late = self.is_timeout_wrong(news);
        reported || (!self.loss.is_open() && echoed) || late
    }

    /// RFC 5682 §2.1 and §3.1.
    fn is_timeout_wrong(&mut self, news: &News) -> bool {
        let recover = self.loss.recover();
        let advanced = news.acked > 0;
        let original = news.delivery.lowest_original.is_some_and(|end| end.at_or_before(recover));
        let unsent = self.nxt != self.end() && (self.una + self.window).after(self.nxt);
        let Some(forward) = self.loss.forward() else { return false };
        if !(advanced || news.repeats || news.delivery.bytes > 0) {
            return false;
        }
        let probing = forward.prefers_news();
        let wrong = forward.handle_acknowledgement(advanced, original, unsent) == Finding::Spurious;
        // RFC 5682 §2.1, step 3a: the window is three segments, of which the two new ones are in flight.
        if probing && !wrong {
            self.loss.set_urgent(true);
        }
        wrong
    }

    /// RFC 4015 §3.2: the window is what it was, and nothing is lost.
    fn undo_recovery(&mut self, now: Instant) {
        self.congestion.undo();
        self.inflation.stop();
        self.loss.undo.handle_wrong(now);
        self.loss.scoreboard.find_all();
        self.loss.open();
    }

    fn finish_recovery(&mut self) {
        let by_duplicates = matches!(self.loss.mode(), Mode::NewReno);
        if let Mode::Recovery(_) | Mode::NewReno = self.loss.mode() {
            self.inflation.stop();
            self.congestion.leave_recovery();
        }
        if by_duplicates {
            self.congestion.limit_burst(self.flight(), self.mss());
        }
        self.loss.rack.handle_recovered();
        self.loss.open();
    }

    /// What RACK waits by.
    fn situation(&self) -> Situation {
        let rtt_min = self.min_rtt.value().unwrap_or_default();
        Situation {
            recovering: !self.loss.is_open(),
            // RFC 6675 §4, IsLost: in bytes, since segments may have been joined.
            segments_sacked: self.loss.scoreboard.sacked().div_ceil(self.mss()),
            rtt_min,
            rtt_smoothed: self.rtt.smoothed().unwrap_or(rtt_min),
        }
    }

    /// RACK has deemed `lost` bytes lost.
    fn judge_losses(&mut self, news: &News, lost: u32, now: Instant) {
        let delivered = news.delivery.bytes;
        if lost > 0 && self.loss.is_open() && !self.is_probe_lost(now) {
            // RFC 9937 §6: RecoverFS counts what this acknowledgement delivers, not what came before it.
            let board = &self.loss.scoreboard;
            let flight = (self.outstanding() - board.sacked()).saturating_add(delivered);
            self.enter_recovery(Mode::Recovery(Prr::new(flight)), now);
        }
        self.meter(delivered, news.acked > 0 && lost == 0);
    }

    /// What may leave while the flight shrinks (RFC 9937 §6), now that `delivered` bytes more have arrived.
    fn meter(&mut self, delivered: u32, safe: bool) {
        let (flying, threshold, mss) = (self.flight(), self.congestion.threshold(), self.mss());
        let lost = self.loss.scoreboard.lost() > 0;
        if let Some(prr) = self.loss.prr() {
            prr.handle_delivery(delivered, flying, threshold, safe, lost, mss);
        }
    }

    /// Whether what is lost is the probe of a larger size and nothing else: then it was too large, which says nothing of
    /// congestion, and it leaves again in smaller segments (RFC 4821 §7.6.2).
    fn is_probe_lost(&mut self, now: Instant) -> bool {
        let Some(probe) = self.path_mtu.probe() else { return false };
        let board = &mut self.loss.scoreboard;
        let alone = board.lost() == probe.1 - probe.0 && board.next_lost() == Some(probe);
        if alone {
            self.path_mtu.handle_lost(now);
            self.loss.set_urgent(true);
        } else {
            self.path_mtu.handle_congestion(now);
        }
        alone
    }

    /// The network has marked what was sent, of which `flight` bytes were outstanding before this was told, and `undelivered`
    /// not known to have arrived. Returns whether the window was reduced for it.
    pub(crate) fn handle_mark(&mut self, flight: u32, undelivered: u32, now: Instant) -> bool {
        // RFC 3168 §6.1.2: once for what was in flight together, be it for marks or for losses.
        if !self.loss.is_mark_news(self.una) || !self.congestion.takes_marks() {
            return false;
        }
        self.congestion.handle_ecn(flight, self.mss(), now);
        if self.una == self.nxt {
            self.congestion.leave_recovery();
        } else {
            // RFC 9937 §1: a reduction for a mark is spread over the round trip as one for a loss.
            self.loss.reduce(Prr::new(undelivered), self.nxt);
            // What SACK told of before has made room before.
            self.meter(undelivered.saturating_sub(self.undelivered()), true);
        }
        self.set_pace();
        true
    }

    /// NewReno (RFC 6582 §3.2).
    fn judge_duplicates(&mut self, news: &News, now: Instant) {
        let mss = self.mss();
        self.meter(news.delivery.bytes, news.acked > 0);
        if news.acked > 0 {
            if let Mode::NewReno = self.loss.mode() {
                // Step 3: a partial acknowledgement; the next segment is missing too.
                self.loss.scoreboard.lose_first(mss);
                self.loss.set_urgent(true);
                self.inflation.deflate(news.acked, mss);
            }
        } else if news.repeats {
            match self.loss.mode() {
                Mode::NewReno => self.inflation.inflate(mss),
                Mode::Recovery(_) | Mode::Timeout(_) => {}
                Mode::Open | Mode::Reduced(_) => {
                    if self.loss.handle_duplicate(self.una) {
                        self.handle_third_duplicate(now);
                    }
                }
            }
        }
    }

    /// RFC 5681 §3.2: the first segment is lost, and the window was too large; unless the segment was.
    fn handle_third_duplicate(&mut self, now: Instant) {
        let mss = self.mss();
        if let Some((start, end)) = self.path_mtu.probe().filter(|(start, _)| *start == self.una) {
            self.path_mtu.handle_lost(now);
            self.loss.scoreboard.lose_first(end - start);
            self.loss.set_urgent(true);
            return;
        }
        self.path_mtu.handle_congestion(now);
        self.enter_recovery(Mode::NewReno, now);
        self.loss.scoreboard.lose_first(mss);
        self.inflation.start(self.congestion.threshold(), mss);
    }

    fn enter_recovery(&mut self, mode: Mode, now: Instant) {
        self.loss.undo.begin(self.una, self.nxt, None);
        // RFC 3168 §6.1.2: a loss beside marks that were answered is no second reason.
        if !self.loss.is_reduced() {
            self.congestion.enter_recovery(self.outstanding(), self.mss(), now);
        }
        self.loss.enter(mode, self.nxt);
        self.round_end = self.una;
    }

    /// RACK's timer went off (RFC 8985 §6.2, step 5).
    pub(crate) fn handle_reordering_timeout(&mut self, now: Instant) {
        let lost = self.loss.detect(self.situation(), now);
        self.judge_losses(&News::none(self.una, self.outstanding()), lost, now);
    }

    /// When RACK wants to look again, or [`Instant::MAX`].
    pub(crate) fn reordering_until(&self) -> Instant {
        self.loss.reordering_until()
    }

    /// How long silence lasts before a tail loss probe, where one may leave (RFC 8985 §7.1, §7.2).
    pub(crate) fn probe_timeout(&self, config: &Config) -> Option<Duration> {
        let board = &self.loss.scoreboard;
        let may = self.loss.is_selective()
            && self.loss.is_quiet()
            && board.flying() > 0
            && board.lost() == 0
            && !self.loss.tail_probe.is_out();
        may.then(|| {
            TailProbe::timeout(self.rtt.smoothed(), board.flying() <= self.mss(), config.ack_delay_max)
        })
    }

    /// The probe's timer went off.
    pub(crate) fn handle_probe_timeout(&mut self) {
        self.loss.tail_probe.set_due();
    }

    /// The path has room for `mss` bytes from now on. What is in flight is larger and so lost, though not by congestion.
    pub(crate) fn handle_path_shrunk(&mut self, mss: u16, now: Instant) {
        self.mss_delivered = 0;
        self.path_mtu.handle_congestion(now);
        if self.mss + self.options <= mss {
            return;
        }
        self.inflation.stop();
        self.congestion.leave_recovery();
        self.loss.undo.end();
        self.forget_departures();
        self.loss.scoreboard.lose_all(None);
        self.loss.enter(Mode::Timeout(Forward::Off), self.nxt);
        self.loss.set_urgent(false);
        self.round_end = self.una;
    }

    /// The retransmission timer went off (RFC 6298 §5.4 to §5.6, RFC 5681 §3.1).
    pub(crate) fn handle_timeout(&mut self, config: &Config, now: Instant) {
        self.handle_silence();
        self.judge_size(config, now);
        let mss = self.mss();
        // RFC 5682 §2.1, step 1: a timeout of what a timeout repeated says nothing of the first.
        let first = !matches!(self.loss.mode(), Mode::Timeout(_));
        if first {
            self.loss.undo.begin(self.una, self.nxt, self.rtt.estimate());
        }
        self.inflation.stop();
        self.forget_departures();
        let first_reduction = first && !self.loss.is_reduced();
        self.congestion.collapse(self.outstanding(), mss, first_reduction, now);
        let recovering = Situation { recovering: true, ..self.situation() };
        self.loss.lose_flight(self.loss.rack.patience(recovering), mss, now);
        let forward = if first { Forward::Repeated } else { Forward::Off };
        self.loss.enter(Mode::Timeout(forward), self.nxt);
        self.round_end = self.una;
    }

    /// Whether segments were too large for the path, which told nobody (RFC 4821 §7.7).
    fn judge_size(&mut self, config: &Config, now: Instant) {
        let sizes = Sizes { ceiling: self.ceiling(), options: self.options, outstanding: self.outstanding() };
        if self.path_mtu.handle_timeout(config, sizes, self.retries, self.una, now) {
            self.set_path(self.mss_path, self.options);
        }
    }

    /// The rate at which the flight was delivered is not known any more.
    fn forget_departures(&mut self) {
        if let Some(rates) = &mut self.delivery_rate {
            rates.forget();
        }
    }
}
