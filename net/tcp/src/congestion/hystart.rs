//! HyStart++ (RFC 9406): slow start ends when the round trip grows, before the queue overflows. It first only slows
//! down, and goes on where the round trip was a false alarm:
//!
//! ```text
//!  slow start --- round trip grew ---> conservative slow start --- 5 rounds ---> congestion avoidance
//!      ^                                      |
//!      +---- round trip is small again -------+
//! ```
//!
//! Eight samples a round come from timestamps alone, to a millisecond: the least growth that counts is four. Without
//! them one segment a round is timed, and slow start is the plain one.

use super::Ack;
use time::SequenceNumber;

/// RFC 9406 §4.3: growth of the round trip that is taken for a queue: an eighth, between these two.
const THRESHOLD_MIN_US: u32 = 4_000;
const THRESHOLD_MAX_US: u32 = 16_000;
const THRESHOLD_DIVISOR: u32 = 8;
/// Samples in a round before it says anything.
const SAMPLES: u8 = 8;
/// Segments in flight with which it begins: fewer than the samples of a round say nothing.
pub(super) const SEGMENTS_MIN: u32 = 8;
/// By how much slower conservative slow start is.
const GROWTH_DIVISOR: u32 = 4;
/// Rounds of conservative slow start.
const ROUNDS: u8 = 5;
/// No round trip yet.
const NONE: u32 = u32::MAX;

/// The rounds of the initial slow start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HyStart {
    phase: Phase,
    /// `windowEnd`: the round ends when this is acknowledged; none before the first.
    round_end: Option<SequenceNumber>,
    last_round_min_us: u32,
    round_min_us: u32,
    samples: u8,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    SlowStart,
    /// Conservative slow start: `baseline_us` is the round trip that led here.
    Conservative {
        baseline_us: u32,
        rounds_left: u8,
    },
}

/// How slow start goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    /// By so many bytes.
    By(u32),
    /// Not at all: it is over.
    Over,
}

impl HyStart {
    pub(crate) const fn new() -> Self {
        Self {
            phase: Phase::SlowStart,
            round_end: None,
            last_round_min_us: NONE,
            round_min_us: NONE,
            samples: 0,
        }
    }

    /// An acknowledgement during the initial slow start (§4.2).
    pub(crate) fn handle_ack(&mut self, ack: &Ack) -> Growth {
        let round_end = *self.round_end.get_or_insert(ack.nxt);
        if let Some(rtt) = ack.rtt {
            self.round_min_us = self.round_min_us.min(u32::try_from(rtt.as_micros()).unwrap_or(NONE));
            self.samples = self.samples.saturating_add(1);
        }
        if self.samples >= SAMPLES {
            self.compare();
        }
        // What ends a round measures what left in it: its sample is not the next round's.
        if ack.una.at_or_after(round_end) && self.start_round(ack.nxt) {
            return Growth::Over;
        }
        Growth::By(match self.phase {
            Phase::SlowStart => ack.acked_bytes,
            Phase::Conservative { .. } => ack.acked_bytes / GROWTH_DIVISOR,
        })
    }

    /// Returns whether the last round of conservative slow start has ended.
    fn start_round(&mut self, nxt: SequenceNumber) -> bool {
        self.last_round_min_us = core::mem::replace(&mut self.round_min_us, NONE);
        self.samples = 0;
        self.round_end = Some(nxt);
        match &mut self.phase {
            Phase::Conservative { rounds_left, .. } => {
                *rounds_left = rounds_left.saturating_sub(1);
                *rounds_left == 0
            }
            Phase::SlowStart => false,
        }
    }

    fn compare(&mut self) {
        match self.phase {
            Phase::SlowStart if self.last_round_min_us != NONE => {
                let grown_us = self.last_round_min_us / THRESHOLD_DIVISOR;
                let threshold_us = grown_us.clamp(THRESHOLD_MIN_US, THRESHOLD_MAX_US);
                if self.round_min_us >= self.last_round_min_us.saturating_add(threshold_us) {
                    self.phase = Phase::Conservative { baseline_us: self.round_min_us, rounds_left: ROUNDS };
                }
            }
            // The round trip is smaller than when it slowed down: that was no queue.
            Phase::Conservative { baseline_us, .. } if self.round_min_us < baseline_us => {
                self.phase = Phase::SlowStart;
            }
            Phase::SlowStart | Phase::Conservative { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{MSS, ack};
    use super::*;
    use time::Duration;

    struct Rounds {
        law: HyStart,
        nxt: u32,
    }

    impl Rounds {
        fn new() -> Self {
            Self { law: HyStart::new(), nxt: 1 }
        }

        /// A round of ten acknowledgements, all with a round trip of `rtt_ms`; the growth at the first and the last.
        fn round(&mut self, rtt_ms: u64) -> (Growth, Growth) {
            let (rtt, start) = (Some(Duration::from_millis(rtt_ms)), self.nxt);
            self.nxt += 10 * MSS;
            let nxt = SequenceNumber(self.nxt);
            let mut handle = |n: u32| {
                let una = SequenceNumber(start + (n + 1) * MSS);
                // The last one arrives when the next round's segments are in flight.
                let nxt = if n == 9 { nxt + 10 * MSS } else { nxt };
                self.law.handle_ack(&Ack { una, nxt, rtt, ..ack(MSS, 10 * MSS) })
            };
            let first = handle(0);
            (first, (1..10).map(handle).last().expect("nine more"))
        }
    }

    const FAST: Growth = Growth::By(MSS);
    const SLOW: Growth = Growth::By(MSS / 4);

    #[test]
    fn a_steady_round_trip_keeps_it_fast() {
        let mut rounds = Rounds::new();
        for _ in 0..30 {
            assert_eq!(rounds.round(100), (FAST, FAST));
        }
    }

    #[test]
    fn a_longer_round_trip_slows_it_down_for_five_rounds() {
        let mut rounds = Rounds::new();
        rounds.round(100);
        // An eighth of 100 ms is 12.5 ms, one of 112 ms is 14 ms.
        assert_eq!(rounds.round(112), (FAST, FAST));
        assert_eq!(rounds.round(126), (FAST, SLOW));
        for _ in 0..3 {
            assert_eq!(rounds.round(130), (SLOW, SLOW));
        }
        assert_eq!(rounds.round(130), (SLOW, Growth::Over));
    }

    #[test]
    fn a_false_alarm_speeds_it_up_again() {
        let mut rounds = Rounds::new();
        rounds.round(20);
        // Less than 4 ms says nothing, though it is more than an eighth.
        assert_eq!(rounds.round(23), (FAST, FAST));
        assert_eq!(rounds.round(27), (FAST, SLOW));
        assert_eq!(rounds.round(26), (SLOW, FAST));
        assert_eq!(rounds.round(26), (FAST, FAST));
    }

    #[test]
    fn seven_samples_say_nothing() {
        let mut law = HyStart::new();
        let sample = |una: u32, nxt: u32, ms| Ack {
            una: SequenceNumber(una),
            nxt: SequenceNumber(nxt),
            rtt: Some(Duration::from_millis(ms)),
            ..ack(MSS, 10 * MSS)
        };
        for n in 1..=10 {
            law.handle_ack(&sample(n, if n == 10 { 20 } else { 10 }, 10));
        }
        for n in 11..=17 {
            assert_eq!(law.handle_ack(&sample(n, 20, 90)), FAST);
        }
        assert_eq!(law.handle_ack(&sample(18, 20, 90)), SLOW);
    }
}
