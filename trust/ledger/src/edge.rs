//! What is on disk of one log: its tiles, its bundles, and the edge from which its tree goes on.

use crate::entry::{Entry, Event};
use crate::hash::{HASH_BYTES, Hash, leaf_hash};
use crate::layout;
use crate::storage::Source;
use crate::tile::{self, Records, TILE_HEIGHT, TILE_WIDTH, Tile};
use crate::tree::{Tree, edge_width, levels};
use std::fmt;
use std::io;

/// Why a ledger cannot be read.
#[derive(Debug)]
pub enum ReadError {
    /// A file cannot be read.
    Io(io::Error),
    /// A file is not there.
    Missing(String),
    /// A file is not what its place says.
    Damaged(String),
    /// There is no ledger.
    Nothing,
    /// It changed each time while it was read.
    Busy,
}

/// A tile's bytes, or a bundle's: of its own file, or of the full one that has taken its place.
///
/// # Errors
///
/// Where neither is there, or what is there is too short.
pub fn read_tile(source: &impl Source, log: u64, tile: Tile) -> Result<Vec<u8>, ReadError> {
    let path = layout::in_log(log, tile);
    if let Some(bytes) = source.read(&path).map_err(ReadError::Io)? {
        return Ok(bytes);
    }
    let full = layout::in_log(log, tile.full());
    let bytes = if tile.is_full() { None } else { source.read(&full).map_err(ReadError::Io)? };
    let mut bytes = bytes.ok_or(ReadError::Missing(path))?;
    let length = match tile.level {
        Some(_) => Some(tile.width as usize * HASH_BYTES),
        None => Records::new(&bytes)
            .take(tile.width as usize)
            .try_fold(0, |length, record| Some(length + 2 + record?.len())),
    };
    let length = length.filter(|length| *length <= bytes.len()).ok_or(ReadError::Damaged(full))?;
    bytes.truncate(length);
    Ok(bytes)
}

/// The hashes of a tile.
///
/// # Errors
///
/// As [`read_tile`], and where there are not as many as it should have.
pub fn read_hashes(source: &impl Source, log: u64, tile: Tile) -> Result<Vec<Hash>, ReadError> {
    let bytes = read_tile(source, log, tile)?;
    tile::hashes(&bytes, tile.width).ok_or_else(|| ReadError::Damaged(layout::in_log(log, tile)))
}

/// The tree of a log of this size, to go on from, and its last bundle where that is not full.
///
/// # Errors
///
/// Where a tile is missing, or the bundle is not what its tile says.
pub fn load(source: &impl Source, log: u64, size: u64) -> Result<(Tree, Vec<u8>), ReadError> {
    let mut edge = Vec::new();
    for level in 0..levels(size) as u32 {
        let width = edge_width(size, level);
        let index = (size >> (TILE_HEIGHT * level)) / TILE_WIDTH;
        let tile = Tile { level: Some(level), index, width };
        edge.push(if width == 0 { Vec::new() } else { read_hashes(source, log, tile)? });
    }
    let tile = Tile { level: None, index: size / TILE_WIDTH, width: size % TILE_WIDTH };
    let bundle = if tile.width == 0 { Vec::new() } else { read_tile(source, log, tile)? };
    let hashes: Option<Vec<Hash>> = Records::new(&bundle).map(|record| record.map(leaf_hash)).collect();
    let damaged = || ReadError::Damaged(layout::in_log(log, tile));
    if hashes.as_deref() != Some(edge.first().map_or(&[], Vec::as_slice)) {
        return Err(damaged());
    }
    let tree = Tree::of_edge(size, edge).ok_or_else(damaged)?;
    Ok((tree, bundle))
}

/// The first entry of a log that has so many in its tiles; `None` where it cannot be read. What else is there may be torn.
pub fn first_record(source: &impl Source, log: u64, size: u64) -> Option<Vec<u8>> {
    let bytes = read_tile(source, log, Tile::of_size(None, 0, size)).ok()?;
    Records::new(&bytes).next()?.map(<[u8]>::to_vec)
}

/// The sequence number of a log's first entry, by that entry.
#[must_use]
pub fn first_sequence(log: u64, record: Option<&[u8]>) -> Option<u64> {
    match log {
        1 => Some(0),
        _ => match Entry::decode(record?).ok()?.event {
            Event::LogStart(start) => Some(start.sequence),
            _ => None,
        },
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the ledger cannot be read: {error}"),
            Self::Missing(path) => write!(f, "{path} is missing in the ledger"),
            Self::Damaged(what) => write!(f, "in the ledger, {what} is not what was written"),
            Self::Nothing => f.write_str("there is no ledger"),
            Self::Busy => {
                f.write_str("runs begin and end faster than the ledger's shards can be read: try again")
            }
        }
    }
}

impl std::error::Error for ReadError {}
