//! Resets (RFC 9293 §3.5.2).

use time::SequenceNumber;
use wire::tcp::{Flags, Header};

/// A reset that is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reset {
    pub(crate) sequence: SequenceNumber,
    pub(crate) acknowledgement: Option<SequenceNumber>,
}

/// The answer to a segment that belongs to no connection (RFC 9293 §3.10.7.1): a reset, or nothing to a reset.
///
/// ```
/// use wire::tcp::{Flags, Header};
/// let syn = Header { source_port: 7, destination_port: 9, flags: Flags::SYN, ..Header::default() };
/// let reset = tcp::reset_for(&syn, 0).unwrap();
/// assert_eq!((reset.source_port, reset.acknowledgement.0), (9, 1));
/// assert!(tcp::reset_for(&reset, 0).is_none());
/// ```
pub fn reset_for(segment: &Header, payload_length: usize) -> Option<Header> {
    if segment.flags.contains(Flags::RST) {
        return None;
    }
    let ends = Header {
        source_port: segment.destination_port,
        destination_port: segment.source_port,
        ..Header::default()
    };
    if segment.flags.contains(Flags::ACK) {
        return Some(Header { sequence: segment.acknowledgement, flags: Flags::RST, ..ends });
    }
    let controls =
        u32::from(segment.flags.contains(Flags::SYN)) + u32::from(segment.flags.contains(Flags::FIN));
    Some(Header {
        sequence: SequenceNumber(0),
        acknowledgement: segment.sequence + (payload_length as u32).wrapping_add(controls),
        flags: Flags::RST | Flags::ACK,
        ..ends
    })
}
