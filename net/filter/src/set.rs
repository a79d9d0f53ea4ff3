//! Sets of addresses and networks, asked in constant time.
//!
//! A network is found by its length and its first bits: one look for each length that the set has, and one for single
//! addresses, however many there are of each. Real lists have a handful of lengths.

use crate::network::{Network, masked, width_bits, words_of};
use core::net::IpAddr;
use hash::Key;
use hashbrown::HashTable;

/// Addresses and networks.
///
/// ```
/// use filter::AddressSet;
/// let mut set = AddressSet::new(&[7; 32]);
/// set.insert("192.0.2.0/24".parse()?);
/// set.insert("2001:db8::1".parse()?);
/// assert!(set.contains("192.0.2.200".parse().unwrap()));
/// assert!(!set.contains("2001:db8::2".parse().unwrap()));
/// assert_eq!(set.len(), 2);
/// # Ok::<(), filter::NotANetwork>(())
/// ```
#[derive(Clone, Debug)]
pub struct AddressSet {
    /// So that who chooses what a list holds cannot fill one bucket.
    key: Key,
    networks: HashTable<Network>,
    /// For each version a bit for each prefix length that occurs, but for single addresses.
    lengths: [u128; 2],
    /// Whether single addresses of each version occur.
    hosts: [bool; 2],
}

impl AddressSet {
    /// An empty set. `seed` keys its hash.
    #[must_use]
    pub fn new(seed: &[u8; 32]) -> Self {
        Self { key: Key::derive(seed, 1), networks: HashTable::new(), lengths: [0; 2], hosts: [false; 2] }
    }

    /// Adds a network; whether it was not there yet. One that lies within another is kept besides.
    pub fn insert(&mut self, network: Network) -> bool {
        let version = usize::from(network.address().is_ipv6());
        match network.is_host() {
            true => self.hosts[version] = true,
            false => self.lengths[version] |= 1 << network.bits(),
        }
        let key = self.key;
        let entry =
            self.networks.entry(hash(key, network), |known| *known == network, |known| hash(key, *known));
        match entry {
            hashbrown::hash_table::Entry::Occupied(_) => false,
            hashbrown::hash_table::Entry::Vacant(room) => {
                room.insert(network);
                true
            }
        }
    }

    /// Whether an address is in it, by itself or in a network.
    #[inline]
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let version = usize::from(address.is_ipv6());
        if self.hosts[version] && self.has(Network::host(address)) {
            return true;
        }
        let mut left = self.lengths[version];
        while left != 0 {
            let bits = left.trailing_zeros() as u8;
            left &= left - 1;
            debug_assert!(bits < width_bits(address), "single addresses are not among the lengths");
            if Network::new(masked(address, bits), bits).is_ok_and(|network| self.has(network)) {
                return true;
            }
        }
        false
    }

    #[inline]
    fn has(&self, network: Network) -> bool {
        self.networks.find(hash(self.key, network), |known| *known == network).is_some()
    }

    /// How many addresses and networks were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.networks.len()
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }
}

#[inline]
fn hash(key: Key, network: Network) -> u64 {
    let [high, low, version] = words_of(network.address());
    key.quick(&[high, low, version << 8 | u64::from(network.bits())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use proptest::prelude::*;

    #[test]
    fn a_hundred_thousand_addresses_are_all_found_and_nothing_else() {
        let mut set = AddressSet::new(&[1; 32]);
        for number in 0..100_000_u32 {
            assert!(set.insert(Network::host(Ipv4Addr::from_bits(number * 2).into())));
        }
        assert_eq!(set.len(), 100_000);
        assert!(!set.insert(Network::host(Ipv4Addr::from_bits(0).into())));
        for number in 0..200_000_u32 {
            assert_eq!(set.contains(Ipv4Addr::from_bits(number).into()), number % 2 == 0, "{number}");
        }
        assert!(!set.contains(Ipv6Addr::from_bits(0).into()));
    }

    fn any_network() -> impl Strategy<Value = Network> {
        // Few addresses and all lengths, so that networks hold one another.
        (0_u32..64, any::<bool>(), 0_u8..=128).prop_map(|(number, v6, bits)| {
            let address: IpAddr = match v6 {
                true => Ipv6Addr::from_bits(u128::from(number) << 122 | u128::from(number)).into(),
                false => Ipv4Addr::from_bits(number << 26 | number).into(),
            };
            let bits = bits.min(width_bits(address));
            Network::new(masked(address, bits), bits).unwrap()
        })
    }

    proptest! {
        #[test]
        fn a_set_holds_what_one_of_its_networks_holds(
            networks in proptest::collection::vec(any_network(), 0..40),
            asked in proptest::collection::vec(any_network(), 0..20),
        ) {
            let mut set = AddressSet::new(&[2; 32]);
            let added: Vec<bool> = networks.iter().map(|network| set.insert(*network)).collect();
            prop_assert_eq!(added.iter().filter(|new| **new).count(), set.len());
            for address in asked.iter().map(Network::address) {
                prop_assert_eq!(set.contains(address), networks.iter().any(|network| network.contains(address)));
            }
        }
    }
}
