//! `weft ledger`: what was decided, read, verified and proven.
//!
//! - [`entry`]: one entry as JSON and as a line
//! - [`select`]: which entries are asked for
//! - [`check`]: what `weft ledger verify` does
//! - [`follow`]: what `weft ledger tail` does

pub mod check;
pub mod entry;
mod follow;
mod select;

use crate::args::{LedgerTask, Place, USAGE_STATUS};
use crate::print;
use ::ledger::archive::{Archive, ExportError};
use ::ledger::checkpoint::Checkpoint;
use ::ledger::directory::Directory;
use ::ledger::reader::LogView;
use ::ledger::shards::{ShardEntry, ShardSource, Shards};
use ::ledger::storage::Source;
use ::ledger::{Entry, EntryNumber, Reader, Record};
use entry::Style;
use identity::PublicKey;
use select::Selection;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Why something was not done.
pub enum Failure {
    /// It could not be: what, and why.
    Unable(String),
    /// There is nothing of what was asked for, or it does not hold.
    Absent(String),
    /// What was made cannot be written to its end.
    Cut(String),
    /// The reader of the output has seen enough.
    Enough,
}

impl Failure {
    pub fn unable(error: impl std::fmt::Display) -> Self {
        Self::Unable(error.to_string())
    }

    fn output(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::Enough,
            _ => Self::Cut(format!("standard output: {error}")),
        }
    }
}

/// A ledger in whatever holds it.
pub type AnySource = Box<dyn Source>;

/// Does what is asked for.
pub fn run(task: LedgerTask) -> ExitCode {
    let done = match task {
        LedgerTask::List { place, select, limit, json } => {
            list(&place, Selection::new(select), limit.unwrap_or(usize::MAX), json)
        }
        LedgerTask::Show { number, place, json } => show(&place, number, json),
        LedgerTask::Tail { place, select, lines, follow, json } => {
            follow::tail(&place, Selection::new(select), lines, follow, json)
        }
        LedgerTask::Verify { path, key, checkpoint, partial, json } => {
            check::verify(path, &key, &checkpoint, partial, json)
        }
        LedgerTask::Prove { number, since, key, place, output, json } => {
            let proof = match (number, since) {
                (Some(number), _) => prove(&place, number),
                (None, Some(since)) => prove_since(&place, &since, &key),
                (None, None) => Err(Failure::Unable("prove what? Give an entry's number, or --since".into())),
            };
            proof.and_then(|(text, told)| hand_out(&text, told, output.as_deref(), json))
        }
        LedgerTask::Export { place, output, json } => write_export(&place, &output, json),
        LedgerTask::Checkpoint { place, json } => checkpoint(&place, json),
    };
    finish(done)
}

/// The status of what was done, or why it was not, on standard error.
pub fn finish(done: Result<ExitCode, Failure>) -> ExitCode {
    match done {
        Ok(status) => status,
        Err(Failure::Enough) => ExitCode::SUCCESS,
        Err(Failure::Absent(reason) | Failure::Cut(reason)) => {
            eprintln!("weft: {reason}");
            ExitCode::FAILURE
        }
        Err(Failure::Unable(reason)) => {
            eprintln!("weft: {reason}");
            ExitCode::from(USAGE_STATUS)
        }
    }
}

/// The ledger's path: as given, or where the host keeps its own.
fn path_of(place: &Place) -> Result<PathBuf, Failure> {
    if let Some(path) = &place.ledger {
        return Ok(path.clone());
    }
    default_path()
        .ok_or_else(|| Failure::Unable("which ledger? Give --ledger PATH, or set WEFT_LEDGER or HOME".into()))
}

/// Where this user's ledger is: `$WEFT_LEDGER`, or `weft/ledger` in `$XDG_STATE_HOME` or `~/.local/state`.
#[must_use]
pub fn default_path() -> Option<PathBuf> {
    variable("WEFT_LEDGER").or_else(own_path)
}

/// The same, whatever `$WEFT_LEDGER` says.
#[must_use]
pub fn own_path() -> Option<PathBuf> {
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    state.map(|state| state.join("weft/ledger"))
}

/// Where policies lie that no command may write, of the machine and of this user.
#[must_use]
pub fn policy_homes() -> Vec<PathBuf> {
    let own = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
    let homes = own.map(|own| own.join("weft")).into_iter().chain([PathBuf::from("/etc/weft")]);
    homes.filter(|home| home.is_dir()).collect()
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// A directory or an exported file.
fn open_source(path: &Path) -> Result<AnySource, Failure> {
    let metadata = std::fs::metadata(path);
    let metadata = metadata.map_err(|error| Failure::Unable(format!("{}: {error}", path.display())))?;
    if metadata.is_dir() {
        return Ok(Box::new(Directory::open(path)));
    }
    let archive = Archive::open(path).map_err(|error| tell_path(path, error))?;
    Ok(Box::new(archive))
}

fn cut(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::Cut(format!("{}: it cannot be written to its end: {error}", path.display()))
}

fn tell_path(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::Unable(format!("{}: {error}", path.display()))
}

/// The source of a ledger, and its path.
pub fn open(place: &Place) -> Result<(AnySource, PathBuf), Failure> {
    let path = path_of(place)?;
    Ok((open_source(&path)?, path))
}

/// All shards of a ledger.
pub fn read<'a>((source, path): &'a (AnySource, PathBuf)) -> Result<Shards<'a, AnySource>, Failure> {
    Shards::open(source, None).map_err(|error| tell_path(path, error))
}

fn decoded(entry: &ShardEntry) -> Result<&Entry, Failure> {
    let number = entry.number();
    entry.entry.as_ref().map_err(|error| Failure::Unable(format!("entry {number}: {error}")))
}

fn list(place: &Place, mut selection: Selection, limit: usize, json: bool) -> Result<ExitCode, Failure> {
    let ledger = open(place)?;
    let shards = read(&ledger)?;
    let style = Style::of_stdout(json);
    let mut out = BufWriter::new(io::stdout().lock());
    out.write_all(style.header().as_bytes()).map_err(Failure::output)?;
    let mut left = limit;
    for found in shards.entries(|_| 0..u64::MAX) {
        if left == 0 {
            break;
        }
        let found = found.map_err(Failure::unable)?;
        let entry = decoded(&found)?;
        if selection.takes(found.number(), entry) {
            out.write_all(style.line(found.shard, &found.record, entry).as_bytes())
                .map_err(Failure::output)?;
            left -= 1;
        }
    }
    out.flush().map_err(Failure::output)?;
    tell_lost(&shards);
    Ok(ExitCode::SUCCESS)
}

/// Tells of the logs that were let go while they were read.
fn tell_lost(shards: &Shards<'_, AnySource>) {
    for (shard, reader) in shards.readers() {
        for log in reader.lost() {
            let number = |sequence| EntryNumber { shard: *shard, sequence };
            let (first, last) = (number(log.base), number(log.base + log.size.saturating_sub(1)));
            eprintln!(
                "weft: the entries {first} to {last} were let go while the ledger was read, as it keeps no log that old"
            );
        }
    }
}

/// The shard of an entry.
pub fn shard_of<'r, 'a>(
    shards: &'r Shards<'a, AnySource>,
    number: EntryNumber,
) -> Result<&'r Reader<ShardSource<'a, AnySource>>, Failure> {
    shards.reader(number.shard).ok_or_else(|| {
        let there: Vec<String> = shards.readers().iter().map(|(shard, _)| shard.to_string()).collect();
        let (shard, there) = (number.shard, there.join(", "));
        Failure::Absent(format!(
            "there is no entry {number}: the ledger has no shard {shard}, it has {there}"
        ))
    })
}

fn absent<S: Source>(reader: &Reader<S>, number: EntryNumber) -> Failure {
    let of_shard = |sequence| EntryNumber { sequence, ..number };
    let whole = match of_shard(0).to_string().contains('.') {
        true => format!("shard {}", number.shard),
        false => "the ledger".into(),
    };
    let (first, next) = (reader.first(), reader.next());
    Failure::Absent(match first < next {
        true => {
            let (first, last) = (of_shard(first), of_shard(next - 1));
            format!("there is no entry {number}: {whole} has {first} to {last}")
        }
        false => format!("there is no entry {number}: {whole} is empty"),
    })
}

/// The entry of this number.
pub fn entry_of(shards: &Shards<'_, AnySource>, number: EntryNumber) -> Result<(Record, Entry), Failure> {
    let reader = shard_of(shards, number)?;
    let sequence = number.sequence;
    let record = reader.entries(sequence..sequence.saturating_add(1)).next();
    let record = record.filter(|record| record.as_ref().map_or(true, |record| record.sequence == sequence));
    let record = record.ok_or_else(|| absent(reader, number))?.map_err(Failure::unable)?;
    let entry = decode(&record, number)?;
    Ok((record, entry))
}

/// What the entry of this number says.
pub fn decode(record: &Record, number: EntryNumber) -> Result<Entry, Failure> {
    Entry::decode(&record.bytes).map_err(|error| Failure::Unable(format!("entry {number}: {error}")))
}

fn show(place: &Place, number: EntryNumber, json: bool) -> Result<ExitCode, Failure> {
    let ledger = open(place)?;
    let shards = read(&ledger)?;
    let (record, entry) = entry_of(&shards, number)?;
    let value = entry::to_json(number.shard, &record, &entry);
    let text = if json { format!("{value:#}\n") } else { entry::to_page(&value) };
    Ok(print(text.as_bytes()))
}

/// A proof's text, and what is told about it.
type Proof = (String, Value);

fn prove(place: &Place, number: EntryNumber) -> Result<Proof, Failure> {
    let ledger = open(place)?;
    let shards = read(&ledger)?;
    let reader = shard_of(&shards, number)?;
    let proof = reader.prove(number.sequence).map_err(Failure::unable)?;
    let proof = proof.ok_or_else(|| absent(reader, number))?;
    let told = json!({
        "proves": "inclusion", "shard": number.shard.number(), "sequence": number.sequence, "index": proof.index,
    });
    Ok((proof.to_string(), told))
}

/// A proof for each checkpoint in the file, one after the other.
fn prove_since(place: &Place, since: &Path, keys: &[String]) -> Result<Proof, Failure> {
    let ledger = open(place)?;
    let keys = keys_of(&ledger.1, keys)?;
    let shards = read(&ledger)?;
    let (mut texts, mut told) = (Vec::new(), Vec::new());
    for note in check::read_notes(since)? {
        let wrong =
            |whose: &Path, error| Failure::Absent(format!("{}: a checkpoint: {error}", whose.display()));
        let earlier = Checkpoint::open_kept(&note, &keys).map_err(|error| wrong(since, error))?;
        let (origin, size) = (&earlier.origin, earlier.size);
        let is_it = |log: &&LogView| log.note.split('\n').next() == Some(origin) && log.size >= size;
        let found = shards
            .readers()
            .iter()
            .find_map(|(shard, reader)| reader.logs().iter().find(is_it).map(|log| (shard, reader, log)));
        let (shard, reader, log) = found
            .ok_or_else(|| Failure::Absent(format!("the ledger has no log {origin} of {size} entries")))?;
        Checkpoint::open(&log.note, &keys).map_err(|error| wrong(&ledger.1, error))?;
        if reader.root_at(log, size).map_err(Failure::unable)? != earlier.root {
            return Err(Failure::Absent(format!(
                "{}: the ledger does not go on from the checkpoint of {origin} with {size} entries: it is of another \
                 ledger, or entries were replaced",
                since.display()
            )));
        }
        let proof = reader.prove_consistency(log, size).map_err(Failure::unable)?;
        texts.push(proof.to_string());
        told.push(json!({
            "proves": "consistency", "shard": shard.number(), "origin": origin, "from": size, "to": log.size,
        }));
    }
    let told = match told.len() {
        1 => told.swap_remove(0),
        _ => json!({ "proves": "consistency", "shards": told }),
    };
    Ok((texts.join("\n"), told))
}

/// The keys that were given, or those that `weft run` keeps beside a ledger.
fn keys_of(ledger: &Path, given: &[String]) -> Result<Vec<PublicKey>, Failure> {
    if !given.is_empty() {
        return check::read_keys(given);
    }
    let mut beside = std::path::absolute(ledger).unwrap_or_else(|_| ledger.to_owned()).into_os_string();
    beside.push(".pub");
    let beside = beside.to_string_lossy().into_owned();
    match Path::new(&beside).is_file() {
        true => check::read_keys(&[beside]),
        false => Err(Failure::Unable(format!(
            "which key has signed the checkpoint? Give --key; there is no {beside} beside the ledger"
        ))),
    }
}

/// Writes a proof to its file, or prints it.
fn hand_out(text: &str, mut told: Value, output: Option<&Path>, json: bool) -> Result<ExitCode, Failure> {
    if let Some(path) = output {
        let mut file = File::create_new(path).map_err(|error| tell_path(path, error))?;
        file.write_all(text.as_bytes()).map_err(|error| cut(path, error))?;
    }
    if json {
        match output {
            Some(path) => told["file"] = json!(path.display().to_string()),
            None => told["proof"] = json!(text),
        }
        return Ok(print(format!("{told:#}\n").as_bytes()));
    }
    Ok(if output.is_some() { ExitCode::SUCCESS } else { print(text.as_bytes()) })
}

/// How often an export is begun anew where logs were let go meanwhile.
const EXPORT_TRIES_MAX: usize = 16;

/// Takes back what was written.
fn begin_anew(out: &mut BufWriter<File>) -> io::Result<()> {
    out.rewind()?;
    out.get_mut().set_len(0)
}

fn write_export(place: &Place, output: &Path, json: bool) -> Result<ExitCode, Failure> {
    let (source, path) = open(place)?;
    let mut shards = Shards::open_settled(&source, None).map_err(|error| tell_path(&path, error))?;
    let file = File::create_new(output).map_err(|error| tell_path(output, error))?;
    let mut out = BufWriter::new(file);
    let mut written = shards.export(&mut out);
    // A log may be let go while it is read: what is there then is written anew, some times.
    for _ in 1..EXPORT_TRIES_MAX {
        let Err(ExportError::Read(_)) = &written else { break };
        let now = Shards::open_settled(&source, None).map_err(|error| tell_path(&path, error));
        match now {
            Ok(now) if now.starts() != shards.starts() => shards = now,
            _ => break,
        }
        written = begin_anew(&mut out).map_err(ExportError::Write).and_then(|()| shards.export(&mut out));
    }
    let written = written.map_err(|error| match error {
        ExportError::Read(error) => tell_path(&path, error),
        ExportError::Write(error) => cut(output, error),
    });
    let written = written.and_then(|()| {
        let file = out.into_inner().map_err(|error| cut(output, error.error()))?;
        // What is no file on a disk, such as a pipe, has nothing to sync.
        match file.sync_all() {
            Err(error) if error.kind() != ErrorKind::InvalidInput => Err(cut(output, error)),
            _ => Ok(()),
        }
    });
    if let Err(failure) = written {
        // Half an export is of no use; what cannot be removed is told by the next attempt.
        let _ = std::fs::remove_file(output);
        return Err(failure);
    }
    let text = match json {
        true => {
            let told = shards.readers().iter().map(|(shard, reader)| {
                json!({ "shard": shard.number(), "first": reader.first(), "next": reader.next() })
            });
            let told = json!({
                "file": output.display().to_string(), "entries": shards.count(), "shards": told.collect::<Vec<_>>(),
            });
            format!("{told:#}\n")
        }
        false => format!("{}: {} entries\n", output.display(), shards.count()),
    };
    Ok(print(text.as_bytes()))
}

/// The newest checkpoint of each shard: notes with an empty line between them, or an object a line.
fn checkpoint(place: &Place, json: bool) -> Result<ExitCode, Failure> {
    let ledger = open(place)?;
    let mut texts = Vec::new();
    for (shard, reader) in read(&ledger)?.readers() {
        let note = reader.checkpoint();
        if !json {
            texts.push(note.to_owned());
            continue;
        }
        let checkpoint = Checkpoint::parse_unverified(note).map_err(Failure::unable)?;
        let told = json!({
            "shard": shard.number(),
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": checkpoint.root.to_string(),
            "next": reader.next(),
            "checkpoint": note,
        });
        texts.push(format!("{told}\n"));
    }
    Ok(print(texts.join(if json { "" } else { "\n" }).as_bytes()))
}
