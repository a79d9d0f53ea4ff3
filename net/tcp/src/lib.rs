//! One TCP connection as a value (RFC 9293): segments, time and the owner's calls go in; segments, events and
//! deadlines come out. It knows neither addresses nor sockets: the stack finds it, gives it segments, and
//! wraps what it sends.
//!
//! ```text
//!                 owner: write read shutdown close_receive abort
//!                      |                              ^ poll_event
//!            +---------v------------------------------+---------+
//!            | Connection   Phase (the state), Timers, Events   |
//!            |  +---------------------+  +-------------------+  |
//!            |  | send half           |  | receive half      |  |
//!            |  |  queue  congestion  |  |  queue reassembly |  |
//!            |  |  loss   rtt  peer's |  |  our window  ACKs |  |
//!            |  |  window             |  |  that are due     |  |
//!            |  +---------------------+  +-------------------+  |
//!            +----^------------------------------------+--------+
//!   handle_segment|handle_timeout                      v poll_transmit, poll_timeout
//!                 stack
//! ```
//!
//! - [`Connection`]: the machine; `connection/` holds what happens on arrival, departure and expiry
//! - [`Config`]: everything tunable
//! - [`Info`]: how a connection fares
//! - [`CongestionAlgorithm`]: the laws of congestion control
//! - [`State`]: the names of the states and the table of legal moves
//! - [`Segment`], [`Path`], [`Verdict`], [`Drop`], [`Event`], [`Why`]: what passes the border
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod acknowledging;
mod config;
mod congestion;
mod connection;
mod delivery_rate;
mod ecn;
mod event;
mod figures;
mod info;
mod limit;
mod loss;
mod min_rtt;
mod pacing;
mod path_mtu;
mod queue;
mod reassembly;
mod receive;
mod reset;
mod rtt;
mod sack;
mod segment;
mod send;
mod state;
#[cfg(test)]
mod tests;
mod timers;
mod timestamps;
mod tuning;
mod window;

pub use config::{Config, ConfigError, KeepAlive, PathDiscovery, TIMEOUT_MAX, UserTimeoutExchange};
pub use congestion::CongestionAlgorithm;
pub use connection::{Connection, FastOpenOutcome, FastOpenStatus, NotOpen};
pub use ecn::{EcnFeedback, EcnOption};
pub use event::{CloseReason, Event, Why};
pub use info::{Info, Repair};
pub use path_mtu::MtuProbing;
pub use reset::reset_for;
pub use segment::{Drop, Path, Segment, Verdict};
pub use send::syn_payload_bytes_max;
pub use state::State;
pub use wire::tcp::{FastOpen, OptionOrder};
