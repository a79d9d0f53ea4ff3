//! A packet described in words, to try rules with.
//!
//! ```text
//!  [HOOK] [on INTERFACE] PROTOCOL SOURCE[:PORT] > DESTINATION[:PORT]
//!      [flags FLAG[,FLAG]...] [type TYPE [code N]] [id N] [length BYTES] [program N] [after MILLISECONDS]
//!  [HOOK] [on INTERFACE] hex DIGITS [program N] [after MILLISECONDS]
//! ```

use crate::packet::{Malformed, Packet};
use crate::rules::names::{FLAGS, PROTOCOLS, types_of, value_of};
use crate::rules::{Cursor, Hook, Stop, number};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use time::Duration;
use wire::Protocol;
use wire::tcp::Flags;

/// A packet, and where and when it comes.
///
/// ```
/// use filter::{Config, Filter, Ruleset, Sample};
/// use time::Instant;
/// let rules = Ruleset::parse("receive default drop\n accept on lan tcp to port 22 flags syn/syn,ack")?;
/// let mut filter = Filter::new(rules, &["lan"], Config::default(), &[7; 32]).expect("there is a lan");
/// let sample: Sample = "receive on lan tcp 192.0.2.1:7000 > 198.51.100.2:22 flags syn".parse().expect("it is one");
/// assert_eq!(sample.interface.as_deref(), Some("lan"));
/// let packet = sample.packet().expect("it was made well-formed");
/// assert!(filter.judge(sample.hook, 0, &packet, Instant::ZERO + sample.after).verdict.passes());
/// # Ok::<(), filter::Errors>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Where it is judged. Default: receive.
    pub hook: Hook,
    /// On which interface, where that is said.
    pub interface: Option<String>,
    /// How long after the sample before it comes. Default: at once.
    pub after: Duration,
    program: Option<u64>,
    form: Form,
}

/// How the packet is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Bytes(Vec<u8>),
    Fields { source: IpAddr, destination: IpAddr, protocol: Protocol, transport: Vec<u8>, length_bytes: u32 },
}

/// Why a text describes no packet: where, and what was expected there.
///
/// ```
/// let wrong = "tcp 192.0.2.1:7000 < 192.0.2.2:22".parse::<filter::Sample>().unwrap_err();
/// assert_eq!(wrong.to_string(), "column 20: expected > between the sender and the receiver");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotASample {
    /// The letter, counted from 1.
    pub column: usize,
    /// What was expected.
    pub message: String,
}

impl fmt::Display for NotASample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.message)
    }
}

impl core::error::Error for NotASample {}

impl Sample {
    /// The packet.
    ///
    /// # Errors
    ///
    /// Where it was given as bytes that are none.
    pub fn packet(&self) -> Result<Packet<'_>, Malformed> {
        let program = self.program;
        match &self.form {
            Form::Bytes(bytes) => Packet::parse(bytes).map(|packet| Packet { program, ..packet }),
            Form::Fields { source, destination, protocol, transport, length_bytes } => Ok(Packet {
                source: *source,
                destination: *destination,
                protocol: *protocol,
                transport,
                length_bytes: *length_bytes,
                is_fragment: false,
                program,
            }),
        }
    }
}

impl core::str::FromStr for Sample {
    type Err = NotASample;

    fn from_str(text: &str) -> Result<Self, NotASample> {
        sample(&mut Cursor::new(text)).map_err(|stop| NotASample {
            column: text.get(..stop.offset).unwrap_or(text).chars().count() + 1,
            message: stop.message,
        })
    }
}

fn sample(cursor: &mut Cursor<'_>) -> Result<Sample, Stop> {
    let hook = Hook::ALL.into_iter().find(|hook| hook.name() == cursor.peek());
    if hook.is_some() {
        cursor.next();
    }
    let mut interface = None;
    if cursor.take("on") {
        interface = Some(cursor.next().to_owned()).filter(|name| !name.is_empty());
        if interface.is_none() {
            return cursor.expected("the name of an interface");
        }
    }
    let form = if cursor.take("hex") { bytes(cursor)? } else { fields(cursor)? };
    let hook = hook.unwrap_or(Hook::Receive);
    let mut sample = Sample { hook, interface, after: Duration::ZERO, program: None, form };
    while !cursor.is_at_end() {
        let start = *cursor;
        match cursor.next() {
            "program" => sample.program = Some(value(cursor, "a number")?),
            "after" => sample.after = Duration::from_millis(value(cursor, "milliseconds, without a unit")?),
            _ => {
                return start.expected(
                    "program, after, or the end; flags, type, id and length stand in front of them",
                );
            }
        }
    }
    Ok(sample)
}

fn value<T: core::str::FromStr>(cursor: &mut Cursor<'_>, what: &str) -> Result<T, Stop> {
    let Some(value) = number(cursor.peek()) else { return cursor.expected(what) };
    cursor.next();
    Ok(value)
}

fn bytes(cursor: &mut Cursor<'_>) -> Result<Form, Stop> {
    let word = cursor.peek();
    let digit = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok();
    let is_hex = word.bytes().all(|byte| byte.is_ascii_hexdigit()) && word.len().is_multiple_of(2);
    let bytes: Option<Vec<u8>> = word.as_bytes().chunks(2).map(digit).collect();
    let Some(bytes) = bytes.filter(|bytes| is_hex && !bytes.is_empty()) else {
        return cursor.expected("an IP packet as pairs of hexadecimal digits without spaces");
    };
    cursor.next();
    Ok(Form::Bytes(bytes))
}

fn fields(cursor: &mut Cursor<'_>) -> Result<Form, Stop> {
    let word = cursor.peek();
    let Some(protocol) = value_of(&PROTOCOLS, word).or_else(|| number(word).map(Protocol)) else {
        return cursor.expected("tcp, udp, icmp, icmpv6, the number of a protocol, or hex");
    };
    cursor.next();
    let has_ports = matches!(protocol, Protocol::TCP | Protocol::UDP);
    let from = end(cursor, has_ports)?;
    if !cursor.take(">") {
        return cursor.expected("> between the sender and the receiver");
    }
    let at = *cursor;
    let to = end(cursor, has_ports)?;
    let needs_v4 = match protocol {
        Protocol::ICMP => true,
        Protocol::ICMPV6 => false,
        _ => to.is_ipv4(),
    };
    if from.is_ipv4() != to.is_ipv4() || from.is_ipv4() != needs_v4 {
        return at.expected("both addresses of one IP version, which is the protocol's");
    }
    let mut transport = Vec::new();
    if has_ports {
        transport.extend(from.port().to_be_bytes());
        transport.extend(to.port().to_be_bytes());
        transport.resize(if protocol == Protocol::TCP { wire::tcp::HEADER_LENGTH } else { 8 }, 0);
    } else if is_icmp(protocol) {
        transport.resize(8, 0);
    }
    let header = if from.is_ipv4() { 20 } else { 40 };
    let mut length_bytes = header + transport.len() as u32;
    details(cursor, protocol, &mut transport, &mut length_bytes)?;
    let (source, destination) = (from.ip(), to.ip());
    Ok(Form::Fields { source, destination, protocol, transport, length_bytes })
}

const fn is_icmp(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::ICMP | Protocol::ICMPV6)
}

/// An address, with its port where there are ports; port 0 elsewhere.
fn end(cursor: &mut Cursor<'_>, has_ports: bool) -> Result<SocketAddr, Stop> {
    let word = cursor.peek();
    let read = match has_ports {
        true => word.parse().ok(),
        false => word.parse().ok().map(|address| SocketAddr::new(address, 0)),
    };
    let Some(end) = read else {
        return cursor.expected(match has_ports {
            true => "an address and a port, as 192.0.2.1:80 or [2001:db8::1]:80",
            false => "an address",
        });
    };
    cursor.next();
    Ok(end)
}

/// What is said of the transport's header, and of the packet's length.
fn details(
    cursor: &mut Cursor<'_>,
    protocol: Protocol,
    transport: &mut [u8],
    length_bytes: &mut u32,
) -> Result<(), Stop> {
    loop {
        match cursor.peek() {
            "flags" if protocol == Protocol::TCP => {
                cursor.next();
                transport[12..14].copy_from_slice(&(flags(cursor)?.0 | 5 << 12).to_be_bytes());
            }
            "type" if is_icmp(protocol) => {
                cursor.next();
                let word = cursor.peek();
                let Some(kind) = value_of(types_of(protocol), word).or_else(|| number(word)) else {
                    return cursor.expected("a type's name, as echo-request, or its number");
                };
                cursor.next();
                transport[0] = kind;
                if cursor.take("code") {
                    transport[1] = value(cursor, "a code of 0 to 255")?;
                }
            }
            "id" if is_icmp(protocol) => {
                cursor.next();
                let id: u16 = value(cursor, "an identifier of 0 to 65535")?;
                transport[4..6].copy_from_slice(&id.to_be_bytes());
            }
            "length" => {
                cursor.next();
                *length_bytes = u32::from(value::<u16>(cursor, "bytes of the whole packet, 0 to 65535")?);
            }
            _ => return Ok(()),
        }
    }
}

fn flags(cursor: &mut Cursor<'_>) -> Result<Flags, Stop> {
    let mut flags = Flags::default();
    loop {
        let Some(flag) = value_of(&FLAGS, cursor.peek()) else {
            return cursor.expected("fin, syn, rst, psh, ack, urg, ece, cwr or ae");
        };
        flags |= flag;
        cursor.next();
        if !cursor.take(",") {
            return Ok(flags);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn read(text: &str) -> Sample {
        text.parse().unwrap_or_else(|wrong: NotASample| panic!("{text}: {wrong}"))
    }

    #[test]
    fn everything_that_is_said_is_in_the_packet() {
        let sample =
            read("send on wan udp [2001:db8::1]:53 > [2001:db8::2]:7000 length 1280 program 9 after 250");
        assert_eq!((sample.hook, sample.interface.as_deref()), (Hook::Send, Some("wan")));
        assert_eq!(sample.after, Duration::from_millis(250));
        let packet = sample.packet().unwrap();
        assert_eq!(packet.ports().map(|ports| (ports.source, ports.destination)), Some((53, 7_000)));
        assert_eq!((packet.length_bytes, packet.program), (1_280, Some(9)));
        let segment = read("tcp 192.0.2.1:1 > 192.0.2.2:2 flags syn,ack");
        assert_eq!(segment.packet().unwrap().flags(), Some(Flags::SYN | Flags::ACK));
        let ping = read("icmp 192.0.2.1 > 192.0.2.2 type echo-request id 7");
        assert_eq!(ping.packet().unwrap().icmp(), Some((8, 0)));
        let other = read("132 192.0.2.1 > 192.0.2.2");
        assert_eq!(other.packet().unwrap().length_bytes, 20);
        let bytes = read("hex 450000140000000040068db6c0000201c6336402");
        assert!(bytes.packet().is_err(), "the checksum is wrong");
    }

    #[test]
    fn what_describes_nothing_is_pointed_at() {
        for (text, column) in [
            ("", 1),
            ("tcp", 4),
            ("tcp 192.0.2.1 > 192.0.2.2:1", 5),
            ("icmp 2001:db8::1 > 2001:db8::2", 20),
            ("udp 192.0.2.1:1 > [::1]:1", 19),
            ("udp 192.0.2.1:1 > 192.0.2.2:1 flags syn", 31),
            ("receive on", 11),
            ("hex 4", 5),
        ] {
            let wrong = text.parse::<Sample>().expect_err(text);
            assert_eq!(wrong.column, column, "{text}: {wrong}");
            assert!(wrong.to_string().contains("expected"));
        }
    }
}
