//! What kind of address a name resolved to, and whether a connection opened for the name may go there.
//!
//! Whoever runs a zone decides where its names point (DNS rebinding): an allowed name must not become a way to the
//! host's loopback, its neighbours or a cloud's metadata service. The classes follow IANA's special-purpose
//! registries (RFC 6890, RFC 8190) and the RFCs named at each branch. IPv6 forms that carry an IPv4 address are as
//! bad as the worst address in them.

use crate::domain::DomainName;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kind of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// An address of the internet.
    Public,
    /// Documentation (RFC 5737, 3849, 9637) or benchmarking (RFC 2544, 5180): nothing lives there outside a
    /// laboratory, and nothing privileged inside one, so that a name may lead there.
    Documentation,
    /// The host itself: 127.0.0.0/8, ::1.
    Loopback,
    /// Neighbours on the same link: 169.254.0.0/16 (RFC 3927), fe80::/10.
    LinkLocal,
    /// A site's own addresses: RFC 1918, shared (RFC 6598), unique local (RFC 4193), site-local (RFC 3879).
    Private,
    /// A cloud's metadata or credentials service.
    Metadata,
    /// 224.0.0.0/4, ff00::/8.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// "This" host or network: 0.0.0.0/8, ::.
    Unspecified,
    /// Reserved by IANA and not for use as a destination.
    Reserved,
    /// An address that an interface of the host has.
    Own,
}

impl AddressClass {
    /// Whether a name may lead there without a rule for the address.
    #[must_use]
    pub const fn is_reachable_by_name(self) -> bool {
        matches!(self, Self::Public | Self::Documentation)
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Documentation => "a documentation address",
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Private => "a private address",
            Self::Metadata => "a cloud metadata address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::Unspecified => "an unspecified address",
            Self::Reserved => "a reserved address",
            Self::Own => "an address of this host",
        })
    }
}

/// Services of clouds that hand out credentials to whoever asks from inside, and addresses of their kind.
const METADATA_V4: [Ipv4Addr; 6] = [
    Ipv4Addr::new(169, 254, 169, 254), // most clouds
    Ipv4Addr::new(169, 254, 170, 2),   // Amazon: credentials of a container
    Ipv4Addr::new(169, 254, 170, 23),  // Amazon: credentials of a pod
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle
    Ipv4Addr::new(168, 63, 129, 16),   // Azure: the host's agent
];
const METADATA_V6: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), // Amazon
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),  // Amazon: credentials of a pod
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),  // Google
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe), // 169.254.169.254 as OpenStack writes it
];

/// The IPv6 address that a command has inside its run.
pub const INSIDE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0x15);
/// Where the IPv6 addresses lie that names have inside a run, and their prefix in bits. Those of IPv4 are benchmarking's.
pub const NAMES_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd00, 2, 0, 1, 0, 0, 0, 0), 64);

/// The class of an address, given the addresses that the host's interfaces have. Where one of these is [`INSIDE_V6`], this
/// is a run within a run, and names have addresses of the outer one's, which judges them again.
#[must_use]
pub fn classify(address: IpAddr, own: &HashSet<IpAddr>) -> AddressClass {
    let address = address.to_canonical();
    let class = match address {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) if is_name_inside(v6) && own.contains(&INSIDE_V6.into()) => {
            AddressClass::Documentation
        }
        IpAddr::V6(v6) => classify_v6(v6),
    };
    if !class.is_reachable_by_name() {
        return class;
    }
    let carried = embedded(address);
    if own.contains(&address) || carried.iter().flatten().any(|v4| own.contains(&IpAddr::V4(*v4))) {
        return AddressClass::Own;
    }
    let worst =
        carried.iter().flatten().map(|v4| classify_v4(*v4)).find(|class| !class.is_reachable_by_name());
    worst.unwrap_or(class)
}

fn is_name_inside(address: Ipv6Addr) -> bool {
    let (network, prefix) = NAMES_V6;
    (address.to_bits() ^ network.to_bits()).leading_zeros() >= u32::from(prefix)
}

fn classify_v4(address: Ipv4Addr) -> AddressClass {
    if METADATA_V4.contains(&address) {
        return AddressClass::Metadata;
    }
    match address.octets() {
        [0, ..] => AddressClass::Unspecified,               // RFC 1122 §3.2.1.3
        [127, ..] => AddressClass::Loopback,                // RFC 1122 §3.2.1.3
        [169, 254, ..] => AddressClass::LinkLocal,          // RFC 3927
        [10, ..] | [192, 168, ..] => AddressClass::Private, // RFC 1918
        [172, second, ..] if second & 0xf0 == 16 => AddressClass::Private, // RFC 1918
        [100, second, ..] if second & 0xc0 == 64 => AddressClass::Private, // RFC 6598
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => AddressClass::Documentation, // RFC 5737
        [198, 18 | 19, ..] => AddressClass::Documentation,  // RFC 2544
        [192, 0, 0, 9 | 10] => AddressClass::Public,        // RFC 7723, RFC 8155: anycast
        [192, 0, 0, _] => AddressClass::Reserved,           // RFC 6890 §2.1
        [255, 255, 255, 255] => AddressClass::Broadcast,    // RFC 919
        [first, ..] if first >= 240 => AddressClass::Reserved, // RFC 1112 §4
        [first, ..] if first >= 224 => AddressClass::Multicast, // RFC 5771
        _ => AddressClass::Public,
    }
}

fn classify_v6(address: Ipv6Addr) -> AddressClass {
    if METADATA_V6.contains(&address) {
        return AddressClass::Metadata;
    }
    if address.is_unspecified() {
        return AddressClass::Unspecified;
    }
    if address.is_loopback() {
        return AddressClass::Loopback;
    }
    match address.segments() {
        [first, ..] if first & 0xff00 == 0xff00 => AddressClass::Multicast, // RFC 4291 §2.7
        [first, ..] if first & 0xffc0 == 0xfe80 => AddressClass::LinkLocal, // RFC 4291 §2.5.6
        [first, ..] if first & 0xffc0 == 0xfec0 => AddressClass::Private,   // RFC 3879
        [first, ..] if first & 0xfe00 == 0xfc00 => AddressClass::Private,   // RFC 4193
        [0x2001, 0xdb8, ..] => AddressClass::Documentation,                 // RFC 3849
        [0x3fff, second, ..] if second < 0x1000 => AddressClass::Documentation, // RFC 9637
        [0x2001, 2, 0, ..] => AddressClass::Documentation,                  // RFC 5180
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => AddressClass::Public,             // RFC 6052: as what it carries
        [0x64, 0xff9b, 1, ..] => AddressClass::Private, // RFC 8215: a site's own translator
        // Everything that is not 2000::/3 is unassigned, or was withdrawn (IPv4-compatible, RFC 4291 §2.5.5.1).
        [first, ..] if first & 0xe000 != 0x2000 => AddressClass::Reserved,
        _ => AddressClass::Public,
    }
}

/// The IPv4 addresses that an IPv6 address carries, and to which a translator or tunnel would lead.
#[must_use]
pub fn embedded(address: IpAddr) -> [Option<Ipv4Addr>; 2] {
    let IpAddr::V6(v6) = address else { return [None, None] };
    let [s0, s1, s2, s3, s4, s5, s6, s7] = v6.segments();
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match (s0, s1) {
        // IPv4-compatible, IPv4-mapped, IPv4-translated (RFC 4291 §2.5.5, RFC 2765 §2.1). `::` and `::1` carry nothing.
        (0, 0) if (s2, s3) == (0, 0) && (s4, s5, s6) != (0, 0, 0) => match (s4, s5) {
            (0, 0 | 0xffff) | (0xffff, 0) => [v4(s6, s7), None],
            _ => [None, None],
        },
        (0x64, 0xff9b) if (s2, s3, s4, s5) == (0, 0, 0, 0) => [v4(s6, s7), None], // RFC 6052 §2.1
        // RFC 6052 §2.2 with the /48 of RFC 8215: 16 bits, eight zero bits, 16 bits. Its /96 form is common too.
        (0x64, 0xff9b) if s2 == 1 => [v4(s3, (s4 & 0xff) << 8 | s5 >> 8), v4(s6, s7)],
        (0x2002, _) => [v4(s1, s2), None],         // 6to4, RFC 3056 §2
        (0x2001, 0) => [v4(s2, s3), v4(!s6, !s7)], // Teredo, RFC 4380 §4: server, client
        _ if (s4 & !0x0200, s5) == (0, 0x5efe) => [v4(s6, s7), None], // ISATAP, RFC 5214 §6.1
        _ => [None, None],
    }
}

/// Names whose addresses the user gave: `--resolve NAME=ADDRESS`.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    by_name: HashMap<DomainName, Vec<IpAddr>>,
}

impl Pins {
    /// Adds an address to a name.
    pub fn add(&mut self, name: DomainName, address: IpAddr) {
        let addresses = self.by_name.entry(name).or_default();
        let address = address.to_canonical();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }

    /// The addresses of a pinned name; `None` where it is not pinned.
    #[must_use]
    pub fn addresses(&self, name: &DomainName) -> Option<&[IpAddr]> {
        self.by_name.get(name).map(Vec::as_slice)
    }

    /// Whether the name is pinned to this address.
    #[must_use]
    pub fn contains(&self, name: &DomainName, address: IpAddr) -> bool {
        self.addresses(name).is_some_and(|addresses| addresses.contains(&address.to_canonical()))
    }
}

/// The first words of a refusal that tells where a name led; [`remedy`](crate::remedy) reads them again.
pub(crate) const RESOLVES_TO: &str = "it resolves to ";

/// Why a connection opened for an allowed name may not go to an address of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The address is of a kind to which a name alone does not lead.
    Class {
        /// Its kind.
        class: AddressClass,
        /// The flag that would let it pass.
        hint: String,
    },
    /// The policy does not let the name lead there.
    Denied {
        /// Why, as [`Decision`](crate::policy::Decision) tells it.
        why: std::sync::Arc<str>,
    },
}

impl NotAdmitted {
    /// The reason of a refusal, with the address that the name led to.
    #[must_use]
    pub fn reason(&self, address: IpAddr) -> String {
        match self {
            Self::Class { class, .. } => format!("{RESOLVES_TO}{address}, {class}"),
            Self::Denied { why } => format!("{RESOLVES_TO}{address}, {why}"),
        }
    }
}

impl fmt::Display for NotAdmitted {
    /// Why, as a refusal's line tells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class { class, .. } => write!(f, "it leads to {class}"),
            Self::Denied { why } => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::rules::Protocol;
    use crate::{Context, Proposal};

    fn class(address: &str) -> AddressClass {
        let own = HashSet::from(["203.0.113.9".parse().expect("own"), "2001:db8::9".parse().expect("own")]);
        classify(address.parse().expect(address), &own)
    }

    #[test]
    fn inside_a_run_names_may_lead_where_the_run_around_has_them() {
        let name: IpAddr = "fd00:2:0:1::7".parse().expect("an address");
        let beside: IpAddr = "fd00:2:0:2::7".parse().expect("an address");
        let inside = HashSet::from([INSIDE_V6.into()]);
        assert_eq!(classify(name, &HashSet::new()), AddressClass::Private);
        assert_eq!(classify(name, &inside), AddressClass::Documentation);
        assert_eq!(classify(beside, &inside), AddressClass::Private);
    }

    #[test]
    fn addresses_have_the_class_of_their_registry() {
        use AddressClass::*;
        for (address, expected) in [
            ("1.1.1.1", Public),
            ("127.0.0.1", Loopback),
            ("127.255.255.255", Loopback),
            ("::1", Loopback),
            ("10.0.0.1", Private),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("172.32.0.1", Public),
            ("192.168.1.1", Private),
            ("100.64.0.1", Private),
            ("100.128.0.1", Public),
            ("fd12::1", Private),
            ("fec0::1", Private),
            ("169.254.1.1", LinkLocal),
            ("fe80::1", LinkLocal),
            ("169.254.169.254", Metadata),
            ("fd00:ec2::254", Metadata),
            ("100.100.100.200", Metadata),
            ("168.63.129.16", Metadata),
            ("224.0.0.251", Multicast),
            ("ff02::fb", Multicast),
            ("255.255.255.255", Broadcast),
            ("0.0.0.0", Unspecified),
            ("0.1.2.3", Unspecified),
            ("::", Unspecified),
            ("240.0.0.1", Reserved),
            ("192.0.2.1", Documentation),
            ("198.18.0.1", Documentation),
            ("2001:db8::1", Documentation),
            ("2606:4700::1111", Public),
            ("203.0.113.9", Own),
            ("2001:db8::9", Own),
        ] {
            assert_eq!(class(address), expected, "{address}");
        }
    }

    #[test]
    fn an_ipv6_form_is_as_bad_as_what_it_carries() {
        use AddressClass::*;
        for (address, expected) in [
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:169.254.169.254", Metadata),
            ("::127.0.0.1", Reserved),
            ("::ffff:0:127.0.0.1", Reserved),
            ("64:ff9b::10.0.0.1", Private),
            ("64:ff9b::1.1.1.1", Public),
            ("64:ff9b::169.254.169.254", Metadata),
            ("64:ff9b:1::a9fe:a9fe", Private),
            ("2002:7f00:1::1", Loopback),
            ("2002:101:101::1", Public),
            ("2001:0:7f00:1::", Loopback),
            ("2001:0:101:101:0:0:80ff:fffe", Loopback), // the client 127.0.0.1, inverted
            ("2606:4700::5efe:10.0.0.1", Private),
            ("64:ff9b::203.0.113.9", Own),
            ("::ffff:203.0.113.9", Own),
        ] {
            assert_eq!(class(address), expected, "{address}");
        }
    }

    #[test]
    fn an_allowed_name_leads_inside_only_by_rule_or_pin() {
        let policy = Policy::of_rules(
            &["db.example".into(), "tcp://10.0.0.5:5432".into(), "host.weft.internal:80".into()],
            &["203.0.113.0/24".into()],
        )
        .expect("rules");
        let name: DomainName = "db.example".parse().expect("name");
        let mut pins = Pins::default();
        pins.add(name.clone(), "192.168.7.7".parse().expect("address"));
        let own = HashSet::new();
        let admit_to = |name: &DomainName, address: &str, port| {
            let proposal = Proposal::connect(Protocol::Tcp, name.clone(), port);
            policy.admit(&proposal, address.parse().expect(address), Context::default(), (&pins, &own), false)
        };
        let admit = |address: &str, port| admit_to(&name, address, port);
        assert_eq!(admit("1.1.1.1", 5432), Ok(()));
        assert_eq!(admit("10.0.0.5", 5432), Ok(()));
        assert_eq!(admit("::ffff:10.0.0.5", 5432), Ok(()));
        assert_eq!(admit("192.168.7.7", 22), Ok(()));
        assert_eq!(
            admit("10.0.0.5", 22),
            Err(NotAdmitted::Class {
                class: AddressClass::Private,
                hint: "--allow tcp://10.0.0.5:22".to_owned()
            })
        );
        assert!(matches!(admit("192.168.7.8", 22), Err(NotAdmitted::Class { .. })));
        assert!(matches!(admit("127.0.0.1", 22), Err(NotAdmitted::Class { .. })));
        assert_eq!(
            admit("203.0.113.5", 443),
            Err(NotAdmitted::Denied { why: "denied by --deny 203.0.113.0/24".into() })
        );
        let host: DomainName = "host.weft.internal".parse().expect("name");
        assert_eq!(admit_to(&host, "127.0.0.1", 80), Ok(()));
    }
}
