//! The authority: what is proposed is committed with a number in the ledger, or rejected, before its first packet leaves.

use crate::cache::Cache;
use crate::policy::{DecidingRule, Decision, Policy};
use crate::proposal::{Context, Kind, Proposal};
use crate::refusals::Refusals;
use crate::rules::Protocol;
use ledger::{AppendError, Authorization, Direction, Entry, Event, Log, PolicyChange, RunId};
use std::sync::Arc;
use time::Instant;

/// When something is asked, by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By the clock that only goes forward, for what is due when.
    pub now: Instant,
    /// By the calendar: nanoseconds since 1970-01-01 00:00 UTC, for policies and entries.
    pub time_ns: u64,
}

/// What became of a proposal.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be, and is written down.
    Committed(Committed),
    /// It may not be.
    Rejected(Rejected),
}

/// A proposal that may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The number of its entry in the ledger; the connection carries it. It is on disk when
    /// [`Log::durable`](ledger::Log::durable) is above it.
    pub sequence: u64,
    /// The rule that allows it.
    pub rule: Option<Arc<DecidingRule>>,
}

/// A proposal that may not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Why, as a refusal's line tells it.
    pub reason: String,
    /// The rule that denies it; `None` where none does.
    pub rule: Option<Arc<DecidingRule>>,
    /// The number of the entry that tells of it, which is that of an earlier one where the same is refused again and
    /// again; `None` where it is only counted, or the ledger cannot be written.
    pub sequence: Option<u64>,
}

/// Policy, memory of answers and the head of the ledger, on one thread. It takes no lock and waits for nothing: whoever
/// owns it drains [`log_mut`](Self::log_mut).
///
/// ```
/// use axiom::{Axiom, Moment, Proposal, Verdict, domain::DomainName, policy::Policy, rules::Protocol};
/// use ledger::{Log, LogConfig, Position};
/// use time::Instant;
///
/// let policy = Policy::of_rules(&["example.com:443".into()], &[])?;
/// let mut axiom = Axiom::new(policy, Log::start(Position::default(), LogConfig::default()));
/// let moment = Moment { now: Instant::ZERO, time_ns: 1_795_000_000_000_000_000 };
///
/// let name = DomainName::parse("example.com").expect("a name");
/// match axiom.submit(&Proposal::connect(Protocol::Tcp, name.clone(), 443), moment) {
///     Verdict::Committed(committed) => assert_eq!(committed.sequence, 0),
///     Verdict::Rejected(rejected) => panic!("{}", rejected.reason),
/// }
/// match axiom.submit(&Proposal::connect(Protocol::Tcp, name, 80), moment) {
///     Verdict::Rejected(rejected) => assert_eq!(rejected.reason, "no rule allows it"),
///     Verdict::Committed(_) => panic!("port 80 is in no rule"),
/// }
/// # Ok::<(), axiom::policy::PolicyError>(())
/// ```
#[derive(Debug)]
pub struct Axiom {
    policy: Policy,
    cache: Cache,
    refusals: Refusals,
    log: Log,
    carried_bytes: u64,
}

impl Axiom {
    /// An authority with this policy, which writes into this log.
    #[must_use]
    pub fn new(policy: Policy, log: Log) -> Self {
        let cache = Cache::of(&policy);
        Self { policy, cache, refusals: Refusals::default(), log, carried_bytes: 0 }
    }

    /// What the policy says of a proposal, without an entry: for a question before the real one, as about a name before
    /// its addresses are known.
    pub fn decide(&mut self, proposal: &Proposal, moment: Moment) -> Decision {
        let context = self.context(moment);
        self.cache.decide(&self.policy, proposal, context)
    }

    /// What the policy says of a port that a program takes, without an entry: [`Policy::decide_inside`].
    pub fn decide_inside(&self, proposal: &Proposal, moment: Moment) -> Decision {
        self.policy.decide_inside(proposal, self.context(moment))
    }

    /// Decides, and writes down what was decided. What is committed may proceed at once, or with durability `sync` when
    /// its entry is on disk. Where the ledger cannot be written, everything is rejected.
    pub fn submit(&mut self, proposal: &Proposal, moment: Moment) -> Verdict {
        let decision = self.decide(proposal, moment);
        self.conclude(proposal, &decision, moment)
    }

    /// Writes down a decision that was had by other means than [`decide`](Self::decide), as that about a Unix socket
    /// ([`Policy::decide_socket`]), and gives what it comes to: as [`submit`](Self::submit).
    pub fn conclude(&mut self, proposal: &Proposal, decision: &Decision, moment: Moment) -> Verdict {
        let rule = decision.rule.clone();
        if !decision.allowed {
            return Verdict::Rejected(self.refuse(proposal, decision, moment));
        }
        let entry = entry(proposal, ledger::Verdict::Allowed, decision.to_string(), rule.as_deref(), moment);
        match self.log.append(&entry, moment.now) {
            Ok(sequence) => Verdict::Committed(Committed { sequence, rule }),
            Err(error) => {
                Verdict::Rejected(Rejected { reason: error.to_string(), rule: None, sequence: None })
            }
        }
    }

    /// Writes a refusal down that was decided elsewhere: an address that a name must not lead to, first bytes that are
    /// for another name, a limit.
    pub fn reject(&mut self, proposal: &Proposal, reason: impl Into<String>, moment: Moment) -> Rejected {
        self.write_refusal(proposal, reason.into(), None, moment)
    }

    /// Writes a refusal down that [`decide`](Self::decide) gave.
    pub fn refuse(&mut self, proposal: &Proposal, decision: &Decision, moment: Moment) -> Rejected {
        self.write_refusal(proposal, decision.to_string(), decision.rule.clone(), moment)
    }

    fn write_refusal(
        &mut self,
        proposal: &Proposal,
        reason: String,
        rule: Option<Arc<DecidingRule>>,
        moment: Moment,
    ) -> Rejected {
        let entry = entry(proposal, ledger::Verdict::Refused, reason.clone(), rule.as_deref(), moment);
        // It is refused all the same where that cannot be written.
        let sequence = self.refusals.refuse(proposal, entry, &mut self.log, moment.now).ok().flatten();
        Rejected { reason, rule, sequence }
    }

    /// Writes down something that happened: a connection that ended, a run that began.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn record(&mut self, run: RunId, event: Event, moment: Moment) -> Result<u64, AppendError> {
        self.log.append(&Entry::new(moment.time_ns, run, event), moment.now)
    }

    /// Decides by another policy from here on, and writes that down. `closed` is how many connections are closed that it
    /// does not allow any more: who owns them asks it beforehand, by [`Policy::would_still_allow`].
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written; the new policy holds all the same.
    pub fn change_policy(
        &mut self,
        policy: Policy,
        source: impl Into<String>,
        run: RunId,
        closed: u64,
        moment: Moment,
    ) -> Result<u64, AppendError> {
        let (digest, previous) = (policy.digest(), Some(self.policy.digest()));
        self.cache = Cache::of(&policy);
        self.policy = policy;
        let change = PolicyChange { digest, previous, source: source.into(), closed };
        self.record(run, Event::PolicyChange(change), moment)
    }

    /// Counts bytes of payload that a connection has carried, for policies that look at them.
    pub fn add_carried(&mut self, bytes: u64) {
        self.carried_bytes = self.carried_bytes.saturating_add(bytes);
    }

    /// Writes down refusals that were counted, where their second is over.
    pub fn handle_timeout(&mut self, moment: Moment) {
        self.refusals.handle_timeout(moment.time_ns, &mut self.log, moment.now);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout). The log has a time of its own.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.refusals.poll_timeout()
    }

    /// The policy that decides.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The head of the ledger.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The head of the ledger, to be drained into whoever writes it.
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    /// What a decision depends on besides the proposal.
    #[must_use]
    pub fn context(&self, moment: Moment) -> Context {
        Context { time_ns: moment.time_ns, carried_bytes: self.carried_bytes }
    }
}

/// The entry about a decision.
fn entry(
    proposal: &Proposal,
    verdict: ledger::Verdict,
    reason: String,
    rule: Option<&DecidingRule>,
    moment: Moment,
) -> Entry {
    let asked = Authorization {
        verdict,
        reason,
        rule: rule.map(|rule| rule.text.to_string()),
        program: proposal.program.as_deref().cloned(),
        protocol: proposal.protocol.map(|protocol| match protocol {
            Protocol::Tcp => ledger::Protocol::Tcp,
            Protocol::Udp => ledger::Protocol::Udp,
            Protocol::Icmp => ledger::Protocol::Icmp,
        }),
        direction: match proposal.kind {
            Kind::Connect | Kind::Ping => Some(Direction::Connect),
            Kind::Bind => Some(Direction::Bind),
            Kind::Listen => Some(Direction::Listen),
            Kind::Accept => Some(Direction::Accept),
            Kind::Resolve => None,
        },
        local: proposal.local,
        remote: proposal.remote,
        name: proposal
            .name
            .as_ref()
            .map(ToString::to_string)
            .or_else(|| proposal.nameless.as_deref().map(str::to_owned)),
        port: proposal.port,
        count: 1,
        path: proposal.socket.as_deref().map(str::to_owned),
    };
    let event = match proposal.kind {
        Kind::Connect | Kind::Accept | Kind::Ping => Event::ConnectionAuthorize(asked),
        Kind::Bind | Kind::Listen => Event::ListenAuthorize(asked),
        Kind::Resolve => Event::ResolveAuthorize(asked),
    };
    Entry::new(moment.time_ns, proposal.run, event)
}

#[cfg(test)]
mod tests;
