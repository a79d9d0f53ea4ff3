//! Writes the first inputs of the filter's corpora: a rules file for each thing that can be said, and one course of packets
//! for each kind of connection.

use fuzz::corpus::{one, write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use wire::tcp::Flags;
use wire::{Protocol, icmpv4, icmpv6, ipv4, ipv6, tcp, udp};

const NEAR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const NEAR6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const FAR6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

const RECEIVE: u8 = 0;
const FORWARD: u8 = 1;
const SEND: u8 = 2;
/// A bit more than four minutes pass first.
const LATER: u8 = 18 << 3;

/// What rules files say, each with a name.
const RULES: [(&str, &str); 16] = [
    ("empty", ""),
    ("comments", "# one\n\n  # two\nreceive default drop # three\n# four\n"),
    ("set", "set a { 192.0.2.1, 198.51.100.0/24,\n ::1 }\nsend default accept\n drop to @a\n"),
    ("set-file", "set a file \"list\"\nreceive default reject\n drop from @a, not ::1\n"),
    ("only-addresses", "192.0.2.1\n2001:db8::/32\n"),
    ("ports", "receive default drop\n accept tcp, udp from port 1-1023 to ::1 port not 80, 443\n"),
    ("flags", "receive default drop\n accept tcp flags syn/syn,ack\n drop tcp flags none/fin,rst,ae\n"),
    ("types", "receive default drop\n accept icmp type echo-request, 3 code 4\n drop icmpv6 type not 135\n"),
    (
        "states",
        "receive default drop\n accept state established, related\n drop state invalid, new, untracked\n",
    ),
    ("rates", "receive default drop\n accept rate over 5/second burst 9 per source\n drop rate 1/day\n"),
    (
        "limits",
        "send default accept\n limit 5 mbytes/second burst 64 kbytes per program udp\n limit 3/hour\n",
    ),
    ("count", "forward default reject\n count\n count \"a # b\" protocol not 47, tcp\n"),
    (
        "reject",
        "send default reject\n reject\n reject with port\n reject with host\n reject with prohibited\n",
    ),
    ("interfaces", "receive default drop\n accept on lan, wan-1\n drop on not lo:0\n"),
    ("slips", "receive default dorp\n acept\n accept tcp tcp\nset a {\nsend default drop\n"),
    ("open-set", "set a { 192.0.2.1, \n 192.0.2.300 }\nset b {"),
];

fn main() {
    let rules = RULES.iter().map(|(name, text)| (*name, text.as_bytes().to_vec()));
    write("filter_rules", rules.collect());
    write("filter_packets", courses());
}

fn ip(source: IpAddr, destination: IpAddr, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    let mut packet;
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            packet = vec![0; ipv4::HEADER_LENGTH];
            let header = ipv4::Header {
                traffic_class: 0,
                total_length: (packet.len() + payload.len()) as u16,
                identification: 0,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                ttl: 64,
                protocol,
                source,
                destination,
            };
            header.emit(&mut packet);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            packet = vec![0; ipv6::HEADER_LENGTH];
            let header = ipv6::Header {
                traffic_class: 0,
                flow_label: 0,
                payload_length: payload.len() as u16,
                next_header: protocol,
                hop_limit: 64,
                source,
                destination,
            };
            header.emit(&mut packet);
        }
        _ => panic!("both of one version"),
    }
    packet.extend(payload);
    packet
}

fn segment(flags: Flags, ports: (u16, u16)) -> Vec<u8> {
    let header =
        tcp::Header { source_port: ports.0, destination_port: ports.1, flags, ..tcp::Header::default() };
    let mut out = vec![0; header.length()];
    header.emit(&mut out);
    out
}

fn datagram(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; udp::HEADER_LENGTH];
    let length = (out.len() + payload.len()) as u16;
    udp::Header { source_port: ports.0, destination_port: ports.1, length, checksum: 0 }.emit(&mut out);
    out.extend(payload);
    out
}

fn echo(message: icmpv4::Message, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; icmpv4::HEADER_LENGTH];
    message.emit([payload], &mut out);
    out.extend(payload);
    out
}

/// A connection that the near side opens, its segments in turn.
fn connection(there: u8, back: u8, near: IpAddr, far: IpAddr) -> Vec<Vec<u8>> {
    let syn_ack = Flags::SYN | Flags::ACK;
    let fin_ack = Flags::FIN | Flags::ACK;
    let out = |flags| one(there, &ip(near, far, Protocol::TCP, &segment(flags, (7_000, 80))));
    let back = |flags| one(back, &ip(far, near, Protocol::TCP, &segment(flags, (80, 7_000))));
    vec![
        out(Flags::SYN),
        back(syn_ack),
        out(Flags::ACK),
        back(Flags::ACK),
        out(fin_ack),
        back(fin_ack),
        out(Flags::SYN),
    ]
}

fn courses() -> Vec<(&'static str, Vec<u8>)> {
    let (near, far, near6, far6): (IpAddr, IpAddr, IpAddr, IpAddr) =
        (NEAR.into(), FAR.into(), NEAR6.into(), FAR6.into());
    let query = ip(near, far, Protocol::UDP, &datagram((7_000, 5_353), b"who?"));
    let answer = ip(far, near, Protocol::UDP, &datagram((5_353, 7_000), b"me"));
    let ask = echo(icmpv4::Message::EchoRequest { identifier: 7, sequence: 1 }, b"ping");
    let reply = echo(icmpv4::Message::EchoReply { identifier: 7, sequence: 1 }, b"ping");
    let unreachable = icmpv4::Message::DestinationUnreachable { code: icmpv4::Unreachable::PORT, mtu: 0 };
    let error = ip(far, near, Protocol::ICMP, &echo(unreachable, &query[..28]));
    let mut too_big = vec![0; icmpv6::HEADER_LENGTH];
    let quoted = ip(near6, far6, Protocol::TCP, &segment(Flags::ACK, (7_000, 80)));
    icmpv6::Message::PacketTooBig { mtu: 1_280 }.emit(FAR6, NEAR6, [&quoted[..]], &mut too_big);
    too_big.extend(&quoted);
    let mut fragment = ip(near, far, Protocol::UDP, &[7; 16]);
    fragment[6..8].copy_from_slice(&[0x20, 2]);
    let many = |control: u8, count: u16| -> Vec<u8> {
        let syn = |port| one(control, &ip(far, near, Protocol::TCP, &segment(Flags::SYN, (port, 80))));
        (1..=count).flat_map(syn).collect()
    };
    let concat = |parts: &[&[u8]]| parts.concat();
    vec![
        ("connection", connection(SEND, RECEIVE, near, far).concat()),
        ("connection-v6", connection(SEND, RECEIVE, near6, far6).concat()),
        ("connection-in", connection(RECEIVE, SEND, near, far).concat()),
        ("connection-through", connection(FORWARD, FORWARD | 4, near, far).concat()),
        ("connection-late", connection(SEND, RECEIVE | LATER, near, far).concat()),
        ("answer-alone", connection(SEND, RECEIVE, near, far)[1].clone()),
        ("query", concat(&[&one(SEND, &query), &one(RECEIVE, &answer), &one(RECEIVE | LATER, &answer)])),
        ("error", concat(&[&one(SEND, &query), &one(RECEIVE, &error), &one(RECEIVE | LATER, &error)])),
        (
            "too-big",
            concat(&[
                &connection(SEND, RECEIVE, near6, far6)[0],
                &one(RECEIVE, &ip(far6, near6, Protocol::ICMPV6, &too_big)),
            ]),
        ),
        (
            "ping",
            concat(&[
                &one(SEND, &ip(near, far, Protocol::ICMP, &ask)),
                &one(RECEIVE, &ip(far, near, Protocol::ICMP, &reply)),
            ]),
        ),
        (
            "pinged",
            concat(&[
                &one(RECEIVE, &ip(far, near, Protocol::ICMP, &ask)),
                &one(SEND, &ip(near, far, Protocol::ICMP, &reply)),
            ]),
        ),
        ("fragment", one(RECEIVE, &fragment)),
        ("other-protocol", one(FORWARD | 4, &ip(far, near, Protocol::SCTP, &[0; 12]))),
        ("flood", many(RECEIVE, 40)),
        ("mail", one(SEND, &ip(near, far, Protocol::TCP, &segment(Flags::SYN, (7_000, 25))))),
        ("cut", one(RECEIVE, &ip(far, near, Protocol::TCP, &[0, 80]))),
    ]
}
