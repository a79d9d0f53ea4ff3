//! Start-up: the wall time of an empty command in each sandbox, over the bare command.

use std::time::{Duration, Instant};

use super::{Bench, ECHO_PORTS, Layout, Measure, Table};
use crate::candidates::{Candidate, Sandbox};
use crate::goals::{Better, Goal};
use crate::process;

/// An empty command that takes longer than this is stuck.
const LIMIT: Duration = Duration::from_secs(10);

pub const STARTUP: Measure = Measure {
    name: "startup",
    about: "`true` in each sandbox, from before the fork to its end seen, over `true` alone. unshare and bubblewrap \
            give no network; slirp4netns is its namespace, its start until ready, and the command. weft keeps a ledger on \
            a disk, which every run goes on with, but where it says otherwise.",
    tables: &[Table {
        title: "start-up over the bare command",
        unit: "ms",
        better: Better::Lower,
        over: Some(Candidate::Kernel),
        goals: &[Goal::Under(25.0)],
    }],
    candidates: &[
        Candidate::Kernel,
        Candidate::Unshare,
        Candidate::Bubblewrap,
        Candidate::Pasta,
        Candidate::Slirp4netns,
        Candidate::WeftTap,
        Candidate::WeftVeth,
        Candidate::WeftUnrecorded,
    ],
    rounds_factor: 5,
    sandboxed: true,
    layout: Layout::Tables,
    once,
};

fn once(bench: &Bench, candidate: Candidate, figures: &mut Vec<f64>) -> Result<(), String> {
    let start = Instant::now();
    let sandbox = Sandbox::open(candidate, &bench.quiet, &bench.weft, ECHO_PORTS)?;
    process::run(sandbox.command(&["true"]), LIMIT)?.success()?;
    figures.push(start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}
