//! What the owner holds: numbers for the things inside a stack, never the things themselves.

/// An interface of a stack.
///
/// ```
#[doc = include_str!("two_hosts.md")]
/// // They are numbered in the order in which they are added.
/// let mut batch = Batch::with_capacity(1);
/// client.poll_transmit(InterfaceId(0), &mut batch, now);
/// assert!(batch.is_empty());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceId(pub u16);

/// A TCP connection of a stack. Never reused while anyone could still hold it: it carries a generation.
///
/// ```
#[doc = include_str!("two_hosts.md")]
#[doc = include_str!("connected.md")]
/// client.tcp_abort(ours, now);
/// client.tcp_release(ours, now);
/// carry(&mut client, &mut server, now);
/// // It means nothing any more, which is no failure.
/// assert_eq!(client.tcp_addresses(ours), None);
/// assert_eq!(client.tcp_read(ours, 100, now), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TcpId(pub u64);

/// A TCP listener of a stack.
///
/// ```
#[doc = include_str!("two_hosts.md")]
#[doc = include_str!("connected.md")]
/// assert_eq!(server.tcp_binding(listener), Some(Binding::Port(80)));
/// server.tcp_unlisten(listener);
/// assert_eq!(server.tcp_binding(listener), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u64);

/// A UDP socket of a stack.
///
/// ```
#[doc = include_str!("two_hosts.md")]
/// let socket: UdpId = server.udp_bind(Binding::Port(53)).expect("it is free");
/// assert_eq!(server.udp_binding(socket), Some(Binding::Port(53)));
/// server.udp_close(socket);
/// assert_eq!(server.udp_binding(socket), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UdpId(pub u64);

/// A SYN that waits for its verdict (deferred accept).
///
/// ```
#[doc = include_str!("two_hosts.md")]
/// // An answer that comes too late: nothing waits for it.
/// assert_eq!(server.tcp_admit(RequestId(7), Arc::default(), now), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);
