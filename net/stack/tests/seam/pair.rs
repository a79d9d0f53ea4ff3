//! Two stacks joined back to back: frames of one arrive at the other, in virtual time.

use crate::link::{MTU, PLAIN, tcp_profile};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use packet::{Batch, Bytes, Capabilities, Packet};
use stack::{
    Binding, Config, Event, InterfaceConfig, InterfaceId, Listen, ListenerId, Memory, Prefix, Stack, TcpId,
};
use time::{Duration, Instant};

pub const V4: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 2, 1), Ipv4Addr::new(10, 0, 2, 2)];
pub const V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 2)];

/// A device that sums and cuts.
pub const OFFLOADING: Capabilities =
    Capabilities { transmit_checksum: true, segmentation_bytes_max: 65_535, mtu: MTU, ..PLAIN };

/// A side of the pair.
pub struct Side {
    pub stack: Stack,
    pub interface: InterfaceId,
    pub events: Vec<Event>,
    /// Frames that it has sent.
    pub sent: usize,
}

/// The client, side 0, and the server, side 1.
pub struct Pair {
    pub sides: [Side; 2],
    pub now: Instant,
    /// How long a frame is on the way.
    pub delay: Duration,
}

impl Pair {
    pub fn new(capabilities: Capabilities) -> Self {
        Self::with(Config::default(), capabilities)
    }

    pub fn with(config: Config, capabilities: Capabilities) -> Self {
        let now = Instant::from_secs(1);
        let side = |n: usize| {
            let mut stack = Stack::new(config.clone(), [n as u8 + 1; 32], now);
            let addresses = vec![Prefix::new(V4[n], 24), Prefix::new(V6[n], 64)];
            let config = InterfaceConfig::new(capabilities, [2, 0, 0, 0, 0, n as u8 + 1], addresses);
            let interface = stack.add_interface(config, now).expect("the configuration works");
            Side { stack, interface, events: Vec::new(), sent: 0 }
        };
        Self { sides: [side(0), side(1)], now, delay: Duration::from_micros(50) }
    }

    /// The server listens at port 80 of all its addresses.
    pub fn listen(&mut self, defer: bool) -> ListenerId {
        let listen = Listen { binding: Binding::Port(80), defer, backlog: 16, config: tcp_profile() };
        self.sides[1].stack.tcp_listen(listen).expect("the port is free")
    }

    /// The client connects to the server's port 80.
    pub fn connect(&mut self, to: impl Into<IpAddr>) -> TcpId {
        let remote = SocketAddr::new(to.into(), 80);
        self.sides[0].stack.tcp_connect(None, remote, tcp_profile(), self.now).expect("there is a way")
    }

    /// Both sides are connected: the client's number and the server's.
    pub fn connected(capabilities: Capabilities, to: impl Into<IpAddr>) -> (Self, TcpId, TcpId) {
        Self::connected_with(Config::default(), capabilities, to)
    }

    pub fn connected_with(
        config: Config,
        capabilities: Capabilities,
        to: impl Into<IpAddr>,
    ) -> (Self, TcpId, TcpId) {
        let mut pair = Self::with(config, capabilities);
        pair.listen(false);
        let client = pair.connect(to);
        pair.settle();
        let server = pair.sides[1].events.iter().find_map(|event| match *event {
            Event::TcpAccepted { connection, .. } => Some(connection),
            _ => None,
        });
        let server = server.expect("the server accepts");
        assert!(pair.told(0, client, tcp::Event::Established));
        (pair, client, server)
    }

    /// Whether a side was told of an event of a connection.
    pub fn told(&self, side: usize, connection: TcpId, event: tcp::Event) -> bool {
        let is = |told: &Event| matches!(*told, Event::Tcp { connection: c, event: e } if c == connection && e == event);
        self.sides[side].events.iter().any(is)
    }

    /// Carries frames both ways until none is left. Whether there were any.
    pub fn exchange(&mut self) -> bool {
        let mut any = false;
        loop {
            let mut moved = false;
            for from in [0, 1] {
                moved |= self.carry(from);
            }
            if !moved {
                return any;
            }
            any = true;
        }
    }

    /// Carries what one side has to send to the other, as one batch.
    pub fn carry(&mut self, from: usize) -> bool {
        let mut arriving = Batch::with_capacity(1_000);
        loop {
            let mut batch = Batch::with_capacity(32);
            let side = &mut self.sides[from];
            side.stack.poll_transmit(side.interface, &mut batch, self.now);
            if batch.is_empty() {
                break;
            }
            while let Some(mut packet) = batch.pop() {
                self.sides[from].sent += 1;
                let offload = core::mem::take(&mut packet.offload);
                if arriving.is_full() {
                    let to = &mut self.sides[1 - from];
                    to.stack.handle_batch(to.interface, &mut arriving, self.now);
                }
                arriving.push(Packet::received(packet.into_bytes(), offload)).expect("there is room");
            }
        }
        if arriving.is_empty() {
            return false;
        }
        self.now += self.delay;
        let to = &mut self.sides[1 - from];
        to.stack.handle_batch(to.interface, &mut arriving, self.now);
        for side in &mut self.sides {
            side.events.extend(core::iter::from_fn(|| side.stack.poll_event()));
        }
        true
    }

    /// Carries frames and keeps deadlines until nothing happens for a second.
    pub fn settle(&mut self) {
        self.pass(Duration::from_secs(1));
    }

    /// Time passes: frames are carried and deadlines kept.
    pub fn pass(&mut self, span: Duration) {
        let mut end = self.now + span;
        loop {
            if self.exchange() {
                end = end.max(self.now + Duration::from_millis(1));
            }
            let next = self.sides.iter().filter_map(|side| side.stack.poll_timeout()).min();
            let Some(at) = next.filter(|&at| at <= end) else { break };
            self.now = self.now.max(at);
            for side in &mut self.sides {
                side.stack.handle_timeout(self.now);
                side.events.extend(core::iter::from_fn(|| side.stack.poll_event()));
            }
        }
        self.now = end;
    }

    /// Writes all of `data` on one side while the other reads; what the other side got.
    pub fn transfer(&mut self, from: (usize, TcpId), to: (usize, TcpId), data: &Bytes) -> Vec<u8> {
        let mut rest = data.clone();
        let mut got = Vec::new();
        for _ in 0..100_000 {
            let now = self.now;
            self.sides[from.0].stack.tcp_write(from.1, &mut rest, now);
            if !self.exchange() {
                self.pass(Duration::from_millis(50));
            }
            let now = self.now;
            while let Some(bytes) = self.sides[to.0].stack.tcp_read(to.1, usize::MAX, now) {
                got.extend_from_slice(&bytes);
            }
            if got.len() == data.len() {
                return got;
            }
        }
        panic!("{} of {} bytes arrived", got.len(), data.len());
    }

    pub fn memory(&self, side: usize) -> Memory {
        self.sides[side].stack.memory()
    }
}
