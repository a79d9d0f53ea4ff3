//! Options of streams and listeners, by the names that programs know them by. Every option is a field of
//! [`tcp::Config`]; what has a name of its own here is what most programs ask for.

use super::TcpStream;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tcp::{Config, ConfigError, CongestionAlgorithm, KeepAlive};

/// How many connections a listener keeps before its owner accepts them, and as many again in their handshake; one more
/// is reset.
pub(super) const BACKLOG: usize = 1_024;

/// How a listener is set up.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// Connections that wait to be accepted, and as many again in their handshake; 1,024.
    pub backlog: usize,
    /// Whether `[::]` means IPv6 alone (IPV6_V6ONLY); no.
    pub only_v6: bool,
    /// Whether other listeners that say so too may have the same address and port; connections are spread over them
    /// (SO_REUSEPORT); no. What is left of earlier connections never keeps a listener from its port (SO_REUSEADDR).
    pub reuse_port: bool,
    /// The options of its connections.
    pub config: Config,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: BACKLOG, only_v6: false, reuse_port: false, config: Config::linux() }
    }
}

/// How a connection is opened.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// Where it comes from; where this is `None`, or its port 0, both are chosen.
    pub local: Option<SocketAddr>,
    /// Its options.
    pub config: Config,
}

impl TcpStream {
    /// The connection's options as they are now; `None` once it is over.
    pub fn config(&self) -> Option<Config> {
        self.shared.lock().stack.tcp_config(self.id).cloned()
    }

    /// Changes options of the connection.
    ///
    /// ```no_run
    /// # fn voice(stream: &runtime::TcpStream) -> std::io::Result<()> {
    /// stream.configure(|config| config.dscp = 46)
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` where a field is outside its range; nothing has changed then.
    pub fn configure(&self, change: impl FnOnce(&mut Config)) -> io::Result<()> {
        let now = self.shared.clock.now();
        let done = self.shared.lock().stack.tcp_configure(self.id, now, change);
        self.shared.work.notify_one();
        done.map_err(|error: ConfigError| io::Error::new(io::ErrorKind::InvalidInput, error))
    }

    /// Whether small writes leave at once (TCP_NODELAY), and do not wait for the acknowledgement of one before
    /// (RFC 9293 §3.7.4). At first they wait.
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.configure(|config| config.nagle = !on)
    }

    /// Whether small writes leave at once.
    pub fn nodelay(&self) -> bool {
        self.config().is_some_and(|config| !config.nagle)
    }

    /// Whether what is no full segment waits for more to be written (TCP_CORK); switched off, it leaves.
    ///
    /// # Errors
    ///
    /// None; as the others.
    pub fn set_cork(&self, on: bool) -> io::Result<()> {
        self.configure(|config| config.cork = on)
    }

    /// Whether a silent peer is probed, and how (SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT).
    ///
    /// # Errors
    ///
    /// `InvalidInput` where a figure is outside its range.
    pub fn set_keepalive(&self, keep_alive: Option<KeepAlive>) -> io::Result<()> {
        self.configure(|config| config.keep_alive = keep_alive)
    }

    /// How long what was written may stay unacknowledged before the connection is given up (TCP_USER_TIMEOUT).
    ///
    /// # Errors
    ///
    /// `InvalidInput` below 1 ms.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.configure(|config| config.user_timeout = timeout)
    }

    /// As many bytes may wait to be read, from now on and however fast they are (SO_RCVBUF).
    ///
    /// # Errors
    ///
    /// `InvalidInput` below 256 bytes.
    pub fn set_recv_buffer_size(&self, bytes: u32) -> io::Result<()> {
        self.configure(|config| {
            config.receive_buffer_bytes = bytes;
            config.receive_start_bytes = bytes;
        })
    }

    /// As many bytes may wait to be sent or acknowledged, from now on and however large the congestion window is
    /// (SO_SNDBUF).
    ///
    /// # Errors
    ///
    /// `InvalidInput` where it is 0.
    pub fn set_send_buffer_size(&self, bytes: u32) -> io::Result<()> {
        self.configure(|config| {
            config.send_buffer_bytes = bytes;
            config.send_start_bytes = bytes;
        })
    }

    /// Another law of congestion control (TCP_CONGESTION); the window stays what it is.
    ///
    /// # Errors
    ///
    /// None; as the others.
    pub fn set_congestion(&self, algorithm: CongestionAlgorithm) -> io::Result<()> {
        self.configure(|config| config.congestion = algorithm)
    }

    /// Acknowledgements leave at once for a while, or wait for company (TCP_QUICKACK).
    pub fn set_quickack(&self, on: bool) {
        self.shared.lock().stack.tcp_set_quick_ack(self.id, on);
        self.shared.work.notify_one();
    }

    /// The traffic class of what leaves (IP_TOS, IPV6_TCLASS); its two low bits are those of ECN, and not to be chosen.
    ///
    /// # Errors
    ///
    /// None; as the others.
    pub fn set_tos(&self, traffic_class: u8) -> io::Result<()> {
        self.configure(|config| config.dscp = traffic_class >> 2)
    }

    /// Whether the stream, dropped, resets the connection instead of closing it in order (SO_LINGER of zero seconds):
    /// what was written and has not arrived is lost.
    pub fn set_zero_linger(&self, on: bool) {
        if let Some(connection) = self.shared.lock().connections.get_mut(&self.id) {
            connection.reset_on_drop = on;
        }
    }
}
