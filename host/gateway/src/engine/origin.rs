//! The socket that a flow's datagrams come from. A flow is known by its addresses, and is its socket's alone: who takes the
//! port afterwards asks for a flow of its own. Sockets that the flow's own program makes are no reason to look.
//!
//! ```text
//!   datagram ──> looked at just now, and no socket made since ──> the flow's
//!      └──> look again ──> the same socket ─────────────────────> the flow's
//!                └──> another, or none while some were made ────> the flow ends; the first of another
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
    /// The number of the latest that was made by another program than this one.
    others: u64,
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
            (Some(first), Some(later)) => first.is_of(later.socket, first.made != later.made),
            _ => true,
        }
    }
}

impl Look {
    /// Whether what is sent from `later` is of the same flow, if sockets `are_made` meanwhile, or not. Where there is none any
    /// more, and none was made, the one that there was has sent and been closed.
    fn is_of(&self, later: Option<DiagSocket>, are_made: bool) -> bool {
        self.socket == later || later.is_none() && !are_made
    }
}

impl Cx {
    /// Where a datagram comes from whose flow is not known, as far as that matters.
    pub fn trace(&mut self, question: Question) -> Origin {
        Origin(self.asks_who().then(|| self.look(question)))
    }

    /// Whether a datagram is of the flow that has come from `origin`, as far as that matters.
    pub fn is_still_from(&mut self, origin: &mut Origin, question: Question) -> bool {
        if !self.asks_who() {
            return true;
        }
        let Some(first) = &mut origin.0 else {
            // A flow from a time when nobody asked is nobody's.
            *origin = self.trace(question);
            return true;
        };
        let (made, before) = (self.processes.made(), first.others);
        if made != first.made {
            (first.made, first.others) = (made, self.processes.made_by_others(first.socket));
        }
        let are_made = first.others != before;
        let holds = if question.0 == Protocol::Icmp { PING_HOLDS } else { UDP_HOLDS };
        if !are_made && self.now.since(first.at) < holds {
            return true;
        }
        first.at = self.now;
        first.is_of(self.look(question).socket, are_made)
    }

    fn look(&mut self, (protocol, wanted, own): Question) -> Look {
        let socket = self.processes.look(protocol, own, wanted);
        let (made, others) = (self.processes.made(), self.processes.made_by_others(socket));
        Look { socket, made, others, at: self.now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_of_its_socket_and_of_no_other() {
        let origin = |cookie: Option<u64>, made| {
            let socket = cookie.map(|cookie| DiagSocket { inode: 7, cookie });
            Origin(Some(Look { socket, made, others: made, at: Instant::ZERO }))
        };
        let first = origin(Some(1), 4);
        assert!(first.covers(origin(Some(1), 5)), "another was made, for another port");
        assert!(!first.covers(origin(Some(2), 4)), "one that had been made before");
        assert!(first.covers(origin(None, 4)), "it was closed, and nobody can have taken the port");
        assert!(!first.covers(origin(None, 5)), "another may have, and been closed too");
        assert!(!origin(None, 4).covers(first), "who had gone is not who is there");
        let unseen = Origin::default();
        assert!(unseen.covers(first) && first.covers(unseen), "nobody asks");
    }
}
