//! BBR, version 1 (draft-cardwell-iccrg-bbr-congestion-control-00): the window and the pace follow a model of the
//! path, made of the most that it has delivered and the least that a round trip has taken, and not its losses.
//!
//! ```text
//!   STARTUP --- the rate grows no more ---> DRAIN --- the queue is gone ---> PROBE_BW
//!      ^                                                                       |  ^
//!      |            10 s without a smaller round trip, from any state          v  |
//!      +------------- where the pipe was never full -------------------- PROBE_RTT
//! ```
//!
//! Version 1, because the later ones bound themselves by how many packets each sample has lost and by ECN, which
//! nobody here tells them yet; it is also what Linux calls `bbr`.

mod model;

use super::Ack;
use crate::delivery_rate::RateSample;
use model::{BandwidthFilter, GAIN_UNIT, MinRttFilter, Rounds};
use time::{Duration, Instant};

/// Gains are parts of 256. 2/ln(2) doubles the rate each round trip (§4.3.2.1), and its inverse drains what that left
/// behind (§4.3.3).
const HIGH_GAIN: u32 = 739;
const DRAIN_GAIN: u32 = 88;
/// Twice the product, for acknowledgements that come late and many at once (§4.3.4.1).
const WINDOW_GAIN: u32 = 2 * GAIN_UNIT;
/// PROBE_BW's cycle (§4.3.4.1): a quarter more, a quarter less, and six at rest.
const CYCLE: [u32; 8] =
    [GAIN_UNIT * 5 / 4, GAIN_UNIT * 3 / 4, GAIN_UNIT, GAIN_UNIT, GAIN_UNIT, GAIN_UNIT, GAIN_UNIT, GAIN_UNIT];
/// The least window, in segments (§4.2.3.3).
const WINDOW_SEGMENTS_MIN: u32 = 4;
/// How long PROBE_RTT keeps that (§4.3.5).
const PROBE_RTT: Duration = Duration::from_millis(200);
/// The rate has reached the pipe's where it grew by less than a quarter in each of three rounds (§4.3.2.2).
const FULL_ROUNDS: u8 = 3;

/// BBR's state.
#[derive(Clone, Debug)]
pub(crate) struct Bbr {
    state: State,
    bandwidth: BandwidthFilter,
    min_rtt: MinRttFilter,
    rounds: Rounds,
    /// The rate at which the pipe last seemed to widen, and for how many rounds it has not (§4.3.2.2).
    full_bandwidth: u64,
    full_rounds: u8,
    filled_pipe: bool,
    /// The window to return to after PROBE_RTT or a recovery.
    prior_window: u32,
    /// In recovery, the first round: as much leaves as arrives (§4.2.3.4).
    conserving: bool,
    /// What left before so much was delivered left slowly on purpose, in PROBE_RTT.
    slow_until: u64,
    /// Nothing was in flight for a while: the queue was as empty as PROBE_RTT would make it.
    idle_restart: bool,
    /// Bytes a second; none before anything was measured.
    pacing_rate: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Startup,
    Drain,
    ProbeBandwidth {
        /// Which gain of the cycle, and since when.
        phase: usize,
        since: Instant,
    },
    ProbeRtt {
        /// When it may end, once so little is in flight, and from which round on.
        until: Option<(Instant, u64)>,
    },
}

impl Bbr {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Startup,
            bandwidth: BandwidthFilter::default(),
            min_rtt: MinRttFilter::default(),
            rounds: Rounds::default(),
            full_bandwidth: 0,
            full_rounds: 0,
            filled_pipe: false,
            prior_window: 0,
            conserving: false,
            slow_until: 0,
            idle_restart: false,
            pacing_rate: None,
        }
    }

    /// Whether it still looks for the pipe's rate.
    pub(crate) fn is_starting(&self) -> bool {
        !self.filled_pipe
    }

    /// Bytes a second at which to send, once there is a measurement (§4.2.1).
    pub(crate) fn pacing_rate(&self) -> Option<u64> {
        self.pacing_rate
    }

    /// An acknowledgement (§4.1.2): the new window.
    pub(crate) fn handle_ack(&mut self, window: u32, ack: &Ack, recovering: bool) -> u32 {
        let Some(sample) = ack.rate else { return window };
        let flight = ack.flight_before.saturating_sub(ack.acked_bytes);
        self.update_bandwidth(&sample);
        self.update_cycle(ack, recovering);
        self.check_full_pipe(&sample);
        self.check_drain(ack, flight);
        let window = self.update_min_rtt(window, ack, &sample, flight);
        self.set_pacing_rate(ack);
        self.next_window(window, ack, flight, recovering)
    }

    /// §4.1.1.3.
    fn update_bandwidth(&mut self, sample: &RateSample) {
        if self.rounds.update(sample.prior_delivered, sample.delivered) {
            self.conserving = false;
        }
        let slow = sample.application_limited || sample.prior_delivered < self.slow_until;
        if let Some(rate) = sample.rate
            && (rate >= self.bandwidth.max() || !slow)
        {
            self.bandwidth.update(rate, self.rounds.count());
        }
    }

    /// §4.3.4.3.
    fn update_cycle(&mut self, ack: &Ack, losing: bool) {
        let State::ProbeBandwidth { phase, since } = self.state else { return };
        let min_rtt = self.min_rtt.value().unwrap_or(Duration::ZERO);
        let gain = CYCLE[phase];
        let over = ack.now - since > min_rtt;
        let next = match gain.cmp(&GAIN_UNIT) {
            core::cmp::Ordering::Equal => over,
            // Long enough to have filled what it probes for, or to have overfilled it.
            core::cmp::Ordering::Greater => {
                over && (losing || ack.flight_before >= self.inflight(gain, ack.mss))
            }
            // Until the queue that it made is gone.
            core::cmp::Ordering::Less => over || ack.flight_before <= self.inflight(GAIN_UNIT, ack.mss),
        };
        if next {
            self.state = State::ProbeBandwidth { phase: (phase + 1) % CYCLE.len(), since: ack.now };
        }
    }

    /// §4.3.2.2.
    fn check_full_pipe(&mut self, sample: &RateSample) {
        if self.filled_pipe || !self.rounds.is_start() || sample.application_limited {
            return;
        }
        if self.bandwidth.max() >= self.full_bandwidth.saturating_mul(5) / 4 {
            self.full_bandwidth = self.bandwidth.max();
            self.full_rounds = 0;
            return;
        }
        self.full_rounds += 1;
        self.filled_pipe = self.full_rounds >= FULL_ROUNDS;
    }

    /// §4.3.3.
    fn check_drain(&mut self, ack: &Ack, flight: u32) {
        if self.state == State::Startup && self.filled_pipe {
            self.state = State::Drain;
        }
        if self.state == State::Drain && flight <= self.inflight(GAIN_UNIT, ack.mss) {
            self.enter_probe_bandwidth(ack.now);
        }
    }

    /// §4.3.4.2: at a phase of the cycle that is left to chance, but for the one that drains. The clock is the chance,
    /// so that flows which began together do not probe together.
    fn enter_probe_bandwidth(&mut self, now: Instant) {
        let phase = (now.as_micros() % (CYCLE.len() as u64 - 1)) as usize;
        let phase = if phase == 0 { 0 } else { phase + 1 };
        self.state = State::ProbeBandwidth { phase, since: now };
    }

    /// §4.1.2.3, §4.3.5: the new window.
    fn update_min_rtt(&mut self, window: u32, ack: &Ack, sample: &RateSample, flight: u32) -> u32 {
        if self.min_rtt.value().is_none()
            && let Some(known) = ack.min_rtt
        {
            // Taken over in the middle of a connection's life.
            self.min_rtt.update(known, ack.now);
        }
        let expired = self.min_rtt.is_expired(ack.now);
        if let Some(rtt) = sample.rtt {
            self.min_rtt.update(rtt, ack.now);
        }
        let idle_restart = core::mem::take(&mut self.idle_restart);
        if expired && !idle_restart && !matches!(self.state, State::ProbeRtt { .. }) {
            self.prior_window = window.max(self.prior_window);
            self.state = State::ProbeRtt { until: None };
        }
        let State::ProbeRtt { until } = &mut self.state else { return window };
        self.slow_until = sample.delivered + u64::from(flight);
        match until {
            None if flight <= WINDOW_SEGMENTS_MIN * ack.mss => {
                *until = Some((ack.now + PROBE_RTT, self.rounds.count() + 1));
                self.rounds.restart();
            }
            Some((at, round)) if ack.now >= *at && self.rounds.count() >= *round => {
                self.min_rtt.renew(ack.now);
                if self.filled_pipe {
                    self.enter_probe_bandwidth(ack.now);
                } else {
                    self.state = State::Startup;
                }
                return window.max(core::mem::take(&mut self.prior_window));
            }
            None | Some(_) => {}
        }
        window
    }

    /// §4.2.1.
    fn set_pacing_rate(&mut self, ack: &Ack) {
        let gain = match self.state {
            State::Startup => HIGH_GAIN,
            State::Drain => DRAIN_GAIN,
            State::ProbeBandwidth { phase, .. } => CYCLE[phase],
            State::ProbeRtt { .. } => GAIN_UNIT,
        };
        let rate = self.bandwidth.max().saturating_mul(gain.into()) / u64::from(GAIN_UNIT);
        // In STARTUP a sample that is low because little was in flight does not slow it down.
        if rate > 0 && (self.filled_pipe || self.pacing_rate.is_none_or(|current| rate > current)) {
            // A segment a second is no pace to learn anything at.
            self.pacing_rate = Some(rate.max(ack.mss.into()));
        }
    }

    /// §4.2.3.4 to §4.2.3.6.
    fn next_window(&mut self, window: u32, ack: &Ack, flight: u32, recovering: bool) -> u32 {
        let floor = WINDOW_SEGMENTS_MIN.saturating_mul(ack.mss);
        let mut next = window;
        if recovering && self.conserving {
            next = next.max(flight.saturating_add(ack.acked_bytes));
        } else {
            let gain = match self.state {
                State::Startup | State::Drain => HIGH_GAIN,
                State::ProbeBandwidth { .. } | State::ProbeRtt { .. } => WINDOW_GAIN,
            };
            let target = self.inflight(gain, ack.mss);
            let grown = window.saturating_add(ack.acked_bytes);
            if self.filled_pipe {
                next = grown.min(target);
            } else if window < target || self.bandwidth.max() == 0 {
                next = grown;
            }
        }
        next = next.max(floor);
        if matches!(self.state, State::ProbeRtt { .. }) { next.min(floor) } else { next }
    }

    /// What is in flight at `gain` times the model's rate and round trip, and three large segments besides
    /// (§4.2.3.2); before there is a model, no bound.
    fn inflight(&self, gain: u32, mss: u32) -> u32 {
        let Some(min_rtt) = self.min_rtt.value().filter(|_| self.bandwidth.max() > 0) else {
            return u32::MAX;
        };
        let product = u128::from(self.bandwidth.max()).saturating_mul(min_rtt.as_nanos()) / 1_000_000_000;
        let product = product.saturating_mul(gain.into()) / u128::from(GAIN_UNIT);
        let quantum = self.pacing_rate.map_or(mss, |rate| crate::pacing::quantum(rate, mss));
        u32::try_from(product).unwrap_or(u32::MAX).saturating_add(quantum.saturating_mul(3))
    }

    /// Losses are being repaired: for a round trip as much leaves as arrives (§4.2.3.4).
    pub(crate) fn enter_recovery(&mut self, window: u32, flight: u32, mss: u32) -> u32 {
        self.prior_window = self.prior_window.max(window);
        self.conserving = true;
        self.rounds.restart();
        flight.max(mss).min(window)
    }

    /// They are repaired: the window is what it was.
    pub(crate) fn leave_recovery(&mut self, window: u32) -> u32 {
        self.conserving = false;
        match self.state {
            State::ProbeRtt { .. } => window,
            State::Startup | State::Drain | State::ProbeBandwidth { .. } => {
                window.max(core::mem::take(&mut self.prior_window))
            }
        }
    }

    /// The retransmission timer went off (§4.2.3.4): the window is found again from one segment, by what is
    /// acknowledged, and not restored at the end: nothing tells of it.
    pub(crate) fn collapse(&mut self) {
        self.conserving = false;
        self.prior_window = 0;
    }

    /// Nothing was sent for a while (§4.3.4.4): the pace is the model's, without a gain.
    pub(crate) fn restart(&mut self) {
        if let State::ProbeBandwidth { .. } = self.state
            && self.bandwidth.max() > 0
        {
            self.pacing_rate = Some(self.bandwidth.max());
        }
        self.idle_restart = true;
    }

    #[cfg(test)]
    pub(super) fn state(&self) -> State {
        self.state
    }

    #[cfg(test)]
    pub(super) fn bandwidth(&self) -> u64 {
        self.bandwidth.max()
    }
}

#[cfg(test)]
mod tests;
