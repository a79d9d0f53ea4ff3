//! A hierarchical timer wheel: set, move, cancel and expire in constant time.

use crate::Instant;
use core::hash::Hash;

/// Timers by key; at most one timer a key. Setting a key that is set moves its timer.
#[derive(Debug)]
pub struct Wheel<K> {
    _keys: core::marker::PhantomData<K>,
}

impl<K: Copy + Eq + Hash> Wheel<K> {
    /// An empty wheel whose first tick is at `now`.
    pub fn new(_now: Instant) -> Self {
        todo!()
    }

    /// Sets `key`'s timer to `at`, in place of the one it had.
    pub fn set(&mut self, _key: K, _at: Instant) {
        todo!()
    }

    /// Takes `key`'s timer away, if it has one.
    pub fn cancel(&mut self, _key: K) {
        todo!()
    }

    /// One key whose moment has come; `None` when no more have.
    pub fn expire(&mut self, _now: Instant) -> Option<K> {
        todo!()
    }

    /// When to call [`expire`](Self::expire) next: never later than the earliest timer.
    pub fn next(&self) -> Option<Instant> {
        todo!()
    }
}
