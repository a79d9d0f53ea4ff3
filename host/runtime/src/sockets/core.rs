//! What the driver and the sockets share.

use super::{TcpListener, TcpStream, UdpSocket};
use crate::Clock;
use stack::{Binding, ConnectError, InterfaceId, Listen, ListenerId, Stack, TcpId, UdpId};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use tcp::CloseReason;
use tokio::sync::Notify;

/// How many connections a listener keeps before its owner accepts them, and as many again in their handshake; one more
/// is reset.
pub(super) const BACKLOG: usize = 1_024;

/// A stack in this process and the way to its sockets. Clones share the stack.
#[derive(Clone, Debug)]
pub struct Sockets {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Tells the driver that the stack may have something to send.
    pub(super) work: Notify,
    pub(super) clock: Clock,
    pub(super) interface: InterfaceId,
    profile: Arc<tcp::Config>,
}

/// The stack, and who waits for what in it.
#[derive(Debug)]
pub(super) struct State {
    pub stack: Stack,
    pub connections: HashMap<TcpId, Connection>,
    pub listeners: HashMap<ListenerId, Accepting>,
    pub datagrams: HashMap<UdpId, Waiting>,
}

/// A connection's waiting tasks, and how it ended.
#[derive(Debug, Default)]
pub(super) struct Connection {
    pub established: bool,
    pub closed: Option<CloseReason>,
    pub read: Waiting,
    pub write: Waiting,
}

/// Connections that wait to be accepted, and the task that waits for them.
#[derive(Debug, Default)]
pub(super) struct Accepting {
    pub ready: VecDeque<(TcpId, SocketAddr)>,
    pub task: Waiting,
}

/// At most one task that waits.
#[derive(Debug, Default)]
pub(super) struct Waiting(Option<Waker>);

impl Waiting {
    pub fn park(&mut self, cx: &Context<'_>) {
        self.0 = Some(cx.waker().clone());
    }

    pub fn wake(&mut self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}

impl Sockets {
    /// Sockets over `stack`, whose frames go by `interface`. Nothing moves until [`drive`](Self::drive) runs.
    pub fn new(stack: Stack, interface: InterfaceId, clock: Clock) -> Self {
        let state = State {
            stack,
            connections: HashMap::new(),
            listeners: HashMap::new(),
            datagrams: HashMap::new(),
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                work: Notify::new(),
                clock,
                interface,
                profile: Arc::new(tcp::Config::linux()),
            }),
        }
    }

    /// Opens a connection and waits for its handshake.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`, `TimedOut`, `HostUnreachable`; `AddrNotAvailable` where no SYN could leave.
    pub async fn connect(&self, remote: SocketAddr) -> io::Result<TcpStream> {
        let stream = {
            let now = self.shared.clock.now();
            let mut state = self.shared.lock();
            let id = state
                .stack
                .tcp_connect(None, remote, self.shared.profile.clone(), now)
                .map_err(connect_error)?;
            state.connections.insert(id, Connection::default());
            TcpStream::new(self.shared.clone(), id, remote)
        };
        self.shared.work.notify_one();
        stream.established().await?;
        Ok(stream)
    }

    /// Listens at `local`; an unspecified address means all of the stack's own.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`.
    pub fn listen(&self, local: SocketAddr) -> io::Result<TcpListener> {
        let listen = Listen {
            binding: binding(local),
            defer: false,
            backlog: BACKLOG,
            config: self.shared.profile.clone(),
        };
        let mut state = self.shared.lock();
        let id = state.stack.tcp_listen(listen).map_err(bind_error)?;
        state.listeners.insert(id, Accepting::default());
        Ok(TcpListener::new(self.shared.clone(), id, local))
    }

    /// Opens a UDP socket at `local`; an unspecified address means all of the stack's own, port 0 any free port.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`.
    pub fn bind_udp(&self, local: SocketAddr) -> io::Result<UdpSocket> {
        let mut state = self.shared.lock();
        let id = state.stack.udp_bind(binding(local)).map_err(bind_error)?;
        state.datagrams.insert(id, Waiting::default());
        let port = match state.stack.udp_binding(id) {
            Some(Binding::Address(address)) => address.port(),
            Some(Binding::Port(port)) => port,
            Some(Binding::Intercept) | None => local.port(),
        };
        Ok(UdpSocket::new(self.shared.clone(), id, SocketAddr::new(local.ip(), port)))
    }
}

impl Shared {
    /// The state. A panic while it was held leaves the stack as consistent as its last whole call.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn binding(local: SocketAddr) -> Binding {
    if local.ip().is_unspecified() { Binding::Port(local.port()) } else { Binding::Address(local) }
}

fn bind_error(error: stack::BindError) -> io::Error {
    let kind = match error {
        stack::BindError::InUse => io::ErrorKind::AddrInUse,
        stack::BindError::NotLocal => io::ErrorKind::AddrNotAvailable,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

fn connect_error(error: ConnectError) -> io::Error {
    let kind = match error {
        ConnectError::NoRoute => io::ErrorKind::NetworkUnreachable,
        ConnectError::NotLocal | ConnectError::NoPort => io::ErrorKind::AddrNotAvailable,
        ConnectError::BadRemote => io::ErrorKind::InvalidInput,
        ConnectError::InUse => io::ErrorKind::AddrInUse,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
