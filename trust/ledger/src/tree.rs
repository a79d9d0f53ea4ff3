//! A tree that grows: what must be kept of it to go on, and its root.

use crate::hash::{Hash, empty_root, node_hash};
use crate::tile::{self, TILE_HEIGHT, TILE_WIDTH, Tile};

/// The right edge of a tree: the roots of its complete subtrees, the largest first. All that the root needs.
///
/// ```
/// use ledger::hash::{empty_root, leaf_hash};
/// use ledger::tree::Frontier;
///
/// let mut frontier = Frontier::default();
/// assert_eq!((frontier.size(), frontier.root()), (0, empty_root()));
/// frontier.push(leaf_hash(b"a"), |_height, _index, _hash| {});
/// assert_eq!((frontier.size(), frontier.root()), (1, leaf_hash(b"a")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// One for each bit of the size that is set, the highest first.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// How many leaves it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf, and tells each subtree that is complete by it: its height, its index in that height, and its hash.
    /// The leaf itself is the first, with height 0.
    pub fn push(&mut self, leaf: Hash, mut complete: impl FnMut(u32, u64, &Hash)) {
        let (mut hash, mut index, mut height) = (leaf, self.size, 0);
        complete(height, index, &hash);
        // Each bit that carries is a subtree on the left of the same size.
        while index & 1 == 1 {
            let left = self.peaks.pop().expect("there is a peak for each bit of the size");
            hash = node_hash(&left, &hash);
            (index, height) = (index >> 1, height + 1);
            complete(height, index, &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root: RFC 6962 §2.1.
    #[must_use]
    pub fn root(&self) -> Hash {
        let right_to_left = self.peaks.iter().rev().copied();
        right_to_left.reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }
}

/// A tree whose tiles are written as they fill: its frontier, and the hashes of the tiles that are not full.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    frontier: Frontier,
    /// By level, the hashes of the tile that is not full.
    edge: Vec<Vec<Hash>>,
}

impl Tree {
    /// The tree of this size, of its tiles that are not full by level; `None` where they are not those of the size.
    #[must_use]
    pub fn of_edge(size: u64, edge: Vec<Vec<Hash>>) -> Option<Self> {
        let mut frontier = Frontier { size, peaks: Vec::new() };
        if edge.len() != levels(size) {
            return None;
        }
        for (level, nodes) in edge.iter().enumerate().rev() {
            if nodes.len() as u64 != edge_width(size, level as u32) {
                return None;
            }
            // The width's bits are the bits of the size at this level.
            let mut rest = &nodes[..];
            for bit in (0..TILE_HEIGHT).rev() {
                let (subtree, after) = rest.split_at(rest.len() & 1 << bit);
                if !subtree.is_empty() {
                    frontier.peaks.push(tile::subtree_hash(subtree));
                }
                rest = after;
            }
        }
        Some(Self { frontier, edge })
    }

    /// How many leaves it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Adds a leaf; tells each tile that is full by it.
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(Tile, &[Hash])) {
        let edge = &mut self.edge;
        self.frontier.push(leaf, |height, index, hash| {
            if height % TILE_HEIGHT != 0 {
                return;
            }
            let level = height / TILE_HEIGHT;
            if edge.len() <= level as usize {
                edge.push(Vec::new());
            }
            let nodes = &mut edge[level as usize];
            nodes.push(*hash);
            if nodes.len() as u64 == TILE_WIDTH {
                full(Tile { level: Some(level), index: index / TILE_WIDTH, width: TILE_WIDTH }, nodes);
                nodes.clear();
            }
        });
    }

    /// The tiles that are not full, those without a hash left out.
    pub fn partials(&self) -> impl Iterator<Item = (Tile, &[Hash])> {
        let size = self.size();
        let tile = move |(level, nodes): (usize, &Vec<Hash>)| Tile {
            level: Some(level as u32),
            index: size.checked_shr(TILE_HEIGHT * (level as u32 + 1)).unwrap_or(0),
            width: nodes.len() as u64,
        };
        let levels = self.edge.iter().enumerate().filter(|(_, nodes)| !nodes.is_empty());
        levels.map(move |(level, nodes)| (tile((level, nodes)), &nodes[..]))
    }
}

/// How many levels of tiles a tree of this size has.
#[must_use]
pub fn levels(size: u64) -> usize {
    (0..).take_while(|level| size.checked_shr(TILE_HEIGHT * level).unwrap_or(0) > 0).count()
}

/// How many hashes the tile of this level that is not full has.
#[must_use]
pub fn edge_width(size: u64, level: u32) -> u64 {
    size.checked_shr(TILE_HEIGHT * level).unwrap_or(0) % TILE_WIDTH
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// The test vectors of certificate transparency (transparency-dev/merkle, testonly/constants.go): leaves, and the
    /// root after each.
    pub const LEAVES: [(&str, &str); 8] = [
        ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
        ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
        ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
        ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
        (
            "606162636465666768696a6b6c6d6e6f",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ),
    ];

    #[test]
    fn roots_are_those_of_the_published_vectors() {
        let mut tree = Tree::default();
        assert_eq!(
            tree.root().0[..],
            bytes("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        );
        for (leaf, root) in LEAVES {
            tree.push(leaf_hash(&bytes(leaf)), |_, _| panic!("no tile is full"));
            assert_eq!(tree.root().0[..], bytes(root));
        }
    }

    fn leaf(number: u64) -> Hash {
        leaf_hash(&number.to_be_bytes())
    }

    /// RFC 6962 §2.1, word by word.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(&root_by_definition(&leaves[..split]), &root_by_definition(&leaves[split..]))
            }
        }
    }

    #[test]
    fn full_tiles_hold_the_roots_of_those_below() {
        let (mut tree, mut tiles) = (Tree::default(), BTreeMap::new());
        for number in 0..70_000 {
            tree.push(leaf(number), |tile, nodes| assert!(tiles.insert(tile, nodes.to_vec()).is_none()));
        }
        let count = |level| tiles.keys().filter(|tile| tile.level == Some(level)).count();
        assert_eq!((count(0), count(1), tiles.len()), (273, 1, 274));
        let below = &tiles[&Tile { level: Some(0), index: 7, width: 256 }];
        let above = &tiles[&Tile { level: Some(1), index: 0, width: 256 }];
        assert_eq!(above[7], tile::subtree_hash(below));
        let partials: Vec<Tile> = tree.partials().map(|(tile, _)| tile).collect();
        let expected = [(0, 273, 112), (1, 1, 17), (2, 0, 1)];
        assert_eq!(partials, expected.map(|(level, index, width)| Tile { level: Some(level), index, width }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_tree_goes_on_from_its_edge(size in 0u64..3_000, more in 0u64..300) {
            let mut tree = Tree::default();
            (0..size).for_each(|number| tree.push(leaf(number), |_, _| {}));
            let edge = tree.edge.clone();
            let mut again = Tree::of_edge(size, edge.clone()).unwrap();
            for number in size..size + more {
                tree.push(leaf(number), |_, _| {});
                again.push(leaf(number), |_, _| {});
            }
            prop_assert_eq!(&tree.frontier, &again.frontier);
            let leaves: Vec<Hash> = (0..size + more).map(leaf).collect();
            prop_assert_eq!(tree.root(), root_by_definition(&leaves));
            prop_assert!(Tree::of_edge(size + 1, edge).is_none());
        }
    }
}
