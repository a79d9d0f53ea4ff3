//! `weft filter`: rules files of the packet filter, read, shown, and tried with packets.

mod report;

use crate::args::{FilterTask, TestArguments, USAGE_STATUS};
use crate::print;
use ::filter::{Config, Errors, Filter, Judgement, Ruleset, Sample, Verdict};
use gateway::filtering::{self, ReadError};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use time::Instant;

/// The seed of the tables' hashes: nobody aims at them here, and the same packets give the same words.
const SEED: [u8; 32] = [0; 32];

/// Does what is asked for.
pub fn run(task: &FilterTask) -> ExitCode {
    let (told, file, json, wrong) = match task {
        FilterTask::Check { file, json } => (check(file, *json), file, *json, ExitCode::FAILURE),
        FilterTask::List { file, formatted, json } => {
            (list(file, *formatted, *json), file, *json, ExitCode::FAILURE)
        }
        FilterTask::Test(test) => (try_packets(test), &test.file, test.json, ExitCode::from(USAGE_STATUS)),
    };
    match told {
        Ok(status) => status,
        Err(Failure::Rules(errors)) => refuse(file, &errors, json, wrong),
        Err(Failure::Usage(reason)) => {
            eprintln!("weft: {reason}");
            ExitCode::from(USAGE_STATUS)
        }
    }
}

/// Prints a document, and exits with this status where that can be done.
fn tell(text: &str, status: ExitCode) -> ExitCode {
    let printed = print(text.as_bytes());
    if printed == ExitCode::SUCCESS { status } else { printed }
}

fn check(file: &Path, json: bool) -> Result<ExitCode, Failure> {
    let rules = filtering::read(file)?;
    let count: usize = rules.chains.iter().map(|chain| chain.rules.len()).sum();
    let sets = rules.sets.len();
    let text = match json {
        true => format!("{:#}\n", json!({ "file": file, "valid": true, "rules": count, "sets": sets })),
        false => format!("{}: {count} rules, {sets} sets\n", file.display()),
    };
    Ok(print(text.as_bytes()))
}

fn list(file: &Path, formatted: bool, json: bool) -> Result<ExitCode, Failure> {
    let rules = filtering::read(file)?;
    let text = match (json, formatted) {
        (true, _) => format!("{:#}\n", filtering::rules_to_json(&rules, None)),
        (false, true) => rules.to_string(),
        (false, false) => filtering::rules_to_text(&rules, None),
    };
    Ok(print(text.as_bytes()))
}

/// Tells what is wrong with a file.
fn refuse(file: &Path, errors: &Errors, json: bool, status: ExitCode) -> ExitCode {
    if json {
        let document =
            json!({ "file": file, "valid": false, "errors": filtering::errors_to_json(file, errors) });
        return tell(&format!("{document:#}\n"), status);
    }
    eprint!("{}", filtering::errors_to_text(file, errors));
    status
}

/// Why nothing was done.
enum Failure {
    /// The file is wrong.
    Rules(Errors),
    /// It cannot be read, or something else is not understood.
    Usage(String),
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::File(reason) => Self::Usage(reason),
            ReadError::Rules(errors) => Self::Rules(errors),
        }
    }
}

/// What became of one packet.
struct Tried<'a> {
    packet: &'a str,
    judgement: Judgement,
    sample: Sample,
}

fn try_packets(test: &TestArguments) -> Result<ExitCode, Failure> {
    let rules = filtering::read(&test.file)?;
    let samples = read_samples(&test.packets).map_err(Failure::Usage)?;
    let names = interfaces(&rules, &samples);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut filter = Filter::new(rules, &names, Config::default(), &SEED)
        .map_err(|error| Failure::Usage(format!("{}: {error}", test.file.display())))?;
    let mut now = Instant::ZERO;
    let mut tried = Vec::with_capacity(samples.len());
    for (packet, sample) in test.packets.iter().zip(samples) {
        now += sample.after;
        // A packet that comes by none of them is by no interface that rules can name.
        let place = names.iter().position(|name| Some(*name) == sample.interface.as_deref());
        let interface = place.map_or(u16::MAX, |place| place as u16);
        let seen = sample.packet().map_err(|error| Failure::Usage(format!("'{packet}': {error}")))?;
        let judgement = filter.judge(sample.hook, interface, &seen, now);
        tried.push(Tried { packet, judgement, sample });
    }
    let is_as_expected = |verdict: Verdict| match test.expect {
        None => verdict.passes(),
        Some(expected) => expected.is(verdict),
    };
    let holds = tried.iter().all(|tried| is_as_expected(tried.judgement.verdict));
    let text = match test.json {
        true => {
            let mut document =
                json!({ "packets": report::tried_to_json(&filter, &tried), "as_expected": holds });
            if test.counters {
                document["counters"] = filtering::rules_to_json(filter.rules(), Some(&filter));
            }
            format!("{document:#}\n")
        }
        false => {
            let counters = test.counters.then(|| filtering::rules_to_text(filter.rules(), Some(&filter)));
            report::tried_to_text(&filter, &tried) + &counters.unwrap_or_default()
        }
    };
    Ok(tell(&text, if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

fn read_samples(packets: &[String]) -> Result<Vec<Sample>, String> {
    let read = |text: &String| text.parse().map_err(|wrong| format!("'{text}' is no packet: {wrong}"));
    packets.iter().map(read).collect()
}

/// The names of all interfaces that are spoken of, each once.
fn interfaces(rules: &Ruleset, samples: &[Sample]) -> Vec<String> {
    let named = samples.iter().filter_map(|sample| sample.interface.as_deref());
    let mut names: Vec<String> = rules.interfaces().into_iter().chain(named).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}
