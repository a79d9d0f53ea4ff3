//! Streams that block.

use super::wait::wait;
use crate::sockets;
use packet::Bytes;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

/// A TCP connection of a stack in this process, which blocks. The last clone, dropped, closes it in order; what was written
/// still arrives.
///
/// Options and figures are those of [`stream`](Self::stream): none of them waits.
///
/// ```
/// use runtime::blocking::Sockets;
/// use std::io::{Read, Write};
/// use std::net::Shutdown;
///
/// # fn main() -> std::io::Result<()> {
/// let (client, server) = Sockets::pair()?;
/// let listener = server.listen(([192, 0, 2, 2], 7).into())?;
/// let mut stream = client.connect(listener.local_addr()?)?;
/// let (mut accepted, _) = listener.accept()?;
/// stream.stream().set_tos(184)?;
/// stream.write_all(b"hello")?;
/// stream.shutdown(Shutdown::Write)?;
/// let mut heard = String::new();
/// accepted.read_to_string(&mut heard)?;
/// assert_eq!(heard, "hello");
/// # Ok(())
/// # }
/// ```
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
    nonblocking: bool,
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
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.stream.peer_addr()
    }

    /// Our side's address and port.
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.stream.local_addr()
    }

    /// Another hold on the same connection, for another thread; timeouts are shared.
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
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
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.settings().read_timeout)
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
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.settings().write_timeout)
    }

    /// How long the last clone, dropped, waits until what was written is acknowledged (SO_LINGER). Of zero, it resets the
    /// connection instead; `None`, as at first: it does not wait, and what was written still arrives.
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.0.settings().linger = linger;
        self.0.stream.set_zero_linger(linger == Some(Duration::ZERO))
    }

    /// How long the last clone, dropped, waits (SO_LINGER).
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.settings().linger)
    }

    /// Whether a read or a write that would wait is `WouldBlock` instead.
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        self.0.settings().nonblocking = on;
        Ok(())
    }

    /// What the connection ended with, where that was an error and was not told by this call before (SO_ERROR).
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.stream.take_error()
    }

    /// Copies the next bytes and leaves them to be read; waits as a read does. 0 at the end of the stream.
    ///
    /// ```
    /// # use std::io::{Read, Write};
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?)?;
    /// # let (mut accepted, _) = listener.accept()?;
    /// accepted.write_all(b"hello")?;
    /// let mut into = [0; 64];
    /// let looked = stream.peek(&mut into)?;
    /// assert_eq!(stream.read(&mut into)?, looked);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `ConnectionReset`, `TimedOut`, `HostUnreachable`; `WouldBlock` when the time of a read is over.
    pub fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        let Settings { read_timeout, nonblocking, read_shut, .. } = *self.0.settings();
        match (read_shut, nonblocking) {
            (true, _) => Ok(0),
            (false, true) => self.0.stream.try_look(into),
            (false, false) => wait(
                read_timeout,
                // As in `take`: the settings stay locked while it is looked and parked.
                poll_fn(|cx| match self.0.settings().read_shut {
                    true => Poll::Ready(Ok(0)),
                    false => self.0.stream.poll_look(cx, into),
                }),
            ),
        }
    }

    /// Waits for received bytes and takes them as they lie in the stack, without a copy. Empty at the end of the stream.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let stream = client.connect(listener.local_addr()?)?;
    /// # let (accepted, _) = listener.accept()?;
    /// accepted.write_bytes("hello".into())?;
    /// assert_eq!(stream.read_bytes()?, "hello");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`peek`](Self::peek).
    pub fn read_bytes(&self) -> io::Result<Bytes> {
        self.0.take(usize::MAX)
    }

    /// Hands over bytes to be sent without a copy; waits while the send buffer is full. Where it fails, a part may have been
    /// taken.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` where the sending side is closed; `WouldBlock` when the time of a write is over; else as
    /// [`peek`](Self::peek).
    pub fn write_bytes(&self, mut data: Bytes) -> io::Result<()> {
        let Settings { write_timeout, nonblocking, .. } = *self.0.settings();
        while !data.is_empty() {
            if nonblocking {
                self.0.stream.try_write_bytes(&mut data)?;
            } else {
                wait(write_timeout, poll_fn(|cx| self.0.stream.poll_put(cx, &mut data)))?;
            }
        }
        Ok(())
    }

    /// Whether small writes leave at once (TCP_NODELAY).
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.0.stream.set_nodelay(on)
    }

    /// Whether small writes leave at once.
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.0.stream.nodelay()
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

impl Shared {
    /// Takes received bytes; empty at the end of the stream.
    fn take(&self, bytes_max: usize) -> io::Result<Bytes> {
        let Settings { read_timeout, nonblocking, read_shut, .. } = *self.settings();
        match (read_shut, nonblocking) {
            (true, _) => Ok(Bytes::new()),
            (false, true) => self.stream.try_take(bytes_max),
            (false, false) => wait(
                read_timeout,
                // The settings stay locked for the whole `match`, that is until the reader is parked, and must: `shutdown`
                // sets the flag under this lock and wakes afterwards. Let go between the look and `poll_take`, it could wake
                // before the reader has parked, who then would sleep on a stream that is shut.
                poll_fn(|cx| match self.settings().read_shut {
                    true => Poll::Ready(Ok(Bytes::new())),
                    false => self.stream.poll_take(cx, bytes_max),
                }),
            ),
        }
    }
}

impl Read for &TcpStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let chunk = self.0.take(into.len())?;
        into[..chunk.len()].copy_from_slice(&chunk);
        Ok(chunk.len())
    }

    fn read_vectored(&mut self, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let room = into.iter().map(|slice| slice.len()).sum();
        if room == 0 {
            return Ok(0);
        }
        let mut chunk = self.0.take(room)?;
        let length = chunk.len();
        for slice in into {
            let part = chunk.split_to(chunk.len().min(slice.len()));
            slice[..part.len()].copy_from_slice(&part);
        }
        Ok(length)
    }
}

impl Write for &TcpStream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(from)])
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let Settings { write_timeout, nonblocking, .. } = *self.0.settings();
        if nonblocking {
            return self.0.stream.try_write_vectored(from);
        }
        wait(write_timeout, poll_fn(|cx| self.0.stream.poll_write_from(cx, from)))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self).read(into)
    }

    fn read_vectored(&mut self, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(into)
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
