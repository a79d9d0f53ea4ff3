//! Bytes both ways over one TCP connection, each compared with what was sent, by an owner that acts on events alone.

use crate::stream::Stream;
use crate::world::{HostId, LinkId, World};
use stack::{Binding, Event, Listen, ListenerId, TcpId};
use std::net::SocketAddr;
use std::sync::Arc;
use tcp::CloseReason;
use time::{Duration, Instant};

/// The port that the server listens on.
const PORT: u16 = 7;
/// Bytes of one write, unless the plan says otherwise.
const WRITE_BYTES: usize = 16 << 10;

/// What is to be transferred, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Bytes from the client. Default 100,000.
    pub upload_bytes: u64,
    /// Bytes from the server. Default 100,000.
    pub download_bytes: u64,
    /// Whether over IPv6. Default no.
    pub over_v6: bool,
    /// The server reads so many bytes at once and then waits so long. Default as many as there are, at once.
    pub sip: Option<(usize, Duration)>,
    /// The profile of both connections.
    pub config: Arc<tcp::Config>,
}

impl Default for Plan {
    fn default() -> Self {
        let config = Arc::new(tcp::Config::default());
        Self { upload_bytes: 100_000, download_bytes: 100_000, over_v6: false, sip: None, config }
    }
}

/// A transfer under way. It writes and reads only after events that say that it can, so that a missing event
/// shows as a stall.
#[derive(Debug)]
pub struct Transfer {
    listener: ListenerId,
    sides: [Side; 2],
}

#[derive(Debug)]
struct Side {
    host: HostId,
    connection: Option<TcpId>,
    write: Stream,
    written_all: bool,
    read: Stream,
    at_end: bool,
    can_write: bool,
    can_read: bool,
    sip: Option<(usize, Duration)>,
    rests_until: Instant,
    closed: Option<CloseReason>,
}

impl Transfer {
    /// Starts a transfer from `client` to `server` over `link`.
    ///
    /// # Panics
    ///
    /// Where the stacks refuse to listen or to connect.
    pub fn start(world: &mut World, client: HostId, server: HostId, link: LinkId, plan: &Plan) -> Self {
        let now = world.now();
        let (v4, v6) = world.addresses(server, link).expect("the server is on the link");
        let remote = SocketAddr::new(if plan.over_v6 { v6 } else { v4 }, PORT);
        let listen =
            Listen { binding: Binding::Port(PORT), defer: false, backlog: 16, config: plan.config.clone() };
        let listener = world.stack(server).tcp_listen(listen).expect("the port is free");
        let connection = world.stack(client).tcp_connect(None, remote, plan.config.clone(), now);
        let side = |host, sent: (u64, u64), received: (u64, u64), sip| Side {
            host,
            connection: None,
            write: Stream::new(sent.0, sent.1),
            written_all: false,
            read: Stream::new(received.0, received.1),
            at_end: false,
            can_write: true,
            can_read: false,
            sip,
            rests_until: now,
            closed: None,
        };
        let (up, down) = ((1, plan.upload_bytes), (2, plan.download_bytes));
        let mut sides = [side(client, up, down, None), side(server, down, up, plan.sip)];
        sides[0].connection = Some(connection.expect("a route and a port"));
        Self { listener, sides }
    }

    /// Acts on what happened. Returns whether every byte has arrived both ways and both sides have seen the end.
    ///
    /// # Panics
    ///
    /// Where a byte arrives that was not sent.
    pub fn poll(&mut self, world: &mut World) -> bool {
        for side in &mut self.sides {
            while let Some(event) = world.event(side.host) {
                side.note(&event, self.listener);
            }
            side.write(world);
            side.read(world);
        }
        self.sides.iter().all(|side| side.at_end && side.written_all)
    }

    /// The client's and the server's connection.
    pub fn connections(&self) -> [Option<TcpId>; 2] {
        [self.sides[0].connection, self.sides[1].connection]
    }

    /// How the client's and the server's connection ended, where they have.
    pub fn closed(&self) -> [Option<CloseReason>; 2] {
        [self.sides[0].closed, self.sides[1].closed]
    }

    /// Bytes that the client and the server have read.
    pub fn read_bytes(&self) -> [u64; 2] {
        [self.sides[0].read.position, self.sides[1].read.position]
    }

    /// Gives both connections and the listener back.
    pub fn release(self, world: &mut World) {
        let now = world.now();
        for side in &self.sides {
            if let Some(connection) = side.connection {
                world.stack(side.host).tcp_release(connection, now);
            }
        }
        world.stack(self.sides[1].host).tcp_unlisten(self.listener);
    }
}

impl Side {
    fn note(&mut self, event: &Event, listener: ListenerId) {
        match *event {
            Event::TcpAccepted { listener: of, connection, .. } if of == listener => {
                self.connection = Some(connection);
                self.can_write = true;
                self.can_read = true;
            }
            Event::Tcp { connection, event } if Some(connection) == self.connection => match event {
                tcp::Event::Established | tcp::Event::Writable => self.can_write = true,
                tcp::Event::Readable | tcp::Event::PeerClosed => self.can_read = true,
                tcp::Event::Closed(reason) => self.closed = Some(reason),
                tcp::Event::SendingDone => {}
            },
            _ => {}
        }
    }

    fn write(&mut self, world: &mut World) {
        let (Some(connection), now) = (self.connection, world.now()) else { return };
        while self.can_write && !self.written_all {
            let stack = world.stack(self.host);
            let mut data = self.write.next(WRITE_BYTES);
            if data.is_empty() {
                stack.tcp_shutdown(connection, now);
                self.written_all = true;
                return;
            }
            let offered = data.len();
            let taken = stack.tcp_write(connection, &mut data, now);
            assert_eq!(data.len(), offered - taken, "what did not fit stays");
            self.write.advance(taken);
            self.can_write = taken == offered;
        }
    }

    fn read(&mut self, world: &mut World) {
        let (Some(connection), now) = (self.connection, world.now()) else { return };
        while self.can_read && !self.at_end && now >= self.rests_until {
            let stack = world.stack(self.host);
            let bytes_max = self.sip.map_or(usize::MAX, |(bytes, _)| bytes);
            let Some(data) = stack.tcp_read(connection, bytes_max, now) else {
                self.can_read = false;
                self.at_end = stack.tcp_is_at_end(connection);
                assert!(!self.at_end || self.read.position == self.read.length, "the end came early");
                return;
            };
            self.read.compare(&data);
            if let Some((_, rest)) = self.sip {
                self.rests_until = now + rest;
                world.wake_at(self.rests_until);
            }
        }
    }
}
