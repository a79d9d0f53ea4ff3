//! What the guard tells: who calls connect, and who makes sockets for datagrams. Each is looked at while it waits in its
//! call, when it can neither end nor become another program.
//!
//! A SYN leaves within connect, so its program is known by the socket, whoever has that by the time the SYN is looked at. A
//! datagram is sent by a call that nothing holds: who has the socket is told, but only where it is the program that made
//! it. One that has it through exec, from a parent that was another, or over a Unix socket, is not.

use super::asker::Asker;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

/// How many sockets are remembered: the latest.
pub const SOCKETS_MAX: usize = 4_096;

/// How many programs that make sockets for datagrams are remembered; one that is forgotten counts as another for all.
pub const MAKERS_MAX: usize = 64;

/// A connection's ends, the program's own first.
type Ends = (SocketAddr, SocketAddr);

/// See the module. Sockets are named by their inodes.
#[derive(Debug, Default)]
pub struct Callers {
    sockets: HashMap<u32, Socket>,
    /// The oldest first; some may be forgotten already.
    order: VecDeque<u32>,
    /// How many sockets for datagrams have been made.
    made: u64,
    /// Who has made some, each with the number of its latest; the longest ago first.
    makers: VecDeque<(Option<Asker>, u64)>,
    /// The number of the latest by one that is forgotten.
    forgotten: u64,
}

#[derive(Debug)]
struct Socket {
    /// Who connects it, or has made it; `None` where that could not be told.
    by: Option<Asker>,
    /// The connection whose SYN was looked at.
    ends: Option<Ends>,
}

impl Callers {
    /// A TCP socket is about to be connected. Where another program did so before, and its SYN has not been looked at, the
    /// next may be either's.
    pub fn handle_connect(&mut self, inode: u32, by: Option<Asker>) {
        let pending = self.sockets.get(&inode).filter(|socket| socket.ends.is_none());
        let is_one = pending.is_none_or(|pending| match (&pending.by, &by) {
            (Some(one), Some(other)) => one.is_same_program(other),
            _ => false,
        });
        self.insert(inode, by.filter(|_| is_one));
    }

    /// A TCP socket is connected no more. What it sends next is of no call that was looked at.
    pub fn handle_disconnect(&mut self, inode: u32) {
        self.sockets.remove(&inode);
    }

    /// A socket for datagrams is made.
    pub fn handle_make(&mut self, inode: u32, by: Option<Asker>) {
        self.made += 1;
        self.makers.retain(|(maker, _)| match (maker, &by) {
            (Some(maker), Some(by)) => !maker.is_same_program(by),
            (maker, by) => maker.is_some() || by.is_some(),
        });
        self.makers.push_back((by.clone(), self.made));
        if self.makers.len() > MAKERS_MAX
            && let Some((_, latest)) = self.makers.pop_front()
        {
            self.forgotten = latest;
        }
        self.insert(inode, by);
    }

    fn insert(&mut self, inode: u32, by: Option<Asker>) {
        if self.sockets.insert(inode, Socket { by, ends: None }).is_some() {
            return;
        }
        self.order.push_back(inode);
        if self.order.len() > SOCKETS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.sockets.remove(&oldest);
        }
    }

    /// Who connected the socket, whose SYN, or something behind it, is here.
    pub fn find_connecting(&mut self, inode: u32, ends: Ends) -> Option<Asker> {
        let socket = self.sockets.get_mut(&inode)?;
        let known = *socket.ends.get_or_insert(ends);
        socket.by.clone().filter(|_| known == ends)
    }

    /// How many sockets for datagrams have been made.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// The number of the latest that was made by another program than this socket; of the latest of all where its maker is not
    /// known.
    pub fn made_by_others(&self, inode: u32) -> u64 {
        let Some(own) = self.sockets.get(&inode).and_then(|socket| socket.by.as_ref()) else {
            return self.made;
        };
        let is_other =
            |maker: &Option<Asker>| !maker.as_ref().is_some_and(|maker| maker.is_same_program(own));
        let others = self.makers.iter().rev().find(|(maker, _)| is_other(maker));
        others.map_or(self.forgotten, |(_, latest)| *latest)
    }

    /// Whether the socket was made by this program.
    pub fn is_made_by(&self, inode: u32, program: &Asker) -> bool {
        let by = self.sockets.get(&inode).and_then(|socket| socket.by.as_ref());
        by.is_some_and(|by| by.is_same_program(program))
    }
}
