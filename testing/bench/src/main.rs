//! weft and its peers measured side by side in one run.
//!
//! Every measure runs its candidates in turn, round after round (A B C, A B C, ...), so that what else the machine
//! does falls on all of them alike; a figure is the median of the rounds. Everything happens in network namespaces
//! of this run's own, and what is started is bounded in time and stopped by its process id.
//!
//! - [`arguments`]: the command line
//! - [`topology`]: the two namespaces, "host" and "internet"
//! - [`lan`]: a client and a stack, each on a processor of its own
//! - [`process`]: processes in a namespace, with a time limit
//! - [`candidates`]: weft, and what it is measured against
//! - [`measure`]: what is measured, and the rounds
//! - [`ledger`]: the ledger, by itself
//! - [`workload`]: the programs that run inside and at the far end
//! - [`impair`]: an impaired link, and what is at its ends
//! - [`server`]: the stacks that are measured by themselves
//! - [`statistics`], [`goals`], [`machine`], [`report`]: from rounds to a table

mod arguments;
mod candidates;
mod goals;
mod impair;
mod lan;
mod ledger;
mod machine;
mod measure;
mod process;
mod report;
mod server;
mod statistics;
mod tools;
mod topology;
mod workload;

use std::process::ExitCode;

/// The status where the command line is not understood.
const USAGE_STATUS: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Before anything is built or measured.
    if let Some(reason) = arguments::wrong(&arguments) {
        eprintln!("bench: {reason}");
        return ExitCode::from(USAGE_STATUS);
    }
    let outcome = match arguments.first().map(String::as_str) {
        Some("workload") => workload::run(&arguments[1..]),
        Some("impair-link" | "endpoint" | "crossings") => impair::run(&arguments),
        Some("ledger") => ledger::run(&arguments[1..]),
        Some("server") => server::run(&arguments[1..]),
        _ => arguments::parse(&arguments).and_then(|request| match request {
            arguments::Request::Help => {
                print!("{}", arguments::HELP);
                Ok(())
            }
            arguments::Request::Measure(settings) => report::measure_and_report(&settings),
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bench: {reason}");
            ExitCode::FAILURE
        }
    }
}
