//! What is measured, and the rounds.
//!
//! A measure is data: its tables, its candidates, and a function that takes one candidate once and yields one figure
//! for each table. The rounds are the same for all: A B C, A B C, ...

mod bulk;
mod connections;
mod fairness;
mod filter;
mod impair;
mod latency;
mod memory;
mod policy;
mod startup;
mod tcp;

use std::path::PathBuf;
use std::time::Duration;

use crate::arguments::Settings;
use crate::candidates::{Candidate, Sandbox};
use crate::goals::{Better, Goal};
use crate::process::{Running, User};
use crate::statistics;
use crate::topology::{SERVER, Topology, workload_program};

/// The echo server's ports. A client that closes first keeps each pair of ports for a minute (RFC 9293 §3.6.1), and
/// one port of the server leaves 28,000 pairs.
const ECHO_PORTS: (u16, u16) = (7000, 7015);
/// How long a server may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(10);
/// After so many failures without a success a candidate is not tried again.
const FAILURES_MAX: usize = 2;

/// All measures, in the order in which they are taken.
pub const MEASURES: [&Measure; 15] = [
    &startup::STARTUP,
    &bulk::BULK,
    &latency::LATENCY,
    &connections::CONNECTIONS,
    &memory::MEMORY,
    &tcp::bulk::BULK,
    &tcp::requests::REQUESTS,
    &tcp::connections::CONNECTIONS,
    &tcp::http::HTTP,
    &tcp::scale::SCALE,
    &tcp::held::HELD,
    &impair::IMPAIR,
    &fairness::FAIRNESS,
    &filter::FILTER,
    &policy::POLICY,
];

/// The measures of a name: one, or all of a group (`tcp` for `tcp-bulk` and the others).
pub fn find(name: &str) -> impl Iterator<Item = &'static Measure> {
    MEASURES.into_iter().filter(move |measure| {
        let rest = measure.name.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}

/// One thing to measure.
#[derive(Debug)]
pub struct Measure {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is done, in one sentence.
    pub about: &'static str,
    /// What it yields.
    pub tables: &'static [Table],
    /// Who is measured; ratios are against the first.
    pub candidates: &'static [Candidate],
    /// Rounds for each one that the caller asks for.
    pub rounds_factor: usize,
    /// Whether the candidates are sandboxes: then a program is tried in each before anything is measured.
    pub sandboxed: bool,
    /// How it is shown.
    pub layout: Layout,
    /// Takes one candidate once, pushing one figure for each table; at an error the tables left have no figure.
    once: fn(&Bench, Candidate, &mut Vec<f64>) -> Result<(), String>,
}

/// How a measure's tables are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One after the other, with every round.
    Tables,
    /// As the rows of one, medians only.
    Grid,
}

/// One figure that a measure yields.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its heading.
    pub title: &'static str,
    /// The figures' unit.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// A candidate whose median is taken off all others' figures.
    pub over: Option<Candidate>,
    /// What weft's figure should reach.
    pub goals: &'static [Goal],
}

/// What every measure is given.
#[derive(Debug)]
pub struct Bench {
    /// The caller's settings.
    pub settings: Settings,
    /// weft's binary, or why there is none.
    pub weft: Result<PathBuf, String>,
    /// Where there is no traffic that one candidate could leave to the next.
    pub quiet: Topology,
    /// Which round it is, from 1 on.
    pub round: usize,
}

impl Bench {
    /// Runs a program in the candidate's sandbox before anything is measured.
    fn try_out(&self, candidate: Candidate) -> Result<(), String> {
        Sandbox::open(candidate, &self.quiet, &self.weft, ECHO_PORTS)?.try_out()
    }
}

/// One candidate's figures in one table, a round each.
#[derive(Debug, Clone)]
pub struct Series {
    /// Whose they are.
    pub candidate: Candidate,
    /// A figure, or why there is none.
    pub rounds: Vec<Result<f64, String>>,
}

impl Series {
    /// The figures that were reached.
    pub fn figures(&self) -> Vec<f64> {
        self.rounds.iter().filter_map(|round| round.as_ref().ok().copied()).collect()
    }

    /// The median of the figures.
    pub fn median(&self) -> Option<f64> {
        statistics::median(&self.figures())
    }

    /// Why rounds are missing, once for each reason.
    pub fn failures(&self) -> Vec<&str> {
        let mut reasons: Vec<&str> =
            self.rounds.iter().filter_map(|round| round.as_ref().err().map(String::as_str)).collect();
        reasons.dedup();
        reasons
    }
}

/// Takes all rounds of a measure; the result has the series of each table.
pub fn take(measure: &Measure, bench: &mut Bench) -> Vec<Vec<Series>> {
    let trials: Vec<Result<(), String>> = measure
        .candidates
        .iter()
        .map(|&candidate| if measure.sandboxed { bench.try_out(candidate) } else { Ok(()) })
        .collect();
    let rounds = bench.settings.rounds * measure.rounds_factor;
    let mut tables = interleave(measure, rounds, |round, column, figures| {
        trials[column].clone()?;
        bench.round = round;
        (measure.once)(bench, measure.candidates[column], figures)
    });
    for (table, series) in measure.tables.iter().zip(&mut tables) {
        if let Some(base) = table.over {
            subtract(series, base);
        }
    }
    tables
}

/// A B C, A B C, ...: `once` takes the candidate of a column in a round.
fn interleave(
    measure: &Measure,
    rounds: usize,
    mut once: impl FnMut(usize, usize, &mut Vec<f64>) -> Result<(), String>,
) -> Vec<Vec<Series>> {
    let empty = |&candidate: &Candidate| Series { candidate, rounds: Vec::new() };
    let mut tables: Vec<Vec<Series>> =
        measure.tables.iter().map(|_| measure.candidates.iter().map(empty).collect()).collect();
    for round in 1..=rounds {
        for (column, &candidate) in measure.candidates.iter().enumerate() {
            let tried = &tables[0][column].rounds;
            if tried.len() >= FAILURES_MAX && tried.iter().all(Result::is_err) {
                continue;
            }
            eprintln!("{} {round}/{rounds}: {}", measure.name, candidate.name());
            let mut figures = Vec::new();
            let outcome = once(round, column, &mut figures);
            let missing = outcome.err().unwrap_or_else(|| "no figure".to_owned());
            for (table, series) in tables.iter_mut().enumerate() {
                series[column].rounds.push(figures.get(table).copied().ok_or_else(|| missing.clone()));
            }
        }
    }
    tables
}

/// Takes the base's median off all others' figures.
fn subtract(series: &mut [Series], base: Candidate) {
    let Some(median) = series.iter().find(|one| one.candidate == base).and_then(Series::median) else {
        return;
    };
    for figure in
        series.iter_mut().filter(|one| one.candidate != base).flat_map(|one| &mut one.rounds).flatten()
    {
        *figure -= median;
    }
}

/// A topology with the echo server running in it, and a sandbox.
struct Stage {
    sandbox: Sandbox,
    _server: Running,
    _topology: Topology,
}

impl Stage {
    fn with_echo_server(bench: &Bench, candidate: Candidate) -> Result<Self, String> {
        let (first, last) = (ECHO_PORTS.0.to_string(), ECHO_PORTS.1.to_string());
        Self::set(
            bench,
            candidate,
            ECHO_PORTS,
            &[&workload_program(), "workload", "echo", SERVER, &first, &last],
        )
    }

    /// Starts a server that says "listening" or "Server listening", then opens the sandbox.
    fn set(bench: &Bench, candidate: Candidate, ports: (u16, u16), server: &[&str]) -> Result<Self, String> {
        let topology = Topology::new()?;
        let words: Vec<String> = server.iter().map(|&word| word.to_owned()).collect();
        let command = topology.internet.place(User::Same).command(&words);
        let (server, _) = Running::spawn_until(command, "listening", READY_LIMIT)?;
        let sandbox = Sandbox::open(candidate, &topology, &bench.weft, ports)?;
        Ok(Self { sandbox, _server: server, _topology: topology })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(candidate: Candidate, figures: &[f64]) -> Series {
        Series { candidate, rounds: figures.iter().map(|&figure| Ok(figure)).collect() }
    }

    #[test]
    fn the_bases_median_is_taken_off_the_others() {
        let mut all = [series(Candidate::Kernel, &[1.0, 2.0, 9.0]), series(Candidate::Pasta, &[12.0, 14.0])];
        all[1].rounds.push(Err("no".to_owned()));
        subtract(&mut all, Candidate::Kernel);
        assert_eq!(all[0].median(), Some(2.0));
        assert_eq!(all[1].figures(), [10.0, 12.0]);
        assert_eq!(all[1].failures(), ["no"]);
    }

    #[test]
    fn rounds_are_interleaved_and_a_failing_candidate_is_given_up() {
        const TABLE: Table = Table { title: "", unit: "", better: Better::Higher, over: None, goals: &[] };
        let measure = Measure {
            name: "trial",
            about: "",
            tables: &[TABLE, TABLE],
            candidates: &[Candidate::Kernel, Candidate::Pasta, Candidate::WeftTap],
            rounds_factor: 1,
            sandboxed: true,
            layout: Layout::Tables,
            once: |_, _, _| unreachable!("the test has its own"),
        };
        let mut order = Vec::new();
        let tables = interleave(&measure, 5, |_, column, figures| {
            order.push(column);
            let all =
                [Ok([1.0, 2.0].as_slice()), Err(([1.0].as_slice(), "half")), Err(([].as_slice(), "absent"))];
            let (reached, outcome) = match all[column] {
                Ok(reached) => (reached, Ok(())),
                Err((reached, reason)) => (reached, Err(reason.to_owned())),
            };
            figures.extend(reached);
            outcome
        });
        assert_eq!(order, [0, 1, 2, 0, 1, 2, 0, 1, 0, 1, 0, 1]);
        assert_eq!(tables[1][0].figures(), [2.0; 5]);
        assert_eq!((tables[0][1].figures().len(), tables[1][1].failures()), (5, vec!["half"]));
        assert_eq!((tables[0][2].rounds.len(), tables[0][2].failures()), (FAILURES_MAX, vec!["absent"]));
    }
}
