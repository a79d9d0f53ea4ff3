//! Payload as a chain of reference-counted chunks.

use alloc::collections::VecDeque;
use bytes::Bytes;

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
    chunks: VecDeque<Bytes>,
    length: usize,
}

impl Chain {
    /// An empty chain.
    pub const fn new() -> Self {
        Self { chunks: VecDeque::new(), length: 0 }
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
        self.chunks.push_back(chunk);
    }

    /// The chunks, in order.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.chunks.iter()
    }

    /// Takes the first chunk.
    pub fn pop(&mut self) -> Option<Bytes> {
        let chunk = self.chunks.pop_front()?;
        self.length -= chunk.len();
        self.shed();
        Some(chunk)
    }

    /// Puts a chunk back before the first.
    pub fn push_front(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.length += chunk.len();
        self.chunks.push_front(chunk);
    }

    /// Drops `count` bytes at the front, or all that there are.
    pub fn advance(&mut self, count: usize) {
        let mut left = count.min(self.length);
        self.length -= left;
        while left > 0 {
            let Some(first) = self.chunks.front_mut() else { break };
            if first.len() > left {
                let _ = first.split_to(left);
                return;
            }
            left -= first.len();
            self.chunks.pop_front();
        }
        self.shed();
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
        for chunk in &self.chunks {
            if left == 0 {
                break;
            }
            if skip >= chunk.len() {
                skip -= chunk.len();
                continue;
            }
            let end = chunk.len().min(skip + left);
            left -= end - skip;
            out.push(chunk.slice(skip..end));
            skip = 0;
        }
        out
    }

    /// All bytes, copied into one vector.
    pub fn to_vec(&self) -> alloc::vec::Vec<u8> {
        let mut out = alloc::vec::Vec::with_capacity(self.length);
        for chunk in &self.chunks {
            out.extend_from_slice(chunk);
        }
        out
    }

    /// Gives the list's own memory back once nothing is in it.
    fn shed(&mut self) {
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
        }
    }
}

impl From<Bytes> for Chain {
    fn from(chunk: Bytes) -> Self {
        let mut chain = Self::new();
        chain.push(chunk);
        chain
    }
}
