//! Connections that send as much as they may from one host to another, and what of each arrives.

use crate::world::{HostId, LinkId, World};
use packet::Bytes;
use stack::{Binding, Event, Listen, ListenerId, TcpId};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// The port that they go to.
const PORT: u16 = 9;
/// Bytes of one write.
const WRITE_BYTES: usize = 64 << 10;

/// Flows that compete for a link.
#[derive(Debug)]
pub struct Flows {
    sender: HostId,
    receiver: HostId,
    remote: SocketAddr,
    listener: ListenerId,
    block: Bytes,
    /// By the port that each comes from, in the order of starting.
    ports: Vec<u16>,
    arrived: BTreeMap<TcpId, (u16, u64)>,
}

impl Flows {
    /// No flows yet, from `sender` to `receiver` over `link`.
    ///
    /// # Panics
    ///
    /// Where the receiver does not listen, or a host is not on the link.
    pub fn new(world: &mut World, sender: HostId, receiver: HostId, link: LinkId) -> Self {
        Self::with(world, sender, receiver, link, tcp::Config::default())
    }

    /// The same, with a profile for the receivers.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    pub fn with(
        world: &mut World,
        sender: HostId,
        receiver: HostId,
        link: LinkId,
        config: tcp::Config,
    ) -> Self {
        let (v4, _) = world.addresses(receiver, link).expect("the receiver is on the link");
        let listen =
            Listen { binding: Binding::Port(PORT), defer: false, backlog: 64, config: Arc::new(config) };
        let listener = world.stack(receiver).tcp_listen(listen).expect("the port is free");
        Self {
            sender,
            receiver,
            remote: SocketAddr::new(v4, PORT),
            listener,
            block: Bytes::from(vec![0; WRITE_BYTES]),
            ports: Vec::new(),
            arrived: BTreeMap::new(),
        }
    }

    /// One more, whose sender has the profile. Its number is how many there were before.
    ///
    /// # Panics
    ///
    /// Where the sender has no port left.
    pub fn start(&mut self, world: &mut World, config: tcp::Config) -> usize {
        let now = world.now();
        let stack = world.stack(self.sender);
        let id = stack.tcp_connect(None, self.remote, Arc::new(config), now).expect("a route and a port");
        let (local, _) = stack.tcp_addresses(id).expect("just opened");
        self.ports.push(local.port());
        self.ports.len() - 1
    }

    /// Writes and reads all that can be; to be called at every moment.
    pub fn poll(&mut self, world: &mut World) {
        let now = world.now();
        while let Some(event) = world.event(self.sender) {
            if let Event::Tcp { connection, event: tcp::Event::Established | tcp::Event::Writable } = event {
                let stack = world.stack(self.sender);
                while stack.tcp_write(connection, &mut self.block.clone(), now) == WRITE_BYTES {}
            }
        }
        while let Some(event) = world.event(self.receiver) {
            match event {
                Event::TcpAccepted { listener, connection, remote, .. } if listener == self.listener => {
                    self.arrived.insert(connection, (remote.port(), 0));
                }
                Event::Tcp { connection, event: tcp::Event::Readable } => {
                    let (_, arrived) = self.arrived.get_mut(&connection).expect("accepted before");
                    while let Some(data) = world.stack(self.receiver).tcp_read(connection, usize::MAX, now) {
                        *arrived += data.len() as u64;
                    }
                }
                _ => {}
            }
        }
    }

    /// Bytes of each flow that have arrived, in the order of starting.
    pub fn arrived_bytes(&self) -> Vec<u64> {
        let of =
            |port: &u16| self.arrived.values().find(|(from, _)| from == port).map_or(0, |(_, bytes)| *bytes);
        self.ports.iter().map(of).collect()
    }
}
