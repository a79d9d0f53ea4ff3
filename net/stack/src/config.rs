//! How a stack and its interfaces are set up; data, checked once.

use crate::route::Prefix;
use alloc::vec::Vec;
use packet::Capabilities;
use time::Duration;

/// The bounds of a stack. Every table and queue has one; the defaults suit a gateway for one machine.
///
/// ```
/// use stack::{BindError, Binding, Config, Stack};
/// use time::Instant;
///
/// let config = Config { udp_sockets_max: 1, ..Config::default() };
/// let mut stack = Stack::new(config, [7; 32], Instant::from_secs(1));
/// assert!(stack.udp_bind(Binding::Port(53)).is_ok());
/// assert_eq!(stack.udp_bind(Binding::Port(54)), Err(BindError::TooMany));
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// TCP connections at once, TIME-WAIT included; the one longest in TIME-WAIT goes for a new one. Default 131,072.
    pub connections_max: usize,
    /// Bytes of payload in the send and receive buffers of all connections, beyond which no payload is taken in; one batch
    /// of frames more may be held. What lies behind it is the device's: a TAP's frame takes up to four times what arrived in
    /// it. From three quarters of it on until it is half again, no buffer grows and little more is
    /// offered to peers; writers find no room from seven eighths on, so that readers go on, but for 4 KiB of each that has
    /// nothing on its way, which may stand beyond the bound: what is read can be answered. Default 1 GiB.
    pub tcp_bytes_max: usize,
    /// Whether SYNs beyond a listener's backlog are answered by SYN cookies (RFC 4987 §3.6), and not dropped. Default
    /// yes.
    pub syn_cookies: bool,
    /// Fast Open (RFC 7413).
    pub fast_open: FastOpenConfig,
    /// SYNs that wait for their verdict at once; the oldest goes for a new one. Default 1,024.
    pub requests_max: usize,
    /// How long a SYN may wait for its verdict. Default 75 s: longer than names and connections take to time out.
    pub request_lifetime: Duration,
    /// UDP sockets at once. Default 1,024.
    pub udp_sockets_max: usize,
    /// Bytes of datagrams that wait at one UDP socket, each counted with [`DATAGRAM_OVERHEAD_BYTES`]. Default 4 MiB.
    pub udp_queue_bytes_max: usize,
    /// Neighbours known at once; the longest unused is forgotten for a new one. Default 1,024.
    pub neighbours_max: usize,
    /// Routes, those of the interfaces' own prefixes included. Default 4,096.
    pub routes_max: usize,
    /// Destinations whose path MTU is remembered; the one told of longest ago is forgotten for a new one. Default 4,096.
    pub paths_max: usize,
    /// Bytes of fragments that wait for the rest of their datagram; the oldest datagram goes first. Default 1 MiB.
    pub reassembly_bytes_max: usize,
    /// ICMP errors a second, over all destinations (RFC 1812 §4.3.2.8, RFC 4443 §2.4). Default 1,000.
    pub icmp_errors_per_second: u32,
    /// ICMP errors at once after a quiet time. Default 256: a program that tries many addresses is told of each.
    pub icmp_errors_burst: u32,
    /// Packets that wait at an interface for `poll_transmit`, those of TCP connections not counted. Default 1,024.
    pub transmit_queue_max: usize,
    /// Which of the ports that are chosen for connections are this stack's, where several have the same addresses.
    /// Default all.
    pub ports: PortShare,
}

/// One stack's part of the dynamic ports (RFC 6335 §6): those that leave `index` when divided by `count`.
///
/// ```
#[doc = include_str!("two_hosts.md")]
/// for index in [0, 1] {
///     let ports = PortShare { index, count: 2 };
///     let mut stack = host(1, Config { ports, ..Config::default() }, now);
///     let remote = "192.0.2.2:80".parse().expect("an address");
///     let connection = stack.tcp_connect(None, remote, Arc::default(), now)?;
///     let (local, _) = stack.tcp_addresses(connection).expect("it is there");
///     assert_eq!(local.port() % 2, index);
/// }
/// # Ok::<(), ConnectError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortShare {
    /// Which part, below `count`.
    pub index: u16,
    /// How many parts there are, 1 to 64.
    pub count: u16,
}

impl Default for PortShare {
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}

/// Who may use Fast Open (RFC 7413): it is asked for by connection and by listener all the same.
///
/// ```
#[doc = include_str!("two_hosts.md")]
/// let fast_open = FastOpenConfig { client: false, ..FastOpenConfig::default() };
/// let mut client = host(1, Config { fast_open, ..Config::default() }, now);
/// let remote = "192.0.2.2:80".parse().expect("an address");
/// let mut data = Bytes::from_static(b"GET /");
/// let connection = client.tcp_connect_fast(None, remote, &mut data, Arc::default(), now)?;
/// // The data follows the handshake, as with any other connection.
/// let info = client.tcp_info(connection, now).expect("it is there");
/// assert_eq!((data.len(), info.fast_open), (0, tcp::FastOpenStatus::Unused));
/// # Ok::<(), ConnectError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FastOpenConfig {
    /// Whether SYNs may take data along that are opened for it. Default yes.
    pub client: bool,
    /// Whether SYNs may bring data to listeners that are set up for it. Default yes.
    pub server: bool,
    /// Servers whose cookie is known, or that are not to be tried, at once; the first goes for a new one. Default 1,024.
    pub servers_max: usize,
}

impl Default for FastOpenConfig {
    fn default() -> Self {
        Self { client: true, server: true, servers_max: 1_024 }
    }
}

/// What a waiting datagram is counted with besides its payload, in bytes: its addresses and its place in the queue.
pub const DATAGRAM_OVERHEAD_BYTES: usize = 128;

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_max: 131_072,
            tcp_bytes_max: 1 << 30,
            syn_cookies: true,
            fast_open: FastOpenConfig::default(),
            requests_max: 1_024,
            request_lifetime: Duration::from_secs(75),
            udp_sockets_max: 1_024,
            udp_queue_bytes_max: 4 << 20,
            neighbours_max: 1_024,
            routes_max: 4_096,
            paths_max: 4_096,
            reassembly_bytes_max: 1 << 20,
            icmp_errors_per_second: 1_000,
            icmp_errors_burst: 256,
            transmit_queue_max: 1_024,
            ports: PortShare::default(),
        }
    }
}

/// How an interface is set up.
///
/// ```
/// # use packet::{Capabilities, Medium};
/// # let (medium, mtu) = (Medium::Ip, 1_500);
/// # let device = Capabilities { medium, mtu, transmit_checksum: false, segmentation_bytes_max: 0 };
/// use stack::{Binding, Config, InterfaceConfig, Prefix, Stack};
/// use time::Instant;
///
/// let now = Instant::from_secs(1);
/// let mut stack = Stack::new(Config::default(), [7; 32], now);
/// let addresses = vec!["192.0.2.1/24".parse()?, Prefix::new([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 64)];
/// let config = InterfaceConfig { intercept: true, ..InterfaceConfig::new(device, [0; 6], addresses) };
/// stack.add_interface(config, now).expect("it works");
/// assert!(stack.is_local([192, 0, 2, 1].into()) && !stack.is_local([192, 0, 2, 2].into()));
/// // Somebody else's address, which the stack answers for.
/// assert!(stack.udp_bind(Binding::Address("198.51.100.7:53".parse().expect("an address"))).is_ok());
/// # Ok::<(), stack::NotAPrefix>(())
/// ```
#[derive(Clone, Debug)]
pub struct InterfaceConfig {
    /// What the device behind it does; its medium decides whether there are neighbours.
    pub capabilities: Capabilities,
    /// The interface's own hardware address; without meaning where the medium is IP.
    pub hardware: [u8; 6],
    /// The interface's own addresses, each with the prefix that is on this link. A link-local IPv6 address is
    /// made from the hardware address besides (RFC 4291 §2.5.6).
    pub addresses: Vec<Prefix>,
    /// Whether packets for every unicast address are taken as ours. ARP and NDP still answer for
    /// [`addresses`](Self::addresses) alone.
    pub intercept: bool,
    /// Whether own IPv4 addresses are probed for and announced when the interface comes up (RFC 5227 §2.1, §2.3).
    pub announce: bool,
    /// Set where the interface advertises itself as an IPv6 router (RFC 4861 §6.2).
    pub router: Option<RouterConfig>,
}

impl InterfaceConfig {
    /// An interface with these capabilities and addresses: no interception, no probes, no advertisements.
    pub fn new(capabilities: Capabilities, hardware: [u8; 6], addresses: Vec<Prefix>) -> Self {
        Self { capabilities, hardware, addresses, intercept: false, announce: false, router: None }
    }
}

/// What an interface advertises as an IPv6 router (RFC 4861 §6.2.1).
///
/// ```
/// # use packet::Capabilities;
/// # let (medium, mtu) = (Medium::Ethernet, 1_500);
/// # let device = Capabilities { medium, mtu, transmit_checksum: false, segmentation_bytes_max: 0 };
/// use packet::{Batch, Medium};
/// use stack::{Config, InterfaceConfig, Prefix, RouterConfig, Stack};
/// use time::Instant;
///
/// let now = Instant::from_secs(1);
/// let mut stack = Stack::new(Config::default(), [7; 32], now);
/// let here = Prefix::new([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 64);
/// let router = RouterConfig { prefixes: vec![here], autonomous: true, ..RouterConfig::default() };
/// let config = InterfaceConfig::new(device, [2, 0, 0, 0, 0, 1], vec![here]);
/// let interface = stack.add_interface(InterfaceConfig { router: Some(router), ..config }, now)?;
/// stack.handle_timeout(stack.poll_timeout().expect("an advertisement is due"));
/// let mut batch = Batch::with_capacity(1);
/// stack.poll_transmit(interface, &mut batch, now);
/// let frame = batch.pop().expect("it leaves").into_bytes();
/// // Behind 14 bytes of Ethernet's header and 40 of IPv6's: a router advertisement (RFC 4861 §4.2).
/// assert_eq!(frame[54], 134);
/// # Ok::<(), stack::InterfaceError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// How long hosts may use us as their default router; zero: not at all. Default 1,800 s.
    pub lifetime: Duration,
    /// The longest time between two unsolicited advertisements, 4 to 1,800 s. Default 600 s.
    pub interval_max: Duration,
    /// The prefixes that are on this link.
    pub prefixes: Vec<Prefix>,
    /// Whether hosts make addresses from the prefixes (RFC 4862). Default no.
    pub autonomous: bool,
    /// Addresses of resolvers to advertise (RFC 8106 §5.1).
    pub resolvers: Vec<core::net::Ipv6Addr>,
}

impl Binding {
    /// What a program means by binding to `address`: an unspecified one is every own address of its version, and with
    /// IPv6 those of IPv4 as well unless it wants IPv6 alone (RFC 3493 §3.7, §5.3).
    ///
    /// ```
    /// use stack::Binding;
    /// assert_eq!(Binding::to("0.0.0.0:80".parse().unwrap(), false), Binding::PortV4(80));
    /// assert_eq!(Binding::to("[::]:80".parse().unwrap(), false), Binding::Port(80));
    /// assert_eq!(Binding::to("[::]:80".parse().unwrap(), true), Binding::PortV6(80));
    /// ```
    pub fn to(address: core::net::SocketAddr, only_v6: bool) -> Self {
        match (address.ip().is_unspecified(), address.is_ipv4()) {
            (false, _) => Self::Address(address),
            (true, true) => Self::PortV4(address.port()),
            (true, false) if only_v6 => Self::PortV6(address.port()),
            (true, false) => Self::Port(address.port()),
        }
    }
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_secs(1_800),
            interval_max: Duration::from_secs(600),
            prefixes: Vec::new(),
            autonomous: false,
            resolvers: Vec::new(),
        }
    }
}

/// Which packets a listener or a UDP socket gets.
///
/// ```
#[doc = include_str!("two_hosts.md")]
/// let exact = Binding::Address("192.0.2.2:53".parse().expect("an address"));
/// let sockets = [Binding::Port(53), exact].map(|binding| server.udp_bind(binding).expect("it is free"));
/// let asking = client.udp_bind(Binding::PortV4(0)).expect("a port is free");
/// let to = "192.0.2.2:53".parse().expect("an address");
/// let question = Datagram::new("0.0.0.0:0".parse().expect("an address"), to, Bytes::from_static(b"who?"));
/// client.udp_send(asking, question, now).expect("it leaves");
/// carry(&mut client, &mut server, now);
/// // The one that says the most gets it.
/// assert_eq!(sockets.map(|socket| server.udp_receive(socket).is_some()), [false, true]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binding {
    /// Those for exactly this address and port.
    Address(core::net::SocketAddr),
    /// Those for this port on any of the stack's own addresses, where no exact binding takes them.
    Port(u16),
    /// Those for this port on any of the stack's own IPv4 addresses, where no exact binding takes them.
    PortV4(u16),
    /// Those for this port on any of the stack's own IPv6 addresses, where no exact binding takes them (IPV6_V6ONLY).
    PortV6(u16),
    /// Those for every address and port that no other binding takes, on interfaces that intercept.
    Intercept,
}

/// How a listener is set up.
///
/// ```
#[doc = include_str!("two_hosts.md")]
/// let config = Arc::new(tcp::Config::linux());
/// let listen = Listen { binding: Binding::PortV4(0), defer: false, backlog: 128, config };
/// let listener = server.tcp_listen(listen).expect("a port is free");
/// assert!(matches!(server.tcp_binding(listener), Some(Binding::PortV4(49_152..))));
/// ```
#[derive(Clone, Debug)]
pub struct Listen {
    /// Which SYNs it gets.
    pub binding: Binding,
    /// Whether a SYN waits for `tcp_admit` or `tcp_refuse` instead of being answered at once.
    pub defer: bool,
    /// Connections that may be in their handshake at once, where the listener does not defer.
    pub backlog: usize,
    /// The profile of its connections, where the listener does not defer.
    pub config: alloc::sync::Arc<tcp::Config>,
}
