//! Payload as a chain of reference-counted chunks.

use alloc::collections::{VecDeque, vec_deque};
use bytes::{Buf, Bytes};

/// Bytes in order, in shared chunks: appended, split and dropped at the front without a copy.
///
/// An empty chain owns no memory.
///
/// ```
/// use packet::{Bytes, Chain};
/// let mut chain = Chain::new();
/// chain.push(Bytes::from_static(b"hello "));
/// chain.push(Bytes::from_static(b"world"));
/// assert_eq!(chain.len(), 11);
/// assert_eq!(chain.split_to(8).to_vec(), b"hello wo");
/// assert_eq!(chain.to_vec(), b"rld");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// The first chunk, in place: most chains have one, and then own no list. Empty where the chain is.
    first: Bytes,
    rest: VecDeque<Bytes>,
    length: usize,
}

impl Chain {
    /// An empty chain.
    pub const fn new() -> Self {
        Self { first: Bytes::new(), rest: VecDeque::new(), length: 0 }
    }

    /// How many bytes the chain holds.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether the chain holds no bytes.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends a chunk; an empty one is not kept.
    pub fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.length += chunk.len();
        if self.first.is_empty() {
            self.first = chunk;
        } else {
            self.rest.push_back(chunk);
        }
    }

    /// The chunks, in order.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        let first = if self.first.is_empty() { None } else { Some(&self.first) };
        Chunks { first, rest: self.rest.iter() }
    }

    /// Takes the first chunk.
    pub fn pop(&mut self) -> Option<Bytes> {
        if self.first.is_empty() {
            return None;
        }
        let next = self.next();
        let chunk = core::mem::replace(&mut self.first, next);
        self.length -= chunk.len();
        Some(chunk)
    }

    /// Puts a chunk back before the first.
    pub fn push_front(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.length += chunk.len();
        let second = core::mem::replace(&mut self.first, chunk);
        if !second.is_empty() {
            self.rest.push_front(second);
        }
    }

    /// Drops `count` bytes at the front, or all that there are.
    pub fn advance(&mut self, count: usize) {
        let mut left = count.min(self.length);
        self.length -= left;
        while left > 0 {
            if self.first.len() > left {
                self.first.advance(left);
                return;
            }
            left -= self.first.len();
            self.first = self.next();
        }
    }

    /// Takes the first `count` bytes (or all that there are) as a chain of their own.
    pub fn split_to(&mut self, count: usize) -> Self {
        let taken = self.slice(0, count);
        self.advance(count);
        taken
    }

    /// The bytes `offset .. offset + count` as a chain that shares them, as far as they exist.
    pub fn slice(&self, offset: usize, count: usize) -> Self {
        let mut out = Self::new();
        let mut skip = offset;
        let mut left = count;
        for chunk in self.chunks() {
            if left == 0 {
                break;
            }
            if skip >= chunk.len() {
                skip -= chunk.len();
                continue;
            }
            let end = chunk.len().min(skip.saturating_add(left));
            left -= end - skip;
            out.push(chunk.slice(skip..end));
            skip = 0;
        }
        out
    }

    /// All bytes, copied into one vector.
    pub fn to_vec(&self) -> alloc::vec::Vec<u8> {
        let mut out = alloc::vec::Vec::with_capacity(self.length);
        for chunk in self.chunks() {
            out.extend_from_slice(chunk);
        }
        out
    }

    /// Takes the second chunk out of the list, which gives its memory back once nothing is in it.
    fn next(&mut self) -> Bytes {
        let next = self.rest.pop_front().unwrap_or_default();
        if self.rest.is_empty() && self.rest.capacity() > 0 {
            self.rest = VecDeque::new();
        }
        next
    }
}

/// The chunks of a chain, in order.
struct Chunks<'a> {
    first: Option<&'a Bytes>,
    rest: vec_deque::Iter<'a, Bytes>,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a Bytes;

    fn next(&mut self) -> Option<&'a Bytes> {
        self.first.take().or_else(|| self.rest.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = usize::from(self.first.is_some()) + self.rest.len();
        (count, Some(count))
    }
}

impl ExactSizeIterator for Chunks<'_> {}

impl From<Bytes> for Chain {
    fn from(chunk: Bytes) -> Self {
        Self { length: chunk.len(), first: chunk, rest: VecDeque::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn whole(chain: &Chain) -> Vec<u8> {
        assert_eq!(chain.chunks().len(), chain.chunks().count());
        assert!(chain.chunks().all(|chunk| !chunk.is_empty()));
        let bytes = chain.to_vec();
        assert_eq!((chain.len(), chain.is_empty()), (bytes.len(), bytes.is_empty()));
        bytes
    }

    /// Every operation against the same on a vector, in an order drawn from a small generator.
    #[test]
    fn chain_is_what_a_vector_would_be() {
        let mut random = 1u64;
        let mut draw = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below
        };
        let mut chain = Chain::new();
        let mut model: Vec<u8> = Vec::new();
        for step in 0..20_000usize {
            let size = draw(6);
            let bytes: Vec<u8> = (0..size).map(|n| (step + n) as u8).collect();
            match draw(6) {
                0 | 1 => {
                    model.extend_from_slice(&bytes);
                    chain.push(bytes.into());
                }
                2 => {
                    model.splice(0..0, bytes.iter().copied());
                    chain.push_front(bytes.into());
                }
                3 => {
                    let count = draw(12);
                    model.drain(..count.min(model.len()));
                    chain.advance(count);
                }
                4 => {
                    let count = draw(12);
                    let taken: Vec<u8> = model.drain(..count.min(model.len())).collect();
                    assert_eq!(whole(&chain.split_to(count)), taken);
                }
                _ => {
                    let first = chain.pop().unwrap_or_default();
                    assert_eq!(first, model.drain(..first.len()).collect::<Vec<u8>>());
                }
            }
            assert_eq!(whole(&chain), model);
            let (offset, count) = (draw(20), draw(20));
            let end = (offset + count).min(model.len());
            assert_eq!(whole(&chain.slice(offset, count)), model[offset.min(end)..end]);
        }
    }

    #[test]
    fn chain_of_one_chunk_owns_no_list() {
        let mut chain = Chain::from(Bytes::from_static(b"one"));
        assert_eq!(chain.rest.capacity(), 0);
        chain.push(Bytes::from_static(b"two"));
        chain.advance(4);
        assert_eq!((chain.to_vec(), chain.rest.capacity()), (b"wo".to_vec(), 0));
    }
}
