//! The bytes of one connection, both ways: the program's side is a connection of our stack, the far side a
//! socket of the host's.
//!
//! ```text
//!   program ── our stack ── tcp_read ──> [first bytes inspected] ── pending ── write ──> host's socket   (up)
//!   program <── our stack <── tcp_write ──────────────────────────────────── read <──── host's socket   (down)
//! ```
//!
//! Nothing is buffered here but what one write left over: while the host's socket takes no more, nothing is read
//! from the stack, its window closes, and the program waits as it would on a slow network.

use super::cx::Traffic;
use super::inspection::{StreamInspection, Verdict};
use crate::inspect;
use crate::uplink::{Received, TcpSocket};
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
    ended: bool,
    bytes: u64,
}

#[derive(Debug, Default)]
struct Down {
    /// What the stack had no room for.
    pending: Bytes,
    /// Nothing waits in the host's socket until it reports again.
    drained: bool,
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

    /// Moves what can be moved now, while all connections together have `left` bytes left over.
    pub fn pump(&mut self, stack: &mut Stack, pool: &Pool, left: usize, now: Instant) -> Pumped {
        if let Some(error) = self.broken {
            return Pumped::Broken(error);
        }
        let take_max = if left < LEFT_BYTES_MAX { TAKE_BYTES_MAX } else { TAKE_BYTES_MIN };
        let up = self.pump_up(stack, take_max, now);
        if matches!(up, Pumped::Refused(_)) {
            return up;
        }
        let down = match (self.pump_down(stack, pool, now), up.clone()) {
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

    fn pump_up(&mut self, stack: &mut Stack, take_max: usize, now: Instant) -> Pumped {
        let mut moved = 0;
        while !self.up.ended && !self.up.blocked {
            if moved >= TURN_BYTES_MAX {
                return Pumped::More;
            }
            self.take(stack, take_max, now);
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

    /// Takes bytes from the stack, past the inspection while it is not over.
    fn take(&mut self, stack: &mut Stack, take_max: usize, now: Instant) {
        loop {
            // A ClientHello is read to its end, or to where the inspection refuses it.
            let inspected = *self.inspection.verdict() == Verdict::Wait;
            let room = if inspected { TAKE_BYTES_MAX } else { take_max };
            if self.up.pending.len() >= room {
                break;
            }
            let Some(chunk) = stack.tcp_read(self.connection, take_max, now) else { break };
            self.inspection.handle_bytes(&chunk);
            self.up.pending.push(chunk);
        }
        if stack.tcp_is_at_end(self.connection) {
            self.inspection.handle_end(!self.up.pending.is_empty());
        }
    }

    fn pump_down(&mut self, stack: &mut Stack, pool: &Pool, now: Instant) -> Result<bool, Errno> {
        let mut moved = 0;
        loop {
            if !self.down.pending.is_empty() {
                stack.tcp_write(self.connection, &mut self.down.pending, now);
                if !self.down.pending.is_empty() {
                    // The stack tells when there is room again.
                    return Ok(false);
                }
            }
            if self.down.ended || self.down.drained {
                return Ok(false);
            }
            if moved >= TURN_BYTES_MAX {
                return Ok(true);
            }
            match self.socket.read(pool)? {
                Received::Bytes(bytes, full) => {
                    moved += bytes.len();
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
