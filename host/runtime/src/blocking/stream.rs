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
pub struct TcpStream(pub(super) Arc<Shared>);

/// What clones of a stream share.
#[derive(Debug)]
pub(super) struct Shared {
    pub stream: sockets::TcpStream,
    settings: Mutex<Settings>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settings {
    pub read_timeout: Option<Duration>,
    pub write_timeout: Option<Duration>,
    pub linger: Option<Duration>,
    pub nonblocking: bool,
    /// Nobody wants to read any more.
    read_shut: bool,
}

impl TcpStream {
    pub(super) fn new(stream: sockets::TcpStream) -> Self {
        Self(Arc::new(Shared { stream, settings: Mutex::default() }))
    }

    /// The stream itself: addresses, options, figures. An example is at [`TcpStream`].
    pub fn stream(&self) -> &sockets::TcpStream {
        &self.0.stream
    }

    /// The other side's address and port.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?)?;
    /// # let (mut accepted, _) = listener.accept()?;
    /// assert_eq!(stream.peer_addr()?, accepted.local_addr()?);
    /// assert_eq!(stream.local_addr()?, accepted.peer_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.stream.peer_addr()
    }

    /// Our side's address and port; an example is at [`peer_addr`](Self::peer_addr).
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.stream.local_addr()
    }

    /// Another hold on the same connection, for another thread; timeouts are shared.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?)?;
    /// # let (mut accepted, _) = listener.accept()?;
    /// use std::io::Read;
    ///
    /// let reader = stream.try_clone()?;
    /// let heard = std::thread::spawn(move || {
    ///     let mut heard = String::new();
    ///     (&reader).read_to_string(&mut heard).map(|_| heard)
    /// });
    /// accepted.write_bytes("hello".into())?;
    /// drop(accepted);
    /// assert_eq!(heard.join().expect("it does not panic")?, "hello");
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
    /// taken. An example is at [`read_bytes`](Self::read_bytes).
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

    /// Ends one direction or both: no more is written, and the peer is told; or reads come to the end of the stream.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?)?;
    /// # let (mut accepted, _) = listener.accept()?;
    /// use std::net::Shutdown;
    ///
    /// stream.write_bytes("question".into())?;
    /// stream.shutdown(Shutdown::Write)?;
    /// assert_eq!(accepted.read_bytes()?, "question");
    /// assert!(accepted.read_bytes()?.is_empty());
    /// accepted.write_bytes("answer".into())?;
    /// assert_eq!(stream.read_bytes()?, "answer");
    /// # Ok(())
    /// # }
    /// ```
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
    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
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
