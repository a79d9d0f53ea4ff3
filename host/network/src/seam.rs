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
///
/// ```
/// use network::Target;
/// use std::net::SocketAddr;
///
/// assert_eq!(Target::name("example.com", 443).to_string(), "example.com:443");
/// let address: SocketAddr = "[2001:db8::1]:443".parse()?;
/// assert_eq!(Target::from(address), Target::Address(address));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A name, resolved by the network itself, and a port.
    Name(String, u16),
    /// An address and port.
    Address(SocketAddr),
}

impl Target {
    /// A name and a port. An example is at [`Target`].
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
///
/// ```
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use network::{Host, InProcess, Network};
/// use runtime::Sockets;
/// use std::net::{IpAddr, SocketAddr};
///
/// /// Who speaks a protocol does not know whose network it is.
/// async fn asks(network: &dyn Network, whom: SocketAddr) -> std::io::Result<Vec<u8>> {
///     let mut stream = network.connect(&whom.into()).await?;
///     stream.write_all(b"who?").await?;
///     stream.shutdown().await?;
///     let mut answer = Vec::new();
///     stream.read_to_end(&mut answer).await?;
///     Ok(answer)
/// }
///
/// async fn echoes(network: &dyn Network, at: IpAddr) -> std::io::Result<SocketAddr> {
///     let mut listener = network.listen((at, 0).into()).await?;
///     let address = listener.local_addr()?;
///     tokio::spawn(async move {
///         let (stream, _) = listener.accept().await?;
///         let (mut from, mut to) = tokio::io::split(stream);
///         tokio::io::copy(&mut from, &mut to).await?;
///         to.shutdown().await
///     });
///     Ok(address)
/// }
///
/// let (left, right) = Sockets::pair()?;
/// let (left, right) = (InProcess::new(left, Default::default()), InProcess::new(right, Default::default()));
/// let ours = echoes(&right, [192, 0, 2, 2].into()).await?;
/// let theirs = echoes(&Host, [127, 0, 0, 1].into()).await?;
/// assert_eq!(asks(&left, ours).await?, asks(&Host, theirs).await?);
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use network::{BoxStream, Stream};
///
/// // Whatever reads and writes is one.
/// let (near, mut far): (BoxStream, _) = { let (a, b) = tokio::io::duplex(64); (Box::new(a), b) };
/// async fn greet(mut stream: Box<dyn Stream>) -> std::io::Result<()> {
///     stream.write_all(b"hello").await
/// }
/// greet(near).await?;
/// let mut heard = String::new();
/// far.read_to_string(&mut heard).await?;
/// assert_eq!(heard, "hello");
/// # Ok(())
/// # }
/// ```
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A listener.
///
/// ```
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use network::{Host, Listener, Network};
///
/// /// Gives each connection the same bytes, `count` times.
/// async fn serves(mut listener: Box<dyn Listener>, count: usize) -> std::io::Result<()> {
///     for _ in 0..count {
///         let (mut stream, _peer) = listener.accept().await?;
///         stream.write_all(b"hello").await?;
///     }
///     Ok(())
/// }
/// let listener = Host.listen(([127, 0, 0, 1], 0).into()).await?;
/// let target = listener.local_addr()?.into();
/// let (mut stream, served) = tokio::try_join!(Host.connect(&target), serves(listener, 1))?;
/// let mut heard = String::new();
/// stream.read_to_string(&mut heard).await?;
/// assert_eq!(heard, "hello");
/// # let () = served;
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use network::{Datagrams, Host, Network};
///
/// let socket = Host.bind_udp(([127, 0, 0, 1], 0).into()).await?;
/// let asking: Box<dyn Datagrams> = Host.bind_udp(([127, 0, 0, 1], 0).into()).await?;
/// asking.send(b"who?", socket.local_addr()?).await?;
/// let mut into = [0; 64];
/// assert_eq!(socket.receive(&mut into).await?, (4, asking.local_addr()?));
/// # Ok(())
/// # }
/// ```
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
