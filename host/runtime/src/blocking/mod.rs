//! Blocking sockets over a stack in this process, in the manner of `std::net`: for programs without an async runtime.
//!
//! A thread of its own turns the stack; the threads that call sleep until it has something for them. What blocks here and
//! what awaits in [`crate::Sockets`] are the same sockets, and a program may have both over one stack.

mod datagram;
mod listener;
mod options;
mod sockets;
mod stream;
mod wait;

pub use datagram::UdpSocket;
pub use listener::TcpListener;
pub use sockets::Sockets;
pub use stream::TcpStream;
