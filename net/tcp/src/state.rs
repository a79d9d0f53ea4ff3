//! The states (RFC 9293 §3.3.2) and the one table of legal moves between them, which a test prints to
//! `docs/tcp-states.dot`. LISTEN is the stack's: a listener hands its SYN to `Connection::accept`.

use crate::CloseReason;
use time::Instant;

/// The name of a state.
///
/// ```
/// # use std::sync::Arc;
/// # use tcp::{Config, Connection, Path};
/// # use time::{Instant, SequenceNumber};
/// # let (config, now) = (Arc::new(Config::linux()), Instant::from_secs(1));
/// # let path = Path { segment_bytes_max: 1_480, offload_bytes_max: 0 };
/// # let mut client = Connection::connect(config.clone(), 40_000, 80, SequenceNumber(7), 0, now);
/// use tcp::State;
///
/// assert_eq!(client.info(now).state, State::SynSent);
/// client.abort(now);
/// assert_eq!(client.info(now).state, State::Closed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// No connection, no more or not yet.
    Closed,
    /// Waiting for a SYN; held by the stack.
    Listen,
    /// Our SYN is out.
    SynSent,
    /// Both SYNs are known, ours is not acknowledged.
    SynReceived,
    /// Open both ways.
    Established,
    /// We have closed; our FIN is not acknowledged.
    FinWait1,
    /// Our FIN is acknowledged; the peer may send on.
    FinWait2,
    /// The peer has closed; we may send on.
    CloseWait,
    /// Both have closed at once; our FIN is not acknowledged.
    Closing,
    /// The peer closed, then we; our FIN is not acknowledged.
    LastAck,
    /// All done; old segments are left to die.
    TimeWait,
}

/// Every legal move, and what causes it (RFC 9293 §3.3.2, figure 5, and §3.10).
const MOVES: [(State, State, &str); 25] = {
    use State::*;
    [
        (Closed, Listen, "listen"),
        (Closed, SynSent, "connect: SYN"),
        (Listen, SynReceived, "SYN: SYN-ACK"),
        (Listen, Closed, "close"),
        (SynSent, SynReceived, "SYN: SYN-ACK"),
        (SynSent, Established, "SYN-ACK: ACK"),
        (SynSent, Closed, "RST, abort, timeout, unreachable"),
        (SynReceived, Established, "ACK of SYN"),
        (SynReceived, Closed, "RST, abort, timeout, unreachable"),
        (Established, FinWait1, "shutdown: FIN"),
        (Established, CloseWait, "FIN: ACK"),
        (Established, Closed, "RST, abort, timeout"),
        (FinWait1, FinWait2, "ACK of FIN"),
        (FinWait1, Closing, "FIN: ACK"),
        (FinWait1, Closed, "RST, abort, timeout"),
        (FinWait2, TimeWait, "FIN: ACK"),
        (FinWait2, Closed, "RST, abort, timeout"),
        (CloseWait, LastAck, "shutdown: FIN"),
        (CloseWait, Closed, "RST, abort, timeout"),
        (Closing, TimeWait, "ACK of FIN"),
        (Closing, Closed, "RST, abort, timeout"),
        (LastAck, Closed, "ACK of FIN, RST, abort, timeout"),
        (TimeWait, TimeWait, "FIN: ACK"),
        (TimeWait, Closed, "timeout, abort"),
        (TimeWait, Listen, "new SYN (RFC 6191): by the stack"),
    ]
};

impl State {
    /// Whether the table knows the move.
    pub(crate) fn may_become(self, next: Self) -> bool {
        MOVES.iter().any(|&(from, to, _)| from == self && to == next)
    }
}

/// The state with what is true only in it.
#[derive(Debug)]
pub(crate) enum Phase {
    SynSent(Handshake),
    SynReceived(Handshake),
    Established,
    FinWait1,
    FinWait2 { until: Instant },
    CloseWait,
    Closing,
    LastAck,
    TimeWait { until: Instant },
    Closed(CloseReason),
}

/// What a connection knows while its SYN is not acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handshake {
    /// The SYN or SYN-ACK has to leave, for the first time or again.
    pub(crate) due: bool,
    /// The owner has closed the sending side already: FIN follows what was written.
    pub(crate) shutdown: bool,
    /// Whether we asked first, and a reset therefore means a refusal.
    pub(crate) active: bool,
    /// The peer has acknowledged our SYN, but the handshake waits for its first data.
    pub(crate) held: bool,
}

impl Phase {
    pub(crate) fn state(&self) -> State {
        match self {
            Self::SynSent(_) => State::SynSent,
            Self::SynReceived(_) => State::SynReceived,
            Self::Established => State::Established,
            Self::FinWait1 => State::FinWait1,
            Self::FinWait2 { .. } => State::FinWait2,
            Self::CloseWait => State::CloseWait,
            Self::Closing => State::Closing,
            Self::LastAck => State::LastAck,
            Self::TimeWait { .. } => State::TimeWait,
            Self::Closed(_) => State::Closed,
        }
    }

    /// Whether both sides know each other's numbers, and the connection is not over.
    pub(crate) fn is_synchronised(&self) -> bool {
        !matches!(self, Self::SynSent(_) | Self::SynReceived(_) | Self::Closed(_))
    }

    /// What is known of the handshake while it lasts.
    pub(crate) fn handshake(&mut self) -> Option<&mut Handshake> {
        match self {
            Self::SynSent(handshake) | Self::SynReceived(handshake) => Some(handshake),
            Self::Established
            | Self::FinWait1
            | Self::FinWait2 { .. }
            | Self::CloseWait
            | Self::Closing
            | Self::LastAck
            | Self::TimeWait { .. }
            | Self::Closed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::{env, format, fs};

    #[test]
    fn the_table_is_the_picture_in_docs() {
        let mut dot = String::from(
            "// The moves of a TCP connection, printed by a test of net/tcp from its table (RFC 9293 §3.3.2).\n\
             // Written anew by: WEFT_WRITE_DOCS=1 cargo test -p tcp picture\n\
             digraph tcp {\n    node [shape=box];\n",
        );
        for (from, to, cause) in MOVES {
            dot += &format!("    {from:?} -> {to:?} [label=\"{cause}\"];\n");
        }
        dot += "}\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/tcp-states.dot");
        if env::var_os("WEFT_WRITE_DOCS").is_some() {
            fs::write(path, &dot).unwrap();
        }
        let kept = fs::read_to_string(path).unwrap_or_default();
        assert!(kept == dot, "docs/tcp-states.dot differs from the table; it should be:\n{dot}");
    }

    #[test]
    fn every_state_can_reach_closed_and_be_reached_from_it() {
        let reach = |start: State, forward: bool| {
            let mut seen = std::vec![start];
            let mut at = 0;
            while at < seen.len() {
                for (from, to, _) in MOVES {
                    let (here, there) = if forward { (from, to) } else { (to, from) };
                    if here == seen[at] && !seen.contains(&there) {
                        seen.push(there);
                    }
                }
                at += 1;
            }
            seen.len()
        };
        assert_eq!((reach(State::Closed, true), reach(State::Closed, false)), (11, 11));
    }
}
