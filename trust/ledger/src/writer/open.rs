//! Opening a ledger: from the newest journal that is whole back to where the log stood.

use super::{GrowingLog, WriteError, Writer, WriterConfig};
use crate::checkpoint::{Checkpoint, ORIGIN_BYTES_MAX};
use crate::edge::{self, ReadError};
use crate::journal::{Journal, JournalError, entry_bytes};
use crate::layout::{self, LogPlace};
use crate::log::Position;
use crate::shards::ShardNumber;
use crate::storage::Storage;
use crate::tree::Tree;
use identity::{PublicKey, SecretKey};
use std::fmt;
use std::io;

/// Why a ledger cannot be opened for writing.
#[derive(Debug)]
pub enum OpenError {
    /// A file cannot be read.
    Io(io::Error),
    /// There is no key to sign with, or the keys have different names.
    Keys,
    /// The name of the keys leaves no room for the names of all logs; its length in bytes.
    Name(usize),
    /// It was written with other keys, or not by this name.
    Foreign(String),
    /// Something in it is not what was written, and no loss of power leaves it so; what.
    Damaged(String),
    /// It was read, and cannot be written.
    Write(WriteError),
}

impl<S: Storage> Writer<S> {
    /// Opens a ledger, or begins one where there is none. What was reported durable is there. The keys sign its
    /// checkpoints; their name is the ledger's.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, was written with other keys, or is damaged.
    pub fn open(
        storage: S,
        keys: Vec<SecretKey>,
        config: WriterConfig,
    ) -> Result<(Self, Position), OpenError> {
        Self::open_shard(storage, ShardNumber::FIRST, keys, config)
    }

    /// Opens a shard of a ledger, or begins it: the same with names of its own for its logs. The storage holds this shard
    /// alone; [`shards::open`](crate::shards::open) finds one in a directory.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_shard(
        storage: S,
        shard: ShardNumber,
        keys: Vec<SecretKey>,
        config: WriterConfig,
    ) -> Result<(Self, Position), OpenError> {
        let public: Vec<PublicKey> = keys.iter().map(|key| key.public().clone()).collect();
        let name = public.first().map(|key| key.name().to_owned()).ok_or(OpenError::Keys)?;
        if public.iter().any(|key| key.name() != name) {
            return Err(OpenError::Keys);
        }
        // What a log is called must not keep it from being read again, however many there will be.
        if layout::origin(&name, LogPlace { shard, log: u64::MAX }).len() > ORIGIN_BYTES_MAX {
            return Err(OpenError::Name(name.len()));
        }
        let log = GrowingLog::empty(1, 0);
        let mut writer = Self {
            storage,
            keys,
            config,
            name,
            shard,
            log,
            journal: 0,
            journal_bytes: 0,
            stale: vec![],
            is_stopped: false,
        };
        match writer.newest_journal(&public)? {
            Some(newest) => writer.resume(&newest, &public)?,
            None => writer.begin()?,
        }
        let started_ns = match writer.next() > writer.log.base {
            true => writer.started_ns(writer.log.number, writer.log.tree.size()),
            false => None,
        };
        let position = Position { next: writer.next(), bytes: writer.log.entry_bytes, started_ns };
        Ok((writer, position))
    }

    /// A ledger's first journal.
    fn begin(&mut self) -> Result<(), OpenError> {
        self.log.note = self.sign();
        self.replace_journal(&self.empty_journal()).map_err(OpenError::Write)?;
        self.publish().map_err(OpenError::Write)
    }

    /// The newest journal that is whole; `None` where there is no ledger yet.
    fn newest_journal(&self, keys: &[PublicKey]) -> Result<Option<Newest>, OpenError> {
        let numbers = layout::journals(&self.storage).map_err(OpenError::Io)?;
        let (mut foreign, is_only) = (None, numbers.len() == 1);
        for number in numbers.into_iter().rev() {
            let Some(bytes) = self.storage.read(&layout::journal(number)).map_err(OpenError::Io)? else {
                continue;
            };
            let Ok(base) = Journal::base(&bytes, Some(keys)) else {
                foreign = foreign.or(Journal::base(&bytes, None).ok());
                continue;
            };
            let place = layout::place_of_origin(&base.origin, &self.name);
            let Some(place) = place.filter(|place| place.shard == self.shard) else {
                return Err(OpenError::Foreign(base.origin));
            };
            if !begins_in_vain(place.log, &base, &bytes, keys) {
                return Ok(Some(Newest { number, is_only, bytes, base, log: place.log }));
            }
        }
        if let Some(base) = foreign {
            return Err(OpenError::Foreign(base.origin));
        }
        // A journal that is not whole and nothing else is a ledger whose making was interrupted.
        match layout::logs(&self.storage).map_err(OpenError::Io)?.is_empty() {
            true => Ok(None),
            false => Err(OpenError::Damaged("there are logs and no journal that is whole".into())),
        }
    }

    /// Goes on from a journal: what it has is brought into the tiles, and a new one begins. One that has nothing yet goes on
    /// itself, and nothing is written.
    fn resume(&mut self, newest: &Newest, keys: &[PublicKey]) -> Result<(), OpenError> {
        let damaged = |what: String| OpenError::Damaged(what);
        let Newest { number, bytes, base, log, .. } = newest;
        let (mut tree, bundle) = edge::load(&self.storage, *log, base.size).map_err(|error| match error {
            ReadError::Io(error) => OpenError::Io(error),
            error => damaged(error.to_string()),
        })?;
        let started = tree.clone();
        let journal =
            Journal::replay_from(base, bytes, Some(keys), &mut tree).map_err(|error| match error {
                JournalError::Unsigned(error) => OpenError::Foreign(error.to_string()),
                error => damaged(format!("journal {number}: {error}")),
            })?;
        let first = match base.size {
            0 => journal.frames.first().and_then(|frame| frame.first_record()).map(<[u8]>::to_vec),
            _ => edge::first_record(&self.storage, *log, base.size),
        };
        let sequence = edge::first_sequence(*log, first.as_deref());
        let added: u64 = journal.frames.iter().map(|frame| entry_bytes(frame.records) as u64).sum();
        self.log = GrowingLog {
            tree: started,
            published: base.size,
            bundle,
            entry_bytes: journal.entry_bytes - added,
            note: journal.note.to_owned(),
            ..GrowingLog::empty(
                *log,
                sequence.ok_or_else(|| damaged(format!("the first entry of log {log}")))?,
            )
        };
        self.log
            .partials
            .extend(self.log.partial_tiles().iter().map(|(tile, _)| layout::in_log(*log, tile.partials())));
        self.journal = *number;
        if newest.is_only
            && journal.frames.is_empty()
            && !journal.is_torn
            && self.is_checkpoint_published()?
        {
            self.journal_bytes = bytes.len() as u64;
            return Ok(());
        }
        self.renew(bytes, &journal)
    }

    /// Brings what a journal of these bytes has into the tiles, and begins a new one.
    fn renew(&mut self, bytes: &[u8], journal: &Journal) -> Result<(), OpenError> {
        let old = layout::journals(&self.storage).map_err(OpenError::Io)?;
        let number = self.journal;
        self.journal = old.last().copied().unwrap_or(number);
        self.stale.extend(old.into_iter().filter(|old| *old != self.journal).map(layout::journal));
        if self.log.number > 1 && self.log.published == 0 {
            self.begin_again(bytes)?;
        }
        for frame in &journal.frames {
            let full = self.log.extend(frame.records);
            self.write_full(full).map_err(OpenError::Write)?;
        }
        self.write_partials().map_err(OpenError::Write)?;
        self.remove_rests().map_err(OpenError::Write)?;
        self.renew_journal().map_err(OpenError::Write)?;
        // Its writer may have been killed before the last frame was on disk, which nobody is told of before it is.
        self.write_checkpoint().map_err(OpenError::Write)
    }

    /// Has a log whose beginning was interrupted tell that it is there. Its own journal, of these bytes, is on disk first.
    fn begin_again(&mut self, bytes: &[u8]) -> Result<(), OpenError> {
        let path = layout::in_log(self.log.number, "checkpoint");
        if self.storage.read(&path).map_err(OpenError::Io)?.is_some() {
            return Ok(());
        }
        let Some(first) = Journal::first_note(bytes) else { return Ok(()) };
        self.replace_journal(bytes).map_err(OpenError::Write)?;
        self.begin_checkpoint(first.to_owned()).map_err(OpenError::Write)
    }

    /// Whether the log's checkpoint tells of all that there is.
    fn is_checkpoint_published(&self) -> Result<bool, OpenError> {
        let published = self.storage.read(&layout::in_log(self.log.number, "checkpoint"));
        Ok(published.map_err(OpenError::Io)?.as_deref() == Some(self.log.note.as_bytes()))
    }
}

/// The newest journal that is whole.
struct Newest {
    number: u64,
    /// Whether there is no other.
    is_only: bool,
    bytes: Vec<u8>,
    /// Where it begins.
    base: Checkpoint,
    /// The log that it is of.
    log: u64,
}

/// Whether it is the journal of a log that goes on from another and whose first entry never came to be: then the one
/// before is whole.
fn begins_in_vain(log: u64, base: &Checkpoint, bytes: &[u8], keys: &[PublicKey]) -> bool {
    let mut tree = Tree::default();
    let is_empty = |journal: Journal| journal.frames.is_empty();
    base.size == 0
        && log > 1
        && Journal::replay_from(base, bytes, Some(keys), &mut tree).map_or(true, is_empty)
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the ledger cannot be read: {error}"),
            Self::Keys => f.write_str("a ledger is signed with keys of one name, and with one at least"),
            Self::Name(length) => write!(
                f,
                "the keys' name has {length} bytes, too many to name each log of a ledger by it: make others with a \
                 shorter one"
            ),
            Self::Foreign(origin) => {
                write!(
                    f,
                    "the ledger was written with other keys ({origin}): give those, or another directory"
                )
            }
            Self::Damaged(what) => write!(
                f,
                "the ledger is damaged, not by a crash: {what}; move it away, and check it with weft ledger verify"
            ),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}
