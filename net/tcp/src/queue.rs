//! A stream's bytes in shared chunks: appended, sliced anywhere and dropped at the front without a copy.
//!
//! Each chunk knows its position in the stream, so a slice in the middle is found by bisection, however many
//! chunks wait. Small chunks that follow others are copied together, so that a stream of single bytes costs
//! what its bytes cost. An empty queue owns no memory.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use packet::{Bytes, Chain};

/// Chunks of at least this many bytes are kept as they are; smaller ones are copied together.
const COPIED_BYTES_MAX: usize = 512;
/// A run of small chunks that were copied together is closed at this size.
const RUN_BYTES_MAX: usize = 16_384;
/// Chunks that one queue may hold. Only segments of a few bytes each, sent at once and unacknowledged, get
/// here: the writer waits then.
pub(crate) const CHUNKS_MAX: usize = 16_384;

#[derive(Debug, Default)]
pub(crate) struct ByteQueue {
    chunks: VecDeque<Chunk>,
    /// Small chunks being copied together: the end of the stream.
    run: Vec<u8>,
    /// The position of the first byte, modulo 2^32.
    start: u32,
    length: u32,
}

#[derive(Debug)]
struct Chunk {
    position: u32,
    bytes: Bytes,
}

impl ByteQueue {
    pub(crate) fn len(&self) -> usize {
        self.length as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.chunks.capacity() + self.run.capacity()
    }

    /// Whether it holds as many chunks as it may.
    pub(crate) fn is_full(&self) -> bool {
        self.chunks.len() >= CHUNKS_MAX
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len() as u32;
        // The first chunk is never copied: a request and its answer are one small chunk each.
        if bytes.len() < COPIED_BYTES_MAX && !self.is_empty() {
            if self.run.len() + bytes.len() > RUN_BYTES_MAX {
                self.close_run();
            }
            self.run.extend_from_slice(&bytes);
        } else {
            self.close_run();
            self.chunks.push_back(Chunk { position: self.start.wrapping_add(self.length), bytes });
        }
        self.length += length;
    }

    /// The bytes `offset .. offset + count` as a chain that shares them, as far as they exist.
    pub(crate) fn slice(&mut self, offset: usize, count: usize) -> Chain {
        let mut out = Chain::new();
        let end = (offset + count).min(self.len());
        if offset >= end {
            return out;
        }
        if end > self.len() - self.run.len() {
            self.close_run();
        }
        let start = self.start;
        let at = |chunk: &Chunk| chunk.position.wrapping_sub(start) as usize;
        let first = self.chunks.partition_point(|chunk| at(chunk) <= offset) - 1;
        for chunk in self.chunks.range(first..) {
            let here = at(chunk);
            if here >= end {
                break;
            }
            let from = offset.saturating_sub(here);
            let to = (end - here).min(chunk.bytes.len());
            out.push(chunk.bytes.slice(from..to));
        }
        out
    }

    /// Drops `count` bytes at the front, or all that there are.
    pub(crate) fn advance(&mut self, count: usize) {
        let mut left = count.min(self.len());
        while left > 0 {
            match self.pop(left) {
                Some(bytes) => left -= bytes.len(),
                None => break,
            }
        }
    }

    /// Takes the first chunk, or its first `bytes_max` bytes.
    pub(crate) fn pop(&mut self, bytes_max: usize) -> Option<Bytes> {
        if bytes_max == 0 {
            return None;
        }
        if self.chunks.is_empty() {
            self.close_run();
        }
        let first = self.chunks.front_mut()?;
        let bytes = if first.bytes.len() > bytes_max {
            first.position = first.position.wrapping_add(bytes_max as u32);
            first.bytes.split_to(bytes_max)
        } else {
            self.chunks.pop_front()?.bytes
        };
        self.start = self.start.wrapping_add(bytes.len() as u32);
        self.length -= bytes.len() as u32;
        if self.length == 0 {
            self.clear();
        }
        Some(bytes)
    }

    /// Fills `into` from the front and leaves everything where it is; how many bytes there were.
    pub(crate) fn peek(&self, into: &mut [u8]) -> usize {
        let mut filled = 0;
        let chunks = self.chunks.iter().map(|chunk| &chunk.bytes[..]);
        for bytes in chunks.chain(core::iter::once(&self.run[..])) {
            let count = bytes.len().min(into.len() - filled);
            into[filled..filled + count].copy_from_slice(&bytes[..count]);
            filled += count;
            if filled == into.len() {
                break;
            }
        }
        filled
    }

    /// Drops everything, the list's own memory too.
    pub(crate) fn clear(&mut self) {
        *self = Self { start: self.start.wrapping_add(self.length), ..Self::default() };
    }

    fn close_run(&mut self) {
        if self.run.is_empty() {
            return;
        }
        let run = core::mem::take(&mut self.run);
        let position = self.start.wrapping_add(self.length).wrapping_sub(run.len() as u32);
        self.chunks.push_back(Chunk { position, bytes: Bytes::from(run) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(length: usize, seed: u8) -> Bytes {
        Bytes::from((0..length).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect::<Vec<u8>>())
    }

    proptest! {
        #[test]
        fn it_is_a_byte_vector(
            start in any::<u32>(),
            steps in proptest::collection::vec((0_u8..4, 0_usize..3_000, 0_usize..3_000), 1..60),
        ) {
            let mut queue = ByteQueue { start, ..ByteQueue::default() };
            let mut model = Vec::new();
            for (seed, &(kind, a, b)) in steps.iter().enumerate() {
                match kind {
                    0 | 1 => {
                        let chunk = bytes(if kind == 0 { a } else { a % 64 }, seed as u8);
                        model.extend_from_slice(&chunk);
                        queue.push(chunk);
                    }
                    2 => {
                        let count = a.min(model.len());
                        model.drain(..count);
                        queue.advance(a);
                    }
                    _ => {
                        let from = a.min(model.len());
                        let to = (a + b).min(model.len());
                        prop_assert_eq!(queue.slice(a, b).to_vec(), &model[from..to]);
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
            }
            let mut rest = Vec::new();
            while let Some(chunk) = queue.pop(700) {
                rest.extend_from_slice(&chunk);
            }
            prop_assert_eq!(rest, model);
        }
    }

    #[test]
    fn a_slice_shares_the_chunk_and_an_empty_queue_owns_nothing() {
        let mut queue = ByteQueue::default();
        let chunk = bytes(4_096, 1);
        let address = chunk.as_ptr();
        queue.push(chunk);
        let slice = queue.slice(1_000, 2_000);
        let first = slice.chunks().next().unwrap();
        assert_eq!(first.as_ptr() as usize, address as usize + 1_000);
        queue.advance(4_096);
        assert_eq!(queue.capacity(), 0);
    }

    #[test]
    fn small_chunks_are_copied_together() {
        let mut queue = ByteQueue::default();
        for _ in 0..10_000 {
            queue.push(Bytes::from_static(b"x"));
        }
        assert_eq!(queue.slice(0, 10_000).chunks().len(), 2);
    }

    #[test]
    fn the_number_of_chunks_is_bounded_by_whoever_asks() {
        let mut queue = ByteQueue::default();
        let mut sent = 0;
        while !queue.is_full() {
            queue.push(Bytes::from_static(b"x"));
            // Sent at once: the run is closed, and each byte stays a chunk.
            assert_eq!(queue.slice(sent, 1).len(), 1);
            sent += 1;
        }
        assert_eq!(sent, CHUNKS_MAX);
    }
}
