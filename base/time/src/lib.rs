//! Time as a value: nothing here reads a clock.
//!
//! - [`Instant`]: nanoseconds since an epoch that the owner of the clock chose
//! - [`Wheel`]: timers by key, set, moved, cancelled and expired in constant time
//! - [`SequenceNumber`]: TCP's 32-bit numbers, compared modulo 2^32
//! - [`calendar`]: moments as RFC 3339 writes them
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod calendar;
mod instant;
mod sequence;
mod wheel;

pub use core::time::Duration;
pub use instant::Instant;
pub use sequence::SequenceNumber;
pub use wheel::Wheel;
