//! One log's tree, from its root down to its entries.

use super::{Finding, Wrong};
use crate::checkpoint::Checkpoint;
use crate::edge::{ReadError, read_hashes, read_tile};
use crate::hash::{Hash, leaf_hash};
use crate::journal::entry_bytes;
use crate::layout;
use crate::storage::Source;
use crate::tile::{self, Records, TILE_HEIGHT, TILE_WIDTH, Tile};
use crate::tree::{Frontier, Tree, edge_width, levels};
use std::cell::Cell;

/// The check of one log's tiles and bundles against a root that is signed.
pub struct TreeCheck<'a, S> {
    source: &'a S,
    log: u64,
    /// The sequence number of the log's first entry.
    base: u64,
    size: u64,
    root: Hash,
    /// The bytes of the entries that were looked at.
    entry_bytes: Cell<u64>,
}

impl<'a, S: Source> TreeCheck<'a, S> {
    pub fn new(source: &'a S, log: u64, base: u64, checkpoint: &Checkpoint) -> Self {
        Self { source, log, base, size: checkpoint.size, root: checkpoint.root, entry_bytes: Cell::new(0) }
    }

    /// How many bytes the entries have, once all hold.
    pub fn entry_bytes(&self) -> u64 {
        self.entry_bytes.get()
    }

    /// Checks all of it, the oldest entries first.
    pub fn run(&self) -> Result<(), Finding> {
        let edge = self.edge();
        let tree = edge.as_ref().and_then(|edge| Tree::of_edge(self.size, edge.clone()));
        let (Some(edge), true) = (edge, tree.is_some_and(|tree| tree.root() == self.root)) else {
            // The hashes at the edge do not lead to the root: the entries themselves do, or do not.
            let tile = Tile::of_size(Some(0), (self.size.max(1) - 1) / TILE_WIDTH, self.size);
            return Err(self.blame(0, self.size, &self.root, tile));
        };
        for (level, nodes) in edge.iter().enumerate().rev() {
            let index = self.size.checked_shr(TILE_HEIGHT * (level as u32 + 1)).unwrap_or(0);
            self.below(level as u32, index, nodes)?;
        }
        Ok(())
    }

    /// The tiles that are not full.
    fn edge(&self) -> Option<Vec<Vec<Hash>>> {
        let tile = |level: u32| {
            let width = edge_width(self.size, level);
            let index = self.size.checked_shr(TILE_HEIGHT * (level + 1)).unwrap_or(0);
            let tile = Tile { level: Some(level), index, width };
            if width == 0 { Some(Vec::new()) } else { read_hashes(self.source, self.log, tile).ok() }
        };
        (0..levels(self.size) as u32).map(tile).collect()
    }

    /// Checks what is below a tile whose hashes are right.
    fn below(&self, level: u32, index: u64, nodes: &[Hash]) -> Result<(), Finding> {
        match level {
            0 if nodes.is_empty() => Ok(()),
            0 => self.bundle(index, nodes),
            _ => (index * TILE_WIDTH..)
                .zip(nodes)
                .try_for_each(|(child, hash)| self.tile(level - 1, child, hash)),
        }
    }

    /// Checks a full tile that must have this root, and what is below it.
    fn tile(&self, level: u32, index: u64, root: &Hash) -> Result<(), Finding> {
        let tile = Tile { level: Some(level), index, width: TILE_WIDTH };
        match read_hashes(self.source, self.log, tile) {
            Ok(nodes) if tile::subtree_hash(&nodes) == *root => self.below(level, index, &nodes),
            _ => {
                let first = index << (TILE_HEIGHT * (level + 1));
                Err(self.blame(first, first + (1 << (TILE_HEIGHT * (level + 1))), root, tile))
            }
        }
    }

    /// What is wrong where the hashes of these entries cannot be relied on: whether the entries have the root by
    /// themselves, and where not, the first that is not what its own hash says, for which the hash speaks.
    fn blame(&self, first: u64, end: u64, root: &Hash, tile: Tile) -> Finding {
        let path = layout::in_log(self.log, tile);
        let (mut frontier, mut disagreement) = (Frontier::default(), None);
        for index in first / TILE_WIDTH..end.div_ceil(TILE_WIDTH) {
            let bundle = Tile::of_size(None, index, self.size);
            let leaves = match self.leaves(bundle) {
                Ok((leaves, _)) => leaves,
                Err(finding) => return finding,
            };
            leaves.iter().for_each(|leaf| frontier.push(*leaf, |_, _, _| {}));
            let compared = match read_hashes(self.source, self.log, Tile { level: Some(0), ..bundle }) {
                Ok(told) => self.compare(index, &leaves, &told),
                Err(_) => self.count(bundle, leaves.len() as u64),
            };
            disagreement = disagreement.or(compared.err());
        }
        match disagreement {
            _ if frontier.root() == *root => Finding::Tile { path },
            Some(finding) => finding,
            None => Finding::Range { first: self.base + first, last: self.base + end.max(1) - 1, path },
        }
    }

    /// Holds how many entries are there to how many there must be.
    fn count(&self, bundle: Tile, count: u64) -> Result<(), Finding> {
        let sequence = self.base + bundle.index * TILE_WIDTH + count;
        if count < bundle.width { Err(Finding::Entry { sequence, wrong: Wrong::Missing }) } else { Ok(()) }
    }

    /// Checks the entries of a bundle whose hashes are right.
    fn bundle(&self, index: u64, hashes: &[Hash]) -> Result<(), Finding> {
        let tile = Tile { level: None, index, width: hashes.len() as u64 };
        let (leaves, is_whole) = self.leaves(tile)?;
        self.compare(index, &leaves, hashes)?;
        // What follows the last entry is none.
        if is_whole { Ok(()) } else { Err(Finding::Tile { path: layout::in_log(self.log, tile) }) }
    }

    /// The hashes of the entries that are there, and whether nothing else is.
    fn leaves(&self, bundle: Tile) -> Result<(Vec<Hash>, bool), Finding> {
        let bytes = match read_tile(self.source, self.log, bundle) {
            Ok(bytes) => bytes,
            // A file that is not there has none of its entries.
            Err(ReadError::Missing(_) | ReadError::Damaged(_)) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        self.entry_bytes.set(self.entry_bytes.get() + entry_bytes(&bytes) as u64);
        // One that is cut has those before.
        let leaves = Records::new(&bytes).map_while(|record| record).map(leaf_hash).collect();
        Ok((leaves, Records::new(&bytes).all(|record| record.is_some())))
    }

    /// Holds the entries that are there to the hashes that they must have.
    pub fn compare(&self, index: u64, leaves: &[Hash], hashes: &[Hash]) -> Result<(), Finding> {
        let Some(at) = (0..leaves.len().max(hashes.len())).find(|at| leaves.get(*at) != hashes.get(*at))
        else {
            return Ok(());
        };
        // How far behind each stands what the other has here.
        let ahead = |of: &[Hash], hash: Option<&Hash>| {
            of[at.min(of.len())..].iter().position(|found| Some(found) == hash)
        };
        let (missing, inserted) = (ahead(hashes, leaves.get(at)), ahead(leaves, hashes.get(at)));
        let wrong = match (leaves.get(at), hashes.get(at)) {
            (None, _) => Wrong::Missing,
            (_, None) => Wrong::Inserted,
            _ => match (missing, inserted) {
                (Some(_), None) => Wrong::Missing,
                (None, Some(_)) => Wrong::Inserted,
                (Some(1), Some(1)) => Wrong::Swapped,
                _ => Wrong::Changed,
            },
        };
        Err(Finding::Entry { sequence: self.base + index * TILE_WIDTH + at as u64, wrong })
    }
}
