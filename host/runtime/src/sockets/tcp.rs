//! Streams and listeners.

use super::core::{Connection, Shared};
use packet::Bytes;
use stack::{ListenerId, TcpId};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tcp::{CloseReason, Info, State};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A TCP connection of a stack in this process. Dropped, it closes in order; what was written still arrives.
#[derive(Debug)]
pub struct TcpStream {
    pub(super) shared: Arc<Shared>,
    pub(super) id: TcpId,
    remote: SocketAddr,
}

impl TcpStream {
    pub(super) fn new(shared: Arc<Shared>, id: TcpId, remote: SocketAddr) -> Self {
        Self { shared, id, remote }
    }

    /// The other side's address and port.
    pub fn peer_addr(&self) -> SocketAddr {
        self.remote
    }

    /// Our side's address and port; `None` once the connection is over.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.shared.lock().stack.tcp_addresses(self.id).map(|(local, _)| local)
    }

    /// How the connection fares (TCP_INFO); `None` once it is over.
    pub fn info(&self) -> Option<Info> {
        let now = self.shared.clock.now();
        self.shared.lock().stack.tcp_info(self.id, now)
    }

    /// Waits until a read would not: bytes, the end of the stream, or an error are there.
    pub async fn readable(&self) {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if state.stack.tcp_readable(self.id) > 0 || state.stack.tcp_is_at_end(self.id) {
                return Poll::Ready(());
            }
            match state.connections.get_mut(&self.id) {
                Some(connection) if connection.closed.is_none() => {
                    connection.read.park(cx);
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        })
        .await;
    }

    /// Waits for the handshake.
    pub(super) async fn established(&self) -> io::Result<()> {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            let Some(connection) = state.connections.get_mut(&self.id) else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            if connection.established {
                return Poll::Ready(Ok(()));
            }
            if let Some(reason) = connection.closed {
                return Poll::Ready(Err(close_error(reason)));
            }
            connection.write.park(cx);
            Poll::Pending
        })
        .await
    }

    /// Waits for received bytes and takes them as they lie in the stack, without a copy. Empty at the end of the
    /// stream.
    ///
    /// # Errors
    ///
    /// `ConnectionReset`, `TimedOut`, `HostUnreachable`.
    pub async fn read_bytes(&mut self) -> io::Result<Bytes> {
        self.take_bytes().await
    }

    pub(super) async fn take_bytes(&self) -> io::Result<Bytes> {
        poll_fn(|cx| self.poll_take(cx, usize::MAX)).await
    }

    /// Hands over bytes to be sent without a copy; waits while the send buffer is full.
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

    pub(crate) fn poll_take(&self, cx: &Context<'_>, bytes_max: usize) -> Poll<io::Result<Bytes>> {
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        if let Some(chunk) = state.stack.tcp_read(self.id, bytes_max, now) {
            drop(state);
            // The window has opened, and the peer may be waiting for that.
            self.shared.work.notify_one();
            return Poll::Ready(Ok(chunk));
        }
        if state.stack.tcp_is_at_end(self.id) {
            return Poll::Ready(Ok(Bytes::new()));
        }
        match state.connections.get_mut(&self.id) {
            Some(Connection { closed: Some(reason), .. }) => Poll::Ready(ended(*reason)),
            Some(connection) => {
                connection.read.park(cx);
                Poll::Pending
            }
            None => Poll::Ready(Ok(Bytes::new())),
        }
    }

    fn poll_put(&self, cx: &Context<'_>, data: &mut Bytes) -> Poll<io::Result<usize>> {
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        let taken = state.stack.tcp_write(self.id, data, now);
        if taken > 0 {
            drop(state);
            self.shared.work.notify_one();
            return Poll::Ready(Ok(taken));
        }
        match state.connections.get_mut(&self.id) {
            Some(Connection { closed: None, write, .. }) => {
                write.park(cx);
                Poll::Pending
            }
            Some(Connection { closed: Some(reason), .. }) if *reason != CloseReason::Finished => {
                Poll::Ready(Err(close_error(*reason)))
            }
            _ => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl TcpStream {
    pub(super) fn poll_read_into(&self, cx: &Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        self.poll_take(cx, into.remaining()).map_ok(|chunk| into.put_slice(&chunk))
    }

    pub(crate) fn poll_write_from(
        &self,
        cx: &Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
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
        let waits =
            matches!(info.map(|info| info.state), Some(State::FinWait1 | State::Closing | State::LastAck));
        match state.connections.get_mut(&self.id) {
            Some(connection) if waits && connection.closed.is_none() => {
                connection.write.park(cx);
                Poll::Pending
            }
            _ => Poll::Ready(Ok(())),
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
        self.shared.lock().stack.tcp_shutdown(self.id, now);
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
        self.poll_write_from(cx, &[io::IoSlice::new(from)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
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

/// A TCP listener of a stack in this process.
#[derive(Debug)]
pub struct TcpListener {
    shared: Arc<Shared>,
    id: ListenerId,
    local: SocketAddr,
}

impl TcpListener {
    pub(super) fn new(shared: Arc<Shared>, id: ListenerId, local: SocketAddr) -> Self {
        Self { shared, id, local }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Waits for the next connection, its handshake done.
    ///
    /// # Errors
    ///
    /// `NotConnected` where the listener is gone.
    pub async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    pub(crate) fn poll_accept(&self, cx: &Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let mut state = self.shared.lock();
        let Some(accepting) = state.listeners.get_mut(&self.id) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let Some((id, remote)) = accepting.ready.pop_front() else {
            accepting.task.park(cx);
            return Poll::Pending;
        };
        Poll::Ready(Ok((TcpStream::new(self.shared.clone(), id, remote), remote)))
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        state.stack.tcp_unlisten(self.id);
        for (id, _) in state.listeners.remove(&self.id).map(|gone| gone.ready).unwrap_or_default() {
            state.connections.remove(&id);
            state.stack.tcp_abort(id, now);
            state.stack.tcp_release(id, now);
        }
        drop(state);
        self.shared.work.notify_one();
    }
}

/// What a reader is told of a connection that is over.
fn ended(reason: CloseReason) -> io::Result<Bytes> {
    match reason {
        CloseReason::Finished => Ok(Bytes::new()),
        other => Err(close_error(other)),
    }
}

fn close_error(reason: CloseReason) -> io::Error {
    match reason {
        CloseReason::Finished => io::ErrorKind::NotConnected,
        CloseReason::Reset => io::ErrorKind::ConnectionReset,
        CloseReason::Refused => io::ErrorKind::ConnectionRefused,
        CloseReason::TimedOut => io::ErrorKind::TimedOut,
        CloseReason::Unreachable => io::ErrorKind::HostUnreachable,
        CloseReason::Aborted => io::ErrorKind::ConnectionAborted,
    }
    .into()
}
