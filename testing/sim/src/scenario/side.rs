//! One side of a connection: a program that follows its conduct, and knows what it must be given.

use super::conduct::{Conduct, End};
use super::figures::Figures;
use crate::stream::Stream;
use crate::world::{HostId, World};
use packet::Bytes;
use stack::{ConnectError, TcpId};
use std::net::SocketAddr;
use tcp::CloseReason;
use time::Instant;

/// It acts after events and its own rests alone, so that a missing event shows as a stall.
#[derive(Debug)]
pub(super) struct Side {
    pub host: HostId,
    conduct: Conduct,
    pub connection: Option<TcpId>,
    /// It tells of itself with every segment.
    is_asked: bool,
    write: Stream,
    read: Stream,
    figures: Figures,
    /// The other side may let go before it has written everything.
    peer_drops: bool,
    can_write: bool,
    can_read: bool,
    has_shut_down: bool,
    at_end: bool,
    writes_from: Instant,
    reads_from: Instant,
    has_rested: bool,
    has_stalled: bool,
    pub closed: Option<CloseReason>,
    /// It holds the connection no more.
    pub has_let_go: bool,
}

impl Side {
    /// A side before it has a connection; `streams` are the numbers of what it writes and of what it is to read.
    pub(super) fn new(host: HostId, conduct: &Conduct, peer: &Conduct, streams: [u64; 2]) -> Self {
        Self {
            host,
            connection: None,
            is_asked: false,
            write: Stream::new(streams[0], conduct.bytes),
            read: Stream::new(streams[1], peer.bytes),
            figures: Figures::default(),
            peer_drops: matches!(peer.end, End::Drop(_)),
            conduct: conduct.clone(),
            can_write: false,
            can_read: false,
            has_shut_down: false,
            at_end: false,
            writes_from: Instant::ZERO,
            reads_from: Instant::ZERO,
            has_rested: false,
            has_stalled: false,
            closed: None,
            has_let_go: false,
        }
    }

    /// Opens its connection; `fast`: with what it writes first, unless it has to wait with that.
    pub(super) fn open(
        &mut self,
        world: &mut World,
        local: SocketAddr,
        remote: SocketAddr,
        fast: bool,
    ) -> Result<(), ConnectError> {
        let (config, now) = (self.conduct.config.clone(), world.now());
        let stack = world.stack(self.host);
        let connection = if fast && !self.conduct.waits_for_end {
            let mut data = self.write.next(self.conduct.write_bytes);
            let offered = data.len();
            let connection = stack.tcp_connect_fast(Some(local), remote, &mut data, config, now)?;
            self.write.advance(offered - data.len());
            connection
        } else {
            stack.tcp_connect(Some(local), remote, config, now)?
        };
        self.hold(connection);
        Ok(())
    }

    /// It has a connection now.
    pub(super) fn hold(&mut self, connection: TcpId) {
        self.connection = Some(connection);
        self.can_write = true;
        self.can_read = true;
    }

    /// Notes what happened to its connection.
    pub(super) fn note(&mut self, event: tcp::Event) {
        assert!(self.closed.is_none(), "{event:?} after the connection was over");
        match event {
            tcp::Event::Established | tcp::Event::Writable => self.can_write = true,
            tcp::Event::Readable | tcp::Event::PeerClosed => self.can_read = true,
            tcp::Event::Closed(reason) => {
                self.closed = Some(reason);
                self.can_read = true;
            }
            tcp::Event::SendingDone => {}
        }
    }

    /// Does what can be done now.
    pub(super) fn act(&mut self, world: &mut World) {
        let Some(connection) = self.connection.filter(|_| !self.has_let_go) else { return };
        if !self.is_asked {
            self.is_asked = true;
            world.ask(self.host, connection);
        }
        self.write(world);
        self.read(world);
        if let Some(connection) = self.connection.filter(|_| !self.has_let_go) {
            self.figures.check(world, self.host, connection);
        }
        let now = world.now();
        let ends = match self.closed {
            // What arrived before can still be read.
            Some(CloseReason::Finished) => self.at_end,
            Some(_) => true,
            None => false,
        };
        if let Some(connection) = self.connection.filter(|_| ends && !self.has_let_go) {
            world.stack(self.host).tcp_release(connection, now);
            self.has_let_go = true;
        }
    }

    fn write(&mut self, world: &mut World) {
        let (Some(connection), now) = (self.connection, world.now()) else { return };
        let may = |side: &Self| {
            side.can_write
                && side.closed.is_none()
                && !side.has_shut_down
                && !side.has_let_go
                && now >= side.writes_from
                && (side.at_end || !side.conduct.waits_for_end)
        };
        while may(self) {
            let stack = world.stack(self.host);
            if let End::Abort(after) = self.conduct.end
                && self.write.position >= after.min(self.write.length)
            {
                stack.tcp_abort(connection, now);
                stack.tcp_release(connection, now);
                self.has_let_go = true;
                return;
            }
            let mut data: Bytes = self.write.next(self.conduct.write_bytes);
            if data.is_empty() {
                stack.tcp_shutdown(connection, now);
                self.has_shut_down = true;
                return;
            }
            let offered = data.len();
            let taken = stack.tcp_write(connection, &mut data, now);
            assert_eq!(data.len(), offered - taken, "what did not fit stays");
            self.write.advance(taken);
            self.can_write = taken == offered;
            if let Some((after, rest)) = self.conduct.write_rests
                && self.write.position >= after
                && !self.has_rested
            {
                self.has_rested = true;
                self.writes_from = now + rest;
                world.wake_at(self.writes_from);
            }
        }
    }

    fn read(&mut self, world: &mut World) {
        let (Some(connection), now) = (self.connection, world.now()) else { return };
        while self.can_read && !self.at_end && !self.has_let_go && now >= self.reads_from {
            let stack = world.stack(self.host);
            if let End::Drop(after) = self.conduct.end
                && self.read.position >= after.min(self.read.length)
            {
                stack.tcp_release(connection, now);
                self.has_let_go = true;
                return;
            }
            let bytes_max = self.conduct.sip.map_or(usize::MAX, |(bytes, _)| bytes);
            let Some(data) = stack.tcp_read(connection, bytes_max, now) else {
                self.can_read = false;
                self.at_end = stack.tcp_is_at_end(connection);
                let is_whole = self.read.position == self.read.length || self.peer_drops;
                assert!(!self.at_end || is_whole, "the end came after {} bytes", self.read.position);
                return;
            };
            assert!(data.len() <= bytes_max, "more than was asked for");
            self.read.compare(&data);
            self.rest(world, now);
        }
    }

    /// After a read: until when the next one waits.
    fn rest(&mut self, world: &mut World, now: Instant) {
        if let Some((_, rest)) = self.conduct.sip {
            self.reads_from = now + rest;
        }
        if let Some((after, rest)) = self.conduct.stalls
            && self.read.position >= after
            && !self.has_stalled
        {
            self.has_stalled = true;
            self.reads_from = self.reads_from.max(now + rest);
        }
        if self.reads_from > now {
            world.wake_at(self.reads_from);
        }
    }

    /// Bytes written and read: what progress is.
    pub(super) fn progress(&self) -> u64 {
        self.write.position + self.read.position + u64::from(self.at_end) + u64::from(self.has_let_go)
    }

    /// Whether it wrote, read and ended all that the model says.
    pub(super) fn is_complete(&self) -> bool {
        self.at_end && self.has_shut_down && self.closed == Some(CloseReason::Finished)
    }
}
