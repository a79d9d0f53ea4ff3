//! The programs under measurement: weft, built here for release, and what versions the peers have.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Builds the `weft` command for release and returns the path of the binary.
pub fn build_weft() -> Result<PathBuf, String> {
    build_binary("weft-cli", "weft")
}

/// Builds a program of the workspace for release, whose package has the same name, and returns the path of the binary.
pub fn build(program: &str) -> Result<PathBuf, String> {
    build_binary(program, program)
}

fn build_binary(package: &str, program: &str) -> Result<PathBuf, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["build", "--release", "--package", package, "--message-format", "json-render-diagnostics"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program} does not build"));
    }
    executable_of(&String::from_utf8_lossy(&output.stdout), program)
        .ok_or_else(|| format!("cargo named no {program} binary"))
}

/// The path of a binary target in cargo's messages, one JSON object a line.
fn executable_of(messages: &str, target: &str) -> Option<PathBuf> {
    messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
        let executable = message["executable"].as_str()?;
        (message["target"]["name"] == target).then(|| PathBuf::from(executable))
    })
}

/// The peers' versions as they tell them; "missing" for one that is not installed.
pub fn peer_versions() -> Vec<(&'static str, String)> {
    let mut versions: Vec<_> =
        ["pasta", "slirp4netns", "bwrap", "iperf3"].map(|peer| (peer, version_of(peer, "--version"))).into();
    versions.push(("nginx", version_of("nginx", "-v")));
    versions.push(("smoltcp", crate::server::SMOLTCP_VERSION.to_owned()));
    versions
}

fn version_of(program: &str, option: &str) -> String {
    let Ok(output) = Command::new(program).arg(option).output() else {
        return "missing".to_owned();
    };
    let told = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    let text = String::from_utf8_lossy(told);
    let line = text.lines().next().unwrap_or_default().trim();
    line.strip_prefix(program).unwrap_or(line).trim().trim_start_matches("version ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_found_among_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"gateway\"},\"executable\":null}\n\
                        not json\n\
                        {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"weft\"},\"executable\":null}\n\
                        {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"weft\"},\"executable\":\"/t/weft\"}\n";
        assert_eq!(executable_of(messages, "weft"), Some(PathBuf::from("/t/weft")));
        assert_eq!(executable_of(messages, "other"), None);
    }
}
