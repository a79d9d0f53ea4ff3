//! How measuring is started.

use crate::Failure;
use crate::workspace::{become_command, cargo};

/// Builds the measuring program for release and hands it everything, `--help` included.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let mut command = cargo(&["run", "--quiet", "--release", "--package", "bench", "--"]);
    command.args(words);
    Err(become_command(command))
}
