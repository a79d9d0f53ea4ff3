//! `pktscript`: packet scripts against the stack, one line a script.

#![forbid(unsafe_code)]

use clap::Parser;
use packet::Medium;
use pktscript::{Defines, Outcome, Profile, Run, files, report, run};
use std::fs;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs packet scripts against the stack, in virtual time.
///
/// Prints one line a script: pass, fail with the line and the first field that differs, or unsupported with the construct
/// that stops it; then a total.
///
/// Exit status: 0 where no script failed, 1 where one did (or, with --strict, was unsupported), 2 where the command line is wrong, 3 where a script could not
/// be read or nothing was found to run, 141 where nobody reads what is printed.
#[derive(Debug, Parser)]
#[command(name = "pktscript", version)]
struct Arguments {
    /// Whose defaults and dialect the scripts were written for
    #[arg(long, value_enum)]
    profile: Profile,
    /// Prints JSON lines
    #[arg(long)]
    json: bool,
    /// Runs only scripts whose path contains this
    #[arg(short = 'k', value_name = "PATTERN")]
    pattern: Option<String>,
    /// Prints each expected packet beside the one that was sent
    #[arg(long)]
    trace: bool,
    /// Writes what passed, of one script alone
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Runs scripts over IPv6 that do not name a version
    #[arg(long)]
    ipv6: bool,
    /// Fails scripts that leave packets which no event expects
    #[arg(long)]
    strict_end: bool,
    /// Fails where a script is unsupported too
    #[arg(long)]
    strict: bool,
    /// Defines a name, as the option of the same name in a script
    #[arg(short = 'D', value_name = "NAME=VALUE", value_parser = define)]
    define: Vec<(String, String)>,
    /// Scripts, or directories of *.pkt
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// Nothing was run, or not everything that was asked for.
const UNREADABLE: u8 = 3;

/// Nobody reads what is printed, as in `pktscript ... | head`: the status of a filter that SIGPIPE ends.
const READER_GONE: i32 = 141;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match go(&arguments) {
        Ok(total) if total.fail > 0 => ExitCode::FAILURE,
        Ok(total) if arguments.strict && total.unsupported > 0 => {
            eprintln!("pktscript: {} unsupported, which --strict takes for failed", total.unsupported);
            ExitCode::FAILURE
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("pktscript: {what}");
            ExitCode::from(UNREADABLE)
        }
    }
}

fn go(arguments: &Arguments) -> Result<report::Total, String> {
    let mut scripts = Vec::new();
    for path in &arguments.paths {
        scripts.extend(files::find(path).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    if let Some(pattern) = &arguments.pattern {
        scripts.retain(|path| path.to_string_lossy().contains(pattern.as_str()));
    }
    if scripts.is_empty() {
        return Err(nothing_found(arguments));
    }
    if arguments.pcap.is_some() && scripts.len() > 1 {
        return Err(format!("--pcap is of one script, and there are {}", scripts.len()));
    }
    let how = Run {
        defines: arguments.define.iter().cloned().collect::<Defines>(),
        ipv6: arguments.ipv6,
        strict_end: arguments.strict_end,
        trace: arguments.trace,
        capture: arguments.pcap.is_some(),
        ..Run::new(arguments.profile)
    };
    let mut total = report::Total::default();
    for path in &scripts {
        let outcome = one(path, &how, arguments)?;
        total.count(&outcome);
        tell(if arguments.json { report::json_line(path, &outcome) } else { report::line(path, &outcome) })?;
    }
    tell(if arguments.json { total.json() } else { total.to_string() })?;
    Ok(total)
}

/// `NAME=VALUE`.
fn define(word: &str) -> Result<(String, String), String> {
    match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE, as in MSS=1460".to_owned()),
    }
}

/// Where was looked, and for what.
fn nothing_found(arguments: &Arguments) -> String {
    let paths: Vec<String> = arguments.paths.iter().map(|path| path.display().to_string()).collect();
    let mut text = format!("there is no script to run: no *.pkt in {}", paths.join(", "));
    if let Some(pattern) = &arguments.pattern {
        text.push_str(&format!(" whose path contains '{pattern}'"));
    }
    text
}

/// A line to standard output; ends the program quietly where its reader is gone.
fn tell(line: impl std::fmt::Display) -> Result<(), String> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(READER_GONE),
        written => written.map_err(|error| format!("standard output: {error}")),
    }
}

fn one(path: &Path, how: &Run, arguments: &Arguments) -> Result<Outcome, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (outcome, trace, capture) = run(&String::from_utf8_lossy(&bytes), how);
    trace.iter().for_each(|line| eprintln!("{line}"));
    if let Some(file) = &arguments.pcap {
        fs::File::create(file)
            .and_then(|out| capture.write_pcap(Medium::Ip, &mut BufWriter::new(out)))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(outcome)
}
