//! What the guard tells: who calls connect, and who makes sockets for datagrams. Each is looked at while it waits in its
//! call, when it can neither end nor become another program.
//!
//! A SYN leaves within connect, so its program is known by the socket, whoever has the socket by the time the SYN is
//! looked at. A datagram is sent by a call that nothing holds: who has the socket is told, but only where it has made such
//! a socket itself, as the program that it is. One that has it through exec, or from another over a Unix socket, has not.

use super::asker::{Asker, Known, Maker};
use std::collections::{HashMap, VecDeque};

/// How many connects are remembered: the latest.
const CONNECTS_MAX: usize = 1_024;
/// How many processes that make sockets for datagrams are remembered: the latest.
const MAKERS_MAX: usize = 1_024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Callers {
    connects: HashMap<u32, Connect>,
    /// The sockets' inodes, the oldest first.
    order: VecDeque<u32>,
    /// The latest first, each process once.
    makers: VecDeque<Maker>,
}

#[derive(Debug)]
struct Connect {
    /// `None` where that could not be told.
    by: Option<Asker>,
    /// Whether its SYN has been looked at.
    is_seen: bool,
}

impl Callers {
    /// The socket with this inode is about to be connected. Where another program did so before, and its SYN has not been
    /// looked at, the next may be either's.
    pub fn handle_connect(&mut self, inode: u32, by: Option<Asker>) {
        if let Some(known) = self.connects.get_mut(&inode) {
            let is_one = match (&known.by, &by) {
                (Some(one), Some(other)) => one.is_same_program(other),
                _ => false,
            };
            let by = by.filter(|_| known.is_seen || is_one);
            *known = Connect { by, is_seen: false };
            return;
        }
        if self.order.len() >= CONNECTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.connects.remove(&oldest);
        }
        self.order.push_back(inode);
        self.connects.insert(inode, Connect { by, is_seen: false });
    }

    /// Who connected the socket with this inode, whose SYN is here.
    pub fn find(&mut self, inode: u32) -> Option<Asker> {
        let connect = self.connects.get_mut(&inode)?;
        connect.is_seen = true;
        connect.by.clone()
    }

    /// A process makes a socket for datagrams. What it was before does not count any more.
    pub fn handle_maker(&mut self, maker: Maker) {
        self.forget_maker(&maker);
        self.makers.push_front(maker);
        self.makers.truncate(MAKERS_MAX);
    }

    /// A process was looked at that may have become another program meanwhile.
    pub fn forget_maker(&mut self, maker: &Maker) {
        self.makers.retain(|other| !other.is_same_process(maker));
    }

    /// Whether a process has made such a socket as the program that it is, or one above it has as the same.
    pub fn has_made(&self, known: &Known) -> bool {
        self.makers.iter().any(|maker| known.descends_from(maker))
    }
}
