//! SYN cookies: a listener whose backlog is full still answers, and keeps nothing (RFC 4987 §3.6).

use crate::link::*;
use crate::requests::syn;
use crate::segments::{handshake, listen, segment};
use core::net::SocketAddr;
use stack::{Binding, Drop, Event, Listen};
use tcp::{Config, EcnFeedback};
use time::{Duration, SequenceNumber};
use wire::Ecn;
use wire::tcp::{Flags, Header, Options, Timestamps};

const FULL: u16 = 80;

/// A stack whose listener has its backlog full of a SYN that is never acknowledged.
fn full() -> Link {
    let mut link = Link::acquainted();
    listen(&mut link, FULL, 1);
    link.receive(tcp_frame(at(PEER_V4, 1), at(OUR_V4, FULL), syn(1), b""));
    let _ = answer(&mut link);
    link
}

fn answer(link: &mut Link) -> Header {
    link.frame().segment().2
}

/// The peer's side of a handshake that a cookie stands for: the answer to its SYN.
fn offer(link: &mut Link, from: SocketAddr, opening: Header) -> Header {
    let before = link.stack.memory().connections;
    link.receive(tcp_frame(from, at(OUR_V4, FULL), opening, b""));
    let offer = answer(link);
    assert!(offer.flags.contains(Flags::SYN | Flags::ACK), "{offer:?}");
    assert_eq!(offer.acknowledgement, opening.sequence + 1);
    assert_eq!(link.stack.memory().connections, before, "nothing is kept of it");
    offer
}

fn acknowledgement(offer: &Header) -> Header {
    let timestamps = offer.options.timestamps.map(|ours| Timestamps { value: 78, echo: ours.value });
    let header = segment(offer.acknowledgement, offer.sequence + 1, Flags::ACK);
    Header { options: Options { timestamps, ..Options::default() }, ..header }
}

#[test]
fn a_full_backlog_is_answered_and_the_acknowledgement_makes_the_connection() {
    let mut link = full();
    let from = at(PEER_V4, 40_000);
    let timestamps = Some(Timestamps { value: 77, echo: 0 });
    let options = Options { mss: Some(1_460), window_scale: Some(7), timestamps, ..Options::default() };
    let offer = offer(&mut link, from, Header { options, ..syn(1_000) });
    assert!(offer.options.window_scale.is_some() && offer.options.mss.is_some());
    // The first bytes come with the acknowledgement.
    link.receive(tcp_frame(from, at(OUR_V4, FULL), acknowledgement(&offer), b"hello"));
    let events = link.events();
    let Some(Event::TcpAccepted { connection, remote, .. }) = events.first() else {
        panic!("a connection is expected: {events:?}");
    };
    assert_eq!(*remote, from);
    assert_eq!(link.stack.tcp_read(*connection, 100, link.now).as_deref(), Some(&b"hello"[..]));
    // It has the peer's segment size and window scale: 64,240 << 7 bytes may be under way, in segments of 1,448.
    let mut data = vec![7; 100_000].into();
    link.stack.tcp_write(*connection, &mut data, link.now);
    let sizes: Vec<usize> = link.frames().iter().map(|frame| frame.segment().3.len()).collect();
    assert!(sizes.len() >= 10 && sizes.iter().all(|size| *size == 1_448), "{sizes:?}");
}

#[test]
fn without_timestamps_neither_scale_nor_selective_acknowledgements_are_agreed() {
    let mut link = full();
    let options =
        Options { mss: Some(1_300), window_scale: Some(7), sack_permitted: true, ..Options::default() };
    let from = at(PEER_V4, 40_000);
    let offer = offer(&mut link, from, Header { options, ..syn(1_000) });
    assert_eq!((offer.options.window_scale, offer.options.sack_permitted), (None, false));
    link.receive(tcp_frame(from, at(OUR_V4, FULL), acknowledgement(&offer), b""));
    assert!(matches!(link.events()[..], [Event::TcpAccepted { .. }]));
}

#[test]
fn whose_segments_are_smaller_than_a_cookie_can_tell_waits_for_room() {
    let mut link = full();
    let from = at(PEER_V4, 40_000);
    let asking = |mss| Header { options: Options { mss: Some(mss), ..Options::default() }, ..syn(1_000) };
    link.receive(tcp_frame(from, at(OUR_V4, FULL), asking(535), b""));
    assert!(link.frames().is_empty(), "larger segments than it takes would come of it");
    assert_eq!(link.dropped(Drop::TcpBacklogFull), 1);
    let offer = offer(&mut link, from, asking(536));
    link.receive(tcp_frame(from, at(OUR_V4, FULL), acknowledgement(&offer), b""));
    let events = link.events();
    let Some(&Event::TcpAccepted { connection, .. }) = events.first() else {
        panic!("a connection is expected: {events:?}");
    };
    link.stack.tcp_write(connection, &mut vec![7; 1_000].into(), link.now);
    let sizes: Vec<usize> = link.frames().iter().map(|frame| frame.segment().3.len()).collect();
    assert_eq!(sizes, [536, 464]);
}

#[test]
fn what_is_no_cookie_or_an_old_one_is_reset() {
    let mut link = full();
    let from = at(PEER_V4, 40_000);
    let offer = offer(&mut link, from, syn(1_000));
    let good = acknowledgement(&offer);
    let forged = [
        Header { acknowledgement: good.acknowledgement + 100, ..good },
        Header { sequence: good.sequence + 100, ..good },
    ];
    for header in forged {
        link.receive(tcp_frame(from, at(OUR_V4, FULL), header, b""));
        assert_eq!(answer(&mut link).flags, Flags::RST);
    }
    link.receive(tcp_frame(at(PEER_V4, 40_001), at(OUR_V4, FULL), good, b""));
    assert_eq!(answer(&mut link).flags, Flags::RST, "it is another connection's");
    link.now += Duration::from_secs(129);
    link.acquaint();
    link.receive(tcp_frame(from, at(OUR_V4, FULL), good, b""));
    assert_eq!(answer(&mut link).flags, Flags::RST, "it is too old");
    assert!(link.events().is_empty());
}

#[test]
fn a_flood_leaves_nothing_and_others_are_served() {
    let mut link = full();
    let before = link.stack.memory();
    for number in 0..20_000_u32 {
        let from = at([10, 0, (number >> 8) as u8 | 128, number as u8], 1_024 + (number % 60_000) as u16);
        link.receive(tcp_frame(from, at(OUR_V4, FULL), syn(number), b""));
        if number % 64 == 0 {
            let _ = link.frames();
        }
    }
    let _ = link.frames();
    let after = link.stack.memory();
    assert_eq!((after.connections, after.tcp_bytes), (before.connections, before.tcp_bytes));
    let from = at(PEER_V4, 40_000);
    let offer = offer(&mut link, from, syn(SequenceNumber(5).0));
    link.receive(tcp_frame(from, at(OUR_V4, FULL), acknowledgement(&offer), b""));
    assert!(matches!(link.events()[..], [Event::TcpAccepted { .. }]));
}

#[test]
fn ecn_is_remembered_where_the_peer_sends_timestamps() {
    for (stamped, ecn) in [(true, Ecn::NotEct), (true, Ecn::Ect0), (false, Ecn::NotEct)] {
        let mut link = full();
        let from = at(PEER_V4, 40_000);
        let timestamps = stamped.then_some(Timestamps { value: 77, echo: 0 });
        let options = Options { mss: Some(1_460), timestamps, ..Options::default() };
        let flags = Flags::SYN | Flags::ECE | Flags::CWR;
        let opening = Header { flags, options, ..syn(1_000) };
        link.receive(marked(tcp_frame(from, at(OUR_V4, FULL), opening, b""), ecn));
        let offer = answer(&mut link);
        // RFC 3168 §6.1.1: no SYN is ECN-capable.
        let agreed = stamped && ecn == Ecn::NotEct;
        assert_eq!(offer.flags.contains(Flags::ECE), agreed, "{stamped} {ecn:?}");
        link.receive(tcp_frame(from, at(OUR_V4, FULL), acknowledgement(&offer), b""));
        let events = link.events();
        let Some(&Event::TcpAccepted { connection, .. }) = events.first() else {
            panic!("a connection is expected: {events:?}");
        };
        let mut data = vec![7; 100].into();
        link.stack.tcp_write(connection, &mut data, link.now);
        let frame = link.frame();
        let expected = if agreed { Ecn::Ect0 } else { Ecn::NotEct };
        assert_eq!(frame.ecn(), expected, "{stamped} {ecn:?}");
    }
}

#[test]
fn accurate_feedback_is_remembered_by_the_peer() {
    for stamped in [true, false] {
        let mut link = Link::acquainted();
        let config = Config { ecn_accept: EcnFeedback::Accurate, ..Config::linux() };
        let binding = Binding::Port(FULL);
        let listen = Listen { binding, defer: false, backlog: 1, config: config.into() };
        link.stack.tcp_listen(listen).expect("the port is free");
        link.receive(tcp_frame(at(PEER_V4, 1), at(OUR_V4, FULL), syn(1), b""));
        let _ = answer(&mut link);
        let from = at(PEER_V4, 40_000);
        let timestamps = stamped.then_some(Timestamps { value: 77, echo: 0 });
        let options = Options { mss: Some(1_460), timestamps, ..Options::default() };
        let flags = Flags::SYN | Flags::AE | Flags::ECE | Flags::CWR;
        let opening = Header { flags, options, ..syn(1_000) };
        link.receive(marked(tcp_frame(from, at(OUR_V4, FULL), opening, b""), Ecn::Ect1));
        let offer = answer(&mut link);
        // RFC 9768 §3.1.1, table 2: ECT(1) on the SYN.
        assert_eq!(offer.flags, Flags::SYN | Flags::ACK | Flags::CWR | Flags::ECE);
        // RFC 9768 §5.1: the codepoint of the SYN-ACK.
        let told = acknowledgement(&offer);
        let told = Header { flags: told.flags | Flags::CWR, ..told };
        link.receive(tcp_frame(from, at(OUR_V4, FULL), told, b""));
        assert!(matches!(link.events().first(), Some(Event::TcpAccepted { .. })), "stamped {stamped}");
        let next = Header { flags: Flags::ACK | Flags::AE | Flags::ECE, ..acknowledgement(&offer) };
        link.receive(marked(tcp_frame(from, at(OUR_V4, FULL), next, b"hello"), Ecn::Ce));
        // The counter started at 5.
        assert_eq!(answer(&mut link).flags, Flags::ACK | Flags::AE | Flags::CWR);
    }
}

/// Time passes in which the neighbour stays known.
fn wait(link: &mut Link) {
    for _ in 0..300 {
        link.pass(Duration::from_secs(1));
        link.acquaint();
    }
}

#[test]
fn a_cookie_whose_peer_sends_no_data_leaves_nothing_where_data_is_awaited() {
    let mut link = Link::acquainted();
    let config = Config { accept_defer_retries: 3, ..Config::linux() };
    let listen = Listen { binding: Binding::Port(FULL), defer: false, backlog: 1, config: config.into() };
    link.stack.tcp_listen(listen).expect("the port is free");
    link.receive(tcp_frame(at(PEER_V4, 1), at(OUR_V4, FULL), syn(1), b""));
    let _ = answer(&mut link);
    for port in 40_000..40_010 {
        let from = at(PEER_V4, port);
        let offer = offer(&mut link, from, syn(1_000));
        link.receive(tcp_frame(from, at(OUR_V4, FULL), acknowledgement(&offer), b""));
    }
    assert_eq!(link.stack.memory().connections, 11);
    wait(&mut link);
    assert!(link.events().is_empty());
    assert_eq!(link.stack.memory().connections, 0);
    link.receive(tcp_frame(at(PEER_V4, 2), at(OUR_V4, FULL), syn(1), b""));
    assert_eq!(link.stack.memory().connections, 1, "and there is room in the backlog");
}

#[test]
fn a_cookie_that_comes_while_memory_is_full_connects_without_what_it_brings() {
    let mut link = Link::with(stack::Config { tcp_bytes_max: 1_000, ..Default::default() }, gateway(PLAIN));
    link.acquaint();
    listen(&mut link, FULL, 1);
    let (holder, ours, theirs) = handshake(&mut link, at(PEER_V4, 9), at(OUR_V4, FULL), 1);
    link.receive(tcp_frame(at(PEER_V4, 9), at(OUR_V4, FULL), segment(ours, theirs, Flags::ACK), &[0; 1_000]));
    let _ = (link.frames(), link.events());
    link.receive(tcp_frame(at(PEER_V4, 1), at(OUR_V4, FULL), syn(1), b""));
    let _ = answer(&mut link);
    let from = at(PEER_V4, 40_000);
    let offer = offer(&mut link, from, syn(1_000));
    link.receive(tcp_frame(from, at(OUR_V4, FULL), acknowledgement(&offer), b"hello"));
    assert_eq!(link.dropped(Drop::TcpMemoryFull), 1);
    let events = link.events();
    let [Event::TcpAccepted { connection, .. }] = events[..] else { panic!("it is accepted: {events:?}") };
    let now = link.now;
    while link.stack.tcp_read(holder, usize::MAX, now).is_some() {}
    link.receive(tcp_frame(from, at(OUR_V4, FULL), acknowledgement(&offer), b"hello"));
    assert_eq!(link.stack.tcp_read(connection, usize::MAX, now).as_deref(), Some(&b"hello"[..]));
}
