//! What was decided, by which rule, and why.

use super::complaint::{Place, place_json};
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;

// The words of a refusal's reason, which stands in the ledger: `remedy` reads them again.
pub(crate) const NO_RULE: &str = "no rule allows it";
pub(crate) const DENIED_BY: &str = "denied by ";
/// No rule is needed for a port that only programs inside reach.
pub(crate) const INSIDE: &str =
    "open inside: no rule speaks of it, and nobody outside reaches it but by --publish";
pub(crate) const OF_AN_OUTER_RUN: &str = " in the policy of an outer run";
/// Stands behind [`Decision`]'s own words where somebody was asked, and said nothing.
pub const UNANSWERED: &str = ", and nobody at the terminal answered for it";

/// The rule that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidingRule {
    /// The rule as it was written, or the name of a policy in Cedar.
    pub text: Arc<str>,
    /// Where it stands.
    pub place: Place,
}

impl fmt::Display for DecidingRule {
    /// `--allow api.example.com:443`, `team.list:3:1: api.example.com:443`, `the answer always at the terminal:
    /// tcp://api.example.com:443`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Flag(flag) => write!(f, "{flag} {}", self.text),
            place @ (Place::File { .. } | Place::Answer(_)) => write!(f, "{place}: {}", self.text),
        }
    }
}

impl DecidingRule {
    /// As an object: `rule`, and `file`, `line`, `column`, or `flag`, or `answer`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = place_json(&self.place);
        object["rule"] = (&*self.text).into();
        object
    }
}

/// Whether something may be, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be.
    pub allowed: bool,
    /// The rule that decided; `None` where no rule speaks of it, which denies it, but for a port that a program takes inside.
    pub rule: Option<Arc<DecidingRule>>,
    /// How many runs outwards the policy stands that decided: 0 for the run's own.
    pub outer: usize,
    /// Why no answer could be had, which denies it.
    pub failure: Option<Arc<str>>,
    /// Why an address is not one that a name that is allowed leads to, which denies it; of a question that has both.
    pub not_admitted: Option<Arc<str>>,
}

impl Decision {
    pub(super) fn by(allowed: bool, rule: Option<DecidingRule>) -> Self {
        Self { allowed, rule: rule.map(Arc::new), outer: 0, failure: None, not_admitted: None }
    }

    /// No answer can be had, which denies it.
    #[must_use]
    pub fn failed(reason: impl Into<Arc<str>>) -> Self {
        Self { failure: Some(reason.into()), ..Self::by(false, None) }
    }

    /// The name is allowed, and does not lead to its address.
    pub(super) fn not_admitted(reason: impl Into<Arc<str>>) -> Self {
        Self { not_admitted: Some(reason.into()), ..Self::by(false, None) }
    }

    /// A program may take a port inside, of which no rule speaks.
    pub(super) fn open_inside() -> Self {
        Self::by(true, None)
    }

    /// Whether it forbids something in so many words: by a rule, or because no answer can be had.
    pub(super) fn forbids(&self) -> bool {
        !self.allowed && (self.rule.is_some() || self.failure.is_some())
    }

    /// A person has allowed, this once, what no rule speaks of; `endpoint` is what that is, as a rule writes it.
    #[must_use]
    pub fn allowed_once(endpoint: impl Into<Arc<str>>) -> Self {
        Self::by(true, Some(DecidingRule { text: endpoint.into(), place: Place::Answer("once") }))
    }

    /// Whether it is [`allowed_once`](Self::allowed_once).
    #[must_use]
    pub fn is_answered_once(&self) -> bool {
        self.rule.as_ref().is_some_and(|rule| rule.place == Place::Answer("once"))
    }

    /// Whether no rule speaks of it, so that it is denied, and a person could be asked. What the policy of an outer run
    /// does not allow is not for anybody inside to say.
    ///
    /// ```
    /// use axiom::policy::Question;
    /// use axiom::{Context, policy::Policy};
    ///
    /// let policy = Policy::of_rules(&["a.example:443".into()], &["b.example".into()])?;
    /// let ask = |text| policy.decide(&Question::parse(text).expect("one").proposal, Context::default());
    /// assert!(ask("connect c.example:443").is_unruled());
    /// assert!(!ask("connect a.example:443").is_unruled() && !ask("connect b.example:443").is_unruled());
    /// # Ok::<(), axiom::policy::PolicyError>(())
    /// ```
    #[must_use]
    pub fn is_unruled(&self) -> bool {
        let has_reason = self.failure.is_some() || self.not_admitted.is_some();
        !self.allowed && self.rule.is_none() && !has_reason && self.outer == 0
    }

    /// The rule's text, where a rule decided.
    #[must_use]
    pub fn rule_text(&self) -> Option<&Arc<str>> {
        self.rule.as_ref().map(|rule| &rule.text)
    }

    /// As an object: `allowed`, `reason`, `rule`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let rule = self.rule.as_ref().map_or(Value::Null, |rule| rule.to_json());
        json!({ "allowed": self.allowed, "reason": self.to_string(), "decided_by": rule })
    }
}

impl fmt::Display for Decision {
    /// Why, as a refusal's line tells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = &self.not_admitted {
            return f.write_str(reason);
        }
        let whose = if self.outer == 0 { "" } else { OF_AN_OUTER_RUN };
        match (&self.failure, &self.rule, self.allowed) {
            (Some(reason), _, _) => write!(f, "the policy gives no answer{whose}: {reason}"),
            (None, Some(rule), true) => write!(f, "allowed by {rule}{whose}"),
            (None, Some(rule), false) => write!(f, "{DENIED_BY}{rule}{whose}"),
            (None, None, true) => f.write_str(INSIDE),
            (None, None, false) => write!(f, "{NO_RULE}{whose}"),
        }
    }
}
