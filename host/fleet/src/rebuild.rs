//! From messages back to a ledger: the tiles of its logs, in a directory that anybody verifies.
//!
//! Messages may come twice, and out of order within a batch. Entries that are there are dropped, those that are ahead wait.
//! A log is written as far as the last checkpoint that came for it; what is behind that is not signed yet. Each checkpoint
//! is held to the entries as it comes, so that what is wrong is known to be between it and the one before.
//!
//! Where the stream had lost its oldest messages, what is left comes first, and then all of it again from the first entry on:
//! what cannot be kept until then is owed, and is missing where it does not come again.

mod wrong;

pub use wrong::{Place, RebuildError};

use crate::spool::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX};
use crate::subject::Part;
use identity::PublicKey;
use ledger::ShardNumber;
use ledger::checkpoint::Checkpoint;
use ledger::directory::Directory;
use ledger::hash::leaf_hash;
use ledger::layout;
use ledger::tile::{self, TILE_HEIGHT, TILE_WIDTH, Tile};
use ledger::tree::{Tree, levels};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The bound of entries that wait for one before them, in bytes: a batch, and one entry more.
pub const AHEAD_BYTES_MAX: usize = BATCH_BYTES_MAX + (64 << 10);
/// The bound of checkpoints of one log that wait for their entries.
pub const AHEAD_CHECKPOINTS_MAX: usize = 16;
/// The bound of an entry's bytes: C2SP tlog-tiles writes its length in 16 bits.
const ENTRY_BYTES_MAX: usize = 65_535;
/// The bound of logs of one shard that did not come whole at once.
const OWED_LOGS_MAX: usize = 4_096;
/// The bound of gaps of one shard.
pub const GAPS_MAX: usize = 1_024;

/// What became of one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// How many entries are in the directory.
    pub entries: u64,
    /// How many behind the last checkpoint are not: they came, and are not signed for yet.
    pub unsigned: u64,
    /// How many messages came more than once.
    pub duplicates: u64,
    /// Entries that the host's ledger let go before they were shipped, by their sequence numbers: the first, and the one
    /// behind the last.
    pub gaps: Vec<(u64, u64)>,
}

/// A ledger that grows by messages.
///
/// ```
/// use fleet::rebuild::Rebuild;
/// use fleet::subject::Part;
/// use identity::{Algorithm, SecretKey};
/// use ledger::checkpoint::Checkpoint;
/// use ledger::{ShardNumber, hash::leaf_hash};
///
/// let directory = std::env::temp_dir().join(format!("weft-rebuild-doc-{}", std::process::id()));
/// let key = SecretKey::from_seed("host.example", Algorithm::Ed25519, &[7; 32])?;
/// let signed = Checkpoint { origin: "host.example".into(), size: 1, root: leaf_hash(b"entry") };
///
/// let mut rebuild = Rebuild::new(&directory, &[key.public().clone()])?;
/// rebuild.handle(ShardNumber::FIRST, &Part::Entry { log: 1, index: 0 }, b"entry")?;
/// let note = signed.sign(&[key]);
/// rebuild.handle(ShardNumber::FIRST, &Part::Checkpoint { log: 1, size: 1 }, note.as_bytes())?;
/// let shards = rebuild.finish()?;
/// assert_eq!(shards[&ShardNumber::FIRST].entries, 1);
/// assert!(directory.join("1/checkpoint").exists());
/// # std::fs::remove_dir_all(directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Rebuild {
    directory: PathBuf,
    /// Without any, checkpoints are not verified, only held to the entries.
    keys: Vec<PublicKey>,
    shards: BTreeMap<ShardNumber, Shard>,
}

impl Rebuild {
    /// Into a directory that is not there yet, with access for its owner only.
    ///
    /// # Errors
    ///
    /// Where it cannot be made.
    pub fn new(directory: &Path, keys: &[PublicKey]) -> Result<Self, RebuildError> {
        let failed = |error| RebuildError::Write(directory.to_owned(), error);
        DirBuilder::new().mode(0o700).create(directory).map_err(failed)?;
        // With this folder, a shard that another has seen and that did not come is missed.
        fs::create_dir(directory.join(layout::SHARDS)).map_err(failed)?;
        Ok(Self { directory: directory.to_owned(), keys: keys.to_vec(), shards: BTreeMap::new() })
    }

    /// Takes a message.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn handle(&mut self, shard: ShardNumber, part: &Part, payload: &[u8]) -> Result<(), RebuildError> {
        let folder = self.directory.join(layout::shard(shard));
        let shard = self.shards.entry(shard).or_insert_with(|| Shard::new(shard, folder));
        match part {
            Part::Entry { log, index } => {
                shard.handle_entry(Place { log: *log, index: *index }, payload, &self.keys)
            }
            Part::Checkpoint { log, size } => {
                shard.handle_checkpoint(Place { log: *log, index: *size }, payload, &self.keys)
            }
            Part::Gap { from, to } => shard.handle_gap(*from, *to),
        }
    }

    /// Writes what is left; what came of each shard.
    ///
    /// # Errors
    ///
    /// Where something is missing, or cannot be written.
    pub fn finish(self) -> Result<BTreeMap<ShardNumber, Rebuilt>, RebuildError> {
        let finish = |(number, shard): (ShardNumber, Shard)| Ok((number, shard.finish()?));
        self.shards.into_iter().map(finish).collect()
    }
}

/// One shard.
#[derive(Debug)]
struct Shard {
    number: ShardNumber,
    folder: PathBuf,
    log: Option<Growing>,
    /// The lowest log that was begun.
    lowest: u64,
    /// The first entry that was missed where a log ended.
    broken: Option<Place>,
    /// Of each log, the last entry that came too early to be kept, in a stream that had lost what was before it: it comes again.
    owed: BTreeMap<u64, u64>,
    rebuilt: Rebuilt,
}

/// The log that grows.
#[derive(Debug)]
struct Growing {
    number: u64,
    edge: Edge,
    /// As it was at the last checkpoint, with the note.
    signed: Option<(Edge, String)>,
    /// Entries that came before one that is before them, by their index.
    ahead: BTreeMap<u64, Vec<u8>>,
    ahead_bytes: usize,
    /// Checkpoints that came before their entries, by their size.
    checkpoints: BTreeMap<u64, Vec<u8>>,
}

/// What must be kept of a log to go on, or to end.
#[derive(Clone, Debug, Default)]
struct Edge {
    tree: Tree,
    /// The entries behind the last full bundle, as in a bundle.
    bundle: Vec<u8>,
}

impl Shard {
    fn new(number: ShardNumber, folder: PathBuf) -> Self {
        Self {
            number,
            folder,
            log: None,
            lowest: u64::MAX,
            broken: None,
            owed: BTreeMap::new(),
            rebuilt: Rebuilt::default(),
        }
    }

    fn handle_entry(&mut self, place: Place, entry: &[u8], keys: &[PublicKey]) -> Result<(), RebuildError> {
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(RebuildError::Bound(self.number, place));
        }
        self.begin_anew(place)?;
        if self.is_early(place, entry.len()) {
            return self.owe(place);
        }
        let Some(log) = self.log_of(place.log)? else { return Ok(()) };
        let next = log.edge.tree.size();
        if place.index < next || log.ahead.contains_key(&place.index) {
            self.rebuilt.duplicates += 1;
            return Ok(());
        }
        if place.index > next {
            log.ahead_bytes += entry.len();
            log.ahead.insert(place.index, entry.to_vec());
            return Ok(());
        }
        self.push(entry)?;
        self.check(keys)?;
        while let Some(entry) = self.log.as_mut().and_then(Growing::take_ahead) {
            self.push(&entry)?;
            self.check(keys)?;
        }
        Ok(())
    }

    /// Whether an entry is further ahead than a batch. What is in the stream is less than that ahead of what is not, but where
    /// the stream had lost its beginning: then all of it comes again, in order, and until then this is none to keep.
    fn is_early(&self, place: Place, length: usize) -> bool {
        let Some(log) = self.log.as_ref().filter(|log| log.number >= place.log) else {
            return place.index >= BATCH_ENTRIES_MAX;
        };
        let next = log.edge.tree.size();
        log.number == place.log
            && place.index > next
            && !log.ahead.contains_key(&place.index)
            && (place.index - next >= BATCH_ENTRIES_MAX || log.ahead_bytes + length > AHEAD_BYTES_MAX)
    }

    /// Where the first entry comes of a log before all that came, or that is owed, the stream had lost its beginning, and all
    /// of it comes again.
    fn begin_anew(&mut self, place: Place) -> Result<(), RebuildError> {
        let owed = self.owed.first_key_value().map_or(0, |(log, _)| *log);
        let is_again =
            |log: &&Growing| place.log < log.number && (place.log < self.lowest || place.log <= owed);
        let Some(log) = self.log.as_ref().filter(|_| place.index == 0).filter(is_again) else {
            return Ok(());
        };
        // As far as it had come, it must come again.
        let (number, size) = (log.number, log.edge.tree.size());
        if let Some(index) = log.told().max(size.checked_sub(1)) {
            self.owe(Place { log: number, index })?;
        }
        self.log = None;
        self.broken = None;
        self.rebuilt = Rebuilt { entries: 0, unsigned: 0, ..std::mem::take(&mut self.rebuilt) };
        let failed = |error| RebuildError::Write(self.folder.clone(), error);
        for log in layout::logs(&Directory::open(&self.folder)).map_err(failed)? {
            fs::remove_dir_all(self.folder.join(log.to_string())).map_err(failed)?;
        }
        Ok(())
    }

    /// What came too early to be kept must come again.
    fn owe(&mut self, place: Place) -> Result<(), RebuildError> {
        let owed = self.owed.entry(place.log).or_insert(place.index);
        *owed = place.index.max(*owed);
        match self.owed.len() > OWED_LOGS_MAX {
            true => Err(RebuildError::Bound(self.number, place)),
            false => Ok(()),
        }
    }

    fn handle_checkpoint(
        &mut self,
        place: Place,
        note: &[u8],
        keys: &[PublicKey],
    ) -> Result<(), RebuildError> {
        let shard = self.number;
        if self.is_early(place, 0) {
            // Its entries come again, and it with them.
            return self.owe(Place { index: place.index.saturating_sub(1), ..place });
        }
        let Some(log) = self.log_of(place.log)? else { return Ok(()) };
        let signed = log.signed.as_ref().map_or(0, |(edge, _)| edge.tree.size());
        let is_here = place.index == signed || log.checkpoints.contains_key(&place.index);
        if place.index < log.edge.tree.size() || is_here {
            self.rebuilt.duplicates += 1;
            return Ok(());
        }
        if note.len() > ledger::note::NOTE_BYTES_MAX || log.checkpoints.len() >= AHEAD_CHECKPOINTS_MAX {
            return Err(RebuildError::Bound(shard, place));
        }
        log.checkpoints.insert(place.index, note.to_vec());
        self.check(keys)
    }

    fn handle_gap(&mut self, from: u64, to: u64) -> Result<(), RebuildError> {
        let gaps = &mut self.rebuilt.gaps;
        if gaps.contains(&(from, to)) {
            self.rebuilt.duplicates += 1;
            return Ok(());
        }
        if gaps.len() >= GAPS_MAX {
            return Err(RebuildError::Bound(self.number, Place { log: 0, index: from }));
        }
        gaps.push((from, to));
        Ok(())
    }

    /// The log of this number, which is begun where it is behind the one that grows; `None` where it is before that: then
    /// it has come as a whole.
    fn log_of(&mut self, number: u64) -> Result<Option<&mut Growing>, RebuildError> {
        let current = self.log.as_ref().map(|log| log.number);
        if current.is_some_and(|current| number < current) {
            self.rebuilt.duplicates += 1;
            return Ok(None);
        }
        if current != Some(number) {
            // Where a gap was told, the end of the log may be in it.
            self.end_log(self.rebuilt.gaps.is_empty())?;
            self.log = Some(Growing::new(number));
            self.lowest = self.lowest.min(number);
        }
        Ok(self.log.as_mut())
    }

    /// Adds the next entry of the log, and writes the tiles that are full by it.
    fn push(&mut self, entry: &[u8]) -> Result<(), RebuildError> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let mut full: Vec<(Tile, Vec<u8>)> = Vec::new();
        log.edge.tree.push(leaf_hash(entry), |tile, nodes| full.push((tile, tile::bytes(nodes))));
        // It has at most 65,535 bytes: that was looked at when it came.
        log.edge.bundle.extend_from_slice(&(entry.len() as u16).to_be_bytes());
        log.edge.bundle.extend_from_slice(entry);
        let size = log.edge.tree.size();
        if size.is_multiple_of(TILE_WIDTH) {
            let tile = Tile { level: None, index: size / TILE_WIDTH - 1, width: TILE_WIDTH };
            full.push((tile, std::mem::take(&mut log.edge.bundle)));
        }
        let number = log.number;
        if self.owed.get(&number).is_some_and(|owed| size > *owed) {
            self.owed.remove(&number);
        }
        full.iter().try_for_each(|(tile, bytes)| self.write(&layout::in_log(number, tile), bytes))
    }

    /// Holds the checkpoint of as many entries as there are to them, where it has come.
    fn check(&mut self, keys: &[PublicKey]) -> Result<(), RebuildError> {
        let shard = self.number;
        let Some(log) = &mut self.log else { return Ok(()) };
        let size = log.edge.tree.size();
        let Some(note) = log.checkpoints.remove(&size) else { return Ok(()) };
        let place = |index| Place { log: log.number, index };
        let wrong = |error| RebuildError::Checkpoint(shard, place(size), error);
        let note = String::from_utf8_lossy(&note).into_owned();
        let checkpoint = match keys.is_empty() {
            true => Checkpoint::parse_unverified(&note),
            false => Checkpoint::open(&note, keys),
        };
        let checkpoint = checkpoint.map_err(wrong)?;
        if checkpoint.size != size || checkpoint.root != log.edge.tree.root() {
            let from = log.signed.as_ref().map_or(0, |(edge, _)| edge.tree.size());
            return Err(RebuildError::Changed(shard, place(from), place(size)));
        }
        log.signed = Some((log.edge.clone(), note));
        Ok(())
    }

    /// Writes what the log has at its last checkpoint.
    fn end_log(&mut self, must_be_signed: bool) -> Result<(), RebuildError> {
        let Some(log) = self.log.take() else { return Ok(()) };
        let size = log.edge.tree.size();
        let place = |index| Place { log: log.number, index };
        if let Some(index) = log.told().filter(|told| *told >= size) {
            let (next, last) = (place(size), place(index));
            self.broken.get_or_insert(next);
            return self.owe(last);
        }
        let signed = log.signed.as_ref().map_or(0, |(edge, _)| edge.tree.size());
        if must_be_signed && signed < size {
            return Err(RebuildError::Unsigned(self.number, place(signed)));
        }
        self.rebuilt.entries += signed;
        self.rebuilt.unsigned += size - signed;
        self.remove_unsigned(log.number, signed, size)?;
        let Some((edge, note)) = &log.signed else { return Ok(()) };
        for (tile, nodes) in edge.tree.partials() {
            self.write(&layout::in_log(log.number, tile), &tile::bytes(nodes))?;
        }
        if !edge.bundle.is_empty() {
            let tile = Tile { level: None, index: signed / TILE_WIDTH, width: signed % TILE_WIDTH };
            self.write(&layout::in_log(log.number, tile), &edge.bundle)?;
        }
        self.write(&layout::in_log(log.number, "checkpoint"), note.as_bytes())
    }

    /// Removes the tiles that are full by entries behind the last checkpoint: they are of no log yet.
    fn remove_unsigned(&self, log: u64, signed: u64, size: u64) -> Result<(), RebuildError> {
        let bundles = std::iter::once(None);
        for level in bundles.chain((0..levels(size) as u32).map(Some)) {
            let full = |size: u64| size.checked_shr(TILE_HEIGHT * (level.unwrap_or(0) + 1)).unwrap_or(0);
            for index in full(signed)..full(size) {
                let tile = Tile { level, index, width: TILE_WIDTH };
                let path = self.folder.join(layout::in_log(log, tile));
                fs::remove_file(&path).map_err(|error| RebuildError::Write(path, error))?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Rebuilt, RebuildError> {
        let is_begun = self.rebuilt.entries > 0;
        if let Some(log) = self.log.as_mut().filter(|log| is_begun || log.signed.is_some()) {
            self.rebuilt.unsigned += log.drop_unfinished();
        }
        self.end_log(false)?;
        if let Some((log, _)) = self.owed.first_key_value() {
            let index = self.broken.filter(|broken| broken.log == *log).map_or(0, |broken| broken.index);
            return Err(RebuildError::Missing(self.number, Place { log: *log, index }));
        }
        Ok(self.rebuilt)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), RebuildError> {
        let path = self.folder.join(path);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&path, bytes)).map_err(|error| RebuildError::Write(path, error))
    }
}

impl Growing {
    fn new(number: u64) -> Self {
        Self {
            number,
            edge: Edge::default(),
            signed: None,
            ahead: BTreeMap::new(),
            ahead_bytes: 0,
            checkpoints: BTreeMap::new(),
        }
    }

    /// The last entry that waits, or that a checkpoint which waits tells of.
    fn told(&self) -> Option<u64> {
        let told = self.checkpoints.keys().next_back().and_then(|told| told.checked_sub(1));
        told.max(self.ahead.keys().next_back().copied())
    }

    /// Drops entries of a batch that has not come whole yet, and that nothing signs for; how many.
    fn drop_unfinished(&mut self) -> u64 {
        if !self.checkpoints.is_empty() {
            return 0;
        }
        self.ahead_bytes = 0;
        std::mem::take(&mut self.ahead).len() as u64
    }

    /// The entry that waits for this moment.
    fn take_ahead(&mut self) -> Option<Vec<u8>> {
        let entry = self.ahead.remove(&self.edge.tree.size())?;
        self.ahead_bytes -= entry.len();
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
