//! Frame buffers that come back to their pool when the last slice of them is dropped.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use bytes::Bytes;
use crossbeam_queue::ArrayQueue;

/// Buffers of one size, kept for reuse up to a bound. Clones share the buffers.
///
/// ```
/// use packet::Pool;
/// let pool = Pool::new(65_536, 4);
/// let mut buffer = pool.take();
/// buffer[..5].copy_from_slice(b"hello");
/// let frame = buffer.freeze(5);
/// assert_eq!(&frame[..], b"hello");
/// drop(frame);
/// assert_eq!(pool.idle(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Pool {
    free: Arc<ArrayQueue<Box<[u8]>>>,
    size: usize,
}

impl Pool {
    /// A pool of buffers of `size` bytes that keeps at most `kept_max` of them while they are idle.
    pub fn new(size: usize, kept_max: usize) -> Self {
        Self { free: Arc::new(ArrayQueue::new(kept_max.max(1))), size }
    }

    /// A buffer: an idle one, or a new one. Its contents are whatever its last user left.
    pub fn take(&self) -> FrameBuffer {
        let bytes = self.free.pop().unwrap_or_else(|| vec![0; self.size].into_boxed_slice());
        FrameBuffer { bytes, free: self.free.clone() }
    }

    /// The size of each buffer in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many buffers are waiting to be used again.
    pub fn idle(&self) -> usize {
        self.free.len()
    }
}

/// A buffer to write into; [`freeze`](Self::freeze) makes it shareable. Dropped, it returns to its pool.
///
/// ```
/// use packet::{Bytes, FrameBuffer, Pool};
///
/// let pool = Pool::new(2_048, 4);
/// let mut buffer: FrameBuffer = pool.take();
/// buffer[..3].fill(b'x');
/// let frame: Bytes = buffer.freeze(3);
/// let part = frame.slice(1..);
/// drop(frame);
/// // Somebody still looks at it.
/// assert_eq!((pool.idle(), &part[..]), (0, &b"xx"[..]));
/// drop(part);
/// assert_eq!(pool.idle(), 1);
/// ```
#[derive(Debug)]
pub struct FrameBuffer {
    bytes: Box<[u8]>,
    free: Arc<ArrayQueue<Box<[u8]>>>,
}

impl FrameBuffer {
    /// The first `length` bytes as shared bytes, without a copy. The buffer returns to its pool with the
    /// last slice of them.
    ///
    /// # Panics
    ///
    /// Where `length` is larger than the buffer.
    pub fn freeze(self, length: usize) -> Bytes {
        Bytes::from_owner(self).slice(..length)
    }
}

impl core::ops::Deref for FrameBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl core::ops::DerefMut for FrameBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for FrameBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for FrameBuffer {
    fn drop(&mut self) {
        // A full pool lets the buffer go.
        let _ = self.free.push(core::mem::take(&mut self.bytes));
    }
}
