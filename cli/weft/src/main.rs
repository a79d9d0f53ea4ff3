//! The `weft` command.
//!
//! - [`args`]: the command line
//! - [`demo`]: what `weft demo` shows

#![forbid(unsafe_code)]

mod args;
mod demo;

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
        Task::Demo(demo) => demo::run(&demo),
        Task::Doctor(doctor) => examine(doctor.json),
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

/// Tells whether `weft run` works here.
fn examine(json: bool) -> ExitCode {
    let findings = gateway::doctor::examine();
    let text = match json {
        true => format!("{:#}\n", gateway::doctor::to_json(&findings)),
        false => gateway::doctor::render(&findings),
    };
    match gateway::doctor::passes(&findings) {
        true => print(text.as_bytes()),
        false => {
            print(text.as_bytes());
            ExitCode::FAILURE
        }
    }
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
