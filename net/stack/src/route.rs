//! Prefixes, and the table that says which interface and which neighbour a packet leaves by.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// An address and how many of its leading bits name the network: 10.0.2.2/24.
///
/// ```
/// use stack::Prefix;
///
/// let own: Prefix = "192.0.2.7/24".parse()?;
/// assert_eq!(own, Prefix::new([192, 0, 2, 7], 24));
/// assert_eq!((own.length(), own.to_string()), (24, "192.0.2.7/24".to_owned()));
/// assert!(own.contains([192, 0, 2, 200].into()) && !own.contains([192, 0, 3, 7].into()));
/// assert_eq!(own.network().to_string(), "192.0.2.0");
/// assert_eq!(own.broadcast(), Some([192, 0, 2, 255].into()));
/// // Two machines on a link of their own need no broadcast (RFC 3021).
/// assert_eq!(Prefix::new([192, 0, 2, 0], 31).broadcast(), None);
/// # Ok::<(), stack::NotAPrefix>(())
/// ```
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

/// No prefix, as in 10.0.2.2/24 or fd00:2::2/64; an address alone has its whole length.
///
/// ```
/// use stack::{NotAPrefix, Prefix};
/// assert_eq!("192.0.2.7/33".parse::<Prefix>(), Err(NotAPrefix));
/// assert_eq!("example.com".parse::<Prefix>(), Err(NotAPrefix));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPrefix;

impl fmt::Display for NotAPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an address and the length of its network's prefix, as in 192.0.2.2/24")
    }
}

impl core::error::Error for NotAPrefix {}

impl FromStr for Prefix {
    type Err = NotAPrefix;

    fn from_str(text: &str) -> Result<Self, NotAPrefix> {
        let (address, length) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| NotAPrefix)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(most), |length| length.parse().map_err(|_| NotAPrefix))?;
        if length > most { Err(NotAPrefix) } else { Ok(Self::new(address, length)) }
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
///
/// ```
#[doc = include_str!("two_hosts.md")]
/// let everywhere = Prefix::new([0, 0, 0, 0], 0);
/// let route = Route { destination: everywhere, interface: InterfaceId(0), gateway: Some([192, 0, 2, 2].into()) };
/// client.add_route(route)?;
/// let far = "198.51.100.7:80".parse().expect("an address");
/// assert!(client.tcp_connect(None, far, Arc::default(), now).is_ok());
/// # Ok::<(), RouteError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The destinations it is for; the longest prefix wins.
    pub destination: Prefix,
    /// The interface they leave by.
    pub interface: crate::InterfaceId,
    /// The neighbour they go to; none where the destination itself is on the link.
    pub gateway: Option<IpAddr>,
}

/// Routes by prefix. A lookup asks once for each prefix length that is in use, longest first: its cost does not grow
/// with the number of routes.
#[derive(Debug)]
pub(crate) struct Routes {
    /// By length and network.
    by_prefix: BTreeMap<(u8, IpAddr), Route>,
    /// Lengths in use, longest first, of IPv4 and of IPv6.
    lengths: [Vec<u8>; 2],
    routes_max: usize,
}

impl Routes {
    pub(crate) const fn new(routes_max: usize) -> Self {
        Self { by_prefix: BTreeMap::new(), lengths: [Vec::new(), Vec::new()], routes_max }
    }

    /// Adds a route, in place of one for the same destination. Whether there was room.
    pub(crate) fn insert(&mut self, route: Route) -> bool {
        let key = (route.destination.length(), route.destination.network());
        if self.by_prefix.len() >= self.routes_max && !self.by_prefix.contains_key(&key) {
            return false;
        }
        self.by_prefix.insert(key, route);
        let lengths = &mut self.lengths[usize::from(key.1.is_ipv6())];
        if let Err(at) = lengths.binary_search_by(|length| key.0.cmp(length)) {
            lengths.insert(at, key.0);
        }
        true
    }

    /// The route of the longest prefix that holds `destination`.
    pub(crate) fn find(&self, destination: IpAddr) -> Option<&Route> {
        let lengths = &self.lengths[usize::from(destination.is_ipv6())];
        lengths.iter().find_map(|&length| self.by_prefix.get(&(length, masked(destination, length))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InterfaceId;

    fn route(address: [u8; 4], length: u8, interface: u16) -> Route {
        Route { destination: Prefix::new(address, length), interface: InterfaceId(interface), gateway: None }
    }

    #[test]
    fn the_longest_prefix_wins() {
        let mut routes = Routes::new(8);
        assert!(routes.find([10, 0, 0, 1].into()).is_none());
        for (n, (address, length)) in
            [([0, 0, 0, 0], 0), ([10, 0, 0, 0], 8), ([10, 1, 0, 0], 16), ([10, 1, 2, 3], 32)]
                .into_iter()
                .enumerate()
        {
            assert!(routes.insert(route(address, length, n as u16)));
        }
        let by = |address: [u8; 4]| routes.find(address.into()).map(|route| route.interface.0);
        assert_eq!(by([10, 1, 2, 3]), Some(3));
        assert_eq!(by([10, 1, 2, 4]), Some(2));
        assert_eq!(by([10, 2, 2, 4]), Some(1));
        assert_eq!(by([11, 2, 2, 4]), Some(0));
        assert!(routes.find(IpAddr::V6(Ipv6Addr::LOCALHOST)).is_none());
    }

    #[test]
    fn a_full_table_takes_no_more_but_replaces() {
        let mut routes = Routes::new(1);
        assert!(routes.insert(route([10, 0, 0, 0], 8, 0)));
        assert!(!routes.insert(route([11, 0, 0, 0], 8, 0)));
        assert!(routes.insert(route([10, 9, 9, 9], 8, 1)));
        assert_eq!(routes.find([10, 0, 0, 1].into()).map(|route| route.interface.0), Some(1));
    }

    #[test]
    fn prefixes_hold_and_have_a_broadcast_address() {
        let prefix = Prefix::new([10, 0, 2, 2], 24);
        assert!(prefix.contains([10, 0, 2, 15].into()) && !prefix.contains([10, 0, 3, 15].into()));
        assert_eq!(prefix.broadcast(), Some(Ipv4Addr::new(10, 0, 2, 255)));
        assert_eq!(Prefix::new([10, 0, 2, 2], 31).broadcast(), None);
        assert!(Prefix::new([0, 0, 0, 0], 0).contains([1, 2, 3, 4].into()));
        assert!(!Prefix::new([0, 0, 0, 0], 0).contains(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    }
}
