//! A packet as a host sent it or was given it: what may be known of a connection without looking inside.

use crate::finish;
use crate::world::HostId;
use packet::{Checksum, Packet};
use std::net::{IpAddr, SocketAddr};
use time::Instant;
use wire::checksum::Sum;
use wire::{Protocol, ipv4, ipv6, tcp};

/// A packet at a host.
#[derive(Debug)]
pub struct Sighting {
    /// When.
    pub at: Instant,
    /// Where.
    pub host: HostId,
    /// Whether the host sent it; else it arrived there.
    pub sent: bool,
    /// The packet, marks and all.
    pub packet: Packet,
    /// What its connection told of itself once it had left, where that is [asked](crate::World::ask).
    pub info: Option<Box<::tcp::Info>>,
}

/// A TCP segment that was seen.
#[derive(Debug)]
pub struct Seen {
    /// Where it comes from.
    pub source: SocketAddr,
    /// Where it goes to.
    pub destination: SocketAddr,
    /// Its header.
    pub header: tcp::Header,
    /// Bytes of payload.
    pub payload_bytes: u32,
    /// What its connection told of itself.
    pub info: Option<Box<::tcp::Info>>,
}

impl Sighting {
    /// Where it comes from and where it goes to, where the host sent it as TCP and on a link without link headers.
    pub(crate) fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        let bytes = &*self.packet.headers;
        let (source, destination, protocol, offset): (IpAddr, IpAddr, _, _) = match bytes.first()? >> 4 {
            4 => {
                let address = |at: usize| <[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok();
                (address(12)?.into(), address(16)?.into(), bytes[9], usize::from(bytes[0] & 15) * 4)
            }
            6 => {
                let address = |at: usize| <[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok();
                (address(8)?.into(), address(24)?.into(), bytes[6], 40)
            }
            _ => return None,
        };
        let port = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let ends = (SocketAddr::new(source, port(offset)?), SocketAddr::new(destination, port(offset + 2)?));
        (Protocol(protocol) == Protocol::TCP).then_some(ends)
    }

    /// The TCP segment that it holds, where it is on a link without link headers, whole, and unharmed.
    pub fn segment(self) -> Option<Seen> {
        let (checksum, info) = (self.packet.offload.checksum, self.info);
        let bytes = match checksum {
            Checksum::Complete => finish(self.packet).pop()?,
            Checksum::Verified | Checksum::Partial { .. } => self.packet.into_bytes(),
        };
        let (source, destination, protocol, offset) = match bytes.first()? >> 4 {
            4 => {
                let (header, length) = ipv4::Header::parse(&bytes).ok()?;
                (header.source.into(), header.destination.into(), header.protocol, length)
            }
            6 => {
                let (header, length) = ipv6::Header::parse(&bytes).ok()?;
                (header.source.into(), header.destination.into(), header.next_header, length)
            }
            _ => return None,
        };
        if protocol != Protocol::TCP || checksum == Checksum::Complete && !is_sound(&bytes) {
            return None;
        }
        let (header, length) = tcp::Header::parse(&bytes[offset..]).ok()?;
        Some(Seen {
            source: SocketAddr::new(source, header.source_port),
            destination: SocketAddr::new(destination, header.destination_port),
            payload_bytes: (bytes.len() - offset - length) as u32,
            header,
            info,
        })
    }
}

/// Whether the transport checksum of a packet holds: the host's own look at what a link may have harmed.
fn is_sound(packet: &[u8]) -> bool {
    if packet[0] >> 4 == 4 {
        ipv4::Header::parse(packet).is_ok_and(|(header, length)| {
            let payload = &packet[length..usize::from(header.total_length)];
            holds(Sum::pseudo_v4(header.source, header.destination, header.protocol, payload.len()), payload)
        })
    } else {
        ipv6::Header::parse(packet).is_ok_and(|(header, length)| {
            let Some(payload) = packet.get(length..length + usize::from(header.payload_length)) else {
                return false;
            };
            holds(
                Sum::pseudo_v6(header.source, header.destination, header.next_header, payload.len()),
                payload,
            )
        })
    }
}

fn holds(mut sum: Sum, payload: &[u8]) -> bool {
    sum.add(payload);
    sum.is_valid()
}
