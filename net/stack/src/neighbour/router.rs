//! An interface as an IPv6 router: advertisements of itself (RFC 4861 §6.2).

use crate::neighbour::ndp::ALL_NODES;
use crate::output::{HOP_LIMIT, Output, Timer};
use crate::{Drop, InterfaceId, RouterConfig, Verdict};
use alloc::vec::Vec;
use core::net::IpAddr;
use time::{Duration, Instant};
use wire::ndp::{Message, NdpOption, Prefix, RouterAdvertisement};

/// RFC 4861 §10, MAX_INITIAL_RTR_ADVERTISEMENTS and their interval.
const INITIAL_ADVERTISEMENTS: u8 = 3;
const INITIAL_INTERVAL: Duration = Duration::from_secs(16);
/// RFC 4861 §10, MIN_DELAY_BETWEEN_RAS.
const GAP_MIN: Duration = Duration::from_secs(3);
/// RFC 4861 §10, MAX_RA_DELAY_TIME.
const DELAY_MAX_MS: u64 = 500;
/// RFC 4861 §6.2.1: the bounds of MaxRtrAdvInterval, in seconds, and of the router lifetime.
const INTERVAL_MIN_S: u64 = 4;
const INTERVAL_MAX_S: u64 = 1_800;
const LIFETIME_MAX_S: u64 = 9_000;
/// RFC 4861 §6.2.1: AdvValidLifetime and AdvPreferredLifetime, in seconds.
const VALID_S: u32 = 2_592_000;
const PREFERRED_S: u32 = 604_800;
/// Resolvers in an advertisement: they fill an option of at most 255 units of eight bytes; a handful is told.
const RESOLVERS_MAX: usize = 8;

/// The router's side of an interface.
#[derive(Debug)]
pub(crate) struct Router {
    config: RouterConfig,
    sent: u8,
    last: Option<Instant>,
    next: Instant,
}

impl Router {
    pub(crate) const fn new(config: RouterConfig) -> Self {
        Self { config, sent: 0, last: None, next: Instant::ZERO }
    }

    /// The time to the next unsolicited advertisement (RFC 4861 §6.2.4): drawn from between a third of the longest
    /// interval and all of it, and short for the first ones.
    fn interval(&self, random: u64) -> Duration {
        let longest_s = self.config.interval_max.as_secs().clamp(INTERVAL_MIN_S, INTERVAL_MAX_S);
        let longest_ms = longest_s * 1_000;
        let shortest_ms = (longest_ms / 3).max(3_000);
        let drawn = Duration::from_millis(shortest_ms + random % (longest_ms - shortest_ms + 1));
        if self.sent < INITIAL_ADVERTISEMENTS { drawn.min(INITIAL_INTERVAL) } else { drawn }
    }
}

impl Output {
    /// Starts to advertise, where the interface is configured to.
    pub(crate) fn start_router(&mut self, id: InterfaceId, now: Instant) {
        if let Some(router) = self.interface_mut(id).and_then(|interface| interface.router.as_mut()) {
            router.next = now;
            self.wheel.set(Timer::Router(id), now);
        }
    }

    /// RFC 4861 §6.2.6: answered by telling everyone, after a short random time, and not too often.
    pub(crate) fn receive_router_solicitation(&mut self, id: InterfaceId, now: Instant) -> Verdict {
        let delay = Duration::from_millis(self.random.below(DELAY_MAX_MS));
        let Some(router) = self.interface_mut(id).and_then(|interface| interface.router.as_mut()) else {
            return Verdict::Dropped(Drop::NdpNotForUs);
        };
        let earliest = router.last.map_or(now, |last| last + GAP_MIN);
        let at = (now + delay).max(earliest).min(router.next);
        router.next = at;
        self.wheel.set(Timer::Router(id), at);
        Verdict::Accepted
    }

    /// An advertisement is due.
    pub(crate) fn handle_router_timeout(&mut self, id: InterfaceId, now: Instant) {
        let random = self.random.next();
        let Some(router) = self.interface_mut(id).and_then(|interface| interface.router.as_mut()) else {
            return;
        };
        router.sent = router.sent.saturating_add(1);
        router.last = Some(now);
        let interval = router.interval(random);
        router.next = now + interval;
        self.wheel.set(Timer::Router(id), now + interval);
        self.advertise(id, now);
    }

    fn advertise(&mut self, id: InterfaceId, now: Instant) {
        let Some(interface) = self.interface(id) else { return };
        let (Some(router), Some(source)) = (&interface.router, interface.link_local) else { return };
        let config = &router.config;
        let lifetime_s = config.lifetime.as_secs().min(LIFETIME_MAX_S);
        let message = Message::RouterAdvertisement(RouterAdvertisement {
            hop_limit: HOP_LIMIT,
            lifetime_s: lifetime_s as u16,
            ..RouterAdvertisement::default()
        });
        let servers: Vec<[u8; 16]> =
            config.resolvers.iter().take(RESOLVERS_MAX).map(|a| a.octets()).collect();
        let mut options = alloc::vec![
            NdpOption::SourceLinkLayer(interface.hardware),
            NdpOption::Mtu(interface.capabilities.mtu.into()),
        ];
        for prefix in &config.prefixes {
            if let IpAddr::V6(network) = prefix.network() {
                options.push(NdpOption::Prefix(Prefix {
                    prefix: network,
                    length_bits: prefix.length(),
                    on_link: true,
                    autonomous: config.autonomous,
                    valid_s: VALID_S,
                    preferred_s: PREFERRED_S,
                }));
            }
        }
        if !servers.is_empty() {
            // RFC 8106 §5.1: three times the longest interval.
            let lifetime_s = (config.interval_max.as_secs() * 3) as u32;
            options.push(NdpOption::DnsServers { lifetime_s, servers: &servers });
        }
        self.send_ndp(id, source, ALL_NODES, &message, &options, now);
    }
}
