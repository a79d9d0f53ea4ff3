//! Shards: one ledger that several write at once, none waiting for another.
//!
//! A shard is a log with its own numbers, journal and lock. The first is the ledger's directory itself, the others are
//! folders in it, each a ledger of its own; all are signed with the same keys.
//!
//! ```text
//! 1/..  journal/..  lock       shard 1
//! shards/2/1/..  journal/..    shard 2, made when shard 1 was being written
//! ```
//!
//! - [`open`]: the first shard that nobody writes
//! - [`seen`]: what others have on disk, to be told by one: each shard is a witness of the others
//! - [`Shards`]: all of them, read as one
//! - [`verify`]: each of them, and what each has seen of the others
//! - [`EntryNumber`]: an entry's number in all of them

mod finding;
mod merge;
mod number;
mod open;
mod read;
mod verify;

pub use finding::ShardsFinding;

pub use number::{EntryNumber, EntryNumberError, ShardNumber};
pub use open::{ShardsError, open, seen};
pub use read::{ShardEntry, ShardError, ShardSource, Shards};
pub use verify::{ShardsReport, verify, verify_extent};

/// The bound of a ledger's shards, and so of those who write it at once. What is seen of all of them fits in one entry.
pub const SHARDS_MAX: u64 = 64;
