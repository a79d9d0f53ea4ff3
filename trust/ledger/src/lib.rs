//! The ledger: what was decided, in order, and the proof that none of it was changed.
//!
//! Entries ([`entry`]) are appended to a transparency log in the open format of C2SP's tlog-tiles, whose checkpoints are
//! signed; `docs/ledger.md` tells the whole of it. Nothing here knows a clock, a thread or a socket: time comes in, and
//! whoever owns a log says where it is written.

#![forbid(unsafe_code)]

pub mod archive;
pub mod batch;
pub mod cbor;
pub mod checkpoint;
pub mod directory;
pub mod edge;
pub mod entry;
pub mod hash;
pub mod journal;
pub mod layout;
pub mod log;
mod nodes;
pub mod note;
pub mod proof;
pub mod reader;
pub mod regular;
pub mod shards;
pub mod simulated;
pub mod storage;
pub mod tile;
pub mod tree;
pub mod verify;
pub mod writer;

pub use batch::{Batch, Written};
pub use edge::ReadError;
pub use entry::{
    Authorization, Close, Digest, Direction, Entry, Event, Glance, LogStart, Outcome, Parent, PolicyChange,
    Program, Protocol, Refusal, RunEnd, RunId, RunStart, ShardsSeen, TooLong, Verdict,
};
pub use log::{AppendError, Durability, Log, LogConfig, Position};
pub use reader::{LogView, Reader, Record};
pub use shards::{EntryNumber, ShardNumber};
pub use verify::{Extent, Finding, Report, verify, verify_extent};
pub use writer::{OpenError, WriteError, Writer, WriterConfig};
