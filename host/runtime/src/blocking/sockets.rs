//! A stack for callers that block, and the way to its sockets.

use super::wait::wait;
use super::{TcpListener, TcpStream, UdpSocket};
use crate::{ConnectOptions, ListenOptions};
use packet::Device;
use stack::Prefix;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

/// A stack in this process and the way to its sockets. Clones share the stack.
///
/// ```
/// use runtime::blocking::Sockets;
/// use std::io::{Read, Write};
///
/// # fn main() -> std::io::Result<()> {
/// let (client, server) = Sockets::pair()?;
/// let listener = server.listen(([192, 0, 2, 2], 7).into())?;
/// let echo = std::thread::spawn(move || {
///     let (stream, _peer) = listener.accept()?;
///     std::io::copy(&mut &stream, &mut &stream)
/// });
/// let mut stream = client.connect(([192, 0, 2, 2], 7).into())?;
/// stream.write_all(b"hello")?;
/// let mut answer = [0; 5];
/// stream.read_exact(&mut answer)?;
/// assert_eq!(&answer, b"hello");
/// drop(stream);
/// assert_eq!(echo.join().expect("it does not panic")?, 5);
/// # Ok(())
/// # }
/// ```
///
/// A stack that a tokio runtime turns serves callers that block on other threads:
///
/// ```
/// use runtime::blocking::Sockets;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// let (client, server) = runtime.block_on(async { runtime::Sockets::pair() })?;
/// let listener = server.listen(([192, 0, 2, 2], 7).into())?;
/// let client = Sockets::from(client);
/// let blocking = std::thread::spawn(move || client.connect(([192, 0, 2, 2], 7).into())?.local_addr());
/// let (_stream, peer) = runtime.block_on(listener.accept())?;
/// // It is turned while the runtime runs.
/// let connected = runtime.block_on(runtime.spawn_blocking(|| blocking.join()))?;
/// assert_eq!(connected.expect("it does not panic")?, peer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Sockets(crate::Sockets);

impl From<crate::Sockets> for Sockets {
    /// The same stack for callers that block; a tokio runtime turns it, and must not be what they block.
    fn from(sockets: crate::Sockets) -> Self {
        Self(sockets)
    }
}

impl Sockets {
    /// A stack of its own behind `device`, as [`crate::Sockets::start`] makes it, turned by a thread of its own until the
    /// device fails or the program [stops](Self::stop) it.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where addresses or gateways cannot be used together; the system's, where it has no thread, no
    /// descriptor or no random bytes left.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (device, _other_end) = link::FrameSocket::pair(1_500)?;
    /// let sockets = Sockets::start(device, &["192.0.2.2/24".parse()?], &["192.0.2.1".parse()?])?;
    /// let listener = sockets.listen("0.0.0.0:80".parse()?)?;
    /// assert_eq!(listener.local_addr()?.port(), 80);
    /// # Ok(())
    /// # }
    /// ```
    pub fn start<D>(device: D, addresses: &[Prefix], gateways: &[IpAddr]) -> io::Result<Self>
    where
        D: Device + AsFd + Send + 'static,
    {
        Self::turned(crate::Sockets::make(&device, addresses, gateways)?, device)
    }

    /// Two stacks in this process on a cable of their own, each turned by a thread: see [`crate::Sockets::pair`]. An example
    /// is at [`Sockets`].
    ///
    /// # Errors
    ///
    /// The system's, where it has no thread, no descriptor or no random bytes left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let ((left, near), (right, far)) = crate::Sockets::make_pair()?;
        Ok((Self::turned(left, near)?, Self::turned(right, far)?))
    }

    fn turned<D: Device + AsFd + Send + 'static>(sockets: crate::Sockets, device: D) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let driven = sockets.clone();
        // When the device fails, or this thread panics, whoever waits for a socket is told.
        std::thread::Builder::new()
            .name("weft-stack".to_owned())
            .spawn(move || drop(runtime.block_on(driven.drive(device))))?;
        Ok(Self(sockets))
    }

    /// Stops the stack and the thread that turns it, as [`crate::Sockets::stop`] does.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// let (client, server) = Sockets::pair()?;
    /// client.stop();
    /// server.stop();
    /// let told = client.connect(([192, 0, 2, 2], 7).into()).unwrap_err();
    /// assert_eq!(told.kind(), std::io::ErrorKind::NotConnected);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Opens a connection and waits for its handshake, as [`crate::Sockets::connect`] does. An example is at [`Sockets`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn connect(&self, remote: SocketAddr) -> io::Result<TcpStream> {
        wait(None, self.0.connect(remote)).map(TcpStream::new)
    }

    /// As [`connect`](Self::connect), for no longer than `timeout`.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (device, _other_end) = link::FrameSocket::pair(1_500)?;
    /// # let sockets = Sockets::start(device, &["192.0.2.2/24".parse()?], &[])?;
    /// use std::io::ErrorKind;
    /// use std::time::Duration;
    ///
    /// // Nobody is at the other end of this cable.
    /// let nobody = sockets.connect_timeout("192.0.2.1:80".parse()?, Duration::from_millis(10));
    /// assert_eq!(nobody.unwrap_err().kind(), ErrorKind::TimedOut);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there, and `TimedOut` when the time is over.
    pub fn connect_timeout(&self, remote: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        let connected = wait(Some(timeout), self.0.connect(remote));
        connected.map(TcpStream::new).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
            _ => error,
        })
    }

    /// As [`connect`](Self::connect), with options.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// use runtime::ConnectOptions;
    /// use tcp::{Config, CongestionAlgorithm};
    ///
    /// let config = Config { congestion: CongestionAlgorithm::Bbr, ..Config::linux() };
    /// let options = ConnectOptions { config, ..ConnectOptions::default() };
    /// let stream = client.connect_with(listener.local_addr()?, options)?;
    /// assert_eq!(stream.stream().congestion()?, CongestionAlgorithm::Bbr);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there; `InvalidInput` where an option is outside its range.
    pub fn connect_with(&self, remote: SocketAddr, options: ConnectOptions) -> io::Result<TcpStream> {
        wait(None, self.0.connect_with(remote, options)).map(TcpStream::new)
    }

    /// Listens at `local`; `0.0.0.0` means all of the stack's own IPv4 addresses, `[::]` all of both versions. Examples are at
    /// [`TcpListener`] and [`Sockets`].
    ///
    /// # Errors
    ///
    /// As [`crate::Sockets::listen`].
    pub fn listen(&self, local: SocketAddr) -> io::Result<TcpListener> {
        self.0.listen(local).map(TcpListener::new)
    }

    /// As [`listen`](Self::listen), with options.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// use runtime::ListenOptions;
    ///
    /// let options = ListenOptions { only_v6: true, ..ListenOptions::default() };
    /// let _six = server.listen_with(([0_u16; 8], 80).into(), options)?;
    /// let _four = server.listen(([0, 0, 0, 0], 80).into())?;
    /// client.connect(([192, 0, 2, 2], 80).into())?;
    /// client.connect(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 2_u16], 80).into())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there; `InvalidInput` where an option is outside its range.
    pub fn listen_with(&self, local: SocketAddr, options: ListenOptions) -> io::Result<TcpListener> {
        self.0.listen_with(local, options).map(TcpListener::new)
    }

    /// Opens a UDP socket at `local`; port 0 is any free port. An example is at [`UdpSocket`].
    ///
    /// # Errors
    ///
    /// As [`crate::Sockets::bind_udp`].
    pub fn bind_udp(&self, local: SocketAddr) -> io::Result<UdpSocket> {
        self.0.bind_udp(local).map(UdpSocket::new)
    }
}
