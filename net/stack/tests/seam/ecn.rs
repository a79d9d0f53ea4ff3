//! Codepoints between the IP header and the connection (RFC 3168 §5, §5.3, §6.1), in both versions of IP.

use crate::link::*;
use crate::requests::syn;
use crate::segments::{listen, segment};
use core::net::{IpAddr, SocketAddr};
use packet::{Bytes, Checksum, Offload, Packet, Segmentation, SegmentationKind};
use stack::{Drop, Event, TcpId};
use tcp::{Config, EcnFeedback};
use time::{Duration, SequenceNumber};
use wire::tcp::{Flags, Header};
use wire::{Ecn, Protocol, ethernet, ipv4};

const PORT: u16 = 80;
const ECN_SETUP: Flags = Flags(Flags::SYN.0 | Flags::ECE.0 | Flags::CWR.0);

/// The two ends' addresses over one version.
#[derive(Clone, Copy)]
struct Ends {
    peer: SocketAddr,
    ours: SocketAddr,
}

const fn ends(peer: IpAddr, ours: IpAddr) -> Ends {
    Ends { peer: SocketAddr::new(peer, 40_000), ours: SocketAddr::new(ours, PORT) }
}

const V4: Ends = ends(IpAddr::V4(PEER_V4), IpAddr::V4(OUR_V4));
const V6: Ends = ends(IpAddr::V6(PEER_V6), IpAddr::V6(OUR_V6));

/// A connection that has agreed to ECN, and its first number.
fn connected(ends: Ends) -> (Link, TcpId, SequenceNumber) {
    let mut link = Link::acquainted();
    listen(&mut link, PORT, 10);
    let opening = Header { flags: ECN_SETUP, ..syn(1_000) };
    link.receive(tcp_frame(ends.peer, ends.ours, opening, b""));
    let answer = link.frame();
    let (.., offer, _) = answer.segment();
    assert!(offer.flags.contains(Flags::ECE) && !offer.flags.contains(Flags::CWR));
    assert_eq!(answer.ecn(), Ecn::NotEct);
    let first = offer.sequence + 1;
    link.receive(tcp_frame(ends.peer, ends.ours, data(first), b""));
    let events = link.events();
    let Some(&Event::TcpAccepted { connection, .. }) = events.first() else {
        panic!("a connection is expected: {events:?}");
    };
    (link, connection, first)
}

fn data(acknowledgement: SequenceNumber) -> Header {
    segment(SequenceNumber(1_001), acknowledgement, Flags::ACK)
}

#[test]
fn new_data_leaves_ecn_capable_and_acknowledgements_do_not() {
    for ends in [V4, V6] {
        let (mut link, connection, first) = connected(ends);
        let mut bytes = vec![7; 100].into();
        link.stack.tcp_write(connection, &mut bytes, link.now);
        assert_eq!(link.frame().ecn(), Ecn::Ect0);
        link.receive(tcp_frame(ends.peer, ends.ours, data(first + 100), b"hello"));
        assert_eq!(link.frame().ecn(), Ecn::NotEct);
    }
}

#[test]
fn a_mark_in_the_ip_header_reaches_the_connection() {
    for ends in [V4, V6] {
        let (mut link, _, first) = connected(ends);
        link.receive(marked(tcp_frame(ends.peer, ends.ours, data(first), b"hello"), Ecn::Ce));
        let (.., header, _) = link.frame().segment();
        assert!(header.flags.contains(Flags::ECE));
    }
}

#[test]
fn a_joined_frame_has_one_codepoint() {
    let (mut link, _, first) = connected(V4);
    let frame = marked(tcp_frame(V4.peer, V4.ours, data(first), &[7; 3_000]), Ecn::Ce);
    let header_length = (frame.len() - 3_000) as u16;
    let segmentation = Segmentation { kind: SegmentationKind::Tcp4, size: 1_000, header_length };
    let offload = Offload { checksum: Checksum::Verified, segmentation: Some(segmentation) };
    link.receive_packet(Packet::received(Bytes::from(frame), offload));
    let (.., header, _) = link.frame().segment();
    assert!(header.flags.contains(Flags::ECE));
    assert_eq!(header.acknowledgement, SequenceNumber(4_001));
}

/// A segment with data in two fragments of these codepoints.
fn in_fragments(link: &mut Link, first: SequenceNumber, codepoints: [Ecn; 2]) {
    let whole = tcp_frame(V4.peer, V4.ours, data(first), &[7; 100]);
    let payload = &whole[ethernet::HEADER_LENGTH + ipv4::HEADER_LENGTH..];
    let header = ipv4::Header { more_fragments: true, ..v4_header(PEER_V4, OUR_V4, Protocol::TCP) };
    link.receive(marked(v4_frame(header, &payload[..64]), codepoints[0]));
    let header = ipv4::Header { more_fragments: false, fragment_offset: 64, ..header };
    link.receive(marked(v4_frame(header, &payload[64..]), codepoints[1]));
}

#[test]
fn a_mark_on_one_fragment_is_the_packets() {
    for codepoints in [[Ecn::Ce, Ecn::Ect0], [Ecn::Ect0, Ecn::Ce], [Ecn::Ce, Ecn::Ce]] {
        let (mut link, _, first) = connected(V4);
        in_fragments(&mut link, first, codepoints);
        let (.., header, _) = link.frame().segment();
        assert!(header.flags.contains(Flags::ECE), "{codepoints:?}");
    }
    let (mut link, _, first) = connected(V4);
    in_fragments(&mut link, first, [Ecn::Ect0, Ecn::Ect1]);
    link.pass(time::Duration::from_millis(50));
    let (.., header, _) = link.frame().segment();
    assert!(!header.flags.contains(Flags::ECE));
}

#[test]
fn a_mark_beside_a_fragment_that_none_may_mark_drops_the_packet() {
    for codepoints in [[Ecn::Ce, Ecn::NotEct], [Ecn::NotEct, Ecn::Ce]] {
        let (mut link, _, first) = connected(V4);
        in_fragments(&mut link, first, codepoints);
        assert_eq!(link.dropped(Drop::FragmentEcn), 1, "{codepoints:?}");
        assert!(link.frames().is_empty());
        assert_eq!(link.stack.memory().reassembly_bytes, 0);
    }
}

/// The SYN of a new connection to `remote`, which is the only frame that leaves.
fn opening(link: &mut Link, remote: SocketAddr, ecn_request: EcnFeedback) -> (TcpId, Header, SocketAddr) {
    let config = Config { ecn_request, ..Config::linux() };
    let connection = link.stack.tcp_connect(None, remote, config.into(), link.now).expect("there is a way");
    let (local, _, header, _) = link.frame().segment();
    (connection, header, local)
}

/// The next segment that leaves because nothing came back.
fn retransmission(link: &mut Link) -> Header {
    for _ in 0..10 {
        link.acquaint();
        link.pass(Duration::from_secs(1));
        let frames = link.frames();
        let tcp = |frame: &Frame| matches!(&frame.content, Content::V4(header, _) if header.protocol == Protocol::TCP);
        if let Some(frame) = frames.iter().find(|frame| tcp(frame)) {
            return frame.segment().2;
        }
    }
    panic!("nothing is sent again")
}

#[test]
fn who_answers_no_syn_that_asks_for_accurate_feedback_is_not_asked_for_ten_minutes() {
    const ACCURATE: Flags = Flags(Flags::SYN.0 | Flags::AE.0 | Flags::ECE.0 | Flags::CWR.0);
    let mut link = Link::host();
    link.acquaint();
    let deaf = at(PEER_V4, 80);
    let asks = |link: &mut Link, request| {
        let (connection, syn, _) = opening(link, deaf, request);
        link.stack.tcp_abort(connection, link.now);
        let _ = (link.frames(), link.events());
        syn.flags
    };
    let (_, mut syn, local) = opening(&mut link, deaf, EcnFeedback::Accurate);
    assert_eq!(syn.flags, ACCURATE);
    for flags in [ACCURATE, Flags::SYN] {
        syn = retransmission(&mut link);
        assert_eq!(syn.flags, flags);
    }
    // Whoever has not answered yet is asked all the same.
    assert_eq!(asks(&mut link, EcnFeedback::Accurate), ACCURATE);
    let answer = segment(SequenceNumber(1_000), syn.sequence + 1, Flags::SYN | Flags::ACK);
    link.receive(tcp_frame(deaf, local, answer, b""));
    let _ = (link.frames(), link.events());
    assert_eq!(asks(&mut link, EcnFeedback::Accurate), Flags::SYN);
    assert_eq!(asks(&mut link, EcnFeedback::Classic), ECN_SETUP);
    let (_, elsewhere, _) = opening(&mut link, at(PEER_V6, 80), EcnFeedback::Accurate);
    assert_eq!(elsewhere.flags, ACCURATE);
    link.pass(Duration::from_secs(600));
    link.acquaint();
    let _ = link.events();
    assert_eq!(asks(&mut link, EcnFeedback::Accurate), ACCURATE);
}
