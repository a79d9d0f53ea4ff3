//! What turns a stack: the clock, readiness, and the exchange of frames with a device.
//!
//! - [`Clock`] reads the machine's monotonic clock as [`time::Instant`]
//! - [`Poller`] says which file descriptors became ready
//! - [`Port`] joins one interface of a stack to one device
#![forbid(unsafe_code)]

mod clock;
mod poller;
mod port;

pub use clock::Clock;
pub use poller::{Poller, Readiness, Token};
pub use port::Port;
