//! Two senders at one bottleneck.

use std::time::Duration;

use super::{Bench, Layout, Measure, Table};
use crate::candidates::Candidate;
use crate::goals::{Better, Goal};
use crate::impair::crossing::{Crossing, Tcp};

const FAIR: &[Goal] = &[Goal::Between(0.7, 1.4)];
/// How long both are measured, from the first byte of each on: the slowest loses a packet every few seconds.
const TIME: Duration = Duration::from_secs(40);

const fn table(title: &'static str) -> Table {
    Table { title, unit: "x the other's share", better: Better::NearerToOne, over: None, goals: FAIR }
}

/// What the link does, for each table. The queue holds what is on the way.
const LINKS: [(Table, &str); 3] = [
    (table("10 Mbit/s, 20 ms"), "rate-bits=10000000 delay-us=10000 queue-packets=20"),
    (table("10 Mbit/s, 100 ms"), "rate-bits=10000000 delay-us=50000 queue-packets=84"),
    (table("50 Mbit/s, 40 ms"), "rate-bits=50000000 delay-us=20000 queue-packets=166"),
];

pub const FAIRNESS: Measure = Measure {
    name: "fairness",
    about: "two streams of 40 s, both CUBIC, through one bottleneck whose queue holds what is on the way; the first one's \
            bytes for each of the other's, which is Linux; weft is paced, Linux where it says so.",
    tables: &[LINKS[0].0, LINKS[1].0, LINKS[2].0],
    candidates: &[
        Candidate::LinuxBesideLinux,
        Candidate::WeftBesideLinux,
        Candidate::PacedBesideLinux,
        Candidate::WeftBesidePaced,
    ],
    rounds_factor: 1,
    sandboxed: false,
    layout: Layout::Grid,
    once,
};

fn once(bench: &Bench, candidate: Candidate, figures: &mut Vec<f64>) -> Result<(), String> {
    let senders = match candidate {
        Candidate::LinuxBesideLinux => [Tcp::Linux, Tcp::Linux],
        Candidate::WeftBesideLinux => [Tcp::Weft, Tcp::Linux],
        Candidate::PacedBesideLinux => [Tcp::LinuxPaced, Tcp::Linux],
        Candidate::WeftBesidePaced => [Tcp::Weft, Tcp::LinuxPaced],
        _ => return Err("is no pair of senders".to_owned()),
    };
    let seed = bench.round as u64;
    let started = LINKS.iter().map(|(_, words)| Crossing::start(&senders, Tcp::Linux, words, seed, TIME));
    let under_way = started.collect::<Result<Vec<_>, _>>()?;
    for crossing in under_way {
        let arrived = crossing.finish()?;
        figures.push(arrived[0] / arrived[1]);
    }
    Ok(())
}
