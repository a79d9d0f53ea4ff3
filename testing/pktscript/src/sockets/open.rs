//! Opening and closing: bind, listen, connect, accept, shutdown, close.

use super::call::{Refused, unsupported};
use super::fast_open::listen_fast;
use super::table::{Answer, Descriptor, Kind, Progress, Sockets, Status};
use super::value::{O_NONBLOCK, address, number};
use crate::profile::Profile;
use crate::run::World;
use crate::syntax::{Call, Value};
use stack::{BindError, Binding, ConnectError, Listen, ListenerId, TcpId};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

impl Sockets {
    pub(super) fn bind(&mut self, world: &mut World, descriptor: i64, arguments: &[Value]) -> Refused {
        let wanted = address(arguments.get(1), world.local).map_err(unsupported)?;
        let held = self.held(descriptor)?;
        match &mut held.kind {
            Kind::Fresh { bound } if bound.is_none() => {
                *bound = Some(wanted);
                Ok(Answer::Returns(0))
            }
            Kind::Datagram(datagrams) if datagrams.id.is_none() => {
                let answer = datagrams.bind(world, wanted);
                self.datagram_subject = Some(descriptor);
                Ok(answer)
            }
            Kind::Fresh { .. } | Kind::Datagram(_) | Kind::Listening { .. } | Kind::Stream(_) => {
                Ok(Answer::Fails("EINVAL"))
            }
            Kind::Epoll(_) => Ok(Answer::Fails("ENOTSOCK")),
        }
    }

    pub(super) fn listen(&mut self, world: &mut World, descriptor: i64, arguments: &[Value]) -> Refused {
        let backlog = number(arguments.get(1)).map_err(unsupported)?;
        let held = self.held(descriptor)?;
        let Kind::Fresh { bound } = held.kind else {
            let again = matches!(held.kind, Kind::Listening { .. });
            return Ok(if again { Answer::Returns(0) } else { Answer::Fails("EINVAL") });
        };
        let Some(bound) = bound else {
            return Err(Answer::Unsupported("listen() on a socket that is not bound".to_owned()));
        };
        let backlog = usize::try_from(backlog).unwrap_or(0).saturating_add(1);
        match start_listening(world, bound, backlog, held) {
            Ok(id) => {
                held.remembered.insert("backlog".to_owned(), backlog as i64);
                held.kind = Kind::Listening { id, bound, ready: VecDeque::new() };
                self.fresh_listener = Some(match bound.ip().is_unspecified() {
                    true => SocketAddr::new(world.local.ip(), bound.port()),
                    false => bound,
                });
                world.flows.subject = None;
                Ok(Answer::Returns(0))
            }
            Err(BindError::InUse) => Ok(Answer::Fails("EADDRINUSE")),
            Err(BindError::NotLocal) => Ok(Answer::Fails("EADDRNOTAVAIL")),
            Err(error) => Err(Answer::Unsupported(format!("listen(): {error}"))),
        }
    }

    pub(super) fn connect(
        &mut self,
        world: &mut World,
        descriptor: i64,
        arguments: &[Value],
        progress: &mut Progress,
    ) -> Refused {
        let remote = address(arguments.get(1), world.remote).map_err(unsupported)?;
        let held = self.held(descriptor)?;
        let nonblocking = held.nonblocking;
        match &mut held.kind {
            Kind::Datagram(datagrams) => {
                let answer = datagrams.connect(world, remote);
                self.datagram_subject = Some(descriptor);
                Ok(answer)
            }
            Kind::Stream(id) => {
                let id = *id;
                Ok(self.connect_again(id, nonblocking, progress, world.profile))
            }
            Kind::Fresh { .. } if held.lazy.is_some() => Ok(Answer::Fails("EISCONN")),
            Kind::Fresh { bound } => {
                let (bound, config) = (*bound, Arc::new(held.config.clone()));
                match self.connect_lazily(world, descriptor, remote)? {
                    Some(true) => return Ok(Answer::Returns(0)),
                    Some(false) => {
                        progress.started = true;
                        return Ok(if nonblocking {
                            Answer::Fails("EINPROGRESS")
                        } else {
                            Answer::Blocks(None)
                        });
                    }
                    None => {}
                }
                let held = self.held(descriptor)?;
                let id = match world.stack.tcp_connect(bound, remote, config, world.now) {
                    Ok(id) => id,
                    Err(error) => return connect_error(error, remote),
                };
                held.kind = Kind::Stream(id);
                self.statuses.insert(id, Status::default());
                progress.started = true;
                Ok(if nonblocking { Answer::Fails("EINPROGRESS") } else { Answer::Blocks(None) })
            }
            Kind::Listening { .. } => Ok(Answer::Fails("EISCONN")),
            Kind::Epoll(_) => Ok(Answer::Fails("ENOTSOCK")),
        }
    }

    fn connect_again(
        &mut self,
        id: TcpId,
        nonblocking: bool,
        progress: &Progress,
        profile: Profile,
    ) -> Answer {
        let status = self.statuses.entry(id).or_default();
        if let Some(error) = status.error.take() {
            status.told = true;
            return Answer::Fails(error);
        }
        if status.closed && !status.told {
            return Answer::Fails("ECONNABORTED");
        }
        if status.established {
            let first = !std::mem::replace(&mut status.told, true);
            // Linux tells once that a connection under way has succeeded.
            let succeeds = progress.started || (first && profile == Profile::Linux);
            return if succeeds { Answer::Returns(0) } else { Answer::Fails("EISCONN") };
        }
        if progress.started || !nonblocking { Answer::Blocks(None) } else { Answer::Fails("EALREADY") }
    }

    pub(super) fn accept(&mut self, world: &World, descriptor: i64, call: &Call) -> Refused {
        let flags =
            if call.name == "accept4" { number(call.arguments.get(3)).map_err(unsupported)? } else { 0 };
        let held = self.held(descriptor)?;
        let nonblocking = held.nonblocking;
        let Kind::Listening { ready, .. } = &mut held.kind else { return Ok(Answer::Fails("EINVAL")) };
        let Some(id) = ready.pop_front() else {
            return Ok(if nonblocking { Answer::Fails("EAGAIN") } else { Answer::Blocks(None) });
        };
        let accepted = Descriptor {
            kind: Kind::Stream(id),
            nonblocking: flags & O_NONBLOCK != 0 || (nonblocking && world.profile == Profile::FreeBsd),
            config: held.config.clone(),
            keep_alive: held.keep_alive,
            receive_told: held.receive_told,
            send_told: held.send_told,
            linger: held.linger,
            lazy: None,
            remembered: held.remembered.clone(),
        };
        Ok(self.open(call, accepted))
    }

    pub(super) fn shutdown(&mut self, world: &mut World, descriptor: i64, arguments: &[Value]) -> Refused {
        let how = number(arguments.get(1)).map_err(unsupported)?;
        let held = self.held(descriptor)?;
        let Kind::Stream(id) = held.kind else { return Ok(Answer::Fails("ENOTCONN")) };
        let status = self.statuses.entry(id).or_default();
        if status.closed || !status.established {
            return Ok(Answer::Fails("ENOTCONN"));
        }
        if how != 0 {
            status.write_shut = true;
            world.stack.tcp_shutdown(id, world.now);
        }
        status.read_shut |= how != 1;
        Ok(Answer::Returns(0))
    }

    pub(super) fn close(&mut self, world: &mut World, descriptor: i64) -> Answer {
        let Some(held) = self.descriptors.remove(&descriptor) else { return Answer::Fails("EBADF") };
        match held.kind {
            Kind::Fresh { .. } | Kind::Epoll(_) => {}
            Kind::Stream(id) => {
                if held.linger == Some(0) {
                    world.stack.tcp_abort(id, world.now);
                }
                world.stack.tcp_release(id, world.now);
                self.released.push(id);
            }
            Kind::Listening { id, ready, .. } => {
                world.stack.tcp_unlisten(id);
                for waiting in ready {
                    world.stack.tcp_abort(waiting, world.now);
                    world.stack.tcp_release(waiting, world.now);
                }
            }
            Kind::Datagram(datagrams) => {
                if let Some(id) = datagrams.id {
                    world.stack.udp_close(id);
                }
            }
        }
        for other in self.descriptors.values_mut() {
            if let Kind::Epoll(watches) = &mut other.kind {
                watches.remove(&descriptor);
            }
        }
        Answer::Returns(0)
    }

    /// A listener whose options changed listens anew with them. SYNs that were answered keep what they have.
    pub(super) fn listen_again(&mut self, world: &mut World, descriptor: i64) -> Result<(), Answer> {
        let held = self.held(descriptor)?;
        let backlog = held.remembered.get("backlog").copied().unwrap_or(1);
        let Kind::Listening { id, bound, .. } = &mut held.kind else { return Ok(()) };
        world.stack.tcp_unlisten(*id);
        let backlog = usize::try_from(backlog).unwrap_or(1);
        let bound = *bound;
        let anew = start_listening(world, bound, backlog, held)
            .map_err(|error| Answer::Unsupported(format!("listen(): {error}")))?;
        if let Kind::Listening { id, .. } = &mut held.kind {
            *id = anew;
        }
        Ok(())
    }
}

fn start_listening(
    world: &mut World,
    bound: SocketAddr,
    backlog: usize,
    held: &Descriptor,
) -> Result<ListenerId, BindError> {
    let is_set = |option: &str| held.remembered.get(option).is_some_and(|value| *value != 0);
    let binding = Binding::to(bound, is_set("IPV6_V6ONLY"));
    let listen = Listen { binding, defer: false, backlog, config: Arc::new(held.config.clone()) };
    let id = if is_set("SO_REUSEPORT") {
        world.stack.tcp_listen_shared(listen)?
    } else {
        world.stack.tcp_listen(listen)?
    };
    listen_fast(world, id, backlog, held);
    Ok(id)
}

/// What a program is told where no connection can be opened. Linux finds no way to what is not one host.
pub(super) fn connect_error(error: ConnectError, remote: SocketAddr) -> Refused {
    let groups = remote.ip().is_multicast() || remote.ip() == Ipv4Addr::BROADCAST;
    match error {
        ConnectError::BadRemote if groups => Ok(Answer::Fails("ENETUNREACH")),
        ConnectError::NoRoute => Ok(Answer::Fails("ENETUNREACH")),
        ConnectError::NotLocal | ConnectError::NoPort => Ok(Answer::Fails("EADDRNOTAVAIL")),
        ConnectError::InUse => Ok(Answer::Fails("EADDRINUSE")),
        ConnectError::BadRemote => Ok(Answer::Fails("ECONNREFUSED")),
        other => Err(Answer::Unsupported(format!("connect(): {other}"))),
    }
}
