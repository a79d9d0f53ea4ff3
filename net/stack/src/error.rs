//! What the owner can get wrong, one small enum for each operation.

use core::fmt;

/// Why an interface cannot be added.
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
});
