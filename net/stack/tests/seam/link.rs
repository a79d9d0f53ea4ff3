//! A stack with one interface, and the other end of its link in the hands of a test.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use packet::{Batch, Bytes, Capabilities, Checksum, Medium, Offload, Packet};
use stack::{Config, Drop, Event, InterfaceConfig, InterfaceId, Prefix, Stack};
use time::{Duration, Instant};
use wire::checksum::Sum;
use wire::ethernet::{self, Address, EtherType};
use wire::{Ecn, Protocol, arp, icmpv4, icmpv6, ipv4, ipv6, tcp, udp};

/// The interface's hardware address, and its IP addresses.
pub const OURS: Address = Address([2, 0, 0, 0, 0, 1]);
pub const OUR_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
pub const OUR_SECOND_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
pub const OUR_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 2);
/// The test's.
pub const THEIRS: Address = Address([2, 0, 0, 0, 0, 15]);
pub const PEER_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
pub const PEER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0x15);
/// Somebody on the far side of the gateway.
pub const FAR_V4: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 34);
pub const FAR_V6: Ipv6Addr = Ipv6Addr::new(0x2606, 0x2800, 0x220, 1, 0, 0, 0, 1);

pub const MTU: u16 = 1_500;

/// A device that does nothing for the stack.
pub const PLAIN: Capabilities =
    Capabilities { medium: Medium::Ethernet, mtu: MTU, transmit_checksum: false, segmentation_bytes_max: 0 };

/// A stack and the moment.
pub struct Link {
    pub stack: Stack,
    pub interface: InterfaceId,
    pub now: Instant,
}

/// What a gateway's interface looks like.
pub fn gateway(capabilities: Capabilities) -> InterfaceConfig {
    let addresses = vec![
        Prefix::new(OUR_V4, 24),
        Prefix::new(OUR_SECOND_V4, 24),
        Prefix::new(OUR_V6, 64),
        Prefix::new(Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 3), 64),
    ];
    let mut config = InterfaceConfig::new(capabilities, OURS.0, addresses);
    config.intercept = true;
    config
}

impl Link {
    /// A gateway behind a plain device.
    pub fn new() -> Self {
        Self::with(Config::default(), gateway(PLAIN))
    }

    /// A host: nothing is intercepted.
    pub fn host() -> Self {
        Self::with(Config::default(), InterfaceConfig { intercept: false, ..gateway(PLAIN) })
    }

    pub fn with(config: Config, interface: InterfaceConfig) -> Self {
        let now = Instant::from_secs(1);
        let mut stack = Stack::new(config, [42; 32], now);
        let interface = stack.add_interface(interface, now).expect("the configuration works");
        Self { stack, interface, now }
    }

    /// A gateway that knows the peer's hardware address over both versions.
    pub fn acquainted() -> Self {
        let mut link = Self::new();
        link.acquaint();
        link
    }

    /// Lets the stack learn the peer's hardware address over both versions.
    pub fn acquaint(&mut self) {
        self.receive(arp_frame(&arp_request(PEER_V4, OUR_V4)));
        self.receive(neighbour_solicitation(PEER_V6, OUR_V6));
        let _ = self.frames();
    }

    /// One frame arrives.
    pub fn receive(&mut self, frame: Vec<u8>) {
        self.receive_packet(Packet::received(Bytes::from(frame), Offload::default()));
    }

    /// One frame arrives, of which the device has told something.
    pub fn receive_packet(&mut self, packet: Packet) {
        self.receive_together([packet]);
    }

    /// Several frames arrive in one turn.
    pub fn receive_together(&mut self, packets: impl IntoIterator<Item = Packet>) {
        let mut batch = Batch::with_capacity(64);
        for packet in packets {
            batch.push(packet).expect("there is room");
        }
        self.stack.handle_batch(self.interface, &mut batch, self.now);
    }

    /// Every packet that the stack sends now.
    pub fn packets(&mut self) -> Vec<Packet> {
        let mut sent = Vec::new();
        loop {
            let mut batch = Batch::with_capacity(8);
            self.stack.poll_transmit(self.interface, &mut batch, self.now);
            if batch.is_empty() {
                return sent;
            }
            while let Some(packet) = batch.pop() {
                sent.push(packet);
            }
        }
    }

    /// Every frame that the stack sends now, read.
    pub fn frames(&mut self) -> Vec<Frame> {
        self.packets().into_iter().map(Frame::read).collect()
    }

    /// The one frame that the stack sends now.
    pub fn frame(&mut self) -> Frame {
        let mut frames = self.frames();
        assert_eq!(frames.len(), 1, "one frame is expected: {frames:#?}");
        frames.remove(0)
    }

    /// Every event that the stack has to tell.
    pub fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.stack.poll_event()).collect()
    }

    /// Time passes, and every deadline on the way is kept.
    pub fn pass(&mut self, span: Duration) {
        // The wheel is late by its tick, which is less than a millisecond.
        let end = self.now + span + Duration::from_millis(1);
        while let Some(at) = self.stack.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.stack.handle_timeout(self.now);
        }
        self.now = end;
    }

    pub fn dropped(&self, reason: Drop) -> u64 {
        self.stack.counters().dropped(reason)
    }
}

/// A frame that the stack sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub to: Address,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Arp(arp::Packet),
    V4(ipv4::Header, Vec<u8>),
    V6(ipv6::Header, Vec<u8>),
}

impl Frame {
    fn read(packet: Packet) -> Self {
        let partial = packet.offload.checksum;
        let mut bytes = packet.into_bytes().to_vec();
        // What the device would do.
        if let Checksum::Partial { start, offset } = partial {
            let start = usize::from(start);
            let sum = wire::checksum::checksum(&bytes[start..]);
            bytes[start + usize::from(offset)..][..2].copy_from_slice(&sum.to_be_bytes());
        }
        let (header, length) = ethernet::Header::parse(&bytes).expect("an Ethernet header");
        assert_eq!(header.source, OURS);
        let rest = &bytes[length..];
        let content = match header.ether_type {
            EtherType::ARP => Content::Arp(arp::Packet::parse(rest).expect("an ARP packet")),
            EtherType::IPV4 => {
                let (ip, length) = ipv4::Header::parse(rest).expect("an IPv4 packet");
                assert_eq!(usize::from(ip.total_length), rest.len());
                Content::V4(ip, rest[length..].to_vec())
            }
            EtherType::IPV6 => {
                let (ip, length) = ipv6::Header::parse(rest).expect("an IPv6 packet");
                assert_eq!(usize::from(ip.payload_length) + length, rest.len());
                Content::V6(ip, rest[length..].to_vec())
            }
            other => panic!("the stack sends no {other:?}"),
        };
        Self { to: header.destination, content }
    }

    pub fn arp(&self) -> arp::Packet {
        match self.content {
            Content::Arp(packet) => packet,
            ref other => panic!("ARP is expected: {other:?}"),
        }
    }

    /// The traffic class of an IP packet.
    pub fn traffic_class(&self) -> u8 {
        match &self.content {
            Content::V4(ip, _) => ip.traffic_class,
            Content::V6(ip, _) => ip.traffic_class,
            Content::Arp(packet) => panic!("IP is expected: {packet:?}"),
        }
    }

    /// Source, destination, protocol and payload of an IP packet.
    pub fn ip(&self) -> (IpAddr, IpAddr, Protocol, &[u8]) {
        match &self.content {
            Content::V4(ip, payload) => (ip.source.into(), ip.destination.into(), ip.protocol, payload),
            Content::V6(ip, payload) => (ip.source.into(), ip.destination.into(), ip.next_header, payload),
            Content::Arp(packet) => panic!("IP is expected: {packet:?}"),
        }
    }

    /// The codepoint of an IP packet.
    pub fn ecn(&self) -> Ecn {
        Ecn::of(self.traffic_class())
    }

    fn transport(&self, expected: Protocol) -> (IpAddr, IpAddr, &[u8]) {
        let (source, destination, protocol, payload) = self.ip();
        assert_eq!(protocol, expected);
        let mut sum = pseudo(source, destination, protocol, payload.len());
        sum.add(payload);
        assert!(sum.is_valid(), "the transport checksum holds");
        (source, destination, payload)
    }

    /// Sender, receiver and payload of a datagram whose checksum holds.
    pub fn datagram(&self) -> (SocketAddr, SocketAddr, Vec<u8>) {
        let (source, destination, payload) = self.transport(Protocol::UDP);
        let (header, length) = udp::Header::parse(payload).expect("a UDP header");
        assert_eq!(usize::from(header.length), payload.len());
        let from = SocketAddr::new(source, header.source_port);
        (from, SocketAddr::new(destination, header.destination_port), payload[length..].to_vec())
    }

    /// Addresses, header and payload of a segment whose checksum holds.
    pub fn segment(&self) -> (SocketAddr, SocketAddr, tcp::Header, Vec<u8>) {
        let (source, destination, payload) = self.transport(Protocol::TCP);
        let (header, length) = tcp::Header::parse(payload).expect("a TCP header");
        let from = SocketAddr::new(source, header.source_port);
        (from, SocketAddr::new(destination, header.destination_port), header, payload[length..].to_vec())
    }

    /// An ICMP message and what follows its header.
    pub fn icmp_v4(&self) -> (icmpv4::Message, Vec<u8>) {
        let (_, _, protocol, payload) = self.ip();
        assert_eq!(protocol, Protocol::ICMP);
        let (message, length) = icmpv4::Message::parse(payload).expect("an ICMP message");
        (message, payload[length..].to_vec())
    }

    /// An ICMPv6 message and what follows its header.
    pub fn icmp_v6(&self) -> (icmpv6::Message, Vec<u8>) {
        let Content::V6(ip, payload) = &self.content else { panic!("IPv6 is expected: {self:?}") };
        assert_eq!(ip.next_header, Protocol::ICMPV6);
        let (message, length) =
            icmpv6::Message::parse(payload, ip.source, ip.destination).expect("an ICMPv6 message");
        (message, payload[length..].to_vec())
    }
}

pub fn pseudo(source: IpAddr, destination: IpAddr, protocol: Protocol, length: usize) -> Sum {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Sum::pseudo_v4(source, destination, protocol, length)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Sum::pseudo_v6(source, destination, protocol, length)
        }
        _ => panic!("one version"),
    }
}

pub fn ethernet_frame(to: Address, ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; ethernet::HEADER_LENGTH];
    ethernet::Header { destination: to, source: THEIRS, ether_type }.emit(&mut frame);
    frame.extend_from_slice(payload);
    frame
}

pub fn arp_request(sender: Ipv4Addr, target: Ipv4Addr) -> arp::Packet {
    arp::Packet {
        operation: arp::Operation::Request,
        sender_hardware: THEIRS,
        sender_protocol: sender,
        target_hardware: Address::UNSPECIFIED,
        target_protocol: target,
    }
}

pub fn arp_reply(sender: Ipv4Addr, target: Ipv4Addr) -> arp::Packet {
    arp::Packet { operation: arp::Operation::Reply, target_hardware: OURS, ..arp_request(sender, target) }
}

pub fn arp_frame(packet: &arp::Packet) -> Vec<u8> {
    let mut bytes = vec![0; arp::LENGTH];
    packet.emit(&mut bytes);
    let to = if packet.operation == arp::Operation::Request { Address::BROADCAST } else { OURS };
    ethernet_frame(to, EtherType::ARP, &bytes)
}

/// An IPv4 header with usual values.
pub fn v4_header(source: Ipv4Addr, destination: Ipv4Addr, protocol: Protocol) -> ipv4::Header {
    ipv4::Header {
        traffic_class: 0,
        total_length: 0,
        identification: 7,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol,
        source,
        destination,
    }
}

/// A frame to the stack with an IPv4 packet.
pub fn v4_frame(header: ipv4::Header, payload: &[u8]) -> Vec<u8> {
    let header = ipv4::Header { total_length: (ipv4::HEADER_LENGTH + payload.len()) as u16, ..header };
    let mut packet = vec![0; ipv4::HEADER_LENGTH];
    header.emit(&mut packet);
    packet.extend_from_slice(payload);
    ethernet_frame(OURS, EtherType::IPV4, &packet)
}

/// The frame with another codepoint in its IP header.
pub fn marked(mut frame: Vec<u8>, ecn: Ecn) -> Vec<u8> {
    let ip = &mut frame[ethernet::HEADER_LENGTH..];
    if ip[0] >> 4 == 4 {
        ip[1] = ecn.bits();
        ip[10..12].fill(0);
        let sum = wire::checksum::checksum(&ip[..ipv4::HEADER_LENGTH]);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
    } else {
        ip[1] |= ecn.bits() << 4;
    }
    frame
}

/// A frame to the stack with an IPv6 packet.
pub fn v6_frame(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    next: Protocol,
    hop_limit: u8,
    payload: &[u8],
) -> Vec<u8> {
    let header = ipv6::Header {
        traffic_class: 0,
        flow_label: 0,
        payload_length: payload.len() as u16,
        next_header: next,
        hop_limit,
        source,
        destination,
    };
    let mut packet = vec![0; ipv6::HEADER_LENGTH];
    header.emit(&mut packet);
    packet.extend_from_slice(payload);
    let to = if destination.is_multicast() { Address::multicast_v6(destination) } else { OURS };
    ethernet_frame(to, EtherType::IPV6, &packet)
}

/// A frame to the stack with an IP packet of either version.
pub fn ip_frame(source: IpAddr, destination: IpAddr, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            v4_frame(v4_header(source, destination, protocol), payload)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => v6_frame(source, destination, protocol, 64, payload),
        _ => panic!("one version"),
    }
}

pub fn neighbour_solicitation(source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let destination = ipv6::solicited_node(target);
    let message = wire::ndp::Message::NeighborSolicitation { target };
    let options = [wire::ndp::NdpOption::SourceLinkLayer(THEIRS)];
    ndp_frame(source, destination, &message, if source.is_unspecified() { &[] } else { &options })
}

pub fn ndp_frame(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    message: &wire::ndp::Message,
    options: &[wire::ndp::NdpOption<'_>],
) -> Vec<u8> {
    let mut bytes = vec![0; message.length(options)];
    message.emit(source, destination, options, &mut bytes);
    v6_frame(source, destination, Protocol::ICMPV6, 255, &bytes)
}

/// A datagram with its checksum, from the UDP header on.
pub fn udp_bytes(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let length = udp::HEADER_LENGTH + payload.len();
    let mut header = udp::Header {
        source_port: from.port(),
        destination_port: to.port(),
        length: length as u16,
        checksum: 0,
    };
    let mut bytes = vec![0; udp::HEADER_LENGTH];
    header.emit(&mut bytes);
    let mut sum = pseudo(from.ip(), to.ip(), Protocol::UDP, length);
    sum.add(&bytes);
    sum.add(payload);
    header.checksum = udp::checksum(sum);
    header.emit(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

pub fn udp_frame(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    ip_frame(from.ip(), to.ip(), Protocol::UDP, &udp_bytes(from, to, payload))
}

/// A segment with its checksum, from the TCP header on. The ports are the addresses'.
pub fn tcp_bytes(from: SocketAddr, to: SocketAddr, header: tcp::Header, payload: &[u8]) -> Vec<u8> {
    let header = tcp::Header { source_port: from.port(), destination_port: to.port(), ..header };
    let mut bytes = vec![0; header.length()];
    header.emit(&mut bytes);
    bytes.extend_from_slice(payload);
    let mut sum = pseudo(from.ip(), to.ip(), Protocol::TCP, bytes.len());
    sum.add(&bytes);
    bytes[tcp::CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.checksum().to_be_bytes());
    bytes
}

pub fn tcp_frame(from: SocketAddr, to: SocketAddr, header: tcp::Header, payload: &[u8]) -> Vec<u8> {
    ip_frame(from.ip(), to.ip(), Protocol::TCP, &tcp_bytes(from, to, header, payload))
}

pub fn at(address: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(address.into(), port)
}

/// The profile of connections.
pub fn tcp_profile() -> std::sync::Arc<::tcp::Config> {
    // A writer need not come back.
    let send_start_bytes = ::tcp::Config::default().send_buffer_bytes;
    std::sync::Arc::new(::tcp::Config { send_start_bytes, ..::tcp::Config::default() })
}
