//! A router in the middle of a link, whose next hop takes smaller packets than the link's ends know of (RFC 1191 §4,
//! RFC 8201 §4; or not even that, RFC 2923 §2.1).

use packet::{Bytes, Medium, Packet};
use wire::{Protocol, ethernet, icmpv4, icmpv6, ipv4, ipv6};

/// Bytes of the transport header that an error quotes.
const QUOTED_BYTES: usize = 8;

/// Where a link is narrower than its ends know.
#[derive(Clone, Copy, Debug)]
pub struct Narrow {
    /// The largest IP packet that passes, in bytes. One that may be fragmented passes all the same: whoever receives it
    /// has put it together.
    pub mtu: u16,
    /// Whether who sent a larger one is told.
    pub tells: bool,
}

/// What becomes of a packet where the link is narrow.
#[derive(Debug)]
pub(crate) enum Fit {
    /// It passes.
    Passes,
    /// It does not. The frame that tells so, where the router tells.
    TooLarge(Option<Bytes>),
}

impl Narrow {
    /// Whether a packet passes; of one that is cut later, whether its pieces do.
    pub(crate) fn judge(self, medium: Medium, packet: &Packet) -> Fit {
        let cut = packet.offload.segmentation;
        let bytes = packet.clone().into_bytes();
        let start = if medium == Medium::Ethernet { ethernet::HEADER_LENGTH } else { 0 };
        let length = cut.map_or(bytes.len(), |cut| {
            usize::from(cut.header_length)
                + usize::from(cut.size).min(bytes.len() - usize::from(cut.header_length))
        });
        let (link, ip) = bytes.split_at(start);
        if length - start <= usize::from(self.mtu) {
            return Fit::Passes;
        }
        let error = match ip[0] >> 4 {
            4 => match ipv4::Header::parse_quoted(ip) {
                Ok((header, length)) if header.dont_fragment => {
                    self.error_v4(&header, &ip[..length + QUOTED_BYTES])
                }
                _ => return Fit::Passes,
            },
            6 => match ipv6::Header::parse_quoted(ip) {
                Ok((header, length)) => self.error_v6(&header, &ip[..length + QUOTED_BYTES]),
                Err(_) => return Fit::Passes,
            },
            _ => return Fit::Passes,
        };
        let frame = || {
            // Back to where it came from.
            let mut frame = link.to_vec();
            if let Some((to, from)) = link.get(..12).map(|addresses| addresses.split_at(6)) {
                frame[..6].copy_from_slice(from);
                frame[6..12].copy_from_slice(to);
            }
            frame.extend_from_slice(&error);
            Bytes::from(frame)
        };
        Fit::TooLarge(self.tells.then(frame))
    }

    fn error_v4(self, about: &ipv4::Header, quoted: &[u8]) -> Vec<u8> {
        let length = ipv4::HEADER_LENGTH + icmpv4::HEADER_LENGTH + quoted.len();
        let mut packet = vec![0; ipv4::HEADER_LENGTH + icmpv4::HEADER_LENGTH];
        let (network, message) = packet.split_at_mut(ipv4::HEADER_LENGTH);
        let header = ipv4::Header {
            total_length: length as u16,
            dont_fragment: false,
            protocol: Protocol::ICMP,
            source: about.destination,
            destination: about.source,
            ..*about
        };
        header.emit(network);
        let code = icmpv4::Unreachable::FRAGMENTATION_NEEDED;
        icmpv4::Message::DestinationUnreachable { code, mtu: self.mtu }.emit([quoted], message);
        packet.extend_from_slice(quoted);
        packet
    }

    fn error_v6(self, about: &ipv6::Header, quoted: &[u8]) -> Vec<u8> {
        let length = icmpv6::HEADER_LENGTH + quoted.len();
        let mut packet = vec![0; ipv6::HEADER_LENGTH + icmpv6::HEADER_LENGTH];
        let (network, message) = packet.split_at_mut(ipv6::HEADER_LENGTH);
        let header = ipv6::Header {
            payload_length: length as u16,
            next_header: Protocol::ICMPV6,
            source: about.destination,
            destination: about.source,
            ..*about
        };
        header.emit(network);
        let told = icmpv6::Message::PacketTooBig { mtu: self.mtu.into() };
        told.emit(about.destination, about.source, [quoted], message);
        packet.extend_from_slice(quoted);
        packet
    }
}
