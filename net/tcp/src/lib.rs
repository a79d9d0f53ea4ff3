//! One TCP connection as a value (RFC 9293): segments, time and the owner's calls go in; segments, events and
//! deadlines come out. It knows neither addresses nor sockets: the stack finds it, gives it segments, and
//! wraps what it sends.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::sync::Arc;
use packet::{Bytes, Chain};
use time::{Duration, Instant, SequenceNumber};
use wire::tcp::Header;

/// A TCP profile: everything tunable about a connection, checked once. Shared by connections.
#[derive(Clone, Debug)]
pub struct Config {}

/// A segment as it arrives or leaves.
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
}

/// What the stack's path allows for a segment that leaves now.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// The largest TCP segment (header, options, payload) that one IP packet carries here, in bytes.
    pub segment_bytes_max: u16,
    /// The largest payload that may leave as one segment to be cut later; 0 where segmentation is not offloaded.
    pub offload_bytes_max: u32,
}

/// What became of a segment that arrived. Counted by the stack by name.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Processed.
    Accepted,
    /// Not processed, and why.
    Dropped(Drop),
}

/// Why a segment was not processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Drop {
    /// Outside the receive window (RFC 9293 §3.10.7.4).
    OutsideWindow,
}

/// What the owner is told; drained after every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The handshake is complete.
    Established,
    /// Bytes can be read that could not before.
    Readable,
    /// Room to write appeared after a write was refused or cut short.
    Writable,
    /// The peer sent FIN and all its bytes can be read: after them, end of stream.
    PeerClosed,
    /// Every byte written and our FIN are acknowledged.
    SendingDone,
    /// The connection is over, and how.
    Closed(CloseReason),
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Both sides closed in order.
    Finished,
    /// The peer reset it (after the handshake).
    Reset,
    /// The peer answered our SYN with a reset.
    Refused,
    /// Retransmissions, keep-alive probes or the user timeout ran out.
    TimedOut,
    /// The network says that the peer cannot be reached (ICMP, or no neighbour).
    Unreachable,
    /// The owner aborted it.
    Aborted,
}

/// Why a connection wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Retransmission (RFC 6298).
    Retransmit,
    /// Zero-window probe.
    Persist,
    /// Delayed acknowledgement.
    DelayedAck,
    /// Keep-alive probe.
    KeepAlive,
    /// End of TIME-WAIT, or of an orphan's FIN-WAIT-2.
    TimeWait,
    /// The user timeout.
    UserTimeout,
}

/// One TCP connection.
#[derive(Debug)]
pub struct Connection {}

impl Connection {
    /// Opens actively: a SYN is due.
    pub fn connect(
        _config: Arc<Config>,
        _local_port: u16,
        _remote_port: u16,
        _initial: SequenceNumber,
        _timestamp_offset: u32,
        _now: Instant,
    ) -> Self {
        todo!()
    }

    /// Answers `syn`: SYN-RECEIVED, and a SYN-ACK is due.
    pub fn accept(
        _config: Arc<Config>,
        _syn: &Header,
        _initial: SequenceNumber,
        _timestamp_offset: u32,
        _now: Instant,
    ) -> Self {
        todo!()
    }

    /// A segment whose checksum holds and whose ports are this connection's (RFC 9293 §3.10.7).
    pub fn handle_segment(&mut self, _segment: Segment, _now: Instant) -> Verdict {
        todo!()
    }

    /// A deadline of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, _now: Instant) {
        todo!()
    }

    /// The network reported that the peer cannot be reached, by a validated ICMP error. `hard` errors end a
    /// connection that is not synchronised yet (RFC 1122 §4.2.3.9, RFC 5927).
    pub fn handle_unreachable(&mut self, _hard: bool, _now: Instant) {
        todo!()
    }

    /// The next segment to send; drained until `None`.
    pub fn poll_transmit(&mut self, _path: Path, _now: Instant) -> Option<Segment> {
        todo!()
    }

    /// The next event; drained until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Why)> {
        todo!()
    }

    /// Appends to the send buffer as much of `data` as there is room for; what did not fit stays in `data`.
    ///
    /// # Errors
    ///
    /// Where the sending side is closed or the connection over.
    pub fn write(&mut self, _data: &mut Bytes, _now: Instant) -> Result<usize, NotOpen> {
        todo!()
    }

    /// Room in the send buffer, in bytes.
    pub fn writable(&self) -> usize {
        todo!()
    }

    /// Bytes that can be read now.
    pub fn readable(&self) -> usize {
        todo!()
    }

    /// Takes the next chunk of received bytes, at most `bytes_max` of it; the window opens accordingly.
    pub fn read(&mut self, _bytes_max: usize, _now: Instant) -> Option<Bytes> {
        todo!()
    }

    /// Whether the peer's FIN has arrived and every byte before it has been read.
    pub fn is_at_end(&self) -> bool {
        todo!()
    }

    /// Bounds what is advertised to the peer beyond the bytes that wait to be read: what the reader can take now.
    /// The window never shrinks below what was advertised already.
    pub fn set_receive_limit(&mut self, _bytes: usize, _now: Instant) {
        todo!()
    }

    /// No more will be written: FIN follows the last byte (RFC 9293 §3.10.4).
    pub fn shutdown(&mut self, _now: Instant) {
        todo!()
    }

    /// Nobody will read any more: what is unread and what still comes is answered by a reset.
    pub fn close_receive(&mut self, _now: Instant) {
        todo!()
    }

    /// Ends it at once; a RST is due where the state has a peer (RFC 9293 §3.10.5).
    pub fn abort(&mut self, _now: Instant) {
        todo!()
    }

    /// Whether nothing more will come of it: it can be dropped.
    pub fn is_over(&self) -> bool {
        todo!()
    }
}

/// The side that the call needs is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOpen;

/// The answer to a segment that belongs to no connection (RFC 9293 §3.10.7.1): a reset, or nothing to a reset.
pub fn reset_for(_segment: &Header, _payload_length: usize) -> Option<Header> {
    todo!()
}

/// How long a connection may wait, so that the wheel's owner can size it.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(7_200);
