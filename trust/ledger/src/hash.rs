//! Hashes, as RFC 6962 makes a tree of them.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::str::FromStr;

/// The length of a hash, in bytes.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 hash. Its text is base64, as in checkpoints.
///
/// ```
/// use ledger::hash::{Hash, leaf_hash};
///
/// let hash = leaf_hash(b"");
/// assert_eq!(hash.to_string(), "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=");
/// assert_eq!(hash.to_string().parse::<Hash>(), Ok(hash));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; HASH_BYTES]);

/// Why text is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashError;

fn sha256(bytes: &[u8]) -> Hash {
    Hash(digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 gives 32 bytes"))
}

/// The hash of a tree without leaves: RFC 6962 §2.1.
#[must_use]
pub fn empty_root() -> Hash {
    sha256(b"")
}

/// The hash of a leaf: RFC 6962 §2.1.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut leaf = Vec::with_capacity(1 + entry.len());
    leaf.push(0x00);
    leaf.extend_from_slice(entry);
    sha256(&leaf)
}

/// The hash of two subtrees: RFC 6962 §2.1.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut node = [0x01; 1 + 2 * HASH_BYTES];
    node[1..=HASH_BYTES].copy_from_slice(&left.0);
    node[1 + HASH_BYTES..].copy_from_slice(&right.0);
    sha256(&node)
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let bytes = STANDARD.decode(text).map_err(|_| HashError)?;
        bytes.try_into().map(Self).map_err(|_| HashError)
    }
}

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hash is 32 bytes in base64")
    }
}

impl std::error::Error for HashError {}
