//! The bytes of one connection, both ways: the program's side is a connection of our stack, the far side a
//! socket of the host's.
//!
//! ```text
//!   program ── our stack ── tcp_read ──> [first bytes inspected] ── pending ── write ──> host's socket   (up)
//!   program <── our stack <── tcp_write ──────────────────────────────────── read <──── host's socket   (down)
//! ```
//!
//! Nothing is buffered here but what one write left over: while the host's socket takes no more, nothing is read
//! from the stack, its window closes, and the program waits as it would on a slow network. A direction that a limit holds
//! waits in the same way, on either side: nothing is read that may not be carried.

use super::cx::Traffic;
use super::inspection::{StreamInspection, Verdict};
use crate::inspect;
use crate::limits::{Direction, Limits};
use crate::uplink::{READ_BYTES_MAX, Received, TcpSocket};
use packet::{Bytes, Chain, Pool};
use rustix::io::Errno;
use stack::{Stack, TcpId};
use time::Instant;

/// How much is taken from the stack before it is written on, in bytes.
const TAKE_BYTES_MAX: usize = 512 * 1024;

/// The same once what all connections have left over exceeds [`LEFT_BYTES_MAX`].
const TAKE_BYTES_MIN: usize = 16 * 1024;

/// How many bytes all connections together may have left over before each takes less: what stalled far sides cost
/// beyond the stack's own buffers, which are bounded there. As many connections as there can be add 1 GB to it.
const LEFT_BYTES_MAX: usize = 64 << 20;

/// How many bytes one connection moves in one direction before the others have their turn.
const TURN_BYTES_MAX: usize = 1024 * 1024;

/// The same where a limit is shared: a connection takes no more of it at once than others can wait for.
const SHARE_BYTES_MAX: usize = 64 * 1024;

/// One connection while bytes flow.
#[derive(Debug)]
pub(super) struct Relay {
    connection: TcpId,
    socket: TcpSocket,
    inspection: StreamInspection,
    /// From the program to the far side.
    up: Up,
    /// From the far side to the program.
    down: Down,
    /// The far side's connection broke in the last turn.
    broken: Option<Errno>,
}

#[derive(Debug, Default)]
struct Up {
    /// What the last write left over.
    pending: Chain,
    blocked: bool,
    /// A limit lets nothing more be taken until its turn comes.
    held: bool,
    ended: bool,
    bytes: u64,
}

#[derive(Debug, Default)]
struct Down {
    /// What the stack had no room for.
    pending: Bytes,
    /// Nothing waits in the host's socket until it reports again.
    drained: bool,
    /// A limit lets nothing more be read until its turn comes.
    held: bool,
    /// The far side has closed, or a mark stands in its stream, so that a short read is not the last.
    interrupted: bool,
    ended: bool,
    bytes: u64,
}

/// What a turn of [`Relay::pump`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pumped {
    /// Nothing more can be done until something is reported.
    Waiting,
    /// There is more to do; it is the others' turn.
    More,
    /// Both directions have ended in order.
    Done,
    /// The far side's connection broke.
    Broken(Errno),
    /// The first bytes are not what the connection was opened for.
    Refused(inspect::Refusal),
}

impl Relay {
    /// A relay between an established connection and a connected socket, which is read once it reports.
    pub fn new(connection: TcpId, socket: TcpSocket, inspection: StreamInspection) -> Self {
        let down = Down { drained: true, ..Down::default() };
        Self { connection, socket, inspection, up: Up::default(), down, broken: None }
    }

    /// The host's socket reported.
    pub fn handle_readiness(&mut self, readiness: runtime::Readiness) {
        if readiness.readable {
            self.down.drained = false;
        }
        if readiness.writable {
            self.up.blocked = false;
        }
        self.down.interrupted |= readiness.ended || readiness.urgent;
    }

    /// Moves what can be moved now and what `limits` have room for, while all connections together have `left` bytes left
    /// over.
    pub fn pump(
        &mut self,
        stack: &mut Stack,
        pool: &Pool,
        left: usize,
        mut limits: Option<&mut Limits>,
        now: Instant,
    ) -> Pumped {
        if let Some(error) = self.broken {
            return Pumped::Broken(error);
        }
        let take_max = match (&limits, left < LEFT_BYTES_MAX) {
            (None, true) => TAKE_BYTES_MAX,
            (Some(_), true) => SHARE_BYTES_MAX,
            (_, false) => TAKE_BYTES_MIN,
        };
        let is_down_first = limits.as_ref().is_some_and(|limits| limits.first() == Direction::Down);
        let early = is_down_first.then(|| self.pump_down(stack, pool, limits.as_deref_mut(), now));
        let up = self.pump_up(stack, take_max, limits.as_deref_mut(), now);
        if matches!(up, Pumped::Refused(_)) {
            return up;
        }
        let down = early.unwrap_or_else(|| self.pump_down(stack, pool, limits, now));
        let down = match (down, up.clone()) {
            // What the far side sent before it broke was read just now: it leaves in this turn, the reset in the
            // next. A server that refuses an upload answers, closes, and resets in one go.
            (Err(error), _) | (Ok(_), Pumped::Broken(error)) => {
                self.broken = Some(error);
                return Pumped::More;
            }
            (Ok(more), _) => more,
        };
        if self.up.ended && self.down.ended {
            return Pumped::Done;
        }
        if up == Pumped::More || down { Pumped::More } else { Pumped::Waiting }
    }

    fn pump_up(
        &mut self,
        stack: &mut Stack,
        take_max: usize,
        mut limits: Option<&mut Limits>,
        now: Instant,
    ) -> Pumped {
        let turn_max = turn_bytes_max(limits.as_deref());
        let mut moved = 0;
        while !self.up.ended && !self.up.blocked {
            if moved >= turn_max {
                return Pumped::More;
            }
            self.take(stack, take_max, limits.as_deref_mut(), now);
            match self.inspection.verdict() {
                Verdict::Pass => {}
                Verdict::Wait => return Pumped::Waiting,
                Verdict::Refuse(refusal) => return Pumped::Refused(refusal.clone()),
            }
            let waiting = self.up.pending.len();
            if waiting == 0 {
                if stack.tcp_is_at_end(self.connection) {
                    self.socket.shutdown();
                    self.up.ended = true;
                }
                break;
            }
            match self.socket.write(&mut self.up.pending) {
                Ok(all) => self.up.blocked = !all,
                Err(error) => return Pumped::Broken(error),
            }
            let written = waiting - self.up.pending.len();
            self.up.bytes += written as u64;
            moved += written;
        }
        Pumped::Waiting
    }

    /// Takes bytes from the stack, past the inspection while it is not over. What is taken has left the limits, whether
    /// or not it may go on.
    fn take(&mut self, stack: &mut Stack, take_max: usize, mut limits: Option<&mut Limits>, now: Instant) {
        while !self.up.held {
            // A ClientHello is read to its end, or to where the inspection refuses it.
            let inspected = *self.inspection.verdict() == Verdict::Wait;
            let room = if inspected { TAKE_BYTES_MAX } else { take_max };
            if self.up.pending.len() >= room {
                break;
            }
            let bytes_max = match limits.as_deref_mut() {
                None => take_max,
                Some(_) if stack.tcp_readable(self.connection) == 0 => break,
                Some(limits) => bytes_max(limits, Direction::Up, take_max, now),
            };
            self.up.held = bytes_max == 0;
            if self.up.held {
                break;
            }
            let Some(chunk) = stack.tcp_read(self.connection, bytes_max, now) else { break };
            if let Some(limits) = limits.as_deref_mut() {
                limits.take(Direction::Up, chunk.len() as u64, now);
            }
            self.inspection.handle_bytes(&chunk);
            self.up.pending.push(chunk);
        }
        if stack.tcp_is_at_end(self.connection) {
            self.inspection.handle_end(!self.up.pending.is_empty());
        }
    }

    fn pump_down(
        &mut self,
        stack: &mut Stack,
        pool: &Pool,
        mut limits: Option<&mut Limits>,
        now: Instant,
    ) -> Result<bool, Errno> {
        let turn_max = turn_bytes_max(limits.as_deref());
        let mut moved = 0;
        loop {
            if !self.down.pending.is_empty() {
                stack.tcp_write(self.connection, &mut self.down.pending, now);
                if !self.down.pending.is_empty() {
                    // The stack tells when there is room again.
                    return Ok(false);
                }
            }
            if self.down.ended || self.down.drained || self.down.held {
                return Ok(false);
            }
            if moved >= turn_max {
                return Ok(true);
            }
            let bytes_max = match limits.as_deref_mut() {
                None => READ_BYTES_MAX,
                Some(limits) => bytes_max(limits, Direction::Down, READ_BYTES_MAX, now),
            };
            self.down.held = bytes_max == 0;
            if self.down.held {
                return Ok(false);
            }
            match self.socket.read(pool, bytes_max)? {
                Received::Bytes(bytes, full) => {
                    moved += bytes.len();
                    if let Some(limits) = limits.as_deref_mut() {
                        limits.take(Direction::Down, bytes.len() as u64, now);
                    }
                    self.down.bytes += bytes.len() as u64;
                    self.down.pending = bytes;
                    // A short read has emptied the socket, unless the end or a mark is behind it.
                    self.down.drained = !full && !self.down.interrupted;
                }
                Received::Empty => self.down.drained = true,
                Received::End => {
                    stack.tcp_shutdown(self.connection, now);
                    self.down.ended = true;
                }
            }
        }
    }

    /// Whether a limit holds this direction.
    pub fn is_held(&self, direction: Direction) -> bool {
        match direction {
            Direction::Up => self.up.held,
            Direction::Down => self.down.held,
        }
    }

    /// It is this direction's turn.
    pub fn release(&mut self, direction: Direction) {
        match direction {
            Direction::Up => self.up.held = false,
            Direction::Down => self.down.held = false,
        }
    }

    /// Bytes that went each way so far.
    pub fn traffic(&self) -> Traffic {
        Traffic { up: self.up.bytes, down: self.down.bytes }
    }

    /// Bytes from the program that the last write left over.
    pub fn left(&self) -> usize {
        self.up.pending.len()
    }

    /// Whether everything that the program sent has been handed to the host, and it will send no more.
    pub fn is_sent(&self) -> bool {
        self.up.ended
    }

    /// The program's side was reset: so is the far side.
    pub fn reset(self) {
        self.socket.reset();
    }
}

/// How many bytes one connection moves in one direction before the others have their turn.
fn turn_bytes_max(limits: Option<&Limits>) -> usize {
    if limits.is_none() { TURN_BYTES_MAX } else { SHARE_BYTES_MAX }
}

/// How many bytes may be taken now, at most `most`; 0 where they have to wait.
fn bytes_max(limits: &mut Limits, direction: Direction, most: usize, now: Instant) -> usize {
    let room = limits.room(direction, now);
    if room == 0 {
        limits.handle_waiting(direction, now);
    }
    usize::try_from(room).unwrap_or(usize::MAX).min(most)
}
