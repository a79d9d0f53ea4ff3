//! Latency: one byte there and one back, over and over on one connection.

use std::time::Duration;

use super::{Bench, ECHO_PORTS, Layout, Measure, Stage, Table};
use crate::candidates::Candidate;
use crate::goals::{Better, Goal};
use crate::process;
use crate::topology::workload_program;

/// Round trips in one round of the measure: enough that the 99th percentile stands on 200 samples.
const ROUND_TRIPS: u32 = 20_000;
/// 20,000 round trips of 2 ms: far worse than any candidate.
const LIMIT: Duration = Duration::from_secs(40);

pub const LATENCY: Measure = Measure {
    name: "latency",
    about: "20,000 times one byte there and one byte back on one TCP connection without Nagle's delay.",
    tables: &[
        Table {
            title: "round trip, median",
            unit: "µs",
            better: Better::Lower,
            over: None,
            goals: &[Goal::Times(1.0, Candidate::Pasta)],
        },
        Table {
            title: "round trip, 99th percentile",
            unit: "µs",
            better: Better::Lower,
            over: None,
            goals: &[Goal::Times(1.0, Candidate::Pasta)],
        },
    ],
    candidates: &[
        Candidate::Kernel,
        Candidate::Relay,
        Candidate::Pasta,
        Candidate::Slirp4netns,
        Candidate::WeftTap,
        Candidate::WeftVeth,
    ],
    rounds_factor: 1,
    sandboxed: true,
    layout: Layout::Tables,
    once,
};

fn once(bench: &Bench, candidate: Candidate, figures: &mut Vec<f64>) -> Result<(), String> {
    let stage = Stage::with_echo_server(bench, candidate)?;
    let (program, port, count) = (workload_program(), ECHO_PORTS.0.to_string(), ROUND_TRIPS.to_string());
    let command =
        stage.sandbox.command(&[&program, "workload", "round-trips", stage.sandbox.server(), &port, &count]);
    let report = process::run(command, LIMIT)?.success()?;
    for word in report.split_whitespace() {
        figures.push(word.parse().map_err(|_| format!("not a figure: {word}"))?);
    }
    Ok(())
}
