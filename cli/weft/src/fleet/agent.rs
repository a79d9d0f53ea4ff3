//! `weft fleet agent`: in the foreground, until a signal ends it.

use super::Failure;
use crate::args::CommonArguments;
use crate::print;
use fleet::agent::Notice;
use fleet::{Agent, AgentConfig, HostName};
use identity::PublicKey;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};
use time::calendar::to_rfc3339;
use tokio::signal::unix::{SignalKind, signal};

pub async fn run(
    common: CommonArguments,
    (host, ledger, directory): (HostName, Option<PathBuf>, Option<PathBuf>),
    (policy, policy_keys): (Option<PathBuf>, Vec<PublicKey>),
) -> Result<ExitCode, Failure> {
    let directory = directory.or_else(default_directory).ok_or_else(|| {
        Failure::Unable("where does the agent keep how far it is? Give --directory, or set HOME".into())
    })?;
    let unable = |error: &dyn std::fmt::Display| Failure::Unable(error.to_string());
    // Listened to before anything is begun, so that an early signal ends it as well.
    let signals = SignalKind::terminate();
    let mut terminate = signal(signals).map_err(|error| unable(&error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| unable(&error))?;
    let (json, access) = (common.json, common.into_access());
    let config = AgentConfig { access, host, ledger, policy, policy_keys, directory };
    let tell = |notice: &Notice| tell(notice, json);
    let agent = Agent::start(config, &tell).await.map_err(|error| unable(&error))?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    agent.run(stop).await.map_err(|error| unable(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// A line for people on standard error, or an object on standard output.
fn tell(notice: &Notice, json: bool) {
    if !json {
        return eprintln!("weft: {notice}");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut told = notice.to_json();
    told["time"] = to_rfc3339(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX), 3).into();
    // An agent that nobody listens to goes on.
    let _ = print(format!("{told}\n").as_bytes());
}

/// `weft/fleet` in `$XDG_STATE_HOME` or `~/.local/state`.
fn default_directory() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    state.map(|state| state.join("weft/fleet"))
}
