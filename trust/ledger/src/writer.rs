//! The writer: takes batches, and answers when they are on disk. It may block; nobody else waits for it.
//!
//! A batch is one frame of the journal, appended and synced: one write, one wait. Tiles that it fills are written behind
//! it without waiting, and the rest of the tree (partial tiles, checkpoint) when the batch asks for it. When the journal is
//! long, everything is synced, a new journal begins, and the old one goes. So at any moment the newest journal that is
//! whole begins at a tree whose tiles are on disk.

mod open;
mod rotation;

pub use open::OpenError;

use crate::batch::{Batch, Written};
use crate::checkpoint::Checkpoint;
use crate::hash::{Hash, leaf_hash};
use crate::journal::{Frame, entry_bytes};
use crate::layout::{self, LogPlace};
use crate::shards::ShardNumber;
use crate::storage::Storage;
use crate::tile::{self, Records, TILE_WIDTH, Tile};
use crate::tree::Tree;
use crate::verify::published::is_torn;
use identity::SecretKey;
use std::collections::BTreeSet;
use std::fmt;
use std::io;

/// What a writer is told when it opens a ledger.
///
/// ```
/// let config = ledger::WriterConfig::default();
/// assert!(config.keep_logs.is_none() && config.keep_age_ns.is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterConfig {
    /// A journal of this many bytes is replaced: what must be read when a ledger is opened. Up to 64 MiB; 4 MiB unless
    /// told otherwise.
    pub journal_bytes: u64,
    /// How many logs stay, the newest included, when a new one begins; from 1, all where not told.
    pub keep_logs: Option<usize>,
    /// Logs whose last entry is older than this go when a new one begins, in nanoseconds; never where not told.
    pub keep_age_ns: Option<u64>,
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self { journal_bytes: 4 << 20, keep_logs: None, keep_age_ns: None }
    }
}

/// Why a batch is not on disk, or may not be. The writer writes nothing any more: opened again, the ledger says what it
/// has.
#[derive(Debug)]
pub enum WriteError {
    /// A file could not be written.
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: String,
        /// Why it failed.
        error: io::Error,
    },
    /// A file that the ledger has is to have other content: somebody has changed it, or put it there.
    Changed(String),
    /// The batch does not follow what was written last; the sequence number that should have been its first.
    Order(u64),
    /// An earlier batch failed.
    Stopped,
}

/// The writer of a ledger.
///
/// ```
/// use identity::{Algorithm, SecretKey};
/// use ledger::simulated::SimulatedDisk;
/// use ledger::{Entry, Event, Log, LogConfig, RunEnd, RunId, Writer, WriterConfig};
/// use time::Instant;
///
/// let key = SecretKey::from_seed("build.example", Algorithm::Ed25519, &[7; 32])?;
/// let (mut writer, position) = Writer::open(SimulatedDisk::new(1), vec![key], WriterConfig::default())?;
/// let mut log = Log::start(position, LogConfig::default());
/// let entry = Entry::new(0, RunId::default(), Event::RunEnd(RunEnd::default()));
/// log.append(&entry, Instant::ZERO)?;
/// let batch = log.poll_write(Instant::from_secs(1)).expect("it is due");
/// log.handle_written(writer.write(batch)?, Instant::from_secs(1));
/// assert_eq!(log.durable(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Writer<S> {
    storage: S,
    keys: Vec<SecretKey>,
    config: WriterConfig,
    name: String,
    shard: ShardNumber,
    /// The newest log, the one that grows.
    log: GrowingLog,
    journal: u64,
    journal_bytes: u64,
    /// Whether it was long when it was opened, and makes way behind the next batch: who opens the ledger next is not to read
    /// that again.
    is_journal_spent: bool,
    /// Folders of partial tiles whose full tiles are written, and not known to be on disk.
    stale: Vec<String>,
    is_stopped: bool,
}

/// The newest log.
#[derive(Debug)]
struct GrowingLog {
    number: u64,
    /// The sequence number of its first entry.
    base: u64,
    tree: Tree,
    /// The entries behind the last full bundle, as in a bundle.
    bundle: Vec<u8>,
    /// Bytes of its entries.
    entry_bytes: u64,
    /// How many entries the partial tiles on disk tell of.
    published: u64,
    /// Folders of partial tiles that were written and whose full tiles were not.
    partials: BTreeSet<String>,
    /// The newest checkpoint, signed.
    note: String,
}

/// A full tile, and its bytes.
type FullTile = (Tile, Vec<u8>);

impl GrowingLog {
    fn empty(number: u64, base: u64) -> Self {
        Self {
            number,
            base,
            tree: Tree::default(),
            bundle: Vec::new(),
            entry_bytes: 0,
            published: 0,
            partials: BTreeSet::new(),
            note: String::new(),
        }
    }

    /// Adds entries; the tiles and bundles that are full by them.
    fn extend(&mut self, records: &[u8]) -> Vec<FullTile> {
        let mut full = Vec::new();
        for record in Records::new(records).flatten() {
            let keep = |tile, nodes: &[Hash]| full.push((tile, tile::bytes(nodes)));
            self.tree.push(leaf_hash(record), keep);
            // Records have at most 65,535 bytes: they come from a bundle.
            self.bundle.extend_from_slice(&(record.len() as u16).to_be_bytes());
            self.bundle.extend_from_slice(record);
            if self.tree.size().is_multiple_of(TILE_WIDTH) {
                let index = self.tree.size() / TILE_WIDTH - 1;
                let tile = Tile { level: None, index, width: TILE_WIDTH };
                full.push((tile, std::mem::take(&mut self.bundle)));
            }
        }
        self.entry_bytes += entry_bytes(records) as u64;
        full
    }

    /// The partial tiles and the partial bundle.
    fn partial_tiles(&self) -> Vec<FullTile> {
        let mut partials: Vec<FullTile> =
            self.tree.partials().map(|(tile, nodes)| (tile, tile::bytes(nodes))).collect();
        let size = self.tree.size();
        if !self.bundle.is_empty() {
            let tile = Tile { level: None, index: size / TILE_WIDTH, width: size % TILE_WIDTH };
            partials.push((tile, self.bundle.clone()));
        }
        partials
    }
}

impl<S: Storage> Writer<S> {
    /// Writes a batch; it is on disk when this returns.
    ///
    /// # Errors
    ///
    /// Where that cannot be said. Nothing is written afterwards.
    pub fn write(&mut self, batch: Batch) -> Result<Written, WriteError> {
        if self.is_stopped {
            return Err(WriteError::Stopped);
        }
        let next = self.next();
        if batch.first() != next {
            return Err(WriteError::Order(next));
        }
        self.is_stopped = true;
        match batch.rotation {
            Some(time_ns) => self.rotate(time_ns, batch.records())?,
            None => self.append(batch.records())?,
        }
        if batch.publishes {
            self.publish()?;
        }
        if self.is_journal_spent || self.journal_bytes >= self.config.journal_bytes.min(64 << 20) {
            self.publish()?;
            self.renew_journal()?;
        }
        self.is_stopped = false;
        Ok(Written { next: self.next(), checkpoint: self.log.note.clone() })
    }

    /// Brings tiles and checkpoint up to date, all on disk, and ends. Gives the checkpoint.
    ///
    /// # Errors
    ///
    /// Where something cannot be written. What was reported durable is.
    pub fn close(mut self) -> Result<String, WriteError> {
        if self.is_stopped {
            return Err(WriteError::Stopped);
        }
        self.publish()?;
        self.renew_journal()?;
        Ok(self.log.note)
    }

    /// The sequence number of the next entry.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.log.base + self.log.tree.size()
    }

    /// What the ledger is written to.
    #[must_use]
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// Gives back what the ledger is written to, as it is: nothing more is written.
    #[must_use]
    pub fn into_storage(self) -> S {
        self.storage
    }

    fn append(&mut self, records: &[u8]) -> Result<(), WriteError> {
        if records.is_empty() {
            return Ok(());
        }
        let (first, before) = (self.log.tree.size(), self.log.entry_bytes);
        let full = self.log.extend(records);
        self.log.note = self.sign();
        let frame = Frame { first, entry_bytes: before, records, note: &self.log.note }.encode();
        let path = layout::journal(self.journal);
        self.storage.append(&path, &frame).map_err(failed("append to", &path))?;
        self.storage.sync(&path).map_err(failed("sync", &path))?;
        self.journal_bytes += frame.len() as u64;
        self.write_full(full)
    }

    fn write_full(&mut self, full: Vec<FullTile>) -> Result<(), WriteError> {
        for (tile, bytes) in full {
            self.write_tile(tile, &bytes)?;
            let partials = layout::in_log(self.log.number, tile.partials());
            if self.log.partials.remove(&partials) {
                self.stale.push(partials);
            }
        }
        Ok(())
    }

    /// One that is there as it should be, from a writer before, is taken as it is; one that a loss of power has left in part
    /// is written again; any other is somebody's work, and stays for [`verify`](crate::verify()) to find.
    fn write_tile(&mut self, tile: Tile, bytes: &[u8]) -> Result<(), WriteError> {
        let path = layout::in_log(self.log.number, tile);
        match self.storage.read(&path).map_err(failed("read", &path))? {
            Some(found) if found == bytes => self.storage.adopt(&path),
            Some(found) if !is_torn(&found, bytes) => return Err(WriteError::Changed(path)),
            _ => self.storage.write(&path, bytes).map_err(failed("write", &path))?,
        }
        Ok(())
    }

    /// Brings partial tiles and the checkpoint up to date. Nothing waits for the disk: the journal has it all.
    fn publish(&mut self) -> Result<(), WriteError> {
        self.write_partials()?;
        self.write_checkpoint()
    }

    fn write_partials(&mut self) -> Result<(), WriteError> {
        let published = self.log.published;
        // The journal may begin at what is there already: written again, that would be torn by a loss of power. A
        // tile of a higher level stays the same while 256 entries come.
        let is_new = |tile: &Tile| *tile != Tile::of_size(tile.level, tile.index, published);
        for (tile, bytes) in self.log.partial_tiles().into_iter().filter(|(tile, _)| is_new(tile)) {
            self.write_tile(tile, &bytes)?;
            self.log.partials.insert(layout::in_log(self.log.number, tile.partials()));
        }
        self.log.published = self.log.tree.size();
        Ok(())
    }

    /// Tells those who read tiles, and other shards' writers, of what is on disk already.
    fn write_checkpoint(&mut self) -> Result<(), WriteError> {
        let path = layout::in_log(self.log.number, "checkpoint");
        let new = format!("{path}.new");
        self.storage.write(&new, self.log.note.as_bytes()).map_err(failed("write", &new))?;
        // C2SP tlog-checkpoint is read while it is replaced: it is the old one or the new one.
        self.storage.rename(&new, &path).map_err(failed("replace", &path))
    }

    /// Begins a journal where the tiles end, which are published. The old journal goes once the new one is on disk.
    fn renew_journal(&mut self) -> Result<(), WriteError> {
        self.storage.sync_all().map_err(failed("sync", "all files"))?;
        self.replace_journal(&self.empty_journal())
    }

    /// A journal that begins where the log ends.
    fn empty_journal(&self) -> Vec<u8> {
        let (first, entry_bytes) = (self.log.tree.size(), self.log.entry_bytes);
        Frame { first, entry_bytes, records: &[], note: &self.log.note }.encode()
    }

    /// Makes a journal of this content and removes those before it, and partial tiles that nobody needs any more.
    fn replace_journal(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let (old, path) = (layout::journal(self.journal), layout::journal(self.journal + 1));
        self.storage.write(&path, bytes).map_err(failed("write", &path))?;
        self.storage.sync_all().map_err(failed("sync", &path))?;
        (self.journal, self.journal_bytes) = (self.journal + 1, bytes.len() as u64);
        self.is_journal_spent = false;
        for path in std::iter::once(old).chain(std::mem::take(&mut self.stale)) {
            self.storage.remove(&path).map_err(failed("remove", &path))?;
        }
        Ok(())
    }

    /// The checkpoint of the newest log as it is, signed.
    fn sign(&self) -> String {
        let origin = layout::origin(&self.name, LogPlace { shard: self.shard, log: self.log.number });
        let checkpoint = Checkpoint { origin, size: self.log.tree.size(), root: self.log.tree.root() };
        checkpoint.sign(&self.keys)
    }
}

/// Makes an error of what was tried on a file and why it failed.
fn failed(doing: &'static str, path: impl Into<String>) -> impl FnOnce(io::Error) -> WriteError {
    let path = path.into();
    move |error| WriteError::Io { doing, path, error }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, path, error } => write!(f, "cannot {doing} {path} in the ledger: {error}"),
            Self::Changed(path) => write!(
                f,
                "{path} in the ledger was changed or put there, not by a crash, and is not written over: weft ledger verify \
                 tells what is wrong; to begin a new ledger, move this directory away"
            ),
            Self::Order(next) => write!(f, "the batch does not begin at {next}, where the ledger ends"),
            Self::Stopped => f.write_str("the ledger is not written after a failure"),
        }
    }
}

impl std::error::Error for WriteError {}
