//! Where and when a run was taken, and from which commit.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use time::calendar::to_rfc3339;

/// What a reader needs to judge a run's figures.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// When it began, UTC, as in RFC 3339 §5.6.
    pub date: String,
    /// The processor's name.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// What the kernel's own TCP obeys where a benchmark does not say.
    pub congestion_control: String,
    /// Descriptors that a process may have: pasta takes two for each connection.
    pub descriptors: String,
    /// Processes ready to run over the last minute, when the run began: how busy the machine was with other work.
    pub load: String,
    /// The commit, with "+changes" where the working tree differs from it.
    pub commit: String,
}

impl Circumstances {
    /// Of now and here.
    pub fn observe() -> Self {
        let unknown = || "unknown".to_owned();
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let first_word = |text: String| text.split_whitespace().next().map(str::to_owned);
        Self {
            date: to_rfc3339(seconds * 1_000_000_000, 0),
            processor: read("/proc/cpuinfo")
                .and_then(|text| field(&text, "model name"))
                .unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").unwrap_or_else(unknown),
            congestion_control: read("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_else(unknown),
            descriptors: read("/proc/self/limits").and_then(descriptors).unwrap_or_else(unknown),
            load: read("/proc/loadavg").and_then(first_word).unwrap_or_else(unknown),
            commit: commit().unwrap_or_else(unknown),
        }
    }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

/// The hard limit in `/proc/PID/limits`, which is what the measured programs get.
fn descriptors(limits: String) -> Option<String> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().nth(1).map(str::to_owned)
}

fn commit() -> Option<String> {
    let hash = git(&["rev-parse", "--short=12", "HEAD"])?;
    // Kept runs are not what is measured.
    let changes = git(&["status", "--porcelain", "--", ":(top)", ":(top,exclude)testing/bench/runs"])?;
    Some(if changes.is_empty() { hash } else { format!("{hash}+changes") })
}

fn git(words: &[&str]) -> Option<String> {
    let output = Command::new("git").args(words).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hard_limit_of_descriptors_is_read() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files   1024   20000   files\n";
        assert_eq!(descriptors(limits.to_owned()).as_deref(), Some("20000"));
    }

    #[test]
    fn fields_are_found_by_name() {
        assert_eq!(field("vendor_id\t: x\nmodel name\t: A 1: b\n", "model name").as_deref(), Some("A 1: b"));
    }
}
