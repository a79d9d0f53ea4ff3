//! Where and when a run was taken, and from which commit.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

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
    /// The congestion control of the kernel's own TCP, at every peer's far side and at ours.
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
            date: rfc3339(seconds),
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

/// Seconds since 1970 as `YYYY-MM-DDThh:mm:ssZ` (RFC 3339 §5.6).
fn rfc3339(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of the month, `days` after the first of January 1970.
pub fn civil(mut days: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    while days >= days_of_year(year) {
        days -= days_of_year(year);
        year += 1;
    }
    let february = days_of_year(year) - 337;
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

fn days_of_year(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    if leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(rfc3339(4_107_542_399), "2100-02-28T23:59:59Z");
        assert_eq!(rfc3339(4_107_542_400), "2100-03-01T00:00:00Z");
    }

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
