//! Datagram sockets.

use super::core::Shared;
use packet::Bytes;
use stack::{Datagram, SendError, UdpId};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

/// A UDP socket of a stack in this process.
#[derive(Debug)]
pub struct UdpSocket {
    shared: Arc<Shared>,
    id: UdpId,
    local: SocketAddr,
}

impl UdpSocket {
    pub(super) fn new(shared: Arc<Shared>, id: UdpId, local: SocketAddr) -> Self {
        Self { shared, id, local }
    }

    /// Its address, as it was bound, and its port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Waits for the next datagram; with its sender.
    ///
    /// # Errors
    ///
    /// `NotConnected` where the socket is gone.
    pub async fn receive(&self) -> io::Result<(Bytes, SocketAddr)> {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if let Some(datagram) = state.stack.udp_receive(self.id) {
                return Poll::Ready(Ok((datagram.payload, datagram.remote)));
            }
            match state.datagrams.get_mut(&self.id) {
                Some(waiting) => {
                    waiting.park(cx);
                    Poll::Pending
                }
                None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            }
        })
        .await
    }

    /// Sends a datagram. It never waits: a full queue is `WouldBlock`.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable`, `InvalidInput` where it is too large, `WouldBlock`.
    pub fn send(&self, payload: Bytes, remote: SocketAddr) -> io::Result<()> {
        let now = self.shared.clock.now();
        let datagram = Datagram::new(self.local, remote, payload);
        let sent = self.shared.lock().stack.udp_send(self.id, datagram, now);
        self.shared.work.notify_one();
        sent.map_err(|error| {
            let kind = match error {
                SendError::NoRoute => io::ErrorKind::NetworkUnreachable,
                SendError::TooLarge | SendError::TooBig { .. } => io::ErrorKind::InvalidInput,
                SendError::QueueFull => io::ErrorKind::WouldBlock,
                _ => io::ErrorKind::AddrNotAvailable,
            };
            io::Error::new(kind, error)
        })
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.datagrams.remove(&self.id);
        state.stack.udp_close(self.id);
    }
}
