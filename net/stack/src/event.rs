//! What the owner is told, and the values that travel with it.

use crate::{InterfaceId, ListenerId, RequestId, TcpId, UdpId};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use packet::Bytes;

/// What the owner is told; drained after every call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A SYN arrived at a listener that defers: answer with `tcp_admit` or `tcp_refuse`.
    TcpRequest {
        /// What the answer names.
        request: RequestId,
        /// The listener it came to.
        listener: ListenerId,
        /// The address and port that the SYN was sent to.
        local: SocketAddr,
        /// Who sent it.
        remote: SocketAddr,
    },
    /// A request is gone before it was answered: it expired, or its sender reset it.
    TcpRequestEnded {
        /// The request; its number means nothing any more.
        request: RequestId,
    },
    /// A connection of a listener that does not defer has completed its handshake; the owner holds it now.
    TcpAccepted {
        /// The listener it came to.
        listener: ListenerId,
        /// The connection.
        connection: TcpId,
        /// Our side's address and port.
        local: SocketAddr,
        /// The other side's address and port.
        remote: SocketAddr,
    },
    /// Something about a connection.
    Tcp {
        /// The connection.
        connection: TcpId,
        /// What happened to it.
        event: tcp::Event,
    },
    /// Datagrams wait at a socket; told once until `udp_receive` has returned `None`.
    UdpReadable {
        /// The socket.
        socket: UdpId,
    },
    /// An echo request for an intercepted address: `icmp_reply` answers it.
    EchoRequest(Echo),
    /// Another machine uses one of an interface's own IPv4 addresses (RFC 5227 §2.4). The address is defended.
    AddressConflict {
        /// Where it was seen.
        interface: InterfaceId,
        /// The address that both use.
        address: Ipv4Addr,
        /// The other machine's hardware address.
        hardware: [u8; 6],
    },
}

/// An ICMP or ICMPv6 echo message, without its type (RFC 792, RFC 4443 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Our side: where the request was sent to, and where the reply comes from.
    pub local: IpAddr,
    /// The other side.
    pub remote: IpAddr,
    /// The identifier, returned as it came.
    pub identifier: u16,
    /// The sequence number, returned as it came.
    pub sequence: u16,
    /// The data, returned as it came.
    pub payload: Bytes,
}

/// A datagram as it arrived or as it is to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Our side's address and port.
    pub local: SocketAddr,
    /// The other side's address and port.
    pub remote: SocketAddr,
    /// The payload.
    pub payload: Bytes,
    /// Routers may not fragment it, and nobody has: it arrived as one packet whose sender forbids that, or it is to leave as
    /// one (RFC 791 §3.1). An IPv6 packet is one of those, unless it came in fragments.
    pub dont_fragment: bool,
}

impl Datagram {
    /// A datagram that may be fragmented.
    pub const fn new(local: SocketAddr, remote: SocketAddr, payload: Bytes) -> Self {
        Self { local, remote, payload, dont_fragment: false }
    }
}

/// How a pending SYN or a datagram is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// TCP reset; for a datagram, the same as [`PortUnreachable`](Self::PortUnreachable).
    Reset,
    /// ICMP: communication administratively prohibited (RFC 1812 §5.2.7.1, RFC 4443 §3.1).
    Prohibited,
    /// ICMP: host unreachable, or address unreachable in IPv6.
    HostUnreachable,
    /// ICMP: port unreachable.
    PortUnreachable,
    /// ICMP: fragmentation needed, or packet too big in IPv6: the way carries packets of so many bytes (RFC 1191 §4, RFC
    /// 4443 §3.2).
    TooBig {
        /// The largest packet, in bytes; with IPv6 at least 1,280.
        mtu: u16,
    },
    /// No answer at all.
    Silent,
}
