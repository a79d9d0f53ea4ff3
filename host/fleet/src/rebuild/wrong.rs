//! What can be wrong with what the stream has.

use ledger::ShardNumber;
use ledger::checkpoint::CheckpointError;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why the messages make no ledger.
#[derive(Debug)]
pub enum RebuildError {
    /// A file cannot be written.
    Write(PathBuf, io::Error),
    /// An entry is not in the stream, and others behind it are.
    Missing(ShardNumber, Place),
    /// One of the entries from the first place, and before the second, is not what was signed.
    Changed(ShardNumber, Place, Place),
    /// A checkpoint is not signed by the keys.
    Checkpoint(ShardNumber, Place, CheckpointError),
    /// A log has ended, and these entries at its end are not signed for.
    Unsigned(ShardNumber, Place),
    /// A message is longer than what it should hold, or there are more of its kind than there can be.
    Bound(ShardNumber, Place),
}

/// Where an entry is in its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The number of its log.
    pub log: u64,
    /// Its index there.
    pub index: u64,
}

impl RebuildError {
    /// A word for the kind of it, for programs; `None` where nothing is wrong with the stream.
    #[must_use]
    pub fn kind(&self) -> Option<&'static str> {
        match self {
            Self::Write(..) => None,
            Self::Missing(..) => Some("missing"),
            Self::Changed(..) => Some("changed"),
            Self::Checkpoint(..) => Some("not-signed"),
            Self::Unsigned(..) => Some("unsigned"),
            Self::Bound(..) => Some("too-long"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} of log {}", self.index, self.log)
    }
}

impl fmt::Display for RebuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Missing(shard, place) => {
                write!(f, "shard {shard}: {place} is not in the stream, and what follows it is")
            }
            Self::Changed(shard, from, to) => {
                write!(f, "shard {shard}: {from}, or one behind it and before {to}, is not what was signed")
            }
            Self::Checkpoint(shard, place, error) => {
                write!(f, "shard {shard}: the checkpoint before {place}: {error}")
            }
            Self::Unsigned(shard, place) => {
                write!(f, "shard {shard}: {place} and all behind it in that log are not signed for")
            }
            Self::Bound(shard, place) => {
                write!(f, "shard {shard}: the message with {place} is longer than any can be")
            }
        }
    }
}

impl std::error::Error for RebuildError {}
