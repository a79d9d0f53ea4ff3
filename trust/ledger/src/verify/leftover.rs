//! Files of a log that its checkpoint does not call for: parts that tiles once were, and what lies behind its end.
//!
//! C2SP tlog-tiles, Partial Tiles: a part may be removed once the tile is full, so what is missing here is nothing. What is
//! there is read by those who have an older checkpoint, so it must be what the tile began with. Behind the end of a log is
//! nothing: a tile is written once its entries are in the journal.

use super::Finding;
use super::published::is_torn;
use crate::edge::{ReadError, read_tile};
use crate::layout;
use crate::storage::Source;
use crate::tile::{Records, TILE_WIDTH, Tile};
use std::collections::BTreeMap;

/// The bound of folders in each other: an index has 20 digits, three in each.
const DEPTH_MAX: usize = 6;

/// The tiles and bundles in a log's folder that a checkpoint of so many entries does not call for: those that are not full,
/// and those behind it.
pub fn beside(source: &impl Source, log: u64, size: u64) -> Result<Vec<Tile>, ReadError> {
    let mut found = Vec::new();
    let folder = layout::in_log(log, "tile");
    for name in source.list(&folder).map_err(ReadError::Io)? {
        let level = match name.parse() {
            Ok(level) => Some(level),
            Err(_) if name == "entries" => None,
            Err(_) => continue,
        };
        let mut walk = Walk { source, level, size, found: &mut found };
        walk.folder(&format!("{folder}/{name}"), 0, 0)?;
    }
    Ok(found)
}

/// A walk through the folders of one level.
struct Walk<'a, S> {
    source: &'a S,
    level: Option<u32>,
    size: u64,
    found: &'a mut Vec<Tile>,
}

impl<S: Source> Walk<'_, S> {
    fn folder(&mut self, folder: &str, above: u64, depth: usize) -> Result<(), ReadError> {
        let digits = |name: &str| name.parse::<u64>().ok().filter(|_| name.len() == 3);
        for name in self.source.list(folder).map_err(ReadError::Io)? {
            let path = format!("{folder}/{name}");
            let index = |digits: u64| above.checked_mul(1_000)?.checked_add(digits);
            if let Some(above) = name.strip_prefix('x').and_then(digits).and_then(index) {
                // C2SP tlog-tiles, Merkle Tree: no index begins with a folder of zeros.
                if above > 0 && depth < DEPTH_MAX {
                    self.folder(&path, above, depth + 1)?;
                }
            } else if let Some(index) = name.strip_suffix(".p").and_then(digits).and_then(index) {
                let widths = self.source.list(&path).map_err(ReadError::Io)?;
                widths
                    .iter()
                    .filter_map(|width| width.parse().ok())
                    .for_each(|width| self.take(index, width));
            } else if let Some(index) = digits(&name).and_then(index) {
                self.take(index, TILE_WIDTH);
            }
        }
        Ok(())
    }

    fn take(&mut self, index: u64, width: u64) {
        let tile = Tile { level: self.level, index, width };
        if !(1..=TILE_WIDTH).contains(&width) || (tile.is_full() && !is_behind(tile, self.size)) {
            return;
        }
        self.found.push(tile);
    }
}

/// Whether a tile has more than a log of this size.
fn is_behind(tile: Tile, size: u64) -> bool {
    Tile::of_size(tile.level, tile.index, size).width < tile.width
}

/// The check of what [`beside`] has found, once the log itself holds.
pub struct LeftoverCheck<'a, S> {
    pub source: &'a S,
    pub log: u64,
    /// How many entries the log has.
    pub size: u64,
    /// So many of them are in tiles that hold.
    pub tiled: u64,
    /// The tiles and bundles behind those, from the journal.
    pub grown: BTreeMap<(Option<u32>, u64), Vec<u8>>,
}

impl<S: Source> LeftoverCheck<'_, S> {
    /// Checks that each is the beginning of what the log has in its place.
    pub fn run(&self, tiles: &[Tile]) -> Result<(), Finding> {
        // Tiles that follow each other are parts of one.
        let mut whole: Option<(Tile, Vec<u8>)> = None;
        for tile in tiles {
            let path = layout::in_log(self.log, tile);
            if is_behind(*tile, self.size) {
                // One that has gone meanwhile is none.
                match self.source.read(&path).map_err(ReadError::Io)? {
                    Some(_) => return Err(Finding::Stray { path }),
                    None => continue,
                }
            }
            if whole.as_ref().is_none_or(|(of, _)| *of != tile.full()) {
                whole = Some((tile.full(), self.whole(*tile)?));
            }
            let (_, bytes) = whole.as_ref().expect("it was just read");
            let Some(found) = self.source.read(&path).map_err(ReadError::Io)? else { continue };
            let expected = &bytes[..length(bytes, *tile)];
            if found != expected && !is_torn(&found, expected) {
                return Err(Finding::Stray { path });
            }
        }
        Ok(())
    }

    /// What the log has in the place of a tile.
    fn whole(&self, tile: Tile) -> Result<Vec<u8>, ReadError> {
        match self.grown.get(&(tile.level, tile.index)) {
            Some(bytes) => Ok(bytes.clone()),
            None => read_tile(self.source, self.log, Tile::of_size(tile.level, tile.index, self.tiled)),
        }
    }
}

/// How many bytes of a tile or a bundle its first so many hashes or entries have.
fn length(bytes: &[u8], tile: Tile) -> usize {
    let records = Records::new(bytes).flatten().take(tile.width as usize);
    match tile.level {
        Some(_) => bytes.len().min(tile.width as usize * crate::hash::HASH_BYTES),
        None => records.map(|record| 2 + record.len()).sum(),
    }
}
