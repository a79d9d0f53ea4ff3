//! One stream of bulk data, received by the server and sent by it.

use super::{ADDRESS, Bench, Better, Candidate, Goal, Lan, Layout, Measure, Purpose, STACKS, table, time};
use crate::server::{DISCARD, GENERATE};

const RECEIVE: &[Goal] = &[Goal::Times(1.35, Candidate::Kernel), Goal::Times(1.0, Candidate::SmoltcpOffload)];
const SEND: &[Goal] = &[Goal::Times(1.5, Candidate::Kernel), Goal::Times(1.0, Candidate::SmoltcpOffload)];

pub const BULK: Measure = Measure {
    name: "tcp-bulk",
    about: "one stream between the server and the kernel's TCP, CUBIC at both ends; processor time is the server process's own, for itself \
            (user) and in the kernel (system).",
    tables: &[
        table("received", "Gbit/s", Better::Higher, RECEIVE),
        table("sent", "Gbit/s", Better::Higher, SEND),
        table("receiving, user time", "ms/GB", Better::Lower, &[]),
        table("receiving, system time", "ms/GB", Better::Lower, &[]),
        table("sending, user time", "ms/GB", Better::Lower, &[]),
        table("sending, system time", "ms/GB", Better::Lower, &[]),
    ],
    candidates: STACKS,
    rounds_factor: 1,
    sandboxed: false,
    layout: Layout::Tables,
    once,
};

fn once(bench: &Bench, candidate: Candidate, figures: &mut Vec<f64>) -> Result<(), String> {
    let (address, seconds) = (ADDRESS.to_string(), bench.settings.seconds.to_string());
    let mut costs = Vec::new();
    for (workload, port) in [("send", DISCARD), ("receive", GENERATE)] {
        // A server of its own, whose other stream is not still being closed.
        let lan = Lan::open(candidate, Purpose::Bulk)?;
        let before = lan.seconds_used();
        let report = lan.run(&[workload, &address, &port.to_string(), &seconds], time(bench))?;
        let after = lan.seconds_used();
        let [rate, bytes] = report[..] else { return Err(format!("{workload}: {report:?}")) };
        figures.push(rate);
        costs.extend([after.0 - before.0, after.1 - before.1].map(|seconds| seconds * 1e12 / bytes));
    }
    figures.extend(costs);
    Ok(())
}
