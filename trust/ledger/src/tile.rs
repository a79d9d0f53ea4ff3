//! Tiles and entry bundles: where they are, and what they hold (C2SP tlog-tiles).

use crate::hash::{HASH_BYTES, Hash, node_hash};
use std::fmt;

/// How many hashes a full tile has, and how many entries a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// How many levels of the tree a tile spans.
pub const TILE_HEIGHT: u32 = 8;

/// One tile, or one entry bundle. Its text is its path below the log's prefix.
///
/// ```
/// use ledger::tile::Tile;
///
/// let tile = Tile { level: Some(0), index: 1_234_067, width: 256 };
/// assert_eq!(tile.to_string(), "tile/0/x001/x234/067");
/// assert_eq!(Tile { level: None, width: 7, ..tile }.to_string(), "tile/entries/x001/x234/067.p/7");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    /// The level, the leaves' hashes being level 0; `None` for a bundle of entries.
    pub level: Option<u32>,
    /// Which one of its level.
    pub index: u64,
    /// How many hashes or entries it has: from 1 to [`TILE_WIDTH`].
    pub width: u64,
}

impl Tile {
    /// The tiles of a level that a tree of this size has, the last one partial: this one of them.
    #[must_use]
    pub fn of_size(level: Option<u32>, index: u64, size: u64) -> Self {
        let nodes = size.checked_shr(TILE_HEIGHT * level.unwrap_or(0)).unwrap_or(0);
        let width = nodes.saturating_sub(index.saturating_mul(TILE_WIDTH)).min(TILE_WIDTH);
        Self { level, index, width }
    }

    /// Whether it is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The same tile, full.
    #[must_use]
    pub fn full(&self) -> Self {
        Self { width: TILE_WIDTH, ..*self }
    }

    /// The folder of its partial forms.
    #[must_use]
    pub fn partials(&self) -> String {
        format!("{}.p", self.full())
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "tile/{level}/")?,
            None => f.write_str("tile/entries/")?,
        }
        // C2SP tlog-tiles, Merkle Tree: three digits a folder, all but the last after an x.
        let digits = self.index.to_string();
        let folders = digits.len().div_ceil(3);
        for folder in (1..folders).rev() {
            write!(f, "x{:03}/", self.index / 1_000u64.pow(folder as u32) % 1_000)?;
        }
        write!(f, "{:03}", self.index % 1_000)?;
        match self.is_full() {
            true => Ok(()),
            false => write!(f, ".p/{}", self.width),
        }
    }
}

/// The hashes of a tile's bytes; `None` where they are not this many.
#[must_use]
pub fn hashes(bytes: &[u8], width: u64) -> Option<Vec<Hash>> {
    if bytes.len() as u64 != width * HASH_BYTES as u64 {
        return None;
    }
    let (chunks, _) = bytes.as_chunks::<HASH_BYTES>();
    Some(chunks.iter().map(|chunk| Hash(*chunk)).collect())
}

/// The bytes of a tile.
#[must_use]
pub fn bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The hash of a complete subtree of these nodes, whose number is a power of two.
#[must_use]
pub fn subtree_hash(nodes: &[Hash]) -> Hash {
    let mut row = nodes.to_vec();
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| node_hash(&pair[0], &pair[pair.len() - 1])).collect();
    }
    row[0]
}

/// The entries of a bundle: each after its length in 16 bits. An iterator that ends at the first that is not whole, and
/// tells so by `None` in its place.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// Those of a bundle's bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let split = self
            .rest
            .split_first_chunk::<2>()
            .and_then(|(length, rest)| rest.split_at_checked(usize::from(u16::from_be_bytes(*length))));
        self.rest = split.map_or(&[], |(_, rest)| rest);
        Some(split.map(|(record, _)| record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_as_specified() {
        let path = |index| Tile { level: Some(1), index, width: 256 }.to_string();
        assert_eq!(path(0), "tile/1/000");
        assert_eq!(path(999), "tile/1/999");
        assert_eq!(path(1_000), "tile/1/x001/000");
        assert_eq!(path(1_234_067), "tile/1/x001/x234/067");
        assert_eq!(path(1_000_000_000), "tile/1/x001/x000/x000/000");
        assert_eq!(Tile { level: Some(3), index: 5, width: 1 }.to_string(), "tile/3/005.p/1");
        assert_eq!(Tile { level: None, index: 5, width: 9 }.partials(), "tile/entries/005.p");
    }

    /// The example of C2SP tlog-tiles, Partial Tiles.
    #[test]
    fn a_tree_of_70_000_has_the_tiles_of_the_specification() {
        let width = |level, index| Tile::of_size(Some(level), index, 70_000).width;
        assert_eq!((width(0, 272), width(0, 273), width(0, 274)), (256, 112, 0));
        assert_eq!((width(1, 0), width(1, 1), width(1, 2)), (256, 17, 0));
        assert_eq!((width(2, 0), width(2, 1), width(3, 0)), (1, 0, 0));
        assert_eq!(Tile::of_size(Some(0), 0, 256).width, 256);
        assert_eq!(Tile::of_size(Some(1), 0, 256).width, 1);
        assert_eq!(Tile::of_size(Some(63), 0, u64::MAX).width, 0);
    }

    #[test]
    fn a_bundle_that_is_cut_tells_so() {
        let records = |bytes: &'static [u8]| Records::new(bytes).collect::<Vec<_>>();
        assert_eq!(records(b""), []);
        assert_eq!(records(b"\0\x01a\0\0\0\x02bc"), [Some(&b"a"[..]), Some(b""), Some(b"bc")]);
        assert_eq!(records(b"\0\x01a\0\x03bc"), [Some(&b"a"[..]), None]);
        assert_eq!(records(b"\0\x01a\0"), [Some(&b"a"[..]), None]);
    }
}
