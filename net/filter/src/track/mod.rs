//! Connection tracking: what a packet is to the connections that were seen before it.
//!
//! A connection is known from its first packet that the rules accept, and forgotten when it has been idle for its
//! [`Timeouts`](crate::Timeouts). Both ways of it are one entry. Nothing is ever undone by an ICMP message, which anybody
//! can forge (RFC 5382 §8, REQ-10; RFC 4787 §9, REQ-12; RFC 5508 §4, REQ-6).
//!
//! | list | what stands in it, by last use |
//! |---|---|
//! | 0 | TCP that opens or closes |
//! | 1 | UDP without an answer |
//! | 2 | ICMP queries |
//! | 3 | TCP that is established |
//! | 4 | UDP that was answered |
//!
//! Every list has one timeout, so that what expires next stands at its front. The first three give way first when the
//! table is full.

mod flow;
mod tcp;
mod tracker;

#[cfg(test)]
pub(crate) use tracker::CONNECTION_SLOT_BYTES;
pub(crate) use tracker::{Seen, Tracker};
