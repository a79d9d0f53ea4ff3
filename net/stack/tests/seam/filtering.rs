//! The packet filter in the stack: what comes in, what leaves, who is told, and what passes by it.

use crate::link::*;
use crate::pair::{OFFLOADING, Pair, V4};
use core::net::{IpAddr, SocketAddr};
use filter::{Config, Filter, Hook, Ruleset};
use packet::Bytes;
use stack::{Binding, Datagram, Drop, Event, SendError, Stack, UdpId};
use time::Duration;
use wire::tcp::{Flags, Header};
use wire::{Protocol, icmpv4, icmpv6};

fn filter(rules: &str) -> Filter {
    let rules = Ruleset::parse(rules).unwrap_or_else(|errors| panic!("{errors}"));
    Filter::new(rules, &["link"], Config::default(), &[7; 32]).expect("it can be obeyed")
}

fn filtered(rules: &str) -> Link {
    let mut link = Link::acquainted();
    link.stack.set_filter(Some(filter(rules)));
    link
}

fn counted(stack: &Stack, hook: Hook) -> Vec<u64> {
    stack.filter().expect("one is set").counters(hook).iter().map(|counter| counter.packets).collect()
}

fn syn() -> Header {
    Header { flags: Flags::SYN, window: 1_000, ..Header::default() }
}

fn send(link: &mut Link, socket: UdpId, to: SocketAddr, length: usize) -> Result<(), SendError> {
    let from = if to.is_ipv4() { at(OUR_V4, 7_000) } else { at(OUR_V6, 7_000) };
    let payload = Bytes::from(vec![7; length]);
    link.stack.udp_send(socket, Datagram::new(from, to, payload), link.now)
}

#[test]
fn what_no_rule_lets_in_is_dropped_and_counted_without_a_word() {
    let mut link =
        filtered("receive default drop\n accept on link udp to port 53\n drop udp rate over 1/hour");
    let socket = link.stack.udp_bind(Binding::Intercept).expect("free");
    for (from, to) in [(at(PEER_V4, 1), FAR_V4.into()), (at(PEER_V6, 1), IpAddr::from(FAR_V6))] {
        link.receive(udp_frame(from, SocketAddr::new(to, 53), b"x"));
        assert!(link.stack.udp_receive(socket).is_some());
        link.receive(udp_frame(from, SocketAddr::new(to, 54), b"x"));
        link.receive(tcp_frame(from, SocketAddr::new(to, 53), syn(), b""));
        link.receive(ip_frame(from.ip(), to, Protocol::SCTP, &[0; 12]));
        assert!(link.stack.udp_receive(socket).is_none());
        assert!(link.frames().is_empty(), "neither a reset nor an ICMP error");
    }
    assert_eq!(counted(&link.stack, Hook::Receive), [2, 1]);
    assert_eq!(link.dropped(Drop::FilterDropped), 6);
}

#[test]
fn a_rejected_segment_is_answered_with_a_reset_and_everything_else_by_icmp() {
    let mut link = filtered("receive default reject");
    for (from, to) in [(at(PEER_V4, 1), at(FAR_V4, 80)), (at(PEER_V6, 1), at(FAR_V6, 80))] {
        link.receive(tcp_frame(from, to, syn(), b""));
        let (source, destination, header, _) = link.frame().segment();
        assert_eq!((source, destination), (to, from));
        assert!(header.flags.contains(Flags::RST | Flags::ACK));
        link.receive(udp_frame(from, to, b"x"));
        let frame = link.frame();
        let is_prohibited = match from.is_ipv4() {
            true => {
                matches!(frame.icmp_v4().0, icmpv4::Message::DestinationUnreachable { code, .. } if code == icmpv4::Unreachable::PROHIBITED)
            }
            false => {
                matches!(frame.icmp_v6().0, icmpv6::Message::DestinationUnreachable { code } if code == icmpv6::Unreachable::PROHIBITED)
            }
        };
        assert!(is_prohibited, "{frame:?}");
    }
    assert_eq!(link.dropped(Drop::FilterRejected), 4);
}

#[test]
fn a_rule_says_how_a_packet_is_rejected() {
    for (how, expected) in [
        ("reject with port", icmpv4::Unreachable::PORT),
        ("reject with host", icmpv4::Unreachable::HOST),
        ("reject with prohibited", icmpv4::Unreachable::PROHIBITED),
    ] {
        let mut link = filtered(&format!("receive default accept\n {how} tcp"));
        link.receive(tcp_frame(at(PEER_V4, 1), at(FAR_V4, 80), syn(), b""));
        let (message, _) = link.frame().icmp_v4();
        assert_eq!(message, icmpv4::Message::DestinationUnreachable { code: expected, mtu: 0 });
    }
}

#[test]
fn no_answer_is_given_to_what_nobody_sent() {
    let mut link = filtered("receive default reject");
    let mut damaged = tcp_frame(at(PEER_V4, 1), at(FAR_V4, 80), syn(), b"x");
    *damaged.last_mut().expect("a byte") ^= 1;
    link.receive(damaged);
    // An error about an error, and about a reset.
    let mut error = vec![0; 8];
    let code = icmpv4::Unreachable::PORT;
    icmpv4::Message::DestinationUnreachable { code, mtu: 0 }.emit([&[0; 28][..]], &mut error);
    error.extend([0; 28]);
    link.receive(ip_frame(PEER_V4.into(), FAR_V4.into(), Protocol::ICMP, &error));
    let reset = Header { flags: Flags::RST, ..Header::default() };
    link.receive(tcp_frame(at(PEER_V4, 1), at(FAR_V4, 80), reset, b""));
    assert!(link.frames().is_empty());
    assert_eq!(link.dropped(Drop::FilterRejected), 3);
}

#[test]
fn the_filters_own_answers_are_not_judged() {
    let mut link = filtered("receive default reject\nsend default drop\n drop state invalid");
    link.receive(tcp_frame(at(PEER_V4, 1), at(FAR_V4, 80), syn(), b""));
    assert!(link.frame().segment().2.flags.contains(Flags::RST));
    assert_eq!(link.stack.filter().expect("it is back").default_counter(Hook::Send).packets, 0);
}

#[test]
fn arp_and_neighbour_discovery_pass_by_it() {
    let mut link = Link::new();
    link.stack.set_filter(Some(filter("receive default drop\nsend default drop")));
    link.receive(arp_frame(&arp_request(PEER_V4, OUR_V4)));
    assert_eq!(link.frame().arp().sender_protocol, OUR_V4);
    link.receive(neighbour_solicitation(PEER_V6, OUR_V6));
    assert_eq!(link.frame().ip().2, Protocol::ICMPV6);
    assert_eq!(link.dropped(Drop::FilterDropped), 0);
}

#[test]
fn fragments_are_judged_as_the_packet_that_they_make() {
    let mut link = filtered("receive default drop\n accept udp to port 53");
    let socket = link.stack.udp_bind(Binding::Intercept).expect("free");
    for (port, arrives) in [(53, true), (54, false)] {
        let bytes = udp_bytes(at(PEER_V4, 1), at(FAR_V4, port), &[7; 2_000]);
        for (offset, part) in [(0, &bytes[..1_200]), (1_200, &bytes[1_200..])] {
            let mut header = v4_header(PEER_V4, FAR_V4, Protocol::UDP);
            (header.identification, header.fragment_offset, header.more_fragments) =
                (port, offset, offset == 0);
            link.receive(v4_frame(header, part));
        }
        assert_eq!(link.stack.udp_receive(socket).is_some(), arrives);
    }
    assert_eq!(counted(&link.stack, Hook::Receive), [1]);
    assert_eq!(link.dropped(Drop::FilterDropped), 1);
}

#[test]
fn datagrams_that_may_not_leave_vanish_or_are_refused() {
    let rules =
        "send default accept\n drop udp to port 1\n reject udp to port 2\n limit 1/hour udp to port 3";
    let mut link = filtered(rules);
    let socket = link.stack.udp_bind(Binding::Intercept).expect("free");
    for (count, far) in [IpAddr::from(PEER_V4), IpAddr::from(PEER_V6)].into_iter().enumerate() {
        assert_eq!(send(&mut link, socket, SocketAddr::new(far, 1), 10), Ok(()));
        assert_eq!(send(&mut link, socket, SocketAddr::new(far, 2), 10), Err(SendError::Prohibited));
        assert!(link.frames().is_empty());
        let _ = send(&mut link, socket, SocketAddr::new(far, 3), 10);
        assert_eq!(link.frames().len(), 1 - count, "the first took the hour's one");
        assert_eq!(send(&mut link, socket, SocketAddr::new(far, 4), 10), Ok(()));
        assert_eq!(link.frames().len(), 1);
    }
    let reasons = [Drop::FilterDropped, Drop::FilterRejected, Drop::FilterLimited];
    assert_eq!(reasons.map(|reason| link.dropped(reason)), [2, 2, 1]);
}

#[test]
fn what_leaves_in_fragments_is_judged_once_and_whole() {
    let mut link = filtered("send default drop\n accept udp to port 53");
    let socket = link.stack.udp_bind(Binding::Intercept).expect("free");
    send(&mut link, socket, at(PEER_V4, 53), 4_000).expect("it leaves");
    assert_eq!(link.frames().len(), 3);
    let filter = link.stack.filter().expect("one is set");
    assert_eq!((filter.counters(Hook::Send)[0].packets, filter.counters(Hook::Send)[0].bytes), (1, 4_028));
}

#[test]
fn a_connection_that_may_not_open_is_told_or_tries_again() {
    for (action, told) in [("reject", true), ("drop", false)] {
        let mut pair = Pair::new(OFFLOADING);
        pair.listen(false);
        pair.sides[0]
            .stack
            .set_filter(Some(filter(&format!("send default accept\n {action} tcp to port 80"))));
        let client = pair.connect(V4[1]);
        pair.pass(Duration::from_secs(10));
        let events: Vec<Event> = core::iter::from_fn(|| pair.sides[0].stack.poll_event()).collect();
        pair.sides[0].events.extend(events);
        let unreachable = tcp::Event::Closed(tcp::CloseReason::Unreachable);
        assert_eq!(pair.told(0, client, unreachable), told, "{action}");
        let tries = counted(&pair.sides[0].stack, Hook::Send)[0];
        assert_eq!(tries, if told { 1 } else { 4 }, "{action}");
    }
}

#[test]
fn who_opens_hears_the_answers_and_nobody_else_gets_in() {
    let rules = "receive default drop\n accept state established\nsend default accept";
    let data: Bytes = vec![7; 100_000].into();
    let mut pair = Pair::new(OFFLOADING);
    pair.listen(false);
    pair.sides[0].stack.set_filter(Some(filter(rules)));
    let client = pair.connect(V4[1]);
    pair.settle();
    let accepted = pair.sides[1].events.iter().find_map(|event| match *event {
        Event::TcpAccepted { connection, .. } => Some(connection),
        _ => None,
    });
    let server = accepted.expect("it is let out, and the answer in");
    assert!(pair.transfer((0, client), (1, server), &data) == data);
    assert!(pair.transfer((1, server), (0, client), &data) == data);
    let now = pair.now;
    let back = SocketAddr::new(V4[0].into(), 81);
    pair.sides[1].stack.tcp_connect(None, back, tcp_profile(), now).expect("there is a way");
    pair.settle();
    let counters = pair.sides[0].stack.counters();
    assert_eq!(counters.drops().collect::<Vec<_>>(), [(Drop::FilterDropped, 1)]);
}

#[test]
fn a_limit_of_bytes_slows_a_connection_down() {
    let mut pair = Pair::new(OFFLOADING);
    pair.listen(false);
    let rules = "send default accept\n limit 1 mbytes/second burst 100 kbytes tcp to port 80";
    pair.sides[0].stack.set_filter(Some(filter(rules)));
    let client = pair.connect(V4[1]);
    pair.settle();
    let server = pair.sides[1].events.iter().find_map(|event| match *event {
        Event::TcpAccepted { connection, .. } => Some(connection),
        _ => None,
    });
    let data: Bytes = vec![7; 5_000_000].into();
    let start = pair.now;
    assert!(pair.transfer((0, client), (1, server.expect("it is accepted")), &data) == data);
    let span = pair.now - start;
    assert!(span >= Duration::from_millis(4_900), "{span:?}");
    assert!(pair.sides[0].stack.counters().dropped(Drop::FilterLimited) > 0);
}

#[test]
fn a_filter_that_is_taken_out_is_out() {
    let mut link = filtered("receive default drop");
    let socket = link.stack.udp_bind(Binding::Intercept).expect("free");
    link.stack.set_filter(None);
    link.receive(udp_frame(at(PEER_V4, 1), at(FAR_V4, 53), b"x"));
    assert!(link.stack.udp_receive(socket).is_some() && link.stack.filter().is_none());
    link.stack.set_filter(Some(filter("receive default accept")));
    let stricter = Ruleset::parse("receive default drop").expect("rules");
    link.stack.filter_mut().expect("one is set").replace(stricter, &["link"]).expect("it can be obeyed");
    link.receive(udp_frame(at(PEER_V4, 1), at(FAR_V4, 53), b"x"));
    assert!(link.stack.udp_receive(socket).is_none());
}
