//! A ledger's directory as the spool: it is what waits to be shipped, and nothing is copied from it to wait elsewhere.
//!
//! It is read while it is written. What is next for the stream is one [`Step`]: entries of one log, then, where those end,
//! the checkpoint that signs for them. Where the writer has let logs go that were not shipped, a gap is told.

use crate::position::Position;
use ledger::checkpoint::Checkpoint;
use ledger::directory::Directory;
use ledger::layout;
use ledger::note::Note;
use ledger::{Entry, Event, LogView, ReadError, Reader, Record, ShardNumber};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The bound of the entries that are published at once, before the server has acknowledged any of them.
pub const BATCH_ENTRIES_MAX: u64 = 1_024;
/// The bound of their bytes. A batch has one entry at least, which has up to 65,535.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// What is to be shipped next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: all is shipped.
    Idle,
    /// Entries of one log, in their order.
    Entries(Vec<Record>),
    /// The checkpoint of a log all of whose entries are shipped.
    Checkpoint {
        /// The log's number.
        log: u64,
        /// How many entries it tells of.
        size: u64,
        /// The sequence number behind the last of them.
        next: u64,
        /// The signed note.
        note: String,
    },
    /// Nothing until this other shard has come further: the next entry tells of what it has, and whoever reads the stream
    /// is to find that there.
    After(ShardNumber),
    /// Entries that are not there any more, by their sequence numbers.
    Gap {
        /// The first of them.
        from: u64,
        /// The one behind the last.
        to: u64,
    },
}

/// What of each shard is shipped and signed for: the log of its last checkpoint, and how many entries that tells of. A shard
/// that is not here, or cannot be shipped, is left out, and nothing waits for it.
pub type Signed = BTreeMap<ShardNumber, (u64, u64)>;

/// Why a ledger is not shipped.
#[derive(Debug)]
pub enum SpoolError {
    /// It cannot be read; that may be over when it is tried again.
    Read(ReadError),
    /// It is not the ledger whose entries were shipped: it ends before them, or has others.
    Exchanged {
        /// Where the shipped entries end.
        shipped: u64,
        /// Where the ledger ends.
        next: u64,
    },
}

/// One ledger's directory.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    reader: Option<Reader<Directory>>,
    /// What the journal was like when it was read.
    seen: Option<Journal>,
}

/// The newest journal: its number and its length. Each batch of a ledger makes it longer, or another takes its place.
type Journal = (u64, u64);

impl Spool {
    /// The ledger of this directory. Nothing is looked at yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), reader: None, seen: None }
    }

    /// Looks whether there is more than there was, and reads it.
    ///
    /// # Errors
    ///
    /// Where there is no ledger, or it cannot be read.
    pub fn look(&mut self) -> Result<(), SpoolError> {
        let journal = newest_journal(&self.path).map_err(|error| SpoolError::Read(ReadError::Io(error)))?;
        if self.reader.is_some() && journal == self.seen {
            return Ok(());
        }
        // What comes while it is read is seen the next time.
        self.reader = Some(Reader::open(Directory::open(&self.path), None).map_err(SpoolError::Read)?);
        self.seen = journal;
        Ok(())
    }

    /// Forgets what was read, so that the next look reads it anew.
    pub fn forget(&mut self) {
        self.seen = None;
    }

    /// Where the ledger ends, as far as it was looked at.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.reader.as_ref().map_or(0, Reader::next)
    }

    /// Where the ledger begins, as far as it was looked at.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.reader.as_ref().map_or(0, Reader::first)
    }

    /// The name of the ledger's newest log, which is that of its key and the log's number.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        let note = self.reader.as_ref()?.checkpoint();
        Checkpoint::parse_unverified(note).ok().map(|checkpoint| checkpoint.origin)
    }

    /// What is next for the stream.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read, or ends before what was shipped.
    pub fn step(&self, position: &Position, signed: &Signed) -> Result<Step, SpoolError> {
        let Some(reader) = &self.reader else { return Ok(Step::Idle) };
        let next = position.next;
        if next > reader.next() {
            return Err(SpoolError::Exchanged { shipped: next, next: reader.next() });
        }
        if next < reader.first() {
            return Ok(Step::Gap { from: next, to: reader.first() });
        }
        if let Some(log) = next.checked_sub(1).and_then(|last| reader.log_of(last))
            && log.base + log.size == next
            && !is_of(position.note.as_deref(), log)
        {
            return Ok(Step::Checkpoint { log: log.number, size: log.size, next, note: log.note.clone() });
        }
        let Some(log) = reader.log_of(next) else { return Ok(Step::Idle) };
        let end = (log.base + log.size).min(next + BATCH_ENTRIES_MAX);
        let (mut records, mut bytes) = (Vec::new(), 0);
        for record in reader.entries(next..end) {
            let record = record.map_err(SpoolError::Read)?;
            if let Some(other) = waits_for(&record, reader.name(), signed) {
                if records.is_empty() {
                    return Ok(Step::After(other));
                }
                break;
            }
            bytes += record.bytes.len();
            if !records.is_empty() && bytes > BATCH_BYTES_MAX {
                break;
            }
            records.push(record);
        }
        Ok(Step::Entries(records))
    }

    /// Checks that the ledger goes on from the last checkpoint that was shipped of it, as far as that log is there.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Exchanged`] where it does not, and where it cannot be read.
    pub fn hold_to(&self, position: &Position) -> Result<(), SpoolError> {
        let (Some(reader), Some(note)) = (&self.reader, &position.note) else { return Ok(()) };
        let Ok(shipped) = Checkpoint::parse_unverified(note) else { return Ok(()) };
        let exchanged = || SpoolError::Exchanged { shipped: position.next, next: reader.next() };
        let of = |log: &&LogView| {
            Checkpoint::parse_unverified(&log.note).is_ok_and(|here| here.origin == shipped.origin)
        };
        let Some(log) = reader.logs().iter().find(of) else {
            // Its logs may have gone since; one that others sign is another.
            return if signer(note) == signer(reader.checkpoint()) { Ok(()) } else { Err(exchanged()) };
        };
        let is_same = log.size >= shipped.size
            && reader.root_at(log, shipped.size).map_err(SpoolError::Read)? == shipped.root;
        if is_same { Ok(()) } else { Err(exchanged()) }
    }
}

/// The shard that an entry tells more of than is in the stream.
fn waits_for(record: &Record, name: &str, signed: &Signed) -> Option<ShardNumber> {
    let Ok(Entry { event: Event::ShardsSeen(seen), .. }) = Entry::decode(&record.bytes) else { return None };
    let is_ahead = |seen: &Checkpoint| {
        let place = layout::place_of_origin(&seen.origin, name)?;
        let shipped = signed.get(&place.shard)?;
        (*shipped < (place.log, seen.size)).then_some(place.shard)
    };
    seen.shards.iter().find_map(is_ahead)
}

/// The name of the key that signed first.
fn signer(note: &str) -> Option<&str> {
    Note::parse(note).ok()?.signatures.first().map(|signature| signature.name)
}

/// Whether this is the log's checkpoint as it is now.
fn is_of(note: Option<&str>, log: &LogView) -> bool {
    let parse = |note: &str| Checkpoint::parse_unverified(note).ok();
    match (note.and_then(parse), parse(&log.note)) {
        (Some(shipped), Some(here)) => shipped.origin == here.origin && shipped.size == here.size,
        _ => false,
    }
}

fn newest_journal(path: &Path) -> io::Result<Option<Journal>> {
    let directory = Directory::open(path);
    let Some(number) = layout::journals(&directory)?.pop() else { return Ok(None) };
    match fs::metadata(path.join(layout::journal(number))) {
        Ok(metadata) => Ok(Some((number, metadata.len()))),
        // Another has taken its place meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A host's ledgers: the shards of this directory, the first being the directory itself.
///
/// # Errors
///
/// Where the directory cannot be read.
pub fn shards(path: &Path) -> io::Result<Vec<(ShardNumber, PathBuf)>> {
    let others = layout::shards(&Directory::open(path))?.unwrap_or_default();
    let place = |shard: ShardNumber| match shard {
        ShardNumber::FIRST => path.to_owned(),
        shard => path.join(layout::shard(shard)),
    };
    Ok(std::iter::once(ShardNumber::FIRST).chain(others).map(|shard| (shard, place(shard))).collect())
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Exchanged { shipped, next } => write!(
                f,
                "the ledger was exchanged or cut: {shipped} entries of it were shipped, and what is there now has {next} \
                 and does not go on from them. Nothing of it is shipped; ship it as another host's"
            ),
        }
    }
}

impl std::error::Error for SpoolError {}

#[cfg(test)]
mod tests;
