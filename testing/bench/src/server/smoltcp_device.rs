//! A TAP for smoltcp that leaves segmentation and checksums to the kernel, as ours does.
//!
//! smoltcp makes no segment larger than what the other side announces, and knows of no offload: so it is told of an MTU of
//! 64 KB, and the MSS of the SYNs that it sees is raised to that. Each large segment is then marked to be cut at the real
//! one.

use link::Tap;
use packet::{Batch, Bytes, Checksum, Device, Offload, Packet, Segmentation, SegmentationKind};
use smoltcp::phy::{self, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use std::net::Ipv4Addr;
use wire::ethernet::{self, EtherType};
use wire::tcp::{CHECKSUM_OFFSET, Flags, Header};
use wire::{Protocol, checksum, ipv4};

use super::MTU;

/// Frames in a batch.
const BATCH_PACKETS: usize = 64;
/// The largest frame, below 64 KB with its Ethernet header.
const FRAME_BYTES: usize = 65_535;
/// What the MSS of a SYN is raised to.
const MSS_RAISED: u16 = 65_000;
/// Where the options of a TCP header begin, and the kind of the MSS option (RFC 9293 §3.2).
const OPTIONS_AT: usize = 20;
const KIND_MSS: [u8; 2] = [2, 4];

/// The device.
#[derive(Debug)]
pub struct OffloadingTap {
    tap: Tap,
    arrived: Batch,
}

impl OffloadingTap {
    /// Over an open TAP.
    pub fn new(tap: Tap) -> Self {
        Self { tap, arrived: Batch::with_capacity(BATCH_PACKETS) }
    }
}

impl phy::Device for OffloadingTap {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Leaving<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Arrived, Leaving<'_>)> {
        if self.arrived.is_empty() {
            // A device that is gone is one that receives nothing more.
            self.tap.receive(&mut self.arrived).ok()?;
        }
        let packet = self.arrived.pop()?;
        Some((Arrived(packet.into_bytes()), Leaving(&mut self.tap)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Leaving<'_>> {
        Some(Leaving(&mut self.tap))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME_BYTES;
        capabilities.checksum.tcp = phy::Checksum::None;
        capabilities
    }
}

/// A frame that has arrived.
#[derive(Debug)]
pub struct Arrived(Bytes);

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        match mss_at(&self.0) {
            Some(at) => {
                let mut frame = self.0.to_vec();
                frame[at..at + 2].copy_from_slice(&MSS_RAISED.to_be_bytes());
                take(&frame)
            }
            None => take(&self.0),
        }
    }
}

/// Where the MSS of a SYN stands.
fn mss_at(frame: &[u8]) -> Option<usize> {
    let (header, start, _) = segment(frame)?;
    let option = start + OPTIONS_AT;
    let first = frame.get(option..option + 2)? == KIND_MSS;
    (header.flags.contains(Flags::SYN) && first).then_some(option + 2)
}

/// The TCP header of a frame, where it begins, and its length.
fn segment(frame: &[u8]) -> Option<(Header, usize, usize)> {
    let (link, link_length) = ethernet::Header::parse(frame).ok()?;
    if link.ether_type != EtherType::IPV4 || *frame.get(link_length + 9)? != Protocol::TCP.0 {
        return None;
    }
    let start = link_length + ipv4::HEADER_LENGTH;
    let (header, length) = Header::parse(frame.get(start..)?).ok()?;
    Some((header, start, length))
}

/// A frame that is about to leave.
#[derive(Debug)]
pub struct Leaving<'a>(&'a mut Tap);

impl TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut frame = vec![0; length];
        let result = fill(&mut frame);
        let offload = marks(&mut frame);
        let mut batch = Batch::with_capacity(1);
        let packet = Packet { body: Bytes::from(frame).into(), offload, ..Packet::default() };
        if batch.push(packet).is_ok() {
            // What the device does not take is lost, as on a wire.
            let _ = self.0.transmit(&mut batch);
        }
        result
    }
}

/// Marks a TCP segment for the kernel, and stores the sum of its pseudo-header.
fn marks(frame: &mut [u8]) -> Offload {
    let Some((_, start, header_length)) = segment(frame) else { return Offload::default() };
    let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&frame[at..at + 4]).expect("four bytes"));
    let (source, destination) = (address(start - 8), address(start - 4));
    let sum = pseudo_sum(source, destination, frame.len() - start);
    frame[start + CHECKSUM_OFFSET..start + CHECKSUM_OFFSET + 2].copy_from_slice(&sum.to_be_bytes());
    let size = MTU - (ipv4::HEADER_LENGTH + header_length) as u16;
    let payload = frame.len() - start - header_length;
    let segmentation = (payload > usize::from(size)).then_some(Segmentation {
        kind: SegmentationKind::Tcp4,
        size,
        header_length: (start + header_length) as u16,
    });
    Offload {
        checksum: Checksum::Partial { start: start as u16, offset: CHECKSUM_OFFSET as u16 },
        segmentation,
    }
}

/// The folded sum of a TCP segment's pseudo-header, which a device goes on from (RFC 9293 §3.1).
pub fn pseudo_sum(source: Ipv4Addr, destination: Ipv4Addr, length: usize) -> u16 {
    !checksum::Sum::pseudo_v4(source, destination, Protocol::TCP, length).checksum()
}
