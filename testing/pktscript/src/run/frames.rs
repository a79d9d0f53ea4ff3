//! Packets as bytes: those that the script sends are built in exactly its form, those of the stack are read into theirs.

use crate::syntax::{Network, TcpOption};
use packet::{Bytes, Packet};
use std::net::{IpAddr, SocketAddr};
use time::{Instant, SequenceNumber};
use wire::checksum::Sum;
use wire::tcp::{CHECKSUM_OFFSET, Flags, HEADER_LENGTH, Header};
use wire::{Protocol, ipv4, ipv6, udp};

/// Bytes of options that a TCP header has room for.
const OPTION_BYTES_MAX: usize = 40;
/// Hops of what arrives, where the script does not say.
const HOP_LIMIT: u8 = 255;

/// A packet that the stack sent.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it left.
    pub at: Instant,
    /// Traffic class, ECN in the lower two bits.
    pub traffic_class: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Flow label, 0 in IPv4.
    pub flow_label: u32,
    /// From where.
    pub source: IpAddr,
    /// Where to.
    pub destination: IpAddr,
    /// What is in it.
    pub body: SeenBody,
}

/// What is in a packet that the stack sent.
#[derive(Clone, Debug)]
pub enum SeenBody {
    /// A segment.
    Tcp(SeenSegment),
    /// A datagram: ports and bytes of payload.
    Udp(u16, u16, usize),
    /// Any other protocol.
    Other(u8),
}

/// A segment that the stack sent.
#[derive(Clone, Debug)]
pub struct SeenSegment {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// SEG.SEQ.
    pub sequence: u32,
    /// SEG.ACK.
    pub acknowledgement: u32,
    /// The control bits.
    pub flags: Flags,
    /// SEG.WND, unscaled.
    pub window: u16,
    /// The urgent pointer.
    pub urgent: u16,
    /// Bytes of payload.
    pub length: u32,
    /// Whether every byte of the payload is zero.
    pub zeros: bool,
    /// The options in their order.
    pub options: Vec<TcpOption>,
}

impl Seen {
    /// The options of a segment; none of anything else.
    pub fn tcp_options(&self) -> &[TcpOption] {
        match &self.body {
            SeenBody::Tcp(segment) => &segment.options,
            SeenBody::Udp(..) | SeenBody::Other(_) => &[],
        }
    }

    /// Reads a frame of the stack.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(packet: Packet, mtu: u16, at: Instant) -> Result<(Self, Bytes), String> {
        let bytes = packet.into_bytes();
        sim::examine(packet::Medium::Ip, mtu, &bytes)
            .map_err(|fault| format!("the stack sent a packet with {fault:?}"))?;
        let wrong = |what: &dyn std::fmt::Debug| format!("the stack sent a malformed packet: {what:?}");
        let (mut seen, protocol, start, end) = if bytes.first().is_some_and(|first| first >> 4 == 4) {
            let (header, length) = ipv4::Header::parse(&bytes).map_err(|error| wrong(&error))?;
            let seen = Self {
                at,
                traffic_class: header.traffic_class,
                hop_limit: header.ttl,
                flow_label: 0,
                source: header.source.into(),
                destination: header.destination.into(),
                body: SeenBody::Other(header.protocol.0),
            };
            (seen, header.protocol, length, usize::from(header.total_length))
        } else {
            let (header, length) = ipv6::Header::parse(&bytes).map_err(|error| wrong(&error))?;
            let seen = Self {
                at,
                traffic_class: header.traffic_class,
                hop_limit: header.hop_limit,
                flow_label: header.flow_label,
                source: header.source.into(),
                destination: header.destination.into(),
                body: SeenBody::Other(header.next_header.0),
            };
            (seen, header.next_header, length, length + usize::from(header.payload_length))
        };
        let transport = &bytes[start..end];
        match protocol {
            Protocol::TCP => {
                seen.body = SeenBody::Tcp(read_segment(transport).map_err(|error| wrong(&error))?)
            }
            Protocol::UDP => {
                let (header, length) = udp::Header::parse(transport).map_err(|error| wrong(&error))?;
                let payload = usize::from(header.length) - length;
                seen.body = SeenBody::Udp(header.source_port, header.destination_port, payload);
            }
            _ => {}
        }
        Ok((seen, bytes))
    }
}

fn read_segment(bytes: &[u8]) -> Result<SeenSegment, wire::tcp::Malformed> {
    let (header, length) = Header::parse(bytes)?;
    Ok(SeenSegment {
        source_port: header.source_port,
        destination_port: header.destination_port,
        sequence: header.sequence.0,
        acknowledgement: header.acknowledgement.0,
        flags: header.flags,
        window: header.window,
        urgent: header.urgent,
        length: (bytes.len() - length) as u32,
        zeros: bytes[length..].iter().all(|byte| *byte == 0),
        options: read_options(&bytes[HEADER_LENGTH..length]),
    })
}

fn read_options(mut bytes: &[u8]) -> Vec<TcpOption> {
    let word =
        |data: &[u8], at: usize| u32::from_be_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
    let mut options = Vec::new();
    while let Some((&kind, rest)) = bytes.split_first() {
        if kind < 2 {
            options.push(if kind == 0 { TcpOption::End } else { TcpOption::Nop });
            bytes = rest;
            continue;
        }
        let Some(data) = rest.first().and_then(|&length| bytes.get(2..usize::from(length))) else {
            options.push(TcpOption::Raw(kind, rest.to_vec()));
            break;
        };
        options.push(match (kind, data) {
            (2, &[high, low]) => TcpOption::Mss(u16::from_be_bytes([high, low])),
            (3, &[shift]) => TcpOption::WindowScale(shift),
            (4, []) => TcpOption::SackPermitted,
            (5, data) if data.len() % 8 == 0 => {
                TcpOption::Sack(data.chunks_exact(8).map(|block| (word(block, 0), word(block, 4))).collect())
            }
            (8, data) if data.len() == 8 => {
                TcpOption::Timestamps { value: word(data, 0), echo: word(data, 4), echo_absolute: true }
            }
            (34, data) => TcpOption::FastOpen(data.to_vec()),
            (172 | 174, data) if data.len() % 3 == 0 && data.len() < 10 => {
                let counters = data.chunks_exact(3).map(|c| u32::from_be_bytes([0, c[0], c[1], c[2]]));
                TcpOption::AccurateEcn { ect1_first: kind == 174, counters: counters.collect() }
            }
            (254, [0xf9, 0x89, data @ ..]) => TcpOption::FastOpenExperimental(data.to_vec()),
            (kind, data) => TcpOption::Raw(kind, data.to_vec()),
        });
        bytes = &bytes[2 + data.len()..];
    }
    options
}

/// Options as they stand in a header, in their order, filled up to a multiple of four bytes.
///
/// # Errors
///
/// Where they find no room, or are known by name only.
pub fn option_bytes(options: &[TcpOption]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for option in options {
        let (kind, data) = match option {
            TcpOption::End | TcpOption::Nop => {
                out.push(u8::from(*option == TcpOption::Nop));
                continue;
            }
            TcpOption::Mss(mss) => (2, mss.to_be_bytes().to_vec()),
            TcpOption::WindowScale(shift) => (3, vec![*shift]),
            TcpOption::SackPermitted => (4, vec![]),
            TcpOption::Sack(blocks) => (
                5,
                blocks.iter().flat_map(|(left, right)| [left, right]).flat_map(|n| n.to_be_bytes()).collect(),
            ),
            TcpOption::Timestamps { value, echo, .. } => {
                (8, [value.to_be_bytes(), echo.to_be_bytes()].concat())
            }
            TcpOption::FastOpen(cookie) => (34, cookie.clone()),
            TcpOption::FastOpenExperimental(cookie) => (254, [&[0xf9, 0x89], cookie.as_slice()].concat()),
            TcpOption::AccurateEcn { ect1_first, counters } => {
                let bytes = counters.iter().flat_map(|count| count.to_be_bytes().into_iter().skip(1));
                (if *ect1_first { 174 } else { 172 }, bytes.collect())
            }
            TcpOption::Raw(kind, data) => (*kind, data.clone()),
            TcpOption::Other(name) => return Err(format!("option {name}")),
        };
        if data.len() > OPTION_BYTES_MAX {
            return Err("more than 40 bytes of TCP options".to_owned());
        }
        out.extend([kind, data.len() as u8 + 2]);
        out.extend(data);
    }
    out.resize(out.len().next_multiple_of(4), 0);
    if out.len() > OPTION_BYTES_MAX { Err("more than 40 bytes of TCP options".to_owned()) } else { Ok(out) }
}

/// A packet with an IP header around `transport`.
pub fn ip_packet(
    source: IpAddr,
    destination: IpAddr,
    network: &Network,
    protocol: Protocol,
    transport: &[u8],
) -> Vec<u8> {
    let ecn = network.ecn.unwrap_or(0);
    let traffic_class = network.traffic_class.unwrap_or(ecn);
    let hop_limit = network.hop_limit.unwrap_or(HOP_LIMIT);
    let mut out = Vec::new();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            out.resize(ipv4::HEADER_LENGTH, 0);
            let header = ipv4::Header {
                traffic_class,
                total_length: (ipv4::HEADER_LENGTH + transport.len()) as u16,
                identification: 0,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                ttl: hop_limit,
                protocol,
                source,
                destination,
            };
            header.emit(&mut out);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            out.resize(ipv6::HEADER_LENGTH, 0);
            let header = ipv6::Header {
                traffic_class,
                flow_label: network.flow_label.unwrap_or(0),
                payload_length: transport.len() as u16,
                next_header: protocol,
                hop_limit,
                source,
                destination,
            };
            header.emit(&mut out);
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
    }
    out.extend_from_slice(transport);
    out
}

/// A segment of zeros.
pub fn tcp_bytes(
    from: SocketAddr,
    to: SocketAddr,
    header: &Header,
    options: &[u8],
    length: usize,
) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_LENGTH];
    let (source_port, destination_port) = (from.port(), to.port());
    Header { source_port, destination_port, ..*header }.emit(&mut bytes);
    bytes.extend_from_slice(options);
    bytes[12] = (((bytes.len() / 4) as u8) << 4) | (bytes[12] & 1);
    bytes.resize(bytes.len() + length, 0);
    store_checksum(&mut bytes, from.ip(), to.ip(), Protocol::TCP, CHECKSUM_OFFSET);
    bytes
}

/// A datagram of zeros.
pub fn udp_bytes(from: SocketAddr, to: SocketAddr, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; udp::HEADER_LENGTH + length];
    let header = udp::Header {
        source_port: from.port(),
        destination_port: to.port(),
        length: bytes.len() as u16,
        checksum: 0,
    };
    header.emit(&mut bytes);
    store_checksum(&mut bytes, from.ip(), to.ip(), Protocol::UDP, udp::CHECKSUM_OFFSET);
    bytes
}

fn store_checksum(bytes: &mut [u8], source: IpAddr, destination: IpAddr, protocol: Protocol, at: usize) {
    let mut sum = Sum::pseudo(source, destination, protocol, bytes.len()).unwrap_or_default();
    sum.add(bytes);
    let checksum = udp::checksum(sum);
    bytes[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// A header with numbers alone.
pub fn tcp_header(sequence: u32, acknowledgement: u32, flags: u16, window: u16, urgent: u16) -> Header {
    Header {
        sequence: SequenceNumber(sequence),
        acknowledgement: SequenceNumber(acknowledgement),
        flags: Flags(flags),
        window,
        urgent,
        ..Header::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_read_the_same() {
        let (from, to) = ("192.0.2.1:5".parse().unwrap(), "192.0.2.2:6".parse().unwrap());
        let timestamps = TcpOption::Timestamps { value: 9, echo: 8, echo_absolute: true };
        let options =
            [TcpOption::Nop, TcpOption::Nop, timestamps, TcpOption::Sack(vec![(1, 2)]), TcpOption::Nop];
        let mut wanted = options.to_vec();
        wanted.push(TcpOption::End);
        let bytes = option_bytes(&options).unwrap();
        let segment = tcp_bytes(from, to, &tcp_header(7, 3, 0x118, 100, 0), &bytes, 10);
        let packet = ip_packet(from.ip(), to.ip(), &Network::default(), Protocol::TCP, &segment);
        let packet = Packet::received(packet.into(), packet::Offload::default());
        let (seen, _) = Seen::read(packet, 1_500, Instant::ZERO).unwrap();
        let SeenBody::Tcp(segment) = seen.body else { panic!() };
        assert_eq!((segment.sequence, segment.length, segment.flags.0), (7, 10, 0x118));
        assert_eq!(segment.options, wanted);
    }

    #[test]
    fn a_broken_checksum_of_the_stack_is_told() {
        let (from, to) = ("[fd00::1]:5".parse().unwrap(), "[fd00::2]:6".parse().unwrap());
        let mut datagram = udp_bytes(from, to, 4);
        datagram[9] ^= 1;
        let packet = ip_packet(from.ip(), to.ip(), &Network::default(), Protocol::UDP, &datagram);
        let packet = Packet::received(packet.into(), packet::Offload::default());
        assert!(Seen::read(packet, 1_500, Instant::ZERO).is_err());
    }
}
