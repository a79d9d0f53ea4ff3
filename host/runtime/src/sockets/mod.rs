//! Async sockets over a stack in this process, for tokio.
//!
//! A [`Sockets`] handle opens [`TcpStream`]s, [`TcpListener`]s and [`UdpSocket`]s; [`Sockets::drive`] moves frames
//! between the stack and its device until the device fails. The stack is behind one lock that is never held across
//! an await: a poll takes it, moves bytes, and leaves its waker where the driver finds it.

mod core;
mod driver;
mod error;
mod group;
mod listener;
mod open;
mod options;
mod pair;
mod ready;
mod split;
mod start;
mod tcp;
mod udp;
mod waiting;

pub use self::core::Sockets;
pub use group::Member;
pub use listener::TcpListener;
pub use options::{ConnectOptions, ListenOptions};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use tcp::TcpStream;
pub use udp::UdpSocket;
