//! What `weft filter` says, as text and as JSON.

use super::Tried;
use filter::{Chain, Counter, DefaultVerdict, Errors, Filter, Hook, RuleId, Ruleset};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// `FILE:LINE:COLUMN: MESSAGE`, a line for each.
pub fn errors_to_text(file: &Path, errors: &Errors) -> String {
    let mut text = String::new();
    for error in &errors.0 {
        let file = error.file.clone().unwrap_or_else(|| file.display().to_string());
        // Writing to memory cannot fail, here as below.
        let _ = writeln!(text, "{file}:{}:{}: {}", error.line, error.column, error.message);
    }
    text
}

/// The same, as objects.
pub fn errors_to_json(file: &Path, errors: &Errors) -> Value {
    let each = errors.0.iter().map(|error| {
        let file = error.file.clone().unwrap_or_else(|| file.display().to_string());
        json!({ "file": file, "line": error.line, "column": error.column, "message": error.message })
    });
    each.collect()
}

/// Every hook with its rules, numbered; with what each has met, where a filter tells.
pub fn rules_to_text(rules: &Ruleset, filter: Option<&Filter>) -> String {
    let mut text = String::new();
    for set in &rules.sets {
        let _ = writeln!(text, "set {}: {} addresses and networks", set.name, set.networks.len());
    }
    for hook in Hook::ALL {
        let chain = rules.chain(hook);
        let met = filter.map(|filter| filter.default_counter(hook));
        let _ = writeln!(text, "{} default {}{}", hook.name(), default_name(chain), shown(met));
        for (number, rule) in chain.rules.iter().enumerate() {
            let met = filter.map(|filter| filter.counters(hook)[number]);
            let _ = writeln!(text, "{:>6}  {}{}", number + 1, rule.shown(&rules.sets), shown(met));
        }
    }
    text
}

/// The same, as an object.
pub fn rules_to_json(rules: &Ruleset, filter: Option<&Filter>) -> Value {
    let sets = rules.sets.iter().map(
        |set| json!({ "name": set.name, "file": set.file, "line": set.line, "networks": set.networks.len() }),
    );
    let hooks = Hook::ALL.into_iter().map(|hook| {
        let chain = rules.chain(hook);
        let each = chain.rules.iter().enumerate().map(|(number, rule)| {
            let mut object = json!({
                "number": number + 1,
                "line": rule.line,
                "rule": rule.shown(&rules.sets).to_string(),
                "remark": rule.remark,
            });
            add_counter(&mut object, filter.map(|filter| filter.counters(hook)[number]));
            object
        });
        let mut object =
            json!({ "hook": hook.name(), "default": default_name(chain), "rules": each.collect::<Vec<_>>() });
        add_counter(&mut object, filter.map(|filter| filter.default_counter(hook)));
        object
    });
    json!({ "sets": sets.collect::<Vec<_>>(), "hooks": hooks.collect::<Vec<_>>() })
}

fn add_counter(object: &mut Value, counter: Option<Counter>) {
    if let Some(Counter { packets, bytes, over }) = counter {
        object["packets"] = packets.into();
        object["bytes"] = bytes.into();
        object["over"] = over.into();
    }
}

fn shown(counter: Option<Counter>) -> String {
    match counter {
        None => String::new(),
        Some(Counter { packets, bytes, over: 0 }) => format!("  [{packets} packets, {bytes} bytes]"),
        Some(Counter { packets, bytes, over }) => {
            format!("  [{packets} packets, {bytes} bytes, {over} over the rate]")
        }
    }
}

const fn default_name(chain: &Chain) -> &'static str {
    match chain.default {
        DefaultVerdict::Accept => "accept",
        DefaultVerdict::Drop => "drop",
        DefaultVerdict::Reject => "reject",
    }
}

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
