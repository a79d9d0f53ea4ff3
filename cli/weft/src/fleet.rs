//! `weft fleet`: policies for many hosts, and their ledgers in one place.
//!
//! - [`agent`]: what `weft fleet agent` does
//! - [`ledger`]: what `weft fleet ledger` does
//! - [`policy`]: what `weft fleet policy` does
//! - [`status`]: what `weft fleet status` does

mod agent;
mod ledger;
mod policy;
mod status;

use crate::args::{CommonArguments, FleetTask, USAGE_STATUS};
use crate::ledger::check::read_keys;
use crate::print;
use ::fleet::setup::{Change, Kept, SetupConfig, set_up};
use ::fleet::{Link, ServerError};
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;

/// Why something was not done.
pub enum Failure {
    /// It could not be: what, and why.
    Unable(String),
    /// There is nothing of what was asked for, or it is wrong.
    Absent(String),
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        Self::Unable(error.to_string())
    }
}

/// Does what is asked for.
pub fn run(task: FleetTask) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(perform(task)),
        Err(error) => Err(Failure::Unable(format!("no thread can be made: {error}"))),
    };
    match done {
        Ok(status) => status,
        Err(Failure::Absent(reason)) => {
            eprintln!("weft: {reason}");
            ExitCode::FAILURE
        }
        Err(Failure::Unable(reason)) => {
            eprintln!("weft: {reason}");
            ExitCode::from(USAGE_STATUS)
        }
    }
}

async fn perform(task: FleetTask) -> Result<ExitCode, Failure> {
    match task {
        FleetTask::Setup { common, replicas, ledger_bytes, duplicate_window, policy_history } => {
            let config = SetupConfig {
                replicas: replicas.map(usize::from),
                ledger_bytes_max: ledger_bytes,
                duplicate_window,
                policy_history,
            };
            let json = common.json;
            let kept = set_up(&connect(common).await?, &config).await?;
            Ok(print(tell_kept(&kept, json).as_bytes()))
        }
        FleetTask::Agent { common, host, ledger, policy, policy_key, directory } => {
            let keys = match policy_key.is_empty() {
                true => Vec::new(),
                false => read_keys(&policy_key).map_err(ledger::of_ledger)?,
            };
            agent::run(common, (host, ledger, directory), (policy, keys)).await
        }
        FleetTask::Status { common, host } => {
            let json = common.json;
            status::tell(&connect(common).await?, host.as_ref(), json).await
        }
        FleetTask::Policy { task } => policy::run(task).await,
        FleetTask::Ledger { task } => ledger::run(task).await,
    }
}

async fn connect(common: CommonArguments) -> Result<Link, Failure> {
    Ok(common.into_access().connect().await?)
}

/// What was set up, and how it is kept.
fn tell_kept(kept: &[Kept], json: bool) -> String {
    if !json {
        let line = |kept: &Kept| {
            let word = match kept.change {
                Change::None => "there, as it was",
                change => change.word(),
            };
            format!("{}: {word}\n", kept.name)
        };
        return kept.iter().map(line).collect();
    }
    let streams = kept.iter().map(|kept| {
        json!({
            "name": kept.name,
            "change": kept.change.word(),
            "replicas": kept.replicas,
            "bytes_max": kept.bytes_max,
            "history": kept.history,
            "duplicate_window_ns": u64::try_from(kept.duplicate_window.as_nanos()).unwrap_or(u64::MAX),
        })
    });
    format!("{:#}\n", json!({ "streams": streams.collect::<Vec<Value>>() }))
}

fn tell_path(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::Unable(format!("{}: {error}", path.display()))
}
