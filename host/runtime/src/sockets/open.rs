//! Opening connections, listeners and datagram sockets.

use super::core::{Accepting, Connection, Receiving, Sockets, State};
use super::error::{bind_error, connect_error, invalid};
use super::{ConnectOptions, ListenOptions, TcpListener, TcpStream, UdpSocket};
use packet::Bytes;
use stack::{Binding, Listen, TcpId};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

impl Sockets {
    /// Opens a connection and waits for its handshake (RFC 9293 §3.5): by default for 127 s at most. Cancelled, it is given
    /// up.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// use std::io::ErrorKind;
    ///
    /// let listener = server.listen(([192, 0, 2, 2], 80).into())?;
    /// let stream = client.connect(listener.local_addr()?).await?;
    /// assert_eq!(stream.peer_addr()?, listener.local_addr()?);
    /// let nobody = client.connect(([192, 0, 2, 2], 81).into()).await;
    /// assert_eq!(nobody.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`, `TimedOut`, `HostUnreachable`; `NetworkUnreachable` where no route leads there, `AddrNotAvailable`
    /// where no local port is free, `QuotaExceeded` where as many connections are open as may be, `InvalidInput` for an
    /// address that nobody can have; `NotConnected` where nothing turns the stack any more.
    pub async fn connect(&self, remote: SocketAddr) -> io::Result<TcpStream> {
        self.open(None, remote, self.shared.profile.clone()).await
    }

    /// As [`connect`](Self::connect), with options.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// use runtime::ConnectOptions;
    /// use tcp::Config;
    ///
    /// let config = Config { mss_max: 600, timestamps: false, ..Config::linux() };
    /// let options = ConnectOptions { config, ..ConnectOptions::default() };
    /// let stream = client.connect_with(listener.local_addr()?, options).await?;
    /// assert_eq!(stream.mss()?, 600);
    /// let config = Config { mss_max: 10, ..Config::linux() };
    /// let options = ConnectOptions { config, ..ConnectOptions::default() };
    /// let refused = client.connect_with(listener.local_addr()?, options).await.unwrap_err();
    /// assert_eq!(refused.to_string(), "mss_max is outside its range");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there; `InvalidInput` where an option is outside its range.
    pub async fn connect_with(&self, remote: SocketAddr, options: ConnectOptions) -> io::Result<TcpStream> {
        options.config.check().map_err(invalid)?;
        self.open(options.local, remote, Arc::new(options.config)).await
    }

    async fn open(
        &self,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        config: Arc<tcp::Config>,
    ) -> io::Result<TcpStream> {
        let stream = {
            let now = self.shared.clock.now();
            let mut state = self.shared.lock();
            state.check_turned()?;
            let id = state.stack.tcp_connect(local, remote, config, now).map_err(connect_error)?;
            self.opened(&mut state, id, remote)
        };
        self.shared.work.notify_one();
        stream.established().await?;
        Ok(stream)
    }

    /// Opens a connection whose SYN takes along what it may of `data`, and does not wait for the handshake: Fast Open (RFC
    /// 7413; TCP_FASTOPEN_CONNECT). The first time it only asks the server for the cookie that later connections show, and
    /// the data follows the handshake. Where the connection fails, a read or a write tells.
    ///
    /// The server may get the data of a SYN twice, where the network duplicates it (RFC 7413 §6.1): only what may be done
    /// twice is to be sent so.
    ///
    /// ```
    /// # use runtime::{ConnectOptions, ListenOptions, Sockets};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let (client, server) = Sockets::pair()?;
    /// let options = ListenOptions { fast_open_pending_max: 16, ..ListenOptions::default() };
    /// let listener = server.listen_with(([192, 0, 2, 2], 80).into(), options)?;
    /// for _ in 0..2 {
    ///     let question = "GET /".into();
    ///     let stream = client.connect_fast(listener.local_addr()?, ConnectOptions::default(), question).await?;
    ///     let (mut accepted, _) = listener.accept().await?;
    ///     assert_eq!(accepted.read_bytes().await?, "GET /");
    ///     accepted.write_bytes("hello".into()).await?;
    ///     stream.readable().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` where an option is outside its range; `NetworkUnreachable` and `AddrNotAvailable` where no SYN could
    /// leave; for data that does not fit the send buffer, as [`TcpStream::write_bytes`].
    pub async fn connect_fast(
        &self,
        remote: SocketAddr,
        options: ConnectOptions,
        mut data: Bytes,
    ) -> io::Result<TcpStream> {
        options.config.check().map_err(invalid)?;
        let config = Arc::new(options.config);
        let stream = {
            let now = self.shared.clock.now();
            let mut state = self.shared.lock();
            state.check_turned()?;
            let opened = state.stack.tcp_connect_fast(options.local, remote, &mut data, config, now);
            let id = opened.map_err(connect_error)?;
            self.opened(&mut state, id, remote)
        };
        self.shared.work.notify_one();
        stream.put_bytes(data).await?;
        Ok(stream)
    }

    fn opened(&self, state: &mut State, id: TcpId, remote: SocketAddr) -> TcpStream {
        state.connections.insert(id, Connection::default());
        let local = state.stack.tcp_addresses(id).map_or(remote, |(local, _)| local);
        TcpStream::new(self.shared.clone(), id, local, remote)
    }

    /// Listens at `local`; `0.0.0.0` means all of the stack's own IPv4 addresses, `[::]` all of both versions (RFC 3493 §5.3).
    /// Port 0 is one of the dynamic range that is free (RFC 6056 §3.3.1).
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// let everywhere = server.listen(([0, 0, 0, 0], 0).into())?;
    /// let port = everywhere.local_addr()?.port();
    /// assert!(port >= 49_152, "of the dynamic range (RFC 6335 §6)");
    /// client.connect(([192, 0, 2, 2], port).into()).await?;
    /// everywhere.accept().await?;
    /// let elsewhere = server.listen(([203, 0, 113, 1], 80).into());
    /// assert_eq!(elsewhere.unwrap_err().kind(), std::io::ErrorKind::AddrNotAvailable);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `AddrInUse`; `AddrNotAvailable` for an address that is not the stack's; `QuotaExceeded` where no port is left;
    /// `NotConnected` where nothing turns the stack any more.
    pub fn listen(&self, local: SocketAddr) -> io::Result<TcpListener> {
        self.listen_with(local, ListenOptions::default())
    }

    /// As [`listen`](Self::listen), with options.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// use runtime::ListenOptions;
    ///
    /// let options = ListenOptions { reuse_port: true, ..ListenOptions::default() };
    /// let one = server.listen_with(([192, 0, 2, 2], 80).into(), options.clone())?;
    /// let other = server.listen_with(([192, 0, 2, 2], 80).into(), options)?;
    /// client.connect(one.local_addr()?).await?;
    /// // A hash of addresses and ports says which of them it comes to.
    /// tokio::select! {
    ///     accepted = one.accept() => accepted?,
    ///     accepted = other.accept() => accepted?,
    /// };
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there; `InvalidInput` where an option is outside its range.
    pub fn listen_with(&self, local: SocketAddr, options: ListenOptions) -> io::Result<TcpListener> {
        let ListenOptions { backlog, only_v6, reuse_port, fast_open_pending_max, config } = options;
        config.check().map_err(invalid)?;
        // Those of one profile share it.
        let shared = *self.shared.profile == config;
        let config = if shared { self.shared.profile.clone() } else { Arc::new(config) };
        // As everywhere, one may always wait.
        let backlog = backlog.max(1);
        let listen = Listen { binding: Binding::to(local, only_v6), defer: false, backlog, config };
        let mut state = self.shared.lock();
        state.check_turned()?;
        let listening =
            if reuse_port { state.stack.tcp_listen_shared(listen) } else { state.stack.tcp_listen(listen) };
        let id = listening.map_err(bind_error)?;
        state.stack.tcp_set_fast_open(id, fast_open_pending_max);
        state.stack.tcp_set_accept_queue_max(id, backlog);
        state.listeners.insert(id, Accepting::default());
        let local = bound(local, state.stack.tcp_binding(id));
        Ok(TcpListener::new(self.shared.clone(), id, local))
    }

    /// Opens a UDP socket at `local`; an unspecified address means all of the stack's own, port 0 any free port.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// let socket = server.bind_udp(([0, 0, 0, 0], 53).into())?;
    /// let asking = client.bind_udp(([192, 0, 2, 1], 0).into())?;
    /// assert_ne!(asking.local_addr()?.port(), 0);
    /// asking.send_to(b"who?", ([192, 0, 2, 2], 53).into())?;
    /// assert_eq!(socket.recv_bytes_from().await?, ("who?".into(), asking.local_addr()?));
    /// assert!(server.bind_udp(([0, 0, 0, 0], 53).into()).is_err(), "the port is taken");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`listen`](Self::listen), and `QuotaExceeded` where as many sockets are open as may be.
    pub fn bind_udp(&self, local: SocketAddr) -> io::Result<UdpSocket> {
        let mut state = self.shared.lock();
        state.check_turned()?;
        let id = state.stack.udp_bind(Binding::to(local, false)).map_err(bind_error)?;
        state.datagrams.insert(id, Receiving::default());
        let local = bound(local, state.stack.udp_binding(id));
        Ok(UdpSocket::new(self.shared.clone(), id, local))
    }
}

/// The address that was asked for, with the port that was chosen.
fn bound(local: SocketAddr, binding: Option<Binding>) -> SocketAddr {
    let port = match binding {
        Some(Binding::Address(address)) => address.port(),
        Some(Binding::Port(port) | Binding::PortV4(port) | Binding::PortV6(port)) => port,
        Some(Binding::Intercept) | None => local.port(),
    };
    SocketAddr::new(local.ip(), port)
}
