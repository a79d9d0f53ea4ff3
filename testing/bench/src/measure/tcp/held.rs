//! 100,000 connections in one process over a TAP, each of which then gives back a byte.

use super::{ADDRESS, Bench, Better, Candidate, Lan, Measure, Purpose, table};
use crate::measure::memory::resident;
use crate::server::{ECHO, TAP};
use std::io::Write;
use std::time::{Duration, Instant};

/// How many are held at each reading; the first is small, so that what the process holds besides is not in the figures.
const CONNECTIONS: [u32; 3] = [6, 9_996, 99_996];
/// Client processes, each with an address of its own: one may have 20,000 descriptors, and 28,232 ports for a destination.
const CLIENTS: u32 = 6;
/// Opening or asking all at 500 a second for each client.
const LIMIT: Duration = Duration::from_secs(240);

pub const HELD: Measure = Measure {
    name: "tcp-scale-held",
    about: "connections of six client processes with an address each, held by one server process over a TAP; then each \
            sends one byte and waits for it, one after the other in each client. Memory is the server's PSS, over what it \
            holds for six.",
    tables: &[
        table("established, for 10,000", "connections", Better::Higher, &[]),
        table("time to establish them", "s", Better::Lower, &[]),
        table("memory of one, of 10,000", "bytes", Better::Lower, &[]),
        table("echo on each of 10,000, 99th percentile", "µs", Better::Lower, &[]),
        table("established, for 100,000", "connections", Better::Higher, &[]),
        table("time to establish 90,000 more", "s", Better::Lower, &[]),
        table("memory of one, of 100,000", "bytes", Better::Lower, &[]),
        table("echo on each of 100,000, 99th percentile", "µs", Better::Lower, &[]),
    ],
    candidates: &[Candidate::WeftSockets],
    rounds_factor: 1,
    sandboxed: false,
    layout: super::Layout::Tables,
    once,
};

fn once(_: &Bench, candidate: Candidate, figures: &mut Vec<f64>) -> Result<(), String> {
    let lan = Lan::open(candidate, Purpose::Connections)?;
    let (first, last) = (ECHO.start().to_string(), ECHO.end().to_string());
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let source = format!("192.0.2.{}", 10 + number);
        lan.ip(&format!("address add {source}/24 dev {TAP}\n"))?;
        clients.push(lan.spawn(&["hold", &source, &ADDRESS.to_string(), &first, &last])?);
    }
    let mut base = 0.0;
    for count in CONNECTIONS {
        let start = Instant::now();
        for (_, orders) in &mut clients {
            writeln!(orders, "{}", count / CLIENTS).map_err(|error| format!("a client is gone: {error}"))?;
        }
        for (client, _) in &mut clients {
            client.wait_for_line("open ", LIMIT)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        // Before anything is asked: what holds a connection that has said nothing.
        let bytes = resident(&[lan.server()])?.pss_kib * 1024.0;
        if count == CONNECTIONS[0] {
            base = bytes;
            continue;
        }
        let slowest = ask(&mut clients)?;
        figures.extend([f64::from(count), seconds, (bytes - base) / f64::from(count), slowest]);
    }
    Ok(())
}

/// Lets every client ask on each of its connections; the largest 99th percentile.
fn ask(clients: &mut [super::Client]) -> Result<f64, String> {
    for (_, orders) in &mut *clients {
        writeln!(orders, "ask").map_err(|error| format!("a client is gone: {error}"))?;
    }
    let mut slowest = 0.0_f64;
    for (client, _) in clients {
        let line = client.wait_for_line("asked ", LIMIT)?;
        let word = line.split_whitespace().nth(1).and_then(|word| word.parse().ok());
        slowest = slowest.max(word.ok_or_else(|| format!("not a figure: {line}"))?);
    }
    Ok(slowest)
}
