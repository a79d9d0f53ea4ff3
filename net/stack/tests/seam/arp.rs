//! RFC 826 and RFC 5227 at the seam.

use crate::link::*;
use core::net::Ipv4Addr;
use packet::Bytes;
use stack::{Binding, Datagram, Drop, Event, InterfaceConfig};
use time::Duration;
use wire::arp::Operation;
use wire::ethernet::Address;

#[test]
fn request_for_own_address_is_answered() {
    let mut link = Link::new();
    for target in [OUR_V4, OUR_SECOND_V4] {
        link.receive(arp_frame(&arp_request(PEER_V4, target)));
        let frame = link.frame();
        assert_eq!(frame.to, THEIRS);
        let reply = frame.arp();
        assert_eq!((reply.operation, reply.sender_hardware), (Operation::Reply, OURS));
        assert_eq!((reply.sender_protocol, reply.target_protocol), (target, PEER_V4));
    }
}

#[test]
fn request_for_an_intercepted_address_is_not_answered() {
    let mut link = Link::new();
    for target in [PEER_V4, FAR_V4, Ipv4Addr::new(10, 0, 2, 4)] {
        link.receive(arp_frame(&arp_request(PEER_V4, target)));
    }
    assert!(link.frames().is_empty());
    assert_eq!(link.dropped(Drop::ArpNotForUs), 3);
}

#[test]
fn probe_for_own_address_is_defended_and_told() {
    let mut link = Link::new();
    link.receive(arp_frame(&arp_request(Ipv4Addr::UNSPECIFIED, OUR_V4)));
    let reply = link.frame().arp();
    assert_eq!((reply.operation, reply.sender_protocol), (Operation::Reply, OUR_V4));
    assert_eq!(link.stack.memory().neighbours, 0, "a probe teaches nothing");
}

#[test]
fn conflict_is_told_and_defended_once_in_ten_seconds() {
    let mut link = Link::new();
    for _ in 0..3 {
        link.receive(arp_frame(&arp_request(OUR_V4, OUR_V4)));
    }
    let frame = link.frame();
    assert_eq!(frame.to, Address::BROADCAST);
    assert_eq!((frame.arp().sender_protocol, frame.arp().target_protocol), (OUR_V4, OUR_V4));
    let conflicts = link.events();
    assert_eq!(conflicts.len(), 3);
    assert!(
        matches!(conflicts[0], Event::AddressConflict { address: OUR_V4, hardware, .. } if hardware == THEIRS.0)
    );
    link.pass(Duration::from_secs(10));
    link.receive(arp_frame(&arp_request(OUR_V4, OUR_V4)));
    assert_eq!(link.frames().len(), 1);
}

#[test]
fn claimed_address_is_probed_then_announced_then_used() {
    let mut link = Link::with(stack::Config::default(), InterfaceConfig { announce: true, ..gateway(PLAIN) });
    assert!(!link.stack.is_local(OUR_V4.into()), "an address that is probed for is not used");
    let mut senders = Vec::new();
    for _ in 0..40 {
        link.pass(Duration::from_millis(500));
        let frames = link.frames();
        senders.extend(
            frames.iter().map(|f| f.arp()).filter(|p| p.target_protocol == OUR_V4).map(|p| p.sender_protocol),
        );
    }
    let unknown = Ipv4Addr::UNSPECIFIED;
    assert_eq!(senders, [unknown, unknown, unknown, OUR_V4, OUR_V4], "three probes, two announcements");
    assert!(link.stack.is_local(OUR_V4.into()));
}

#[test]
fn claimed_address_that_another_has_is_given_up() {
    let mut link = Link::with(stack::Config::default(), InterfaceConfig { announce: true, ..gateway(PLAIN) });
    link.pass(Duration::from_secs(1));
    link.receive(arp_frame(&arp_reply(OUR_V4, Ipv4Addr::UNSPECIFIED)));
    assert!(matches!(link.events()[..], [Event::AddressConflict { address: OUR_V4, .. }]));
    link.pass(Duration::from_secs(20));
    assert!(!link.stack.is_local(OUR_V4.into()));
    assert!(link.stack.is_local(OUR_SECOND_V4.into()));
}

/// Sends one datagram to the peer.
fn send(link: &mut Link, port: u16) {
    let socket = link.stack.udp_bind(Binding::Port(port)).expect("the port is free");
    let datagram = Datagram::new(at(OUR_V4, port), at(PEER_V4, 9), Bytes::from_static(b"payload"));
    link.stack.udp_send(socket, datagram, link.now).expect("it leaves");
}

#[test]
fn datagram_to_an_unknown_neighbour_waits_for_its_answer() {
    let mut link = Link::new();
    send(&mut link, 1);
    let request = link.frame();
    assert_eq!(request.to, Address::BROADCAST);
    let asked = request.arp();
    assert_eq!(
        (asked.operation, asked.sender_protocol, asked.target_protocol),
        (Operation::Request, OUR_V4, PEER_V4)
    );
    link.receive(arp_frame(&arp_reply(PEER_V4, OUR_V4)));
    let frame = link.frame();
    assert_eq!(frame.to, THEIRS);
    assert_eq!(frame.datagram(), (at(OUR_V4, 1), at(PEER_V4, 9), b"payload".to_vec()));
}

#[test]
fn neighbour_that_does_not_answer_is_asked_three_times_and_forgotten() {
    let mut link = Link::new();
    send(&mut link, 1);
    assert_eq!(link.frames().len(), 1);
    for _ in 0..2 {
        link.pass(Duration::from_secs(1));
        assert_eq!(link.frame().arp().target_protocol, PEER_V4);
    }
    link.pass(Duration::from_secs(5));
    assert!(link.frames().is_empty());
    assert_eq!(link.dropped(Drop::NeighbourUnreachable), 1);
    assert_eq!((link.stack.memory().neighbours, link.stack.memory().queued_packets), (0, 0));
}

#[test]
fn packets_for_an_unknown_neighbour_are_bounded() {
    let mut link = Link::new();
    for port in 1..=20 {
        send(&mut link, port);
    }
    assert_eq!(link.frames().len(), 1, "asked once");
    assert_eq!(link.dropped(Drop::NeighbourQueueFull), 4);
    link.receive(arp_frame(&arp_reply(PEER_V4, OUR_V4)));
    let ports: Vec<u16> = link.frames().iter().map(|frame| frame.datagram().0.port()).collect();
    assert_eq!(ports, (5..=20).collect::<Vec<u16>>(), "the youngest are kept, in order");
}

#[test]
fn gratuitous_request_moves_a_known_neighbour() {
    let mut link = Link::acquainted();
    let elsewhere = Address([2, 0, 0, 0, 0, 99]);
    let told = wire::arp::Packet { sender_hardware: elsewhere, ..arp_request(PEER_V4, PEER_V4) };
    link.receive(arp_frame(&told));
    send(&mut link, 1);
    assert_eq!(link.frame().to, elsewhere);
}

#[test]
fn gratuitous_request_of_a_stranger_teaches_nothing() {
    let mut link = Link::new();
    link.receive(arp_frame(&arp_request(PEER_V4, PEER_V4)));
    assert_eq!(link.stack.memory().neighbours, 0);
}

#[test]
fn request_from_off_the_link_teaches_nothing() {
    let mut link = Link::new();
    link.receive(arp_frame(&arp_request(FAR_V4, OUR_V4)));
    assert!(link.frames().is_empty());
    assert_eq!(link.stack.memory().neighbours, 0);
}

#[test]
fn stale_neighbour_is_used_and_probed_where_nothing_confirms_it() {
    let mut link = Link::acquainted();
    send(&mut link, 1);
    assert_eq!(link.frame().to, THEIRS);
    link.pass(Duration::from_secs(5));
    let frames = link.frames();
    let probe = frames.iter().find(|frame| matches!(frame.content, Content::Arp(_))).expect("a probe");
    assert_eq!((probe.to, probe.arp().target_protocol), (THEIRS, PEER_V4), "the neighbour itself is asked");
    link.receive(arp_frame(&arp_reply(PEER_V4, OUR_V4)));
    link.pass(Duration::from_secs(5));
    let asked_again = link.frames().iter().any(|frame| matches!(frame.content, Content::Arp(_)));
    assert!(!asked_again, "an answer ends the probing");
}
