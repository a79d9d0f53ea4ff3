//! UDP (RFC 768; RFC 8200 §8.1 for IPv6): sockets, what arrives at them, what they send.

mod options;
mod receive;
mod send;

use crate::bindings::{Bindings, plain};
use crate::slab::Slab;
use crate::stack::Stack;
use crate::{BindError, Binding, DATAGRAM_OVERHEAD_BYTES, Datagram, UdpId};
use alloc::collections::VecDeque;
use hash::Key;
use options::Options;

/// The UDP sockets of a stack.
#[derive(Debug)]
pub(crate) struct Sockets {
    sockets: Slab<Socket>,
    bindings: Bindings,
    sockets_max: usize,
    queue_bytes_max: usize,
    /// Bytes that wait at all sockets.
    pub bytes: usize,
}

#[derive(Debug)]
struct Socket {
    binding: Binding,
    options: Options,
    queue: VecDeque<Datagram>,
    bytes: usize,
    /// The owner knows that datagrams wait.
    told: bool,
}

impl Sockets {
    pub(crate) const fn new(key: Key, sockets_max: usize, queue_bytes_max: usize) -> Self {
        Self { sockets: Slab::new(), bindings: Bindings::new(key), sockets_max, queue_bytes_max, bytes: 0 }
    }
}

const fn cost(datagram: &Datagram) -> usize {
    datagram.payload.len() + DATAGRAM_OVERHEAD_BYTES
}

impl Stack {
    /// Opens a UDP socket. A port of 0 is chosen from the dynamic range (RFC 6056); `udp_binding` tells it.
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    /// let socket = server.udp_bind(Binding::PortV4(0)).expect("a port is free");
    /// assert!(matches!(server.udp_binding(socket), Some(Binding::PortV4(49_152..))));
    /// ```
    ///
    /// # Errors
    ///
    /// [`BindError`] where the binding is taken or not ours.
    pub fn udp_bind(&mut self, binding: Binding) -> Result<UdpId, BindError> {
        if self.udp.sockets.len() >= self.udp.sockets_max {
            return Err(BindError::TooMany);
        }
        let binding = match binding {
            Binding::Address(address) if !self.output.may_send_from(address.ip()) => {
                return Err(BindError::NotLocal);
            }
            Binding::Address(address) => Binding::Address(plain(address)),
            Binding::Port(_) | Binding::PortV4(_) | Binding::PortV6(_) | Binding::Intercept => binding,
        };
        let binding = self.udp.bindings.with_port(binding, &mut self.output.random)?;
        if self.udp.bindings.is_bound(binding) {
            return Err(BindError::InUse);
        }
        let socket =
            Socket { binding, options: Options::DEFAULT, queue: VecDeque::new(), bytes: 0, told: false };
        let number = self.udp.sockets.insert(socket);
        self.udp.bindings.insert(binding, number)?;
        Ok(UdpId(number))
    }

    /// What a UDP socket is bound to. Examples are at [`udp_bind`](Self::udp_bind) and [`UdpId`].
    pub fn udp_binding(&self, socket: UdpId) -> Option<Binding> {
        self.udp.sockets.find(socket.0).map(|socket| socket.binding)
    }

    /// The next datagram that waits at a socket. An example is at [`Datagram`].
    pub fn udp_receive(&mut self, socket: UdpId) -> Option<Datagram> {
        let socket = self.udp.sockets.find_mut(socket.0)?;
        let Some(datagram) = socket.queue.pop_front() else {
            socket.told = false;
            // A socket at which nothing waits holds no memory for it.
            socket.queue = VecDeque::new();
            return None;
        };
        socket.bytes -= cost(&datagram);
        self.udp.bytes -= cost(&datagram);
        Some(datagram)
    }

    /// Closes a UDP socket; what waits at it is dropped. Examples are at [`UdpId`] and [`Memory`](crate::Memory).
    pub fn udp_close(&mut self, socket: UdpId) {
        if let Some(socket) = self.udp.sockets.remove(socket.0) {
            self.udp.bindings.remove(socket.binding);
            self.udp.bytes -= socket.bytes;
        }
    }
}
