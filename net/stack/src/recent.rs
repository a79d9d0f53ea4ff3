//! What was learnt of destinations: believed for ten minutes, and of so many destinations.

use alloc::collections::{BTreeMap, VecDeque};
use core::net::IpAddr;
use time::{Duration, Instant};

/// How long it is believed, as paths change: RFC 1191 §6.3 and RFC 8201 §5.3 recommend ten minutes.
pub(crate) const AGE_MAX: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug)]
struct Learnt<T> {
    what: T,
    at: Instant,
}

/// The destination of which something was learnt longest ago is forgotten for a new one.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    by_destination: BTreeMap<IpAddr, Learnt<T>>,
    /// Destinations in the order in which they were learnt of; of some something was learnt again since.
    by_age: VecDeque<(IpAddr, Instant)>,
    destinations_max: usize,
}

impl<T: Copy> Recent<T> {
    pub(crate) const fn new(destinations_max: usize) -> Self {
        Self { by_destination: BTreeMap::new(), by_age: VecDeque::new(), destinations_max }
    }

    /// Destinations that are known.
    pub(crate) fn len(&self) -> usize {
        self.by_destination.len()
    }

    /// What was learnt of `destination` less than ten minutes ago, and until when that is believed.
    pub(crate) fn find(&self, destination: IpAddr, now: Instant) -> Option<(T, Instant)> {
        let learnt = self.by_destination.get(&destination)?;
        let until = learnt.at + AGE_MAX;
        (now < until).then_some((learnt.what, until))
    }

    /// Something was learnt of `destination`: it takes the place of what was known. Whether it is kept: a table may have
    /// no place at all.
    pub(crate) fn learn(&mut self, destination: IpAddr, what: T, now: Instant) -> bool {
        if self.destinations_max == 0 {
            return false;
        }
        let before = self.by_destination.insert(destination, Learnt { what, at: now });
        // Learnt of twice at one time it has one place: there are never more valid ones than destinations.
        if before.is_none_or(|before| before.at != now) {
            self.by_age.push_back((destination, now));
        }
        while self.by_destination.len() > self.destinations_max
            && let Some((oldest, at)) = self.by_age.pop_front()
        {
            if self.by_destination.get(&oldest).is_some_and(|learnt| learnt.at == at) {
                self.by_destination.remove(&oldest);
            }
        }
        if self.by_age.len() > 2 * self.destinations_max {
            let known = &self.by_destination;
            self.by_age.retain(|(one, at)| known.get(one).is_some_and(|learnt| learnt.at == *at));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const NOW: Instant = Instant::from_secs(1_000);

    fn to(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn known(recent: &Recent<u16>, n: u8, now: Instant) -> Option<u16> {
        recent.find(to(n), now).map(|(what, _)| what)
    }

    #[test]
    fn it_is_believed_for_ten_minutes_from_when_it_was_learnt_last() {
        let mut recent = Recent::new(8);
        recent.learn(to(1), 1, NOW);
        assert_eq!((known(&recent, 1, NOW), known(&recent, 2, NOW)), (Some(1), None));
        let later = NOW + Duration::from_secs(500);
        recent.learn(to(1), 2, later);
        assert_eq!(recent.find(to(1), NOW + AGE_MAX), Some((2, later + AGE_MAX)));
        assert_eq!(known(&recent, 1, later + AGE_MAX), None);
    }

    #[test]
    fn the_table_is_bounded_and_the_oldest_goes() {
        let mut recent = Recent::new(4);
        for n in 0..100_u8 {
            let now = NOW + Duration::from_secs(n.into());
            // Of the first destination something is learnt again and again.
            recent.learn(to(0), n.into(), now);
            recent.learn(to(n), n.into(), now);
            assert!(recent.len() <= 4 && recent.by_age.len() <= 8);
        }
        let left = (0..100).filter(|n| known(&recent, *n, NOW + Duration::from_secs(100)).is_some());
        assert_eq!(left.collect::<Vec<_>>(), [0, 97, 98, 99]);
        // However often something is learnt of others, who was learnt of first goes first.
        let mut recent = Recent::new(4);
        recent.learn(to(200), 0, NOW);
        for n in 1..=8 {
            recent.learn(to(1), 0, NOW + Duration::from_secs(n));
        }
        for n in 2..=4 {
            recent.learn(to(n), 0, NOW + Duration::from_secs(9));
        }
        let left = [200, 1, 2, 3, 4].map(|n| known(&recent, n, NOW + Duration::from_secs(9)).is_some());
        assert_eq!(left, [false, true, true, true, true]);
        let mut none = Recent::new(0);
        assert!(!none.learn(to(1), 1, NOW) && none.len() == 0);
    }

    #[test]
    fn what_is_learnt_again_and_again_at_one_time_has_one_place() {
        let mut recent = Recent::new(4);
        for n in 0..4 {
            for what in 0..100 {
                recent.learn(to(n), what, NOW);
                assert!(recent.by_age.len() <= 8);
            }
        }
        assert_eq!((recent.len(), known(&recent, 0, NOW)), (4, Some(99)));
    }
}
