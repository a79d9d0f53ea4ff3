//! The ClientHello in QUIC's first packets, which anybody on the path can decrypt.
//!
//! RFC 9000 §17.2 (long headers), §12.2 (coalesced packets), §19 (frames); RFC 9001 §5 (keys of Initial packets);
//! RFC 9369 (version 2); RFC 9287 (a fixed bit that may be clear). Each datagram of a flow is looked at, since any of
//! them may open another connection; for all but Initial packets that is a look at their headers.
//!
//! A server may drop what is read here (a short datagram, a packet number that it knows), or know what is not read here
//! any more. So what one connection told may not be told otherwise; once it is forgotten, none is opened by its name
//! again ([`OpenedConnections`]); one whose ClientHello is not whole is forgotten only with all that is held behind it,
//! of which nothing has left; and an Initial packet that nobody here can decrypt goes nowhere, as the server may have
//! its keys.

use super::Hello;
use super::client_hello::{self, Parsed};
use super::crypto_stream::CryptoStream;
use super::opened::OpenedConnections;
use super::reader::Reader;
use rustls::Side;
use rustls::quic::{DirectionalKeys, Suite, Version};
use std::collections::VecDeque;
use std::fmt;
use std::mem::discriminant;
use time::Instant;

/// How many connections of one flow are remembered; for one more the oldest is forgotten whose ClientHello was told.
pub const CONNECTIONS_MAX: usize = 4;
/// RFC 9000 §14.1: a datagram that opens a connection is at least this long, in bytes; servers drop shorter ones.
const OPENING_BYTES_MIN: usize = 1_200;
const CONNECTION_ID_BYTES_MAX: usize = 20;
/// RFC 9000 §7.2: a client's first packets name a destination at least this long, in bytes.
const OPENING_ID_BYTES_MIN: usize = 8;
const VERSION_1: u32 = 1;
const VERSION_2: u32 = 0x6b33_43cf;
/// How far behind a packet's number its protection is sampled, in bytes (RFC 9001 §5.4.2).
const SAMPLE_OFFSET: usize = 4;

/// What one datagram is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuicOutcome {
    /// Nothing in it opens a QUIC connection.
    NotQuic,
    /// A ClientHello has begun; hold the datagram until a later one tells its rest.
    NeedMore,
    /// A ClientHello is whole.
    Tls(Hello),
    /// It belongs to a connection whose ClientHello was told already.
    Known,
    /// It begins as QUIC does and goes on as nothing does that a client sends; what was wrong.
    Malformed(&'static str),
    /// It begins as a packet does that opens a connection, and opens none; what was wrong. It belongs to no connection
    /// that is remembered here.
    Unprocessable(&'static str),
    /// It may open a connection of a version whose keys are not known here.
    UnknownVersion(u32),
}

/// Reads the client's datagrams of one flow.
#[derive(Default)]
pub struct QuicInspector {
    connections: VecDeque<Connection>,
}

impl fmt::Debug for QuicInspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicInspector").field("connections", &self.connections.len()).finish()
    }
}

struct Connection {
    version: Version,
    /// The destination that its first packet named: its keys come from there.
    destination: Vec<u8>,
    keys: DirectionalKeys,
    largest: u64,
    stream: CryptoStream,
    told: bool,
}

/// One packet with a long header.
struct LongPacket<'a> {
    version: Version,
    destination: &'a [u8],
    initial: bool,
    /// The whole packet, and where its number starts.
    bytes: &'a [u8],
    number_offset: usize,
}

/// What stands at the front of what is left of a datagram.
enum Front<'a> {
    Long(LongPacket<'a>),
    /// A short header, or a version negotiation: it opens nothing, and takes the rest of the datagram.
    Other,
    NotQuic,
    UnknownVersion(u32),
    Malformed(&'static str),
}

impl QuicInspector {
    /// Takes the flow's next datagram; `opened` is of all flows.
    pub fn push(&mut self, datagram: &[u8], opened: &mut OpenedConnections, now: Instant) -> QuicOutcome {
        let mut left = datagram;
        let mut outcome = QuicOutcome::NotQuic;
        while !left.is_empty() {
            let first = left.len() == datagram.len();
            let packet = match read_packet(left) {
                Front::Long(packet) => packet,
                Front::UnknownVersion(version) if first && datagram.len() >= OPENING_BYTES_MIN => {
                    return QuicOutcome::UnknownVersion(version);
                }
                Front::Malformed(what) if first && self.connections.is_empty() => {
                    return QuicOutcome::Unprocessable(what);
                }
                Front::Malformed(what) if first => return QuicOutcome::Malformed(what),
                // RFC 9000 §12.2: what cannot be processed behind a packet is dropped, padding most of all.
                Front::Other | Front::NotQuic | Front::UnknownVersion(_) | Front::Malformed(_) => break,
            };
            left = &left[packet.bytes.len()..];
            if !packet.initial {
                continue;
            }
            outcome = match (outcome, self.read_initial(&packet, opened, now)) {
                (_, malformed @ QuicOutcome::Malformed(_)) => return malformed,
                (QuicOutcome::NotQuic, wrong @ QuicOutcome::Unprocessable(_)) => return wrong,
                // What stood before it has been read, and may not count as told where it does not leave.
                (_, QuicOutcome::Unprocessable(what)) => return QuicOutcome::Malformed(what),
                (QuicOutcome::Tls(_), QuicOutcome::Tls(_)) => {
                    return QuicOutcome::Malformed("one datagram opens two connections");
                }
                (told @ QuicOutcome::Tls(_), _) => told,
                (QuicOutcome::NeedMore, QuicOutcome::Known) => QuicOutcome::NeedMore,
                (_, next) => next,
            };
        }
        outcome
    }

    fn read_initial(
        &mut self,
        packet: &LongPacket<'_>,
        opened: &mut OpenedConnections,
        now: Instant,
    ) -> QuicOutcome {
        // The known connections first: after the server's answer a client's packets name another destination, and
        // their keys still come from the first one (RFC 9001 §5.2).
        for connection in self.connections.iter_mut().rev() {
            if let Some(outcome) = connection.read(packet) {
                return outcome;
            }
        }
        let mut connection = Connection::new(packet);
        let Some(outcome) = connection.read(packet) else {
            return QuicOutcome::Unprocessable("a QUIC Initial packet cannot be decrypted");
        };
        if !opened.admit(packet.destination, now) {
            return QuicOutcome::Unprocessable("a QUIC connection is opened a second time");
        }
        if self.connections.len() == CONNECTIONS_MAX {
            let Some(oldest) = self.connections.iter().position(|connection| connection.told) else {
                return QuicOutcome::Malformed("too many connections are opened at once");
            };
            self.connections.remove(oldest);
        }
        self.connections.push_back(connection);
        outcome
    }

    /// Forgets the connections whose ClientHello is not whole, of which nothing may have left.
    pub fn forget_unfinished(&mut self) {
        self.connections.retain(|connection| connection.told);
    }

    /// Whether a ClientHello has begun that is not whole.
    pub fn is_waiting(&self) -> bool {
        self.connections.iter().any(|connection| !connection.told)
    }
}

impl Connection {
    fn new(packet: &LongPacket<'_>) -> Self {
        Self {
            version: packet.version,
            destination: packet.destination.to_vec(),
            keys: client_keys(packet.version, packet.destination),
            largest: 0,
            stream: CryptoStream::default(),
            told: false,
        }
    }

    /// What a packet is for this connection; `None` where it belongs to another.
    fn read(&mut self, packet: &LongPacket<'_>) -> Option<QuicOutcome> {
        let mut bytes = packet.bytes.to_vec();
        let payload = if discriminant(&packet.version) == discriminant(&self.version) {
            decrypt(&self.keys, &mut bytes, packet.number_offset, &mut self.largest)?
        } else {
            // RFC 9369 §4.1: a connection may go on in another version, by keys from the same destination.
            let keys = client_keys(packet.version, &self.destination);
            decrypt(&keys, &mut bytes, packet.number_offset, &mut self.largest)?
        };
        if let Err(what) = read_frames(payload, &mut self.stream) {
            return Some(QuicOutcome::Malformed(what));
        }
        if self.told {
            return Some(QuicOutcome::Known);
        }
        Some(match client_hello::parse(self.stream.front()) {
            Parsed::NeedMore => QuicOutcome::NeedMore,
            Parsed::Malformed(what) => QuicOutcome::Malformed(what),
            Parsed::Hello(hello) => {
                self.told = true;
                QuicOutcome::Tls(hello)
            }
        })
    }
}

/// The keys of a client's Initial packets (RFC 9001 §5.2).
fn client_keys(version: Version, destination: &[u8]) -> DirectionalKeys {
    initial_suite().keys(destination, Side::Server, version).remote
}

/// RFC 9001 §5: Initial packets are always protected by AEAD_AES_128_GCM and SHA-256.
fn initial_suite() -> Suite {
    rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256
        .tls13()
        .and_then(|suite| suite.quic_suite())
        .expect("the provider's AES-128-GCM suite of TLS 1.3 is one of QUIC too")
}

/// A packet's payload, where these keys protect it. `largest` is the greatest packet number so far.
fn decrypt<'a>(
    keys: &DirectionalKeys,
    bytes: &'a mut [u8],
    number_offset: usize,
    largest: &mut u64,
) -> Option<&'a [u8]> {
    let sample_start = number_offset + SAMPLE_OFFSET;
    let sample: Vec<u8> = bytes.get(sample_start..sample_start + keys.header.sample_len())?.to_vec();
    let (header, rest) = bytes.split_at_mut(number_offset);
    let first = header.first_mut()?;
    keys.header.decrypt_in_place(&sample, first, rest.get_mut(..4)?).ok()?;
    let number_bytes = usize::from(*first & 3) + 1;
    let truncated = Reader(rest).number(number_bytes)?;
    let number = full_number(truncated as u64, number_bytes, *largest);
    let (header, payload) = bytes.split_at_mut(number_offset + number_bytes);
    let payload = keys.packet.decrypt_in_place(number, header, payload).ok()?;
    *largest = number.max(*largest);
    Some(payload)
}

/// RFC 9000 §A.3: the number nearest to the one that is expected.
fn full_number(truncated: u64, number_bytes: usize, largest: u64) -> u64 {
    let window = 1 << (8 * number_bytes);
    let expected = largest + 1;
    let candidate = (expected & !(window - 1)) | truncated;
    if candidate + window / 2 <= expected {
        candidate + window
    } else if candidate > expected + window / 2 && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

/// Reads a packet's header, unprotected parts only.
fn read_packet(bytes: &[u8]) -> Front<'_> {
    let mut reader = Reader(bytes);
    let Some(first) = reader.u8().filter(|first| first & 0x80 != 0) else { return Front::Other };
    let Some(version) = reader.number(4).and_then(|version| u32::try_from(version).ok()) else {
        return Front::NotQuic;
    };
    let version = match version {
        0 => return Front::Other,
        VERSION_1 => Version::V1,
        VERSION_2 => Version::V2,
        _ if first & 0x40 == 0 || !names_connections(reader) => return Front::NotQuic,
        unknown => return Front::UnknownVersion(unknown),
    };
    match read_known(bytes, reader, first, version) {
        Some(packet) => Front::Long(packet),
        None => Front::Malformed("a QUIC header is cut short"),
    }
}

/// Whether the two connection IDs that follow are such as a client opens a connection with in any version that servers
/// have spoken (RFC 9000 §7.2, §17.2). Of other protocols' datagrams that begin with the same two bits, few do.
fn names_connections(mut reader: Reader<'_>) -> bool {
    let is_destination = |id: &&[u8]| (OPENING_ID_BYTES_MIN..=CONNECTION_ID_BYTES_MAX).contains(&id.len());
    reader.vector(1).filter(is_destination).is_some()
        && reader.vector(1).is_some_and(|id| id.len() <= CONNECTION_ID_BYTES_MAX)
}

/// The rest of a header of a known version; `None` where it is cut short, or is one that a client never sends.
fn read_known<'a>(
    bytes: &'a [u8],
    mut reader: Reader<'a>,
    first: u8,
    version: Version,
) -> Option<LongPacket<'a>> {
    let destination = reader.vector(1).filter(|id| id.len() <= CONNECTION_ID_BYTES_MAX)?;
    reader.vector(1).filter(|id| id.len() <= CONNECTION_ID_BYTES_MAX)?;
    // RFC 9000 §17.2: Initial, 0-RTT, Handshake, Retry; RFC 9369 §3.2 turns them by one.
    let kind = match version {
        Version::V2 => (first >> 4 & 3).wrapping_sub(1) & 3,
        _ => first >> 4 & 3,
    };
    let initial = match kind {
        0 => true,
        1 | 2 => false,
        _ => return None,
    };
    if initial {
        let token_bytes = reader.varint_bytes()?;
        reader.take(token_bytes)?;
    }
    let length = reader.varint_bytes()?;
    let number_offset = bytes.len() - reader.0.len();
    reader.take(length)?;
    Some(LongPacket { version, destination, initial, bytes: &bytes[..number_offset + length], number_offset })
}

/// Takes the CRYPTO frames out of an Initial packet's payload.
fn read_frames(payload: &[u8], stream: &mut CryptoStream) -> Result<(), &'static str> {
    let mut reader = Reader(payload);
    while !reader.is_empty() {
        read_frame(&mut reader, stream)
            .ok_or("a frame is cut short or not allowed in an Initial packet")??;
    }
    Ok(())
}

/// RFC 9000 §12.4: an Initial packet has PADDING, PING, ACK, CRYPTO and CONNECTION_CLOSE frames.
fn read_frame(reader: &mut Reader<'_>, stream: &mut CryptoStream) -> Option<Result<(), &'static str>> {
    match reader.varint()? {
        0 | 1 => {}
        kind @ (2 | 3) => {
            reader.varint()?; // largest acknowledged
            reader.varint()?; // delay
            let ranges = reader.varint()?;
            reader.varint()?; // first range
            let numbers = ranges.checked_mul(2)?.checked_add(if kind == 3 { 3 } else { 0 })?;
            for _ in 0..numbers {
                reader.varint()?;
            }
        }
        6 => {
            let offset = reader.varint_bytes()?;
            let length = reader.varint_bytes()?;
            let data = reader.take(length)?;
            return Some(stream.insert(offset, data));
        }
        0x1c => {
            reader.varint()?; // error code
            reader.varint()?; // frame type
            let reason_bytes = reader.varint_bytes()?;
            reader.take(reason_bytes)?;
        }
        _ => return None,
    }
    Some(Ok(()))
}

#[cfg(test)]
impl QuicInspector {
    /// As [`push`](Self::push), where no other flow has opened a connection.
    pub(super) fn hear(&mut self, datagram: &[u8]) -> QuicOutcome {
        self.push(datagram, &mut OpenedConnections::default(), Instant::ZERO)
    }

    pub(super) fn connections_len(&self) -> usize {
        self.connections.len()
    }
}
