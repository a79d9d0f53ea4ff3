//! Other devices: checksums left to them, no link header, routes by a gateway.

use crate::link::*;
use core::net::Ipv4Addr;
use packet::{Batch, Bytes, Capabilities, Checksum, Medium, Offload, Packet};
use stack::{Binding, Config, Datagram, Drop, InterfaceConfig, Prefix, Route, RouteError, Stack};
use time::Instant;
use wire::arp::Operation;
use wire::ethernet::Address;
use wire::{ipv4, ipv6, udp};

fn summing() -> Link {
    let capabilities = Capabilities { transmit_checksum: true, ..PLAIN };
    let mut link = Link::with(Config::default(), gateway(capabilities));
    link.acquaint();
    link
}

#[test]
fn checksum_is_left_to_a_device_that_sums() {
    let mut link = summing();
    let socket = link.stack.udp_bind(Binding::Intercept).expect("free");
    for (local, remote, start) in [
        (at(FAR_V4, 1), at(PEER_V4, 2), 14 + ipv4::HEADER_LENGTH),
        (at(FAR_V6, 1), at(PEER_V6, 2), 14 + ipv6::HEADER_LENGTH),
    ] {
        let datagram = Datagram::new(local, remote, Bytes::from_static(b"odd"));
        link.stack.udp_send(socket, datagram.clone(), link.now).expect("it leaves");
        let packet = link.packets().remove(0);
        let offset = udp::CHECKSUM_OFFSET as u16;
        assert_eq!(packet.offload.checksum, Checksum::Partial { start: start as u16, offset });
        // What the device then does makes the checksum whole: the helper does the same, and checks it.
        link.stack.udp_send(socket, datagram, link.now).expect("it leaves");
        assert_eq!(link.frame().datagram(), (local, remote, b"odd".to_vec()));
    }
}

#[test]
fn fragments_carry_a_whole_checksum() {
    let mut link = summing();
    let socket = link.stack.udp_bind(Binding::Intercept).expect("free");
    let (local, remote) = (at(FAR_V4, 1), at(PEER_V4, 2));
    let datagram = Datagram::new(local, remote, Bytes::from(vec![3; 3_000]));
    link.stack.udp_send(socket, datagram, link.now).expect("it leaves");
    let packets = link.packets();
    assert!(packets.iter().all(|packet| packet.offload == Offload::default()));
    let bytes: Vec<u8> = packets.into_iter().flat_map(|packet| packet.into_bytes()[34..].to_vec()).collect();
    assert_eq!(bytes, udp_bytes(local, remote, &[3; 3_000]));
}

#[test]
fn link_without_a_header_carries_ip_packets() {
    let capabilities = Capabilities { medium: Medium::Ip, ..PLAIN };
    let now = Instant::from_secs(1);
    let mut stack = Stack::new(Config::default(), [1; 32], now);
    let interface = stack.add_interface(gateway(capabilities), now).expect("it works");
    let socket = stack.udp_bind(Binding::Intercept).expect("free");
    let mut batch = Batch::with_capacity(4);
    let (from, to) = (at(PEER_V4, 1), at(FAR_V4, 2));
    let frame = udp_frame(from, to, b"x")[14..].to_vec();
    batch.push(Packet::received(Bytes::from(frame), Offload::default())).expect("room");
    batch.push(Packet::received(Bytes::from_static(&[0x50; 40]), Offload::default())).expect("room");
    stack.handle_batch(interface, &mut batch, now);
    assert_eq!(stack.counters().dropped(Drop::LinkMalformed), 1);
    let datagram = stack.udp_receive(socket).expect("it arrives");
    stack.udp_send(socket, datagram, now).expect("it leaves");
    stack.poll_transmit(interface, &mut batch, now);
    let packet = batch.pop().expect("it leaves at once").into_bytes();
    let (header, _) = ipv4::Header::parse(&packet).expect("an IPv4 packet and nothing before it");
    assert_eq!((header.source, header.destination), (FAR_V4, PEER_V4));
}

#[test]
fn route_by_a_gateway_asks_for_the_gateway() {
    let mut link = Link::host();
    let router = Ipv4Addr::new(10, 0, 2, 1);
    let route = Route {
        destination: Prefix::new([0, 0, 0, 0], 0),
        interface: link.interface,
        gateway: Some(router.into()),
    };
    link.stack.add_route(route).expect("there is room");
    let socket = link.stack.udp_bind(Binding::Port(1)).expect("free");
    let datagram = Datagram::new(at([0, 0, 0, 0], 0), at(FAR_V4, 2), Bytes::new());
    link.stack.udp_send(socket, datagram, link.now).expect("it leaves");
    assert_eq!(link.frame().arp().target_protocol, router);
    let hardware = Address([2, 0, 0, 0, 0, 9]);
    let reply = wire::arp::Packet {
        sender_hardware: hardware,
        operation: Operation::Reply,
        ..arp_reply(router, OUR_V4)
    };
    link.receive(arp_frame(&reply));
    let frame = link.frame();
    assert_eq!((frame.to, frame.datagram().1), (hardware, at(FAR_V4, 2)));
    let wrong = Route { gateway: Some(PEER_V6.into()), ..route };
    assert_eq!(link.stack.add_route(wrong), Err(RouteError::VersionMismatch));
}

#[test]
fn queue_that_nobody_drains_is_bounded() {
    let mut link = Link::with(Config { transmit_queue_max: 10, ..Config::default() }, gateway(PLAIN));
    link.acquaint();
    let socket = link.stack.udp_bind(Binding::Intercept).expect("free");
    let mut sent = 0;
    for _ in 0..100 {
        let datagram = Datagram::new(at(FAR_V4, 1), at(PEER_V4, 2), Bytes::new());
        sent += usize::from(link.stack.udp_send(socket, datagram, link.now).is_ok());
    }
    assert_eq!((sent, link.frames().len(), link.dropped(Drop::TransmitQueueFull)), (10, 10, 90));
}

#[test]
fn interface_that_cannot_work_is_refused() {
    use stack::InterfaceError;
    let now = Instant::ZERO;
    let mut stack = Stack::new(Config::default(), [1; 32], now);
    let small = Capabilities { mtu: 1_279, ..PLAIN };
    assert_eq!(stack.add_interface(gateway(small), now), Err(InterfaceError::MtuTooSmall));
    let group = InterfaceConfig::new(PLAIN, OURS.0, vec![Prefix::new([224, 0, 0, 1], 24)]);
    assert_eq!(stack.add_interface(group, now), Err(InterfaceError::NotUnicast));
}
