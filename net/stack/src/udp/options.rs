//! Options of UDP sockets: the traffic class of what leaves (RFC 2474, RFC 3168), and whether it may be fragmented.
//!
//! What is known of a path comes from TCP connections to the same destination, whose segments in flight tell a router's
//! word from a forger's (RFC 5927 §4). ICMP about datagrams is not heard: it quotes nothing that only the path can know.

use crate::output::Hop;
use crate::stack::Stack;
use crate::{SendError, UdpId};
use core::net::IpAddr;
use tcp::PathDiscovery;
use time::Instant;

/// What the owner has chosen for a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub traffic_class: u8,
    pub path_discovery: PathDiscovery,
}

impl Options {
    /// RFC 8085 §3.2: who does not look for the size that the path carries keeps his datagrams small, and then nothing
    /// is gained by forbidding fragments.
    pub(super) const DEFAULT: Self = Self { traffic_class: 0, path_discovery: PathDiscovery::Dont };
}

/// How a datagram leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passage {
    /// Routers may not fragment it.
    pub dont_fragment: bool,
    /// The largest packet that we make of it, in bytes.
    pub mtu: u16,
}

impl Stack {
    /// Datagrams of a socket leave with this traffic class (IP_TOS, IPV6_TCLASS): six bits of DSCP (RFC 2474 §3), and
    /// below them the two of ECN (RFC 3168 §5) for owners who answer marks by themselves (RFC 8085 §3.1.7). 0 at first.
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    /// let socket = client.udp_bind(Binding::Port(9)).expect("it is free");
    /// client.udp_set_traffic_class(socket, 46 << 2);
    /// assert_eq!(client.udp_traffic_class(socket), Some(0xb8));
    /// let datagram = Datagram::new("0.0.0.0:0".parse()?, "192.0.2.2:9".parse()?, Bytes::from_static(b"voice"));
    /// client.udp_send(socket, datagram, now).expect("it leaves");
    /// let mut batch = Batch::with_capacity(1);
    /// client.poll_transmit(InterfaceId(0), &mut batch, now);
    /// assert_eq!(batch.pop().expect("it leaves").into_bytes()[1], 0xb8);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn udp_set_traffic_class(&mut self, socket: UdpId, traffic_class: u8) {
        if let Some(socket) = self.udp.sockets.find_mut(socket.0) {
            socket.options.traffic_class = traffic_class;
        }
    }

    /// The traffic class of a socket's datagrams: see [`udp_set_traffic_class`](Self::udp_set_traffic_class).
    pub fn udp_traffic_class(&self, socket: UdpId) -> Option<u8> {
        self.udp.sockets.find(socket.0).map(|socket| socket.options.traffic_class)
    }

    /// Whether datagrams of a socket may be fragmented (IP_MTU_DISCOVER), those aside that say of themselves that they may
    /// not. What is known of the path comes from TCP connections to the same destination.
    ///
    /// | choice | fits what is known of the path | larger |
    /// |---|---|---|
    /// | `Dont`, as at first | routers may fragment it | leaves in fragments |
    /// | `Want` | leaves in one packet, that routers may not fragment | leaves in fragments |
    /// | `Do` | leaves in one packet, that routers may not fragment | [`SendError::TooBig`] |
    /// | `Probe` | leaves in one packet, that routers may not fragment | as well, if the link takes it |
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    /// use tcp::PathDiscovery;
    ///
    /// let socket = client.udp_bind(Binding::Port(9)).expect("it is free");
    /// assert_eq!(client.udp_path_discovery(socket), Some(PathDiscovery::Dont));
    /// client.udp_set_path_discovery(socket, PathDiscovery::Do);
    /// let large = Datagram::new("0.0.0.0:0".parse()?, "192.0.2.2:9".parse()?, vec![0; 1_473].into());
    /// assert_eq!(client.udp_send(socket, large, now), Err(SendError::TooBig { mtu: 1_500 }));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn udp_set_path_discovery(&mut self, socket: UdpId, how: PathDiscovery) {
        if let Some(socket) = self.udp.sockets.find_mut(socket.0) {
            socket.options.path_discovery = how;
        }
    }

    /// Whether datagrams of a socket may be fragmented: see [`udp_set_path_discovery`](Self::udp_set_path_discovery).
    pub fn udp_path_discovery(&self, socket: UdpId) -> Option<PathDiscovery> {
        self.udp.sockets.find(socket.0).map(|socket| socket.options.path_discovery)
    }

    /// How a datagram leaves that is a packet of `bytes`, headers and all.
    pub(super) fn passage(
        &self,
        how: PathDiscovery,
        hop: Hop,
        remote: IpAddr,
        bytes: usize,
        now: Instant,
    ) -> Result<Passage, SendError> {
        let link = self.output.interface(hop.interface).map_or(0, |interface| interface.capabilities.mtu);
        let path = || self.output.path(hop, remote, now);
        let whole = |mtu: u16| match bytes > usize::from(mtu) {
            true => Err(SendError::TooBig { mtu }),
            false => Ok(Passage { dont_fragment: true, mtu }),
        };
        match how {
            PathDiscovery::Do => whole(path().bytes),
            PathDiscovery::Probe => whole(link),
            PathDiscovery::Want => {
                let path = path();
                let fits = bytes <= usize::from(path.bytes);
                Ok(Passage { dont_fragment: fits && !path.fragmented, mtu: path.bytes })
            }
            // RFC 8200 §4.5: no router fragments a packet of IPv6, so it is cut here to what the path takes.
            PathDiscovery::Dont if remote.is_ipv6() => {
                Ok(Passage { dont_fragment: false, mtu: path().bytes })
            }
            PathDiscovery::Dont => Ok(Passage { dont_fragment: false, mtu: link }),
        }
    }
}
