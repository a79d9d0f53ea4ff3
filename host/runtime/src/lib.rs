//! What turns a stack: the clock, readiness, and the exchange of frames with a device; and async sockets over it.
//!
//! - [`Clock`] reads the machine's monotonic clock as [`time::Instant`]
//! - [`Poller`] says which file descriptors became ready
//! - [`Spin`] says whether to look for work again before sleeping
//! - [`Port`] joins one interface of a stack to one device
//! - [`blocking`] does so for callers that block
//! - [`Sockets`] opens tokio streams, listeners and datagram sockets on a stack in this process
#![deny(unsafe_code)]

pub mod blocking;
mod clock;
mod poller;
mod port;
mod sockets;
mod spin;

pub use clock::Clock;
pub use poller::{Poller, Readiness, Token};
pub use port::Port;
pub use sockets::{
    ConnectOptions, ListenOptions, Member, OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, Sockets,
    TcpListener, TcpStream, UdpSocket, WriteHalf,
};
pub use spin::Spin;
