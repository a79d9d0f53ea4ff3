//! weft for Rust programs: a network stack in this process, and commands that can connect only where they may.
//!
//! # A stack in this process
//!
//! [`stack`] is the stack as a value, [`device`] what carries its frames, [`sockets`] tokio's streams over both, and
//! [`network`] the seam behind which a program does not know whose network it uses.
//!
//! Two stacks on a cable, one of which gives back what it hears:
//!
//! ```
//! use std::net::{IpAddr, SocketAddr};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use weft::device::{Device, FrameSocket};
//! use weft::sockets::{Clock, Sockets};
//! use weft::stack::{Config, InterfaceConfig, Prefix, Stack};
//!
//! fn host(device: FrameSocket, number: u8) -> Sockets {
//!     let clock = Clock::start();
//!     // The seed is the stack's only randomness: take it from the operating system.
//!     let mut stack = Stack::new(Config::default(), [number; 32], clock.now());
//!     let address = Prefix::new(IpAddr::from([192, 0, 2, number]), 24);
//!     let interface = InterfaceConfig::new(device.capabilities(), [2, 0, 0, 0, 0, number], vec![address]);
//!     let interface = stack.add_interface(interface, clock.now()).expect("a sound interface");
//!     let sockets = Sockets::new(stack, interface, clock);
//!     tokio::spawn(sockets.clone().drive(device));
//!     sockets
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let (left, right) = FrameSocket::pair(1500)?;
//! let (client, server) = (host(left, 1), host(right, 2));
//! let here = SocketAddr::from(([192, 0, 2, 2], 7));
//! let listener = server.listen(here)?;
//! tokio::spawn(async move {
//!     let (mut stream, _) = listener.accept().await?;
//!     let heard = stream.read_bytes().await?;
//!     stream.write_bytes(heard).await
//! });
//! let mut stream = client.connect(here).await?;
//! stream.write_all(b"hello").await?;
//! let mut answer = [0; 5];
//! stream.read_exact(&mut answer).await?;
//! assert_eq!(&answer, b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! Options are fields of [`sockets::Config`], and the usual ones have the names that programs know:
//!
//! ```
//! use std::time::Duration;
//! use weft::sockets::{Config, KeepAlive, ListenOptions, Sockets, TcpStream};
//!
//! fn serve(sockets: &Sockets) -> std::io::Result<()> {
//!     let config = Config { accept_defer_retries: 3, ..Config::linux() };
//!     let options = ListenOptions { reuse_port: true, config, ..ListenOptions::default() };
//!     let listener = sockets.listen_with("[::]:80".parse().expect("an address"), options)?;
//! #   drop(listener);
//!     Ok(())
//! }
//!
//! fn prepare(stream: &TcpStream) -> std::io::Result<()> {
//!     stream.set_nodelay(true)?;
//!     stream.set_keepalive(Some(KeepAlive { idle: Duration::from_secs(60), ..KeepAlive::default() }))?;
//!     stream.configure(|config| config.unsent_bytes_max = 64 << 10)
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (left, right) = weft::device::FrameSocket::pair(1500)?;
//! # let server = Sockets::start(left, &["192.0.2.1/24".parse()?], &[])?;
//! # serve(&server)?;
//! # let listener = server.listen("192.0.2.1:7".parse()?)?;
//! # let client = Sockets::start(right, &["192.0.2.2/24".parse()?], &[])?;
//! # let stream = client.connect("192.0.2.1:7".parse()?).await?;
//! # prepare(&stream)?;
//! # assert!(stream.nodelay()?);
//! # listener.accept().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # A command and where it may connect
//!
//! [`run`] is what `weft run` calls. The calling process must have one thread, and it gives up privileges for good.
//!
//! ```no_run
//! let options = weft::run::Options {
//!     command: vec!["curl".into(), "https://api.example.com/".into()],
//!     allow: vec!["api.example.com:443".into()],
//!     ..Default::default()
//! };
//! let status = weft::run::run(options)?;
//! # Ok::<(), weft::run::RunError>(())
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

/// What carries frames: the Device seam, and the devices of Linux.
///
/// ```
/// use weft::device::{Device, FrameSocket, Pcap};
///
/// // One end of a cable, and what passes it written down.
/// let (left, _right) = FrameSocket::pair(1_500)?;
/// let device = Pcap::new(left, Vec::new())?;
/// assert_eq!(device.capabilities().mtu, 1_500);
/// # Ok::<(), std::io::Error>(())
/// ```
pub mod device {
    pub use link::{FrameSocket, PacketSocket, Pcap, Tap, TapError};
    pub use packet::{Batch, Capabilities, Checksum, Device, DeviceError, Medium, Packet};
}

/// The stack as a value: frames, calls and time go in; frames, events and deadlines come out. An example is at
/// [`Stack`](stack::Stack).
pub mod stack {
    pub use ::stack::*;
    pub use tcp::{Config as TcpConfig, CongestionAlgorithm};
    pub use time::{Duration, Instant};
}

/// The packet filter: rules that a stack judges by what it receives and sends, and that an owner that passes packets on can
/// judge by those too. docs/filter.md tells what rules say.
///
/// ```
/// use weft::device::{Capabilities, Medium};
/// use weft::filter::{Config, Filter, Ruleset};
/// use weft::stack::{self, InterfaceConfig, Instant, Prefix, Stack};
///
/// let now = Instant::from_secs(1);
/// let mut stack = Stack::new(stack::Config::default(), [7; 32], now);
/// let (medium, mtu) = (Medium::Ip, 1_500);
/// let device = Capabilities { medium, mtu, transmit_checksum: false, segmentation_bytes_max: 0 };
/// stack.add_interface(InterfaceConfig::new(device, [0; 6], vec![Prefix::new([192, 0, 2, 1], 24)]), now)?;
/// let rules = Ruleset::parse("receive default drop\n accept state established\n accept on wan tcp to port 443")?;
/// // The names of the stack's interfaces, in the order in which they were added.
/// stack.set_filter(Some(Filter::new(rules, &["wan"], Config::default(), &[9; 32])?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub mod filter {
    pub use ::filter::*;
}

pub mod sockets {
    #![doc = include_str!("options.md")]

    pub use packet::Bytes;
    pub use runtime::{
        Clock, ConnectOptions, ListenOptions, Member, OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError,
        Sockets, TcpListener, TcpStream, UdpSocket, WriteHalf,
    };
    pub use tcp::{
        Config, ConfigError, CongestionAlgorithm, EcnFeedback, EcnOption, FastOpenStatus, Info, KeepAlive,
        MtuProbing, OptionOrder, PathDiscovery, Repair, State, UserTimeoutExchange,
    };
}

/// Blocking sockets over a stack in this process, in the manner of `std::net`.
///
/// ```
/// use std::io::{Read, Write};
/// use weft::blocking::Sockets;
/// use weft::device::FrameSocket;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (left, right) = FrameSocket::pair(1500)?;
/// let client = Sockets::start(left, &["192.0.2.1/24".parse()?], &[])?;
/// let server = Sockets::start(right, &["192.0.2.2/24".parse()?], &[])?;
/// let listener = server.listen("192.0.2.2:7".parse()?)?;
/// std::thread::spawn(move || {
///     let (stream, _) = listener.accept()?;
///     std::io::copy(&mut &stream, &mut &stream)
/// });
/// let mut stream = client.connect("192.0.2.2:7".parse()?)?;
/// stream.write_all(b"hello")?;
/// let mut answer = [0; 5];
/// stream.read_exact(&mut answer)?;
/// assert_eq!(&answer, b"hello");
/// # Ok(())
/// # }
/// ```
pub mod blocking {
    pub use runtime::blocking::{Sockets, TcpListener, TcpStream, UdpSocket};
}

/// The Network seam: connect, listen, bind and resolve, whoever does it. An example is at [`Network`](network::Network).
pub mod network {
    pub use ::network::*;
}

/// A command in namespaces of its own, whose every connection is judged and carried by a stack of ours. An example is at
/// [`run`](run::run()).
pub mod run {
    pub use gateway::options::{Attach, OptionError, Pin, Publish};
    pub use gateway::{EXIT_FAILURE, EXIT_REFUSED, EXIT_TIMEOUT, Options, RunError, run};
}
