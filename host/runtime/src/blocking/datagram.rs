//! Datagram sockets that block.

use super::options::checked;
use super::wait::wait;
use crate::sockets;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tcp::PathDiscovery;

/// A UDP socket of a stack in this process, which blocks.
///
/// ```
/// use runtime::blocking::Sockets;
///
/// # fn main() -> std::io::Result<()> {
/// let (client, server) = Sockets::pair()?;
/// let socket = server.bind_udp(([192, 0, 2, 2], 53).into())?;
/// let asking = client.bind_udp(([0, 0, 0, 0], 0).into())?;
/// asking.connect(socket.local_addr()?)?;
/// asking.send(b"who?")?;
/// let mut into = [0; 64];
/// let (length, peer) = socket.recv_from(&mut into)?;
/// assert_eq!(&into[..length], b"who?");
/// socket.send_to(b"me", peer)?;
/// assert_eq!(asking.recv(&mut into)?, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct UdpSocket(Arc<Shared>);

/// What clones of a socket share.
#[derive(Debug)]
struct Shared {
    socket: sockets::UdpSocket,
    settings: Mutex<Settings>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    read_timeout: Option<Duration>,
    nonblocking: bool,
}

impl UdpSocket {
    pub(super) fn new(socket: sockets::UdpSocket) -> Self {
        Self(Arc::new(Shared { socket, settings: Mutex::default() }))
    }

    /// Its address, as it was bound, and its port; an example is at [`UdpSocket`].
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.socket.local_addr()
    }

    /// Whom it is connected to; an example is at [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// `NotConnected` where it is to nobody.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.socket.peer_addr()
    }

    /// Another hold on the same socket, for another thread; timeouts are shared.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let socket = server.bind_udp(([192, 0, 2, 2], 9).into())?;
    /// # let asking = client.bind_udp(([192, 0, 2, 1], 0).into())?;
    /// let answering = socket.try_clone()?;
    /// let answered = std::thread::spawn(move || {
    ///     let (_, peer) = answering.recv_from(&mut [0; 64])?;
    ///     answering.send_to(b"me", peer)
    /// });
    /// asking.send_to(b"who?", socket.local_addr()?)?;
    /// assert_eq!(asking.recv_from(&mut [0; 64])?, (2, socket.local_addr()?));
    /// assert_eq!(answered.join().expect("it does not panic")?, 2);
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

    /// Sends to `remote` where nobody is named, and receives from there alone.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let socket = server.bind_udp(([192, 0, 2, 2], 9).into())?;
    /// # let asking = client.bind_udp(([192, 0, 2, 1], 0).into())?;
    /// asking.connect(socket.local_addr()?)?;
    /// assert_eq!(asking.peer_addr()?, socket.local_addr()?);
    /// assert_eq!(asking.send(b"who?")?, 4);
    /// assert!(asking.connect(([0, 0, 0, 0], 9).into()).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` for an address that nothing can be sent to.
    pub fn connect(&self, remote: SocketAddr) -> io::Result<()> {
        self.0.socket.connect(remote)
    }

    /// How long a receiver waits; then it is `WouldBlock`. `None`, as at first: for ever.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let socket = server.bind_udp(([192, 0, 2, 2], 9).into())?;
    /// # let asking = client.bind_udp(([192, 0, 2, 1], 0).into())?;
    /// use std::io::ErrorKind;
    /// use std::time::Duration;
    ///
    /// socket.set_read_timeout(Some(Duration::from_millis(10)))?;
    /// assert_eq!(socket.read_timeout()?, Some(Duration::from_millis(10)));
    /// assert_eq!(socket.recv_from(&mut [0; 64]).unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = checked(timeout)?;
        self.set(|settings| settings.read_timeout = timeout);
        Ok(())
    }

    /// How long a receiver waits: see [`set_read_timeout`](Self::set_read_timeout).
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.settings().read_timeout)
    }

    /// Whether a receiver that would wait is `WouldBlock` instead.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let socket = server.bind_udp(([192, 0, 2, 2], 9).into())?;
    /// # let asking = client.bind_udp(([192, 0, 2, 1], 0).into())?;
    /// use std::io::ErrorKind;
    ///
    /// socket.set_nonblocking(true)?;
    /// assert_eq!(socket.recv_from(&mut [0; 64]).unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        self.set(|settings| settings.nonblocking = on);
        Ok(())
    }

    /// Waits for the next datagram; its length in bytes and its sender. What of it does not fit is lost. An example is at
    /// [`UdpSocket`].
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the time is over.
    pub fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let Settings { read_timeout, nonblocking } = self.settings();
        if nonblocking {
            self.0.socket.try_recv_from(into)
        } else {
            wait(read_timeout, self.0.socket.recv_from(into))
        }
    }

    /// As [`recv_from`](Self::recv_from), for a socket that is connected.
    ///
    /// # Errors
    ///
    /// As there, and `NotConnected`.
    pub fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
        self.peer_addr()?;
        self.recv_from(into).map(|(length, _)| length)
    }

    /// As [`recv_from`](Self::recv_from), and leaves the datagram to be received.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let socket = server.bind_udp(([192, 0, 2, 2], 9).into())?;
    /// # let asking = client.bind_udp(([192, 0, 2, 1], 0).into())?;
    /// asking.send_to(b"who?", socket.local_addr()?)?;
    /// let mut into = [0; 64];
    /// let looked = socket.peek_from(&mut into)?;
    /// assert_eq!(socket.recv_from(&mut into)?, looked);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    pub fn peek_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        wait(self.settings().read_timeout, self.0.socket.peek_from(into))
    }

    /// Sends a datagram; its length. It never waits: a full queue is `WouldBlock`.
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let socket = server.bind_udp(([192, 0, 2, 2], 9).into())?;
    /// # let asking = client.bind_udp(([192, 0, 2, 1], 0).into())?;
    /// assert_eq!(asking.send_to(b"who?", socket.local_addr()?)?, 4);
    /// assert_eq!(asking.send_to(&[0; 65_507], socket.local_addr()?)?, 65_507);
    /// assert!(asking.send_to(&[0; 65_508], socket.local_addr()?).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`crate::UdpSocket::send_to`].
    pub fn send_to(&self, payload: &[u8], remote: SocketAddr) -> io::Result<usize> {
        self.0.socket.send_to(payload, remote)
    }

    /// As [`send_to`](Self::send_to), for a socket that is connected.
    ///
    /// # Errors
    ///
    /// As there, and `NotConnected`.
    pub fn send(&self, payload: &[u8]) -> io::Result<usize> {
        self.0.socket.send(payload)
    }

    /// The traffic class of what leaves: see [the other face's](crate::UdpSocket::set_tos).
    ///
    /// ```
    /// # use runtime::blocking::Sockets;
    /// # use tcp::PathDiscovery;
    /// # fn main() -> std::io::Result<()> {
    /// # let (client, _server) = Sockets::pair()?;
    /// let socket = client.bind_udp(([0, 0, 0, 0], 0).into())?;
    /// socket.set_tos(0xb8)?;
    /// socket.set_path_discovery(PathDiscovery::Do)?;
    /// assert_eq!((socket.tos()?, socket.path_discovery()?), (0xb8, PathDiscovery::Do));
    /// assert!(socket.send_to(&[0; 1_473], ([192, 0, 2, 2], 9).into()).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn set_tos(&self, traffic_class: u8) -> io::Result<()> {
        self.0.socket.set_tos(traffic_class)
    }

    /// The traffic class of what leaves: see [`set_tos`](Self::set_tos).
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn tos(&self) -> io::Result<u8> {
        self.0.socket.tos()
    }

    /// Whether datagrams may be fragmented: see [the other face's](crate::UdpSocket::set_path_discovery); an example is at
    /// [`set_tos`](Self::set_tos).
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn set_path_discovery(&self, how: PathDiscovery) -> io::Result<()> {
        self.0.socket.set_path_discovery(how)
    }

    /// Whether datagrams may be fragmented: see [`set_path_discovery`](Self::set_path_discovery).
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn path_discovery(&self) -> io::Result<PathDiscovery> {
        self.0.socket.path_discovery()
    }

    fn settings(&self) -> Settings {
        *self.0.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.0.settings.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
