//! No TCP: each frame is answered by what stands in it alone. Nothing is kept, nothing is checked, nothing is ever sent
//! again. What this reaches is what the device, the kernel behind it and the client allow anybody.

use link::Tap;
use packet::{Batch, Bytes, Checksum, Device, Offload, Packet, Segmentation, SegmentationKind};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::os::fd::AsFd;
use time::SequenceNumber;
use wire::ethernet::{self, EtherType};
use wire::tcp::{Flags, Header, Options, Timestamps};
use wire::{arp, ipv4, tcp};

use super::service::{Answer, DISCARD, GENERATE, HTTP, piece};
use super::{ADDRESS, MTU, TAP, tell_listening};

const HARDWARE: ethernet::Address = ethernet::Address([2, 0, 0, 0, 0, 1]);
/// The shift of the window that is offered, and the window: more than any client sends.
const WINDOW_SCALE: u8 = 10;
/// Payload of a full segment with timestamps.
const SEGMENT_BYTES: u16 = MTU - 52;
/// Payload of a frame that is cut by the kernel: with its headers under 64 KB.
const FRAME_BYTES: usize = 44 * SEGMENT_BYTES as usize;
/// Frames in a batch.
const BATCH_PACKETS: usize = 64;
/// Polls without a frame before it sleeps.
const POLLS_MAX: u32 = 200;
/// Bytes that may be in flight to a reader, whatever it offers: a kernel's usual largest window.
const FLIGHT_BYTES_MAX: u32 = 3 << 20;

/// Answers until it is killed.
pub fn serve() -> Result<(), String> {
    let mut tap = Tap::open(TAP, MTU).map_err(|error| format!("TAP: {error}"))?;
    let (mut arrived, mut leaving) =
        (Batch::with_capacity(BATCH_PACKETS), Batch::with_capacity(BATCH_PACKETS));
    let mut responder = Responder { answer: Answer::new(), sent: SequenceNumber(0), scale: 0 };
    let mut idle = 0;
    tell_listening();
    loop {
        tap.receive(&mut arrived).map_err(|error| format!("TAP: {error}"))?;
        idle = if arrived.is_empty() { idle + 1 } else { 0 };
        while let Some(packet) = arrived.pop() {
            responder.respond(&packet.into_bytes(), &mut |packet| {
                if leaving.push(packet).is_err() {
                    unreachable!("an answer is sent before the next is made");
                }
                // A TAP takes what it is given, or loses it.
                tap.transmit(&mut leaving).map_err(|error| format!("TAP: {error}"))
            })?;
        }
        if idle > POLLS_MAX {
            match poll(&mut [PollFd::new(&tap.as_fd(), PollFlags::IN)], None) {
                Ok(_) | Err(Errno::INTR) => idle = 0,
                Err(error) => return Err(format!("poll: {error}")),
            }
        }
    }
}

struct Responder {
    answer: Answer,
    /// How far the one reader of a stream has been sent to.
    sent: SequenceNumber,
    /// The shift of that reader's windows.
    scale: u8,
}

type Send<'a> = &'a mut dyn FnMut(Packet) -> Result<(), String>;

impl Responder {
    fn respond(&mut self, frame: &Bytes, send: Send<'_>) -> Result<(), String> {
        let Ok((link, start)) = ethernet::Header::parse(frame) else { return Ok(()) };
        match link.ether_type {
            EtherType::ARP => respond_arp(&frame[start..], send),
            EtherType::IPV4 => {
                let Ok((ip, ip_length)) = ipv4::Header::parse(&frame[start..]) else { return Ok(()) };
                let segment = frame.slice(start + ip_length..start + usize::from(ip.total_length));
                let Ok((header, length)) = Header::parse(&segment) else { return Ok(()) };
                self.respond_segment(&link, &ip, &header, segment.slice(length..), send)
            }
            _ => Ok(()),
        }
    }

    fn respond_segment(
        &mut self,
        link: &ethernet::Header,
        ip: &ipv4::Header,
        header: &Header,
        payload: Bytes,
        send: Send<'_>,
    ) -> Result<(), String> {
        let flags = header.flags;
        if flags.contains(Flags::RST) {
            return Ok(());
        }
        let control = u32::from(flags.contains(Flags::SYN)) + u32::from(flags.contains(Flags::FIN));
        let number = header.acknowledgement;
        let next = header.sequence + payload.len() as u32 + control;
        let answer = |flags: Flags, number: SequenceNumber, payload: Bytes| {
            frame(link, ip, header, flags, number, next, payload)
        };
        if flags.contains(Flags::SYN) {
            self.sent = SequenceNumber(1);
            self.scale = header.options.window_scale.unwrap_or(0);
            return send(answer(Flags::SYN | Flags::ACK, SequenceNumber(0), Bytes::new()));
        }
        if flags.contains(Flags::FIN) {
            return send(answer(Flags::FIN | Flags::ACK, number, Bytes::new()));
        }
        match header.destination_port {
            GENERATE => {
                let window = (u32::from(header.window) << self.scale).min(FLIGHT_BYTES_MAX);
                while self.sent - number + FRAME_BYTES as u32 <= window {
                    send(answer(Flags::ACK, self.sent, Bytes::from_static(&piece()[..FRAME_BYTES])))?;
                    self.sent += FRAME_BYTES as u32;
                }
                Ok(())
            }
            _ if payload.is_empty() => Ok(()),
            DISCARD => send(answer(Flags::ACK, number, Bytes::new())),
            HTTP => {
                self.answer.renew();
                let text = Bytes::copy_from_slice(self.answer.text());
                send(answer(Flags::ACK | Flags::PSH, number, text))
            }
            _ => send(answer(Flags::ACK | Flags::PSH, number, payload)),
        }
    }
}

fn respond_arp(bytes: &[u8], send: Send<'_>) -> Result<(), String> {
    let Ok(question) = arp::Packet::parse(bytes) else { return Ok(()) };
    if question.operation != arp::Operation::Request || question.target_protocol != ADDRESS {
        return Ok(());
    }
    let reply = arp::Packet {
        operation: arp::Operation::Reply,
        sender_hardware: HARDWARE,
        sender_protocol: ADDRESS,
        target_hardware: question.sender_hardware,
        target_protocol: question.sender_protocol,
    };
    let mut packet = Packet::default();
    reply.emit(packet.headers.prepend(arp::LENGTH));
    let link = ethernet::Header {
        destination: question.sender_hardware,
        source: HARDWARE,
        ether_type: EtherType::ARP,
    };
    link.emit(packet.headers.prepend(ethernet::HEADER_LENGTH));
    send(packet)
}

/// The frame that answers `header`.
fn frame(
    link: &ethernet::Header,
    ip: &ipv4::Header,
    header: &Header,
    flags: Flags,
    sequence: SequenceNumber,
    acknowledgement: SequenceNumber,
    payload: Bytes,
) -> Packet {
    let syn = flags.contains(Flags::SYN);
    let timestamps = header.options.timestamps.map(|peer| Timestamps { value: peer.value, echo: peer.value });
    let answer = Header {
        source_port: header.destination_port,
        destination_port: header.source_port,
        sequence,
        acknowledgement,
        flags,
        window: u16::MAX,
        options: Options {
            mss: syn.then_some(MTU - 40),
            window_scale: (syn && header.options.window_scale.is_some()).then_some(WINDOW_SCALE),
            timestamps,
            ..Options::default()
        },
        ..Header::default()
    };
    let length = answer.length() + payload.len();
    let segmented = payload.len() > usize::from(SEGMENT_BYTES);
    let mut packet = Packet::default();
    packet.body.push(payload);
    let bytes = packet.headers.prepend(answer.length());
    answer.emit(bytes);
    // The device finishes the sum; the pseudo-header's stands in its field.
    let sum = super::smoltcp_device::pseudo_sum(ADDRESS, ip.source, length);
    bytes[tcp::CHECKSUM_OFFSET..tcp::CHECKSUM_OFFSET + 2].copy_from_slice(&sum.to_be_bytes());
    let reply = ipv4::Header {
        total_length: (ipv4::HEADER_LENGTH + length) as u16,
        source: ADDRESS,
        destination: ip.source,
        ..*ip
    };
    reply.emit(packet.headers.prepend(ipv4::HEADER_LENGTH));
    let to = ethernet::Header { destination: link.source, source: HARDWARE, ether_type: EtherType::IPV4 };
    to.emit(packet.headers.prepend(ethernet::HEADER_LENGTH));
    let start = ethernet::HEADER_LENGTH + ipv4::HEADER_LENGTH;
    packet.offload = Offload {
        checksum: Checksum::Partial { start: start as u16, offset: tcp::CHECKSUM_OFFSET as u16 },
        segmentation: segmented.then_some(Segmentation {
            kind: SegmentationKind::Tcp4,
            size: SEGMENT_BYTES,
            header_length: (start + answer.length()) as u16,
        }),
    };
    packet
}
