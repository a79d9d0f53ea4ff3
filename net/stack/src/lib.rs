//! The stack as a value: frames in and out of its interfaces, neighbours, IP, ICMP, UDP, and the sockets to
//! which TCP segments belong.
//!
//! One input, or one batch, then drain: `poll_transmit`, `poll_event`, `poll_timeout` (STYLE: tell once, then drain).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bindings;
mod config;
mod counters;
mod demux;
mod error;
mod event;
mod hash;
mod icmp;
mod id;
mod index;
mod interface;
mod ip;
mod limit;
mod neighbour;
mod output;
mod route;
mod slab;
mod stack;
mod udp;

pub use config::{Binding, Config, DATAGRAM_OVERHEAD_BYTES, InterfaceConfig, Listen, RouterConfig};
pub use counters::{Counters, Drop, Memory, Verdict};
pub use error::{BindError, ConnectError, InterfaceError, RouteError, SendError};
pub use event::{Datagram, Echo, Event, Refusal};
pub use id::{InterfaceId, ListenerId, RequestId, TcpId, UdpId};
pub use route::{Prefix, Route};
pub use stack::Stack;
