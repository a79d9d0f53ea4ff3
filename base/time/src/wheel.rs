//! A hierarchical timer wheel: set, move, cancel and expire in constant time.
//!
//! After G. Varghese and T. Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP 1987). Level 0 has a slot for each
//! of the next 64 ticks, level 1 one for each 64 of those, and so on; a timer stands at the level of the highest
//! digit (of six bits) in which its tick and the wheel's differ. When the wheel reaches a slot of a higher level,
//! that slot's timers move to lower ones, so each timer moves at most once a level.
//!
//! ```text
//!  level 2   [  .  .  x  .  ...  ]   64 slots of 4,096 ticks
//!  level 1   [  .  x  .  .  ...  ]   64 slots of 64 ticks
//!  level 0   [  x  .  x  x  ...  ]   64 slots of one tick
//! ```

use crate::Instant;
use alloc::vec::Vec;
use core::hash::{BuildHasherDefault, Hash, Hasher};
use hashbrown::HashMap;

/// Bits of nanoseconds in a tick: 2^17 ns are 131 µs, the most by which a timer is late.
const TICK_BITS: u32 = 17;
/// Bits of a tick's number that one level tells apart.
const DIGIT_BITS: u32 = 6;
/// Slots of a level.
const SLOTS: usize = 1 << DIGIT_BITS;
/// Levels: 8 digits of 6 bits number every tick that an [`Instant`] has.
const LEVELS: usize = 8;
/// The list of timers whose tick has come stands after those of the slots.
const DUE: usize = LEVELS * SLOTS;
/// No timer: the end of a list.
const NONE: u32 = u32::MAX;
/// An empty wheel keeps room for so many timers, and gives more than that back.
const KEPT_MAX: usize = 64;

/// Timers by key; at most one timer a key. Setting a key that is set moves its timer.
///
/// A timer never fires early, and at most 131 µs late. Timers fire in the order of their ticks; those of one tick in
/// an order that depends only on the calls made. Keys are the owner's own numbers: their hash is not keyed, so they
/// must not be a peer's to choose.
///
/// ```
/// use time::{Duration, Instant, Wheel};
/// let start = Instant::from_millis(100);
/// let mut wheel = Wheel::new(start);
/// wheel.set("retransmit", start + Duration::from_millis(200));
/// wheel.set("delayed ack", start + Duration::from_millis(40));
/// let when = wheel.next().expect("two are set");
/// assert!(when >= start + Duration::from_millis(40));
/// assert_eq!(wheel.expire(when), Some("delayed ack"));
/// assert_eq!(wheel.expire(when), None);
/// ```
#[derive(Debug)]
pub struct Wheel<K> {
    /// Ticks up to and including this one have been expired.
    elapsed: u64,
    timers: Vec<Timer<K>>,
    /// The first of the unused places in `timers`.
    free: u32,
    places: HashMap<K, u32, BuildHasherDefault<FoldHasher>>,
    lists: Vec<List>,
    /// For each level, a bit for each slot that holds a timer.
    occupied: [u64; LEVELS],
}

#[derive(Debug)]
struct Timer<K> {
    key: K,
    tick: u64,
    list: u16,
    previous: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
    /// No timer of the list has an earlier tick; exact until one is moved or cancelled.
    earliest: u64,
}

const EMPTY: List = List { first: NONE, last: NONE, earliest: u64::MAX };

impl<K: Copy + Eq + Hash> Wheel<K> {
    /// An empty wheel whose first tick is at `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            elapsed: tick_before(now),
            timers: Vec::new(),
            free: NONE,
            places: HashMap::default(),
            lists: alloc::vec![EMPTY; DUE + 1],
            occupied: [0; LEVELS],
        }
    }

    /// How many timers are set.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether no timer is set.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Sets `key`'s timer to `at`, in place of the one it had.
    pub fn set(&mut self, key: K, at: Instant) {
        let tick = tick_after(at);
        if let Some(&place) = self.places.get(&key) {
            if self.timers[place as usize].tick == tick {
                return;
            }
            self.unlink(place);
            self.timers[place as usize].tick = tick;
            self.link(place);
            return;
        }
        let timer = Timer { key, tick, list: 0, previous: NONE, next: NONE };
        let place = self.free;
        let place = if place == NONE {
            self.timers.push(timer);
            u32::try_from(self.timers.len() - 1).expect("a wheel holds fewer than 2^32 timers")
        } else {
            self.free = self.timers[place as usize].next;
            self.timers[place as usize] = timer;
            place
        };
        self.places.insert(key, place);
        self.link(place);
    }

    /// Takes `key`'s timer away, if it has one.
    pub fn cancel(&mut self, key: K) {
        if let Some(place) = self.places.remove(&key) {
            self.unlink(place);
            self.release(place);
        }
    }

    /// One key whose moment has come; `None` when no more have. Its timer is no longer set.
    pub fn expire(&mut self, now: Instant) -> Option<K> {
        self.advance(tick_before(now));
        let place = self.lists[DUE].first;
        if place == NONE {
            return None;
        }
        let key = self.timers[place as usize].key;
        self.places.remove(&key);
        self.unlink(place);
        self.release(place);
        Some(key)
    }

    /// When to call [`expire`](Self::expire) next; `None` where no timer is set. Never more than a tick after the
    /// earliest timer. Before it, only where the earliest was since moved or cancelled, and once: the call to
    /// `expire` at that moment makes it exact.
    pub fn next(&self) -> Option<Instant> {
        if self.lists[DUE].first != NONE {
            return Some(instant_of(self.elapsed));
        }
        // Every slot of a level comes before every slot of the next: they differ from `elapsed` in a lower digit.
        let level = self.occupied.iter().position(|slots| *slots != 0)?;
        let list = level * SLOTS + self.occupied[level].trailing_zeros() as usize;
        Some(instant_of(self.lists[list].earliest))
    }

    /// Moves everything whose tick is at or before `to` to the list of due timers.
    fn advance(&mut self, to: u64) {
        while self.elapsed < to {
            let Some(level) = self.occupied.iter().position(|slots| *slots != 0) else { break };
            let slot = self.occupied[level].trailing_zeros() as usize;
            let shift = level as u32 * DIGIT_BITS;
            let above = self.elapsed >> shift >> DIGIT_BITS << DIGIT_BITS;
            let start = (above | slot as u64) << shift;
            if start > to {
                break;
            }
            self.elapsed = start;
            self.occupied[level] &= !(1 << slot);
            let list = core::mem::replace(&mut self.lists[level * SLOTS + slot], EMPTY);
            let mut place = list.first;
            while place != NONE {
                let next = self.timers[place as usize].next;
                self.link(place);
                place = next;
            }
        }
        self.elapsed = self.elapsed.max(to);
    }

    /// Puts a timer that is in no list at the end of the one where its tick belongs.
    fn link(&mut self, place: u32) {
        let tick = self.timers[place as usize].tick;
        let index = if tick <= self.elapsed {
            DUE
        } else {
            let level = ((tick ^ self.elapsed).ilog2() / DIGIT_BITS) as usize;
            let slot = (tick >> (level as u32 * DIGIT_BITS)) as usize % SLOTS;
            self.occupied[level] |= 1 << slot;
            level * SLOTS + slot
        };
        let list = &mut self.lists[index];
        let last = core::mem::replace(&mut list.last, place);
        list.earliest = list.earliest.min(tick);
        if last == NONE {
            list.first = place;
        } else {
            self.timers[last as usize].next = place;
        }
        let timer = &mut self.timers[place as usize];
        timer.list = index as u16;
        timer.previous = last;
        timer.next = NONE;
    }

    /// Takes a timer out of its list.
    fn unlink(&mut self, place: u32) {
        let Timer { list: index, previous, next, .. } = self.timers[place as usize];
        let index = usize::from(index);
        match previous {
            NONE => self.lists[index].first = next,
            previous => self.timers[previous as usize].next = next,
        }
        match next {
            NONE => self.lists[index].last = previous,
            next => self.timers[next as usize].previous = previous,
        }
        if self.lists[index].first == NONE {
            self.lists[index] = EMPTY;
            if index != DUE {
                self.occupied[index / SLOTS] &= !(1 << (index % SLOTS));
            }
        }
    }

    /// Makes the place of a timer that is in no list free for another.
    fn release(&mut self, place: u32) {
        self.timers[place as usize].next = self.free;
        self.free = place;
        if self.places.is_empty() && self.timers.len() > KEPT_MAX {
            self.timers = Vec::new();
            self.places = HashMap::default();
            self.free = NONE;
        }
    }
}

/// The last tick that has begun at `now`.
const fn tick_before(now: Instant) -> u64 {
    now.as_nanos() >> TICK_BITS
}

/// The first tick that begins at `at` or after it.
const fn tick_after(at: Instant) -> u64 {
    at.as_nanos().div_ceil(1 << TICK_BITS)
}

const fn instant_of(tick: u64) -> Instant {
    Instant::from_nanos(tick.saturating_mul(1 << TICK_BITS))
}

/// Spreads the owner's own keys; the same in every run.
#[derive(Debug, Default)]
struct FoldHasher(u64);

impl Hasher for FoldHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        // The golden ratio's fraction: odd, and its bits are as irregular as any.
        let product = u128::from(self.0 ^ word ^ 0xf39c_c060_5ced_c834) * 0x9e37_79b9_7f4a_7c15;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use core::time::Duration;
    use proptest::prelude::*;

    const TICK: Duration = Duration::from_nanos(1 << TICK_BITS);

    #[test]
    fn fires_not_early_and_at_most_a_tick_late() {
        let mut wheel = Wheel::new(Instant::from_millis(7));
        for offset_ns in [1, 1_000_000, 40_000_000, 3_600_000_000_000] {
            let at = Instant::from_millis(7) + Duration::from_nanos(offset_ns);
            wheel.set(0u32, at);
            let next = wheel.next().expect("set");
            assert!(next >= at && next - at < TICK, "{at} fires at {next}");
            assert_eq!(wheel.expire(next - Duration::from_nanos(1)), None);
            assert_eq!(wheel.expire(next), Some(0));
            assert_eq!(wheel.next(), None);
        }
    }

    #[test]
    fn a_moment_past_is_due_at_once() {
        let now = Instant::from_secs(5);
        let mut wheel = Wheel::new(now);
        wheel.set(1u8, Instant::ZERO);
        assert!(wheel.next().expect("set") <= now);
        assert_eq!(wheel.expire(now), Some(1));
    }

    #[test]
    fn the_end_of_time_is_never_reached() {
        let mut wheel = Wheel::new(Instant::ZERO);
        wheel.set(1u8, Instant::MAX);
        assert_eq!(wheel.next(), Some(Instant::MAX));
        assert_eq!(wheel.expire(Instant::MAX), None);
    }

    #[test]
    fn timers_of_one_tick_fire_in_the_order_set() {
        let mut wheel = Wheel::new(Instant::ZERO);
        let at = Instant::from_secs(100);
        for key in [5u8, 3, 9, 1] {
            wheel.set(key, at);
        }
        let fired: Vec<u8> = core::iter::from_fn(|| wheel.expire(at + TICK)).collect();
        assert_eq!(fired, [5, 3, 9, 1]);
    }

    #[test]
    fn an_emptied_wheel_gives_its_memory_back() {
        let mut wheel = Wheel::new(Instant::ZERO);
        for key in 0..100_000u32 {
            wheel.set(key, Instant::from_micros(u64::from(key) * 37));
        }
        assert_eq!(wheel.len(), 100_000);
        while wheel.expire(Instant::from_secs(10)).is_some() {}
        assert!(wheel.is_empty());
        assert_eq!((wheel.timers.capacity(), wheel.places.capacity()), (0, 0));
    }

    #[test]
    fn a_moved_timer_wakes_early_at_most_once_a_level() {
        let mut wheel = Wheel::new(Instant::ZERO);
        wheel.set(1u8, Instant::from_secs(1_000));
        wheel.set(2u8, Instant::from_secs(1_001));
        wheel.cancel(1);
        let mut wakes = 0;
        while wheel.expire(wheel.next().expect("2 is set")).is_none() {
            wakes += 1;
        }
        assert!(wakes <= LEVELS, "{wakes} wakes for nothing");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(u8, u64),
        Cancel(u8),
        Pass(u64),
        PassToNext,
    }

    /// Spans of every magnitude, from below a tick to centuries.
    fn span_ns() -> impl Strategy<Value = u64> {
        (0..63u32, any::<u64>()).prop_map(|(bits, noise)| noise & ((2 << bits) - 1))
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..24u8, span_ns()).prop_map(|(key, span)| Step::Set(key, span)),
            1 => (0..24u8).prop_map(Step::Cancel),
            2 => (0..40u32, any::<u64>()).prop_map(|(bits, noise)| Step::Pass(noise & ((1 << bits) - 1))),
            3 => Just(Step::PassToNext),
        ]
    }

    proptest! {
        /// A map from key to moment is the model: the same timers are due, in the order of their ticks.
        #[test]
        fn does_what_a_sorted_map_does(start in span_ns(), steps in prop::collection::vec(step(), 1..200)) {
            let mut now = Instant::from_nanos(start >> 2);
            let mut wheel = Wheel::new(now);
            let mut model: BTreeMap<u8, Instant> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Set(key, span) => {
                        let at = now + Duration::from_nanos(span);
                        wheel.set(key, at);
                        model.insert(key, at);
                    }
                    Step::Cancel(key) => {
                        wheel.cancel(key);
                        model.remove(&key);
                    }
                    Step::Pass(span) => now += Duration::from_nanos(span),
                    // Where the clock would reach its end, it stays: nothing comes after that.
                    Step::PassToNext => {
                        now = wheel.next().filter(|next| *next < Instant::MAX - Duration::from_hours(1)).unwrap_or(now);
                    }
                }
                let mut last_tick = 0;
                while let Some(key) = wheel.expire(now) {
                    let at = model.remove(&key).expect("only what is set fires");
                    prop_assert!(at <= now, "{key} fired early");
                    let tick = tick_after(at);
                    prop_assert!(tick >= last_tick, "{key} fired out of order");
                    last_tick = tick;
                }
                for (key, at) in &model {
                    prop_assert!(tick_after(*at) > tick_before(now), "{key} did not fire");
                }
                prop_assert_eq!(wheel.len(), model.len());
                let earliest = model.values().min().map(|at| instant_of(tick_after(*at)));
                match (wheel.next(), earliest) {
                    (None, None) => {}
                    (Some(next), Some(earliest)) => prop_assert!(now < next && next <= earliest),
                    (next, earliest) => prop_assert!(false, "{next:?} instead of {earliest:?}"),
                }
            }
        }
    }
}
