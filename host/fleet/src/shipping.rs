//! From the spool to the stream: what a step says is published, and counts as shipped once the server has acknowledged all
//! of it.
//!
//! A batch of entries is published at once and waited for as a whole; where one of them is not acknowledged, the batch is
//! published again. So whatever is in the stream is less than a batch ahead of what is not, and whoever reads needs no
//! more than a batch of memory to bring it into order. What is published twice has the same id twice.
//!
//! Of a stream with a limit, a batch is as long as there is [`Room`].

use crate::host::HostName;
use crate::position::{Acknowledged, Position};
use crate::room::{self, Room};
use crate::server::{Link, ServerError, chain};
use crate::spool::{BATCH_ENTRIES_MAX, Step};
use crate::subject::{self, MessageId, Part, STREAM};
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{DirectGetErrorKind, Info, Stream};
use bytes::Bytes;
use ledger::ShardNumber;

/// The header with the sequence number behind an entry, behind the last that a checkpoint tells of, or behind a gap.
pub const NEXT_HEADER: &str = "Weft-Next";

/// One shard of a host's ledger, on its way into the stream.
#[derive(Debug)]
pub struct Shipping {
    link: Link,
    host: HostName,
    shard: ShardNumber,
    subject: String,
    room: Room,
    /// Whether what was published last was not acknowledged.
    is_refused: bool,
}

/// Where the stream says that shipping goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Where the position says.
    AsKnown,
    /// Behind an entry that the stream has, or before it: the position is not known, or the stream has lost what it had
    /// acknowledged.
    Behind {
        /// The sequence number behind the last entry that the stream has.
        next: u64,
        /// That of the first one of a batch before it, of which any may be missing.
        from: u64,
    },
    /// At the ledger's first entry: the stream has nothing of it.
    AtFirst {
        /// The place in the stream behind which it comes.
        begin: u64,
    },
    /// At the ledger's first entry: the stream has lost the oldest of what it had acknowledged, or its oldest messages, where
    /// it is not known which of them were this shard's.
    Beheaded {
        /// The place in the stream behind which all of it comes anew.
        begin: u64,
    },
}

/// The bound of what the server stores of a message besides its subject, its id and its payload: 34 bytes of its own, and the
/// names and other values of the headers.
const MESSAGE_BYTES: usize = 192;

/// One message before it is published.
struct Outgoing {
    part: Part,
    /// The sequence number behind it.
    next: u64,
    payload: Vec<u8>,
}

impl Shipping {
    /// Of this shard.
    #[must_use]
    pub fn new(link: Link, host: HostName, shard: ShardNumber) -> Self {
        let subject = subject::ledger(&host, shard);
        Self { link, host, shard, subject, room: Room::Unknown, is_refused: false }
    }

    /// Publishes a step, or as much of it as there is room for; the position afterwards.
    ///
    /// # Errors
    ///
    /// Where there is no room, or not all of it was acknowledged. Some of it may be in the stream, and the position is what
    /// it was.
    pub async fn ship(&mut self, position: &Position, step: Step) -> Result<Position, ServerError> {
        let (mut messages, note): (Vec<Outgoing>, _) = match step {
            Step::Idle | Step::After(_) => return Ok(position.clone()),
            Step::Entries(records) => {
                let outgoing = |record: ledger::Record| Outgoing {
                    part: Part::Entry { log: record.log, index: record.index },
                    next: record.sequence + 1,
                    payload: record.bytes,
                };
                (records.into_iter().map(outgoing).collect(), position.note.clone())
            }
            Step::Checkpoint { log, size, next, note } => {
                let part = Part::Checkpoint { log, size };
                let payload = note.clone().into_bytes();
                (vec![Outgoing { part, next, payload }], Some(note))
            }
            Step::Gap { from, to } => {
                let text = format!(
                    "The ledger let entries {from} to {} go before they were shipped.",
                    to.saturating_sub(1)
                );
                let part = Part::Gap { from, to };
                (vec![Outgoing { part, next: to, payload: text.into_bytes() }], position.note.clone())
            }
        };
        let count = self.take_room(&messages).await?;
        messages.truncate(count);
        let next = messages.last().map_or(position.next, |message| message.next);
        let published = self.publish(messages).await;
        self.is_refused = published.is_err();
        let (first, last) = published?;
        if first < position.begin {
            // The whole is to be behind what it has lost, so that whoever reads finds it in order.
            let text =
                "it still takes what it has lost for what comes twice, until its duplicate window is over";
            return Err(ServerError::Request("ship anew to the stream", text.into()));
        }
        Ok(Position { next, note, last: last.or_else(|| position.last.clone()), begin: position.begin })
    }

    /// Takes room for messages; for how many. Where what was taken before is used up, the stream is asked anew.
    async fn take_room(&mut self, messages: &[Outgoing]) -> Result<usize, ServerError> {
        let extra = MESSAGE_BYTES + 2 * self.subject.len();
        let sizes = || messages.iter().map(move |message| (message.payload.len() + extra) as u64);
        let mut count = self.room.take(sizes());
        if count == 0 && !messages.is_empty() {
            self.ask().await?;
            count = self.room.take(sizes());
        }
        match self.room {
            Room::Limited { bytes_max, .. } if count == 0 && !messages.is_empty() => {
                Err(ServerError::Full(STREAM, bytes_max, room::margin(bytes_max)))
            }
            _ => Ok(count),
        }
    }

    /// Asks for the stream, and how much room there is in it.
    async fn ask(&mut self) -> Result<Stream<Info>, ServerError> {
        let stream = self.link.jetstream().get_stream(STREAM).await;
        let stream =
            stream.map_err(|error| ServerError::Request("find the stream of ledgers", chain(&error)))?;
        let Info { config, state, .. } = stream.cached_info();
        self.room = Room::new(config.max_bytes, state.bytes);
        Ok(stream)
    }

    /// Publishes messages and waits for all acknowledgements; the place of the one that is the first in the stream, and the
    /// one that is the last.
    async fn publish(&self, messages: Vec<Outgoing>) -> Result<(u64, Option<Acknowledged>), ServerError> {
        let failed = |error: PublishError| ServerError::Request("publish to the stream", chain(&error));
        let mut waiting = Vec::with_capacity(messages.len());
        for Outgoing { part, next, payload } in messages {
            let id = MessageId { host: self.host.clone(), shard: self.shard, part }.to_string();
            let message = PublishMessage::build()
                .payload(Bytes::from(payload))
                .message_id(&id)
                .header(NEXT_HEADER, next.to_string())
                .expected_stream(STREAM);
            let sent = self.link.jetstream().send_publish(self.subject.clone(), message).await;
            waiting.push((id, sent.map_err(failed)?));
        }
        let (mut first, mut last) = (u64::MAX, None::<Acknowledged>);
        for (id, acknowledgement) in waiting {
            let stream_sequence = acknowledgement.await.map_err(failed)?.sequence;
            first = first.min(stream_sequence);
            if last.as_ref().is_none_or(|last| last.stream_sequence < stream_sequence) {
                last = Some(Acknowledged { stream_sequence, id });
            }
        }
        Ok((first, last))
    }

    /// Asks the stream whether it still has what it acknowledged: one that was restored from an old copy, or lost power
    /// before it wrote, has not.
    ///
    /// # Errors
    ///
    /// Where it does not answer, or there is none.
    pub async fn resume(&mut self, position: Option<&Position>) -> Result<Resume, ServerError> {
        let stream = self.ask().await?;
        let state = stream.cached_info().state.clone();
        let behind_all = state.last_sequence.saturating_add(1);
        // By the subject, so that a host needs no leave to read what others have shipped.
        let last = match stream.direct_get_last_for_subject(&self.subject).await {
            Ok(message) => message,
            Err(error) if matches!(error.kind(), DirectGetErrorKind::NotFound) => {
                // A server of 2.9 does not find it either where it took one back that was over its account's limit.
                let is_there = |last: &Acknowledged| last.stream_sequence <= state.last_sequence;
                let is_whole = |position: &&Position| (state.first_sequence..).contains(&position.begin);
                let known = position.filter(is_whole).and_then(|position| position.last.as_ref());
                return Ok(match self.is_refused && known.is_some_and(is_there) {
                    true => Resume::AsKnown,
                    false => Resume::AtFirst { begin: behind_all },
                });
            }
            Err(error) => {
                return Err(ServerError::Request("ask the stream for its last entry", chain(&error)));
            }
        };
        let begin = position.map_or(0, |position| position.begin);
        // Messages keep their places: what was acknowledged is that one, or before it.
        let is_known = match position.and_then(|position| position.last.as_ref()) {
            Some(known) if last.sequence == known.stream_sequence => id_of(&last) == Some(&known.id),
            Some(known) => last.sequence > known.stream_sequence,
            // Shipping anew has begun, behind what was left, and none of it was acknowledged yet.
            None => state.first_sequence > 1 && (1..=behind_all).contains(&begin),
        };
        // Places count up, and none is given twice: what is before the first message is gone. Where it is not known which of
        // them were this shard's, all of it is shipped again, rather than missed.
        let needed = if is_known { begin.max(1) } else { 1 };
        if state.first_sequence > needed {
            return Ok(Resume::Beheaded { begin: behind_all });
        }
        if is_known {
            return Ok(Resume::AsKnown);
        }
        // Of the last batch any may be missing before it.
        Ok(match next_of(&last) {
            Some(next) => Resume::Behind { next, from: next.saturating_sub(BATCH_ENTRIES_MAX) },
            None => Resume::AtFirst { begin: 1 },
        })
    }
}

fn id_of(message: &StreamMessage) -> Option<&str> {
    message.headers.get(NATS_MESSAGE_ID).map(async_nats::HeaderValue::as_str)
}

fn next_of(message: &StreamMessage) -> Option<u64> {
    message.headers.get(NEXT_HEADER)?.as_str().parse().ok()
}
