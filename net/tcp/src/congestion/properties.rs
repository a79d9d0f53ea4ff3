//! Whatever happens to it, and in whatever order, no law leaves its bounds.

use super::*;
use crate::delivery_rate::RateSample;
use proptest::prelude::*;
use time::SequenceNumber;

#[derive(Clone, Debug)]
enum Step {
    Ack { acked: u32, flight: u32, rtt_us: Option<u32>, limited: bool, rate: Option<(u64, u32)>, una: u32 },
    EnterRecovery { flight: u32 },
    LeaveRecovery { flight: u32 },
    Collapse { flight: u32, first: bool },
    Undo,
    Ecn { flight: u32 },
    Restart { idle_ms: u64, timeout_ms: u64 },
    Algorithm(CongestionAlgorithm),
    Pass { nanos: u64 },
    Segment { mss: u32 },
}

/// Small numbers, large ones, and the largest.
fn bytes() -> impl Strategy<Value = u32> {
    prop_oneof![0..3_000_u32, 0..10_000_000_u32, any::<u32>()]
}

fn algorithm() -> impl Strategy<Value = CongestionAlgorithm> {
    prop::sample::select(CongestionAlgorithm::ALL.to_vec())
}

fn step() -> impl Strategy<Value = Step> {
    let rate = prop::option::of((prop_oneof![0..100_000_000_u64, any::<u64>()], bytes()));
    let ack = (bytes(), bytes(), prop::option::of(any::<u32>()), any::<bool>(), rate, any::<u32>());
    prop_oneof![
        12 => ack.prop_map(|(acked, flight, rtt_us, limited, rate, una)| {
            Step::Ack { acked, flight, rtt_us, limited, rate, una }
        }),
        2 => bytes().prop_map(|flight| Step::EnterRecovery { flight }),
        2 => bytes().prop_map(|flight| Step::LeaveRecovery { flight }),
        1 => (bytes(), any::<bool>()).prop_map(|(flight, first)| Step::Collapse { flight, first }),
        1 => Just(Step::Undo),
        1 => bytes().prop_map(|flight| Step::Ecn { flight }),
        1 => (any::<u64>(), any::<u64>()).prop_map(|(idle_ms, timeout_ms)| Step::Restart { idle_ms, timeout_ms }),
        1 => algorithm().prop_map(Step::Algorithm),
        3 => prop_oneof![0..50_000_000_u64, any::<u64>()].prop_map(|nanos| Step::Pass { nanos }),
        1 => (1..=65_495_u32).prop_map(|mss| Step::Segment { mss }),
    ]
}

/// A connection's congestion control, and what is around it.
struct Subject {
    congestion: Congestion,
    config: Config,
    mss: u32,
    now: Instant,
    delivered: u64,
}

impl Subject {
    fn apply(&mut self, step: &Step) {
        let (mss, now) = (self.mss, self.now);
        let congestion = &mut self.congestion;
        match *step {
            Step::Ack { acked, flight, rtt_us, limited, rate, una } => {
                let rtt = rtt_us.map(|us| Duration::from_micros(us.into()));
                let before = self.delivered;
                self.delivered += u64::from(acked);
                let rate = rate.map(|(rate, prior)| RateSample {
                    rate: Some(rate),
                    delivered: self.delivered,
                    prior_delivered: before.saturating_sub(prior.into()),
                    application_limited: limited,
                    rtt,
                });
                congestion.handle_ack(&Ack {
                    acked_bytes: acked,
                    flight_before: flight,
                    mss,
                    una: SequenceNumber(una),
                    nxt: SequenceNumber(una.wrapping_add(flight)),
                    rtt,
                    smoothed_rtt: rtt,
                    min_rtt: rtt,
                    application_limited: limited,
                    rate,
                    now,
                });
            }
            Step::EnterRecovery { flight } => congestion.enter_recovery(flight, mss, now),
            Step::LeaveRecovery { flight } => {
                congestion.leave_recovery();
                congestion.limit_burst(flight, mss);
            }
            Step::Collapse { flight, first } => congestion.collapse(flight, mss, first, now),
            Step::Undo => congestion.undo(),
            Step::Ecn { flight } => congestion.handle_ecn(flight, mss, now),
            Step::Restart { idle_ms, timeout_ms } => {
                let (idle, timeout) = (Duration::from_millis(idle_ms), Duration::from_millis(timeout_ms));
                congestion.restart(&self.config, mss, idle, timeout);
            }
            Step::Algorithm(algorithm) => congestion.set_algorithm(algorithm),
            Step::Pass { nanos } => self.now += Duration::from_nanos(nanos),
            Step::Segment { mss } => self.mss = mss,
        }
    }
}

proptest! {
    #[test]
    fn no_law_leaves_its_bounds(
        algorithm in algorithm(),
        hystart in any::<bool>(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let config = Config { congestion: algorithm, hystart, ..Config::linux() };
        let mut congestion = Congestion::new(&config);
        congestion.start(&config, 1_448, false, Instant::from_secs(1));
        let mut subject = Subject { congestion, config, mss: 1_448, now: Instant::from_secs(1), delivered: 0 };
        for step in &steps {
            subject.apply(step);
            let congestion = &subject.congestion;
            let window = congestion.window();
            prop_assert!((1..=WINDOW_BYTES_MAX).contains(&window), "a window of {window} after {step:?}");
            prop_assert!(congestion.threshold() > 0, "no threshold after {step:?}");
            let pace = congestion.pacing_rate(Some(Duration::from_millis(10)));
            prop_assert!(pace.is_some_and(|rate| rate > 0), "no pace after {step:?}");
        }
    }

    #[test]
    fn a_loss_never_enlarges_the_window_and_undo_never_shrinks_it(
        algorithm in algorithm(),
        acks in prop::collection::vec((1..100_000_u32, 0..2_000_u64), 0..50),
        flight in bytes(),
    ) {
        let config = Config { congestion: algorithm, ..Config::linux() };
        let mut congestion = Congestion::new(&config);
        congestion.start(&config, 1_000, false, Instant::from_secs(1));
        let mut now = Instant::from_secs(1);
        for (acked, ms) in acks {
            now += Duration::from_millis(ms);
            congestion.handle_ack(&Ack { now, ..super::tests::ack(acked, congestion.window()) });
        }
        let before = congestion.window();
        congestion.enter_recovery(flight, 1_000, now);
        let after = congestion.window();
        prop_assert!(after <= before.max(2_000), "{before} became {after}");
        congestion.undo();
        prop_assert!(congestion.window() >= before);
    }
}
