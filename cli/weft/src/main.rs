//! The `weft` command.
//!
//! - [`args`]: the command line

#![forbid(unsafe_code)]

mod args;

use args::{Arguments, RUN_FAILURE_STATUS, Task, USAGE_STATUS};
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args_os().collect()) {
        Ok(arguments) => arguments,
        Err((message, status)) => {
            // Where even this cannot be written there is nobody to tell.
            let _ = message.print();
            return ExitCode::from(status);
        }
    };
    match arguments.task {
        Task::Run(run) => match gateway::run(run.into_options()) {
            Ok(status) => ExitCode::from(status),
            Err(error) => {
                eprintln!("weft: {error}");
                ExitCode::from(RUN_FAILURE_STATUS)
            }
        },
        Task::Demo(demo) => unavailable("demo", &format!("{demo:?}"), 1),
        Task::Doctor(doctor) => unavailable("doctor", &format!("{doctor:?}"), 1),
        Task::Completions { shell } => print(&args::completions(shell)),
        Task::Man { subcommand } => match args::manual(subcommand.as_deref()) {
            Some(page) => print(&page),
            None => {
                eprintln!("weft: there is no such subcommand, see weft --help");
                ExitCode::from(USAGE_STATUS)
            }
        },
    }
}

fn unavailable(task: &str, asked: &str, status: u8) -> ExitCode {
    eprintln!("weft: this build cannot {task} yet ({asked})");
    ExitCode::from(status)
}

fn print(text: &[u8]) -> ExitCode {
    match io::stdout().write_all(text) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough, as in `weft man | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weft: standard output: {error}");
            ExitCode::FAILURE
        }
    }
}
