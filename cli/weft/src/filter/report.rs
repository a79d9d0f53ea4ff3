//! What `weft filter test` says of packets, as text and as JSON.

use super::Tried;
use filter::{Filter, RuleId};
use serde_json::{Value, json};
use std::fmt::Write;

/// A line for each packet: what became of it, by which rule, and what it is.
pub fn tried_to_text(filter: &Filter, tried: &[Tried<'_>]) -> String {
    let mut text = String::new();
    for Tried { packet, judgement, sample } in tried {
        let by = match judgement.rule {
            Some(id) => {
                format!("by rule {} on line {}: {}", id.number + 1, line_of(filter, id), rule_of(filter, id))
            }
            None => format!("by the default of {}", sample.hook.name()),
        };
        // Writing to memory cannot fail.
        let _ = writeln!(
            text,
            "{packet}\n    {} {by} (state {})",
            judgement.verdict.name(),
            judgement.state.name()
        );
    }
    text
}

/// The same, as objects.
pub fn tried_to_json(filter: &Filter, tried: &[Tried<'_>]) -> Value {
    let each = tried.iter().map(|Tried { packet, judgement, sample }| {
        json!({
            "packet": packet,
            "verdict": judgement.verdict.name(),
            "hook": sample.hook.name(),
            "rule_number": judgement.rule.map(|id| id.number + 1),
            "line": judgement.rule.map(|id| line_of(filter, id)),
            "rule": judgement.rule.map(|id| rule_of(filter, id)),
            "state": judgement.state.name(),
        })
    });
    each.collect()
}

fn line_of(filter: &Filter, id: RuleId) -> u32 {
    filter.rule(id).map_or(0, |rule| rule.line)
}

fn rule_of(filter: &Filter, id: RuleId) -> String {
    filter.rule(id).map_or_else(String::new, |rule| rule.shown(&filter.rules().sets).to_string())
}
