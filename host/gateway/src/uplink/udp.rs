//! UDP on the host's stack: a connected socket for a flow, or a bound one for a published port.

use super::{family, room, would_block};
use packet::Bytes;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{self, Errno};
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use rustix::net::{self, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use std::cell::Cell;
use std::net::SocketAddr;

/// A UDP socket of the host's stack.
#[derive(Debug)]
pub struct UdpSocket {
    descriptor: OwnedFd,
    is_v6: bool,
    /// Whether the kernel knows that datagrams are to stay whole.
    whole: Cell<bool>,
}

impl UdpSocket {
    /// A socket that sends to `remote` and hears nobody else.
    ///
    /// # Errors
    ///
    /// The kernel's: no route; `MFILE` where no descriptor is left for flows.
    pub fn connect(remote: SocketAddr) -> io::Result<Self> {
        let socket = room::keep(open(remote)?)?;
        net::connect(&socket, &remote)?;
        Ok(Self::new(socket, remote))
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
        Ok(Self::new(socket, local))
    }

    fn new(descriptor: OwnedFd, address: SocketAddr) -> Self {
        Self { descriptor, is_v6: address.is_ipv6(), whole: Cell::new(false) }
    }

    /// Datagrams leave in one packet from now on, or not at all (IP_MTU_DISCOVER); or in fragments where they must, as at
    /// first. The kernel is told where it changes.
    fn keep_whole(&self, whole: bool) -> io::Result<()> {
        if self.whole.get() == whole {
            return Ok(());
        }
        if self.is_v6 {
            let discovery = if whole { Ipv6PathMtuDiscovery::DO } else { Ipv6PathMtuDiscovery::WANT };
            sockopt::set_ipv6_mtu_discover(&self.descriptor, discovery)?;
        } else {
            let discovery = if whole { Ipv4PathMtuDiscovery::DO } else { Ipv4PathMtuDiscovery::WANT };
            sockopt::set_ip_mtu_discover(&self.descriptor, discovery)?;
        }
        self.whole.set(whole);
        Ok(())
    }

    /// The largest IP packet that the way to the connected peer is known to carry, in bytes.
    pub fn path_mtu(&self) -> Option<u16> {
        let mtu =
            if self.is_v6 { sockopt::ipv6_mtu(&self.descriptor) } else { sockopt::ip_mtu(&self.descriptor) };
        mtu.ok().map(|mtu| u16::try_from(mtu).unwrap_or(u16::MAX))
    }

    /// Whether it is one of IPv6.
    pub const fn is_v6(&self) -> bool {
        self.is_v6
    }

    /// The connected peer, where there is one.
    pub fn peer(&self) -> Option<SocketAddr> {
        SocketAddr::try_from(net::getpeername(&self.descriptor).ok()??).ok()
    }

    /// Sends one datagram to the connected peer; `whole`, where it may not be fragmented on its way.
    ///
    /// # Errors
    ///
    /// The kernel's, for this datagram: `MSGSIZE` where it would have to be fragmented.
    pub fn send(&self, payload: &[u8], whole: bool) -> io::Result<Sent> {
        self.keep_whole(whole)?;
        let once = || sent(net::send(&self.descriptor, payload, SendFlags::NOSIGNAL));
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
        sent(net::sendto(&self.descriptor, payload, SendFlags::NOSIGNAL, &remote))
    }

    /// One datagram that waits and its sender, read by way of `scratch` (65,535 bytes take the largest).
    ///
    /// # Errors
    ///
    /// The kernel's; `CONNREFUSED` and `MSGSIZE` report an ICMP answer to an earlier datagram.
    pub fn receive(&self, scratch: &mut [u8]) -> io::Result<Option<(Bytes, Option<SocketAddr>)>> {
        match net::recvfrom(&self.descriptor, &mut *scratch, RecvFlags::empty()) {
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
        self.descriptor.as_fd()
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
        assert_eq!(socket.send(b"first", false), Ok(Sent { went: true, earlier: None }));
        poll(&mut [PollFd::new(&socket, PollFlags::ERR)], None).expect("its refusal");
        let peer = std::net::UdpSocket::bind(remote).expect("the port again");
        assert_eq!(socket.send(b"second", false), Ok(Sent { went: true, earlier: Some(Errno::CONNREFUSED) }));
        let mut buffer = [0; 16];
        let length = peer.recv(&mut buffer).expect("the second datagram");
        assert_eq!(&buffer[..length], b"second");
    }

    #[test]
    fn the_kernel_is_told_whether_datagrams_stay_whole() {
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let socket = UdpSocket::connect(peer.local_addr().expect("its address")).expect("a socket");
        let usual = sockopt::ip_mtu_discover(&socket).expect("an option");
        for (whole, discovery) in
            [(false, usual), (true, Ipv4PathMtuDiscovery::DO), (false, Ipv4PathMtuDiscovery::WANT)]
        {
            assert_eq!(socket.send(b"data", whole), Ok(Sent { went: true, earlier: None }));
            assert_eq!(sockopt::ip_mtu_discover(&socket), Ok(discovery));
        }
        assert!(socket.path_mtu().is_some_and(|mtu| mtu >= 1_280));
    }
}
