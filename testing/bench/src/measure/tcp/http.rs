//! HTTP/1.1 with small answers on connections that stay.

use super::{ADDRESS, Bench, Better, Candidate, Goal, Lan, Layout, Measure, Purpose, table, time};
use crate::server::HTTP as PORT;

const RATE: &[Goal] = &[Goal::Times(1.3, Candidate::Nginx), Goal::Times(1.0, Candidate::Nginx)];

pub const HTTP: Measure = Measure {
    name: "tcp-http",
    about: "GET, answered by 13 bytes and a head, on 64 connections that stay. nginx has one worker. The goals are 1.3 x \
            for a responder written by hand and 1 x for hyper.",
    tables: &[
        table("requests", "1/s", Better::Higher, RATE),
        table("latency, median", "µs", Better::Lower, &[]),
        table("latency, 99th percentile", "µs", Better::Lower, &[]),
    ],
    candidates: &[
        Candidate::Nginx,
        Candidate::Kernel,
        Candidate::SmoltcpOffload,
        Candidate::Responder,
        Candidate::WeftStack,
        Candidate::WeftSockets,
        Candidate::WeftHyper,
        Candidate::WeftQueues,
    ],
    rounds_factor: 1,
    sandboxed: false,
    layout: Layout::Tables,
    once,
};

fn once(bench: &Bench, candidate: Candidate, figures: &mut Vec<f64>) -> Result<(), String> {
    let lan = Lan::open(candidate, Purpose::Http)?;
    let seconds = bench.settings.seconds.to_string();
    let words = ["requests", &ADDRESS.to_string(), &PORT.to_string(), "64", &seconds];
    figures.extend(lan.run(&words, time(bench))?);
    Ok(())
}
