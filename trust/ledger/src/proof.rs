//! Proofs: that an entry is in a log, and that a log goes on from what it was.

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::hash::{Hash, leaf_hash, node_hash};
use crate::note::NOTE_BYTES_MAX;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use identity::PublicKey;
use std::fmt;

/// The first line of an inclusion proof (C2SP tlog-proof, Format).
pub const INCLUSION_HEADER: &str = "c2sp.org/tlog-proof@v1";
/// The bound of a proof's text, in bytes: an entry, 63 hashes and a checkpoint.
pub const PROOF_BYTES_MAX: usize = NOTE_BYTES_MAX + (160 << 10);
/// The bound of a proof's hashes: two for each level of the highest tree.
const HASHES_MAX: usize = 128;

/// The largest power of two below a size of two at least: where RFC 6962 §2.1 splits a tree.
fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

/// The root of these leaves, by the roots of complete subtrees.
///
/// # Errors
///
/// Those of whatever tells the roots.
pub fn range_root<E>(
    first: u64,
    end: u64,
    subtree: &mut impl FnMut(u64, u64) -> Result<Option<Hash>, E>,
) -> Result<Hash, E> {
    let size = end - first;
    if let Some(hash) = subtree(first, end)? {
        return Ok(hash);
    }
    let middle = first + split(size);
    let (left, right) = (range_root(first, middle, subtree)?, range_root(middle, end, subtree)?);
    Ok(node_hash(&left, &right))
}

/// The inclusion path of a leaf in a tree: RFC 6962 §2.1.1.
///
/// # Errors
///
/// Those of whatever tells the roots of subtrees.
pub fn inclusion_path<E>(
    index: u64,
    size: u64,
    subtree: &mut impl FnMut(u64, u64) -> Result<Option<Hash>, E>,
) -> Result<Vec<Hash>, E> {
    let (mut first, mut end, mut path) = (0, size, Vec::new());
    while end - first > 1 {
        let middle = first + split(end - first);
        if index < middle {
            path.push(range_root(middle, end, subtree)?);
            end = middle;
        } else {
            path.push(range_root(first, middle, subtree)?);
            first = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The consistency path from a smaller tree to this one: RFC 6962 §2.1.2.
///
/// # Errors
///
/// Those of whatever tells the roots of subtrees.
pub fn consistency_path<E>(
    old: u64,
    size: u64,
    subtree: &mut impl FnMut(u64, u64) -> Result<Option<Hash>, E>,
) -> Result<Vec<Hash>, E> {
    let (mut first, mut end, mut path, mut is_whole) = (0, size, Vec::new(), true);
    if old == 0 {
        return Ok(path);
    }
    while end > old {
        let middle = first + split(end - first);
        if old <= middle {
            path.push(range_root(middle, end, subtree)?);
            end = middle;
        } else {
            path.push(range_root(first, middle, subtree)?);
            (first, is_whole) = (middle, false);
        }
    }
    if !is_whole {
        path.push(range_root(first, end, subtree)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether the path leads from the leaf to the root: RFC 9162 §2.1.3.2.
#[must_use]
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// Whether the path leads from the old root to the new one: RFC 9162 §2.1.4.2.
#[must_use]
pub fn verify_consistency(old: (u64, &Hash), new: (u64, &Hash), path: &[Hash]) -> bool {
    let ((old, old_root), (size, root)) = (old, new);
    if old == 0 || old >= size {
        // Any tree goes on from an empty one, and one of the same size must be the same.
        return path.is_empty() && (old == 0 || (old == size && old_root == root));
    }
    let (mut node, mut last) = (old - 1, size - 1);
    while node & 1 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    let mut path = path.iter();
    let start = if old.is_power_of_two() { Some(old_root) } else { path.next() };
    let Some(start) = start else { return false };
    let (mut first_hash, mut second_hash) = (*start, *start);
    for hash in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            first_hash = node_hash(hash, &first_hash);
            second_hash = node_hash(hash, &second_hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            second_hash = node_hash(&second_hash, hash);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && first_hash == *old_root && second_hash == *root
}

/// That an entry is in a log: all that a verifier needs but the key. Its text is C2SP's tlog-proof, with the entry itself
/// as its extra data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// The entry's bytes.
    pub entry: Vec<u8>,
    /// Its index in the log.
    pub index: u64,
    /// The path to the root.
    pub path: Vec<Hash>,
    /// The log's checkpoint, as a signed note.
    pub note: String,
}

/// That a log goes on from an earlier checkpoint. Its text has the form of C2SP tlog-witness's add-checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The size of the earlier tree.
    pub old: u64,
    /// The path.
    pub path: Vec<Hash>,
    /// The later checkpoint, as a signed note.
    pub note: String,
}

/// Why a proof does not prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProofError {
    /// A line of it is not what a proof has there, from 1.
    Line(usize),
    /// Its checkpoint cannot be relied on.
    Checkpoint(CheckpointError),
    /// The earlier checkpoint is of another log, or of another size than the proof is about.
    Other,
    /// The path does not lead to the root: the entry, or the earlier tree, is not in this one.
    Path,
}

impl InclusionProof {
    /// The proof of its text.
    ///
    /// # Errors
    ///
    /// [`ProofError::Line`].
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let (head, note) = text.split_once("\n\n").ok_or(ProofError::Line(1))?;
        let mut lines = head.split('\n').enumerate().peekable();
        lines.next_if(|(_, line)| *line == INCLUSION_HEADER).ok_or(ProofError::Line(1))?;
        let extra = lines.next().and_then(|(_, line)| STANDARD.decode(line.strip_prefix("extra ")?).ok());
        let index = lines.next().and_then(|(_, line)| number(line.strip_prefix("index ")?));
        let (entry, index) = (extra.ok_or(ProofError::Line(2))?, index.ok_or(ProofError::Line(3))?);
        Ok(Self { entry, index, path: parse_path(lines)?, note: note.to_owned() })
    }

    /// The checkpoint by which the entry is proven, signed by all of these keys.
    ///
    /// # Errors
    ///
    /// Where it is not, or the entry is not in the log.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<Checkpoint, ProofError> {
        let checkpoint = Checkpoint::open(&self.note, keys).map_err(ProofError::Checkpoint)?;
        let leaf = leaf_hash(&self.entry);
        match verify_inclusion(&leaf, self.index, checkpoint.size, &self.path, &checkpoint.root) {
            true => Ok(checkpoint),
            false => Err(ProofError::Path),
        }
    }
}

impl ConsistencyProof {
    /// The proof of its text.
    ///
    /// # Errors
    ///
    /// [`ProofError::Line`].
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let (head, note) = text.split_once("\n\n").ok_or(ProofError::Line(1))?;
        let mut lines = head.split('\n').enumerate().peekable();
        let old = lines.next().and_then(|(_, line)| number(line.strip_prefix("old ")?));
        let old = old.ok_or(ProofError::Line(1))?;
        Ok(Self { old, path: parse_path(lines)?, note: note.to_owned() })
    }

    /// The later checkpoint, signed by all of these keys, which goes on from the earlier one, [kept](Checkpoint::open_kept)
    /// since it was made.
    ///
    /// # Errors
    ///
    /// Where one is not, or it does not.
    pub fn verify(&self, old_note: &str, keys: &[PublicKey]) -> Result<Checkpoint, ProofError> {
        let old = Checkpoint::open_kept(old_note, keys).map_err(ProofError::Checkpoint)?;
        let new = Checkpoint::open(&self.note, keys).map_err(ProofError::Checkpoint)?;
        if old.origin != new.origin || old.size != self.old {
            return Err(ProofError::Other);
        }
        match verify_consistency((old.size, &old.root), (new.size, &new.root), &self.path) {
            true => Ok(new),
            false => Err(ProofError::Path),
        }
    }
}

/// C2SP tlog-proof and tlog-witness: a number is in decimal, without a sign and without zeros before it.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

fn parse_path<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Result<Vec<Hash>, ProofError> {
    let hash = |(index, line): (usize, &str)| match index < HASHES_MAX {
        true => line.parse::<Hash>().map_err(|_| ProofError::Line(index + 1)),
        false => Err(ProofError::Line(index + 1)),
    };
    lines.map(hash).collect()
}

impl fmt::Display for InclusionProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{INCLUSION_HEADER}\nextra {}\nindex {}", STANDARD.encode(&self.entry), self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.note)
    }
}

impl fmt::Display for ConsistencyProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.note)
    }
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line} is not one of a proof"),
            Self::Checkpoint(error) => write!(f, "its checkpoint cannot be relied on: {error}"),
            Self::Other => f.write_str("the earlier checkpoint is not the one that the proof is about"),
            Self::Path => f.write_str("its hashes do not lead to the checkpoint's root: it proves nothing"),
        }
    }
}

impl std::error::Error for ProofError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    /// Tells single leaves and nothing else.
    fn by_leaves(leaves: &[Hash]) -> impl FnMut(u64, u64) -> Result<Option<Hash>, Infallible> {
        |first, end| Ok((end - first == 1).then(|| leaves[first as usize]))
    }

    fn root(leaves: &[Hash]) -> Hash {
        let Ok(root) = range_root(0, leaves.len() as u64, &mut by_leaves(leaves));
        root
    }

    fn hash(hex: &str) -> Hash {
        Hash(std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()))
    }

    /// The test vectors of certificate transparency (transparency-dev/merkle, testonly/constants.go): the tree of eight.
    #[test]
    fn paths_are_those_of_the_published_tree() {
        let inputs: [&[u8]; 8] =
            [b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"@ABC", b"PQRSTUVW", b"`abcdefghijklmno"];
        let leaves: Vec<Hash> = inputs.iter().map(|input| leaf_hash(input)).collect();
        let Ok(path) = inclusion_path(0, 8, &mut by_leaves(&leaves));
        assert_eq!(
            path,
            [
                hash("96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"),
                hash("5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"),
                hash("6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"),
            ]
        );
        // RFC 6962 §2.1.3: from three leaves to seven.
        let Ok(path) = consistency_path(3, 7, &mut by_leaves(&leaves[..7]));
        assert_eq!(
            (path.len(), path[0], path[1]),
            (
                4,
                hash("0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7"),
                hash("07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7")
            )
        );
        assert_eq!(path[2], hash("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn an_inclusion_path_proves_its_leaf_and_no_other(size in 1u64..70, index in 0u64..70, other in 0u64..70) {
            prop_assume!(index < size);
            let leaves = leaves(size);
            let root = root(&leaves);
            let Ok(path) = inclusion_path(index, size, &mut by_leaves(&leaves));
            let leaf = |index: u64| leaf_hash(&index.to_be_bytes());
            prop_assert!(verify_inclusion(&leaf(index), index, size, &path, &root));
            prop_assert!(other == index || !verify_inclusion(&leaf(other), index, size, &path, &root));
            prop_assert!(other == index || !verify_inclusion(&leaf(index), other, size, &path, &root));
            prop_assert!(!verify_inclusion(&leaf(index), index, size, &[&path[..], &[root]].concat(), &root));
            prop_assert!(path.is_empty() || !verify_inclusion(&leaf(index), index, size, &path[1..], &root));
        }

        #[test]
        fn a_consistency_path_proves_its_trees_and_no_others(old in 0u64..70, more in 0u64..70, other in 1u64..70) {
            let size = old + more;
            let leaves = leaves(size);
            let (old_root, new_root) = (root_of(&leaves[..old as usize]), root_of(&leaves));
            let Ok(path) = consistency_path(old, size, &mut by_leaves(&leaves));
            prop_assert!(verify_consistency((old, &old_root), (size, &new_root), &path));
            prop_assert!(old == 0 || !verify_consistency((old, &leaf_hash(b"x")), (size, &new_root), &path));
            prop_assert!(old == 0 || !verify_consistency((old, &old_root), (size, &leaf_hash(b"x")), &path));
            let is_other = other != old && old != 0 && more > 0 && other < size;
            prop_assert!(!is_other || !verify_consistency((other, &old_root), (size, &new_root), &path));
            prop_assert!(!verify_consistency((old, &old_root), (size, &new_root), &[&path[..], &[new_root]].concat()));
        }
    }

    fn root_of(leaves: &[Hash]) -> Hash {
        if leaves.is_empty() { crate::hash::empty_root() } else { root(leaves) }
    }

    #[test]
    fn texts_read_as_they_were_written() {
        let note = "a\n1\n\n— a AAAAAAE=\n".to_owned();
        for count in [0, 3] {
            let proof =
                InclusionProof { entry: vec![1, 2], index: 7, path: leaves(count), note: note.clone() };
            assert_eq!(InclusionProof::parse(&proof.to_string()), Ok(proof));
            let proof = ConsistencyProof { old: 7, path: leaves(count), note: note.clone() };
            assert_eq!(ConsistencyProof::parse(&proof.to_string()), Ok(proof));
        }
        let good =
            InclusionProof { entry: vec![], index: 7, path: leaves(HASHES_MAX as u64), note }.to_string();
        for (text, line) in [
            (String::new(), 1),
            (good.replace("@v1", "@v2"), 1),
            (good.replace("extra ", "extra _"), 2),
            (good.replace("index 7", "index -7"), 3),
            (good.replace("index 7", "index 07"), 3),
            (good.replace("index 7", "index +7"), 3),
            (good.replace("index 7", "index 7\nhash"), 4),
            // Three lines and so many hashes are one line more than is read.
            (good, HASHES_MAX + 1),
        ] {
            assert_eq!(InclusionProof::parse(&text), Err(ProofError::Line(line)));
        }
    }
}
