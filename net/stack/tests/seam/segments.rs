//! Segments made by hand: what belongs to no connection, listeners' bounds, forged ICMP errors, TIME-WAIT.

use crate::link::*;
use crate::requests::{intercept, syn};
use core::net::SocketAddr;
use packet::{Bytes, Offload, Packet};
use stack::{Binding, Config, Drop, Event, Listen, TcpId};
use tcp::CloseReason;
use time::{Duration, SequenceNumber};
use wire::tcp::{Flags, Header};
use wire::{Protocol, icmpv4, tcp as header};

pub fn segment(sequence: SequenceNumber, acknowledgement: SequenceNumber, flags: Flags) -> Header {
    Header { sequence, acknowledgement, flags, window: 64_240, ..Header::default() }
}

pub fn listen(link: &mut Link, port: u16, backlog: usize) {
    let listen = Listen { binding: Binding::Port(port), defer: false, backlog, config: tcp_profile() };
    link.stack.tcp_listen(listen).expect("free");
}

/// The one segment that the stack sends now.
fn answer(link: &mut Link) -> Header {
    link.frame().segment().2
}

/// A handshake by hand with a listener; the connection, and the number that our next segment has and the stack's.
pub fn handshake(
    link: &mut Link,
    from: SocketAddr,
    to: SocketAddr,
    first: u32,
) -> (TcpId, SequenceNumber, SequenceNumber) {
    link.receive(tcp_frame(from, to, syn(first), b""));
    let offer = answer(link);
    assert!(offer.flags.contains(Flags::SYN | Flags::ACK));
    let (ours, theirs) = (SequenceNumber(first) + 1, offer.sequence + 1);
    link.receive(tcp_frame(from, to, segment(ours, theirs, Flags::ACK), b""));
    match link.events()[..] {
        [Event::TcpAccepted { connection, local, remote, .. }] => {
            assert_eq!((local, remote), (to, from));
            (connection, ours, theirs)
        }
        ref other => panic!("one connection is expected: {other:?}"),
    }
}

#[test]
fn segment_of_no_connection_is_reset() {
    let mut link = Link::host();
    link.acquaint();
    let (from, to) = (at(PEER_V4, 40_000), at(OUR_V4, 80));
    let (a, b) = (SequenceNumber(100), SequenceNumber(7_000));
    link.receive(tcp_frame(from, to, segment(a, b, Flags::ACK), b"data"));
    let reset = answer(&mut link);
    assert_eq!((reset.flags, reset.sequence), (Flags::RST, b));
    link.receive(tcp_frame(from, to, syn(100), b""));
    let reset = answer(&mut link);
    assert_eq!((reset.flags, reset.acknowledgement), (Flags::RST | Flags::ACK, a + 1));
    link.receive(tcp_frame(from, to, segment(a, b, Flags::RST), b""));
    assert!(link.frames().is_empty(), "a reset is never answered by one");
    assert_eq!(link.dropped(Drop::TcpNoConnection), 3);
}

#[test]
fn wrong_checksum_and_impossible_ports_are_dropped() {
    let mut link = Link::acquainted();
    intercept(&mut link);
    let mut frame = tcp_frame(at(PEER_V4, 40_000), at(FAR_V4, 80), syn(1), b"");
    frame[34 + header::CHECKSUM_OFFSET] ^= 1;
    link.receive(frame);
    link.receive(tcp_frame(at(PEER_V4, 0), at(FAR_V4, 80), syn(1), b""));
    link.receive(tcp_frame(at(PEER_V4, 40_000), at(FAR_V4, 0), syn(1), b""));
    assert!(link.events().is_empty());
    assert_eq!((link.dropped(Drop::TcpChecksum), link.dropped(Drop::TcpBadAddress)), (1, 2));
}

#[test]
fn handshakes_under_way_are_bounded_by_the_backlog() {
    let mut link = Link::with(Config { syn_cookies: false, ..Config::default() }, gateway(PLAIN));
    link.acquaint();
    listen(&mut link, 80, 2);
    for port in 1..=5 {
        link.receive(tcp_frame(at(PEER_V4, port), at(OUR_V4, 80), syn(1), b""));
    }
    let offers = link.frames();
    assert_eq!((offers.len(), link.dropped(Drop::TcpBacklogFull)), (2, 3));
    let offer = offers[0].segment().2;
    let reply = segment(SequenceNumber(2), offer.sequence + 1, Flags::ACK);
    link.receive(tcp_frame(at(PEER_V4, 1), at(OUR_V4, 80), reply, b""));
    assert!(matches!(link.events()[..], [Event::TcpAccepted { .. }]));
    link.receive(tcp_frame(at(PEER_V4, 6), at(OUR_V4, 80), syn(1), b""));
    assert!(answer(&mut link).flags.contains(Flags::SYN), "an accepted one makes room");
}

#[test]
fn connections_are_bounded() {
    let mut link = Link::with(Config { connections_max: 3, ..Config::default() }, gateway(PLAIN));
    link.acquaint();
    listen(&mut link, 80, 100);
    for port in 1..=5 {
        link.receive(tcp_frame(at(PEER_V4, port), at(OUR_V4, 80), syn(1), b""));
    }
    assert_eq!((link.stack.memory().connections, link.dropped(Drop::TcpConnectionsFull)), (3, 2));
}

#[test]
fn payload_that_nobody_reads_is_bounded_over_all_connections() {
    let bytes_max = 10_000;
    let mut link = Link::with(Config { tcp_bytes_max: bytes_max, ..Config::default() }, gateway(PLAIN));
    link.acquaint();
    listen(&mut link, 80, 100);
    let connections: Vec<_> = (1..=10)
        .map(|port| {
            let (from, to) = (at(PEER_V4, port), at(OUR_V4, 80));
            let (connection, ours, theirs) = handshake(&mut link, from, to, 1);
            for n in 0..5 {
                let header = segment(ours + 1_000 * n, theirs, Flags::ACK);
                link.receive(tcp_frame(from, to, header, &[0; 1_000]));
                assert!(link.stack.memory().tcp_bytes <= bytes_max);
            }
            let _ = (link.frames(), link.events());
            (connection, ours, theirs)
        })
        .collect();
    assert_eq!((link.stack.memory().tcp_bytes, link.dropped(Drop::TcpMemoryFull)), (bytes_max, 40));
    let now = link.now;
    while link.stack.tcp_read(connections[0].0, usize::MAX, now).is_some() {}
    let (connection, ours, theirs) = connections[9];
    link.receive(tcp_frame(at(PEER_V4, 10), at(OUR_V4, 80), segment(ours, theirs, Flags::ACK), &[0; 1_000]));
    assert_eq!(link.stack.tcp_readable(connection), 1_000, "what is read makes room");
}

#[test]
fn handshake_that_is_not_finished_ends_untold() {
    let mut link = Link::acquainted();
    listen(&mut link, 80, 1);
    link.receive(tcp_frame(at(PEER_V4, 1), at(OUR_V4, 80), syn(1), b""));
    for _ in 0..300 {
        link.pass(Duration::from_secs(1));
        link.acquaint();
    }
    assert!(link.events().is_empty());
    assert_eq!(link.stack.memory().connections, 0);
    link.receive(tcp_frame(at(PEER_V4, 2), at(OUR_V4, 80), syn(1), b""));
    assert_eq!(link.dropped(Drop::TcpBacklogFull), 0, "and its place is free");
}

#[test]
fn initial_numbers_are_keyed_by_addresses_and_ports_and_grow_with_time() {
    let mut link = Link::acquainted();
    listen(&mut link, 80, 100);
    let first = |link: &mut Link, port: u16| {
        link.receive(tcp_frame(at(PEER_V4, port), at(OUR_V4, 80), syn(1), b""));
        let number = answer(link).sequence;
        link.receive(tcp_frame(
            at(PEER_V4, port),
            at(OUR_V4, 80),
            segment(SequenceNumber(2), number + 1, Flags::RST),
            b"",
        ));
        number
    };
    let a = first(&mut link, 1);
    let b = first(&mut link, 2);
    assert!((b - a).min(a - b) > 1_000, "nobody derives one connection's numbers from another's");
    assert_eq!(first(&mut link, 1), a, "RFC 6528: a function of the addresses, the ports and the time");
    link.now += Duration::from_secs(1);
    assert_eq!(first(&mut link, 1) - a, 250_000);
}

/// An ICMP error from somewhere on the way that quotes a segment's first bytes.
fn error(code: icmpv4::Unreachable, from: SocketAddr, to: SocketAddr, quoted: Header) -> Vec<u8> {
    let quoted = Header { source_port: from.port(), destination_port: to.port(), ..quoted };
    let packet = tcp_frame(from, to, quoted, b"")[14..14 + 28].to_vec();
    let mut message = vec![0; 8];
    icmpv4::Message::DestinationUnreachable { code, mtu: 0 }.emit([&packet], &mut message);
    message.extend_from_slice(&packet);
    ip_frame(PEER_V4.into(), OUR_V4.into(), Protocol::ICMP, &message)
}

#[test]
fn error_about_a_segment_in_flight_ends_an_opening() {
    let mut link = Link::host();
    link.acquaint();
    let remote = at(PEER_V4, 80);
    let connection = link.stack.tcp_connect(None, remote, tcp_profile(), link.now).expect("there is a way");
    let frame = link.frame();
    let (local, _, offer, _) = frame.segment();
    let forged = Header { sequence: offer.sequence + 5, ..offer };
    link.receive(error(icmpv4::Unreachable::PORT, local, remote, forged));
    link.receive(error(icmpv4::Unreachable::PORT, at(OUR_V4, 1), remote, offer));
    assert_eq!((link.events().len(), link.dropped(Drop::IcmpNotOurs)), (0, 2));
    link.receive(error(icmpv4::Unreachable::HOST, local, remote, offer));
    assert!(link.events().is_empty(), "a soft error ends nothing");
    link.receive(error(icmpv4::Unreachable::PORT, local, remote, offer));
    let closed = tcp::Event::Closed(CloseReason::Unreachable);
    assert!(
        matches!(link.events()[..], [Event::Tcp { connection: told, event }] if told == connection && event == closed)
    );
}

#[test]
fn error_about_an_established_connection_ends_nothing() {
    let mut link = Link::acquainted();
    listen(&mut link, 80, 1);
    let (from, to) = (at(PEER_V4, 40_000), at(OUR_V4, 80));
    let (connection, _, theirs) = handshake(&mut link, from, to, 1);
    let now = link.now;
    assert_eq!(link.stack.tcp_write(connection, &mut b"hello"[..].into(), now), 5);
    let sent = answer(&mut link);
    assert_eq!(sent.sequence, theirs);
    link.receive(error(icmpv4::Unreachable::PORT, to, from, sent));
    assert!(link.events().is_empty(), "RFC 5927 §5");
    assert_eq!(link.dropped(Drop::IcmpNotOurs), 0);
}

#[test]
fn smaller_path_makes_smaller_segments() {
    let mut link = Link::acquainted();
    listen(&mut link, 80, 1);
    let (from, to) = (at(PEER_V4, 40_000), at(OUR_V4, 80));
    let mut offer = syn(1);
    offer.options.mss = Some(1_460);
    link.receive(tcp_frame(from, to, offer, b""));
    let theirs = answer(&mut link).sequence + 1;
    link.receive(tcp_frame(from, to, segment(SequenceNumber(2), theirs, Flags::ACK), b""));
    let connection = match link.events()[..] {
        [Event::TcpAccepted { connection, .. }] => connection,
        ref other => panic!("one connection is expected: {other:?}"),
    };
    let now = link.now;
    link.stack.tcp_write(connection, &mut vec![0; 4_000].into(), now);
    let sent = link.frames();
    assert_eq!(sent[0].segment().3.len(), 1_460);
    let packet = tcp_frame(to, from, sent[0].segment().2, b"")[14..14 + 28].to_vec();
    let mut message = vec![0; 8];
    let code = icmpv4::Unreachable::FRAGMENTATION_NEEDED;
    icmpv4::Message::DestinationUnreachable { code, mtu: 1_000 }.emit([&packet], &mut message);
    message.extend_from_slice(&packet);
    link.receive(ip_frame(PEER_V4.into(), OUR_V4.into(), Protocol::ICMP, &message));
    let _ = link.frames();
    link.pass(Duration::from_secs(2));
    let lengths: Vec<usize> = link.frames().iter().map(|frame| frame.segment().3.len()).collect();
    assert!(!lengths.is_empty() && lengths.iter().all(|&length| length <= 960), "{lengths:?}");
}

/// Brings a connection made by hand into TIME-WAIT; the peer's next number, and the stack's.
fn time_wait(link: &mut Link, from: SocketAddr, to: SocketAddr) -> (SequenceNumber, SequenceNumber) {
    let (connection, ours, theirs) = handshake(link, from, to, 1_000);
    let now = link.now;
    link.stack.tcp_release(connection, now);
    assert!(answer(link).flags.contains(Flags::FIN));
    link.receive(tcp_frame(from, to, segment(ours, theirs + 1, Flags::FIN | Flags::ACK), b""));
    assert_eq!(answer(link).acknowledgement, ours + 1);
    (ours + 1, theirs + 1)
}

#[test]
fn time_wait_gives_way_to_a_later_syn() {
    let mut link = Link::acquainted();
    listen(&mut link, 80, 1);
    let (from, to) = (at(PEER_V4, 40_000), at(OUR_V4, 80));
    let (ours, theirs) = time_wait(&mut link, from, to);
    link.receive(tcp_frame(from, to, syn(ours.0 - 500), b""));
    assert!(!answer(&mut link).flags.contains(Flags::SYN), "an old duplicate opens nothing");
    link.receive(tcp_frame(from, to, syn(ours.0 + 1), b""));
    let offer = answer(&mut link);
    assert!(offer.flags.contains(Flags::SYN | Flags::ACK));
    assert!(offer.sequence.after(theirs), "our numbers go on beyond the old ones");
    assert_eq!(link.stack.memory().connections, 1);
}

#[test]
fn time_wait_stays_where_a_syn_finds_no_room() {
    let mut link = Link::acquainted();
    listen(&mut link, 80, 1);
    let (from, to) = (at(PEER_V4, 40_000), at(OUR_V4, 80));
    let (ours, theirs) = time_wait(&mut link, from, to);
    link.receive(tcp_frame(at(PEER_V4, 1), to, syn(1), b""));
    let filling = answer(&mut link).sequence;
    // A cookie's numbers would not go on beyond the old ones: neither it nor a second SYN gets one.
    for _ in 0..2 {
        link.receive(tcp_frame(from, to, syn(ours.0 + 1), b""));
        assert!(link.frames().iter().all(|frame| !frame.segment().2.flags.contains(Flags::SYN)));
    }
    let reset = segment(SequenceNumber(2), filling + 1, Flags::RST);
    link.receive(tcp_frame(at(PEER_V4, 1), to, reset, b""));
    link.receive(tcp_frame(from, to, syn(ours.0 + 1), b""));
    let offer = answer(&mut link);
    assert!(offer.flags.contains(Flags::SYN | Flags::ACK) && offer.sequence.after(theirs));
}

#[test]
fn time_wait_ends() {
    let mut link = Link::acquainted();
    listen(&mut link, 80, 1);
    time_wait(&mut link, at(PEER_V4, 40_000), at(OUR_V4, 80));
    link.pass(Duration::from_secs(60));
    assert_eq!(link.stack.memory().connections, 0);
}

#[test]
fn connection_longest_in_time_wait_goes_for_a_new_one() {
    let mut link = Link::with(Config { connections_max: 3, ..Config::default() }, gateway(PLAIN));
    link.acquaint();
    listen(&mut link, 80, 100);
    let to = at(OUR_V4, 80);
    for port in 1..=20 {
        time_wait(&mut link, at(PEER_V4, port), to);
        assert!(link.stack.memory().connections <= 3);
    }
    assert_eq!(link.dropped(Drop::TcpConnectionsFull), 0);
    let last = segment(SequenceNumber(1), SequenceNumber(1), Flags::ACK);
    link.receive(tcp_frame(at(PEER_V4, 1), to, last, b""));
    assert!(answer(&mut link).flags.contains(Flags::RST), "the first is forgotten");
    link.receive(tcp_frame(at(PEER_V4, 20), to, last, b""));
    assert!(!answer(&mut link).flags.contains(Flags::RST), "the last is not");
}

#[test]
fn connection_in_time_wait_goes_for_a_new_one_once_nobody_holds_it() {
    let mut link = Link::with(Config { connections_max: 1, ..Config::default() }, gateway(PLAIN));
    link.acquaint();
    listen(&mut link, 80, 100);
    let (from, to) = (at(PEER_V4, 1), at(OUR_V4, 80));
    let (connection, ours, theirs) = handshake(&mut link, from, to, 1_000);
    let now = link.now;
    link.stack.tcp_shutdown(connection, now);
    assert!(answer(&mut link).flags.contains(Flags::FIN));
    link.receive(tcp_frame(from, to, segment(ours, theirs + 1, Flags::FIN | Flags::ACK), b""));
    let _ = (link.frames(), link.events());
    for refused in 1..=2 {
        link.receive(tcp_frame(at(PEER_V4, 2), to, syn(1), b""));
        assert_eq!((link.dropped(Drop::TcpConnectionsFull), link.frames().len()), (refused, 0));
    }
    link.stack.tcp_release(connection, now);
    link.receive(tcp_frame(at(PEER_V4, 2), to, syn(1), b""));
    assert!(answer(&mut link).flags.contains(Flags::SYN));
}

#[test]
fn segment_that_its_connection_refuses_is_counted_by_its_reason() {
    let mut link = Link::acquainted();
    listen(&mut link, 80, 1);
    let (from, to) = (at(PEER_V4, 40_000), at(OUR_V4, 80));
    let (_, ours, theirs) = handshake(&mut link, from, to, 1);
    link.receive(tcp_frame(from, to, segment(ours + 0x4000_0000, theirs, Flags::ACK), b"far away"));
    assert_eq!(link.dropped(Drop::TcpRefused), 1);
    assert_eq!(link.stack.counters().refused_by_connections(), [(tcp::Drop::OutsideWindow, 1)]);
}

#[test]
fn acknowledged_data_keeps_the_neighbour_reachable() {
    let mut link = Link::acquainted();
    listen(&mut link, 80, 1);
    let (from, to) = (at(PEER_V4, 40_000), at(OUR_V4, 80));
    let (connection, ours, mut theirs) = handshake(&mut link, from, to, 1);
    for _ in 0..60 {
        let now = link.now;
        assert_eq!(link.stack.tcp_write(connection, &mut b"x"[..].into(), now), 1);
        for frame in link.frames() {
            // Neighbour discovery may have its say of the IPv6 address; ARP has none.
            assert!(!matches!(frame.content, Content::Arp(_)), "nobody is asked for what answers");
        }
        theirs += 1;
        link.receive(tcp_frame(from, to, segment(ours, theirs, Flags::ACK), b""));
        link.pass(Duration::from_secs(1));
    }
}

#[test]
fn answer_without_a_way_is_dropped() {
    // A host, so that sources are not looked at before the answer.
    let mut link = Link::host();
    link.receive(tcp_frame(at(FAR_V4, 1), at(OUR_V4, 80), syn(1), b""));
    link.receive(udp_frame(at(FAR_V4, 1), at(OUR_V4, 80), b"x"));
    assert_eq!(link.dropped(Drop::NoRoute), 2);
    assert!(link.frames().is_empty());
}

/// Segments of 1,000 bytes, by their place after `first`, arrive in one turn; what is answered, by place and window.
fn answers(
    link: &mut Link,
    (from, to): (SocketAddr, SocketAddr),
    (first, theirs): (SequenceNumber, SequenceNumber),
    places: &[u32],
) -> Vec<(u32, u16)> {
    link.receive_together(places.iter().map(|place| {
        let header = segment(first + place * 1_000, theirs, Flags::ACK);
        Packet::received(Bytes::from(tcp_frame(from, to, header, &[7; 1_000])), Offload::default())
    }));
    let told = |header: Header| ((header.acknowledgement - first) / 1_000, header.window);
    link.frames().iter().map(|frame| told(frame.segment().2)).collect()
}

#[test]
fn acknowledgements_within_a_turn_that_find_no_room_wait_for_its_end() {
    let mut link = Link::with(Config { transmit_queue_max: 1, ..Config::default() }, gateway(PLAIN));
    link.acquaint();
    listen(&mut link, 80, 1);
    let (from, to) = (at(PEER_V4, 40_000), at(OUR_V4, 80));
    let (_, first, theirs) = handshake(&mut link, from, to, 1);
    let places = |link: &mut Link, arrived: &[u32]| -> Vec<u32> {
        answers(link, (from, to), (first, theirs), arrived).into_iter().map(|(place, _)| place).collect()
    };
    let before = link.dropped(Drop::TransmitQueueFull);
    assert_eq!(places(&mut link, &[1, 2, 0, 3, 4, 5]), [0, 6]);
    assert_eq!(link.dropped(Drop::TransmitQueueFull), before);
}

#[test]
fn acknowledgements_within_a_turn_tell_the_window_of_short_memory() {
    for (bytes_max, least, most) in [(10_000_000, 65_000, 65_535), (80_000, 0, 35_535)] {
        let mut link = Link::with(Config { tcp_bytes_max: bytes_max, ..Config::default() }, gateway(PLAIN));
        link.acquaint();
        listen(&mut link, 80, 8);
        let to = at(OUR_V4, 80);
        // One holds three quarters of the smaller memory.
        let (_, first, theirs) = handshake(&mut link, at(PEER_V4, 1), to, 1);
        let filling: Vec<u32> = (0..60).collect();
        let (reader, ours, his) = handshake(&mut link, at(PEER_V4, 2), to, 1);
        let arriving: Vec<u32> = (0..30).collect();
        answers(&mut link, (at(PEER_V4, 2), to), (ours, his), &arriving);
        let now = link.now;
        while link.stack.tcp_read(reader, usize::MAX, now).is_some() {}
        let _ = link.frames();
        answers(&mut link, (at(PEER_V4, 1), to), (first, theirs), &filling);
        let told = answers(&mut link, (at(PEER_V4, 2), to), (ours, his), &[31, 32]);
        let (place, window) = told[0];
        assert_eq!((place, told.len()), (30, 2));
        assert!((least..=most).contains(&window), "{bytes_max}: {told:?}");
    }
}

#[test]
fn one_acknowledgement_for_a_turn_and_more_where_some_are_lost() {
    let mut link = Link::acquainted();
    let config = tcp::Config { quick_acks: 2, ..tcp::Config::linux() };
    let listen = Listen { binding: Binding::Port(80), defer: false, backlog: 1, config: config.into() };
    link.stack.tcp_listen(listen).expect("free");
    let (from, to) = (at(PEER_V4, 40_000), at(OUR_V4, 80));
    let (connection, first, theirs) = handshake(&mut link, from, to, 1);
    let answers = |link: &mut Link, pieces: &[u32]| -> Vec<u32> {
        link.receive_together(pieces.iter().map(|piece| {
            let header = segment(first + piece * 1_000, theirs, Flags::ACK);
            let frame = tcp_frame(from, to, header, &[7; 1_000]);
            Packet::received(Bytes::from(frame), Offload::default())
        }));
        let frames = link.frames();
        frames.iter().map(|frame| (frame.segment().2.acknowledgement - first) / 1_000).collect()
    };
    assert_eq!(answers(&mut link, &[0, 1]), [2]);
    assert_eq!(answers(&mut link, &[2, 3]), [4]);
    // Beyond a gap, in it, and for a while after it for every second one.
    assert_eq!(answers(&mut link, &[5, 6, 4, 7, 8, 9, 10]), [4, 4, 7, 9, 11]);
    assert_eq!(answers(&mut link, &[11, 12, 13, 14]), [13, 15]);
    // What came before says that acknowledgements are lost.
    assert_eq!(answers(&mut link, &[3]), [15]);
    assert_eq!(answers(&mut link, &[15, 16, 17]), [16, 18]);
    let mut at = 18;
    while answers(&mut link, &[at, at + 1, at + 2, at + 3]).len() > 1 {
        at += 4;
        assert!(at < 18 + 3 * 256, "it is forgotten at last");
        while link.stack.tcp_read(connection, usize::MAX, link.now).is_some() {}
    }
}
