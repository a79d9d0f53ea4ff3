//! ARP (RFC 826): questions and answers about IPv4 neighbours, and the defence of one's own addresses
//! (RFC 5227 §2.4).

use crate::neighbour::{Ask, NeighbourId};
use crate::output::{Output, Timer};
use crate::{Drop, Event, InterfaceId, Verdict};
use alloc::collections::VecDeque;
use core::net::{IpAddr, Ipv4Addr};
use packet::Packet;
use time::Instant;
use wire::arp::{self, Operation};
use wire::ethernet::{Address, EtherType};

impl Output {
    /// An ARP packet, from behind its Ethernet header.
    pub(crate) fn receive_arp(
        &mut self,
        id: InterfaceId,
        bytes: &[u8],
        events: &mut VecDeque<Event>,
        now: Instant,
    ) -> Verdict {
        let Ok(packet) = arp::Packet::parse(bytes) else { return Verdict::Dropped(Drop::ArpMalformed) };
        let Some(interface) = self.interface(id) else { return Verdict::Dropped(Drop::NoInterface) };
        let own_hardware = interface.hardware;
        let sender = packet.sender_protocol;
        if packet.sender_hardware == own_hardware {
            // Our own packet, sent back by the link.
            return Verdict::Dropped(Drop::ArpNotForUs);
        }
        if self.note_claims(id, &packet, events, now) {
            return Verdict::Accepted;
        }
        let for_us =
            self.interface(id).is_some_and(|interface| interface.owns(packet.target_protocol.into()));
        let merged = self.merge(id, &packet, for_us, now);
        if !for_us {
            return if merged { Verdict::Accepted } else { Verdict::Dropped(Drop::ArpNotForUs) };
        }
        // RFC 5227 §2.1.1: a probe has no sender address, and is answered without being learned from.
        let on_link =
            sender.is_unspecified() || self.hop(sender.into()).is_some_and(|hop| hop.interface == id);
        if !on_link {
            return Verdict::Dropped(Drop::ArpNotForUs);
        }
        if !merged && !sender.is_unspecified() && crate::interface::is_unicast(sender.into()) {
            self.add_neighbour(id, sender.into(), Some(packet.sender_hardware), now);
        }
        if packet.operation == Operation::Request {
            let reply = arp::Packet {
                operation: Operation::Reply,
                sender_hardware: own_hardware,
                sender_protocol: packet.target_protocol,
                target_hardware: packet.sender_hardware,
                target_protocol: sender,
            };
            self.send_arp(id, packet.sender_hardware, &reply);
        }
        Verdict::Accepted
    }

    /// Updates what is known of the sender, if anything is (RFC 826's merge). Whether it was.
    fn merge(&mut self, id: InterfaceId, packet: &arp::Packet, for_us: bool, now: Instant) -> bool {
        let Some(neighbour) = self.neighbours.find(id, packet.sender_protocol.into()) else { return false };
        let Some(entry) = self.neighbours.entry(neighbour) else { return false };
        let waiting = if packet.operation == Operation::Reply && for_us {
            entry.handle_answer(packet.sender_hardware, now)
        } else {
            entry.handle_told(packet.sender_hardware)
        };
        self.set_neighbour_timer(neighbour);
        self.release(id, packet.sender_hardware, waiting);
        true
    }

    /// Looks whether a packet speaks for an address that is ours or that we claim (RFC 5227 §2.1.1, §2.4). Whether
    /// it does, and is done with.
    fn note_claims(
        &mut self,
        id: InterfaceId,
        packet: &arp::Packet,
        events: &mut VecDeque<Event>,
        now: Instant,
    ) -> bool {
        let Some(interface) = self.interface_mut(id) else { return false };
        let probes_same = packet.sender_protocol.is_unspecified() && packet.operation == Operation::Request;
        let contested = if probes_same { packet.target_protocol } else { packet.sender_protocol };
        let claim = interface.claims.iter_mut().find(|claim| claim.is_tentative(contested.into()));
        if let Some(claim) = claim {
            claim.lose();
        } else if probes_same || !interface.owns(contested.into()) {
            return false;
        }
        events.push_back(Event::AddressConflict {
            interface: id,
            address: contested,
            hardware: packet.sender_hardware.0,
        });
        if interface.owns(contested.into()) && interface.may_defend(contested, now) {
            self.announce(id, contested);
        }
        true
    }

    /// Tells everyone on the link that an address is ours (RFC 5227 §3): a request for it, from it.
    pub(crate) fn announce(&mut self, id: InterfaceId, address: Ipv4Addr) {
        self.send_request(id, Address::BROADCAST, address, address);
    }

    /// Asks whether anyone uses an address (RFC 5227 §2.1.1).
    pub(crate) fn probe_address(&mut self, id: InterfaceId, address: Ipv4Addr) {
        self.send_request(id, Address::BROADCAST, Ipv4Addr::UNSPECIFIED, address);
    }

    fn send_request(&mut self, id: InterfaceId, to: Address, sender: Ipv4Addr, target: Ipv4Addr) {
        let Some(interface) = self.interface(id) else { return };
        let request = arp::Packet {
            operation: Operation::Request,
            sender_hardware: interface.hardware,
            sender_protocol: sender,
            target_hardware: Address::UNSPECIFIED,
            target_protocol: target,
        };
        self.send_arp(id, to, &request);
    }

    fn send_arp(&mut self, id: InterfaceId, to: Address, packet: &arp::Packet) {
        let mut frame = Packet::default();
        packet.emit(frame.headers.prepend(arp::LENGTH));
        self.send_frame(id, to, EtherType::ARP, frame);
    }

    /// Asks everyone on the link for a neighbour's hardware address.
    pub(crate) fn ask_everyone(&mut self, id: InterfaceId, address: IpAddr) {
        match address {
            IpAddr::V4(target) => self.ask_v4(id, Address::BROADCAST, target),
            IpAddr::V6(target) => self.solicit(id, None, target),
        }
    }

    fn ask_v4(&mut self, id: InterfaceId, to: Address, target: Ipv4Addr) {
        let source = self.interface(id).and_then(|i| i.source_for(target.into(), target.into()));
        if let Some(IpAddr::V4(source)) = source {
            self.send_request(id, to, source, target);
        }
    }

    /// A neighbour's deadline has come.
    pub(crate) fn handle_neighbour_timeout(&mut self, neighbour: NeighbourId, now: Instant) {
        let Some(entry) = self.neighbours.entry(neighbour) else { return };
        let (interface, address) = (entry.interface, entry.address);
        match entry.handle_timeout(now) {
            Ask::Nothing => {}
            Ask::Everyone => self.ask_everyone(interface, address),
            Ask::Itself(hardware) => match address {
                // RFC 1122 §2.3.2.1 (2): an entry is checked by asking the neighbour itself.
                IpAddr::V4(target) => self.ask_v4(interface, hardware, target),
                IpAddr::V6(target) => self.solicit(interface, Some(hardware), target),
            },
            Ask::Nobody => {
                self.forget(neighbour);
                return;
            }
        }
        self.set_neighbour_timer(neighbour);
    }

    /// A neighbour did not answer: what waited for it is dropped, and whose it was is told.
    fn forget(&mut self, neighbour: NeighbourId) {
        self.wheel.cancel(Timer::Neighbour(neighbour));
        let Some(entry) = self.neighbours.remove(neighbour) else { return };
        for waiting in entry.into_waiting() {
            self.counters.count(Drop::NeighbourUnreachable);
            if let Some(connection) = waiting.connection
                && self.unreachable.last() != Some(&connection)
            {
                self.unreachable.push(connection);
            }
        }
    }
}
