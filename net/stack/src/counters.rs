//! What became of packets: the verdict each one ends in, and how many ended in which.

use core::fmt;

/// What became of a packet that arrived. Every packet ends in exactly one.
///
/// ```
/// use stack::{Drop, Verdict};
///
/// fn say(verdict: Verdict) -> &'static str {
///     match verdict {
///         Verdict::Accepted => "taken",
///         Verdict::Dropped(reason) => reason.name(),
///     }
/// }
/// assert_eq!(say(Verdict::Dropped(Drop::UdpChecksum)), "UdpChecksum");
/// ```
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A socket, a connection or the stack itself has taken it.
    Accepted,
    /// It was dropped, and why.
    Dropped(Drop),
}

macro_rules! drops {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {
        /// Why a packet was dropped.
        ///
        /// ```
        /// use stack::Drop;
        /// assert_eq!(Drop::UdpPortClosed.name(), "UdpPortClosed");
        /// assert!(Drop::ALL.contains(&Drop::UdpPortClosed));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Drop { $($(#[$meta])* $name),+ }

        impl Drop {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The reason's name, as it stands in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }
        }
    };
}

drops! {
    /// It is for an interface that does not exist.
    NoInterface,
    /// Its link header is cut short, or it has none.
    LinkMalformed,
    /// It is for another machine's hardware address.
    OtherHardware,
    /// Its EtherType is none that the stack speaks.
    EtherTypeUnknown,
    /// An ARP packet that cannot be read, or that claims what cannot be (RFC 826).
    ArpMalformed,
    /// An ARP packet that asks for, or tells of, nobody that matters here.
    ArpNotForUs,
    /// An IPv4 header that cannot be read.
    Ipv4Malformed,
    /// An IPv4 header whose checksum is wrong (RFC 1122 §3.2.1.2).
    Ipv4Checksum,
    /// An IPv6 header or extension header that cannot be read.
    Ipv6Malformed,
    /// Its source address is one that no packet can come from (RFC 1122 §3.2.1.3).
    SourceMartian,
    /// Its source address is one of our own.
    SourceOwn,
    /// Its source address is not reached by the interface that it came from (RFC 3704 §2.2).
    SourceElsewhere,
    /// Its destination address is none of ours.
    NotForUs,
    /// The packet filter drops it, on its way in or out.
    FilterDropped,
    /// It came beyond a rate that the packet filter keeps, on its way in or out.
    FilterLimited,
    /// The packet filter rejects it, on its way in or out: its sender is told.
    FilterRejected,
    /// Its upper-layer protocol is none that the stack speaks.
    ProtocolUnknown,
    /// An IPv6 option that says "discard" (RFC 8200 §4.2), or a routing header that is not for us.
    OptionRefused,
    /// A fragment whose offset, length or flags cannot be (RFC 791, RFC 8200 §4.5).
    FragmentMalformed,
    /// A fragment that overlaps another: its whole datagram goes (RFC 5722, RFC 8200 §4.5).
    FragmentOverlap,
    /// A fragment that is marked beside one that no router may mark: its whole datagram goes (RFC 3168 §5.3).
    FragmentEcn,
    /// A datagram in more fragments than are kept, or one fragment that did not fit the table.
    ReassemblyFull,
    /// A fragment of a datagram that was never completed in time.
    ReassemblyTimeout,
    /// An ICMP message that cannot be read.
    IcmpMalformed,
    /// An ICMP message whose checksum is wrong.
    IcmpChecksum,
    /// An ICMP message of a type that the stack does not act on.
    IcmpIgnored,
    /// An ICMP error about something that we did not send (RFC 5927 §4).
    IcmpNotOurs,
    /// More echo requests wait for the owner than are kept.
    EchoQueueFull,
    /// A neighbour discovery message that breaks RFC 4861 §6.1 or §7.1.
    NdpInvalid,
    /// A neighbour discovery message about nobody that matters here.
    NdpNotForUs,
    /// A UDP header that cannot be read.
    UdpMalformed,
    /// A UDP checksum that is wrong, or zero over IPv6 (RFC 8200 §8.1).
    UdpChecksum,
    /// A datagram to a port that nobody has bound.
    UdpPortClosed,
    /// A datagram to a socket whose queue is full.
    UdpQueueFull,
    /// A TCP header that cannot be read.
    TcpMalformed,
    /// A TCP checksum that is wrong.
    TcpChecksum,
    /// A segment of no connection and for no listener.
    TcpNoConnection,
    /// A segment from or to an address or a port that no connection can have.
    TcpBadAddress,
    /// A SYN to a listener with as many handshakes under way as its backlog.
    TcpBacklogFull,
    /// A SYN, or the end of a handshake, to a listener whose connections wait to be taken, as many as may.
    TcpAcceptQueueFull,
    /// A SYN that waited longest for its verdict gave way for another: as many wait as may.
    TcpRequestsFull,
    /// A SYN that waits for its verdict came again.
    TcpRequestPending,
    /// A SYN while as many connections are open as may be.
    TcpConnectionsFull,
    /// A segment with payload while connections hold as many bytes as all together may; its peer sends it again.
    TcpMemoryFull,
    /// A segment that its connection refused: `Counters::refused_by_connections` says why.
    TcpRefused,
    /// A packet to send for which there is no route.
    NoRoute,
    /// A packet to send while the transmit queue is full.
    TransmitQueueFull,
    /// A packet to send to a neighbour that is not resolved yet, pushed out by a younger one (RFC 4861 §7.2.2).
    NeighbourQueueFull,
    /// A packet to send to a neighbour that did not answer.
    NeighbourUnreachable,
    /// A packet to send that may not be fragmented, and does not fit.
    TooLarge,
    /// An ICMP error that the rate limit withheld.
    IcmpRateLimited,
}

const REASONS: usize = Drop::ALL.len();

/// How many packets came, went, and were dropped for which reason.
///
/// ```
#[doc = include_str!("two_hosts.md")]
/// let mut batch = Batch::with_capacity(1);
/// batch.push(Packet::received(Bytes::from_static(b"E is 0x45"), Offload::default())).expect("there is room");
/// server.handle_batch(InterfaceId(0), &mut batch, now);
/// let counters = server.counters();
/// assert_eq!((counters.received, counters.dropped(Drop::Ipv4Malformed)), (1, 1));
/// assert_eq!(counters.drops().collect::<Vec<_>>(), [(Drop::Ipv4Malformed, 1)]);
/// assert!(counters.refused_by_connections().is_empty());
/// ```
#[derive(Clone)]
pub struct Counters {
    /// Frames taken in; a joined super-frame counts once.
    pub received: u64,
    /// Frames handed out; a super-frame counts once.
    pub transmitted: u64,
    /// SYNs that were answered by a cookie and not kept (RFC 4987 §3.6).
    pub syn_cookies_sent: u64,
    /// Connections made of a cookie that came back.
    pub syn_cookies_accepted: u64,
    dropped: [u64; REASONS],
    /// Segments that their connection did not process, in order of first appearance.
    pub(crate) refused: alloc::vec::Vec<(tcp::Drop, u64)>,
}

impl Counters {
    pub(crate) const fn new() -> Self {
        Self {
            received: 0,
            transmitted: 0,
            syn_cookies_sent: 0,
            syn_cookies_accepted: 0,
            dropped: [0; REASONS],
            refused: alloc::vec::Vec::new(),
        }
    }

    /// How many packets were dropped for `reason`. An example is at [`Counters`], as for the others.
    pub const fn dropped(&self, reason: Drop) -> u64 {
        self.dropped[reason as usize]
    }

    /// The reasons for which packets were dropped, and how many.
    pub fn drops(&self) -> impl Iterator<Item = (Drop, u64)> {
        Drop::ALL.iter().map(|&reason| (reason, self.dropped(reason))).filter(|&(_, count)| count > 0)
    }

    /// Why connections did not process segments, and how many.
    pub fn refused_by_connections(&self) -> &[(tcp::Drop, u64)] {
        &self.refused
    }

    pub(crate) fn count_refused(&mut self, reason: tcp::Drop) {
        match self.refused.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.refused.push((reason, 1)),
        }
    }

    pub(crate) const fn count(&mut self, reason: Drop) {
        self.dropped[reason as usize] += 1;
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        map.entry(&"received", &self.received).entry(&"transmitted", &self.transmitted);
        map.entry(&"syn_cookies_sent", &self.syn_cookies_sent);
        map.entry(&"syn_cookies_accepted", &self.syn_cookies_accepted);
        for (reason, count) in self.drops() {
            map.entry(&reason.name(), &count);
        }
        map.entries(self.refused.iter().map(|(reason, count)| (reason, count))).finish()
    }
}

/// What a stack holds in memory for others, now.
///
/// ```
#[doc = include_str!("two_hosts.md")]
/// let socket = server.udp_bind(Binding::Port(53)).expect("it is free");
/// let asking = client.udp_bind(Binding::Port(0)).expect("a port is free");
/// let question = Datagram::new("0.0.0.0:0".parse()?, "192.0.2.2:53".parse()?, Bytes::from_static(b"who?"));
/// client.udp_send(asking, question, now).expect("it leaves");
/// carry(&mut client, &mut server, now);
/// assert_eq!(server.memory().udp_bytes, 4 + DATAGRAM_OVERHEAD_BYTES);
/// server.udp_close(socket);
/// assert_eq!(server.memory(), Memory::default());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// TCP connections, TIME-WAIT included.
    pub connections: usize,
    /// SYNs that wait for their verdict.
    pub requests: usize,
    /// Bytes in the send and receive buffers of all connections.
    pub tcp_bytes: usize,
    /// Bytes of datagrams that wait at UDP sockets, with their overhead.
    pub udp_bytes: usize,
    /// Bytes of fragments that wait for the rest of their datagram.
    pub reassembly_bytes: usize,
    /// Neighbours known or asked for.
    pub neighbours: usize,
    /// Destinations whose path MTU a router told.
    pub paths: usize,
    /// Packets that wait to be transmitted or for a neighbour.
    pub queued_packets: usize,
}
