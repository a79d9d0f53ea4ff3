//! Fast Open between two stacks, and against a peer made by hand (RFC 7413).

use crate::link::*;
use crate::pair::{Pair, V4, V6};
use crate::requests::syn;
use crate::segments::segment;
use core::net::{IpAddr, SocketAddr};
use packet::Bytes;
use stack::{Binding, Config, Event, FastOpenConfig, Listen, ListenerId, TcpId};
use time::{Duration, SequenceNumber};
use wire::tcp::{FastOpen, Flags, Header, Options};

const PORT: u16 = 80;
const QUESTION: &[u8] = b"a question";

/// Both sides, with a server that takes data in SYNs.
fn pair() -> Pair {
    let mut pair = Pair::new(PLAIN);
    let listener = pair.listen(false);
    pair.sides[1].stack.tcp_set_fast_open(listener, 8);
    pair
}

/// The client opens a connection with a question.
fn ask(pair: &mut Pair, to: impl Into<IpAddr>) -> TcpId {
    let mut data = Bytes::from_static(QUESTION);
    let remote = SocketAddr::new(to.into(), PORT);
    let opened = pair.sides[0].stack.tcp_connect_fast(None, remote, &mut data, tcp_profile(), pair.now);
    assert!(data.is_empty());
    opened.expect("there is a way")
}

fn accepted(pair: &Pair) -> Vec<TcpId> {
    let connection = |event: &Event| match *event {
        Event::TcpAccepted { connection, .. } => Some(connection),
        _ => None,
    };
    pair.sides[1].events.iter().filter_map(connection).collect()
}

fn read(pair: &mut Pair, side: usize, connection: TcpId) -> Vec<u8> {
    let now = pair.now;
    let stack = &mut pair.sides[side].stack;
    core::iter::from_fn(|| stack.tcp_read(connection, usize::MAX, now)).flatten().collect()
}

fn status(pair: &Pair, connection: TcpId) -> tcp::FastOpenStatus {
    pair.sides[0].stack.tcp_info(connection, pair.now).expect("it is held").fast_open
}

#[test]
fn the_first_connection_gets_a_cookie_and_the_second_is_answered_within_a_round_trip() {
    for to in [IpAddr::from(V4[1]), IpAddr::from(V6[1])] {
        let mut pair = pair();
        let remote = SocketAddr::new(to, PORT);
        assert!(pair.sides[0].stack.tcp_fast_open_room(None, remote, pair.now).is_none());
        let first = ask(&mut pair, to);
        pair.settle();
        let server = accepted(&pair)[0];
        assert_eq!(read(&mut pair, 1, server), QUESTION);
        assert_eq!(status(&pair, first), tcp::FastOpenStatus::Requested);
        assert!(pair.sides[0].stack.tcp_fast_open_room(None, remote, pair.now).is_some());

        let second = ask(&mut pair, to);
        assert!(pair.carry(0));
        let server = accepted(&pair)[1];
        assert_eq!(
            pair.sides[1].stack.tcp_info(server, pair.now).map(|info| info.state),
            Some(tcp::State::SynReceived)
        );
        assert!(pair.told(1, server, tcp::Event::Readable));
        assert_eq!(read(&mut pair, 1, server), QUESTION);
        let mut answer = Bytes::from_static(b"its answer");
        assert_eq!(pair.sides[1].stack.tcp_write(server, &mut answer, pair.now), 10);
        assert!(pair.carry(1));
        assert_eq!(read(&mut pair, 0, second), b"its answer");
        pair.settle();
        assert_eq!(status(&pair, second), tcp::FastOpenStatus::Taken);
        assert!(!pair.told(1, server, tcp::Event::Established), "it was told when it was accepted");
        assert_eq!(
            pair.sides[1].stack.tcp_info(server, pair.now).map(|info| info.state),
            Some(tcp::State::Established)
        );
    }
}

#[test]
fn without_a_cookie_that_holds_the_data_follows_the_handshake() {
    let mut pair = pair();
    ask(&mut pair, V4[1]);
    pair.settle();
    pair.sides[1].stack.set_fast_open_keys([7; 16], None);
    let second = ask(&mut pair, V4[1]);
    pair.settle();
    let server = accepted(&pair)[1];
    assert_eq!(read(&mut pair, 1, server), QUESTION);
    assert_eq!(status(&pair, second), tcp::FastOpenStatus::NotTaken);
    let third = ask(&mut pair, V4[1]);
    pair.settle();
    assert_eq!(status(&pair, third), tcp::FastOpenStatus::Taken, "by the new cookie");
    pair.sides[1].stack.set_fast_open_keys([8; 16], Some([7; 16]));
    for _ in 0..2 {
        let next = ask(&mut pair, V4[1]);
        pair.settle();
        assert_eq!(
            status(&pair, next),
            tcp::FastOpenStatus::Taken,
            "by the key before, and then by the new one"
        );
    }
    pair.sides[1].stack.set_fast_open_keys([8; 16], None);
    let last = ask(&mut pair, V4[1]);
    pair.settle();
    assert_eq!(status(&pair, last), tcp::FastOpenStatus::Taken);
}

#[test]
fn a_server_that_does_not_take_data_is_left_alone_for_a_minute() {
    let mut pair = Pair::new(PLAIN);
    let listener = pair.listen(false);
    pair.sides[1].stack.tcp_set_fast_open(listener, 8);
    ask(&mut pair, V4[1]);
    pair.settle();
    pair.sides[1].stack.tcp_set_fast_open(listener, 0);
    let refused = ask(&mut pair, V4[1]);
    pair.settle();
    assert_eq!(status(&pair, refused), tcp::FastOpenStatus::NotTaken);
    let plain = ask(&mut pair, V4[1]);
    pair.settle();
    assert_eq!(status(&pair, plain), tcp::FastOpenStatus::Unused);
    pair.pass(Duration::from_secs(60));
    let asking = ask(&mut pair, V4[1]);
    pair.settle();
    assert_eq!(status(&pair, asking), tcp::FastOpenStatus::Requested);
}

#[test]
fn a_path_that_loses_syns_with_data_is_left_alone_too() {
    let mut pair = pair();
    ask(&mut pair, V4[1]);
    pair.settle();
    let lost = ask(&mut pair, V4[1]);
    let mut gone = packet::Batch::with_capacity(8);
    let side = &mut pair.sides[0];
    side.stack.poll_transmit(side.interface, &mut gone, pair.now);
    assert_eq!(gone.len(), 1);
    pair.pass(Duration::from_secs(3));
    let server = accepted(&pair)[1];
    assert_eq!(read(&mut pair, 1, server), QUESTION);
    assert_eq!(status(&pair, lost), tcp::FastOpenStatus::Repeated);
    let plain = ask(&mut pair, V4[1]);
    pair.settle();
    assert_eq!(status(&pair, plain), tcp::FastOpenStatus::Unused);
}

#[test]
fn neither_side_does_it_that_may_not() {
    for (client, server) in [(false, true), (true, false)] {
        let fast_open = FastOpenConfig { client, server, ..FastOpenConfig::default() };
        let mut pair = Pair::with(Config { fast_open, ..Config::default() }, PLAIN);
        let listener = pair.listen(false);
        pair.sides[1].stack.tcp_set_fast_open(listener, 8);
        for _ in 0..2 {
            let opened = ask(&mut pair, V4[1]);
            pair.settle();
            assert_ne!(status(&pair, opened), tcp::FastOpenStatus::Taken);
        }
        let remote = SocketAddr::new(V4[1].into(), PORT);
        assert!(pair.sides[0].stack.tcp_fast_open_room(None, remote, pair.now).is_none());
    }
}

/// A server, and the cookie that it gives to a peer made by hand.
fn served(backlog: usize, pending_max: usize) -> (Link, ListenerId, FastOpen) {
    served_by(Link::new(), backlog, pending_max)
}

fn served_by(mut link: Link, backlog: usize, pending_max: usize) -> (Link, ListenerId, FastOpen) {
    link.acquaint();
    let binding = Binding::Address(at(OUR_V4, PORT));
    let listen = Listen { binding, defer: false, backlog, config: tcp_profile() };
    let listener = link.stack.tcp_listen(listen).expect("the port is free");
    link.stack.tcp_set_fast_open(listener, pending_max);
    link.receive(tcp_frame(at(PEER_V4, 999), at(OUR_V4, PORT), asking(FastOpen::REQUEST), b""));
    let offer = link.frame().segment().2;
    let reset =
        Header { sequence: SequenceNumber(1), ..segment(SequenceNumber(1), SequenceNumber(0), Flags::RST) };
    link.receive(tcp_frame(at(PEER_V4, 999), at(OUR_V4, PORT), reset, b""));
    assert!(link.events().is_empty());
    (link, listener, offer.options.fast_open.expect("a cookie"))
}

fn asking(cookie: FastOpen) -> Header {
    let options = Options { mss: Some(1_460), fast_open: Some(cookie), ..Options::default() };
    Header { options, ..syn(0) }
}

/// The answer to a SYN with a question, and the connection that was told of, if any.
fn question(link: &mut Link, port: u16, cookie: FastOpen) -> (Header, Option<TcpId>) {
    link.receive(tcp_frame(at(PEER_V4, port), at(OUR_V4, PORT), asking(cookie), QUESTION));
    let accepted = link.events().into_iter().find_map(|event| match event {
        Event::TcpAccepted { connection, .. } => Some(connection),
        _ => None,
    });
    (link.frame().segment().2, accepted)
}

fn is_taken(answer: &Header) -> bool {
    assert!(answer.flags.contains(Flags::SYN | Flags::ACK), "{answer:?}");
    answer.acknowledgement == SequenceNumber(1 + QUESTION.len() as u32)
}

#[test]
fn the_answer_is_of_the_kind_that_the_client_asked_by() {
    let (mut link, _, cookie) = served(8, 8);
    assert!(!cookie.is_experimental());
    let (answer, _) = question(&mut link, 1, FastOpen::REQUEST.experimental(true));
    assert_eq!(answer.options.fast_open, Some(cookie.experimental(true)));
    let (answer, accepted) = question(&mut link, 2, cookie.experimental(true));
    assert!(is_taken(&answer) && accepted.is_some());
    let (answer, accepted) = question(&mut link, 3, FastOpen::new(b"not ours").expect("legal"));
    assert_eq!((is_taken(&answer), accepted, answer.options.fast_open), (false, None, Some(cookie)));
}

#[test]
fn no_more_are_taken_than_may_be_pending_and_a_reset_makes_no_room() {
    let (mut link, _, cookie) = served(8, 2);
    let (first, one) = question(&mut link, 1, cookie);
    assert!(is_taken(&first) && one.is_some());
    assert!(question(&mut link, 2, cookie).1.is_some());
    let (answer, accepted) = question(&mut link, 3, cookie);
    assert_eq!((is_taken(&answer), accepted, answer.options.fast_open), (false, None, None));
    // The first one's handshake ends.
    let end = segment(SequenceNumber(1 + QUESTION.len() as u32), first.sequence + 1, Flags::ACK);
    link.receive(tcp_frame(at(PEER_V4, 1), at(OUR_V4, PORT), end, b""));
    assert!(question(&mut link, 4, cookie).1.is_some());
    // The second is reset by who never sent it.
    let next = SequenceNumber(1 + QUESTION.len() as u32);
    let reset = segment(next, SequenceNumber(0), Flags::RST);
    link.receive(tcp_frame(at(PEER_V4, 2), at(OUR_V4, PORT), reset, b""));
    assert!(
        link.events().iter().any(|event| matches!(
            event,
            Event::Tcp { event: tcp::Event::Closed(tcp::CloseReason::Reset), .. }
        ))
    );
    assert_eq!(question(&mut link, 5, cookie).1, None);
    link.now += Duration::from_secs(61);
    link.acquaint();
    assert!(question(&mut link, 6, cookie).1.is_some());
}

#[test]
fn a_full_backlog_is_answered_by_syn_cookie_and_takes_no_data() {
    let (mut link, _, cookie) = served(1, 8);
    link.receive(tcp_frame(at(PEER_V4, 1), at(OUR_V4, PORT), syn(1), b""));
    let _ = link.frame();
    let (answer, accepted) = question(&mut link, 2, cookie);
    assert_eq!((is_taken(&answer), accepted, answer.options.fast_open), (false, None, None));
    // The data comes again behind the handshake.
    let end = segment(SequenceNumber(1), answer.sequence + 1, Flags::ACK);
    link.receive(tcp_frame(at(PEER_V4, 2), at(OUR_V4, PORT), end, QUESTION));
    let events = link.events();
    let Some(&Event::TcpAccepted { connection, .. }) = events.first() else { panic!("{events:?}") };
    assert_eq!(link.stack.tcp_read(connection, 100, link.now).as_deref(), Some(QUESTION));
}

#[test]
fn a_listener_that_defers_takes_no_data_before_the_verdict() {
    let (mut link, listener, cookie) = served(8, 8);
    link.stack.tcp_unlisten(listener);
    let binding = Binding::Address(at(OUR_V4, PORT));
    let listen = Listen { binding, defer: true, backlog: 8, config: tcp_profile() };
    let listener = link.stack.tcp_listen(listen).expect("the port is free");
    link.stack.tcp_set_fast_open(listener, 8);
    for told in [cookie, FastOpen::REQUEST] {
        link.receive(tcp_frame(at(PEER_V4, 5), at(OUR_V4, PORT), asking(told), QUESTION));
        let events = link.events();
        let Some(&Event::TcpRequest { request, .. }) = events.first() else { panic!("{events:?}") };
        let admitted = link.stack.tcp_admit(request, tcp_profile(), link.now).expect("there is room");
        let answer = link.frame().segment().2;
        assert_eq!((is_taken(&answer), answer.options.fast_open), (false, None));
        assert_eq!(link.stack.tcp_readable(admitted), 0);
        link.stack.tcp_abort(admitted, link.now);
        link.stack.tcp_release(admitted, link.now);
        let _ = (link.frames(), link.events());
    }
}

#[test]
fn what_was_released_early_counts_until_its_handshake_ends_and_then_is_gone() {
    let (mut link, _, cookie) = served(8, 1);
    let (answer, accepted) = question(&mut link, 1, cookie);
    let connection = accepted.expect("it is taken");
    assert_eq!(link.stack.tcp_read(connection, 100, link.now).as_deref(), Some(QUESTION));
    link.stack.tcp_release(connection, link.now);
    assert_eq!(question(&mut link, 2, cookie).1, None);
    let next = SequenceNumber(1 + QUESTION.len() as u32);
    let end = segment(next, answer.sequence + 1, Flags::ACK);
    link.receive(tcp_frame(at(PEER_V4, 1), at(OUR_V4, PORT), end, b""));
    assert!(link.frame().segment().2.flags.contains(Flags::FIN));
    assert!(question(&mut link, 3, cookie).1.is_some());
    let reset = segment(next, SequenceNumber(0), Flags::RST);
    let before = link.stack.memory().connections;
    link.receive(tcp_frame(at(PEER_V4, 1), at(OUR_V4, PORT), reset, b""));
    assert_eq!(link.stack.memory().connections, before - 1);
}

#[test]
fn a_writer_who_waits_for_memory_before_the_handshake_is_over_is_called() {
    let config = Config { tcp_bytes_max: 100_000, ..Config::default() };
    let (mut link, _, cookie) = served_by(Link::with(config, gateway(PLAIN)), 64, 64);
    let connections: Vec<TcpId> =
        (1..40).map(|port| question(&mut link, port, cookie).1.expect("it is taken")).collect();
    let now = link.now;
    let write = |link: &mut Link, id| link.stack.tcp_write(id, &mut Bytes::from(vec![7; 16_000]), now);
    let refused = connections.iter().copied().find(|id| write(&mut link, *id) < 16_000);
    let refused = refused.expect("memory is short");
    link.events();
    for other in connections.iter().filter(|id| **id != refused) {
        link.stack.tcp_abort(*other, now);
    }
    let is_called = |event: &Event| matches!(event, Event::Tcp { connection, event: tcp::Event::Writable } if *connection == refused);
    assert!(link.events().iter().any(is_called));
    assert!(write(&mut link, refused) > 0);
}

#[test]
fn a_syn_again_takes_nothing_twice() {
    let (mut link, _, cookie) = served(8, 8);
    let (_, accepted) = question(&mut link, 1, cookie);
    let connection = accepted.expect("it is taken");
    let (again, none) = question(&mut link, 1, cookie);
    assert!(is_taken(&again) && none.is_none());
    assert_eq!(link.stack.tcp_read(connection, 100, link.now).as_deref(), Some(QUESTION));
    assert_eq!(link.stack.tcp_read(connection, 100, link.now), None);
}
