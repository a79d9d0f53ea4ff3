//! Fast Open as programs ask for it: MSG_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN.

use super::call::Refused;
use super::open::connect_error;
use super::table::{Answer, Descriptor, Kind, Progress, Sockets, Status};
use crate::profile::Profile;
use crate::run::World;
use crate::settings::{FAST_OPEN_ALL_LISTENERS, FAST_OPEN_CLIENT, FAST_OPEN_SERVER};
use packet::Bytes;
use stack::ListenerId;
use std::net::SocketAddr;
use std::sync::Arc;

/// A listener may take data in SYNs, as its socket and the system say.
pub(super) fn listen_fast(world: &mut World, id: ListenerId, backlog: usize, held: &Descriptor) {
    let (current, previous) = world.settings.fast_open_keys;
    world.stack.set_fast_open_keys(current, previous);
    let flags = world.settings.fast_open;
    let asked = held.remembered.get("TCP_FASTOPEN").copied();
    let pending_max = match (asked, world.profile) {
        _ if flags & FAST_OPEN_SERVER == 0 => 0,
        (Some(on), Profile::FreeBsd) => usize::from(on != 0) * backlog,
        (Some(pending_max), Profile::Linux) => usize::try_from(pending_max).unwrap_or(0),
        (None, _) if flags & FAST_OPEN_ALL_LISTENERS != 0 => backlog,
        (None, _) => 0,
    };
    world.stack.tcp_set_fast_open(id, pending_max);
}

impl Sockets {
    /// TCP_FASTOPEN of a listener that listens already; else what it says is remembered until then.
    pub(super) fn set_fast_open(&mut self, world: &mut World, descriptor: i64, value: i64) -> Refused {
        let held = self.held(descriptor)?;
        held.remembered.insert("TCP_FASTOPEN".to_owned(), value);
        if let Kind::Listening { id, .. } = held.kind {
            let backlog = held.remembered.get("backlog").copied().unwrap_or(1);
            listen_fast(world, id, usize::try_from(backlog).unwrap_or(1), held);
        }
        Ok(Answer::Returns(0))
    }

    /// connect() on a socket with TCP_FASTOPEN_CONNECT: where the SYN could take data along it waits for that, and else
    /// leaves with the request for a cookie. Whether it waits; `None` where the option is not set.
    pub(super) fn connect_lazily(
        &mut self,
        world: &mut World,
        descriptor: i64,
        remote: SocketAddr,
    ) -> Result<Option<bool>, Answer> {
        let held = self.held(descriptor)?;
        let lazy = held.remembered.get("TCP_FASTOPEN_CONNECT").is_some_and(|on| *on != 0);
        let Kind::Fresh { bound } = held.kind else { return Ok(None) };
        if !lazy || world.settings.fast_open & FAST_OPEN_CLIENT == 0 {
            return Ok(None);
        }
        if world.stack.tcp_fast_open_room(bound, remote, world.now).is_some() {
            held.lazy = Some(remote);
            return Ok(Some(true));
        }
        let mut nothing = Bytes::new();
        self.open_fast(world, descriptor, remote, &mut nothing)?;
        Ok(Some(false))
    }

    /// A write to a socket that is not connected: its SYN takes along what it can.
    pub(super) fn send_fast(
        &mut self,
        world: &mut World,
        descriptor: i64,
        remote: SocketAddr,
        length: usize,
        wait: bool,
        progress: &mut Progress,
    ) -> Refused {
        let held = self.held(descriptor)?;
        let Kind::Fresh { bound } = held.kind else { return Ok(Answer::Fails("EISCONN")) };
        let implied = world.profile == Profile::FreeBsd;
        let asked = !implied || held.remembered.get("TCP_FASTOPEN").is_some_and(|on| *on != 0);
        let fast = asked && world.settings.fast_open & FAST_OPEN_CLIENT != 0;
        if !fast && !implied {
            return Ok(Answer::Fails("EOPNOTSUPP"));
        }
        let room = world.stack.tcp_fast_open_room(bound, remote, world.now).unwrap_or(0);
        // FreeBSD keeps all of it. Linux keeps what leaves with the SYN, and the rest when the connection is there.
        let taken = if implied { length } else { length.min(room) };
        let mut data = Bytes::from(vec![0; taken]);
        if fast {
            self.open_fast(world, descriptor, remote, &mut data)?;
        } else {
            self.open_plainly(world, descriptor, remote, &mut data)?;
        }
        progress.started = true;
        progress.bytes = taken - data.len();
        Ok(match progress.bytes {
            bytes if implied || bytes == length => Answer::Returns(bytes as i64),
            _ if wait => Answer::Blocks(None),
            0 => Answer::Fails("EINPROGRESS"),
            bytes => Answer::Returns(bytes as i64),
        })
    }

    fn open_fast(
        &mut self,
        world: &mut World,
        descriptor: i64,
        remote: SocketAddr,
        data: &mut Bytes,
    ) -> Result<(), Answer> {
        let held = self.held(descriptor)?;
        let Kind::Fresh { bound } = held.kind else { return Err(Answer::Fails("EISCONN")) };
        let config = Arc::new(held.config.clone());
        match world.stack.tcp_connect_fast(bound, remote, data, config, world.now) {
            Ok(id) => {
                (held.kind, held.lazy) = (Kind::Stream(id), None);
                self.statuses.insert(id, Status::default());
                Ok(())
            }
            Err(error) => Err(connect_error(error, remote).unwrap_or_else(|answer| answer)),
        }
    }

    fn open_plainly(
        &mut self,
        world: &mut World,
        descriptor: i64,
        remote: SocketAddr,
        data: &mut Bytes,
    ) -> Result<(), Answer> {
        let held = self.held(descriptor)?;
        let Kind::Fresh { bound } = held.kind else { return Err(Answer::Fails("EISCONN")) };
        let config = Arc::new(held.config.clone());
        match world.stack.tcp_connect(bound, remote, config, world.now) {
            Ok(id) => {
                held.kind = Kind::Stream(id);
                self.statuses.insert(id, Status::default());
                world.stack.tcp_write(id, data, world.now);
                Ok(())
            }
            Err(error) => Err(connect_error(error, remote).unwrap_or_else(|answer| answer)),
        }
    }
}
