//! What happened: connections that ended, policies, runs, and logs that go on from another.

use super::cut::{cut_list, cut_text};
use super::fields::{Field, Fields};
use super::{COMMAND_LINE_BYTES_MAX, Digest, NAME_BYTES_MAX, OWN, PATH_BYTES_MAX, RunId};
use crate::cbor::Value;
use crate::checkpoint::{Checkpoint, ORIGIN_BYTES_MAX};
use crate::hash::Hash;
use crate::shards::SHARDS_MAX;
use std::fmt;

/// The bound of the note that ends the log before this one, in bytes: several signatures of both kinds fit.
const NOTE_BYTES_MAX: usize = 32_768;

/// A connection that has ended.
///
/// ```
/// use ledger::{Close, Outcome};
/// let close = Close { sequence: 7, sent_bytes: 517, received_bytes: 12_345, ..Close::default() };
/// assert_eq!(close.outcome, Outcome::Finished);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Close {
    /// The sequence number by which it was authorised.
    pub sequence: u64,
    /// Bytes of payload from the program.
    pub sent_bytes: u64,
    /// Bytes of payload to the program.
    pub received_bytes: u64,
    /// How long it was open, in nanoseconds.
    pub duration_ns: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// Both sides had said all.
    #[default]
    Finished,
    /// One side reset it.
    Reset,
    /// The far side did not answer any more, or never did.
    TimedOut,
    /// The network led nowhere.
    Unreachable,
    /// It was given up on the host's side.
    Aborted,
    /// The policy refused it after it had begun, or a changed policy does not allow it any more.
    Revoked,
    /// It made room for another, had been idle for too long, or its socket is another.
    Evicted,
    /// It was over a limit of its run.
    Limited,
    /// The far side took no connection.
    Refused,
    /// Another, of a later version.
    Other(u64),
}

/// The policy became another, or was set for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChange {
    /// The hash of the policy's text, all included files with it.
    pub digest: Digest,
    /// The hash of the one before; `None` where there was none.
    pub previous: Option<Digest>,
    /// Where it came from: a file's path, or words for what else it was.
    pub source: String,
    /// How many connections were closed that it does not allow any more.
    pub closed: u64,
}

/// A run began.
///
/// ```
/// let start = ledger::RunStart { command: vec!["./build.sh".into()], ..ledger::RunStart::default() };
/// assert!(start.policy.is_none() && start.outer.is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunStart {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// The directory that it was started in.
    pub directory: String,
    /// The name of the host.
    pub host: String,
    /// The version of weft.
    pub version: String,
    /// The id of the user who started it.
    pub user: Option<u32>,
    /// The hash of the policy's text, as in [`PolicyChange::digest`].
    pub policy: Option<Digest>,
    /// The run that it was started in, whose policy narrows its own.
    pub outer: Option<RunId>,
}

/// A run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunEnd {
    /// The command's exit status, 128 and the signal's number where a signal ended it; `None` where it is not known.
    pub status: Option<u32>,
    /// How many questions were answered with yes.
    pub allowed: u64,
    /// How many with no.
    pub refused: u64,
    /// Bytes of payload from the programs of the run.
    pub sent_bytes: u64,
    /// Bytes of payload to them.
    pub received_bytes: u64,
    /// How long it ran, in nanoseconds.
    pub duration_ns: u64,
}

/// A log that goes on from another: its first entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStart {
    /// The sequence number of this entry: that of an entry is this and its index in the log.
    pub sequence: u64,
    /// The last checkpoint of the log before, as a signed note.
    pub previous: String,
    /// The number of the oldest log that is kept from here on; `None` of a writer that did not tell.
    pub oldest: Option<u64>,
}

/// What one shard of a ledger has seen of the others: each one's newest checkpoint that was on disk. So each is a witness of
/// the others, and what is cut off one of them is known to the rest.
///
/// ```
/// use ledger::checkpoint::Checkpoint;
/// use ledger::hash::leaf_hash;
///
/// let other = Checkpoint { origin: "build.example/shard-2".into(), size: 1, root: leaf_hash(b"entry") };
/// let seen = ledger::ShardsSeen { shards: vec![other] };
/// assert_eq!(seen.shards.len(), 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardsSeen {
    /// The other shards, each with the name of its newest log; at most [`SHARDS_MAX`].
    pub shards: Vec<Checkpoint>,
}

impl Close {
    pub(super) fn write(&self, fields: &mut Fields) {
        fields.put(OWN, &self.sequence);
        fields.put(OWN + 1, &self.sent_bytes);
        fields.put(OWN + 2, &self.received_bytes);
        fields.put(OWN + 3, &self.duration_ns);
        fields.put(OWN + 4, &self.outcome);
    }

    pub(super) fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            sequence: fields.take(OWN)?,
            sent_bytes: fields.take(OWN + 1)?,
            received_bytes: fields.take(OWN + 2)?,
            duration_ns: fields.take(OWN + 3)?,
            outcome: fields.take(OWN + 4)?,
        })
    }
}

impl PolicyChange {
    pub(super) fn write(&self, fields: &mut Fields) {
        fields.put(OWN, &self.digest);
        fields.put_if(OWN + 1, &self.previous);
        fields.put(OWN + 2, &self.source);
        fields.put(OWN + 3, &self.closed);
    }

    pub(super) fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            digest: fields.take(OWN)?,
            previous: fields.take_if(OWN + 1)?,
            source: fields.take(OWN + 2)?,
            closed: fields.take(OWN + 3)?,
        })
    }

    pub(super) fn cut(&mut self) -> bool {
        cut_text(&mut self.source, PATH_BYTES_MAX)
    }
}

impl RunStart {
    pub(super) fn write(&self, fields: &mut Fields) {
        fields.put(OWN, &self.command);
        fields.put(OWN + 1, &self.directory);
        fields.put(OWN + 2, &self.host);
        fields.put(OWN + 3, &self.version);
        fields.put_if(OWN + 4, &self.user);
        fields.put_if(OWN + 5, &self.policy);
        fields.put_if(OWN + 6, &self.outer);
    }

    pub(super) fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            command: fields.take(OWN)?,
            directory: fields.take(OWN + 1)?,
            host: fields.take(OWN + 2)?,
            version: fields.take(OWN + 3)?,
            user: fields.take_if(OWN + 4)?,
            policy: fields.take_if(OWN + 5)?,
            outer: fields.take_if(OWN + 6)?,
        })
    }

    pub(super) fn cut(&mut self) -> bool {
        let mut is_cut = cut_list(&mut self.command, COMMAND_LINE_BYTES_MAX);
        is_cut |= cut_text(&mut self.directory, PATH_BYTES_MAX);
        is_cut |= cut_text(&mut self.host, NAME_BYTES_MAX);
        is_cut | cut_text(&mut self.version, NAME_BYTES_MAX)
    }
}

impl RunEnd {
    pub(super) fn write(&self, fields: &mut Fields) {
        fields.put_if(OWN, &self.status);
        fields.put(OWN + 1, &self.allowed);
        fields.put(OWN + 2, &self.refused);
        fields.put(OWN + 3, &self.sent_bytes);
        fields.put(OWN + 4, &self.received_bytes);
        fields.put(OWN + 5, &self.duration_ns);
    }

    pub(super) fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            status: fields.take_if(OWN)?,
            allowed: fields.take(OWN + 1)?,
            refused: fields.take(OWN + 2)?,
            sent_bytes: fields.take(OWN + 3)?,
            received_bytes: fields.take(OWN + 4)?,
            duration_ns: fields.take(OWN + 5)?,
        })
    }
}

impl LogStart {
    pub(super) fn write(&self, fields: &mut Fields) {
        fields.put(OWN, &self.sequence);
        fields.put(OWN + 1, &self.previous);
        fields.put_if(OWN + 2, &self.oldest);
    }

    pub(super) fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            sequence: fields.take(OWN)?,
            previous: fields.take(OWN + 1)?,
            oldest: fields.take_if(OWN + 2)?,
        })
    }

    pub(super) fn cut(&mut self) -> bool {
        cut_text(&mut self.previous, NOTE_BYTES_MAX)
    }
}

impl ShardsSeen {
    pub(super) fn write(&self, fields: &mut Fields) {
        fields.put(OWN, &self.shards);
    }

    pub(super) fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { shards: fields.take(OWN)? })
    }

    /// A name that is cut is another log's: such a shard is left out as a whole.
    pub(super) fn cut(&mut self) -> bool {
        let count = self.shards.len();
        self.shards.retain(|shard| shard.origin.len() <= ORIGIN_BYTES_MAX);
        self.shards.truncate(SHARDS_MAX as usize);
        self.shards.len() < count
    }
}

/// `[origin, size, root]`.
impl Field for Checkpoint {
    fn to_value(&self) -> Value {
        Value::Array(vec![self.origin.to_value(), self.size.to_value(), self.root.0.to_value()])
    }

    fn of_value(value: &Value) -> Option<Self> {
        let Value::Array(parts) = value else { return None };
        let [origin, size, root] = &parts[..] else { return None };
        let origin = String::of_value(origin)?;
        Some(Self { origin, size: u64::of_value(size)?, root: Hash(Field::of_value(root)?) })
    }
}

/// Each outcome's number in the log and its word.
const OUTCOMES: [(Outcome, &str); 9] = [
    (Outcome::Finished, "finished"),
    (Outcome::Reset, "reset"),
    (Outcome::TimedOut, "timed-out"),
    (Outcome::Unreachable, "unreachable"),
    (Outcome::Aborted, "aborted"),
    (Outcome::Revoked, "revoked"),
    (Outcome::Evicted, "evicted"),
    (Outcome::Limited, "limited"),
    (Outcome::Refused, "refused"),
];

impl Outcome {
    fn number(self) -> u64 {
        match OUTCOMES.iter().position(|(outcome, _)| *outcome == self) {
            Some(number) => number as u64,
            None => match self {
                Self::Other(number) => number,
                _ => unreachable!("every outcome of this version is in the table"),
            },
        }
    }
}

impl Field for Outcome {
    fn to_value(&self) -> Value {
        Value::Unsigned(self.number())
    }

    fn of_value(value: &Value) -> Option<Self> {
        let number = u64::of_value(value)?;
        let known = usize::try_from(number).ok().and_then(|index| OUTCOMES.get(index));
        Some(known.map_or(Self::Other(number), |(outcome, _)| *outcome))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match OUTCOMES.iter().find(|(outcome, _)| outcome == self) {
            Some((_, word)) => f.write_str(word),
            None => write!(f, "outcome {}", self.number()),
        }
    }
}
