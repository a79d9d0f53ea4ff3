//! How fuzzing is started.

use crate::Failure;
use crate::workspace::{find_program, read, root, run as run_command};
use std::path::Path;
use std::process::Command;
use toml::{Table, Value};

/// What `cargo xtask fuzz --help` prints.
pub const HELP: &str = "\
Fuzzes one target, or all of them one after the other, by libFuzzer on the stable toolchain. New inputs go to
testing/fuzz/libfuzzer/found; the corpora are replayed by `cargo xtask test` without any of this.

Usage: cargo xtask fuzz [TARGET] [--seconds N]

  --seconds N  for how long, each (default 60)
  --list       print the targets

Needs a C++ compiler.
";

const FOLDER: &str = "testing/fuzz/libfuzzer";
const MANIFEST: &str = "testing/fuzz/libfuzzer/Cargo.toml";

/// Bytes of an input at most.
const INPUT_BYTES_MAX: usize = 4_096;

/// What makes the compiler count which branches an input takes, as libFuzzer wants it; without a sanitizer, since
/// what is fuzzed has no `unsafe`.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

#[derive(Debug, PartialEq, Eq)]
struct Request {
    target: Option<String>,
    seconds: u64,
    list: bool,
}

/// Fuzzes.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let request = parse(words)?;
    let text = read(Path::new(MANIFEST))?.unwrap_or_default();
    let targets = targets(&text).map_err(|reason| Failure::Broken(format!("{MANIFEST}: {reason}")))?;
    if request.list {
        targets.iter().for_each(|target| say!("{target}"));
        return Ok(());
    }
    let chosen: Vec<&String> = match &request.target {
        None => targets.iter().collect(),
        Some(name) if targets.contains(name) => vec![name],
        Some(name) => {
            return Err(Failure::Usage(format!("{name} is none of the targets {}", targets.join(", "))));
        }
    };
    if find_program("c++").is_none() {
        return Err(Failure::Broken("libFuzzer needs a C++ compiler, and there is no c++".to_owned()));
    }
    for target in chosen {
        say!("fuzz: {target} for {} s", request.seconds);
        fuzz(target, request.seconds)?;
    }
    Ok(())
}

fn fuzz(target: &str, seconds: u64) -> Result<(), Failure> {
    let folder = root().join(FOLDER);
    let found = format!("found/{target}");
    std::fs::create_dir_all(folder.join(&found))
        .map_err(|error| Failure::Broken(format!("{FOLDER}/{found}: {error}")))?;
    let mut command = Command::new("cargo");
    // A target of its own, so that build scripts are not built for coverage.
    command.args(["run", "--release", "--target", "host-tuple", "--bin", target, "--"]);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={INPUT_BYTES_MAX}"));
    command.args([found, format!("../corpus/{target}")]);
    command.env("RUSTFLAGS", COVERAGE).current_dir(folder);
    run_command(command)
}

fn parse(words: &[String]) -> Result<Request, Failure> {
    let mut request = Request { target: None, seconds: 60, list: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--list" => request.list = true,
            "--seconds" => {
                let number = words.next().and_then(|number| number.parse().ok()).filter(|number| *number > 0);
                request.seconds =
                    number.ok_or_else(|| Failure::Usage("--seconds takes a number from 1".to_owned()))?;
            }
            name if !name.starts_with('-') && request.target.is_none() => {
                request.target = Some(name.to_owned());
            }
            other => return Err(Failure::Usage(format!("{other} is not understood"))),
        }
    }
    Ok(request)
}

/// The names of a manifest's programs.
fn targets(manifest: &str) -> Result<Vec<String>, String> {
    let table: Table = manifest.parse().map_err(|error| format!("{error}"))?;
    let bins = table.get("bin").and_then(Value::as_array).ok_or("it has no programs")?;
    Ok(bins.iter().filter_map(|bin| bin.get("name")?.as_str()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &str) -> Result<Request, Failure> {
        parse(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn requests_are_read_and_garbage_is_refused() {
        let request = parse_words("frames --seconds 5").unwrap();
        assert_eq!(request, Request { target: Some("frames".to_owned()), seconds: 5, list: false });
        for words in ["--seconds", "--seconds 0", "--seconds x", "a b", "--fast"] {
            assert!(matches!(parse_words(words), Err(Failure::Usage(_))), "{words}");
        }
    }

    #[test]
    fn targets_are_the_programs() {
        let manifest = "[package]\nname = 'fuzz'\n[[bin]]\nname = 'a'\npath = 'a.rs'\n[[bin]]\nname = 'b'\n";
        assert_eq!(targets(manifest), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert!(targets("[package]\n").is_err());
    }
}
