//! What this machine lacks for the tests, and the command that brings it.

use crate::Failure;
use crate::workspace::{find_program, read, run as run_command};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use toml::{Table, Value};

/// What `cargo xtask doctor --help` prints.
pub const HELP: &str = "\
Tells which programs this machine lacks for the tests and measurements, and the command that brings them. Exits with 1
where any is lacking.

Usage: cargo xtask doctor [--install [--yes]]

  --install  print the command that installs what is lacking
  --yes      with --install: run it, as root
";

/// The programs of the interop tests with the packages that bring them.
const TABLE: &str = "testing/interop/programs.toml";

/// The programs that `cargo xtask bench` measures against, and the one that counts instructions.
const BENCH: [(&str, &str); 6] = [
    ("bwrap", "bubblewrap"),
    ("iperf3", "iperf3"),
    ("nginx", "nginx"),
    ("pasta", "passt"),
    ("slirp4netns", "slirp4netns"),
    ("valgrind", "valgrind"),
];

/// What a machine lacks.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lacking {
    /// Programs, each with the package that brings it.
    pub programs: BTreeMap<String, String>,
    /// What is no program.
    pub others: Vec<String>,
}

impl Lacking {
    fn packages(&self) -> Vec<&str> {
        let packages: BTreeSet<&str> = self.programs.values().map(String::as_str).collect();
        packages.into_iter().collect()
    }

    /// Whether nothing is lacking.
    pub fn is_nothing(&self) -> bool {
        self.programs.is_empty() && self.others.is_empty()
    }

    /// One line for each thing.
    pub fn tell(&self) {
        for (program, package) in &self.programs {
            say!("lacking: {program} (package {package})");
        }
        self.others.iter().for_each(|other| say!("lacking: {other}"));
        let packages = self.packages();
        if !packages.is_empty() {
            say!("to install: apt-get install --no-install-recommends {}", packages.join(" "));
        }
    }
}

/// Tells, and installs where asked.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let has = |option: &str| words.iter().any(|word| word == option);
    if let Some(other) = words.iter().find(|word| !matches!(word.as_str(), "--install" | "--yes")) {
        return Err(Failure::Usage(format!("{other} is not understood")));
    }
    if has("--yes") && !has("--install") {
        return Err(Failure::Usage("--yes goes with --install".to_owned()));
    }
    let mut lacking = examine()?;
    if has("--yes") && !lacking.programs.is_empty() {
        install(&lacking)?;
        lacking = examine()?;
    }
    lacking.tell();
    if lacking.is_nothing() {
        say!("doctor: nothing is lacking");
        return Ok(());
    }
    Err(Failure::Found)
}

/// What this machine lacks.
pub fn examine() -> Result<Lacking, Failure> {
    let text = read(Path::new(TABLE))?.unwrap_or_default();
    let mut programs = table(&text).map_err(|reason| Failure::Broken(format!("{TABLE}: {reason}")))?;
    programs.extend(BENCH.map(|(program, package)| (program.to_owned(), package.to_owned())));
    let mut lacking = lacking(programs, |program| find_program(program).is_some());
    // Debian has a Python without the module that makes virtual environments.
    if find_program("python3").is_some() && !succeeds("python3", &["-c", "import ensurepip, venv"]) {
        lacking.programs.insert("python3 -m venv".to_owned(), "python3-venv".to_owned());
    }
    if !succeeds("unshare", &["--user", "--map-root-user", "--net", "--mount", "true"]) {
        lacking.others.push("user, network and mount namespaces (weft doctor tells why)".to_owned());
    }
    if !succeeds("unshare", &["--net", "--mount", "true"]) {
        lacking.others.push("root, to make network namespaces for the tests' servers".to_owned());
    }
    Ok(lacking)
}

fn lacking(programs: BTreeMap<String, String>, is_here: impl Fn(&str) -> bool) -> Lacking {
    let programs = programs.into_iter().filter(|(program, _)| !is_here(program)).collect();
    Lacking { programs, others: Vec::new() }
}

/// The table: `program = "package"`.
fn table(text: &str) -> Result<BTreeMap<String, String>, String> {
    let table: Table = text.parse().map_err(|error| format!("{error}"))?;
    let entry = |(program, package): (&String, &Value)| {
        let package = package.as_str().ok_or_else(|| format!("the package of {program} is no text"))?;
        Ok((program.clone(), package.to_owned()))
    };
    table.iter().map(entry).collect()
}

fn succeeds(program: &str, words: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn install(lacking: &Lacking) -> Result<(), Failure> {
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(words).env("DEBIAN_FRONTEND", "noninteractive");
        run_command(command)
    };
    apt(&["update", "--quiet"])?;
    let words = ["install", "--yes", "--quiet", "--no-install-recommends"];
    apt(&[&words[..], &lacking.packages()[..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_here_is_told_with_its_package_once() {
        let programs = table("# words\npsql = 'client'\ninitdb = 'server'\npostgres = 'server'\n").unwrap();
        let found = lacking(programs, |program| program == "psql");
        assert_eq!(found.programs.len(), 2);
        assert_eq!(found.packages(), ["server"]);
        assert!(!found.is_nothing());
        assert!(table("psql = 1").is_err());
    }
}
