//! The peer of a live connection: it remembers what the stack has said, so that its segments hit the windows, and asserts
//! what any stack may say.

use crate::input::Input;
use crate::subject::{neighbour, own};
use std::net::IpAddr;
use time::SequenceNumber;
use wire::checksum::Sum;
use wire::tcp::{AccurateEcn, CHECKSUM_OFFSET, FastOpen, Flags, Header, Options, Timestamps};
use wire::{Protocol, icmpv4, ipv4, ipv6};

/// The stack's IP interface: no neighbours come between.
pub(crate) const INTERFACE: u8 = 1;
pub(crate) const OWN_PORT: u16 = 80;
pub(crate) const PEER_PORT: u16 = 40_000;
/// No window of the default profile is larger.
const WINDOW_BYTES_MAX: u32 = 4 << 20;

/// The other end: it remembers what a peer would, so that its segments hit the windows.
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) other: IpAddr,
    /// The number that its next byte would have.
    next: SequenceNumber,
    /// The number after the last that the stack has sent.
    seen: SequenceNumber,
    /// The stack's last timestamp.
    timestamp: u32,
    /// It has permitted SACK in some SYN.
    permits_sack: bool,
    /// Its segments carry a codepoint, AE, the option of accurate ECN and Fast Open's.
    pub(crate) speaks_more: bool,
    /// The cookie that the stack gave last.
    cookie: Option<FastOpen>,
    /// Behind the last byte that any of its windows allows; none before its first.
    edge: Option<SequenceNumber>,
    /// The largest window that one of its SYNs had.
    syn_window: u32,
    /// The shift that it has offered at most.
    scale: u8,
    /// The codepoint of its next packet.
    codepoint: u8,
    /// What the stack has sent last.
    last: Vec<u8>,
}

impl Peer {
    pub(crate) fn new(v6: bool) -> Self {
        Self {
            address: neighbour(INTERFACE, v6),
            other: own(INTERFACE, v6),
            next: SequenceNumber(u32::MAX - 1_000),
            seen: SequenceNumber(0),
            timestamp: 0,
            permits_sack: false,
            speaks_more: false,
            cookie: None,
            edge: None,
            syn_window: 0,
            scale: 0,
            codepoint: 0,
            last: Vec::new(),
        }
    }

    /// Remembers what the stack has sent.
    pub(crate) fn note(&mut self, frame: &[u8]) {
        let offset = if frame[0] >> 4 == 4 { ipv4::HEADER_LENGTH } else { ipv6::HEADER_LENGTH };
        let Ok((header, length)) = Header::parse(&frame[offset..]) else { return };
        let payload = (frame.len() - offset - length) as u32;
        let controls =
            u32::from(header.flags.contains(Flags::SYN)) + u32::from(header.flags.contains(Flags::FIN));
        if !header.flags.contains(Flags::RST) {
            let end = header.sequence + payload + controls;
            // One that only acknowledges stands at the end of a window that has shrunk, before what has left already.
            let begins = header.flags.contains(Flags::SYN);
            self.seen = if begins { end } else { self.seen.later(end) };
        }
        self.last = frame.to_vec();
        self.cookie = header.options.fast_open.or(self.cookie);
        self.check_window(&header, payload);
        if let Some(timestamps) = header.options.timestamps {
            self.timestamp = timestamps.value;
        }
        self.check_blocks(&header);
    }

    /// Nothing leaves beyond the peer's window (RFC 9293 §3.8.6), but one byte that asks whether it has opened, and what a
    /// SYN takes along (RFC 7413 §4.2.1).
    fn check_window(&mut self, header: &Header, payload: u32) {
        if header.flags.contains(Flags::SYN) {
            // A connection begins: what may leave is the window of the SYN that it answers, where it answers one.
            let window = Some(self.syn_window).filter(|window| *window > 0);
            self.edge = window.map(|window| header.sequence + 1 + window);
        }
        if let Some(edge) = self.edge.filter(|_| payload > 1 && !header.flags.contains(Flags::SYN)) {
            let end = header.sequence + payload;
            assert!(end.at_or_before(edge), "{} bytes beyond the window: {header:?}", end - edge);
        }
    }

    /// What the stack may send at most once it has this segment.
    fn open(&mut self, header: &Header) {
        if header.flags.contains(Flags::SYN) {
            self.syn_window = self.syn_window.max(header.window.into());
            self.scale = self.scale.max(header.options.window_scale.unwrap_or(0).min(14));
        }
        // RFC 9293 §3.10.7.4, fifth: what acknowledges nothing is dropped, window and all.
        if !header.flags.intersects(Flags::ACK | Flags::SYN) {
            return;
        }
        // Where it acknowledges nothing the stack may take it for the window of the SYN that it sent.
        let from = if header.flags.contains(Flags::ACK) { header.acknowledgement } else { self.seen };
        if from.at_or_before(self.seen) {
            let edge = from + (u32::from(header.window) << self.scale);
            self.edge = Some(self.edge.map_or(edge, |before| before.later(edge)));
        }
    }

    /// Packet Too Big about what the stack has sent last (RFC 1191 §4).
    pub(crate) fn too_big(&self, mtu: u16) -> Option<Vec<u8>> {
        let quoted = self.last.get(..ipv4::HEADER_LENGTH + 8).filter(|last| last[0] >> 4 == 4)?;
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (self.address, self.other) else { return None };
        let mut packet = vec![0; ipv4::HEADER_LENGTH + icmpv4::HEADER_LENGTH];
        let header = ipv4::Header {
            traffic_class: 0,
            total_length: (packet.len() + quoted.len()) as u16,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol: Protocol::ICMP,
            source,
            destination,
        };
        header.emit(&mut packet);
        let code = icmpv4::Unreachable::FRAGMENTATION_NEEDED;
        let message = icmpv4::Message::DestinationUnreachable { code, mtu };
        message.emit([quoted], &mut packet[ipv4::HEADER_LENGTH..]);
        packet.extend_from_slice(quoted);
        Some(packet)
    }

    /// What newer peers say, of a u8: bits 0 and 1 the codepoint, bit 2 AE, bit 3 the counters of accurate ECN, three u8, bit 4
    /// the stack's own cookie, bit 5 a request for one or a wrong one.
    fn say_more(&mut self, header: &mut Header, input: &mut Input<'_>) {
        let more = input.u8();
        self.codepoint = more & 3;
        if more & 4 != 0 {
            header.flags |= Flags::AE;
        }
        if more & 8 != 0 {
            let [ect0, ce, ect1] = [input.u8(), input.u8(), input.u8()].map(u32::from);
            header.options.accurate_ecn = Some(AccurateEcn::new(more & 64 != 0, more >> 6, ect0, ce, ect1));
        }
        if more & 16 != 0 {
            header.options.fast_open = self.cookie;
        } else if more & 32 != 0 {
            let wrong = FastOpen::new(&[more; 8]);
            header.options.fast_open = if more & 64 != 0 { wrong } else { Some(FastOpen::REQUEST) };
        }
        // There is no room for both beside all others.
        if header.options.fast_open.is_some() {
            header.options.accurate_ecn = None;
        }
    }

    /// What the stack says that it holds is possible (RFC 2018 §3 and §4, RFC 2883 §4).
    fn check_blocks(&self, header: &Header) {
        let blocks: Vec<_> = header.options.sack.iter().flatten().copied().collect();
        assert!(blocks.is_empty() || self.permits_sack, "SACK without leave");
        for (place, &(left, right)) in blocks.iter().enumerate() {
            assert!(left.before(right), "an empty block");
            let window = right - header.acknowledgement;
            let beyond = left.after(header.acknowledgement) && window <= WINDOW_BYTES_MAX;
            assert!(beyond || place == 0, "only what came twice may be told of again: {blocks:?}");
            // The first may tell of something that came twice, and lie within another.
            let others = blocks[..place].iter().skip(1);
            assert!(
                others.clone().all(|&(l, r)| r.before(left) || l.after(right)),
                "blocks that overlap or touch: {blocks:?}"
            );
        }
    }

    /// A segment: u8 flags; u8 payload length times 16; u16 window. Then, as the instruction's upper bits say,
    /// bit 3: an i16 by which the sequence number is off; bit 4: one for the acknowledgement; bit 5: timestamps, with
    /// a u8 by which they are newer; bit 6: SACK, see [`Self::blocks`]; bit 7: the options of a SYN, three bytes, and an
    /// urgent pointer.
    pub(crate) fn segment(&mut self, instruction: u8, input: &mut Input<'_>) -> Vec<u8> {
        let flags = Flags(input.u8().into());
        let length = usize::from(input.u8()) * 16;
        let window = input.u16();
        let mut offset = |bit: u8| if instruction & bit != 0 { input.u16() as i16 } else { 0 };
        let (sequence_off, acknowledgement_off) = (offset(8), offset(16));
        let mut header = Header {
            source_port: PEER_PORT,
            destination_port: OWN_PORT,
            sequence: SequenceNumber(self.next.0.wrapping_add_signed(sequence_off.into())),
            acknowledgement: SequenceNumber(self.seen.0.wrapping_add_signed(acknowledgement_off.into())),
            flags,
            window,
            urgent: 0,
            options: Options::default(),
        };
        if instruction & 32 != 0 {
            let value = self.next.0.wrapping_add(input.u8().into());
            header.options.timestamps = Some(Timestamps { value, echo: self.timestamp });
        }
        if instruction & 64 != 0 {
            header.options.sack = self.blocks(header.acknowledgement, input);
        }
        if instruction & 128 != 0 {
            header.urgent = input.u16();
            header.options.mss = Some(input.u16());
            header.options.window_scale = Some(input.u8());
            header.options.sack_permitted = true;
            self.permits_sack |= flags.contains(Flags::SYN);
        }
        if self.speaks_more {
            self.say_more(&mut header, input);
        }
        self.open(&header);
        if sequence_off == 0 {
            let controls = u32::from(flags.contains(Flags::SYN)) + u32::from(flags.contains(Flags::FIN));
            self.next += length as u32 + controls;
        }
        self.packet(&header, length)
    }

    /// SACK blocks: a u8 whose lowest two bits are their number less 1; for each a u16 by which it begins before what the
    /// stack has sent, or, where bit 2 and those that follow say so, before what is acknowledged; and a u16 of length.
    fn blocks(
        &self,
        acknowledgement: SequenceNumber,
        input: &mut Input<'_>,
    ) -> [Option<(SequenceNumber, SequenceNumber)>; 4] {
        let shape = input.u8();
        let mut blocks = [None; 4];
        for (place, block) in blocks.iter_mut().take(usize::from(shape & 3) + 1).enumerate() {
            let from = if shape >> (2 + place) & 1 == 0 { self.seen } else { acknowledgement };
            let left = from - u32::from(input.u16());
            *block = Some((left, left + u32::from(input.u16())));
        }
        blocks
    }

    fn packet(&self, header: &Header, payload: usize) -> Vec<u8> {
        let network = if self.address.is_ipv4() { ipv4::HEADER_LENGTH } else { ipv6::HEADER_LENGTH };
        let transport = header.length() + payload;
        let mut packet = vec![0xc3; network + transport];
        header.emit(&mut packet[network..]);
        let mut sum =
            Sum::pseudo(self.address, self.other, Protocol::TCP, transport).expect("of one version");
        sum.add(&packet[network..]);
        let at = network + CHECKSUM_OFFSET;
        packet[at..at + 2].copy_from_slice(&sum.checksum().to_be_bytes());
        match (self.address, self.other) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => ipv4::Header {
                traffic_class: self.codepoint,
                total_length: packet.len() as u16,
                identification: 0,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                ttl: 64,
                protocol: Protocol::TCP,
                source,
                destination,
            }
            .emit(&mut packet),
            (IpAddr::V6(source), IpAddr::V6(destination)) => ipv6::Header {
                traffic_class: self.codepoint,
                flow_label: 0,
                payload_length: transport as u16,
                next_header: Protocol::TCP,
                hop_limit: 64,
                source,
                destination,
            }
            .emit(&mut packet),
            _ => unreachable!("both addresses are made of one version"),
        }
        packet
    }
}
