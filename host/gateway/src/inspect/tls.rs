//! The first bytes of a TCP stream: a TLS ClientHello, however it is cut into records and segments, or something else.
//!
//! RFC 8446 §5.1 (records), RFC 5246 §E.2 (the SSL 2.0 form of a hello, which some servers still take).

use super::Hello;
use super::client_hello::{self, Parsed};

/// The most bytes of records that a ClientHello may be spread over: who sends one byte a record wants to hide it.
pub const RECORDS_BYTES_MAX: usize = 65_536;
const HANDSHAKE: u8 = 22;
/// RFC 8446 §5.1: bytes of one record's fragment.
const FRAGMENT_BYTES_MAX: usize = 1 << 14;

/// What the first bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsOutcome {
    /// They may be a ClientHello; hold them and wait for more.
    NeedMore,
    /// They are not TLS.
    NotTls,
    /// They are a whole ClientHello.
    Tls(Hello),
    /// They begin as a ClientHello does and go on as none does; what was wrong.
    Malformed(&'static str),
}

/// Reads the first bytes of one stream.
#[derive(Debug, Default)]
pub struct TlsInspector {
    /// The record header that is being read, or the first bytes while it is not known what they are.
    header: Vec<u8>,
    /// Bytes that are still to come of the current record.
    fragment_left: usize,
    handshake: Vec<u8>,
    taken: usize,
}

impl TlsInspector {
    /// Takes the stream's next bytes. After any outcome but [`TlsOutcome::NeedMore`] it is done.
    pub fn push(&mut self, mut bytes: &[u8]) -> TlsOutcome {
        while !bytes.is_empty() {
            if self.taken >= RECORDS_BYTES_MAX {
                return TlsOutcome::Malformed("the ClientHello is spread over too many records");
            }
            if self.fragment_left == 0 {
                let (byte, rest) = (bytes[0], &bytes[1..]);
                bytes = rest;
                self.taken += 1;
                self.header.push(byte);
                if let Some(outcome) = self.read_header() {
                    return outcome;
                }
                continue;
            }
            let room = RECORDS_BYTES_MAX - self.taken;
            let (fragment, rest) = bytes.split_at(self.fragment_left.min(bytes.len()).min(room));
            bytes = rest;
            self.taken += fragment.len();
            self.fragment_left -= fragment.len();
            self.handshake.extend_from_slice(fragment);
            match client_hello::parse(&self.handshake) {
                Parsed::NeedMore => {}
                Parsed::Hello(hello) => return TlsOutcome::Tls(hello),
                Parsed::Malformed(what) => return TlsOutcome::Malformed(what),
            }
        }
        TlsOutcome::NeedMore
    }

    /// Looks at the header bytes so far. An outcome, where they decide.
    fn read_header(&mut self) -> Option<TlsOutcome> {
        let first_record = self.handshake.is_empty();
        match self.header.as_slice() {
            [HANDSHAKE] | [HANDSHAKE, 3] | [HANDSHAKE, 3, _] | [HANDSHAKE, 3, _, _] => None,
            [HANDSHAKE, 3, _, high, low] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                // RFC 8446 §5.1: handshake records are never empty.
                if length == 0 || length > FRAGMENT_BYTES_MAX {
                    return Some(TlsOutcome::Malformed("a record's length is not allowed"));
                }
                self.fragment_left = length;
                self.header.clear();
                None
            }
            _ if !first_record => {
                Some(TlsOutcome::Malformed("a record inside the ClientHello is of another kind"))
            }
            [0x80..=0xff] | [0x80..=0xff, _] | [0x80..=0xff, _, 1] | [0x80..=0xff, _, 1, 0 | 3] => None,
            // SSL 2.0's record: two bytes of length, message type 1, the version. It has no place for a name.
            [0x80..=0xff, _, 1, 3, _] | [0x80..=0xff, _, 1, 0, 2] => {
                Some(TlsOutcome::Tls(Hello { server_name: None }))
            }
            _ => Some(TlsOutcome::NotTls),
        }
    }
}
