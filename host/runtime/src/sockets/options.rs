//! Options of streams and listeners, by the names that programs know them by. Every option is a field of [`tcp::Config`];
//! what has a name of its own here is what programs ask for.

use super::TcpStream;
use super::error::invalid;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;
use tcp::{Config, CongestionAlgorithm, KeepAlive, PathDiscovery};

/// How many connections a listener keeps before its owner accepts them, and as many again in their handshake; one more
/// is reset.
pub(super) const BACKLOG: usize = 1_024;

/// How a listener is set up.
///
/// ```
/// # use runtime::{ListenOptions, Sockets};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let (_, server) = Sockets::pair()?;
/// // IPv4's part of the port stays free for another.
/// let options = ListenOptions { only_v6: true, ..ListenOptions::default() };
/// let six = server.listen_with("[::]:80".parse().expect("an address"), options)?;
/// let four = server.listen("0.0.0.0:80".parse().expect("an address"))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// Connections that wait to be accepted, and as many again in their handshake; 1,024, and at least 1. While as many
    /// wait, others' handshakes do not end: their peers send again, and nothing is reset.
    pub backlog: usize,
    /// Whether `[::]` means IPv6 alone (IPV6_V6ONLY); no.
    pub only_v6: bool,
    /// Whether other listeners that say so too may have the same address and port; connections are spread over them
    /// (SO_REUSEPORT); no. What is left of earlier connections never keeps a listener from its port (SO_REUSEADDR).
    pub reuse_port: bool,
    /// How many connections whose handshake is not over may have brought data with their SYN (TCP_FASTOPEN, RFC 7413 §5.1);
    /// 0: none.
    pub fast_open_pending_max: usize,
    /// The options of its connections.
    pub config: Config,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: BACKLOG,
            only_v6: false,
            reuse_port: false,
            fast_open_pending_max: 0,
            config: Config::linux(),
        }
    }
}

/// How a connection is opened.
///
/// ```
/// # use runtime::{ConnectOptions, Sockets};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (client, server) = Sockets::pair()?;
/// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
/// let options =
///     ConnectOptions { local: Some(([192, 0, 2, 1], 4_000).into()), ..ConnectOptions::default() };
/// let stream = client.connect_with(listener.local_addr()?, options).await?;
/// assert_eq!(stream.local_addr()?.port(), 4_000);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// Where it comes from; where this is `None`, or its port 0, both are chosen.
    pub local: Option<SocketAddr>,
    /// Its options.
    pub config: Config,
}

/// Options. Each setter is told at once, each getter is what holds now, or held at the end of a connection that is over.
///
/// ```
/// # use runtime::Sockets;
/// use std::time::Duration;
/// use tcp::{CongestionAlgorithm, KeepAlive, PathDiscovery};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (client, server) = Sockets::pair()?;
/// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
/// # let stream = client.connect(listener.local_addr()?).await?;
/// stream.set_nodelay(true)?;
/// stream.set_keepalive(Some(KeepAlive { idle: Duration::from_secs(60), ..KeepAlive::default() }))?;
/// stream.set_user_timeout(Some(Duration::from_secs(30)))?;
/// stream.set_congestion(CongestionAlgorithm::Bbr)?;
/// stream.set_unsent_low_water(64 << 10)?;
/// stream.set_tos(46 << 2)?;
/// stream.set_path_discovery(PathDiscovery::Do)?;
/// assert_eq!(stream.keepalive()?.map(|k| (k.idle.as_secs(), k.probes)), Some((60, 9)));
/// assert_eq!((stream.nodelay()?, stream.tos()?, stream.congestion()?), (true, 184, CongestionAlgorithm::Bbr));
/// assert!(stream.set_recv_buffer_size(1).is_err());
/// # Ok(())
/// # }
/// ```
impl TcpStream {
    /// The connection's options as they are now, or were at its end. An example is at [`configure`](Self::configure).
    pub fn config(&self) -> Option<Config> {
        self.shared.lock().stack.tcp_config(self.id).cloned()
    }

    /// Changes options of the connection, those without a name here among them.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let stream = client.connect(listener.local_addr()?).await?;
    /// stream.configure(|config| config.pacing = false)?;
    /// assert!(stream.config().is_some_and(|config| !config.pacing));
    /// # Ok(())
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
        done.map_err(invalid)
    }

    /// Acknowledgements leave at once for a while, or wait for company (TCP_QUICKACK; RFC 9293 §3.8.6.3).
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// stream.set_quickack(false)?;
    /// assert!(!stream.quickack()?);
    /// stream.set_quickack(true)?;
    /// assert!(stream.quickack()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub fn set_quickack(&self, on: bool) -> io::Result<()> {
        self.shared.lock().stack.tcp_set_quick_ack(self.id, on);
        self.shared.work.notify_one();
        Ok(())
    }

    /// The largest payload of a segment that leaves now, in bytes (TCP_MAXSEG). What is announced and left is bounded before
    /// the handshake: `mss_max` of [`ConnectOptions::config`] and [`ListenOptions::config`], 88 to 65,495.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// // A packet of 1,500 bytes, less 20 of IPv4's header and 32 of TCP's, timestamps among them.
    /// assert_eq!(stream.mss()?, 1_448);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// None; as the others.
    pub fn mss(&self) -> io::Result<u32> {
        self.info().map(|info| info.mss_bytes).ok_or_else(|| ErrorKind::NotConnected.into())
    }

    /// Whether acknowledgements leave at once for now: see [`set_quickack`](Self::set_quickack).
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub fn quickack(&self) -> io::Result<bool> {
        Ok(self.shared.lock().stack.tcp_is_quick_ack(self.id))
    }

    /// Whether the stream, dropped, resets the connection instead of closing it in order (SO_LINGER of zero seconds):
    /// what was written and has not arrived is lost. To wait instead, see [`close`](Self::close).
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// stream.set_zero_linger(true)?;
    /// assert!(stream.zero_linger()?);
    /// drop(stream);
    /// assert_eq!(accepted.read_bytes().await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    pub fn set_zero_linger(&self, on: bool) -> io::Result<()> {
        match self.shared.lock().connections.get_mut(&self.id) {
            Some(connection) => connection.reset_on_drop = on,
            None => return Err(ErrorKind::NotConnected.into()),
        }
        Ok(())
    }

    /// Whether the stream, dropped, resets the connection: see [`set_zero_linger`](Self::set_zero_linger).
    ///
    /// # Errors
    ///
    /// None; as the others.
    pub fn zero_linger(&self) -> io::Result<bool> {
        Ok(self.shared.lock().connections.get(&self.id).is_some_and(|connection| connection.reset_on_drop))
    }

    /// What `of` makes of the options as they are now.
    fn option<T>(&self, of: impl FnOnce(&Config) -> T) -> io::Result<T> {
        self.shared.lock().stack.tcp_config(self.id).map(of).ok_or_else(|| ErrorKind::NotConnected.into())
    }
}

/// A setter with an example, and a getter, for each option that is part of a profile.
macro_rules! options {
    ($($(#[$what:meta])* $set:ident, $get:ident: $kind:ty, as $sample:literal =
        |$config:ident, $value:ident| $change:block, $told:expr;)*) => {
        impl TcpStream {
            $(
                $(#[$what])*
                ///
                #[doc = concat!(
                    "```\n",
                    "# use runtime::Sockets;\n# use std::time::Duration;\n",
                    "# use tcp::{CongestionAlgorithm, KeepAlive, PathDiscovery};\n",
                    "# #[tokio::main(flavor = \"current_thread\")]\n# async fn main() -> std::io::Result<()> {\n",
                    "# let (client, server) = Sockets::pair()?;\n",
                    "# let listener = server.listen(([192, 0, 2, 2], 7).into())?;\n",
                    "# let stream = client.connect(listener.local_addr()?).await?;\n",
                    "stream.", stringify!($set), "(", $sample, ")?;\n",
                    "assert_eq!(stream.", stringify!($get), "()?, ", $sample, ");\n",
                    "# Ok(())\n# }\n```",
                )]
                ///
                /// # Errors
                ///
                /// `InvalidInput` where it is outside its range; nothing has changed then.
                pub fn $set(&self, $value: $kind) -> io::Result<()> {
                    self.configure(|$config| $change)
                }

                #[doc = concat!("What holds now: see [`", stringify!($set), "`](Self::", stringify!($set), ").")]
                ///
                /// # Errors
                ///
                /// None; as tokio's.
                pub fn $get(&self) -> io::Result<$kind> {
                    self.option(|$config| $told)
                }
            )*
        }
    };
}

options! {
    /// Whether small writes leave at once (TCP_NODELAY), and do not wait for the acknowledgement of one before
    /// (RFC 9293 §3.7.4). At first they wait.
    set_nodelay, nodelay: bool, as "true" = |config, on| { config.nagle = !on; }, !config.nagle;
    /// Whether what is no full segment waits for more to be written (TCP_CORK), for a retransmission timeout at most;
    /// switched off, it leaves. Off at first.
    set_cork, cork: bool, as "true" = |config, on| { config.cork = on; }, config.cork;
    /// Whether a silent peer is probed, and how (SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT; RFC 9293 §3.8.4).
    /// Not at first.
    set_keepalive, keepalive: Option<KeepAlive>,
        as "Some(KeepAlive { idle: Duration::from_secs(60), ..KeepAlive::default() })" =
        |config, how| { config.keep_alive = how; }, config.keep_alive;
    /// How long what was written may stay unacknowledged before the connection is given up (TCP_USER_TIMEOUT, RFC 5482
    /// §3.1), from 1 ms to 32,767 s. At first only the number of retransmissions says.
    set_user_timeout, user_timeout: Option<Duration>, as "Some(Duration::from_secs(30))" =
        |config, timeout| { config.user_timeout = timeout; }, config.user_timeout;
    /// The law of congestion control (TCP_CONGESTION); the window stays what it is. CUBIC (RFC 9438) at first.
    set_congestion, congestion: CongestionAlgorithm, as "CongestionAlgorithm::Bbr" =
        |config, algorithm| { config.congestion = algorithm; }, config.congestion;
    /// How many bytes may wait that have not left yet, before writers wait (TCP_NOTSENT_LOWAT), from 1 on. No bound at
    /// first.
    set_unsent_low_water, unsent_low_water: u32, as "64 << 10" =
        |config, bytes| { config.unsent_bytes_max = bytes; }, config.unsent_bytes_max;
    /// How long a connection that was dropped waits for the peer's end (TCP_LINGER2; RFC 9293 §3.6), up to 32,767 s; 60 s at
    /// first.
    set_fin_wait_timeout, fin_wait_timeout: Duration, as "Duration::from_secs(5)" =
        |config, timeout| { config.fin_wait_2 = timeout; }, config.fin_wait_2;
    /// As many bytes may wait to be read, from now on and however fast they are (SO_RCVBUF), from 256 to 1 GiB. At first the
    /// buffer grows up to 6 MiB.
    set_recv_buffer_size, recv_buffer_size: u32, as "1 << 20" = |config, bytes| {
        config.receive_buffer_bytes = bytes;
        config.receive_start_bytes = bytes;
    }, config.receive_buffer_bytes;
    /// As many bytes may wait to be sent or acknowledged, from now on and however large the congestion window is
    /// (SO_SNDBUF), from 1 to 1 GiB. At first the buffer grows up to 4 MiB.
    set_send_buffer_size, send_buffer_size: u32, as "1 << 20" = |config, bytes| {
        config.send_buffer_bytes = bytes;
        config.send_start_bytes = bytes;
    }, config.send_buffer_bytes;
    /// The traffic class of what leaves (IP_TOS, IPV6_TCLASS; RFC 2474 §3); its two low bits are those of ECN, and not to be
    /// chosen. 0 at first.
    set_tos, tos: u8, as "46 << 2" = |config, traffic_class| { config.dscp = traffic_class >> 2; }, config.dscp << 2;
    /// Whether packets may be fragmented, and whether routers that tell of a smaller MTU are believed (IP_MTU_DISCOVER;
    /// RFC 1191 §3, RFC 8201 §4). At first they may not, and are.
    set_path_discovery, path_discovery: PathDiscovery, as "PathDiscovery::Do" =
        |config, how| { config.path_discovery = how; }, config.path_discovery;
}
