//! Instructions a segment, counted: what a change costs the hot paths, told before it lands.
//!
//! Times waver with everything else that a machine does; the number of instructions of the same program does not. Every
//! operation of `testing/hotpath` is counted by callgrind, with one connection and with many, and held against the
//! figures that the last commit kept.

use crate::Failure;
use crate::workspace::{cargo, find_program, read, root, run as run_command};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use toml::{Table, Value};

/// What `cargo xtask instructions --help` prints.
pub const HELP: &str = "\
Counts the instructions of each hot path by callgrind and compares with the figures kept in testing/hotpath. Exits with 1
where one has grown by more than 3 %.

Usage: cargo xtask instructions [--record]

  --record  keep today's figures; the commit says why they have grown
";

/// Where the figures are kept.
const KEPT: &str = "testing/hotpath/instructions.toml";
/// What is measured: functions of the module `operation`.
const OPERATIONS: [&str; 4] = ["segment_in", "acknowledgement_out", "segment_out", "acknowledgement_in"];
/// With how many connections, each used in its turn.
const CONNECTIONS: [u32; 2] = [1, 100_000];
/// Segments each way, besides those of the warm-up.
const SEGMENTS: u32 = 2_000;
/// What a count may grow by.
const GROWTH_MAX: f64 = 0.03;

/// Instructions of each operation's calls, by operation, for one number of connections.
type Counts = BTreeMap<String, u64>;

/// Counts, and compares or keeps.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let record = match words {
        [] => false,
        [word] if word == "--record" => true,
        [word, ..] => return Err(Failure::Usage(format!("{word} is not understood"))),
    };
    if find_program("valgrind").is_none() {
        return Err(Failure::Broken("valgrind is not installed; see cargo xtask doctor".to_owned()));
    }
    run_command(cargo(&["build", "--quiet", "--release", "--locked", "--package", "hotpath"]))?;
    let mut counted = BTreeMap::new();
    for connections in CONNECTIONS {
        counted.insert(section(connections), count(connections)?);
    }
    if record {
        let path = root().join(KEPT);
        return std::fs::write(&path, to_text(&counted))
            .map_err(|error| Failure::Broken(format!("{}: {error}", path.display())));
    }
    compare(&counted, &kept()?)
}

fn section(connections: u32) -> String {
    format!("connections-{connections}")
}

/// Runs the program under callgrind. Only the operations are collected, so that opening the connections is not.
fn count(connections: u32) -> Result<Counts, Failure> {
    let out = out_file(connections);
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--collect-atstart=no"]);
    command.args(OPERATIONS.map(|operation| format!("--toggle-collect=hotpath::operation::{operation}*")));
    command.arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(root().join("target/release/hotpath"));
    command.args(["--connections", &connections.to_string(), "--segments", &SEGMENTS.to_string(), "cost"]);
    output_of(command)?;
    let mut command = Command::new("callgrind_annotate");
    command.args(["--inclusive=yes", "--threshold=100"]).arg(&out);
    let counts = parse(&output_of(command)?);
    // It is of no use to anybody once it is read.
    let _ = std::fs::remove_file(&out);
    match OPERATIONS.iter().find(|operation| !counts.contains_key(**operation)) {
        Some(missing) => Err(Failure::Broken(format!("callgrind does not tell of {missing}"))),
        None => Ok(counts),
    }
}

fn out_file(connections: u32) -> PathBuf {
    root().join(format!("target/callgrind.{}.{connections}", std::process::id()))
}

fn output_of(mut command: Command) -> Result<String, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| Failure::Broken(format!("{name}: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Failure::Broken(format!("{name}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr))))
}

/// Reads `33,381,654 (26.61%)  FILE:hotpath::operation::segment_in [PROGRAM]`.
fn parse(annotated: &str) -> Counts {
    let line = |line: &str| {
        let (count, rest) = line.trim_start().split_once(' ')?;
        let (_, name) = rest.split_once("hotpath::operation::")?;
        let name = name.split_whitespace().next()?;
        let known = OPERATIONS.contains(&name) && !rest.contains("=>");
        Some((known.then_some(name)?.to_owned(), count.replace(',', "").parse().ok()?))
    };
    let mut counts = Counts::new();
    for (name, count) in annotated.lines().filter_map(line) {
        // What stands in several files is told for each: the whole is the largest.
        let held = counts.entry(name).or_insert(count);
        *held = count.max(*held);
    }
    counts
}

fn to_text(counted: &BTreeMap<String, Counts>) -> String {
    let mut text = "# Instructions of 2,000 segments each way and the warm-up, by operation.\n\
                    # Written by `cargo xtask instructions --record`.\n"
        .to_owned();
    for (section, counts) in counted {
        let _ = writeln!(text, "\n[{section}]");
        for (operation, count) in counts {
            let _ = writeln!(text, "{operation} = {count}");
        }
    }
    text
}

fn kept() -> Result<Table, Failure> {
    let text = read(Path::new(KEPT))?
        .ok_or_else(|| Failure::Broken(format!("{KEPT} is missing; cargo xtask instructions --record")))?;
    text.parse().map_err(|error| Failure::Broken(format!("{KEPT}: {error}")))
}

/// Tells each figure beside the one kept.
fn compare(counted: &BTreeMap<String, Counts>, kept: &Table) -> Result<(), Failure> {
    let mut grown = false;
    for (section, counts) in counted {
        for (operation, &count) in counts {
            let before = kept.get(section).and_then(|table| table.get(operation)).and_then(Value::as_integer);
            let change = before.map(|before| count as f64 / before as f64 - 1.0);
            let (told, verdict) = match change {
                Some(change) if change > GROWTH_MAX => {
                    grown = true;
                    (format!("{:+.1} %", 100.0 * change), "GROWN; --record it where it is worth it")
                }
                Some(change) if change < -GROWTH_MAX => {
                    (format!("{:+.1} %", 100.0 * change), "less: --record it")
                }
                Some(change) => (format!("{:+.1} %", 100.0 * change), ""),
                None => {
                    grown = true;
                    ("new".to_owned(), "not kept: --record it")
                }
            };
            say!("{section:<20} {operation:<20} {count:>12} {told:>8}  {verdict}");
        }
    }
    if grown { Err(Failure::Found) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_growth_is_found() {
        let annotated = "50,325 (40.12%)  x/operation.rs:hotpath::operation::receive\n\
            1,000 (30.43%)  t/operation.rs:hotpath::operation::segment_in [/x/hotpath]\n\
            7 (0.43%)  y/operation.rs:hotpath::operation::segment_in [/x/hotpath]\n\
            1,000 (30.43%)  => t/operation.rs:hotpath::operation::segment_in (10x)\n";
        let counts = parse(annotated);
        assert_eq!(counts, Counts::from([("segment_in".to_owned(), 1_000)]));
        let counted = BTreeMap::from([(section(1), counts)]);
        let kept = |count: u32| format!("[connections-1]\nsegment_in = {count}\n").parse::<Table>().unwrap();
        assert_eq!(compare(&counted, &kept(1_000)), Ok(()));
        assert_eq!(compare(&counted, &kept(975)), Ok(()));
        assert_eq!(compare(&counted, &kept(2_000)), Ok(()));
        assert_eq!(compare(&counted, &kept(965)), Err(Failure::Found));
        assert_eq!(compare(&counted, &Table::new()), Err(Failure::Found));
        assert_eq!(to_text(&counted).parse::<Table>().unwrap(), kept(1_000));
    }
}
