//! Verifying all shards of a ledger, each by itself and by what the others have seen of it.
//!
//! An entry that tells of other shards is held to what they have: the same names, at least as many entries, and the same
//! root over those. So what was cut off one shard, or put in its place, is found as long as one other shard has seen it.

use super::read::{ShardSource, Shards};
use super::{EntryNumber, ShardError, ShardNumber, ShardsFinding};
use crate::checkpoint::Checkpoint;
use crate::edge::ReadError;
use crate::layout::{self, LogPlace};
use crate::reader::{Match, Reader};
use crate::storage::Source;
use crate::verify::{Extent, Finding, Report, hold_to, verify_extent as verify_one};
use identity::PublicKey;
use std::collections::{BTreeMap, BTreeSet};

/// What was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardsReport {
    /// The shards that are there, in the order of their numbers.
    pub shards: Vec<Report>,
    /// Of a part: the shards that were seen, and of which nothing is here.
    pub absent: BTreeSet<ShardNumber>,
}

/// Verifies all of a ledger: each shard, and what each tells of the others. Each of the notes, checkpoints of the ledger
/// that were [kept](Checkpoint::open_kept) elsewhere, must be one that its shard goes on from.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn verify(
    source: &impl Source,
    keys: &[PublicKey],
    notes: &[String],
) -> Result<ShardsReport, ShardsFinding> {
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
) -> Result<ShardsReport, ShardsFinding> {
    let first = |error| ShardsFinding::from(ShardError { shard: ShardNumber::FIRST, error });
    let others = layout::shards(source).map_err(|error| first(ReadError::Io(error)))?;
    let is_alone = others.is_none();
    let mut shards = Vec::new();
    for shard in std::iter::once(ShardNumber::FIRST).chain(others.unwrap_or_default()) {
        let within = |finding| ShardsFinding::Within { shard, finding };
        match verify_one(&ShardSource::new(source, shard), keys, &[], extent) {
            Ok(report) if report.shard == shard || is_alone => shards.push(report),
            Ok(report) => {
                let origin = report.logs.last().map(|log| log.origin.clone()).unwrap_or_default();
                return Err(ShardsFinding::Exchanged { shard, origin });
            }
            // One that is just being made. Where others have seen more of it, they tell.
            Err(Finding::Read(error)) if matches!(*error, ReadError::Nothing) && !is_alone => {}
            Err(finding) => return Err(within(finding)),
        }
    }
    if shards.is_empty() {
        return Err(first(ReadError::Nothing));
    }
    let mut held = Held { source, keys, extent, is_alone, readers: BTreeMap::new(), absent: BTreeSet::new() };
    held.hold_to_notes(notes)?;
    held.hold_to_witnesses(&Shards::open(source, Some(keys))?)?;
    Ok(ShardsReport { shards, absent: held.absent })
}

/// The shards that something tells of.
struct Held<'a, S> {
    source: &'a S,
    keys: &'a [PublicKey],
    extent: Extent,
    is_alone: bool,
    /// As each was when something told of it first; `None` where it is not here.
    readers: BTreeMap<ShardNumber, Option<Reader<ShardSource<'a, S>>>>,
    absent: BTreeSet<ShardNumber>,
}

impl<'a, S: Source> Held<'a, S> {
    /// The shard; `None` where it is not here.
    fn reader(&mut self, shard: ShardNumber) -> Result<Option<&Reader<ShardSource<'a, S>>>, ShardsFinding> {
        if !self.readers.contains_key(&shard) {
            let place = if self.is_alone { ShardNumber::FIRST } else { shard };
            let reader = match Reader::open(ShardSource::new(self.source, place), Some(self.keys)) {
                Ok(reader) => Some(reader).filter(|reader| reader.shard() == shard),
                Err(ReadError::Nothing) => None,
                Err(error) => return Err(ShardError { shard, error }.into()),
            };
            self.readers.insert(shard, reader);
        }
        Ok(self.readers.get(&shard).and_then(Option::as_ref))
    }

    /// Holds each shard to the checkpoints of it that were kept elsewhere.
    fn hold_to_notes(&mut self, notes: &[String]) -> Result<(), ShardsFinding> {
        for note in notes {
            let place = match Checkpoint::of_line(note) {
                Ok(line) => {
                    self.keys.iter().find_map(|key| layout::place_of_origin(&line.origin, key.name()))
                }
                Err(_) => layout::place_of_note(note, Some(self.keys)).map(|(_, place)| place),
            };
            let shard = place.map_or(ShardNumber::FIRST, |place| place.shard);
            let within = |finding| ShardsFinding::Within { shard, finding };
            let path = || "the checkpoint that was given".into();
            let told = Checkpoint::open_kept(note, self.keys)
                .map_err(|error| within(Finding::Checkpoint { path: path(), error }))?;
            match self.reader(shard)? {
                Some(reader) => hold_to(reader, &told).map_err(within)?,
                None => return Err(within(Finding::Elsewhere { origin: told.origin })),
            }
        }
        Ok(())
    }

    /// Holds each shard to what the others have seen of it.
    fn hold_to_witnesses(&mut self, witnesses: &Shards<'a, S>) -> Result<(), ShardsFinding> {
        // What they tell of is read after what they tell: a ledger that is being written goes on meanwhile.
        self.readers.clear();
        for (shard, reader) in witnesses.readers() {
            // Most often nothing has changed since the last entry of this kind.
            let mut last: BTreeMap<ShardNumber, Checkpoint> = BTreeMap::new();
            for told in witnesses.seen(*shard, reader, 0..u64::MAX) {
                let (witness, all) = told?;
                for seen in all {
                    // What has no name of this ledger's is somebody else's to verify.
                    let Some(place) = layout::place_of_origin(&seen.origin, reader.name()) else { continue };
                    if last.get(&place.shard) != Some(&seen) {
                        self.hold_to_witness(place, &seen, witness)?;
                        last.insert(place.shard, seen);
                    }
                }
            }
        }
        Ok(())
    }

    fn hold_to_witness(
        &mut self,
        place: LogPlace,
        seen: &Checkpoint,
        witness: EntryNumber,
    ) -> Result<(), ShardsFinding> {
        let (shard, extent) = (place.shard, self.extent);
        let told = (seen.origin.clone(), seen.size);
        let Some(reader) = self.reader(shard)? else {
            if extent == Extent::Part {
                self.absent.insert(shard);
                return Ok(());
            }
            return Err(ShardsFinding::Removed { shard, seen: told, witness });
        };
        let number = |sequence| EntryNumber { shard, sequence };
        match reader.hold_to(seen).map_err(|error| ShardError { shard, error })? {
            Match::Held | Match::Retired => Ok(()),
            Match::Less { have, .. } => {
                Err(ShardsFinding::Truncated { have: number(have), seen: told, witness })
            }
            Match::Other { base } => {
                let last = base + seen.size.saturating_sub(1);
                Err(ShardsFinding::Replaced { first: number(base), last: number(last), witness })
            }
        }
    }
}
