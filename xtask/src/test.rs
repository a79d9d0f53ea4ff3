//! Everything that must hold before a change lands, step by step.
//!
//! - [`steps`]: what the steps are
//! - [`tools`]: the programs that they need besides the toolchain

mod steps;
mod tools;

use crate::{Failure, doctor};
use std::time::{Duration, Instant};
use steps::{STEPS, Step};

/// What `cargo xtask test --help` prints.
pub const HELP: &str = "\
Everything that must hold before a change lands, the cheap things first. Stops at the first step that fails.

Usage: cargo xtask test [--keep-going] [STEP]...

Steps (all where none is named):
  floors   which crate imports which
  tidy     sizes, names and words
  rfc      docs/tcp-rfcs.md says what sources and scripts do
  format   cargo fmt --check
  deny     licences, bans and sources of dependencies
  clippy   lints, all targets, warnings are failures
  docs     documentation without a broken link
  nostd    base and net without the standard library
  instructions
           of the hot paths, counted and compared
  doctest  examples in the documentation
  nextest  all tests: units, properties, simulations, fuzz corpora, interop with real programs

Tests that need a program which this machine lacks are skipped, and told here; with CI=true they fail.
";

/// How one step went.
struct Outcome {
    step: &'static Step,
    failure: Option<Failure>,
    took: Duration,
}

/// Runs the steps.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let (keep_going, chosen) = parse(words)?;
    let start = Instant::now();
    tell_lacking()?;
    let mut outcomes = Vec::new();
    for step in chosen {
        say!("==== {}", step.name);
        let begun = Instant::now();
        let failure = (step.run)().err();
        let outcome = Outcome { step, failure, took: begun.elapsed() };
        say!("{}", line(&outcome));
        let is_failed = outcome.failure.is_some();
        outcomes.push(outcome);
        if is_failed && !keep_going {
            break;
        }
    }
    say!("==== all steps");
    outcomes.iter().for_each(|outcome| say!("{}", line(outcome)));
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    let word = if failed == 0 { "ok  " } else { "FAIL" };
    say!("{word} {:<8} {:>7.1} s", "total", start.elapsed().as_secs_f64());
    if failed == 0 { Ok(()) } else { Err(Failure::Found) }
}

fn line(outcome: &Outcome) -> String {
    let took = outcome.took.as_secs_f64();
    match &outcome.failure {
        None => format!("ok   {:<8} {took:>7.1} s", outcome.step.name),
        Some(Failure::Found) => format!("FAIL {:<8} {took:>7.1} s", outcome.step.name),
        Some(Failure::Usage(reason) | Failure::Broken(reason)) => {
            format!("FAIL {:<8} {took:>7.1} s: {reason}", outcome.step.name)
        }
    }
}

/// What tests will be skipped for, or fail for.
fn tell_lacking() -> Result<(), Failure> {
    let lacking = doctor::examine()?;
    if !lacking.is_nothing() {
        lacking.tell();
        say!("tests that need these are skipped; with CI=true they fail");
    }
    Ok(())
}

fn parse(words: &[String]) -> Result<(bool, Vec<&'static Step>), Failure> {
    let mut keep_going = false;
    let mut chosen = Vec::new();
    for word in words {
        match STEPS.iter().find(|step| step.name == word) {
            Some(step) => chosen.push(step),
            None if word == "--keep-going" => keep_going = true,
            None => return Err(Failure::Usage(format!("{word} is no step"))),
        }
    }
    if chosen.is_empty() {
        chosen = STEPS.iter().collect();
    }
    Ok((keep_going, chosen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_chosen_and_garbage_is_refused() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (keep_going, all) = parse(&words("--keep-going")).unwrap();
        assert!(keep_going && all.len() == STEPS.len());
        let (keep_going, two) = parse(&words("tidy floors")).unwrap();
        let names: Vec<_> = two.iter().map(|step| step.name).collect();
        assert!(!keep_going && names == ["tidy", "floors"]);
        assert!(matches!(parse(&words("tidiness")), Err(Failure::Usage(_))));
    }

    #[test]
    fn the_help_names_every_step_in_order() {
        let mut rest = HELP;
        for step in STEPS {
            let at = rest.find(&format!("\n  {}", step.name)).unwrap_or_else(|| panic!("{}", step.name));
            rest = &rest[at + 1..];
        }
    }
}
