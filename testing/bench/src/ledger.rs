//! The ledger: how fast entries are appended in batches, how fast they are verified, and how much memory that takes.
//!
//! Writer and head are two threads, as in a gateway. The figures are of one machine's disk: what is synced is synced.

use identity::{Algorithm, PublicKey, SecretKey};
use ledger::directory::{Directory, DirectoryStorage};
use ledger::{
    AppendError, Authorization, Batch, Digest, Direction, Entry, Event, Log, LogConfig, Parent, Program,
    Protocol, RunId, Verdict, Writer, WriterConfig, Written,
};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant as Clock;
use time::Instant;

/// What `bench ledger --help` prints.
const HELP: &str = "\
Appends entries to a ledger in batches, verifies it, and tells how fast and with how much memory.

Usage: cargo xtask bench ledger [OPTIONS]

Options:
  --entries N  how many (default 1,000,000; 1,000 to 100,000,000)
  --rounds N   how often (default 3); the median is told
  --dir DIR    where the ledger is written (default: the directory for temporary files)
  --json       print JSON
  --help       this text

Goals: 100,000 entries appended a second, and 1,000,000 verified in less than 2 s.
";

/// Entries appended a second, at least.
const APPEND_GOAL: f64 = 100_000.0;
/// A million entries verified in less than this, in seconds.
const VERIFY_GOAL_SECONDS: f64 = 2.0;

/// How to measure.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    entries: u64,
    rounds: usize,
    directory: PathBuf,
    json: bool,
}

/// What one round gave.
#[derive(Clone, Copy, Debug)]
struct Round {
    append_seconds: f64,
    /// The head's part of it: numbering and encoding, on the gateway's own thread.
    head_seconds: f64,
    append_peak_bytes: u64,
    verify_seconds: f64,
    verify_peak_bytes: u64,
    disk_bytes: u64,
}

/// Measures, and prints what came of it.
pub fn run(words: &[String]) -> Result<(), String> {
    let Some(settings) = parse(words)? else {
        print!("{HELP}");
        return Ok(());
    };
    let mut rounds = Vec::new();
    for number in 0..settings.rounds {
        let path = settings.directory.join(format!("weft-bench-ledger-{}-{number}", std::process::id()));
        let round = measure(&path, settings.entries);
        // What cannot be removed is left in the directory that was named for it.
        let _ = std::fs::remove_dir_all(&path);
        rounds.push(round?);
    }
    print!("{}", tell(&settings, &rounds));
    Ok(())
}

/// What is wrong with its words.
pub fn wrong(words: &[String]) -> Option<String> {
    parse(words).err()
}

fn parse(words: &[String]) -> Result<Option<Settings>, String> {
    let mut settings =
        Settings { entries: 1_000_000, rounds: 3, directory: std::env::temp_dir(), json: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        let number = |text: &String, range: std::ops::RangeInclusive<u64>| {
            let number =
                text.replace([',', '_'], "").parse::<u64>().ok().filter(|number| range.contains(number));
            number.ok_or(format!("{word} {text} is not a number from {} to {}", range.start(), range.end()))
        };
        match word.as_str() {
            "--entries" => settings.entries = number(value()?, 1_000..=100_000_000)?,
            "--rounds" => settings.rounds = number(value()?, 1..=100)? as usize,
            "--dir" => settings.directory = value()?.into(),
            "--json" => settings.json = true,
            "--help" => return Ok(None),
            _ => return Err(format!("{word} is not understood, see bench ledger --help")),
        }
    }
    Ok(Some(settings))
}

/// The entry of this number: what a connection of a package manager looks like.
fn entry(number: u64) -> Entry {
    let asked = Authorization {
        verdict: Verdict::Allowed,
        reason: "allowed by --allow *.example.com:443".into(),
        rule: Some("*.example.com:443".into()),
        program: Some(Program {
            id: 1_000 + (number % 30_000) as u32,
            executable: "/usr/bin/node".into(),
            digest: Some(Digest([number as u8; 32])),
            command_line: vec!["node".into(), "/usr/bin/npm".into(), "install".into()],
            parents: vec![Parent { id: 999, executable: "/usr/bin/bash".into() }],
            user: Some(1_000),
            ..Program::default()
        }),
        protocol: Some(Protocol::Tcp),
        direction: Some(Direction::Connect),
        remote: Some(([192, 0, 2, number as u8], 443).into()),
        name: Some("registry.example.com".into()),
        port: Some(443),
        ..Authorization::default()
    };
    Entry::new(1_795_228_969_000_000_000 + number, RunId([7; 16]), Event::ConnectionAuthorize(asked))
}

fn keys() -> Result<Vec<SecretKey>, String> {
    let make = |algorithm| SecretKey::from_seed("bench.example", algorithm, &[7; 32]);
    Algorithm::ALL.map(make).into_iter().collect::<Result<_, _>>().map_err(|error| error.to_string())
}

fn measure(path: &Path, count: u64) -> Result<Round, String> {
    let keys = keys()?;
    let public: Vec<PublicKey> = keys.iter().map(|key| key.public().clone()).collect();
    let storage = DirectoryStorage::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (writer, position) =
        Writer::open(storage, keys, WriterConfig::default()).map_err(|error| error.to_string())?;
    forget_peak();
    let before = peak_bytes();
    let began = Clock::now();
    let head_seconds = append(writer, Log::start(position, LogConfig::default()), count)?;
    let append_seconds = began.elapsed().as_secs_f64();
    let append_peak_bytes = peak_bytes().saturating_sub(before);
    let disk_bytes = size_of(path);
    forget_peak();
    let before = peak_bytes();
    let began = Clock::now();
    let report = ledger::verify(&Directory::open(path), &public, &[]).map_err(|error| error.to_string())?;
    let verify_seconds = began.elapsed().as_secs_f64();
    let verify_peak_bytes = peak_bytes().saturating_sub(before);
    if report.next != count {
        return Err(format!("{} entries of {count} are there", report.next));
    }
    Ok(Round {
        append_seconds,
        head_seconds,
        append_peak_bytes,
        verify_seconds,
        verify_peak_bytes,
        disk_bytes,
    })
}

/// Appends until the last entry is durable and everything published; how long the head was busy with it, in seconds.
fn append(writer: Writer<DirectoryStorage>, mut log: Log, count: u64) -> Result<f64, String> {
    let (batches, to_write) = channel();
    let (answers, written) = channel();
    let thread = std::thread::spawn(move || write_all(writer, &to_write, &answers));
    let started = Clock::now();
    let now = || Instant::from_nanos(started.elapsed().as_nanos() as u64);
    let (mut number, mut head_seconds) = (0, 0.0);
    while log.durable() < count {
        let began = Clock::now();
        // A turn of a gateway takes some, and then looks for what its writer has done.
        let end = (number + 256).min(count);
        while number < end {
            match log.append(&entry(number), now()) {
                Ok(_) => number += 1,
                Err(AppendError::Full) => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        head_seconds += began.elapsed().as_secs_f64();
        if number == count {
            // What waits goes at once.
            log.publish(now());
        }
        if let Some(batch) = log.poll_write(now()) {
            // Where the writer has gone its answer says why.
            let _ = batches.send(batch);
        }
        let is_waiting = number < end || number == count;
        let answer = if is_waiting { written.recv().ok() } else { written.try_recv().ok() };
        match answer {
            Some(Ok(written)) => log.handle_written(written, now()),
            Some(Err(error)) => return Err(error),
            None => {}
        }
    }
    drop(batches);
    thread.join().map_err(|_| "the writer's thread has panicked".to_owned())??;
    Ok(head_seconds)
}

/// The writer's thread.
fn write_all(
    mut writer: Writer<DirectoryStorage>,
    batches: &Receiver<Batch>,
    answers: &Sender<Result<Written, String>>,
) -> Result<(), String> {
    for batch in batches {
        let answer = writer.write(batch).map_err(|error| error.to_string());
        if answers.send(answer).is_err() {
            break;
        }
    }
    writer.close().map(drop).map_err(|error| error.to_string())
}

/// Has the kernel count the most memory from here on: proc(5), `clear_refs`.
fn forget_peak() {
    // Where that cannot be done the figure is that of the whole run, which is larger.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most memory that was resident, in bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or(0) << 10
}

/// The bytes of all files below a path.
fn size_of(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

fn median(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn tell(settings: &Settings, rounds: &[Round]) -> String {
    let entries = settings.entries as f64;
    let appended = entries / median(rounds, |round| round.append_seconds);
    let head_ns = median(rounds, |round| round.head_seconds) / entries * 1e9;
    let verify_seconds = median(rounds, |round| round.verify_seconds);
    let million_seconds = verify_seconds / entries * 1e6;
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let append_mib = mib(median(rounds, |round| round.append_peak_bytes as f64));
    let verify_mib = mib(median(rounds, |round| round.verify_peak_bytes as f64));
    let bytes = median(rounds, |round| round.disk_bytes as f64) / entries;
    let (appends, verifies) = (appended >= APPEND_GOAL, million_seconds < VERIFY_GOAL_SECONDS);
    if settings.json {
        let told = json!({
            "entries": settings.entries, "rounds": rounds.len(), "appended_per_second": appended,
            "head_ns_per_entry": head_ns, "verify_seconds": verify_seconds,
            "verify_seconds_per_million": million_seconds, "append_peak_mib": append_mib,
            "verify_peak_mib": verify_mib, "disk_bytes_per_entry": bytes,
            "goals_met": { "append": appends, "verify": verifies },
        });
        return format!("{told:#}\n");
    }
    let met = |is_met| if is_met { "met" } else { "NOT MET" };
    format!(
        "{} entries, {} rounds, medians; signed with Ed25519 and ML-DSA-44; files in {}\n\
         append            {appended:>12.0} entries/s   goal {APPEND_GOAL:.0}: {}\n\
         of that, head     {head_ns:>12.0} ns/entry\n\
         memory            {append_mib:>12.1} MiB more at most\n\
         verify            {verify_seconds:>12.2} s           goal {VERIFY_GOAL_SECONDS} s a million: {}\n\
         memory            {verify_mib:>12.1} MiB more at most\n\
         disk              {bytes:>12.0} bytes/entry\n",
        settings.entries,
        rounds.len(),
        settings.directory.display(),
        met(appends),
        met(verifies),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_ledger_is_measured() {
        let path = std::env::temp_dir().join(format!("weft-bench-ledger-test-{}", std::process::id()));
        let round = measure(&path, 2_000).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        let settings = parse(&["--entries".into(), "2,000".into()]).unwrap().unwrap();
        let text = tell(&settings, &[round]);
        assert!(text.contains("entries/s") && round.disk_bytes > 2_000 * 200, "{text}");
        assert!(parse(&["--entries".into(), "7".into()]).is_err() && parse(&["--x".into()]).is_err());
        assert_eq!(parse(&["--help".into()]), Ok(None));
    }
}
