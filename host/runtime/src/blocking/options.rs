//! What a stream that blocks is told besides: how long it waits, whether it waits at all, and what those options of the
//! stream below are that programs ask for most.

use super::TcpStream;
use std::io;
use std::time::Duration;

impl TcpStream {
    /// How long a read waits; then it is `WouldBlock`. `None`, as at first: for ever.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?)?;
    /// # let (mut accepted, _) = listener.accept()?;
    /// use std::io::{ErrorKind, Read};
    /// use std::time::Duration;
    ///
    /// stream.set_read_timeout(Some(Duration::from_millis(10)))?;
    /// assert_eq!(stream.read_timeout()?, Some(Duration::from_millis(10)));
    /// assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.settings().read_timeout = checked(timeout)?;
        Ok(())
    }

    /// How long a read waits: see [`set_read_timeout`](Self::set_read_timeout).
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.settings().read_timeout)
    }

    /// How long a write waits for room; then it is `WouldBlock`. `None`, as at first: for ever.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?)?;
    /// # let (mut accepted, _) = listener.accept()?;
    /// use std::io::{ErrorKind, Write};
    /// use std::time::Duration;
    ///
    /// stream.set_write_timeout(Some(Duration::from_millis(10)))?;
    /// assert_eq!(stream.write_timeout()?, Some(Duration::from_millis(10)));
    /// // Nobody reads.
    /// let full = loop {
    ///     if let Err(full) = stream.write(&[7; 65_536]) {
    ///         break full;
    ///     }
    /// };
    /// assert_eq!(full.kind(), ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.settings().write_timeout = checked(timeout)?;
        Ok(())
    }

    /// How long a write waits for room: see [`set_write_timeout`](Self::set_write_timeout).
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
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?)?;
    /// # let (mut accepted, _) = listener.accept()?;
    /// use std::io::ErrorKind;
    /// use std::time::Duration;
    ///
    /// stream.set_linger(Some(Duration::from_secs(5)))?;
    /// assert_eq!(stream.linger()?, Some(Duration::from_secs(5)));
    /// stream.write_bytes("last words".into())?;
    /// // When this is over, they have arrived.
    /// drop(stream);
    /// assert_eq!(accepted.read_bytes()?, "last words");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.0.settings().linger = linger;
        self.0.stream.set_zero_linger(linger == Some(Duration::ZERO))
    }

    /// How long the last clone, dropped, waits: see [`set_linger`](Self::set_linger).
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.settings().linger)
    }

    /// Whether a read or a write that would wait is `WouldBlock` instead.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?)?;
    /// # let (mut accepted, _) = listener.accept()?;
    /// use std::io::{ErrorKind, Read};
    ///
    /// stream.set_nonblocking(true)?;
    /// assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
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
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?)?;
    /// # let (mut accepted, _) = listener.accept()?;
    /// use std::io::ErrorKind;
    /// use std::time::Duration;
    ///
    /// accepted.set_linger(Some(Duration::ZERO))?;
    /// drop(accepted);
    /// assert!(stream.read_bytes().is_err());
    /// assert_eq!(stream.take_error()?.map(|error| error.kind()), Some(ErrorKind::ConnectionReset));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.stream.take_error()
    }

    /// Whether small writes leave at once (TCP_NODELAY; RFC 9293 §3.7.4). At first they wait for the acknowledgement of one
    /// before.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?)?;
    /// # let (mut accepted, _) = listener.accept()?;
    /// stream.set_nodelay(true)?;
    /// assert!(stream.nodelay()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.0.stream.set_nodelay(on)
    }

    /// Whether small writes leave at once: see [`set_nodelay`](Self::set_nodelay).
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.0.stream.nodelay()
    }
}

/// A timeout of zero would never wait; who wants that asks for something else.
pub(super) fn checked(timeout: Option<Duration>) -> io::Result<Option<Duration>> {
    match timeout {
        Some(Duration::ZERO) => Err(io::ErrorKind::InvalidInput.into()),
        timeout => Ok(timeout),
    }
}
