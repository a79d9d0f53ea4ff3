//! Messages that ask the kernel for one socket, or for those of a port: `inet_diag_req_v2`, `inet_diag_msg`.
//!
//! ```text
//!  request   0  length 72 | type 20 | flags REQUEST | sequence | port id            nlmsghdr, 16 bytes
//!           16  family | protocol | extensions | 0 | states                         8 bytes
//!           24  source port | destination port | source | destination | interface | cookie    48 bytes
//!
//!  reply     0  nlmsghdr, 16 bytes
//!           16  family | state | timer | retransmissions                            4 bytes
//!           20  ports, addresses, interface, cookie as above                        48 bytes
//!           68  expires | receive queue | send queue | user | inode                 20 bytes
//! ```
//!
//! Numbers are in the machine's byte order, ports and addresses in the network's.

use axiom::rules::Protocol;
use std::net::{IpAddr, SocketAddr};

/// Bytes of a request.
pub const REQUEST_BYTES: usize = 72;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER_BYTES: usize = 16;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
const COOKIE_OFFSET: usize = 64;
const INODE_OFFSET: usize = 84;
const REPLY_BYTES_MIN: usize = 88;

/// A socket of the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DiagSocket {
    /// Names it in `/proc/PID/fd`, and never is 0.
    pub inode: u32,
    /// Names it among all that there ever were.
    pub cookie: u64,
}

/// Asks for the socket with these ends, `local` being the program's; `None` where the kernel keeps no such tables
/// (ICMP), or the ends are of two families.
#[must_use]
pub fn request(
    protocol: Protocol,
    local: SocketAddr,
    remote: SocketAddr,
    sequence: u32,
) -> Option<[u8; REQUEST_BYTES]> {
    // For UDP the kernel takes the two ends as a packet to the socket has them, for TCP as the socket has them.
    let (protocol, source, destination) = match protocol {
        Protocol::Tcp => (IPPROTO_TCP, local, remote),
        Protocol::Udp => (IPPROTO_UDP, remote, local),
        Protocol::Icmp => return None,
    };
    let family = match (source.ip(), destination.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) => AF_INET,
        (IpAddr::V6(_), IpAddr::V6(_)) => AF_INET6,
        _ => return None,
    };
    let mut message = header(NLM_F_REQUEST, sequence, (family, protocol));
    message[24..26].copy_from_slice(&source.port().to_be_bytes());
    message[26..28].copy_from_slice(&destination.port().to_be_bytes());
    write_address(&mut message[28..44], source.ip());
    write_address(&mut message[44..60], destination.ip());
    message[COOKIE_OFFSET..].copy_from_slice(&u64::MAX.to_ne_bytes()); // INET_DIAG_NOCOOKIE: with any cookie
    Some(message)
}

/// Asks for all UDP sockets of this version of IP that have this port.
#[must_use]
pub fn port_request(is_v6: bool, port: u16, sequence: u32) -> [u8; REQUEST_BYTES] {
    let family = if is_v6 { AF_INET6 } else { AF_INET };
    let mut message = header(NLM_F_REQUEST | NLM_F_DUMP, sequence, (family, IPPROTO_UDP));
    message[24..26].copy_from_slice(&port.to_be_bytes());
    message
}

fn header(flags: u16, sequence: u32, (family, protocol): (u8, u8)) -> [u8; REQUEST_BYTES] {
    let mut message = [0; REQUEST_BYTES];
    message[..4].copy_from_slice(&(REQUEST_BYTES as u32).to_ne_bytes());
    message[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message[6..8].copy_from_slice(&flags.to_ne_bytes());
    message[8..12].copy_from_slice(&sequence.to_ne_bytes());
    message[16] = family;
    message[17] = protocol;
    message[20..24].copy_from_slice(&u32::MAX.to_ne_bytes()); // a socket in any state
    message
}

/// An IPv4 address takes the first four of the sixteen bytes.
fn write_address(room: &mut [u8], address: IpAddr) {
    match address {
        IpAddr::V4(v4) => room[..4].copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => room.copy_from_slice(&v6.octets()),
    }
}

/// The number of the request that a reply answers.
#[must_use]
pub fn sequence(reply: &[u8]) -> Option<u32> {
    reply.get(8..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// The socket in the kernel's reply; `None` where it found none, or one that no process holds any more.
#[must_use]
pub fn parse_reply(reply: &[u8]) -> Option<DiagSocket> {
    let length = usize::try_from(u32::from_ne_bytes(*reply.first_chunk()?)).ok()?;
    let message = reply.get(..length).filter(|message| message.len() >= REPLY_BYTES_MIN)?;
    let kind = u16::from_ne_bytes([message[4], message[5]]);
    let inode = u32::from_ne_bytes(*message[INODE_OFFSET..].first_chunk()?);
    if kind != SOCK_DIAG_BY_FAMILY || inode == 0 {
        return None; // NLMSG_ERROR: ENOENT mostly
    }
    // The reply's header of its own is four bytes shorter than the request's.
    let cookie = u64::from_ne_bytes(*message[COOKIE_OFFSET - 4..].first_chunk()?);
    Some(DiagSocket { inode, cookie })
}

/// What one read brings of the answer to a [`port_request`]: sockets that some process holds, and then the end of it all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// More comes.
    Sockets(Vec<DiagSocket>),
    /// Nothing comes behind these.
    Last(Vec<DiagSocket>),
    /// The kernel has failed, or it is none of its messages.
    Failed,
}

/// Takes the messages of one read apart.
#[must_use]
pub fn parse_part(mut part: &[u8]) -> Part {
    let mut sockets = Vec::new();
    while !part.is_empty() {
        let Some(length) = part.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes) as usize) else {
            return Part::Failed;
        };
        let Some(message) = part.get(..length).filter(|message| message.len() >= HEADER_BYTES) else {
            return Part::Failed;
        };
        match u16::from_ne_bytes([message[4], message[5]]) {
            NLMSG_DONE => return Part::Last(sockets),
            NLMSG_ERROR => return Part::Failed,
            _ => sockets.extend(parse_reply(message)),
        }
        // Messages begin at multiples of four bytes.
        part = part.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Part::Sockets(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_names_both_ends() {
        let (local, remote) = ("10.0.2.15:40000".parse().expect("one"), "1.2.3.4:443".parse().expect("one"));
        let tcp = request(Protocol::Tcp, local, remote, 7).expect("TCP has tables");
        assert_eq!(sequence(&tcp), Some(7));
        assert_eq!(tcp[16..18], [AF_INET, IPPROTO_TCP]);
        assert_eq!(tcp[24..28], [0x9c, 0x40, 0x01, 0xbb]);
        assert_eq!((&tcp[28..32], &tcp[44..48]), (&[10, 0, 2, 15][..], &[1, 2, 3, 4][..]));
        let udp = request(Protocol::Udp, local, remote, 8).expect("UDP has tables");
        assert_eq!((&udp[28..32], &udp[44..48]), (&[1, 2, 3, 4][..], &[10, 0, 2, 15][..]));
        assert_eq!(request(Protocol::Icmp, local, remote, 9), None);
        assert_eq!(request(Protocol::Tcp, local, "[::1]:1".parse().expect("one"), 9), None);
    }

    #[test]
    fn a_reply_tells_inode_and_cookie_and_an_error_nothing() {
        let mut reply = [0; REPLY_BYTES_MIN];
        reply[..4].copy_from_slice(&(REPLY_BYTES_MIN as u32).to_ne_bytes());
        reply[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        reply[60..68].copy_from_slice(&77u64.to_ne_bytes());
        assert_eq!(parse_reply(&reply), None, "nobody holds inode 0");
        reply[84..88].copy_from_slice(&4_711u32.to_ne_bytes());
        assert_eq!(parse_reply(&reply), Some(DiagSocket { inode: 4_711, cookie: 77 }));
        reply[4] = 2;
        reply[5] = 0;
        assert_eq!(parse_reply(&reply), None);
    }

    #[test]
    fn a_part_has_several_messages_and_the_last_one_an_end() {
        let mut socket = [0; REPLY_BYTES_MIN];
        socket[..4].copy_from_slice(&(REPLY_BYTES_MIN as u32).to_ne_bytes());
        socket[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        socket[84..88].copy_from_slice(&7u32.to_ne_bytes());
        let mut end = [0; 20];
        end[..4].copy_from_slice(&20u32.to_ne_bytes());
        end[4..6].copy_from_slice(&NLMSG_DONE.to_ne_bytes());
        let seven = DiagSocket { inode: 7, cookie: 0 };
        assert_eq!(parse_part(&[socket, socket].concat()), Part::Sockets(vec![seven; 2]));
        assert_eq!(parse_part(&[&socket[..], &end].concat()), Part::Last(vec![seven]));
        end[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        assert_eq!(parse_part(&[&socket[..], &end].concat()), Part::Failed);
        assert_eq!(parse_part(&socket[..80]), Part::Failed);
        assert_eq!(
            port_request(true, 0x1234, 5)[16..26],
            [AF_INET6, IPPROTO_UDP, 0, 0, 255, 255, 255, 255, 0x12, 0x34]
        );
    }

    proptest! {
        #[test]
        fn no_reply_makes_the_parser_panic(reply in proptest::collection::vec(any::<u8>(), 0..120), length in 0u32..130) {
            let _ = parse_reply(&reply);
            let mut framed = reply;
            if framed.len() >= 6 {
                framed[..4].copy_from_slice(&length.to_ne_bytes());
                framed[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
            }
            let _ = parse_reply(&framed);
            let _ = parse_part(&framed);
        }
    }
}
