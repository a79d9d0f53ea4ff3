//! Connections per second: connect, one byte there and one back, close.

use std::time::Duration;

use super::{Bench, ECHO_PORTS, Layout, Measure, Stage, Table};
use crate::candidates::Candidate;
use crate::goals::{Better, Goal};
use crate::process;
use crate::topology::workload_program;

/// Clients at once, for each table.
const CLIENTS: [&str; 2] = ["1", "16"];
/// Besides the seconds asked for: the last exchange may hang until the client's own limit.
const SETUP_LIMIT: Duration = Duration::from_secs(15);

const GOALS: &[Goal] = &[Goal::Times(2.0, Candidate::Slirp4netns)];

pub const CONNECTIONS: Measure = Measure {
    name: "connections",
    about: "connect, one byte there and one byte back, close by the client; each client one at a time.",
    tables: &[
        Table {
            title: "connections, 1 client",
            unit: "1/s",
            better: Better::Higher,
            over: None,
            goals: GOALS,
        },
        Table {
            title: "connections, 16 clients",
            unit: "1/s",
            better: Better::Higher,
            over: None,
            goals: GOALS,
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
    for clients in CLIENTS {
        // A stage for each, so that 16 clients do not meet what one left closing.
        let stage = Stage::with_echo_server(bench, candidate)?;
        let (program, seconds) = (workload_program(), bench.settings.seconds.to_string());
        let (first, last) = (ECHO_PORTS.0.to_string(), ECHO_PORTS.1.to_string());
        let words =
            [&program, "workload", "connections", stage.sandbox.server(), &first, &last, clients, &seconds];
        let limit = SETUP_LIMIT + Duration::from_secs(bench.settings.seconds);
        let report = process::run(stage.sandbox.command(&words), limit)?.success()?;
        figures.push(report.trim().parse().map_err(|_| format!("not a figure: {report}"))?);
    }
    Ok(())
}
