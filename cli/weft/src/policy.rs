//! `weft policy`: policies checked, written in one way, held against expected verdicts, and explained.

use crate::args::{PolicyFiles, PolicyTask, USAGE_STATUS};
use crate::print;
use axiom::policy::{Expectations, Policy, PolicyBuilder, PolicyError, Question, format};
use gateway::load_policy;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Why nothing came of it.
enum Failure {
    /// What was asked for is not understood, or cannot be read.
    Usage(String),
    /// A policy, or a file of expected verdicts, is wrong.
    Wrong(PolicyError),
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        Self::Wrong(error)
    }
}

/// What to print, and whether all is well.
type Told = (String, bool);

/// Does what is asked for.
pub fn run(task: &PolicyTask) -> ExitCode {
    let (told, json) = match task {
        PolicyTask::Check { policy, json } => (check(policy, *json), *json),
        PolicyTask::Fmt { files, check, json } => (fmt(files, *check, *json), *json),
        PolicyTask::Test { policy, expectations, json } => (test(policy, expectations, *json), *json),
        PolicyTask::Explain { policy, question, json } => (explain(policy, question, *json), *json),
    };
    let wrong = match task {
        PolicyTask::Check { .. } => ExitCode::FAILURE,
        _ => ExitCode::from(USAGE_STATUS),
    };
    match told {
        Ok((text, true)) => print(text.as_bytes()),
        Ok((text, false)) => tell(&text, ExitCode::FAILURE),
        Err(Failure::Wrong(error)) => refuse(&error, json, wrong),
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

/// Tells what is wrong with a policy.
pub fn refuse(error: &PolicyError, json: bool, status: ExitCode) -> ExitCode {
    if json {
        return tell(&format!("{:#}\n", json!({ "valid": false, "errors": error.to_json() })), status);
    }
    eprintln!("{error}");
    status
}

/// The policy of a file and of lists, each of which is read once.
fn read(files: &PolicyFiles) -> Result<Policy, Failure> {
    let mut given = HashMap::new();
    for path in files.lists.iter().map(|list| &list.path).chain([&files.file]) {
        let text = load_policy(path);
        let unable = |reason| Failure::Usage(format!("{path} cannot be read: {reason}"));
        given.insert(path.as_str(), text.map_err(unable)?);
    }
    let mut load = |path: &str| given.remove(path).map_or_else(|| load_policy(path), Ok);
    let lists = files.lists.iter();
    let builder =
        lists.fold(PolicyBuilder::default(), |builder, list| builder.list(&list.name, &list.path, &mut load));
    Ok(builder.file(&files.file, &mut load).build()?)
}

fn check(files: &PolicyFiles, json: bool) -> Result<Told, Failure> {
    let policy = read(files)?;
    let (rules, cedar) = policy.counts();
    let warnings = policy.warnings();
    if json {
        let warnings: Value = warnings.iter().map(axiom::policy::Complaint::to_json).collect();
        let digest = policy.digest().to_string();
        let document = json!({
            "valid": true, "rules": rules, "policies": cedar, "digest": digest, "warnings": warnings,
        });
        return Ok((format!("{document:#}\n"), true));
    }
    warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    Ok((format!("{}: {rules} rules, {cedar} policies in Cedar\n", files.file), true))
}

fn fmt(files: &[String], check: bool, json: bool) -> Result<Told, Failure> {
    let mut changed = Vec::new();
    for path in files {
        let unable = |error: &dyn std::fmt::Display| Failure::Usage(format!("{path}: {error}"));
        let bytes = load_policy(path).map_err(|error| unable(&error))?;
        let text = String::from_utf8(bytes).map_err(|error| unable(&error))?;
        let formatted = format(path, &text)?;
        if formatted == text {
            continue;
        }
        if !check {
            replace(Path::new(path), &formatted).map_err(|error| unable(&error))?;
        }
        changed.push(path);
    }
    let text = match json {
        true => format!("{:#}\n", json!({ "changed": changed })),
        false => changed.iter().map(|path| format!("{path}\n")).collect(),
    };
    Ok((text, !check || changed.is_empty()))
}

/// Puts another text into a file's place at once: whoever reads it meanwhile has the one or the other.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    // A link stays one: what it leads to is replaced.
    let path = fs::canonicalize(path)?;
    let permissions = fs::metadata(&path)?.permissions();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside: PathBuf = path.with_file_name(name);
    let written = fs::write(&beside, text)
        .and_then(|()| fs::set_permissions(&beside, permissions))
        .and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // It may not even have come to be.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn test(files: &PolicyFiles, expectations: &str, json: bool) -> Result<Told, Failure> {
    let policy = read(files)?;
    let unable = |error: &dyn std::fmt::Display| Failure::Usage(format!("{expectations}: {error}"));
    let bytes = load_policy(expectations).map_err(|error| unable(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| unable(&error))?;
    let report = Expectations::parse(expectations, &text)?.hold_against(&policy);
    let text = match json {
        true => format!("{:#}\n", report.to_json()),
        false => {
            let unmet: String = report.unmet.iter().map(|unmet| format!("{unmet}\n")).collect();
            format!("{unmet}{} met, {} not\n", report.met, report.unmet.len())
        }
    };
    Ok((text, report.is_met()))
}

fn explain(files: &PolicyFiles, words: &[String], json: bool) -> Result<Told, Failure> {
    // A word that the shell has taken out of its quotes is one word here too.
    let quoted = |word: &String| match word.contains(char::is_whitespace) {
        true => format!("\"{word}\""),
        false => word.clone(),
    };
    let text = words.iter().map(quoted).collect::<Vec<_>>().join(" ");
    let mut question =
        Question::parse(&text).map_err(|error| Failure::Usage(format!("'{text}': {error}")))?;
    if !question.has_time {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        question.context.time_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    }
    let explanation = read(files)?.explain(&question);
    let text = match json {
        true => format!("{:#}\n", explanation.to_json()),
        false => explanation.to_string(),
    };
    Ok((text, explanation.decision.allowed))
}
