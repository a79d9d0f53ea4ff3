//! Entries, keys and writers for tests.

use identity::{Algorithm, PublicKey, SecretKey};
use ledger::storage::{Storage, SyncJob};
use ledger::writer::Reach;
use ledger::{
    Authorization, Entry, Event, Log, LogConfig, Position, RunId, Verdict, WriteError, Writer, WriterConfig,
    Written,
};
use time::Instant;

/// The name of the tests' ledger.
pub const NAME: &str = "ledger.example";

/// Its keys: Ed25519 alone, which signs quickly.
pub fn keys() -> Vec<SecretKey> {
    vec![SecretKey::from_seed(NAME, Algorithm::Ed25519, &[7; 32]).unwrap()]
}

pub fn public() -> Vec<PublicKey> {
    keys().iter().map(|key| key.public().clone()).collect()
}

/// The entry of this number, which no other has.
pub fn entry(number: u64) -> Entry {
    let asked = Authorization {
        verdict: if number.is_multiple_of(3) { Verdict::Refused } else { Verdict::Allowed },
        reason: "x".repeat(number as usize % 40),
        port: Some(number as u16),
        ..Authorization::default()
    };
    // Five milliseconds from each to the next.
    Entry::new(number * 5_000_000, RunId([1; 16]), Event::ConnectionAuthorize(asked))
}

/// A writer and the head in front of it.
pub struct Pair<S> {
    pub log: Log,
    pub writer: Writer<S>,
    /// A wait for the disk that goes on beside the writing, and the batches that it is for.
    waiting: Option<(SyncJob, Reach)>,
}

impl<S: Storage> Pair<S> {
    pub fn open(storage: S, config: WriterConfig, log: LogConfig) -> Self {
        let (writer, position) = Writer::open(storage, keys(), config).expect("it opens");
        Self::start(writer, position, log)
    }

    pub fn start(writer: Writer<S>, position: Position, config: LogConfig) -> Self {
        Self { log: Log::start(position, config), writer, waiting: None }
    }

    /// Appends so many entries, each with its sequence number in it.
    pub fn append(&mut self, count: u64) {
        for _ in 0..count {
            let next = self.log.next();
            self.log.append(&entry(next), Instant::ZERO).expect("it is taken");
        }
    }

    /// Writes all that waits, and waits for the disk; whether that went well.
    pub fn write(&mut self) -> bool {
        self.begin() && self.take(Writer::flush)
    }

    /// Writes all that waits into the journal, and nothing waits for the disk; whether that went well.
    pub fn begin(&mut self) -> bool {
        while let Some(batch) = self.log.poll_write(Instant::from_secs(1)) {
            if let Err(error) = self.writer.begin(batch) {
                self.log.handle_failed(error.to_string());
                return false;
            }
            self.log.handle_begun();
        }
        true
    }

    /// Begins to wait for the disk, or ends and writes what is on disk into tiles; whether that went well.
    pub fn wait_or_settle(&mut self) -> bool {
        self.wait_or_settle_in_part(u64::MAX)
    }

    /// The same, and writes so many tiles.
    pub fn wait_or_settle_in_part(&mut self, tiles: u64) -> bool {
        match self.waiting.take() {
            Some((job, reach)) => {
                let mut is_settled = job().is_ok() && self.writer.settle(reach).is_ok();
                for _ in 0..tiles {
                    if !is_settled || !self.writer.is_behind() {
                        break;
                    }
                    is_settled = self.take(Writer::write_next);
                }
                is_settled
            }
            None => {
                self.waiting = self.writer.sync_beside().ok();
                self.waiting.is_some()
            }
        }
    }

    fn take(&mut self, act: impl FnOnce(&mut Writer<S>) -> Result<Vec<Written>, WriteError>) -> bool {
        match act(&mut self.writer) {
            Ok(written) => {
                let each = written.into_iter();
                each.for_each(|written| self.log.handle_written(written, Instant::from_secs(1)));
                true
            }
            Err(error) => {
                self.log.handle_failed(error.to_string());
                false
            }
        }
    }
}
