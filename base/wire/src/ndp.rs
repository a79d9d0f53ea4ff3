//! Neighbour discovery (RFC 4861 §4; RFC 8106 §5.1 for DNS servers): messages and their options.

use crate::Protocol;
use crate::checksum::Sum;
use crate::ethernet::Address;
use crate::field::{ipv6_at, put_u16, put_u32, u16_at, u32_at};
use crate::ipv6;
use core::net::Ipv6Addr;

/// The hop limit of every message: one that crossed a router has less (RFC 4861 §11.2).
pub const HOP_LIMIT: u8 = 255;

/// A message without its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Asks routers to advertise themselves.
    RouterSolicitation,
    /// A router tells of itself.
    RouterAdvertisement(RouterAdvertisement),
    /// Asks for a neighbour's link-layer address, or whether it is still there.
    NeighborSolicitation {
        /// Whose.
        target: Ipv6Addr,
    },
    /// A neighbour tells its link-layer address.
    NeighborAdvertisement {
        /// Whether it is a router.
        router: bool,
        /// Whether it answers a solicitation.
        solicited: bool,
        /// Whether it replaces what is known (RFC 4861 §4.4, the O flag).
        replaces: bool,
        /// Whose address it tells.
        target: Ipv6Addr,
    },
    /// A router tells of a better first hop.
    Redirect {
        /// The better first hop.
        target: Ipv6Addr,
        /// To where.
        destination: Ipv6Addr,
    },
}

/// What a router tells of itself (RFC 4861 §4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouterAdvertisement {
    /// The hop limit to use; 0 where it tells none.
    pub hop_limit: u8,
    /// Addresses are to be had by DHCPv6.
    pub managed: bool,
    /// Other configuration is to be had by DHCPv6.
    pub other: bool,
    /// How long it is a default router, in seconds; 0 where it is none.
    pub lifetime_s: u16,
    /// How long a neighbour counts as reachable, in milliseconds; 0 where it tells nothing.
    pub reachable_ms: u32,
    /// Time between solicitations in milliseconds; 0 where it tells nothing.
    pub retransmit_ms: u32,
}

/// An option of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NdpOption<'a> {
    /// The sender's link-layer address.
    SourceLinkLayer(Address),
    /// The target's link-layer address.
    TargetLinkLayer(Address),
    /// A prefix of the link.
    Prefix(Prefix),
    /// The link's MTU in bytes.
    Mtu(u32),
    /// Recursive DNS servers (RFC 8106 §5.1).
    DnsServers {
        /// How long they may be used, in seconds; `u32::MAX` for ever.
        lifetime_s: u32,
        /// Their addresses, 16 bytes each.
        servers: &'a [[u8; 16]],
    },
    /// Any other option; its type.
    Other(u8),
}

/// A prefix of the link (RFC 4861 §4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The prefix; bits after its length are zero.
    pub prefix: Ipv6Addr,
    /// Its length in bits, at most 128.
    pub length_bits: u8,
    /// Addresses in it are on the link.
    pub on_link: bool,
    /// Addresses may be formed from it (RFC 4862 §5.5).
    pub autonomous: bool,
    /// How long it is valid, in seconds; `u32::MAX` for ever.
    pub valid_s: u32,
    /// How long addresses formed from it are preferred, in seconds.
    pub preferred_s: u32,
}

/// Why a message is not valid (RFC 4861 §6.1, §7.1, §8.1): it is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end before the message does.
    Truncated,
    /// It crossed a router, or pretends to be from here.
    HopLimit,
    /// A code that is not 0.
    Code,
    /// Not a message of neighbour discovery.
    Type,
    /// An option of length 0, or one that leaves the message.
    OptionLength,
    /// A group as the target.
    MulticastTarget,
    /// A router's message that does not come from a link-local address.
    SourceNotLinkLocal,
    /// No source address, but a source link-layer address.
    LinkLayerWithoutSource,
    /// No source address, and not to a solicited-node group.
    DestinationNotSolicitedNode,
    /// Says that it was solicited, but goes to a group.
    SolicitedToGroup,
}

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;

const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const PREFIX: u8 = 3;
const MTU: u8 = 5;
const DNS_SERVERS: u8 = 25;

impl Message {
    /// Reads a message that is whole in `bytes`, from its ICMPv6 type on, and whose checksum holds
    /// ([`icmpv6::Message::parse`](crate::icmpv6::Message::parse) looks); with it, its options.
    ///
    /// # Errors
    ///
    /// Which of RFC 4861's validity rules it breaks.
    pub fn parse<'a>(ip: &ipv6::Header, bytes: &'a [u8]) -> Result<(Self, Options<'a>), Malformed> {
        if ip.hop_limit != HOP_LIMIT {
            return Err(Malformed::HopLimit);
        }
        let [kind, code, ..] = *bytes else { return Err(Malformed::Truncated) };
        let fixed = fixed_length(kind).ok_or(Malformed::Type)?;
        if code != 0 {
            return Err(Malformed::Code);
        }
        let Some((body, rest)) = bytes.split_at_checked(fixed) else {
            return Err(Malformed::Truncated);
        };
        let options = Options::parse(rest)?;
        let message = match kind {
            ROUTER_SOLICITATION => Self::RouterSolicitation,
            ROUTER_ADVERTISEMENT => Self::RouterAdvertisement(RouterAdvertisement {
                hop_limit: body[4],
                managed: body[5] & 0x80 != 0,
                other: body[5] & 0x40 != 0,
                lifetime_s: u16_at(body, 6),
                reachable_ms: u32_at(body, 8),
                retransmit_ms: u32_at(body, 12),
            }),
            NEIGHBOR_SOLICITATION => Self::NeighborSolicitation { target: ipv6_at(body, 8) },
            NEIGHBOR_ADVERTISEMENT => Self::NeighborAdvertisement {
                router: body[4] & 0x80 != 0,
                solicited: body[4] & 0x40 != 0,
                replaces: body[4] & 0x20 != 0,
                target: ipv6_at(body, 8),
            },
            _ => Self::Redirect { target: ipv6_at(body, 8), destination: ipv6_at(body, 24) },
        };
        message.check(ip, &options)?;
        Ok((message, options))
    }

    /// The rules about addresses.
    fn check(&self, ip: &ipv6::Header, options: &Options<'_>) -> Result<(), Malformed> {
        let anonymous = ip.source.is_unspecified();
        let mut told = options.iter().any(|option| matches!(option, NdpOption::SourceLinkLayer(_)));
        match *self {
            // RFC 4861 §6.1.1.
            Self::RouterSolicitation => {}
            // RFC 4861 §6.1.2.
            Self::RouterAdvertisement(_) => {
                if !ip.source.is_unicast_link_local() {
                    return Err(Malformed::SourceNotLinkLocal);
                }
                told = false;
            }
            // RFC 4861 §7.1.1.
            Self::NeighborSolicitation { target } => {
                if target.is_multicast() {
                    return Err(Malformed::MulticastTarget);
                }
                if anonymous && !is_solicited_node(ip.destination) {
                    return Err(Malformed::DestinationNotSolicitedNode);
                }
            }
            // RFC 4861 §7.1.2.
            Self::NeighborAdvertisement { solicited, target, .. } => {
                if target.is_multicast() {
                    return Err(Malformed::MulticastTarget);
                }
                if solicited && ip.destination.is_multicast() {
                    return Err(Malformed::SolicitedToGroup);
                }
                told = false;
            }
            // RFC 4861 §8.1.
            Self::Redirect { destination, .. } => {
                if !ip.source.is_unicast_link_local() {
                    return Err(Malformed::SourceNotLinkLocal);
                }
                if destination.is_multicast() {
                    return Err(Malformed::MulticastTarget);
                }
                told = false;
            }
        }
        if anonymous && told { Err(Malformed::LinkLayerWithoutSource) } else { Ok(()) }
    }

    /// Bytes that [`emit`](Self::emit) writes.
    pub fn length(&self, options: &[NdpOption<'_>]) -> usize {
        fixed_length(self.kind()).unwrap_or_default() + options.iter().map(NdpOption::length).sum::<usize>()
    }

    /// Writes message and options, with the ICMPv6 checksum, into `bytes`, which is
    /// [`length`](Self::length) long.
    pub fn emit(&self, source: Ipv6Addr, destination: Ipv6Addr, options: &[NdpOption<'_>], bytes: &mut [u8]) {
        let length = self.length(options);
        let bytes = &mut bytes[..length];
        bytes.fill(0);
        bytes[0] = self.kind();
        match *self {
            Self::RouterSolicitation => {}
            Self::RouterAdvertisement(advertisement) => {
                bytes[4] = advertisement.hop_limit;
                bytes[5] = u8::from(advertisement.managed) << 7 | u8::from(advertisement.other) << 6;
                put_u16(bytes, 6, advertisement.lifetime_s);
                put_u32(bytes, 8, advertisement.reachable_ms);
                put_u32(bytes, 12, advertisement.retransmit_ms);
            }
            Self::NeighborSolicitation { target } => bytes[8..24].copy_from_slice(&target.octets()),
            Self::NeighborAdvertisement { router, solicited, replaces, target } => {
                bytes[4] = u8::from(router) << 7 | u8::from(solicited) << 6 | u8::from(replaces) << 5;
                bytes[8..24].copy_from_slice(&target.octets());
            }
            Self::Redirect { target, destination } => {
                bytes[8..24].copy_from_slice(&target.octets());
                bytes[24..40].copy_from_slice(&destination.octets());
            }
        }
        let mut at = fixed_length(self.kind()).unwrap_or_default();
        for option in options {
            option.emit(&mut bytes[at..at + option.length()]);
            at += option.length();
        }
        let mut sum = Sum::pseudo_v6(source, destination, Protocol::ICMPV6, length);
        sum.add(bytes);
        put_u16(bytes, 2, sum.checksum());
    }

    const fn kind(&self) -> u8 {
        match self {
            Self::RouterSolicitation => ROUTER_SOLICITATION,
            Self::RouterAdvertisement(_) => ROUTER_ADVERTISEMENT,
            Self::NeighborSolicitation { .. } => NEIGHBOR_SOLICITATION,
            Self::NeighborAdvertisement { .. } => NEIGHBOR_ADVERTISEMENT,
            Self::Redirect { .. } => REDIRECT,
        }
    }
}

/// Bytes of a message before its options.
const fn fixed_length(kind: u8) -> Option<usize> {
    match kind {
        ROUTER_SOLICITATION => Some(8),
        ROUTER_ADVERTISEMENT => Some(16),
        NEIGHBOR_SOLICITATION | NEIGHBOR_ADVERTISEMENT => Some(24),
        REDIRECT => Some(40),
        _ => None,
    }
}

fn is_solicited_node(address: Ipv6Addr) -> bool {
    address == ipv6::solicited_node(address)
}

/// The options of a message, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    bytes: &'a [u8],
}

impl<'a> Options<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut rest = bytes;
        while !rest.is_empty() {
            // RFC 4861 §4.6: lengths in units of 8 bytes; 0 makes the message invalid.
            let length = usize::from(*rest.get(1).ok_or(Malformed::OptionLength)?) * 8;
            if length == 0 {
                return Err(Malformed::OptionLength);
            }
            rest = rest.get(length..).ok_or(Malformed::OptionLength)?;
        }
        Ok(Self { bytes })
    }

    /// The options in order. One of a known type but a wrong length counts as another's.
    pub fn iter(&self) -> impl Iterator<Item = NdpOption<'a>> + use<'a> {
        let mut rest = self.bytes;
        core::iter::from_fn(move || {
            let length = usize::from(*rest.get(1)?) * 8;
            let (option, next) = rest.split_at_checked(length)?;
            rest = next;
            Some(NdpOption::parse(option))
        })
    }
}

impl<'a> NdpOption<'a> {
    fn parse(bytes: &'a [u8]) -> Self {
        match (bytes[0], bytes.len()) {
            (SOURCE_LINK_LAYER, 8) => Self::SourceLinkLayer(link_layer(bytes)),
            (TARGET_LINK_LAYER, 8) => Self::TargetLinkLayer(link_layer(bytes)),
            (PREFIX, 32) if bytes[2] <= 128 => Self::Prefix(Prefix {
                prefix: masked(ipv6_at(bytes, 16), bytes[2]),
                length_bits: bytes[2],
                on_link: bytes[3] & 0x80 != 0,
                autonomous: bytes[3] & 0x40 != 0,
                valid_s: u32_at(bytes, 4),
                preferred_s: u32_at(bytes, 8),
            }),
            (MTU, 8) => Self::Mtu(u32_at(bytes, 4)),
            // RFC 8106 §5.3.1: at least one address, and whole ones.
            (DNS_SERVERS, 24..) if bytes.len() % 16 == 8 => {
                Self::DnsServers { lifetime_s: u32_at(bytes, 4), servers: bytes[8..].as_chunks().0 }
            }
            (kind, _) => Self::Other(kind),
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::SourceLinkLayer(_) | Self::TargetLinkLayer(_) | Self::Mtu(_) | Self::Other(_) => 8,
            Self::Prefix(_) => 32,
            Self::DnsServers { servers, .. } => 8 + 16 * servers.len(),
        }
    }

    fn emit(&self, bytes: &mut [u8]) {
        bytes[1] = (bytes.len() / 8) as u8;
        match *self {
            Self::SourceLinkLayer(address) | Self::TargetLinkLayer(address) => {
                let source = matches!(self, Self::SourceLinkLayer(_));
                bytes[0] = if source { SOURCE_LINK_LAYER } else { TARGET_LINK_LAYER };
                bytes[2..8].copy_from_slice(&address.0);
            }
            Self::Prefix(prefix) => {
                bytes[0] = PREFIX;
                bytes[2] = prefix.length_bits;
                bytes[3] = u8::from(prefix.on_link) << 7 | u8::from(prefix.autonomous) << 6;
                put_u32(bytes, 4, prefix.valid_s);
                put_u32(bytes, 8, prefix.preferred_s);
                bytes[16..32].copy_from_slice(&prefix.prefix.octets());
            }
            Self::Mtu(mtu) => {
                bytes[0] = MTU;
                put_u32(bytes, 4, mtu);
            }
            Self::DnsServers { lifetime_s, servers } => {
                bytes[0] = DNS_SERVERS;
                put_u32(bytes, 4, lifetime_s);
                bytes[8..].copy_from_slice(servers.as_flattened());
            }
            Self::Other(kind) => bytes[0] = kind,
        }
    }
}

fn link_layer(bytes: &[u8]) -> Address {
    Address([bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
}

/// `address` with the bits after the first `length_bits` cleared (RFC 4861 §4.6.2: receivers ignore them).
fn masked(address: Ipv6Addr, length_bits: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(length_bits)).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    const HOST: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 15);
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    const MAC: Address = Address([2, 0, 0, 0, 0, 1]);

    fn from_to(source: Ipv6Addr, destination: Ipv6Addr) -> ipv6::Header {
        ipv6::Header {
            traffic_class: 0,
            flow_label: 0,
            payload_length: 0,
            next_header: Protocol::ICMPV6,
            hop_limit: HOP_LIMIT,
            source,
            destination,
        }
    }

    fn emitted(message: Message, options: &[NdpOption<'_>]) -> Vec<u8> {
        let mut bytes = alloc::vec![0; message.length(options)];
        message.emit(ROUTER, HOST, options, &mut bytes);
        bytes
    }

    fn wrong(
        source: Ipv6Addr,
        destination: Ipv6Addr,
        message: Message,
        options: &[NdpOption<'_>],
    ) -> Malformed {
        Message::parse(&from_to(source, destination), &emitted(message, options)).expect_err("not valid")
    }

    #[test]
    fn a_router_advertises_all_that_a_host_needs() {
        let servers = [HOST.octets(), ROUTER.octets()];
        let options = [
            NdpOption::SourceLinkLayer(MAC),
            NdpOption::Mtu(1500),
            NdpOption::Prefix(Prefix {
                prefix: Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0),
                length_bits: 64,
                on_link: true,
                autonomous: true,
                valid_s: 86_400,
                preferred_s: 14_400,
            }),
            NdpOption::DnsServers { lifetime_s: u32::MAX, servers: &servers },
        ];
        let advertisement =
            RouterAdvertisement { hop_limit: 64, lifetime_s: 1800, ..RouterAdvertisement::default() };
        let bytes = emitted(Message::RouterAdvertisement(advertisement), &options);
        assert_eq!(bytes.len(), 16 + 8 + 8 + 32 + 40);
        let (message, read) = Message::parse(&from_to(ROUTER, ALL_NODES), &bytes).expect("valid");
        assert_eq!(message, Message::RouterAdvertisement(advertisement));
        assert_eq!(read.iter().collect::<Vec<_>>(), options);
        assert!(crate::icmpv6::Message::parse(&bytes, ROUTER, HOST).is_ok());
    }

    #[test]
    fn what_is_not_valid_has_a_name() {
        let solicitation = Message::NeighborSolicitation { target: HOST };
        let bytes = emitted(solicitation, &[]);
        let far = ipv6::Header { hop_limit: 254, ..from_to(ROUTER, HOST) };
        assert_eq!(Message::parse(&far, &bytes), Err(Malformed::HopLimit));
        let near = from_to(ROUTER, HOST);
        for keep in 0..24 {
            assert_eq!(Message::parse(&near, &bytes[..keep]), Err(Malformed::Truncated));
        }
        let changed = |at: usize, value: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            bytes
        };
        assert_eq!(Message::parse(&near, &changed(1, 1)), Err(Malformed::Code));
        assert_eq!(Message::parse(&near, &changed(0, 138)), Err(Malformed::Type));
        for options in [&[1u8, 0, 0, 0, 0, 0, 0, 0][..], &[1, 2, 0, 0, 0, 0, 0, 0], &[1]] {
            let mut bytes = bytes.clone();
            bytes.extend(options);
            assert_eq!(Message::parse(&near, &bytes), Err(Malformed::OptionLength));
        }
    }

    #[test]
    fn addresses_that_cannot_be_have_a_name() {
        let nobody = Ipv6Addr::UNSPECIFIED;
        let group = ipv6::solicited_node(HOST);
        let told = [NdpOption::SourceLinkLayer(MAC)];
        let ask = Message::NeighborSolicitation { target: HOST };
        assert_eq!(wrong(nobody, HOST, ask, &[]), Malformed::DestinationNotSolicitedNode);
        assert_eq!(wrong(nobody, group, ask, &told), Malformed::LinkLayerWithoutSource);
        assert!(Message::parse(&from_to(nobody, group), &emitted(ask, &[])).is_ok());
        let ask_group = Message::NeighborSolicitation { target: ALL_NODES };
        assert_eq!(wrong(ROUTER, group, ask_group, &[]), Malformed::MulticastTarget);
        assert_eq!(
            wrong(nobody, ALL_NODES, Message::RouterSolicitation, &told),
            Malformed::LinkLayerWithoutSource
        );
        let advertise = Message::RouterAdvertisement(RouterAdvertisement::default());
        assert_eq!(wrong(HOST, ALL_NODES, advertise, &told), Malformed::SourceNotLinkLocal);
        let answer = |target, solicited| Message::NeighborAdvertisement {
            router: false,
            solicited,
            replaces: true,
            target,
        };
        assert_eq!(wrong(ROUTER, ALL_NODES, answer(HOST, true), &[]), Malformed::SolicitedToGroup);
        assert_eq!(wrong(ROUTER, HOST, answer(ALL_NODES, true), &[]), Malformed::MulticastTarget);
        let redirect = |destination| Message::Redirect { target: ROUTER, destination };
        assert_eq!(wrong(HOST, HOST, redirect(HOST), &[]), Malformed::SourceNotLinkLocal);
        assert_eq!(wrong(ROUTER, HOST, redirect(ALL_NODES), &[]), Malformed::MulticastTarget);
    }

    fn any_message() -> impl Strategy<Value = Message> {
        let unicast = || (0..0xff_u128 << 120).prop_map(Ipv6Addr::from_bits);
        prop_oneof![
            Just(Message::RouterSolicitation),
            (any::<(u8, bool, bool)>(), any::<(u16, u32, u32)>()).prop_map(|(flags, times)| {
                Message::RouterAdvertisement(RouterAdvertisement {
                    hop_limit: flags.0,
                    managed: flags.1,
                    other: flags.2,
                    lifetime_s: times.0,
                    reachable_ms: times.1,
                    retransmit_ms: times.2,
                })
            }),
            unicast().prop_map(|target| Message::NeighborSolicitation { target }),
            (any::<(bool, bool, bool)>(), unicast()).prop_map(|((router, solicited, replaces), target)| {
                Message::NeighborAdvertisement { router, solicited, replaces, target }
            }),
            (unicast(), unicast())
                .prop_map(|(target, destination)| Message::Redirect { target, destination }),
        ]
    }

    fn any_option() -> impl Strategy<Value = NdpOption<'static>> {
        prop_oneof![
            any::<[u8; 6]>().prop_map(|mac| NdpOption::SourceLinkLayer(Address(mac))),
            any::<[u8; 6]>().prop_map(|mac| NdpOption::TargetLinkLayer(Address(mac))),
            any::<u32>().prop_map(NdpOption::Mtu),
            (30..255u8).prop_map(NdpOption::Other),
            (any::<(u128, bool, bool, u32, u32)>(), 0..=128u8).prop_map(|(fields, length_bits)| {
                NdpOption::Prefix(Prefix {
                    prefix: masked(Ipv6Addr::from_bits(fields.0), length_bits),
                    length_bits,
                    on_link: fields.1,
                    autonomous: fields.2,
                    valid_s: fields.3,
                    preferred_s: fields.4,
                })
            }),
            any::<u32>()
                .prop_map(|lifetime_s| NdpOption::DnsServers { lifetime_s, servers: &[[7; 16], [9; 16]] }),
        ]
    }

    proptest! {
        #[test]
        fn a_message_survives_the_wire(
            message in any_message(), options in prop::collection::vec(any_option(), 0..5),
        ) {
            let bytes = emitted(message, &options);
            let ip = from_to(ROUTER, HOST);
            let (read, read_options) = Message::parse(&ip, &bytes).expect("valid");
            prop_assert_eq!(read, message);
            prop_assert_eq!(read_options.iter().collect::<Vec<_>>(), options);
            prop_assert!(crate::icmpv6::Message::parse(&bytes, ROUTER, HOST).is_ok());
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            mut bytes in prop::collection::vec(any::<u8>(), 2..160), kind in 130..140u8, source: bool,
        ) {
            bytes[0] = kind;
            bytes[1] = 0;
            let ip = from_to(if source { ROUTER } else { Ipv6Addr::UNSPECIFIED }, HOST);
            if let Ok((_, options)) = Message::parse(&ip, &bytes) {
                let _ = options.iter().count();
            }
        }
    }
}
