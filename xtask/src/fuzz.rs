//! How fuzzing is started.

use crate::Failure;
use crate::workspace::{find_program, read, root, run as run_command};
use std::path::Path;
use std::process::Command;
use toml::{Table, Value};

/// What `cargo xtask fuzz --help` prints.
pub const HELP: &str = "\
Fuzzes one target, or all of them one after the other. What is found is kept in testing/fuzz; the corpora are replayed
by `cargo xtask test` without any of this.

Usage: cargo xtask fuzz [TARGET] [--seconds N]

  --seconds N  for how long, each (default 60)
  --list       print the targets

Needs cargo-fuzz (cargo install --locked cargo-fuzz) and a nightly toolchain (rustup toolchain install nightly).
";

const MANIFEST: &str = "testing/fuzz/Cargo.toml";

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
        targets.iter().for_each(|target| println!("{target}"));
        return Ok(());
    }
    let chosen: Vec<&String> = match &request.target {
        None => targets.iter().collect(),
        Some(name) if targets.contains(name) => vec![name],
        Some(name) => {
            return Err(Failure::Usage(format!("{name} is none of the targets {}", targets.join(", "))));
        }
    };
    if find_program("cargo-fuzz").is_none() {
        let reason = "cargo-fuzz is missing: cargo install --locked cargo-fuzz";
        return Err(Failure::Broken(reason.to_owned()));
    }
    for target in chosen {
        println!("fuzz: {target} for {} s", request.seconds);
        // The sanitizers need nightly; rustup's own `cargo` finds it.
        let mut command = Command::new("cargo");
        command.args(["+nightly", "fuzz", "run", "--fuzz-dir", "testing/fuzz", target, "--"]);
        command.arg(format!("-max_total_time={}", request.seconds)).current_dir(root());
        command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
        run_command(command)?;
    }
    Ok(())
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
