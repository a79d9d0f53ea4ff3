//! Reading all that the stream has of one host, in its order, into a [`Rebuild`].

use crate::host::HostName;
use crate::rebuild::{Rebuild, RebuildError};
use crate::server::{Link, ServerError, chain};
use crate::subject::{self, MessageId, STREAM};
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{DeliverPolicy, pull::OrderedConfig};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use futures_util::StreamExt;
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;

/// How long the next message may take: the client asks again for what was lost on the way.
const MESSAGE_WAIT: Duration = Duration::from_secs(30);
/// The bound of messages that were sent and not read yet.
const WAITING_MESSAGES_MAX: i64 = 500;

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many messages were of the host's ledger.
    pub messages: u64,
    /// How many were not, though they came under its subject.
    pub foreign: u64,
}

/// Why not all was read.
#[derive(Debug)]
pub enum CollectError {
    /// The stream cannot be read.
    Server(ServerError),
    /// What it has makes no ledger.
    Rebuild(RebuildError),
}

/// Reads what the stream has by now. Memory does not grow with it.
///
/// # Errors
///
/// Where the stream cannot be read to its end, and the first thing that is wrong with what it has.
pub async fn collect(link: &Link, host: &HostName, into: &mut Rebuild) -> Result<Collected, CollectError> {
    let failed =
        |reason: String| CollectError::Server(ServerError::Request("read the stream of ledgers", reason));
    let stream = link.jetstream().get_stream(STREAM).await.map_err(|error| failed(chain(&error)))?;
    let subject = subject::ledgers(host);
    // The leader tells it; whoever the consumer is with may be behind. What comes meanwhile is for the next time: a fleet that
    // works never comes to an end.
    let last = match stream.get_last_raw_message_by_subject(&subject).await {
        Ok(last) => Some(last.sequence),
        // A server of 2.9 does not find it either where it took one back that was over its account's limit.
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => None,
        Err(error) => return Err(failed(chain(&error))),
    };
    let config = OrderedConfig {
        filter_subject: subject,
        deliver_policy: DeliverPolicy::All,
        max_batch: WAITING_MESSAGES_MAX,
        ..OrderedConfig::default()
    };
    let consumer = stream.create_consumer(config).await.map_err(|error| failed(chain(&error)))?;
    let mut collected = Collected::default();
    if last.is_none() && consumer.cached_info().num_pending == 0 {
        return Ok(collected);
    }
    let mut messages = consumer.messages().await.map_err(|error| failed(chain(&error)))?;
    loop {
        let next = timeout(MESSAGE_WAIT, messages.next()).await;
        let message = next.map_err(|_| failed(format!("no message in {} s", MESSAGE_WAIT.as_secs())))?;
        let message =
            message.ok_or_else(|| failed("it ended".into()))?.map_err(|error| failed(chain(&error)))?;
        let info = message.info().map_err(|error| failed(error.to_string()))?;
        if last.is_none_or(|last| info.stream_sequence <= last) {
            match id_of(&message, host) {
                Some(id) => {
                    into.handle(id.shard, &id.part, &message.payload).map_err(CollectError::Rebuild)?;
                    collected.messages += 1;
                }
                None => collected.foreign += 1,
            }
        }
        if last.map_or(info.pending == 0, |last| info.stream_sequence >= last) {
            return Ok(collected);
        }
    }
}

/// The id of a message of this host's ledger. One that is not under its own subject is none: servers let a host publish by
/// subjects.
fn id_of(message: &Message, host: &HostName) -> Option<MessageId> {
    let id: MessageId = message.headers.as_ref()?.get(NATS_MESSAGE_ID)?.as_str().parse().ok()?;
    let is_own = id.host == *host && message.subject.as_str() == subject::ledger(host, id.shard);
    is_own.then_some(id)
}

impl fmt::Display for CollectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(error) => error.fmt(f),
            Self::Rebuild(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CollectError {}
