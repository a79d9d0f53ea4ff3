//! How long simulation is started.

use crate::Failure;
use crate::workspace::cargo;

/// Builds the simulation for release and hands it everything, `--help` included.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let mut command = cargo(&["run", "--quiet", "--release", "--package", "sim", "--bin", "soak", "--"]);
    command.args(words);
    let status = command.status().map_err(|error| Failure::Broken(format!("cargo: {error}")))?;
    match status.code() {
        Some(0) => Ok(()),
        // It has said what it does not understand.
        Some(2) => std::process::exit(2),
        _ => Err(Failure::Found),
    }
}
