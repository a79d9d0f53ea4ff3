//! The filter from outside: what rules files say and cannot say, what becomes of packets, what is remembered of them, and
//! a naive model that agrees.

mod agreement;
mod bounds;
mod connections;
mod judging;
mod model;
mod text;

use filter::{Config, Filter, Hook, Judgement, Ruleset, Sample, Verdict};
use time::Instant;

/// A filter, and the time.
struct Bench {
    filter: Filter,
    now: Instant,
}

impl Bench {
    /// By these rules, with the interfaces lan and wan.
    fn new(rules: &str) -> Self {
        Self::with(rules, Config::default())
    }

    fn with(rules: &str, config: Config) -> Self {
        let rules = Ruleset::parse(rules).unwrap_or_else(|errors| panic!("{errors}"));
        let filter = Filter::new(rules, &["lan", "wan"], config, &[7; 32]).expect("the rules can be obeyed");
        Self { filter, now: Instant::from_secs(1_000) }
    }

    /// What becomes of a packet, described as by [`Sample`]; its `after` passes first.
    fn judge(&mut self, packet: &str) -> Judgement {
        let sample: Sample = packet.parse().unwrap_or_else(|wrong| panic!("{packet}: {wrong}"));
        self.now += sample.after;
        let interface = u16::from(sample.interface.as_deref() == Some("wan"));
        let packet = sample.packet().expect("it is well-formed");
        self.filter.judge(sample.hook, interface, &packet, self.now)
    }

    fn passes(&mut self, packet: &str) -> bool {
        self.judge(packet).verdict.passes()
    }

    /// A packet that only has to have been.
    fn carry(&mut self, packet: &str) {
        assert!(self.passes(packet), "{packet}");
    }

    fn verdict(&mut self, packet: &str) -> Verdict {
        self.judge(packet).verdict
    }

    /// Packets that each rule of a hook has met.
    fn counted(&self, hook: Hook) -> Vec<u64> {
        self.filter.counters(hook).iter().map(|counter| counter.packets).collect()
    }
}
