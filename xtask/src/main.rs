//! The project's own tools: `cargo xtask TASK`.
//!
//! - [`mod@test`]: everything that must hold before a change lands
//! - [`floors`]: which crate may import which
//! - [`tidy`]: sizes, names and words
//! - [`rfc`]: whether the page of TCP's clauses says what the sources do
//! - [`nostd`]: base and net without the standard library
//! - [`doctor`]: what this machine lacks for the tests
//! - [`instructions`]: what a segment costs, counted
//! - [`fuzz`], [`soak`], [`mod@bench`]: how they are started
//! - [`workspace`]: where everything is

#![forbid(unsafe_code)]

/// A line to standard output; where nobody reads it any more, the task [ends](workspace::say).
macro_rules! say {
    ($($words:tt)*) => { $crate::workspace::say(format_args!($($words)*)) };
}

mod bench;
mod doctor;
mod floors;
mod fuzz;
mod instructions;
mod nostd;
mod rfc;
mod soak;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

/// What `cargo xtask --help` prints.
const HELP: &str = "\
The project's own tools.

Usage: cargo xtask TASK [OPTIONS]

Tasks:
  test    everything: format, lints, floors, tidy, no_std, tests, documentation, licences
  floors  check which crate imports which
  tidy    check sizes, names and words
  rfc     check docs/tcp-rfcs.md against sources and scripts
  nostd   link base and net into a program without the standard library
  doctor  tell what this machine lacks for the tests
  fuzz    fuzz one target, or list them
  soak    simulate one random case after another, for hours
  bench   measure weft and its peers side by side
  instructions
          count the instructions of the hot paths and compare

`cargo xtask TASK --help` tells more.
";

/// One task: its name, what `--help` prints, and what it does with the words after its name.
type Task = (&'static str, &'static str, fn(&[String]) -> Result<(), Failure>);

const TASKS: [Task; 10] = [
    ("test", test::HELP, test::run),
    ("floors", floors::HELP, floors::run),
    ("tidy", tidy::HELP, tidy::run),
    ("rfc", rfc::HELP, rfc::run),
    ("nostd", nostd::HELP, nostd::run),
    ("doctor", doctor::HELP, doctor::run),
    ("fuzz", fuzz::HELP, fuzz::run),
    ("soak", "", soak::run),
    ("bench", "", bench::run),
    ("instructions", instructions::HELP, instructions::run),
];

/// Why a task ends badly.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was asked for in a way that it does not understand.
    Usage(String),
    /// It found what it looks for; everything is already told.
    Found,
    /// It could not do its work.
    Broken(String),
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = words.split_first() else {
        eprint!("{HELP}");
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "--help" | "-h" | "help") {
        say!("{}", HELP.trim_end());
        return ExitCode::SUCCESS;
    }
    let Some((_, help, run)) = TASKS.iter().find(|(task, ..)| task == name) else {
        eprintln!("xtask: there is no task {name}, see cargo xtask --help");
        return ExitCode::from(2);
    };
    if !help.is_empty() && rest.iter().any(|word| word == "--help" || word == "-h") {
        say!("{}", help.trim_end());
        return ExitCode::SUCCESS;
    }
    match run(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Found) => ExitCode::FAILURE,
        Err(Failure::Broken(reason)) => {
            eprintln!("xtask {name}: {reason}");
            ExitCode::FAILURE
        }
        Err(Failure::Usage(reason)) => {
            eprintln!("xtask {name}: {reason}; see cargo xtask {name} --help");
            ExitCode::from(2)
        }
    }
}

/// Refuses any words, for a task that takes none.
fn expect_none(words: &[String]) -> Result<(), Failure> {
    match words.first() {
        None => Ok(()),
        Some(word) => Err(Failure::Usage(format!("{word} is not understood"))),
    }
}
