//! Frames that nobody sane sends: a stack in use takes them without a panic, counts each, and stays within bounds.

use crate::link::*;
use crate::requests::{intercept, syn};
use crate::segments::{handshake, listen, segment};
use core::net::SocketAddr;
use packet::{Bytes, Checksum, Offload, Packet, Segmentation, SegmentationKind};
use proptest::collection::vec;
use proptest::prelude::*;
use stack::{Binding, Event, Memory, Refusal, TcpId};
use time::{Duration, SequenceNumber};
use wire::ethernet::EtherType;
use wire::tcp::{Flags, Timestamps};
use wire::{Protocol, icmpv4, ipv4};

/// A stack in the middle of its work, and what the peer of its connection would send next.
struct Busy {
    link: Link,
    connection: TcpId,
    next: SequenceNumber,
    acknowledged: SequenceNumber,
}

/// The connection's ends.
fn ends() -> (SocketAddr, SocketAddr) {
    (at(PEER_V4, 50_000), at(OUR_V4, 80))
}

/// A datagram socket, a deferring listener, a connection with data under way, fragments that wait, neighbours.
fn busy() -> Busy {
    let mut link = Link::acquainted();
    link.stack.udp_bind(Binding::Intercept).expect("free");
    listen(&mut link, 80, 4);
    let (connection, next, acknowledged) = handshake(&mut link, ends().0, ends().1, 1_000);
    let now = link.now;
    link.stack.tcp_write(connection, &mut Bytes::from_static(&[9; 5_000]), now);
    let _ = link.frames();
    intercept(&mut link);
    link.receive(tcp_frame(at(PEER_V4, 40_000), at(FAR_V4, 443), syn(1), b""));
    let fragment = ipv4::Header { more_fragments: true, ..v4_header(PEER_V4, FAR_V4, Protocol::UDP) };
    link.receive(v4_frame(fragment, &[0; 64]));
    Busy { link, connection, next, acknowledged }
}

/// Valid frames of every kind, to be spoiled.
fn samples(busy: &Busy) -> Vec<Vec<u8>> {
    let (from, to) = ends();
    let of_connection = |flags: Flags, ahead: u32, payload: &[u8]| {
        let mut header = segment(busy.next + ahead, busy.acknowledged + ahead, flags);
        header.options.timestamps = (ahead > 0).then_some(Timestamps { value: 5, echo: 6 });
        tcp_frame(from, to, header, payload)
    };
    let mut echo = vec![0; 8];
    icmpv4::Message::EchoRequest { identifier: 1, sequence: 1 }.emit([b""; 0], &mut echo);
    let fragment = ipv4::Header { fragment_offset: 64, ..v4_header(PEER_V4, FAR_V4, Protocol::UDP) };
    let mut quote = vec![0; 8];
    let quoted = udp_frame(at(FAR_V4, 2), at(PEER_V4, 1), b"sent")[14..].to_vec();
    let code = icmpv4::Unreachable::PORT;
    icmpv4::Message::DestinationUnreachable { code, mtu: 0 }.emit([&quoted], &mut quote);
    quote.extend_from_slice(&quoted);
    vec![
        arp_frame(&arp_request(PEER_V4, OUR_V4)),
        arp_frame(&arp_reply(PEER_V4, OUR_V4)),
        neighbour_solicitation(PEER_V6, OUR_V6),
        ip_frame(PEER_V4.into(), OUR_V4.into(), Protocol::ICMP, &echo),
        ip_frame(PEER_V4.into(), OUR_V4.into(), Protocol::ICMP, &quote),
        v4_frame(fragment, &[1; 40]),
        udp_frame(at(PEER_V4, 1), at(FAR_V4, 2), b"payload"),
        udp_frame(at(PEER_V6, 1), at(FAR_V6, 2), b"payload"),
        tcp_frame(at(PEER_V4, 40_000), at(FAR_V4, 443), syn(1), b""),
        tcp_frame(at(PEER_V6, 40_000), at(FAR_V6, 443), syn(1), b""),
        tcp_frame(at(PEER_V4, 50_001), at(OUR_V4, 80), syn(1), b""),
        of_connection(Flags::ACK, 0, b"some payload"),
        of_connection(Flags::ACK, 1_448, b"from further on"),
        of_connection(Flags::ACK | Flags::FIN, 0, b"the last"),
        of_connection(Flags::RST, 0, b""),
        of_connection(Flags::SYN, 0, b""),
    ]
}

fn offload() -> impl Strategy<Value = Offload> {
    let checksum = prop_oneof![
        Just(Checksum::Complete),
        Just(Checksum::Verified),
        (any::<u16>(), any::<u16>()).prop_map(|(start, offset)| Checksum::Partial { start, offset }),
    ];
    let kind =
        prop_oneof![Just(SegmentationKind::Tcp4), Just(SegmentationKind::Tcp6), Just(SegmentationKind::Udp)];
    let joined = (kind, any::<u16>(), any::<u16>()).prop_map(|(kind, size, header_length)| Segmentation {
        kind,
        size,
        header_length,
    });
    (checksum, proptest::option::of(joined))
        .prop_map(|(checksum, segmentation)| Offload { checksum, segmentation })
}

/// What happens to a valid frame: bytes changed at places, and the end cut off or more put there.
#[derive(Clone, Debug)]
struct Spoil {
    sample: prop::sample::Index,
    changes: Vec<(prop::sample::Index, u8)>,
    length: Option<prop::sample::Index>,
    offload: Offload,
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let length = proptest::option::of(any::<prop::sample::Index>());
    (any::<prop::sample::Index>(), changes, length, offload())
        .prop_map(|(sample, changes, length, offload)| Spoil { sample, changes, length, offload })
}

/// Gives everything to the stack, answers what it asks, lets time pass; checks the books.
fn live_through(busy: Busy, packets: Vec<Packet>) {
    let Busy { mut link, connection, .. } = busy;
    let link = &mut link;
    let mut connections = vec![connection];
    let count = packets.len() as u64;
    let before = link.stack.counters().received;
    for packet in packets {
        link.receive_packet(packet);
        for event in link.events() {
            match event {
                Event::TcpRequest { request, .. } => {
                    link.stack.tcp_refuse(request, Refusal::Prohibited, link.now)
                }
                Event::EchoRequest(echo) => drop(link.stack.icmp_reply(echo, link.now)),
                Event::UdpReadable { socket } => {
                    while let Some(datagram) = link.stack.udp_receive(socket) {
                        link.stack.refuse_datagram(&datagram, Refusal::Prohibited, link.now);
                    }
                }
                Event::TcpAccepted { connection, .. } => connections.push(connection),
                Event::Tcp { connection, event: tcp::Event::Readable } => {
                    let now = link.now;
                    while link.stack.tcp_read(connection, 100, now).is_some() {}
                }
                Event::Tcp { .. } | Event::AddressConflict { .. } | Event::TcpRequestEnded { .. } => {}
                other => panic!("nothing else can come of it: {other:?}"),
            }
        }
        // Whatever leaves is a frame that can be read.
        let _ = link.frames();
    }
    assert_eq!(link.stack.counters().received, before + count);
    let now = link.now;
    for connection in connections {
        link.stack.tcp_abort(connection, now);
        link.stack.tcp_release(connection, now);
    }
    // Longer than anything waits: requests, fragments, neighbours, a handshake that nobody finishes.
    for _ in 0..50 {
        link.pass(Duration::from_secs(10));
        let _ = link.frames();
    }
    let memory = link.stack.memory();
    let idle = Memory { neighbours: memory.neighbours, ..Memory::default() };
    assert_eq!(memory, idle);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes(frames in vec((vec(any::<u8>(), 0..200), offload()), 1..20)) {
        let packets = frames.into_iter().map(|(bytes, offload)| Packet::received(Bytes::from(bytes), offload));
        live_through(busy(), packets.collect());
    }

    #[test]
    fn random_payloads_of_every_protocol(
        frames in vec((any::<u8>(), any::<bool>(), vec(any::<u8>(), 0..200), offload()), 1..20),
    ) {
        let packets = frames.into_iter().map(|(protocol, v6, payload, offload)| {
            let frame = if v6 {
                ip_frame(PEER_V6.into(), FAR_V6.into(), Protocol(protocol), &payload)
            } else {
                ip_frame(PEER_V4.into(), FAR_V4.into(), Protocol(protocol), &payload)
            };
            Packet::received(Bytes::from(frame), offload)
        });
        live_through(busy(), packets.collect());
    }

    #[test]
    fn spoiled_frames(spoils in vec(spoil(), 1..30)) {
        let busy = busy();
        let samples = samples(&busy);
        let packets = spoils.into_iter().map(|spoil| {
            let mut frame = spoil.sample.get(&samples).clone();
            for (at, value) in &spoil.changes {
                let at = at.index(frame.len());
                frame[at] = *value;
            }
            if let Some(length) = spoil.length {
                frame.resize(length.index(frame.len() * 2), 0);
            }
            mend(&mut frame);
            Packet::received(Bytes::from(frame), spoil.offload)
        });
        live_through(busy, packets.collect());
    }
}

/// Makes the IPv4 header's checksum hold again, so that what is wrong behind it is reached.
fn mend(frame: &mut [u8]) {
    let is_v4 = frame.get(12..14) == Some(&EtherType::IPV4.0.to_be_bytes());
    if is_v4 && let Ok((_, length)) = ipv4::Header::parse_quoted(&frame[14..]) {
        frame[24..26].fill(0);
        let sum = wire::checksum::checksum(&frame[14..14 + length]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    }
}
