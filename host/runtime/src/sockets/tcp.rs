//! Streams: what every kind of reader and writer is made of.

use super::core::Shared;
use super::error::close_error;
use packet::Bytes;
use stack::TcpId;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tcp::{CloseReason, Info, State};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

/// A TCP connection of a stack in this process. Dropped, it closes in order; what was written still arrives.
///
/// It reads and writes as tokio's own stream does ([`AsyncRead`], [`AsyncWrite`], `try_` and `ready`), and without copies:
/// [`read_bytes`](Self::read_bytes) hands out what lies in the stack, [`write_bytes`](Self::write_bytes) takes a buffer
/// over. Bytes from 512 on, or that follow nothing that waits, leave the process from where they were given; smaller ones
/// are gathered.
///
/// ```
/// # use runtime::Sockets;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let (client, server) = Sockets::pair()?;
/// let listener = server.listen(([192, 0, 2, 2], 7).into())?;
/// let mut stream = client.connect(listener.local_addr()?).await?;
/// let (mut accepted, peer) = listener.accept().await?;
/// assert_eq!(peer, stream.local_addr()?);
/// stream.write_all(b"hello").await?;
/// stream.shutdown().await?;
/// let mut heard = String::new();
/// accepted.read_to_string(&mut heard).await?;
/// assert_eq!(heard, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TcpStream {
    pub(super) shared: Arc<Shared>,
    pub(super) id: TcpId,
    local: SocketAddr,
    remote: SocketAddr,
}

impl TcpStream {
    pub(super) fn new(shared: Arc<Shared>, id: TcpId, local: SocketAddr, remote: SocketAddr) -> Self {
        Self { shared, id, local, remote }
    }

    /// The other side's address and port.
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.remote)
    }

    /// Our side's address and port.
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// How the connection fares (TCP_INFO); once it is over, how it fared at its end.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// let stream = client.connect(listener.local_addr()?).await?;
    /// let info = stream.info().expect("it is open");
    /// assert!(info.rtt.is_some() && info.mss_bytes == 1_448 && info.path_mtu == 1_500);
    /// # Ok(())
    /// # }
    /// ```
    pub fn info(&self) -> Option<Info> {
        let now = self.shared.clock.now();
        self.shared.lock().stack.tcp_info(self.id, now)
    }

    /// What the connection ended with, where that was an error and was not told by this call before (SO_ERROR).
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let mut state = self.shared.lock();
        let stopped = state.check_turned().err();
        let Some(connection) = state.connections.get_mut(&self.id).filter(|connection| !connection.told)
        else {
            return Ok(None);
        };
        let error = match connection.closed {
            None => stopped,
            Some(reason) => Some(reason).filter(|reason| *reason != CloseReason::Finished).map(close_error),
        };
        connection.told = error.is_some();
        Ok(error)
    }

    /// Waits for received bytes and takes them as they lie in the stack, without a copy. Empty at the end of the
    /// stream.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// accepted.write_bytes("hello".into()).await?;
    /// drop(accepted);
    /// assert_eq!(stream.read_bytes().await?, "hello");
    /// assert!(stream.read_bytes().await?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `ConnectionReset`, `TimedOut`, `HostUnreachable`; `NotConnected` where nothing turns the stack any more.
    pub async fn read_bytes(&mut self) -> io::Result<Bytes> {
        self.take_bytes().await
    }

    pub(super) async fn take_bytes(&self) -> io::Result<Bytes> {
        poll_fn(|cx| self.poll_take(cx, usize::MAX)).await
    }

    /// Hands over bytes to be sent without a copy; waits while the send buffer is full. Cancelled, it has written a part.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` where the sending side is closed, else as [`read_bytes`](Self::read_bytes).
    pub async fn write_bytes(&mut self, data: Bytes) -> io::Result<()> {
        self.put_bytes(data).await
    }

    pub(super) async fn put_bytes(&self, mut data: Bytes) -> io::Result<()> {
        while !data.is_empty() {
            poll_fn(|cx| self.poll_put(cx, &mut data)).await?;
        }
        Ok(())
    }

    /// Ends the stream and waits until all that was written is acknowledged, and the end of it: within a timeout, what
    /// SO_LINGER does for sockets that block.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// stream.write_bytes("last words".into()).await?;
    /// tokio::time::timeout(std::time::Duration::from_secs(5), stream.close()).await??;
    /// # assert_eq!(accepted.read_bytes().await?, "last words");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `ConnectionReset`, `TimedOut`, `HostUnreachable`, where not all has arrived.
    pub async fn close(self) -> io::Result<()> {
        self.shutdown_now();
        poll_fn(|cx| self.poll_sent(cx)).await
    }

    /// Waits for the handshake.
    pub(super) async fn established(&self) -> io::Result<()> {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            let stopped = state.check_turned();
            let Some(connection) = state.connections.get_mut(&self.id) else {
                return Poll::Ready(Err(ErrorKind::NotConnected.into()));
            };
            if connection.established {
                return Poll::Ready(Ok(()));
            }
            if let Some(reason) = connection.closed {
                return Poll::Ready(Err(close_error(reason)));
            }
            stopped?;
            connection.write.park(cx);
            Poll::Pending
        })
        .await
    }
}

/// Without waiting, and waiting without doing.
impl TcpStream {
    /// Waits until a read would not: bytes, the end of the stream, or an error are there.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// let mut into = [0; 64];
    /// assert_eq!(stream.try_read(&mut into).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    /// accepted.write_bytes("hello".into()).await?;
    /// stream.readable().await?;
    /// assert_eq!(stream.try_read(&mut into)?, 5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until a write would not: there is room, or an error to be told.
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// Waits until one of what `interest` names would not wait, and says which.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # use tokio::io::Interest;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let stream = client.connect(listener.local_addr()?).await?;
    /// let ready = stream.ready(Interest::READABLE | Interest::WRITABLE).await?;
    /// assert!(ready.is_writable() && !ready.is_readable());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            let ready = state.readiness(self.id);
            let mut wanted = Ready::EMPTY;
            if interest.is_readable() {
                wanted |= ready & (Ready::READABLE | Ready::READ_CLOSED);
            }
            if interest.is_writable() {
                wanted |= ready & (Ready::WRITABLE | Ready::WRITE_CLOSED);
            }
            if !wanted.is_empty() {
                return Poll::Ready(Ok(wanted));
            }
            if let Some(connection) = state.connections.get_mut(&self.id) {
                if interest.is_readable() {
                    connection.read.park(cx);
                }
                if interest.is_writable() {
                    connection.write.park(cx);
                }
            }
            if interest.is_writable() {
                // Whoever has not been refused is told of nothing: room may have gone without a write.
                state.stack.tcp_wait_for_room(self.id);
            }
            Poll::Pending
        })
        .await
    }

    /// Reads what is there now; 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where nothing is; else as [`read_bytes`](Self::read_bytes).
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let chunk = self.try_take(into.len())?;
        into[..chunk.len()].copy_from_slice(&chunk);
        Ok(chunk.len())
    }

    /// Takes what is there now, without a copy; empty at the end of the stream.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    pub fn try_read_bytes(&self) -> io::Result<Bytes> {
        self.try_take(usize::MAX)
    }

    /// Writes as much as there is room for now.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where there is no room; else as [`write_bytes`](Self::write_bytes).
    pub fn try_write(&self, from: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(from)])
    }

    /// As [`try_write`](Self::try_write), from several buffers at once.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_write_vectored(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let room = self.shared.lock().stack.tcp_writable(self.id).max(1);
        let mut data = self.shared.copy(from, room);
        if data.is_empty() { Ok(0) } else { self.try_put(&mut data) }
    }

    /// Hands over from the front of `data` as much as there is room for now, without a copy; what had none stays.
    ///
    /// # Errors
    ///
    /// As [`try_write`](Self::try_write).
    pub fn try_write_bytes(&self, data: &mut Bytes) -> io::Result<usize> {
        if data.is_empty() { Ok(0) } else { self.try_put(data) }
    }

    /// Waits for received bytes and copies them without taking them: the next read gives them again. 0 at the end of the
    /// stream.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// accepted.write_bytes("hello".into()).await?;
    /// let mut first = [0; 1];
    /// assert_eq!((stream.peek(&mut first).await?, first), (1, *b"h"));
    /// assert_eq!(stream.read_bytes().await?, "hello");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`read_bytes`](Self::read_bytes).
    pub async fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_look(cx, into)).await
    }

    pub(crate) fn try_take(&self, bytes_max: usize) -> io::Result<Bytes> {
        let now = self.shared.clock.now();
        let taken = self.shared.lock().take(self.id, bytes_max, now);
        // The window has opened, and the peer may be waiting for that.
        self.shared.work.notify_one();
        taken.unwrap_or_else(|| Err(ErrorKind::WouldBlock.into()))
    }

    pub(crate) fn try_look(&self, into: &mut [u8]) -> io::Result<usize> {
        let looked = self.shared.lock().peek(self.id, into);
        looked.unwrap_or_else(|| Err(ErrorKind::WouldBlock.into()))
    }

    fn try_put(&self, data: &mut Bytes) -> io::Result<usize> {
        let now = self.shared.clock.now();
        let put = self.shared.lock().put(self.id, data, now);
        self.shared.work.notify_one();
        put.unwrap_or_else(|| Err(ErrorKind::WouldBlock.into()))
    }
}

/// A turn at a time.
impl TcpStream {
    pub(crate) fn poll_take(&self, cx: &Context<'_>, bytes_max: usize) -> Poll<io::Result<Bytes>> {
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        match state.take(self.id, bytes_max, now) {
            Some(taken) => {
                drop(state);
                // The window has opened, and the peer may be waiting for that.
                self.shared.work.notify_one();
                Poll::Ready(taken)
            }
            None => {
                if let Some(connection) = state.connections.get_mut(&self.id) {
                    connection.read.park(cx);
                }
                Poll::Pending
            }
        }
    }

    pub(crate) fn poll_look(&self, cx: &Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        if into.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut state = self.shared.lock();
        let Some(looked) = state.peek(self.id, into) else {
            if let Some(connection) = state.connections.get_mut(&self.id) {
                connection.read.park(cx);
            }
            return Poll::Pending;
        };
        Poll::Ready(looked)
    }

    pub(crate) fn poll_put(&self, cx: &Context<'_>, data: &mut Bytes) -> Poll<io::Result<usize>> {
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        match state.put(self.id, data, now) {
            Some(put) => {
                drop(state);
                self.shared.work.notify_one();
                Poll::Ready(put)
            }
            None => {
                if let Some(connection) = state.connections.get_mut(&self.id) {
                    connection.write.park(cx);
                }
                Poll::Pending
            }
        }
    }

    pub(super) fn poll_read_into(&self, cx: &Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        self.poll_take(cx, into.remaining()).map_ok(|chunk| into.put_slice(&chunk))
    }

    pub(crate) fn poll_write_from(&self, cx: &Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let room = self.shared.lock().stack.tcp_writable(self.id).max(1);
        let mut data = self.shared.copy(from, room);
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.poll_put(cx, &mut data)
    }

    /// Whether all that was written, and the end of it, is acknowledged, or the connection over.
    pub(crate) fn poll_sent(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        let info = state.stack.tcp_info(self.id, now);
        // A stream of Fast Open may be ended before its handshake is over.
        let waits = info.is_some_and(|info| match info.state {
            State::SynSent | State::SynReceived | State::FinWait1 | State::Closing | State::LastAck => true,
            State::Closed | State::Listen | State::Established | State::FinWait2 => false,
            State::CloseWait | State::TimeWait => false,
        });
        let stopped = state.check_turned();
        match state.connections.get_mut(&self.id) {
            Some(connection) if waits && connection.closed.is_none() => {
                stopped?;
                connection.write.park(cx);
                Poll::Pending
            }
            Some(connection) => match connection.closed {
                None | Some(CloseReason::Finished) => Poll::Ready(Ok(())),
                Some(reason) => Poll::Ready(Err(close_error(reason))),
            },
            None => Poll::Ready(Ok(())),
        }
    }

    /// Whoever waits to read looks again.
    pub(crate) fn wake_reader(&self) {
        if let Some(connection) = self.shared.lock().connections.get_mut(&self.id) {
            connection.read.wake();
        }
    }

    pub(crate) fn shutdown_now(&self) {
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        state.stack.tcp_shutdown(self.id, now);
        // Another task that waits for room would wait for ever.
        if let Some(connection) = state.connections.get_mut(&self.id) {
            connection.write.wake();
        }
        drop(state);
        self.shared.work.notify_one();
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_read_into(cx, into)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_from(cx, &[IoSlice::new(from)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_from(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shutdown_now();
        Poll::Ready(Ok(()))
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        let gone = state.connections.remove(&self.id);
        if gone.is_some_and(|connection| connection.reset_on_drop) {
            state.stack.tcp_abort(self.id, now);
        }
        state.stack.tcp_shutdown(self.id, now);
        state.stack.tcp_release(self.id, now);
        drop(state);
        self.shared.work.notify_one();
    }
}
