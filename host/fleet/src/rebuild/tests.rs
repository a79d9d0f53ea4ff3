//! Messages as agents publish them, and as others would have them.

use super::*;
use identity::{Algorithm, SecretKey};
use ledger::{Entry, Event, LogStart, RunEnd, RunId};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};

const SHARD: ShardNumber = ShardNumber::FIRST;

fn key() -> SecretKey {
    SecretKey::from_seed("host.example", Algorithm::Ed25519, &[3; 32]).unwrap()
}

/// A directory that is gone with this value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weft-rebuild-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn rebuild(&self) -> Rebuild {
        let _ = fs::remove_dir_all(&self.0);
        Rebuild::new(&self.0, &[key().public().clone()]).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

type Message = (Part, Vec<u8>);

/// The messages of a ledger: its logs have so many entries, and a checkpoint after each of these many.
fn messages(logs: &[&[u64]]) -> Vec<Message> {
    let (mut messages, mut previous, mut sequence) = (Vec::new(), None::<String>, 0);
    for (log, checkpoints) in (1..).zip(logs) {
        let mut tree = Tree::default();
        for size in *checkpoints {
            while tree.size() < *size {
                let event = match previous.take() {
                    Some(previous) => Event::LogStart(LogStart { sequence, previous, oldest: None }),
                    None => Event::RunEnd(RunEnd::default()),
                };
                let entry = Entry::new(sequence, RunId([9; 16]), event).encode().unwrap();
                let index = tree.size();
                tree.push(leaf_hash(&entry), |_, _| {});
                messages.push((Part::Entry { log, index }, entry));
                sequence += 1;
            }
            let place = layout::LogPlace { shard: SHARD, log };
            let origin = layout::origin("host.example", place);
            let note = Checkpoint { origin, size: *size, root: tree.root() }.sign(&[key()]);
            messages.push((Part::Checkpoint { log, size: *size }, note.clone().into_bytes()));
            previous = Some(note);
        }
    }
    messages
}

fn rebuild(folder: &Folder, messages: &[Message]) -> Result<Rebuilt, RebuildError> {
    let mut rebuild = folder.rebuild();
    messages.iter().try_for_each(|(part, payload)| rebuild.handle(SHARD, part, payload))?;
    Ok(rebuild.finish()?.remove(&SHARD).unwrap_or_default())
}

fn verified(folder: &Folder) -> u64 {
    let report = ledger::shards::verify(&Directory::open(&folder.0), &[key().public().clone()], &[]);
    report.unwrap().shards[0].next
}

#[test]
fn a_ledger_comes_out_as_it_went_in_over_tiles_and_logs() {
    let folder = Folder::new("whole");
    let messages = messages(&[&[1, 255, 256, 600], &[1, 70]]);
    let rebuilt = rebuild(&folder, &messages).unwrap();
    assert_eq!((rebuilt.entries, rebuilt.unsigned, rebuilt.duplicates), (670, 0, 0));
    assert_eq!(verified(&folder), 670);
}

/// Whatever the oldest messages are that the stream has lost: all of it comes again behind what is left.
#[test]
fn a_stream_that_lost_its_beginning_is_whole_once_all_has_come_again() {
    let folder = Folder::new("beheaded");
    let plain = messages(&[&[700, 1_500], &[40, 90], &[30]]);
    for lost in [1, 400, 701, 1_400, 1_502, 1_503, 1_530, 1_593, 1_594, 1_620, plain.len() - 1] {
        let left = &plain[lost..];
        let again = [left, &plain].concat();
        let rebuilt = rebuild(&folder, &again).unwrap_or_else(|error| panic!("{lost}: {error}"));
        assert_eq!((rebuilt.entries, rebuilt.unsigned), (1_620, 0), "{lost}");
        assert_eq!(verified(&folder), 1_620, "{lost}");
        // Half of it is not all.
        let half = [left, &plain[..1_000]].concat();
        assert!(lost < 400 || rebuild(&folder, &half).is_err(), "{lost}");
    }
}

#[test]
fn what_is_not_signed_yet_is_not_counted() {
    let folder = Folder::new("unsigned");
    let mut messages = messages(&[&[300, 310]]);
    messages.pop();
    let rebuilt = rebuild(&folder, &messages).unwrap();
    assert_eq!((rebuilt.entries, rebuilt.unsigned), (300, 10));
    assert_eq!(verified(&folder), 300);
}

/// A server that refuses an entry may take shorter ones behind it, and the agent publishes the batch again.
#[test]
fn a_batch_that_has_not_come_whole_is_not_counted_until_it_is_signed_for() {
    let folder = Folder::new("unfinished");
    let plain = messages(&[&[300, 340], &[20]]);
    // The 20th of the batch is not there, and of the second log the first.
    for (sent, lost, entries, unsigned) in [(341, 320, 300, 39), (350, 342, 340, 7)] {
        let mut messages = plain[..sent].to_vec();
        messages.remove(lost);
        let rebuilt = rebuild(&folder, &messages).unwrap();
        assert_eq!((rebuilt.entries, rebuilt.unsigned), (entries, unsigned));
        assert_eq!(verified(&folder), entries);
    }
    for (sent, lost) in [(342, 320), (plain.len(), 342), (200, 10)] {
        let mut messages = plain[..sent].to_vec();
        messages.remove(lost);
        assert!(matches!(rebuild(&folder, &messages), Err(RebuildError::Missing(..))), "{lost}");
    }
}

/// Whatever a publisher does that publishes each batch until all of it is acknowledged.
#[test]
fn batches_that_are_published_again_and_out_of_order_lead_to_the_same_ledger() {
    let folder = Folder::new("again");
    let plain = messages(&[&[40, 80], &[50]]);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(48));
    let attempt = proptest::collection::vec((any::<u64>(), 1usize..30, 0usize..4), 1..12);
    let tried = runner.run(&attempt, |attempts| {
        let mut stream: Vec<Message> = Vec::new();
        let mut at = 0;
        for (seed, length, tries) in attempts {
            let is_checkpoint = |message: &Message| matches!(message.0, Part::Checkpoint { .. });
            let rest = &plain[at..];
            let entries = rest.iter().position(is_checkpoint).unwrap_or(rest.len());
            // A batch has entries of one log, and a checkpoint waits for those before it.
            let batch = &rest[..length.min(entries.max(1)).min(rest.len())];
            for number in 0..tries as u64 {
                let is_stored = |index: usize| (seed >> ((index as u64 + 7 * number) % 63)) & 1 == 1;
                stream
                    .extend(batch.iter().enumerate().filter(|(i, _)| is_stored(*i)).map(|(_, m)| m.clone()));
            }
            stream.extend(batch.iter().cloned());
            at += batch.len();
        }
        stream.extend(plain[at..].iter().cloned());
        let rebuilt = rebuild(&folder, &stream).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!((rebuilt.entries, rebuilt.unsigned), (130, 0));
        prop_assert_eq!(rebuilt.duplicates, (stream.len() - plain.len()) as u64);
        prop_assert_eq!(verified(&folder), 130);
        Ok(())
    });
    tried.unwrap();
}

#[test]
fn what_is_missing_changed_or_not_signed_is_named() {
    let folder = Folder::new("wrong");
    let plain = messages(&[&[10, 20], &[5]]);
    let place = |log, index| Place { log, index };
    let is = |change: &dyn Fn(&mut Vec<Message>)| {
        let mut messages = plain.clone();
        change(&mut messages);
        rebuild(&folder, &messages).unwrap_err()
    };
    // Entries 0 to 9, a checkpoint, 10 to 19, a checkpoint, then the second log.
    let missing = is(&|messages| drop(messages.remove(3)));
    assert!(matches!(missing, RebuildError::Missing(SHARD, at) if at == place(1, 3)), "{missing}");
    let changed = is(&|messages| messages[14].1.push(0));
    assert!(
        matches!(changed, RebuildError::Changed(SHARD, from, to) if (from, to) == (place(1, 10), place(1, 20))),
        "{changed}"
    );
    let unsigned = is(&|messages| drop(messages.remove(21)));
    assert!(matches!(unsigned, RebuildError::Unsigned(SHARD, at) if at == place(1, 10)), "{unsigned}");
    let forged = is(&|messages| {
        let note = String::from_utf8(messages[10].1.clone()).unwrap();
        messages[10].1 = note.replacen("— host.example ", "— host.example x", 1).into_bytes();
    });
    assert!(matches!(forged, RebuildError::Checkpoint(SHARD, at, _) if at == place(1, 10)), "{forged}");
    let exchanged = is(&|messages| messages[10].1 = messages[21].1.clone());
    assert!(matches!(exchanged, RebuildError::Changed(..)), "{exchanged}");
    // A checkpoint whose entries did not come.
    let cut = is(&|messages| {
        messages.truncate(22);
        messages.remove(20);
    });
    assert!(matches!(cut, RebuildError::Missing(SHARD, at) if at == place(1, 19)), "{cut}");
}

#[test]
fn a_gap_is_told_and_leaves_a_chain_that_does_not_verify() {
    let folder = Folder::new("gap");
    let mut messages = messages(&[&[10], &[10], &[10]]);
    messages.splice(6..22, [(Part::Gap { from: 6, to: 20 }, Vec::new())]);
    let rebuilt = rebuild(&folder, &messages).unwrap();
    assert_eq!((rebuilt.gaps, rebuilt.unsigned), (vec![(6, 20)], 6));
}

#[test]
fn what_waits_is_bounded() {
    let folder = Folder::new("bounds");
    let entry = |index| Part::Entry { log: 1, index };
    let mut rebuild = folder.rebuild();
    for index in 1..BATCH_ENTRIES_MAX {
        rebuild.handle(SHARD, &entry(index), b"x").unwrap();
    }
    rebuild.handle(SHARD, &entry(BATCH_ENTRIES_MAX), b"x").unwrap();
    assert_eq!(rebuild.shards[&SHARD].log.as_ref().unwrap().ahead.len() as u64, BATCH_ENTRIES_MAX - 1);
    assert!(matches!(rebuild.finish(), Err(RebuildError::Missing(..))), "it was not kept");
    let mut rebuild = folder.rebuild();
    let long = vec![0; ENTRY_BYTES_MAX];
    let fits = (AHEAD_BYTES_MAX / ENTRY_BYTES_MAX) as u64;
    (1..=fits).for_each(|index| rebuild.handle(SHARD, &entry(index), &long).unwrap());
    rebuild.handle(SHARD, &entry(fits + 1), &long).unwrap();
    assert_eq!(rebuild.shards[&SHARD].log.as_ref().unwrap().ahead.len() as u64, fits);
    let longer = rebuild.handle(SHARD, &entry(0), &vec![0; ENTRY_BYTES_MAX + 1]);
    assert!(matches!(longer, Err(RebuildError::Bound(..))));
    let mut rebuild = folder.rebuild();
    let checkpoint = |size| Part::Checkpoint { log: 1, size };
    (1..=AHEAD_CHECKPOINTS_MAX as u64)
        .for_each(|size| rebuild.handle(SHARD, &checkpoint(size), b"").unwrap());
    assert!(matches!(rebuild.handle(SHARD, &checkpoint(99), b""), Err(RebuildError::Bound(..))));
    let mut rebuild = folder.rebuild();
    let gap = |from| Part::Gap { from, to: from + 1 };
    (0..GAPS_MAX as u64).for_each(|from| rebuild.handle(SHARD, &gap(from), b"").unwrap());
    assert!(matches!(rebuild.handle(SHARD, &gap(GAPS_MAX as u64), b""), Err(RebuildError::Bound(..))));
    assert!(rebuild.handle(SHARD, &gap(0), b"").is_ok(), "one that is known is no news");
}
