//! Datagram sockets that block.

use super::stream::checked;
use super::wait::wait;
use crate::sockets;
use packet::Bytes;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A UDP socket of a stack in this process, which blocks.
#[derive(Debug)]
pub struct UdpSocket {
    socket: sockets::UdpSocket,
    read_timeout: Mutex<Option<Duration>>,
}

impl UdpSocket {
    pub(super) fn new(socket: sockets::UdpSocket) -> Self {
        Self { socket, read_timeout: Mutex::default() }
    }

    /// Its address, as it was bound, and its port.
    pub fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    /// How long a receiver waits; then it is `WouldBlock`. `None`, as at first: for ever.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        *self.read_timeout.lock().unwrap_or_else(PoisonError::into_inner) = checked(timeout)?;
        Ok(())
    }

    /// Waits for the next datagram; its length and its sender. What of it does not fit is lost.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the time is over.
    pub fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let timeout = *self.read_timeout.lock().unwrap_or_else(PoisonError::into_inner);
        let (payload, sender) = wait(timeout, self.socket.receive())?;
        let length = payload.len().min(into.len());
        into[..length].copy_from_slice(&payload[..length]);
        Ok((length, sender))
    }

    /// Sends a datagram. It never waits: a full queue is `WouldBlock`.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable`, `InvalidInput` where it is too large, `WouldBlock`.
    pub fn send_to(&self, payload: &[u8], remote: SocketAddr) -> io::Result<usize> {
        self.socket.send(Bytes::copy_from_slice(payload), remote)?;
        Ok(payload.len())
    }
}
