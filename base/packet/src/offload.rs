//! What the device has still to do for a packet, or has done for it.
//!
//! The marks carry what a virtio-net header carries (Virtual I/O Device 1.2 §5.1.6): where a checksum
//! is to be finished, and into what size a large segment is to be cut.

/// The marks of one packet.
///
/// ```
/// use packet::{Checksum, Offload, Segmentation, SegmentationKind};
///
/// // 14 bytes of Ethernet, 20 of IPv4, 20 of TCP; the checksum stands 16 bytes into TCP's header.
/// let checksum = Checksum::Partial { start: 34, offset: 16 };
/// let segmentation = Segmentation { kind: SegmentationKind::Tcp4, size: 1_460, header_length: 54 };
/// let large = Offload { checksum, segmentation: Some(segmentation) };
/// assert_ne!(large, Offload::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// Who has computed or checked the transport checksum.
    pub checksum: Checksum,
    /// Set where the packet stands for several segments.
    pub segmentation: Option<Segmentation>,
}

/// The state of a packet's transport checksum.
///
/// ```
/// use packet::Checksum;
///
/// /// Whether a receiver has to sum.
/// fn is_open(checksum: Checksum) -> bool {
///     match checksum {
///         Checksum::Complete => true,
///         Checksum::Verified | Checksum::Partial { .. } => false,
///     }
/// }
/// assert!(is_open(Checksum::default()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// In the bytes, in full; a receiver checks it.
    #[default]
    Complete,
    /// The device vouches for it (receive only).
    Verified,
    /// The field holds the folded sum of the pseudo-header only. Whoever puts the packet on a wire sums
    /// the bytes from `start` to the end and stores the complement at `start + offset`. On receive: the
    /// packet never left this machine, and its payload needs no check.
    Partial {
        /// Bytes from the first byte of the frame to the first byte to sum.
        start: u16,
        /// Bytes from `start` to the checksum field.
        offset: u16,
    },
}

/// A packet that stands for several: the device cuts the payload and repeats the headers.
///
/// ```
/// use packet::{Segmentation, SegmentationKind};
///
/// let cut = Segmentation { kind: SegmentationKind::Tcp6, size: 1_440, header_length: 74 };
/// // How many segments a packet of 64 KB becomes.
/// assert_eq!((65_536 - usize::from(cut.header_length)).div_ceil(cut.size.into()), 46);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segmentation {
    /// Which transport's headers are repeated.
    pub kind: SegmentationKind,
    /// Payload bytes of each segment but the last, which may be shorter.
    pub size: u16,
    /// Bytes of all headers, link layer included.
    pub header_length: u16,
}

/// The transport whose segments are joined.
///
/// ```
/// use packet::SegmentationKind;
///
/// /// Bytes of the smallest transport header.
/// fn header_bytes(kind: SegmentationKind) -> usize {
///     match kind {
///         SegmentationKind::Tcp4 | SegmentationKind::Tcp6 => 20,
///         SegmentationKind::Udp => 8,
///     }
/// }
/// assert_eq!(header_bytes(SegmentationKind::Udp), 8);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentationKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP over either version: each segment is a datagram of its own.
    Udp,
}
