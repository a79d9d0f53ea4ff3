//! Calls that never wait: opening, naming, closing and watching descriptors. Each fails with the number of its error.

use crate::machine::Machine;
use crate::sockets::Kind;
use stack::{BindError, Binding, Listen};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;
use time::Instant;

impl Machine {
    /// `socket`, of a stream.
    pub fn socket(&mut self, nonblocking: bool) -> Result<RawFd, i32> {
        self.sockets.open(Kind::Fresh { bound: None }, nonblocking)
    }

    /// `bind`.
    pub fn bind(&mut self, descriptor: RawFd, address: SocketAddr) -> Result<(), i32> {
        match &mut self.sockets.find(descriptor)?.kind {
            Kind::Fresh { bound: bound @ None } => *bound = Some(address),
            Kind::Fresh { .. } | Kind::Listening { .. } | Kind::Stream(_) => return Err(libc::EINVAL),
            Kind::Epoll(_) => return Err(libc::ENOTSOCK),
        }
        Ok(())
    }

    /// `listen`.
    pub fn listen(&mut self, descriptor: RawFd, backlog: i32) -> Result<(), i32> {
        let socket = self.sockets.find(descriptor)?;
        let bound = match socket.kind {
            Kind::Fresh { bound: Some(bound) } => bound,
            Kind::Fresh { bound: None } => return Err(libc::EADDRNOTAVAIL),
            Kind::Listening { .. } => return Ok(()),
            Kind::Stream(_) => return Err(libc::EINVAL),
            Kind::Epoll(_) => return Err(libc::ENOTSOCK),
        };
        let backlog = usize::try_from(backlog).unwrap_or(0).saturating_add(1);
        let config = Arc::new(socket.config.clone());
        let listen = Listen { binding: Binding::to(bound, true), defer: false, backlog, config };
        let made = match socket.shares_port {
            true => self.stack.tcp_listen_shared(listen),
            false => self.stack.tcp_listen(listen),
        };
        let id = made.map_err(|error| match error {
            BindError::InUse => libc::EADDRINUSE,
            BindError::NotLocal => libc::EADDRNOTAVAIL,
            _ => libc::ENOBUFS,
        })?;
        socket.kind = Kind::Listening { id, ready: VecDeque::new() };
        Ok(())
    }

    /// `shutdown`.
    pub fn shutdown(&mut self, descriptor: RawFd, how: i32) -> Result<(), i32> {
        let id = self.sockets.stream(descriptor)?;
        if !matches!(how, libc::SHUT_RD | libc::SHUT_WR | libc::SHUT_RDWR) {
            return Err(libc::EINVAL);
        }
        let status = self.sockets.status(id);
        if status.closed || !status.established {
            return Err(libc::ENOTCONN);
        }
        status.read_shut |= how != libc::SHUT_WR;
        if how != libc::SHUT_RD {
            self.stack.tcp_shutdown(id, self.now);
        }
        Ok(())
    }

    /// `close`.
    pub fn close(&mut self, descriptor: RawFd) -> Result<(), i32> {
        let gone = self.sockets.close(descriptor).ok_or(libc::EBADF)?;
        let now = self.now;
        match gone.kind {
            Kind::Fresh { .. } | Kind::Epoll(_) => {}
            Kind::Stream(id) => {
                if gone.linger_secs == Some(0) {
                    self.stack.tcp_abort(id, now);
                }
                self.stack.tcp_release(id, now);
            }
            Kind::Listening { id, ready } => {
                self.stack.tcp_unlisten(id);
                for waiting in ready {
                    self.stack.tcp_abort(waiting, now);
                    self.stack.tcp_release(waiting, now);
                }
            }
        }
        Ok(())
    }

    /// Whether calls on a descriptor fail rather than wait.
    pub fn is_nonblocking(&mut self, descriptor: RawFd) -> Result<bool, i32> {
        self.sockets.find(descriptor).map(|socket| socket.nonblocking)
    }

    /// Says whether calls on a descriptor fail rather than wait.
    pub fn set_nonblocking(&mut self, descriptor: RawFd, on: bool) -> Result<(), i32> {
        self.sockets.find(descriptor).map(|socket| socket.nonblocking = on)
    }

    /// Bytes that can be read.
    pub fn readable(&mut self, descriptor: RawFd) -> Result<usize, i32> {
        Ok(self.stack.tcp_readable(self.sockets.stream(descriptor)?))
    }

    /// Bytes that wait to be sent or acknowledged.
    pub fn unacknowledged(&mut self, descriptor: RawFd) -> Result<usize, i32> {
        let id = self.sockets.stream(descriptor)?;
        Ok(self.stack.tcp_info(id, self.now).map_or(0, |info| info.queued_bytes as usize))
    }

    /// When a wait of so many milliseconds ends; never, where they are negative.
    pub fn deadline_in(&self, timeout_ms: i32) -> Option<Instant> {
        u64::try_from(timeout_ms).ok().map(|ms| self.now + Duration::from_millis(ms))
    }

    /// `epoll_create`.
    pub fn epoll_create(&mut self) -> Result<RawFd, i32> {
        self.sockets.open(Kind::Epoll(BTreeMap::new()), false)
    }

    /// `epoll_ctl`, level-triggered only.
    pub fn epoll_control(
        &mut self,
        epoll: RawFd,
        operation: i32,
        descriptor: RawFd,
        wanted: (u32, u64),
    ) -> Result<(), i32> {
        if epoll == descriptor {
            return Err(libc::EINVAL);
        }
        self.sockets.find(descriptor)?;
        let Kind::Epoll(watched) = &mut self.sockets.find(epoll)?.kind else { return Err(libc::EINVAL) };
        let is_watched = watched.contains_key(&descriptor);
        let triggers = (libc::EPOLLET | libc::EPOLLONESHOT) as u32;
        match operation {
            libc::EPOLL_CTL_DEL if is_watched => drop(watched.remove(&descriptor)),
            libc::EPOLL_CTL_ADD if is_watched => return Err(libc::EEXIST),
            libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD if wanted.0 & triggers != 0 => {
                return Err(libc::EOPNOTSUPP);
            }
            libc::EPOLL_CTL_ADD => drop(watched.insert(descriptor, wanted)),
            libc::EPOLL_CTL_MOD if is_watched => drop(watched.insert(descriptor, wanted)),
            libc::EPOLL_CTL_DEL | libc::EPOLL_CTL_MOD => return Err(libc::ENOENT),
            _ => return Err(libc::EINVAL),
        }
        Ok(())
    }
}
