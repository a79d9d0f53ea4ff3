//! Numbers that a stranger cannot foresee, from a seed that the owner gives.

use std::hash::{DefaultHasher, Hasher};

/// A sequence of numbers from a seed of 32 random bytes: SipHash of the seed and a counter. Nobody who could use a
/// guess (somebody off the path to the upstream resolver, RFC 5452 §4) ever sees one of them.
#[derive(Debug)]
pub(super) struct Random {
    seed: [u8; 32],
    counter: u64,
}

impl Random {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0 }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.counter += 1;
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.seed[..16]);
        hasher.write_u64(self.counter);
        hasher.write(&self.seed[16..]);
        hasher.finish()
    }
}
