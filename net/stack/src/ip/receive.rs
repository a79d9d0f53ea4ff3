//! What arrives, from the link header to the transport's (RFC 1122 §3.2.1).

use crate::interface::Reach;
use crate::stack::Stack;
use crate::station::Station;
use crate::{Drop, InterfaceId, Verdict};
use core::net::IpAddr;
use packet::{Buf, Bytes, Medium, Offload, Packet};
use time::Instant;
use wire::ethernet::{self, EtherType};
use wire::{Ecn, Protocol};

/// A packet whose IP header has been read.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub interface: InterfaceId,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub reach: Reach,
    pub protocol: Protocol,
    /// Its codepoint: of a frame that was joined, that of each of its segments.
    pub ecn: Ecn,
    /// From the first byte of the IP header to the last of its payload.
    pub packet: Bytes,
    /// Where the transport's header starts.
    pub transport: usize,
    /// What the device said of the frame.
    pub offload: Offload,
    /// The link carried it to a group: no ICMP error is sent about it (RFC 1122 §3.2.2).
    pub link_group: bool,
    /// It was put together from fragments.
    pub reassembled: bool,
    /// Its sender forbids that routers fragment it.
    pub dont_fragment: bool,
}

impl Stack {
    /// Takes one frame. Every one ends here in a verdict.
    pub(crate) fn receive(&mut self, id: InterfaceId, mut packet: Packet, now: Instant) -> Verdict {
        let offload = core::mem::take(&mut packet.offload);
        let mut frame = packet.into_bytes();
        let Some(interface) = self.output.interface(id) else { return Verdict::Dropped(Drop::NoInterface) };
        if interface.capabilities.medium == Medium::Ip {
            return match frame.first().map(|byte| byte >> 4) {
                Some(4) => self.receive_v4(id, frame, offload, false, now),
                Some(6) => self.receive_v6(id, frame, offload, false, now),
                _ => Verdict::Dropped(Drop::LinkMalformed),
            };
        }
        let Ok((header, length)) = ethernet::Header::parse(&frame) else {
            return Verdict::Dropped(Drop::LinkMalformed);
        };
        let group = header.destination.is_multicast();
        if !group && header.destination != interface.hardware {
            return Verdict::Dropped(Drop::OtherHardware);
        }
        self.output.stations.pass(Station::LinkReceive);
        // In place: nobody's count of sharers is touched.
        frame.advance(length);
        match header.ether_type {
            EtherType::IPV4 => self.receive_v4(id, frame, offload, group, now),
            EtherType::IPV6 => self.receive_v6(id, frame, offload, group, now),
            EtherType::ARP => self.output.receive_arp(id, &frame, &mut self.events, now),
            _ => Verdict::Dropped(Drop::EtherTypeUnknown),
        }
    }

    /// The checks on addresses that both versions share. `Err` names why the packet is dropped.
    #[inline]
    pub(crate) fn reach(&self, id: InterfaceId, source: IpAddr, destination: IpAddr) -> Result<Reach, Drop> {
        let Some(interface) = self.output.interface(id) else { return Err(Drop::NoInterface) };
        let reach = interface.reach(destination);
        // Neighbour discovery asks from no address (RFC 4861 §7.2.2), DHCP too; both go to a group.
        let anonymous = source.is_unspecified() && matches!(reach, Reach::Broadcast | Reach::Multicast);
        // RFC 1122 §3.2.1.3: nobody sends from a group, a broadcast or a loopback address.
        let one = crate::interface::is_unicast(source) && !interface.is_directed_broadcast(source);
        if !anonymous && !one {
            return Err(Drop::SourceMartian);
        }
        if interface.owns(source) {
            return Err(Drop::SourceOwn);
        }
        if reach == Reach::Elsewhere { Err(Drop::NotForUs) } else { Ok(reach) }
    }

    /// Whether a source is reached by the interface that a packet came in by (RFC 3704 §2.2); asked where an
    /// interface intercepts, before anything is kept for the source.
    pub(crate) fn is_from_elsewhere(&self, incoming: &Incoming) -> bool {
        let hop = self.output.hop_back(incoming.interface, incoming.source);
        incoming.reach == Reach::Intercepted && hop.is_none_or(|hop| hop.interface != incoming.interface)
    }

    /// Hands a whole packet to its transport.
    #[inline]
    pub(crate) fn receive_transport(&mut self, incoming: Incoming, now: Instant) -> Verdict {
        self.output.stations.pass(Station::NetworkReceive);
        if self.output.filter.is_some()
            && let Some(reason) = self.filter_received(&incoming, now)
        {
            return Verdict::Dropped(reason);
        }
        match incoming.protocol {
            Protocol::TCP => self.receive_segment(incoming, now),
            Protocol::UDP => self.receive_datagram(incoming, now),
            Protocol::ICMP if incoming.source.is_ipv4() => self.receive_icmp_v4(incoming, now),
            Protocol::ICMPV6 if incoming.source.is_ipv6() => self.receive_icmp_v6(incoming, now),
            // RFC 8200 §4.7: nothing follows, and nothing is wrong.
            Protocol::NO_NEXT_HEADER if incoming.source.is_ipv6() => Verdict::Dropped(Drop::ProtocolUnknown),
            _ => {
                self.refuse_protocol(&incoming, now);
                Verdict::Dropped(Drop::ProtocolUnknown)
            }
        }
    }
}
