//! IPv4 and IPv6 headers at the seam: RFC 791, RFC 1122 §3.2.1, RFC 8200 §4.

use crate::link::*;
use core::net::{Ipv4Addr, Ipv6Addr};
use packet::{Bytes, Offload, Packet};
use stack::{Binding, Drop, InterfaceId, UdpId};
use wire::ethernet::{Address, EtherType};
use wire::icmpv6::{Message, Parameter};
use wire::{Protocol, icmpv4, ipv4};

/// A gateway that takes every datagram.
fn listening() -> (Link, UdpId) {
    let mut link = Link::acquainted();
    let socket = link.stack.udp_bind(Binding::Intercept).expect("free");
    (link, socket)
}

fn received(link: &mut Link, socket: UdpId) -> usize {
    core::iter::from_fn(|| link.stack.udp_receive(socket)).count()
}

fn datagram(destination: Ipv4Addr) -> Vec<u8> {
    udp_bytes(at(PEER_V4, 1), at(destination, 2), b"x")
}

#[test]
fn padding_behind_the_packet_is_cut() {
    let (mut link, socket) = listening();
    let mut frame = udp_frame(at(PEER_V4, 1), at(FAR_V4, 2), b"x");
    frame.resize(60, 0xff);
    link.receive(frame);
    assert_eq!(link.stack.udp_receive(socket).expect("it arrives").payload, &b"x"[..]);
}

#[test]
fn wrong_header_checksum_is_dropped() {
    let (mut link, socket) = listening();
    let mut frame = udp_frame(at(PEER_V4, 1), at(FAR_V4, 2), b"x");
    frame[22] ^= 1;
    link.receive(frame);
    assert_eq!((received(&mut link, socket), link.dropped(Drop::Ipv4Checksum)), (0, 1));
}

#[test]
fn headers_cut_short_are_dropped() {
    let (mut link, socket) = listening();
    let whole = udp_frame(at(PEER_V4, 1), at(FAR_V4, 2), b"x");
    for length in 0..whole.len() {
        link.receive(whole[..length].to_vec());
    }
    assert_eq!(received(&mut link, socket), 0);
    let dropped: u64 = link.stack.counters().drops().map(|(_, count)| count).sum();
    assert_eq!(dropped, whole.len() as u64, "each has a reason");
}

#[test]
fn options_are_passed_over() {
    let (mut link, socket) = listening();
    let payload = datagram(FAR_V4);
    // Record route with room for one address, then the end of options.
    let options = [7, 7, 4, 0, 0, 0, 0, 0];
    let header = ipv4::Header {
        total_length: (28 + payload.len()) as u16,
        ..v4_header(PEER_V4, FAR_V4, Protocol::UDP)
    };
    let mut packet = vec![0; 28];
    header.emit_with_options(&options, &mut packet);
    packet.extend_from_slice(&payload);
    link.receive(ethernet_frame(OURS, EtherType::IPV4, &packet));
    assert_eq!(received(&mut link, socket), 1);
}

#[test]
fn source_route_with_hops_left_is_refused() {
    let (mut link, socket) = listening();
    let payload = datagram(FAR_V4);
    for (pointer, arrives) in [(4, 0), (8, 1)] {
        let options = [131, 7, pointer, 10, 0, 2, 9, 0];
        let header = ipv4::Header {
            total_length: (28 + payload.len()) as u16,
            ..v4_header(PEER_V4, FAR_V4, Protocol::UDP)
        };
        let mut packet = vec![0; 28];
        header.emit_with_options(&options, &mut packet);
        packet.extend_from_slice(&payload);
        link.receive(ethernet_frame(OURS, EtherType::IPV4, &packet));
        assert_eq!(received(&mut link, socket), arrives);
    }
    assert_eq!(link.dropped(Drop::OptionRefused), 1);
}

#[test]
fn addresses_that_cannot_be_are_dropped() {
    let (mut link, socket) = listening();
    let sources = [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [255, 255, 255, 255], [10, 0, 2, 255]];
    for source in sources {
        let source = Ipv4Addr::from(source);
        link.receive(udp_frame(at(source, 1), at(FAR_V4, 2), b"x"));
    }
    assert_eq!(link.dropped(Drop::SourceMartian), 5);
    link.receive(udp_frame(at(OUR_V4, 1), at(FAR_V4, 2), b"x"));
    assert_eq!(link.dropped(Drop::SourceOwn), 1);
    link.receive(udp_frame(at(PEER_V4, 1), at([127, 0, 0, 1], 2), b"x"));
    link.receive(udp_frame(at(PEER_V4, 1), at([0, 0, 0, 0], 2), b"x"));
    link.receive(udp_frame(at(PEER_V6, 1), at(Ipv6Addr::LOCALHOST, 2), b"x"));
    let mapped = FAR_V4.to_ipv6_mapped();
    link.receive(udp_frame(at(PEER_V6, 1), at(mapped, 2), b"x"));
    assert_eq!(link.dropped(Drop::NotForUs), 4);
    assert_eq!(received(&mut link, socket), 0);
}

#[test]
fn groups_and_broadcasts_do_not_reach_an_intercepting_socket() {
    let (mut link, socket) = listening();
    for destination in [[224, 0, 0, 251], [255, 255, 255, 255], [10, 0, 2, 255]] {
        let header = v4_header(PEER_V4, destination.into(), Protocol::UDP);
        let mut frame = v4_frame(header, &datagram(destination.into()));
        frame[..6].fill(0xff);
        link.receive(frame);
    }
    assert_eq!(received(&mut link, socket), 0);
    assert_eq!(link.dropped(Drop::UdpPortClosed), 3);
    assert!(link.frames().is_empty(), "and no error is sent about them");
}

#[test]
fn broadcast_reaches_a_socket_bound_to_the_port() {
    let mut link = Link::acquainted();
    let socket = link.stack.udp_bind(Binding::Port(2)).expect("free");
    let header = v4_header(PEER_V4, Ipv4Addr::BROADCAST, Protocol::UDP);
    let mut frame = v4_frame(header, &datagram(Ipv4Addr::BROADCAST));
    frame[..6].fill(0xff);
    link.receive(frame);
    assert_eq!(received(&mut link, socket), 1);
}

#[test]
fn unicast_packet_in_a_broadcast_frame_is_dropped() {
    let (mut link, socket) = listening();
    let mut frame = udp_frame(at(PEER_V4, 1), at(FAR_V4, 2), b"x");
    frame[..6].fill(0xff);
    link.receive(frame);
    assert_eq!((received(&mut link, socket), link.dropped(Drop::OtherHardware)), (0, 1));
}

#[test]
fn frame_for_another_machine_is_dropped() {
    let (mut link, socket) = listening();
    let mut frame = udp_frame(at(PEER_V4, 1), at(FAR_V4, 2), b"x");
    frame[..6].copy_from_slice(&Address([2, 0, 0, 0, 0, 77]).0);
    link.receive(frame);
    link.receive(ethernet_frame(OURS, EtherType(0x88cc), b"what is this"));
    assert_eq!(received(&mut link, socket), 0);
    assert_eq!((link.dropped(Drop::OtherHardware), link.dropped(Drop::EtherTypeUnknown)), (1, 1));
}

#[test]
fn host_takes_only_its_own_addresses() {
    let mut link = Link::host();
    link.acquaint();
    let socket = link.stack.udp_bind(Binding::Port(2)).expect("free");
    link.receive(udp_frame(at(PEER_V4, 1), at(FAR_V4, 2), b"x"));
    assert_eq!((received(&mut link, socket), link.dropped(Drop::NotForUs)), (0, 1));
    link.receive(udp_frame(at(PEER_V4, 1), at(OUR_V4, 2), b"x"));
    assert_eq!(received(&mut link, socket), 1);
}

#[test]
fn unknown_protocol_is_told_over_both_versions() {
    let mut link = Link::acquainted();
    link.receive(ip_frame(PEER_V4.into(), OUR_V4.into(), Protocol::SCTP, &[0; 12]));
    let (message, _) = link.frame().icmp_v4();
    let code = icmpv4::Unreachable::PROTOCOL;
    assert_eq!(message, icmpv4::Message::DestinationUnreachable { code, mtu: 0 });
    link.receive(ip_frame(PEER_V6.into(), OUR_V6.into(), Protocol::SCTP, &[0; 12]));
    let (message, _) = link.frame().icmp_v6();
    assert_eq!(message, Message::ParameterProblem { code: Parameter::NEXT_HEADER, pointer: 6 });
}

/// A destination-options header that holds `option`, then UDP.
fn with_option(option: [u8; 6], destination: Ipv6Addr) -> Vec<u8> {
    let mut payload = vec![Protocol::UDP.0, 0];
    payload.extend_from_slice(&option);
    payload.extend_from_slice(&udp_bytes(at(PEER_V6, 1), at(destination, 2), b"x"));
    v6_frame(PEER_V6, destination, Protocol::DESTINATION_OPTIONS, 64, &payload)
}

#[test]
fn extension_headers_are_walked() {
    let (mut link, socket) = listening();
    // An option that says "skip over" (RFC 8200 §4.2).
    link.receive(with_option([0x1e, 4, 0, 0, 0, 0], FAR_V6));
    assert_eq!(received(&mut link, socket), 1);
}

#[test]
fn unknown_option_is_refused_as_it_says() {
    let (mut link, socket) = listening();
    link.receive(with_option([0x40 | 0x1e, 4, 0, 0, 0, 0], FAR_V6));
    assert!(link.frames().is_empty(), "01: silently");
    link.receive(with_option([0x80 | 0x1e, 4, 0, 0, 0, 0], FAR_V6));
    let (message, _) = link.frame().icmp_v6();
    assert_eq!(message, Message::ParameterProblem { code: Parameter::OPTION, pointer: 42 });
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    link.receive(with_option([0xc0 | 0x1e, 4, 0, 0, 0, 0], group));
    assert!(link.frames().is_empty(), "11: not about a group");
    link.receive(with_option([0x80 | 0x1e, 4, 0, 0, 0, 0], group));
    assert_eq!(link.frames().len(), 1, "10: about a group too");
    assert_eq!((received(&mut link, socket), link.dropped(Drop::OptionRefused)), (0, 4));
}

#[test]
fn routing_header_with_segments_left_is_refused() {
    let (mut link, socket) = listening();
    let mut payload = vec![Protocol::UDP.0, 2, 0, 1, 0, 0, 0, 0];
    payload.extend_from_slice(&FAR_V6.octets());
    payload.extend_from_slice(&udp_bytes(at(PEER_V6, 1), at(OUR_V6, 2), b"x"));
    link.receive(v6_frame(PEER_V6, OUR_V6, Protocol::ROUTING, 64, &payload));
    let (message, _) = link.frame().icmp_v6();
    assert_eq!(message, Message::ParameterProblem { code: Parameter::HEADER_FIELD, pointer: 42 });
    assert_eq!(received(&mut link, socket), 0);
}

#[test]
fn interface_that_does_not_exist_drops() {
    let mut link = Link::new();
    let mut batch = packet::Batch::with_capacity(1);
    batch.push(Packet::received(Bytes::from_static(&[0; 60]), Offload::default())).expect("room");
    link.stack.handle_batch(InterfaceId(9), &mut batch, link.now);
    assert_eq!(link.dropped(Drop::NoInterface), 1);
}

/// Frames that are wrong in one way each, and the reason that counts them.
#[test]
fn each_malformed_header_has_its_reason() {
    let mut link = Link::acquainted();
    let mut arp = arp_frame(&arp_request(PEER_V4, OUR_V4));
    arp[14] = 9;
    let mut version = udp_frame(at(PEER_V4, 1), at(FAR_V4, 2), b"x");
    version[14] = 0x35;
    let mut header_length = udp_frame(at(PEER_V4, 1), at(FAR_V4, 2), b"x");
    header_length[14] = 0x44;
    let mut payload_length = udp_frame(at(PEER_V6, 1), at(FAR_V6, 2), b"x");
    payload_length[14 + 4] = 0xff;
    let mut udp_length = udp_bytes(at(PEER_V4, 1), at(FAR_V4, 2), b"x");
    udp_length[4] = 0xff;
    let port_zero = udp_bytes(at(PEER_V4, 1), at(FAR_V4, 0), b"x");
    let tcp = tcp_bytes(at(PEER_V4, 1), at(FAR_V4, 2), wire::tcp::Header::default(), b"");
    let v4 = |protocol, payload: &[u8]| ip_frame(PEER_V4.into(), FAR_V4.into(), protocol, payload);
    let frames = [
        (arp, Drop::ArpMalformed),
        (version, Drop::Ipv4Malformed),
        (header_length, Drop::Ipv4Malformed),
        (payload_length, Drop::Ipv6Malformed),
        (v4(Protocol::UDP, &udp_length), Drop::UdpMalformed),
        (v4(Protocol::UDP, &port_zero), Drop::UdpMalformed),
        (v4(Protocol::TCP, &tcp[..19]), Drop::TcpMalformed),
        (v4(Protocol::IGMP, &[0; 8]), Drop::ProtocolUnknown),
        (ip_frame(PEER_V6.into(), FAR_V6.into(), Protocol::NO_NEXT_HEADER, &[]), Drop::ProtocolUnknown),
    ];
    for (n, (frame, reason)) in frames.into_iter().enumerate() {
        let before = link.dropped(reason);
        link.receive(frame);
        assert_eq!(link.dropped(reason), before + 1, "frame {n}: {reason:?}; {:?}", link.stack.counters());
    }
}
