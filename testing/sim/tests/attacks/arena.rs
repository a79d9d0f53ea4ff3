//! A server and a client, each a stack, on a medium without link headers, in virtual time; and an attacker whose packets
//! reach the server beside the client's.

use packet::{Batch, Bytes, Capabilities, Checksum, Medium, Offload, Packet};
use stack::{
    Binding, Config, Drop, Event, InterfaceConfig, InterfaceId, Listen, ListenerId, Memory, Prefix, Route,
    Stack, TcpId,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use time::{Duration, Instant};
use wire::checksum::Sum;
use wire::tcp::{self, Flags, Header};
use wire::{Protocol, icmpv4, ipv4};

pub const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The port that the server listens at.
pub const PORT: u16 = 80;
pub const MTU: u16 = 1_500;
/// How long a packet is on its way.
const DELAY: Duration = Duration::from_micros(100);
/// Packets that reach a stack at once.
const BATCH: usize = 64;

/// A stack and what it has told.
pub struct Side {
    pub stack: Stack,
    pub interface: InterfaceId,
    pub events: Vec<Event>,
}

impl Side {
    fn new(address: Ipv4Addr, config: Config, seed: u8, now: Instant) -> Self {
        let capabilities = Capabilities {
            medium: Medium::Ip,
            mtu: MTU,
            transmit_checksum: false,
            segmentation_bytes_max: 0,
        };
        let mut stack = Stack::new(config, [seed; 32], now);
        let prefixes = vec![Prefix::new(address, 32)];
        let interface = stack
            .add_interface(InterfaceConfig::new(capabilities, [2, 0, 0, 0, 0, seed], prefixes), now)
            .expect("the configuration works");
        let destination = Prefix::new(Ipv4Addr::UNSPECIFIED, 0);
        stack.add_route(Route { destination, interface, gateway: None }).expect("there is room for a route");
        Self { stack, interface, events: Vec::new() }
    }

    /// What the stack sends now, as it stands on the wire.
    pub fn sent(&mut self, now: Instant) -> Vec<Bytes> {
        let mut sent = Vec::new();
        let mut batch = Batch::with_capacity(BATCH);
        loop {
            self.stack.poll_transmit(self.interface, &mut batch, now);
            if batch.is_empty() {
                return sent;
            }
            sent.extend(std::iter::from_fn(|| batch.pop()).map(Packet::into_bytes));
        }
    }

    /// Packets arrive.
    pub fn receive(&mut self, packets: impl IntoIterator<Item = Bytes>, now: Instant) {
        let mut batch = Batch::with_capacity(BATCH);
        let mut packets = packets.into_iter().peekable();
        while packets.peek().is_some() {
            for packet in packets.by_ref().take(BATCH) {
                let offload = Offload { checksum: Checksum::Complete, ..Offload::default() };
                batch.push(Packet::received(packet, offload)).expect("there is room");
            }
            self.stack.handle_batch(self.interface, &mut batch, now);
        }
        self.events.extend(std::iter::from_fn(|| self.stack.poll_event()));
    }

    pub fn dropped(&self, reason: Drop) -> u64 {
        self.stack.counters().dropped(reason)
    }

    /// How many segments connections refused for `reason`.
    pub fn refused(&self, reason: ::tcp::Drop) -> u64 {
        let refused = self.stack.counters().refused_by_connections();
        refused.iter().find(|(known, _)| *known == reason).map_or(0, |(_, count)| *count)
    }
}

/// The two stacks, the moment, and what left for addresses that are neither's.
pub struct Arena {
    pub server: Side,
    pub client: Side,
    pub now: Instant,
    /// What the server sent to somebody else.
    pub elsewhere: Vec<Bytes>,
    /// Packets that the server sent to the client.
    pub to_client: usize,
}

impl Arena {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    /// A server with this configuration.
    pub fn with(config: Config) -> Self {
        let now = Instant::from_secs(1_000);
        Self {
            server: Side::new(SERVER, config, 1, now),
            client: Side::new(CLIENT, Config::default(), 2, now),
            now,
            elsewhere: Vec::new(),
            to_client: 0,
        }
    }

    pub fn listen(&mut self, backlog: usize) -> ListenerId {
        let listen = Listen { binding: Binding::Port(PORT), defer: false, backlog, config: profile() };
        self.server.stack.tcp_listen(listen).expect("the port is free")
    }

    pub fn connect(&mut self) -> TcpId {
        let remote = SocketAddr::new(SERVER.into(), PORT);
        self.client.stack.tcp_connect(None, remote, profile(), self.now).expect("there is a way and a port")
    }

    /// Connects, and waits for both sides to say so.
    pub fn connected(&mut self) -> Joined {
        let client = self.connect();
        self.exchange();
        let accepted = self.server.events.iter().find_map(|event| match *event {
            Event::TcpAccepted { connection, remote, .. } => Some((connection, remote)),
            _ => None,
        });
        let (server, remote) = accepted.expect("the server accepts");
        self.server.events.clear();
        self.client.events.clear();
        Joined { client, server, remote }
    }

    /// Carries what both sides have to send until neither has anything.
    pub fn exchange(&mut self) {
        while self.step() {}
    }

    /// Carries what both sides have to send now, once. Whether there was anything for either.
    pub fn step(&mut self) -> bool {
        let to_server = self.client.sent(self.now);
        let from_server = self.server.sent(self.now);
        let (to_client, elsewhere): (Vec<_>, Vec<_>) =
            from_server.into_iter().partition(|packet| packet[16..20] == CLIENT.octets());
        self.elsewhere.extend(elsewhere);
        self.to_client += to_client.len();
        if to_server.is_empty() && to_client.is_empty() {
            return false;
        }
        self.now += DELAY;
        self.server.receive(to_server, self.now);
        self.client.receive(to_client, self.now);
        true
    }

    /// Packets of the attacker reach the server.
    pub fn attack(&mut self, packets: impl IntoIterator<Item = Bytes>) {
        self.server.receive(packets, self.now);
    }

    /// Packets of the attacker reach the server; how many packets it sends in answer to anybody.
    pub fn answers(&mut self, packets: impl IntoIterator<Item = Bytes>) -> Vec<Bytes> {
        self.attack(packets);
        self.server.sent(self.now)
    }

    /// Time passes: deadlines are kept and packets carried.
    pub fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            self.exchange();
            let deadlines = [self.server.stack.poll_timeout(), self.client.stack.poll_timeout()];
            let Some(at) = deadlines.into_iter().flatten().min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            for side in [&mut self.server, &mut self.client] {
                side.stack.handle_timeout(self.now);
                side.events.extend(std::iter::from_fn(|| side.stack.poll_event()));
            }
        }
        self.now = self.now.max(end);
    }

    /// The bytes that a write of `payload` on one side brings to the other.
    pub fn carry(&mut self, joined: Joined, upward: bool, payload: &[u8]) -> Vec<u8> {
        let mut data = Bytes::copy_from_slice(payload);
        let now = self.now;
        let (from, to) = if upward {
            ((&mut self.client, joined.client), joined.server)
        } else {
            ((&mut self.server, joined.server), joined.client)
        };
        assert_eq!(from.0.stack.tcp_write(from.1, &mut data, now), payload.len());
        self.exchange();
        let now = self.now;
        let side = if upward { &mut self.server } else { &mut self.client };
        let read = std::iter::from_fn(|| side.stack.tcp_read(to, usize::MAX, now));
        read.flat_map(|bytes| bytes.to_vec()).collect()
    }

    /// Whether the connection still carries bytes both ways.
    pub fn is_alive(&mut self, joined: Joined) -> bool {
        self.carry(joined, true, b"there") == b"there" && self.carry(joined, false, b"back") == b"back"
    }

    /// Everything is closed, and long after nothing of it is left on the server.
    pub fn assert_nothing_left(&mut self) {
        self.pass(Duration::from_mins(10));
        assert_eq!(self.server.stack.memory(), Memory::default());
        assert_eq!(self.server.stack.poll_timeout(), None, "a deadline with nothing to wait for");
    }
}

/// A connection by its numbers on both sides, and the client's end.
#[derive(Clone, Copy)]
pub struct Joined {
    pub client: TcpId,
    pub server: TcpId,
    pub remote: SocketAddr,
}

pub fn profile() -> Arc<::tcp::Config> {
    Arc::default()
}

/// A segment from anybody to the server's port, with the checksums that it should have.
pub fn segment(from: SocketAddr, header: Header, payload: &[u8]) -> Bytes {
    let header = Header { source_port: from.port(), destination_port: PORT, ..header };
    let IpAddr::V4(source) = from.ip() else { panic!("IPv4 is expected") };
    let start = ipv4::HEADER_LENGTH;
    let length = start + header.length() + payload.len();
    let mut packet = vec![0; start + header.length()];
    packet.reserve_exact(payload.len());
    header.emit(&mut packet[start..]);
    packet.extend_from_slice(payload);
    let mut sum = Sum::pseudo_v4(source, SERVER, Protocol::TCP, length - start);
    sum.add(&packet[start..]);
    let at = start + tcp::CHECKSUM_OFFSET;
    packet[at..at + 2].copy_from_slice(&sum.checksum().to_be_bytes());
    ip_header(source, SERVER, Protocol::TCP, length).emit(&mut packet);
    Bytes::from(packet)
}

/// An ICMP error from a router on the way about a segment that the server sent to `to`, with what it quotes.
pub fn error(message: icmpv4::Message, to: SocketAddr, quoted: Header) -> Bytes {
    let quoted = Header { source_port: PORT, destination_port: to.port(), ..quoted };
    let IpAddr::V4(destination) = to.ip() else { panic!("IPv4 is expected") };
    let mut quote = vec![0; ipv4::HEADER_LENGTH + quoted.length()];
    quoted.emit(&mut quote[ipv4::HEADER_LENGTH..]);
    ip_header(SERVER, destination, Protocol::TCP, quote.len()).emit(&mut quote);
    quote.truncate(ipv4::HEADER_LENGTH + 8);
    let start = ipv4::HEADER_LENGTH + icmpv4::HEADER_LENGTH;
    let mut packet = vec![0; start];
    message.emit([&quote], &mut packet[ipv4::HEADER_LENGTH..]);
    packet.extend_from_slice(&quote);
    let length = packet.len();
    ip_header(Ipv4Addr::new(203, 0, 113, 7), SERVER, Protocol::ICMP, length).emit(&mut packet);
    Bytes::from(packet)
}

fn ip_header(source: Ipv4Addr, destination: Ipv4Addr, protocol: Protocol, length: usize) -> ipv4::Header {
    ipv4::Header {
        traffic_class: 0,
        total_length: length as u16,
        identification: 7,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol,
        source,
        destination,
    }
}

/// The TCP header of a packet that a stack sent, and the length of its payload.
pub fn header_of(packet: &Bytes) -> (Header, usize) {
    let (ip, start) = ipv4::Header::parse(packet).expect("an IPv4 header");
    assert_eq!(ip.protocol, Protocol::TCP);
    let (header, length) = Header::parse(&packet[start..]).expect("a TCP header");
    (header, packet.len() - start - length)
}

/// The SYN that Linux sends.
pub fn syn(sequence: u32) -> Header {
    let options = tcp::Options {
        mss: Some(1_460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some(tcp::Timestamps { value: sequence ^ 0x5a5a, echo: 0 }),
        ..tcp::Options::default()
    };
    Header {
        sequence: time::SequenceNumber(sequence),
        flags: Flags::SYN,
        window: 64_240,
        options,
        ..Header::default()
    }
}
