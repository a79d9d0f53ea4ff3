//! Which connection a packet belongs to, and which way it goes in it.

use crate::network::words_of;
use crate::packet::Packet;
use crate::table::Hashed;
use core::net::IpAddr;
use hash::Key;
use wire::Protocol;

/// Both ends of a connection, in an order that does not depend on who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlowKey {
    low: End,
    high: End,
    protocol: Protocol,
}

/// An address with its port, or with what ICMP has instead: the asker's identifier, and beyond every port the type that is
/// asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End(IpAddr, u32);

/// Which end a packet comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    Low,
    High,
}

impl Hashed for FlowKey {
    fn hash(&self, key: Key) -> u64 {
        let [a, b, version] = words_of(self.low.0);
        let [c, d, _] = words_of(self.high.0);
        let ports = u64::from(self.low.1) << 32 | u64::from(self.high.1);
        key.quick(&[a, b, c, d, ports, version << 8 | u64::from(self.protocol.0)])
    }
}

/// Answers are told from queries by this: no port is as large.
const TYPE: u32 = 1 << 16;

/// Types of ICMP queries, and of their answers (RFC 792).
const QUERIES_V4: [(u8, u8); 2] = [(8, 0), (13, 14)];
/// The same of ICMPv6 (RFC 4443 §4).
const QUERIES_V6: [(u8, u8); 1] = [(128, 129)];

/// What kind of packet it is to a tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A segment, datagram, query or answer.
    Tracked {
        key: FlowKey,
        sender: Sender,
        /// It can open a connection, as far as its kind goes: an answer cannot.
        opens: bool,
    },
    /// It tells of an error, and quotes a packet.
    Error,
    /// Its transport's header is cut short or senseless.
    Broken,
    /// No connections are made of such.
    Other,
}

impl Kind {
    pub(super) fn of(packet: &Packet<'_>) -> Self {
        if packet.is_fragment && packet.transport.is_empty() {
            return Self::Other;
        }
        match packet.protocol {
            Protocol::TCP | Protocol::UDP => match packet.ports() {
                Some(ports) => {
                    let (source, destination) = (ports.source.into(), ports.destination.into());
                    Self::between(packet, source, destination, true)
                }
                None => Self::Broken,
            },
            Protocol::ICMP | Protocol::ICMPV6 => Self::of_icmp(packet),
            _ => Self::Other,
        }
    }

    fn of_icmp(packet: &Packet<'_>) -> Self {
        let Some((kind, _)) = packet.icmp() else { return Self::Broken };
        let (queries, is_error) = match packet.protocol {
            Protocol::ICMP => (&QUERIES_V4[..], wire::icmpv4::is_error_type(kind)),
            _ => (&QUERIES_V6[..], wire::icmpv6::is_error_type(kind)),
        };
        if is_error {
            return Self::Error;
        }
        let Some((query, _)) = queries.iter().find(|(query, answer)| *query == kind || *answer == kind)
        else {
            return Self::Other;
        };
        let Some(&[high, low]) = packet.transport.get(4..).and_then(|rest| rest.first_chunk()) else {
            return Self::Broken;
        };
        let (identifier, asked) = (u32::from(u16::from_be_bytes([high, low])), TYPE + u32::from(*query));
        match *query == kind {
            true => Self::between(packet, identifier, asked, true),
            false => Self::between(packet, asked, identifier, false),
        }
    }

    fn between(packet: &Packet<'_>, source: u32, destination: u32, opens: bool) -> Self {
        let (from, to) = (End(packet.source, source), End(packet.destination, destination));
        let protocol = packet.protocol;
        match from <= to {
            true => {
                Self::Tracked { key: FlowKey { low: from, high: to, protocol }, sender: Sender::Low, opens }
            }
            false => {
                Self::Tracked { key: FlowKey { low: to, high: from, protocol }, sender: Sender::High, opens }
            }
        }
    }
}
