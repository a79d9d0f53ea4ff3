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
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// assert_eq!(stream.peer_addr()?, accepted.local_addr()?);
    /// assert_eq!(stream.local_addr()?, accepted.peer_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.remote)
    }

    /// Our side's address and port; an example is at [`peer_addr`](Self::peer_addr).
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
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// use std::io::ErrorKind;
    ///
    /// accepted.set_zero_linger(true)?;
    /// drop(accepted);
    /// assert_eq!(stream.read_bytes().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    /// assert_eq!(stream.take_error()?.map(|error| error.kind()), Some(ErrorKind::ConnectionReset));
    /// assert!(stream.take_error()?.is_none());
    /// # Ok(())
    /// # }
    /// ```
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
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// use packet::Bytes;
    ///
    /// // The same bytes for each who asks; no copy of them is made.
    /// static PAGE: &[u8] = &[b'x'; 100_000];
    /// let serving = tokio::spawn(async move { accepted.write_bytes(Bytes::from_static(PAGE)).await });
    /// let mut heard = 0;
    /// loop {
    ///     match stream.read_bytes().await?.len() {
    ///         0 => break,
    ///         length => heard += length,
    ///     }
    /// }
    /// assert_eq!(heard, PAGE.len());
    /// # Ok(())
    /// # }
    /// ```
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
