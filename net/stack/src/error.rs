//! What the owner can get wrong, one small enum for each operation.

use core::fmt;

/// Why an interface cannot be added.
///
/// ```
/// # use packet::{Capabilities, Medium};
/// # let (medium, mtu) = (Medium::Ip, 1_279);
/// # let device = Capabilities { medium, mtu, transmit_checksum: false, segmentation_bytes_max: 0 };
/// use stack::{Config, InterfaceConfig, InterfaceError, Stack};
/// use time::Instant;
///
/// let now = Instant::from_secs(1);
/// let mut stack = Stack::new(Config::default(), [7; 32], now);
/// let config = InterfaceConfig::new(device, [0; 6], vec!["2001:db8::1/64".parse()?]);
/// assert_eq!(stack.add_interface(config, now), Err(InterfaceError::MtuTooSmall));
/// # Ok::<(), stack::NotAPrefix>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InterfaceError {
    /// There are as many as can be numbered.
    TooMany,
    /// The MTU is below 1,280 bytes where there are IPv6 addresses (RFC 8200 §5), or below 68 (RFC 791).
    MtuTooSmall,
    /// An address is not a unicast address.
    NotUnicast,
    /// The routing table is full.
    RoutesFull,
}

/// Why a route cannot be added.
///
/// ```
#[doc = include_str!("two_hosts.md")]
/// let everywhere = Prefix::new([0, 0, 0, 0], 0);
/// let gateway = Some([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into());
/// let route = Route { destination: everywhere, interface: InterfaceId(0), gateway };
/// assert_eq!(client.add_route(route), Err(RouteError::VersionMismatch));
/// assert_eq!(client.add_route(Route { interface: InterfaceId(1), ..route }), Err(RouteError::NoInterface));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteError {
    /// There is no such interface.
    NoInterface,
    /// The gateway is not of the destination's IP version.
    VersionMismatch,
    /// The routing table is full.
    Full,
}

/// Why a listener or a UDP socket cannot be bound.
///
/// ```
#[doc = include_str!("two_hosts.md")]
/// assert!(server.udp_bind(Binding::Port(53)).is_ok());
/// assert_eq!(server.udp_bind(Binding::Port(53)), Err(BindError::InUse));
/// let elsewhere = Binding::Address("198.51.100.7:53".parse().expect("an address"));
/// assert_eq!(server.udp_bind(elsewhere), Err(BindError::NotLocal));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindError {
    /// Another one has the same binding.
    InUse,
    /// The address is none of the stack's own, and no interface intercepts.
    NotLocal,
    /// Every port of the dynamic range is taken, or as many sockets as may be are open.
    TooMany,
}

/// Why a connection cannot be opened.
///
/// ```
#[doc = include_str!("two_hosts.md")]
/// let mut connect = |remote: &str| {
///     client.tcp_connect(None, remote.parse().expect("an address"), Arc::default(), now)
/// };
/// assert_eq!(connect("198.51.100.7:80"), Err(ConnectError::NoRoute));
/// assert_eq!(connect("192.0.2.2:0"), Err(ConnectError::BadRemote));
/// assert!(connect("192.0.2.2:80").is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// No route leads there.
    NoRoute,
    /// The local address is none of the stack's own, or not of the remote one's IP version.
    NotLocal,
    /// The remote address or port is one that no connection can have.
    BadRemote,
    /// A connection with these addresses and ports exists.
    InUse,
    /// Every port of the dynamic range is taken for this remote address and port.
    NoPort,
    /// As many connections as may be are open.
    TooMany,
}

/// Why a datagram or an echo reply cannot be sent.
///
/// ```
#[doc = include_str!("two_hosts.md")]
/// let socket = client.udp_bind(Binding::Port(9)).expect("it is free");
/// let (any, remote) = ("0.0.0.0:0".parse()?, "192.0.2.2:9".parse()?);
/// let large = Datagram::new(any, remote, vec![0; 1_473].into());
/// let whole = Datagram { dont_fragment: true, ..large.clone() };
/// assert_eq!(client.udp_send(socket, whole, now), Err(SendError::TooBig { mtu: 1_500 }));
/// assert_eq!(client.udp_send(socket, large, now), Ok(()));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// There is no such socket.
    NotBound,
    /// The local address is none that may be sent from, or not of the remote one's IP version.
    NotLocal,
    /// No route leads there.
    NoRoute,
    /// It is larger than an IP packet can be.
    TooLarge,
    /// It is not to be fragmented, and the way carries smaller packets.
    TooBig {
        /// The largest packet, in bytes.
        mtu: u16,
    },
    /// The interface's transmit queue is full.
    QueueFull,
    /// The packet filter rejects it.
    Prohibited,
}

macro_rules! say {
    ($name:ident { $($variant:ident $({ $rest:tt })? => $words:literal),+ $(,)? }) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant $({ $rest })? => $words),+ })
            }
        }
        impl core::error::Error for $name {}
    };
}

say!(InterfaceError {
    TooMany => "too many interfaces",
    MtuTooSmall => "the MTU is below what IP needs",
    NotUnicast => "an address is not a unicast address",
    RoutesFull => "the routing table is full",
});
say!(RouteError {
    NoInterface => "no such interface",
    VersionMismatch => "gateway and destination differ in IP version",
    Full => "the routing table is full",
});
say!(BindError {
    InUse => "the address and port are in use",
    NotLocal => "the address is not local",
    TooMany => "too many sockets",
});
say!(ConnectError {
    NoRoute => "no route to the address",
    NotLocal => "the local address cannot be used",
    BadRemote => "the remote address cannot be connected to",
    InUse => "the connection exists",
    NoPort => "no local port is free",
    TooMany => "too many connections",
});
say!(SendError {
    NotBound => "no such socket",
    NotLocal => "the local address cannot be used",
    NoRoute => "no route to the address",
    TooLarge => "the datagram is too large",
    TooBig { .. } => "the way does not carry the datagram in one packet",
    QueueFull => "the transmit queue is full",
    Prohibited => "the packet filter rejects the datagram",
});
