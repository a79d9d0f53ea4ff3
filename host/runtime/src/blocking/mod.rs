//! Blocking sockets over a stack in this process, in the manner of `std::net`: for programs without an async runtime.
//!
//! A thread of its own turns the stack; the threads that call sleep until it has something for them. What blocks here and
//! what awaits in [`crate::Sockets`] are the same sockets, and a program may have both over one stack.

mod datagram;
mod listener;
mod stream;
mod wait;

pub use datagram::UdpSocket;
pub use listener::TcpListener;
pub use stream::TcpStream;

use crate::{ConnectOptions, ListenOptions};
use packet::Device;
use stack::Prefix;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;
use wait::wait;

/// A stack in this process and the way to its sockets. Clones share the stack.
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
    /// device fails.
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
    /// # Ok(())
    /// # }
    /// ```
    pub fn start<D>(device: D, addresses: &[Prefix], gateways: &[IpAddr]) -> io::Result<Self>
    where
        D: Device + AsFd + Send + 'static,
    {
        Self::turned(crate::Sockets::make(&device, addresses, gateways)?, device)
    }

    /// Two stacks in this process on a cable of their own, each turned by a thread: see [`crate::Sockets::pair`].
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

    /// Opens a connection and waits for its handshake.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`, `TimedOut`, `HostUnreachable`; `AddrNotAvailable` where no SYN could leave.
    pub fn connect(&self, remote: SocketAddr) -> io::Result<TcpStream> {
        wait(None, self.0.connect(remote)).map(TcpStream::new)
    }

    /// As [`connect`](Self::connect), for no longer than `timeout`.
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
    /// # Errors
    ///
    /// As there; `InvalidInput` where an option is outside its range.
    pub fn connect_with(&self, remote: SocketAddr, options: ConnectOptions) -> io::Result<TcpStream> {
        wait(None, self.0.connect_with(remote, options)).map(TcpStream::new)
    }

    /// Listens at `local`; `0.0.0.0` means all of the stack's own IPv4 addresses, `[::]` all of both versions.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`.
    pub fn listen(&self, local: SocketAddr) -> io::Result<TcpListener> {
        self.0.listen(local).map(TcpListener::new)
    }

    /// As [`listen`](Self::listen), with options.
    ///
    /// # Errors
    ///
    /// As there; `InvalidInput` where an option is outside its range.
    pub fn listen_with(&self, local: SocketAddr, options: ListenOptions) -> io::Result<TcpListener> {
        self.0.listen_with(local, options).map(TcpListener::new)
    }

    /// Opens a UDP socket at `local`; port 0 is any free port.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`.
    pub fn bind_udp(&self, local: SocketAddr) -> io::Result<UdpSocket> {
        self.0.bind_udp(local).map(UdpSocket::new)
    }
}
