//! Real writers in a real directory, killed by SIGKILL at any moment, one five hundred times and then two at once: what
//! they had reported durable is there, in its order, and verifies with the public key.

use crate::entries::{Pair, keys, public};
use crate::storage::Temporary;
use ledger::directory::{Directory, DirectoryStorage};
use ledger::shards::{self, ShardNumber};
use ledger::{Entry, Event, LogConfig, RunId, ShardsSeen, WriterConfig, verify};
use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

/// How often the writer is killed.
const ROUNDS: u64 = 500;
/// How often two are.
const ROUNDS_OF_TWO: u64 = 60;
/// Tells the process that it is the writer, and where it writes.
const PLACE: &str = "WEFT_LEDGER_TEST_WRITER";
/// The same for one of several.
const SHARED_PLACE: &str = "WEFT_LEDGER_TEST_SHARED_WRITER";

/// Writes until it is killed: tells the number behind the last durable entry, a line for each batch.
///
/// It is a test that does nothing, unless the other one has started it.
#[test]
fn the_writer_that_is_killed() {
    let Some(place) = env::var_os(PLACE) else { return };
    let config = WriterConfig { journal_bytes: 30_000, keep_logs: Some(3), ..WriterConfig::default() };
    // A new log after 200 entries.
    let log = LogConfig { rotate_age_ns: 1_000_000_000, ..LogConfig::default() };
    let mut pair = Pair::open(DirectoryStorage::open(place).unwrap(), config, log);
    let mut out = std::io::stderr();
    writeln!(out, "durable {}", pair.log.durable()).unwrap();
    for round in 0.. {
        pair.append(1 + round % 17);
        if round % 5 == 0 {
            pair.log.publish(time::Instant::ZERO);
        }
        // Some batches are written while others are on their way to the disk.
        let is_written = if round % 3 == 0 { pair.write() } else { pair.begin() && pair.wait_or_settle() };
        assert!(is_written);
        writeln!(out, "durable {}", pair.log.durable()).unwrap();
    }
}

/// The same in a shard of its own, which tells what it has seen of the others at first and now and then.
#[test]
fn the_writer_of_a_shard_that_is_killed() {
    let Some(place) = env::var_os(SHARED_PLACE) else { return };
    let place = Path::new(&place);
    let config = WriterConfig { journal_bytes: 30_000, ..WriterConfig::default() };
    let (writer, position, shard) = shards::open(place, keys(), config).unwrap();
    let log = LogConfig { rotate_age_ns: 1_000_000_000, ..LogConfig::default() };
    let mut pair = Pair::start(writer, position, log);
    let mut out = std::io::stderr();
    for round in 0.. {
        if round % 7 == 0 {
            let shards = shards::seen(place, shard, &public());
            let told = Entry::new(0, RunId([1; 16]), Event::ShardsSeen(ShardsSeen { shards }));
            pair.log.append(&told, time::Instant::ZERO).unwrap();
        }
        pair.append(1 + round % 17);
        if round % 3 == 0 {
            pair.log.publish(time::Instant::ZERO);
        }
        assert!(pair.write());
        writeln!(out, "shard {shard} durable {}", pair.log.durable()).unwrap();
    }
}

/// Starts this process anew as a writer.
fn start(test: &str, variable: &str, place: &Path) -> (Child, Lines<BufReader<ChildStderr>>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(variable, place)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    (child, lines)
}

#[test]
fn two_writers_that_are_killed_lose_nothing_durable_and_accuse_nobody() {
    let temporary = Temporary::new("killed-two");
    let mut durable: BTreeMap<ShardNumber, u64> = BTreeMap::new();
    let mut keep = |line: &str| {
        let (shard, next) = told_of_shard(line).unwrap_or_else(|| panic!("{line}"));
        let most = durable.entry(shard).or_default();
        *most = next.max(*most);
    };
    for round in 0..ROUNDS_OF_TWO {
        let test = "killed::the_writer_of_a_shard_that_is_killed";
        let mut writers = [(); 2].map(|()| start(test, SHARED_PLACE, &temporary.0));
        // One is stopped early and the other late, each in turn; some while they open.
        for (at, (_, lines)) in writers.iter_mut().enumerate() {
            for _ in 0..(round + 3 * at as u64) % 7 {
                keep(&lines.next().expect("the writer writes until it is killed").unwrap());
            }
        }
        writers.iter_mut().for_each(|(child, _)| child.kill().unwrap());
        for (mut child, lines) in writers {
            child.wait().unwrap();
            // The last line may be cut.
            lines
                .map_while(Result::ok)
                .filter(|line| told_of_shard(line).is_some())
                .for_each(|line| keep(&line));
        }
        if round % 10 == 9 {
            let report = shards::verify(&Directory::open(&temporary.0), &public(), &[]);
            let report = report.unwrap_or_else(|finding| panic!("round {round}: {finding}"));
            assert!((1..=2).contains(&report.shards.len()), "{report:?}");
        }
    }
    let report = shards::verify(&Directory::open(&temporary.0), &public(), &[]).unwrap();
    assert_eq!(report.shards.len(), 2);
    for shard in &report.shards {
        assert!(shard.next >= durable[&shard.shard] && shard.next > ROUNDS_OF_TWO, "{durable:?} {report:?}");
    }
}

fn told_of_shard(line: &str) -> Option<(ShardNumber, u64)> {
    let (shard, next) = line.strip_prefix("shard ")?.split_once(" durable ")?;
    Some((ShardNumber::of_text(shard)?, next.parse().ok()?))
}

#[test]
fn a_writer_killed_five_hundred_times_loses_nothing_durable() {
    let temporary = Temporary::new("killed");
    let mut durable = 0;
    for round in 0..ROUNDS {
        let (mut child, mut lines) = start("killed::the_writer_that_is_killed", PLACE, &temporary.0);
        // The writer goes on while it is read and killed: where it is then is anywhere. Some are killed while they open.
        for _ in 0..round % 7 {
            let line = lines.next().expect("the writer writes until it is killed").unwrap();
            durable = told(&line).unwrap_or_else(|| panic!("round {round}: {line}"));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        durable = lines.map_while(Result::ok).filter_map(|line| told(&line)).last().unwrap_or(durable);
        let report = match verify(&Directory::open(&temporary.0), &public(), &[]) {
            Ok(report) => report,
            // Killed before there was a ledger at all.
            Err(_) if durable == 0 => continue,
            Err(finding) => panic!("round {round}: {finding}"),
        };
        assert!(report.next >= durable, "round {round}: {durable} were durable, {} are there", report.next);
    }
    assert!(durable > ROUNDS, "only {durable} entries were written");
}

fn told(line: &str) -> Option<u64> {
    line.strip_prefix("durable ")?.parse().ok()
}
