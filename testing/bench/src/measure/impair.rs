//! Linux and weft, each as sender and as receiver, across a link that loses, delays and limits.

use std::time::Duration;

use super::{Bench, Layout, Measure, Table};
use crate::candidates::Candidate;
use crate::goals::{Better, Goal};
use crate::impair::crossing::{Crossing, Tcp};

/// Within a tenth of what Linux and Linux reach.
const AS_LINUX: &[Goal] = &[Goal::Times(0.9, Candidate::LinuxToLinux)];
/// How long each stream is measured, from its first byte on. A window takes ten round trips of 200 ms to open.
const TIME: Duration = Duration::from_secs(10);
/// Links that are crossed at once, where one leaves the machine time for others.
const AT_ONCE: usize = 6;
/// Streams of a cell in a round, one after the other or beside each other, each with losses of its own: the more is lost,
/// the less two of them are alike.
const STREAMS_MAX: u64 = 4;
/// Kilobits a second of a link with a limit, and packets that wait before it: 200 ms of them.
const RATE_BITS: u64 = 10_000_000;
const QUEUE_PACKETS: u64 = 170;
/// Packets on their way where the link has no limit: more than any window holds.
const QUEUE_PACKETS_UNLIMITED: u64 = 100_000;

/// One link.
#[derive(Debug, Clone, Copy)]
struct Cell {
    title: &'static str,
    limited: bool,
    rtt_ms: u64,
    loss_ppm: u64,
}

macro_rules! cells {
    ($($rate:literal $limited:literal: [$($rtt:literal)*] [$($loss:literal $ppm:literal),*]);*) => {
        cells!(@ [] $($rate $limited [$($rtt)*] [$($loss $ppm),*];)*)
    };
    (@ [$($done:tt)*] $rate:literal $limited:literal [] $losses:tt; $($rest:tt)*) => {
        cells!(@ [$($done)*] $($rest)*)
    };
    (@ [$($done:tt)*] $rate:literal $limited:literal [$rtt:literal $($more:literal)*] [$($loss:literal $ppm:literal),*];
     $($rest:tt)*) => {
        cells!(@ [$($done)* $(Cell {
            title: concat!($rate, ", ", $rtt, " ms, ", $loss),
            limited: $limited,
            rtt_ms: $rtt,
            loss_ppm: $ppm,
        },)*] $rate $limited [$($more)*] [$($loss $ppm),*]; $($rest)*)
    };
    (@ [$($done:tt)*]) => { [$($done)*] };
}

const CELLS: [Cell; 24] = cells!(
    "10 Mbit/s" true: [1 50 200] ["no loss" 0, "0.1 % lost" 1_000, "1 % lost" 10_000, "5 % lost" 50_000];
    "unlimited" false: [1 50 200] ["no loss" 0, "0.1 % lost" 1_000, "1 % lost" 10_000, "5 % lost" 50_000]
);

const TABLES: [Table; CELLS.len()] = {
    const EMPTY: Table =
        Table { title: "", unit: "Mbit/s", better: Better::Higher, over: None, goals: AS_LINUX };
    let mut tables = [EMPTY; CELLS.len()];
    let mut number = 0;
    while number < CELLS.len() {
        tables[number].title = CELLS[number].title;
        number += 1;
    }
    tables
};

pub const IMPAIR: Measure = Measure {
    name: "impair",
    about: "what arrives of one stream of 10 s, CUBIC at both ends, every byte compared; from sender to receiver, the mean \
            of up to four streams; the links of one round lose by the same seeds.",
    tables: &TABLES,
    candidates: &[
        Candidate::LinuxToLinux,
        Candidate::WeftToLinux,
        Candidate::LinuxToWeft,
        Candidate::WeftToWeft,
    ],
    rounds_factor: 1,
    sandboxed: false,
    layout: Layout::Grid,
    once,
};

impl Cell {
    /// Whether it takes the machine for itself.
    fn is_heavy(&self) -> bool {
        !self.limited && (self.loss_ppm == 0 || (self.loss_ppm <= 1_000 && self.rtt_ms == 1))
    }

    /// How many streams a round takes.
    fn streams(&self) -> u64 {
        match self.loss_ppm {
            0 => 1,
            _ if self.is_heavy() => 1,
            1..10_000 => 2,
            _ => STREAMS_MAX,
        }
    }

    /// The link's words.
    fn words(&self) -> String {
        let (rate, queue) =
            if self.limited { (RATE_BITS, QUEUE_PACKETS) } else { (0, QUEUE_PACKETS_UNLIMITED) };
        format!(
            "loss-ppm={} delay-us={} rate-bits={rate} queue-packets={queue}",
            self.loss_ppm,
            self.rtt_ms * 500
        )
    }
}

fn once(bench: &Bench, candidate: Candidate, figures: &mut Vec<f64>) -> Result<(), String> {
    let (sender, receiver) = match candidate {
        Candidate::LinuxToLinux => (Tcp::Linux, Tcp::Linux),
        Candidate::WeftToLinux => (Tcp::Weft, Tcp::Linux),
        Candidate::LinuxToWeft => (Tcp::Linux, Tcp::Weft),
        Candidate::WeftToWeft => (Tcp::Weft, Tcp::Weft),
        _ => return Err("is no pair of ends".to_owned()),
    };
    let mut rates = [0.0; CELLS.len()];
    let links = |heavy: bool| {
        let cells = CELLS.iter().enumerate().filter(move |(_, cell)| cell.is_heavy() == heavy);
        cells.flat_map(|(number, cell)| (0..cell.streams()).map(move |stream| (number, stream)))
    };
    let (light, heavy): (Vec<_>, Vec<_>) = (links(false).collect(), links(true).collect());
    for group in light.chunks(AT_ONCE).chain(heavy.chunks(1)) {
        let started = group.iter().map(|&(number, stream)| {
            let seed = (bench.round * CELLS.len() + number) as u64 * STREAMS_MAX + stream;
            let crossing = Crossing::start(&[sender], receiver, &CELLS[number].words(), seed, TIME);
            crossing.map(|crossing| (number, crossing)).map_err(|error| in_cell(number, &error))
        });
        for (number, crossing) in started.collect::<Result<Vec<_>, _>>()? {
            let arrived = crossing.finish().map_err(|error| in_cell(number, &error))?;
            rates[number] += arrived[0] / CELLS[number].streams() as f64;
        }
    }
    figures.extend(rates);
    Ok(())
}

fn in_cell(number: usize, error: &str) -> String {
    format!("{}: {error}", CELLS[number].title)
}
