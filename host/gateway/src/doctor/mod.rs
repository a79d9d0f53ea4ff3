//! Whether `weft run` works here, found out by trying it, and the exact fix where it does not.

mod restriction;
mod trial;

use crate::options::Attach;
use crate::sandbox::{LaunchError, Step, Warning};
use crate::uplink::room_of;
use rustix::net::{AddressFamily, SocketType, ipproto};
use rustix::process::Resource;
use std::fmt::Write;
use trial::Trial;

/// How many files a gateway should be allowed to open: two for each of 32,000 connections.
const OPEN_FILES_WANTED: u64 = 65_536;

/// The version of Landlock that keeps signals and abstract sockets inside.
const LANDLOCK_WITH_SCOPES: u32 = 6;

/// One thing that was examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was examined, in a word.
    pub name: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, and what it means for `weft run`.
    pub found: String,
    /// A command that mends it, or the option that does without; only where something is to be mended.
    pub fix: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// `weft run` works, with less.
    Lacking,
    /// `weft run` does not work.
    Failing,
}

impl Verdict {
    /// The word in tables and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Lacking => "warn",
            Self::Failing => "fail",
        }
    }
}

impl Finding {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Good, found: found.into(), fix: None }
    }

    fn lacking(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Lacking, found: found.into(), fix: Some(fix.into()) }
    }

    fn failing(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Failing, found: found.into(), fix: Some(fix.into()) }
    }
}

/// Examines this machine, mostly by launching two sandboxes around `true`.
///
/// The calling process must have one thread, as for [`launch`](crate::sandbox::launch).
pub fn examine() -> Vec<Finding> {
    let tap = trial::run(Attach::Tap);
    let veth = trial::run(Attach::Veth);
    let works = tap.works() || veth.works();
    let warnings: Vec<&Warning> = tap.warnings.iter().chain(&veth.warnings).collect();
    let mut findings = vec![
        sandbox(&tap, &veth),
        attachment("tap", "a TAP interface", &tap, works),
        attachment("veth", "a veth pair", &veth, works),
    ];
    if works {
        findings.extend([
            proc(&warnings),
            resolver_files(&warnings),
            ipv6(&warnings),
            ping_inside(&warnings),
            unix_sockets(&warnings),
            control_groups(&warnings),
        ]);
    }
    findings.extend([upstream_resolver(), ping_outside(), landlock(), open_files()]);
    findings
}

/// Whether `weft run` works: nothing among the findings fails.
pub fn passes(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.verdict != Verdict::Failing)
}

/// A table for a terminal: one line for each finding, and the fixes under those that have one.
pub fn render(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    findings.iter().fold(String::new(), |mut out, finding| {
        let (word, name) = (finding.verdict.word(), finding.name);
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{word:<4}  {name:<width$}  {}", finding.found);
        if let Some(fix) = &finding.fix {
            for line in fix.lines() {
                let _ = writeln!(out, "{:<4}  {:<width$}    fix: {line}", "", "");
            }
        }
        out
    })
}

/// The findings as JSON: an array of objects with `name`, `verdict` (`ok`, `warn`, `fail`), `found` and `fix`.
pub fn to_json(findings: &[Finding]) -> serde_json::Value {
    let object = |finding: &Finding| {
        serde_json::json!({
            "name": finding.name,
            "verdict": finding.verdict.word(),
            "found": finding.found,
            "fix": finding.fix,
        })
    };
    findings.iter().map(object).collect()
}

/// Whether a sandbox stands at all, by either attachment.
fn sandbox(tap: &Trial, veth: &Trial) -> Finding {
    const NAME: &str = "sandbox";
    match (&tap.outcome, &veth.outcome) {
        (Ok(span), _) | (_, Ok(span)) => {
            Finding::good(NAME, format!("`true` ran in one, ready after {:.1} ms", span.as_secs_f64() * 1e3))
        }
        // The second is the one that needs less of the machine.
        (Err(_), Err(error)) => Finding::failing(NAME, error.description(), restriction::fix(error)),
    }
}

/// How one attachment fared. Either is enough.
fn attachment(name: &'static str, kind: &str, trial: &Trial, works: bool) -> Finding {
    match &trial.outcome {
        Ok(_) => Finding::good(name, format!("{kind} carries the sandbox's frames")),
        Err(error) if works => {
            let fix = error.remedy().unwrap_or("none needed: the other attachment takes its place");
            Finding::lacking(name, error.description(), fix)
        }
        Err(error) => Finding::failing(name, error.description(), restriction::fix(error)),
    }
}

fn warning_of<'a>(warnings: &[&'a Warning], step: Step) -> Option<&'a LaunchError> {
    warnings.iter().find(|warning| warning.step == step).copied()
}

fn proc(warnings: &[&Warning]) -> Finding {
    const NAME: &str = "proc";
    match warning_of(warnings, Step::MountProc) {
        None => Finding::good(NAME, "the command sees its own processes only"),
        Some(error) => Finding::lacking(
            NAME,
            format!(
                "{}: the command sees the processes outside, though it can open none of them",
                error.description()
            ),
            "docker run --security-opt systempaths=unconfined, where this is a container",
        ),
    }
}

fn resolver_files(warnings: &[&Warning]) -> Finding {
    const NAME: &str = "resolver files";
    match warning_of(warnings, Step::MountFiles).or(warning_of(warnings, Step::HideServices)) {
        None => Finding::good(NAME, "/etc/resolv.conf and /etc/hosts lead to weft inside"),
        Some(error) => Finding::lacking(
            NAME,
            format!("{}: names may not resolve inside", error.description()),
            "touch /etc/resolv.conf /etc/hosts",
        ),
    }
}

fn ipv6(warnings: &[&Warning]) -> Finding {
    const NAME: &str = "ipv6";
    match warning_of(warnings, Step::ConfigureIpv6) {
        None => Finding::good(NAME, "the sandbox has an IPv6 address"),
        Some(error) => Finding::lacking(
            NAME,
            format!("{}: the sandbox has IPv4 only", error.description()),
            "sysctl -w net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0",
        ),
    }
}

fn ping_inside(warnings: &[&Warning]) -> Finding {
    const NAME: &str = "ping inside";
    match warning_of(warnings, Step::AllowPing) {
        None => Finding::good(NAME, "the command may send ICMP echo"),
        Some(error) => Finding::lacking(
            NAME,
            format!("{}: ping fails inside, unless it runs as root", error.description()),
            "docker run --security-opt systempaths=unconfined, where this is a container",
        ),
    }
}

/// Whether the host's Unix sockets are closed inside.
fn unix_sockets(warnings: &[&Warning]) -> Finding {
    const NAME: &str = "unix sockets";
    match warning_of(warnings, Step::GuardSockets) {
        None => Finding::good(NAME, "the host's are closed inside, but by rule"),
        Some(error) => Finding::lacking(
            NAME,
            format!("{}: the command may ask the host's services to connect for it", error.description()),
            error.remedy().unwrap_or("none is known"),
        ),
    }
}

/// Whether the control group that weft runs in is out of reach inside.
fn control_groups(warnings: &[&Warning]) -> Finding {
    const NAME: &str = "control groups";
    match warning_of(warnings, Step::CloseGroups) {
        None => Finding::good(NAME, "they cannot be mounted inside"),
        Some(error) => Finding::lacking(
            NAME,
            format!(
                "{}: the command may stop or kill what shares its control group, where the group is its user's",
                error.description()
            ),
            error.remedy().unwrap_or("none is known"),
        ),
    }
}

/// The host's own resolver, which answers for allowed names.
fn upstream_resolver() -> Finding {
    const NAME: &str = "resolver";
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers: Vec<&str> =
        text.lines().filter_map(|line| line.trim().strip_prefix("nameserver")).map(str::trim).collect();
    if servers.is_empty() {
        let found = "/etc/resolv.conf names no server: allowed names cannot be resolved";
        return Finding::lacking(NAME, found, "weft run --dns ADDRESS");
    }
    Finding::good(NAME, format!("allowed names are resolved by {}", servers.join(", ")))
}

/// Whether the gateway itself can send ICMP echo on behalf of the command.
fn ping_outside() -> Finding {
    const NAME: &str = "ping";
    let open = |kind| rustix::net::socket(AddressFamily::INET, kind, Some(ipproto::ICMP));
    match open(SocketType::DGRAM).or_else(|_| open(SocketType::RAW)) {
        Ok(_) => Finding::good(NAME, "ICMP echo is carried on"),
        Err(error) => Finding::lacking(
            NAME,
            format!("opening a ping socket failed: {error}: allowed ICMP echo goes unanswered"),
            "sysctl -w net.ipv4.ping_group_range='0 2147483647'",
        ),
    }
}

fn landlock() -> Finding {
    const NAME: &str = "landlock";
    match crate::sandbox::landlock_version() {
        0 => Finding::lacking(
            NAME,
            "not there: namespaces alone keep processes outside closed, and --strict refuses to run",
            "boot with lsm=landlock added to the list in /sys/kernel/security/lsm",
        ),
        version if version < LANDLOCK_WITH_SCOPES => Finding::lacking(
            NAME,
            format!("version {version}, without scopes: --strict refuses to run"),
            "Linux 6.12 or later",
        ),
        version => Finding::good(NAME, format!("version {version}")),
    }
}

fn open_files() -> Finding {
    const NAME: &str = "open files";
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    match maximum {
        Some(maximum) if maximum < OPEN_FILES_WANTED => Finding::lacking(
            NAME,
            format!("at most {maximum}: {} connections at once", room_of(maximum)),
            format!(
                "ulimit -Hn {OPEN_FILES_WANTED}, as root, or LimitNOFILE={OPEN_FILES_WANTED} in the unit"
            ),
        ),
        Some(maximum) => Finding::good(NAME, format!("at most {maximum}")),
        None => Finding::good(NAME, "as many as memory allows"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        vec![Finding::good("tap", "fine"), Finding::lacking("open files", "few", "ulimit\nor so")]
    }

    #[test]
    fn a_table_has_a_line_for_each_finding_and_each_line_of_a_fix() {
        let expected = "ok    tap         fine\n\
                        warn  open files  few\n                    fix: ulimit\n                    fix: or so\n";
        assert_eq!(render(&findings()), expected);
    }

    #[test]
    fn json_says_the_same() {
        let json = to_json(&findings());
        assert_eq!(json[0]["verdict"], "ok");
        assert_eq!(json[0]["fix"], serde_json::Value::Null);
        assert_eq!(json[1]["fix"], "ulimit\nor so");
    }

    #[test]
    fn only_a_failure_fails() {
        assert!(passes(&findings()));
        assert!(!passes(&[Finding::failing("sandbox", "no", "none")]));
    }
}
