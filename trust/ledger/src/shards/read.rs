//! Reading all shards of a ledger as one.

use super::merge::Merge;
use super::{EntryNumber, ShardNumber};
use crate::archive::{self, ExportError};
use crate::cbor::DecodeError;
use crate::checkpoint::Checkpoint;
use crate::edge::ReadError;
use crate::entry::{self, Entry, Event};
use crate::layout;
use crate::reader::{Entries, Reader, Record};
use crate::storage::Source;
use identity::PublicKey;
use std::fmt;
use std::io::{self, Write};
use std::ops::Range;

/// How often a ledger is opened anew where one shard tells of more than was read of another.
const TRIES_MAX: usize = 16;

/// One shard in what holds a ledger.
#[derive(Clone, Debug)]
pub struct ShardSource<'a, S> {
    source: &'a S,
    /// Its folder; empty for the first.
    folder: String,
}

/// Why a shard cannot be read.
#[derive(Debug)]
pub struct ShardError {
    /// Which one.
    pub shard: ShardNumber,
    /// Why.
    pub error: ReadError,
}

/// One entry of one shard.
#[derive(Clone, Debug)]
pub struct ShardEntry {
    /// The shard.
    pub shard: ShardNumber,
    /// The entry as it was written.
    pub record: Record,
    /// What it says.
    pub entry: Result<Entry, DecodeError>,
}

/// A ledger with all its shards, as it was when it was opened.
///
/// ```no_run
/// use ledger::directory::Directory;
/// use ledger::shards::Shards;
///
/// let directory = Directory::open("/var/lib/weft/ledger");
/// let shards = Shards::open(&directory, None)?;
/// for entry in shards.entries(|_| 0..u64::MAX) {
///     let entry = entry?;
///     println!("{} {:?}", entry.number(), entry.entry);
/// }
/// # Ok::<(), ledger::shards::ShardError>(())
/// ```
#[derive(Debug)]
pub struct Shards<'a, S> {
    readers: Vec<(ShardNumber, Reader<ShardSource<'a, S>>)>,
}

impl<'a, S: Source> ShardSource<'a, S> {
    /// A shard in its place.
    pub fn new(source: &'a S, shard: ShardNumber) -> Self {
        Self { source, folder: layout::shard(shard) }
    }

    fn resolve(&self, path: &str) -> String {
        match (self.folder.as_str(), path) {
            ("", path) => path.to_owned(),
            (folder, "") => folder.to_owned(),
            (folder, path) => format!("{folder}/{path}"),
        }
    }
}

impl<S: Source> Source for ShardSource<'_, S> {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.source.read(&self.resolve(path))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.source.list(&self.resolve(folder))
    }
}

impl<'a, S: Source> Shards<'a, S> {
    /// Opens all shards that are there. With keys, each one's newest checkpoint must be signed by all of them. A shard that
    /// is just being made is not there yet. One that stands alone, as in a copy of its folder, has the number that its
    /// logs' names tell.
    ///
    /// # Errors
    ///
    /// Where there is none, or one cannot be read.
    pub fn open(source: &'a S, keys: Option<&[PublicKey]>) -> Result<Self, ShardError> {
        let first = |error| ShardError { shard: ShardNumber::FIRST, error };
        let others = layout::shards(source).map_err(|error| first(ReadError::Io(error)))?;
        let is_alone = others.is_none();
        let mut readers = Vec::new();
        for shard in std::iter::once(ShardNumber::FIRST).chain(others.unwrap_or_default()) {
            match Reader::open(ShardSource::new(source, shard), keys) {
                Ok(reader) if is_alone => readers.push((reader.shard(), reader)),
                Ok(reader) => readers.push((shard, reader)),
                Err(ReadError::Nothing) => {}
                Err(error) => return Err(ShardError { shard, error }),
            }
        }
        if readers.is_empty() { Err(first(ReadError::Nothing)) } else { Ok(Self { readers }) }
    }

    /// The same where no shard tells of more than is read of another, so that what is read stands for itself, as an
    /// exported file does.
    ///
    /// # Errors
    ///
    /// As [`Self::open`], and [`ReadError::Busy`].
    pub fn open_settled(source: &'a S, keys: Option<&[PublicKey]>) -> Result<Self, ShardError> {
        let mut before = Self::open(source, keys)?;
        for _ in 1..TRIES_MAX {
            let after = Self::open(source, keys)?;
            // What a shard had told before was true of the others before they were opened now.
            if !after.tells_more_since(&before)? {
                return Ok(after);
            }
            before = after;
        }
        Err(ShardError { shard: ShardNumber::FIRST, error: ReadError::Busy })
    }

    fn tells_more_since(&self, before: &Self) -> Result<bool, ShardError> {
        for (shard, reader) in &self.readers {
            let start = before.reader(*shard).map_or(0, Reader::next);
            for told in self.seen(*shard, reader, start..u64::MAX) {
                if told?.1.iter().any(|seen| self.lacks(reader, seen)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether this has less than was seen.
    fn lacks(&self, witness: &Reader<ShardSource<'a, S>>, seen: &Checkpoint) -> bool {
        let Some(place) = layout::place_of_origin(&seen.origin, witness.name()) else { return false };
        let Some(reader) = self.reader(place.shard) else { return true };
        let newest = reader.logs().last().map_or((0, 0), |log| (log.number, log.size));
        newest < (place.log, seen.size)
    }

    /// What the entries of a shard in this range tell of others, each with the entry's number.
    pub(super) fn seen<'r>(
        &self,
        shard: ShardNumber,
        reader: &'r Reader<ShardSource<'a, S>>,
        range: Range<u64>,
    ) -> impl Iterator<Item = Result<(EntryNumber, Vec<Checkpoint>), ShardError>> + use<'r, 'a, S> {
        reader.entries(range).filter_map(move |record| match record {
            Ok(record) if entry::tells_of_shards(&record.bytes) => {
                let number = EntryNumber { shard, sequence: record.sequence };
                match Entry::decode(&record.bytes).ok()?.event {
                    Event::ShardsSeen(seen) => Some(Ok((number, seen.shards))),
                    _ => None,
                }
            }
            Ok(_) => None,
            Err(error) => Some(Err(ShardError { shard, error })),
        })
    }

    /// The shards that are there, in the order of their numbers. There is one at least.
    #[must_use]
    pub fn readers(&self) -> &[(ShardNumber, Reader<ShardSource<'a, S>>)] {
        &self.readers
    }

    /// The shard of this number.
    #[must_use]
    pub fn reader(&self, shard: ShardNumber) -> Option<&Reader<ShardSource<'a, S>>> {
        self.readers.iter().find(|(number, _)| *number == shard).map(|(_, reader)| reader)
    }

    /// The entries of these sequence numbers of each shard, all in the order of their times; of equal times those of the
    /// first shard come first. Memory does not grow with their number.
    pub fn entries(
        &self,
        range: impl Fn(ShardNumber) -> Range<u64>,
    ) -> impl Iterator<Item = Result<ShardEntry, ShardError>> {
        let streams = self.readers.iter().map(|(shard, reader)| Stream::new(*shard, reader, range(*shard)));
        Merge::new(streams.collect())
    }

    /// The first entry of each shard that is there.
    #[must_use]
    pub fn starts(&self) -> Vec<EntryNumber> {
        let start = |(shard, reader): &(ShardNumber, Reader<_>)| EntryNumber {
            shard: *shard,
            sequence: reader.first(),
        };
        self.readers.iter().map(start).collect()
    }

    /// How many entries there are in all.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.readers.iter().map(|(_, reader)| reader.next() - reader.first()).sum()
    }

    /// Writes all of it as one file: what [`Archive`](crate::archive::Archive) opens. Of a ledger that is being written,
    /// what [`Self::open_settled`] gives.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, or the file not be written.
    pub fn export(&self, out: &mut impl Write) -> Result<(), ExportError> {
        let is_alone = self.readers.len() == 1;
        for (shard, reader) in &self.readers {
            let folder = if is_alone { String::new() } else { layout::shard(*shard) };
            archive::write_logs(reader, &folder, out)?;
        }
        archive::finish(out)
    }
}

/// The entries of one shard, with their times.
struct Stream<'r, S> {
    shard: ShardNumber,
    entries: Entries<'r, S>,
}

impl<'r, S: Source> Stream<'r, S> {
    fn new(shard: ShardNumber, reader: &'r Reader<S>, range: Range<u64>) -> Self {
        Self { shard, entries: reader.entries(range) }
    }
}

impl<S: Source> Iterator for Stream<'_, S> {
    type Item = (u64, Result<ShardEntry, ShardError>);

    fn next(&mut self) -> Option<Self::Item> {
        let shard = self.shard;
        match self.entries.next()? {
            Ok(record) => {
                let entry = Entry::decode(&record.bytes);
                let time_ns = entry.as_ref().map_or(0, |entry| entry.time_ns);
                Some((time_ns, Ok(ShardEntry { shard, record, entry })))
            }
            // Told at once.
            Err(error) => Some((0, Err(ShardError { shard, error }))),
        }
    }
}

impl ShardEntry {
    /// Its number in the whole ledger.
    #[must_use]
    pub fn number(&self) -> EntryNumber {
        EntryNumber { shard: self.shard, sequence: self.record.sequence }
    }
}

impl fmt::Display for ShardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shard {
            ShardNumber::FIRST => self.error.fmt(f),
            shard => write!(f, "shard {shard}: {}", self.error),
        }
    }
}

impl std::error::Error for ShardError {}
