//! ICMP and ICMPv6 at the seam: RFC 792, RFC 1122 §3.2.2, RFC 4443.

use crate::link::*;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use packet::Bytes;
use stack::{Binding, Config, Datagram, Drop, Echo, Event, Refusal, SendError};
use time::Duration;
use wire::{Protocol, icmpv4, icmpv6, ipv4, udp};

fn echo_v4(source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    icmpv4::Message::EchoRequest { identifier: 7, sequence: 9 }.emit([payload], &mut bytes);
    bytes.extend_from_slice(payload);
    ip_frame(source.into(), destination.into(), Protocol::ICMP, &bytes)
}

fn echo_v6(source: Ipv6Addr, destination: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    let request = icmpv6::Message::EchoRequest { identifier: 7, sequence: 9 };
    request.emit(source, destination, [payload], &mut bytes);
    bytes.extend_from_slice(payload);
    ip_frame(source.into(), destination.into(), Protocol::ICMPV6, &bytes)
}

#[test]
fn own_addresses_answer_echo_requests() {
    let mut link = Link::acquainted();
    link.receive(echo_v4(PEER_V4, OUR_SECOND_V4, b"ping"));
    let frame = link.frame();
    assert_eq!((frame.ip().0, frame.ip().1), (OUR_SECOND_V4.into(), PEER_V4.into()));
    assert_eq!(
        frame.icmp_v4(),
        (icmpv4::Message::EchoReply { identifier: 7, sequence: 9 }, b"ping".to_vec())
    );
    link.receive(echo_v6(PEER_V6, OUR_V6, b"ping"));
    let expected = icmpv6::Message::EchoReply { identifier: 7, sequence: 9 };
    assert_eq!(link.frame().icmp_v6(), (expected, b"ping".to_vec()));
}

#[test]
fn intercepted_echo_request_is_the_owners_to_answer() {
    let mut link = Link::acquainted();
    link.receive(echo_v4(PEER_V4, FAR_V4, b"ping"));
    link.receive(echo_v6(PEER_V6, FAR_V6, b"ping"));
    assert!(link.frames().is_empty());
    let echoes: Vec<Echo> = link
        .events()
        .into_iter()
        .map(|event| match event {
            Event::EchoRequest(echo) => echo,
            other => panic!("an echo request is expected: {other:?}"),
        })
        .collect();
    assert_eq!((echoes[0].local, echoes[1].local), (IpAddr::from(FAR_V4), IpAddr::from(FAR_V6)));
    for echo in echoes {
        link.stack.icmp_reply(echo, link.now).expect("it leaves");
    }
    let frames = link.frames();
    assert_eq!(frames[0].icmp_v4().0, icmpv4::Message::EchoReply { identifier: 7, sequence: 9 });
    assert_eq!(frames[1].icmp_v6().0, icmpv6::Message::EchoReply { identifier: 7, sequence: 9 });
    assert_eq!(frames[1].ip().0, IpAddr::from(FAR_V6));
}

#[test]
fn echo_requests_that_wait_are_bounded() {
    let mut link = Link::acquainted();
    for _ in 0..300 {
        link.receive(echo_v4(PEER_V4, FAR_V4, b"ping"));
    }
    assert_eq!((link.events().len(), link.dropped(Drop::EchoQueueFull)), (256, 44));
    link.receive(echo_v4(PEER_V4, FAR_V4, b"ping"));
    assert_eq!(link.events().len(), 1, "drained events make room");
}

#[test]
fn large_echo_is_put_together_and_answered_in_fragments() {
    let mut link = Link::acquainted();
    let payload = vec![5; 3_000];
    let whole = echo_v4(PEER_V4, OUR_V4, &payload);
    for (n, piece) in whole[34..].chunks(1_200).enumerate() {
        let header = ipv4::Header {
            more_fragments: n < 2,
            fragment_offset: (n * 1_200) as u16,
            ..v4_header(PEER_V4, OUR_V4, Protocol::ICMP)
        };
        link.receive(v4_frame(header, piece));
    }
    let frames = link.frames();
    assert_eq!(frames.len(), 3);
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.ip().3.to_vec()).collect();
    let (message, length) = icmpv4::Message::parse(&bytes).expect("a whole message");
    assert_eq!(message, icmpv4::Message::EchoReply { identifier: 7, sequence: 9 });
    assert_eq!(bytes[length..], payload[..]);
}

#[test]
fn wrong_checksum_is_dropped() {
    let mut link = Link::acquainted();
    for mut frame in [echo_v4(PEER_V4, OUR_V4, b"ping"), echo_v6(PEER_V6, OUR_V6, b"ping")] {
        let last = frame.len() - 1;
        frame[last] ^= 1;
        link.receive(frame);
    }
    assert!(link.frames().is_empty());
    assert_eq!(link.dropped(Drop::IcmpChecksum), 2);
}

#[test]
fn closed_port_is_told_with_the_packet_quoted() {
    let mut link = Link::host();
    link.acquaint();
    let frame = udp_frame(at(PEER_V4, 1), at(OUR_V4, 2), &[1; 1_000]);
    link.receive(frame.clone());
    let answer = link.frame();
    assert_eq!(answer.ip().0, IpAddr::from(OUR_V4));
    assert!(answer.ip().3.len() + 20 <= 576, "RFC 1812 §4.3.2.3");
    let (message, quoted) = answer.icmp_v4();
    let code = icmpv4::Unreachable::PORT;
    assert_eq!(message, icmpv4::Message::DestinationUnreachable { code, mtu: 0 });
    assert_eq!(quoted[..], frame[14..14 + quoted.len()]);
    link.receive(udp_frame(at(PEER_V6, 1), at(OUR_V6, 2), &[1; 1_400]));
    let answer = link.frame();
    assert_eq!(answer.ip().3.len() + 40, 1_280, "RFC 4443 §2.4 (c)");
    let code = icmpv6::Unreachable::PORT;
    assert_eq!(answer.icmp_v6().0, icmpv6::Message::DestinationUnreachable { code });
    assert_eq!(link.dropped(Drop::UdpPortClosed), 2);
}

#[test]
fn errors_are_limited_in_rate() {
    let config = Config { icmp_errors_burst: 5, icmp_errors_per_second: 10, ..Config::default() };
    let mut link = Link::with(config, gateway(PLAIN));
    link.acquaint();
    for _ in 0..20 {
        link.receive(udp_frame(at(PEER_V4, 1), at(FAR_V4, 2), b"x"));
    }
    assert_eq!((link.frames().len(), link.dropped(Drop::IcmpRateLimited)), (5, 15));
    link.pass(Duration::from_millis(200));
    for _ in 0..20 {
        link.receive(udp_frame(at(PEER_V4, 1), at(FAR_V4, 2), b"x"));
    }
    assert_eq!(link.frames().len(), 2);
    // A quiet time earns no more than the burst.
    link.pass(Duration::from_secs(1_000));
    link.acquaint();
    for _ in 0..20 {
        link.receive(udp_frame(at(PEER_V4, 1), at(FAR_V4, 2), b"x"));
    }
    assert_eq!(link.frames().len(), 5);
}

#[test]
fn a_burst_of_none_allows_no_error() {
    let mut link = Link::with(Config { icmp_errors_burst: 0, ..Config::default() }, gateway(PLAIN));
    link.acquaint();
    link.receive(udp_frame(at(PEER_V4, 1), at(FAR_V4, 2), b"x"));
    assert_eq!((link.frames().len(), link.dropped(Drop::IcmpRateLimited)), (0, 1));
}

#[test]
fn no_error_is_sent_about_an_error() {
    let mut link = Link::acquainted();
    // A protocol unreachable that came by a broken sender as a fragment would; and an ICMP type nobody knows.
    let mut bytes = vec![0; 8];
    icmpv4::Message::DestinationUnreachable { code: icmpv4::Unreachable::PORT, mtu: 0 }
        .emit([b"x"], &mut bytes);
    bytes.push(b'x');
    link.receive(ip_frame(PEER_V4.into(), OUR_V4.into(), Protocol::ICMP, &bytes));
    assert_eq!(link.dropped(Drop::IcmpMalformed), 1);
    let mut bytes = vec![0; 8];
    icmpv6::Message::Other { kind: 100, code: 0 }.emit(PEER_V6, OUR_V6, [b""; 0], &mut bytes);
    link.receive(ip_frame(PEER_V6.into(), OUR_V6.into(), Protocol::ICMPV6, &bytes));
    assert_eq!(link.dropped(Drop::IcmpIgnored), 1);
    assert!(link.frames().is_empty());
}

#[test]
fn refused_datagram_is_quoted_whole() {
    let mut link = Link::acquainted();
    let socket = link.stack.udp_bind(Binding::Intercept).expect("free");
    for (from, to) in [(at(PEER_V4, 1_000), at(FAR_V4, 443)), (at(PEER_V6, 1_000), at(FAR_V6, 443))] {
        let frame = udp_frame(from, to, b"hello");
        link.receive(frame.clone());
        let datagram = link.stack.udp_receive(socket).expect("it waits");
        link.stack.refuse_datagram(&datagram, Refusal::Prohibited, link.now);
        let answer = link.frame();
        let (quoted, ip_length) = match to.is_ipv4() {
            true => {
                let (message, quoted) = answer.icmp_v4();
                let code = icmpv4::Unreachable::PROHIBITED;
                assert_eq!(message, icmpv4::Message::DestinationUnreachable { code, mtu: 0 });
                (quoted, 20)
            }
            false => {
                let (message, quoted) = answer.icmp_v6();
                let code = icmpv6::Unreachable::PROHIBITED;
                assert_eq!(message, icmpv6::Message::DestinationUnreachable { code });
                (quoted, 40)
            }
        };
        assert_eq!(
            quoted[ip_length..],
            frame[14 + ip_length..],
            "UDP header, checksum and payload as they came"
        );
        link.stack.refuse_datagram(&datagram, Refusal::Silent, link.now);
        assert!(link.frames().is_empty());
    }
}

#[test]
fn largest_datagram_refused_is_quoted_in_part() {
    let mut link = Link::acquainted();
    let datagram = Datagram::new(at(FAR_V4, 443), at(PEER_V4, 1_000), Bytes::from(vec![7; 65_507]));
    link.stack.refuse_datagram(&datagram, Refusal::Reset, link.now);
    let (message, quoted) = link.frame().icmp_v4();
    let code = icmpv4::Unreachable::PORT;
    assert_eq!(message, icmpv4::Message::DestinationUnreachable { code, mtu: 0 });
    assert_eq!(quoted.len() + 28, 576);
    let (header, _) = udp::Header::parse(&[&quoted[20..], &[0; 65_535][..]].concat()).expect("a UDP header");
    assert_eq!(usize::from(header.length), 65_515);
}

#[test]
fn reply_needs_an_address_of_ours_and_a_way() {
    let mut link = Link::host();
    let echo = |local: IpAddr, remote: IpAddr| Echo {
        local,
        remote,
        identifier: 1,
        sequence: 1,
        payload: Bytes::new(),
    };
    let reply = |link: &mut Link, echo| link.stack.icmp_reply(echo, link.now);
    assert_eq!(reply(&mut link, echo(FAR_V4.into(), PEER_V4.into())), Err(SendError::NotLocal));
    assert_eq!(reply(&mut link, echo(OUR_V4.into(), PEER_V6.into())), Err(SendError::NotLocal));
    assert_eq!(reply(&mut link, echo(OUR_V4.into(), FAR_V4.into())), Err(SendError::NoRoute));
}

#[test]
fn refused_echo_is_quoted_whole() {
    let mut link = Link::acquainted();
    for frame in [echo_v4(PEER_V4, FAR_V4, b"ping"), echo_v6(PEER_V6, FAR_V6, b"ping")] {
        link.receive(frame.clone());
        let Some(Event::EchoRequest(echo)) = link.stack.poll_event() else {
            panic!("an echo request is expected")
        };
        link.stack.refuse_echo(&echo, Refusal::Prohibited, link.now);
        let answer = link.frame();
        let (quoted, ip_length) = match answer.content {
            Content::V4(..) => (answer.icmp_v4().1, 20),
            _ => (answer.icmp_v6().1, 40),
        };
        assert_eq!(quoted[ip_length..], frame[14 + ip_length..], "header, checksum and data as they came");
    }
}
