//! What the filter sees of a packet: addresses, protocol, and the transport's first bytes.

use core::fmt;
use core::net::IpAddr;
use wire::tcp::Flags;
use wire::{Protocol, extension, icmpv4, icmpv6, ipv4, ipv6};

/// A packet as the filter sees it. Its owner makes it of headers that it has read already, or of the packet's bytes by
/// [`parse`](Self::parse).
///
/// ```
/// use filter::{Packet, Ports};
/// // From 192.0.2.1 port 7000 to 198.51.100.2 port 53, UDP, without a byte of payload.
/// let bytes = [
///     0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0x8e, 0x9a, 192, 0, 2, 1, 198, 51, 100, 2, 0x1b, 0x58, 0, 53, 0, 8, 0, 0,
/// ];
/// let packet = Packet::parse(&bytes)?;
/// assert_eq!(packet.length_bytes, 28);
/// assert_eq!(packet.ports(), Some(Ports { source: 7_000, destination: 53 }));
/// # Ok::<(), filter::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// What is behind the IP header and its extensions.
    pub protocol: Protocol,
    /// The transport's header and as much of what follows as is at hand: the ports or the type, for TCP the flags, and for an
    /// ICMP error what it quotes. Empty for a fragment that is not the first.
    pub transport: &'a [u8],
    /// Bytes of the whole packet, from the IP header's first on.
    pub length_bytes: u32,
    /// It is a part of a larger packet.
    pub is_fragment: bool,
    /// Who asks for it to be sent or carried, as the owner numbers its programs.
    pub program: Option<u64>,
}

/// Why bytes are no packet that can be judged: they are dropped.
///
/// ```
/// use filter::{Malformed, Packet};
/// assert_eq!(Packet::parse(&[0x55; 40]).unwrap_err(), Malformed::Version);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The first byte names neither version, or there is none.
    Version,
    /// The IPv4 header or its options cannot be read.
    Ipv4,
    /// The IPv6 header or an extension header cannot be read.
    Ipv6,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "the bytes are neither an IPv4 nor an IPv6 packet",
            Self::Ipv4 => "the IPv4 header cannot be read",
            Self::Ipv6 => "the IPv6 header or an extension header cannot be read",
        })
    }
}

impl core::error::Error for Malformed {}

/// The ports of a TCP segment or a UDP datagram. An example is at [`Packet`].
///
/// ```
/// use filter::Ports;
/// assert_ne!(Ports { source: 1, destination: 2 }, Ports { source: 2, destination: 1 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The sender's.
    pub source: u16,
    /// The receiver's.
    pub destination: u16,
}

impl<'a> Packet<'a> {
    /// Reads the IP header of a whole packet and what may stand between it and the transport's.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        match bytes.first().map(|byte| byte >> 4) {
            Some(4) => {
                let (header, length) = ipv4::Header::parse(bytes).map_err(|_| Malformed::Ipv4)?;
                let total = usize::from(header.total_length);
                let start = if header.fragment_offset == 0 { length } else { total };
                Ok(Self {
                    source: header.source.into(),
                    destination: header.destination.into(),
                    protocol: header.protocol,
                    transport: &bytes[start..total],
                    length_bytes: total as u32,
                    is_fragment: header.is_fragment(),
                    program: None,
                })
            }
            Some(6) => {
                let (header, length) = ipv6::Header::parse(bytes).map_err(|_| Malformed::Ipv6)?;
                let total = length + usize::from(header.payload_length);
                let walk = extension::walk(&header, &bytes[..total]).map_err(|_| Malformed::Ipv6)?;
                let is_later = walk.fragment.is_some_and(|fragment| fragment.offset != 0);
                Ok(Self {
                    source: header.source.into(),
                    destination: header.destination.into(),
                    protocol: walk.protocol,
                    transport: &bytes[if is_later { total } else { walk.offset }..total],
                    length_bytes: total as u32,
                    is_fragment: walk.fragment.is_some(),
                    program: None,
                })
            }
            _ => Err(Malformed::Version),
        }
    }

    /// The ports; none where the packet has none, or they are not at hand.
    #[inline]
    #[must_use]
    pub fn ports(&self) -> Option<Ports> {
        if !matches!(self.protocol, Protocol::TCP | Protocol::UDP) {
            return None;
        }
        let &[a, b, c, d] = self.transport.first_chunk()?;
        Some(Ports { source: u16::from_be_bytes([a, b]), destination: u16::from_be_bytes([c, d]) })
    }

    /// The control bits of a TCP segment.
    #[inline]
    #[must_use]
    pub fn flags(&self) -> Option<Flags> {
        let is_whole = self.protocol == Protocol::TCP && self.transport.len() >= wire::tcp::HEADER_LENGTH;
        is_whole.then(|| Flags(u16::from_be_bytes([self.transport[12], self.transport[13]]) & 0x1ff))
    }

    /// Type and code of an ICMP or ICMPv6 message.
    #[inline]
    #[must_use]
    pub fn icmp(&self) -> Option<(u8, u8)> {
        let of_version = match self.protocol {
            Protocol::ICMP => self.source.is_ipv4(),
            Protocol::ICMPV6 => self.source.is_ipv6(),
            _ => false,
        };
        let &[kind, code] = self.transport.first_chunk().filter(|_| of_version)?;
        Some((kind, code))
    }

    /// The packet that an ICMP error quotes, as far as it is there; none where it is no error.
    pub(crate) fn quoted(&self) -> Option<Self> {
        let (kind, _) = self.icmp()?;
        let is_error = match self.protocol {
            Protocol::ICMP => icmpv4::is_error_type(kind),
            _ => icmpv6::is_error_type(kind),
        };
        let bytes = self.transport.get(icmpv4::HEADER_LENGTH..).filter(|_| is_error)?;
        if self.source.is_ipv4() {
            let (header, length) = ipv4::Header::parse_quoted(bytes).ok()?;
            let transport = bytes.get(length..).filter(|_| header.fragment_offset == 0)?;
            return Some(self.about(
                header.source.into(),
                header.destination.into(),
                header.protocol,
                transport,
            ));
        }
        let (header, length) = ipv6::Header::parse_quoted(bytes).ok()?;
        // What has extension headers is quoted without its transport's place being known for sure: nothing is made of it.
        let transport = bytes.get(length..)?;
        Some(self.about(header.source.into(), header.destination.into(), header.next_header, transport))
    }

    fn about(&self, source: IpAddr, destination: IpAddr, protocol: Protocol, transport: &'a [u8]) -> Self {
        Self { source, destination, protocol, transport, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn v4(fragment_offset: u16, more_fragments: bool, payload: &[u8]) -> Vec<u8> {
        let header = ipv4::Header {
            traffic_class: 0,
            total_length: (20 + payload.len()) as u16,
            identification: 0,
            dont_fragment: false,
            more_fragments,
            fragment_offset,
            ttl: 1,
            protocol: Protocol::UDP,
            source: [192, 0, 2, 1].into(),
            destination: [192, 0, 2, 2].into(),
        };
        let mut bytes = alloc::vec![0; 20];
        header.emit(&mut bytes);
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn only_a_first_fragment_tells_ports() {
        let payload = [0, 1, 0, 2, 0, 8, 0, 0];
        let first = v4(0, true, &payload);
        let later = v4(8, false, &payload);
        let [first, later] = [&first, &later].map(|bytes| Packet::parse(bytes).unwrap());
        assert_eq!(first.ports(), Some(Ports { source: 1, destination: 2 }));
        assert_eq!(later.ports(), None);
        assert!(first.is_fragment && later.is_fragment && later.length_bytes == 28);
    }

    #[test]
    fn links_padding_is_none_of_the_packet() {
        let mut bytes = v4(0, false, &[0, 1]);
        bytes.extend([9; 24]);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!((packet.transport, packet.length_bytes, packet.ports()), (&[0, 1][..], 22, None));
    }

    #[test]
    fn what_cannot_be_read_has_a_name() {
        let mut wrong = v4(0, false, &[]);
        wrong[11] ^= 1;
        assert_eq!(Packet::parse(&[]).unwrap_err(), Malformed::Version);
        assert_eq!(Packet::parse(&wrong).unwrap_err(), Malformed::Ipv4);
        assert_eq!(Packet::parse(&[0x60; 39]).unwrap_err(), Malformed::Ipv6);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), v6: bool) {
            if let Some(first) = bytes.first_mut() {
                *first = if v6 { 0x60 } else { 0x45 };
            }
            if let Ok(packet) = Packet::parse(&bytes) {
                let _ = (packet.ports(), packet.flags(), packet.icmp(), packet.quoted().map(|quoted| quoted.ports()));
            }
        }
    }
}
