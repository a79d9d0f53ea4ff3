//! The addresses of the link: fixed, the same in every sandbox, as none can see another.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The interface inside.
pub const INTERFACE: &str = "eth0";
/// The far end of the veth pair, in a namespace that holds nothing else.
pub(super) const FAR_INTERFACE: &str = "far0";

/// The command's address.
pub const ADDRESS_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
/// The length of its network's prefix.
pub const PREFIX_LENGTH_V4: u8 = 24;
/// The command's address.
pub const ADDRESS_V6: Ipv6Addr = axiom::addresses::INSIDE_V6;
/// The length of its network's prefix.
pub const PREFIX_LENGTH_V6: u8 = 64;

/// The gateway, which is our stack, and by the name [`HOST_NAME`] the host's own services.
pub const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The gateway, by IPv6.
pub const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 2);
/// The resolver, which is our stack too.
pub const RESOLVER_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
/// The resolver, by IPv6.
pub const RESOLVER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 3);

/// The name of the host inside.
pub const HOST_NAME: &str = "host.weft.internal";

/// The Ethernet address of the interface inside; locally administered (IEEE 802 §8.4).
pub const MAC: [u8; 6] = [0x02, 0x77, 0x65, 0x66, 0x74, 0x15];
/// The Ethernet address of our stack.
pub const GATEWAY_MAC: [u8; 6] = [0x02, 0x77, 0x65, 0x66, 0x74, 0x02];

/// The largest IP packet on the link, in bytes. Segmentation offload carries 64 KB at once whatever this is;
/// 1,500 is what programs that look expect.
pub const MTU_DEFAULT: u16 = 1500;

/// How many packets wait for the gateway before the next is lost: the SYNs or datagrams that a program sends at once. The
/// memory is that of the sockets which sent them, and bounded by their send buffers.
pub(super) const QUEUE_LENGTH: u32 = 8_192;
