//! What options show on the wire, and which listener gets a connection.

use crate::link::*;
use crate::pair::{Pair, V4, V6};
use crate::requests::syn;
use crate::segments::{handshake, segment};
use packet::Bytes;
use stack::{BindError, Binding, Event, Listen, ListenerId};
use std::collections::BTreeMap;
use std::sync::Arc;
use wire::tcp::Flags;
use wire::{ipv4, ipv6};

/// Bytes of an Ethernet header.
const LINK: usize = 14;

/// The one IP packet that the stack sends now.
fn sent(link: &mut Link) -> Vec<u8> {
    let packets = link.packets();
    let [packet] = &packets[..] else { panic!("one packet is expected: {packets:?}") };
    [&packet.headers[LINK..], &packet.body.to_vec()].concat()
}

fn traffic_class(link: &mut Link) -> u8 {
    ipv4::Header::parse(&sent(link)).expect("a header").0.traffic_class
}

fn listening(binding: Binding) -> Listen {
    Listen { binding, defer: false, backlog: 1_000, config: tcp_profile() }
}

#[test]
fn the_code_point_that_a_program_asks_for_stands_in_its_packets() {
    let mut link = Link::host();
    link.acquaint();
    let config = Arc::new(tcp::Config { dscp: 10, ..tcp::Config::default() });
    link.stack.tcp_listen(Listen { config, ..listening(Binding::Port(80)) }).expect("free");
    link.receive(tcp_frame(at(PEER_V4, 1), at(OUR_V4, 80), syn(1), b""));
    assert_eq!(traffic_class(&mut link), 40);

    let (id, _, _) = handshake(&mut link, at(PEER_V4, 2), at(OUR_V4, 80), 100);
    link.stack.tcp_configure(id, link.now, |config| config.dscp = 46).expect("in range");
    link.stack.tcp_write(id, &mut Bytes::from_static(b"voice"), link.now);
    assert_eq!(traffic_class(&mut link), 184);
    let error = link.stack.tcp_configure(id, link.now, |config| config.dscp = 64).unwrap_err();
    assert_eq!((error.field, link.stack.tcp_config(id).map(|config| config.dscp)), ("dscp", Some(46)));
}

#[test]
fn every_packet_of_an_ipv6_connection_has_its_label() {
    let mut link = Link::host();
    link.acquaint();
    link.stack.tcp_listen(listening(Binding::Port(80))).expect("free");
    let mut label_of = |port: u16| {
        let (from, to) = (at(PEER_V6, port), at(OUR_V6, 80));
        let mut labels = Vec::new();
        let mut read = |link: &mut Link| {
            let packet = sent(link);
            labels.push(ipv6::Header::parse(&packet).expect("a header").0.flow_label);
            wire::tcp::Header::parse(&packet[ipv6::HEADER_LENGTH..]).expect("a segment").0
        };
        link.receive(tcp_frame(from, to, syn(7), b""));
        let offer = read(&mut link);
        link.receive(tcp_frame(
            from,
            to,
            segment(offer.acknowledgement, offer.sequence + 1, Flags::ACK),
            b"",
        ));
        let [Event::TcpAccepted { connection, .. }] = link.events()[..] else { panic!("a connection") };
        link.stack.tcp_write(connection, &mut Bytes::from_static(b"hello"), link.now);
        read(&mut link);
        assert_eq!(labels[0], labels[1]);
        labels[0]
    };
    let (first, second) = (label_of(1), label_of(2));
    assert!(first != 0 && second != 0 && first != second, "{first:x} {second:x}");
}

#[test]
fn listeners_that_share_a_port_are_chosen_by_the_peer_and_inherit_from_each_other() {
    let mut link = Link::host();
    link.acquaint();
    let binding = Binding::Port(80);
    let ids: Vec<ListenerId> =
        (0..3).map(|_| link.stack.tcp_listen_shared(listening(binding)).expect("they share")).collect();
    assert_eq!(link.stack.tcp_listen(listening(binding)).err(), Some(BindError::InUse));
    let spread = |link: &mut Link, ports: core::ops::Range<u16>| {
        let mut counts = BTreeMap::new();
        for port in ports {
            link.receive(tcp_frame(at(PEER_V4, port), at(OUR_V4, 80), syn(1), b""));
            let offer = link.frame().segment().2;
            let answer = segment(offer.acknowledgement, offer.sequence + 1, Flags::ACK);
            link.receive(tcp_frame(at(PEER_V4, port), at(OUR_V4, 80), answer, b""));
            let [Event::TcpAccepted { listener, .. }] = link.events()[..] else { panic!("a connection") };
            *counts.entry(listener).or_insert(0) += 1;
        }
        counts
    };
    let counts = spread(&mut link, 1..301);
    assert!(ids.iter().all(|id| counts[id] > 60), "{counts:?}");
    // The first, which holds the binding, goes; then one in the middle.
    link.stack.tcp_unlisten(ids[0]);
    link.stack.tcp_unlisten(ids[2]);
    assert_eq!(spread(&mut link, 301..321), BTreeMap::from([(ids[1], 20)]));
    link.stack.tcp_unlisten(ids[1]);
    link.stack.tcp_listen(listening(binding)).expect("all are gone");
    assert_eq!(link.stack.tcp_listen_shared(listening(binding)).err(), Some(BindError::InUse));
}

#[test]
fn a_port_of_one_version_leaves_the_other_to_others() {
    let mut link = Link::host();
    let four = link.stack.tcp_listen(listening(Binding::PortV4(80))).expect("free");
    let six = link.stack.tcp_listen(listening(Binding::PortV6(80))).expect("free");
    for taken in [Binding::PortV4(80), Binding::PortV6(80), Binding::Port(80)] {
        assert_eq!(link.stack.tcp_listen(listening(taken)).err(), Some(BindError::InUse));
    }
    link.acquaint();
    let mut listener_for = |from, to| {
        link.receive(tcp_frame(from, to, syn(1), b""));
        let offer = link.frame().segment().2;
        link.receive(tcp_frame(
            from,
            to,
            segment(offer.acknowledgement, offer.sequence + 1, Flags::ACK),
            b"",
        ));
        match link.events()[..] {
            [Event::TcpAccepted { listener, .. }] => listener,
            ref other => panic!("one connection is expected: {other:?}"),
        }
    };
    assert_eq!(listener_for(at(PEER_V4, 1), at(OUR_V4, 80)), four);
    assert_eq!(listener_for(at(PEER_V6, 1), at(OUR_V6, 80)), six);
    link.stack.tcp_unlisten(four);
    assert_eq!(link.stack.tcp_listen(listening(Binding::Port(80))).err(), Some(BindError::InUse));
    link.stack.tcp_unlisten(six);
    link.stack.tcp_listen(listening(Binding::Port(80))).expect("both are gone");
}

#[test]
fn connections_that_are_changed_alike_share_a_profile() {
    let mut pair = Pair::new(PLAIN);
    pair.listen(false);
    let ids = [V4[1].into(), V6[1].into()].map(|to: core::net::IpAddr| pair.connect(to));
    pair.settle();
    let now = pair.now;
    let mut profiles = Vec::new();
    for id in ids {
        let stack = &mut pair.sides[0].stack;
        stack.tcp_configure(id, now, |config| config.nagle = false).expect("in range");
        profiles.push(stack.tcp_config(id).map(std::ptr::from_ref));
    }
    assert!(profiles[0].is_some() && profiles[0] == profiles[1]);
}

#[test]
fn a_listener_without_a_port_gets_a_free_one_until_there_is_none() {
    let mut link = Link::host();
    let mut ports = std::collections::BTreeSet::new();
    for _ in 0..16_384 {
        let id = link.stack.tcp_listen(listening(Binding::PortV4(0))).expect("one is free");
        let Some(Binding::PortV4(port)) = link.stack.tcp_binding(id) else { panic!("a port is expected") };
        assert!(port >= 49_152 && ports.insert(port));
    }
    assert_eq!(link.stack.tcp_listen(listening(Binding::PortV4(0))), Err(BindError::TooMany));
}

#[test]
fn what_is_looked_at_is_left_to_be_read() {
    let mut link = Link::host();
    link.acquaint();
    link.stack.tcp_listen(listening(Binding::Port(80))).expect("free");
    let (id, ours, theirs) = handshake(&mut link, at(PEER_V4, 2), at(OUR_V4, 80), 100);
    let mut into = [0; 8];
    assert_eq!(link.stack.tcp_peek(id, &mut into), 0);
    let first = segment(ours, theirs, Flags::ACK);
    link.receive(tcp_frame(at(PEER_V4, 2), at(OUR_V4, 80), first, b"hello "));
    let second = segment(ours + 6, theirs, Flags::ACK);
    link.receive(tcp_frame(at(PEER_V4, 2), at(OUR_V4, 80), second, b"world"));
    assert_eq!((link.stack.tcp_peek(id, &mut into), &into), (8, b"hello wo"));
    assert_eq!(link.stack.tcp_peek(id, &mut into[..2]), 2);
    let read: Vec<u8> = std::iter::from_fn(|| link.stack.tcp_read(id, 64, link.now)).flatten().collect();
    assert_eq!(read, b"hello world");
}
