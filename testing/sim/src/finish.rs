//! What a network card does to a packet with marks before it goes on a wire: cuts large segments, and finishes
//! checksums (Virtual I/O Device 1.2 §5.1.6.2).

use packet::{Bytes, Checksum, Packet, Segmentation, SegmentationKind};
use wire::checksum::{self, Sum};
use wire::{ipv4, ipv6, tcp, udp};

/// The frames that `packet` stands for, with their checksums.
///
/// # Panics
///
/// Where the marks do not fit the bytes: whoever set them is wrong.
pub fn finish(packet: Packet) -> Vec<Bytes> {
    let offload = packet.offload;
    let frame = packet.into_bytes();
    let frames = match offload.segmentation {
        Some(segmentation) => {
            let Checksum::Partial { start, .. } = offload.checksum else {
                panic!("a packet to be cut whose checksum the device is not asked to finish");
            };
            cut(&frame, segmentation, usize::from(start))
        }
        None => vec![frame],
    };
    match offload.checksum {
        Checksum::Complete | Checksum::Verified => frames,
        Checksum::Partial { start, offset } => {
            frames.into_iter().map(|frame| summed(frame, start.into(), offset.into())).collect()
        }
    }
}

/// The frame with the checksum stored that its field, holding the pseudo-header's sum, stands for.
fn summed(frame: Bytes, start: usize, offset: usize) -> Bytes {
    let mut frame = Vec::from(frame);
    let mut sum = Sum::new();
    sum.add(&frame[start..]);
    let value = if offset == udp::CHECKSUM_OFFSET { udp::checksum(sum) } else { sum.checksum() };
    frame[start + offset..start + offset + 2].copy_from_slice(&value.to_be_bytes());
    Bytes::from(frame)
}

/// The segments of a large frame whose transport header is at `transport`, with the pseudo-header's sum in each.
fn cut(frame: &[u8], segmentation: Segmentation, transport: usize) -> Vec<Bytes> {
    let (headers, payload) = frame.split_at(usize::from(segmentation.header_length));
    let size = usize::from(segmentation.size);
    assert!(size > 0 && !payload.is_empty(), "nothing to cut");
    let count = payload.len().div_ceil(size);
    let pieces = payload.chunks(size).enumerate();
    pieces
        .map(|(index, piece)| {
            let mut out = headers.to_vec();
            let network = network_header(&out, transport);
            let length = out.len() - transport + piece.len();
            fix_network(&mut out, network, transport, piece.len(), index);
            match segmentation.kind {
                SegmentationKind::Tcp4 | SegmentationKind::Tcp6 => {
                    fix_tcp(&mut out[transport..], (index * size) as u32, index == 0, index + 1 == count);
                }
                SegmentationKind::Udp => {
                    out[transport + 4..transport + 6].copy_from_slice(&(length as u16).to_be_bytes());
                }
            }
            let at = transport + checksum_offset(segmentation.kind);
            let sum = pseudo_header(&out[network..transport], length).partial();
            out[at..at + 2].copy_from_slice(&sum.to_be_bytes());
            out.extend_from_slice(piece);
            Bytes::from(out)
        })
        .collect()
}

fn checksum_offset(kind: SegmentationKind) -> usize {
    match kind {
        SegmentationKind::Tcp4 | SegmentationKind::Tcp6 => tcp::CHECKSUM_OFFSET,
        SegmentationKind::Udp => udp::CHECKSUM_OFFSET,
    }
}

/// Where the IP header in front of the transport header at `transport` starts: with or without Ethernet's.
fn network_header(frame: &[u8], transport: usize) -> usize {
    let ethernet = wire::ethernet::HEADER_LENGTH;
    let is_ip = |at: usize| match frame[at] >> 4 {
        4 => at + usize::from(frame[at] & 15) * 4 == transport,
        6 => at + ipv6::HEADER_LENGTH == transport,
        _ => false,
    };
    [0, ethernet].into_iter().find(|&at| is_ip(at)).expect("an IP header in front of the transport header")
}

/// Lengths, identification and header checksum of one segment.
fn fix_network(out: &mut [u8], network: usize, transport: usize, payload: usize, index: usize) {
    let total = out.len() - network + payload;
    if out[network] >> 4 == 6 {
        let length = (total - ipv6::HEADER_LENGTH) as u16;
        out[network + 4..network + 6].copy_from_slice(&length.to_be_bytes());
        return;
    }
    let identification = u16::from_be_bytes([out[network + 4], out[network + 5]]).wrapping_add(index as u16);
    out[network + 2..network + 4].copy_from_slice(&(total as u16).to_be_bytes());
    out[network + 4..network + 6].copy_from_slice(&identification.to_be_bytes());
    out[network + 10..network + 12].fill(0);
    let sum = checksum::checksum(&out[network..transport]);
    out[network + 10..network + 12].copy_from_slice(&sum.to_be_bytes());
}

/// Sequence number and flags of one segment: CWR on the first only, FIN and PSH on the last only.
fn fix_tcp(header: &mut [u8], offset: u32, first: bool, last: bool) {
    let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]).wrapping_add(offset);
    header[4..8].copy_from_slice(&sequence.to_be_bytes());
    if !first {
        header[13] &= !(tcp::Flags::CWR.0 as u8);
    }
    if !last {
        header[13] &= !((tcp::Flags::FIN.0 | tcp::Flags::PSH.0) as u8);
    }
}

fn pseudo_header(network: &[u8], length: usize) -> Sum {
    if network[0] >> 4 == 4 {
        let (header, _) = ipv4::Header::parse_quoted(network).expect("checked when it was found");
        Sum::pseudo_v4(header.source, header.destination, header.protocol, length)
    } else {
        let (header, _) = ipv6::Header::parse_quoted(network).expect("checked when it was found");
        Sum::pseudo_v6(header.source, header.destination, header.next_header, length)
    }
}
