//! Streams that block.

use super::wait::wait;
use crate::sockets;
use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A TCP connection of a stack in this process, which blocks. The last clone, dropped, closes it in order; what was written
/// still arrives.
#[derive(Debug)]
pub struct TcpStream(Arc<Shared>);

/// What clones of a stream share.
#[derive(Debug)]
struct Shared {
    stream: sockets::TcpStream,
    settings: Mutex<Settings>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    linger: Option<Duration>,
    /// Nobody wants to read any more.
    read_shut: bool,
}

impl TcpStream {
    pub(super) fn new(stream: sockets::TcpStream) -> Self {
        Self(Arc::new(Shared { stream, settings: Mutex::default() }))
    }

    /// The stream itself: addresses, options, figures.
    pub fn stream(&self) -> &sockets::TcpStream {
        &self.0.stream
    }

    /// The other side's address and port.
    pub fn peer_addr(&self) -> SocketAddr {
        self.0.stream.peer_addr()
    }

    /// Our side's address and port; `None` once the connection is over.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.0.stream.local_addr()
    }

    /// Another hold on the same connection, for another thread; timeouts are shared.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.clone()))
    }

    /// How long a read waits; then it is `WouldBlock`. `None`, as at first: for ever.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.settings().read_timeout = checked(timeout)?;
        Ok(())
    }

    /// How long a read waits.
    pub fn read_timeout(&self) -> Option<Duration> {
        self.0.settings().read_timeout
    }

    /// How long a write waits for room; then it is `WouldBlock`. `None`, as at first: for ever.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.settings().write_timeout = checked(timeout)?;
        Ok(())
    }

    /// How long a write waits for room.
    pub fn write_timeout(&self) -> Option<Duration> {
        self.0.settings().write_timeout
    }

    /// How long the last clone, dropped, waits until what was written is acknowledged (SO_LINGER). Of zero, it resets the
    /// connection instead; `None`, as at first: it does not wait, and what was written still arrives.
    pub fn set_linger(&self, linger: Option<Duration>) {
        self.0.settings().linger = linger;
        self.0.stream.set_zero_linger(linger == Some(Duration::ZERO));
    }

    /// Whether small writes leave at once (TCP_NODELAY).
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.0.stream.set_nodelay(on)
    }

    /// Ends one direction or both: no more is written, and the peer is told; or reads come to the end of the stream.
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.0.settings().read_shut = true;
            self.0.stream.wake_reader();
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            self.0.stream.shutdown_now();
        }
        Ok(())
    }
}

impl Shared {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for &TcpStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let Shared { stream, .. } = &*self.0;
        let timeout = self.0.settings().read_timeout;
        wait(
            timeout,
            poll_fn(|cx| {
                if self.0.settings().read_shut {
                    return std::task::Poll::Ready(Ok(0));
                }
                stream.poll_take(cx, into.len()).map_ok(|chunk| {
                    into[..chunk.len()].copy_from_slice(&chunk);
                    chunk.len()
                })
            }),
        )
    }
}

impl Write for &TcpStream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(from)])
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let timeout = self.0.settings().write_timeout;
        wait(timeout, poll_fn(|cx| self.0.stream.poll_write_from(cx, from)))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self).read(into)
    }
}

impl Write for TcpStream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        (&*self).write(from)
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let linger = self.settings().linger.filter(|linger| !linger.is_zero());
        if linger.is_some() {
            self.stream.shutdown_now();
            // What is not acknowledged by then still goes its way.
            let _ = wait(linger, poll_fn(|cx| self.stream.poll_sent(cx)));
        }
    }
}

/// A timeout of zero would never wait; who wants that asks for something else.
pub(super) fn checked(timeout: Option<Duration>) -> io::Result<Option<Duration>> {
    match timeout {
        Some(Duration::ZERO) => Err(io::ErrorKind::InvalidInput.into()),
        timeout => Ok(timeout),
    }
}
