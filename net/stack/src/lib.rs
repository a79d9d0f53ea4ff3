//! The stack as a value: frames in and out of its interfaces, neighbours, IP, ICMP, UDP, and the sockets to
//! which TCP segments belong.
//!
//! One input, or one batch, then drain: `poll_transmit`, `poll_event`, `poll_timeout` (STYLE: tell once, then drain).
//!
//! ```text
//!   handle_batch                                                            poll_transmit
//!        |                                                                        ^
//!   ip::receive ---> reassembly      neighbour  <--- asks, probes --->      interface queue
//!        |                           arp, ndp                             and ready connections
//!        |                               ^                                        ^
//!        v                               |                                        |
//!   icmp    udp    demux             output: routes, IP headers, fragments, checksums
//!        |     |      |                                    ^
//!        v     v      v                                    |
//!         poll_event           udp_send, tcp_write, tcp_admit, icmp_reply ...
//! ```
//!
//! A datagram arrives for an address that is somebody else's, and is answered from there:
//!
//! ```
//! use packet::{Batch, Bytes, Capabilities, Medium, Offload, Packet};
//! use stack::{Binding, Config, Datagram, Event, InterfaceConfig, Prefix, Stack};
//! use time::Instant;
//!
//! let now = Instant::from_secs(1);
//! let mut stack = Stack::new(Config::default(), [7; 32], now);
//! let device =
//!     Capabilities { medium: Medium::Ip, mtu: 1_500, transmit_checksum: false, segmentation_bytes_max: 0 };
//! let mut config = InterfaceConfig::new(device, [0; 6], vec![Prefix::new([10, 0, 2, 2], 24)]);
//! config.intercept = true;
//! let interface = stack.add_interface(config, now).expect("the configuration works");
//! let socket = stack.udp_bind(Binding::Intercept).expect("nobody intercepts yet");
//!
//! // From 10.0.2.15 port 1 to 192.0.2.1 port 2, without a checksum: "hi".
//! let frame = [
//!     0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0xac, 0xbf, 10, 0, 2, 15, 192, 0, 2, 1, 0, 1, 0, 2, 0, 10, 0, 0, b'h', b'i',
//! ];
//! let mut batch = Batch::with_capacity(16);
//! batch.push(Packet::received(Bytes::copy_from_slice(&frame), Offload::default())).expect("there is room");
//! stack.handle_batch(interface, &mut batch, now);
//!
//! assert!(matches!(stack.poll_event(), Some(Event::UdpReadable { .. })));
//! let question: Datagram = stack.udp_receive(socket).expect("it waits");
//! assert_eq!(question.local, "192.0.2.1:2".parse().expect("an address"));
//! stack.udp_send(socket, Datagram { payload: Bytes::from_static(b"ho"), ..question }, now).expect("it leaves");
//!
//! stack.poll_transmit(interface, &mut batch, now);
//! assert_eq!(batch.pop().expect("the answer").len(), 30);
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bindings;
mod config;
mod counters;
mod demux;
mod error;
mod event;
mod filtering;
mod icmp;
mod id;
mod index;
mod interface;
mod ip;
mod neighbour;
mod output;
mod path;
mod recent;
mod route;
mod slab;
mod stack;
mod station;
mod udp;

pub use config::{
    Binding, Config, DATAGRAM_OVERHEAD_BYTES, FastOpenConfig, InterfaceConfig, Listen, PortShare,
    RouterConfig,
};
pub use counters::{Counters, Drop, Memory, Verdict};
pub use error::{BindError, ConnectError, InterfaceError, RouteError, SendError};
pub use event::{Datagram, Echo, Event, Refusal};
pub use id::{InterfaceId, ListenerId, RequestId, TcpId, UdpId};
pub use route::{NotAPrefix, Prefix, Route};
pub use stack::Stack;
pub use station::Station;
