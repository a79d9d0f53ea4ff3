//! The stack as a value: frames in and out of its interfaces, neighbours, IP, ICMP, UDP, and the sockets to
//! which TCP segments belong.
//!
//! One input, or one batch, then drain: `poll_transmit`, `poll_event`, `poll_timeout` (STYLE: tell once, then drain).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use core::net::{IpAddr, SocketAddr};
use packet::{Batch, Bytes, Chain};
use time::Instant;

/// How a stack is set up; data, checked once.
#[derive(Clone, Debug)]
pub struct Config {}

/// An interface of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceId(pub u16);

/// A TCP connection of a stack. Never reused while anyone could still hold it: it carries a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TcpId(pub u64);

/// A TCP listener of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u64);

/// A UDP socket of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UdpId(pub u64);

/// A SYN that waits for its verdict (deferred accept).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// How a pending SYN or a datagram is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// TCP reset.
    Reset,
    /// ICMP: communication administratively prohibited.
    Prohibited,
    /// ICMP: host unreachable.
    HostUnreachable,
    /// ICMP: port unreachable.
    PortUnreachable,
    /// No answer at all.
    Silent,
}

/// What the owner is told; drained after every call.
#[derive(Clone, Debug)]
pub enum Event {
    /// A SYN arrived at a listener that defers: answer with `tcp_admit` or `tcp_refuse`.
    TcpRequest { request: RequestId, listener: ListenerId, local: SocketAddr, remote: SocketAddr },
    /// A connection of a listener has completed its handshake.
    TcpAccepted { listener: ListenerId, connection: TcpId, local: SocketAddr, remote: SocketAddr },
    /// Something about a connection.
    Tcp { connection: TcpId, event: tcp::Event },
    /// Datagrams wait at a socket.
    UdpReadable { socket: UdpId },
}

/// A datagram as it arrived or as it is to leave.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Our side's address and port.
    pub local: SocketAddr,
    /// The other side's address and port.
    pub remote: SocketAddr,
    /// The payload.
    pub payload: Bytes,
}

/// A network stack: interfaces and sockets, single-threaded, without a clock of its own.
#[derive(Debug)]
pub struct Stack {}

impl Stack {
    /// An empty stack. `seed` is its only randomness: ISNs, ports, identifiers are keyed by it.
    pub fn new(_config: Config, _seed: [u8; 32], _now: Instant) -> Self {
        todo!()
    }

    /// Takes every frame of a batch that arrived on `interface`.
    pub fn handle_batch(&mut self, _interface: InterfaceId, _batch: &mut Batch, _now: Instant) {
        todo!()
    }

    /// Fills `batch` with frames to send on `interface`; call until it stays empty.
    pub fn poll_transmit(&mut self, _interface: InterfaceId, _batch: &mut Batch, _now: Instant) {
        todo!()
    }

    /// The next event; drained until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }

    /// A deadline of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, _now: Instant) {
        todo!()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Sends a datagram.
    pub fn udp_send(&mut self, _socket: UdpId, _datagram: Datagram, _now: Instant) {
        todo!()
    }

    /// Appends to a connection's send buffer.
    pub fn tcp_write(&mut self, _connection: TcpId, _data: &mut Bytes, _now: Instant) -> usize {
        todo!()
    }

    /// Whether `address` is one of the stack's own.
    pub fn is_local(&self, _address: IpAddr) -> bool {
        todo!()
    }
}

#[doc(hidden)]
pub type Payload = Chain;
