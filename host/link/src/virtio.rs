//! The header in front of each frame that carries its offload marks (Virtual I/O Device 1.2 §5.1.6).
//!
//! ```text
//!  0       1          2         4          6            8             10
//!  | flags | gso_type | hdr_len | gso_size | csum_start | csum_offset |   in the machine's byte order
//! ```
//!
//! The legacy form without `num_buffers`: ten bytes, so that the IP header behind the 14 bytes of Ethernet is
//! aligned. TAP and packet sockets both speak it.

use packet::{Checksum, Offload, Segmentation, SegmentationKind};

/// Bytes of the header.
pub const VIRTIO_HEADER_LENGTH: usize = 10;

/// The checksum at `csum_start + csum_offset` is to be finished.
const NEEDS_CSUM: u8 = 1;
/// The checksum was checked by the device.
const DATA_VALID: u8 = 2;

const GSO_NONE: u8 = 0;
const GSO_TCP4: u8 = 1;
const GSO_TCP6: u8 = 4;
const GSO_UDP_SEGMENTS: u8 = 5;
/// Set beside the TCP types: the first segment alone carries CWR. Our segments are cut by the kernel, which
/// sees to that by itself, so the mark need not be kept.
const GSO_ECN: u8 = 0x80;

/// Bytes of the smallest header chain that is cut into segments: Ethernet, IPv4, UDP.
const ETHERNET_LENGTH: usize = 14;
const TCP_LENGTH_MIN: usize = 20;
const UDP_LENGTH: usize = 8;

/// The ten bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtioHeader(pub [u8; VIRTIO_HEADER_LENGTH]);

/// A header that contradicts the frame behind it, or asks for what was not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl VirtioHeader {
    /// The header that says `offload`.
    pub fn encode(offload: &Offload) -> Self {
        let mut bytes = [0; VIRTIO_HEADER_LENGTH];
        if let Checksum::Partial { start, offset } = offload.checksum {
            bytes[0] = NEEDS_CSUM;
            bytes[6..8].copy_from_slice(&start.to_ne_bytes());
            bytes[8..10].copy_from_slice(&offset.to_ne_bytes());
        }
        if let Some(segmentation) = offload.segmentation {
            bytes[1] = match segmentation.kind {
                SegmentationKind::Tcp4 => GSO_TCP4,
                SegmentationKind::Tcp6 => GSO_TCP6,
                SegmentationKind::Udp => GSO_UDP_SEGMENTS,
            };
            bytes[2..4].copy_from_slice(&segmentation.header_length.to_ne_bytes());
            bytes[4..6].copy_from_slice(&segmentation.size.to_ne_bytes());
        }
        Self(bytes)
    }

    /// What the header says about `frame`, checked against it: whoever reads the marks need not check again
    /// that they lie inside the frame.
    ///
    /// The kernel writes these bytes, but partly from what the other side of the link made; none is believed.
    /// `hdr_len` is not used at all: it is a hint, and for a large packet often far too long.
    ///
    /// # Errors
    ///
    /// Where a mark lies outside the frame, or the kind of segment is none that we offer.
    pub fn decode(&self, frame: &[u8]) -> Result<Offload, Malformed> {
        let [flags, gso_type, ..] = self.0;
        let checksum = if flags & NEEDS_CSUM != 0 {
            let (start, offset) = (self.field(6), self.field(8));
            let end = usize::from(start) + usize::from(offset) + 2;
            if usize::from(start) < ETHERNET_LENGTH || end > frame.len() {
                return Err(Malformed);
            }
            Checksum::Partial { start, offset }
        } else if flags & DATA_VALID != 0 {
            Checksum::Verified
        } else {
            Checksum::Complete
        };
        let segmentation = match gso_type & !GSO_ECN {
            GSO_NONE => None,
            GSO_TCP4 => Some(self.segmentation(SegmentationKind::Tcp4, checksum, frame)?),
            GSO_TCP6 => Some(self.segmentation(SegmentationKind::Tcp6, checksum, frame)?),
            GSO_UDP_SEGMENTS => Some(self.segmentation(SegmentationKind::Udp, checksum, frame)?),
            _ => return Err(Malformed),
        };
        Ok(Offload { checksum, segmentation })
    }

    /// The segments of a large packet. Where its transport header starts is known from the checksum mark,
    /// which Linux sets on every large packet.
    fn segmentation(
        &self,
        kind: SegmentationKind,
        checksum: Checksum,
        frame: &[u8],
    ) -> Result<Segmentation, Malformed> {
        let Checksum::Partial { start, .. } = checksum else { return Err(Malformed) };
        let transport = frame.get(usize::from(start)..).ok_or(Malformed)?;
        let transport_length = match kind {
            SegmentationKind::Udp => UDP_LENGTH,
            SegmentationKind::Tcp4 | SegmentationKind::Tcp6 => {
                usize::from(transport.get(12).ok_or(Malformed)? >> 4) * 4
            }
        };
        let short = kind != SegmentationKind::Udp && transport_length < TCP_LENGTH_MIN;
        let size = self.field(4);
        if short || size == 0 || transport_length > transport.len() {
            return Err(Malformed);
        }
        let header_length = start.checked_add(transport_length as u16).ok_or(Malformed)?;
        Ok(Segmentation { kind, size, header_length })
    }

    /// The 16 bits at `offset`, which is a constant below the length.
    fn field(&self, offset: usize) -> u16 {
        u16::from_ne_bytes([self.0[offset], self.0[offset + 1]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp_frame(payload: usize) -> Vec<u8> {
        let mut frame = vec![0; 14 + 20 + 32 + payload];
        frame[34 + 12] = 8 << 4;
        frame
    }

    #[test]
    fn marks_survive_the_way_there_and_back() {
        let frame = tcp_frame(5000);
        let partial = Checksum::Partial { start: 34, offset: 16 };
        let segmentation = Segmentation { kind: SegmentationKind::Tcp4, size: 1448, header_length: 66 };
        for offload in [
            Offload::default(),
            Offload { checksum: partial, segmentation: None },
            Offload { checksum: partial, segmentation: Some(segmentation) },
            Offload {
                checksum: partial,
                segmentation: Some(Segmentation { kind: SegmentationKind::Tcp6, ..segmentation }),
            },
            Offload {
                checksum: partial,
                segmentation: Some(Segmentation {
                    kind: SegmentationKind::Udp,
                    size: 1200,
                    header_length: 42,
                }),
            },
        ] {
            assert_eq!(VirtioHeader::encode(&offload).decode(&frame), Ok(offload));
        }
        assert_eq!(
            VirtioHeader([DATA_VALID, 0, 0, 0, 0, 0, 0, 0, 0, 0]).decode(&frame),
            Ok(Offload { checksum: Checksum::Verified, segmentation: None })
        );
    }

    #[test]
    fn the_congestion_mark_beside_the_type_is_no_type_of_its_own() {
        let offload = Offload {
            checksum: Checksum::Partial { start: 34, offset: 16 },
            segmentation: Some(Segmentation { kind: SegmentationKind::Tcp4, size: 1448, header_length: 66 }),
        };
        let mut header = VirtioHeader::encode(&offload);
        header.0[1] |= GSO_ECN;
        assert_eq!(header.decode(&tcp_frame(5000)), Ok(offload));
    }

    #[test]
    fn marks_outside_the_frame_are_malformed() {
        let frame = tcp_frame(100);
        let header = |start: u16, offset: u16, gso: u8, size: u16| {
            let mut bytes = [NEEDS_CSUM, gso, 0, 0, 0, 0, 0, 0, 0, 0];
            bytes[4..6].copy_from_slice(&size.to_ne_bytes());
            bytes[6..8].copy_from_slice(&start.to_ne_bytes());
            bytes[8..10].copy_from_slice(&offset.to_ne_bytes());
            VirtioHeader(bytes).decode(&frame)
        };
        assert!(header(34, 16, GSO_NONE, 0).is_ok());
        assert_eq!(header(13, 16, GSO_NONE, 0), Err(Malformed), "inside the Ethernet header");
        assert_eq!(header(34, frame.len() as u16 - 35, GSO_NONE, 0), Err(Malformed), "half a field");
        assert_eq!(header(u16::MAX, u16::MAX, GSO_NONE, 0), Err(Malformed));
        assert_eq!(header(34, 16, GSO_TCP4, 0), Err(Malformed), "segments of no size");
        assert_eq!(header(14, 16, GSO_TCP4, 9), Err(Malformed), "a TCP header of no length");
        assert_eq!(header(34, 16, 3, 9), Err(Malformed), "fragments of UDP were not offered");
        assert_eq!(header(frame.len() as u16 - 4, 2, GSO_UDP_SEGMENTS, 9), Err(Malformed));
        let mut unmarked = VirtioHeader::default();
        unmarked.0[1] = GSO_TCP4;
        unmarked.0[4] = 9;
        assert_eq!(unmarked.decode(&frame), Err(Malformed), "segments without a checksum mark");
    }

    #[test]
    fn no_header_and_no_frame_make_it_panic() {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..20_000 {
            let frame: Vec<u8> = (0..next() % 96).map(|_| next() as u8).collect();
            let mut bytes = [0; VIRTIO_HEADER_LENGTH];
            bytes.fill_with(|| (next() % 80) as u8 & if next() & 1 == 0 { 0xff } else { 1 });
            if let Ok(offload) = VirtioHeader(bytes).decode(&frame) {
                if let Checksum::Partial { start, offset } = offload.checksum {
                    assert!(usize::from(start) + usize::from(offset) + 2 <= frame.len());
                }
                if let Some(segmentation) = offload.segmentation {
                    assert!(segmentation.size > 0 && usize::from(segmentation.header_length) <= frame.len());
                }
            }
        }
    }
}
