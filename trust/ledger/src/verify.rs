//! Verifying a ledger offline, with the public key alone: a directory, a copy of one, or an exported file.
//!
//! What is signed is the newest checkpoint. From its root down, each tile is held to the hash above it and each entry to
//! its tile, so that the first entry that is wrong has a name. Where entries and tiles were changed alike, the smallest
//! range is named that the untouched tiles above leave. Memory does not grow with the number of entries.
//!
//! Of the log that grows, the newest entries are in the journal, and most often in tiles as well: what is published of them is
//! held to the journal. What lies beside all that must be of the log as well.

mod finding;
mod grown;
mod leftover;
pub(crate) mod published;
pub(crate) mod tree;

pub use finding::{Finding, Wrong};

use crate::checkpoint::Checkpoint;
use crate::edge::{self, ReadError};
use crate::entry::{Entry, Event};
use crate::journal::{Content, Journal, JournalError};
use crate::layout::{self, LogPlace};
use crate::reader::{Match, Reader};
use crate::shards::ShardNumber;
use crate::storage::Source;
use crate::tile::Tile;
use grown::GrownCheck;
use identity::PublicKey;
use leftover::LeftoverCheck;
use published::PublishedCheck;
use tree::TreeCheck;

/// What was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which shard of its ledger it is, as its logs' names tell.
    pub shard: ShardNumber,
    /// The sequence number of the first entry that is there.
    pub first: u64,
    /// That of the next.
    pub next: u64,
    /// The ledger's logs, the oldest first, each with what its checkpoint tells.
    pub logs: Vec<Checkpoint>,
    /// Whether logs before the first that is there were let go, as a later one tells.
    pub is_retired: bool,
    /// The newest checkpoint, as a signed note.
    pub note: String,
    /// Whether a batch at the end was not written to its end: a writer was killed, or writes it just now.
    pub is_unfinished: bool,
    /// Whether of the log that grows nothing is published, and only the journal has it: that is so at first, and where
    /// somebody has taken away what was.
    pub is_unpublished: bool,
}

/// How much of a ledger is to be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// All of it, as it is written: what is verified can be gone on with.
    Kept,
    /// All of it, as it is exported: without its journal.
    #[default]
    Exported,
    /// A part, as somebody has taken it: what is not there is told, and is not wrong.
    Part,
}

/// How often a ledger that is written meanwhile is verified anew.
const TRIES_MAX: usize = 16;

/// Verifies a ledger of one shard, or one of its shards; [`shards::verify`](crate::shards::verify) verifies all that are in a
/// directory, and what they tell of each other. Each of the notes, checkpoints of the ledger that were kept elsewhere, must be one that it
/// goes on from.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn verify(source: &impl Source, keys: &[PublicKey], notes: &[String]) -> Result<Report, Finding> {
    verify_extent(source, keys, notes, Extent::default())
}

/// The same of as much as is to be there.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn verify_extent(
    source: &impl Source,
    keys: &[PublicKey],
    notes: &[String],
    extent: Extent,
) -> Result<Report, Finding> {
    let state = || Some((layout::journals(source).ok()?, layout::logs(source).ok()?));
    let mut tries = 1;
    loop {
        let before = state();
        match verify_once(source, keys, notes, extent) {
            // A log may have begun or gone meanwhile, or a journal.
            Err(_) if tries < TRIES_MAX && state() != before => tries += 1,
            verified => return verified,
        }
    }
}

fn verify_once(
    source: &impl Source,
    keys: &[PublicKey],
    notes: &[String],
    extent: Extent,
) -> Result<Report, Finding> {
    let mut check = Check { source, keys, logs: Vec::new(), first: None, next: 0, first_log: 0, kept: None };
    // Read before the journal, which has at least as much, also where it grows meanwhile.
    let before = layout::logs(source).map_err(ReadError::Io)?;
    let seen = before.last().map(|log| Seen::of(source, *log)).transpose()?;
    let newest = check.newest_journal()?;
    // A log's journal is on disk before the log has a folder.
    let is_stray = |log: &u64| *log == 0 || newest.as_ref().is_some_and(|newest| *log > newest.log);
    if let Some(log) = before.iter().copied().find(is_stray) {
        return Err(Finding::Chain { log });
    }
    for number in layout::logs(source).map_err(ReadError::Io)? {
        if newest.as_ref().is_none_or(|newest| number < newest.log) {
            check.complete_log(number)?;
        }
    }
    // An entry that is wrong has a name, and is told before.
    if newest.is_none() && !before.is_empty() {
        let has_journals = !layout::journals(source).map_err(ReadError::Io)?.is_empty();
        if has_journals || extent == Extent::Kept {
            return Err(Finding::NoJournal);
        }
    }
    let seen = seen.filter(|seen| newest.as_ref().is_some_and(|newest| seen.log == newest.log));
    let is_unpublished = newest.is_some() && seen.as_ref().is_none_or(|seen| seen.checkpoint.is_none());
    let is_unfinished = match &newest {
        Some(newest) => check.growing_log(newest, seen)?,
        None => false,
    };
    let Some(first) = check.first else { return Err(ReadError::Nothing.into()) };
    let is_retired = check.retired(extent)?;
    let reader = Reader::open(source, Some(keys))?;
    for note in notes {
        let earlier = Checkpoint::open_kept(note, keys)
            .map_err(|error| Finding::Checkpoint { path: "the checkpoint that was given".into(), error })?;
        hold_to(&reader, &earlier)?;
    }
    let note = reader.checkpoint().to_owned();
    Ok(Report {
        shard: reader.shard(),
        first,
        next: check.next,
        logs: check.logs,
        is_retired,
        note,
        is_unfinished,
        is_unpublished,
    })
}

/// What a log that may grow had published.
struct Seen {
    log: u64,
    checkpoint: Option<Vec<u8>>,
    /// Tiles that the checkpoint does not call for.
    beside: Vec<Tile>,
}

impl Seen {
    fn of(source: &impl Source, log: u64) -> Result<Self, ReadError> {
        let checkpoint = source.read(&layout::in_log(log, "checkpoint")).map_err(ReadError::Io)?;
        let text = checkpoint.as_deref().map(String::from_utf8_lossy);
        let told = text.and_then(|text| Checkpoint::parse_unverified(&text).ok());
        let beside = leftover::beside(source, log, told.map_or(0, |told| told.size))?;
        Ok(Self { log, checkpoint, beside })
    }
}

/// The newest log's journal.
struct Newest {
    log: u64,
    base: Checkpoint,
    content: Content,
    /// Younger ones, whose beginning does not hold.
    begun: Vec<Content>,
}

struct Check<'a, S> {
    source: &'a S,
    keys: &'a [PublicKey],
    /// The logs that hold.
    logs: Vec<Checkpoint>,
    first: Option<u64>,
    next: u64,
    /// The number of the oldest.
    first_log: u64,
    /// The oldest log that is kept, and the number of the entry that tells so: the newest that does.
    kept: Option<(u64, u64)>,
}

impl<S: Source> Check<'_, S> {
    /// The newest journal that begins with a signed checkpoint; `None` where there is no journal, as in an exported file.
    fn newest_journal(&self) -> Result<Option<Newest>, Finding> {
        let (mut wrong, mut begun, mut torn) = (None, Vec::new(), None);
        for number in layout::journals(self.source).map_err(ReadError::Io)?.iter().rev() {
            let content = Content::read(self.source, *number, Some(self.keys)).map_err(ReadError::Io)?;
            let Some(content) = content else { continue };
            match Journal::base(&content.bytes, Some(self.keys)) {
                Ok(base) => {
                    let Some(LogPlace { log, .. }) = self.place(Journal::first_note(&content.bytes)) else {
                        continue;
                    };
                    if base.size > 0 || log == 1 {
                        return Ok(Some(Newest { log, base, content, begun }));
                    }
                    // The log is begun by its first frame; what does not hold behind that is told as such.
                    let replayed =
                        Journal::replay_from(&base, &content, Some(self.keys), &mut Default::default());
                    match replayed.map(|journal| (journal.frames.is_empty(), journal.is_torn)) {
                        Ok((true, false)) => {}
                        Ok((true, true)) => torn = Some(Newest { log, base, content, begun: begun.clone() }),
                        Ok((false, _)) | Err(_) => {
                            return Ok(Some(Newest { log, base, content, begun }));
                        }
                    }
                }
                // Signed by another key, or its making was interrupted: then the one before is whole.
                Err(_) => {
                    let path = content.path.clone();
                    let note = Journal::first_note(&content.bytes);
                    let error = note.and_then(|note| Checkpoint::open(note, self.keys).err());
                    wrong = wrong.or(error.map(|error| Finding::Checkpoint { path, error }));
                    begun.push(content);
                }
            }
        }
        // Where none before it is left, it did begin, and was changed.
        wrong.map_or(Ok(torn), Err)
    }

    fn place(&self, note: Option<&str>) -> Option<LogPlace> {
        layout::place_of_note(note?, Some(self.keys)).map(|(_, place)| place)
    }

    /// A log that does not grow any more: all of it is in tiles.
    fn complete_log(&mut self, number: u64) -> Result<(), Finding> {
        let path = layout::in_log(number, "checkpoint");
        let Some(note) = self.source.read(&path).map_err(ReadError::Io)? else {
            // It was being removed. The oldest goes first: none does behind one that stays.
            return if self.logs.is_empty() { Ok(()) } else { Err(Finding::Chain { log: number }) };
        };
        let note = String::from_utf8_lossy(&note);
        let checkpoint = Checkpoint::open(&note, self.keys)
            .map_err(|error| Finding::Checkpoint { path: path.clone(), error })?;
        if self.place(Some(&note)).map(|place| place.log) != Some(number) {
            return Err(Finding::Chain { log: number });
        }
        let base = self.base_of(number, &checkpoint);
        TreeCheck::new(self.source, number, base, &checkpoint).run()?;
        let beside = leftover::beside(self.source, number, checkpoint.size)?;
        let (size, tiled, grown) = (checkpoint.size, checkpoint.size, Default::default());
        LeftoverCheck { source: self.source, log: number, size, tiled, grown }.run(&beside)?;
        let first = edge::first_record(self.source, number, checkpoint.size);
        self.link(number, first.as_deref(), checkpoint)
    }

    /// The log that grows, and what it has published; whether its last batch was not written to its end.
    fn growing_log(&mut self, newest: &Newest, seen: Option<Seen>) -> Result<bool, Finding> {
        let Newest { log, base, content, begun } = newest;
        let Content { path, bytes, .. } = content;
        let sequence = self.base_of(*log, base);
        let tiled = TreeCheck::new(self.source, *log, sequence, base);
        tiled.run()?;
        let start = edge::load(self.source, *log, base.size)?;
        let mut tree = start.0.clone();
        let (source, keys, note) =
            (self.source, self.keys, seen.as_ref().and_then(|seen| seen.checkpoint.as_deref()));
        let grown = GrownCheck { source, keys, log: *log, sequence, base, path, bytes, published: note };
        let batch = |size: u64, count: u64| grown.blame(size, count);
        let journal =
            Journal::replay_from(base, content, Some(self.keys), &mut tree).map_err(|error| match error {
                JournalError::Damaged { size, count } => batch(size, count),
                JournalError::Unsigned(error) => Finding::Checkpoint { path: path.clone(), error },
                JournalError::NoBase | JournalError::Base(_) => Finding::Tile { path: path.clone() },
            })?;
        if let Some(count) = journal.torn_count {
            return Err(batch(tree.size(), count));
        }
        grown.run(&journal, tiled.entry_bytes())?;
        if let Some(changed) = begun.iter().find(|begun| !grown.is_begun(&begun.bytes)) {
            return Err(Finding::Tile { path: changed.path.clone() });
        }
        let published = PublishedCheck { source, keys, log: *log, base, sequence, start, journal: &journal };
        published.run(note).map_err(|(_, finding)| finding)?;
        if let Some(seen) = seen.filter(|seen| !seen.beside.is_empty()) {
            let (_, grown) = published.behind(tree.size());
            let grown = grown.into_iter().map(|(tile, bytes)| ((tile.level, tile.index), bytes)).collect();
            LeftoverCheck { source, log: *log, size: tree.size(), tiled: base.size, grown }
                .run(&seen.beside)?;
        }
        let first = match base.size {
            0 => journal.frames.first().and_then(|frame| frame.first_record()).map(<[u8]>::to_vec),
            _ => edge::first_record(self.source, *log, base.size),
        };
        let is_unfinished = journal.is_torn;
        let end = Checkpoint { size: tree.size(), root: tree.root(), ..base.clone() };
        self.link(*log, first.as_deref(), end)?;
        Ok(is_unfinished)
    }

    /// The sequence number of a log's first entry: where the log before ends, or as its first entry says.
    fn base_of(&self, log: u64, checkpoint: &Checkpoint) -> u64 {
        let told =
            || edge::first_sequence(log, edge::first_record(self.source, log, checkpoint.size).as_deref());
        if self.logs.is_empty() { told().unwrap_or(0) } else { self.next }
    }

    /// Holds a log's first entry to the log before, and takes the log into the chain.
    fn link(&mut self, number: u64, first: Option<&[u8]>, checkpoint: Checkpoint) -> Result<(), Finding> {
        let wrong = Finding::Chain { log: number };
        let sequence = match first.map(Entry::decode) {
            _ if number == 1 => 0,
            Some(Ok(Entry { event: Event::LogStart(start), .. })) => {
                let told = Checkpoint::open(&start.previous, self.keys).map_err(|_| wrong.clone())?;
                if self.logs.last().is_some_and(|before| *before != told || start.sequence != self.next) {
                    return Err(wrong);
                }
                self.kept = start.oldest.map(|oldest| (oldest, start.sequence)).or(self.kept);
                start.sequence
            }
            _ => return Err(wrong),
        };
        if number == 1 && !self.logs.is_empty() {
            return Err(wrong);
        }
        if self.first.is_none() {
            (self.first, self.first_log) = (Some(sequence), number);
        }
        self.next = sequence + checkpoint.size;
        self.logs.push(checkpoint);
        Ok(())
    }
}

impl<S> Check<'_, S> {
    /// Holds the oldest log to what is kept: whether those before it were let go, as one tells.
    fn retired(&self, extent: Extent) -> Result<bool, Finding> {
        let Some((oldest, witness)) = self.kept else { return Ok(false) };
        match self.first_log > oldest {
            // One that is older may be there still: its writer was killed before it could remove it.
            false => Ok(self.first_log == oldest && oldest > 1),
            true if extent == Extent::Part => Ok(false),
            true => Err(Finding::Unkept { first: oldest, last: self.first_log - 1, witness }),
        }
    }
}

/// Holds what is there to a checkpoint that is signed.
pub(crate) fn hold_to<S: Source>(reader: &Reader<S>, told: &Checkpoint) -> Result<(), Finding> {
    match reader.hold_to(told)? {
        Match::Held => Ok(()),
        Match::Less { base: Some(base), have } => Err(Finding::Truncated { have, want: base + told.size }),
        Match::Other { base } => Err(Finding::Rewritten { first: base, next: base + told.size }),
        // Logs that were let go, and logs that never were, cannot be compared with.
        Match::Retired | Match::Less { base: None, .. } => {
            Err(Finding::Elsewhere { origin: told.origin.clone() })
        }
    }
}
