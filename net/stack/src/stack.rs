//! The stack's face: what its owner calls.

use crate::*;
use alloc::sync::Arc;
use core::net::{IpAddr, SocketAddr};
use packet::{Batch, Bytes};
use time::Instant;

/// A network stack: interfaces and sockets, single-threaded, without a clock of its own.
#[derive(Debug)]
pub struct Stack {}

/// Frames and time.
#[allow(unused_variables)]
impl Stack {
    /// An empty stack. `seed` is its only randomness: ISNs, ports, identifiers are keyed by it.
    pub fn new(config: Config, seed: [u8; 32], now: Instant) -> Self {
        todo!()
    }

    /// Adds an interface; its addresses and prefixes are usable at once.
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] where the configuration cannot work.
    pub fn add_interface(
        &mut self,
        config: InterfaceConfig,
        now: Instant,
    ) -> Result<InterfaceId, InterfaceError> {
        todo!()
    }

    /// Adds a route, in place of one for the same destination.
    ///
    /// # Errors
    ///
    /// [`RouteError`] where it cannot be used or the table is full.
    pub fn add_route(&mut self, route: Route) -> Result<(), RouteError> {
        todo!()
    }

    /// Takes every frame of a batch that arrived on `interface`.
    pub fn handle_batch(&mut self, interface: InterfaceId, batch: &mut Batch, now: Instant) {
        todo!()
    }

    /// Fills `batch` with frames to send on `interface`; call until it stays empty.
    pub fn poll_transmit(&mut self, interface: InterfaceId, batch: &mut Batch, now: Instant) {
        todo!()
    }

    /// The next event; drained until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }

    /// A deadline of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Whether `address` is one of the stack's own.
    pub fn is_local(&self, address: IpAddr) -> bool {
        todo!()
    }

    /// What became of packets.
    pub fn counters(&self) -> &Counters {
        todo!()
    }

    /// What the stack holds in memory now.
    pub fn memory(&self) -> Memory {
        todo!()
    }
}

/// UDP and ICMP.
#[allow(unused_variables)]
impl Stack {
    /// Opens a UDP socket. A port of 0 is chosen from the dynamic range (RFC 6056); `udp_binding` tells it.
    ///
    /// # Errors
    ///
    /// [`BindError`] where the binding is taken or not ours.
    pub fn udp_bind(&mut self, binding: Binding) -> Result<UdpId, BindError> {
        todo!()
    }

    /// What a UDP socket is bound to.
    pub fn udp_binding(&self, socket: UdpId) -> Option<Binding> {
        todo!()
    }

    /// The next datagram that waits at a socket.
    pub fn udp_receive(&mut self, socket: UdpId) -> Option<Datagram> {
        todo!()
    }

    /// Sends a datagram; fragmented where it is larger than the way allows. A socket bound to `Binding::Intercept`
    /// sends from any address.
    ///
    /// # Errors
    ///
    /// [`SendError`] where it cannot leave.
    pub fn udp_send(&mut self, socket: UdpId, datagram: Datagram, now: Instant) -> Result<(), SendError> {
        todo!()
    }

    /// Closes a UDP socket; what waits at it is dropped.
    pub fn udp_close(&mut self, socket: UdpId) {
        todo!()
    }

    /// Answers a datagram that was received with the ICMP error that says `refusal`.
    pub fn refuse_datagram(&mut self, datagram: &Datagram, refusal: Refusal, now: Instant) {
        todo!()
    }

    /// Sends an echo reply from `echo.local` to `echo.remote`.
    ///
    /// # Errors
    ///
    /// [`SendError`] where it cannot leave.
    pub fn icmp_reply(&mut self, echo: Echo, now: Instant) -> Result<(), SendError> {
        todo!()
    }
}

/// TCP.
#[allow(unused_variables)]
impl Stack {
    /// Listens for connections.
    ///
    /// # Errors
    ///
    /// [`BindError`] where the binding is taken or not ours.
    pub fn tcp_listen(&mut self, listen: Listen) -> Result<ListenerId, BindError> {
        todo!()
    }

    /// Ends a listener. SYNs that wait for its verdict are forgotten; its connections go on.
    pub fn tcp_unlisten(&mut self, listener: ListenerId) {
        todo!()
    }

    /// Opens a connection. Without `local`, or with a port of 0, both are chosen (RFC 6724, RFC 6056).
    ///
    /// # Errors
    ///
    /// [`ConnectError`] where no SYN can leave.
    pub fn tcp_connect(
        &mut self,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        config: Arc<tcp::Config>,
        now: Instant,
    ) -> Result<TcpId, ConnectError> {
        todo!()
    }

    /// Answers a pending SYN with a SYN-ACK; the owner holds the connection from now on. `None` where the request
    /// has ended or as many connections as may be are open.
    pub fn tcp_admit(&mut self, request: RequestId, config: Arc<tcp::Config>, now: Instant) -> Option<TcpId> {
        todo!()
    }

    /// Refuses a pending SYN.
    pub fn tcp_refuse(&mut self, request: RequestId, refusal: Refusal, now: Instant) {
        todo!()
    }

    /// Our side's address and port, and the other's.
    pub fn tcp_addresses(&self, connection: TcpId) -> Option<(SocketAddr, SocketAddr)> {
        todo!()
    }

    /// Appends to a connection's send buffer as much of `data` as there is room for; what did not fit stays.
    /// 0 as well where the sending side is closed or the connection over.
    pub fn tcp_write(&mut self, connection: TcpId, data: &mut Bytes, now: Instant) -> usize {
        todo!()
    }

    /// Room in a connection's send buffer, in bytes.
    pub fn tcp_writable(&self, connection: TcpId) -> usize {
        todo!()
    }

    /// Takes received bytes, at most `bytes_max`.
    pub fn tcp_read(&mut self, connection: TcpId, bytes_max: usize, now: Instant) -> Option<Bytes> {
        todo!()
    }

    /// Bytes that can be read now.
    pub fn tcp_readable(&self, connection: TcpId) -> usize {
        todo!()
    }

    /// Whether the peer's FIN has arrived and every byte before it has been read.
    pub fn tcp_is_at_end(&self, connection: TcpId) -> bool {
        todo!()
    }

    /// Bounds what is advertised to the peer beyond what waits to be read: what the reader can take now.
    pub fn tcp_set_receive_limit(&mut self, connection: TcpId, bytes: usize, now: Instant) {
        todo!()
    }

    /// No more will be written: FIN follows the last byte.
    pub fn tcp_shutdown(&mut self, connection: TcpId, now: Instant) {
        todo!()
    }

    /// Nobody will read any more.
    pub fn tcp_close_receive(&mut self, connection: TcpId, now: Instant) {
        todo!()
    }

    /// Ends a connection at once, with a reset. The owner still holds it until `tcp_release`.
    pub fn tcp_abort(&mut self, connection: TcpId, now: Instant) {
        todo!()
    }

    /// The owner forgets a connection; the stack finishes its close by itself. Every connection that the owner got
    /// from `tcp_connect`, `tcp_admit` or `Event::TcpAccepted` is to be released, also when it is over.
    pub fn tcp_release(&mut self, connection: TcpId, now: Instant) {
        todo!()
    }
}
