//! What was decided, by which rule, and why.

use super::complaint::{Place, place_json};
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;

// The words of a refusal's reason, which stands in the ledger: `remedy` reads them again.
pub(crate) const NO_RULE: &str = "no rule allows it";
pub(crate) const DENIED_BY: &str = "denied by ";
pub(crate) const OF_AN_OUTER_RUN: &str = " in the policy of an outer run";

/// The rule that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidingRule {
    /// The rule as it was written, or the name of a policy in Cedar.
    pub text: Arc<str>,
    /// Where it stands.
    pub place: Place,
}

impl fmt::Display for DecidingRule {
    /// `--allow api.example.com:443`, `team.list:3:1: api.example.com:443`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Flag(flag) => write!(f, "{flag} {}", self.text),
            place @ Place::File { .. } => write!(f, "{place}: {}", self.text),
        }
    }
}

impl DecidingRule {
    /// As an object: `rule`, and `file`, `line`, `column` or `flag`.
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
    /// The rule that decided; `None` where no rule speaks of it, which denies it.
    pub rule: Option<Arc<DecidingRule>>,
    /// How many runs outwards the policy stands that decided: 0 for the run's own.
    pub outer: usize,
    /// Why no answer could be had, which denies it.
    pub failure: Option<Arc<str>>,
}

impl Decision {
    pub(super) fn by(allowed: bool, rule: Option<DecidingRule>) -> Self {
        Self { allowed, rule: rule.map(Arc::new), outer: 0, failure: None }
    }

    /// No answer can be had, which denies it.
    #[must_use]
    pub fn failed(reason: impl Into<Arc<str>>) -> Self {
        Self { allowed: false, rule: None, outer: 0, failure: Some(reason.into()) }
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
        let whose = if self.outer == 0 { "" } else { OF_AN_OUTER_RUN };
        match (&self.failure, &self.rule, self.allowed) {
            (Some(reason), _, _) => write!(f, "the policy gives no answer{whose}: {reason}"),
            (None, Some(rule), true) => write!(f, "allowed by {rule}{whose}"),
            (None, Some(rule), false) => write!(f, "{DENIED_BY}{rule}{whose}"),
            (None, None, _) => write!(f, "{NO_RULE}{whose}"),
        }
    }
}
