//! The policy of a run, and of the runs around it.

use super::PolicyBuilder;
use super::cedar::Reads;
use super::complaint::Complaint;
use super::decision::Decision;
use super::layer::Layer;
use super::query::Question;
use crate::addresses::{NotAdmitted, Pins, classify};
use crate::proposal::{Context, Kind, Proposal};
use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// How many runs may stand in one another: each is asked about everything that is inside of it.
pub const LAYERS_MAX: usize = 16;

/// What may be. Cheap to clone; the same question always has the same answer.
///
/// ```
/// use axiom::{Context, Proposal, domain::DomainName, policy::Policy, rules::Protocol};
///
/// let policy = Policy::of_rules(&["*.example.com:443".into()], &["old.example.com".into()])?;
/// let ask = |name: &str| {
///     let name = DomainName::parse(name).expect("a name");
///     policy.decide(&Proposal::connect(Protocol::Tcp, name, 443), Context::default())
/// };
/// assert_eq!(ask("api.example.com").to_string(), "allowed by --allow *.example.com:443");
/// assert_eq!(ask("old.example.com").to_string(), "denied by --deny old.example.com");
/// assert_eq!(ask("example.org").to_string(), "no rule allows it");
/// # Ok::<(), axiom::policy::PolicyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    /// The run's own, then those of the runs around it, outwards.
    layers: Vec<Arc<Layer>>,
}

/// Runs stand in one another deeper than [`LAYERS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooDeep;

impl fmt::Display for TooDeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {LAYERS_MAX} runs stand in one another")
    }
}

impl std::error::Error for TooDeep {}

impl Policy {
    pub(super) fn of_layer(layer: Layer) -> Self {
        Self { layers: vec![Arc::new(layer)] }
    }

    /// What rules of `--allow` and `--deny` allow. Nothing where there are none.
    ///
    /// # Errors
    ///
    /// The rules that cannot be understood.
    pub fn of_rules(allow: &[String], deny: &[String]) -> Result<Self, super::PolicyError> {
        PolicyBuilder::default().rules(allow, deny).build()
    }

    /// What is allowed by this policy and by that of the run around it: a run can only take away.
    ///
    /// # Errors
    ///
    /// Where together they are more than [`LAYERS_MAX`].
    pub fn and(&self, outer: &Self) -> Result<Self, TooDeep> {
        let layers: Vec<_> = self.layers.iter().chain(&outer.layers).cloned().collect();
        match layers.len() {
            0..=LAYERS_MAX => Ok(Self { layers }),
            _ => Err(TooDeep),
        }
    }

    /// Whether a proposal may be, and why. Costs microseconds: [`Axiom`](crate::Axiom) remembers answers.
    #[must_use]
    pub fn decide(&self, proposal: &Proposal, context: Context) -> Decision {
        let mut own = None;
        for (outer, layer) in self.layers.iter().enumerate() {
            let decision = layer.decide(proposal, context);
            if !decision.allowed {
                return Decision { outer, ..decision };
            }
            own = own.or(Some(decision));
        }
        own.unwrap_or_else(|| Decision::by(false, None))
    }

    /// Whether a program may take a port inside, to listen there. Only programs inside reach it, so that it needs no rule, and
    /// a rule of any layer may forbid it. That somebody outside reaches it is [decided](Self::decide) apart, where it is
    /// published.
    ///
    /// ```
    /// use axiom::{Context, Proposal, policy::Policy, rules::Protocol};
    ///
    /// let policy = Policy::of_rules(&[], &["0.0.0.0:22".into()])?;
    /// let listen = |port| Proposal::listen(Protocol::Tcp, ([0, 0, 0, 0], port).into());
    /// assert!(policy.decide_inside(&listen(80), Context::default()).allowed);
    /// assert!(!policy.decide_inside(&listen(22), Context::default()).allowed);
    /// # Ok::<(), axiom::policy::PolicyError>(())
    /// ```
    #[must_use]
    pub fn decide_inside(&self, proposal: &Proposal, context: Context) -> Decision {
        let mut allowing = None;
        for (outer, layer) in self.layers.iter().enumerate() {
            let decision = layer.decide(proposal, context);
            if decision.forbids() {
                return Decision { outer, ..decision };
            }
            allowing = allowing.or(Some(decision).filter(|decision| decision.allowed && outer == 0));
        }
        allowing.unwrap_or_else(Decision::open_inside)
    }

    /// Whether a connection that is open would be allowed if it were opened now: what a changed policy is asked.
    #[must_use]
    pub fn would_still_allow(&self, proposal: &Proposal, context: Context) -> bool {
        self.decide(proposal, context).allowed
    }

    /// What denies a proposal by a rule, or because no answer can be had: for an address that what is allowed already goes
    /// to, and that needs no rule of its own, as the host's loopback where `host.weft.internal` is allowed.
    #[must_use]
    pub fn denying(&self, proposal: &Proposal, context: Context) -> Option<Decision> {
        let decide =
            |(outer, layer): (usize, &Arc<Layer>)| Decision { outer, ..layer.decide(proposal, context) };
        let denies = |said: &Decision| !said.allowed && (said.rule.is_some() || said.failure.is_some());
        self.layers.iter().enumerate().map(decide).find(denies)
    }

    /// Whether a connection that was opened for a name, and is allowed, may go to this address of that name. The proposal
    /// has the name; the address is one of those that it resolved to. `own` are the addresses of the host's interfaces. Where a
    /// person has allowed it this once, that no rule speaks of it keeps it from nowhere.
    ///
    /// # Errors
    ///
    /// Where a rule denies the address; or where it is neither public, nor allowed by itself, nor pinned to the name by
    /// the user.
    pub fn admit(
        &self,
        proposal: &Proposal,
        address: IpAddr,
        context: Context,
        (pins, own): (&Pins, &HashSet<IpAddr>),
        is_allowed_once: bool,
    ) -> Result<(), NotAdmitted> {
        let (protocol, port) = (proposal.protocol, proposal.port.unwrap_or(0));
        let remote = Some(std::net::SocketAddr::new(address, port));
        let there = Proposal { remote, ..proposal.clone() };
        let decision = self.decide(&there, context);
        let is_allowed = decision.allowed || is_allowed_once && decision.is_unruled();
        if !is_allowed {
            return Err(NotAdmitted::Denied { why: decision.to_string().into() });
        }
        let class = classify(address, own);
        let is_meant = proposal.name.as_ref().is_some_and(|name| {
            let is_host = name.is_host() && class == crate::addresses::AddressClass::Loopback;
            pins.contains(name, address) || is_host
        });
        if class.is_reachable_by_name()
            || is_meant
            || self.decide(&Proposal { name: None, ..there }, context).allowed
        {
            return Ok(());
        }
        let hint = protocol.map_or_else(String::new, |protocol| crate::rules::hint(protocol, address, port));
        Err(NotAdmitted::Class { class, hint })
    }

    /// What a run decides of a question: where it has a name and an address of that name, whether the name leads there as
    /// well; where it is about a port that a program takes, whether it may [inside](Self::decide_inside). Of the host's own addresses and of names that were given addresses a question tells nothing.
    #[must_use]
    pub fn answer(&self, question: &Question) -> Decision {
        if matches!(question.proposal.kind, Kind::Bind | Kind::Listen) {
            return self.decide_inside(&question.proposal, question.context);
        }
        let decision = self.decide(&question.proposal, question.context);
        let Some((address, why)) = self.rejection(question).filter(|_| decision.allowed) else {
            return decision;
        };
        Decision::not_admitted(why.reason(address))
    }

    /// The address that the question's name does not lead to, and why not.
    pub(super) fn rejection(&self, question: &Question) -> Option<(IpAddr, NotAdmitted)> {
        let Question { proposal, context, .. } = question;
        let address = proposal.address()?;
        if proposal.name.is_none() || !matches!(proposal.kind, Kind::Connect | Kind::Ping) {
            return None;
        }
        let known = (&Pins::default(), &HashSet::new());
        self.admit(proposal, address, *context, known, false).err().map(|why| (address, why))
    }

    /// The rules in the short format of the run's own policy, those of flags first.
    #[must_use]
    pub fn rules(&self) -> Option<&crate::rules::Rules> {
        self.layers.first().map(|layer| &layer.own.rules)
    }

    /// What becomes of a Unix socket of the host's, found at `path`. Which rule means it only the file system tells, so that
    /// whoever asks has looked there: `rule` is that rule's text, and `denied` whether it denies. A rule that is gone since
    /// then opens nothing, and one that denies the path by now closes it.
    ///
    /// ```
    /// use axiom::policy::Policy;
    ///
    /// let policy = Policy::of_rules(&["unix:/run/docker.sock".into()], &[])?;
    /// let path = "/run/docker.sock";
    /// assert!(policy.decide_socket(path, Some("unix:/run/docker.sock"), false).allowed);
    /// assert!(!policy.decide_socket(path, Some("unix:/run/"), false).allowed);
    /// assert!(!policy.decide_socket(path, None, true).allowed);
    /// # Ok::<(), axiom::policy::PolicyError>(())
    /// ```
    #[must_use]
    pub fn decide_socket(&self, path: &str, rule: Option<&str>, denied: bool) -> Decision {
        match self.layers.first() {
            Some(layer) => layer.decide_socket(path, rule, denied),
            None => Decision::by(false, None),
        }
    }

    /// The paths of the host's Unix sockets that may be reached: those that every layer allows, as they were written.
    #[must_use]
    pub fn unix_paths(&self) -> Vec<&str> {
        let Some((own, outer)) = self.layers.split_first() else { return Vec::new() };
        let allowed_outside =
            |path: &&str| outer.iter().all(|layer| layer.own.rules.decide_unix(path).allowed);
        own.own.rules.unix_paths().filter(allowed_outside).collect()
    }

    /// The BLAKE3 hash of everything that the run's own policy was read from, in the order in which it was read.
    #[must_use]
    pub fn digest(&self) -> ledger::Digest {
        ledger::Digest(self.layers.first().map_or([0; 32], |layer| layer.digest))
    }

    /// What is allowed to stand and is likely not meant, such as a policy in Cedar that nothing can fulfil.
    #[must_use]
    pub fn warnings(&self) -> &[Complaint] {
        self.layers.first().map_or(&[], |layer| layer.warnings())
    }

    /// How many rules in the short format and how many policies in Cedar the run's own policy has.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let count = |layer: &Arc<Layer>| {
            let of = |list: &super::source::List| list.rules.allow().len() + list.rules.deny().len();
            let rules = of(&layer.own) + layer.lists.iter().map(|(_, list)| of(list)).sum::<usize>();
            (rules, layer.cedar_count())
        };
        self.layers.first().map_or((0, 0), count)
    }

    /// Whether an answer holds for later too: whether no layer looks at the time or at the bytes that were carried.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        self.reads().all(Reads::is_lasting)
    }

    /// Whether any layer looks at who asks.
    #[must_use]
    pub fn looks_at_principal(&self) -> bool {
        self.reads().any(|reads| reads.principal)
    }

    /// Whether any layer looks at the run.
    pub(crate) fn looks_at_run(&self) -> bool {
        self.reads().any(|reads| reads.principal || reads.has("run"))
    }

    /// The same, as if its policies in Cedar were as deep as this.
    #[cfg(test)]
    pub(super) fn with_depth(mut self, depth: super::depth::Depth) -> Self {
        for layer in &mut self.layers {
            Arc::get_mut(layer).expect("nobody else's").statements.depth = depth;
        }
        self
    }

    pub(super) fn layers(&self) -> &[Arc<Layer>] {
        &self.layers
    }

    fn reads(&self) -> impl Iterator<Item = &Reads> {
        self.layers.iter().map(|layer| &layer.statements.reads)
    }
}
