//! What the driver and the sockets share.

use super::error::{Stopped, close_error};
use super::waiting::Waiting;
use crate::Clock;
use packet::{Bytes, Pool};
use stack::{Datagram, InterfaceId, ListenerId, Stack, TcpId, UdpId};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tcp::CloseReason;
use time::Instant;
use tokio::io::Ready;
use tokio::sync::Notify;

/// How much one write takes at most, in bytes: what leaves as one frame behind segmentation offload.
const WRITE_BYTES_MAX: usize = 64 * 1024;
/// A write of less than this is copied to a buffer of its own size, in bytes: what holds a few bytes must not hold 64 KB.
const WRITE_BYTES_LARGE: usize = WRITE_BYTES_MAX / 4;
/// Buffers for large writes that are kept while none is in use: 4 MB.
const BUFFERS_KEPT_MAX: usize = 64;

/// A stack in this process and the way to its sockets. Clones share the stack.
///
/// ```
/// # use runtime::Sockets;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use std::io::ErrorKind;
///
/// let (client, server) = Sockets::pair()?;
/// // A task for each.
/// let (connecting, serving) = (client.clone(), server.clone());
/// let listener = serving.listen(([192, 0, 2, 2], 80).into())?;
/// let asking = tokio::spawn(async move { connecting.connect(([192, 0, 2, 2], 80).into()).await });
/// let (accepted, peer) = listener.accept().await?;
/// assert_eq!(peer, asking.await??.local_addr()?);
/// // What can be refused is told, and nothing panics.
/// assert_eq!(server.listen(([192, 0, 2, 2], 80).into()).unwrap_err().kind(), ErrorKind::AddrInUse);
/// # Ok(())
/// # }
/// ```
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
    pub(super) profile: Arc<tcp::Config>,
    /// Buffers for large writes. Without them the allocator gives each back to the system, and the next page by page.
    buffers: Pool,
}

/// The stack, and who waits for what in it.
#[derive(Debug)]
pub(super) struct State {
    pub stack: Stack,
    pub connections: HashMap<TcpId, Connection>,
    pub listeners: HashMap<ListenerId, Accepting>,
    pub datagrams: HashMap<UdpId, Receiving>,
    /// Nothing turns the stack any more.
    pub stopped: Option<Stopped>,
}

/// A connection's waiting tasks, and how it ended.
#[derive(Debug, Default)]
pub(super) struct Connection {
    pub established: bool,
    pub closed: Option<CloseReason>,
    /// That it ended in an error was told by SO_ERROR.
    pub told: bool,
    /// SO_LINGER of zero seconds.
    pub reset_on_drop: bool,
    pub read: Waiting,
    pub write: Waiting,
}

/// Connections that wait to be accepted, and the task that waits for them.
#[derive(Debug, Default)]
pub(super) struct Accepting {
    pub ready: VecDeque<Accepted>,
    pub task: Waiting,
}

/// A connection that waits to be accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accepted {
    pub id: TcpId,
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

/// A datagram that was looked at and not taken, and the task that waits for the next.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    pub peeked: Option<Datagram>,
    pub task: Waiting,
}

impl Sockets {
    /// Sockets over `stack`, whose frames go by `interface`. Nothing moves until [`drive`](Self::drive) runs.
    ///
    /// For a stack that is set up otherwise than [`start`](Self::start) does:
    ///
    /// ```
    /// # use packet::Device;
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use runtime::Clock;
    /// use stack::{Config, InterfaceConfig, Prefix, Stack};
    ///
    /// let (device, _other_end) = link::FrameSocket::pair(1_500)?;
    /// let clock = Clock::start();
    /// // The seed is the stack's only randomness: take it from the operating system.
    /// let mut stack = Stack::new(Config { udp_sockets_max: 1, ..Config::default() }, [7; 32], clock.now());
    /// let address = Prefix::new([192, 0, 2, 1], 24);
    /// let config = InterfaceConfig::new(device.capabilities(), [2, 0, 0, 0, 0, 1], vec![address]);
    /// let interface = stack.add_interface(config, clock.now()).expect("a sound interface");
    /// let sockets = Sockets::new(stack, interface, clock);
    /// tokio::spawn(sockets.clone().drive(device));
    /// let _only = sockets.bind_udp(([192, 0, 2, 1], 53).into())?;
    /// let another = sockets.bind_udp(([192, 0, 2, 1], 54).into());
    /// assert_eq!(another.unwrap_err().kind(), std::io::ErrorKind::QuotaExceeded);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(stack: Stack, interface: InterfaceId, clock: Clock) -> Self {
        let state = State {
            stack,
            connections: HashMap::new(),
            listeners: HashMap::new(),
            datagrams: HashMap::new(),
            stopped: None,
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

    /// Fast Open's cookies are made with `current` from now on, and those made with `previous` hold (RFC 7413 §4.1.2).
    /// Else both come from random bytes: servers behind one address need the same keys.
    ///
    /// ```
    /// # use runtime::{ListenOptions, Sockets, TcpListener};
    /// # use tcp::FastOpenStatus;
    /// # async fn fast(client: &Sockets, listener: &TcpListener) -> std::io::Result<FastOpenStatus> {
    /// #     let to = listener.local_addr()?;
    /// #     let mut stream = client.connect_fast(to, Default::default(), "x".into()).await?;
    /// #     let (mut accepted, _) = listener.accept().await?;
    /// #     let heard = accepted.read_bytes().await?;
    /// #     accepted.write_bytes(heard).await?;
    /// #     assert_eq!(stream.read_bytes().await?, "x");
    /// #     Ok(stream.info().expect("it is open").fast_open)
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let options = ListenOptions { fast_open_pending_max: 1, ..ListenOptions::default() };
    /// # let listener = server.listen_with(([192, 0, 2, 2], 80).into(), options)?;
    /// let (old, new) = (*b"sixteen bytes ..", *b"and sixteen more");
    /// server.set_fast_open_keys(old, None);
    /// # assert_eq!(fast(&client, &listener).await?, FastOpenStatus::Requested);
    /// // Later: what clients were given goes on to serve them.
    /// server.set_fast_open_keys(new, Some(old));
    /// assert_eq!(fast(&client, &listener).await?, FastOpenStatus::Taken);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_fast_open_keys(&self, current: [u8; 16], previous: Option<[u8; 16]>) {
        self.shared.lock().stack.set_fast_open_keys(current, previous);
    }

    /// What became of packets: how many came and left, and how many were dropped for each reason.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// let stream = client.connect(listener.local_addr()?).await?;
    /// assert!(client.counters().transmitted >= 2 && client.memory().connections == 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn counters(&self) -> stack::Counters {
        self.shared.lock().stack.counters().clone()
    }

    /// What the stack holds in memory now; an example is at [`counters`](Self::counters).
    pub fn memory(&self) -> stack::Memory {
        self.shared.lock().stack.memory()
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

impl State {
    /// Whether something turns the stack still, or will.
    pub fn check_turned(&self) -> io::Result<()> {
        self.stopped.map_or(Ok(()), |stopped| Err(stopped.error()))
    }

    /// Takes received bytes; empty at the end of the stream, `None` where there is nothing yet.
    pub fn take(&mut self, id: TcpId, bytes_max: usize, now: Instant) -> Option<io::Result<Bytes>> {
        match self.stack.tcp_read(id, bytes_max, now) {
            Some(chunk) => Some(Ok(chunk)),
            None => self.end(id).map(|end| end.map(|()| Bytes::new())),
        }
    }

    /// Copies received bytes and leaves them; 0 at the end of the stream, `None` where there is nothing yet.
    pub fn peek(&mut self, id: TcpId, into: &mut [u8]) -> Option<io::Result<usize>> {
        match self.stack.tcp_peek(id, into) {
            0 => self.end(id).map(|end| end.map(|()| 0)),
            count => Some(Ok(count)),
        }
    }

    /// How reading ends, if it does, where nothing is left to be read.
    fn end(&self, id: TcpId) -> Option<io::Result<()>> {
        if self.stack.tcp_is_at_end(id) {
            return Some(Ok(()));
        }
        match self.connections.get(&id).map(|connection| connection.closed) {
            // What has arrived is read before.
            Some(None) => self.check_turned().err().map(Err),
            Some(Some(CloseReason::Finished)) | None => Some(Ok(())),
            Some(Some(reason)) => Some(Err(close_error(reason))),
        }
    }

    /// What would not wait.
    pub fn readiness(&self, id: TcpId) -> Ready {
        let mut ready = Ready::EMPTY;
        if self.stack.tcp_readable(id) > 0 {
            ready |= Ready::READABLE;
        }
        if self.end(id).is_some() && !ready.is_readable() {
            ready |= Ready::READABLE | Ready::READ_CLOSED;
        }
        if self.stack.tcp_writable(id) > 0 {
            ready |= Ready::WRITABLE;
        }
        if !self.stack.tcp_may_write(id) || self.stopped.is_some() {
            ready |= Ready::WRITABLE | Ready::WRITE_CLOSED;
        }
        ready
    }

    /// Takes what there is room for from `data`; `None` where there is none yet.
    pub fn put(&mut self, id: TcpId, data: &mut Bytes, now: Instant) -> Option<io::Result<usize>> {
        // What is taken now would never leave.
        if let Err(stopped) = self.check_turned() {
            return Some(Err(stopped));
        }
        match self.stack.tcp_write(id, data, now) {
            0 => match self.connections.get(&id).map(|connection| connection.closed) {
                Some(None) if self.stack.tcp_may_write(id) => None,
                Some(Some(reason)) if reason != CloseReason::Finished => Some(Err(close_error(reason))),
                _ => Some(Err(io::ErrorKind::BrokenPipe.into())),
            },
            taken => Some(Ok(taken)),
        }
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
