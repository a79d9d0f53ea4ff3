//! What the newest log has published, held to its journal.
//!
//! Tools that know nothing of a journal, and witnesses, read a log's checkpoint and the tiles that it calls for. As far as
//! the journal's first checkpoint tells of them they were checked with that; those behind must be what the journal has.

use super::Finding;
use super::tree::TreeCheck;
use crate::checkpoint::Checkpoint;
use crate::edge::{ReadError, read_hashes, read_tile};
use crate::hash::{Hash, leaf_hash};
use crate::journal::Journal;
use crate::layout;
use crate::note::Note;
use crate::storage::Source;
use crate::tile::{self, Records, TILE_HEIGHT, TILE_WIDTH, Tile};
use crate::tree::{Tree, edge_width, levels};
use identity::PublicKey;

/// What a loss of power leaves of a file, in pieces of so many bytes: each as it was written, or zeros.
const SECTOR_BYTES: usize = 512;

/// The check of what a log has published.
pub struct PublishedCheck<'a, S> {
    pub source: &'a S,
    pub keys: &'a [PublicKey],
    /// The log's number.
    pub log: u64,
    /// Where the journal begins.
    pub base: &'a Checkpoint,
    /// The sequence number of the log's first entry.
    pub sequence: u64,
    /// The tree where the journal begins, and its last bundle where that is not full; both hold.
    pub start: (Tree, Vec<u8>),
    pub journal: &'a Journal<'a>,
}

/// A tile or a bundle, and the bytes that it must have.
type Expected = (Tile, Vec<u8>);

/// What is wrong, and the file in which it is.
type Found = (String, Finding);

impl<S: Source> PublishedCheck<'_, S> {
    /// Checks the published checkpoint, as it was read before the journal was, and all that it calls for. What somebody must
    /// have changed is told before what a loss of power leaves as well.
    pub fn run(&self, note: Option<&[u8]>) -> Result<(), Found> {
        let path = self.path("checkpoint");
        let wrong = |finding| (path.clone(), finding);
        let Some(note) = note else { return self.unpublished().map_err(wrong) };
        if is_torn_note(note) {
            return Err(wrong(Finding::Unpublished { path: path.clone(), first: None }));
        }
        // The journal's own newest one is verified already.
        let published = match note == self.journal.note.as_bytes() {
            true => Checkpoint::parse_unverified(self.journal.note),
            false => Checkpoint::open(&String::from_utf8_lossy(note), self.keys),
        };
        let published =
            published.map_err(|error| wrong(Finding::Checkpoint { path: path.clone(), error }))?;
        if published.origin != self.base.origin {
            return Err(wrong(Finding::Chain { log: self.log }));
        }
        let (have, want) = (self.base.size + self.records().count() as u64, published.size);
        if want > have {
            return Err(wrong(Finding::Truncated { have: self.sequence + have, want: self.sequence + want }));
        }
        let (root, mut tiles) = match want < self.base.size {
            true => self.before(want).map_err(|error| wrong(error.into()))?,
            false => self.behind(want),
        };
        if root != Some(published.root) {
            return Err(wrong(Finding::Rewritten { first: self.sequence, next: self.sequence + want }));
        }
        // Bundles come first: entries have names.
        tiles.sort();
        let mut torn = None;
        for (tile, bytes) in &tiles {
            match self.hold(*tile, bytes) {
                Ok(()) => {}
                Err(finding @ Finding::Unpublished { .. }) => {
                    torn = torn.or(Some((self.path(tile), finding)))
                }
                Err(finding) => return Err((self.path(tile), finding)),
            }
        }
        torn.map_or(Ok(()), Err)
    }

    /// A log without a checkpoint: whether a writer that was killed leaves it so.
    fn unpublished(&self) -> Result<(), Finding> {
        let base = self.base;
        let path = self.path("checkpoint");
        // A log has a checkpoint before it has tiles.
        let has_tiles = || self.source.list(&self.path("tile")).map(|names| !names.is_empty());
        if base.size == 0 && !has_tiles().map_err(ReadError::Io)? {
            return Ok(());
        }
        // One that was written meanwhile tells that somebody writes it, and nothing was taken away.
        match self.source.read(&path).map_err(ReadError::Io)? {
            Some(_) => Ok(()),
            None => Err(Finding::Unpublished { path, first: None }),
        }
    }

    /// The entries of the journal.
    fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.journal.frames.iter().flat_map(|frame| Records::new(frame.records)).flatten()
    }

    /// The root of the first so many entries, and what they fill behind where the journal begins.
    pub fn behind(&self, size: u64) -> (Option<Hash>, Vec<Expected>) {
        let (mut tree, mut bundle) = self.start.clone();
        let mut tiles = Vec::new();
        for record in self.records().take((size - tree.size()) as usize) {
            tree.push(leaf_hash(record), |tile, nodes| tiles.push((tile, tile::bytes(nodes))));
            // Records have at most 65,535 bytes: they come from a bundle.
            bundle.extend_from_slice(&(record.len() as u16).to_be_bytes());
            bundle.extend_from_slice(record);
            if tree.size().is_multiple_of(TILE_WIDTH) {
                let index = tree.size() / TILE_WIDTH - 1;
                tiles.push((Tile { level: None, index, width: TILE_WIDTH }, std::mem::take(&mut bundle)));
            }
        }
        tiles.extend(tree.partials().map(|(tile, nodes)| (tile, tile::bytes(nodes))));
        if !bundle.is_empty() {
            tiles.push((Tile::of_size(None, size / TILE_WIDTH, size), bundle));
        }
        (Some(tree.root()), tiles)
    }

    /// The root of the first so many entries, fewer than the journal begins at, and their tiles that are not full: of
    /// those that have more, which hold.
    fn before(&self, size: u64) -> Result<(Option<Hash>, Vec<Expected>), ReadError> {
        let (log, all) = (self.log, self.base.size);
        let (mut edge, mut tiles) = (Vec::new(), Vec::new());
        for level in 0..levels(size) as u32 {
            let index = size.checked_shr(TILE_HEIGHT * (level + 1)).unwrap_or(0);
            let tile = Tile { level: Some(level), index, width: edge_width(size, level) };
            let mut nodes = Vec::new();
            if tile.width > 0 {
                nodes = read_hashes(self.source, log, Tile::of_size(Some(level), index, all))?;
                nodes.truncate(tile.width as usize);
                tiles.push((tile, tile::bytes(&nodes)));
            }
            edge.push(nodes);
        }
        let bundle = Tile::of_size(None, size / TILE_WIDTH, size);
        if bundle.width > 0 {
            let mut bytes = read_tile(self.source, log, Tile::of_size(None, bundle.index, all))?;
            let records = Records::new(&bytes).flatten().take(bundle.width as usize);
            let length = records.map(|record| 2 + record.len()).sum();
            bytes.truncate(length);
            tiles.push((bundle, bytes));
        }
        Ok((Tree::of_edge(size, edge).map(|tree| tree.root()), tiles))
    }

    /// Holds a tile or a bundle to the bytes that it must have: its own file, or the full one that has taken its place.
    fn hold(&self, tile: Tile, expected: &[u8]) -> Result<(), Finding> {
        let path = self.path(tile);
        let mut found = self.source.read(&path).map_err(ReadError::Io)?;
        if found.is_none() && !tile.is_full() {
            found = self.source.read(&self.path(tile.full())).map_err(ReadError::Io)?;
            found.iter_mut().for_each(|bytes| bytes.truncate(expected.len()));
        }
        let found = found.unwrap_or_default();
        if found == expected {
            return Ok(());
        }
        let wrong = match tile.level {
            None => {
                let leaves = |bytes| Records::new(bytes).map_while(|record| record).map(leaf_hash).collect();
                let (have, want): (Vec<Hash>, Vec<Hash>) = (leaves(&found), leaves(expected));
                let check = TreeCheck::new(self.source, self.log, self.sequence, self.base);
                check.compare(tile.index, &have, &want).err()
            }
            Some(_) => None,
        };
        if is_torn(&found, expected) {
            let first = wrong.as_ref().and_then(Finding::sequence);
            return Err(Finding::Unpublished { path, first });
        }
        Err(wrong.unwrap_or(Finding::Tile { path }))
    }

    fn path(&self, within: impl std::fmt::Display) -> String {
        layout::in_log(self.log, within)
    }
}

/// Whether a loss of power leaves this of a checkpoint: cut short where a piece ends, or with zeros.
fn is_torn_note(note: &[u8]) -> bool {
    let is_cut =
        || note.len().is_multiple_of(SECTOR_BYTES) && Note::parse(&String::from_utf8_lossy(note)).is_err();
    note.contains(&0) || is_cut()
}

/// Whether a loss of power leaves this of a file.
pub fn is_torn(found: &[u8], expected: &[u8]) -> bool {
    let is_kept = |(found, expected): (&[u8], &[u8])| {
        expected.starts_with(found) || found.iter().all(|byte| *byte == 0)
    };
    found.len() <= expected.len()
        && found.chunks(SECTOR_BYTES).zip(expected.chunks(SECTOR_BYTES)).all(is_kept)
}
