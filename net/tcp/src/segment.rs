//! What passes the border between a connection and its stack: segments, the path that they take, and what
//! became of one that arrived.

use packet::Chain;
use wire::Ecn;
use wire::tcp::{Flags, Header};

/// A segment as it arrives or leaves.
///
/// ```
/// # use std::sync::Arc;
/// # use tcp::{Config, Connection, Path};
/// # use time::{Instant, SequenceNumber};
/// # let (config, now) = (Arc::new(Config::linux()), Instant::from_secs(1));
/// # let path = Path { segment_bytes_max: 1_480, offload_bytes_max: 0 };
/// # let mut client = Connection::connect(config.clone(), 40_000, 80, SequenceNumber(7), 0, now);
/// # let syn = client.poll_transmit(path, now).expect("a SYN is due");
/// # let mut server = Connection::accept(config, &syn.header, SequenceNumber(9), 0, now);
/// let segment = server.poll_transmit(path, now).expect("an answer is due");
/// // Number 7 was the client's SYN.
/// assert_eq!((segment.header.sequence, segment.header.acknowledgement), (SequenceNumber(9), SequenceNumber(8)));
/// assert!(segment.payload.is_empty() && segment.segment_size.is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Segment {
    /// The header. The window is unscaled, as on the wire.
    pub header: Header,
    /// The payload.
    pub payload: Chain,
    /// On the way in: how many segments the device joined into this one (at least 1). On the way out: 1.
    pub joined: u16,
    /// Payload bytes of each wire segment where the payload is larger than one; the device or the stack
    /// cuts it. `None` where it is a single segment.
    pub segment_size: Option<u16>,
    /// The codepoint in the IP header; one for all segments that were joined, or are to be cut.
    pub ecn: Ecn,
}

impl Segment {
    /// SEG.LEN: what it occupies in sequence space, SYN and FIN included (RFC 9293 §3.4).
    pub(crate) fn sequence_length(&self) -> u32 {
        let flags = self.header.flags;
        self.payload.len() as u32
            + u32::from(flags.contains(Flags::SYN))
            + u32::from(flags.contains(Flags::FIN))
    }
}

/// What the stack's path allows for a segment that leaves now.
///
/// ```
/// use tcp::Path;
///
/// // A link of 1,500 bytes, less 20 of IPv4's header, whose device cuts 64 KB by itself.
/// let path = Path { segment_bytes_max: 1_480, offload_bytes_max: 65_536 };
/// let slow = Path { offload_bytes_max: 0, ..path };
/// assert!(slow.segment_bytes_max == path.segment_bytes_max);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// The largest TCP segment (header, options, payload) that one IP packet carries here, in bytes.
    pub segment_bytes_max: u16,
    /// The largest payload that may leave as one segment to be cut later; 0 where segmentation is not offloaded.
    pub offload_bytes_max: u32,
}

/// What became of a segment that arrived. Counted by the stack by name.
///
/// ```
/// # use std::sync::Arc;
/// # use tcp::{Config, Connection, Path};
/// # use time::{Instant, SequenceNumber};
/// # let (config, now) = (Arc::new(Config::linux()), Instant::from_secs(1));
/// # let path = Path { segment_bytes_max: 1_480, offload_bytes_max: 0 };
/// # let mut client = Connection::connect(config.clone(), 40_000, 80, SequenceNumber(7), 0, now);
/// # let syn = client.poll_transmit(path, now).expect("a SYN is due");
/// # let mut server = Connection::accept(config, &syn.header, SequenceNumber(9), 0, now);
/// use tcp::{Drop, Verdict};
///
/// let mut answer = server.poll_transmit(path, now).expect("an answer is due");
/// answer.header.acknowledgement = SequenceNumber(1_000);
/// assert_eq!(client.handle_segment(answer.clone(), now), Verdict::Dropped(Drop::AcknowledgesUnsent));
/// answer.header.acknowledgement = SequenceNumber(8);
/// assert_eq!(client.handle_segment(answer, now), Verdict::Accepted);
/// ```
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Processed.
    Accepted,
    /// Not processed, or not beyond the check that is named.
    Dropped(Drop),
}

/// Why a segment was not processed.
///
/// ```
/// # use std::sync::Arc;
/// # use tcp::{Config, Connection, Path};
/// # use time::{Instant, SequenceNumber};
/// # let (config, now) = (Arc::new(Config::linux()), Instant::from_secs(1));
/// # let path = Path { segment_bytes_max: 1_480, offload_bytes_max: 0 };
/// # let mut client = Connection::connect(config.clone(), 40_000, 80, SequenceNumber(7), 0, now);
/// # let syn = client.poll_transmit(path, now).expect("a SYN is due");
/// # let mut server = Connection::accept(config, &syn.header, SequenceNumber(9), 0, now);
/// use tcp::{Drop, Verdict};
///
/// // A segment for a connection that has just been given up.
/// let answer = server.poll_transmit(path, now).expect("an answer is due");
/// client.abort(now);
/// assert_eq!(client.handle_segment(answer, now), Verdict::Dropped(Drop::Over));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Drop {
    /// Outside the receive window; acknowledged (RFC 9293 §3.10.7.4, first).
    OutsideWindow,
    /// Its timestamp is older than one seen before; acknowledged (RFC 7323 §5.3, R1).
    OldTimestamp,
    /// Timestamps were agreed on and it has none (RFC 7323 §3.2).
    MissingTimestamp,
    /// A reset in the window but not at its left edge; challenged (RFC 5961 §3.2).
    ResetNotExact,
    /// A reset that the state does not take: TIME-WAIT (RFC 1337 §3), or SYN-SENT without our SYN acknowledged.
    ResetIgnored,
    /// A SYN in a synchronised state; challenged (RFC 5961 §4.2).
    UnexpectedSyn,
    /// No ACK bit where there must be one (RFC 9293 §3.10.7.4, fifth).
    NoAcknowledgement,
    /// It acknowledges what was never sent (RFC 9293 §3.10.7.4, RFC 5961 §5.2).
    AcknowledgesUnsent,
    /// It acknowledges less than any live segment can (RFC 5961 §5.2).
    AcknowledgementTooOld,
    /// Neither SYN nor RST in SYN-SENT (RFC 9293 §3.10.7.3, fifth).
    NoSyn,
    /// Bytes for a reader that is gone; answered by a reset (RFC 9293 §3.10.4, RFC 2525 §2.17).
    NoReader,
    /// It completes a handshake whose owner wants to hear of it with the first data (TCP_DEFER_ACCEPT).
    DataAwaited,
    /// Out of order, and the reassembly queue is full.
    ReassemblyFull,
    /// The connection is over.
    Over,
}
