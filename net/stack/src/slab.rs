//! Values by number: constant-time insert, find and remove, and numbers that are never reused while anyone could
//! still hold them.

use alloc::vec::Vec;

/// Values, each under a number made of its place (low 32 bits) and the place's generation (high 32 bits).
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    count: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), count: 0 }
    }

    /// How many values there are.
    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// Keeps a value and returns its number.
    pub(crate) fn insert(&mut self, value: T) -> u64 {
        self.count += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, value: None });
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[place as usize];
        // Generation 0 is never given out, so that the number 0 never means anything.
        slot.generation = slot.generation.wrapping_add(1).max(1);
        slot.value = Some(value);
        u64::from(slot.generation) << 32 | u64::from(place)
    }

    /// The value under `number`.
    pub(crate) fn find(&self, number: u64) -> Option<&T> {
        let slot = self.slots.get(number as u32 as usize)?;
        if u64::from(slot.generation) == number >> 32 { slot.value.as_ref() } else { None }
    }

    /// The value under `number`, to change.
    pub(crate) fn find_mut(&mut self, number: u64) -> Option<&mut T> {
        let slot = self.slots.get_mut(number as u32 as usize)?;
        if u64::from(slot.generation) == number >> 32 { slot.value.as_mut() } else { None }
    }

    /// Takes the value under `number` out.
    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        let place = number as u32;
        let slot = self.slots.get_mut(place as usize)?;
        if u64::from(slot.generation) != number >> 32 {
            return None;
        }
        let value = slot.value.take()?;
        self.count -= 1;
        self.free.push(place);
        Some(value)
    }

    /// The number of the value at a place, and the value; for walks by a clock hand.
    pub(crate) fn at(&mut self, place: usize) -> Option<(u64, &mut T)> {
        let slot = self.slots.get_mut(place)?;
        let number = u64::from(slot.generation) << 32 | place as u64;
        slot.value.as_mut().map(|value| (number, value))
    }

    /// How many places there are, taken or free.
    pub(crate) const fn places(&self) -> usize {
        self.slots.len()
    }

    /// Every value with its number, by place.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.slots.iter().enumerate().filter_map(|(place, slot)| {
            let number = u64::from(slot.generation) << 32 | place as u64;
            slot.value.as_ref().map(|value| (number, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_means_nothing_once_its_value_is_gone() {
        let mut slab = Slab::new();
        let first = slab.insert('a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b');
        assert_eq!(first as u32, second as u32, "the place is reused");
        assert_eq!((slab.find(first), slab.find(second), slab.len()), (None, Some(&'b'), 1));
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.find(0), None);
    }
}
