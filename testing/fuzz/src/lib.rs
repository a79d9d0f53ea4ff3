//! Fuzz targets as functions: each takes any bytes, and panics where the code under test does what it must not.
//!
//! - [`frames`]: frames of any kind into a stack with an Ethernet and an IP interface
//! - [`tcp_live`]: segments, owner's calls and time into one live connection
//! - [`filter_rules`]: texts as rules of the packet filter
//! - [`filter_packets`]: packets of any kind to a packet filter
//! - [`policy_list`], [`policy_cedar`], [`policy_question`]: texts as policies, and as questions to them
//! - [`ledger_entry`], [`ledger_note`], [`ledger_journal`]: what a ledger's files hold
//!
//! A corpus for each stands in `corpus/`, its first inputs written by the examples with [`corpus`], and is replayed by a test;
//! `libfuzzer/` finds more (README.md).
#![forbid(unsafe_code)]

pub mod corpus;
mod filter;
mod frames;
mod input;
mod ledger;
mod peer;
mod policy;
mod profile;
mod repair;
mod subject;
mod tcp_live;

pub use self::ledger::{ledger_entry, ledger_journal, ledger_note};
pub use filter::{filter_packets, filter_rules};
pub use frames::frames;
pub use policy::{policy_cedar, policy_list, policy_question};
pub use tcp_live::tcp_live;
