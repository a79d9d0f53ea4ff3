//! The other side: frames that answer without being a TCP. The device vouches for checksums, as a TAP does.

use core::net::Ipv4Addr;
use packet::{Bytes, Checksum, Offload, Packet};
use time::SequenceNumber;
use wire::Protocol;
use wire::ethernet::{self, EtherType};
use wire::tcp::{Flags, Header, Options, Timestamps};
use wire::{arp, ipv4};

/// The stack's hardware address.
pub const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The router's, which every peer is behind.
pub const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// The stack's address.
pub const OWN_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The router's address.
pub const ROUTER_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The port that the stack listens at.
pub const PORT: u16 = 80;

/// Ports of one peer that are used: those beyond the well-known ones.
const PORTS: usize = 64_000;
const PORT_FIRST: u16 = 1_024;

/// What the peer keeps of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    address: Ipv4Addr,
    port: u16,
    /// The next number that it sends.
    pub next: SequenceNumber,
    /// The next number that it expects.
    pub expected: SequenceNumber,
    /// The stack's last timestamp.
    pub echo: u32,
}

impl Peer {
    /// The peer of connection `number`.
    pub fn new(number: usize) -> Self {
        let host = (number / PORTS) as u32;
        Self {
            address: Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 1)) + host),
            port: PORT_FIRST + (number % PORTS) as u16,
            next: SequenceNumber(number as u32),
            expected: SequenceNumber(0),
            echo: 0,
        }
    }

    /// Its SYN.
    pub fn syn(&mut self, clock_ms: u32) -> Packet {
        let options =
            Options { mss: Some(1_460), window_scale: Some(7), sack_permitted: true, ..Options::default() };
        let header = Header { flags: Flags::SYN, window: u16::MAX, options, ..Header::default() };
        let packet = self.frame(header, clock_ms, &[]);
        self.next += 1;
        packet
    }

    /// What answers its SYN has come.
    pub fn handle_syn_ack(&mut self, header: &Header) {
        self.expected = header.sequence + 1;
        self.hear(header);
    }

    /// Remembers what has to be echoed.
    pub fn hear(&mut self, header: &Header) {
        self.echo = header.options.timestamps.map_or(0, |timestamps| timestamps.value);
    }

    /// An acknowledgement of all that it expects no more.
    pub fn ack(&self, clock_ms: u32) -> Packet {
        self.frame(Header { flags: Flags::ACK, window: u16::MAX, ..Header::default() }, clock_ms, &[])
    }

    /// A segment of data.
    pub fn data(&mut self, clock_ms: u32, payload: &[u8]) -> Packet {
        let header = Header { flags: Flags::ACK | Flags::PSH, window: u16::MAX, ..Header::default() };
        let packet = self.frame(header, clock_ms, payload);
        self.next += payload.len() as u32;
        packet
    }

    fn frame(&self, header: Header, clock_ms: u32, payload: &[u8]) -> Packet {
        let timestamps = Some(Timestamps { value: clock_ms, echo: self.echo });
        let header = Header {
            source_port: self.port,
            destination_port: PORT,
            sequence: self.next,
            acknowledgement: self.expected,
            options: Options { timestamps, ..header.options },
            ..header
        };
        let total_length = ipv4::HEADER_LENGTH + header.length() + payload.len();
        let mut bytes = vec![0; ethernet::HEADER_LENGTH + total_length];
        let link = ethernet::Header {
            source: ethernet::Address(ROUTER),
            destination: ethernet::Address(OWN),
            ether_type: EtherType::IPV4,
        };
        let ip = ipv4::Header {
            traffic_class: 0,
            total_length: total_length as u16,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol: Protocol::TCP,
            source: self.address,
            destination: OWN_ADDRESS,
        };
        link.emit(&mut bytes);
        ip.emit(&mut bytes[ethernet::HEADER_LENGTH..]);
        let start = ethernet::HEADER_LENGTH + ipv4::HEADER_LENGTH;
        header.emit(&mut bytes[start..]);
        bytes[start + header.length()..].copy_from_slice(payload);
        let offload = Offload { checksum: Checksum::Verified, segmentation: None };
        Packet::received(Bytes::from(bytes), offload)
    }
}

/// The router's answer to the stack's question for its hardware address.
pub fn router() -> Packet {
    let mut bytes = vec![0; ethernet::HEADER_LENGTH + arp::LENGTH];
    let link = ethernet::Header {
        source: ethernet::Address(ROUTER),
        destination: ethernet::Address(OWN),
        ether_type: EtherType::ARP,
    };
    let reply = arp::Packet {
        operation: arp::Operation::Reply,
        sender_hardware: ethernet::Address(ROUTER),
        sender_protocol: ROUTER_ADDRESS,
        target_hardware: ethernet::Address(OWN),
        target_protocol: OWN_ADDRESS,
    };
    link.emit(&mut bytes);
    reply.emit(&mut bytes[ethernet::HEADER_LENGTH..]);
    Packet::received(Bytes::from(bytes), Offload::default())
}

/// The TCP header of a frame from the stack; `None` where it is something else.
pub fn heard(frame: &Packet) -> Option<Header> {
    let headers = &frame.headers[..];
    let (link, link_length) = ethernet::Header::parse(headers).ok()?;
    (link.ether_type == EtherType::IPV4).then_some(())?;
    Header::parse(headers.get(link_length + ipv4::HEADER_LENGTH..)?).ok().map(|(header, _)| header)
}
