//! Calls that may wait: what each does, and whether it is done.

use crate::machine::Machine;
use crate::sockets::{Kind, Status};
use packet::Bytes;
use stack::{ConnectError, TcpId};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use time::Instant;

/// A call that may have to wait.
#[derive(Debug)]
pub enum Call {
    /// Of a listener.
    Accept(RawFd),
    /// Of a fresh socket, or once more; whether the SYN is this call's.
    Connect {
        /// The socket.
        descriptor: RawFd,
        /// Where to.
        remote: SocketAddr,
        /// Whether the SYN is this call's.
        started: bool,
    },
    /// At most so many bytes.
    Read {
        /// The socket.
        descriptor: RawFd,
        /// How many.
        length: usize,
    },
    /// All of the bytes.
    Write {
        /// The socket.
        descriptor: RawFd,
        /// What has not been taken yet.
        data: Bytes,
        /// How many have been.
        written: usize,
    },
    /// Until one of the descriptors is ready for one of its events.
    Poll {
        /// Descriptors, and events.
        watched: Vec<(RawFd, i16)>,
        /// Until when.
        deadline: Option<Instant>,
    },
    /// Until something that an epoll descriptor watches is ready.
    EpollWait {
        /// The epoll descriptor.
        descriptor: RawFd,
        /// How many to tell of.
        count_max: usize,
        /// Until when.
        deadline: Option<Instant>,
    },
}

/// What a call returns, or the number of its error.
pub type Reply = Result<Answer, i32>;

/// What a call returns.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its value.
    pub value: i64,
    /// What was read.
    pub bytes: Vec<u8>,
    /// Who it came from.
    pub peer: Option<SocketAddr>,
    /// What `poll` says of each descriptor.
    pub ready: Vec<i16>,
    /// What `epoll_wait` says: events, and the word that was handed in.
    pub events: Vec<(u32, u64)>,
}

impl Answer {
    const fn of(value: i64) -> Self {
        Self { value, bytes: Vec::new(), peer: None, ready: Vec::new(), events: Vec::new() }
    }
}

impl Call {
    /// When it ends at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Poll { deadline, .. } | Self::EpollWait { deadline, .. } => *deadline,
            Self::Accept(_) | Self::Connect { .. } | Self::Read { .. } | Self::Write { .. } => None,
        }
    }

    /// What it returns where it may not wait.
    pub fn cut_short(&self) -> Reply {
        match self {
            Self::Accept(_) | Self::Read { .. } | Self::Write { written: 0, .. } => Err(libc::EAGAIN),
            Self::Write { written, .. } => Ok(Answer::of(*written as i64)),
            Self::Connect { started, .. } => Err(if *started { libc::EINPROGRESS } else { libc::EALREADY }),
            Self::Poll { watched, .. } => Ok(Answer { ready: vec![0; watched.len()], ..Answer::default() }),
            Self::EpollWait { .. } => Ok(Answer::default()),
        }
    }
}

impl Machine {
    /// Does as much of a call as can be done now; its answer, once it is done.
    pub(crate) fn attempt(&mut self, call: &mut Call) -> Option<Reply> {
        match call {
            Call::Accept(descriptor) => self.accept(*descriptor).transpose(),
            Call::Connect { descriptor, remote, started } => {
                self.connect(*descriptor, *remote, started).transpose()
            }
            Call::Read { descriptor, length } => self.read(*descriptor, *length).transpose(),
            Call::Write { descriptor, data, written } => {
                let done = self.write(*descriptor, data, written).transpose()?;
                Some(if *written > 0 { Ok(Answer::of(*written as i64)) } else { done })
            }
            Call::Poll { watched, deadline } => self.poll(watched, *deadline).map(Ok),
            Call::EpollWait { descriptor, count_max, deadline } => {
                self.epoll_wait(*descriptor, *count_max, *deadline).transpose()
            }
        }
    }

    fn accept(&mut self, descriptor: RawFd) -> Result<Option<Answer>, i32> {
        let Kind::Listening { ready, .. } = &mut self.sockets.find(descriptor)?.kind else {
            return Err(libc::EINVAL);
        };
        let Some(id) = ready.pop_front() else { return Ok(None) };
        let peer = self.stack.tcp_addresses(id).map(|(_, remote)| remote);
        let accepted = self.sockets.open_accepted(descriptor, id)?;
        Ok(Some(Answer { value: accepted.into(), peer, ..Answer::default() }))
    }

    fn connect(
        &mut self,
        descriptor: RawFd,
        remote: SocketAddr,
        started: &mut bool,
    ) -> Result<Option<Answer>, i32> {
        let now = self.now;
        let socket = self.sockets.find(descriptor)?;
        let id = match &socket.kind {
            Kind::Stream(id) => *id,
            Kind::Listening { .. } => return Err(libc::EISCONN),
            Kind::Epoll(_) => return Err(libc::ENOTSOCK),
            Kind::Fresh { bound } => {
                let config = Arc::new(socket.config.clone());
                let id = self.stack.tcp_connect(*bound, remote, config, now).map_err(connect_error)?;
                socket.kind = Kind::Stream(id);
                *started = true;
                id
            }
        };
        let status = self.sockets.status(id);
        if let Some(error) = status.error.take() {
            return Err(error);
        }
        match *status {
            Status { established: true, told, .. } => {
                status.told = true;
                if told && !*started { Err(libc::EISCONN) } else { Ok(Some(Answer::of(0))) }
            }
            Status { closed: true, .. } => Err(libc::ECONNABORTED),
            Status { .. } => Ok(None),
        }
    }

    fn read(&mut self, descriptor: RawFd, length: usize) -> Result<Option<Answer>, i32> {
        let id = self.sockets.stream(descriptor)?;
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let Some(more) = self.stack.tcp_read(id, length - bytes.len(), self.now) else { break };
            bytes.extend_from_slice(&more);
        }
        let at_end = self.stack.tcp_is_at_end(id);
        let status = self.sockets.status(id);
        if bytes.is_empty() && length > 0 {
            match status.error.take() {
                // A reset behind the end of the peer's data tells a writer, not a reader.
                Some(libc::EPIPE) | None => {}
                Some(error) => return Err(error),
            }
            if !(status.closed || status.read_shut || at_end) {
                return Ok(None);
            }
        }
        Ok(Some(Answer { value: bytes.len() as i64, bytes, ..Answer::default() }))
    }

    fn write(
        &mut self,
        descriptor: RawFd,
        data: &mut Bytes,
        written: &mut usize,
    ) -> Result<Option<Answer>, i32> {
        let id = match self.sockets.find(descriptor)?.kind {
            Kind::Stream(id) => id,
            Kind::Fresh { .. } | Kind::Listening { .. } => return Err(libc::EPIPE),
            Kind::Epoll(_) => return Err(libc::EINVAL),
        };
        let status = self.sockets.status(id);
        if let Some(error) = status.error.take() {
            return Err(error);
        }
        if status.closed || self.is_write_shut(id) {
            return Err(libc::EPIPE);
        }
        *written += self.stack.tcp_write(id, data, self.now);
        Ok(data.is_empty().then_some(Answer::of(0)))
    }

    /// Whether the sending side of a connection is closed.
    fn is_write_shut(&self, id: TcpId) -> bool {
        use tcp::State;
        self.stack.tcp_info(id, self.now).is_none_or(|info| {
            !matches!(info.state, State::SynSent | State::SynReceived | State::Established | State::CloseWait)
        })
    }

    fn poll(&self, watched: &[(RawFd, i16)], deadline: Option<Instant>) -> Option<Answer> {
        let always = libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
        let ready: Vec<i16> = watched
            .iter()
            .map(|&(descriptor, events)| match descriptor {
                ..0 => 0,
                _ => self.sockets.readiness(&self.stack, descriptor) & (events | always),
            })
            .collect();
        let count = ready.iter().filter(|ready| **ready != 0).count();
        let is_over = deadline.is_some_and(|deadline| deadline <= self.now);
        (count > 0 || is_over).then(|| Answer { value: count as i64, ready, ..Answer::default() })
    }

    fn epoll_wait(
        &mut self,
        descriptor: RawFd,
        count_max: usize,
        deadline: Option<Instant>,
    ) -> Result<Option<Answer>, i32> {
        let Kind::Epoll(watched) = &self.sockets.find(descriptor)?.kind else { return Err(libc::EINVAL) };
        let watched = watched.clone();
        let always = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
        let ready = watched.iter().filter_map(|(descriptor, (events, word))| {
            let ready = self.sockets.readiness(&self.stack, *descriptor) as u16;
            // The two calls number their events alike.
            let ready = u32::from(ready) & (events | always);
            (ready != 0).then_some((ready, *word))
        });
        let events: Vec<(u32, u64)> = ready.take(count_max).collect();
        let is_over = deadline.is_some_and(|deadline| deadline <= self.now);
        let is_done = !events.is_empty() || is_over;
        Ok(is_done.then(|| Answer { value: events.len() as i64, events, ..Answer::default() }))
    }
}

fn connect_error(error: ConnectError) -> i32 {
    match error {
        ConnectError::NoRoute => libc::ENETUNREACH,
        ConnectError::NotLocal | ConnectError::NoPort => libc::EADDRNOTAVAIL,
        ConnectError::InUse => libc::EADDRINUSE,
        ConnectError::BadRemote => libc::ECONNREFUSED,
        _ => libc::ENOBUFS,
    }
}
