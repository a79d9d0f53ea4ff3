//! What the owner is told.

/// What the owner is told; drained after every call.
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
/// use tcp::Event;
///
/// let answer = server.poll_transmit(path, now).expect("an answer is due");
/// let _ = client.handle_segment(answer, now);
/// assert_eq!(client.poll_event(), Some(Event::Established));
/// assert_eq!(client.poll_event(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The handshake is complete.
    Established,
    /// Bytes can be read that could not before.
    Readable,
    /// The peer sent FIN and all its bytes can be read: after them, end of stream.
    PeerClosed,
    /// Room to write appeared after a write was refused, was cut short, or took the last room.
    Writable,
    /// Every byte written and our FIN are acknowledged.
    SendingDone,
    /// The connection is over for its owner, and how; always the last event. In TIME-WAIT the stack still keeps
    /// the value, until [`Connection::is_over`](crate::Connection::is_over). What was received can still be read.
    Closed(CloseReason),
}

/// How a connection ended.
///
/// ```
/// # use std::sync::Arc;
/// # use tcp::{Config, Connection, Path};
/// # use time::{Instant, SequenceNumber};
/// # let (config, now) = (Arc::new(Config::linux()), Instant::from_secs(1));
/// # let path = Path { segment_bytes_max: 1_480, offload_bytes_max: 0 };
/// # let mut client = Connection::connect(config.clone(), 40_000, 80, SequenceNumber(7), 0, now);
/// use tcp::{CloseReason, Event};
///
/// client.handle_unreachable(true, now);
/// assert_eq!(client.poll_event(), Some(Event::Closed(CloseReason::Unreachable)));
/// ```
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
///
/// ```
/// # use std::sync::Arc;
/// # use tcp::{Config, Connection, Path};
/// # use time::{Instant, SequenceNumber};
/// # let (config, now) = (Arc::new(Config::linux()), Instant::from_secs(1));
/// # let path = Path { segment_bytes_max: 1_480, offload_bytes_max: 0 };
/// # let mut client = Connection::connect(config.clone(), 40_000, 80, SequenceNumber(7), 0, now);
/// use tcp::Why;
/// use time::Duration;
///
/// # client.poll_transmit(path, now).expect("a SYN is due");
/// // The SYN has left: if nothing comes, it leaves again in a second (RFC 6298 §2.1).
/// assert_eq!(client.poll_timeout(), Some((now + Duration::from_secs(1), Why::Retransmit)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A segment that left before one that has arrived is late: it will be deemed lost (RFC 8985 §6.2).
    Reordering,
    /// Tail loss probe (RFC 8985 §7.2).
    TailProbe,
    /// Retransmission (RFC 6298).
    Retransmit,
    /// Zero-window probe.
    Persist,
    /// Delayed acknowledgement.
    DelayedAck,
    /// Keep-alive probe.
    KeepAlive,
    /// The user timeout.
    UserTimeout,
    /// Data that waits for its turn: what leaves is spread over the round trip.
    Pacing,
    /// End of TIME-WAIT, or of an orphan's FIN-WAIT-2: its deadline stands in the state.
    TimeWait,
}

/// The events that wait to be drained: each kind once, so that the queue is bounded by its shape.
#[derive(Debug, Default)]
pub(crate) struct Events {
    waiting: u8,
    closed: Option<CloseReason>,
}

const ORDER: [Event; 5] =
    [Event::Established, Event::Readable, Event::PeerClosed, Event::Writable, Event::SendingDone];

impl Events {
    pub(crate) fn push(&mut self, event: Event) {
        match event {
            Event::Closed(reason) => self.closed = Some(reason),
            Event::Established => self.waiting |= 1,
            Event::Readable => self.waiting |= 2,
            Event::PeerClosed => self.waiting |= 4,
            Event::Writable => self.waiting |= 8,
            Event::SendingDone => self.waiting |= 16,
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        if self.waiting == 0 {
            return self.closed.take().map(Event::Closed);
        }
        let first = self.waiting.trailing_zeros();
        self.waiting &= self.waiting - 1;
        ORDER.get(first as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_leave_in_the_order_of_a_life_and_each_once() {
        let mut events = Events::default();
        events.push(Event::Closed(CloseReason::Finished));
        events.push(Event::Readable);
        events.push(Event::Readable);
        events.push(Event::Established);
        assert_eq!(events.pop(), Some(Event::Established));
        assert_eq!(events.pop(), Some(Event::Readable));
        assert_eq!(events.pop(), Some(Event::Closed(CloseReason::Finished)));
        assert_eq!(events.pop(), None);
    }
}
