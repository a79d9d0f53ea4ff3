//! Path MTUs that routers have told, by destination, for all connections to it and for later ones (RFC 1191 §5, §6.3;
//! RFC 8201 §5.2, §5.3). What is not here is as large as the interface takes.

use crate::recent::Recent;
use core::net::IpAddr;
use time::Instant;
use wire::ipv6;

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

/// What is known of paths.
#[derive(Debug)]
pub(crate) struct Paths {
    told: Recent<PathMtu>,
    /// How often something was learnt: who has looked before looks again.
    changes: u32,
}

impl Paths {
    pub(crate) const fn new(paths_max: usize) -> Self {
        Self { told: Recent::new(paths_max), changes: 0 }
    }

    /// Changes whenever something is learnt.
    #[inline]
    pub(crate) const fn changes(&self) -> u32 {
        self.changes
    }

    /// Destinations that are known.
    pub(crate) fn len(&self) -> usize {
        self.told.len()
    }

    /// The MTU of the path to `destination`, if a router told lately, and until when that is believed.
    pub(crate) fn find(&self, destination: IpAddr, now: Instant) -> Option<(PathMtu, Instant)> {
        self.told.find(destination, now)
    }

    /// A router told the MTU of the path to `destination`. Where more than one did, the smallest counts.
    pub(crate) fn learn(&mut self, destination: IpAddr, mtu: PathMtu, now: Instant) {
        let smallest = self.find(destination, now).is_none_or(|(known, _)| known.bytes >= mtu.bytes);
        if smallest && self.told.learn(destination, mtu, now) {
            self.changes = self.changes.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recent::AGE_MAX;
    use time::Duration;

    const NOW: Instant = Instant::from_secs(1_000);

    fn to(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn bytes(paths: &Paths, n: u8, now: Instant) -> Option<u16> {
        paths.find(to(n), now).map(|(mtu, _)| mtu.bytes)
    }

    #[test]
    fn the_smallest_that_was_told_counts_while_it_is_believed() {
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
