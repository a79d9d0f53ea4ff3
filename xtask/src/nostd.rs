//! The proof that base and net need no standard library: they are linked into a program that has none, which runs.
//!
//! The proof is proven too: with one crate that uses the standard library the same program must not build.

use crate::workspace::{cargo, root};
use crate::{Failure, expect_none};
use std::fs;
use std::process::{Command, Output};

/// What `cargo xtask nostd --help` prints.
pub const HELP: &str = "\
Links base and net into a program without the standard library (testing/nostd) and runs it: two stacks open a TCP
connection in memory. Then lets a crate with the standard library in, and expects that this does not build.

Usage: cargo xtask nostd
";

/// What the compiler says where the standard library is there besides: its panic handler is a second one.
const EXPECTED: &str = "duplicate lang item `panic_impl`";

/// Builds, runs, and proves.
pub fn run(words: &[String]) -> Result<(), Failure> {
    expect_none(words)?;
    // The same versions of everything as in the workspace.
    let (lock, copy) = (root().join("Cargo.lock"), root().join("testing/nostd/Cargo.lock"));
    fs::copy(&lock, &copy).map_err(|error| Failure::Broken(format!("{}: {error}", copy.display())))?;
    let built = build(&[])?;
    if !built.status.success() {
        eprint!("{}", String::from_utf8_lossy(&built.stderr));
        return Err(Failure::Broken("base or net does not link without the standard library".to_owned()));
    }
    let program = root().join("target/nostd/release/nostd");
    let status = Command::new(&program)
        .status()
        .map_err(|error| Failure::Broken(format!("{}: {error}", program.display())))?;
    match status.code() {
        Some(0) => {}
        Some(1) => return Err(Failure::Broken("two stacks without std did not reach each other".to_owned())),
        Some(2) => return Err(Failure::Broken("two stacks without std panicked".to_owned())),
        _ => return Err(Failure::Broken(format!("two stacks without std: {status}"))),
    }
    let sneaked = build(&["--features", "sneak"])?;
    let errors = String::from_utf8_lossy(&sneaked.stderr);
    if sneaked.status.success() || !errors.contains(EXPECTED) {
        eprint!("{errors}");
        return Err(Failure::Broken(
            "the proof is none: a crate with the standard library got in".to_owned(),
        ));
    }
    say!("nostd: base and net link and run without the standard library, and a crate with it does not");
    Ok(())
}

fn build(words: &[&str]) -> Result<Output, Failure> {
    let manifest = ["build", "--release", "--manifest-path", "testing/nostd/Cargo.toml"];
    let mut command = cargo(&manifest);
    command.args(["--target-dir", "target/nostd"]).args(words);
    command.output().map_err(|error| Failure::Broken(format!("cargo: {error}")))
}
