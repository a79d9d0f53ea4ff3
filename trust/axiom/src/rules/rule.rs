//! One rule: which protocols, which target, which ports.

use super::host::Host;
use crate::domain::DomainName;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// What a connection speaks on top of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP, and with it QUIC.
    Udp,
    /// ICMP and ICMPv6 echo.
    Icmp,
}

impl Protocol {
    /// All of them, in a fixed order.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Icmp];

    /// The scheme that names it in a rule, without `://`.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }

    /// Whether it has ports.
    #[must_use]
    pub const fn has_ports(self) -> bool {
        !matches!(self, Self::Icmp)
    }

    pub(super) const fn index(self) -> usize {
        match self {
            Self::Tcp => 0,
            Self::Udp => 1,
            Self::Icmp => 2,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme())
    }
}

/// A rule as it was understood. Whether it allows or denies is not in it: that is which list it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub(super) text: Arc<str>,
    pub(super) protocol: Option<Protocol>,
    pub(super) target: Target,
    pub(super) ports: Option<Ports>,
    pub(super) is_question: bool,
}

impl Rule {
    /// The rule as it was written.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The one protocol that it speaks of; all where it names none.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }

    /// What it names.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Its ports; all where it names none.
    #[must_use]
    pub fn ports(&self) -> Option<Ports> {
        self.ports
    }

    /// Whether it speaks of a name that is asked for, and of no connection: `dns://`.
    #[must_use]
    pub fn is_question(&self) -> bool {
        self.is_question
    }

    /// Whether it names a Unix socket.
    #[must_use]
    pub fn is_unix(&self) -> bool {
        matches!(self.target, Target::Unix(_))
    }

    /// Whether it speaks of this port of a protocol, whatever host it names. The port of ICMP is 0.
    #[must_use]
    pub fn speaks_of(&self, protocol: Protocol, port: u16) -> bool {
        self.covers_protocol(protocol)
            && self.ports.is_none_or(|Ports { first, last }| (first..=last).contains(&port))
    }

    /// Whether it names this host, whatever it says of protocols and ports.
    #[must_use]
    pub fn names(&self, host: &Host) -> bool {
        match (&self.target, host) {
            (Target::Name(wanted), Host::Name(name)) => wanted == name,
            (Target::Below(above), Host::Name(name)) => {
                name.ancestors().any(|ancestor| ancestor == above.as_str())
            }
            (Target::Network(network), Host::Address(address)) => network.contains(*address),
            (Target::Name(_) | Target::Below(_), Host::Address(_))
            | (Target::Network(_), Host::Name(_))
            | (Target::Unix(_), _) => false,
        }
    }

    /// Whether the rule speaks of this protocol. A rule with ports never speaks of ICMP, which has none, and one for a
    /// Unix socket or a question of no network's protocol.
    #[must_use]
    pub fn covers_protocol(&self, protocol: Protocol) -> bool {
        !matches!(self.target, Target::Unix(_))
            && !self.is_question
            && self.protocol.is_none_or(|one| one == protocol)
            && (self.ports.is_none() || protocol.has_ports())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Exactly this name.
    Name(DomainName),
    /// Every name below this one, at any depth, and not this one.
    Below(DomainName),
    /// Every address of this network; a single address is a network of one.
    Network(Network),
    /// The Unix socket with this path, which is absolute and in its shortest form; where it ends in '/', all below it.
    Unix(Arc<str>),
}

/// Ports from `first` to `last`, both included, neither 0, and `first` not above `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

/// A network in canonical form: no bit is set behind the prefix, and IPv4 is never written as IPv4-mapped IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    pub(super) address: IpAddr,
    pub(super) prefix_bits: u8,
}

impl Network {
    /// The network of an address and the length of its prefix; `None` where bits behind the prefix are set, or
    /// the prefix is longer than the address.
    #[must_use]
    pub fn new(address: IpAddr, prefix_bits: u8) -> Option<Self> {
        if prefix_bits > width_bits(address) || masked(address, prefix_bits) != address {
            return None;
        }
        match address {
            // A mapped network is the IPv4 network that it maps (RFC 4291 §2.5.5.2). One that is wider than
            // ::ffff:0:0/96 stays what it is and holds no IPv4 address.
            IpAddr::V6(v6) if prefix_bits >= 96 => match v6.to_ipv4_mapped() {
                Some(v4) => Some(Self { address: IpAddr::V4(v4), prefix_bits: prefix_bits - 96 }),
                None => Some(Self { address, prefix_bits }),
            },
            _ => Some(Self { address, prefix_bits }),
        }
    }

    /// The network that a text names: `10.0.0.0/8`, `fd00::/8`, or one address; `None` for another text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let prefix_bits = match bits {
            Some(bits) if bits.starts_with('+') || bits.len() > 1 && bits.starts_with('0') => return None,
            Some(bits) => bits.parse().ok()?,
            None => width_bits(address),
        };
        Self::new(address, prefix_bits)
    }

    /// Whether it holds one address alone.
    #[must_use]
    pub fn is_one_address(self) -> bool {
        self.prefix_bits == width_bits(self.address)
    }

    /// The network's first address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// How many leading bits of an address decide.
    #[must_use]
    pub fn prefix_bits(self) -> u8 {
        self.prefix_bits
    }

    /// Whether the address is in it. IPv4-mapped addresses are IPv4 here.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix_bits) == self.address
    }
}

/// How many bits an address of this family has.
pub(super) const fn width_bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address with everything behind the prefix cleared.
pub(crate) fn masked(address: IpAddr, prefix_bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix_bits.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix_bits.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}
