//! One byte there, one byte back, on connections that stay.

use super::{ADDRESS, Bench, Better, Candidate, Goal, Lan, Layout, Measure, Purpose, STACKS, table, time};
use crate::server::ECHO;

const LATENCY: &[Goal] = &[Goal::Times(1.0, Candidate::Kernel)];
const RATE: &[Goal] = &[Goal::Times(1.3, Candidate::Kernel)];

pub const REQUESTS: Measure = Measure {
    name: "tcp-requests",
    about: "one byte there and one byte back; each connection asks again when it is answered.",
    tables: &[
        table("requests, 1 connection", "1/s", Better::Higher, RATE),
        table("latency, 1 connection, median", "µs", Better::Lower, LATENCY),
        table("latency, 1 connection, 99th percentile", "µs", Better::Lower, &[]),
        table("requests, 64 connections", "1/s", Better::Higher, RATE),
        table("latency, 64 connections, median", "µs", Better::Lower, LATENCY),
        table("latency, 64 connections, 99th percentile", "µs", Better::Lower, &[]),
    ],
    candidates: STACKS,
    rounds_factor: 1,
    sandboxed: false,
    layout: Layout::Tables,
    once,
};

fn once(bench: &Bench, candidate: Candidate, figures: &mut Vec<f64>) -> Result<(), String> {
    let lan = Lan::open(candidate, Purpose::Requests)?;
    let (address, port) = (ADDRESS.to_string(), ECHO.start().to_string());
    let seconds = bench.settings.seconds.to_string();
    for connections in ["1", "64"] {
        figures.extend(lan.run(&["requests", &address, &port, connections, &seconds], time(bench))?);
    }
    Ok(())
}
