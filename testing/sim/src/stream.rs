//! The model of a byte stream: both ends know every byte of it without telling each other.

use crate::random::Random;
use packet::Bytes;

/// Bytes that are produced at once.
const BLOCK_BYTES: usize = 16 << 10;

/// Bytes that a number decides, produced and compared in order.
pub(crate) struct Stream {
    random: Random,
    pub(crate) length: u64,
    pub(crate) position: u64,
    block: Bytes,
}

impl core::fmt::Debug for Stream {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} of {} bytes", self.position, self.length)
    }
}

impl Stream {
    pub(crate) fn new(seed: u64, length: u64) -> Self {
        Self { random: Random::new(seed), length, position: 0, block: Bytes::new() }
    }

    /// The bytes that come next, at most `count`; empty at the end.
    pub(crate) fn next(&mut self, count: usize) -> Bytes {
        if self.block.is_empty() {
            let size = (self.length - self.position).min(BLOCK_BYTES as u64) as usize;
            let mut block = Vec::with_capacity(size + 8);
            while block.len() < size {
                block.extend(self.random.draw().to_le_bytes());
            }
            block.truncate(size);
            self.block = Bytes::from(block);
        }
        self.block.slice(..count.min(self.block.len()))
    }

    pub(crate) fn advance(&mut self, count: usize) {
        let _ = self.block.split_to(count);
        self.position += count as u64;
    }

    /// Compares bytes that have arrived with those that come next.
    ///
    /// # Panics
    ///
    /// Where they are others, or more than there are.
    pub(crate) fn compare(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let expected = self.next(data.len());
            assert!(!expected.is_empty(), "more arrived than was sent");
            assert!(data.starts_with(&expected), "other bytes than were sent, after {}", self.position);
            data = &data[expected.len()..];
            self.advance(expected.len());
        }
    }
}
