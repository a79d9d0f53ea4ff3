//! What can be wrong with a ledger of several shards, and how it is told.

use super::{EntryNumber, ShardError, ShardNumber};
use crate::verify::Finding;
use std::fmt;

/// The first thing that is wrong.
#[derive(Clone, Debug)]
pub enum ShardsFinding {
    /// Within one shard.
    Within {
        /// Which one.
        shard: ShardNumber,
        /// What.
        finding: Finding,
    },
    /// In this shard's place is another log.
    Exchanged {
        /// The shard.
        shard: ShardNumber,
        /// The name of the log that is there.
        origin: String,
    },
    /// A shard is not here.
    Removed {
        /// The shard.
        shard: ShardNumber,
        /// The name of its newest log when it was seen, and how many entries that had.
        seen: (String, u64),
        /// The entry that tells so.
        witness: EntryNumber,
    },
    /// Entries are missing at a shard's end.
    Truncated {
        /// The number behind the last entry that is there.
        have: EntryNumber,
        /// The name of its newest log when it was seen, and how many entries that had.
        seen: (String, u64),
        /// The entry that tells so.
        witness: EntryNumber,
    },
    /// A shard has other entries than were seen in it.
    Replaced {
        /// The first that may be another.
        first: EntryNumber,
        /// The last that may be.
        last: EntryNumber,
        /// The entry that tells so.
        witness: EntryNumber,
    },
}

impl ShardsFinding {
    /// A word for the kind of it, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Within { finding, .. } => finding.kind(),
            Self::Exchanged { .. } => "shard-exchanged",
            Self::Removed { .. } => "shard-removed",
            Self::Truncated { .. } => "shard-truncated",
            Self::Replaced { .. } => "shard-replaced",
        }
    }

    /// The shard that it is about.
    #[must_use]
    pub fn shard(&self) -> ShardNumber {
        match self {
            Self::Within { shard, .. } | Self::Exchanged { shard, .. } | Self::Removed { shard, .. } => {
                *shard
            }
            Self::Truncated { have, .. } => have.shard,
            Self::Replaced { first, .. } => first.shard,
        }
    }

    /// The sequence number in that shard of the first entry that is wrong, or may be, where there is one.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        match self {
            Self::Within { finding, .. } => finding.sequence(),
            Self::Truncated { have, .. } => Some(have.sequence),
            Self::Replaced { first, .. } => Some(first.sequence),
            Self::Exchanged { .. } | Self::Removed { .. } => None,
        }
    }

    /// The entry of another shard that tells so, where one does.
    #[must_use]
    pub fn witness(&self) -> Option<EntryNumber> {
        match self {
            Self::Removed { witness, .. }
            | Self::Truncated { witness, .. }
            | Self::Replaced { witness, .. } => Some(*witness),
            Self::Within { .. } | Self::Exchanged { .. } => None,
        }
    }
}

impl From<ShardError> for ShardsFinding {
    fn from(ShardError { shard, error }: ShardError) -> Self {
        Self::Within { shard, finding: error.into() }
    }
}

impl fmt::Display for ShardsFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Within { shard: ShardNumber::FIRST, finding } => finding.fmt(f),
            Self::Within { shard, finding } => write!(f, "shard {shard}: {finding}"),
            Self::Exchanged { shard, origin } => {
                write!(f, "in the place of shard {shard} is the log {origin}: a shard was exchanged")
            }
            Self::Removed { shard, seen: (origin, size), witness } => {
                write!(f, "shard {shard} is missing: entry {witness} has seen {origin} with {size} entries")
            }
            Self::Truncated { have, seen: (origin, size), witness } => write!(
                f,
                "entry {have} is missing and all after it: entry {witness} has seen {origin} with {size} entries"
            ),
            Self::Replaced { first, last, witness } => write!(
                f,
                "entries were replaced between {first} and {last}, or the shard of entry {witness} was, which has seen \
                 others"
            ),
        }
    }
}

impl std::error::Error for ShardsFinding {}
