//! A stack with established connections, each used in its turn.

use crate::peer::{self, OWN, OWN_ADDRESS, PORT, Peer, ROUTER_ADDRESS};
use packet::{Batch, Bytes, Capabilities, Medium, Packet};
use stack::{Binding, Config, Event, InterfaceConfig, InterfaceId, Listen, Prefix, Route, Stack, TcpId};
use std::sync::Arc;
use time::{Duration, Instant};
use wire::tcp::Header;

/// The link's MTU, in bytes.
const MTU: u16 = 1_500;
/// Frames at once in either direction: what stands here is the cost of a frame that comes alone.
const BATCH_PACKETS: usize = 4;
/// Virtual time between two frames.
const STEP: Duration = Duration::from_micros(1);

/// A connection and its peer.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The stack's number for it.
    pub id: TcpId,
    /// Its other side.
    pub peer: Peer,
}

/// The stack under load.
#[derive(Debug)]
pub struct Load {
    /// The stack.
    pub stack: Stack,
    /// Its only interface.
    pub interface: InterfaceId,
    /// Frames on their way, in either direction.
    pub batch: Batch,
    /// Virtual time.
    pub now: Instant,
    /// What is written.
    pub payload: Bytes,
    lines: Vec<Line>,
    turn: usize,
}

impl Load {
    /// A stack with `connections` established by peers.
    ///
    /// # Panics
    ///
    /// Where the stack does not answer as a server would.
    pub fn open(connections: usize) -> Self {
        let now = Instant::from_secs(1);
        let config =
            Config { connections_max: connections, tcp_bytes_max: usize::MAX / 2, ..Config::default() };
        let mut stack = Stack::new(config, [7; 32], now);
        let device = Capabilities {
            medium: Medium::Ethernet,
            mtu: MTU,
            transmit_checksum: true,
            segmentation_bytes_max: 65_535,
        };
        let addresses = vec![Prefix::new(OWN_ADDRESS, 24)];
        let interface = stack
            .add_interface(InterfaceConfig::new(device, OWN, addresses), now)
            .expect("the configuration works");
        let everywhere = Prefix::new([0, 0, 0, 0], 0);
        let gateway = Some(ROUTER_ADDRESS.into());
        stack.add_route(Route { destination: everywhere, interface, gateway }).expect("there is room");
        // Each segment of a pair is acknowledged as in the middle of a transfer.
        let profile = tcp::Config { quick_acks: 0, ..tcp::Config::linux() };
        let listen =
            Listen { binding: Binding::Port(PORT), defer: false, backlog: 64, config: Arc::new(profile) };
        stack.tcp_listen(listen).expect("the port is free");
        let mut load = Self {
            stack,
            interface,
            batch: Batch::with_capacity(BATCH_PACKETS),
            now,
            payload: Bytes::from(vec![0x5a; usize::from(MTU) - 52]),
            lines: Vec::with_capacity(connections),
            turn: 0,
        };
        for number in 0..connections {
            let line = load.establish(Peer::new(number));
            load.lines.push(line);
        }
        load
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    fn establish(&mut self, mut peer: Peer) -> Line {
        let syn = peer.syn(self.clock_ms());
        self.give(syn);
        let mut answer = self.take();
        if answer.is_none() {
            // The first frame waits for the router's address.
            self.give(peer::router());
            answer = self.take();
        }
        peer.handle_syn_ack(&answer.expect("a SYN is answered"));
        self.give(peer.ack(self.clock_ms()));
        let id = loop {
            match self.stack.poll_event().expect("the connection is accepted") {
                Event::TcpAccepted { connection, .. } => break connection,
                _ => continue,
            }
        };
        // The second segment is acknowledged at once, and with it the window is told that all after it have.
        let payload = self.payload.clone();
        for _ in 0..2 {
            self.give(peer.data(self.clock_ms(), &payload));
        }
        while self.stack.poll_event().is_some() {}
        while self.stack.tcp_read(id, usize::MAX, self.now).is_some() {}
        peer.hear(&self.take().expect("two segments are acknowledged"));
        Line { id, peer }
    }

    /// A frame arrives.
    fn give(&mut self, frame: Packet) {
        self.load(frame);
        self.stack.handle_batch(self.interface, &mut self.batch, self.now);
    }

    /// A frame is ready to arrive.
    pub fn load(&mut self, frame: Packet) {
        assert!(self.batch.is_empty(), "every frame before was taken");
        self.batch.push(frame).expect("there is room");
    }

    /// The last TCP segment that leaves.
    fn take(&mut self) -> Option<Header> {
        self.stack.poll_transmit(self.interface, &mut self.batch, self.now);
        self.heard()
    }

    /// The last TCP segment among the frames that have left.
    pub fn heard(&mut self) -> Option<Header> {
        let mut last = None;
        while let Some(frame) = self.batch.pop() {
            last = peer::heard(&frame).or(last);
        }
        last
    }

    /// The next connection's turn.
    pub fn advance(&mut self) -> usize {
        self.turn = (self.turn + 1) % self.lines.len();
        self.now += STEP;
        if self.stack.poll_timeout().is_some_and(|at| at <= self.now) {
            self.stack.handle_timeout(self.now);
        }
        self.turn
    }

    /// A connection.
    pub fn line(&mut self, number: usize) -> &mut Line {
        &mut self.lines[number]
    }

    /// The peers' clock of timestamps.
    pub fn clock_ms(&self) -> u32 {
        self.now.as_micros() as u32 / 1_000
    }
}
