//! What the packet filter costs a packet, by how many rules, addresses, connections and rates it knows; without a device.

use super::{Bench, Better, Candidate, Goal, Layout, Measure, Table};
use crate::process;
use crate::tools;
use std::process::Command;
use std::time::Duration;

/// Ten thousand rules that are asked one by one take some time.
const LIMIT: Duration = Duration::from_secs(120);
/// Packets of each course.
const PACKETS: &str = "200000";

/// The courses of `hotpath filter`, in the order of the tables.
const COURSES: [&str; 12] = [
    "default",
    "rules-1",
    "rules-100-scanned",
    "rules-10000-scanned",
    "rules-10000-networks",
    "rules-10000-addresses",
    "set-1",
    "set-100000",
    "connections-1",
    "connections-60000",
    "rates-1",
    "rates-60000",
];

const fn table(title: &'static str, unit: &'static str, goals: &'static [Goal]) -> Table {
    Table { title, unit, better: Better::Lower, over: None, goals }
}

pub const FILTER: Measure = Measure {
    name: "filter",
    about: "packets of 8,192 senders judged in turn, each a TCP segment that was read already. Rules of a range of ports \
            are asked one after the other, and none matches; those of an address or a network are found by the sender's.",
    tables: &[
        table("no rule, the default alone", "ns", &[]),
        table("one rule", "ns", &[]),
        table("100 rules of a range of ports each", "ns", &[]),
        table("10,000 rules of a range of ports each", "ns", &[]),
        table("10,000 rules of a network each", "ns", &[]),
        table("10,000 rules of an address each", "ns", &[]),
        table("a set of one address", "ns", &[]),
        table("a set of 100,000 addresses", "ns", &[]),
        table("one connection", "ns", &[]),
        table("60,000 connections", "ns", &[]),
        table("a rate for one sender", "ns", &[]),
        table("rates for 60,000 senders", "ns", &[]),
        table("10,000 rules of a network each, over one rule", "x", &[Goal::Under(10.0)]),
        table("10,000 rules of an address each, over one rule", "x", &[Goal::Under(10.0)]),
        table("a set of 100,000 addresses, over a set of one", "x", &[Goal::Under(5.0)]),
    ],
    candidates: &[Candidate::WeftStack],
    rounds_factor: 1,
    sandboxed: false,
    layout: Layout::Grid,
    once,
};

fn once(_: &Bench, _: Candidate, figures: &mut Vec<f64>) -> Result<(), String> {
    let mut command = Command::new(tools::build("hotpath")?);
    command.args(["--packets", PACKETS, "filter"]);
    let report = process::run(command, LIMIT)?.success()?;
    for course in COURSES {
        let line = report.lines().find_map(|line| line.strip_prefix(course)?.strip_prefix(' '));
        let figure = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        figures.push(figure.ok_or_else(|| format!("no {course} in {report}"))?);
    }
    figures.extend([figures[4] / figures[1], figures[5] / figures[1], figures[7] / figures[6]]);
    Ok(())
}
