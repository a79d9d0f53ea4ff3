//! What the driver and the sockets share.

use super::{ConnectOptions, ListenOptions, TcpListener, TcpStream, UdpSocket};
use crate::Clock;
use packet::{Bytes, Pool};
use stack::{Binding, ConnectError, InterfaceId, Listen, ListenerId, Stack, TcpId, UdpId};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use tcp::CloseReason;
use tokio::sync::Notify;

/// How much one write takes at most, in bytes: what leaves as one frame behind segmentation offload.
const WRITE_BYTES_MAX: usize = 64 * 1024;
/// A write of less than this is copied to a buffer of its own size, in bytes: what holds a few bytes must not hold 64 KB.
const WRITE_BYTES_LARGE: usize = WRITE_BYTES_MAX / 4;
/// Buffers for large writes that are kept while none is in use: 4 MB.
const BUFFERS_KEPT_MAX: usize = 64;

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
    /// Buffers for large writes. Without them the allocator gives each back to the system, and the next page by page.
    buffers: Pool,
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
    /// SO_LINGER of zero seconds.
    pub reset_on_drop: bool,
    pub read: Waiting,
    pub write: Waiting,
}

/// Connections that wait to be accepted, and the task that waits for them.
#[derive(Debug, Default)]
pub(super) struct Accepting {
    pub ready: VecDeque<(TcpId, SocketAddr)>,
    /// As many as may wait.
    pub backlog: usize,
    pub task: Waiting,
}

/// Tasks and threads that wait; nearly always one at most.
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<Waker>);

impl Waiting {
    pub fn park(&mut self, cx: &Context<'_>) {
        if !self.0.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.0.push(cx.waker().clone());
        }
    }

    pub fn wake(&mut self) {
        for waker in std::mem::take(&mut self.0) {
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
                buffers: Pool::new(WRITE_BYTES_MAX, BUFFERS_KEPT_MAX),
            }),
        }
    }

    /// Opens a connection and waits for its handshake.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`, `TimedOut`, `HostUnreachable`; `AddrNotAvailable` where no SYN could leave.
    pub async fn connect(&self, remote: SocketAddr) -> io::Result<TcpStream> {
        self.open(None, remote, self.shared.profile.clone()).await
    }

    /// As [`connect`](Self::connect), with options.
    ///
    /// # Errors
    ///
    /// As there; `InvalidInput` where an option is outside its range.
    pub async fn connect_with(&self, remote: SocketAddr, options: ConnectOptions) -> io::Result<TcpStream> {
        options.config.check().map_err(invalid)?;
        self.open(options.local, remote, Arc::new(options.config)).await
    }

    async fn open(
        &self,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        config: Arc<tcp::Config>,
    ) -> io::Result<TcpStream> {
        let stream = {
            let now = self.shared.clock.now();
            let mut state = self.shared.lock();
            let id = state.stack.tcp_connect(local, remote, config, now).map_err(connect_error)?;
            state.connections.insert(id, Connection::default());
            TcpStream::new(self.shared.clone(), id, remote)
        };
        self.shared.work.notify_one();
        stream.established().await?;
        Ok(stream)
    }

    /// Listens at `local`; `0.0.0.0` means all of the stack's own IPv4 addresses, `[::]` all of both versions.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`.
    pub fn listen(&self, local: SocketAddr) -> io::Result<TcpListener> {
        self.listen_with(local, ListenOptions::default())
    }

    /// As [`listen`](Self::listen), with options.
    ///
    /// # Errors
    ///
    /// As there; `InvalidInput` where an option is outside its range.
    pub fn listen_with(&self, local: SocketAddr, options: ListenOptions) -> io::Result<TcpListener> {
        let ListenOptions { backlog, only_v6, reuse_port, config } = options;
        config.check().map_err(invalid)?;
        // Those of one profile share it.
        let shared = *self.shared.profile == config;
        let config = if shared { self.shared.profile.clone() } else { Arc::new(config) };
        let listen = Listen { binding: Binding::to(local, only_v6), defer: false, backlog, config };
        let mut state = self.shared.lock();
        let listening =
            if reuse_port { state.stack.tcp_listen_shared(listen) } else { state.stack.tcp_listen(listen) };
        let id = listening.map_err(bind_error)?;
        state.listeners.insert(id, Accepting { backlog, ..Accepting::default() });
        Ok(TcpListener::new(self.shared.clone(), id, local))
    }

    /// Opens a UDP socket at `local`; an unspecified address means all of the stack's own, port 0 any free port.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`.
    pub fn bind_udp(&self, local: SocketAddr) -> io::Result<UdpSocket> {
        let mut state = self.shared.lock();
        let id = state.stack.udp_bind(Binding::to(local, false)).map_err(bind_error)?;
        state.datagrams.insert(id, Waiting::default());
        let port = match state.stack.udp_binding(id) {
            Some(Binding::Address(address)) => address.port(),
            Some(Binding::Port(port) | Binding::PortV4(port) | Binding::PortV6(port)) => port,
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

    /// Copies the first bytes of `from`, as many as one write takes and there is `room` for.
    pub(super) fn copy(&self, from: &[io::IoSlice<'_>], room: usize) -> Bytes {
        let length = from.iter().map(|slice| slice.len()).sum::<usize>().min(room).min(WRITE_BYTES_MAX);
        if length < WRITE_BYTES_LARGE {
            let mut buffer = vec![0; length];
            gather(from, &mut buffer);
            return Bytes::from(buffer);
        }
        let mut buffer = self.buffers.take();
        gather(from, &mut buffer[..length]);
        buffer.freeze(length)
    }
}

/// Fills `into` from the front of `from`, which holds at least as much.
fn gather(from: &[io::IoSlice<'_>], mut into: &mut [u8]) {
    for slice in from {
        let (filled, rest) = into.split_at_mut(slice.len().min(into.len()));
        filled.copy_from_slice(&slice[..filled.len()]);
        into = rest;
    }
}

fn invalid(error: tcp::ConfigError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
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
