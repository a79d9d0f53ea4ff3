//! What the owner does with a connection. A number that means nothing any more is answered as a connection that is
//! over would be.

use crate::TcpId;
use crate::demux::{Flow, Owner};
use crate::stack::Stack;
use crate::station::Station;
use alloc::sync::Arc;
use core::net::SocketAddr;
use packet::Bytes;
use time::Instant;

impl Stack {
    fn held(&self, connection: TcpId) -> Option<&Flow> {
        self.tcp.flows.find(connection.0).map(|flow| &**flow)
    }

    /// Does something to a connection, then looks after it.
    fn with<T>(&mut self, connection: TcpId, act: impl FnOnce(&mut Flow) -> T) -> Option<T> {
        let done = act(self.tcp.flows.find_mut(connection.0)?);
        self.settle(connection.0);
        Some(done)
    }

    /// Our side's address and port, and the other's.
    pub fn tcp_addresses(&self, connection: TcpId) -> Option<(SocketAddr, SocketAddr)> {
        self.held(connection).map(|flow| (flow.tuple.local(), flow.tuple.remote()))
    }

    /// How a connection fares.
    pub fn tcp_info(&self, connection: TcpId, now: Instant) -> Option<tcp::Info> {
        let flow = self.held(connection)?;
        let mut info = flow.connection.info(now);
        info.path_mtu = flow.path.mtu().bytes;
        Some(info)
    }

    /// The profile of a connection: its options.
    pub fn tcp_config(&self, connection: TcpId) -> Option<&tcp::Config> {
        self.held(connection).map(|flow| &**flow.connection.config())
    }

    /// Changes a connection's options, as [`tcp::Connection::set_config`] says. It has a profile of its own then, or
    /// shares that of another connection which was changed in the same way just before.
    ///
    /// ```
    /// # fn quick(stack: &mut stack::Stack, id: stack::TcpId, now: time::Instant) -> Result<(), tcp::ConfigError> {
    /// stack.tcp_configure(id, now, |config| config.nagle = false)
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The first field that is outside its range; nothing has changed then.
    pub fn tcp_configure(
        &mut self,
        connection: TcpId,
        now: Instant,
        change: impl FnOnce(&mut tcp::Config),
    ) -> Result<(), tcp::ConfigError> {
        let Some(flow) = self.held(connection) else { return Ok(()) };
        let mut config = tcp::Config::clone(flow.connection.config());
        change(&mut config);
        let profile = match self.tcp.last_profile.take() {
            Some(last) if *last == config => last,
            _ => Arc::new(config),
        };
        self.tcp.last_profile = Some(Arc::clone(&profile));
        let set = |flow: &mut Flow| {
            flow.path.forget();
            flow.connection.set_config(profile, now)
        };
        self.with(connection, set).unwrap_or(Ok(()))
    }

    /// Acknowledgements leave at once for a while, or, where not `on`, they wait for company (TCP_QUICKACK).
    pub fn tcp_set_quick_ack(&mut self, connection: TcpId, on: bool) {
        self.with(connection, |flow| flow.connection.set_quick_ack(on));
    }

    /// Whether acknowledgements leave at once for now.
    pub fn tcp_is_quick_ack(&self, connection: TcpId) -> bool {
        self.held(connection).is_some_and(|flow| flow.connection.is_quick_ack())
    }

    /// Appends to a connection's send buffer as much of `data` as there is room for; what did not fit stays.
    /// 0 as well where the sending side is closed or the connection over.
    pub fn tcp_write(&mut self, connection: TcpId, data: &mut Bytes, now: Instant) -> usize {
        self.output.stations.pass(Station::Write);
        let taken = self.write_for(connection.0, data, now);
        self.settle(connection.0);
        taken
    }

    /// Whether a connection's sending side is open, whatever room there is.
    pub fn tcp_may_write(&self, connection: TcpId) -> bool {
        self.held(connection).is_some_and(|flow| flow.connection.may_write())
    }

    /// Room in a connection's send buffer, in bytes.
    pub fn tcp_writable(&self, connection: TcpId) -> usize {
        self.room_for_writer(connection.0)
    }

    /// Takes received bytes, at most `bytes_max`.
    pub fn tcp_read(&mut self, connection: TcpId, bytes_max: usize, now: Instant) -> Option<Bytes> {
        self.output.stations.pass(Station::Read);
        let pressed = self.tcp.memory.is_pressed();
        self.with(connection, |flow| {
            flow.connection.set_pressed(pressed);
            flow.connection.read(bytes_max, now)
        })
        .flatten()
    }

    /// Copies the next bytes, as many as can be read now and fit, and leaves them to be read (MSG_PEEK).
    pub fn tcp_peek(&self, connection: TcpId, into: &mut [u8]) -> usize {
        self.held(connection).map_or(0, |flow| flow.connection.peek(into))
    }

    /// Bytes that can be read now.
    pub fn tcp_readable(&self, connection: TcpId) -> usize {
        self.held(connection).map_or(0, |flow| flow.connection.readable())
    }

    /// Whether the peer's FIN has arrived and every byte before it has been read.
    pub fn tcp_is_at_end(&self, connection: TcpId) -> bool {
        self.held(connection).is_none_or(|flow| flow.connection.is_at_end())
    }

    /// Bounds what is advertised to the peer beyond what waits to be read: what the reader can take now.
    pub fn tcp_set_receive_limit(&mut self, connection: TcpId, bytes: usize, now: Instant) {
        self.with(connection, |flow| flow.connection.set_receive_limit(bytes, now));
    }

    /// No more will be written: FIN follows the last byte.
    pub fn tcp_shutdown(&mut self, connection: TcpId, now: Instant) {
        self.with(connection, |flow| flow.connection.shutdown(now));
    }

    /// Nobody will read any more.
    pub fn tcp_close_receive(&mut self, connection: TcpId, now: Instant) {
        self.with(connection, |flow| flow.connection.close_receive(now));
    }

    /// Ends a connection at once, with a reset. The owner still holds it until `tcp_release`.
    pub fn tcp_abort(&mut self, connection: TcpId, now: Instant) {
        self.with(connection, |flow| flow.connection.abort(now));
    }

    /// The owner forgets a connection; the stack finishes its close by itself. Every connection that the owner got
    /// from `tcp_connect`, `tcp_admit` or `Event::TcpAccepted` is to be released, also when it is over.
    pub fn tcp_release(&mut self, connection: TcpId, now: Instant) {
        self.with(connection, |flow| {
            flow.owner = match flow.owner {
                Owner::Held => Owner::Released,
                Owner::Early { listener, released: false } => Owner::Early { listener, released: true },
                Owner::Listener(_) | Owner::Early { .. } | Owner::Released => return,
            };
            flow.connection.shutdown(now);
            flow.connection.close_receive(now);
        });
    }
}
