//! Prefixes, and the table that says which interface and which neighbour a packet leaves by.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address and how many of its leading bits name the network: 10.0.2.2/24.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// The address; bits beyond the length may be set, where it is an interface's own.
    pub address: IpAddr,
    /// Leading bits that name the network, 0 to 32 or 128.
    length: u8,
}

impl Prefix {
    /// The prefix of `length` bits round `address`; a length beyond the address's own is cut to it.
    pub fn new(address: impl Into<IpAddr>, length: u8) -> Self {
        let address = address.into();
        let most = if address.is_ipv4() { 32 } else { 128 };
        Self { address, length: length.min(most) }
    }

    /// Leading bits that name the network.
    pub const fn length(self) -> u8 {
        self.length
    }

    /// Whether `address` is of the same version and in the network.
    pub fn contains(self, address: IpAddr) -> bool {
        masked(address, self.length) == masked(self.address, self.length)
            && address.is_ipv4() == self.address.is_ipv4()
    }

    /// The network's own address: bits beyond the length cleared.
    pub fn network(self) -> IpAddr {
        masked(self.address, self.length)
    }

    /// The directed broadcast address of an IPv4 network; none where it has no room for one (RFC 3021).
    pub fn broadcast(self) -> Option<Ipv4Addr> {
        let IpAddr::V4(address) = self.address else { return None };
        (self.length < 31).then(|| Ipv4Addr::from(u32::from(address) | (u32::MAX >> self.length)))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(a) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
            Ipv4Addr::from(u32::from(a) & mask).into()
        }
        IpAddr::V6(a) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
            Ipv6Addr::from(u128::from(a) & mask).into()
        }
    }
}

/// Where packets to a destination leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The destinations it is for; the longest prefix wins.
    pub destination: Prefix,
    /// The interface they leave by.
    pub interface: crate::InterfaceId,
    /// The neighbour they go to; none where the destination itself is on the link.
    pub gateway: Option<IpAddr>,
}
