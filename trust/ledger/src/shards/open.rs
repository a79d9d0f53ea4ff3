//! Taking a shard to write, and telling what the others have.

use super::{SHARDS_MAX, ShardNumber};
use crate::checkpoint::Checkpoint;
use crate::directory::{Directory, DirectoryStorage};
use crate::layout;
use crate::log::Position;
use crate::storage::Source;
use crate::writer::{OpenError, Writer, WriterConfig};
use identity::{PublicKey, SecretKey};
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Why no shard of a ledger can be written.
#[derive(Debug)]
pub enum ShardsError {
    /// All [`SHARDS_MAX`] are being written.
    Taken(PathBuf),
    /// This one is free, and cannot be opened.
    Open(ShardNumber, OpenError),
}

/// Opens the first shard that nobody writes, or begins one where all are being written.
///
/// ```no_run
/// use ledger::{Log, LogConfig, WriterConfig, shards};
///
/// # let keys = Vec::new();
/// let (writer, position, shard) = shards::open("/var/lib/weft/ledger".as_ref(), keys, WriterConfig::default())?;
/// let log = Log::start(position, LogConfig::default());
/// println!("the next entry is {}", ledger::EntryNumber { shard, sequence: log.next() });
/// # Ok::<(), ledger::shards::ShardsError>(())
/// ```
///
/// # Errors
///
/// Where all are being written, or the one that is free cannot be opened.
pub fn open(
    directory: &Path,
    keys: Vec<SecretKey>,
    config: WriterConfig,
) -> Result<(Writer<DirectoryStorage>, Position, ShardNumber), ShardsError> {
    let first = |error| ShardsError::Open(ShardNumber::FIRST, OpenError::Io(error));
    let (shard, mut storage) = match lock(directory, ShardNumber::FIRST)? {
        Some(storage) => (ShardNumber::FIRST, storage),
        None => {
            let there = layout::shards(&Directory::open(directory)).map_err(first)?.unwrap_or_default();
            lock_other(directory, &there)?
        }
    };
    let fail = |error| ShardsError::Open(shard, error);
    if shard != ShardNumber::FIRST {
        let is_new = layout::journals(&storage).map_err(|error| fail(OpenError::Io(error)))?.is_empty();
        if is_new {
            hold_to_first(directory, &keys).map_err(fail)?;
            storage.sync_above([directory.to_owned(), directory.join(layout::SHARDS)]);
        }
    }
    let (writer, position) = Writer::open_shard(storage, shard, keys, config).map_err(fail)?;
    Ok((writer, position, shard))
}

/// One of the shards that are there, or a new one behind the last: a number that was there once is not given again.
fn lock_other(
    directory: &Path,
    there: &[ShardNumber],
) -> Result<(ShardNumber, DirectoryStorage), ShardsError> {
    let last = there.last().copied().unwrap_or(ShardNumber::FIRST);
    // Whoever makes the same one at the same time and comes second finds it locked, and makes the next.
    let new = ShardNumber::all().filter(|shard| *shard > last);
    for shard in there.iter().copied().chain(new) {
        if let Some(storage) = lock(directory, shard)? {
            return Ok((shard, storage));
        }
    }
    Err(ShardsError::Taken(directory.to_owned()))
}

/// A shard's directory, made where there is none; `None` where another writes it.
fn lock(directory: &Path, shard: ShardNumber) -> Result<Option<DirectoryStorage>, ShardsError> {
    let path = directory.join(layout::shard(shard));
    match DirectoryStorage::open(path) {
        Ok(storage) => Ok(Some(storage)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(ShardsError::Open(shard, OpenError::Io(error))),
    }
}

/// A new shard is signed with the keys of the ledger that it is of, as far as that has told them already.
fn hold_to_first(directory: &Path, keys: &[SecretKey]) -> Result<(), OpenError> {
    let Some(note) = newest_note(&Directory::open(directory)).map_err(OpenError::Io)? else { return Ok(()) };
    let public: Vec<PublicKey> = keys.iter().map(|key| key.public().clone()).collect();
    match Checkpoint::open(&note, &public) {
        Ok(_) => Ok(()),
        Err(error) => Err(OpenError::Foreign(error.to_string())),
    }
}

/// What the shards but this one have on disk, each by its newest log's checkpoint, signed by all of these keys; the own
/// shard's owner appends it as [`Event::ShardsSeen`](crate::Event::ShardsSeen), where it is not empty. A shard that has
/// published nothing yet, or cannot be read, is left out: of that
/// [`verify`](crate::verify()) tells.
///
/// A checkpoint is published once all of its entries are on disk. What only a journal has may be lost with the power, and
/// whoever had told of it would accuse an honest shard.
#[must_use]
pub fn seen(directory: &Path, own: ShardNumber, keys: &[PublicKey]) -> Vec<Checkpoint> {
    let there = layout::shards(&Directory::open(directory)).ok().flatten().unwrap_or_default();
    let others = std::iter::once(ShardNumber::FIRST).chain(there).filter(|shard| *shard != own);
    let checkpoint = |shard| {
        let note = newest_note(&Directory::open(directory.join(layout::shard(shard)))).ok()??;
        let is_of = layout::place_of_note(&note, Some(keys)).is_some_and(|(_, place)| place.shard == shard);
        Checkpoint::open(&note, keys).ok().filter(|_| is_of)
    };
    others.filter_map(checkpoint).collect()
}

/// The newest log's checkpoint that is published, as a signed note.
fn newest_note(source: &impl Source) -> io::Result<Option<String>> {
    for log in layout::logs(source)?.into_iter().rev() {
        if let Some(note) = source.read(&layout::in_log(log, "checkpoint"))? {
            return Ok(String::from_utf8(note).ok());
        }
    }
    Ok(None)
}

impl fmt::Display for ShardsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(directory) => write!(
                f,
                "{} is being written by {SHARDS_MAX} processes, as many as can write one ledger: wait for one to end, \
                 or give another with --ledger DIR",
                directory.display()
            ),
            Self::Open(ShardNumber::FIRST, error) => error.fmt(f),
            Self::Open(shard, error) => write!(f, "shard {shard}: {error}"),
        }
    }
}

impl std::error::Error for ShardsError {}
