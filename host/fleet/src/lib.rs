//! Many hosts: policies that come to each of them, and ledgers that leave each of them, through NATS JetStream.
//!
//! Every host has a ledger and a policy of its own and needs nobody to decide. Beside `weft run` an agent, a process of
//! its own, watches the host's policy in a bucket and ships the ledger's entries to a stream; where the servers are away
//! it waits, and no connection waits for it. `docs/fleet.md` tells the whole of it.
//!
//! - [`host`], [`subject`]: what hosts, subjects and messages are called
//! - [`server`], [`setup`]: how servers are reached, and the stream and the buckets
//! - [`policy`], [`signed`], [`policies`]: policies as documents, who has signed them, and the bucket of them
//! - [`agent`]: what runs on each host
//! - [`spool`], [`shipping`], [`room`], [`position`]: from a ledger's directory to the stream, which may be full
//! - [`rebuild`], [`collect`]: from the stream back to a ledger that can be verified
//! - [`state`], [`hosts`]: what an agent tells of itself, and the bucket of that

#![forbid(unsafe_code)]

pub mod agent;
pub mod collect;
pub mod host;
pub mod hosts;
pub mod policies;
pub mod policy;
pub mod position;
pub mod rebuild;
pub mod room;
pub mod server;
pub mod setup;
pub mod shipping;
pub mod signed;
pub mod spool;
pub mod state;
pub mod subject;

pub use agent::{Agent, AgentConfig};
pub use host::HostName;
pub use server::{Access, Link, ServerError};
