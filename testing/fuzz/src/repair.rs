//! Makes checksums and lengths of an IP packet right, so that an input reaches what lies behind them.

use wire::checksum::{Sum, checksum};
use wire::{Protocol, extension, icmpv4, ipv4, ipv6, tcp, udp};

/// Repairs the IP packet in `packet`, as far as there is one.
pub(crate) fn repair(packet: &mut [u8]) {
    match packet.first().map(|first| first >> 4) {
        Some(4) => repair_ipv4(packet),
        Some(6) => repair_ipv6(packet),
        _ => {}
    }
}

fn repair_ipv4(packet: &mut [u8]) {
    if packet.len() < ipv4::HEADER_LENGTH || packet.len() > usize::from(u16::MAX) {
        return;
    }
    let length = usize::from(packet[0] & 15) * 4;
    if length < ipv4::HEADER_LENGTH || length > packet.len() {
        return;
    }
    let total = packet.len() as u16;
    put(packet, 2, total);
    put(packet, 10, 0);
    let sum = checksum(&packet[..length]);
    put(packet, 10, sum);
    let Ok((header, length)) = ipv4::Header::parse(packet) else { return };
    if header.is_fragment() {
        return;
    }
    let payload = &mut packet[length..];
    let pseudo = match header.protocol {
        Protocol::ICMP => Sum::new(),
        protocol => Sum::pseudo_v4(header.source, header.destination, protocol, payload.len()),
    };
    repair_transport(header.protocol, payload, pseudo);
}

fn repair_ipv6(packet: &mut [u8]) {
    let Some(payload_length) = packet.len().checked_sub(ipv6::HEADER_LENGTH) else { return };
    let Ok(payload_length) = u16::try_from(payload_length) else { return };
    put(packet, 4, payload_length);
    let Ok((header, _)) = ipv6::Header::parse(packet) else { return };
    let Ok(walk) = extension::walk(&header, packet) else { return };
    if walk.fragment.is_some() {
        return;
    }
    let payload = &mut packet[walk.offset..];
    let pseudo = Sum::pseudo_v6(header.source, header.destination, walk.protocol, payload.len());
    repair_transport(walk.protocol, payload, pseudo);
}

fn repair_transport(protocol: Protocol, payload: &mut [u8], mut pseudo: Sum) {
    let (least, at) = match protocol {
        Protocol::TCP => (tcp::HEADER_LENGTH, tcp::CHECKSUM_OFFSET),
        Protocol::UDP => (udp::HEADER_LENGTH, udp::CHECKSUM_OFFSET),
        Protocol::ICMP | Protocol::ICMPV6 => (icmpv4::HEADER_LENGTH, 2),
        _ => return,
    };
    if payload.len() < least {
        return;
    }
    if protocol == Protocol::UDP {
        let length = payload.len() as u16;
        put(payload, 4, length);
    }
    put(payload, at, 0);
    pseudo.add(payload);
    put(payload, at, if protocol == Protocol::UDP { udp::checksum(pseudo) } else { pseudo.checksum() });
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}
