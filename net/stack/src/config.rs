//! How a stack and its interfaces are set up; data, checked once.

use crate::route::Prefix;
use alloc::vec::Vec;
use packet::Capabilities;
use time::Duration;

/// The bounds of a stack. Every table and queue has one; the defaults suit a gateway for one machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// TCP connections at once, TIME-WAIT included; the one longest in TIME-WAIT goes for a new one. Default 131,072.
    pub connections_max: usize,
    /// Bytes in the send and receive buffers of all connections, beyond which no payload is taken in; one batch of
    /// frames more may be held. From three quarters of it on until it is half again, no buffer grows and little more is
    /// offered to peers; writers find no room from seven eighths on, so that readers go on. Default 1 GiB.
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
