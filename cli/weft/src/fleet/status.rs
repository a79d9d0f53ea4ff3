//! `weft fleet status`: a line for each host, or all that its agent told.

use super::Failure;
use crate::print;
use fleet::policies::Policies;
use fleet::state::{HostState, Revision};
use fleet::{HostName, Link, hosts};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// An agent that has told nothing for so long is not there: it tells something every 30 seconds.
const SILENT_NS: u64 = 90_000_000_000;

pub async fn tell(link: &Link, host: Option<&HostName>, json: bool) -> Result<ExitCode, Failure> {
    let states = hosts::states(link, host).await?;
    if let (Some(host), true) = (host, states.is_empty()) {
        return Err(Failure::Absent(format!("no agent has told anything of {host}")));
    }
    let policies = Policies::open(link).await?;
    let mut current = BTreeMap::new();
    for host in states.keys() {
        current.insert(host, policies.find(Some(host)).await?.map(|found| found.revision));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    let told = states.iter().map(|(host, state)| (host, state, current[host].as_ref()));
    let text = match json {
        true => {
            let hosts: Vec<Value> =
                told.map(|(host, state, current)| to_json(host, state, current, now_ns)).collect();
            format!("{:#}\n", Value::Array(hosts))
        }
        false => {
            let rows = told.map(|(host, state, current)| to_row(host, state, current, now_ns));
            to_table(rows.collect())
        }
    };
    Ok(print(text.as_bytes()))
}

/// How an agent does, in a word.
fn condition(state: &HostState, now_ns: u64) -> &'static str {
    match () {
        () if state.is_stopped => "stopped",
        () if now_ns.saturating_sub(state.time_ns) > SILENT_NS => "silent",
        () if state.shards.values().any(|shard| shard.stalled.is_some()) => "stalled",
        () => "running",
    }
}

fn to_json(host: &HostName, state: &HostState, current: Option<&Revision>, now_ns: u64) -> Value {
    let mut told = state.to_json();
    told["host"] = json!(host.as_str());
    told["condition"] = json!(condition(state, now_ns));
    told["age_ns"] = json!(now_ns.saturating_sub(state.time_ns));
    told["policy"]["current"] =
        json!(current.map(|current| json!({ "key": current.key, "revision": current.number })));
    told
}

const HEADER: [&str; 6] = ["HOST", "AGENT", "TOLD", "SHIPPED", "CHECKPOINT", "POLICY"];

fn to_row(host: &HostName, state: &HostState, current: Option<&Revision>, now_ns: u64) -> [String; 6] {
    let ago = |time_ns: u64| match time_ns {
        0 => "-".to_owned(),
        time_ns => format!("{} s ago", now_ns.saturating_sub(time_ns) / 1_000_000_000),
    };
    let (shipped, next) = state
        .shards
        .values()
        .fold((0, 0), |(shipped, next), shard| (shipped + shard.shipped, next + shard.next));
    let checkpoint_ns = state.shards.values().map(|shard| shard.checkpoint_ns).max().unwrap_or(0);
    let gaps: usize = state.shards.values().map(|shard| shard.gaps.len()).sum();
    let mut shipping = format!("{shipped} of {next}");
    if gaps > 0 {
        shipping += &format!(", {gaps} gaps");
    }
    let policy = match (&state.policy.installed, current) {
        (None, None) => "-".to_owned(),
        (None, Some(_)) => "none yet".to_owned(),
        (Some(installed), _) => {
            let is_current = Some(installed) == current;
            let mark = match (is_current, &state.policy.refused) {
                (true, _) => "",
                (false, Some(_)) => " (newer refused)",
                (false, None) => " (not the newest)",
            };
            format!("{} {}{mark}", installed.key, installed.number)
        }
    };
    let told =
        [condition(state, now_ns).to_owned(), ago(state.time_ns), shipping, ago(checkpoint_ns), policy];
    let [condition, time, shipping, checkpoint, policy] = told;
    [host.to_string(), condition, time, shipping, checkpoint, policy]
}

fn to_table(rows: Vec<[String; 6]>) -> String {
    let rows: Vec<[String; 6]> = std::iter::once(HEADER.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADER.len()).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
