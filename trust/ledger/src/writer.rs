//! The writer: takes batches, and answers when they are on disk. It may block; nobody else waits for it.
//!
//! A batch is one frame of the journal, appended and synced: one write, one wait. More may be appended while one waits
//! ([`Writer::begin`]), and then wait together. Tiles that it fills are written once it is on disk, one at a time so that the
//! next batch need not wait for all ([`Writer::write_next`]), and the rest of the tree (partial tiles, checkpoint) when the batch
//! asks for it.
//!
//! ```text
//!            long                  all frames of 17            all tiles of 17
//! 17 grows ────────> 18 goes on ── are on disk: ────────────── are on disk: ──> 18 grows
//!                    from 17       its tiles are written       17 goes
//! ```
//!
//! Nobody waits for that but who waits for the disk anyway: as long as there are two journals, each wait is for all files. So at
//! any moment the older of the journals begins at a tree whose tiles are on disk.

mod open;
mod rotation;

pub use open::OpenError;

use crate::batch::{Batch, Written};
use crate::checkpoint::Checkpoint;
use crate::hash::{Hash, leaf_hash};
use crate::journal::{Frame, IN_FLIGHT_BYTES_MAX, entry_bytes};
use crate::layout::{self, LogPlace};
use crate::shards::ShardNumber;
use crate::storage::{Storage, SyncJob};
use crate::tile::{self, Records, TILE_WIDTH, Tile};
use crate::tree::Tree;
use crate::verify::published::is_torn;
use identity::SecretKey;
use std::collections::{BTreeSet, VecDeque};
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
    /// The journal from which that one goes on.
    earlier: Option<Earlier>,
    /// Folders of partial tiles whose full tiles are written, and not known to be on disk.
    stale: Vec<String>,
    /// Batches that are in the journal and not known to be on disk, the oldest first.
    begun: VecDeque<Begun>,
    /// How many batches were begun.
    begun_count: u64,
    /// Batches that are on disk and not in tiles, the oldest first.
    settled: VecDeque<Begun>,
    /// Batches that are in tiles as well, and of which nobody was told.
    written: Vec<Written>,
    is_stopped: bool,
}

/// A batch that is in the journal.
#[derive(Debug)]
struct Begun {
    number: u64,
    /// How many bytes its frame has.
    bytes: usize,
    /// Tiles that are full by it: they are written once it is on disk.
    full: std::vec::IntoIter<FullTile>,
    /// What is published then.
    published: Option<Published>,
    written: Written,
    /// How many entries the log has with it.
    size: u64,
}

/// What others read of the log at one of its sizes, besides full tiles.
#[derive(Debug)]
struct Published {
    size: u64,
    partials: Vec<FullTile>,
    note: String,
}

/// A journal that stays until its entries are in tiles that are on disk.
#[derive(Clone, Copy, Debug)]
struct Earlier {
    number: u64,
    /// The batch with which it ends.
    last: u64,
}

/// How far a wait for the disk reaches, once it is over.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// The batches up to this one are on disk.
    count: u64,
    /// This journal may go.
    journal: Option<u64>,
    /// And so many partial tiles.
    stale: usize,
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
    /// How many entries are known to be on disk.
    synced: u64,
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
            synced: 0,
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

    /// What is published of it as it is now.
    fn published(&self) -> Published {
        Published { size: self.tree.size(), partials: self.partial_tiles(), note: self.note.clone() }
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
    /// Writes a batch; it and all before are on disk when this returns.
    ///
    /// # Errors
    ///
    /// Where that cannot be said. Nothing is written afterwards.
    pub fn write(&mut self, batch: Batch) -> Result<Written, WriteError> {
        self.begin(batch)?;
        let mut written = self.flush()?;
        Ok(written.pop().expect("one was begun"))
    }

    /// Writes a batch without waiting for the disk: the process may be killed and it is there, and the machine may not lose
    /// its power. One that begins a new log waits, and so does one before which too much is on its way to the disk.
    ///
    /// # Errors
    ///
    /// Where it cannot be written. Nothing is written afterwards.
    pub fn begin(&mut self, batch: Batch) -> Result<(), WriteError> {
        let next = self.next();
        if !self.is_stopped && batch.first() != next {
            return Err(WriteError::Order(next));
        }
        self.guarded(|writer| {
            let in_flight: usize = writer.begun.iter().map(|begun| begun.bytes).sum();
            let is_over = in_flight + batch.records().len() > IN_FLIGHT_BYTES_MAX;
            if (is_over && !writer.begun.is_empty()) || batch.rotation.is_some() {
                writer.sync_begun()?;
            }
            let (full, bytes) = match batch.rotation {
                Some(time_ns) => {
                    writer.rotate(time_ns, batch.records())?;
                    Default::default()
                }
                None => writer.append(batch.records())?,
            };
            writer.begun_count += 1;
            // Behind an entry that is not on disk: so its first frame tells that it goes on.
            let goes_on = bytes > 0 && writer.earlier.is_none() && writer.is_journal_long();
            let written = Written { next: writer.next(), checkpoint: writer.log.note.clone() };
            let (number, size) = (writer.begun_count, writer.log.tree.size());
            let published = (batch.publishes || goes_on).then(|| writer.log.published());
            let full = full.into_iter();
            writer.begun.push_back(Begun { number, bytes, full, published, written, size });
            if goes_on { writer.go_on() } else { Ok(()) }
        })
    }

    /// Whether something is not known to be on disk: batches, or the tiles for which a journal stays.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        !self.begun.is_empty() || self.earlier.is_some() || self.is_behind()
    }

    /// Whether batches are on disk and not in tiles: [`write_next`](Self::write_next) is due.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.settled.is_empty()
    }

    /// The wait for the disk that has all batches which were begun, for another thread: more may be begun meanwhile.
    /// [`settle`](Self::settle) takes in how far it reaches.
    ///
    /// # Errors
    ///
    /// Where it cannot be begun. Nothing is written afterwards.
    pub fn sync_beside(&mut self) -> Result<(SyncJob, Reach), WriteError> {
        self.guarded(Self::begin_sync)
    }

    /// A wait that reaches so far is over.
    ///
    /// # Errors
    ///
    /// Where something cannot be removed. Nothing is written afterwards.
    pub fn settle(&mut self, reach: Reach) -> Result<(), WriteError> {
        self.guarded(|writer| writer.take_in(reach))
    }

    /// Writes the next tile of the batches that are on disk, or the checkpoint where one asks for it: so little that the next
    /// batch need not wait for more. Tells each batch that is done by that and was not told.
    ///
    /// # Errors
    ///
    /// Where it cannot be written. Nothing is written afterwards.
    pub fn write_next(&mut self) -> Result<Vec<Written>, WriteError> {
        self.guarded(|writer| {
            writer.bring_next()?;
            Ok(std::mem::take(&mut writer.written))
        })
    }

    /// Waits until all batches that were begun are on disk, and there is one journal. Tells each batch that was not told.
    ///
    /// # Errors
    ///
    /// As [`Self::settle`].
    pub fn flush(&mut self) -> Result<Vec<Written>, WriteError> {
        self.guarded(|writer| {
            while writer.is_ahead() {
                writer.bring_all()?;
                writer.sync_begun()?;
            }
            Ok(std::mem::take(&mut writer.written))
        })
    }

    /// After a failure nothing is written any more.
    fn guarded<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, WriteError>) -> Result<T, WriteError> {
        if self.is_stopped {
            return Err(WriteError::Stopped);
        }
        self.is_stopped = true;
        let done = act(self)?;
        self.is_stopped = false;
        Ok(done)
    }

    /// Has all batches that were begun on disk, and in tiles.
    fn sync_begun(&mut self) -> Result<(), WriteError> {
        let (wait, reach) = self.begin_sync()?;
        wait().map_err(failed("sync", layout::journal(self.journal)))?;
        self.take_in(reach)?;
        self.bring_all()
    }

    fn begin_sync(&mut self) -> Result<(SyncJob, Reach), WriteError> {
        let path = layout::journal(self.journal);
        let job = match self.earlier {
            Some(_) => self.storage.sync_all_beside(),
            // What has no bytes in the journal is on disk, or is nothing.
            None if self.begun.iter().all(|begun| begun.bytes == 0) => Ok(Box::new(|| Ok(())) as SyncJob),
            None => self.storage.sync_beside(&path),
        };
        let tiled = self.begun_count - (self.begun.len() + self.settled.len()) as u64;
        let is_in_tiles = |earlier: &Earlier| earlier.last <= tiled;
        let journal = self.earlier.filter(is_in_tiles).map(|earlier| earlier.number);
        let reach = Reach { count: self.begun_count, journal, stale: self.stale.len() };
        Ok((job.map_err(failed("sync", &path))?, reach))
    }

    /// Notes what is on disk, and lets the earlier journal go once it is not needed.
    fn take_in(&mut self, reach: Reach) -> Result<(), WriteError> {
        while let Some(begun) = self.begun.pop_front_if(|begun| begun.number <= reach.count) {
            self.log.synced = begun.size;
            self.settled.push_back(begun);
        }
        // It may have gone already, with all that was to go.
        let Some(earlier) = self.earlier.take_if(|earlier| Some(earlier.number) == reach.journal) else {
            return Ok(());
        };
        let stale: Vec<String> = self.stale.drain(..reach.stale).collect();
        self.remove_files(std::iter::once(layout::journal(earlier.number)).chain(stale))
    }

    /// Writes the next tile of what is on disk, or what is published behind it.
    fn bring_next(&mut self) -> Result<(), WriteError> {
        let Some(settled) = self.settled.front_mut() else { return Ok(()) };
        if let Some(full) = settled.full.next() {
            return self.write_full(full);
        }
        let Some(Begun { published, written, .. }) = self.settled.pop_front() else { return Ok(()) };
        self.written.push(written);
        published.map_or(Ok(()), |published| self.publish(published))
    }

    fn bring_all(&mut self) -> Result<(), WriteError> {
        while self.is_behind() {
            self.bring_next()?;
        }
        Ok(())
    }

    fn remove_files(&mut self, paths: impl IntoIterator<Item = String>) -> Result<(), WriteError> {
        paths.into_iter().try_for_each(|path| self.storage.remove(&path).map_err(failed("remove", &path)))
    }

    /// Brings tiles and checkpoint up to date, all on disk, and ends. Gives the checkpoint.
    ///
    /// # Errors
    ///
    /// Where something cannot be written. What was reported durable is.
    pub fn close(mut self) -> Result<String, WriteError> {
        self.flush()?;
        self.publish(self.log.published())?;
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

    /// The tiles that are full by these entries, and the length of their frame, which is in the journal.
    fn append(&mut self, records: &[u8]) -> Result<(Vec<FullTile>, usize), WriteError> {
        if records.is_empty() {
            return Ok(Default::default());
        }
        let (first, before) = (self.log.tree.size(), self.log.entry_bytes);
        let synced = self.log.synced;
        let full = self.log.extend(records);
        self.log.note = self.sign();
        let frame = Frame { first, entry_bytes: before, synced, records, note: &self.log.note }.encode();
        let path = layout::journal(self.journal);
        self.storage.append(&path, &frame).map_err(failed("append to", &path))?;
        self.journal_bytes += frame.len() as u64;
        Ok((full, frame.len()))
    }

    fn write_full(&mut self, (tile, bytes): FullTile) -> Result<(), WriteError> {
        self.write_tile(tile, &bytes)?;
        let partials = layout::in_log(self.log.number, tile.partials());
        if self.log.partials.remove(&partials) {
            self.stale.push(partials);
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
    fn publish(&mut self, published: Published) -> Result<(), WriteError> {
        self.write_partials(published.size, published.partials)?;
        self.write_checkpoint(&published.note)
    }

    fn write_partials(&mut self, size: u64, partials: Vec<FullTile>) -> Result<(), WriteError> {
        let published = std::mem::replace(&mut self.log.published, size);
        // The journal may begin at what is there already: written again, that would be torn by a loss of power. A
        // tile of a higher level stays the same while 256 entries come.
        let is_new = |tile: &Tile| *tile != Tile::of_size(tile.level, tile.index, published);
        for (tile, bytes) in partials.into_iter().filter(|(tile, _)| is_new(tile)) {
            self.write_tile(tile, &bytes)?;
            self.log.partials.insert(layout::in_log(self.log.number, tile.partials()));
        }
        Ok(())
    }

    /// Tells those who read tiles, and other shards' writers, of what is on disk already.
    fn write_checkpoint(&mut self, note: &str) -> Result<(), WriteError> {
        let path = layout::in_log(self.log.number, "checkpoint");
        let new = format!("{path}.new");
        self.storage.write(&new, note.as_bytes()).map_err(failed("write", &new))?;
        // C2SP tlog-checkpoint is read while it is replaced: it is the old one or the new one.
        self.storage.rename(&new, &path).map_err(failed("replace", &path))
    }

    /// Whether a new journal is due: who opens the ledger reads all of it.
    fn is_journal_long(&self) -> bool {
        self.is_journal_spent || self.journal_bytes >= self.config.journal_bytes.min(64 << 20)
    }

    /// Begins a journal that goes on from this one, which stays until its entries are in tiles that are on disk.
    fn go_on(&mut self) -> Result<(), WriteError> {
        let synced = self.log.synced;
        let bytes = self.empty_journal(synced);
        let path = layout::journal(self.journal + 1);
        self.storage.write(&path, &bytes).map_err(failed("write", &path))?;
        self.earlier = Some(Earlier { number: self.journal, last: self.begun_count });
        self.begin_journal(bytes.len());
        Ok(())
    }

    fn begin_journal(&mut self, length: usize) {
        (self.journal, self.journal_bytes) = (self.journal + 1, length as u64);
        self.is_journal_spent = false;
    }

    /// Begins a journal where the tiles end, which are published. The old journal goes once the new one is on disk.
    fn renew_journal(&mut self) -> Result<(), WriteError> {
        self.storage.sync_all().map_err(failed("sync", "all files"))?;
        self.replace_journal(&self.empty_journal(self.log.tree.size()))
    }

    /// A journal that begins where the log ends, of which so many entries are known to be on disk.
    fn empty_journal(&self, synced: u64) -> Vec<u8> {
        let (first, entry_bytes) = (self.log.tree.size(), self.log.entry_bytes);
        Frame { first, entry_bytes, synced, records: &[], note: &self.log.note }.encode()
    }

    /// Makes a journal of this content and removes those before it, and partial tiles that nobody needs any more.
    fn replace_journal(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let (old, path) = (layout::journal(self.journal), layout::journal(self.journal + 1));
        self.storage.write(&path, bytes).map_err(failed("write", &path))?;
        self.storage.sync_all().map_err(failed("sync", &path))?;
        self.begin_journal(bytes.len());
        let earlier = self.earlier.take().map(|earlier| layout::journal(earlier.number));
        let stale = std::mem::take(&mut self.stale);
        self.remove_files(earlier.into_iter().chain([old]).chain(stale))
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
