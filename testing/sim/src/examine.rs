//! Whether a frame that a stack sent is what it must be: every header well-formed, every checksum right.

use packet::Medium;
use wire::checksum::Sum;
use wire::ethernet::EtherType;
use wire::{Protocol, arp, ethernet, extension, icmpv4, icmpv6, ipv4, ipv6, ndp, tcp, udp};

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The Ethernet header.
    Ethernet(ethernet::Malformed),
    /// An EtherType that the stack does not speak, or an IP version.
    UnknownType,
    /// An ARP packet.
    Arp(arp::Malformed),
    /// The IPv4 header.
    Ipv4(ipv4::Malformed),
    /// The IPv6 header.
    Ipv6(ipv6::Malformed),
    /// An IPv6 extension header.
    Extension(extension::Malformed),
    /// The ICMP message.
    Icmpv4(icmpv4::Malformed),
    /// The ICMPv6 message.
    Icmpv6(icmpv6::Malformed),
    /// The message of neighbour discovery.
    Ndp(ndp::Malformed),
    /// The UDP header.
    Udp(udp::Malformed),
    /// The TCP header.
    Tcp(tcp::Malformed),
    /// The checksum of TCP or UDP.
    TransportChecksum,
    /// Larger than the link's MTU.
    LargerThanMtu,
}

/// Looks at a whole frame.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn examine(medium: Medium, mtu: u16, frame: &[u8]) -> Result<(), Fault> {
    let (ether_type, packet) = match medium {
        Medium::Ethernet => {
            let (header, length) = ethernet::Header::parse(frame).map_err(Fault::Ethernet)?;
            (header.ether_type, &frame[length..])
        }
        Medium::Ip => match frame.first().map(|first| first >> 4) {
            Some(4) => (EtherType::IPV4, frame),
            Some(6) => (EtherType::IPV6, frame),
            _ => return Err(Fault::UnknownType),
        },
    };
    if packet.len() > usize::from(mtu) {
        return Err(Fault::LargerThanMtu);
    }
    match ether_type {
        EtherType::ARP => arp::Packet::parse(packet).map(|_| ()).map_err(Fault::Arp),
        EtherType::IPV4 => examine_ipv4(packet),
        EtherType::IPV6 => examine_ipv6(packet),
        _ => Err(Fault::UnknownType),
    }
}

fn examine_ipv4(packet: &[u8]) -> Result<(), Fault> {
    let (header, length) = ipv4::Header::parse(packet).map_err(Fault::Ipv4)?;
    if header.is_fragment() {
        return Ok(());
    }
    let payload = &packet[length..usize::from(header.total_length)];
    if header.protocol == Protocol::ICMP {
        return icmpv4::Message::parse(payload).map(|_| ()).map_err(Fault::Icmpv4);
    }
    let sum = Sum::pseudo_v4(header.source, header.destination, header.protocol, payload.len());
    examine_transport(header.protocol, payload, sum)
}

fn examine_ipv6(packet: &[u8]) -> Result<(), Fault> {
    let (header, length) = ipv6::Header::parse(packet).map_err(Fault::Ipv6)?;
    let packet = &packet[..length + usize::from(header.payload_length)];
    let walk = extension::walk(&header, packet).map_err(Fault::Extension)?;
    if walk.fragment.is_some() {
        return Ok(());
    }
    let payload = &packet[walk.offset..];
    if walk.protocol == Protocol::ICMPV6 {
        let parsed = icmpv6::Message::parse(payload, header.source, header.destination);
        return match parsed.map_err(Fault::Icmpv6)?.0 {
            icmpv6::Message::NeighborDiscovery => {
                ndp::Message::parse(&header, payload).map(|_| ()).map_err(Fault::Ndp)
            }
            _ => Ok(()),
        };
    }
    let sum = Sum::pseudo_v6(header.source, header.destination, walk.protocol, payload.len());
    examine_transport(walk.protocol, payload, sum)
}

fn examine_transport(protocol: Protocol, payload: &[u8], mut sum: Sum) -> Result<(), Fault> {
    let has_checksum = match protocol {
        Protocol::TCP => tcp::Header::parse(payload).map(|_| true).map_err(Fault::Tcp)?,
        Protocol::UDP => {
            udp::Header::parse(payload).map(|(header, _)| header.checksum != 0).map_err(Fault::Udp)?
        }
        _ => false,
    };
    sum.add(payload);
    if has_checksum && !sum.is_valid() { Err(Fault::TransportChecksum) } else { Ok(()) }
}
