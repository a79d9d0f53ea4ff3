//! What the owner does with a connection. A number that means nothing any more is answered as a connection that is
//! over would be.

use crate::TcpId;
use crate::demux::{Flow, Owner};
use crate::stack::Stack;
use crate::station::Station;
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

    /// Our side's address and port, and the other's. Examples are at [`tcp_connect`](Self::tcp_connect) and [`TcpId`].
    pub fn tcp_addresses(&self, connection: TcpId) -> Option<(SocketAddr, SocketAddr)> {
        self.held(connection).map(|flow| (flow.tuple.local(), flow.tuple.remote()))
    }

    /// How a connection fares (TCP_INFO).
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    #[doc = include_str!("../connected.md")]
    /// let info = client.tcp_info(ours, now).expect("it is there");
    /// assert_eq!((info.state, info.mss_bytes, info.path_mtu), (tcp::State::Established, 1_448, 1_500));
    /// ```
    pub fn tcp_info(&self, connection: TcpId, now: Instant) -> Option<tcp::Info> {
        let flow = self.held(connection)?;
        let mut info = flow.connection.info(now);
        info.path_mtu = flow.path.mtu().bytes;
        Some(info)
    }

    /// The profile of a connection: its options. An example is at [`tcp_configure`](Self::tcp_configure).
    pub fn tcp_config(&self, connection: TcpId) -> Option<&tcp::Config> {
        self.held(connection).map(|flow| &**flow.connection.config())
    }

    /// Changes a connection's options, as [`tcp::Connection::set_config`] says. It has a profile of its own then, or
    /// shares that of another connection which was changed in the same way just before.
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    #[doc = include_str!("../connected.md")]
    /// client.tcp_configure(ours, now, |config| config.nagle = false)?;
    /// assert_eq!(client.tcp_config(ours).map(|config| config.nagle), Some(false));
    /// let breach = client.tcp_configure(ours, now, |config| config.dscp = 64);
    /// assert_eq!(breach, Err(tcp::ConfigError { field: "dscp" }));
    /// # Ok::<(), tcp::ConfigError>(())
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
        let profile = self.tcp.share_profile(config);
        let set = |flow: &mut Flow| {
            flow.path.forget();
            flow.connection.set_config(profile, now)
        };
        self.with(connection, set).unwrap_or(Ok(()))
    }

    /// Acknowledgements leave at once for a while, or, where not `on`, they wait for company (TCP_QUICKACK).
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    #[doc = include_str!("../connected.md")]
    /// server.tcp_set_quick_ack(theirs, false);
    /// assert!(!server.tcp_is_quick_ack(theirs));
    /// client.tcp_write(ours, &mut Bytes::from_static(b"hello"), now);
    /// carry(&mut client, &mut server, now);
    /// assert_eq!(client.tcp_info(ours, now).map(|info| info.unacknowledged_bytes), Some(5));
    /// server.tcp_set_quick_ack(theirs, true);
    /// carry(&mut client, &mut server, now);
    /// assert_eq!(client.tcp_info(ours, now).map(|info| info.unacknowledged_bytes), Some(0));
    /// ```
    pub fn tcp_set_quick_ack(&mut self, connection: TcpId, on: bool) {
        self.with(connection, |flow| flow.connection.set_quick_ack(on));
    }

    /// Whether acknowledgements leave at once for now: see [`tcp_set_quick_ack`](Self::tcp_set_quick_ack).
    pub fn tcp_is_quick_ack(&self, connection: TcpId) -> bool {
        self.held(connection).is_some_and(|flow| flow.connection.is_quick_ack())
    }

    /// Appends to a connection's send buffer as much of `data` as there is room for; what did not fit stays.
    /// 0 as well where the sending side is closed or the connection over.
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    #[doc = include_str!("../connected.md")]
    /// let room = client.tcp_writable(ours);
    /// let mut data = Bytes::from(vec![7; room + 100]);
    /// assert_eq!(client.tcp_write(ours, &mut data, now), room);
    /// assert_eq!((data.len(), client.tcp_writable(ours)), (100, 0));
    /// client.tcp_shutdown(ours, now);
    /// assert!(!client.tcp_may_write(ours));
    /// ```
    pub fn tcp_write(&mut self, connection: TcpId, data: &mut Bytes, now: Instant) -> usize {
        self.output.stations.pass(Station::Write);
        let taken = self.write_for(connection.0, data, now);
        self.settle(connection.0);
        taken
    }

    /// Whether a connection's sending side is open, whatever room there is: see [`tcp_write`](Self::tcp_write).
    pub fn tcp_may_write(&self, connection: TcpId) -> bool {
        self.held(connection).is_some_and(|flow| flow.connection.may_write())
    }

    /// Room in a connection's send buffer, in bytes: see [`tcp_write`](Self::tcp_write).
    pub fn tcp_writable(&self, connection: TcpId) -> usize {
        self.room_for_writer(connection.0)
    }

    /// Takes received bytes, at most `bytes_max`.
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    #[doc = include_str!("../connected.md")]
    /// client.tcp_write(ours, &mut Bytes::from_static(b"hello"), now);
    /// client.tcp_shutdown(ours, now);
    /// carry(&mut client, &mut server, now);
    /// assert_eq!(server.tcp_readable(theirs), 5);
    /// let mut first = [0; 1];
    /// assert_eq!((server.tcp_peek(theirs, &mut first), first), (1, *b"h"));
    /// assert_eq!(server.tcp_read(theirs, 4, now).as_deref(), Some(&b"hell"[..]));
    /// assert!(!server.tcp_is_at_end(theirs));
    /// assert_eq!(server.tcp_read(theirs, 4, now).as_deref(), Some(&b"o"[..]));
    /// assert!(server.tcp_is_at_end(theirs) && server.tcp_read(theirs, 4, now).is_none());
    /// ```
    pub fn tcp_read(&mut self, connection: TcpId, bytes_max: usize, now: Instant) -> Option<Bytes> {
        self.output.stations.pass(Station::Read);
        let pressed = self.tcp.memory.is_pressed();
        self.with(connection, |flow| {
            flow.connection.set_pressed(pressed);
            flow.connection.read(bytes_max, now)
        })
        .flatten()
    }

    /// Copies the next bytes, as many as can be read now and fit, and leaves them to be read (MSG_PEEK): see
    /// [`tcp_read`](Self::tcp_read).
    pub fn tcp_peek(&self, connection: TcpId, into: &mut [u8]) -> usize {
        self.held(connection).map_or(0, |flow| flow.connection.peek(into))
    }

    /// Bytes that can be read now: see [`tcp_read`](Self::tcp_read).
    pub fn tcp_readable(&self, connection: TcpId) -> usize {
        self.held(connection).map_or(0, |flow| flow.connection.readable())
    }

    /// Whether the peer's FIN has arrived and every byte before it has been read: see [`tcp_read`](Self::tcp_read).
    pub fn tcp_is_at_end(&self, connection: TcpId) -> bool {
        self.held(connection).is_none_or(|flow| flow.connection.is_at_end())
    }

    /// Bounds what is advertised to the peer beyond what waits to be read: what the reader can take now.
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    #[doc = include_str!("../connected.md")]
    /// server.tcp_set_receive_limit(theirs, 0, now);
    /// let bytes = client.tcp_writable(ours);
    /// client.tcp_write(ours, &mut vec![7; bytes].into(), now);
    /// carry(&mut client, &mut server, now);
    /// while server.tcp_read(theirs, usize::MAX, now).is_some() {}
    /// carry(&mut client, &mut server, now);
    /// // What was offered before is used up but for less than a segment, and no more is offered.
    /// let info = client.tcp_info(ours, now).expect("it is there");
    /// assert!(info.window_peer_bytes < info.mss_bytes);
    /// ```
    pub fn tcp_set_receive_limit(&mut self, connection: TcpId, bytes: usize, now: Instant) {
        self.with(connection, |flow| flow.connection.set_receive_limit(bytes, now));
    }

    /// No more will be written: FIN follows the last byte.
    ///
    /// RFC 9293 §3.6.
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    #[doc = include_str!("../connected.md")]
    /// client.tcp_shutdown(ours, now);
    /// carry(&mut client, &mut server, now);
    /// assert!(server.tcp_is_at_end(theirs));
    /// // The other direction is open still.
    /// assert_eq!(server.tcp_write(theirs, &mut Bytes::from_static(b"bye"), now), 3);
    /// assert_eq!(client.tcp_info(ours, now).map(|info| info.state), Some(tcp::State::FinWait2));
    /// ```
    pub fn tcp_shutdown(&mut self, connection: TcpId, now: Instant) {
        self.with(connection, |flow| flow.connection.shutdown(now));
    }

    /// Nobody will read any more.
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    #[doc = include_str!("../connected.md")]
    /// server.tcp_close_receive(theirs, now);
    /// client.tcp_write(ours, &mut Bytes::from_static(b"hello"), now);
    /// carry(&mut client, &mut server, now);
    /// assert_eq!(server.tcp_readable(theirs), 0);
    /// ```
    pub fn tcp_close_receive(&mut self, connection: TcpId, now: Instant) {
        self.with(connection, |flow| flow.connection.close_receive(now));
    }

    /// Ends a connection at once, with a reset. The owner still holds it until `tcp_release`.
    ///
    /// RFC 9293 §3.10.5.
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    #[doc = include_str!("../connected.md")]
    /// client.tcp_abort(ours, now);
    /// carry(&mut client, &mut server, now);
    /// let reset = tcp::Event::Closed(tcp::CloseReason::Reset);
    /// let mut told = std::iter::from_fn(|| server.poll_event());
    /// assert!(told.any(|event| matches!(event, Event::Tcp { event, .. } if event == reset)));
    /// ```
    pub fn tcp_abort(&mut self, connection: TcpId, now: Instant) {
        self.with(connection, |flow| flow.connection.abort(now));
    }

    /// The owner forgets a connection; the stack finishes its close by itself. Every connection that the owner got
    /// from `tcp_connect`, `tcp_admit` or `Event::TcpAccepted` is to be released, also when it is over.
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    #[doc = include_str!("../connected.md")]
    /// client.tcp_write(ours, &mut Bytes::from_static(b"last words"), now);
    /// client.tcp_release(ours, now);
    /// carry(&mut client, &mut server, now);
    /// assert_eq!(server.tcp_read(theirs, 100, now).as_deref(), Some(&b"last words"[..]));
    /// server.tcp_release(theirs, now);
    /// carry(&mut client, &mut server, now);
    /// // The side that was first waits, in TIME-WAIT, for what may be under way still (RFC 9293 §3.6.1).
    /// assert_eq!((client.memory().connections, server.memory().connections), (1, 0));
    /// ```
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
