//! Bulk: iperf3, one stream each way.

use std::time::Duration;

use serde_json::Value;

use super::{Bench, Layout, Measure, Stage, Table};
use crate::candidates::Candidate;
use crate::goals::{Better, Goal};
use crate::process;
use crate::topology::SERVER;

const PORT: u16 = 5201;
/// Connecting and exchanging results, besides the transfer itself.
const SETUP_LIMIT: Duration = Duration::from_secs(15);

const GOALS: &[Goal] = &[Goal::Times(2.0, Candidate::Slirp4netns), Goal::Times(1.0, Candidate::Pasta)];

pub const BULK: Measure = Measure {
    name: "bulk",
    about: "iperf3, one TCP stream, what the receiver counted. The bare relay reads and writes between two of the kernel's \
            sockets, with no TCP of its own.",
    tables: &[
        Table { title: "bulk upload", unit: "Gbit/s", better: Better::Higher, over: None, goals: GOALS },
        Table { title: "bulk download", unit: "Gbit/s", better: Better::Higher, over: None, goals: GOALS },
    ],
    candidates: &[
        Candidate::Kernel,
        Candidate::Relay,
        Candidate::Pasta,
        Candidate::Slirp4netns,
        Candidate::WeftTap,
        Candidate::WeftVeth,
    ],
    rounds_factor: 1,
    sandboxed: true,
    layout: Layout::Tables,
    once,
};

fn once(bench: &Bench, candidate: Candidate, figures: &mut Vec<f64>) -> Result<(), String> {
    for direction in [None, Some("--reverse")] {
        figures.push(transfer(bench, candidate, direction)?);
    }
    Ok(())
}

/// One transfer, with a server of its own: after an upload the server is busy for as long as the gateway still holds
/// data, and it takes one client at a time.
fn transfer(bench: &Bench, candidate: Candidate, direction: Option<&str>) -> Result<f64, String> {
    let port = PORT.to_string();
    let server = ["iperf3", "--server", "--forceflush", "--bind", SERVER, "--port", &port];
    let stage = Stage::set(bench, candidate, (PORT, PORT), &server)?;
    let (address, seconds) = (stage.sandbox.server(), bench.settings.seconds.to_string());
    let mut words = vec!["iperf3", "--client", address, "--port", &port, "--json", "--time", &seconds];
    words.extend(["--connect-timeout", "5000"]);
    words.extend(direction);
    let limit = SETUP_LIMIT + Duration::from_secs(bench.settings.seconds);
    let output = process::run(stage.sandbox.command(&words), limit)?;
    received_gbit_per_second(&output.stdout).or_else(|reason| {
        // Its own account of a failure is in the JSON; a sandbox's is not.
        output.success().and(Err(reason))
    })
}

/// The receiver's rate in a report of `iperf3 --json`.
fn received_gbit_per_second(text: &str) -> Result<f64, String> {
    let report: Value = serde_json::from_str(text).map_err(|_| "iperf3 made no report".to_owned())?;
    if let Some(error) = report["error"].as_str() {
        return Err(format!("iperf3: {error}"));
    }
    let rate = report["end"]["sum_received"]["bits_per_second"].as_f64();
    rate.map(|rate| rate / 1e9).ok_or_else(|| "iperf3 counted nothing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receivers_count_is_taken() {
        let report =
            r#"{"end":{"sum_sent":{"bits_per_second":9e9},"sum_received":{"bits_per_second":2.5e9}}}"#;
        assert_eq!(received_gbit_per_second(report), Ok(2.5));
    }

    #[test]
    fn a_failure_is_told_in_iperfs_words() {
        let failed = received_gbit_per_second(r#"{"end":{},"error":"unable to connect"}"#);
        assert_eq!(failed, Err("iperf3: unable to connect".to_owned()));
        assert!(received_gbit_per_second("").is_err());
    }
}
