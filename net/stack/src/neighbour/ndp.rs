//! Neighbour discovery (RFC 4861 §7): solicitations and advertisements of hosts.
//!
//! DEVIATES RFC 4861 §7.2.1: no MLD reports are sent for the solicited-node groups (RFC 3810); a link that needs them
//! has a switch that snoops, and those pass link-scope groups without.

use crate::interface::is_unicast;
use crate::ip::Incoming;
use crate::output::{Hop, Outgoing, Output};
use crate::{Drop, InterfaceId, Verdict};
use core::net::{IpAddr, Ipv6Addr};
use packet::{Bytes, Packet};
use time::Instant;
use wire::ethernet::{Address, EtherType};
use wire::ndp::{HOP_LIMIT, Message, NdpOption, Options};
use wire::{Protocol, ipv6};

/// All nodes on the link (RFC 4291 §2.7.1).
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

impl Output {
    /// An ICMPv6 message of neighbour discovery whose checksum holds.
    pub(crate) fn receive_ndp(&mut self, incoming: &Incoming, now: Instant) -> Verdict {
        let Ok((ip, _)) = ipv6::Header::parse_quoted(&incoming.packet) else {
            return Verdict::Dropped(Drop::NdpInvalid);
        };
        // RFC 6980 §5: neighbour discovery is never fragmented.
        if incoming.reassembled {
            return Verdict::Dropped(Drop::NdpInvalid);
        }
        let Ok((message, options)) = Message::parse(&ip, &incoming.packet[incoming.transport..]) else {
            return Verdict::Dropped(Drop::NdpInvalid);
        };
        match message {
            Message::NeighborSolicitation { target } => {
                self.receive_solicitation(incoming.interface, ip.source, target, options, now)
            }
            Message::NeighborAdvertisement { solicited, replaces, target, .. } => {
                self.receive_advertisement(incoming.interface, target, options, (solicited, replaces), now)
            }
            Message::RouterSolicitation => {
                let told = source_link_layer(options);
                if !ip.source.is_unspecified()
                    && let Some(hardware) = told
                {
                    self.learn(incoming.interface, ip.source.into(), hardware, now);
                }
                self.receive_router_solicitation(incoming.interface, now)
            }
            // A stack's routes are its owner's: nobody on the link may change them.
            Message::RouterAdvertisement(_) | Message::Redirect { .. } => Verdict::Dropped(Drop::NdpNotForUs),
        }
    }

    /// RFC 4861 §7.2.3.
    fn receive_solicitation(
        &mut self,
        id: InterfaceId,
        source: Ipv6Addr,
        target: Ipv6Addr,
        options: Options<'_>,
        now: Instant,
    ) -> Verdict {
        let Some(interface) = self.interface(id) else { return Verdict::Dropped(Drop::NoInterface) };
        if !interface.owns(target.into()) {
            return Verdict::Dropped(Drop::NdpNotForUs);
        }
        let router = interface.router.is_some();
        let hardware = interface.hardware;
        // RFC 4861 §7.2.4: who has no address yet (RFC 4862 §5.4) is answered by telling everyone.
        let anonymous = source.is_unspecified();
        let destination = if anonymous { ALL_NODES } else { source };
        if !anonymous && let Some(told) = source_link_layer(options) {
            self.learn(id, source.into(), told, now);
        }
        let message =
            Message::NeighborAdvertisement { router, solicited: !anonymous, replaces: true, target };
        self.send_ndp(id, target, destination, &message, &[NdpOption::TargetLinkLayer(hardware)], now);
        Verdict::Accepted
    }

    /// RFC 4861 §7.2.5.
    fn receive_advertisement(
        &mut self,
        id: InterfaceId,
        target: Ipv6Addr,
        options: Options<'_>,
        (solicited, replaces): (bool, bool),
        now: Instant,
    ) -> Verdict {
        let told = options.iter().find_map(|option| match option {
            NdpOption::TargetLinkLayer(hardware) if hardware.is_unicast() => Some(hardware),
            _ => None,
        });
        let neighbour = self.neighbours.find(id, target.into());
        let Some(neighbour) = neighbour else { return Verdict::Dropped(Drop::NdpNotForUs) };
        let Some(entry) = self.neighbours.entry(neighbour) else {
            return Verdict::Dropped(Drop::NdpNotForUs);
        };
        let known = entry.hardware();
        // Without the option the advertisement speaks of the address that is known.
        let Some(hardware) = told.or(known) else { return Verdict::Dropped(Drop::NdpNotForUs) };
        if known.is_some_and(|known| known != hardware) && !replaces {
            entry.doubt();
            return Verdict::Accepted;
        }
        let waiting =
            if solicited { entry.handle_answer(hardware, now) } else { entry.handle_told(hardware) };
        self.set_neighbour_timer(neighbour);
        self.release(id, hardware, waiting);
        Verdict::Accepted
    }

    /// A neighbour has told its hardware address along with a question.
    fn learn(&mut self, id: InterfaceId, address: IpAddr, hardware: Address, now: Instant) {
        let on_link = self.hop_back(id, address).is_some_and(|hop| hop.interface == id);
        if !hardware.is_unicast() || !is_unicast(address) || !on_link {
            return;
        }
        let Some(neighbour) = self.neighbours.find(id, address) else {
            self.add_neighbour(id, address, Some(hardware), now);
            return;
        };
        let Some(entry) = self.neighbours.entry(neighbour) else { return };
        let waiting = entry.handle_told(hardware);
        self.set_neighbour_timer(neighbour);
        self.release(id, hardware, waiting);
    }

    /// Asks for a neighbour's hardware address: everyone, or the neighbour itself (RFC 4861 §7.2.2, §7.3.3).
    pub(crate) fn solicit(&mut self, id: InterfaceId, to: Option<Address>, target: Ipv6Addr) {
        let Some(interface) = self.interface(id) else { return };
        let Some(IpAddr::V6(source)) = interface.source_for(target.into(), target.into()) else { return };
        let destination = if to.is_some() { target } else { ipv6::solicited_node(target) };
        let hardware = to.unwrap_or_else(|| Address::multicast_v6(destination));
        let options = [NdpOption::SourceLinkLayer(interface.hardware)];
        let message = Message::NeighborSolicitation { target };
        let mut packet = ndp_packet(source, destination, &message, &options);
        let length = packet.len();
        self.prepend_ip(&mut packet, &outgoing(source, destination), length);
        self.send_frame(id, hardware, EtherType::IPV6, packet);
    }

    /// Sends a message to a neighbour or a group.
    pub(crate) fn send_ndp(
        &mut self,
        id: InterfaceId,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        message: &Message,
        options: &[NdpOption<'_>],
        now: Instant,
    ) {
        let packet = ndp_packet(source, destination, message, options);
        let hop = Hop { interface: id, next: destination.into() };
        // A full queue has counted the drop; the asker asks again.
        let _ = self.send(hop, outgoing(source, destination), packet, now);
    }
}

fn outgoing(source: Ipv6Addr, destination: Ipv6Addr) -> Outgoing {
    Outgoing {
        source: source.into(),
        destination: destination.into(),
        protocol: Protocol::ICMPV6,
        hop_limit: HOP_LIMIT,
        traffic_class: 0,
        flow_label: 0,
        dont_fragment: false,
        checksum_offset: None,
    }
}

fn ndp_packet(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    message: &Message,
    options: &[NdpOption<'_>],
) -> Packet {
    let mut bytes = alloc::vec![0; message.length(options)];
    message.emit(source, destination, options, &mut bytes);
    Packet { body: Bytes::from(bytes).into(), ..Packet::default() }
}

fn source_link_layer(options: Options<'_>) -> Option<Address> {
    options.iter().find_map(|option| match option {
        NdpOption::SourceLinkLayer(hardware) if hardware.is_unicast() => Some(hardware),
        _ => None,
    })
}
