//! Listeners that block.

use super::TcpStream;
use super::wait::wait;
use crate::sockets;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

/// A TCP listener of a stack in this process, which blocks. Threads may share it, or have a clone each: each connection goes
/// to one of them.
///
/// ```
/// use runtime::blocking::Sockets;
///
/// # fn main() -> std::io::Result<()> {
/// let (client, server) = Sockets::pair()?;
/// let listener = server.listen(([0, 0, 0, 0], 7).into())?;
/// let connecting = std::thread::spawn(move || client.connect(([192, 0, 2, 2], 7).into()));
/// for stream in listener.incoming().take(1) {
///     assert_eq!(stream?.peer_addr()?.ip().to_string(), "192.0.2.1");
/// }
/// # connecting.join().expect("it does not panic").map(drop)
/// # }
/// ```
#[derive(Debug)]
pub struct TcpListener(Arc<Shared>);

/// What clones of a listener share.
#[derive(Debug)]
struct Shared {
    listener: sockets::TcpListener,
    nonblocking: AtomicBool,
}

impl TcpListener {
    pub(super) fn new(listener: sockets::TcpListener) -> Self {
        Self(Arc::new(Shared { listener, nonblocking: AtomicBool::new(false) }))
    }

    /// Where it listens; with the port that was chosen, where none was asked for. An example is at
    /// [`try_clone`](Self::try_clone).
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.listener.local_addr()
    }

    /// Another hold on the same listener, for another thread.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// let listener = server.listen(([192, 0, 2, 2], 0).into())?;
    /// let also = listener.try_clone()?;
    /// assert_eq!(also.local_addr()?, listener.local_addr()?);
    /// drop(listener);
    /// client.connect(also.local_addr()?)?;
    /// also.accept()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.clone()))
    }

    /// Whether `accept` is `WouldBlock` where it would wait.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// use std::io::ErrorKind;
    ///
    /// let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// listener.set_nonblocking(true)?;
    /// assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        self.0.nonblocking.store(on, Ordering::Relaxed);
        Ok(())
    }

    /// Waits for the next connection, its handshake done; with the peer's address and port. An example is at
    /// [`Sockets`](super::Sockets).
    ///
    /// # Errors
    ///
    /// `NotConnected` where the listener is gone; `WouldBlock` where it is not to wait.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let Shared { listener, nonblocking } = &*self.0;
        let accepted = if nonblocking.load(Ordering::Relaxed) {
            match listener.poll_accept(&Context::from_waker(Waker::noop())) {
                Poll::Ready(accepted) => accepted,
                Poll::Pending => Err(ErrorKind::WouldBlock.into()),
            }
        } else {
            wait(None, poll_fn(|cx| listener.poll_accept(cx)))
        };
        accepted.map(|(stream, remote)| (TcpStream::new(stream), remote))
    }

    /// One connection after the other, without end; each as [`accept`](Self::accept) gives it. An example is at
    /// [`TcpListener`].
    pub fn incoming(&self) -> impl Iterator<Item = io::Result<TcpStream>> {
        std::iter::repeat_with(|| self.accept().map(|(stream, _)| stream))
    }
}
