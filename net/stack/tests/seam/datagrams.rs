//! UDP at the seam: RFC 768, RFC 8200 §8.1, interception, fragments, joined datagrams.

use crate::link::*;
use packet::{Bytes, Checksum, Offload, Packet, Segmentation, SegmentationKind};
use stack::{Binding, Config, Datagram, Drop, Event, SendError};
use wire::{Protocol, udp};

#[test]
fn datagram_for_any_address_reaches_the_intercepting_socket() {
    let mut link = Link::acquainted();
    let socket = link.stack.udp_bind(Binding::Intercept).expect("nobody intercepts yet");
    for (from, to) in [(at(PEER_V4, 5_000), at(FAR_V4, 53)), (at(PEER_V6, 5_001), at(FAR_V6, 443))] {
        link.receive(udp_frame(from, to, b"question"));
        assert!(matches!(link.events()[..], [Event::UdpReadable { socket: told }] if told == socket));
        let datagram = link.stack.udp_receive(socket).expect("it waits");
        assert_eq!((datagram.local, datagram.remote, &datagram.payload[..]), (to, from, &b"question"[..]));
        assert!(link.stack.udp_receive(socket).is_none());
        let answer = Datagram { payload: Bytes::from_static(b"answer"), ..datagram };
        link.stack.udp_send(socket, answer, link.now).expect("it leaves");
        assert_eq!(link.frame().datagram(), (to, from, b"answer".to_vec()));
    }
    assert_eq!(link.stack.memory().udp_bytes, 0);
}

#[test]
fn exact_binding_goes_before_port_before_interception() {
    let mut link = Link::acquainted();
    let intercept = link.stack.udp_bind(Binding::Intercept).expect("free");
    let port = link.stack.udp_bind(Binding::Port(53)).expect("free");
    let exact = link.stack.udp_bind(Binding::Address(at(OUR_SECOND_V4, 53))).expect("free");
    for (to, expected) in [
        (at(OUR_SECOND_V4, 53), exact),
        (at(OUR_V4, 53), port),
        (at(FAR_V4, 53), intercept),
        (at(OUR_V4, 54), intercept),
    ] {
        link.receive(udp_frame(at(PEER_V4, 5_000), to, b"x"));
        let datagram = link.stack.udp_receive(expected);
        assert_eq!(datagram.map(|datagram| datagram.local), Some(to));
    }
}

#[test]
fn zero_checksum_passes_over_v4_and_not_over_v6() {
    let mut link = Link::acquainted();
    let socket = link.stack.udp_bind(Binding::Intercept).expect("free");
    for (from, to, count) in [(at(PEER_V4, 1), at(FAR_V4, 2), 1), (at(PEER_V6, 1), at(FAR_V6, 2), 0)] {
        let mut bytes = udp_bytes(from, to, b"x");
        bytes[udp::CHECKSUM_OFFSET..][..2].fill(0);
        link.receive(ip_frame(from.ip(), to.ip(), Protocol::UDP, &bytes));
        assert_eq!(core::iter::from_fn(|| link.stack.udp_receive(socket)).count(), count);
    }
    assert_eq!(link.dropped(Drop::UdpChecksum), 1);
}

#[test]
fn wrong_checksum_is_dropped_unless_the_device_vouches() {
    let mut link = Link::acquainted();
    let socket = link.stack.udp_bind(Binding::Intercept).expect("free");
    let mut frame = udp_frame(at(PEER_V4, 1), at(FAR_V4, 2), b"x");
    let last = frame.len() - 1;
    frame[last] ^= 1;
    link.receive(frame.clone());
    assert_eq!(link.dropped(Drop::UdpChecksum), 1);
    for checksum in [Checksum::Verified, Checksum::Partial { start: 34, offset: 6 }] {
        let offload = Offload { checksum, segmentation: None };
        link.receive_packet(Packet::received(Bytes::from(frame.clone()), offload));
        assert!(link.stack.udp_receive(socket).is_some());
    }
}

#[test]
fn joined_datagrams_are_cut_apart() {
    let mut link = Link::acquainted();
    let socket = link.stack.udp_bind(Binding::Intercept).expect("free");
    let payload: Vec<u8> = (0..2_500u16).map(|n| n as u8).collect();
    let frame = udp_frame(at(PEER_V4, 1), at(FAR_V4, 443), &payload);
    let segmentation = Segmentation { kind: SegmentationKind::Udp, size: 1_000, header_length: 42 };
    let offload = Offload { checksum: Checksum::Verified, segmentation: Some(segmentation) };
    link.receive_packet(Packet::received(Bytes::from(frame), offload));
    let got: Vec<Bytes> = core::iter::from_fn(|| link.stack.udp_receive(socket)).map(|d| d.payload).collect();
    assert_eq!(got.iter().map(Bytes::len).collect::<Vec<_>>(), [1_000, 1_000, 500]);
    assert_eq!(got.concat(), payload);
}

#[test]
fn full_socket_drops_and_counts() {
    let mut link = Link::with(Config { udp_queue_bytes_max: 1_000, ..Config::default() }, gateway(PLAIN));
    link.acquaint();
    let socket = link.stack.udp_bind(Binding::Intercept).expect("free");
    for _ in 0..10 {
        link.receive(udp_frame(at(PEER_V4, 1), at(FAR_V4, 2), &[0; 200]));
    }
    assert_eq!(link.dropped(Drop::UdpQueueFull), 7);
    assert!(link.stack.memory().udp_bytes <= 1_000);
    assert_eq!(link.events().len(), 1, "told once");
    assert_eq!(core::iter::from_fn(|| link.stack.udp_receive(socket)).count(), 3);
    link.stack.udp_close(socket);
    assert_eq!(link.stack.memory().udp_bytes, 0);
}

#[test]
fn source_of_no_address_on_the_link_is_dropped() {
    let mut link = Link::acquainted();
    link.stack.udp_bind(Binding::Intercept).expect("free");
    link.receive(udp_frame(at([172, 16, 0, 1], 1), at(FAR_V4, 2), b"x"));
    assert_eq!(link.dropped(Drop::SourceElsewhere), 1);
}

#[test]
fn sockets_send_from_what_they_are_bound_to() {
    let mut link = Link::acquainted();
    let port = link.stack.udp_bind(Binding::Port(53)).expect("free");
    let exact = link.stack.udp_bind(Binding::Address(at(OUR_V4, 54))).expect("free");
    let send = |link: &mut Link, socket, local| {
        let datagram = Datagram::new(local, at(PEER_V4, 9), Bytes::new());
        link.stack.udp_send(socket, datagram, link.now)
    };
    assert_eq!(send(&mut link, port, at(FAR_V4, 53)), Err(SendError::NotLocal));
    assert_eq!(send(&mut link, port, at(OUR_V4, 54)), Err(SendError::NotLocal));
    assert_eq!(send(&mut link, exact, at(OUR_SECOND_V4, 54)), Err(SendError::NotLocal));
    assert_eq!(send(&mut link, port, at([0, 0, 0, 0], 0)), Ok(()));
    assert_eq!(link.frame().datagram().0, at(OUR_V4, 53));
    link.stack.udp_close(exact);
    assert_eq!(send(&mut link, exact, at(OUR_V4, 54)), Err(SendError::NotBound));
}

#[test]
fn port_zero_is_chosen_from_the_dynamic_range() {
    let mut link = Link::new();
    let mut ports = Vec::new();
    for _ in 0..3 {
        let socket = link.stack.udp_bind(Binding::Port(0)).expect("some port is free");
        match link.stack.udp_binding(socket) {
            Some(Binding::Port(port)) => ports.push(port),
            other => panic!("a port is expected: {other:?}"),
        }
    }
    assert!(ports.iter().all(|&port| port >= 49_152));
    ports.dedup();
    assert_eq!(ports.len(), 3);
}

#[test]
fn traffic_class_of_a_socket_stands_in_every_packet_of_its_datagrams() {
    let mut link = Link::acquainted();
    let socket = link.stack.udp_bind(Binding::Port(7)).expect("free");
    let other = link.stack.udp_bind(Binding::Port(8)).expect("free");
    // Expedited forwarding (RFC 3246), and ECT(0).
    link.stack.udp_set_traffic_class(socket, 0xba);
    assert_eq!(link.stack.udp_traffic_class(socket), Some(0xba));
    assert_eq!(link.stack.udp_traffic_class(other), Some(0));
    let mut classes = |socket, local, remote, length| -> Vec<u8> {
        let datagram = Datagram::new(local, remote, vec![0; length].into());
        link.stack.udp_send(socket, datagram, link.now).expect("it leaves");
        link.frames().iter().map(Frame::traffic_class).collect()
    };
    assert_eq!(classes(socket, at(OUR_V4, 7), at(PEER_V4, 9), 10), [0xba]);
    assert_eq!(classes(socket, at(OUR_V4, 7), at(PEER_V4, 9), 2_000), [0xba, 0xba]);
    assert_eq!(classes(socket, at(OUR_V6, 7), at(PEER_V6, 9), 2_000), [0xba, 0xba]);
    assert_eq!(classes(other, at(OUR_V4, 8), at(PEER_V4, 9), 10), [0]);
    link.stack.udp_close(socket);
    link.stack.udp_set_traffic_class(socket, 1);
    assert_eq!(link.stack.udp_traffic_class(socket), None);
}
