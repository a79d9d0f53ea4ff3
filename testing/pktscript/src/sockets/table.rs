//! Descriptors, and what is known of the connections behind them.

use crate::run::World;
use crate::settings::Settings;
use crate::tcp_values::state_named;
use stack::{Event, ListenerId, TcpId, UdpId};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use tcp::{CloseReason, State};
use time::Instant;

/// What a call answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It returns a number.
    Returns(i64),
    /// It returns -1 and this error.
    Fails(&'static str),
    /// It has not returned; where it waits for a moment, that moment.
    Blocks(Option<Instant>),
    /// It returns, but something else than the result is not as the script says.
    Differs(String),
    /// It cannot be expressed here; what.
    Unsupported(String),
}

/// How far a call that blocks has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// When it began.
    pub began: Instant,
    /// It has done what it does only once.
    pub started: bool,
    /// Bytes that it has moved.
    pub bytes: usize,
}

impl Progress {
    /// A call that begins now.
    pub const fn new(now: Instant) -> Self {
        Self { began: now, started: false, bytes: 0 }
    }
}

/// A descriptor.
#[derive(Debug)]
pub(super) struct Descriptor {
    pub kind: Kind,
    pub nonblocking: bool,
    /// For the connections that it opens or accepts.
    pub config: tcp::Config,
    pub keep_alive: tcp::KeepAlive,
    pub receive_told: i64,
    pub send_told: i64,
    /// SO_LINGER, in seconds.
    pub linger: Option<i64>,
    /// Where it connects to with its first write (TCP_FASTOPEN_CONNECT).
    pub lazy: Option<SocketAddr>,
    /// Options that are only remembered.
    pub remembered: BTreeMap<String, i64>,
}

/// What a descriptor is of.
#[derive(Debug)]
pub(super) enum Kind {
    /// A TCP socket that is neither connected nor listening.
    Fresh { bound: Option<SocketAddr> },
    /// A TCP socket that listens, with the connections that nobody accepted yet.
    Listening { id: ListenerId, bound: SocketAddr, ready: VecDeque<TcpId> },
    /// A connection.
    Stream(TcpId),
    /// A UDP socket.
    Datagram(Datagrams),
    /// An epoll descriptor.
    Epoll(BTreeMap<i64, Watch>),
}

/// A UDP socket.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    pub id: Option<UdpId>,
    pub local: Option<SocketAddr>,
    pub remote: Option<SocketAddr>,
    /// A datagram that was looked at and not taken.
    pub waiting: VecDeque<usize>,
}

/// What an epoll descriptor watches of another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    pub events: i64,
    /// What has happened since it was last told.
    pub fresh: i64,
}

/// What the stack told of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Status {
    pub established: bool,
    /// connect() has told so.
    pub told: bool,
    pub peer_closed: bool,
    pub write_shut: bool,
    pub read_shut: bool,
    pub closed: bool,
    /// The error that the next call tells.
    pub error: Option<&'static str>,
}

/// The descriptors of a script's program.
#[derive(Debug, Default)]
pub struct Sockets {
    pub(super) descriptors: BTreeMap<i64, Descriptor>,
    pub(super) statuses: BTreeMap<TcpId, Status>,
    /// Connections whose descriptor was closed.
    pub(super) released: Vec<TcpId>,
    /// A listener to which nothing has come yet.
    pub(super) fresh_listener: Option<SocketAddr>,
    /// The UDP socket that packets without ports belong to.
    pub(super) datagram_subject: Option<i64>,
}

impl Descriptor {
    pub(super) fn new(kind: Kind, nonblocking: bool, settings: &Settings) -> Self {
        Self {
            kind,
            nonblocking,
            config: settings.tcp.clone(),
            keep_alive: settings.keep_alive,
            receive_told: settings.receive_buffer_told,
            send_told: settings.send_buffer_told,
            linger: None,
            lazy: None,
            remembered: BTreeMap::new(),
        }
    }
}

impl Sockets {
    /// Notes what the stack told.
    pub fn handle(&mut self, event: Event) {
        match event {
            Event::TcpAccepted { listener, connection, .. } => {
                self.statuses
                    .insert(connection, Status { established: true, told: true, ..Status::default() });
                for descriptor in self.descriptors.values_mut() {
                    if let Kind::Listening { id, ready, .. } = &mut descriptor.kind
                        && *id == listener
                    {
                        ready.push_back(connection);
                    }
                }
            }
            Event::Tcp { connection, event } => self.handle_tcp(connection, event),
            // The others are asked of the stack when a call wants to know.
            _ => {}
        }
    }

    fn handle_tcp(&mut self, connection: TcpId, event: tcp::Event) {
        let status = self.statuses.entry(connection).or_default();
        let fresh = match event {
            tcp::Event::Established => {
                status.established = true;
                4
            }
            tcp::Event::Readable => 1,
            tcp::Event::PeerClosed => {
                status.peer_closed = true;
                0x2001
            }
            tcp::Event::Writable => 4,
            tcp::Event::SendingDone => 0,
            tcp::Event::Closed(reason) => {
                status.closed = true;
                status.error = match reason {
                    CloseReason::Finished | CloseReason::Aborted => None,
                    CloseReason::Reset if status.peer_closed => Some("EPIPE"),
                    CloseReason::Reset => Some("ECONNRESET"),
                    CloseReason::Refused => Some("ECONNREFUSED"),
                    CloseReason::TimedOut => Some("ETIMEDOUT"),
                    CloseReason::Unreachable => Some("EHOSTUNREACH"),
                };
                0x201d
            }
        };
        let numbers: Vec<i64> = self
            .descriptors
            .iter()
            .filter(|(_, descriptor)| matches!(descriptor.kind, Kind::Stream(id) if id == connection))
            .map(|(number, _)| *number)
            .collect();
        for descriptor in self.descriptors.values_mut() {
            let Kind::Epoll(watches) = &mut descriptor.kind else { continue };
            for number in &numbers {
                if let Some(watch) = watches.get_mut(number) {
                    watch.fresh |= fresh;
                }
            }
        }
    }

    /// Every connection of the program's, also those not accepted or closed.
    fn connections(&self) -> impl Iterator<Item = TcpId> {
        let held = self.descriptors.values().flat_map(|descriptor| match &descriptor.kind {
            Kind::Stream(id) => vec![*id],
            Kind::Listening { ready, .. } => ready.iter().copied().collect(),
            Kind::Fresh { .. } | Kind::Datagram(_) | Kind::Epoll(_) => vec![],
        });
        held.chain(self.released.iter().copied())
    }

    /// The connection between two addresses.
    pub fn find(&self, world: &World, local: SocketAddr, remote: SocketAddr) -> Option<TcpId> {
        self.connections().find(|id| world.stack.tcp_addresses(*id) == Some((local, remote)))
    }

    /// How many sockets are in a state; `None` where it has no such name or cannot be seen.
    pub fn count_in_state(&self, world: &World, name: &str) -> Option<usize> {
        let state = state_named(name)?;
        if state == State::Listen {
            let listening = |descriptor: &&Descriptor| matches!(descriptor.kind, Kind::Listening { .. });
            return Some(self.descriptors.values().filter(listening).count());
        }
        let infos = self.connections().filter_map(|id| world.stack.tcp_info(id, world.now));
        Some(infos.filter(|info| info.state == state).count())
    }

    /// A listener to which nothing has come yet; the next packet without ports is for it.
    pub fn take_fresh_listener(&mut self) -> Option<SocketAddr> {
        self.fresh_listener.take()
    }

    /// Both ends of the UDP socket that packets without ports belong to.
    pub fn datagram_subject(&self, world: &World) -> Option<(SocketAddr, SocketAddr)> {
        let descriptor = self.descriptors.get(&self.datagram_subject?)?;
        let Kind::Datagram(datagrams) = &descriptor.kind else { return None };
        Some((datagrams.local?, datagrams.remote.unwrap_or(world.remote)))
    }
}
