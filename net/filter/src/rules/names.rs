//! Names for numbers: protocols, control bits, ICMP's types.

use wire::Protocol;
use wire::tcp::Flags;

/// Protocols that rules call by name.
pub(crate) const PROTOCOLS: [(&str, Protocol); 4] =
    [("tcp", Protocol::TCP), ("udp", Protocol::UDP), ("icmp", Protocol::ICMP), ("icmpv6", Protocol::ICMPV6)];

/// Control bits (RFC 9293 §3.1, RFC 3168 §6.1, RFC 9768 §3.1).
pub(crate) const FLAGS: [(&str, Flags); 9] = [
    ("fin", Flags::FIN),
    ("syn", Flags::SYN),
    ("rst", Flags::RST),
    ("psh", Flags::PSH),
    ("ack", Flags::ACK),
    ("urg", Flags::URG),
    ("ece", Flags::ECE),
    ("cwr", Flags::CWR),
    ("ae", Flags::AE),
];

/// Types of ICMP messages (RFC 792).
pub(crate) const TYPES_V4: [(&str, u8); 9] = [
    ("echo-reply", 0),
    ("destination-unreachable", 3),
    ("redirect", 5),
    ("echo-request", 8),
    ("time-exceeded", 11),
    ("parameter-problem", 12),
    ("timestamp-request", 13),
    ("timestamp-reply", 14),
    ("source-quench", 4),
];

/// Types of ICMPv6 messages (RFC 4443, RFC 4861 §4, RFC 3810 §5).
pub(crate) const TYPES_V6: [(&str, u8); 13] = [
    ("destination-unreachable", 1),
    ("packet-too-big", 2),
    ("time-exceeded", 3),
    ("parameter-problem", 4),
    ("echo-request", 128),
    ("echo-reply", 129),
    ("listener-query", 130),
    ("router-solicitation", 133),
    ("router-advertisement", 134),
    ("neighbour-solicitation", 135),
    ("neighbour-advertisement", 136),
    ("redirect", 137),
    ("listener-report", 143),
];

/// The types of one protocol.
pub(crate) fn types_of(protocol: Protocol) -> &'static [(&'static str, u8)] {
    if protocol == Protocol::ICMPV6 { &TYPES_V6 } else { &TYPES_V4 }
}

/// The name of a value.
pub(crate) fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> Option<&'static str> {
    names.iter().find(|(_, known)| known == value).map(|(name, _)| *name)
}

/// The value of a name.
pub(crate) fn value_of<T: Copy>(names: &[(&'static str, T)], name: &str) -> Option<T> {
    names.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}
