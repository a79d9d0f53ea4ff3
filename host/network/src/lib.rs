//! The Network seam: connect, listen, bind_udp and resolve, by name or address.
//!
//! Everything that speaks a protocol takes a [`Network`] and does not know whose it is:
//!
//! - [`Host`]: the operating system's own sockets
//! - [`InProcess`]: a stack in this process ([`runtime::Sockets`])
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use network::{Host, Network, Target};
//! use tokio::io::AsyncWriteExt;
//! let network: &dyn Network = &Host;
//! let mut stream = network.connect(&Target::name("example.com", 80)).await?;
//! stream.write_all(b"HEAD / HTTP/1.0\r\n\r\n").await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod host;
mod in_process;
mod seam;

pub use host::Host;
pub use in_process::InProcess;
pub use seam::{BoxFuture, BoxListener, BoxStream, BoxUdp, Datagrams, Listener, Network, Stream, Target};
