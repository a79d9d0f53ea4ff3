//! An interface: its addresses, and what waits to leave by it.
//!
//! DEVIATES RFC 4862 §5.4: own IPv6 addresses are the owner's to choose and are used at once, without asking whether
//! another machine has them; who asks that of ours is answered.

use crate::neighbour::claim::Claim;
use crate::neighbour::router::Router;
use crate::{InterfaceConfig, InterfaceError, Prefix};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use packet::{Capabilities, Medium, Packet};
use wire::ethernet::Address;

/// Addresses of one interface: they are looked through one by one for each packet.
const ADDRESSES_MAX: usize = 16;

/// What a destination address is to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// One of its own.
    Own,
    /// Somebody else's, taken as ours because the interface intercepts.
    Intercepted,
    /// Every machine on the link.
    Broadcast,
    /// A group.
    Multicast,
    /// Somebody else's.
    Elsewhere,
}

/// An interface of a stack.
#[derive(Debug)]
pub(crate) struct Interface {
    pub capabilities: Capabilities,
    pub hardware: Address,
    pub addresses: Vec<Prefix>,
    pub link_local: Option<Ipv6Addr>,
    pub intercept: bool,
    /// The IPv4 addresses that are being probed for or announced (RFC 5227).
    pub claims: Vec<Claim>,
    pub router: Option<Router>,
    /// Whole frames that wait for `poll_transmit`.
    queue: VecDeque<Packet>,
    queue_max: usize,
    /// Connections that may have something to send, each at most once.
    pub ready: VecDeque<u64>,
}

impl Interface {
    pub(crate) fn new(config: InterfaceConfig, queue_max: usize) -> Result<Self, InterfaceError> {
        let InterfaceConfig { capabilities, hardware, addresses, intercept, announce, router } = config;
        if addresses.len() > ADDRESSES_MAX {
            return Err(InterfaceError::TooMany);
        }
        if addresses.iter().any(|prefix| !is_unicast(prefix.address)) {
            return Err(InterfaceError::NotUnicast);
        }
        let has_v6 = addresses.iter().any(|prefix| prefix.address.is_ipv6());
        let mtu_min = if has_v6 { wire::ipv6::MTU_MIN } else { wire::ipv4::MTU_MIN };
        if capabilities.mtu < mtu_min {
            return Err(InterfaceError::MtuTooSmall);
        }
        let ethernet = capabilities.medium == Medium::Ethernet;
        let claims = addresses.iter().filter_map(|prefix| match prefix.address {
            IpAddr::V4(address) if announce && ethernet => Some(Claim::new(address)),
            _ => None,
        });
        Ok(Self {
            capabilities,
            hardware: Address(hardware),
            claims: claims.collect(),
            link_local: (has_v6 && ethernet).then(|| link_local(hardware)),
            addresses,
            intercept,
            router: router.map(Router::new),
            queue: VecDeque::new(),
            queue_max,
            ready: VecDeque::new(),
        })
    }

    /// Bytes of the link header.
    pub(crate) const fn link_header_length(&self) -> usize {
        match self.capabilities.medium {
            Medium::Ethernet => wire::ethernet::HEADER_LENGTH,
            Medium::Ip => 0,
        }
    }

    /// Whether an address is the interface's own, and not under question by a probe.
    #[inline]
    pub(crate) fn owns(&self, address: IpAddr) -> bool {
        let known = self.addresses.iter().any(|prefix| prefix.address == address)
            || self.link_local.is_some_and(|own| address == IpAddr::V6(own));
        known && self.claims.iter().all(|claim| !claim.is_tentative(address))
    }

    /// What a destination address is to this interface.
    #[inline]
    pub(crate) fn reach(&self, address: IpAddr) -> Reach {
        if self.owns(address) {
            return Reach::Own;
        }
        if address.is_multicast() {
            return Reach::Multicast;
        }
        let IpAddr::V4(v4) = address else {
            return if self.intercept && is_unicast(address) { Reach::Intercepted } else { Reach::Elsewhere };
        };
        // RFC 1122 §3.2.1.3 (c), (e): the limited broadcast, and that of a prefix on the link.
        if v4.is_broadcast() || self.is_directed_broadcast(address) {
            return Reach::Broadcast;
        }
        if self.intercept && is_unicast(address) { Reach::Intercepted } else { Reach::Elsewhere }
    }

    /// Whether an address is the broadcast address of a prefix on the link.
    pub(crate) fn is_directed_broadcast(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|prefix| prefix.broadcast().is_some_and(|broadcast| address == broadcast))
    }

    /// The address to send from to `remote`, by a way whose next hop is `next_hop`: the one on the same prefix, else
    /// the first of its version; from a link-local address to link-local ones only (RFC 6724 §5 rules 2 and 8).
    pub(crate) fn source_for(&self, remote: IpAddr, next_hop: IpAddr) -> Option<IpAddr> {
        if let IpAddr::V6(v6) = remote
            && (v6.is_unicast_link_local() || v6.octets()[..2] == [0xff, 0x02])
            && let Some(own) = self.link_local
        {
            return Some(own.into());
        }
        let same = self.addresses.iter().filter(|prefix| prefix.address.is_ipv4() == remote.is_ipv4());
        let mut usable = same.filter(|prefix| self.owns(prefix.address));
        let on_link = usable.clone().find(|prefix| prefix.contains(remote));
        let on_link = on_link.or_else(|| usable.clone().find(|prefix| prefix.contains(next_hop)));
        on_link.or_else(|| usable.next()).map(|prefix| prefix.address)
    }

    /// Puts a whole frame in the queue, unless it is full.
    pub(crate) fn enqueue(&mut self, frame: Packet) -> bool {
        let room = self.queue.len() < self.queue_max;
        if room {
            self.queue.push_back(frame);
        }
        room
    }

    /// Whether the queue takes no more.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= self.queue_max
    }

    /// The next frame that waits.
    pub(crate) fn dequeue(&mut self) -> Option<Packet> {
        let frame = self.queue.pop_front();
        if self.queue.is_empty() && self.queue.capacity() > QUEUE_KEPT {
            self.queue.shrink_to(QUEUE_KEPT);
        }
        frame
    }

    /// Frames that wait.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }
}

/// Places in a queue that are kept while it is empty.
const QUEUE_KEPT: usize = 64;

/// Whether a packet can come from or go to `address` as one machine's: neither a group, nor a broadcast, nor
/// unspecified, nor loopback (RFC 1122 §3.2.1.3, RFC 4291 §2.5), nor an IPv4 address in IPv6's clothes.
pub(crate) fn is_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => {
            let [first, ..] = a.octets();
            !matches!(first, 0 | 127 | 224..=239) && a != Ipv4Addr::BROADCAST
        }
        IpAddr::V6(a) => {
            !a.is_multicast() && !a.is_unspecified() && !a.is_loopback() && a.to_ipv4_mapped().is_none()
        }
    }
}

/// The link-local address made of a hardware address (RFC 4291 §2.5.6, appendix A).
fn link_local([a, b, c, d, e, f]: [u8; 6]) -> Ipv6Addr {
    let word = u16::from_be_bytes;
    Ipv6Addr::new(0xfe80, 0, 0, 0, word([a ^ 2, b]), word([c, 0xff]), word([0xfe, d]), word([e, f]))
}
