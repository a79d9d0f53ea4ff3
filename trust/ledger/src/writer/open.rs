//! Opening a ledger: from the newest journal that is whole back to where the log stood.

use super::{GrowingLog, Published, WriteError, Writer, WriterConfig, failed};
use crate::checkpoint::{Checkpoint, ORIGIN_BYTES_MAX};
use crate::edge::{self, ReadError};
use crate::journal::{self, Content, Journal, JournalError, entry_bytes};
use crate::layout::{self, LogPlace};
use crate::log::Position;
use crate::shards::ShardNumber;
use crate::storage::Storage;
use crate::tile::{TILE_WIDTH, Tile};
use crate::tree::Tree;
use crate::verify::Finding;
use crate::verify::published::PublishedCheck;
use crate::verify::tree::TreeCheck;
use identity::{PublicKey, SecretKey};
use std::collections::VecDeque;
use std::fmt;
use std::io;

/// A journal that is longer when it is opened makes way behind the next batch, in bytes: to read as much takes a millisecond
/// at most, and thirty short runs leave as much.
const SPENT_BYTES: u64 = 256 << 10;

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
            is_journal_spent: false,
            earlier: None,
            begun: VecDeque::new(),
            begun_count: 0,
            settled: VecDeque::new(),
            written: Vec::new(),
            stale: vec![],
            is_stopped: false,
        };
        match writer.newest_journal(&public)? {
            Some(newest) => writer.resume(&newest, &public)?,
            None => writer.make()?,
        }
        writer.log.synced = writer.log.tree.size();
        let started_ns = match writer.next() > writer.log.base {
            true => writer.started_ns(writer.log.number, writer.log.tree.size()),
            false => None,
        };
        let position = Position { next: writer.next(), bytes: writer.log.entry_bytes, started_ns };
        Ok((writer, position))
    }

    /// A ledger's first journal.
    fn make(&mut self) -> Result<(), OpenError> {
        self.log.note = self.sign();
        self.replace_journal(&self.empty_journal(0)).map_err(OpenError::Write)?;
        self.publish(self.log.published()).map_err(OpenError::Write)
    }

    /// The newest journal that is whole; `None` where there is no ledger yet.
    fn newest_journal(&self, keys: &[PublicKey]) -> Result<Option<Newest>, OpenError> {
        let numbers = layout::journals(&self.storage).map_err(OpenError::Io)?;
        let (mut foreign, is_only) = (None, numbers.len() == 1);
        for number in numbers.into_iter().rev() {
            let content = Content::read(&self.storage, number, Some(keys)).map_err(OpenError::Io)?;
            let Some(content) = content else { continue };
            let Ok(base) = Journal::base(&content.bytes, Some(keys)) else {
                foreign = foreign.or(Journal::base(&content.bytes, None).ok());
                continue;
            };
            let place = layout::place_of_origin(&base.origin, &self.name);
            let Some(place) = place.filter(|place| place.shard == self.shard) else {
                return Err(OpenError::Foreign(base.origin));
            };
            if !begins_in_vain(place.log, &base, &content, keys) {
                return Ok(Some(Newest { number, is_only, content, base, log: place.log }));
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

    /// Goes on from a journal. One that was left as a writer leaves it that ends goes on itself, and nothing waits for the
    /// disk. What another has is brought into the tiles, and a new one begins.
    fn resume(&mut self, newest: &Newest, keys: &[PublicKey]) -> Result<(), OpenError> {
        let damaged = |what: String| OpenError::Damaged(what);
        let Newest { number, content, base, log, .. } = newest;
        let start = self.load(*log, base)?;
        let mut tree = start.0.clone();
        let journal =
            Journal::replay_from(base, content, Some(keys), &mut tree).map_err(|error| match error {
                JournalError::Unsigned(error) => OpenError::Foreign(error.to_string()),
                error => damaged(format!("{}: {error}", content.path)),
            })?;
        let first = match base.size {
            0 => journal.frames.first().and_then(|frame| frame.first_record()).map(<[u8]>::to_vec),
            _ => edge::first_record(&self.storage, *log, base.size),
        };
        let sequence = edge::first_sequence(*log, first.as_deref())
            .ok_or_else(|| damaged(format!("the first entry of log {log}")))?;
        let added: u64 = journal.frames.iter().map(|frame| entry_bytes(frame.records) as u64).sum();
        self.log = GrowingLog {
            tree: start.0.clone(),
            published: base.size,
            synced: base.size,
            bundle: start.1.clone(),
            entry_bytes: journal.entry_bytes - added,
            note: journal.note.to_owned(),
            ..GrowingLog::empty(*log, sequence)
        };
        self.journal = *number;
        let check = PublishedCheck {
            source: &self.storage,
            keys,
            log: *log,
            base,
            sequence,
            start,
            journal: &journal,
        };
        let is_published = check_published(&check, journal.note)?;
        if !newest.is_only || journal.is_torn || !is_published || self.has_rests()? {
            return self.bring_in(&content.bytes, &journal);
        }
        self.extend(&journal)?;
        self.journal_bytes = content.bytes.len() as u64;
        self.is_journal_spent = self.journal_bytes > SPENT_BYTES;
        Ok(())
    }

    /// The tree at which a journal begins, and its last bundle where that is not full: on disk before the journal was.
    fn load(&self, log: u64, base: &Checkpoint) -> Result<(Tree, Vec<u8>), OpenError> {
        let why = match edge::load(&self.storage, log, base.size) {
            Ok(start) if start.0.root() == base.root => return Ok(start),
            Ok(_) => "the hashes at its edge have another root than the journal tells".to_owned(),
            Err(ReadError::Io(error)) => return Err(OpenError::Io(error)),
            Err(error) => error.to_string(),
        };
        // Which one it is costs a look at all of them.
        let found = match TreeCheck::new(&self.storage, log, 0, base).run() {
            Err(finding @ Finding::Entry { sequence, .. }) => {
                let path = layout::in_log(log, Tile::of_size(None, sequence / TILE_WIDTH, base.size));
                format!("{path}: {finding}")
            }
            Err(finding) => finding.to_string(),
            Ok(()) => why,
        };
        Err(OpenError::Damaged(format!("log {log}, of {} entries: {found}", base.size)))
    }

    /// Takes in what a journal has, and remembers the folders of the partial tiles that there may be of it.
    fn extend(&mut self, journal: &Journal) -> Result<(), OpenError> {
        self.note_partials();
        for frame in &journal.frames {
            let full = self.log.extend(frame.records);
            // Who wrote them may have published parts of them.
            let parts = full.iter().map(|(tile, _)| layout::in_log(self.log.number, tile.partials()));
            self.log.partials.extend(parts);
            full.into_iter().try_for_each(|full| self.write_full(full)).map_err(OpenError::Write)?;
        }
        self.note_partials();
        Ok(())
    }

    fn note_partials(&mut self) {
        let folders = self.log.partial_tiles().into_iter().map(|(tile, _)| tile.partials());
        let folders: Vec<_> = folders.map(|folder| layout::in_log(self.log.number, folder)).collect();
        self.log.partials.extend(folders);
    }

    /// Brings what a journal of these bytes has into the tiles, and begins a new one.
    fn bring_in(&mut self, bytes: &[u8], journal: &Journal) -> Result<(), OpenError> {
        let old = layout::journals(&self.storage).map_err(OpenError::Io)?;
        // Its writer may have been killed before the last frame was on disk: a tile that outlives its entries would be of
        // no log.
        old.iter().for_each(|old| self.storage.adopt(&layout::journal(*old)));
        self.storage.sync_all().map_err(failed("sync", journal::FOLDER)).map_err(OpenError::Write)?;
        let number = self.journal;
        self.journal = old.last().copied().unwrap_or(number);
        self.stale.extend(old.into_iter().filter(|old| *old != self.journal).map(layout::journal));
        if self.log.number > 1 && self.log.published == 0 {
            self.begin_again(bytes)?;
        }
        self.extend(journal)?;
        let Published { size, partials, note } = self.log.published();
        self.write_partials(size, partials).map_err(OpenError::Write)?;
        self.remove_rests().map_err(OpenError::Write)?;
        self.renew_journal().map_err(OpenError::Write)?;
        // Nobody is told of a frame before it is on disk.
        self.write_checkpoint(&note).map_err(OpenError::Write)
    }

    /// Has a log whose beginning was interrupted tell that it is there. Its own journal, of these bytes, is on disk.
    fn begin_again(&mut self, bytes: &[u8]) -> Result<(), OpenError> {
        let path = layout::in_log(self.log.number, "checkpoint");
        if self.storage.read(&path).map_err(OpenError::Io)?.is_some() {
            return Ok(());
        }
        let Some(first) = Journal::first_note(bytes) else { return Ok(()) };
        self.write_checkpoint(first).map_err(OpenError::Write)
    }
}

/// Whether the log's checkpoint, which is to be this one, tells of all that there is, and tiles have it. It is published once
/// all of it is on disk: then the journal is as well. The tiles need not be.
fn check_published<S: Storage>(check: &PublishedCheck<'_, S>, newest: &str) -> Result<bool, OpenError> {
    let note = check.source.read(&layout::in_log(check.log, "checkpoint")).map_err(OpenError::Io)?;
    match check.run(note.as_deref()) {
        Ok(()) => Ok(note.as_deref() == Some(newest.as_bytes())),
        // A loss of power leaves that, and the journal has what was there.
        Err((_, Finding::Unpublished { .. })) => Ok(false),
        Err((path, finding)) => Err(OpenError::Damaged(format!("{path}: {finding}"))),
    }
}

/// The newest journal that is whole.
struct Newest {
    number: u64,
    /// Whether there is no other.
    is_only: bool,
    content: Content,
    /// Where it begins.
    base: Checkpoint,
    /// The log that it is of.
    log: u64,
}

/// Whether it is the journal of a log that goes on from another and whose first entry never came to be: then the one
/// before is whole.
fn begins_in_vain(log: u64, base: &Checkpoint, content: &Content, keys: &[PublicKey]) -> bool {
    let mut tree = Tree::default();
    let is_empty = |journal: Journal| journal.frames.is_empty();
    base.size == 0
        && log > 1
        && Journal::replay_from(base, content, Some(keys), &mut tree).map_or(true, is_empty)
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
                "the ledger was changed, not by a crash: {what}. Nothing was written to it: weft ledger verify tells the \
                 first entry that is wrong; to begin a new ledger, move this directory away"
            ),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}
