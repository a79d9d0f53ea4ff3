//! The way out: routes, IP headers, neighbours, queues. Nothing here knows of sockets.

use crate::counters::Counters;
use crate::interface::{Interface, Reach};
use crate::ip::Identifications;
use crate::neighbour::{NeighbourId, Neighbours, Use, Waiting};
use crate::path::{PathMtu, Paths};
use crate::route::Routes;
use crate::station::{Station, Stations};
use crate::{Config, Drop, InterfaceId, SendError, TcpId};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;
use filter::{Bucket, Filter, Period, Rate, Unit};
use hash::{Key, Stream};
use packet::{Batch, Checksum, Medium, Packet};
use time::{Instant, Wheel};
use wire::checksum::Sum;
use wire::ethernet::{self, Address, EtherType};
use wire::{Protocol, ipv4, ipv6};

/// The hop limit of what we send (RFC 1340's recommendation for TTL, still the default of every stack).
pub(crate) const HOP_LIMIT: u8 = 64;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Timer {
    /// A connection, by number.
    Tcp(u64),
    /// A SYN that waits for its verdict, by number.
    Request(u64),
    /// A neighbour.
    Neighbour(NeighbourId),
    /// An interface's router advertisements.
    Router(InterfaceId),
    /// The IPv4 addresses that an interface claims.
    Claims(InterfaceId),
}

/// The interface and the neighbour that a packet leaves by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub interface: InterfaceId,
    pub next: IpAddr,
}

/// The IP header of a packet that is to leave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: Protocol,
    pub hop_limit: u8,
    /// The differentiated services code point, and below it the two bits of ECN (RFC 2474 §3, RFC 3168 §5).
    pub traffic_class: u8,
    /// The flow label of an IPv6 packet (RFC 6437); 0 where it has none.
    pub flow_label: u32,
    /// Routers may not fragment it (RFC 791 §3.1, RFC 1191 §3); IPv6 has no other packets.
    pub dont_fragment: bool,
    /// Where in the transport header a checksum over pseudo-header and packet is to be stored.
    pub checksum_offset: Option<usize>,
}

/// Everything between the sockets and the devices on the way out.
#[derive(Debug)]
pub(crate) struct Output {
    pub interfaces: Vec<Interface>,
    pub routes: Routes,
    pub paths: Paths,
    pub neighbours: Neighbours,
    pub identifications: Identifications,
    /// What ICMP errors may leave; none where there is none.
    pub errors: Option<Bucket>,
    pub wheel: Wheel<Timer>,
    pub counters: Counters,
    /// What packets are judged by, in and out; most stacks have none.
    pub filter: Option<Box<Filter>>,
    pub random: Stream,
    pub stations: Stations,
    /// Connections whose neighbour did not answer.
    pub unreachable: Vec<TcpId>,
    /// Connections whose neighbour has answered: they may go on.
    pub resumed: Vec<TcpId>,
    /// Frames that may wait at an interface.
    pub queue_max: usize,
}

/// How many ICMP errors may leave (RFC 1812 §4.3.2.8, RFC 4443 §2.4); a burst of none allows none at all.
fn errors_allowed(config: &Config, now: Instant) -> Option<Bucket> {
    let rate =
        Rate { amount: config.icmp_errors_per_second.into(), unit: Unit::Packets, period: Period::Second };
    let burst = u64::from(config.icmp_errors_burst);
    (burst > 0).then(|| Bucket::new(rate, burst, now))
}

impl Output {
    pub(crate) fn new(config: &Config, seed: &[u8; 32], now: Instant) -> Self {
        Self {
            interfaces: Vec::new(),
            routes: Routes::new(config.routes_max),
            paths: Paths::new(config.paths_max),
            neighbours: Neighbours::new(Key::derive(seed, 1), config.neighbours_max),
            identifications: Identifications::new(Key::derive(seed, 2)),
            errors: errors_allowed(config, now),
            wheel: Wheel::new(now),
            counters: Counters::new(),
            filter: None,
            random: Stream::new(Key::derive(seed, 3)),
            stations: Stations::default(),
            unreachable: Vec::new(),
            resumed: Vec::new(),
            queue_max: config.transmit_queue_max,
        }
    }

    #[inline]
    pub(crate) fn interface(&self, id: InterfaceId) -> Option<&Interface> {
        self.interfaces.get(usize::from(id.0))
    }

    #[inline]
    pub(crate) fn interface_mut(&mut self, id: InterfaceId) -> Option<&mut Interface> {
        self.interfaces.get_mut(usize::from(id.0))
    }

    /// The way to `destination`.
    pub(crate) fn hop(&self, destination: IpAddr) -> Option<Hop> {
        let route = self.routes.find(destination)?;
        Some(Hop { interface: route.interface, next: route.gateway.unwrap_or(destination) })
    }

    /// The way of an answer to what came in by `interface`: link-local addresses are known there only.
    pub(crate) fn hop_back(&self, interface: InterfaceId, destination: IpAddr) -> Option<Hop> {
        let local = matches!(destination, IpAddr::V6(a) if a.is_unicast_link_local() || a.is_multicast());
        if local { Some(Hop { interface, next: destination }) } else { self.hop(destination) }
    }

    /// What the path to `destination` is known to carry.
    pub(crate) fn path(&self, hop: Hop, destination: IpAddr, now: Instant) -> PathMtu {
        let link = self.interface(hop.interface).map_or(0, |interface| interface.capabilities.mtu);
        let known = self.paths.find(destination, now).filter(|(mtu, _)| mtu.bytes < link);
        known.map_or(PathMtu::of_link(link), |(mtu, _)| mtu)
    }

    /// Whether an address is one of any interface's own.
    pub(crate) fn owns(&self, address: IpAddr) -> bool {
        self.interfaces.iter().any(|interface| interface.owns(address))
    }

    /// Whether packets may leave from `address`: an own one, or any where an interface intercepts.
    pub(crate) fn may_send_from(&self, address: IpAddr) -> bool {
        self.owns(address)
            || (crate::interface::is_unicast(address) && self.interfaces.iter().any(|i| i.intercept))
    }

    /// Sends a packet that holds everything after the IP header; in fragments where it is too large for the link.
    pub(crate) fn send(
        &mut self,
        hop: Hop,
        out: Outgoing,
        packet: Packet,
        now: Instant,
    ) -> Result<(), SendError> {
        self.send_within(u16::MAX, hop, out, packet, now)
    }

    /// As [`send`](Self::send), in packets of no more than `mtu` bytes.
    pub(crate) fn send_within(
        &mut self,
        mtu: u16,
        hop: Hop,
        out: Outgoing,
        mut packet: Packet,
        now: Instant,
    ) -> Result<(), SendError> {
        if self.filter.is_some() && !self.filter_sent(hop, &out, &packet, now)? {
            return Ok(());
        }
        let Some(interface) = self.interfaces.get(usize::from(hop.interface.0)) else {
            return Err(SendError::NoRoute);
        };
        if interface.is_full() {
            self.counters.count(Drop::TransmitQueueFull);
            return Err(SendError::QueueFull);
        }
        let header_length = ip_header_length(out.source);
        let length = packet.len();
        let mtu = mtu.min(interface.capabilities.mtu);
        if header_length + length > usize::from(mtu) {
            return self.send_fragments(mtu, hop, out, packet, now);
        }
        let device_sums = interface.capabilities.transmit_checksum;
        if let Some(offset) = out.checksum_offset {
            let start = interface.link_header_length() + header_length;
            store_checksum(&mut packet, &out, offset, device_sums.then_some(start));
        }
        self.prepend_ip(&mut packet, &out, length);
        self.send_on(hop, packet, None, now);
        Ok(())
    }

    /// Writes the IP header in front of a packet that stays whole.
    pub(crate) fn prepend_ip(&mut self, packet: &mut Packet, out: &Outgoing, length: usize) {
        self.stations.pass(Station::NetworkTransmit);
        match (out.source, out.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                // What may be fragmented on the way needs an identification that is not used again soon (RFC 6864 §4.2).
                let identification = if out.dont_fragment {
                    0
                } else {
                    self.identifications.next(out.source, out.destination, out.protocol) as u16
                };
                let header = ipv4::Header {
                    traffic_class: out.traffic_class,
                    total_length: (ipv4::HEADER_LENGTH + length) as u16,
                    identification,
                    dont_fragment: out.dont_fragment,
                    more_fragments: false,
                    fragment_offset: 0,
                    ttl: out.hop_limit,
                    protocol: out.protocol,
                    source,
                    destination,
                };
                header.emit(packet.headers.prepend(ipv4::HEADER_LENGTH));
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = ipv6::Header {
                    traffic_class: out.traffic_class,
                    flow_label: out.flow_label,
                    payload_length: length as u16,
                    next_header: out.protocol,
                    hop_limit: out.hop_limit,
                    source,
                    destination,
                };
                header.emit(packet.headers.prepend(ipv6::HEADER_LENGTH));
            }
            _ => debug_assert!(false, "source and destination of a packet are of one IP version"),
        }
    }

    /// Sends an IP packet to the next hop, or keeps it until the neighbour has answered.
    pub(crate) fn send_on(&mut self, hop: Hop, packet: Packet, connection: Option<TcpId>, now: Instant) {
        match self.resolve(hop, &mut None, now) {
            Resolved::Link(hardware) => {
                self.send_frame(hop.interface, hardware, ether_type(hop.next), packet)
            }
            Resolved::Ip => self.enqueue(hop.interface, packet),
            Resolved::Later(id) => self.wait(id, packet, connection),
            Resolved::Never => self.counters.count(Drop::NoRoute),
        }
    }

    /// Keeps a packet until a neighbour has answered.
    pub(crate) fn wait(&mut self, id: NeighbourId, packet: Packet, connection: Option<TcpId>) {
        let waiting = Waiting { packet, connection };
        if self.neighbours.entry(id).is_none_or(|entry| entry.wait(waiting).is_some()) {
            self.counters.count(Drop::NeighbourQueueFull);
        }
    }

    /// Puts an Ethernet header in front of a packet and queues the frame.
    pub(crate) fn send_frame(
        &mut self,
        id: InterfaceId,
        to: Address,
        ether_type: EtherType,
        mut packet: Packet,
    ) {
        let Some(interface) = self.interface_mut(id) else { return };
        prepend_ethernet(&mut packet, interface.hardware, to, ether_type);
        self.enqueue(id, packet);
    }

    fn enqueue(&mut self, id: InterfaceId, frame: Packet) {
        if !self.interface_mut(id).is_some_and(|interface| interface.enqueue(frame)) {
            self.counters.count(Drop::TransmitQueueFull);
        }
    }

    /// Moves frames that wait at an interface into a batch.
    pub(crate) fn drain_queue(&mut self, id: InterfaceId, batch: &mut Batch) {
        let Some(interface) = self.interface_mut(id) else { return };
        while !batch.is_full() {
            let Some(frame) = interface.dequeue() else { return };
            // There is room: it was asked above.
            let _ = batch.push(frame);
        }
    }

    /// Where a packet to a next hop goes on the link. `known` is the neighbour found the last time, so that a
    /// connection does not look it up for each segment.
    #[inline]
    pub(crate) fn resolve(&mut self, hop: Hop, known: &mut Option<NeighbourId>, now: Instant) -> Resolved {
        if let Some(id) = *known {
            match self.neighbours.use_entry(id, now) {
                Some(Use::Send { hardware, timer: false }) => return Resolved::Link(hardware),
                Some(Use::Send { hardware, timer: true }) => {
                    self.set_neighbour_timer(id);
                    return Resolved::Link(hardware);
                }
                Some(Use::Wait) => return Resolved::Later(id),
                None => *known = None,
            }
        }
        self.resolve_anew(hop, known, now)
    }

    fn resolve_anew(&mut self, hop: Hop, known: &mut Option<NeighbourId>, now: Instant) -> Resolved {
        let Some(interface) = self.interface(hop.interface) else { return Resolved::Never };
        if interface.capabilities.medium == Medium::Ip {
            return Resolved::Ip;
        }
        match (interface.reach(hop.next), hop.next) {
            (Reach::Multicast, IpAddr::V4(group)) => return Resolved::Link(Address::multicast_v4(group)),
            (Reach::Multicast, IpAddr::V6(group)) => return Resolved::Link(Address::multicast_v6(group)),
            (Reach::Broadcast, _) => return Resolved::Link(Address::BROADCAST),
            // What is our own is not on the link: nobody would answer for it.
            (Reach::Own, _) => return Resolved::Never,
            (Reach::Intercepted | Reach::Elsewhere, _) => {}
        }
        if let Some(id) = self.neighbours.find(hop.interface, hop.next) {
            *known = Some(id);
            return self.resolve(hop, known, now);
        }
        let id = self.add_neighbour(hop.interface, hop.next, None, now);
        *known = Some(id);
        self.ask_everyone(hop.interface, hop.next);
        Resolved::Later(id)
    }

    /// Adds a neighbour; what waited for the one that is forgotten for it is dropped.
    pub(crate) fn add_neighbour(
        &mut self,
        interface: InterfaceId,
        address: IpAddr,
        hardware: Option<Address>,
        now: Instant,
    ) -> NeighbourId {
        let (id, evicted) = self.neighbours.insert(interface, address, hardware, now);
        if let Some((gone, entry)) = evicted {
            self.wheel.cancel(Timer::Neighbour(gone));
            for _ in entry.into_waiting() {
                self.counters.count(Drop::NeighbourQueueFull);
            }
        }
        self.set_neighbour_timer(id);
        id
    }

    /// Sets the wheel to what the neighbour's deadline is now.
    pub(crate) fn set_neighbour_timer(&mut self, id: NeighbourId) {
        match self.neighbours.entry(id).and_then(|entry| entry.deadline) {
            Some(at) => self.wheel.set(Timer::Neighbour(id), at),
            None => self.wheel.cancel(Timer::Neighbour(id)),
        }
    }

    /// Sends what waited for a neighbour that has told its hardware address.
    pub(crate) fn release(&mut self, interface: InterfaceId, to: Address, waiting: VecDeque<Waiting>) {
        for Waiting { packet, connection } in waiting {
            self.resumed.extend(connection);
            let version = packet.headers.first().map_or(4, |byte| byte >> 4);
            let ether_type = if version == 6 { EtherType::IPV6 } else { EtherType::IPV4 };
            self.send_frame(interface, to, ether_type, packet);
        }
    }
}

/// Where a packet goes on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// To this hardware address.
    Link(Address),
    /// The link carries IP packets as they are.
    Ip,
    /// The neighbour has been asked.
    Later(NeighbourId),
    /// Nowhere.
    Never,
}

/// Writes an Ethernet header in front of a packet; offload marks that count from the frame's start are right already.
#[inline]
pub(crate) fn prepend_ethernet(
    packet: &mut Packet,
    source: Address,
    destination: Address,
    ether_type: EtherType,
) {
    let header = ethernet::Header { destination, source, ether_type };
    header.emit(packet.headers.prepend(ethernet::HEADER_LENGTH));
}

pub(crate) const fn ether_type(address: IpAddr) -> EtherType {
    if address.is_ipv4() { EtherType::IPV4 } else { EtherType::IPV6 }
}

pub(crate) const fn ip_header_length(address: IpAddr) -> usize {
    if address.is_ipv4() { ipv4::HEADER_LENGTH } else { ipv6::HEADER_LENGTH }
}

/// The sum of the pseudo-header for `length` bytes of transport header and payload.
pub(crate) fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: Protocol, length: usize) -> Sum {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Sum::pseudo_v4(source, destination, protocol, length)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Sum::pseudo_v6(source, destination, protocol, length)
        }
        _ => Sum::new(),
    }
}

/// Stores the transport checksum of a packet that holds everything after the IP header: in full, or, where
/// `device_start` says where in the frame the device starts to sum, the pseudo-header's part of it.
pub(crate) fn store_checksum(
    packet: &mut Packet,
    out: &Outgoing,
    offset: usize,
    device_start: Option<usize>,
) {
    let mut sum = pseudo_header(out.source, out.destination, out.protocol, packet.len());
    let field = match device_start {
        Some(start) => {
            packet.offload.checksum = Checksum::Partial { start: start as u16, offset: offset as u16 };
            sum.partial()
        }
        None => {
            sum.add(&packet.headers);
            sum.add_chunks(packet.body.chunks());
            if out.protocol == Protocol::UDP { wire::udp::checksum(sum) } else { sum.checksum() }
        }
    };
    packet.headers[offset..offset + 2].copy_from_slice(&field.to_be_bytes());
}
