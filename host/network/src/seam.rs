//! The seam itself: four calls, three things that they give.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};

/// A future behind the seam.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;
/// A stream behind the seam.
pub type BoxStream = Box<dyn Stream>;
/// A listener behind the seam.
pub type BoxListener = Box<dyn Listener>;
/// A UDP socket behind the seam.
pub type BoxUdp = Box<dyn Datagrams>;

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A name, resolved by the network itself, and a port.
    Name(String, u16),
    /// An address and port.
    Address(SocketAddr),
}

impl Target {
    /// A name and a port.
    pub fn name(name: impl Into<String>, port: u16) -> Self {
        Self::Name(name.into(), port)
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

/// Whatever connects: the operating system, a stack in this process, later a daemon or the mesh.
pub trait Network: Send + Sync {
    /// Opens a connection; of a name's addresses the first that answers.
    ///
    /// # Errors
    ///
    /// Of the last address tried; `NotFound` where a name has none.
    fn connect<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, BoxStream>;

    /// Listens for connections.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`.
    fn listen(&self, local: SocketAddr) -> BoxFuture<'_, BoxListener>;

    /// Opens a UDP socket; port 0 is any free port.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`.
    fn bind_udp(&self, local: SocketAddr) -> BoxFuture<'_, BoxUdp>;

    /// A name's addresses, in the order in which to try them.
    ///
    /// # Errors
    ///
    /// `NotFound` where the name has none; what the resolver failed with.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Vec<IpAddr>>;
}

/// A connection: bytes in order, both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A listener.
pub trait Listener: Send {
    /// Where it listens.
    ///
    /// # Errors
    ///
    /// Where the network does not say.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Waits for a connection; with the other side's address.
    ///
    /// # Errors
    ///
    /// Where the listener is gone, or one connection could not be taken.
    fn accept(&mut self) -> BoxFuture<'_, (BoxStream, SocketAddr)>;
}

/// A UDP socket.
pub trait Datagrams: Send + Sync {
    /// Where it hears.
    ///
    /// # Errors
    ///
    /// Where the network does not say.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Waits for a datagram and copies it into `into`; its length and sender. What does not fit is lost.
    ///
    /// # Errors
    ///
    /// Where the socket is gone.
    fn receive<'a>(&'a self, into: &'a mut [u8]) -> BoxFuture<'a, (usize, SocketAddr)>;

    /// Sends a datagram.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable`, `InvalidInput` where it is too large.
    fn send<'a>(&'a self, payload: &'a [u8], remote: SocketAddr) -> BoxFuture<'a, ()>;
}
