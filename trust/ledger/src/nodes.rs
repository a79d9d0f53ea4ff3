//! The nodes of a log's tree, from its tiles and, beyond those, from its journal; and the proofs made of them.

use crate::edge::{ReadError, read_hashes};
use crate::hash::Hash;
use crate::proof::{ConsistencyProof, InclusionProof, consistency_path, inclusion_path, range_root};
use crate::reader::{LogView, Reader};
use crate::storage::Source;
use crate::tile::{self, TILE_HEIGHT, TILE_WIDTH, Tile};
use std::collections::BTreeMap;

/// How many tiles are kept while a proof is made: it looks at some of each level.
const TILES_MAX: usize = 64;

/// The nodes of one log.
struct Nodes<'a, S> {
    reader: &'a Reader<S>,
    log: &'a LogView,
    tiles: BTreeMap<(u32, u64), Vec<Hash>>,
}

impl<'a, S: Source> Nodes<'a, S> {
    fn new(reader: &'a Reader<S>, log: &'a LogView) -> Self {
        Self { reader, log, tiles: BTreeMap::new() }
    }

    /// The root of a subtree, where it is complete and in tiles, or a leaf.
    fn subtree(&mut self, first: u64, end: u64) -> Result<Option<Hash>, ReadError> {
        let size = end - first;
        if size == 1 && first >= self.log.tiled {
            return Ok(self.reader.journaled_leaves().get((first - self.log.tiled) as usize).copied());
        }
        if !size.is_power_of_two() || !first.is_multiple_of(size) || end > self.log.tiled {
            return Ok(None);
        }
        let height = size.trailing_zeros();
        let (level, within) = (height / TILE_HEIGHT, height % TILE_HEIGHT);
        let start = first >> (TILE_HEIGHT * level);
        let nodes = self.tile(level, start / TILE_WIDTH)?;
        let at = (start % TILE_WIDTH) as usize;
        Ok(nodes.get(at..at + (1 << within)).map(tile::subtree_hash))
    }

    fn tile(&mut self, level: u32, index: u64) -> Result<&[Hash], ReadError> {
        if self.tiles.len() >= TILES_MAX {
            self.tiles.clear();
        }
        if !self.tiles.contains_key(&(level, index)) {
            let tile = Tile::of_size(Some(level), index, self.log.tiled);
            self.tiles.insert((level, index), read_hashes(self.reader.source(), self.log.number, tile)?);
        }
        Ok(&self.tiles[&(level, index)])
    }
}

impl<S: Source> Reader<S> {
    /// The root of a log as it was with so many entries, which it has.
    ///
    /// # Errors
    ///
    /// Where a tile cannot be read.
    pub fn root_at(&self, log: &LogView, size: u64) -> Result<Hash, ReadError> {
        if size == 0 {
            return Ok(crate::hash::empty_root());
        }
        let mut nodes = Nodes::new(self, log);
        range_root(0, size.min(log.size), &mut |first, end| nodes.subtree(first, end))
    }

    /// The proof that the entry of this sequence number is in its log; `None` where there is none.
    ///
    /// # Errors
    ///
    /// Where a tile cannot be read.
    pub fn prove(&self, sequence: u64) -> Result<Option<InclusionProof>, ReadError> {
        let Some(log) = self.log_of(sequence) else { return Ok(None) };
        let Some(record) = self.entries(sequence..sequence + 1).next().transpose()? else { return Ok(None) };
        let mut nodes = Nodes::new(self, log);
        let path = inclusion_path(record.index, log.size, &mut |first, end| nodes.subtree(first, end))?;
        Ok(Some(InclusionProof { entry: record.bytes, index: record.index, path, note: log.note.clone() }))
    }

    /// The proof that a log goes on from what it was with so many entries, which it has.
    ///
    /// # Errors
    ///
    /// Where a tile cannot be read.
    pub fn prove_consistency(&self, log: &LogView, old: u64) -> Result<ConsistencyProof, ReadError> {
        let mut nodes = Nodes::new(self, log);
        let path = consistency_path(old, log.size, &mut |first, end| nodes.subtree(first, end))?;
        Ok(ConsistencyProof { old, path, note: log.note.clone() })
    }
}
