//! The host's own sockets, non-blocking: what carries a connection on once it is allowed.

mod addresses;
mod icmp;
mod room;
mod tcp;
mod udp;

pub use addresses::own_addresses;
pub use icmp::PingSocket;
pub use room::room_of;
pub use tcp::{Listener, READ_BYTES_MAX, Received, TcpSocket};
pub use udp::UdpSocket;

use rustix::io::Errno;
use rustix::net::AddressFamily;
use std::net::SocketAddr;

/// The family of an address.
fn family(address: SocketAddr) -> AddressFamily {
    match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    }
}

/// Whether the call would have had to wait.
fn would_block(error: Errno) -> bool {
    error == Errno::AGAIN || error == Errno::WOULDBLOCK
}
