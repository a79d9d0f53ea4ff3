//! The operating system's own sockets, by tokio.

use crate::{BoxFuture, BoxListener, BoxStream, BoxUdp, Datagrams, Listener, Network, Target};
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::net::{TcpListener, TcpStream, UdpSocket, lookup_host};

/// The operating system's network.
///
/// ```
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use network::{Host, Network};
///
/// let mut listener = Host.listen(([127, 0, 0, 1], 0).into()).await?;
/// let target = listener.local_addr()?.into();
/// let (connected, accepted) = tokio::join!(Host.connect(&target), listener.accept());
/// connected?.write_all(b"hello").await?;
/// let mut heard = String::new();
/// accepted?.0.read_to_string(&mut heard).await?;
/// assert_eq!(heard, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Host;

impl Network for Host {
    fn connect<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, BoxStream> {
        Box::pin(async move {
            let stream = match target {
                Target::Name(name, port) => TcpStream::connect((name.as_str(), *port)).await?,
                Target::Address(address) => TcpStream::connect(address).await?,
            };
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxStream)
        })
    }

    fn listen(&self, local: SocketAddr) -> BoxFuture<'_, BoxListener> {
        Box::pin(async move { Ok(Box::new(TcpListener::bind(local).await?) as BoxListener) })
    }

    fn bind_udp(&self, local: SocketAddr) -> BoxFuture<'_, BoxUdp> {
        Box::pin(async move { Ok(Box::new(UdpSocket::bind(local).await?) as BoxUdp) })
    }

    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Vec<IpAddr>> {
        Box::pin(async move {
            let found: Vec<IpAddr> = lookup_host((name, 0)).await?.map(|address| address.ip()).collect();
            if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
        })
    }
}

impl Listener for TcpListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpListener::local_addr(self)
    }

    fn accept(&mut self) -> BoxFuture<'_, (BoxStream, SocketAddr)> {
        Box::pin(async move {
            let (stream, remote) = TcpListener::accept(self).await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as BoxStream, remote))
        })
    }
}

impl Datagrams for UdpSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        UdpSocket::local_addr(self)
    }

    fn receive<'a>(&'a self, into: &'a mut [u8]) -> BoxFuture<'a, (usize, SocketAddr)> {
        Box::pin(self.recv_from(into))
    }

    fn send<'a>(&'a self, payload: &'a [u8], remote: SocketAddr) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.send_to(payload, remote).await.map(drop) })
    }
}
