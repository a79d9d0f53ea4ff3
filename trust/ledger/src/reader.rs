//! Reading a ledger, also while it is written: its logs, its entries in their order, and its newest checkpoint.
//!
//! A reader shows what was there when it was opened. What the tiles do not have yet comes from the journal.

use crate::checkpoint::Checkpoint;
use crate::edge::{self, ReadError, read_tile};
use crate::entry::{Entry, Event};
use crate::hash::{Hash, leaf_hash};
use crate::journal::{Content, Journal, JournalError};
use crate::layout::{self, LogPlace};
use crate::shards::ShardNumber;
use crate::storage::Source;
use crate::tile::{Records, TILE_WIDTH, Tile};
use identity::PublicKey;
use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::{Mutex, OnceLock, PoisonError};

/// How often opening is tried anew where a writer replaced the journal meanwhile.
const TRIES_MAX: usize = 16;

/// One log of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogView {
    /// Its number, the first being 1.
    pub number: u64,
    /// The sequence number of its first entry.
    pub base: u64,
    /// How many entries it has.
    pub size: u64,
    /// Its newest checkpoint, as a signed note.
    pub note: String,
    /// How many of its entries are in tiles; the others are in the journal.
    pub tiled: u64,
}

/// One entry, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its sequence number.
    pub sequence: u64,
    /// The number of its log.
    pub log: u64,
    /// Its index in that.
    pub index: u64,
    /// Its bytes; [`Entry::decode`](crate::Entry::decode) reads them.
    pub bytes: Vec<u8>,
}

/// A ledger as it was when it was opened.
///
/// ```no_run
/// use ledger::directory::Directory;
/// use ledger::{Entry, Reader};
///
/// let reader = Reader::open(Directory::open("/var/lib/weft/ledger"), None)?;
/// for record in reader.entries(reader.first()..u64::MAX) {
///     let record = record?;
///     println!("{} {:?}", record.sequence, Entry::decode(&record.bytes)?);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    /// Whose it is.
    name: String,
    shard: ShardNumber,
    logs: Vec<LogView>,
    /// The entries that only the journal has, as in a bundle.
    journaled: Vec<u8>,
    /// Their hashes, once something was proven by them.
    leaves: OnceLock<Vec<Hash>>,
    /// The numbers of logs that were let go since it was opened, as far as somebody came to read them.
    lost: Mutex<BTreeSet<u64>>,
}

impl<S: Source> Reader<S> {
    /// Opens a ledger. With keys, its newest checkpoint must be signed by all of them; the entries are read as they are,
    /// only [`verify`](crate::verify()) proves them.
    ///
    /// # Errors
    ///
    /// Where there is none, or it cannot be read.
    pub fn open(source: S, keys: Option<&[PublicKey]>) -> Result<Self, ReadError> {
        let mut tries = 1;
        loop {
            let before = layout::journals(&source).map_err(ReadError::Io)?;
            match look(&source, keys, &before) {
                Ok((logs, journaled)) => return Ok(Self::new(source, keys, logs, journaled)),
                // A writer may have replaced what was looked at; then there is another journal.
                Err(error) => {
                    let after = layout::journals(&source).map_err(ReadError::Io)?;
                    if tries == TRIES_MAX || after == before {
                        return Err(error);
                    }
                    tries += 1;
                }
            }
        }
    }

    fn new(source: S, keys: Option<&[PublicKey]>, logs: Vec<LogView>, journaled: Vec<u8>) -> Self {
        let place = logs.last().and_then(|log| layout::place_of_note(&log.note, keys));
        // A log that others made may be signed by any name, and stands for itself.
        let (name, shard) =
            place.map_or((String::new(), ShardNumber::FIRST), |(name, place)| (name, place.shard));
        Self { source, name, shard, logs, journaled, leaves: OnceLock::new(), lost: Mutex::default() }
    }

    /// The name of the ledger, which is that of its keys; empty where it is none of this kind.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which shard of its ledger it is, as its logs' names tell.
    #[must_use]
    pub fn shard(&self) -> ShardNumber {
        self.shard
    }

    /// Its logs, the oldest first. There is one at least.
    #[must_use]
    pub fn logs(&self) -> &[LogView] {
        &self.logs
    }

    /// The sequence number of the first entry that is there: older logs may have been removed.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.logs.first().map_or(0, |log| log.base)
    }

    /// The sequence number of the next entry.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.logs.last().map_or(0, |log| log.base + log.size)
    }

    /// The newest checkpoint, as a signed note.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        self.logs.last().map_or("", |log| &log.note)
    }

    /// The log that has the entry of this sequence number.
    #[must_use]
    pub fn log_of(&self, sequence: u64) -> Option<&LogView> {
        self.logs.iter().find(|log| (log.base..log.base + log.size).contains(&sequence))
    }

    /// The logs that [`Self::entries`] came to and that had been let go since this was opened, as the ledger tells: their entries
    /// were passed over.
    #[must_use]
    pub fn lost(&self) -> Vec<&LogView> {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        self.logs.iter().filter(|log| lost.contains(&log.number)).collect()
    }

    /// Whether a log that cannot be read was let go since this was opened: its checkpoint is gone, which goes first, and the
    /// ledger as it is now tells that only younger ones are kept.
    fn has_lost(&self, log: &LogView) -> bool {
        let checkpoint = self.source.read(&layout::in_log(log.number, "checkpoint"));
        let is_lost = matches!(checkpoint, Ok(None))
            && Reader::open(&self.source, None)
                .is_ok_and(|now| now.oldest_kept().is_some_and(|oldest| log.number < oldest));
        if is_lost {
            self.lost.lock().unwrap_or_else(PoisonError::into_inner).insert(log.number);
        }
        is_lost
    }

    /// The oldest log that is kept, as the newest one's first entry tells.
    fn oldest_kept(&self) -> Option<u64> {
        let bundle = self.bundle(self.logs.last()?, 0).ok()?;
        match Entry::decode(Records::new(&bundle).next()??).ok()?.event {
            Event::LogStart(start) => start.oldest,
            _ => None,
        }
    }

    /// What it is read from.
    #[must_use]
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The entries that only the journal has, as in a bundle.
    pub(crate) fn journaled(&self) -> &[u8] {
        &self.journaled
    }

    /// Their hashes.
    pub(crate) fn journaled_leaves(&self) -> &[Hash] {
        self.leaves.get_or_init(|| Records::new(&self.journaled).flatten().map(leaf_hash).collect())
    }

    /// The entries of these sequence numbers that are there, in their order, or from the last to the first where they are
    /// asked for so. Memory does not grow with their number.
    pub fn entries(&self, range: Range<u64>) -> Entries<'_, S> {
        let range = range.start.max(self.first())..range.end.min(self.next());
        Entries { reader: self, range, ahead: VecDeque::new(), behind: Vec::new() }
    }

    /// The bytes of a log's bundle, as far as the log has it.
    pub(crate) fn bundle(&self, log: &LogView, index: u64) -> Result<Vec<u8>, ReadError> {
        let tile = Tile::of_size(None, index, log.size);
        let tiled = Tile::of_size(None, index, log.tiled);
        let mut bytes =
            if tiled.width > 0 { read_tile(&self.source, log.number, tiled)? } else { Vec::new() };
        if tiled.width < tile.width {
            // Only the newest log has entries that are not in tiles.
            let start = (index * TILE_WIDTH).max(log.tiled) - log.tiled;
            let records = Records::new(&self.journaled).flatten().skip(start as usize);
            for record in records.take((tile.width - tiled.width) as usize) {
                bytes.extend_from_slice(&(record.len() as u16).to_be_bytes());
                bytes.extend_from_slice(record);
            }
        }
        Ok(bytes)
    }
}

/// What is there, compared with a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// It goes on from it.
    Held,
    /// The checkpoint's log is none that is here, and none behind those that are: it may have been let go.
    Retired,
    /// There is less.
    Less {
        /// The sequence number of the first entry of the checkpoint's log; `None` where that is not here.
        base: Option<u64>,
        /// The sequence number behind the last entry that is there instead.
        have: u64,
    },
    /// There are other entries.
    Other {
        /// The sequence number of the first entry of the checkpoint's log.
        base: u64,
    },
}

impl<S: Source> Reader<S> {
    /// Compares what is there with a checkpoint of it.
    pub(crate) fn hold_to(&self, told: &Checkpoint) -> Result<Match, ReadError> {
        let is_told = |log: &&LogView| log.note.split('\n').next() == Some(&told.origin);
        let Some(log) = self.logs.iter().find(is_told) else {
            let place = layout::place_of_origin(&told.origin, &self.name);
            let is_later = |place: LogPlace| {
                place.shard == self.shard && self.logs.last().is_some_and(|log| log.number < place.log)
            };
            return Ok(match place.is_some_and(is_later) {
                true => Match::Less { base: None, have: self.next() },
                false => Match::Retired,
            });
        };
        if told.size > log.size {
            return Ok(Match::Less { base: Some(log.base), have: log.base + log.size });
        }
        Ok(match self.root_at(log, told.size)? == told.root {
            true => Match::Held,
            false => Match::Other { base: log.base },
        })
    }
}

/// The logs that are there, and the entries that only the journal has.
fn look(
    source: &impl Source,
    keys: Option<&[PublicKey]>,
    journals: &[u64],
) -> Result<(Vec<LogView>, Vec<u8>), ReadError> {
    let numbers = layout::logs(source).map_err(ReadError::Io)?;
    let (mut newest, mut journaled) = (None, Vec::new());
    for number in journals.iter().rev() {
        let content = Content::read(source, *number, keys).map_err(ReadError::Io)?;
        let Some(content) = content else { continue };
        if let Some((view, records)) = look_at_journal(source, keys, &content)? {
            (newest, journaled) = (Some(view), records);
            break;
        }
    }
    let mut logs = Vec::new();
    for number in numbers {
        match &newest {
            Some(newest) if number >= newest.number => break,
            // A log whose checkpoint is gone was being removed.
            _ => logs.extend(look_at_log(source, keys, number)?),
        }
    }
    logs.extend(newest);
    if logs.is_empty() { Err(ReadError::Nothing) } else { Ok((logs, journaled)) }
}

/// A log by its checkpoint; `None` where it has none.
fn look_at_log(
    source: &impl Source,
    keys: Option<&[PublicKey]>,
    number: u64,
) -> Result<Option<LogView>, ReadError> {
    let path = layout::in_log(number, "checkpoint");
    let damaged = || ReadError::Damaged(path.clone());
    let Some(bytes) = source.read(&path).map_err(ReadError::Io)? else { return Ok(None) };
    let note = String::from_utf8(bytes).map_err(|_| damaged())?;
    let checkpoint = match keys {
        Some(keys) => Checkpoint::open(&note, keys),
        None => Checkpoint::parse_unverified(&note),
    };
    let size = checkpoint.map_err(|_| damaged())?.size;
    let base = edge::first_sequence(number, edge::first_record(source, number, size).as_deref());
    match base {
        Some(base) => Ok(Some(LogView { number, base, size, note, tiled: size })),
        // It is being removed just now.
        None if source.read(&path).map_err(ReadError::Io)?.is_none() => Ok(None),
        None => Err(damaged()),
    }
}

/// The newest log by its journal; `None` where that is not whole.
fn look_at_journal(
    source: &impl Source,
    keys: Option<&[PublicKey]>,
    content: &Content,
) -> Result<Option<(LogView, Vec<u8>)>, ReadError> {
    let Content { bytes, path, .. } = content;
    let Ok(base) = Journal::base(bytes, keys) else { return Ok(None) };
    let place = Journal::first_note(bytes).and_then(|note| layout::place_of_note(note, keys));
    let Some((_, LogPlace { log: number, .. })) = place else { return Ok(None) };
    let (mut tree, _) = edge::load(source, number, base.size)?;
    let journal = Journal::replay_from(&base, content, keys, &mut tree);
    let journal = journal.map_err(|error| match error {
        JournalError::Damaged { size, .. } => {
            ReadError::Damaged(format!("{path}, behind {size} entries of log {number},"))
        }
        error => ReadError::Damaged(format!("{path} ({error})")),
    })?;
    if base.size == 0 && number > 1 && journal.frames.is_empty() {
        return Ok(None);
    }
    let records: Vec<u8> = journal.frames.iter().flat_map(|frame| frame.records).copied().collect();
    let first = match base.size {
        0 => Records::new(&records).next().flatten().map(<[u8]>::to_vec),
        _ => edge::first_record(source, number, base.size),
    };
    let sequence = edge::first_sequence(number, first.as_deref());
    let view = LogView {
        number,
        base: sequence.ok_or_else(|| ReadError::Damaged(format!("the first entry of log {number}")))?,
        size: tree.size(),
        note: journal.note.to_owned(),
        tiled: base.size,
    };
    Ok(Some((view, records)))
}

/// The entries of a reader. From both ends it reads 256 at a time.
#[derive(Debug)]
pub struct Entries<'a, S> {
    reader: &'a Reader<S>,
    range: Range<u64>,
    /// From the first that is to be given, in their order.
    ahead: VecDeque<Vec<u8>>,
    /// Up to the last that is to be given, in their order.
    behind: Vec<Vec<u8>>,
}

impl<S: Source> Entries<'_, S> {
    /// All entries of the bundle that has the one at this index.
    fn read(&self, log: &LogView, index: u64) -> Result<Vec<Vec<u8>>, ReadError> {
        let bundle = self.reader.bundle(log, index / TILE_WIDTH)?;
        let records = Records::new(&bundle).map(|record| record.map(<[u8]>::to_vec));
        let tile = Tile { level: None, index: index / TILE_WIDTH, width: TILE_WIDTH };
        let damaged = || ReadError::Damaged(layout::in_log(log.number, tile));
        let records: Vec<_> = records.collect::<Option<_>>().ok_or_else(damaged)?;
        if records.len() as u64 > index % TILE_WIDTH { Ok(records) } else { Err(damaged()) }
    }

    /// What follows cannot be told from what should be there.
    fn fail(&mut self, error: ReadError) -> Option<Result<Record, ReadError>> {
        self.range = 0..0;
        Some(Err(error))
    }

    fn record(log: &LogView, sequence: u64, bytes: Vec<u8>) -> Record {
        Record { sequence, log: log.number, index: sequence - log.base, bytes }
    }
}

impl<S: Source> Iterator for Entries<'_, S> {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let log = loop {
            if self.range.is_empty() {
                return None;
            }
            let log = self.reader.log_of(self.range.start)?;
            if !self.ahead.is_empty() {
                break log;
            }
            let index = self.range.start - log.base;
            match self.read(log, index) {
                Ok(records) => self.ahead = records.into_iter().skip((index % TILE_WIDTH) as usize).collect(),
                Err(_) if self.reader.has_lost(log) => self.range.start = log.base + log.size,
                Err(error) => return self.fail(error),
            }
        };
        let sequence = self.range.start;
        self.range.start += 1;
        Some(Ok(Self::record(log, sequence, self.ahead.pop_front()?)))
    }
}

impl<S: Source> DoubleEndedIterator for Entries<'_, S> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.range.is_empty() {
            return None;
        }
        let sequence = self.range.end - 1;
        let log = self.reader.log_of(sequence)?;
        if self.behind.is_empty() {
            let index = sequence - log.base;
            match self.read(log, index) {
                Ok(records) => self.behind = records,
                // The oldest goes first: what is before it has gone as well.
                Err(_) if self.reader.has_lost(log) => {
                    self.range = 0..0;
                    return None;
                }
                Err(error) => return self.fail(error),
            }
            self.behind.truncate((index % TILE_WIDTH) as usize + 1);
        }
        self.range.end -= 1;
        Some(Ok(Self::record(log, sequence, self.behind.pop()?)))
    }
}
