//! The `weft` command.
//!
//! - [`args`]: the command line
//! - [`demo`]: what `weft demo` shows
//! - [`filter`]: `weft filter`
//! - [`fleet`]: `weft fleet`
//! - [`key`]: `weft key`
//! - [`ledger`]: `weft ledger`
//! - [`policy`]: `weft policy`
//! - [`why`]: `weft why`

#![forbid(unsafe_code)]

mod args;
mod demo;
mod filter;
mod fleet;
mod key;
mod ledger;
mod policy;
mod why;

use args::{Arguments, LearnArguments, RUN_FAILURE_STATUS, Task, USAGE_STATUS};
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
        Task::Run(arguments) => run(arguments.into_options()),
        Task::Learn(arguments) => {
            let LearnArguments { output, ask, run: arguments } = *arguments;
            let options = arguments.into_options();
            run(options.map(|options| gateway::Options { learn: Some(output), ask, ..options }))
        }
        Task::Demo(demo) => demo::run(&demo),
        Task::Filter { task } => filter::run(&task),
        Task::Fleet { task } => fleet::run(task),
        Task::Key { task } => key::run(task),
        Task::Ledger { task } => ledger::run(task),
        Task::Policy { task } => policy::run(&task),
        Task::Why(arguments) => why::run(&arguments),
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

/// Runs the command of `weft run` or `weft learn`.
fn run(options: Result<gateway::Options, String>) -> ExitCode {
    let status = options.and_then(|options| gateway::run(options).map_err(|error| error.to_string()));
    match status {
        Ok(status) => ExitCode::from(status),
        Err(reason) => {
            eprintln!("weft: {reason}");
            ExitCode::from(RUN_FAILURE_STATUS)
        }
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
