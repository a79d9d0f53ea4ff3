//! One direction of a link: what was sent waits here until it has arrived.

use crate::link::{Burst, Link, Offloading};
use crate::narrow::Fit;
use crate::random::Random;
use crate::trace::Trace;
use crate::{Fault, examine, finish};
use packet::{Bytes, Checksum, Medium, Offload, Packet};
use std::collections::{BTreeMap, VecDeque};
use time::{Duration, Instant};
use wire::checksum::checksum;
use wire::ethernet::EtherType;
use wire::{Ecn, Protocol, ipv6};

/// Bytes that Ethernet adds to a frame on the wire: preamble 8, check sequence 4, gap 12 (IEEE 802.3).
const FRAMING_BYTES: u64 = 24;

/// What became of the packets that one direction of a link was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// Packets that arrived; duplicates count.
    pub delivered: u64,
    /// Packets lost on the way, alone or in runs.
    pub lost: u64,
    /// Packets that found the queue full.
    pub queue_full: u64,
    /// Packets that were larger than some part of the link carries.
    pub too_large: u64,
    /// Packets that arrived marked.
    pub marked: u64,
    /// Packets that were overtaken.
    pub reordered: u64,
    /// Packets that arrived twice.
    pub duplicated: u64,
    /// Packets that arrived with a wrong bit.
    pub corrupted: u64,
}

#[derive(Debug)]
pub(crate) struct Direction {
    link: Link,
    random: Random,
    /// Until when the link is bad.
    bad_until: Instant,
    /// When each packet that waits for the rate has left.
    departures: VecDeque<Instant>,
    /// By arrival, then by order of sending.
    in_flight: BTreeMap<(Instant, u64), Packet>,
    sent: u64,
    last_arrival: Instant,
    pub passage: Passage,
    /// What the middle of the link answers to who sends.
    answers: Vec<Bytes>,
    /// Whether the world gives what arrives to a host.
    pub attached: bool,
    /// Whether its packets come from a router, which passes on also what others have harmed.
    pub passed_on: bool,
    /// Loses all that is sent, neighbour discovery too.
    pub is_cut: bool,
    /// The first frame that a stack should not have sent.
    pub fault: Option<(Fault, Bytes)>,
}

impl Direction {
    pub(crate) fn new(link: Link, random: Random) -> Self {
        Self {
            link,
            random,
            bad_until: Instant::ZERO,
            departures: VecDeque::new(),
            in_flight: BTreeMap::new(),
            sent: 0,
            last_arrival: Instant::ZERO,
            passage: Passage::default(),
            answers: Vec::new(),
            attached: false,
            passed_on: false,
            is_cut: false,
            fault: None,
        }
    }

    /// What the middle of the link answers to who sent the last packets.
    pub(crate) fn take_answers(&mut self) -> Vec<Bytes> {
        core::mem::take(&mut self.answers)
    }

    /// An answer from the middle of the link, to who receives here.
    pub(crate) fn answer(&mut self, frame: Bytes, now: Instant) {
        let arrival = now + self.link.delay;
        self.fly(arrival, Packet::received(frame, Offload::default()));
    }

    /// Takes a packet from a device.
    pub(crate) fn send(&mut self, packet: Packet, now: Instant, trace: &mut Trace) {
        if self.link.offloading == Offloading::Through {
            let frame = Packet { offload: packet.offload, ..packet };
            self.look_at(frame.clone());
            let offload = frame.offload;
            self.put(Packet::received(frame.into_bytes(), offload), now, trace);
            return;
        }
        if self.link.offloading == Offloading::None {
            let bare = packet.offload.segmentation.is_none() && packet.offload.checksum == Checksum::Complete;
            assert!(bare, "a packet with marks for a device that offers no offload");
        }
        self.look_at(packet.clone());
        for frame in finish(packet) {
            self.put(Packet::received(frame, Offload::default()), now, trace);
        }
    }

    /// Remembers the first frame with a fault.
    fn look_at(&mut self, packet: Packet) {
        if self.passed_on {
            return;
        }
        for frame in finish(packet) {
            if let Err(fault) = examine(self.link.medium, self.link.mtu, &frame)
                && self.fault.is_none()
            {
                self.fault = Some((fault, frame));
            }
        }
    }

    /// Puts one frame on the link, with what the link does to it.
    fn put(&mut self, mut packet: Packet, now: Instant, trace: &mut Trace) {
        trace.record(now, self.link.medium, &packet);
        let Some(departure) = self.depart(packet.len(), now) else {
            self.passage.queue_full += 1;
            return;
        };
        // The packet itself is the last of those that wait.
        if self.link.mark_packets.is_some_and(|most| self.departures.len() > most)
            && let Some(marked) = self.marked(&packet)
        {
            packet = marked;
            self.passage.marked += 1;
        }
        if self.is_cut {
            self.passage.lost += 1;
            return;
        }
        if self.link.neighbours_spared && is_neighbour_discovery(self.link.medium, &packet) {
            let arrival = departure + self.link.delay;
            self.fly(arrival, packet);
            return;
        }
        if let Some(Fit::TooLarge(answer)) =
            self.link.narrow.map(|narrow| narrow.judge(self.link.medium, &packet))
        {
            self.passage.too_large += 1;
            self.answers.extend(answer);
            return;
        }
        if self.is_lost(now) {
            self.passage.lost += 1;
            return;
        }
        if self.random.chance(self.link.corrupt_ppm) {
            match self.corrupted(&packet) {
                Some(corrupted) => {
                    packet = corrupted;
                    self.passage.corrupted += 1;
                }
                None => {
                    self.passage.lost += 1;
                    return;
                }
            }
        }
        if self.random.chance(self.link.duplicate_ppm) {
            self.passage.duplicated += 1;
            let arrival = self.arrival(departure);
            self.fly(arrival, packet.clone());
        }
        let arrival = self.arrival(departure);
        self.fly(arrival, packet);
    }

    /// When the packet has left, at the link's rate; `None` where as many wait as may.
    fn depart(&mut self, length: usize, now: Instant) -> Option<Instant> {
        let Some(rate) = self.link.rate_bits else { return Some(now) };
        while self.departures.front().is_some_and(|departure| *departure <= now) {
            self.departures.pop_front();
        }
        if self.departures.len() >= self.link.queue_packets {
            return None;
        }
        let start = self.departures.back().copied().unwrap_or(now);
        let bits = (length as u64 + FRAMING_BYTES) * 8;
        let departure = start + Duration::from_nanos(bits * 1_000_000_000 / rate.max(1));
        self.departures.push_back(departure);
        Some(departure)
    }

    fn is_lost(&mut self, now: Instant) -> bool {
        if let Some(Burst { begin_ppm, lasting_max }) = self.link.burst
            && now >= self.bad_until
            && self.random.chance(begin_ppm)
        {
            self.bad_until = now + Duration::from_nanos(self.random.below(lasting_max.as_nanos() as u64));
        }
        now < self.bad_until || self.random.chance(self.link.loss_ppm)
    }

    fn arrival(&mut self, departure: Instant) -> Instant {
        let jitter = self.random.below(self.link.jitter.as_nanos() as u64);
        let arrival = departure + self.link.delay + Duration::from_nanos(jitter);
        if let Some(reorder) = self.link.reorder
            && self.random.chance(reorder.ppm)
        {
            self.passage.reordered += 1;
            return arrival + Duration::from_nanos(self.random.below(reorder.delay_max.as_nanos() as u64));
        }
        self.last_arrival = self.last_arrival.max(arrival);
        self.last_arrival
    }

    fn fly(&mut self, arrival: Instant, packet: Packet) {
        self.in_flight.insert((arrival, self.sent), packet);
        self.sent += 1;
    }

    /// The packet with a mark; `None` where it may not be marked.
    fn marked(&self, packet: &Packet) -> Option<Packet> {
        let mut frame = packet.clone().into_bytes().to_vec();
        let start = match self.link.medium {
            Medium::Ethernet => wire::ethernet::HEADER_LENGTH,
            Medium::Ip => 0,
        };
        if self.link.medium == Medium::Ethernet && frame[12..14] == [0x08, 0x06] {
            return None;
        }
        let ip = &mut frame[start..];
        let is_v4 = ip[0] >> 4 == 4;
        let shift = if is_v4 { 0 } else { 4 };
        if Ecn::of(ip[1] >> shift) == Ecn::NotEct {
            return None;
        }
        ip[1] |= Ecn::Ce.bits() << shift;
        if is_v4 {
            let length = usize::from(ip[0] & 15) * 4;
            ip[10..12].fill(0);
            let sum = checksum(&ip[..length]);
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        Some(Packet::received(Bytes::from(frame), packet.offload))
    }

    /// The packet with one bit wrong; `None` where only the link's own check could tell.
    fn corrupted(&mut self, packet: &Packet) -> Option<Packet> {
        let mut frame = packet.clone().into_bytes().to_vec();
        let link_header = match self.link.medium {
            Medium::Ethernet => wire::ethernet::HEADER_LENGTH,
            Medium::Ip => 0,
        };
        let is_ip = self.link.medium == Medium::Ip || frame[12..14] != [0x08, 0x06];
        if !is_ip || packet.offload.checksum != Checksum::Complete {
            return None;
        }
        let bits = (frame.len() - link_header) as u64 * 8;
        let bit = self.random.below(bits) as usize;
        frame[link_header + bit / 8] ^= 1 << (bit % 8);
        Some(Packet::received(Bytes::from(frame), packet.offload))
    }

    /// The next packet that has arrived.
    pub(crate) fn receive(&mut self, now: Instant) -> Option<Packet> {
        let first = self.in_flight.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        self.passage.delivered += 1;
        Some(first.remove())
    }

    /// When the next packet arrives; of those that the world does not take itself, the next after `now`.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        let from = if self.attached { Instant::ZERO } else { now + Duration::from_nanos(1) };
        self.in_flight.range((from, 0)..).next().map(|((arrival, _), _)| *arrival)
    }
}

/// Whether a frame is ARP's, or ICMPv6 of the types of neighbour discovery.
fn is_neighbour_discovery(medium: Medium, packet: &Packet) -> bool {
    let frame = packet.clone().into_bytes();
    let Ok((header, length)) = wire::ethernet::Header::parse(&frame) else { return false };
    let is_icmpv6 = frame.get(length + 6) == Some(&Protocol::ICMPV6.0);
    let is_ndp = frame.get(length + ipv6::HEADER_LENGTH).is_some_and(|kind| (133..=137).contains(kind));
    medium == Medium::Ethernet
        && (header.ether_type == EtherType::ARP
            || header.ether_type == EtherType::IPV6 && is_icmpv6 && is_ndp)
}
