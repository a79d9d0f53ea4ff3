//! Which rule decides a question, and why not another.

use super::complaint::Place;
use super::decision::{DecidingRule, Decision};
use super::layer::{Layer, host};
use super::query::Question;
use super::set::Policy;
use crate::addresses::{NotAdmitted, classify};
use crate::proposal::Proposal;
use crate::rules::Host;
use cedar_policy::PolicySet;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fmt;

/// How many rules that nearly decided are told of.
const NEAR_MAX: usize = 10;

/// An answer with its reasons.
///
/// ```
/// use axiom::policy::{Policy, Question};
///
/// let policy = Policy::of_rules(&["example.com:443".into()], &[])?;
/// let explanation = policy.explain(&Question::parse("connect example.com:80").expect("a question"));
/// assert_eq!(
///     explanation.to_string(),
///     "connect tcp://example.com:80: denied\n  no rule allows it\n  \
///      nearly: --allow example.com:443 (it names other protocols or ports)\n  \
///      --allow tcp://example.com:80 would allow it\n"
/// );
/// # Ok::<(), axiom::policy::PolicyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What was asked, in one way of writing it.
    pub question: String,
    /// What is decided.
    pub decision: Decision,
    /// Rules that speak of it, and are not the one that decided.
    pub also: Vec<DecidingRule>,
    /// Rules that nearly speak of it.
    pub near: Vec<Near>,
    /// The lists, names and networks that a policy names and that the endpoint is in, as Cedar writes them.
    pub groups: Vec<String>,
    /// The flags that together would allow it, where any would.
    pub hint: Option<String>,
}

/// A rule that nearly speaks of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// The rule.
    pub rule: DecidingRule,
    /// What is missing, in words.
    pub lacks: &'static str,
}

impl Policy {
    /// Which rule decides a question and why. Takes longer than to decide: every rule is looked at.
    #[must_use]
    pub fn explain(&self, question: &Question) -> Explanation {
        let proposal = &question.proposal;
        let decision = self.answer(question);
        let mut explanation = Explanation {
            question: format!("{} {}", proposal.kind, proposal.endpoint()),
            also: Vec::new(),
            near: Vec::new(),
            groups: Vec::new(),
            hint: None,
            decision,
        };
        let deciding = explanation.decision.rule.as_deref().cloned();
        for layer in self.layers() {
            let depth = layer.statements.depth;
            depth.with_stack(|| layer.explain(question, &mut explanation));
        }
        explanation.also.retain(|rule| Some(rule) != deciding.as_ref());
        explanation.near.retain(|near| Some(&near.rule) != deciding.as_ref());
        explanation.near.truncate(NEAR_MAX);
        if !explanation.decision.allowed && deciding.is_none() && explanation.decision.failure.is_none() {
            // Another run's policy is not this one's to widen.
            let is_own = explanation.decision.outer == 0;
            explanation.hint = proposal
                .protocol
                .zip(host(proposal))
                .filter(|_| is_own)
                .map(|(protocol, host)| crate::rules::hint(protocol, host, proposal.port.unwrap_or(0)));
            if !matches!(proposal.kind, crate::Kind::Connect | crate::Kind::Ping) {
                explanation.hint = None;
            }
            if let Some((hint, inner)) = explanation.hint.as_mut().zip(self.inner_hint(question)) {
                *hint = format!("{hint} {inner}");
            }
        }
        if explanation.decision.not_admitted.is_some() {
            explanation.hint = match self.rejection(question) {
                Some((_, NotAdmitted::Class { hint, .. })) => Some(hint).filter(|hint| !hint.is_empty()),
                _ => None,
            };
        }
        explanation
    }

    /// The flag that a name needs besides its own, where the address that it leads to is an inner one that no rule allows.
    fn inner_hint(&self, Question { proposal, context, .. }: &Question) -> Option<String> {
        let (protocol, address) = (proposal.protocol?, proposal.address()?);
        let there = Proposal { name: None, ..proposal.clone() };
        let is_open = proposal.name.is_none()
            || classify(address, &HashSet::new()).is_reachable_by_name()
            || self.decide(&there, *context).allowed;
        (!is_open).then(|| crate::rules::hint(protocol, address, proposal.port.unwrap_or(0)))
    }
}

impl Layer {
    fn explain(&self, question: &Question, explanation: &mut Explanation) {
        let Question { proposal, context, .. } = question;
        let mut groups: Vec<String> = self.groups_of(proposal).iter().map(ToString::to_string).collect();
        groups.sort();
        explanation.groups.extend(groups);
        let statements = self.statements.statements.iter().enumerate();
        for (index, statement) in statements.filter(|(_, one)| matches!(one.place, Place::File { .. })) {
            let rule = DecidingRule { text: statement.name.clone(), place: statement.place.clone() };
            let Some(policy) = self.statements.set.policy(&cedar_policy::PolicyId::new(index.to_string()))
            else {
                continue;
            };
            let speaks = |policy: cedar_policy::Policy| {
                let set = PolicySet::from_policies([policy]).ok()?;
                let response = self.ask_of(&set, proposal, *context).ok()?;
                response.diagnostics().reason().next().map(|_| ())
            };
            if speaks(policy.clone()).is_some() {
                explanation.also.push(rule);
            } else if without_conditions(policy).and_then(speaks).is_some() {
                explanation.near.push(Near { rule, lacks: "its condition does not hold" });
            }
        }
        let Some(host) = host(proposal) else { return };
        self.near_rules(question, &host, explanation);
    }

    /// Rules in the short format that name the host.
    fn near_rules(&self, question: &Question, host: &Host, explanation: &mut Explanation) {
        let proposal = &question.proposal;
        let allow = self.own.rules.allow().iter().zip(&self.own.allow_places);
        let deny = self.own.rules.deny().iter().zip(&self.own.deny_places);
        for (rule, place) in allow.chain(deny).filter(|(rule, _)| rule.names(host)) {
            let told = DecidingRule { text: rule.text().clone(), place: place.clone() };
            let speaks =
                proposal.protocol.is_none_or(|protocol| rule.speaks_of(protocol, proposal.port.unwrap_or(0)));
            match speaks {
                true if explanation.also.len() < NEAR_MAX => explanation.also.push(told),
                false if explanation.near.len() < NEAR_MAX => {
                    explanation.near.push(Near { rule: told, lacks: "it names other protocols or ports" });
                }
                true | false => {}
            }
        }
    }
}

/// A policy as if it had no `when` and no `unless`.
fn without_conditions(policy: &cedar_policy::Policy) -> Option<cedar_policy::Policy> {
    let mut json = policy.to_json().ok()?;
    json["conditions"] = Value::Array(Vec::new());
    cedar_policy::Policy::from_json(Some(policy.id().clone()), json).ok()
}

impl Explanation {
    /// As an object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = self.decision.to_json();
        object["question"] = self.question.as_str().into();
        object["also"] = self.also.iter().map(DecidingRule::to_json).collect();
        let near = |near: &Near| {
            let mut object = near.rule.to_json();
            object["lacks"] = near.lacks.into();
            object
        };
        object["near"] = self.near.iter().map(near).collect();
        object["groups"] = json!(self.groups);
        object["hint"] = self.hint.as_deref().into();
        object
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.decision.allowed { "allowed" } else { "denied" };
        writeln!(f, "{}: {verdict}", self.question)?;
        writeln!(f, "  {}", self.decision)?;
        for rule in &self.also {
            writeln!(f, "  also: {rule}")?;
        }
        for near in &self.near {
            writeln!(f, "  nearly: {} ({})", near.rule, near.lacks)?;
        }
        if !self.groups.is_empty() {
            writeln!(f, "  in: {}", self.groups.join(", "))?;
        }
        match &self.hint {
            Some(hint) => writeln!(f, "  {hint} would allow it"),
            None => Ok(()),
        }
    }
}
