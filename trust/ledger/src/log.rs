//! The log's head: gives each entry its sequence number at once, and hands what is to be written to whoever writes.
//!
//! ```text
//! owner ── append ──> Log ── poll_write: Batch ──> Writer, on a thread that may block
//!   ^                  ^ handle_written, handle_failed ──┘
//!   └── durable, failed┘
//! ```
//!
//! One batch is with the writer at a time; what comes meanwhile waits and goes as one (group commit), so that the disk's
//! latency bounds how far behind it is and not how much is decided in a second. With [`Durability::Batch`] a writer that can
//! takes the next one once it has written this one, before it is on disk ([`Log::handle_begun`]). After a failure nothing is taken any
//! more: what could not be written must not have been allowed.

use crate::batch::{Batch, Written};
use crate::entry::{Entry, TooLong};
use std::collections::VecDeque;
use std::fmt;
use time::{Duration, Instant};

/// The bound of a batch, in bytes of entries: what waits longer goes as several.
pub const BATCH_BYTES_MAX: usize = 1 << 20;
/// The bound of what waits to be written, in bytes of entries: at 300 bytes an entry and 100,000 entries a second, half a
/// second of a disk that stands still. The next entry is refused.
pub const PENDING_BYTES_MAX: usize = 16 << 20;
/// How long an entry waits for others to go with, where durability is [`Durability::Batch`]. With the writing itself it is
/// to be in the journal's file 5 ms after it was decided.
pub const BATCH_DELAY: Duration = Duration::from_millis(2);
/// How long after an entry the tiles and the checkpoint at the latest tell of it, for tools that read only those.
pub const PUBLISH_DELAY: Duration = Duration::from_secs(10);

/// When an entry counts as decided.
///
/// ```
/// assert_eq!(ledger::Durability::default(), ledger::Durability::Batch);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Once it is on disk: the owner waits for [`Log::durable`].
    Sync,
    /// At once; the journal's file has it within 5 ms, and the disk as soon as it can.
    #[default]
    Batch,
}

/// What a log is told when it starts. Where a log goes on in a new one, the old one is complete and stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// When an entry counts as decided.
    pub durability: Durability,
    /// A log with this many bytes of entries goes on in a new one. From 1 MiB; 1 GiB unless told otherwise.
    pub rotate_bytes: u64,
    /// A log whose first entry is this old goes on in a new one, in nanoseconds. From a second; 30 days unless told
    /// otherwise.
    pub rotate_age_ns: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            durability: Durability::Batch,
            rotate_bytes: 1 << 30,
            rotate_age_ns: 30 * 24 * 3_600 * 1_000_000_000,
        }
    }
}

/// Where a log stands when it is opened: [`Writer::open`](crate::Writer) tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The sequence number of the next entry.
    pub next: u64,
    /// How many bytes of entries the newest log holds.
    pub bytes: u64,
    /// The time of its first entry, in nanoseconds since 1970; `None` where it has none yet.
    pub started_ns: Option<u64>,
}

/// Why an entry was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The log cannot be written; why, in words.
    Failed(String),
    /// The disk does not keep up: [`PENDING_BYTES_MAX`] wait.
    Full,
    /// It is longer than an entry may be.
    TooLong(TooLong),
}

/// Why the log wants to be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A batch is due.
    Write,
    /// The checkpoint is due.
    Publish,
}

/// The head of a log.
///
/// ```
/// use ledger::{Entry, Event, Log, LogConfig, Position, RunEnd, RunId, Written};
/// use time::Instant;
///
/// let mut log = Log::start(Position::default(), LogConfig::default());
/// let entry = Entry::new(0, RunId::default(), Event::RunEnd(RunEnd::default()));
/// assert_eq!(log.append(&entry, Instant::ZERO)?, 0);
/// assert_eq!(log.append(&entry, Instant::ZERO)?, 1);
/// let (due, _why) = log.poll_timeout().expect("a batch is due in some milliseconds");
/// let batch = log.poll_write(due).expect("both entries");
/// // A thread writes it, meanwhile nothing is durable.
/// assert_eq!((batch.count(), log.durable()), (2, 0));
/// log.handle_written(Written { next: 2, checkpoint: String::new() }, due);
/// assert_eq!(log.durable(), 2);
/// # Ok::<(), ledger::AppendError>(())
/// ```
#[derive(Debug)]
pub struct Log {
    config: LogConfig,
    position: Position,
    /// Every entry below this is on disk.
    durable: u64,
    /// What waits, the oldest first. Only the last takes more.
    pending: VecDeque<Batch>,
    pending_bytes: usize,
    /// When the first batch that waits is due.
    write_due: Option<Instant>,
    /// When the checkpoint is due that covers what it does not cover yet.
    publish_due: Option<Instant>,
    writer: WriterState,
    /// How many batches were given to the writer and are not on disk.
    outstanding: usize,
    checkpoint: Option<String>,
}

#[derive(Debug)]
enum WriterState {
    Idle,
    Busy,
    Failed(String),
}

impl Log {
    /// The head of a log that stands here.
    #[must_use]
    pub fn start(position: Position, config: LogConfig) -> Self {
        Self {
            config,
            position,
            durable: position.next,
            pending: VecDeque::new(),
            pending_bytes: 0,
            write_due: None,
            publish_due: None,
            writer: WriterState::Idle,
            outstanding: 0,
            checkpoint: None,
        }
    }

    /// Takes an entry and gives its sequence number.
    ///
    /// # Errors
    ///
    /// Where the log cannot take it; then what it tells of must not happen.
    pub fn append(&mut self, entry: &Entry, now: Instant) -> Result<u64, AppendError> {
        if let WriterState::Failed(reason) = &self.writer {
            return Err(AppendError::Failed(reason.clone()));
        }
        let bytes = entry.encode().map_err(AppendError::TooLong)?;
        if self.pending_bytes + bytes.len() > PENDING_BYTES_MAX {
            return Err(AppendError::Full);
        }
        if self.is_rotation_due(entry.time_ns, bytes.len()) {
            // The new log's first entry names the old one's last checkpoint: the writer makes it, its number is taken here.
            self.pending.push_back(Batch::after_rotation(self.position.next, entry.time_ns));
            self.position = Position { next: self.position.next + 1, bytes: 0, started_ns: None };
        }
        let sequence = self.position.next;
        let is_open = |batch: &&mut Batch| batch.takes(bytes.len(), BATCH_BYTES_MAX);
        match self.pending.back_mut().filter(is_open) {
            Some(batch) => batch.push(&bytes),
            None => {
                let mut batch = Batch::new(sequence);
                batch.push(&bytes);
                self.pending.push_back(batch);
            }
        }
        self.pending_bytes += bytes.len();
        self.position.next += 1;
        self.position.bytes += bytes.len() as u64;
        self.position.started_ns.get_or_insert(entry.time_ns);
        self.write_due.get_or_insert(match self.config.durability {
            Durability::Sync => now,
            Durability::Batch => now + BATCH_DELAY,
        });
        self.publish_due.get_or_insert(now + PUBLISH_DELAY);
        Ok(sequence)
    }

    /// Asks for tiles and checkpoint that tell of every entry, as at the end of a run: what waits is due at once.
    pub fn publish(&mut self, now: Instant) {
        self.publish_due = Some(now);
        self.write_due = self.write_due.map(|due| due.min(now));
    }

    /// What is to be written now; drained when it gives `None`. Nothing while a batch is with the writer.
    pub fn poll_write(&mut self, now: Instant) -> Option<Batch> {
        if !self.takes_batch() {
            return None;
        }
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        let publishes = is_due(self.publish_due);
        if self.pending.len() < 2 && !is_due(self.write_due) && !publishes {
            return None;
        }
        let mut batch = self.pending.pop_front().unwrap_or_else(|| Batch::new(self.position.next));
        self.pending_bytes -= batch.entry_bytes();
        if self.pending.is_empty() {
            self.write_due = None;
            batch.publishes = publishes;
            self.publish_due = self.publish_due.filter(|_| !publishes);
        }
        self.writer = WriterState::Busy;
        self.outstanding += 1;
        Some(batch)
    }

    /// Whether the writer is to have the next batch: with [`Durability::Sync`] once all before are on disk, so that who waits
    /// for the disk together goes together.
    fn takes_batch(&self) -> bool {
        let is_idle = matches!(self.writer, WriterState::Idle);
        is_idle && (self.outstanding == 0 || self.config.durability == Durability::Batch)
    }

    /// The writer has the batch in the journal's file, and takes another. Those that write each at once do not say so.
    pub fn handle_begun(&mut self) {
        if matches!(self.writer, WriterState::Busy) {
            self.writer = WriterState::Idle;
        }
    }

    /// The writer has the oldest batch on disk that was not.
    pub fn handle_written(&mut self, written: Written, now: Instant) {
        if matches!(self.writer, WriterState::Failed(_)) {
            return;
        }
        self.outstanding = self.outstanding.saturating_sub(1);
        if self.outstanding == 0 {
            self.writer = WriterState::Idle;
        }
        self.durable = written.next;
        self.checkpoint = Some(written.checkpoint);
        // What came meanwhile has waited as long as the writing took.
        if !self.pending.is_empty() && self.config.durability == Durability::Sync {
            self.write_due = Some(now);
        }
    }

    /// The writer could not: from here on every entry is refused. Why, in words.
    pub fn handle_failed(&mut self, reason: impl Into<String>) {
        if !matches!(self.writer, WriterState::Failed(_)) {
            self.writer = WriterState::Failed(reason.into());
        }
        self.pending.clear();
        (self.pending_bytes, self.outstanding) = (0, 0);
        (self.write_due, self.publish_due) = (None, None);
    }

    /// When to ask [`Self::poll_write`] again, and why; `None` while a batch is with the writer or nothing is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, Why)> {
        if !self.takes_batch() {
            return None;
        }
        let write = self.write_due.map(|due| (due, Why::Write));
        let publish = self.publish_due.map(|due| (due, Why::Publish));
        write.into_iter().chain(publish).min_by_key(|(due, _)| *due)
    }

    /// Entries below this sequence number are on disk.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// The sequence number of the next entry.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.position.next
    }

    /// Whether nothing waits and nothing is with the writer.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.pending.is_empty() && self.publish_due.is_none() && self.outstanding == 0
    }

    /// Why the log cannot be written; `None` while it can.
    #[must_use]
    pub fn failed(&self) -> Option<&str> {
        match &self.writer {
            WriterState::Failed(reason) => Some(reason),
            WriterState::Idle | WriterState::Busy => None,
        }
    }

    /// The newest checkpoint that is on disk, as a signed note; `None` before the first batch is written.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&str> {
        self.checkpoint.as_deref()
    }

    fn is_rotation_due(&self, time_ns: u64, length: usize) -> bool {
        let Some(started_ns) = self.position.started_ns else { return false };
        let is_full = self.position.bytes + length as u64 > self.config.rotate_bytes.max(1 << 20);
        let rotate_age_ns = self.config.rotate_age_ns.max(1_000_000_000);
        is_full || time_ns.saturating_sub(started_ns) >= rotate_age_ns
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(reason) => write!(f, "the ledger cannot be written: {reason}"),
            Self::Full => write!(
                f,
                "the ledger's disk does not keep up: {} MiB wait to be written",
                PENDING_BYTES_MAX >> 20
            ),
            Self::TooLong(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AppendError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Event, RunEnd, RunId};

    fn entry_at(time_ns: u64) -> Entry {
        Entry::new(time_ns, RunId::default(), Event::RunEnd(RunEnd::default()))
    }

    fn long_entry() -> Entry {
        let mut entry = entry_at(0);
        entry.others = vec![(99, crate::cbor::Value::Bytes(vec![0; 60_000]))];
        entry
    }

    fn written(next: u64) -> Written {
        Written { next, checkpoint: format!("checkpoint of {next}") }
    }

    #[test]
    fn what_comes_while_one_batch_is_written_goes_as_the_next() {
        let mut log = Log::start(Position { next: 10, ..Position::default() }, LogConfig::default());
        let start = Instant::from_secs(1);
        assert_eq!((log.durable(), log.next()), (10, 10));
        assert_eq!(log.append(&entry_at(0), start), Ok(10));
        assert_eq!(log.poll_timeout(), Some((start + BATCH_DELAY, Why::Write)));
        assert!(log.poll_write(start).is_none());
        let batch = log.poll_write(start + BATCH_DELAY).unwrap();
        assert_eq!((batch.first(), batch.count()), (10, 1));
        for sequence in 11..14 {
            assert_eq!(log.append(&entry_at(0), start), Ok(sequence));
        }
        assert!(log.poll_write(start + BATCH_DELAY * 9).is_none());
        assert_eq!((log.poll_timeout(), log.durable()), (None, 10));
        log.handle_written(written(11), start + BATCH_DELAY);
        assert_eq!((log.durable(), log.checkpoint()), (11, Some("checkpoint of 11")));
        let batch = log.poll_write(start + BATCH_DELAY).unwrap();
        assert_eq!((batch.first(), batch.count()), (11, 3));
        log.handle_written(written(14), start + BATCH_DELAY);
        assert!(log.poll_write(start + BATCH_DELAY).is_none());
    }

    #[test]
    fn a_batch_that_is_begun_keeps_no_other_from_being_begun() {
        let mut log = Log::start(Position::default(), LogConfig::default());
        let now = Instant::from_secs(1);
        log.append(&entry_at(0), now).unwrap();
        assert_eq!(log.poll_write(now + BATCH_DELAY).unwrap().count(), 1);
        log.append(&entry_at(0), now).unwrap();
        assert!(log.poll_write(now + BATCH_DELAY).is_none() && log.poll_timeout().is_none());
        log.handle_begun();
        assert_eq!(log.poll_timeout(), Some((now + BATCH_DELAY, Why::Write)));
        assert_eq!(log.poll_write(now + BATCH_DELAY).unwrap().first(), 1);
        log.handle_written(written(1), now);
        assert_eq!(log.durable(), 1);
        log.append(&entry_at(0), now).unwrap();
        assert!(log.poll_write(now + BATCH_DELAY).is_none(), "the second is with the writer");
        log.handle_begun();
        log.publish(now);
        assert_eq!(log.poll_write(now).unwrap().first(), 2);
        log.handle_begun();
        log.handle_written(written(2), now);
        assert!(!log.is_settled());
        log.handle_written(written(3), now);
        assert!(log.is_settled() && log.durable() == 3);
    }

    #[test]
    fn with_sync_a_batch_is_due_at_once() {
        let config = LogConfig { durability: Durability::Sync, ..LogConfig::default() };
        let mut log = Log::start(Position::default(), config);
        let now = Instant::from_secs(1);
        log.append(&entry_at(0), now).unwrap();
        assert_eq!(log.poll_write(now).unwrap().count(), 1);
        log.append(&entry_at(0), now).unwrap();
        // Who waits for the disk meanwhile goes together.
        log.handle_begun();
        assert!(log.poll_write(now).is_none() && log.poll_timeout().is_none());
        log.handle_written(written(1), now);
        assert_eq!(log.poll_write(now).unwrap().first(), 1);
    }

    #[test]
    fn the_checkpoint_follows_within_its_delay_or_when_asked_for() {
        let mut log = Log::start(Position::default(), LogConfig::default());
        let now = Instant::from_secs(1);
        log.append(&entry_at(0), now).unwrap();
        assert!(!log.poll_write(now + BATCH_DELAY).unwrap().publishes);
        log.handle_written(written(1), now);
        assert_eq!(log.poll_timeout(), Some((now + PUBLISH_DELAY, Why::Publish)));
        assert!(!log.is_settled());
        let batch = log.poll_write(now + PUBLISH_DELAY).unwrap();
        assert!(batch.publishes && batch.count() == 0);
        log.handle_written(written(1), now);
        assert!(log.is_settled() && log.poll_timeout().is_none());
        log.append(&entry_at(0), now).unwrap();
        log.publish(now);
        let batch = log.poll_write(now).unwrap();
        assert!(batch.publishes && batch.count() == 1);
    }

    #[test]
    fn after_a_failure_every_entry_is_refused() {
        let mut log = Log::start(Position::default(), LogConfig::default());
        log.append(&entry_at(0), Instant::ZERO).unwrap();
        log.poll_write(Instant::from_secs(1)).unwrap();
        log.handle_failed("no space left on device");
        let refused = log.append(&entry_at(0), Instant::ZERO).unwrap_err();
        assert_eq!(refused.to_string(), "the ledger cannot be written: no space left on device");
        assert_eq!((log.failed(), log.durable()), (Some("no space left on device"), 0));
        // What is told afterwards does not bring it back.
        log.handle_written(written(1), Instant::ZERO);
        log.handle_failed("another");
        assert_eq!((log.failed(), log.durable()), (Some("no space left on device"), 0));
        assert!(log.poll_write(Instant::MAX).is_none() && log.poll_timeout().is_none());
    }

    #[test]
    fn what_waits_has_a_bound_and_goes_in_bounded_batches() {
        let mut log = Log::start(Position::default(), LogConfig::default());
        let entry = long_entry();
        let length = entry.encode().unwrap().len();
        for _ in 0..PENDING_BYTES_MAX / length {
            log.append(&entry, Instant::ZERO).unwrap();
        }
        assert_eq!(log.append(&entry, Instant::ZERO), Err(AppendError::Full));
        let mut count = 0;
        while let Some(batch) = log.poll_write(Instant::from_secs(1)) {
            assert!(batch.entry_bytes() <= BATCH_BYTES_MAX);
            count += batch.count();
            log.handle_written(written(count), Instant::ZERO);
        }
        assert_eq!(count, (PENDING_BYTES_MAX / length) as u64);
        log.append(&entry, Instant::ZERO).unwrap();
    }

    #[test]
    fn a_log_that_is_large_or_old_goes_on_in_a_new_one() {
        let config = LogConfig { rotate_bytes: 0, rotate_age_ns: 5_000_000_000, ..LogConfig::default() };
        let mut log = Log::start(Position::default(), config);
        let per_log = (1 << 20) / long_entry().encode().unwrap().len() as u64;
        let last = (0..=per_log).map(|_| log.append(&long_entry(), Instant::ZERO).unwrap()).last();
        // One number is the new log's own first entry.
        assert_eq!(last, Some(per_log + 1));
        let first = log.poll_write(Instant::ZERO).unwrap();
        assert!(first.rotation.is_none());
        log.handle_written(written(per_log), Instant::ZERO);
        let second = log.poll_write(Instant::from_secs(1)).unwrap();
        assert_eq!((second.rotation, second.first(), second.count()), (Some(0), per_log, 2));
        log.handle_written(written(per_log + 2), Instant::ZERO);
        assert_eq!(log.append(&entry_at(4_999_999_999), Instant::ZERO), Ok(per_log + 2));
        assert_eq!(log.append(&entry_at(5_000_000_000), Instant::ZERO), Ok(per_log + 4));
    }
}
