//! The congestion window (RFC 5681, RFC 6928): how much may be in flight. When it moves is the loss detector's
//! business ([`loss`](crate::loss)); by how much is decided here, and only here, by the law that the connection
//! has:
//!
//! ```text
//!   acknowledgement ---> handle_ack ------+--> slow start, HyStart++ --+
//!   loss, mark, RTO ---> enter_recovery --+                            +--> window, threshold
//!                        handle_ecn       +--> NewReno, CUBIC, BBR -----+
//!                        collapse, undo   |
//!   idle --------------> restart ---------+
//! ```
//!
//! What may leave during recovery is less than the window or more, and decided beside it.

mod ack;
mod algorithm;
mod bbr;
mod cubic;
mod hystart;
mod inflation;
mod new_reno;

use crate::Config;
use crate::delivery_rate::rate;
use alloc::boxed::Box;
use bbr::Bbr;
use cubic::Cubic;
use hystart::{Growth, HyStart};
use new_reno::NewReno;
use time::{Duration, Instant, SequenceNumber};

pub(crate) use ack::Ack;
pub use algorithm::CongestionAlgorithm;
pub(crate) use inflation::Inflation;

/// The threshold that stands for "no limit yet" (RFC 5681 §3.1: arbitrarily high).
const THRESHOLD_INITIAL: u32 = u32::MAX;
/// The window never grows beyond what any peer's window can be.
const WINDOW_BYTES_MAX: u32 = 1 << 30;

/// RFC 6928 §2.
const INITIAL_SEGMENTS: u8 = 10;
/// How long a window may go unused before it is halved: RFC 7661 §4.4.3, five minutes.
const NON_VALIDATED_SECS_MAX: u32 = 300;

/// How much faster than a window a round trip data leaves: the window doubles in slow start, and keeps growing after.
const PACING_SLOW_START_PERCENT: u64 = 200;
const PACING_AVOIDANCE_PERCENT: u64 = 120;
/// BBR before anything was measured (draft-cardwell-iccrg-bbr-congestion-control-00 §4.2.1): 2/ln(2).
const PACING_STARTUP_PERCENT: u64 = 289;

/// The window and the threshold, in bytes, and the law that moves them.
#[derive(Debug)]
pub(crate) struct Congestion {
    law: Law,
    window: u32,
    threshold: u32,
    /// Of the initial slow start (RFC 9406 §4.3), once so much is in flight that it can tell anything.
    hystart: Option<Box<HyStart>>,
    /// The profile wants it.
    hystart_wanted: bool,
    /// Between a loss and the acknowledgement of all that was in flight then: the window does not grow.
    recovering: bool,
    /// How often the window was reduced, modulo 256, so that the peer is told of each (RFC 3168 §6.1.2).
    reductions: u8,
    /// When at least half of the window was last in use, in seconds.
    validated_secs: u32,
    /// The most that was in flight in the round trip that ends at `round_end` (RFC 7661 §4.4).
    used: u32,
    round_end: SequenceNumber,
    /// What was before the last loss, in case it was none.
    saved: Option<Box<Saved>>,
}

#[derive(Debug)]
enum Law {
    NewReno(NewReno),
    Cubic(Cubic),
    Bbr(Box<Bbr>),
}

#[derive(Clone, Copy, Debug)]
struct Saved {
    window: u32,
    threshold: u32,
    cubic: Option<Cubic>,
}

impl Congestion {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            law: Law::new(config.congestion),
            window: 0,
            threshold: THRESHOLD_INITIAL,
            hystart: None,
            hystart_wanted: config.hystart,
            recovering: false,
            reductions: 0,
            validated_secs: 0,
            used: 0,
            round_end: SequenceNumber(0),
            saved: None,
        }
    }

    /// The law in force.
    pub(crate) fn algorithm(&self) -> CongestionAlgorithm {
        match self.law {
            Law::NewReno(_) => CongestionAlgorithm::NewReno,
            Law::Cubic(_) => CongestionAlgorithm::Cubic,
            Law::Bbr(_) => CongestionAlgorithm::Bbr,
        }
    }

    /// Another law from now on. Window and threshold stay; what the old one had learned is forgotten.
    pub(crate) fn set_algorithm(&mut self, algorithm: CongestionAlgorithm) {
        if algorithm == self.algorithm() {
            return;
        }
        if let Law::Bbr(law) = &self.law
            && !law.is_starting()
        {
            // What fills the path is known.
            self.threshold = self.window;
        } else if algorithm == CongestionAlgorithm::Bbr {
            self.threshold = THRESHOLD_INITIAL;
        }
        self.law = Law::new(algorithm);
        self.saved = None;
    }

    /// Whether the law needs samples of the delivery rate.
    pub(crate) fn asks_for_rates(&self) -> bool {
        matches!(self.law, Law::Bbr(_))
    }

    /// Bytes a second at which to send. A window is spread over the round trip, with room to fill it (Linux:
    /// tcp_update_pacing_rate).
    pub(crate) fn pacing_rate(&self, smoothed_rtt: Option<Duration>) -> Option<u64> {
        let percent = match &self.law {
            Law::Bbr(law) => match law.pacing_rate() {
                Some(rate) => return Some(rate),
                None => PACING_STARTUP_PERCENT,
            },
            Law::NewReno(_) | Law::Cubic(_) if self.window < self.threshold / 2 => PACING_SLOW_START_PERCENT,
            Law::NewReno(_) | Law::Cubic(_) => PACING_AVOIDANCE_PERCENT,
        };
        Some(rate(u64::from(self.window) * percent / 100, smoothed_rtt?))
    }

    /// cwnd, in bytes.
    pub(crate) fn window(&self) -> u32 {
        self.window
    }

    /// ssthresh, in bytes: during recovery what the window shall be at its end.
    pub(crate) fn threshold(&self) -> u32 {
        self.threshold
    }

    /// The handshake is over. A SYN that had to be sent again leaves one segment (RFC 5681 §3.1).
    pub(crate) fn start(&mut self, config: &Config, mss: u32, syn_lost: bool, now: Instant) {
        self.window = if syn_lost { mss } else { initial_window(config.initial_window_segments, mss) };
        self.validated_secs = seconds(now);
    }

    /// SND.UNA has moved, in recovery or not.
    pub(crate) fn handle_ack(&mut self, ack: &Ack) {
        if !matches!(self.law, Law::Bbr(_)) {
            self.validate(ack);
        }
        self.note_use(ack);
        let starting = self.window < self.threshold;
        match &mut self.law {
            Law::Bbr(law) => self.window = law.handle_ack(self.window, ack, self.recovering),
            Law::NewReno(_) | Law::Cubic(_) if self.recovering => return,
            Law::NewReno(_) | Law::Cubic(_) if starting => self.slow_start(ack),
            Law::NewReno(_) if ack.application_limited => {}
            Law::NewReno(law) => self.window = law.avoid(self.window, ack.acked_bytes, ack.mss),
            Law::Cubic(law) => self.window = law.avoid(self.window, ack),
        }
        self.window = self.window.clamp(ack.mss, WINDOW_BYTES_MAX);
    }

    /// What the round trip has in flight at most: its first acknowledgement finds all of it.
    ///
    /// DEVIATES RFC 7661 §4.5 (pipeACK, what was acknowledged in each of several round trips): one round trip says as much
    /// of what the path bears, and needs no ring of samples.
    fn note_use(&mut self, ack: &Ack) {
        if self.used == 0 || ack.una.after(self.round_end) {
            self.round_end = ack.nxt;
            self.used = ack.flight_before;
        } else {
            self.used = self.used.max(ack.flight_before);
        }
    }

    /// A window of which for long not even half was used is no longer known to fit the path (RFC 7661 §4.4.3).
    fn validate(&mut self, ack: &Ack) {
        let now_secs = seconds(ack.now);
        if !ack.application_limited || ack.flight_before >= self.window / 2 {
            self.validated_secs = now_secs;
        } else if now_secs.wrapping_sub(self.validated_secs) >= NON_VALIDATED_SECS_MAX {
            self.validated_secs = now_secs;
            self.threshold = self.threshold.max(self.window / 4 * 3);
            let floor = initial_window(INITIAL_SEGMENTS, ack.mss).min(self.window);
            self.window = (self.window / 2).max(floor);
        }
    }

    /// RFC 5681 §3.1, equation 2.
    fn slow_start(&mut self, ack: &Ack) {
        let mut growth = Growth::By(ack.acked_bytes);
        // RFC 9406 §4.3: only where the threshold is still the initial one.
        if self.hystart_wanted && self.threshold == THRESHOLD_INITIAL {
            if ack.flight_before >= hystart::SEGMENTS_MIN * ack.mss {
                self.hystart.get_or_insert_with(|| Box::new(HyStart::new()));
            }
            growth = self.hystart.as_mut().map_or(growth, |hystart| hystart.handle_ack(ack));
        } else {
            self.hystart = None;
        }
        let Growth::By(growth) = growth else {
            self.hystart = None;
            self.threshold = self.window;
            return;
        };
        // A window that was not used says nothing about the path (RFC 7661 §4.4). It may double what was in flight in this
        // round trip, and no more.
        if ack.application_limited && self.window >= self.used.saturating_mul(2) {
            return;
        }
        // DEVIATES RFC 5681 §3.1, RFC 3465 §2.3, RFC 9406 §4.3 (at most two segments, at most eight, for one acknowledgement): a receiver
        // behind receive offload acknowledges dozens at once, and would keep the window small for long.
        self.window = self.window.saturating_add(growth).min(self.threshold.max(self.window));
    }

    /// Segments were lost: the threshold is what the window shall be once they are repaired (RFC 5681 §3.2,
    /// RFC 6582 §3.2, step 2).
    pub(crate) fn enter_recovery(&mut self, flight: u32, mss: u32, _now: Instant) {
        self.save();
        let used = self.used_of(flight);
        let threshold = match &mut self.law {
            Law::NewReno(law) => law.reduce(used),
            Law::Cubic(law) => law.reduce(self.window, used),
            Law::Bbr(law) => law.enter_recovery(self.window, flight.min(self.window), mss),
        };
        self.threshold = threshold.max(2 * mss);
        self.window = self.threshold;
        self.recovering = true;
        self.reductions = self.reductions.wrapping_add(1);
    }

    /// What of the window was used, with `flight` in flight now. Not a window that may not have been used (RFC 7661 §4.4.1),
    /// nor what limited transmit sent beyond it (RFC 5681 §3.2 (2)); but what this round trip had in flight before: where
    /// acknowledgements come many at a time, those ahead of the one that tells of a loss have made room that nothing could
    /// fill yet.
    fn used_of(&self, flight: u32) -> u32 {
        flight.max(self.used).min(self.window)
    }

    /// Everything that was in flight at the loss is acknowledged.
    pub(crate) fn leave_recovery(&mut self) {
        self.recovering = false;
        if let Law::Bbr(law) = &mut self.law {
            self.window = law.leave_recovery(self.window);
            self.threshold = THRESHOLD_INITIAL;
        }
    }

    /// Recovery ended with `flight` in flight: a window that is much larger would leave as one burst (RFC 6582
    /// §3.2, step 3, option 1).
    pub(crate) fn limit_burst(&mut self, flight: u32, mss: u32) {
        // BBR's pace, not its window, keeps it from bursts.
        if !matches!(self.law, Law::Bbr(_)) {
            self.window = self.window.min(flight.max(mss).saturating_add(mss));
        }
    }

    /// The retransmission timer went off (RFC 5681 §3.1): `first` where it is not a repetition.
    pub(crate) fn collapse(&mut self, flight: u32, mss: u32, first: bool, _now: Instant) {
        if first {
            // What a recovery has already lowered is no state to return to.
            if !self.recovering {
                self.save();
            }
            let threshold = match &mut self.law {
                Law::NewReno(law) => law.reduce(flight),
                Law::Cubic(law) => law.collapse(self.window, flight),
                Law::Bbr(law) => {
                    law.collapse();
                    THRESHOLD_INITIAL
                }
            };
            self.threshold = threshold.max(2 * mss);
        }
        self.window = mss;
        self.recovering = false;
        self.reductions = self.reductions.wrapping_add(1);
    }

    /// The last loss was none: the window is what it would have been (RFC 4015 §3.2).
    pub(crate) fn undo(&mut self) {
        self.recovering = false;
        let Some(saved) = self.saved.take() else { return };
        if let (Law::Cubic(law), Some(cubic)) = (&mut self.law, saved.cubic)
            && self.window < saved.window
        {
            // RFC 9438 §4.9: all of its state, unless it has grown beyond it.
            *law = cubic;
        }
        self.window = self.window.max(saved.window);
        self.threshold = self.threshold.max(saved.threshold);
    }

    /// Our SYN was marked: one segment is what is left of the initial window.
    pub(crate) fn handle_marked_syn(&mut self, mss: u32) {
        self.window = mss;
    }

    /// Whether the law knows what to do about a mark: version 1 of BBR does not, so that nothing leaves that could be
    /// marked.
    pub(crate) fn takes_marks(&self) -> bool {
        !matches!(self.law, Law::Bbr(_))
    }

    /// How often the window was reduced, modulo 256.
    pub(crate) fn reductions(&self) -> u8 {
        self.reductions
    }

    /// The network marked a packet (RFC 3168 §6.1.2, RFC 8511 §3); to be called once a round trip. Until
    /// [`leave_recovery`](Self::leave_recovery) the window does not grow.
    ///
    /// DEVIATES RFC 3168 §6.1.2 (a window of one segment waits for the timer): never below two, as after a loss.
    pub(crate) fn handle_ecn(&mut self, flight: u32, mss: u32, _now: Instant) {
        if self.recovering {
            return;
        }
        let used = self.used_of(flight);
        let threshold = match &mut self.law {
            Law::NewReno(law) => law.reduce_for_mark(used),
            Law::Cubic(law) => law.reduce_for_mark(self.window, used),
            Law::Bbr(_) => return,
        };
        self.threshold = threshold.max(2 * mss);
        self.window = self.window.min(self.threshold);
        self.recovering = true;
        self.reductions = self.reductions.wrapping_add(1);
        self.saved = None;
    }

    /// Nothing was sent for `idle`, longer than `timeout`.
    ///
    /// DEVIATES RFC 5681 §4.1 (at once the initial window): the window halves for each RTO of silence, down to the
    /// initial one, and the threshold remembers three quarters of it, so that it is soon found again; as Linux.
    pub(crate) fn restart(&mut self, config: &Config, mss: u32, idle: Duration, timeout: Duration) {
        if let Law::Bbr(law) = &mut self.law {
            return law.restart();
        }
        let floor = initial_window(config.initial_window_segments, mss).min(self.window);
        self.threshold = self.threshold.max(self.window / 4 * 3);
        let halvings = (idle.as_nanos() / timeout.as_nanos().max(1)).min(31) as u32;
        self.window = (self.window >> halvings).max(floor);
        if let Law::Cubic(law) = &mut self.law {
            law.restart();
        }
    }

    fn save(&mut self) {
        let cubic = match &self.law {
            Law::Cubic(law) => Some(*law),
            Law::NewReno(_) | Law::Bbr(_) => None,
        };
        self.saved = Some(Box::new(Saved { window: self.window, threshold: self.threshold, cubic }));
    }
}

impl Law {
    fn new(algorithm: CongestionAlgorithm) -> Self {
        match algorithm {
            CongestionAlgorithm::NewReno => Self::NewReno(NewReno::default()),
            CongestionAlgorithm::Cubic => Self::Cubic(Cubic::default()),
            CongestionAlgorithm::Bbr => Self::Bbr(Box::new(Bbr::new())),
        }
    }
}

/// Whole seconds, modulo 2^32.
fn seconds(at: Instant) -> u32 {
    (at.as_millis() / 1_000) as u32
}

/// RFC 6928 §2, with another number of segments.
fn initial_window(segments: u8, mss: u32) -> u32 {
    let segments = u32::from(segments);
    (segments * mss).min((segments * 1_460).max(2 * mss))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
