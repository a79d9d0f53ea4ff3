//! Path MTUs that routers have told, by destination, for all connections to it and for later ones (RFC 1191 §5, §6.3;
//! RFC 8201 §5.2, §5.3). What is not here is as large as the interface takes.

use alloc::collections::{BTreeMap, VecDeque};
use core::net::IpAddr;
use time::{Duration, Instant};
use wire::ipv6;

/// How long what a router told is believed: RFC 1191 §6.3 and RFC 8201 §5.3 recommend ten minutes.
const AGE_MAX: Duration = Duration::from_secs(600);

/// The least path MTU with which packets are kept from being fragmented. DEVIATES RFC 1191 §3: a smaller one is taken for
/// this, and routers may fragment, so that nobody can make us send tiny segments. As Linux (min_pmtu).
const MTU_MIN_V4: u16 = 552;

/// RFC 1191 §7.1: sizes that links have, for routers that tell none. The last that is believed comes last.
const PLATEAUS: [u16; 8] = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, MTU_MIN_V4];

/// The size of packets on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathMtu {
    /// The largest IP packet, in bytes.
    pub bytes: u16,
    /// Routers may fragment all the same: some link takes less.
    pub fragmented: bool,
}

impl PathMtu {
    /// What an interface takes.
    pub(crate) const fn of_link(bytes: u16) -> Self {
        Self { bytes, fragmented: false }
    }

    /// What a router of IPv4 told about a packet of `packet_bytes`; `None` where no router would.
    pub(crate) fn told_v4(mtu: u16, packet_bytes: u16) -> Option<Self> {
        match mtu {
            // RFC 1191 §5: a router from before it tells nothing. The next smaller plateau of §7.1 is tried.
            0 => {
                let next = PLATEAUS.iter().find(|plateau| **plateau < packet_bytes);
                Some(Self::of_link(next.copied().unwrap_or(MTU_MIN_V4)))
            }
            // RFC 791 §3.2: every link takes 68 bytes.
            1..68 => None,
            mtu => Some(Self { bytes: mtu.max(MTU_MIN_V4), fragmented: mtu < MTU_MIN_V4 }),
        }
    }

    /// What a router of IPv6 told. RFC 8201 §4: less than the smallest MTU is discarded.
    pub(crate) fn told_v6(mtu: u32) -> Option<Self> {
        (mtu >= ipv6::MTU_MIN.into()).then(|| Self::of_link(u16::try_from(mtu).unwrap_or(u16::MAX)))
    }
}

#[derive(Clone, Copy, Debug)]
struct Learnt {
    mtu: PathMtu,
    at: Instant,
}

/// What is known of paths. The destination that was told of longest ago is forgotten for a new one.
#[derive(Debug)]
pub(crate) struct Paths {
    by_destination: BTreeMap<IpAddr, Learnt>,
    /// Destinations in the order in which they were told of; some have been told of again since.
    by_age: VecDeque<(IpAddr, Instant)>,
    paths_max: usize,
    /// How often something was learnt: who has looked before looks again.
    changes: u32,
}

impl Paths {
    pub(crate) const fn new(paths_max: usize) -> Self {
        Self { by_destination: BTreeMap::new(), by_age: VecDeque::new(), paths_max, changes: 0 }
    }

    /// Changes whenever something is learnt.
    #[inline]
    pub(crate) const fn changes(&self) -> u32 {
        self.changes
    }

    /// Destinations that are known.
    pub(crate) fn len(&self) -> usize {
        self.by_destination.len()
    }

    /// The MTU of the path to `destination`, if a router told less than ten minutes ago, and until when that is believed.
    pub(crate) fn find(&self, destination: IpAddr, now: Instant) -> Option<(PathMtu, Instant)> {
        let learnt = self.by_destination.get(&destination)?;
        let until = learnt.at + AGE_MAX;
        (now < until).then_some((learnt.mtu, until))
    }

    /// A router told the MTU of the path to `destination`. Where more than one did, the smallest counts.
    pub(crate) fn learn(&mut self, destination: IpAddr, mtu: PathMtu, now: Instant) {
        if self.paths_max == 0
            || self.find(destination, now).is_some_and(|(known, _)| known.bytes < mtu.bytes)
        {
            return;
        }
        self.changes = self.changes.wrapping_add(1);
        let before = self.by_destination.insert(destination, Learnt { mtu, at: now });
        // Told of twice at one time it has one place: there are never more valid ones than destinations.
        if before.is_none_or(|before| before.at != now) {
            self.by_age.push_back((destination, now));
        }
        while self.by_destination.len() > self.paths_max || self.by_age.len() > 2 * self.paths_max {
            let Some((oldest, at)) = self.by_age.pop_front() else { return };
            match self.by_destination.get(&oldest) {
                Some(learnt) if learnt.at == at && self.by_destination.len() > self.paths_max => {
                    self.by_destination.remove(&oldest);
                }
                // It is known all the same, and waits its turn again.
                Some(learnt) if learnt.at == at => self.by_age.push_back((oldest, at)),
                Some(_) | None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_secs(1_000);

    fn to(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn bytes(paths: &Paths, n: u8, now: Instant) -> Option<u16> {
        paths.find(to(n), now).map(|(mtu, _)| mtu.bytes)
    }

    #[test]
    fn what_was_told_is_believed_for_ten_minutes_and_the_smallest_counts() {
        let mut paths = Paths::new(8);
        paths.learn(to(1), PathMtu::of_link(1_400), NOW);
        assert_eq!((bytes(&paths, 1, NOW), bytes(&paths, 2, NOW)), (Some(1_400), None));
        let later = NOW + Duration::from_secs(500);
        paths.learn(to(1), PathMtu::of_link(1_300), later);
        paths.learn(to(1), PathMtu::of_link(1_350), later);
        assert_eq!(bytes(&paths, 1, NOW + AGE_MAX), Some(1_300));
        assert_eq!(bytes(&paths, 1, later + AGE_MAX), None);
        paths.learn(to(1), PathMtu::of_link(1_450), later + AGE_MAX);
        assert_eq!(bytes(&paths, 1, later + AGE_MAX), Some(1_450));
        assert_eq!(paths.changes(), 3);
    }

    #[test]
    fn the_table_is_bounded_and_the_oldest_goes() {
        let mut paths = Paths::new(4);
        for n in 0..100_u8 {
            let now = NOW + Duration::from_secs(n.into());
            // The first destination is told of again and again.
            paths.learn(to(0), PathMtu::of_link(1_000 - u16::from(n)), now);
            paths.learn(to(n), PathMtu::of_link(1_400), now);
            assert!(paths.len() <= 4 && paths.by_age.len() <= 8);
        }
        let known = (0..100).filter(|n| bytes(&paths, *n, NOW + Duration::from_secs(100)).is_some());
        assert_eq!(known.collect::<alloc::vec::Vec<_>>(), [0, 97, 98, 99]);
        let mut none = Paths::new(0);
        none.learn(to(1), PathMtu::of_link(1_400), NOW);
        assert_eq!(none.len(), 0);
    }

    #[test]
    fn what_is_told_again_and_again_at_one_time_has_one_place() {
        let mut paths = Paths::new(4);
        for n in 0..4 {
            for bytes in (1_400..1_500).rev() {
                paths.learn(to(n), PathMtu::of_link(bytes), NOW);
                assert!(paths.by_age.len() <= 8);
            }
        }
        assert_eq!((paths.len(), bytes(&paths, 0, NOW)), (4, Some(1_400)));
    }

    #[test]
    fn what_no_router_tells_is_not_believed() {
        let v4 = |mtu| PathMtu::told_v4(mtu, 1_500);
        assert_eq!(v4(67), None);
        assert_eq!(v4(68), Some(PathMtu { bytes: MTU_MIN_V4, fragmented: true }));
        assert_eq!(v4(1_400), Some(PathMtu::of_link(1_400)));
        assert_eq!(v4(0), Some(PathMtu::of_link(1_492)));
        assert_eq!(PathMtu::told_v4(0, 1_492), Some(PathMtu::of_link(1_006)));
        assert_eq!(PathMtu::told_v4(0, 60), Some(PathMtu::of_link(MTU_MIN_V4)));
        assert_eq!(PathMtu::told_v6(1_279), None);
        assert_eq!(PathMtu::told_v6(1_280), Some(PathMtu::of_link(1_280)));
    }
}
