//! Datagrams of a UDP socket.

use super::table::{Answer, Datagrams};
use crate::run::World;
use packet::Bytes;
use stack::{BindError, Binding, Datagram, SendError};
use std::net::SocketAddr;

impl Datagrams {
    pub(super) fn bind(&mut self, world: &mut World, wanted: SocketAddr) -> Answer {
        match world.stack.udp_bind(Binding::Address(wanted)) {
            Ok(id) => {
                self.id = Some(id);
                self.local = match world.stack.udp_binding(id) {
                    Some(Binding::Address(local)) => Some(local),
                    _ => None,
                };
                Answer::Returns(0)
            }
            Err(BindError::InUse) => Answer::Fails("EADDRINUSE"),
            Err(_) => Answer::Fails("EADDRNOTAVAIL"),
        }
    }

    /// Binds a socket that is not, to a port of the stack's choice.
    fn ensure_bound(&mut self, world: &mut World) -> Answer {
        if self.id.is_some() {
            return Answer::Returns(0);
        }
        self.bind(world, SocketAddr::new(world.local.ip(), 0))
    }

    pub(super) fn connect(&mut self, world: &mut World, remote: SocketAddr) -> Answer {
        self.remote = Some(remote);
        self.ensure_bound(world)
    }

    pub(super) fn send(
        &mut self,
        world: &mut World,
        config: &tcp::Config,
        length: usize,
        to: Option<SocketAddr>,
    ) -> Answer {
        let Some(remote) = to.or(self.remote) else { return Answer::Fails("EDESTADDRREQ") };
        let bound = self.ensure_bound(world);
        let (Some(id), Some(local)) = (self.id, self.local) else { return bound };
        world.stack.udp_set_traffic_class(id, config.dscp << 2);
        world.stack.udp_set_path_discovery(id, config.path_discovery);
        let datagram = Datagram::new(local, remote, Bytes::from(vec![0; length]));
        match world.stack.udp_send(id, datagram, world.now) {
            Ok(()) => Answer::Returns(length as i64),
            Err(SendError::TooLarge | SendError::TooBig { .. }) => Answer::Fails("EMSGSIZE"),
            Err(SendError::NoRoute) => Answer::Fails("ENETUNREACH"),
            Err(SendError::QueueFull) => Answer::Fails("ENOBUFS"),
            Err(_) => Answer::Fails("EINVAL"),
        }
    }

    /// The length of the next datagram, cut to `most`; one from somebody else than the connected peer is passed over.
    pub(super) fn receive(&mut self, world: &mut World, most: usize) -> Option<usize> {
        self.look(world);
        self.waiting.pop_front().map(|length| length.min(most))
    }

    /// Whether a datagram waits.
    pub(super) fn look(&mut self, world: &mut World) -> bool {
        let Some(id) = self.id else { return false };
        while let Some(datagram) = world.stack.udp_receive(id) {
            if self.remote.is_none_or(|remote| remote == datagram.remote) {
                self.waiting.push_back(datagram.payload.len());
            }
        }
        !self.waiting.is_empty()
    }
}
