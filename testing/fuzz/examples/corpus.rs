//! Writes the first inputs of the corpora: one for each kind of frame, and one for each course of a connection.

use fuzz::corpus::{one, write};
use std::net::{Ipv4Addr, Ipv6Addr};
use wire::ethernet::{Address, EtherType, HEADER_LENGTH};
use wire::extension::Fragment;
use wire::tcp::{Flags, Options, Timestamps};
use wire::{Protocol, arp, ethernet, icmpv4, icmpv6, ipv4, ipv6, ndp, tcp, udp};

const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PEER6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
const OWN6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);

/// To the Ethernet interface, with checksums repaired and the stack's own hardware address put in.
const ETHERNET: u8 = 0b110;
/// To the IP interface, with checksums repaired.
const IP: u8 = 0b011;
/// A quarter of a second passes first.
const LATER: u8 = 18 << 3;

fn main() {
    write("frames", frames());
    write("tcp_live", connections());
    write("tcp_live", selective_connections());
}

fn on_ethernet(ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; HEADER_LENGTH];
    let source = Address([2, 0, 0, 0, 0, 2]);
    ethernet::Header { destination: Address::BROADCAST, source, ether_type }.emit(&mut frame);
    frame.extend(payload);
    frame
}

fn v4(protocol: Protocol, fragment: (u16, bool), options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; ipv4::HEADER_LENGTH + options.len()];
    let header = ipv4::Header {
        traffic_class: 0,
        total_length: (packet.len() + payload.len()) as u16,
        identification: 9,
        dont_fragment: false,
        more_fragments: fragment.1,
        fragment_offset: fragment.0,
        ttl: 64,
        protocol,
        source: PEER,
        destination: OWN,
    };
    header.emit_with_options(options, &mut packet);
    packet.extend(payload);
    packet
}

fn v6(next_header: Protocol, source: Ipv6Addr, destination: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; ipv6::HEADER_LENGTH];
    let header = ipv6::Header {
        traffic_class: 0,
        flow_label: 0,
        payload_length: payload.len() as u16,
        next_header,
        hop_limit: ndp::HOP_LIMIT,
        source,
        destination,
    };
    header.emit(&mut packet);
    packet.extend(payload);
    packet
}

fn datagram(destination_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; udp::HEADER_LENGTH];
    let length = (out.len() + payload.len()) as u16;
    udp::Header { source_port: 4_000, destination_port, length, checksum: 0 }.emit(&mut out);
    out.extend(payload);
    out
}

fn syn(source_port: u16, destination_port: u16) -> Vec<u8> {
    let timestamps = Some(Timestamps { value: 5, echo: 0 });
    let options = Options {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps,
        ..Options::default()
    };
    let header = tcp::Header {
        source_port,
        destination_port,
        flags: Flags::SYN,
        window: 65_535,
        options,
        ..tcp::Header::default()
    };
    let mut out = vec![0; header.length()];
    header.emit(&mut out);
    out
}

fn echo() -> Vec<u8> {
    let mut out = vec![0; icmpv4::HEADER_LENGTH];
    icmpv4::Message::EchoRequest { identifier: 3, sequence: 4 }.emit([b"ping"], &mut out);
    out.extend(b"ping");
    out
}

fn arp(operation: arp::Operation, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut out = vec![0; arp::LENGTH];
    let packet = arp::Packet {
        operation,
        sender_hardware: Address([2, 0, 0, 0, 0, 2]),
        sender_protocol: sender,
        target_hardware: Address::UNSPECIFIED,
        target_protocol: target,
    };
    packet.emit(&mut out);
    on_ethernet(EtherType::ARP, &out)
}

fn neighbours(message: ndp::Message, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
    let options = [ndp::NdpOption::SourceLinkLayer(Address([2, 0, 0, 0, 0, 2]))];
    let options = if source.is_unspecified() { &[][..] } else { &options };
    let mut out = vec![0; message.length(options)];
    message.emit(source, destination, options, &mut out);
    on_ethernet(EtherType::IPV6, &v6(Protocol::ICMPV6, source, destination, &out))
}

fn error_v4(quoted: &[u8]) -> Vec<u8> {
    let mut out = vec![0; icmpv4::HEADER_LENGTH];
    let code = icmpv4::Unreachable::FRAGMENTATION_NEEDED;
    icmpv4::Message::DestinationUnreachable { code, mtu: 1_280 }.emit([quoted], &mut out);
    out.extend(quoted);
    v4(Protocol::ICMP, (0, false), &[], &out)
}

type Inputs = Vec<(&'static str, Vec<u8>)>;

fn frames() -> Inputs {
    [link_frames(), v4_frames(), v6_frames()].concat()
}

fn plain(protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    v4(protocol, (0, false), &[], payload)
}

fn v4_frame(packet: &[u8]) -> Vec<u8> {
    one(ETHERNET, &on_ethernet(EtherType::IPV4, packet))
}

fn v6_frame(packet: &[u8]) -> Vec<u8> {
    one(ETHERNET, &on_ethernet(EtherType::IPV6, packet))
}

/// What neighbours say.
fn link_frames() -> Inputs {
    let ask = arp(arp::Operation::Request, PEER, OWN);
    let solicit = ndp::Message::NeighborSolicitation { target: OWN6 };
    let advertise =
        ndp::Message::NeighborAdvertisement { router: false, solicited: true, replaces: true, target: PEER6 };
    let advertisement = ndp::Message::RouterAdvertisement(ndp::RouterAdvertisement::default());
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    vec![
        ("empty", Vec::new()),
        ("short-frame", one(ETHERNET, &[1, 2, 3])),
        ("arp-request", one(ETHERNET, &ask)),
        ("arp-reply", one(ETHERNET, &arp(arp::Operation::Reply, PEER, OWN))),
        ("arp-conflict", one(ETHERNET, &arp(arp::Operation::Reply, OWN, OWN))),
        ("ndp-solicitation", one(ETHERNET, &neighbours(solicit, PEER6, ipv6::solicited_node(OWN6)))),
        ("ndp-probe", one(ETHERNET, &neighbours(solicit, Ipv6Addr::UNSPECIFIED, ipv6::solicited_node(OWN6)))),
        ("ndp-advertisement", one(ETHERNET, &neighbours(advertise, PEER6, OWN6))),
        ("ndp-router-advertisement", one(ETHERNET, &neighbours(advertisement, link_local, OWN6))),
        (
            "ndp-router-solicitation",
            one(ETHERNET, &neighbours(ndp::Message::RouterSolicitation, link_local, OWN6)),
        ),
    ]
}

fn v4_frames() -> Inputs {
    let long = datagram(53, &[7; 1_200]);
    let ask = arp(arp::Operation::Request, PEER, OWN);
    vec![
        ("ipv4-echo", [one(ETHERNET, &ask), v4_frame(&plain(Protocol::ICMP, &echo()))].concat()),
        ("ipv4-echo-unknown-neighbour", v4_frame(&plain(Protocol::ICMP, &echo()))),
        (
            "ipv4-options",
            v4_frame(&v4(Protocol::UDP, (0, false), &[7, 7, 4, 0, 0, 0, 0, 0], &datagram(53, b"q"))),
        ),
        (
            "ipv4-source-route",
            v4_frame(&v4(Protocol::UDP, (0, false), &[131, 7, 4, 1, 2, 3, 4, 0], &datagram(9, b"q"))),
        ),
        (
            "ipv4-fragments",
            [
                v4_frame(&v4(Protocol::UDP, (0, true), &[], &long[..800])),
                v4_frame(&v4(Protocol::UDP, (800, false), &[], &long[800..])),
            ]
            .concat(),
        ),
        (
            "ipv4-fragments-overlap",
            [
                v4_frame(&v4(Protocol::UDP, (0, true), &[], &long[..800])),
                v4_frame(&v4(Protocol::UDP, (400, false), &[], &long[400..])),
            ]
            .concat(),
        ),
        ("ipv4-unknown-protocol", v4_frame(&plain(Protocol(99), b"what"))),
        ("udp-open", v4_frame(&plain(Protocol::UDP, &datagram(53, b"query")))),
        ("udp-closed", v4_frame(&plain(Protocol::UDP, &datagram(99, b"query")))),
        ("udp-intercepted", one(IP, &plain(Protocol::UDP, &datagram(99, b"query")))),
        ("tcp-syn", v4_frame(&plain(Protocol::TCP, &syn(1_000, 80)))),
        ("tcp-closed", v4_frame(&plain(Protocol::TCP, &syn(1_000, 81)))),
        ("tcp-deferred-admitted", one(IP, &plain(Protocol::TCP, &syn(1_000, 443)))),
        ("tcp-deferred-refused", one(IP, &plain(Protocol::TCP, &syn(1_001, 443)))),
        ("icmp-too-big", v4_frame(&error_v4(&plain(Protocol::TCP, &syn(80, 1_000))))),
        ("icmp-error-about-error", v4_frame(&error_v4(&error_v4(b"nothing")))),
    ]
}

fn v6_frames() -> Inputs {
    let long = datagram(53, &[7; 1_200]);
    let extended = [60, 0, 1, 4, 0, 0, 0, 0, 43, 0, 1, 4, 0, 0, 0, 0, 17, 0, 9, 0, 0, 0, 0, 0];
    let mut fragment = vec![0; 8];
    Fragment { identification: 5, offset: 0, more: true }.emit(Protocol::UDP, &mut fragment);
    let mut rest = vec![0; 8];
    Fragment { identification: 5, offset: 600, more: false }.emit(Protocol::UDP, &mut rest);
    let mut echo6 = vec![0; icmpv6::HEADER_LENGTH];
    icmpv6::Message::EchoRequest { identifier: 1, sequence: 1 }.emit(PEER6, OWN6, [b""], &mut echo6);
    vec![
        ("ipv6-echo", v6_frame(&v6(Protocol::ICMPV6, PEER6, OWN6, &echo6))),
        (
            "ipv6-extensions",
            v6_frame(&v6(Protocol::HOP_BY_HOP, PEER6, OWN6, &[&extended[..], &datagram(53, b"q")].concat())),
        ),
        (
            "ipv6-unknown-option",
            v6_frame(&v6(Protocol::HOP_BY_HOP, PEER6, OWN6, &[17, 0, 0xc2, 4, 0, 0, 0, 0])),
        ),
        (
            "ipv6-fragments",
            [
                v6_frame(&v6(Protocol::FRAGMENT, PEER6, OWN6, &[&fragment, &long[..600]].concat())),
                one(
                    LATER | ETHERNET,
                    &on_ethernet(
                        EtherType::IPV6,
                        &v6(Protocol::FRAGMENT, PEER6, OWN6, &[&rest, &long[600..]].concat()),
                    ),
                ),
            ]
            .concat(),
        ),
        ("ipv6-tcp", one(IP, &v6(Protocol::TCP, PEER6, OWN6, &syn(1_000, 80)))),
    ]
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
const URG: u8 = 32;

/// A segment with these flags, 16 times `payload` bytes, and a large window.
fn segment(flags: u8, payload: u8) -> Vec<u8> {
    vec![0, flags, payload, 0xff, 0xff]
}

fn pass(exponent: u8) -> Vec<u8> {
    vec![3, exponent]
}

fn write_bytes(count: u16) -> Vec<u8> {
    [&[4][..], &count.to_be_bytes()].concat()
}

/// Connections with SACK.
fn selective_connections() -> Inputs {
    let syn = vec![128, SYN, 0, 9, 9, 0, 0, 5, 180, 7];
    let opened = [vec![0], syn, segment(ACK, 0)].concat();
    let and = |steps: &[Vec<u8>]| [opened.clone(), steps.concat()].concat();
    let read = vec![5, 0xff, 0xff];
    vec![
        (
            "sack",
            and(&[
                write_bytes(30_000),
                // Of ten segments the last, then two more: a recovery begins.
                vec![80, ACK, 0, 9, 9, 0xc7, 0, 0, 5, 180, 5, 180],
                vec![80, ACK, 0, 9, 9, 0xc7, 0, 1, 5, 180, 5, 180, 17, 28, 5, 180],
                vec![80, ACK, 0, 9, 9, 0xc7, 0, 2, 5, 180, 5, 180, 17, 28, 5, 180, 28, 132, 5, 180],
                pass(18),
                segment(ACK, 0),
                pass(18),
            ]),
        ),
        (
            "sack-twice",
            and(&[
                write_bytes(3_000),
                // A tail loss probe, and the answer that both have arrived.
                pass(20),
                segment(ACK, 0),
                vec![64, ACK, 0, 9, 9, 4, 0, 100, 0, 100],
                write_bytes(9_000),
                pass(22),
                vec![80, ACK, 0, 9, 9, 0xf0, 0, 4, 1, 0, 1, 0],
            ]),
        ),
        (
            "sack-taken-back",
            and(&[
                write_bytes(9_000),
                vec![80, ACK, 0, 9, 9, 0xe0, 0, 0, 0x1c, 0, 0x1c, 0],
                vec![16, ACK, 0, 9, 9, 0xe4, 0],
                pass(22),
                segment(ACK, 0),
            ]),
        ),
        (
            "sack-told",
            and(&[
                (1..6).flat_map(|n| [8, ACK, 10, 1, 0, n, 0]).collect(),
                vec![8, ACK, 10, 1, 0, 3, 0],
                segment(ACK, 255),
                read,
            ]),
        ),
    ]
}

fn connections() -> Inputs {
    let passive = [vec![0], segment(SYN, 0), segment(ACK, 0)].concat();
    let active = [vec![1], segment(SYN | ACK, 0)].concat();
    let and = |start: &[u8], steps: &[Vec<u8>]| [start.to_vec(), steps.concat()].concat();
    let read = vec![5, 0xff, 0xff];
    vec![
        ("empty", Vec::new()),
        ("passive", passive.clone()),
        ("passive-v6", and(&[2], &[segment(SYN, 0), segment(ACK, 0)])),
        ("active", active.clone()),
        ("active-refused", and(&[1], &[segment(RST | ACK, 0)])),
        ("active-alone", and(&[1], &[pass(35)])),
        ("simultaneous-open", and(&[1], &[segment(SYN, 0), segment(ACK, 0)])),
        ("data-in", and(&passive, &[segment(ACK, 50), segment(ACK, 90), read.clone(), pass(20)])),
        ("data-out", and(&passive, &[write_bytes(9_000), segment(ACK, 0), pass(18), segment(ACK, 0)])),
        ("peer-closes", and(&passive, &[segment(FIN | ACK, 3), read.clone(), vec![7], segment(ACK, 0)])),
        ("owner-closes", and(&active, &[vec![7], segment(ACK, 0), segment(FIN | ACK, 0), pass(27)])),
        ("simultaneous-close", and(&active, &[vec![7], vec![8, FIN | ACK, 0, 1, 0, 0, 0], segment(ACK, 0)])),
        ("reset", and(&active, &[segment(RST, 0)])),
        ("reset-beside", and(&active, &[vec![8, RST, 0, 0, 0, 0, 9], segment(ACK, 0)])),
        ("syn-again", and(&active, &[segment(SYN, 0), segment(ACK, 0)])),
        ("out-of-order", and(&passive, &[vec![8, ACK, 10, 1, 0, 0, 200], segment(ACK, 40), read.clone()])),
        ("old-data", and(&passive, &[segment(ACK, 20), vec![8, ACK, 20, 1, 0, 0xff, 0]])),
        (
            "duplicate-acks",
            and(&passive, &[write_bytes(60_000), [16, ACK, 0, 9, 9, 0xf0, 0].repeat(5), pass(18)]),
        ),
        (
            "zero-window",
            and(&passive, &[write_bytes(5_000), vec![0, ACK, 0, 0, 0], pass(25), segment(ACK, 0)]),
        ),
        (
            "timestamps",
            and(
                &[0],
                &[
                    vec![160, SYN, 0, 9, 9, 1, 0, 0, 5, 180, 7],
                    vec![32, ACK, 4, 9, 9, 2],
                    vec![32, ACK, 4, 9, 9, 0],
                ],
            ),
        ),
        ("urgent", and(&passive, &[vec![128, ACK | URG, 5, 9, 9, 0, 20, 0, 0, 0], read.clone()])),
        ("abort", and(&passive, &[segment(ACK, 9), vec![71]])),
        ("closed-for-reading", and(&passive, &[vec![39], segment(ACK, 9)])),
        ("limit", and(&passive, &[vec![6, 0, 0], segment(ACK, 200), vec![6, 1, 0], read])),
        (
            "tiny-mss",
            and(&[0], &[vec![128, SYN, 0, 9, 9, 0, 0, 0, 1, 14], segment(ACK, 0), write_bytes(4_000)]),
        ),
        ("peer-vanishes", and(&passive, &[write_bytes(100), pass(35), pass(35)])),
    ]
}
