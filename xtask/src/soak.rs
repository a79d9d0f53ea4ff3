//! How long simulation is started.

use crate::Failure;
use crate::workspace::{become_command, cargo};

/// Builds the simulation for release and hands it everything, `--help` included.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let mut command = cargo(&["run", "--quiet", "--release", "--package", "sim", "--bin", "soak", "--"]);
    command.args(words);
    Err(become_command(command))
}
