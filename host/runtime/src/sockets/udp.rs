//! Datagram sockets.

use super::core::{Receiving, Shared};
use super::error::send_error;
use packet::Bytes;
use stack::{Datagram, UdpId};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tcp::PathDiscovery;

/// A UDP socket of a stack in this process. Sending never waits: what the interface has no room for is lost, as a network
/// loses it, but told as `WouldBlock`.
///
/// ```
/// # use runtime::Sockets;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let (client, server) = Sockets::pair()?;
/// let socket = server.bind_udp(([192, 0, 2, 2], 53).into())?;
/// let asking = client.bind_udp(([0, 0, 0, 0], 0).into())?;
/// asking.connect(socket.local_addr()?)?;
/// asking.send(b"who?")?;
/// let mut into = [0; 64];
/// let (length, peer) = socket.recv_from(&mut into).await?;
/// assert_eq!(&into[..length], b"who?");
/// // Without a copy on this side.
/// socket.send_bytes_to("me".into(), peer)?;
/// assert_eq!(asking.recv_bytes().await?, "me");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    shared: Arc<Shared>,
    id: UdpId,
    local: SocketAddr,
    peer: Mutex<Option<SocketAddr>>,
}

impl UdpSocket {
    pub(super) fn new(shared: Arc<Shared>, id: UdpId, local: SocketAddr) -> Self {
        Self { shared, id, local, peer: Mutex::default() }
    }

    /// Its address, as it was bound, and its port; an example is at [`UdpSocket`].
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// Whom it is connected to; an example is at [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// `NotConnected` where it is to nobody.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner).ok_or_else(|| ErrorKind::NotConnected.into())
    }

    /// Sends to `remote` where nobody is named, and receives from there alone: what others send is dropped.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let socket = server.bind_udp(([192, 0, 2, 2], 9).into())?;
    /// # let asking = client.bind_udp(([192, 0, 2, 1], 0).into())?;
    /// asking.connect(socket.local_addr()?)?;
    /// assert_eq!(asking.peer_addr()?, socket.local_addr()?);
    /// let stranger = server.bind_udp(([192, 0, 2, 2], 10).into())?;
    /// stranger.send_to(b"trust me", asking.local_addr()?)?;
    /// socket.send_to(b"an answer", asking.local_addr()?)?;
    /// assert_eq!(asking.recv_bytes().await?, "an answer");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` for an address that nothing can be sent to.
    pub fn connect(&self, remote: SocketAddr) -> io::Result<()> {
        if remote.ip().is_unspecified() || remote.port() == 0 {
            return Err(ErrorKind::InvalidInput.into());
        }
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner) = Some(remote);
        Ok(())
    }

    /// Waits for the next datagram and takes it as it lies in the stack, without a copy; with its sender.
    ///
    /// # Errors
    ///
    /// `NotConnected` where the socket is gone.
    pub async fn recv_bytes_from(&self) -> io::Result<(Bytes, SocketAddr)> {
        poll_fn(|cx| self.poll_next(cx, |receiving| receiving.peeked.take())).await
    }

    /// As [`recv_bytes_from`](Self::recv_bytes_from), for a socket that is connected.
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    pub async fn recv_bytes(&self) -> io::Result<Bytes> {
        self.peer_addr()?;
        self.recv_bytes_from().await.map(|(payload, _)| payload)
    }

    /// Waits for the next datagram; its length in bytes and its sender. What of it does not fit is lost.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let socket = server.bind_udp(([192, 0, 2, 2], 9).into())?;
    /// # let asking = client.bind_udp(([192, 0, 2, 1], 0).into())?;
    /// asking.send_to(b"a long question", socket.local_addr()?)?;
    /// let mut into = [0; 6];
    /// assert_eq!(socket.recv_from(&mut into).await?, (6, asking.local_addr()?));
    /// assert_eq!(&into, b"a long");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `NotConnected` where the socket is gone.
    pub async fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.recv_bytes_from().await.map(|(payload, sender)| (fill(into, &payload), sender))
    }

    /// As [`recv_from`](Self::recv_from), for a socket that is connected.
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    pub async fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
        self.recv_bytes().await.map(|payload| fill(into, &payload))
    }

    /// As [`recv_from`](Self::recv_from), and leaves the datagram to be received.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let socket = server.bind_udp(([192, 0, 2, 2], 9).into())?;
    /// # let asking = client.bind_udp(([192, 0, 2, 1], 0).into())?;
    /// asking.send_to(b"who?", socket.local_addr()?)?;
    /// let mut into = [0; 64];
    /// let looked = socket.peek_from(&mut into).await?;
    /// assert_eq!(socket.recv_from(&mut into).await?, looked);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn peek_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let looked = poll_fn(|cx| self.poll_next(cx, |receiving| receiving.peeked.clone())).await;
        looked.map(|(payload, sender)| (fill(into, &payload), sender))
    }

    /// The next datagram, if one has arrived; its length and its sender.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let socket = server.bind_udp(([192, 0, 2, 2], 9).into())?;
    /// # let asking = client.bind_udp(([192, 0, 2, 1], 0).into())?;
    /// let mut into = [0; 64];
    /// assert_eq!(socket.try_recv_from(&mut into).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    /// asking.send_to(b"who?", socket.local_addr()?)?;
    /// socket.readable().await?;
    /// assert_eq!(socket.try_recv_from(&mut into)?, (4, asking.local_addr()?));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `WouldBlock` where none has.
    pub fn try_recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        match self.next(&mut self.shared.lock(), |receiving| receiving.peeked.take()) {
            Some(received) => received.map(|(payload, sender)| (fill(into, &payload), sender)),
            None => Err(ErrorKind::WouldBlock.into()),
        }
    }

    /// Waits until a datagram has arrived; an example is at [`try_recv_from`](Self::try_recv_from).
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_next(cx, |receiving| receiving.peeked.clone())).await.map(drop)
    }

    /// Sends a datagram of up to 65,507 bytes; its length. One that is larger than the link takes leaves in fragments
    /// (RFC 791 §3.2, RFC 8200 §4.5), unless [`set_path_discovery`](Self::set_path_discovery) says otherwise.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let socket = server.bind_udp(([192, 0, 2, 2], 9).into())?;
    /// # let asking = client.bind_udp(([192, 0, 2, 1], 0).into())?;
    /// use std::io::ErrorKind;
    ///
    /// assert_eq!(asking.send_to(b"who?", socket.local_addr()?)?, 4);
    /// let nowhere = asking.send_to(b"who?", ([203, 0, 113, 1], 9).into());
    /// assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::NetworkUnreachable);
    /// // IPv4's and UDP's headers take 28 of the 65,535 bytes of a packet.
    /// assert_eq!(asking.send_to(&[0; 65_508], socket.local_addr()?).unwrap_err().kind(), ErrorKind::InvalidInput);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable` where no route leads there, `InvalidInput` where it is too large, `WouldBlock` where the
    /// interface's queue is full, `AddrNotAvailable` where the socket's address is not of `remote`'s IP version;
    /// `NotConnected` where nothing turns the stack any more.
    pub fn send_to(&self, payload: &[u8], remote: SocketAddr) -> io::Result<usize> {
        self.send_bytes_to(Bytes::copy_from_slice(payload), remote)
    }

    /// As [`send_to`](Self::send_to), for a socket that is connected.
    ///
    /// # Errors
    ///
    /// As there, and `NotConnected`.
    pub fn send(&self, payload: &[u8]) -> io::Result<usize> {
        self.send_to(payload, self.peer_addr()?)
    }

    /// As [`send_to`](Self::send_to), without a copy.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send_bytes_to(&self, payload: Bytes, remote: SocketAddr) -> io::Result<usize> {
        let (now, length) = (self.shared.clock.now(), payload.len());
        let datagram = Datagram::new(self.local, remote, payload);
        let mut state = self.shared.lock();
        state.check_turned()?;
        let sent = state.stack.udp_send(self.id, datagram, now);
        drop(state);
        self.shared.work.notify_one();
        sent.map(|()| length).map_err(send_error)
    }

    /// The traffic class of what leaves (IP_TOS, IPV6_TCLASS), 0 at first: six bits of DSCP (RFC 2474 §3), and below them
    /// the two of ECN (RFC 3168 §5), which a program may set that answers marks by itself (RFC 8085 §3.1.7).
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, _server) = Sockets::pair()?;
    /// let socket = client.bind_udp(([0, 0, 0, 0], 0).into())?;
    /// // Expedited forwarding (RFC 3246), and capable of ECN.
    /// socket.set_tos(46 << 2 | 0b10)?;
    /// assert_eq!(socket.tos()?, 0xba);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub fn set_tos(&self, traffic_class: u8) -> io::Result<()> {
        self.shared.lock().stack.udp_set_traffic_class(self.id, traffic_class);
        Ok(())
    }

    /// The traffic class of what leaves: see [`set_tos`](Self::set_tos).
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub fn tos(&self) -> io::Result<u8> {
        self.shared.lock().stack.udp_traffic_class(self.id).ok_or_else(|| ErrorKind::NotConnected.into())
    }

    /// Whether datagrams may be fragmented (IP_MTU_DISCOVER); at first they may, [`Dont`](PathDiscovery::Dont).
    ///
    /// | choice | fits what is known of the path | larger |
    /// |---|---|---|
    /// | `Dont` | routers may fragment it | leaves in fragments |
    /// | `Want` | leaves in one packet, that routers may not fragment | leaves in fragments |
    /// | `Do` | leaves in one packet, that routers may not fragment | `InvalidInput` |
    /// | `Probe` | leaves in one packet, that routers may not fragment | as well, if the link takes it |
    ///
    /// What is known of a path comes from TCP connections to the same destination (RFC 1191 §3, RFC 8201 §4); without any,
    /// the path takes what the link does. What routers tell about datagrams can be forged, and is not heard: a program that
    /// looks for the size by itself (RFC 8899, RFC 9000 §14.3) takes `Probe`. The error says what would fit, as EMSGSIZE and
    /// IP_MTU do:
    ///
    /// ```
    /// # use runtime::Sockets;
    /// use stack::SendError;
    /// use tcp::PathDiscovery;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let peer = server.bind_udp(([192, 0, 2, 2], 9).into())?.local_addr()?;
    /// let socket = client.bind_udp(([0, 0, 0, 0], 0).into())?;
    /// assert_eq!(socket.send_to(&[0; 4_000], peer)?, 4_000);
    /// socket.set_path_discovery(PathDiscovery::Do)?;
    /// assert_eq!(socket.path_discovery()?, PathDiscovery::Do);
    /// let refused = socket.send_to(&[0; 4_000], peer).unwrap_err();
    /// let reason = refused.get_ref().and_then(|reason| reason.downcast_ref());
    /// assert_eq!(reason, Some(&SendError::TooBig { mtu: 1_500 }));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub fn set_path_discovery(&self, how: PathDiscovery) -> io::Result<()> {
        self.shared.lock().stack.udp_set_path_discovery(self.id, how);
        Ok(())
    }

    /// Whether datagrams may be fragmented: see [`set_path_discovery`](Self::set_path_discovery).
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub fn path_discovery(&self) -> io::Result<PathDiscovery> {
        self.shared.lock().stack.udp_path_discovery(self.id).ok_or_else(|| ErrorKind::NotConnected.into())
    }

    /// What `take` makes of the next datagram; `None` where there is none yet.
    fn next(
        &self,
        state: &mut super::core::State,
        take: impl Fn(&mut Receiving) -> Option<Datagram>,
    ) -> Option<io::Result<(Bytes, SocketAddr)>> {
        let peer = *self.peer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(receiving) = state.datagrams.get_mut(&self.id) else {
            return Some(Err(ErrorKind::NotConnected.into()));
        };
        let ours = |datagram: &Datagram| peer.is_none_or(|peer| peer == datagram.remote);
        receiving.peeked = receiving.peeked.take().filter(ours);
        while receiving.peeked.is_none() {
            let Some(next) = state.stack.udp_receive(self.id) else {
                // What has arrived is received before.
                return state.stopped.map(|stopped| Err(stopped.error()));
            };
            receiving.peeked = Some(next).filter(ours);
        }
        take(receiving).map(|datagram| Ok((datagram.payload, datagram.remote)))
    }

    fn poll_next(
        &self,
        cx: &Context<'_>,
        take: impl Fn(&mut Receiving) -> Option<Datagram>,
    ) -> Poll<io::Result<(Bytes, SocketAddr)>> {
        let mut state = self.shared.lock();
        if let Some(received) = self.next(&mut state, take) {
            return Poll::Ready(received);
        }
        if let Some(receiving) = state.datagrams.get_mut(&self.id) {
            receiving.task.park(cx);
        }
        Poll::Pending
    }
}

/// As much of a datagram as fits.
fn fill(into: &mut [u8], payload: &[u8]) -> usize {
    let length = payload.len().min(into.len());
    into[..length].copy_from_slice(&payload[..length]);
    length
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.datagrams.remove(&self.id);
        state.stack.udp_close(self.id);
    }
}
