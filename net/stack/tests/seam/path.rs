//! Path MTUs that routers tell: who is believed, for how long, and whom it concerns (RFC 1191, RFC 8201, RFC 5927 §7).

use crate::link::*;
use crate::segments::{listen, segment};
use core::net::{IpAddr, SocketAddr};
use stack::{Binding, Config, Datagram, Drop, Refusal, SendError, TcpId};
use tcp::PathDiscovery;
use time::{Duration, SequenceNumber};
use wire::tcp::{Flags, Header};
use wire::{Protocol, icmpv4, icmpv6, ipv4, ipv6};

/// A connection by hand whose peer takes segments as large as the link does.
struct Peer {
    link: Link,
    connection: TcpId,
    from: SocketAddr,
    to: SocketAddr,
    /// The peer's next number, and the stack's first that is not acknowledged.
    next: SequenceNumber,
    una: SequenceNumber,
}

impl Peer {
    fn new(mut link: Link, port: u16) -> Self {
        let (from, to) = (at(PEER_V4, port), at(OUR_V4, 80));
        let (connection, next, una) = accept(&mut link, from, to);
        Self { link, connection, from, to, next, una }
    }

    fn v6(mut link: Link) -> Self {
        let (from, to) = (at(PEER_V6, 40_000), at(OUR_V6, 80));
        let (connection, next, una) = accept(&mut link, from, to);
        Self { link, connection, from, to, next, una }
    }

    /// Another connection of the same peer.
    fn again(mut self, port: u16) -> Self {
        let _ = self.link.frames();
        Self::new(self.link, port)
    }

    /// Writes so much; the payload of each segment that leaves.
    fn sends(&mut self, bytes: usize) -> Vec<usize> {
        let now = self.link.now;
        self.link.stack.tcp_write(self.connection, &mut vec![0; bytes].into(), now);
        self.left()
    }

    fn left(&mut self) -> Vec<usize> {
        self.link.frames().iter().map(|frame| frame.segment().3.len()).filter(|length| *length > 0).collect()
    }

    fn acknowledges(&mut self, bytes: u32) {
        self.una += bytes;
        let header = segment(self.next, self.una, Flags::ACK);
        self.link.receive(tcp_frame(self.from, self.to, header, b""));
    }

    /// A router says that the first segment in flight is too large.
    fn is_told(&mut self, mtu: u16) {
        let header = Header { sequence: self.una, ..Header::default() };
        let frame = tcp_frame(self.to, self.from, header, b"");
        let (from, to) = (self.from.ip(), self.to.ip());
        if self.from.is_ipv4() {
            let code = icmpv4::Unreachable::FRAGMENTATION_NEEDED;
            let mut packet = frame[14..14 + ipv4::HEADER_LENGTH + 8].to_vec();
            packet[2..4].copy_from_slice(&MTU.to_be_bytes());
            packet[10..12].fill(0);
            let mut sum = wire::checksum::Sum::new();
            sum.add(&packet[..ipv4::HEADER_LENGTH]);
            packet[10..12].copy_from_slice(&sum.checksum().to_be_bytes());
            let mut message = vec![0; icmpv4::HEADER_LENGTH];
            icmpv4::Message::DestinationUnreachable { code, mtu }.emit([&packet], &mut message);
            message.extend_from_slice(&packet);
            self.link.receive(ip_frame(from, to, Protocol::ICMP, &message));
        } else {
            let packet = frame[14..14 + ipv6::HEADER_LENGTH + 8].to_vec();
            let mut message = vec![0; icmpv6::HEADER_LENGTH];
            let told = icmpv6::Message::PacketTooBig { mtu: mtu.into() };
            told.emit(PEER_V6, OUR_V6, [&packet], &mut message);
            message.extend_from_slice(&packet);
            self.link.receive(ip_frame(from, to, Protocol::ICMPV6, &message));
        }
    }

    fn path_mtu(&self) -> u16 {
        self.link.stack.tcp_info(self.connection, self.link.now).expect("it is there").path_mtu
    }

    fn set(&mut self, discovery: PathDiscovery) {
        let now = self.link.now;
        let set =
            self.link.stack.tcp_configure(self.connection, now, |config| config.path_discovery = discovery);
        assert_eq!(set, Ok(()));
    }
}

fn accept(link: &mut Link, from: SocketAddr, to: SocketAddr) -> (TcpId, SequenceNumber, SequenceNumber) {
    let mut offer = crate::requests::syn(1);
    offer.options.mss = Some(1_460);
    link.receive(tcp_frame(from, to, offer, b""));
    let answer = link.frame().segment().2;
    let room = if from.is_ipv4() { 1_460 } else { 1_440 };
    assert_eq!(answer.options.mss, Some(room), "what we take, whatever the way there carries");
    let (next, una) = (SequenceNumber(2), answer.sequence + 1);
    link.receive(tcp_frame(from, to, segment(next, una, Flags::ACK), b""));
    match link.events()[..] {
        [stack::Event::TcpAccepted { connection, .. }] => (connection, next, una),
        ref other => panic!("one connection is expected: {other:?}"),
    }
}

fn host() -> Link {
    let mut link = Link::acquainted();
    listen(&mut link, 80, 10);
    link
}

#[test]
fn what_was_told_is_remembered_for_later_connections_and_forgotten_after_ten_minutes() {
    let mut peer = Peer::new(host(), 1_001);
    assert_eq!(peer.sends(1_460), [1_460]);
    peer.is_told(1_000);
    assert_eq!((peer.left(), peer.path_mtu()), (vec![960, 500], 1_000));
    assert_eq!(peer.link.stack.memory().paths, 1);
    let mut peer = peer.again(1_002);
    assert_eq!(peer.sends(2_000), [960, 960, 80]);
    peer.acknowledges(2_000);
    let _ = peer.left();
    for _ in 0..600 {
        peer.link.pass(Duration::from_secs(1));
        peer.link.acquaint();
    }
    // The connection that is open tries again too.
    assert_eq!(peer.sends(1_460), [1_460]);
    assert_eq!(peer.path_mtu(), MTU);
    assert_eq!(Peer::new(peer.link, 1_003).sends(1_460), [1_460]);
}

#[test]
fn another_connection_that_is_open_learns_it_too() {
    let mut first = Peer::new(host(), 1_001);
    assert_eq!(first.sends(1_460), [1_460]);
    let (connection, from, to, next, una) = (first.connection, first.from, first.to, first.next, first.una);
    let second = Peer::new(first.link, 1_002);
    let other = second.connection;
    let mut first = Peer { link: second.link, connection, from, to, next, una };
    first.is_told(1_000);
    let _ = first.left();
    first.connection = other;
    assert_eq!(first.sends(2_000), [960, 960, 80]);
}

#[test]
fn what_nobody_can_mean_is_ignored() {
    let mut peer = Peer::new(host(), 1_001);
    assert_eq!(peer.sends(1_460), [1_460]);
    for mtu in [20, 67, MTU, 9_000] {
        peer.is_told(mtu);
        assert_eq!((peer.left(), peer.path_mtu()), (vec![], MTU), "{mtu}");
    }
    assert_eq!(peer.link.dropped(Drop::IcmpIgnored), 2);
    let mut peer = Peer::v6(host());
    assert_eq!(peer.sends(1_440), [1_440]);
    for mtu in [0, 600, ipv6::MTU_MIN - 1] {
        peer.is_told(mtu);
        assert_eq!((peer.left(), peer.path_mtu()), (vec![], MTU), "{mtu}");
    }
    peer.is_told(ipv6::MTU_MIN);
    assert_eq!((peer.left(), peer.path_mtu()), (vec![1_220, 220], ipv6::MTU_MIN));
}

#[test]
fn a_router_that_tells_nothing_means_the_next_plateau() {
    let mut peer = Peer::new(host(), 1_001);
    assert_eq!(peer.sends(1_460), [1_460]);
    peer.is_told(0);
    assert_eq!((peer.left(), peer.path_mtu()), (vec![1_452, 8], 1_492));
}

#[test]
fn a_path_that_has_carried_more_is_believed_to_have_shrunk_after_a_timeout_only() {
    let mut peer = Peer::new(host(), 1_001);
    assert_eq!(peer.sends(1_460), [1_460]);
    peer.acknowledges(1_460);
    assert_eq!(peer.sends(1_460), [1_460]);
    peer.is_told(1_000);
    assert_eq!((peer.left(), peer.path_mtu()), (vec![], MTU));
    // It was forged: what it was about has arrived.
    peer.acknowledges(1_460);
    assert_eq!(peer.sends(1_460), [1_460]);
    peer.link.pass(Duration::from_millis(900));
    assert_eq!((peer.left()[0], peer.path_mtu()), (1_460, MTU));
    // It is true: nothing arrives any more.
    peer.acknowledges(1_460);
    assert_eq!(peer.sends(1_460), [1_460]);
    peer.is_told(1_000);
    assert_eq!(peer.left(), []);
    peer.link.pass(Duration::from_secs(3));
    assert_eq!((peer.left()[0], peer.path_mtu()), (960, 1_000));
}

#[test]
fn programs_choose_who_is_believed_and_whether_routers_fragment() {
    let cases = [
        (PathDiscovery::Want, 1_000, 1_000, true),
        (PathDiscovery::Do, 1_000, 1_000, true),
        (PathDiscovery::Dont, 1_000, MTU, false),
        (PathDiscovery::Probe, 1_000, MTU, true),
        // Less than nearly every link takes: then it is better to be fragmented.
        (PathDiscovery::Want, 300, 552, false),
        (PathDiscovery::Do, 300, 552, true),
    ];
    for (discovery, told, mtu, whole) in cases {
        let mut peer = Peer::new(host(), 1_001);
        peer.set(discovery);
        assert_eq!(peer.sends(1_460), [1_460]);
        peer.is_told(told);
        let _ = peer.left();
        assert_eq!(peer.path_mtu(), mtu, "{discovery:?}");
        let now = peer.link.now;
        peer.link.stack.tcp_write(peer.connection, &mut vec![0; 3_000].into(), now);
        let is_whole =
            |frame: &Frame| matches!(&frame.content, Content::V4(header, _) if header.dont_fragment);
        let flags: Vec<bool> = peer.link.frames().iter().map(is_whole).collect();
        assert!(!flags.is_empty() && flags.iter().all(|flag| *flag == whole), "{discovery:?} {flags:?}");
    }
}

#[test]
fn paths_are_bounded() {
    let mut link = Link::with(Config { paths_max: 0, ..Config::default() }, gateway(PLAIN));
    link.acquaint();
    listen(&mut link, 80, 10);
    let mut peer = Peer::new(link, 1_001);
    assert_eq!(peer.sends(1_460), [1_460]);
    peer.is_told(1_000);
    assert_eq!((peer.left(), peer.path_mtu()), (vec![960, 500], 1_000));
    assert_eq!(peer.link.stack.memory().paths, 0);
}

/// A datagram of `length` bytes from the peer, as the stack's owner gets it.
fn datagram(link: &mut Link, from: SocketAddr, to: SocketAddr, length: usize, whole: bool) -> Datagram {
    let socket = link.stack.udp_bind(Binding::Address(to)).expect("free");
    let bytes = udp_bytes(from, to, &vec![7; length]);
    let frame = match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header = v4_header(source, destination, Protocol::UDP);
            v4_frame(ipv4::Header { dont_fragment: whole, ..header }, &bytes)
        }
        (source, destination) => ip_frame(source, destination, Protocol::UDP, &bytes),
    };
    link.receive(frame);
    link.stack.udp_receive(socket).expect("it has arrived")
}

#[test]
fn a_datagram_tells_whether_it_may_be_fragmented() {
    let mut link = Link::acquainted();
    for (port, whole) in [(7, false), (8, true)] {
        let got = datagram(&mut link, at(PEER_V4, 9), at(OUR_V4, port), 100, whole);
        assert_eq!(got.dont_fragment, whole);
    }
    assert!(datagram(&mut link, at(PEER_V6, 9), at(OUR_V6, 7), 100, true).dont_fragment);
}

#[test]
fn a_datagram_can_be_refused_as_too_big() {
    let mut link = Link::acquainted();
    let got = datagram(&mut link, at(PEER_V4, 9), at(OUR_V4, 7), 1_400, true);
    let now = link.now;
    link.stack.refuse_datagram(&got, Refusal::TooBig { mtu: 1_300 }, now);
    let (message, quoted) = link.frame().icmp_v4();
    let code = icmpv4::Unreachable::FRAGMENTATION_NEEDED;
    assert_eq!(message, icmpv4::Message::DestinationUnreachable { code, mtu: 1_300 });
    let (header, _) = ipv4::Header::parse_quoted(&quoted).expect("what was sent");
    assert_eq!((header.total_length, header.dont_fragment), (1_428, true));
    let got = datagram(&mut link, at(PEER_V6, 9), at(OUR_V6, 7), 1_400, true);
    link.stack.refuse_datagram(&got, Refusal::TooBig { mtu: 1_300 }, now);
    assert_eq!(link.frame().icmp_v6().0, icmpv6::Message::PacketTooBig { mtu: 1_300 });
}

#[test]
fn a_datagram_that_is_to_stay_whole_leaves_in_one_packet_or_not_at_all() {
    let mut peer = Peer::new(host(), 1_001);
    let (local, remote) = (at(OUR_V4, 7), at(PEER_V4, 9));
    let socket = peer.link.stack.udp_bind(Binding::Address(local)).expect("free");
    let send = |peer: &mut Peer, length: usize, dont_fragment| {
        let payload = vec![0; length].into();
        let now = peer.link.now;
        let datagram = Datagram { dont_fragment, ..Datagram::new(local, remote, payload) };
        let sent = peer.link.stack.udp_send(socket, datagram, now);
        let is_whole =
            |frame: &Frame| matches!(&frame.content, Content::V4(header, _) if header.dont_fragment);
        sent.map(|()| peer.link.frames().iter().map(is_whole).collect::<Vec<_>>())
    };
    assert_eq!(send(&mut peer, 1_472, true), Ok(vec![true]));
    assert_eq!(send(&mut peer, 1_473, true), Err(SendError::TooBig { mtu: MTU }));
    assert_eq!(send(&mut peer, 1_473, false), Ok(vec![false, false]));
    // What a router told of the path counts too.
    assert_eq!(peer.sends(1_460), [1_460]);
    peer.is_told(1_000);
    let _ = peer.left();
    assert_eq!(send(&mut peer, 1_472, true), Err(SendError::TooBig { mtu: 1_000 }));
    assert_eq!(send(&mut peer, 972, true), Ok(vec![true]));
}

/// What a datagram of so many bytes leaves as: the length of each packet, and whether routers may fragment it.
fn departs(peer: &mut Peer, how: PathDiscovery, length: usize) -> Result<Vec<(u16, bool)>, SendError> {
    let (local, remote) = (SocketAddr::new(peer.to.ip(), 7), SocketAddr::new(peer.from.ip(), 9));
    let stack = &mut peer.link.stack;
    let socket = stack.udp_bind(Binding::Address(local)).expect("free");
    assert_eq!(stack.udp_path_discovery(socket), Some(PathDiscovery::Dont));
    stack.udp_set_path_discovery(socket, how);
    assert_eq!(stack.udp_path_discovery(socket), Some(how));
    let sent = stack.udp_send(socket, Datagram::new(local, remote, vec![0; length].into()), peer.link.now);
    stack.udp_close(socket);
    let packet = |frame: &Frame| match &frame.content {
        Content::V4(header, _) => (header.total_length, !header.dont_fragment),
        Content::V6(header, _) => (header.payload_length + ipv6::HEADER_LENGTH as u16, false),
        Content::Arp(packet) => panic!("a datagram is expected: {packet:?}"),
    };
    sent.map(|()| peer.link.frames().iter().map(packet).collect())
}

#[test]
fn programs_choose_whether_datagrams_may_be_fragmented() {
    use PathDiscovery::{Do, Dont, Probe, Want};
    let mut peer = Peer::new(host(), 1_001);
    for how in [Want, Do, Probe] {
        assert_eq!(departs(&mut peer, how, 1_472), Ok(vec![(1_500, false)]), "{how:?}");
    }
    assert_eq!(departs(&mut peer, Dont, 1_472), Ok(vec![(1_500, true)]));
    for how in [Want, Dont] {
        assert_eq!(departs(&mut peer, how, 1_473), Ok(vec![(1_500, true), (21, true)]), "{how:?}");
    }
    for how in [Do, Probe] {
        assert_eq!(departs(&mut peer, how, 1_473), Err(SendError::TooBig { mtu: MTU }), "{how:?}");
    }
    // A router has told a connection that the path takes less.
    assert_eq!(peer.sends(1_460), [1_460]);
    peer.is_told(1_000);
    let _ = peer.left();
    assert_eq!(departs(&mut peer, Want, 972), Ok(vec![(1_000, false)]));
    assert_eq!(departs(&mut peer, Want, 973), Ok(vec![(996, true), (25, true)]));
    assert_eq!(departs(&mut peer, Do, 973), Err(SendError::TooBig { mtu: 1_000 }));
    assert_eq!(departs(&mut peer, Probe, 1_472), Ok(vec![(1_500, false)]));
    assert_eq!(departs(&mut peer, Dont, 1_472), Ok(vec![(1_500, true)]));
}

#[test]
fn a_path_that_takes_next_to_nothing_may_fragment_what_would_rather_be_whole() {
    let mut peer = Peer::new(host(), 1_001);
    assert_eq!(peer.sends(1_460), [1_460]);
    peer.is_told(300);
    let _ = peer.left();
    assert_eq!(departs(&mut peer, PathDiscovery::Want, 100), Ok(vec![(128, true)]));
    assert_eq!(departs(&mut peer, PathDiscovery::Do, 100), Ok(vec![(128, false)]));
}

#[test]
fn no_router_fragments_datagrams_of_ipv6_so_they_are_cut_to_what_the_path_takes() {
    let mut peer = Peer::v6(host());
    assert_eq!(departs(&mut peer, PathDiscovery::Dont, 1_452), Ok(vec![(1_500, false)]));
    assert_eq!(peer.sends(1_440), [1_440]);
    peer.is_told(1_280);
    let _ = peer.left();
    // Eight bytes of each are the fragment header.
    for how in [PathDiscovery::Dont, PathDiscovery::Want] {
        assert_eq!(departs(&mut peer, how, 1_452), Ok(vec![(1_280, false), (276, false)]), "{how:?}");
    }
    assert_eq!(departs(&mut peer, PathDiscovery::Do, 1_452), Err(SendError::TooBig { mtu: 1_280 }));
    assert_eq!(departs(&mut peer, PathDiscovery::Probe, 1_452), Ok(vec![(1_500, false)]));
}
