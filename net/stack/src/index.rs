//! A hash index over a slab: keyed hashes to numbers, so that a peer cannot fill one bucket.

use core::net::IpAddr;
use hash::Key;
use hashbrown::HashTable;

/// Numbers by the hash of what they stand for. Never walked: its order means nothing.
#[derive(Debug)]
pub(crate) struct Index {
    key: Key,
    entries: HashTable<Entry>,
}

/// A number and a part of its hash, in 12 bytes: there is one for each connection.
#[derive(Debug)]
struct Entry {
    hash: u32,
    place: u32,
    generation: u32,
}

impl Entry {
    fn new(hash: u64, number: u64) -> Self {
        Self { hash: fold(hash), place: number as u32, generation: (number >> 32) as u32 }
    }

    fn number(&self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.place)
    }
}

/// What the table is given, made of the part of the hash that is kept: a table of more than 2^32 buckets there is not.
const fn fold(hash: u64) -> u32 {
    (hash ^ hash >> 32) as u32
}

/// The table takes its bucket from the lower bits, and seven bits to compare from the upper ones.
const fn spread(hash: u32) -> u64 {
    (hash as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Index {
    pub(crate) const fn new(key: Key) -> Self {
        Self { key, entries: HashTable::new() }
    }

    /// The number under `words` for which `is` holds.
    #[inline]
    pub(crate) fn find(&self, words: &[u64], mut is: impl FnMut(u64) -> bool) -> Option<u64> {
        if self.entries.is_empty() {
            return None;
        }
        let hash = self.key.quick(words);
        let folded = fold(hash);
        let found = self.entries.find(spread(folded), |entry| entry.hash == folded && is(entry.number()));
        found.map(Entry::number)
    }

    /// Adds a number under `words`, under which it is not yet.
    pub(crate) fn insert(&mut self, words: &[u64], number: u64) {
        let hash = self.key.quick(words);
        let entry = Entry::new(hash, number);
        self.entries.insert_unique(spread(entry.hash), entry, |entry| spread(entry.hash));
    }

    /// Takes a number away from under `words`.
    pub(crate) fn remove(&mut self, words: &[u64], number: u64) {
        let hash = self.key.quick(words);
        if let Ok(entry) = self.entries.find_entry(spread(fold(hash)), |entry| entry.number() == number) {
            entry.remove();
        }
        if self.entries.is_empty() {
            self.entries = HashTable::new();
        }
    }
}

/// An address as a number; IPv4 as its IPv4-mapped form (RFC 4291 §2.5.5.2), which never arrives in IPv6.
#[inline]
pub(crate) fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => 0xffff_0000_0000 | u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    }
}

/// An address as two words to hash.
#[inline]
pub(crate) fn words_of(address: IpAddr) -> [u64; 2] {
    let number = number_of(address);
    [(number >> 64) as u64, number as u64]
}
