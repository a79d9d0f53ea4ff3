//! Datagram sockets that block.

use super::stream::checked;
use super::wait::wait;
use crate::sockets;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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

    /// Its address, as it was bound, and its port.
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.socket.local_addr()
    }

    /// Whom it is connected to.
    ///
    /// # Errors
    ///
    /// `NotConnected` where it is to nobody.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.socket.peer_addr()
    }

    /// Another hold on the same socket, for another thread; timeouts are shared.
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.clone()))
    }

    /// Sends to `remote` where nobody is named, and receives from there alone.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for an address that nothing can be sent to.
    pub fn connect(&self, remote: SocketAddr) -> io::Result<()> {
        self.0.socket.connect(remote)
    }

    /// How long a receiver waits; then it is `WouldBlock`. `None`, as at first: for ever.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = checked(timeout)?;
        self.set(|settings| settings.read_timeout = timeout);
        Ok(())
    }

    /// How long a receiver waits.
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.settings().read_timeout)
    }

    /// Whether a receiver that would wait is `WouldBlock` instead.
    ///
    /// # Errors
    ///
    /// None; as the standard library's.
    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        self.set(|settings| settings.nonblocking = on);
        Ok(())
    }

    /// Waits for the next datagram; its length and its sender. What of it does not fit is lost.
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
    /// # Errors
    ///
    /// As there.
    pub fn peek_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        wait(self.settings().read_timeout, self.0.socket.peek_from(into))
    }

    /// Sends a datagram; its length. It never waits: a full queue is `WouldBlock`.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable`, `InvalidInput` where it is too large, `WouldBlock`.
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

    fn settings(&self) -> Settings {
        *self.0.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.0.settings.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
