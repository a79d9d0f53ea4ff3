//! The stream of the ledgers, and the buckets: made once for a fleet.

use crate::server::{Link, ServerError, chain};
use crate::subject::{HOSTS, POLICIES, STREAM, STREAM_SUBJECTS};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, StorageType};
use std::time::Duration;

/// For how long a new stream drops what comes twice.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// How many policies of each key a new bucket keeps.
const POLICY_HISTORY: i64 = 16;

/// How the stream and the buckets are kept. What is not told stays as it is, and where there is nothing yet, is as said here.
///
/// ```
/// let config = fleet::setup::SetupConfig { replicas: Some(3), ..Default::default() };
/// assert_eq!(config.ledger_bytes_max, None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetupConfig {
    /// On how many servers each message is, from 1 to 5; on one.
    pub replicas: Option<usize>,
    /// How many bytes of ledgers the stream holds, then it takes no more until there is room: nothing that it has goes.
    /// Without a bound of its own.
    pub ledger_bytes_max: Option<u64>,
    /// For how long the server drops a message whose id it has seen; for two minutes. Whoever reads drops what comes twice,
    /// however much later.
    pub duplicate_window: Option<Duration>,
    /// How many policies of each key the bucket keeps, the newest included, up to 64; the last 16.
    pub policy_history: Option<u8>,
}

/// A stream, or a bucket, which is one, as it is kept now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What the server calls it.
    pub name: String,
    /// On how many servers each message is.
    pub replicas: usize,
    /// How many bytes it holds; `None` where that has no bound of its own.
    pub bytes_max: Option<u64>,
    /// How many messages of each subject it keeps; `None` for all.
    pub history: Option<u64>,
    /// For how long it drops what comes twice.
    pub duplicate_window: Duration,
    /// What was done.
    pub change: Change,
}

/// What was done to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Made,
    /// It was there, and kept otherwise.
    Changed,
    /// It was there as it is.
    None,
}

impl Change {
    /// A word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Changed => "changed",
            Self::None => "none",
        }
    }
}

/// Makes what is not there, and changes what is to be as told. No entry of a ledger that is in it goes. The stream of the ledgers, the
/// bucket of the policies, and that of the hosts.
///
/// # Errors
///
/// What could not be made, and why.
pub async fn set_up(link: &Link, config: &SetupConfig) -> Result<[Kept; 3], ServerError> {
    let ledgers = stream::Config {
        name: STREAM.into(),
        subjects: vec![STREAM_SUBJECTS.into()],
        description: Some("entries and checkpoints of weft's ledgers".into()),
        retention: RetentionPolicy::Limits,
        // What is full takes nothing more, rather than to let go of what others rely on.
        discard: DiscardPolicy::New,
        max_bytes: -1,
        storage: StorageType::File,
        num_replicas: 1,
        duplicate_window: DUPLICATE_WINDOW,
        // No single message is taken out, and none by accident.
        deny_delete: true,
        // An agent asks for the last message of its own subject, and needs no leave for others'.
        allow_direct: true,
        ..Default::default()
    };
    let ledgers = keep(link, "make the stream of ledgers", ledgers, |stream| {
        stream.num_replicas = config.replicas.unwrap_or(stream.num_replicas);
        stream.duplicate_window = config.duplicate_window.unwrap_or(stream.duplicate_window);
        // Of one that others have made as well.
        stream.discard = DiscardPolicy::New;
        if let Some(bytes) = config.ledger_bytes_max {
            stream.max_bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        }
    })
    .await?;
    let policies = bucket(POLICIES, "weft's policies", POLICY_HISTORY);
    let policies = keep(link, "make the bucket of policies", policies, |stream| {
        stream.num_replicas = config.replicas.unwrap_or(stream.num_replicas);
        if let Some(history) = config.policy_history {
            stream.max_messages_per_subject = i64::from(history.clamp(1, 64));
        }
    })
    .await?;
    let hosts = keep(
        link,
        "make the bucket of hosts",
        bucket(HOSTS, "what weft's agents tell of themselves", 1),
        |stream| {
            stream.num_replicas = config.replicas.unwrap_or(stream.num_replicas);
        },
    )
    .await?;
    Ok([ledgers, policies, hosts])
}

/// Makes a stream, or where it is there, changes that one.
async fn keep(
    link: &Link,
    what: &'static str,
    new: stream::Config,
    change: impl FnOnce(&mut stream::Config),
) -> Result<Kept, ServerError> {
    let jetstream = link.jetstream();
    let (before, held_bytes) = match jetstream.get_stream(&new.name).await {
        Ok(stream) => (Some(stream.cached_info().config.clone()), stream.cached_info().state.bytes),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(told) if told.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                (None, 0)
            }
            _ => return Err(ServerError::Request(what, chain(&error))),
        },
    };
    let mut stream = before.clone().unwrap_or(new);
    change(&mut stream);
    // A server lets go of what is above a limit when the limit comes down, however it discards otherwise.
    if let Some(bytes) = u64::try_from(stream.max_bytes).ok().filter(|bytes| (1..held_bytes).contains(bytes))
    {
        return Err(ServerError::Held(stream.name, held_bytes, bytes));
    }
    let change = match &before {
        None => Change::Made,
        Some(before) if *before == stream => Change::None,
        Some(_) => Change::Changed,
    };
    let made = jetstream.create_or_update_stream(stream).await;
    let config = made.map_err(|error| ServerError::Request(what, chain(&error)))?.config;
    // What has no bound is told by -1.
    let bound = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
    Ok(Kept {
        name: config.name,
        replicas: config.num_replicas,
        bytes_max: bound(config.max_bytes),
        history: bound(config.max_messages_per_subject),
        duplicate_window: config.duplicate_window,
        change,
    })
}

/// A bucket is a stream with a subject for each key (NATS ADR-8, JetStream based Key-Value Stores). It is made as one,
/// because the client asks the server's account before it makes a bucket, and does not understand the answer of 2.9.
fn bucket(name: &str, description: &str, history: i64) -> stream::Config {
    stream::Config {
        name: format!("KV_{name}"),
        subjects: vec![format!("$KV.{name}.>")],
        description: Some(description.to_owned()),
        max_messages_per_subject: history,
        max_bytes: -1,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: 1,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        ..Default::default()
    }
}
