//! From messages back to a ledger: the tiles of its logs, in a directory that anybody verifies.
//!
//! Messages may come twice, and out of order within a batch. Entries that are there are dropped, those that are ahead wait.
//! A log is written as far as the last checkpoint that came for it; what is behind that is not signed yet. Each checkpoint
//! is held to the entries as it comes, so that what is wrong is known to be between it and the one before.

mod wrong;

pub use wrong::{Place, RebuildError};

use crate::spool::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX};
use crate::subject::Part;
use identity::PublicKey;
use ledger::ShardNumber;
use ledger::checkpoint::Checkpoint;
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
        Self { number, folder, log: None, rebuilt: Rebuilt::default() }
    }

    fn handle_entry(&mut self, place: Place, entry: &[u8], keys: &[PublicKey]) -> Result<(), RebuildError> {
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(RebuildError::Bound(self.number, place));
        }
        let shard = self.number;
        let Some(log) = self.log_of(place.log)? else { return Ok(()) };
        let next = log.edge.tree.size();
        if place.index < next || log.ahead.contains_key(&place.index) {
            self.rebuilt.duplicates += 1;
            return Ok(());
        }
        if place.index > next {
            log.ahead_bytes += entry.len();
            // What is in the stream is less than a batch ahead of what is not.
            if place.index - next >= BATCH_ENTRIES_MAX || log.ahead_bytes > AHEAD_BYTES_MAX {
                return Err(RebuildError::Missing(shard, Place { log: place.log, index: next }));
            }
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

    fn handle_checkpoint(
        &mut self,
        place: Place,
        note: &[u8],
        keys: &[PublicKey],
    ) -> Result<(), RebuildError> {
        let shard = self.number;
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
        if !log.ahead.is_empty() || log.checkpoints.keys().any(|told| *told > size) {
            return Err(RebuildError::Missing(self.number, place(size)));
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
        self.end_log(false)?;
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

    /// The entry that waits for this moment.
    fn take_ahead(&mut self) -> Option<Vec<u8>> {
        let entry = self.ahead.remove(&self.edge.tree.size())?;
        self.ahead_bytes -= entry.len();
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
