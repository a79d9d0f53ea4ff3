//! Deferred accept at the seam: nothing is answered before the verdict.

use crate::link::*;
use stack::{Binding, Config, Drop, Event, Listen, ListenerId, Refusal, RequestId};
use time::{Duration, SequenceNumber};
use wire::icmpv4::{Message, Unreachable};
use wire::tcp::{Flags, Header};
use wire::{Protocol, icmpv6, ipv4, ipv6};

pub fn syn(sequence: u32) -> Header {
    Header { sequence: SequenceNumber(sequence), flags: Flags::SYN, window: 64_240, ..Header::default() }
}

pub fn intercept(link: &mut Link) -> ListenerId {
    let config = tcp_profile();
    let listen = Listen { binding: Binding::Intercept, defer: true, backlog: 0, config };
    link.stack.tcp_listen(listen).expect("nobody intercepts yet")
}

fn request(link: &mut Link) -> RequestId {
    match link.events()[..] {
        [Event::TcpRequest { request, .. }] => request,
        ref other => panic!("one request is expected: {other:?}"),
    }
}

#[test]
fn syn_to_any_address_asks_and_answers_nothing() {
    let mut link = Link::acquainted();
    let listener = intercept(&mut link);
    let (from, to) = (at(PEER_V4, 40_000), at(FAR_V4, 443));
    link.receive(tcp_frame(from, to, syn(1), b""));
    match link.events()[..] {
        [Event::TcpRequest { listener: told, local, remote, .. }] => {
            assert_eq!((told, local, remote), (listener, to, from));
        }
        ref other => panic!("one request is expected: {other:?}"),
    }
    assert!(link.frames().is_empty());
}

#[test]
fn syn_that_comes_again_asks_once() {
    let mut link = Link::acquainted();
    intercept(&mut link);
    for _ in 0..3 {
        link.receive(tcp_frame(at(PEER_V4, 40_000), at(FAR_V4, 443), syn(1), b""));
    }
    assert_eq!(link.events().len(), 1);
    assert_eq!(link.dropped(Drop::TcpRequestPending), 2);
    assert_eq!(link.stack.memory().requests, 1);
}

#[test]
fn prohibited_request_is_told_by_icmp_that_quotes_it() {
    let mut link = Link::acquainted();
    intercept(&mut link);
    let frame = tcp_frame(at(PEER_V4, 40_000), at(FAR_V4, 443), syn(77), b"");
    link.receive(frame.clone());
    let request = request(&mut link);
    link.stack.tcp_refuse(request, Refusal::Prohibited, link.now);
    let answer = link.frame();
    assert_eq!(answer.ip().0, OUR_V4);
    let (message, quoted) = answer.icmp_v4();
    assert_eq!(message, Message::DestinationUnreachable { code: Unreachable::PROHIBITED, mtu: 0 });
    let (ip, length) = ipv4::Header::parse(&quoted).expect("a quoted packet");
    assert_eq!((ip.source, ip.destination, ip.protocol), (PEER_V4, FAR_V4, Protocol::TCP));
    assert_eq!(quoted[length..], frame[34..], "the SYN as it came");
    assert_eq!(link.stack.memory().requests, 0);
}

#[test]
fn prohibited_request_over_v6_is_told_by_icmpv6() {
    let mut link = Link::acquainted();
    intercept(&mut link);
    link.receive(tcp_frame(at(PEER_V6, 40_000), at(FAR_V6, 443), syn(77), b""));
    let request = request(&mut link);
    link.stack.tcp_refuse(request, Refusal::Prohibited, link.now);
    let answer = link.frame();
    assert_eq!(answer.ip().0, OUR_V6);
    let (message, quoted) = answer.icmp_v6();
    assert_eq!(message, icmpv6::Message::DestinationUnreachable { code: icmpv6::Unreachable::PROHIBITED });
    let (ip, _) = ipv6::Header::parse(&quoted).expect("a quoted packet");
    assert_eq!((ip.source, ip.destination), (PEER_V6, FAR_V6));
}

#[test]
fn silent_refusal_sends_nothing() {
    let mut link = Link::acquainted();
    intercept(&mut link);
    link.receive(tcp_frame(at(PEER_V4, 40_000), at(FAR_V4, 443), syn(1), b""));
    let request = request(&mut link);
    link.stack.tcp_refuse(request, Refusal::Silent, link.now);
    assert!(link.frames().is_empty());
    assert_eq!(link.stack.memory().requests, 0);
}

#[test]
fn ten_thousand_syns_keep_the_bound() {
    let bound = 100;
    let mut link = Link::with(Config { requests_max: bound, ..Config::default() }, gateway(PLAIN));
    link.acquaint();
    intercept(&mut link);
    for n in 0..10_000u16 {
        link.receive(tcp_frame(at(PEER_V4, 10_000 + n), at(FAR_V4, 443), syn(1), b""));
    }
    assert_eq!(link.stack.memory().requests, bound);
    assert_eq!(link.dropped(Drop::TcpRequestsFull), 9_900);
    let (mut asked, mut ended) = (Vec::new(), Vec::new());
    for event in link.events() {
        match event {
            Event::TcpRequest { request, .. } => asked.push(request),
            Event::TcpRequestEnded { request } => ended.push(request),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(asked.len(), 10_000);
    assert_eq!(ended, asked[..9_900], "the oldest give way, in their order");
}

#[test]
fn one_that_waits_long_is_not_forgotten_among_many_that_do_not() {
    let mut link = Link::with(Config { requests_max: 10, ..Config::default() }, gateway(PLAIN));
    link.acquaint();
    intercept(&mut link);
    link.receive(tcp_frame(at(PEER_V4, 9_999), at(FAR_V4, 443), syn(1), b""));
    let first = request(&mut link);
    for n in 0..100u16 {
        link.receive(tcp_frame(at(PEER_V4, 10_000 + n), at(FAR_V4, 443), syn(1), b""));
        let other = request(&mut link);
        link.stack.tcp_refuse(other, Refusal::Silent, link.now);
    }
    for n in 0..10u16 {
        link.receive(tcp_frame(at(PEER_V4, 20_000 + n), at(FAR_V4, 443), syn(1), b""));
    }
    let ended = |event: &Event| matches!(event, Event::TcpRequestEnded { request } if *request == first);
    assert_eq!(
        link.events().iter().filter(|event| ended(event)).count(),
        1,
        "the oldest of eleven gives way"
    );
}

#[test]
fn request_expires_and_is_told() {
    let mut link = Link::acquainted();
    intercept(&mut link);
    link.receive(tcp_frame(at(PEER_V4, 40_000), at(FAR_V4, 443), syn(1), b""));
    let request = request(&mut link);
    link.pass(Duration::from_secs(75));
    assert!(matches!(link.events()[..], [Event::TcpRequestEnded { request: ended }] if ended == request));
    assert_eq!(link.stack.memory().requests, 0);
    link.stack.tcp_refuse(request, Refusal::Prohibited, link.now);
    assert!(
        !link.frames().iter().any(|frame| matches!(frame.content, Content::V4(..))),
        "its number means nothing"
    );
}

#[test]
fn reset_by_the_peer_ends_a_request() {
    let mut link = Link::acquainted();
    intercept(&mut link);
    let (from, to) = (at(PEER_V4, 40_000), at(FAR_V4, 443));
    link.receive(tcp_frame(from, to, syn(1), b""));
    let request = request(&mut link);
    let reset = |sequence| Header { flags: Flags::RST, ..syn(sequence) };
    link.receive(tcp_frame(from, to, reset(1_000), b""));
    assert!(link.events().is_empty(), "a guess ends nothing");
    link.receive(tcp_frame(from, to, reset(2), b""));
    assert!(matches!(link.events()[..], [Event::TcpRequestEnded { request: ended }] if ended == request));
}

#[test]
fn syn_from_off_the_link_is_dropped() {
    let mut link = Link::acquainted();
    intercept(&mut link);
    link.receive(tcp_frame(at([172, 16, 0, 1], 40_000), at(FAR_V4, 443), syn(1), b""));
    assert!(link.events().is_empty());
    assert_eq!(link.dropped(Drop::SourceElsewhere), 1);
}
