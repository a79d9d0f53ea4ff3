//! Listeners.

use super::TcpStream;
use super::core::{Accepted, Shared};
use stack::ListenerId;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A TCP listener of a stack in this process. Tasks may share it: each connection goes to one of them.
///
/// ```
/// # use runtime::Sockets;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let (client, server) = Sockets::pair()?;
/// let listener = server.listen(([0, 0, 0, 0], 0).into())?;
/// let port = listener.local_addr()?.port();
/// let (connected, accepted) =
///     tokio::join!(client.connect(([192, 0, 2, 2], port).into()), listener.accept());
/// assert_eq!(accepted?.1, connected?.local_addr()?);
/// # Ok(())
/// # }
/// ```
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

    /// Where it listens; with the port that was chosen, where none was asked for. An example is at [`TcpListener`].
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// Waits for the next connection, its handshake done, or its data taken by Fast Open (RFC 7413 §4.2.2); with the peer's
    /// address and port. Cancelled, it has taken none.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// let echo = tokio::spawn(async move {
    ///     let (mut stream, _peer) = listener.accept().await?;
    ///     let heard = stream.read_bytes().await?;
    ///     stream.write_bytes(heard).await
    /// });
    /// let mut stream = client.connect(([192, 0, 2, 2], 7).into()).await?;
    /// stream.write_bytes("hello".into()).await?;
    /// assert_eq!(stream.read_bytes().await?, "hello");
    /// # echo.await?
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `NotConnected` where the listener is gone, or nothing turns the stack any more.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// The next connection, or the task is woken when there is one; for programs that poll several things at once.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// use std::future::poll_fn;
    /// use std::task::Poll;
    ///
    /// // Whoever comes first, at either port.
    /// let listeners = [80, 81].map(|port| server.listen(([192, 0, 2, 2], port).into()).expect("it is free"));
    /// client.connect(([192, 0, 2, 2], 81).into()).await?;
    /// let (stream, _) = poll_fn(|cx| {
    ///     let mut accepted = listeners.iter().map(|listener| listener.poll_accept(cx));
    ///     accepted.find(Poll::is_ready).unwrap_or(Poll::Pending)
    /// })
    /// .await?;
    /// assert_eq!(stream.local_addr()?.port(), 81);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let mut state = self.shared.lock();
        state.check_turned()?;
        let Some(accepting) = state.listeners.get_mut(&self.id) else {
            return Poll::Ready(Err(ErrorKind::NotConnected.into()));
        };
        let Some(Accepted { id, local, remote }) = accepting.ready.pop_front() else {
            accepting.task.park(cx);
            return Poll::Pending;
        };
        state.stack.tcp_take_accepted(self.id);
        Poll::Ready(Ok((TcpStream::new(self.shared.clone(), id, local, remote), remote)))
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        state.stack.tcp_unlisten(self.id);
        for Accepted { id, .. } in state.listeners.remove(&self.id).map(|gone| gone.ready).unwrap_or_default()
        {
            state.connections.remove(&id);
            state.stack.tcp_abort(id, now);
            state.stack.tcp_release(id, now);
        }
        drop(state);
        self.shared.work.notify_one();
    }
}
