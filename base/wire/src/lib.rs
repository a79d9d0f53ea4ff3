//! Header views and checksums, a file per header.
//!
//! Each header is a value: `parse` checks the bytes once and returns it with its length, and what it holds can
//! then be used without another check; `emit` writes it into room that the caller made, innermost header first.
//! What is wrong with the bytes has a name in that header's `Malformed`.
//!
//! | layer | modules |
//! |---|---|
//! | link | [`ethernet`], [`arp`] |
//! | network | [`ipv4`], [`ipv6`], [`extension`], [`icmpv4`], [`icmpv6`], [`ndp`] |
//! | transport | [`udp`], [`tcp`] |
//! | all | [`checksum`], [`Protocol`], [`Ecn`] |
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate alloc;

pub mod arp;
pub mod checksum;
mod ecn;
pub mod ethernet;
pub mod extension;
mod field;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
pub mod ndp;
mod protocol;
pub mod tcp;
pub mod udp;

pub use ecn::Ecn;
pub use protocol::Protocol;
