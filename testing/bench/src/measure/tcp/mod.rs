//! Stacks by themselves, each on one processor, with the kernel's TCP as their client on another.

pub mod bulk;
pub mod connections;
pub mod held;
pub mod http;
pub mod requests;
pub mod scale;

use super::{Bench, Layout, Measure, Table};
use crate::candidates::Candidate;
use crate::goals::{Better, Goal};
use crate::lan::Lan;
use crate::server::{ADDRESS, Purpose};
use std::time::Duration;

/// A client that goes on, and its standard input.
type Client = (crate::process::Running, std::process::ChildStdin);

/// All that speak TCP, the kernel over veth first: ratios are against it.
const STACKS: &[Candidate] = &[
    Candidate::Kernel,
    Candidate::KernelTap,
    Candidate::Smoltcp,
    Candidate::SmoltcpOffload,
    Candidate::Responder,
    Candidate::WeftStack,
    Candidate::WeftSockets,
    Candidate::WeftQueues,
];

const fn table(title: &'static str, unit: &'static str, better: Better, goals: &'static [Goal]) -> Table {
    Table { title, unit, better, over: None, goals }
}

/// The length of one workload.
fn time(bench: &Bench) -> Duration {
    Duration::from_secs(bench.settings.seconds)
}
