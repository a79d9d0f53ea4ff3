//! Neighbours: whose hardware address stands for which IP address on a link, and whether it still answers.
//!
//! One cache serves ARP and neighbour discovery; its states are those of RFC 4861 §7.3.2 ([`entry`]). What is sent
//! and received differs: [`arp`] (RFC 826), [`ndp`] (RFC 4861), [`claim`] for one's own IPv4 addresses (RFC 5227),
//! [`router`] for advertisements.

pub(crate) mod arp;
pub(crate) mod claim;
mod entry;
pub(crate) mod ndp;
pub(crate) mod router;

pub(crate) use entry::{Ask, Entry, Use, Waiting};

use crate::InterfaceId;
use crate::index::{Index, words_of};
use crate::slab::Slab;
use core::net::IpAddr;
use core::num::NonZeroU64;
use hash::Key;
use time::{Duration, Instant};
use wire::ethernet::Address;

/// Names an entry; means nothing once the entry is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NeighbourId(NonZeroU64);

impl NeighbourId {
    /// Of a number that the slab gave out, which never are 0.
    fn new(number: u64) -> Self {
        Self(NonZeroU64::new(number).unwrap_or(NonZeroU64::MAX))
    }

    fn number(self) -> u64 {
        self.0.get()
    }
}

/// The neighbour cache of all interfaces.
#[derive(Debug)]
pub(crate) struct Neighbours {
    entries: Slab<Entry>,
    index: Index,
    /// Where the search for an entry to forget goes on.
    hand: usize,
    entries_max: usize,
    /// RFC 4861 §6.3.2: drawn between half and one and a half of the base, so that neighbours' probes do not keep step.
    reachable: Duration,
}

/// RFC 4861 §10, REACHABLE_TIME.
const REACHABLE_BASE: Duration = Duration::from_secs(30);

impl Neighbours {
    pub(crate) fn new(key: Key, entries_max: usize) -> Self {
        let base_ms = REACHABLE_BASE.as_millis() as u64;
        let reachable = Duration::from_millis(base_ms / 2 + key.strong(&[0]) % base_ms);
        Self {
            entries: Slab::new(),
            index: Index::new(key),
            hand: 0,
            entries_max: entries_max.max(1),
            reachable,
        }
    }

    /// How many entries there are.
    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many packets wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.entries.iter().map(|(_, entry)| entry.waiting()).sum()
    }

    pub(crate) fn find(&self, interface: InterfaceId, address: IpAddr) -> Option<NeighbourId> {
        let is = |n| {
            self.entries.find(n).is_some_and(|e: &Entry| e.address == address && e.interface == interface)
        };
        self.index.find(&words(interface, address), is).map(NeighbourId::new)
    }

    pub(crate) fn entry(&mut self, id: NeighbourId) -> Option<&mut Entry> {
        self.entries.find_mut(id.number())
    }

    /// A packet is to leave for a neighbour that is known: how. `None` where it is forgotten.
    #[inline]
    pub(crate) fn use_entry(&mut self, id: NeighbourId, now: Instant) -> Option<Use> {
        let reachable = self.reachable;
        self.entries.find_mut(id.number()).map(|entry| entry.use_now(reachable, now))
    }

    /// Adds an entry that nothing is known of but that it is asked for, or one that has told of itself (`hardware`).
    /// Where the table is full an entry not used lately is forgotten for it, with what waited for it.
    pub(crate) fn insert(
        &mut self,
        interface: InterfaceId,
        address: IpAddr,
        hardware: Option<Address>,
        now: Instant,
    ) -> (NeighbourId, Option<(NeighbourId, Entry)>) {
        let evicted = if self.entries.len() >= self.entries_max { self.evict() } else { None };
        let number = self.entries.insert(Entry::new(interface, address, hardware, now));
        self.index.insert(&words(interface, address), number);
        (NeighbourId::new(number), evicted)
    }

    pub(crate) fn remove(&mut self, id: NeighbourId) -> Option<Entry> {
        let entry = self.entries.remove(id.number())?;
        self.index.remove(&words(entry.interface, entry.address), id.number());
        Some(entry)
    }

    /// Forgets the first entry that was not used since the hand last passed it (a second chance for each), so that
    /// finding one costs the same however large the table.
    fn evict(&mut self) -> Option<(NeighbourId, Entry)> {
        for _ in 0..2 * self.entries.places() {
            self.hand = (self.hand + 1) % self.entries.places();
            let Some((number, entry)) = self.entries.at(self.hand) else { continue };
            if !core::mem::take(&mut entry.used) {
                return self.remove(NeighbourId::new(number)).map(|entry| (NeighbourId::new(number), entry));
            }
        }
        None
    }
}

fn words(interface: InterfaceId, address: IpAddr) -> [u64; 3] {
    let [a, b] = words_of(address);
    [a, b, interface.0.into()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    #[test]
    fn a_full_table_forgets_an_entry_not_used_lately() {
        let mut table = Neighbours::new(Key::derive(&[1; 32], 0), 4);
        let address = |n: u8| IpAddr::from(Ipv4Addr::new(10, 0, 0, n));
        let link = InterfaceId(0);
        let hardware = Some(Address([2, 0, 0, 0, 0, 1]));
        for n in 1..=4 {
            let _ = table.insert(link, address(n), hardware, Instant::ZERO);
        }
        // Everyone's first mark goes in the first round; then only the one that is used keeps its place.
        for n in 5..40 {
            let kept = table.find(link, address(4)).expect("the used one stays");
            assert!(matches!(table.use_entry(kept, Instant::ZERO), Some(Use::Send { .. })));
            let (_, evicted) = table.insert(link, address(n), hardware, Instant::ZERO);
            assert_ne!(evicted.map(|(_, entry)| entry.address), Some(address(4)));
            assert_eq!(table.len(), 4);
        }
    }
}
