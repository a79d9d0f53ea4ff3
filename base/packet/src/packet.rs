//! A packet: headers written in place, payload shared.

use crate::{Chain, Offload};
use bytes::Bytes;
use core::fmt;

/// Room for headers in front of the payload, in bytes: Ethernet 14, IPv6 40, TCP 60, and 14 to spare.
pub const HEADER_CAPACITY: usize = 128;

/// One frame on its way in or out.
///
/// A packet to transmit carries its headers in [`headers`](Self::headers) and its payload as a chain of
/// shared chunks in [`body`](Self::body). A received packet is one chunk in `body`, headers and all,
/// with nothing in `headers`.
///
/// ```
/// use packet::{Bytes, Chain, Offload, Packet};
///
/// // The innermost header is written first.
/// let mut packet = Packet { body: Chain::from(Bytes::from_static(b"payload")), ..Packet::default() };
/// packet.headers.prepend(8).fill(b'u');
/// packet.headers.prepend(20).fill(b'i');
/// assert_eq!((packet.len(), packet.headers[..21].to_vec()), (35, b"iiiiiiiiiiiiiiiiiiiiu".to_vec()));
/// let frame = packet.into_bytes();
/// assert!(frame.ends_with(b"uuuuuuuupayload"));
///
/// // Received: one chunk, which comes back without a copy.
/// let at = frame.as_ptr();
/// let received = Packet::received(frame, Offload::default());
/// assert!(received.headers.is_empty() && received.into_bytes().as_ptr() == at);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Packet {
    /// Headers that were written for this packet.
    pub headers: Headers,
    /// Everything after them.
    pub body: Chain,
    /// What the device has to do, or has done.
    pub offload: Offload,
}

impl Packet {
    /// A received frame: all of it in one chunk. An example is at [`Packet`].
    pub fn received(frame: Bytes, offload: Offload) -> Self {
        Self { headers: Headers::new(), body: Chain::from(frame), offload }
    }

    /// Length on the wire in bytes, headers and body.
    pub fn len(&self) -> usize {
        self.headers.len() + self.body.len()
    }

    /// Whether there is not a byte in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The frame as one chunk; without a copy where it is one already.
    pub fn into_bytes(mut self) -> Bytes {
        if self.headers.is_empty() && self.body.chunks().len() == 1 {
            return self.body.pop().unwrap_or_default();
        }
        let mut out = alloc::vec::Vec::with_capacity(self.len());
        out.extend_from_slice(&self.headers);
        for chunk in self.body.chunks() {
            out.extend_from_slice(chunk);
        }
        Bytes::from(out)
    }
}

/// Header bytes, filled from the back: the innermost header is written first.
///
/// ```
/// use packet::Headers;
///
/// let mut headers = Headers::new();
/// headers.prepend(2).copy_from_slice(b"in");
/// headers.prepend(3).copy_from_slice(b"out");
/// assert_eq!(&headers[..], b"outin");
/// ```
#[derive(Clone)]
pub struct Headers {
    bytes: [u8; HEADER_CAPACITY],
    start: u8,
}

impl Headers {
    /// No headers yet.
    pub const fn new() -> Self {
        Self { bytes: [0; HEADER_CAPACITY], start: HEADER_CAPACITY as u8 }
    }

    /// Room for a header of `length` bytes in front of those written so far, zeroed.
    ///
    /// # Panics
    ///
    /// Where the headers together are larger than [`HEADER_CAPACITY`]: their sizes are our own.
    pub fn prepend(&mut self, length: usize) -> &mut [u8] {
        let end = usize::from(self.start);
        assert!(length <= end, "headers are larger than HEADER_CAPACITY");
        self.start = (end - length) as u8;
        &mut self.bytes[end - length..end]
    }
}

impl Default for Headers {
    fn default() -> Self {
        Self::new()
    }
}

impl core::ops::Deref for Headers {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

impl core::ops::DerefMut for Headers {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[usize::from(self.start)..]
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
