//! Connections one after the other between the same ports, each against the model.

use super::conduct::{Opening, Talk};
use super::side::Side;
use crate::world::{HostId, World};
use stack::{Binding, ConnectError, Event, Listen, ListenerId, TcpId};
use std::net::{IpAddr, SocketAddr};
use tcp::CloseReason;
use time::{Duration, Instant};

/// How long an opener waits before it tries again, while its own side of the last connection is not over.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// After so long nobody accepts any more what the opener has given up: longer than a SYN-ACK is repeated.
const ACCEPT_MAX: Duration = Duration::from_mins(30);

/// A talk under way.
#[derive(Debug)]
pub(super) struct Conversation {
    talk: Talk,
    /// The side that opens, and the other.
    hosts: [HostId; 2],
    addresses: [IpAddr; 2],
    /// Whether the way is cut for good, so that neither side need ever hear of the other.
    dies: bool,
    listener: Option<ListenerId>,
    /// Accepted besides, and to be let go.
    strays: Vec<TcpId>,
    round: u64,
    sides: Option<[Side; 2]>,
    /// When the next connection is opened.
    opens_at: Instant,
    /// When the side that opened was over.
    opener_over_at: Option<Instant>,
    is_over: bool,
}

impl Conversation {
    /// Listens for it, and asks to be called when it begins.
    pub(super) fn new(
        world: &mut World,
        talk: &Talk,
        mut hosts: [HostId; 2],
        mut addresses: [IpAddr; 2],
        dies: bool,
    ) -> Self {
        if talk.reversed {
            hosts.reverse();
            addresses.reverse();
        }
        let listener = (talk.opening == Opening::Plain).then(|| {
            let config = talk.sides[1].config.clone();
            let listen = Listen { binding: Binding::Port(talk.port), defer: false, backlog: 8, config };
            let listener = world.stack(hosts[1]).tcp_listen(listen).expect("every talk has its own port");
            world.stack(hosts[1]).tcp_set_fast_open(listener, if talk.fast { 8 } else { 0 });
            listener
        });
        let opens_at = world.now() + talk.starts_after;
        world.wake_at(opens_at);
        let talk = talk.clone();
        let (sides, opener_over_at) = (None, None);
        Self {
            talk,
            hosts,
            addresses,
            dies,
            listener,
            strays: Vec::new(),
            round: 0,
            sides,
            opens_at,
            opener_over_at,
            is_over: false,
        }
    }

    /// Takes an event where it is this talk's; whether it was.
    pub(super) fn note(&mut self, host: HostId, event: &Event) -> bool {
        let Some(sides) = &mut self.sides else { return false };
        match *event {
            Event::TcpAccepted { listener, connection, .. }
                if Some(listener) == self.listener && sides[1].host == host =>
            {
                if sides[1].connection.is_none() {
                    sides[1].hold(connection);
                } else {
                    // RFC 7413 §6.1: a SYN that brings data may be taken again once its connection is over.
                    assert!(self.talk.fast, "one connection was accepted twice");
                    self.strays.push(connection);
                }
                true
            }
            Event::Tcp { connection, event } => {
                let of = |side: &&mut Side| side.host == host && side.connection == Some(connection);
                sides.iter_mut().find(of).map(|side| side.note(event)).is_some()
            }
            _ => false,
        }
    }

    /// Does what can be done now. Returns whether all its connections are over.
    ///
    /// # Panics
    ///
    /// Where the model is contradicted.
    pub(super) fn act(&mut self, world: &mut World) -> bool {
        if self.is_over {
            return true;
        }
        let now = world.now();
        for stray in self.strays.drain(..) {
            world.stack(self.hosts[1]).tcp_release(stray, now);
        }
        if self.sides.is_none() && now >= self.opens_at && !self.open(world) {
            self.opens_at = now + AGAIN_AFTER;
            world.wake_at(self.opens_at);
        }
        let Some(sides) = &mut self.sides else { return false };
        sides.iter_mut().for_each(|side| side.act(world));
        if sides[0].has_let_go && self.opener_over_at.is_none() {
            self.opener_over_at = Some(now);
            world.wake_at(now + ACCEPT_MAX);
        }
        let given_up = self.opener_over_at.is_some_and(|at| now >= at + ACCEPT_MAX);
        let never_came = sides[1].connection.is_none() && given_up;
        if sides[0].has_let_go && (sides[1].has_let_go || never_came) {
            self.judge(never_came);
            self.finish_round(world);
        }
        self.is_over
    }

    /// Opens the next connection; whether it could.
    fn open(&mut self, world: &mut World) -> bool {
        let now = world.now();
        let [a, b] = self.addresses.map(|address| SocketAddr::new(address, self.talk.port));
        let [opener, other] = &self.talk.sides;
        let number = u64::from(self.talk.port) << 32 | self.round << 1;
        let mut sides = [
            Side::new(self.hosts[0], opener, other, [number, number + 1]),
            Side::new(self.hosts[1], other, opener, [number + 1, number]),
        ];
        match sides[0].open(world, a, b, self.talk.fast) {
            Ok(()) => {}
            Err(ConnectError::InUse) => return false,
            Err(error) => panic!("no connection from {a} to {b}: {error:?}"),
        }
        let second: Option<TcpId> = (self.talk.opening == Opening::Simultaneous).then(|| {
            let opened = world.stack(self.hosts[1]).tcp_connect(Some(b), a, other.config.clone(), now);
            opened.expect("nothing else has these ports")
        });
        if let Some(second) = second {
            sides[1].hold(second);
        }
        self.sides = Some(sides);
        true
    }

    /// What a connection that is over must have come to.
    fn judge(&self, never_came: bool) {
        let Some(sides) = &self.sides else { return };
        let is_free = self.dies || self.talk.is_hard();
        assert!(!never_came || is_free, "the connection was never accepted: {self:#?}");
        if is_free {
            for (side, conduct) in sides.iter().zip(&self.talk.sides) {
                let aborted = side.closed == Some(CloseReason::Aborted);
                assert!(!aborted || matches!(conduct.end, super::End::Abort(_)), "nobody aborted: {self:#?}");
            }
            return;
        }
        for side in sides {
            assert!(side.is_complete(), "the connection broke: {self:#?}");
        }
    }

    fn finish_round(&mut self, world: &mut World) {
        self.sides = None;
        self.opener_over_at = None;
        self.round += 1;
        self.opens_at = world.now();
        world.wake_at(self.opens_at);
        let rounds = if self.dies || self.listener.is_none() { 1 } else { self.talk.rounds };
        if self.round == rounds {
            self.is_over = true;
            if let Some(listener) = self.listener {
                world.stack(self.hosts[1]).tcp_unlisten(listener);
            }
        }
    }

    /// A number that grows with all that comes about.
    pub(super) fn progress(&self) -> u64 {
        let sides = self.sides.iter().flatten().map(Side::progress).sum::<u64>();
        // A round is more than all bytes of the ones before it.
        sides + (self.round << 40) + u64::from(self.sides.is_some())
    }
}
