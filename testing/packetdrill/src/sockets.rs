//! Descriptors, and what is known of the connections behind them. Each holds a descriptor of the kernel's that is used for
//! nothing else, so that its number is one that the tool's process has nowhere else.

use rustix::event::{EventfdFlags, eventfd};
use stack::{Event, ListenerId, Stack, TcpId};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use tcp::CloseReason;

/// Descriptors at once.
const SOCKETS_MAX: usize = 1_024;
/// Connections that were closed and whose end is not told yet, or that nobody accepted.
const STATUSES_MAX: usize = 4_096;

/// One descriptor.
#[derive(Debug)]
pub struct Socket {
    /// Keeps its number taken.
    _number: OwnedFd,
    /// What it is.
    pub kind: Kind,
    /// Whether calls fail rather than wait.
    pub nonblocking: bool,
    /// For the connections that it opens or accepts.
    pub config: tcp::Config,
    /// Where keep-alive is asked for.
    pub keep_alive: tcp::KeepAlive,
    /// SO_LINGER, in seconds.
    pub linger_secs: Option<i32>,
    /// SO_REUSEPORT.
    pub shares_port: bool,
    /// Options that change nothing here: level, name, value.
    pub remembered: BTreeMap<(i32, i32), i32>,
}

/// What a descriptor is.
#[derive(Debug)]
pub enum Kind {
    /// Neither connected nor listening.
    Fresh {
        /// What `bind` said.
        bound: Option<SocketAddr>,
    },
    /// Listening.
    Listening {
        /// The stack's.
        id: ListenerId,
        /// Connections that nobody accepted yet.
        ready: VecDeque<TcpId>,
    },
    /// A connection.
    Stream(TcpId),
    /// An epoll descriptor: what it watches, for which events, with which word to hand back.
    Epoll(BTreeMap<RawFd, (u32, u64)>),
}

/// What the stack told of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Status {
    /// The handshake is over.
    pub established: bool,
    /// `connect` has said so.
    pub told: bool,
    /// The peer's FIN is there.
    pub peer_closed: bool,
    /// Nothing more is read, by the program's wish.
    pub read_shut: bool,
    /// It is over.
    pub closed: bool,
    /// The error that the next call tells.
    pub error: Option<i32>,
}

/// All descriptors.
#[derive(Debug)]
pub struct Sockets {
    config: tcp::Config,
    sockets: BTreeMap<RawFd, Socket>,
    statuses: BTreeMap<TcpId, Status>,
}

impl Sockets {
    /// None yet; connections will be as `config` says.
    pub fn new(config: tcp::Config) -> Self {
        Self { config, sockets: BTreeMap::new(), statuses: BTreeMap::new() }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.sockets.clear();
        self.statuses.clear();
    }

    /// A new descriptor.
    ///
    /// # Errors
    ///
    /// `EMFILE` where there are too many.
    pub fn open(&mut self, kind: Kind, nonblocking: bool) -> Result<RawFd, i32> {
        if self.sockets.len() >= SOCKETS_MAX {
            return Err(libc::EMFILE);
        }
        let number = eventfd(0, EventfdFlags::CLOEXEC).map_err(|error| error.raw_os_error())?;
        let descriptor = number.as_raw_fd();
        let socket = Socket {
            _number: number,
            kind,
            nonblocking,
            config: self.config.clone(),
            keep_alive: tcp::KeepAlive::default(),
            linger_secs: None,
            shares_port: false,
            remembered: BTreeMap::new(),
        };
        self.sockets.insert(descriptor, socket);
        Ok(descriptor)
    }

    /// A descriptor for a connection that came to `listener`, with its options.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_accepted(&mut self, listener: RawFd, id: TcpId) -> Result<RawFd, i32> {
        let descriptor = self.open(Kind::Stream(id), false)?;
        if let Some(from) = self.sockets.get(&listener) {
            let (config, keep_alive, linger_secs) = (from.config.clone(), from.keep_alive, from.linger_secs);
            let remembered = from.remembered.clone();
            if let Some(socket) = self.sockets.get_mut(&descriptor) {
                (socket.config, socket.keep_alive) = (config, keep_alive);
                (socket.linger_secs, socket.remembered) = (linger_secs, remembered);
            }
        }
        Ok(descriptor)
    }

    /// The socket of a number.
    ///
    /// # Errors
    ///
    /// `EBADF` where there is none.
    pub fn find(&mut self, descriptor: RawFd) -> Result<&mut Socket, i32> {
        self.sockets.get_mut(&descriptor).ok_or(libc::EBADF)
    }

    /// The connection of a number.
    ///
    /// # Errors
    ///
    /// `EBADF`, or `ENOTCONN` where it has none.
    pub fn stream(&self, descriptor: RawFd) -> Result<TcpId, i32> {
        match self.sockets.get(&descriptor).ok_or(libc::EBADF)?.kind {
            Kind::Stream(id) => Ok(id),
            Kind::Fresh { .. } | Kind::Listening { .. } => Err(libc::ENOTCONN),
            Kind::Epoll(_) => Err(libc::ENOTSOCK),
        }
    }

    /// What is known of a connection.
    pub fn status(&mut self, id: TcpId) -> &mut Status {
        self.statuses.entry(id).or_default()
    }

    /// Closes a descriptor. What it was is the caller's to end.
    pub fn close(&mut self, descriptor: RawFd) -> Option<Socket> {
        let gone = self.sockets.remove(&descriptor)?;
        for other in self.sockets.values_mut() {
            if let Kind::Epoll(watched) = &mut other.kind {
                watched.remove(&descriptor);
            }
        }
        if let Kind::Stream(id) = gone.kind {
            self.statuses.remove(&id);
        }
        Some(gone)
    }

    /// Notes what the stack told.
    pub fn handle(&mut self, event: Event) {
        match event {
            Event::TcpAccepted { listener, connection, .. } => {
                self.note(connection, |status| (status.established, status.told) = (true, true));
                for socket in self.sockets.values_mut() {
                    if let Kind::Listening { id, ready } = &mut socket.kind
                        && *id == listener
                    {
                        ready.push_back(connection);
                    }
                }
            }
            Event::Tcp { connection, event } => self.note(connection, |status| match event {
                tcp::Event::Established => status.established = true,
                tcp::Event::PeerClosed => status.peer_closed = true,
                tcp::Event::Closed(reason) => {
                    status.closed = true;
                    status.error = error_of(reason, status.peer_closed);
                }
                tcp::Event::Readable | tcp::Event::Writable | tcp::Event::SendingDone => {}
            }),
            // The others are of sockets that the tool cannot open here.
            _ => {}
        }
    }

    /// A connection that no descriptor holds any more still tells of itself: only so many are listened to.
    fn note(&mut self, id: TcpId, change: impl FnOnce(&mut Status)) {
        if self.statuses.len() < STATUSES_MAX || self.statuses.contains_key(&id) {
            change(self.status(id));
        }
    }

    /// What a descriptor is ready for, as `poll` names it.
    pub fn readiness(&self, stack: &Stack, descriptor: RawFd) -> i16 {
        let Some(socket) = self.sockets.get(&descriptor) else { return libc::POLLNVAL };
        let id = match &socket.kind {
            Kind::Fresh { .. } => return libc::POLLOUT | libc::POLLHUP,
            Kind::Listening { ready, .. } => return if ready.is_empty() { 0 } else { libc::POLLIN },
            Kind::Epoll(_) => return 0,
            Kind::Stream(id) => *id,
        };
        let status = self.statuses.get(&id).copied().unwrap_or_default();
        let mut ready = 0;
        if status.peer_closed || status.read_shut {
            ready |= libc::POLLIN | libc::POLLRDHUP;
        }
        if stack.tcp_readable(id) > 0 {
            ready |= libc::POLLIN;
        }
        if status.established && stack.tcp_writable(id) > 0 {
            ready |= libc::POLLOUT;
        }
        if status.closed {
            ready |= libc::POLLIN | libc::POLLOUT | libc::POLLHUP;
        }
        if status.error.is_some() {
            ready |= libc::POLLERR;
        }
        ready
    }
}

/// The error that a connection ends with.
fn error_of(reason: CloseReason, peer_closed: bool) -> Option<i32> {
    match reason {
        CloseReason::Finished | CloseReason::Aborted => None,
        CloseReason::Reset if peer_closed => Some(libc::EPIPE),
        CloseReason::Reset => Some(libc::ECONNRESET),
        CloseReason::Refused => Some(libc::ECONNREFUSED),
        CloseReason::TimedOut => Some(libc::ETIMEDOUT),
        CloseReason::Unreachable => Some(libc::EHOSTUNREACH),
    }
}
