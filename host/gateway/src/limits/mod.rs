//! `--limit`: how much of the network a run may use, kept by the packet filter's token buckets.
//!
//! ```text
//!   a connection is asked for ──> admit ── connections, open, bytes ──> permit, or why not
//!   a stream has bytes to move ─> room ─── bandwidth, up, down ───────> so many, or wait until ready_at
//!   a datagram is to pass ──────> pass ─── bandwidth, up, down, bytes ─> it does, or is dropped
//! ```
//!
//! Payload is counted, both of TCP and of datagrams: neither headers nor retransmissions, nor what the resolver asks.
//! A value: time comes in, and nothing here knows of sockets.

mod budget;
mod shaper;
mod words;

pub use budget::SameLimit;
pub(crate) use budget::{Direction, Limits, Permit};
pub use words::{Bandwidth, Limit, LimitError};

#[cfg(test)]
mod tests;
