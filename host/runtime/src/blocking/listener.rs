//! Listeners that block.

use super::TcpStream;
use super::wait::wait;
use crate::sockets;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;

/// A TCP listener of a stack in this process, which blocks. Threads may share it: each connection goes to one of them.
#[derive(Debug)]
pub struct TcpListener(sockets::TcpListener);

impl TcpListener {
    pub(super) fn new(listener: sockets::TcpListener) -> Self {
        Self(listener)
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }

    /// Waits for the next connection, its handshake done.
    ///
    /// # Errors
    ///
    /// `NotConnected` where the listener is gone.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, remote) = wait(None, poll_fn(|cx| self.0.poll_accept(cx)))?;
        Ok((TcpStream::new(stream), remote))
    }

    /// One connection after the other, without end.
    pub fn incoming(&self) -> impl Iterator<Item = io::Result<TcpStream>> {
        std::iter::repeat_with(|| self.accept().map(|(stream, _)| stream))
    }
}
