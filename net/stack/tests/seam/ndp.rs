//! Neighbour discovery at the seam: RFC 4861 §6 and §7.

use crate::link::*;
use core::net::{IpAddr, Ipv6Addr};
use packet::Bytes;
use stack::{Binding, Config, Datagram, Drop, InterfaceConfig, Prefix, RouterConfig};
use time::Duration;
use wire::ethernet::Address;
use wire::ipv6::solicited_node;
use wire::ndp::{Message, NdpOption, Options};

const OUR_LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

fn read(frame: &Frame) -> (Message, Options<'_>) {
    let Content::V6(ip, payload) = &frame.content else { panic!("IPv6 is expected: {frame:?}") };
    let _ = frame.icmp_v6();
    Message::parse(ip, payload).expect("a valid message")
}

fn send(link: &mut Link) {
    let socket = link.stack.udp_bind(Binding::Port(0)).expect("some port is free");
    let datagram = Datagram::new(at(Ipv6Addr::UNSPECIFIED, 0), at(PEER_V6, 9), Bytes::new());
    link.stack.udp_send(socket, datagram, link.now).expect("it leaves");
}

fn advertisement(solicited: bool, replaces: bool, hardware: Address) -> Vec<u8> {
    let message = Message::NeighborAdvertisement { router: false, solicited, replaces, target: PEER_V6 };
    ndp_frame(PEER_V6, OUR_V6, &message, &[NdpOption::TargetLinkLayer(hardware)])
}

#[test]
fn solicitation_for_own_addresses_is_answered() {
    let mut link = Link::new();
    for target in [OUR_V6, OUR_LINK_LOCAL] {
        link.receive(neighbour_solicitation(PEER_V6, target));
        let frame = link.frame();
        assert_eq!(
            (frame.to, frame.ip().0, frame.ip().1),
            (THEIRS, IpAddr::from(target), IpAddr::from(PEER_V6))
        );
        let (message, mut options) = (read(&frame).0, read(&frame).1.iter());
        assert_eq!(
            message,
            Message::NeighborAdvertisement { router: false, solicited: true, replaces: true, target }
        );
        assert_eq!(options.next(), Some(NdpOption::TargetLinkLayer(OURS)));
    }
}

#[test]
fn solicitation_for_intercepted_addresses_is_not_answered() {
    let mut link = Link::new();
    link.receive(neighbour_solicitation(PEER_V6, FAR_V6));
    link.receive(neighbour_solicitation(PEER_V6, Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 4)));
    assert!(link.frames().is_empty());
    assert_eq!(link.dropped(Drop::NdpNotForUs), 2);
}

#[test]
fn duplicate_address_detection_is_answered_to_everyone() {
    let mut link = Link::new();
    link.receive(neighbour_solicitation(Ipv6Addr::UNSPECIFIED, OUR_V6));
    let frame = link.frame();
    assert_eq!((frame.to, frame.ip().1), (Address::multicast_v6(ALL_NODES), IpAddr::from(ALL_NODES)));
    let (message, _) = read(&frame);
    assert!(matches!(message, Message::NeighborAdvertisement { solicited: false, target: OUR_V6, .. }));
    assert_eq!(link.stack.memory().neighbours, 0);
}

#[test]
fn solicitation_that_crossed_a_router_is_dropped() {
    let mut link = Link::new();
    let mut frame = neighbour_solicitation(PEER_V6, OUR_V6);
    frame[14 + 7] = 254;
    link.receive(frame);
    assert!(link.frames().is_empty());
    assert_eq!(link.dropped(Drop::NdpInvalid), 1);
}

#[test]
fn datagram_waits_for_the_advertisement() {
    let mut link = Link::new();
    send(&mut link);
    let frame = link.frame();
    let group = solicited_node(PEER_V6);
    assert_eq!(
        (frame.to, frame.ip().0, frame.ip().1),
        (Address::multicast_v6(group), OUR_V6.into(), group.into())
    );
    let (message, options) = read(&frame);
    assert_eq!(message, Message::NeighborSolicitation { target: PEER_V6 });
    assert_eq!(options.iter().next(), Some(NdpOption::SourceLinkLayer(OURS)));
    link.receive(advertisement(true, true, THEIRS));
    let frame = link.frame();
    assert_eq!((frame.to, frame.datagram().1), (THEIRS, at(PEER_V6, 9)));
}

#[test]
fn unanswered_solicitations_end() {
    let mut link = Link::new();
    send(&mut link);
    let mut asked = link.frames().len();
    for _ in 0..10 {
        link.pass(Duration::from_secs(1));
        asked += link.frames().len();
    }
    assert_eq!((asked, link.dropped(Drop::NeighbourUnreachable)), (3, 1));
}

#[test]
fn advertisement_without_override_does_not_replace() {
    let mut link = Link::acquainted();
    let elsewhere = Address([2, 0, 0, 0, 0, 99]);
    link.receive(advertisement(false, false, elsewhere));
    send(&mut link);
    assert_eq!(link.frame().to, THEIRS);
    link.receive(advertisement(false, true, elsewhere));
    send(&mut link);
    assert_eq!(link.frame().to, elsewhere);
}

#[test]
fn advertisement_of_a_stranger_teaches_nothing() {
    let mut link = Link::new();
    link.receive(advertisement(false, true, THEIRS));
    assert_eq!((link.stack.memory().neighbours, link.dropped(Drop::NdpNotForUs)), (0, 1));
}

#[test]
fn unreachable_neighbour_is_probed_and_forgotten() {
    let mut link = Link::acquainted();
    send(&mut link);
    assert_eq!(link.frame().to, THEIRS);
    let mut probes = 0;
    for _ in 0..12 {
        link.pass(Duration::from_secs(1));
        for frame in link.frames() {
            if let (Message::NeighborSolicitation { target: PEER_V6 }, IpAddr::V6(PEER_V6)) =
                (read(&frame).0, frame.ip().1)
            {
                probes += 1;
            }
        }
    }
    assert_eq!(probes, 3);
    send(&mut link);
    assert_eq!(link.frame().to, Address::multicast_v6(solicited_node(PEER_V6)), "it starts anew");
}

fn router() -> Link {
    let router = RouterConfig {
        prefixes: vec![Prefix::new(OUR_V6, 64)],
        resolvers: vec![Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 3)],
        ..RouterConfig::default()
    };
    Link::with(Config::default(), InterfaceConfig { router: Some(router), ..gateway(PLAIN) })
}

fn check_advertisement(frame: &Frame) {
    assert_eq!((frame.ip().0, frame.ip().1), (OUR_LINK_LOCAL.into(), ALL_NODES.into()));
    let (message, options) = read(frame);
    let Message::RouterAdvertisement(told) = message else {
        panic!("an advertisement is expected: {message:?}")
    };
    assert_eq!((told.lifetime_s, told.managed), (1_800, false));
    let options: Vec<NdpOption<'_>> = options.iter().collect();
    assert!(options.contains(&NdpOption::SourceLinkLayer(OURS)) && options.contains(&NdpOption::Mtu(1_500)));
    let prefix =
        options.iter().find_map(|o| if let NdpOption::Prefix(prefix) = o { Some(*prefix) } else { None });
    let prefix = prefix.expect("the prefix is told");
    assert_eq!((prefix.length_bits, prefix.on_link, prefix.autonomous), (64, true, false));
    assert!(options.iter().any(|o| matches!(o, NdpOption::DnsServers { servers, .. } if servers.len() == 1)));
}

#[test]
fn router_advertises_itself_often_at_first() {
    let mut link = router();
    let mut times = Vec::new();
    for second in 0..2_000 {
        link.pass(Duration::from_secs(1));
        for frame in link.frames() {
            check_advertisement(&frame);
            times.push(second);
        }
    }
    let gaps: Vec<i32> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[..2].iter().all(|&gap| gap <= 17), "{gaps:?}");
    assert!(gaps[3..].iter().all(|&gap| (199..=602).contains(&gap)), "{gaps:?}");
}

#[test]
fn router_solicitation_is_answered_soon_but_not_too_often() {
    let mut link = router();
    link.pass(Duration::from_secs(100));
    let _ = link.frames();
    let solicitation = || ndp_frame(PEER_V6, ALL_ROUTERS, &Message::RouterSolicitation, &[]);
    link.receive(solicitation());
    link.pass(Duration::from_millis(500));
    check_advertisement(&link.frame());
    for _ in 0..10 {
        link.receive(solicitation());
        link.pass(Duration::from_millis(200));
    }
    assert!(link.frames().is_empty(), "RFC 4861 §6.2.6: three seconds between two");
    link.pass(Duration::from_secs(2));
    assert_eq!(link.frames().len(), 1);
}

#[test]
fn host_does_not_answer_router_solicitations() {
    let mut link = Link::new();
    link.receive(ndp_frame(PEER_V6, ALL_ROUTERS, &Message::RouterSolicitation, &[]));
    link.pass(Duration::from_secs(4));
    assert!(link.frames().is_empty());
}
