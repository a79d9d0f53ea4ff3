//! One connection that lives: what its peer sends, what its owner asks, and how time passes.
//!
//! The first byte's bit 0 says whether the stack opens actively, bit 1 whether over IPv6. Then instructions follow,
//! each a byte whose lowest three bits say what happens, and what that needs:
//!
//! | bits | what | needs |
//! |---|---|---|
//! | 0 to 2 | a segment from the peer | see [`Peer::segment`] |
//! | 3 | time passes | u8: 2^n microseconds |
//! | 4 | the owner writes | u16: so many bytes |
//! | 5 | the owner reads | u16: at most so many bytes |
//! | 6 | the owner's limit | u16: 16 times so many bytes |
//! | 7 | the owner ends: shut down, close for reading, or abort | the upper bits, 1 in 8 each; else nothing |

use crate::input::Input;
use crate::subject::{Subject, neighbour, own};
use packet::{Bytes, Medium};
use stack::{Binding, Event, Listen, TcpId};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use time::{Duration, SequenceNumber};
use wire::checksum::Sum;
use wire::tcp::{CHECKSUM_OFFSET, Flags, Header, Options, Timestamps};
use wire::{Protocol, ipv4, ipv6};

/// The stack's IP interface: no neighbours come between.
const INTERFACE: u8 = 1;
const OWN_PORT: u16 = 80;
const PEER_PORT: u16 = 40_000;
/// No window of the default profile is larger.
const WINDOW_BYTES_MAX: u32 = 4 << 20;

/// Gives one live connection what its peer and its owner may do.
///
/// # Panics
///
/// Where the stack panics, sends a malformed frame, or keeps something at the end.
pub fn tcp_live(data: &[u8]) {
    let mut input = Input::new(data);
    let first = input.u8();
    let v6 = first & 2 != 0;
    let mut subject = Subject::new();
    let mut peer = Peer::new(v6);
    let config: Arc<tcp::Config> = Arc::default();
    let mut listener = None;
    let mut connection = None;
    if first & 1 != 0 {
        let remote = SocketAddr::new(peer.address, PEER_PORT);
        let local = SocketAddr::new(peer.other, OWN_PORT);
        let opened = subject.stack.tcp_connect(Some(local), remote, config.clone(), subject.now);
        connection = Some(opened.expect("a route and a port"));
    } else {
        let listen = Listen { binding: Binding::Port(OWN_PORT), defer: false, backlog: 4, config };
        listener = Some(subject.stack.tcp_listen(listen).expect("free"));
    }
    let mut others = Vec::new();
    while !input.is_empty() {
        let instruction = input.u8();
        match instruction & 7 {
            0..=2 => {
                let packet = peer.segment(instruction, &mut input);
                subject.receive(usize::from(INTERFACE), packet);
            }
            3 => {
                let span = Duration::from_micros(1 << (input.u8() % 36));
                for (_, frame) in subject.pass(span) {
                    peer.note(&frame);
                }
            }
            _ => ask(&mut subject, connection, instruction, &mut input),
        }
        let (sent, events) = subject.drain();
        for (medium, frame) in sent {
            assert_eq!(medium, Medium::Ip, "the connection left by another interface");
            peer.note(&frame);
        }
        subject.assert_bounded();
        for event in events {
            if let Event::TcpAccepted { connection: accepted, .. } = event {
                others.extend(connection.replace(accepted));
            }
        }
    }
    for connection in others.into_iter().chain(connection) {
        subject.stack.tcp_release(connection, subject.now);
    }
    if let Some(listener) = listener {
        subject.stack.tcp_unlisten(listener);
    }
    subject.assert_comes_to_rest();
}

/// One call of the connection's owner.
fn ask(subject: &mut Subject, connection: Option<TcpId>, instruction: u8, input: &mut Input<'_>) {
    let Some(connection) = connection else { return };
    let (stack, now) = (&mut subject.stack, subject.now);
    match instruction & 7 {
        4 => {
            let mut data = Bytes::from(vec![0x5a; input.u16().into()]);
            let offered = data.len();
            let taken = stack.tcp_write(connection, &mut data, now);
            assert_eq!(taken + data.len(), offered, "what did not fit stays");
        }
        5 => {
            let bytes_max = usize::from(input.u16());
            let readable = stack.tcp_readable(connection);
            let read = stack.tcp_read(connection, bytes_max, now).map_or(0, |data| data.len());
            assert!(read <= bytes_max.min(readable), "read more than there was or was asked for");
        }
        6 => stack.tcp_set_receive_limit(connection, usize::from(input.u16()) * 16, now),
        _ => match instruction >> 3 {
            0..=3 => stack.tcp_shutdown(connection, now),
            4..=7 => stack.tcp_close_receive(connection, now),
            8..=11 => stack.tcp_abort(connection, now),
            _ => {}
        },
    }
}

/// The other end: it remembers what a peer would, so that its segments hit the windows.
struct Peer {
    address: IpAddr,
    other: IpAddr,
    /// The number that its next byte would have.
    next: SequenceNumber,
    /// The number after the last that the stack has sent.
    seen: SequenceNumber,
    /// The stack's last timestamp.
    timestamp: u32,
    /// It has permitted SACK in some SYN.
    permits_sack: bool,
}

impl Peer {
    fn new(v6: bool) -> Self {
        Self {
            address: neighbour(INTERFACE, v6),
            other: own(INTERFACE, v6),
            next: SequenceNumber(u32::MAX - 1_000),
            seen: SequenceNumber(0),
            timestamp: 0,
            permits_sack: false,
        }
    }

    /// Remembers what the stack has sent.
    fn note(&mut self, frame: &[u8]) {
        let offset = if frame[0] >> 4 == 4 { ipv4::HEADER_LENGTH } else { ipv6::HEADER_LENGTH };
        let Ok((header, length)) = Header::parse(&frame[offset..]) else { return };
        let payload = (frame.len() - offset - length) as u32;
        let controls =
            u32::from(header.flags.contains(Flags::SYN)) + u32::from(header.flags.contains(Flags::FIN));
        if !header.flags.contains(Flags::RST) {
            self.seen = header.sequence + payload + controls;
        }
        if let Some(timestamps) = header.options.timestamps {
            self.timestamp = timestamps.value;
        }
        self.check_blocks(&header);
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
    fn segment(&mut self, instruction: u8, input: &mut Input<'_>) -> Vec<u8> {
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
                traffic_class: 0,
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
                traffic_class: 0,
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
