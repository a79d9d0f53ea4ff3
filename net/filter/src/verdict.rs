//! What becomes of a packet, and which rule says so.

use crate::rules::{Answer, Hook, State};

/// What becomes of a packet.
///
/// ```
/// use filter::{Answer, Verdict};
/// assert!(Verdict::Accepted.passes() && !Verdict::Rejected(Answer::Fitting).passes());
/// ```
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Accepted,
    /// It vanishes: a rule or the default says so.
    Dropped,
    /// It vanishes: it came beyond a rate.
    Limited,
    /// It vanishes, and its sender is told in this way.
    Rejected(Answer),
}

impl Verdict {
    /// Whether the packet goes on.
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(self, Self::Accepted)
    }

    /// Its name, as it stands in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Dropped => "dropped",
            Self::Limited => "limited",
            Self::Rejected(_) => "rejected",
        }
    }
}

/// A verdict, and how it came about.
///
/// ```
/// use filter::{Config, Filter, Hook, Packet, Ruleset, State};
/// use time::Instant;
/// let rules = Ruleset::parse("receive default drop\n accept tcp to port 22")?;
/// let mut filter = Filter::new(rules, &[], Config::default(), &[7; 32]).expect("no interface is named");
/// let segment = Packet {
///     source: [192, 0, 2, 1].into(),
///     destination: [198, 51, 100, 2].into(),
///     protocol: wire::Protocol::TCP,
///     transport: &[0x1b, 0x58, 0, 22],
///     length_bytes: 60,
///     is_fragment: false,
///     program: None,
/// };
/// let judgement = filter.judge(Hook::Receive, 0, &segment, Instant::from_secs(1));
/// assert!(judgement.verdict.passes());
/// assert_eq!(judgement.rule.map(|rule| rule.number), Some(0));
/// # Ok::<(), filter::Errors>(())
/// ```
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// The rule that decided; none where the hook's default did.
    pub rule: Option<RuleId>,
    /// What the packet is to the connections that are known; `Untracked` where no rule asks.
    pub state: State,
}

/// Which rule: of which hook, and which one of it, counted from 0.
///
/// ```
/// use filter::{Hook, RuleId};
/// assert!(RuleId { hook: Hook::Send, number: 1 } > RuleId { hook: Hook::Receive, number: 9 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleId {
    /// The hook.
    pub hook: Hook,
    /// Its place among the hook's rules.
    pub number: usize,
}

/// What a rule, or a hook's default, has met.
///
/// ```
/// let mut counter = filter::Counter::default();
/// counter.count(1_500);
/// assert_eq!((counter.packets, counter.bytes), (1, 1_500));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Packets that matched.
    pub packets: u64,
    /// Their bytes, from the IP header's first on.
    pub bytes: u64,
    /// Those of them that came beyond the rate of a `limit`, and were dropped for it.
    pub over: u64,
}

impl Counter {
    /// Counts a packet.
    #[inline]
    pub const fn count(&mut self, length_bytes: u32) {
        self.packets += 1;
        self.bytes += length_bytes as u64;
    }
}
