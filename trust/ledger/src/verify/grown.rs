//! All of a journal but its entries: what its frames tell, and what follows the last that is whole.
//!
//! The newest checkpoint covers all entries, so that opening a ledger looks at no other signature, and at no number that can be
//! counted. Here each of them is held to what a writer writes.

use super::Finding;
use super::tree::TreeCheck;
use crate::checkpoint::Checkpoint;
use crate::edge::read_tile;
use crate::hash::leaf_hash;
use crate::journal::{FRAME_ENTRIES_BYTES_MAX, Frame, Journal, MAGIC, MAGIC_AHEAD, entry_bytes};
use crate::note::{self, NOTE_BYTES_MAX};
use crate::storage::Source;
use crate::tile::{Records, TILE_WIDTH, Tile};
use identity::PublicKey;

/// As many zeros as no frame has, and a piece that was lost with the power has, in bytes.
const ZEROS: usize = 64;

/// The check of a journal.
pub struct GrownCheck<'a, S> {
    pub source: &'a S,
    pub keys: &'a [PublicKey],
    pub log: u64,
    /// The sequence number of the log's first entry.
    pub sequence: u64,
    /// Where the journal begins.
    pub base: &'a Checkpoint,
    pub path: &'a str,
    pub bytes: &'a [u8],
    /// The log's checkpoint as it was published.
    pub published: Option<&'a [u8]>,
}

impl<S: Source> GrownCheck<'_, S> {
    /// Holds each frame to what a writer writes, the entries before the journal having so many bytes; and what follows the
    /// last to what a crash leaves.
    pub fn run(&self, journal: &Journal, tiled_bytes: u64) -> Result<(), Finding> {
        let changed = || Finding::Tile { path: self.path.to_owned() };
        let (first, _) = Frame::decode(self.bytes).ok_or_else(changed)?;
        let (mut size, mut bytes, mut synced) = (self.base.size, tiled_bytes, first.synced);
        // Where a frame ends.
        let mut ends = vec![size];
        for frame in std::iter::once(&first).chain(&journal.frames) {
            let is_told = frame.first == size && frame.entry_bytes == bytes;
            // Where a frame ended of a journal that has gone is not known any more, and means nothing.
            let is_end = || frame.synced < self.base.size || ends.binary_search(&frame.synced).is_ok();
            let is_synced = (synced..=size).contains(&frame.synced) && is_end();
            size += Records::new(frame.records).count() as u64;
            let is_signed = Checkpoint::open(frame.note, self.keys)
                .is_ok_and(|told| told.size == size && told.origin == self.base.origin);
            if !is_told || !is_synced || !is_signed {
                return Err(changed());
            }
            (bytes, synced) = (bytes + entry_bytes(frame.records) as u64, frame.synced);
            ends.push(size);
        }
        ends.dedup();
        // Encoded anew it is the same: no number stands in it in another form.
        let whole = &self.bytes[..self.bytes.len() - journal.tail.len()];
        if std::iter::once(&first).chain(&journal.frames).flat_map(Frame::encode).ne(whole.iter().copied()) {
            return Err(changed());
        }
        match journal.tail.is_empty() || self.is_crash(journal.tail, size, bytes) {
            true => Ok(()),
            false => Err(Finding::Journal { path: self.path.to_owned(), first: self.sequence + size }),
        }
    }

    /// Whether a crash leaves this of frames behind so many entries, of so many bytes: the beginning of one, or some with zeros
    /// where the disk had not taken them.
    fn is_crash(&self, tail: &[u8], size: u64, bytes: u64) -> bool {
        let numbers = [size.to_be_bytes(), bytes.to_be_bytes()].concat();
        is_as(&numbers, tail.get(12..).unwrap_or_default()) && self.is_begun(tail)
    }

    /// Whether a crash leaves this of some frame and what is behind it.
    pub fn is_begun(&self, tail: &[u8]) -> bool {
        let number = |at: usize, length: usize| {
            tail.get(at..at + length)
                .map(|bytes| bytes.iter().fold(0usize, |number, byte| number << 8 | usize::from(*byte)))
        };
        let (records, note) = (number(4, 4), number(8, 4));
        let is_bounded = records.is_none_or(|length| length <= FRAME_ENTRIES_BYTES_MAX)
            && note.is_none_or(|length| length <= NOTE_BYTES_MAX);
        let is_magic = [MAGIC, MAGIC_AHEAD].iter().any(|magic| is_as(&magic[..], tail));
        if !is_bounded || !is_magic {
            return false;
        }
        let is_cut = records.zip(note).is_none_or(|(records, note)| 28 + records + note > tail.len());
        let has_zeros =
            tail.first() == Some(&0) || tail.split(|byte| *byte != 0).any(|zeros| zeros.len() >= ZEROS);
        has_zeros || (is_cut && !self.has_signed(tail))
    }

    /// Whether there is a checkpoint of this log that is signed: a frame ends with it.
    fn has_signed(&self, tail: &[u8]) -> bool {
        let text = String::from_utf8_lossy(tail);
        let origin = format!("{}\n", self.base.origin);
        let is_signed = |note: &str| Checkpoint::open(note, self.keys).is_ok();
        text.match_indices(&origin).any(|(at, _)| {
            note::split(&text[at..]).next().is_some_and(|note| {
                // Another frame may follow at once.
                let end = note.find("wfr").unwrap_or(note.len());
                is_signed(note) || is_signed(&note[..end])
            })
        })
    }

    /// What is wrong where the frame behind so many entries does not hold, which has so many itself: the first that is not what
    /// was published, where that tells.
    pub fn blame(&self, size: u64, count: u64) -> Finding {
        let end = size + count;
        let path = self.path.to_owned();
        let whole = Finding::Range {
            first: self.sequence + size,
            last: self.sequence + end.max(size + 1) - 1,
            path: path.clone(),
        };
        let published = self.published.and_then(|note| {
            let published = Checkpoint::open(str::from_utf8(note).ok()?, self.keys).ok()?;
            let check = TreeCheck::new(self.source, self.log, self.sequence, &published);
            (published.origin == self.base.origin && check.run().is_ok()).then_some(published.size)
        });
        let Some(published) = published.filter(|published| *published > size) else { return whole };
        let Some(frame) = self.frame(size) else {
            return Finding::Journal { path, first: self.sequence + size };
        };
        for (index, record) in (size..published).zip(Records::new(frame.records)) {
            if let Some(finding) = self.compare(index, published, record) {
                return finding;
            }
        }
        match published >= end {
            true => Finding::Tile { path },
            false => Finding::Range { first: self.sequence + published, last: self.sequence + end - 1, path },
        }
    }

    /// Holds a record of the journal to the entry that was published, whose log holds to so many.
    fn compare(&self, index: u64, published: u64, record: Option<&[u8]>) -> Option<Finding> {
        let tile = Tile::of_size(None, index / TILE_WIDTH, published);
        let bundle = read_tile(self.source, self.log, tile).ok()?;
        let entry = Records::new(&bundle).flatten().nth((index % TILE_WIDTH) as usize).map(leaf_hash);
        let sequence = self.sequence + index;
        (entry != record.map(leaf_hash)).then_some(Finding::Entry { sequence, wrong: super::Wrong::Changed })
    }

    /// The frame behind so many entries.
    fn frame(&self, size: u64) -> Option<Frame<'_>> {
        let (_, mut rest) = Frame::decode(self.bytes)?;
        let mut before = self.base.size;
        loop {
            let (frame, after) = Frame::decode(rest)?;
            if before == size {
                return Some(frame);
            }
            before += Records::new(frame.records).count() as u64;
            rest = after;
        }
    }
}

/// Whether the bytes that were found are those that are expected, as far as they go, or zeros.
fn is_as(expected: &[u8], found: &[u8]) -> bool {
    expected.iter().zip(found).all(|(expected, found)| found == expected || *found == 0)
}
