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

    /// Its address, as it was bound, and its port.
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// Whom it is connected to.
    ///
    /// # Errors
    ///
    /// `NotConnected` where it is to nobody.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner).ok_or_else(|| ErrorKind::NotConnected.into())
    }

    /// Sends to `remote` where nobody is named, and receives from there alone: what others send is dropped.
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

    /// Waits for the next datagram; its length and its sender. What of it does not fit is lost.
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
    /// # Errors
    ///
    /// As there.
    pub async fn peek_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let looked = poll_fn(|cx| self.poll_next(cx, |receiving| receiving.peeked.clone())).await;
        looked.map(|(payload, sender)| (fill(into, &payload), sender))
    }

    /// The next datagram, if one has arrived; its length and its sender.
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

    /// Waits until a datagram has arrived.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_next(cx, |receiving| receiving.peeked.clone())).await.map(drop)
    }

    /// Sends a datagram; its length.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable`, `InvalidInput` where it is too large, `WouldBlock` where the interface's queue is full;
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
