//! The steps. All share one profile and one set of features, so that nothing is built twice: the command that the interop
//! tests run is the one that `cargo nextest` builds for the command's own tests.

use super::tools;
use crate::workspace::{cargo, find_program, root, run};
use crate::{Failure, floors, instructions, nostd, rfc, tidy};
use std::process::Command;

/// One thing that must hold.
pub struct Step {
    /// How it is called.
    pub name: &'static str,
    /// Finds out whether it holds.
    pub run: fn() -> Result<(), Failure>,
}

/// All of them, the cheap ones first; the tests last, so that their closing words are at the end.
pub const STEPS: &[Step] = &[
    Step { name: "floors", run: || floors::run(&[]) },
    Step { name: "tidy", run: || tidy::run(&[]) },
    Step { name: "rfc", run: || rfc::run(&[]) },
    Step { name: "format", run: format },
    Step { name: "deny", run: deny },
    Step { name: "clippy", run: clippy },
    Step { name: "docs", run: docs },
    Step { name: "nostd", run: || nostd::run(&[]) },
    Step { name: "instructions", run: instructions },
    Step { name: "doctest", run: || run(quiet(&["test", "--locked", "--workspace", "--doc"])) },
    Step { name: "nextest", run: nextest },
];

/// The workspaces of their own, which the steps do not reach by the main one.
const ALONE: [&str; 2] = ["testing/nostd/Cargo.toml", "testing/fuzz/libfuzzer/Cargo.toml"];

fn format() -> Result<(), Failure> {
    run(cargo(&["fmt", "--all", "--check"]))?;
    for manifest in ALONE.into_iter().filter(|manifest| root().join(manifest).is_file()) {
        run(cargo(&["fmt", "--all", "--check", "--manifest-path", manifest]))?;
    }
    Ok(())
}

fn clippy() -> Result<(), Failure> {
    run(quiet(&["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
}

fn docs() -> Result<(), Failure> {
    let mut command = quiet(&["doc", "--locked", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "--deny warnings");
    run(command)
}

/// Advisories are left out: they come from a database outside, and tests use no outside network.
///
/// The tool reads the sources of every dependency, those for other systems too: on a new machine nothing has brought
/// them yet.
fn deny() -> Result<(), Failure> {
    run(quiet(&["fetch", "--locked"]))?;
    let mut command = tools::cargo_with(&tools::DENY)?;
    command.args([
        "deny",
        "--locked",
        "--offline",
        "--log-level",
        "warn",
        "check",
        "bans",
        "licenses",
        "sources",
    ]);
    run(command)
}

/// Skipped as a test is whose program this machine lacks.
fn instructions() -> Result<(), Failure> {
    if find_program("valgrind").is_none() {
        say!("skipped: valgrind is lacking");
        return Ok(());
    }
    instructions::run(&[])
}

fn nextest() -> Result<(), Failure> {
    let mut command = tools::cargo_with(&tools::NEXTEST)?;
    command.args(["nextest", "run", "--locked", "--workspace", "--no-fail-fast", "--status-level", "slow"]);
    run(command)
}

/// Without a line for each crate that is built.
fn quiet(words: &[&str]) -> Command {
    let (task, rest) = words.split_first().expect("a task");
    let mut command = cargo(&[task, "--quiet"]);
    command.args(rest);
    command
}
