//! A bounded table whose entries stand in lists by when they were last used: found by hash, and the oldest of a list
//! at once, so that neither expiry nor eviction looks at the others.

use alloc::vec::Vec;
use hash::Key;
use hashbrown::HashTable;
use time::Instant;

/// The end of a list.
const NONE: u32 = u32::MAX;

/// What an entry is found by.
pub(crate) trait Hashed: Copy + Eq {
    /// Its hash by a key that nobody else knows.
    fn hash(&self, key: Key) -> u64;
}

/// Entries in `LISTS` lists, each in the order of last use.
#[derive(Debug)]
pub(crate) struct Table<K, V, const LISTS: usize> {
    key: Key,
    slots: Vec<Slot<K, V>>,
    /// The first of the unused slots.
    free: u32,
    index: HashTable<u32>,
    lists: [List; LISTS],
}

/// Bytes of an entry, but for its place in the index.
#[cfg(test)]
pub(crate) const fn slot_bytes<K, V>() -> usize {
    size_of::<Slot<K, V>>()
}

#[derive(Debug)]
struct Slot<K, V> {
    key: K,
    value: V,
    used: Instant,
    list: u8,
    previous: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

impl<K: Hashed, V: Copy, const LISTS: usize> Table<K, V, LISTS> {
    pub(crate) const fn new(key: Key) -> Self {
        let lists = [List { first: NONE, last: NONE }; LISTS];
        Self { key, slots: Vec::new(), free: NONE, index: HashTable::new(), lists }
    }

    /// Entries that are held.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// The place of an entry.
    #[inline]
    pub(crate) fn find(&self, key: &K) -> Option<u32> {
        let slots = &self.slots;
        self.index.find(key.hash(self.key), |&place| slots[place as usize].key == *key).copied()
    }

    /// What stands at a place that [`find`](Self::find) or [`insert`](Self::insert) has told.
    #[inline]
    pub(crate) fn at(&self, place: u32) -> &V {
        &self.slots[place as usize].value
    }

    /// As [`at`](Self::at), to be changed.
    #[inline]
    pub(crate) fn at_mut(&mut self, place: u32) -> &mut V {
        &mut self.slots[place as usize].value
    }

    /// The list in which an entry stands, and when it was last used.
    #[inline]
    pub(crate) fn age(&self, place: u32) -> (usize, Instant) {
        let slot = &self.slots[place as usize];
        (slot.list.into(), slot.used)
    }

    /// Adds an entry that is not there yet, as the last used of its list.
    pub(crate) fn insert(&mut self, key: K, value: V, list: usize, now: Instant) -> u32 {
        let slot = Slot { key, value, used: now, list: list as u8, previous: NONE, next: NONE };
        let place = self.free;
        let place = if place == NONE {
            self.slots.push(slot);
            (self.slots.len() - 1) as u32
        } else {
            self.free = self.slots[place as usize].next;
            self.slots[place as usize] = slot;
            place
        };
        self.link(place, list, now);
        let (slots, secret) = (&self.slots, self.key);
        self.index.insert_unique(key.hash(secret), place, |&other| slots[other as usize].key.hash(secret));
        place
    }

    /// Makes an entry the last used of a list, which may be another than it stood in.
    #[inline]
    pub(crate) fn touch(&mut self, place: u32, list: usize, now: Instant) {
        if self.lists[list].last == place {
            self.slots[place as usize].used = now;
            return;
        }
        self.unlink(place);
        self.link(place, list, now);
    }

    /// The entry of a list that was not used for longest, and since when.
    #[inline]
    pub(crate) fn oldest(&self, list: usize) -> Option<(u32, Instant)> {
        let place = self.lists[list].first;
        (place != NONE).then(|| (place, self.slots[place as usize].used))
    }

    /// Takes an entry away.
    pub(crate) fn remove(&mut self, place: u32) {
        self.unlink(place);
        let hash = self.slots[place as usize].key.hash(self.key);
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == place) {
            entry.remove();
        }
        self.slots[place as usize].next = self.free;
        self.free = place;
    }

    /// Takes every entry away, and gives the memory back.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.key);
    }

    fn link(&mut self, place: u32, list: usize, now: Instant) {
        let last = core::mem::replace(&mut self.lists[list].last, place);
        match last {
            NONE => self.lists[list].first = place,
            last => self.slots[last as usize].next = place,
        }
        let slot = &mut self.slots[place as usize];
        (slot.previous, slot.next, slot.list, slot.used) = (last, NONE, list as u8, now);
    }

    fn unlink(&mut self, place: u32) {
        let Slot { previous, next, list, .. } = self.slots[place as usize];
        let list = &mut self.lists[usize::from(list)];
        match previous {
            NONE => list.first = next,
            previous => self.slots[previous as usize].next = next,
        }
        match next {
            NONE => list.last = previous,
            next => self.slots[next as usize].previous = previous,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    impl Hashed for u64 {
        fn hash(&self, key: Key) -> u64 {
            key.quick(&[*self])
        }
    }

    /// What `Config` tells of a full table's memory: a slot, and a dozen bytes at most for its place in the index.
    #[test]
    fn slots_are_as_small_as_is_told() {
        use crate::limiter::BUCKET_SLOT_BYTES;
        use crate::track::CONNECTION_SLOT_BYTES;
        assert_eq!((CONNECTION_SLOT_BYTES, BUCKET_SLOT_BYTES), (72, 128));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Use(u64, usize),
        RemoveOldest(usize),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0_u64..20, 0_usize..3).prop_map(|(key, list)| Step::Use(key, list)),
            1 => (0_usize..3).prop_map(Step::RemoveOldest),
        ]
    }

    proptest! {
        #[test]
        fn lists_are_in_the_order_of_last_use(steps in proptest::collection::vec(any_step(), 0..200)) {
            let mut table = Table::<u64, u64, 3>::new(Key::derive(&[3; 32], 1));
            let mut model: Vec<Vec<(u64, Instant)>> = vec![Vec::new(); 3];
            for (second, step) in steps.into_iter().enumerate() {
                let now = Instant::from_secs(second as u64);
                match step {
                    Step::Use(key, list) => {
                        model.iter_mut().for_each(|entries| entries.retain(|(other, _)| *other != key));
                        model[list].push((key, now));
                        match table.find(&key) {
                            Some(place) => table.touch(place, list, now),
                            None => { table.insert(key, key * 2, list, now); }
                        }
                    }
                    Step::RemoveOldest(list) => {
                        if let Some((place, _)) = table.oldest(list) {
                            table.remove(place);
                            model[list].remove(0);
                        }
                    }
                }
                prop_assert_eq!(table.len(), model.iter().map(Vec::len).sum::<usize>());
                for (list, entries) in model.iter().enumerate() {
                    let oldest = table.oldest(list).map(|(place, used)| (*table.at(place) / 2, used));
                    prop_assert_eq!(oldest, entries.first().copied());
                    for (key, used) in entries {
                        let place = table.find(key).expect("it is there");
                        prop_assert_eq!(table.age(place), (list, *used));
                    }
                }
            }
        }
    }
}
