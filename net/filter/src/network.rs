//! Networks: an address and how many of its first bits count.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses that have the first bits in common; a single address where all bits count.
///
/// ```
/// use filter::Network;
/// let network: Network = "192.0.2.0/24".parse()?;
/// assert!(network.contains("192.0.2.7".parse().unwrap()) && !network.contains("192.0.3.7".parse().unwrap()));
/// assert_eq!("2001:db8::1".parse::<Network>()?.to_string(), "2001:db8::1");
/// // Bits behind those that count would say nothing, and are more likely a slip.
/// assert!("192.0.2.7/24".parse::<Network>().is_err());
/// # Ok::<(), filter::NotANetwork>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Why a text is no network.
///
/// ```
/// use filter::{Network, NotANetwork};
/// assert_eq!("192.0.2.0/33".parse::<Network>(), Err(NotANetwork::Bits));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotANetwork {
    /// It does not begin with an IPv4 or IPv6 address.
    Address,
    /// What follows the slash is no number of 0 to 32, or to 128.
    Bits,
    /// The address has bits set behind those that count.
    HostBits,
}

impl fmt::Display for NotANetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "expected an IPv4 or IPv6 address",
            Self::Bits => "expected a prefix length of 0 to 32, or to 128 for IPv6",
            Self::HostBits => "expected no bits set behind the prefix: is a single address meant?",
        })
    }
}

impl core::error::Error for NotANetwork {}

impl Network {
    /// One address.
    #[must_use]
    pub const fn host(address: IpAddr) -> Self {
        Self { address, bits: width_bits(address) }
    }

    /// The addresses that share the first `bits` of `address`.
    ///
    /// # Errors
    ///
    /// Where there are more bits than the address has, or others are set behind them.
    pub fn new(address: IpAddr, bits: u8) -> Result<Self, NotANetwork> {
        if bits > width_bits(address) {
            return Err(NotANetwork::Bits);
        }
        if masked(address, bits) != address {
            return Err(NotANetwork::HostBits);
        }
        Ok(Self { address, bits })
    }

    /// The first address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits count, 0 to 32 or to 128.
    #[must_use]
    pub const fn bits(&self) -> u8 {
        self.bits
    }

    /// Whether it is one address.
    #[must_use]
    pub const fn is_host(&self) -> bool {
        self.bits == width_bits(self.address)
    }

    /// Whether an address is one of these.
    #[inline]
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.bits) == self.address
    }
}

impl core::str::FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) = match text.split_once('/') {
            None => (text, None),
            Some((address, bits)) => (address, Some(bits)),
        };
        let address: IpAddr = address.parse().map_err(|_| NotANetwork::Address)?;
        let Some(bits) = bits else { return Ok(Self::host(address)) };
        let is_number = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = bits.parse().ok().filter(|_| is_number && (bits.len() == 1 || !bits.starts_with('0')));
        Self::new(address, bits.ok_or(NotANetwork::Bits)?)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_host() {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.bits)
        }
    }
}

/// How many bits an address of this version has.
pub(crate) const fn width_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with all bits behind the first `bits` cleared.
#[inline]
pub(crate) fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

/// An address as three words to hash, the last of which tells the versions apart.
#[inline]
pub(crate) fn words_of(address: IpAddr) -> [u64; 3] {
    match address {
        IpAddr::V4(v4) => [0, v4.to_bits().into(), 4],
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            [(bits >> 64) as u64, bits as u64, 6]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_network_has_a_name() {
        for (text, wrong) in [
            ("", NotANetwork::Address),
            ("192.0.2", NotANetwork::Address),
            ("192.0.2.01", NotANetwork::Address),
            ("192.0.2.0/", NotANetwork::Bits),
            ("192.0.2.0/+4", NotANetwork::Bits),
            ("192.0.2.0/024", NotANetwork::Bits),
            ("192.0.2.0/33", NotANetwork::Bits),
            ("2001:db8::/129", NotANetwork::Bits),
            ("192.0.2.1/31", NotANetwork::HostBits),
            ("2001:db8::1/64", NotANetwork::HostBits),
        ] {
            assert_eq!(text.parse::<Network>(), Err(wrong), "{text}");
        }
    }

    #[test]
    fn versions_are_kept_apart() {
        let everything: Network = "0.0.0.0/0".parse().unwrap();
        assert!(everything.contains(IpAddr::from([255; 4])));
        assert!(!everything.contains(IpAddr::from([0; 16])));
        assert_ne!(words_of(IpAddr::from([0; 4])), words_of(IpAddr::from([0; 16])));
    }

    proptest! {
        #[test]
        fn a_network_is_what_it_is_written_as(number: u128, v6: bool, bits in 0_u8..=128) {
            let address = if v6 { Ipv6Addr::from_bits(number).into() } else { Ipv4Addr::from_bits(number as u32).into() };
            let bits = bits.min(width_bits(address));
            let network = Network::new(masked(address, bits), bits).unwrap();
            prop_assert_eq!(network.to_string().parse(), Ok(network));
            prop_assert!(network.contains(address));
        }
    }
}
