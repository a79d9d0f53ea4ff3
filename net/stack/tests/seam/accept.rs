//! Connections that nobody takes: as many wait as may, and who comes then is not turned away for good.

use crate::link::*;
use crate::requests::syn;
use crate::segments::segment;
use packet::{Bytes, Offload, Packet};
use stack::{Binding, Drop, Event, Listen, ListenerId};
use time::{Duration, SequenceNumber};
use wire::tcp::Flags;

/// A listener with room for `waiting` connections.
fn listen(link: &mut Link, backlog: usize, waiting: usize) -> ListenerId {
    let listen = Listen { binding: Binding::Port(80), defer: false, backlog, config: tcp_profile() };
    let listener = link.stack.tcp_listen(listen).expect("free");
    link.stack.tcp_set_accept_queue_max(listener, waiting);
    listener
}

/// The stack's first number in its answer to a SYN from `port`.
fn offered(link: &mut Link, port: u16) -> SequenceNumber {
    link.receive(tcp_frame(at(PEER_V4, port), at(OUR_V4, 80), syn(1), b""));
    let offer = link.frame().segment().2;
    assert!(offer.flags.contains(Flags::SYN | Flags::ACK));
    offer.sequence
}

/// Ends the handshake of `port`; how many connections are told.
fn end(link: &mut Link, port: u16, offer: SequenceNumber) -> usize {
    let header = segment(SequenceNumber(2), offer + 1, Flags::ACK);
    link.receive(tcp_frame(at(PEER_V4, port), at(OUR_V4, 80), header, b""));
    link.events().iter().filter(|event| matches!(event, Event::TcpAccepted { .. })).count()
}

#[test]
fn a_full_queue_drops_syns_and_the_ends_of_handshakes_and_resets_nothing() {
    let mut link = Link::acquainted();
    let listener = listen(&mut link, 8, 2);
    let offers = [1, 2, 3].map(|port| offered(&mut link, port));
    assert_eq!([1, 2, 3].map(|port| end(&mut link, port, offers[usize::from(port) - 1])), [1, 1, 0]);
    link.receive(tcp_frame(at(PEER_V4, 4), at(OUR_V4, 80), syn(1), b""));
    assert_eq!((link.frames().len(), link.dropped(Drop::TcpAcceptQueueFull)), (0, 2));
    // The third is offered again, and its peer acknowledges again.
    link.pass(Duration::from_millis(1_100));
    let again = link.frame().segment().2;
    assert_eq!((again.sequence, again.destination_port), (offers[2], 3));
    link.stack.tcp_take_accepted(listener);
    assert_eq!(end(&mut link, 3, offers[2]), 1);
    link.stack.tcp_take_accepted(listener);
    let fourth = offered(&mut link, 4);
    assert_eq!(end(&mut link, 4, fourth), 1);
}

#[test]
fn a_reset_ends_a_handshake_that_waits_for_room() {
    let mut link = Link::acquainted();
    listen(&mut link, 8, 1);
    let offers = [1, 2].map(|port| offered(&mut link, port));
    assert_eq!(end(&mut link, 1, offers[0]), 1);
    let reset = segment(SequenceNumber(2), offers[1] + 1, Flags::RST | Flags::ACK);
    link.receive(tcp_frame(at(PEER_V4, 2), at(OUR_V4, 80), reset, b""));
    assert_eq!(link.stack.memory().connections, 1);
}

#[test]
fn a_cookie_that_finds_the_queue_full_is_good_when_there_is_room() {
    let mut link = Link::acquainted();
    let listener = listen(&mut link, 1, 1);
    let offers = [1, 2].map(|port| offered(&mut link, port));
    assert_eq!(link.stack.memory().connections, 1, "of the second nothing is kept");
    assert_eq!([1, 2].map(|port| end(&mut link, port, offers[usize::from(port) - 1])), [1, 0]);
    assert_eq!((link.frames().len(), link.dropped(Drop::TcpAcceptQueueFull)), (0, 1));
    link.stack.tcp_take_accepted(listener);
    assert_eq!(end(&mut link, 2, offers[1]), 1);
}

#[test]
fn handshakes_that_end_in_one_turn_are_counted_one_by_one() {
    let mut link = Link::acquainted();
    listen(&mut link, 2, 2);
    // Two are half open, and of the others nothing is kept.
    let offers = [1, 2, 3, 4, 5].map(|port| (port, offered(&mut link, port)));
    link.receive_together(offers.iter().map(|(port, offer)| {
        let header = segment(SequenceNumber(2), *offer + 1, Flags::ACK);
        let frame = tcp_frame(at(PEER_V4, *port), at(OUR_V4, 80), header, b"");
        Packet::received(Bytes::from(frame), Offload::default())
    }));
    assert_eq!((link.events().len(), link.dropped(Drop::TcpAcceptQueueFull)), (2, 3));
}
