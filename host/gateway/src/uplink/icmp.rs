//! ICMP echo on the host's stack: a ping socket (IPPROTO_ICMP datagrams, `net.ipv4.ping_group_range`), or where
//! that is closed and the gateway has CAP_NET_RAW, a raw one.

use super::{room, would_block};
use packet::Bytes;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{self, Errno};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};
use std::net::{IpAddr, SocketAddr};

/// Bytes of an ICMP echo header: type, code, checksum, identifier, sequence.
const ECHO_HEADER_BYTES: usize = 8;
const ECHO_REPLY_V4: u8 = 0;
const ECHO_REQUEST_V4: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

/// A socket that sends echo requests to one address and hears its replies.
#[derive(Debug)]
pub struct PingSocket {
    socket: OwnedFd,
    remote: IpAddr,
    /// A raw socket hears the replies to every process, with the IP header in front for IPv4.
    raw: Option<u16>,
}

impl PingSocket {
    /// A socket to `remote`; `identifier` tells a raw socket's replies from others'.
    ///
    /// # Errors
    ///
    /// The kernel's: `ACCES` or `PERM` where neither kind of socket is open to this user; `MFILE` where no descriptor is left
    /// for flows.
    pub fn connect(remote: IpAddr, identifier: u16) -> io::Result<Self> {
        let (family, protocol) = match remote {
            IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
            IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let open = |kind| net::socket_with(family, kind, flags, Some(protocol));
        let (socket, raw) = match open(SocketType::DGRAM) {
            Ok(socket) => (socket, None),
            Err(refused) => match open(SocketType::RAW) {
                Ok(socket) => (socket, Some(identifier)),
                Err(_) => return Err(refused),
            },
        };
        let socket = room::keep(socket)?;
        net::connect(&socket, &SocketAddr::new(remote, 0))?;
        Ok(Self { socket, remote, raw })
    }

    /// Sends one echo request (RFC 792, RFC 4443 §4.1). Whether it went.
    ///
    /// # Errors
    ///
    /// The kernel's, where the address cannot be reached.
    pub fn send(&self, sequence: u16, payload: &[u8]) -> io::Result<bool> {
        let mut message = Vec::with_capacity(ECHO_HEADER_BYTES + payload.len());
        let kind = if self.remote.is_ipv4() { ECHO_REQUEST_V4 } else { ECHO_REQUEST_V6 };
        message.extend_from_slice(&[kind, 0, 0, 0]);
        // A ping socket replaces the identifier by its own and computes the checksum.
        message.extend_from_slice(&self.raw.unwrap_or(0).to_be_bytes());
        message.extend_from_slice(&sequence.to_be_bytes());
        message.extend_from_slice(payload);
        if self.raw.is_some() && self.remote.is_ipv4() {
            let sum = wire::checksum::checksum(&message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        match net::send(&self.socket, &message, SendFlags::NOSIGNAL) {
            Ok(_) => Ok(true),
            Err(error) if would_block(error) || error == Errno::NOBUFS => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The sequence number and payload of one reply that waits.
    ///
    /// # Errors
    ///
    /// The kernel's, where an ICMP error came back.
    pub fn receive(&self, scratch: &mut [u8]) -> io::Result<Option<(u16, Bytes)>> {
        loop {
            let count = match net::recv(&self.socket, &mut *scratch, RecvFlags::empty()) {
                Ok((count, _)) => count,
                Err(error) if would_block(error) => return Ok(None),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            };
            if let Some(reply) = self.reply(&scratch[..count]) {
                return Ok(Some(reply));
            }
        }
    }

    /// The reply in a received message, where it is one of ours.
    fn reply(&self, message: &[u8]) -> Option<(u16, Bytes)> {
        let (message, expected) = match self.remote {
            IpAddr::V4(_) if self.raw.is_some() => {
                let header = usize::from(message.first()? & 0x0f) * 4;
                (message.get(header..)?, ECHO_REPLY_V4)
            }
            IpAddr::V4(_) => (message, ECHO_REPLY_V4),
            IpAddr::V6(_) => (message, ECHO_REPLY_V6),
        };
        let (header, payload) = message.split_at_checked(ECHO_HEADER_BYTES)?;
        let identifier = u16::from_be_bytes([header[4], header[5]]);
        if header[0] != expected || self.raw.is_some_and(|own| own != identifier) {
            return None;
        }
        Some((u16::from_be_bytes([header[6], header[7]]), Bytes::copy_from_slice(payload)))
    }
}

impl AsFd for PingSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
