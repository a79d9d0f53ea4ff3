//! The journal: what is durable and not yet in tiles.
//!
//! ```text
//! journal = frame *frame          the first has no entries: it tells where the journal begins
//! frame   = "wfrm" entries' length: u32  note's length: u32  entries before: u64  bytes of those: u64
//!           entries, as in a bundle      checkpoint after them, as a signed note
//! ```
//!
//! Numbers are big-endian. One frame is one batch. Where it is appended before those in front of it are known to be on disk,
//! it begins with "wfr2" instead, and tells behind its other numbers how many entries are: synced: u64. So only frames behind
//! what a later one tells to be on disk can be torn, and their root and signature tell. A journal is never changed but at its
//! end, and goes once all that it has is in tiles.
//!
//! ```text
//! journal/17   base frame frame frame              base frame: where 17 ends, and that this is not known to be on disk
//! journal/18                         base frame ..  17 goes once its entries are in tiles that are on disk
//! ```
//!
//! Meanwhile the next one goes on from it, which begins with a frame of the second form, and both are as one ([`Content`]): the
//! later one's first frame stands between two others. One that begins with the first form needs no other. Of two, power may be
//! lost before the end of the earlier is on disk: then it ends there, and what follows is lost as well, unless that tells that
//! it was on disk.

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::hash::leaf_hash;
use crate::layout;
use crate::note::NOTE_BYTES_MAX;
use crate::storage::Source;
use crate::tile::Records;
use crate::tree::Tree;
use identity::PublicKey;
use std::io;

/// The folder of journals.
pub const FOLDER: &str = "journal";

pub(crate) const MAGIC: &[u8; 4] = b"wfrm";
/// Of a frame that was appended while others were on their way to the disk.
pub(crate) const MAGIC_AHEAD: &[u8; 4] = b"wfr2";
const HEADER_BYTES: usize = 4 + 4 + 4 + 8 + 8;
/// The bound of one frame's entries, in bytes: a batch, with a length for each of its entries and a log's own first one.
pub const FRAME_ENTRIES_BYTES_MAX: usize = 4 << 20;

/// The bound of frames that are on their way to the disk when another is appended, in bytes.
pub const IN_FLIGHT_BYTES_MAX: usize = 4 << 20;

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// How many entries the log had before.
    pub first: u64,
    /// How many bytes those had.
    pub entry_bytes: u64,
    /// How many entries were on disk when it was appended: all before, or fewer.
    pub synced: u64,
    /// The entries, as in a bundle.
    pub records: &'a [u8],
    /// The checkpoint after them, as a signed note.
    pub note: &'a str,
}

impl<'a> Frame<'a> {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.records.len() + self.note.len());
        let is_ahead = self.synced < self.first;
        bytes.extend_from_slice(if is_ahead { MAGIC_AHEAD } else { MAGIC });
        bytes.extend_from_slice(&(self.records.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&(self.note.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&self.first.to_be_bytes());
        bytes.extend_from_slice(&self.entry_bytes.to_be_bytes());
        if is_ahead {
            bytes.extend_from_slice(&self.synced.to_be_bytes());
        }
        bytes.extend_from_slice(self.records);
        bytes.extend_from_slice(self.note.as_bytes());
        bytes
    }

    /// Its first entry.
    #[must_use]
    pub fn first_record(&self) -> Option<&'a [u8]> {
        Records::new(self.records).next().flatten()
    }

    /// The frame that these bytes begin with, and what follows it; nothing of it is verified.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
        let number = |at: usize, length: usize| {
            header[at..at + length].iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte))
        };
        let (records, note) = (number(4, 4) as usize, number(8, 4) as usize);
        if records > FRAME_ENTRIES_BYTES_MAX || note > NOTE_BYTES_MAX {
            return None;
        }
        let first = number(12, 8);
        let (synced, rest) = match &header[..4] {
            magic if magic == MAGIC => (first, rest),
            magic if magic == MAGIC_AHEAD => {
                let (synced, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*synced), rest)
            }
            _ => return None,
        };
        let (records, rest) = rest.split_at_checked(records)?;
        let (note, rest) = rest.split_at_checked(note)?;
        let note = str::from_utf8(note).ok()?;
        Some((Self { first, entry_bytes: number(20, 8), synced, records, note }, rest))
    }
}

/// What a journal has, behind the one that it goes on from where that is there.
#[derive(Clone, Debug)]
pub struct Content {
    /// Both as one.
    pub bytes: Vec<u8>,
    /// Where in these the later one begins.
    joint: Option<usize>,
    /// The later one is not here, as the one before ends too early; how many entries it tells to be on disk.
    lost: Option<u64>,
    /// The file or the files, for who is told what is wrong.
    pub path: String,
}

impl Content {
    /// A journal that goes on from none.
    #[must_use]
    pub fn alone(bytes: Vec<u8>, path: String) -> Self {
        Self { bytes, joint: None, lost: None, path }
    }

    /// The journal of this number; `None` where there is none. With keys the one before must be signed by all of them.
    ///
    /// # Errors
    ///
    /// Where it cannot be read.
    pub fn read(source: &impl Source, number: u64, keys: Option<&[PublicKey]>) -> io::Result<Option<Self>> {
        let path = layout::journal(number);
        let Some(bytes) = source.read(&path)? else { return Ok(None) };
        let Some((first, rest)) = Frame::decode(&bytes).filter(|(first, _)| first.synced < first.first)
        else {
            return Ok(Some(Self::alone(bytes, path)));
        };
        // The later one was read first: the one before does not change any more, and may have gone by now.
        let earlier_path = layout::journal(number.saturating_sub(1));
        let earlier = source.read(&earlier_path)?.unwrap_or_default();
        let origin = |base: Checkpoint| Some(base.origin);
        let is_of_it = |base: Checkpoint| {
            base.size <= first.first && Journal::base(&bytes, keys).ok().and_then(origin) == Some(base.origin)
        };
        if !Journal::base(&earlier, keys).is_ok_and(is_of_it) {
            return Ok(Some(Self::alone(bytes, path)));
        }
        let path = format!("{earlier_path} and {path}");
        Ok(Some(match ends_at(&earlier, first.first) {
            true => Self { joint: Some(earlier.len()), lost: None, bytes: [earlier, bytes].concat(), path },
            false => Self { lost: Some(synced(rest).max(first.synced)), joint: None, bytes: earlier, path },
        }))
    }
}

/// Whether the frames of a journal follow each other to its end, behind which the log has so many entries.
fn ends_at(journal: &[u8], size: u64) -> bool {
    let Some((first, mut rest)) = Frame::decode(journal) else { return false };
    let mut end = first.first;
    while let Some((frame, after)) = Frame::decode(rest).filter(|(frame, _)| frame.first == end) {
        end += Records::new(frame.records).count() as u64;
        rest = after;
    }
    rest.is_empty() && end == size
}

/// How many entries the frames that these bytes begin with tell to be on disk.
fn synced(mut rest: &[u8]) -> u64 {
    let mut most = 0;
    while let Some((frame, after)) = Frame::decode(rest) {
        most = frame.synced.max(most);
        rest = after;
    }
    most
}

/// A journal in its parts, as far as it holds.
#[derive(Clone, Debug)]
pub struct Journal<'a> {
    /// Where it begins: a checkpoint that is signed.
    pub base: Checkpoint,
    /// The frames behind the first, each with the root that its note tells.
    pub frames: Vec<Frame<'a>>,
    /// The newest note, which covers all of it.
    pub note: &'a str,
    /// How many bytes of entries there are, those before the journal included.
    pub entry_bytes: u64,
    /// Whether bytes follow that are no frame that was written to its end.
    pub is_torn: bool,
    /// How many entries those bytes seem to have, where they have a frame's length: a loss of power leaves that, or a
    /// change.
    pub torn_count: Option<u64>,
    /// Those bytes.
    pub tail: &'a [u8],
}

/// Why a journal cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalError {
    /// Its first frame is not whole or not signed: a journal whose making was interrupted, or none at all.
    NoBase,
    /// Its base does not fit the tiles: the tree before this many entries has another root.
    Base(u64),
    /// A frame behind which others follow is not what was written.
    Damaged {
        /// The log holds to this many entries.
        size: u64,
        /// So many entries are in the frame; 0 where that cannot be told.
        count: u64,
    },
    /// Its end is signed by another key; why.
    Unsigned(CheckpointError),
}

impl<'a> Journal<'a> {
    /// Where a journal of these bytes begins. With keys the checkpoint must be signed by all of them.
    ///
    /// # Errors
    ///
    /// [`JournalError::NoBase`].
    pub fn base(bytes: &[u8], keys: Option<&[PublicKey]>) -> Result<Checkpoint, JournalError> {
        let (frame, _) = Frame::decode(bytes).ok_or(JournalError::NoBase)?;
        let base = open(frame.note, keys).map_err(|_| JournalError::NoBase)?;
        match base.size == frame.first && frame.records.is_empty() {
            true => Ok(base),
            false => Err(JournalError::NoBase),
        }
    }

    /// The note of a journal's first frame, whoever signed it.
    #[must_use]
    pub fn first_note(bytes: &[u8]) -> Option<&str> {
        Frame::decode(bytes).map(|(frame, _)| frame.note)
    }

    /// The journal of these bytes, behind the tree that its base tells of. Each entry is told, and each tile that is full
    /// by it. With keys the end must be signed by all of them.
    ///
    /// # Errors
    ///
    /// Where it cannot be used.
    pub fn replay(
        bytes: &'a [u8],
        keys: Option<&[PublicKey]>,
        tree: &mut Tree,
    ) -> Result<Self, JournalError> {
        Self::replay_parts(&Self::base(bytes, keys)?, bytes, None, keys, tree)
    }

    /// The same of what a journal has together with the one before, where [`Self::base`] of it is known already: its
    /// signatures cost more than all the rest of an empty journal.
    ///
    /// # Errors
    ///
    /// Where it cannot be used.
    pub fn replay_from(
        base: &Checkpoint,
        content: &'a Content,
        keys: Option<&[PublicKey]>,
        tree: &mut Tree,
    ) -> Result<Self, JournalError> {
        let mut journal = Self::replay_parts(base, &content.bytes, content.joint, keys, tree)?;
        if content.lost.is_some_and(|synced| synced > tree.size()) {
            let count = journal.torn_count.unwrap_or(0);
            return Err(JournalError::Damaged { size: tree.size(), count });
        }
        journal.is_torn |= content.lost.is_some();
        Ok(journal)
    }

    fn replay_parts(
        base: &Checkpoint,
        bytes: &'a [u8],
        joint: Option<usize>,
        keys: Option<&[PublicKey]>,
        tree: &mut Tree,
    ) -> Result<Self, JournalError> {
        if tree.size() != base.size || tree.root() != base.root {
            return Err(JournalError::Base(base.size));
        }
        let (first, mut rest) = Frame::decode(bytes).ok_or(JournalError::NoBase)?;
        let mut frames: Vec<(Frame, &[u8])> = Vec::new();
        let mut grown = tree.clone();
        // The tree after all frames but the last, and what follows those: the last may be torn in its signature.
        let mut before_last = (tree.clone(), rest);
        while let Some((frame, after)) = Frame::decode(rest) {
            let start = (grown.clone(), rest);
            let is_joint = joint == Some(bytes.len() - rest.len());
            if frame.records.is_empty() != is_joint || !extend(&mut grown, &frame) {
                grown = start.0;
                break;
            }
            before_last = start;
            rest = after;
            frames.push((frame, after));
        }
        let is_signed = |frame: &Frame| open(frame.note, keys);
        if let Some((last, _)) = frames.last()
            && is_signed(last).is_err()
        {
            frames.pop();
            (grown, rest) = before_last;
            if let Some((last, _)) = frames.last() {
                is_signed(last).map_err(JournalError::Unsigned)?;
            }
        }
        let torn_count = Frame::decode(rest).map(|(frame, _)| Records::new(frame.records).count() as u64);
        if is_damaged(rest, grown.size()) {
            return Err(JournalError::Damaged { size: grown.size(), count: torn_count.unwrap_or(0) });
        }
        *tree = grown;
        let frames: Vec<Frame> = frames.into_iter().map(|(frame, _)| frame).collect();
        let added: usize = frames.iter().map(|frame| entry_bytes(frame.records)).sum();
        let note = frames.last().map_or(first.note, |frame| frame.note);
        // Nobody signs that number.
        let entry_bytes = first.entry_bytes.saturating_add(added as u64);
        let is_torn = !rest.is_empty();
        Ok(Self { base: base.clone(), frames, note, entry_bytes, is_torn, torn_count, tail: rest })
    }
}

/// Whether what follows the last frame that holds, with so many entries, is more than frames whose writing was interrupted: a
/// later one tells that what does not hold was on disk.
fn is_damaged(rest: &[u8], held: u64) -> bool {
    // One frame more than waits for the disk, and a journal's first.
    let most = IN_FLIGHT_BYTES_MAX + FRAME_ENTRIES_BYTES_MAX + 2 * (HEADER_BYTES + 8 + NOTE_BYTES_MAX);
    rest.len() > most || synced(rest) > held
}

fn open(note: &str, keys: Option<&[PublicKey]>) -> Result<Checkpoint, CheckpointError> {
    match keys {
        Some(keys) => Checkpoint::open(note, keys),
        None => Checkpoint::parse_unverified(note),
    }
}

/// Adds a frame's entries; whether they lead to the root that it tells.
fn extend(tree: &mut Tree, frame: &Frame) -> bool {
    if frame.first != tree.size() {
        return false;
    }
    for record in Records::new(frame.records) {
        let Some(record) = record else { return false };
        tree.push(leaf_hash(record), |_, _| {});
    }
    let told = Checkpoint::parse_unverified(frame.note);
    told.is_ok_and(|told| told.size == tree.size() && told.root == tree.root())
}

/// The bytes of a bundle's entries without their lengths.
pub fn entry_bytes(records: &[u8]) -> usize {
    Records::new(records).flatten().map(<[u8]>::len).sum()
}

impl std::fmt::Display for JournalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoBase => f.write_str("it does not begin with a signed checkpoint"),
            Self::Base(size) => write!(f, "the tiles of {size} entries have another root than it tells"),
            Self::Damaged { size, .. } => write!(f, "behind {size} entries it is not what was written"),
            Self::Unsigned(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for JournalError {}
