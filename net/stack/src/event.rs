//! What the owner is told, and the values that travel with it.

use crate::{InterfaceId, ListenerId, RequestId, TcpId, UdpId};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use packet::Bytes;

/// What the owner is told; drained after every call.
///
/// ```
#[doc = include_str!("two_hosts.md")]
#[doc = include_str!("connected.md")]
/// client.tcp_shutdown(ours, now);
/// carry(&mut client, &mut server, now);
/// let mut ended = false;
/// while let Some(event) = server.poll_event() {
///     match event {
///         Event::Tcp { connection, event: tcp::Event::PeerClosed } => ended = connection == theirs,
///         Event::Tcp { .. } | Event::UdpReadable { .. } => {}
///         other => println!("nothing here waits for {other:?}"),
///     }
/// }
/// assert!(ended);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A SYN arrived at a listener that defers: answer with `tcp_admit` or `tcp_refuse`.
    TcpRequest {
        /// What the answer names.
        request: RequestId,
        /// The listener it came to.
        listener: ListenerId,
        /// The address and port that the SYN was sent to.
        local: SocketAddr,
        /// Who sent it.
        remote: SocketAddr,
    },
    /// A request is gone before it was answered: it expired, or its sender reset it.
    TcpRequestEnded {
        /// The request; its number means nothing any more.
        request: RequestId,
    },
    /// A connection of a listener that does not defer has completed its handshake; the owner holds it now.
    TcpAccepted {
        /// The listener it came to.
        listener: ListenerId,
        /// The connection.
        connection: TcpId,
        /// Our side's address and port.
        local: SocketAddr,
        /// The other side's address and port.
        remote: SocketAddr,
    },
    /// Something about a connection.
    Tcp {
        /// The connection.
        connection: TcpId,
        /// What happened to it.
        event: tcp::Event,
    },
    /// Datagrams wait at a socket; told once until `udp_receive` has returned `None`.
    UdpReadable {
        /// The socket.
        socket: UdpId,
    },
    /// An echo request for an intercepted address: `icmp_reply` answers it.
    EchoRequest(Echo),
    /// Another machine uses one of an interface's own IPv4 addresses (RFC 5227 §2.4). The address is defended.
    AddressConflict {
        /// Where it was seen.
        interface: InterfaceId,
        /// The address that both use.
        address: Ipv4Addr,
        /// The other machine's hardware address.
        hardware: [u8; 6],
    },
}

/// An ICMP or ICMPv6 echo message, without its type (RFC 792, RFC 4443 §4).
///
/// ```
/// # use packet::{Capabilities, Medium};
/// # let (medium, mtu) = (Medium::Ip, 1_500);
/// # let device = Capabilities { medium, mtu, transmit_checksum: false, segmentation_bytes_max: 0 };
/// use packet::{Batch, Bytes, Offload, Packet};
/// use stack::{Config, Event, InterfaceConfig, Prefix, Refusal, Stack};
/// use time::Instant;
///
/// let now = Instant::from_secs(1);
/// let mut stack = Stack::new(Config::default(), [7; 32], now);
/// let mut config = InterfaceConfig::new(device, [0; 6], vec![Prefix::new([10, 0, 2, 2], 24)]);
/// config.intercept = true;
/// let interface = stack.add_interface(config, now).expect("it works");
///
/// // From 10.0.2.15 to 192.0.2.1: an echo request, the second of its kind.
/// let request = [
///     0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0xac, 0xd1, 10, 0, 2, 15, 192, 0, 2, 1, 8, 0, 0xf7, 0xfc, 0, 1, 0, 2,
/// ];
/// let mut batch = Batch::with_capacity(16);
/// batch.push(Packet::received(Bytes::copy_from_slice(&request), Offload::default())).expect("there is room");
/// stack.handle_batch(interface, &mut batch, now);
/// let Some(Event::EchoRequest(echo)) = stack.poll_event() else { panic!("it is for nobody else") };
/// assert_eq!((echo.identifier, echo.sequence), (1, 2));
///
/// // The owner has asked that address itself, and has heard of it; or has not.
/// stack.icmp_reply(echo.clone(), now).expect("it leaves");
/// stack.refuse_echo(&echo, Refusal::HostUnreachable, now);
/// stack.poll_transmit(interface, &mut batch, now);
/// let types: Vec<u8> = batch.iter().map(|packet| packet.clone().into_bytes()[20]).collect();
/// assert_eq!(types, [0, 3]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Our side: where the request was sent to, and where the reply comes from.
    pub local: IpAddr,
    /// The other side.
    pub remote: IpAddr,
    /// The identifier, returned as it came.
    pub identifier: u16,
    /// The sequence number, returned as it came.
    pub sequence: u16,
    /// The data, returned as it came.
    pub payload: Bytes,
}

/// A datagram as it arrived or as it is to leave.
///
/// ```
#[doc = include_str!("two_hosts.md")]
/// let socket = server.udp_bind(Binding::Port(53)).expect("it is free");
/// let asking = client.udp_bind(Binding::Port(7_000)).expect("it is free");
/// let question = Datagram::new("0.0.0.0:0".parse()?, "192.0.2.2:53".parse()?, Bytes::from_static(b"who?"));
/// client.udp_send(asking, question, now).expect("it leaves");
/// carry(&mut client, &mut server, now);
/// let heard = server.udp_receive(socket).expect("it has arrived");
/// assert_eq!((heard.local, heard.remote), ("192.0.2.2:53".parse()?, "192.0.2.1:7000".parse()?));
/// // Back from where it came to.
/// let answer = Datagram { payload: Bytes::from_static(b"me"), ..heard };
/// assert_eq!(server.udp_send(socket, answer, now), Ok(()));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Our side's address and port.
    pub local: SocketAddr,
    /// The other side's address and port.
    pub remote: SocketAddr,
    /// The payload.
    pub payload: Bytes,
    /// Routers may not fragment it, and nobody has: it arrived as one packet whose sender forbids that, or it is to leave as
    /// one (RFC 791 §3.1). An IPv6 packet is one of those, unless it came in fragments.
    pub dont_fragment: bool,
}

impl Datagram {
    /// A datagram that may be fragmented. An unspecified `local` is what the socket is bound to, or fits the way.
    pub const fn new(local: SocketAddr, remote: SocketAddr, payload: Bytes) -> Self {
        Self { local, remote, payload, dont_fragment: false }
    }
}

/// How a pending SYN or a datagram is refused.
///
/// ```
#[doc = include_str!("two_hosts.md")]
/// let listen = Listen { binding: Binding::Port(80), defer: true, backlog: 0, config: Arc::default() };
/// server.tcp_listen(listen).expect("the port is free");
/// let ours = client.tcp_connect(None, "192.0.2.2:80".parse().expect("an address"), Arc::default(), now)?;
/// carry(&mut client, &mut server, now);
/// let Some(Event::TcpRequest { request, .. }) = server.poll_event() else { panic!("a SYN has arrived") };
/// server.tcp_refuse(request, Refusal::Prohibited, now);
/// carry(&mut client, &mut server, now);
/// let told = client.poll_event();
/// let unreachable = tcp::Event::Closed(tcp::CloseReason::Unreachable);
/// assert!(matches!(told, Some(Event::Tcp { connection, event }) if connection == ours && event == unreachable));
/// # Ok::<(), ConnectError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// TCP reset; for a datagram, the same as [`PortUnreachable`](Self::PortUnreachable).
    Reset,
    /// ICMP: communication administratively prohibited (RFC 1812 §5.2.7.1, RFC 4443 §3.1).
    Prohibited,
    /// ICMP: host unreachable, or address unreachable in IPv6.
    HostUnreachable,
    /// ICMP: port unreachable.
    PortUnreachable,
    /// ICMP: fragmentation needed, or packet too big in IPv6: the way carries packets of so many bytes (RFC 1191 §4, RFC
    /// 4443 §3.2).
    TooBig {
        /// The largest packet, in bytes; with IPv6 at least 1,280.
        mtu: u16,
    },
    /// No answer at all.
    Silent,
}
