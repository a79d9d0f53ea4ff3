//! UDP on the host's stack: a connected socket for a flow, or a bound one for a published port.

use super::{family, would_block};
use packet::Bytes;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{self, Errno};
use rustix::net::{self, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use std::net::SocketAddr;

/// A UDP socket of the host's stack.
#[derive(Debug)]
pub struct UdpSocket(OwnedFd);

impl UdpSocket {
    /// A socket that sends to `remote` and hears nobody else.
    ///
    /// # Errors
    ///
    /// The kernel's: no route, no descriptor left.
    pub fn connect(remote: SocketAddr) -> io::Result<Self> {
        let socket = open(remote)?;
        net::connect(&socket, &remote)?;
        Ok(Self(socket))
    }

    /// A socket that hears everybody at `local`.
    ///
    /// # Errors
    ///
    /// The kernel's, where the address is taken or not allowed.
    pub fn bind(local: SocketAddr) -> io::Result<Self> {
        let socket = open(local)?;
        if local.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        net::bind(&socket, &local)?;
        Ok(Self(socket))
    }

    /// The connected peer, where there is one.
    pub fn peer(&self) -> Option<SocketAddr> {
        SocketAddr::try_from(net::getpeername(&self.0).ok()??).ok()
    }

    /// Sends one datagram to the connected peer. Whether it went: a full queue drops it, as a network would.
    ///
    /// # Errors
    ///
    /// The kernel's; `CONNREFUSED` reports an ICMP answer to an earlier datagram.
    pub fn send(&self, payload: &[u8]) -> io::Result<bool> {
        sent(net::send(&self.0, payload, SendFlags::NOSIGNAL))
    }

    /// Sends one datagram to `remote`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_to(&self, payload: &[u8], remote: SocketAddr) -> io::Result<bool> {
        sent(net::sendto(&self.0, payload, SendFlags::NOSIGNAL, &remote))
    }

    /// One datagram that waits and its sender, read by way of `scratch` (65,535 bytes take the largest).
    ///
    /// # Errors
    ///
    /// The kernel's; `CONNREFUSED` reports an ICMP answer to an earlier datagram.
    pub fn receive(&self, scratch: &mut [u8]) -> io::Result<Option<(Bytes, Option<SocketAddr>)>> {
        match net::recvfrom(&self.0, &mut *scratch, RecvFlags::empty()) {
            Ok((count, _, sender)) => {
                let sender = sender.and_then(|any| SocketAddr::try_from(any).ok());
                Ok(Some((Bytes::copy_from_slice(&scratch[..count]), sender)))
            }
            Err(error) if would_block(error) || error == Errno::INTR => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether a datagram went.
fn sent(outcome: io::Result<usize>) -> io::Result<bool> {
    match outcome {
        Ok(_) => Ok(true),
        Err(error) if would_block(error) || error == Errno::NOBUFS => Ok(false),
        Err(error) => Err(error),
    }
}

fn open(address: SocketAddr) -> io::Result<OwnedFd> {
    net::socket_with(family(address), SocketType::DGRAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
