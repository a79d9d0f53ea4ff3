//! How measuring is started.

use crate::Failure;
use crate::workspace::{cargo, run as run_command};

/// Builds the measuring program for release and hands it everything, `--help` included.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let mut command = cargo(&["run", "--quiet", "--release", "--package", "bench", "--"]);
    command.args(words);
    run_command(command)
}
