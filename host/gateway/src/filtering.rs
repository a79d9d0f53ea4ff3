//! Rules files of the packet filter: read, and told with what each rule has met.

use filter::{Chain, Config, Counter, DefaultVerdict, Errors, FILE_BYTES_MAX, Filter, Hook, Ruleset};
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What rules call the only interface of a run: by the name that the command has for it.
pub const INTERFACE: &str = "eth0";

/// A filter for one run by a rules file.
///
/// # Errors
///
/// All that is wrong with the file, a line for each.
pub(crate) fn filter_of(file: &Path, seed: &[u8; 32]) -> Result<Filter, String> {
    let rules = read(file).map_err(|error| match error {
        ReadError::File(reason) => reason,
        ReadError::Rules(errors) => errors_to_text(file, &errors).trim_end().to_owned(),
    })?;
    Filter::new(rules, &[INTERFACE], Config::default(), seed)
        .map_err(|error| format!("{}: {error}; the interface of a run is {INTERFACE}", file.display()))
}

/// Why there are no rules.
#[derive(Debug)]
pub enum ReadError {
    /// The file cannot be read, in words.
    File(String),
    /// All that is wrong with it.
    Rules(Errors),
}

/// Reads a rules file; its sets' files stand beside it, unless their names say otherwise.
///
/// # Errors
///
/// Where it cannot be read, or is wrong.
pub fn read(file: &Path) -> Result<Ruleset, ReadError> {
    let failed = |reason| ReadError::File(format!("{} cannot be read: {reason}", file.display()));
    let text = text_of(file).map_err(failed)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    Ruleset::parse_with(&text, |name| text_of(&folder.join(name))).map_err(ReadError::Rules)
}

/// The text of a file that is not longer than a rules file may be.
fn text_of(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    let read = File::open(file).and_then(|open| open.take(limit).read_to_string(&mut text));
    read.map_err(|error| error.to_string())?;
    Ok(text)
}

/// `FILE:LINE:COLUMN: MESSAGE`, a line for each.
#[must_use]
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
#[must_use]
pub fn errors_to_json(file: &Path, errors: &Errors) -> Value {
    let each = errors.0.iter().map(|error| {
        let file = error.file.clone().unwrap_or_else(|| file.display().to_string());
        json!({ "file": file, "line": error.line, "column": error.column, "message": error.message })
    });
    each.collect()
}

/// Every hook with its rules, numbered; with what each has met, where a filter tells.
#[must_use]
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
#[must_use]
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
