//! Fuzz targets as functions: each takes any bytes, and panics where the code under test does what it must not.
//!
//! - [`frames`]: frames of any kind into a stack with an Ethernet and an IP interface
//! - [`tcp_live`]: segments, owner's calls and time into one live connection
//! - [`filter_rules`]: texts as rules of the packet filter
//! - [`filter_packets`]: packets of any kind to a packet filter
//!
//! A corpus for each stands in `corpus/`, its first inputs written by the examples with [`corpus`], and is replayed by a test;
//! `libfuzzer/` finds more (README.md).
#![forbid(unsafe_code)]

pub mod corpus;
mod filter;
mod frames;
mod input;
mod peer;
mod profile;
mod repair;
mod subject;
mod tcp_live;

pub use filter::{filter_packets, filter_rules};
pub use frames::frames;
pub use tcp_live::tcp_live;
