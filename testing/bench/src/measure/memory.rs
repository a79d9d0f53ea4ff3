//! Memory: of the gateway's processes while the program inside holds idle connections.
//!
//! Resident memory is counted for every process between the program and the host, pages shared with others in full
//! (RSS) or by their share (PSS). What the kernel holds for the sockets on either side is not in it.

use std::io::Write;
use std::time::Duration;

use super::{Bench, ECHO_PORTS, Layout, Measure, Stage, Table};
use crate::candidates::Candidate;
use crate::goals::Better;
use crate::process::Running;
use crate::topology::{SERVER, workload_program};

/// Idle connections at each reading.
const CONNECTIONS: [u32; 3] = [1, 1_000, 10_000];
/// 9,000 connections at 300 a second, a tenth of what a usual candidate opens. slirp4netns, which looks at every
/// connection in every turn, does not reach it.
const OPEN_LIMIT: Duration = Duration::from_secs(30);

const fn table(title: &'static str, unit: &'static str) -> Table {
    Table { title, unit, better: Better::Lower, over: None, goals: &[] }
}

pub const MEMORY: Measure = Measure {
    name: "memory",
    about: "resident memory of all the gateway's processes while each connection has carried one byte each way and is \
            idle; without the kernel's own memory for sockets.",
    tables: &[
        table("RSS at 1 idle connection", "KiB"),
        table("PSS at 1 idle connection", "KiB"),
        table("RSS at 1,000 idle connections", "KiB"),
        table("PSS at 1,000 idle connections", "KiB"),
        table("PSS for each idle connection, from 1 to 1,000", "bytes"),
        table("RSS at 10,000 idle connections", "KiB"),
        table("PSS at 10,000 idle connections", "KiB"),
        table("PSS for each idle connection, from 1 to 10,000", "bytes"),
    ],
    candidates: &[Candidate::Pasta, Candidate::Slirp4netns, Candidate::WeftTap, Candidate::WeftVeth],
    rounds_factor: 1,
    sandboxed: true,
    layout: Layout::Tables,
    once,
};

fn once(bench: &Bench, candidate: Candidate, figures: &mut Vec<f64>) -> Result<(), String> {
    let stage = Stage::with_echo_server(bench, candidate)?;
    let (program, first, last) = (workload_program(), ECHO_PORTS.0.to_string(), ECHO_PORTS.1.to_string());
    let command = stage.sandbox.command(&[&program, "workload", "idle", SERVER, &first, &last]);
    let (mut running, mut orders) = Running::spawn_piped(command)?;
    let mut readings = Vec::new();
    for count in CONNECTIONS {
        writeln!(orders, "{count}").map_err(|error| format!("the client is gone: {error}"))?;
        running
            .wait_for_line(&format!("open {count}\n"), OPEN_LIMIT)
            .map_err(|reason| format!("{count} connections in {} s: {reason}", OPEN_LIMIT.as_secs()))?;
        let reading = resident(&stage.sandbox.gateway_processes(&running))?;
        figures.extend([reading.rss_kib, reading.pss_kib]);
        readings.push((count, reading.pss_kib));
        if let [(fewer, before), .., (more, after)] = readings[..] {
            figures.push((after - before) * 1024.0 / f64::from(more - fewer));
        }
    }
    Ok(())
}

/// Resident memory of some processes together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resident {
    rss_kib: f64,
    /// Pages shared with others by their share.
    pub pss_kib: f64,
}

/// That of these processes, from `/proc/PID/smaps_rollup`.
pub fn resident(processes: &[u32]) -> Result<Resident, String> {
    if processes.is_empty() {
        return Err("no gateway process found".to_owned());
    }
    let mut sum = Resident { rss_kib: 0.0, pss_kib: 0.0 };
    for process in processes {
        let path = format!("/proc/{process}/smaps_rollup");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        sum.rss_kib += kib_of(&text, "Rss:").ok_or("no Rss in smaps_rollup")?;
        sum.pss_kib += kib_of(&text, "Pss:").ok_or("no Pss in smaps_rollup")?;
    }
    Ok(sum)
}

fn kib_of(text: &str, key: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_suffix("kB")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_the_rollup() {
        let text =
            "5500-7fff ---p 0 00:00 0 [rollup]\nRss:      1432 kB\nPss:       210 kB\nPss_Dirty: 9 kB\n";
        assert_eq!((kib_of(text, "Rss:"), kib_of(text, "Pss:")), (Some(1432.0), Some(210.0)));
        assert_eq!(kib_of(text, "Swap:"), None);
    }

    #[test]
    fn this_process_has_memory() {
        let reading = resident(&[std::process::id()]).unwrap();
        assert!(reading.rss_kib >= reading.pss_kib && reading.pss_kib > 0.0);
        assert!(resident(&[]).is_err());
    }
}
