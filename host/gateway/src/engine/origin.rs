//! The socket that a flow's datagrams come from. A flow is known by its addresses, and is its socket's alone: who takes the
//! port afterwards asks for a flow of its own.
//!
//! ```text
//!   datagram ──> looked at, and no socket made since, and that just now ──> the flow's
//!      └──> look again ──> the same socket ───────────────────────────────> the flow's
//!                └──> another, or none while sockets were made ───────────> the flow ends; the first of another
//! ```

use super::asked::Question;
use super::cx::Cx;
use crate::attribution::DiagSocket;
use axiom::rules::Protocol;
use time::{Duration, Instant};

/// How long a look at the kernel's table of UDP sockets holds, where no socket was made meanwhile: one that was made before
/// may be given the port at any moment. Each costs a microsecond, so that a busy flow pays a thousandth.
const UDP_HOLDS: Duration = Duration::from_millis(1);

/// The same for ping sockets, whose table is read as text.
const PING_HOLDS: Duration = Duration::from_millis(5);

/// See the module. It is not looked for where nobody asks who sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Origin(Option<Look>);

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    /// The socket; `None` where there was none, or more than one.
    socket: Option<DiagSocket>,
    /// How many sockets for datagrams had been made.
    made: u64,
    at: Instant,
}

impl Origin {
    /// The socket, where one was seen.
    pub fn socket(&self) -> Option<DiagSocket> {
        self.0?.socket
    }

    /// Whether what has come from `later` is of the same flow.
    pub fn covers(&self, later: Self) -> bool {
        match (&self.0, &later.0) {
            (Some(first), Some(later)) => first.covers(later),
            _ => true,
        }
    }
}

impl Look {
    /// Where there is no socket any more, and none was made, the one that there was has sent and been closed.
    fn covers(&self, later: &Self) -> bool {
        self.socket == later.socket || later.socket.is_none() && self.made == later.made
    }

    /// Whether it tells nothing of what comes `now`, when so many sockets have been made.
    fn is_over(&self, made: u64, holds: Duration, now: Instant) -> bool {
        self.made != made || now.since(self.at) >= holds
    }
}

impl Cx {
    /// Where a datagram comes from whose flow is not known, as far as that matters.
    pub fn trace(&mut self, question: Question) -> Origin {
        Origin(self.asks_who().then(|| self.look(question)))
    }

    /// Whether a datagram is of the flow that has come from `origin`, as far as that matters.
    pub fn is_still_from(&mut self, origin: &mut Origin, question: Question) -> bool {
        let holds = if question.0 == Protocol::Icmp { PING_HOLDS } else { UDP_HOLDS };
        let is_over = |look: Look| look.is_over(self.processes.made(), holds, self.now);
        if !self.asks_who() || origin.0.is_some_and(|look| !is_over(look)) {
            return true;
        }
        let later = self.look(question);
        // A flow from a time when nobody asked is nobody's.
        let first = origin.0.get_or_insert(later);
        let is_same = first.covers(&later);
        (first.made, first.at) = (later.made, later.at);
        is_same
    }

    fn look(&mut self, (protocol, wanted, own): Question) -> Look {
        let socket = self.processes.look(protocol, own, wanted);
        Look { socket, made: self.processes.made(), at: self.now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(socket: Option<u64>, made: u64, at_ms: u64) -> Look {
        let socket = socket.map(|cookie| DiagSocket { inode: 7, cookie });
        Look { socket, made, at: Instant::ZERO + Duration::from_millis(at_ms) }
    }

    #[test]
    fn a_look_holds_for_its_time_and_until_a_socket_is_made() {
        let first = look(Some(1), 4, 1_000);
        let after = |made, millis| first.is_over(made, UDP_HOLDS, first.at + Duration::from_micros(millis));
        assert!(!after(4, 999));
        assert!(after(4, 1_000));
        assert!(after(5, 0));
    }

    #[test]
    fn a_flow_is_of_its_socket_and_of_no_other() {
        let first = look(Some(1), 4, 0);
        assert!(first.covers(&look(Some(1), 5, 9)), "another was made, for another port");
        assert!(!first.covers(&look(Some(2), 4, 9)), "one that had been made before");
        assert!(first.covers(&look(None, 4, 9)), "it was closed, and nobody can have taken the port");
        assert!(!first.covers(&look(None, 5, 9)), "another may have, and been closed too");
        let (unseen, seen) = (Origin::default(), Origin(Some(first)));
        assert!(unseen.covers(seen) && seen.covers(unseen), "nobody asks");
        assert!(!seen.covers(Origin(Some(look(Some(2), 5, 9)))));
        assert!(!Origin(Some(look(None, 4, 0))).covers(seen), "who had gone is not who is there");
    }
}
