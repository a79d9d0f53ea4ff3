//! Fragments both ways: RFC 791 §3.2, RFC 815, RFC 6864, RFC 8200 §4.5, RFC 5722.

use crate::link::*;
use packet::Bytes;
use stack::{Binding, Config, Datagram, Drop, SendError, UdpId};
use time::Duration;
use wire::extension::Fragment;
use wire::{Protocol, extension, icmpv4, icmpv6, ipv4};

pub fn listening() -> (Link, UdpId) {
    let mut link = Link::acquainted();
    let socket = link.stack.udp_bind(Binding::Intercept).expect("free");
    (link, socket)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 7 + n / 251) as u8).collect()
}

/// The pieces of a payload: where each starts, whether others follow, its bytes.
type Piece = (usize, bool, Vec<u8>);

fn pieces(payload: &[u8], size: usize) -> Vec<Piece> {
    let chunks = payload.chunks(size).enumerate();
    chunks.map(|(n, bytes)| (n * size, (n + 1) * size < payload.len(), bytes.to_vec())).collect()
}

fn piece_v4(identification: u16, (offset, more, bytes): &Piece) -> Vec<u8> {
    let header = ipv4::Header {
        identification,
        more_fragments: *more,
        fragment_offset: *offset as u16,
        ..v4_header(PEER_V4, FAR_V4, Protocol::UDP)
    };
    v4_frame(header, bytes)
}

fn piece_v6(identification: u32, (offset, more, bytes): &Piece) -> Vec<u8> {
    let mut payload = vec![0; extension::FRAGMENT_LENGTH];
    Fragment { identification, offset: *offset as u16, more: *more }.emit(Protocol::UDP, &mut payload);
    payload.extend_from_slice(bytes);
    v6_frame(PEER_V6, FAR_V6, Protocol::FRAGMENT, 64, &payload)
}

fn datagram_v4(payload: &[u8]) -> Vec<u8> {
    udp_bytes(at(PEER_V4, 1), at(FAR_V4, 2), payload)
}

fn datagram_v6(payload: &[u8]) -> Vec<u8> {
    udp_bytes(at(PEER_V6, 1), at(FAR_V6, 2), payload)
}

#[test]
fn fragments_in_any_order_make_the_datagram() {
    let payload = pattern(4_000);
    for rotate in 0..4 {
        let (mut link, socket) = listening();
        let mut v4 = pieces(&datagram_v4(&payload), 1_200);
        let mut v6 = pieces(&datagram_v6(&payload), 1_200);
        assert_eq!(v4.len(), 4);
        v4.rotate_left(rotate);
        v6.rotate_left(rotate);
        v6.reverse();
        for (a, b) in v4.iter().zip(&v6) {
            link.receive(piece_v4(5, a));
            link.receive(piece_v6(5, b));
        }
        for far in [at(FAR_V4, 2), at(FAR_V6, 2)] {
            let datagram = link.stack.udp_receive(socket).expect("it is whole");
            assert_eq!((datagram.local, &datagram.payload[..]), (far, &payload[..]));
        }
        assert_eq!(link.stack.memory().reassembly_bytes, 0);
    }
}

#[test]
fn largest_datagram_is_put_together() {
    let (mut link, socket) = listening();
    let payload = pattern(65_507);
    for piece in pieces(&datagram_v4(&payload), 1_480) {
        link.receive(piece_v4(5, &piece));
    }
    assert_eq!(link.stack.udp_receive(socket).expect("it is whole").payload, payload);
}

#[test]
fn copy_of_a_fragment_is_passed_over() {
    let (mut link, socket) = listening();
    let pieces = pieces(&datagram_v4(&pattern(3_000)), 1_200);
    for n in [0, 0, 1, 1, 2] {
        link.receive(piece_v4(5, &pieces[n]));
    }
    assert!(link.stack.udp_receive(socket).is_some());
}

#[test]
fn overlap_drops_the_whole_datagram() {
    for version in [4, 6] {
        let (mut link, socket) = listening();
        let whole = if version == 4 { datagram_v4(&pattern(3_000)) } else { datagram_v6(&pattern(3_000)) };
        let frame = |piece: &Piece| if version == 4 { piece_v4(5, piece) } else { piece_v6(5, piece) };
        let pieces = pieces(&whole, 1_200);
        link.receive(frame(&pieces[0]));
        let overlapping = (1_192, true, whole[1_192..2_392].to_vec());
        link.receive(frame(&overlapping));
        assert_eq!(link.dropped(Drop::FragmentOverlap), 1);
        assert_eq!(link.stack.memory().reassembly_bytes, 0, "all that was kept is gone");
        link.receive(frame(&pieces[1]));
        link.receive(frame(&pieces[2]));
        assert!(
            link.stack.udp_receive(socket).is_none(),
            "RFC 5722: later fragments make no datagram either"
        );
    }
}

#[test]
fn fragments_that_cannot_be_are_dropped() {
    let (mut link, _) = listening();
    // Not a multiple of eight bytes, though others follow.
    link.receive(piece_v4(5, &(0, true, vec![0; 100 - 1])));
    // Beyond the largest packet.
    link.receive(piece_v4(5, &(65_528, false, vec![0; 100])));
    assert_eq!(link.dropped(Drop::FragmentMalformed), 2);
    // Two ends.
    link.receive(piece_v4(6, &(800, false, vec![0; 100])));
    link.receive(piece_v4(6, &(400, false, vec![0; 100])));
    assert_eq!(link.dropped(Drop::FragmentMalformed), 3);
    assert_eq!(link.stack.memory().reassembly_bytes, 0);
}

#[test]
fn datagram_in_too_many_fragments_is_dropped() {
    let (mut link, socket) = listening();
    for piece in pieces(&datagram_v4(&pattern(2_000)), 8) {
        link.receive(piece_v4(5, &piece));
    }
    assert!(link.stack.udp_receive(socket).is_none());
    assert_eq!(link.dropped(Drop::ReassemblyFull), 1);
}

#[test]
fn oldest_datagram_goes_for_a_new_one() {
    let bytes_max = 10_000;
    let mut link =
        Link::with(Config { reassembly_bytes_max: bytes_max, ..Config::default() }, gateway(PLAIN));
    link.acquaint();
    let socket = link.stack.udp_bind(Binding::Intercept).expect("free");
    let pieces = pieces(&datagram_v4(&pattern(2_000)), 1_200);
    for identification in 0..100 {
        link.receive(piece_v4(identification, &pieces[0]));
        assert!(link.stack.memory().reassembly_bytes <= bytes_max);
    }
    assert!(link.dropped(Drop::ReassemblyFull) > 80);
    link.receive(piece_v4(0, &pieces[1]));
    assert!(link.stack.udp_receive(socket).is_none(), "the first was given up");
    link.receive(piece_v4(99, &pieces[1]));
    assert!(link.stack.udp_receive(socket).is_some(), "the last was kept");
}

#[test]
fn fragments_expire_and_the_sender_is_told_where_the_first_came() {
    let (mut link, _) = listening();
    let v4 = pieces(&datagram_v4(&pattern(2_000)), 1_200);
    let v6 = pieces(&datagram_v6(&pattern(2_000)), 1_200);
    link.receive(piece_v4(1, &v4[0]));
    link.receive(piece_v4(2, &v4[1]));
    link.receive(piece_v6(3, &v6[0]));
    link.pass(Duration::from_secs(59));
    link.acquaint();
    assert!(link.stack.memory().reassembly_bytes > 0);
    link.pass(Duration::from_secs(1));
    let frames = link.frames();
    assert_eq!(frames.len(), 2, "{frames:?}");
    let (message, quoted) = frames[0].icmp_v4();
    assert_eq!(message, icmpv4::Message::TimeExceeded { code: 1 });
    assert_eq!(quoted[20..28], v4[0].2[..8]);
    assert_eq!(frames[1].icmp_v6().0, icmpv6::Message::TimeExceeded { code: 1 });
    assert_eq!(link.dropped(Drop::ReassemblyTimeout), 3);
    assert_eq!(link.stack.memory().reassembly_bytes, 0);
}

#[test]
fn large_datagram_leaves_in_fragments() {
    let (mut link, socket) = listening();
    let payload = pattern(4_000);
    let send = |link: &mut Link, local, remote| {
        let datagram = Datagram::new(local, remote, Bytes::from(payload.clone()));
        link.stack.udp_send(socket, datagram, link.now).expect("it leaves");
        link.frames()
    };
    let frames = send(&mut link, at(FAR_V4, 1), at(PEER_V4, 2));
    let mut whole = Vec::new();
    for (n, frame) in frames.iter().enumerate() {
        let Content::V4(ip, bytes) = &frame.content else { panic!("IPv4 is expected") };
        assert!(ip.total_length <= MTU && !ip.dont_fragment);
        assert_eq!(usize::from(ip.fragment_offset), whole.len());
        assert_eq!(ip.more_fragments, n + 1 < frames.len());
        whole.extend_from_slice(bytes);
    }
    assert_eq!((frames.len(), &whole[..]), (3, &udp_bytes(at(FAR_V4, 1), at(PEER_V4, 2), &payload)[..]));
    let frames = send(&mut link, at(FAR_V6, 1), at(PEER_V6, 2));
    let mut whole = Vec::new();
    for frame in &frames {
        let Content::V6(ip, bytes) = &frame.content else { panic!("IPv6 is expected") };
        assert!(ip.payload_length + 40 <= MTU);
        let walk = extension::Fragment {
            identification: u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
            offset: whole.len() as u16,
            more: whole.len() + bytes.len() - 8 < 4_008,
        };
        let mut expected = vec![0; 8];
        walk.emit(Protocol::UDP, &mut expected);
        assert_eq!(bytes[..8], expected[..]);
        whole.extend_from_slice(&bytes[8..]);
    }
    assert_eq!((frames.len(), &whole[..]), (3, &udp_bytes(at(FAR_V6, 1), at(PEER_V6, 2), &payload)[..]));
}

#[test]
fn identifications_differ_from_packet_to_packet() {
    let (mut link, socket) = listening();
    let mut seen = Vec::new();
    for _ in 0..100 {
        let datagram = Datagram::new(at(FAR_V4, 1), at(PEER_V4, 2), Bytes::new());
        link.stack.udp_send(socket, datagram, link.now).expect("it leaves");
        let frame = link.frame();
        let Content::V4(ip, _) = &frame.content else { panic!("IPv4 is expected") };
        seen.push(ip.identification);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 100);
}

#[test]
fn larger_than_any_packet_is_refused() {
    let (mut link, socket) = listening();
    let datagram = Datagram::new(at(FAR_V4, 1), at(PEER_V4, 2), Bytes::from(vec![0; 65_508]));
    assert_eq!(link.stack.udp_send(socket, datagram, link.now), Err(SendError::TooLarge));
}
