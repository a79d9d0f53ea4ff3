//! What waits until it is known who asks for it: the digest of an executable that is seen for the first time.

use super::asked::{Identity, Question};
use super::behind::Behind;
use super::inquiry::Flow;
use super::listeners::ListenQuestion;
use super::origin::Origin;
use crate::attribution::{Asker, Ticket};
use crate::resolver::Wanted;
use crate::sandbox::SocketQuestion;
use ledger::Digest;
use stack::{Datagram, Echo, RequestId};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use time::{Duration, Instant};

/// How much waits at most; what comes then is asked for without the digest.
const HELD_MAX: usize = 4_096;

/// How long one waits at most, as for a file on a file system that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Something that a program wants.
#[derive(Debug)]
pub(super) enum Held {
    /// A connection, from the second address to the first.
    Tcp(RequestId, SocketAddr, SocketAddr),
    /// A flow's first datagram, and where it came from.
    Udp(Datagram, Origin),
    /// The first echo request, and where it came from.
    Echo(Echo, Origin),
    /// A Unix socket of the host's.
    Socket(SocketQuestion),
    /// A port inside.
    Listen(ListenQuestion),
    /// A name's address.
    Resolution(Wanted, Option<Question>),
    /// A flow for a name that leads to this address.
    Led(Opening, IpAddr),
}

/// A flow that is being opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// A TCP connection.
    Tcp(RequestId),
    /// Another, and where it comes from.
    Flow(Flow, Origin),
}

impl Held {
    /// The flow whose first packet it is.
    pub fn flow(&self) -> Option<Flow> {
        match self {
            Self::Udp(datagram, _) => Some(Flow::Udp(datagram.local, datagram.remote)),
            Self::Echo(echo, _) => Some(Flow::Echo(echo.local, echo.remote, echo.identifier)),
            Self::Tcp(..) | Self::Socket(_) | Self::Listen(_) | Self::Resolution(..) | Self::Led(..) => None,
        }
    }

    /// Where the first packet of a flow came from; another's has none.
    pub fn origin(&self) -> Origin {
        match self {
            Self::Udp(_, origin) | Self::Echo(_, origin) => *origin,
            Self::Tcp(..) | Self::Socket(_) | Self::Listen(_) | Self::Resolution(..) | Self::Led(..) => {
                Origin::default()
            }
        }
    }
}

/// See the module. In the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    held: VecDeque<(Ticket, Instant, Asker, Held)>,
    behind: Behind,
}

impl Waiting {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether there is room for one more.
    pub fn has_room(&self) -> bool {
        self.held.len() + self.behind.len() < HELD_MAX
    }

    /// Whether a packet belongs to a flow whose first one waits; then it is kept behind that, or lost.
    pub fn join(&mut self, flow: Flow, packet: impl FnOnce() -> Held) -> bool {
        if self.behind.has(flow) && self.has_room() {
            self.behind.push(flow, packet, HELD_MAX);
        }
        self.behind.has(flow)
    }

    /// Keeps what `asker` wants until its executable's digest is there.
    pub fn hold(&mut self, ticket: Ticket, asker: Asker, held: Held, now: Instant) {
        self.behind.begin(&held);
        self.held.push_back((ticket, now + PATIENCE, asker, held));
    }

    /// The program gave a connection up.
    pub fn forget(&mut self, request: RequestId) {
        self.held.retain(|(.., held)| !matches!(held, Held::Tcp(other, ..) if *other == request));
    }

    /// What waited for this, or has waited too long, with who asks for it.
    pub fn release(
        &mut self,
        found: Option<(Ticket, Option<Digest>)>,
        now: Instant,
    ) -> Vec<(Identity, Held)> {
        let mut released = Vec::new();
        for (ticket, until, asker, held) in std::mem::take(&mut self.held) {
            let digest = match found {
                Some((found, digest)) if found == ticket => digest,
                _ if until <= now => None,
                _ => {
                    self.held.push_back((ticket, until, asker, held));
                    continue;
                }
            };
            let identity = Identity::of(&asker, digest);
            let behind = self.behind.take(&held);
            released.push((identity.clone(), held));
            released.extend(behind.into_iter().map(|packet| (identity.clone(), packet)));
        }
        released
    }

    /// When [`release`](Self::release) is due, whatever was found.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.held.front().map(|(_, until, ..)| *until)
    }
}

impl Identity {
    /// A process and its program.
    pub fn of(asker: &Asker, digest: Option<Digest>) -> Self {
        let (process, program) = (Some(asker.to_process()), Some(Arc::new(asker.to_program(digest))));
        Self { process, program, said: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::{Digesting, Digests, Processes};
    use packet::Bytes;
    use rustix::net::{AddressFamily, SocketType};
    use rustix::process::getpid;

    #[test]
    fn what_comes_while_the_first_of_its_flow_waits_goes_on_behind_it() {
        let tables = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("a socket");
        let asker =
            Processes::new(tables, getpid()).find_thread(rustix::thread::gettid()).expect("this process");
        let mut digests = Digests::new().expect("a descriptor");
        let Digesting::Pending(ticket) = digests.digest(asker.executable()) else { panic!("not read yet") };
        let numbered = |from: u16, number: u8| {
            let (there, here) = (([198, 18, 0, 1], 9).into(), ([10, 0, 2, 15], from).into());
            let payload = Bytes::copy_from_slice(&[number]);
            Held::Udp(Datagram::new(there, here, payload), Origin::default())
        };
        let flow = |from| numbered(from, 0).flow().expect("a datagram is of a flow");
        let (mut waiting, now) = (Waiting::default(), Instant::from_secs(1));
        assert!(!waiting.join(flow(1), || numbered(1, 0)), "nothing waits");
        waiting.hold(ticket, asker.clone(), numbered(1, 0), now);
        waiting.hold(ticket, asker, numbered(2, 9), now);
        assert!((1..4).all(|number| waiting.join(flow(1), || numbered(1, number))));
        let released = waiting.release(Some((ticket, None)), now);
        let number = |held: &Held| match held {
            Held::Udp(datagram, _) => datagram.payload[0],
            _ => panic!("{held:?}"),
        };
        assert_eq!(released.iter().map(|(_, held)| number(held)).collect::<Vec<_>>(), [0, 1, 2, 3, 9]);
        assert!(!waiting.join(flow(1), || numbered(1, 4)), "it waits no more");
    }
}
