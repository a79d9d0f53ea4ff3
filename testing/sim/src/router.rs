//! A router between links: it passes packets on by their destination, and drops those that the next link has no room
//! for, with or without a word (RFC 1812 §5.2, RFC 8200 §5). Its links carry IP packets alone, with nothing left to a
//! device.

use crate::port::Port;
use filter::{Filter, Hook, Verdict};
use packet::{Batch, Bytes, Device, Offload, Packet};
use std::net::IpAddr;
use time::Instant;
use wire::checksum::checksum;
use wire::{Protocol, icmpv4, icmpv6, ipv4, ipv6};

/// Packets of one batch.
const BATCH: usize = 64;
/// Bytes of a packet that an error quotes (RFC 1812 §4.3.2.3; RFC 4443 §3.2 allows more).
const QUOTED_BYTES_MAX: usize = 500;

/// What a router did to packets that it did not pass on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Larger than the next link's MTU.
    pub too_big: u64,
    /// Not let pass by its packet filter.
    pub filtered: u64,
    /// Malformed, without a route, or at the end of their life.
    pub others: u64,
}

#[derive(Debug)]
pub(crate) struct Router {
    /// Its links, and the address that it has on each of them, IPv4 and IPv6.
    pub ports: Vec<(Port, [IpAddr; 2])>,
    /// Which port leads to which host's address.
    pub routes: Vec<(IpAddr, usize)>,
    /// Whether the sender of a packet that is too big is told (RFC 1191, RFC 8201).
    tells: bool,
    /// What packets are judged by before they are passed on; the interfaces are its ports, in their order.
    pub filter: Option<Filter>,
    pub refusals: Refusals,
}

/// What is wrong with a packet, that its sender is told.
#[derive(Clone, Copy)]
enum Problem {
    /// It is too big for a link of this MTU: fragmentation needed, or Packet Too Big.
    TooBig(u16),
    /// The packet filter rejects it.
    Prohibited,
}

impl Router {
    pub(crate) fn new(tells: bool) -> Self {
        Self { ports: Vec::new(), routes: Vec::new(), tells, filter: None, refusals: Refusals::default() }
    }

    /// Takes what has arrived and passes it on.
    pub(crate) fn turn(&mut self, now: Instant) {
        let mut batch = Batch::with_capacity(BATCH);
        for at in 0..self.ports.len() {
            loop {
                self.ports[at].0.receive(&mut batch).expect("a simulated device does not break");
                if batch.is_empty() {
                    break;
                }
                while let Some(packet) = batch.pop() {
                    self.pass_on(packet.into_bytes().to_vec(), at, now);
                }
            }
        }
    }

    fn pass_on(&mut self, mut packet: Vec<u8>, from: usize, now: Instant) {
        let Some(destination) = destination(&packet) else {
            self.refusals.others += 1;
            return;
        };
        let Some(to) = self.route(destination).filter(|_| spend_life(&mut packet)) else {
            self.refusals.others += 1;
            return;
        };
        if let verdict @ (Verdict::Dropped | Verdict::Limited | Verdict::Rejected(_)) =
            self.judge(&packet, from, now)
        {
            self.refusals.filtered += 1;
            let tells = matches!(verdict, Verdict::Rejected(_));
            if let Some(error) = self.error(&packet, Problem::Prohibited, from).filter(|_| tells) {
                self.send(error, from);
            }
            return;
        }
        let mtu = self.ports[to].0.capabilities().mtu;
        if packet.len() > usize::from(mtu) {
            self.refusals.too_big += 1;
            if let Some(error) = self.error(&packet, Problem::TooBig(mtu), from).filter(|_| self.tells) {
                self.send(error, from);
            }
            return;
        }
        self.send(packet, to);
    }

    fn route(&self, destination: IpAddr) -> Option<usize> {
        self.routes.iter().find(|(address, _)| *address == destination).map(|(_, port)| *port)
    }

    fn send(&mut self, packet: Vec<u8>, port: usize) {
        let mut batch = Batch::with_capacity(1);
        let packet = Packet::received(Bytes::from(packet), Offload::default());
        batch.push(packet).expect("room for one");
        self.ports[port].0.transmit(&mut batch).expect("a simulated device does not break");
    }

    /// What becomes of a packet that came by a port and is for another.
    fn judge(&mut self, packet: &[u8], from: usize, now: Instant) -> Verdict {
        let Some(filter) = &mut self.filter else { return Verdict::Accepted };
        match filter::Packet::parse(packet) {
            Ok(packet) => filter.judge(Hook::Forward, from as u16, &packet, now).verdict,
            Err(_) => Verdict::Dropped,
        }
    }

    /// What tells the sender of `packet` of a problem.
    fn error(&self, packet: &[u8], problem: Problem, from: usize) -> Option<Vec<u8>> {
        let quoted = &packet[..packet.len().min(QUOTED_BYTES_MAX)];
        if packet[0] >> 4 == 4 {
            let (cause, _) = ipv4::Header::parse(packet).ok()?;
            let IpAddr::V4(source) = self.ports[from].1[0] else { return None };
            let mut bytes = vec![0; ipv4::HEADER_LENGTH + icmpv4::HEADER_LENGTH];
            let header = ipv4::Header {
                traffic_class: 0,
                total_length: (bytes.len() + quoted.len()) as u16,
                identification: 0,
                ttl: 64,
                protocol: Protocol::ICMP,
                source,
                destination: cause.source,
                ..cause
            };
            header.emit(&mut bytes);
            let (code, mtu) = match problem {
                Problem::TooBig(mtu) => (icmpv4::Unreachable::FRAGMENTATION_NEEDED, mtu),
                Problem::Prohibited => (icmpv4::Unreachable::PROHIBITED, 0),
            };
            let message = icmpv4::Message::DestinationUnreachable { code, mtu };
            message.emit([quoted], &mut bytes[ipv4::HEADER_LENGTH..]);
            bytes.extend_from_slice(quoted);
            return Some(bytes);
        }
        let (cause, _) = ipv6::Header::parse(packet).ok()?;
        let IpAddr::V6(source) = self.ports[from].1[1] else { return None };
        let mut bytes = vec![0; ipv6::HEADER_LENGTH + icmpv6::HEADER_LENGTH];
        let header = ipv6::Header {
            payload_length: (icmpv6::HEADER_LENGTH + quoted.len()) as u16,
            next_header: Protocol::ICMPV6,
            hop_limit: 64,
            source,
            destination: cause.source,
            ..cause
        };
        header.emit(&mut bytes);
        let message = match problem {
            Problem::TooBig(mtu) => icmpv6::Message::PacketTooBig { mtu: mtu.into() },
            Problem::Prohibited => {
                icmpv6::Message::DestinationUnreachable { code: icmpv6::Unreachable::PROHIBITED }
            }
        };
        message.emit(source, cause.source, [quoted], &mut bytes[ipv6::HEADER_LENGTH..]);
        bytes.extend_from_slice(quoted);
        Some(bytes)
    }
}

/// Where a packet goes to; `None` where it is malformed.
fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => ipv4::Header::parse(packet).ok().map(|(header, _)| header.destination.into()),
        6 => ipv6::Header::parse(packet).ok().map(|(header, _)| header.destination.into()),
        _ => None,
    }
}

/// Takes one hop from a packet's life; whether it has any left.
fn spend_life(packet: &mut [u8]) -> bool {
    if packet[0] >> 4 == 6 {
        packet[7] = packet[7].saturating_sub(1);
        return packet[7] > 0;
    }
    packet[8] = packet[8].saturating_sub(1);
    packet[10..12].fill(0);
    let length = usize::from(packet[0] & 15) * 4;
    let sum = checksum(&packet[..length]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet[8] > 0
}
