//! `weft fleet agent`: in the foreground, until a signal ends it.

use super::Failure;
use fleet::agent::Notice;
use fleet::{Access, Agent, AgentConfig, HostName};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

pub async fn run(
    access: Access,
    host: HostName,
    ledger: Option<PathBuf>,
    policy: Option<PathBuf>,
    directory: Option<PathBuf>,
) -> Result<ExitCode, Failure> {
    let directory = directory.or_else(default_directory).ok_or_else(|| {
        Failure::Unable("where does the agent keep how far it is? Give --directory, or set HOME".into())
    })?;
    let unable = |error: &dyn std::fmt::Display| Failure::Unable(error.to_string());
    // Listened to before anything is begun, so that an early signal ends it as well.
    let signals = SignalKind::terminate();
    let mut terminate = signal(signals).map_err(|error| unable(&error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| unable(&error))?;
    let config = AgentConfig { access, host, ledger, policy, directory };
    let tell = |notice: &Notice| eprintln!("weft: {notice}");
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

/// `weft/fleet` in `$XDG_STATE_HOME` or `~/.local/state`.
fn default_directory() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    state.map(|state| state.join("weft/fleet"))
}
