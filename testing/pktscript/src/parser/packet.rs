//! Packets: what is said of the IP header, then TCP, UDP or ICMP.

use super::options;
use crate::lexer::{Cursor, SyntaxError};
use crate::syntax::{Body, Direction, ECT_EITHER, Icmp, Network, Number, Packet, Quoted, Segment};
use wire::tcp::Flags;

/// What stands behind the time of a packet's event.
pub fn packet(cursor: &mut Cursor<'_>) -> Result<Packet, SyntaxError> {
    let direction = if cursor.eat("<") {
        Direction::Inbound
    } else {
        cursor.expect(">")?;
        Direction::Outbound
    };
    // FreeBSD's dialect has what an ICMP message quotes in front of it.
    let in_front = if is_quoted(cursor) { quoted(cursor)? } else { None };
    let network = network(cursor)?;
    let mut ports = ports(cursor)?;
    let body = match cursor.peek_word() {
        "udp" => {
            cursor.word()?;
            if let Some(later) = self::ports(cursor)? {
                ports = Some(later);
            }
            Body::Udp(length(cursor)?)
        }
        "icmp" | "icmpv6" => {
            cursor.word()?;
            let message = icmp(cursor)?;
            Body::Icmp(Icmp { quoted: in_front.unwrap_or(message.quoted), ..message })
        }
        name @ ("ipv4" | "ipv6" | "gre" | "mpls" | "raw" | "sctp" | "udplite" | "psp") => {
            let name = name.to_owned();
            let line = cursor.raw().find('\n').unwrap_or(cursor.raw().len());
            cursor.advance(line);
            Body::Other(name)
        }
        _ => Body::Tcp(segment(cursor)?),
    };
    // FreeBSD's dialect carries TCP over UDP by a suffix.
    if cursor.is_at("/udp") {
        let suffix = cursor.take_until(&[')']);
        let _ = suffix;
        cursor.expect(")")?;
        return Ok(Packet { direction, network, ports, body: Body::Other("TCP over UDP".to_owned()) });
    }
    Ok(Packet { direction, network, ports, body })
}

/// `[ect0]`, `(tos 0x10, flowlabel 0x1)`, `[ttl 255]`.
fn network(cursor: &mut Cursor<'_>) -> Result<Network, SyntaxError> {
    let mut network = Network::default();
    let close = if cursor.eat("[") {
        "]"
    } else if cursor.eat("(") {
        ")"
    } else {
        return Ok(network);
    };
    loop {
        match cursor.word()? {
            "noecn" => network.ecn = Some(0),
            "ect1" => network.ecn = Some(1),
            "ect0" => network.ecn = Some(2),
            "ce" => network.ecn = Some(3),
            "ect01" => network.ecn = Some(ECT_EITHER),
            "tos" => network.traffic_class = Some(cursor.number()?),
            "ttl" => network.hop_limit = Some(cursor.number()?),
            "flowlabel" => network.flow_label = Some(cursor.number()?),
            _ => return Err(cursor.error("expected what is said of the IP header")),
        }
        if !cursor.eat(",") {
            break;
        }
    }
    cursor.expect(close)?;
    Ok(network)
}

/// `1234 > 80`, if that is what stands there.
fn ports(cursor: &mut Cursor<'_>) -> Result<Option<(u16, u16)>, SyntaxError> {
    let enclosed = cursor.is_at("(");
    let mut ahead = cursor.clone();
    if enclosed {
        ahead.eat("(");
    }
    let Ok(source) = ahead.number::<u16>() else { return Ok(None) };
    if !ahead.eat(">") {
        return Ok(None);
    }
    let destination = ahead.number()?;
    if enclosed {
        ahead.expect(")")?;
    }
    *cursor = ahead;
    Ok(Some((source, destination)))
}

/// A payload's length, no longer than an IP packet.
fn length<T: From<u16>>(cursor: &mut Cursor<'_>) -> Result<T, SyntaxError> {
    cursor.expect("(")?;
    let length: u16 = cursor.number()?;
    cursor.expect(")")?;
    Ok(length.into())
}

fn segment(cursor: &mut Cursor<'_>) -> Result<Segment, SyntaxError> {
    let flags = flags(cursor)?;
    let (sequence, length) = sequence(cursor)?;
    let mut segment = Segment {
        flags,
        sequence,
        length,
        acknowledgement: None,
        window: None,
        urgent: None,
        options: Some(Vec::new()),
    };
    if cursor.eat_word("ack") {
        segment.acknowledgement = Some(number(cursor)?);
    }
    if cursor.eat_word("win") {
        segment.window = Some(cursor.number()?);
    }
    if cursor.eat_word("urg") {
        segment.urgent = Some(cursor.number()?);
    }
    // Whatever follows a packet starts with a time, so this is no other packet.
    if cursor.is_at("<") {
        segment.options = options::options(cursor)?;
    }
    Ok(segment)
}

/// The control bits as letters; digits behind the dot are the ACE field (RFC 9768 §3.2).
fn flags(cursor: &mut Cursor<'_>) -> Result<u16, SyntaxError> {
    let mut bits = Flags::default();
    let mut ahead = cursor.clone();
    for letter in ahead.take_until(&[]).chars() {
        bits |= match letter {
            'F' => Flags::FIN,
            'S' => Flags::SYN,
            'R' => Flags::RST,
            'P' => Flags::PSH,
            '.' => Flags::ACK,
            'U' => Flags::URG,
            'E' => Flags::ECE,
            'C' | 'W' => Flags::CWR,
            'A' => Flags::AE,
            '-' => Flags::default(),
            '0'..='7' => Flags((letter as u16 - '0' as u16) << 6),
            _ => return Err(cursor.error("expected TCP flags")),
        };
    }
    *cursor = ahead;
    Ok(bits.0)
}

/// `1:1001(1000)`, with `!` behind absolute numbers, or `...(1000)`.
fn sequence(cursor: &mut Cursor<'_>) -> Result<(Option<Number>, u32), SyntaxError> {
    if cursor.eat("...") {
        return Ok((None, length(cursor)?));
    }
    let mut here = cursor.clone();
    let start = number(cursor)?;
    cursor.expect(":")?;
    let end = number(cursor)?;
    let length: u32 = length(cursor)?;
    if end.value != start.value.wrapping_add(length) {
        return Err(here.error("sequence numbers and length differ"));
    }
    Ok((Some(start), length))
}

fn number(cursor: &mut Cursor<'_>) -> Result<Number, SyntaxError> {
    let value = cursor.number()?;
    Ok(Number { value, absolute: cursor.eat("!") })
}

/// `type code mtu N [quoted]`.
fn icmp(cursor: &mut Cursor<'_>) -> Result<Icmp, SyntaxError> {
    let kind = cursor.word()?.to_owned();
    let code = match cursor.peek_word() {
        "" | "mtu" | "id" => None,
        _ => Some(cursor.word()?.to_owned()),
    };
    let mtu = cursor.eat_word("mtu").then(|| cursor.number()).transpose()?;
    if cursor.eat_word("id") {
        cursor.integer()?;
    }
    let quoted = quoted(cursor)?.unwrap_or(Quoted::Tcp(0, 0));
    Ok(Icmp { kind, code, mtu, quoted })
}

/// Whether brackets come next, and a quoted packet in them.
fn is_quoted(cursor: &mut Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    ahead.eat("[") && (ahead.peek_word() == "udp" || ahead.rest().starts_with(|c: char| c.is_ascii_digit()))
}

/// `[1:1001(1000)]` or `[udp (8)]`, if that is what stands there.
fn quoted(cursor: &mut Cursor<'_>) -> Result<Option<Quoted>, SyntaxError> {
    if !cursor.eat("[") {
        return Ok(None);
    }
    let ports = ports(cursor)?;
    let quoted = if cursor.eat_word("udp") || cursor.eat_word("raw") {
        let ports = ports.or(self::ports(cursor)?);
        Quoted::Udp(length(cursor)?, ports)
    } else {
        let (start, length) = sequence(cursor)?;
        Quoted::Tcp(start.map_or(0, |start| start.value), length)
    };
    cursor.expect("]")?;
    Ok(Some(quoted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Packet {
        let mut cursor = Cursor::new(text);
        let packet = packet(&mut cursor).unwrap();
        assert!(cursor.is_at_end(), "{}", cursor.rest());
        packet
    }

    fn tcp(text: &str) -> Segment {
        match read(text).body {
            Body::Tcp(segment) => segment,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_part_of_a_segment_is_read() {
        let segment =
            tcp("< [ect0] 40000 > 80 P.5 1:1001(1000) ack 7 win 257 urg 3 <nop,nop,TS val 1 ecr 2>");
        assert_eq!(segment.flags, (Flags::PSH | Flags::ACK | Flags::AE | Flags::ECE).0);
        assert_eq!((segment.length, segment.window, segment.urgent), (1_000, Some(257), Some(3)));
        assert_eq!(segment.options.unwrap().len(), 3);
    }

    #[test]
    fn the_dialect_has_absolute_and_missing_numbers() {
        assert_eq!(tcp("> R 7!:7!(0)").sequence, Some(Number { value: 7, absolute: true }));
        let segment = tcp("> . ...(1460) ack 9!");
        assert_eq!((segment.sequence, segment.length), (None, 1_460));
        assert_eq!(segment.acknowledgement, Some(Number { value: 9, absolute: true }));
        assert_eq!(tcp("> . 1:1(0) ack 1 <...>").options, None);
    }

    #[test]
    fn datagrams_and_icmp_are_read() {
        assert_eq!(read("> udp (13)").body, Body::Udp(13));
        assert_eq!(read("< udp 1 > 2 (13)").ports, Some((1, 2)));
        let Body::Icmp(icmp) = read("< icmp unreachable frag_needed mtu 1200 [1:1001(1000)]").body else {
            panic!()
        };
        assert_eq!((icmp.mtu, icmp.quoted), (Some(1_200), Quoted::Tcp(1, 1_000)));
        let Body::Icmp(icmp) = read("< icmp unreachable port_unreachable [udp (8)]").body else { panic!() };
        assert_eq!(icmp.quoted, Quoted::Udp(8, None));
        let Body::Icmp(icmp) = read("< [5:6(1)]icmp packet_too_big mtu 1300").body else { panic!() };
        assert_eq!((icmp.mtu, icmp.quoted), (Some(1_300), Quoted::Tcp(5, 1)));
    }
}
