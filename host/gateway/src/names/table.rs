//! Which index stands for which name, and who is evicted when all are taken.

use super::{Synthetic, index_of};
use axiom::domain::DomainName;
use std::collections::HashMap;
use std::net::IpAddr;

/// How many names have an address at once: what 198.18.0.0/15 holds without its first and last address. A name costs
/// about 100 bytes, so that a program which asks for names without end costs 15 MB.
pub const NAMES_MAX: usize = (1 << 17) - 2;

/// The end of the list of names.
const NONE: u32 = u32::MAX;

/// Names and the addresses that stand for them.
///
/// When all indexes are taken, the name that was asked for longest ago and that no connection uses is evicted.
#[derive(Debug)]
pub struct Names {
    by_name: HashMap<DomainName, u32>,
    slots: Vec<Slot>,
    names_max: usize,
    /// The ends of the list of names that no connection uses: longest ago, latest.
    oldest: u32,
    newest: u32,
    evictions: u64,
}

/// One index's name. Slots without pins are linked into the list, the others are not.
#[derive(Debug)]
struct Slot {
    name: DomainName,
    pins: u32,
    older: u32,
    newer: u32,
}

impl Default for Names {
    fn default() -> Self {
        Self::new(NAMES_MAX)
    }
}

impl Names {
    /// For at most `names_max` names (1 to [`NAMES_MAX`]).
    #[must_use]
    pub fn new(names_max: usize) -> Self {
        let names_max = names_max.clamp(1, NAMES_MAX);
        Self {
            by_name: HashMap::new(),
            slots: Vec::new(),
            names_max,
            oldest: NONE,
            newest: NONE,
            evictions: 0,
        }
    }

    /// The addresses of a name, given now where it has none yet; it becomes the name asked for last. `None` where all
    /// indexes belong to names that connections use.
    pub fn assign(&mut self, name: &DomainName) -> Option<Synthetic> {
        if let Some(&slot) = self.by_name.get(name) {
            if self.slots[slot as usize].pins == 0 {
                self.unlink(slot);
                self.link(slot);
            }
            return Some(synthetic(slot));
        }
        let fresh = Slot { name: name.clone(), pins: 0, older: NONE, newer: NONE };
        let slot = if self.slots.len() < self.names_max {
            self.slots.push(fresh);
            self.slots.len() as u32 - 1
        } else {
            let evicted = self.oldest;
            if evicted == NONE {
                return None;
            }
            self.unlink(evicted);
            self.evictions += 1;
            let old = std::mem::replace(&mut self.slots[evicted as usize], fresh);
            self.by_name.remove(&old.name);
            evicted
        };
        self.link(slot);
        self.by_name.insert(name.clone(), slot);
        Some(synthetic(slot))
    }

    /// The name for which an address stands now.
    #[must_use]
    pub fn name_of(&self, address: IpAddr) -> Option<&DomainName> {
        self.slot_of(address).map(|slot| &self.slots[slot as usize].name)
    }

    /// The addresses of a name, where it has some.
    #[must_use]
    pub fn addresses_of(&self, name: &DomainName) -> Option<Synthetic> {
        self.by_name.get(name).map(|slot| synthetic(*slot))
    }

    /// Keeps the address's name until a matching [`unpin`](Self::unpin): a connection uses it. Whether it has a name.
    pub fn pin(&mut self, address: IpAddr) -> bool {
        let Some(slot) = self.slot_of(address) else { return false };
        if self.slots[slot as usize].pins == 0 {
            self.unlink(slot);
        }
        self.slots[slot as usize].pins += 1;
        true
    }

    /// Undoes one [`pin`](Self::pin). With the last one the name counts as asked for just now.
    pub fn unpin(&mut self, address: IpAddr) {
        let Some(slot) = self.slot_of(address) else { return };
        let pins = &mut self.slots[slot as usize].pins;
        debug_assert!(*pins > 0, "a name is unpinned as often as it was pinned");
        if *pins == 1 {
            *pins = 0;
            self.link(slot);
        } else {
            *pins = pins.saturating_sub(1);
        }
    }

    /// How many names have an address.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether no name has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many names lost their address to another.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    fn slot_of(&self, address: IpAddr) -> Option<u32> {
        let slot = index_of(address)?.checked_sub(1)?;
        (usize::try_from(slot).ok()? < self.slots.len()).then_some(slot)
    }

    /// Appends a slot to the list as its newest.
    fn link(&mut self, slot: u32) {
        let older = std::mem::replace(&mut self.newest, slot);
        self.slots[slot as usize].older = older;
        self.slots[slot as usize].newer = NONE;
        match older {
            NONE => self.oldest = slot,
            older => self.slots[older as usize].newer = slot,
        }
    }

    /// Takes a slot out of the list.
    fn unlink(&mut self, slot: u32) {
        let Slot { older, newer, .. } = self.slots[slot as usize];
        match older {
            NONE => self.oldest = newer,
            older => self.slots[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.slots[newer as usize].older = older,
        }
    }
}

/// The addresses of a slot: index 0 is the network's own address.
fn synthetic(slot: u32) -> Synthetic {
    Synthetic::of_index(slot + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn name(number: u32) -> DomainName {
        format!("n{number}.example").parse().expect("a name")
    }

    #[test]
    fn a_name_keeps_its_addresses_and_both_lead_back() {
        let mut names = Names::default();
        let first = names.assign(&name(1)).expect("room");
        assert_eq!(
            (first.v4.to_string(), first.v6.to_string()),
            ("198.18.0.1".into(), "fd00:2:0:1::1".into())
        );
        assert_eq!(names.assign(&name(1)), Some(first));
        assert_ne!(names.assign(&name(2)), Some(first));
        assert_eq!(names.name_of(first.v4.into()), Some(&name(1)));
        assert_eq!(names.name_of(first.v6.into()), Some(&name(1)));
        assert_eq!(names.name_of(IpAddr::V6(first.v4.to_ipv6_mapped())), Some(&name(1)));
        for nobody in [
            "198.18.0.0",
            "198.18.0.3",
            "198.20.0.1",
            "198.17.255.255",
            "fd00:2:0:1::",
            "fd00:2::1",
            "fd00:2:0:1:1::1",
        ] {
            assert_eq!(names.name_of(nobody.parse().expect("address")), None, "{nobody}");
        }
    }

    #[test]
    fn a_full_table_evicts_the_name_asked_for_longest_ago() {
        let mut names = Names::default();
        for number in 0..NAMES_MAX as u32 {
            names.assign(&name(number)).expect("room");
        }
        let last = names.addresses_of(&name(NAMES_MAX as u32 - 1)).expect("assigned");
        assert_eq!(last.v4.to_string(), "198.19.255.254");
        let kept = names.addresses_of(&name(0)).expect("assigned");
        assert!(names.pin(kept.v4.into()));
        let fresh = names.assign(&name(u32::MAX)).expect("one is evicted");
        assert_eq!(names.name_of(fresh.v4.into()), Some(&name(u32::MAX)));
        assert_eq!((names.len(), names.evictions()), (NAMES_MAX, 1));
        assert_eq!(names.addresses_of(&name(0)), Some(kept), "a pinned name stays");
        assert_eq!(names.addresses_of(&name(1)), None);
    }

    #[test]
    fn nobody_is_evicted_while_connections_use_every_name() {
        let mut names = Names::new(1);
        let only = names.assign(&name(1)).expect("room");
        assert!(names.pin(only.v6.into()) && names.pin(only.v4.into()));
        names.unpin(only.v4.into());
        assert_eq!(names.assign(&name(2)), None);
        names.unpin(only.v4.into());
        assert_eq!(names.assign(&name(2)), Some(only));
        assert!(!Names::new(1).pin(only.v4.into()), "an address without a name cannot be pinned");
    }

    proptest! {
        /// Against a model that keeps the order in a plain queue.
        #[test]
        fn names_behave_as_a_queue_of_names(
            steps in proptest::collection::vec((0u8..3, 0u32..12), 0..200)
        ) {
            let mut names = Names::new(6);
            let mut queue: VecDeque<u32> = VecDeque::new();
            let mut pins: HashMap<u32, u32> = HashMap::new();
            for (action, number) in steps {
                let pinned = pins.get(&number).copied().unwrap_or(0);
                match action {
                    0 => {
                        let known = pinned > 0 || queue.contains(&number);
                        let full = queue.len() + pins.len() == 6;
                        let expected = known || !full || !queue.is_empty();
                        if !known && full {
                            queue.pop_front();
                        }
                        if expected && pinned == 0 {
                            queue.retain(|other| *other != number);
                            queue.push_back(number);
                        }
                        prop_assert_eq!(names.assign(&name(number)).is_some(), expected);
                    }
                    1 => if let Some(addresses) = names.addresses_of(&name(number)) {
                        names.pin(addresses.v4.into());
                        queue.retain(|other| *other != number);
                        pins.insert(number, pinned + 1);
                    },
                    _ => if pinned > 0 {
                        let addresses = names.addresses_of(&name(number)).expect("pinned names have addresses");
                        names.unpin(addresses.v6.into());
                        pins.remove(&number);
                        if pinned > 1 { pins.insert(number, pinned - 1); } else { queue.push_back(number); }
                    },
                }
                for number in 0..12 {
                    let expected = queue.contains(&number) || pins.contains_key(&number);
                    prop_assert_eq!(names.addresses_of(&name(number)).is_some(), expected);
                }
            }
        }
    }
}
