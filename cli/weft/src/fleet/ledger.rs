//! `weft fleet ledger`: a host's ledger by the stream alone.

use super::{Failure, connect, tell_path};
use crate::args::FleetLedgerTask;
use crate::ledger::check::{read_keys, read_notes, refuse, report_json, tell_finding, tell_report};
use crate::{ledger as local, print};
use fleet::collect::{CollectError, Collected, collect};
use fleet::rebuild::{Rebuild, RebuildError, Rebuilt};
use fleet::{HostName, Link};
use identity::PublicKey;
use ledger::ShardNumber;
use ledger::directory::Directory;
use ledger::shards::{self, ShardsReport};
use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What came out of the stream.
struct Fetched {
    collected: Collected,
    shards: BTreeMap<ShardNumber, Rebuilt>,
}

/// What came of fetching: a ledger, or what is wrong with the stream.
type Outcome = Result<Fetched, RebuildError>;

pub async fn run(task: FleetLedgerTask) -> Result<ExitCode, Failure> {
    match task {
        FleetLedgerTask::Verify { common, host, key, checkpoint } => {
            let json = common.json;
            let keys = read_keys(&key).map_err(of_ledger)?;
            let notes = checkpoint.iter().map(|path| read_notes(path)).collect::<Result<Vec<_>, _>>();
            let notes = notes.map_err(of_ledger)?.concat();
            let place = Scratch::new()?;
            match fetch(&connect(common).await?, &host, &place.ledger(), &keys).await? {
                Ok(fetched) => verify(&host, &fetched, &place.ledger(), &keys, &notes, json),
                Err(error) => Ok(tell_unbuilt(&error, json)),
            }
        }
        FleetLedgerTask::Fetch { common, host, output } => {
            let json = common.json;
            match fetch(&connect(common).await?, &host, &output, &[]).await? {
                Ok(fetched) => Ok(tell_fetched(&host, &fetched, &output, json)),
                // What came before it is left to be looked at.
                Err(error) => Ok(tell_unbuilt(&error, json)),
            }
        }
    }
}

pub fn of_ledger(failure: local::Failure) -> Failure {
    match failure {
        local::Failure::Unable(reason) => Failure::Unable(reason),
        local::Failure::Absent(reason) | local::Failure::Cut(reason) => Failure::Absent(reason),
        local::Failure::Enough => Failure::Unable("standard output is closed".into()),
    }
}

/// Writes what the stream has of a host into a new directory.
async fn fetch(link: &Link, host: &HostName, path: &Path, keys: &[PublicKey]) -> Result<Outcome, Failure> {
    let mut rebuild = Rebuild::new(path, keys).map_err(|error| Failure::Unable(error.to_string()))?;
    let fetched = match collect(link, host, &mut rebuild).await {
        Ok(collected) => rebuild.finish().map(|shards| Fetched { collected, shards }),
        Err(CollectError::Rebuild(error)) => Err(error),
        Err(CollectError::Server(error)) => return Err(error.into()),
    };
    match fetched {
        Ok(fetched) if fetched.collected.messages == 0 => {
            // An empty directory is no ledger.
            let _ = fs::remove_dir_all(path);
            Err(Failure::Absent(format!("the stream has nothing of {host}")))
        }
        Err(error @ RebuildError::Write(..)) => Err(Failure::Unable(error.to_string())),
        fetched => Ok(fetched),
    }
}

fn verify(
    host: &HostName,
    fetched: &Fetched,
    path: &Path,
    keys: &[PublicKey],
    notes: &[String],
    json: bool,
) -> Result<ExitCode, Failure> {
    if let Some((shard, (from, to))) = gap(&fetched.shards) {
        let text = format!(
            "shard {shard}: entries {from} to {} were never shipped: the host's ledger had let them go",
            to.saturating_sub(1)
        );
        return Ok(tell_wrong("gap", &text, json));
    }
    if let (0, unsigned @ 1..) = (sum(fetched, |shard| shard.entries), sum(fetched, |shard| shard.unsigned)) {
        let text = format!(
            "{unsigned} entries of {host} have come, and none is signed for yet: their checkpoint comes once all of the ledger \
             is shipped; weft fleet status tells whether it is stalled"
        );
        return Ok(tell_wrong("unreadable", &text, json));
    }
    match shards::verify(&Directory::open(path), keys, notes) {
        Ok(report) => Ok(tell_verified(host, fetched, &report, json)),
        Err(finding) => Ok(tell_finding(&finding, json)),
    }
}

/// The first gap.
fn gap(shards: &BTreeMap<ShardNumber, Rebuilt>) -> Option<(ShardNumber, (u64, u64))> {
    shards.iter().find_map(|(shard, rebuilt)| rebuilt.gaps.first().map(|gap| (*shard, *gap)))
}

fn tell_unbuilt(error: &RebuildError, json: bool) -> ExitCode {
    tell_wrong(error.kind().unwrap_or("unreadable"), &error.to_string(), json)
}

fn tell_wrong(kind: &str, text: &str, json: bool) -> ExitCode {
    refuse(&json!({ "verified": false, "wrong": kind, "text": text }), json)
}

fn tell_verified(host: &HostName, fetched: &Fetched, report: &ShardsReport, json: bool) -> ExitCode {
    let counts = counts(fetched);
    let text = match json {
        true => {
            let mut told = report_json(report);
            told["host"] = json!(host.as_str());
            told["stream"] = counts;
            format!("{told:#}\n")
        }
        false => {
            let mut text = tell_report(Path::new(host.as_str()), report);
            if counts["unsigned"] != 0 {
                let unsigned = &counts["unsigned"];
                text += &format!("{unsigned} at the end are not signed for yet, and are not counted\n");
            }
            text
        }
    };
    print(text.as_bytes())
}

fn tell_fetched(host: &HostName, fetched: &Fetched, path: &Path, json: bool) -> ExitCode {
    let entries = sum(fetched, |shard| shard.entries);
    let text = match json {
        true => {
            let told = json!({
                "host": host.as_str(), "directory": path.display().to_string(), "entries": entries,
                "stream": counts(fetched),
            });
            format!("{told:#}\n")
        }
        false => format!("{}: {entries} entries of {host}\n", path.display()),
    };
    print(text.as_bytes())
}

fn sum(fetched: &Fetched, of: fn(&Rebuilt) -> u64) -> u64 {
    fetched.shards.values().map(of).sum()
}

fn counts(fetched: &Fetched) -> Value {
    json!({
        "messages": fetched.collected.messages,
        "foreign": fetched.collected.foreign,
        "duplicates": sum(fetched, |shard| shard.duplicates),
        "unsigned": sum(fetched, |shard| shard.unsigned),
    })
}

/// A directory for a while: it goes with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let mut random = [0; 16];
        // Up to 256 bytes come whole: getrandom(2).
        let length = getrandom(&mut random[..], GetRandomFlags::empty());
        if length != Ok(random.len()) {
            return Err(Failure::Unable("the kernel gives no random bytes to call a directory".into()));
        }
        let name = format!("weft-fleet-{:032x}", u128::from_ne_bytes(random));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).map_err(|error| tell_path(&path, error))?;
        Ok(Self(path))
    }

    fn ledger(&self) -> PathBuf {
        self.0.join("ledger")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the directory for such files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
