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

    /// Sends one datagram to the connected peer.
    ///
    /// # Errors
    ///
    /// The kernel's, for this datagram.
    pub fn send(&self, payload: &[u8]) -> io::Result<Sent> {
        let once = || sent(net::send(&self.0, payload, SendFlags::NOSIGNAL));
        match once() {
            Ok(went) => Ok(Sent { went, earlier: None }),
            // What the network answered to an earlier datagram is told once, in place of sending this one.
            Err(earlier) => once().map(|went| Sent { went, earlier: Some(earlier) }),
        }
    }

    /// Sends one datagram to `remote`.
    ///
    /// # Errors
    ///
    /// The kernel's.
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

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Whether it went: a full queue drops it, as a network would.
    pub went: bool,
    /// The ICMP error that had come back for an earlier one.
    pub earlier: Option<Errno>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};

    #[test]
    fn what_came_back_for_an_earlier_datagram_does_not_cost_the_next() {
        let closed = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let remote = closed.local_addr().expect("its address");
        drop(closed);
        let socket = UdpSocket::connect(remote).expect("a socket");
        assert_eq!(socket.send(b"first"), Ok(Sent { went: true, earlier: None }));
        poll(&mut [PollFd::new(&socket, PollFlags::ERR)], None).expect("its refusal");
        let peer = std::net::UdpSocket::bind(remote).expect("the port again");
        assert_eq!(socket.send(b"second"), Ok(Sent { went: true, earlier: Some(Errno::CONNREFUSED) }));
        let mut buffer = [0; 16];
        let length = peer.recv(&mut buffer).expect("the second datagram");
        assert_eq!(&buffer[..length], b"second");
    }
}
