//! ICMP errors from the script, about what the stack sent.

use super::flows::Flow;
use super::frames::{ip_packet, tcp_bytes, tcp_header, udp_bytes};
use super::world::World;
use crate::syntax::{Icmp, Network, Number, Quoted};
use std::net::{IpAddr, SocketAddr};
use wire::{Protocol, icmpv4, icmpv6};

/// Codes of destination unreachable in IPv4 (RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1).
const CODES_V4: [(&str, u8); 14] = [
    ("net_unreachable", 0),
    ("host_unreachable", 1),
    ("protocol_unreachable", 2),
    ("port_unreachable", 3),
    ("frag_needed", 4),
    ("source_route_failed", 5),
    ("net_unknown", 6),
    ("host_unknown", 7),
    ("source_host_isolated", 8),
    ("net_prohibited", 9),
    ("host_prohibited", 10),
    ("net_unreachable_for_tos", 11),
    ("host_unreachable_for_tos", 12),
    ("packet_filtered", 13),
];

/// Codes of destination unreachable in IPv6 (RFC 4443 §3.1).
const CODES_V6: [(&str, u8); 6] = [
    ("no_route", 0),
    ("admin_prohibited", 1),
    ("not_neighbour", 2),
    ("address_unreachable", 3),
    ("host_unreachable", 3),
    ("port_unreachable", 4),
];

/// Codes of time exceeded, the same in both versions.
const CODES_TIME: [(&str, u8); 2] = [("exceeded_hop_limit", 0), ("exceeded_frag_time", 1)];

/// Codes of parameter problem in IPv6 (RFC 4443 §3.4).
const CODES_PARAMETER: [(&str, u8); 3] =
    [("header_field", 0), ("unknown_next_header", 1), ("unknown_option", 2)];

/// The packet of an error about the subject of the script.
///
/// # Errors
///
/// The construct that is not known here.
pub fn error(
    message: &Icmp,
    subject: Option<&Flow>,
    datagrams: Option<(SocketAddr, SocketAddr)>,
    world: &World,
    network: &Network,
) -> Result<Vec<u8>, String> {
    let (local, remote) = match (message.quoted, subject) {
        (Quoted::Tcp(..), Some(flow)) => (flow.local, flow.remote),
        (Quoted::Udp(_, Some((from, to))), _) => {
            (SocketAddr::new(world.local.ip(), from), SocketAddr::new(world.remote.ip(), to))
        }
        (Quoted::Tcp(..) | Quoted::Udp(_, None), _) => datagrams.unwrap_or((world.local, world.remote)),
    };
    let (protocol, transport) = match message.quoted {
        Quoted::Tcp(start, _) => {
            let number = Number { value: start, absolute: false };
            let sequence = subject.map_or(start, |flow| flow.ours_to_wire(number, false));
            let bytes = tcp_bytes(local, remote, &tcp_header(sequence, 0, 0x10, 0, 0), &[], 0);
            (Protocol::TCP, bytes)
        }
        Quoted::Udp(..) => (Protocol::UDP, udp_bytes(local, remote, 0)),
    };
    let mut quoted = ip_packet(local.ip(), remote.ip(), &Network::default(), protocol, &transport);
    // RFC 792 asks for 8 bytes behind the header: the payload, and its length with it, are not quoted.
    quoted.truncate(if local.is_ipv4() { 28 } else { 48 });
    let (source, destination) = (remote.ip(), local.ip());
    let mut bytes = vec![0; icmpv4::HEADER_LENGTH];
    let protocol = match (source, destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            message_v6(message)?.emit(source, destination, [&quoted], &mut bytes);
            Protocol::ICMPV6
        }
        _ => {
            message_v4(message)?.emit([&quoted], &mut bytes);
            Protocol::ICMP
        }
    };
    bytes.extend_from_slice(&quoted);
    Ok(ip_packet(source, destination, network, protocol, &bytes))
}

fn message_v4(message: &Icmp) -> Result<icmpv4::Message, String> {
    let unknown = || format!("icmp {} {}", message.kind, message.code.as_deref().unwrap_or_default());
    match message.kind.as_str() {
        "unreachable" => {
            let code = code(message, &CODES_V4).ok_or_else(unknown)?;
            let mtu = u16::try_from(message.mtu.unwrap_or(0)).map_err(|_| unknown())?;
            Ok(icmpv4::Message::DestinationUnreachable { code: icmpv4::Unreachable(code), mtu })
        }
        "time_exceeded" => {
            Ok(icmpv4::Message::TimeExceeded { code: code(message, &CODES_TIME).ok_or_else(unknown)? })
        }
        "source_quench" => Ok(icmpv4::Message::Other { kind: 4, code: 0 }),
        _ => Err(unknown()),
    }
}

fn message_v6(message: &Icmp) -> Result<icmpv6::Message, String> {
    let unknown = || format!("icmpv6 {} {}", message.kind, message.code.as_deref().unwrap_or_default());
    match message.kind.as_str() {
        "unreachable" if message.mtu.is_none() => {
            let code = code(message, &CODES_V6).ok_or_else(unknown)?;
            Ok(icmpv6::Message::DestinationUnreachable { code: icmpv6::Unreachable(code) })
        }
        "packet_too_big" | "unreachable" => {
            Ok(icmpv6::Message::PacketTooBig { mtu: message.mtu.unwrap_or(0) })
        }
        "time_exceeded" => {
            Ok(icmpv6::Message::TimeExceeded { code: code(message, &CODES_TIME).ok_or_else(unknown)? })
        }
        "parameter_problem" => {
            let code = icmpv6::Parameter(code(message, &CODES_PARAMETER).ok_or_else(unknown)?);
            Ok(icmpv6::Message::ParameterProblem { code, pointer: 0 })
        }
        _ => Err(unknown()),
    }
}

fn code(message: &Icmp, codes: &[(&str, u8)]) -> Option<u8> {
    let Some(name) = &message.code else { return Some(0) };
    codes.iter().find(|(known, _)| known == name).map(|(_, code)| *code)
}
