//! An address of its own for each allowed name, so that a connection says for which name it was opened even where
//! many names share one real address.
//!
//! Index `i` stands for 198.18.0.0/15 + `i` (RFC 2544's benchmarking range, which no network routes) and for
//! fd00:2:0:1:: + `i` (RFC 4193). Index 0 and the last are left out: they would be the IPv4 network's own address and
//! its broadcast.
//!
//! ```text
//!   example.com  <->  index 7  <->  198.18.0.7
//!                              <->  fd00:2:0:1::7
//! ```

mod reverse;
mod table;

pub use reverse::{parse_reverse, reverse_name};
pub use table::{NAMES_MAX, Names};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first address of the IPv4 range, and the length of its prefix.
pub const SYNTHETIC_V4: (Ipv4Addr, u8) = (Ipv4Addr::new(198, 18, 0, 0), 15);
/// The first address of the IPv6 range, and the length of its prefix.
pub const SYNTHETIC_V6: (Ipv6Addr, u8) = axiom::addresses::NAMES_V6;

/// The addresses that stand for one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Synthetic {
    /// Within [`SYNTHETIC_V4`].
    pub v4: Ipv4Addr,
    /// Within [`SYNTHETIC_V6`].
    pub v6: Ipv6Addr,
}

impl Synthetic {
    fn of_index(index: u32) -> Self {
        Self {
            v4: Ipv4Addr::from_bits(SYNTHETIC_V4.0.to_bits() + index),
            v6: Ipv6Addr::from_bits(SYNTHETIC_V6.0.to_bits() + u128::from(index)),
        }
    }
}

/// Whether an address is in one of the two ranges, and so belongs to a name or to nobody.
#[must_use]
pub fn is_synthetic(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_bits() >> 17 == SYNTHETIC_V4.0.to_bits() >> 17,
        IpAddr::V6(v6) => v6.to_bits() >> 64 == SYNTHETIC_V6.0.to_bits() >> 64,
    }
}

/// The index that an address of the two ranges stands for.
fn index_of(address: IpAddr) -> Option<u32> {
    if !is_synthetic(address) {
        return None;
    }
    match address.to_canonical() {
        IpAddr::V4(v4) => Some(v4.to_bits() - SYNTHETIC_V4.0.to_bits()),
        IpAddr::V6(v6) => u32::try_from(v6.to_bits() - SYNTHETIC_V6.0.to_bits()).ok(),
    }
}
