//! What a segment costs and a connection holds, by how many connections there are; without a device.

use super::{Bench, Better, Candidate, Goal, Layout, Measure, table};
use crate::process;
use crate::tools;
use std::process::Command;
use std::time::Duration;

/// Opening a million connections takes a few seconds.
const LIMIT: Duration = Duration::from_secs(120);
/// Segments of each measurement.
const SEGMENTS: &str = "1000000";

pub const SCALE: Measure = Measure {
    name: "tcp-scale",
    about: "full segments received and acknowledged, and sent and acknowledged, on each connection in its turn; frames are \
            made and read in the same process, and that is in the cost. Memory is the process's own pages.",
    tables: &[
        table("received segment, 1 connection", "ns", Better::Lower, &[]),
        table("sent segment, 1 connection", "ns", Better::Lower, &[]),
        table("received segment, 1,000 connections", "ns", Better::Lower, &[]),
        table("sent segment, 1,000 connections", "ns", Better::Lower, &[]),
        table("received segment, 100,000 connections", "ns", Better::Lower, &[]),
        table("sent segment, 100,000 connections", "ns", Better::Lower, &[]),
        table("received segment, 100,000 connections over 1", "x", Better::Lower, &[Goal::Under(1.15)]),
        table("sent segment, 100,000 connections over 1", "x", Better::Lower, &[Goal::Under(1.15)]),
        table("memory of an idle connection, of 100,000", "bytes", Better::Lower, &[Goal::Under(1_024.0)]),
        table("memory of 1,000,000 idle connections", "MB", Better::Lower, &[Goal::Under(2_000.0)]),
    ],
    candidates: &[Candidate::WeftStack],
    rounds_factor: 1,
    sandboxed: false,
    layout: Layout::Tables,
    once,
};

fn once(_: &Bench, _: Candidate, figures: &mut Vec<f64>) -> Result<(), String> {
    let program = tools::build("hotpath")?;
    let figure = |words: &[&str], name: &str| {
        let mut command = Command::new(&program);
        command.args(words);
        let report = process::run(command, LIMIT)?.success()?;
        let line = report.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let word = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        word.ok_or_else(|| format!("no {name} in {report}"))
    };
    let mut costs = Vec::new();
    for connections in ["1", "1000", "100000"] {
        for name in ["receive", "send"] {
            costs.push(figure(&["--connections", connections, "--segments", SEGMENTS, name], name)?);
        }
    }
    let [receive, send, .., receive_many, send_many] = costs[..] else { unreachable!("three pairs") };
    figures.extend(&costs);
    figures.extend([receive_many / receive, send_many / send]);
    figures.push(figure(&["--connections", "100000", "memory"], "each")?);
    figures.push(figure(&["--connections", "1000000", "memory"], "bytes")? / 1e6);
    Ok(())
}
