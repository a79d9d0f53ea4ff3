//! What the log holds: one entry for each thing that was decided or that happened.
//!
//! An entry is a map in deterministic CBOR ([`cbor`](crate::cbor)); `docs/ledger.cddl` is its definition. It says what
//! was asked, by whom, what was decided and why. It never holds a byte of what a connection carries.
//!
//! A reader that is older than the writer loses nothing: fields that it does not know are kept in `others`, and an entry
//! of a kind that it does not know, or that lacks what its kind must have, is [`Event::Unknown`] with all its fields.

mod authorization;
mod cut;
mod events;
mod fields;
mod glance;
mod program;
#[cfg(test)]
mod tests;

pub use authorization::{Authorization, Direction, Protocol, Verdict};
pub use events::{Close, LogStart, Outcome, PolicyChange, RunEnd, RunStart, ShardsSeen};
pub use glance::{Glance, Refusal};
pub use program::{Parent, Program};

use crate::cbor::{DecodeError, Value};
use fields::{Field, Fields};
use std::fmt;
use std::str::FromStr;

/// The bound of an entry, in bytes: a bundle tells an entry's length in 16 bits (C2SP tlog-tiles, Log entries).
pub const ENTRY_BYTES_MAX: usize = 65_535;
/// The bound of a name or of an identifier, in bytes. A domain name has 253.
pub const NAME_BYTES_MAX: usize = 1_024;
/// The bound of a path, in bytes: Linux's own.
pub const PATH_BYTES_MAX: usize = 4_096;
/// The bound of a reason, and of a rule as it was written, in bytes.
pub const REASON_BYTES_MAX: usize = 2_048;
/// The bound of a command line, in bytes; what is longer is cut.
pub const COMMAND_LINE_BYTES_MAX: usize = 8_192;
/// How many processes above one are told.
pub const PARENTS_MAX: usize = 16;

/// One entry.
///
/// ```
/// use ledger::{Authorization, Direction, Entry, Event, Protocol, RunId, Verdict};
///
/// let asked = Authorization {
///     verdict: Verdict::Refused,
///     reason: "no rule allows it".into(),
///     protocol: Some(Protocol::Tcp),
///     direction: Some(Direction::Connect),
///     name: Some("ads.example".into()),
///     port: Some(443),
///     ..Authorization::default()
/// };
/// let run: RunId = "000102030405060708090a0b0c0d0e0f".parse()?;
/// let entry = Entry::new(1_795_000_000_000_000_000, run, Event::ConnectionAuthorize(asked));
/// let bytes = entry.encode()?;
/// assert_eq!(Entry::decode(&bytes)?, entry);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was decided or happened: nanoseconds since 1970-01-01 00:00 UTC, without leap seconds.
    pub time_ns: u64,
    /// The run that it belongs to.
    pub run: RunId,
    /// What it was.
    pub event: Event,
    /// Whether something in it was longer than its bound and has been cut.
    pub is_cut: bool,
    /// Fields that this version does not know.
    pub others: Vec<(u64, Value)>,
}

/// What was decided, or happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection was asked for, in either direction.
    ConnectionAuthorize(Authorization),
    /// A program asked to take connections.
    ListenAuthorize(Authorization),
    /// A program asked for a name's addresses.
    ResolveAuthorize(Authorization),
    /// A connection has ended.
    ConnectionClose(Close),
    /// The policy became another.
    PolicyChange(PolicyChange),
    /// A run began.
    RunStart(RunStart),
    /// A run ended.
    RunEnd(RunEnd),
    /// The log goes on from another: the first entry of every log but a ledger's first.
    LogStart(LogStart),
    /// What this shard has seen of the ledger's other shards.
    ShardsSeen(ShardsSeen),
    /// An entry of a kind that this version does not know, or that lacks what its kind must have; its fields are in
    /// [`Entry::others`].
    Unknown {
        /// The kind.
        kind: u64,
    },
    /// A value that has not even the fields that every entry has.
    Shapeless(Value),
}

/// A run: sixteen bytes that the host draws at random when it starts one. Zero for what belongs to none.
///
/// ```
/// use ledger::RunId;
/// let run = RunId([0xab; 16]);
/// assert_eq!(run.to_string(), "abababababababababababababababab");
/// assert_eq!(run.to_string().parse(), Ok(run));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub [u8; 16]);

/// A BLAKE3 hash, of an executable or of a policy's text.
///
/// ```
/// assert!(ledger::Digest([1; 32]).to_string().starts_with("0101"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// Why an entry cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// How long it would be, in bytes.
    pub length: usize,
}

// The fields that every entry has.
const KIND: u64 = 0;
const TIME: u64 = 1;
const RUN: u64 = 2;
const CUT: u64 = 3;
/// The first field that each kind gives a meaning of its own.
const OWN: u64 = 4;

const CONNECTION_AUTHORIZE: u64 = 1;
const LISTEN_AUTHORIZE: u64 = 2;
const RESOLVE_AUTHORIZE: u64 = 3;
const CONNECTION_CLOSE: u64 = 4;
const POLICY_CHANGE: u64 = 5;
const RUN_START: u64 = 6;
const RUN_END: u64 = 7;
const LOG_START: u64 = 8;
const SHARDS_SEEN: u64 = 9;

/// Whether an entry's bytes are of the kind that tells of shards, without a look at the rest: its kind is the first of a
/// map's fields (RFC 8949 §4.2.1), behind the map's head of one byte or two.
pub(crate) fn tells_of_shards(bytes: &[u8]) -> bool {
    let kind = [KIND as u8, SHARDS_SEEN as u8];
    match bytes {
        [0xa1..=0xb7, rest @ ..] | [0xb8, _, rest @ ..] => rest.starts_with(&kind),
        _ => false,
    }
}

impl Entry {
    /// An entry about this event. What is longer than its bound is cut, and [`is_cut`](Self::is_cut) says so.
    #[must_use]
    pub fn new(time_ns: u64, run: RunId, mut event: Event) -> Self {
        let is_cut = event.cut();
        Self { time_ns, run, event, is_cut, others: Vec::new() }
    }

    /// Its bytes.
    ///
    /// # Errors
    ///
    /// Where it is longer than [`ENTRY_BYTES_MAX`]. One from [`Entry::new`] is not.
    pub fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let bytes = match &self.event {
            Event::Shapeless(value) => value.encode(),
            event => self.fields(event).into_value().encode(),
        };
        match bytes.len() {
            length if length > ENTRY_BYTES_MAX => Err(TooLong { length }),
            _ => Ok(bytes),
        }
    }

    fn fields(&self, event: &Event) -> Fields {
        let mut fields = Fields::of_others(&self.others);
        fields.put(KIND, &event.kind());
        fields.put(TIME, &self.time_ns);
        fields.put(RUN, &self.run);
        if self.is_cut {
            fields.put(CUT, &true);
        }
        match event {
            Event::ConnectionAuthorize(asked)
            | Event::ListenAuthorize(asked)
            | Event::ResolveAuthorize(asked) => asked.write(&mut fields),
            Event::ConnectionClose(close) => close.write(&mut fields),
            Event::PolicyChange(change) => change.write(&mut fields),
            Event::RunStart(start) => start.write(&mut fields),
            Event::RunEnd(end) => end.write(&mut fields),
            Event::LogStart(start) => start.write(&mut fields),
            Event::ShardsSeen(seen) => seen.write(&mut fields),
            Event::Unknown { .. } | Event::Shapeless(_) => {}
        }
        fields
    }

    /// The entry that these bytes are. Written again, it is the same bytes.
    ///
    /// # Errors
    ///
    /// Where they are not deterministic CBOR at all. A value of whatever shape is an entry.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let value = Value::decode(bytes)?;
        Ok(Self::of_value(&value).unwrap_or_else(|| Self {
            time_ns: 0,
            run: RunId::default(),
            event: Event::Shapeless(value),
            is_cut: false,
            others: Vec::new(),
        }))
    }

    fn of_value(value: &Value) -> Option<Self> {
        let mut fields = Fields::of_value(value.clone())?;
        let kind = fields.take(KIND)?;
        let (time_ns, run) = (fields.take(TIME)?, fields.take(RUN)?);
        let is_cut = match fields.take_if::<bool>(CUT)? {
            // It is there only where it is true: an entry has one form.
            Some(false) => return None,
            cut => cut.is_some(),
        };
        let others = fields.into_others();
        // A kind reads from a copy, so that one that lacks something leaves all as it was.
        let mut fields = Fields::of_others(&others);
        let (event, others) = match Event::read(kind, &mut fields) {
            Some(event) => (event, fields.into_others()),
            None => (Event::Unknown { kind }, others),
        };
        Some(Self { time_ns, run, event, is_cut, others })
    }
}

impl Event {
    /// Its kind, as the log numbers them; 0 for a value that tells none.
    #[must_use]
    pub fn kind(&self) -> u64 {
        match self {
            Self::ConnectionAuthorize(_) => CONNECTION_AUTHORIZE,
            Self::ListenAuthorize(_) => LISTEN_AUTHORIZE,
            Self::ResolveAuthorize(_) => RESOLVE_AUTHORIZE,
            Self::ConnectionClose(_) => CONNECTION_CLOSE,
            Self::PolicyChange(_) => POLICY_CHANGE,
            Self::RunStart(_) => RUN_START,
            Self::RunEnd(_) => RUN_END,
            Self::LogStart(_) => LOG_START,
            Self::ShardsSeen(_) => SHARDS_SEEN,
            Self::Unknown { kind } => *kind,
            Self::Shapeless(_) => 0,
        }
    }

    /// What was asked, for the kinds that ask.
    #[must_use]
    pub fn authorization(&self) -> Option<&Authorization> {
        match self {
            Self::ConnectionAuthorize(asked)
            | Self::ListenAuthorize(asked)
            | Self::ResolveAuthorize(asked) => Some(asked),
            Self::ConnectionClose(_)
            | Self::PolicyChange(_)
            | Self::RunStart(_)
            | Self::RunEnd(_)
            | Self::LogStart(_)
            | Self::ShardsSeen(_)
            | Self::Unknown { .. }
            | Self::Shapeless(_) => None,
        }
    }

    fn read(kind: u64, fields: &mut Fields) -> Option<Self> {
        match kind {
            CONNECTION_AUTHORIZE => Authorization::read(fields).map(Self::ConnectionAuthorize),
            LISTEN_AUTHORIZE => Authorization::read(fields).map(Self::ListenAuthorize),
            RESOLVE_AUTHORIZE => Authorization::read(fields).map(Self::ResolveAuthorize),
            CONNECTION_CLOSE => Close::read(fields).map(Self::ConnectionClose),
            POLICY_CHANGE => PolicyChange::read(fields).map(Self::PolicyChange),
            RUN_START => RunStart::read(fields).map(Self::RunStart),
            RUN_END => RunEnd::read(fields).map(Self::RunEnd),
            LOG_START => LogStart::read(fields).map(Self::LogStart),
            SHARDS_SEEN => ShardsSeen::read(fields).map(Self::ShardsSeen),
            _ => None,
        }
    }

    fn cut(&mut self) -> bool {
        match self {
            Self::ConnectionAuthorize(asked)
            | Self::ListenAuthorize(asked)
            | Self::ResolveAuthorize(asked) => asked.cut(),
            Self::ConnectionClose(_) | Self::RunEnd(_) | Self::Unknown { .. } | Self::Shapeless(_) => false,
            Self::PolicyChange(change) => change.cut(),
            Self::RunStart(start) => start.cut(),
            Self::LogStart(start) => start.cut(),
            Self::ShardsSeen(seen) => seen.cut(),
        }
    }
}

impl Field for bool {
    fn to_value(&self) -> Value {
        Value::Bool(*self)
    }

    fn of_value(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }
}

impl Field for RunId {
    fn to_value(&self) -> Value {
        self.0.to_value()
    }

    fn of_value(value: &Value) -> Option<Self> {
        Field::of_value(value).map(Self)
    }
}

impl Field for Digest {
    fn to_value(&self) -> Value {
        self.0.to_value()
    }

    fn of_value(value: &Value) -> Option<Self> {
        Field::of_value(value).map(Self)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why text is no run's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunIdError;

impl fmt::Display for RunIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a run's id is 32 hexadecimal digits")
    }
}

impl std::error::Error for RunIdError {}

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, RunIdError> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        number.map(|number| Self(number.to_be_bytes())).ok_or(RunIdError)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { length } = self;
        write!(f, "an entry of {length} bytes is longer than the log's {ENTRY_BYTES_MAX}")
    }
}

impl std::error::Error for TooLong {}
