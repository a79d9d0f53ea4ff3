//! What can be wrong with a ledger, and how it is told.

use crate::checkpoint::CheckpointError;
use crate::edge::ReadError;
use crate::regular::WrongKind;
use std::fmt;
use std::sync::Arc;

/// The first thing that is wrong.
#[derive(Clone, Debug)]
pub enum Finding {
    /// This entry is wrong, by its sequence number.
    Entry {
        /// The first one that is wrong.
        sequence: u64,
        /// How.
        wrong: Wrong,
    },
    /// One of these entries is wrong, and the hashes that would tell which with it.
    Range {
        /// The first that may be.
        first: u64,
        /// The last that may be.
        last: u64,
        /// The file whose hashes do not fit.
        path: String,
    },
    /// The entries are right; a file of hashes is missing or was changed.
    Tile {
        /// Which one.
        path: String,
    },
    /// A file that was published is missing or cut short, and the journal has what it held: a loss of power leaves that, or
    /// somebody who takes it away.
    Unpublished {
        /// Which one.
        path: String,
        /// The first entry that it should have and has not, where it is one of entries.
        first: Option<u64>,
    },
    /// A part of a tile that is left from before, and is not what the tile began with; or a tile behind the end of its log.
    Stray {
        /// Which one.
        path: String,
    },
    /// The journal is not what was written, and no crash leaves it so.
    Journal {
        /// Which one.
        path: String,
        /// The first entry that it may have had, and has not.
        first: u64,
    },
    /// No journal is whole, which a ledger always has that can be gone on with.
    NoJournal,
    /// A checkpoint is not signed by the keys.
    Checkpoint {
        /// Which one.
        path: String,
        /// Why not.
        error: CheckpointError,
    },
    /// Entries are missing at the end: a signed checkpoint tells of more.
    Truncated {
        /// The sequence number behind the last that is there.
        have: u64,
        /// That behind the last that there was.
        want: u64,
    },
    /// Entries of this range were replaced: a signed checkpoint tells of others.
    Rewritten {
        /// The first that may have been.
        first: u64,
        /// The one behind the last that may have been.
        next: u64,
    },
    /// This log does not go on from the one before it: one was taken out, or one of another ledger put in, or added.
    Chain {
        /// Its number.
        log: u64,
    },
    /// Logs are not here that are to be kept, as the newest log's first entry tells.
    Unkept {
        /// The first of them.
        first: u64,
        /// The last.
        last: u64,
        /// The sequence number of the entry that tells so.
        witness: u64,
    },
    /// The checkpoint to compare with is of a log that is not here.
    Elsewhere {
        /// Its name.
        origin: String,
    },
    /// What is no file stands where a file should be, or what is no folder where a folder should be.
    Kind(WrongKind),
    /// A file cannot be read.
    Read(Arc<ReadError>),
}

/// How an entry is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Its bytes are not those that were written.
    Changed,
    /// It is not there; what follows has taken its place.
    Missing,
    /// It has changed places with the next.
    Swapped,
    /// It was put in; what was written follows it.
    Inserted,
}

impl From<ReadError> for Finding {
    fn from(error: ReadError) -> Self {
        let wrong = match &error {
            ReadError::Io(error) => WrongKind::of(error).cloned(),
            _ => None,
        };
        wrong.map_or_else(|| Self::Read(Arc::new(error)), Self::Kind)
    }
}

impl Finding {
    /// A word for the kind of it, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Entry { wrong: Wrong::Changed, .. } => "changed",
            Self::Entry { wrong: Wrong::Missing, .. } => "missing",
            Self::Entry { wrong: Wrong::Swapped, .. } => "swapped",
            Self::Entry { wrong: Wrong::Inserted, .. } => "inserted",
            Self::Range { .. } => "changed-with-hashes",
            Self::Tile { .. } => "hashes-changed",
            Self::Unpublished { .. } => "not-published",
            Self::Stray { .. } => "stray",
            Self::Journal { .. } => "journal-changed",
            Self::NoJournal => "no-journal",
            Self::Checkpoint { .. } => "not-signed",
            Self::Truncated { .. } => "truncated",
            Self::Rewritten { .. } => "rewritten",
            Self::Chain { .. } => "chain-broken",
            Self::Unkept { .. } => "logs-removed",
            Self::Elsewhere { .. } => "elsewhere",
            Self::Kind(_) => "wrong-kind",
            Self::Read(_) => "unreadable",
        }
    }

    /// The sequence number of the first entry that is wrong, or may be, where there is one.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        match self {
            Self::Entry { sequence, .. } => Some(*sequence),
            Self::Range { first, .. } | Self::Rewritten { first, .. } | Self::Journal { first, .. } => {
                Some(*first)
            }
            Self::Truncated { have, .. } => Some(*have),
            Self::Unpublished { first, .. } => *first,
            Self::Tile { .. }
            | Self::Stray { .. }
            | Self::NoJournal
            | Self::Checkpoint { .. }
            | Self::Chain { .. }
            | Self::Unkept { .. }
            | Self::Elsewhere { .. }
            | Self::Kind(_)
            | Self::Read(_) => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry { sequence, wrong } => match wrong {
                Wrong::Changed => write!(f, "entry {sequence} was changed"),
                Wrong::Missing => write!(f, "entry {sequence} is missing"),
                Wrong::Swapped => {
                    write!(f, "entry {sequence} has changed places with entry {}", sequence + 1)
                }
                Wrong::Inserted => write!(f, "an entry was inserted before entry {sequence}"),
            },
            Self::Range { first, last, path } => {
                write!(f, "one of the entries {first} to {last} was changed, and {path} with it")
            }
            Self::Tile { path } => {
                write!(f, "{path} is missing or was changed; the entries that it is about are right")
            }
            Self::Stray { path } => {
                write!(
                    f,
                    "{path} is not of this log: it was changed or put there, and no checkpoint calls for it"
                )
            }
            Self::Unpublished { path, first } => {
                match first {
                    Some(first) => write!(f, "entry {first} is missing in {path}")?,
                    None => write!(f, "{path} is missing or cut short")?,
                }
                f.write_str(
                    ", which was published; the journal has what it told. A loss of power leaves that as well: then the \
                     next run writes it anew",
                )
            }
            Self::Journal { path, first } => {
                write!(f, "{path} was changed behind all that is before entry {first}, and no crash leaves it so")
            }
            Self::NoJournal => f.write_str(
                "no journal is whole: it was changed or taken away. What an export or a copy in part has is verified with \
                 --partial",
            ),
            Self::Checkpoint { path, error } => write!(f, "{path}: {error}"),
            Self::Truncated { have, want } => write!(
                f,
                "entry {have} is missing and all after it: a signed checkpoint tells of entries up to {}",
                want - 1
            ),
            Self::Rewritten { first, next } => write!(
                f,
                "entries were replaced between {first} and {}: a signed checkpoint tells of others",
                next.saturating_sub(1)
            ),
            Self::Chain { log } => {
                write!(
                    f,
                    "log {log} does not go on from the one before it: a log was exchanged, added or taken out"
                )
            }
            Self::Unkept { first, last, witness } => {
                match first == last {
                    true => write!(f, "log {first} is missing")?,
                    false => write!(f, "the logs {first} to {last} are missing")?,
                }
                write!(f, ": entry {witness} tells that logs are kept from log {first} on")
            }
            Self::Elsewhere { origin } => {
                write!(f, "the log {origin}, of which a checkpoint tells, is not here")
            }
            Self::Kind(wrong) => wrong.fmt(f),
            Self::Read(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Finding {}
