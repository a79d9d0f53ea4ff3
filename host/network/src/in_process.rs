//! A stack in this process.

use crate::{BoxFuture, BoxListener, BoxStream, BoxUdp, Datagrams, Listener, Network, Target};
use runtime::{Sockets, TcpListener, UdpSocket};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// A stack in this process, with the names that it knows.
///
/// ```
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use network::{InProcess, Network, Target};
/// use runtime::Sockets;
/// use std::collections::HashMap;
///
/// let (left, right) = Sockets::pair()?;
/// let names = HashMap::from([("server.test".to_owned(), vec![[192, 0, 2, 2].into()])]);
/// let (client, server) = (InProcess::new(left, names), InProcess::new(right, HashMap::new()));
/// let mut listener = server.listen(([192, 0, 2, 2], 80).into()).await?;
/// let target = Target::name("Server.test", 80);
/// let (connected, accepted) = tokio::join!(client.connect(&target), listener.accept());
/// assert_eq!((connected.is_ok(), accepted?.1.ip()), (true, [192, 0, 2, 1].into()));
/// let unknown = client.resolve("example.com").await;
/// assert_eq!(unknown.unwrap_err().kind(), std::io::ErrorKind::NotFound);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct InProcess {
    sockets: Sockets,
    names: HashMap<String, Vec<IpAddr>>,
}

impl InProcess {
    /// The network of these sockets. Names are those of `names`, in lower case, and no others. An example is at [`InProcess`].
    pub fn new(sockets: Sockets, names: HashMap<String, Vec<IpAddr>>) -> Self {
        Self { sockets, names }
    }

    fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let known = self.names.get(&name.to_ascii_lowercase()).filter(|known| !known.is_empty());
        known.cloned().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("{name} is not among the names of this network"))
        })
    }
}

impl Network for InProcess {
    fn connect<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, BoxStream> {
        Box::pin(async move {
            let candidates = match target {
                Target::Address(address) => vec![*address],
                Target::Name(name, port) => {
                    self.addresses(name)?.into_iter().map(|ip| SocketAddr::new(ip, *port)).collect()
                }
            };
            let mut outcome = Err(io::ErrorKind::NotFound.into());
            for candidate in candidates {
                outcome = self.sockets.connect(candidate).await;
                if outcome.is_ok() {
                    break;
                }
            }
            Ok(Box::new(outcome?) as BoxStream)
        })
    }

    fn listen(&self, local: SocketAddr) -> BoxFuture<'_, BoxListener> {
        Box::pin(async move { Ok(Box::new(self.sockets.listen(local)?) as BoxListener) })
    }

    fn bind_udp(&self, local: SocketAddr) -> BoxFuture<'_, BoxUdp> {
        Box::pin(async move { Ok(Box::new(self.sockets.bind_udp(local)?) as BoxUdp) })
    }

    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Vec<IpAddr>> {
        Box::pin(async move { self.addresses(name) })
    }
}

impl Listener for TcpListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpListener::local_addr(self)
    }

    fn accept(&mut self) -> BoxFuture<'_, (BoxStream, SocketAddr)> {
        Box::pin(async move {
            let (stream, remote) = TcpListener::accept(self).await?;
            Ok((Box::new(stream) as BoxStream, remote))
        })
    }
}

impl Datagrams for UdpSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        UdpSocket::local_addr(self)
    }

    fn receive<'a>(&'a self, into: &'a mut [u8]) -> BoxFuture<'a, (usize, SocketAddr)> {
        Box::pin(async move { UdpSocket::recv_from(self, into).await })
    }

    fn send<'a>(&'a self, payload: &'a [u8], remote: SocketAddr) -> BoxFuture<'a, ()> {
        Box::pin(async move { UdpSocket::send_to(self, payload, remote).map(drop) })
    }
}
