//! Steps of ledgers in directories.

use super::*;
use identity::{Algorithm, SecretKey};
use ledger::directory::DirectoryStorage;
use ledger::{Log, LogConfig, RunEnd, RunId, ShardsSeen, Writer, WriterConfig};
use time::Instant;

fn second() -> ShardNumber {
    ShardNumber::new(2).unwrap()
}

fn key() -> SecretKey {
    SecretKey::from_seed("host.example", Algorithm::Ed25519, &[3; 32]).unwrap()
}

/// A directory that is gone with this value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weft-spool-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn shard(&self, shard: ShardNumber) -> PathBuf {
        self.0.join(layout::shard(shard))
    }

    /// Appends to a shard, and closes it: all of it is seen by others.
    fn append(&self, shard: ShardNumber, events: &[(u64, Event)], log: LogConfig, keep_logs: Option<usize>) {
        let storage = DirectoryStorage::open(self.shard(shard)).unwrap();
        let config = WriterConfig { keep_logs, ..WriterConfig::default() };
        let (mut writer, position) = Writer::open_shard(storage, shard, vec![key()], config).unwrap();
        let mut log = Log::start(position, log);
        for (time_ns, event) in events {
            log.append(&Entry::new(*time_ns, RunId([1; 16]), event.clone()), Instant::ZERO).unwrap();
        }
        while let Some(batch) = log.poll_write(Instant::from_secs(60)) {
            let written = writer.write(batch).unwrap();
            log.handle_written(written, Instant::from_secs(60));
        }
        writer.close().unwrap();
    }

    fn append_some(&self, shard: ShardNumber, count: u64) {
        let events: Vec<_> = (0..count).map(|_| (1, Event::RunEnd(RunEnd::default()))).collect();
        self.append(shard, &events, LogConfig::default(), None);
    }

    fn spool(&self, shard: ShardNumber) -> Spool {
        let mut spool = Spool::new(self.shard(shard));
        spool.look().unwrap();
        spool
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn at(next: u64) -> Position {
    Position { next, ..Position::default() }
}

fn step(spool: &Spool, position: &Position) -> Step {
    spool.step(position, &Signed::new()).unwrap()
}

#[test]
fn entries_come_in_batches_and_then_their_checkpoint() {
    let folder = Folder::new("steps");
    let mut spool = Spool::new(folder.shard(ShardNumber::FIRST));
    assert!(matches!(spool.look(), Err(SpoolError::Read(ReadError::Nothing))));
    assert_eq!(step(&spool, &at(0)), Step::Idle);
    folder.append_some(ShardNumber::FIRST, BATCH_ENTRIES_MAX + 100);
    spool.look().unwrap();
    let Step::Entries(first) = step(&spool, &at(0)) else { panic!("no entries") };
    assert_eq!((first.len() as u64, first[0].index), (BATCH_ENTRIES_MAX, 0));
    let Step::Entries(rest) = step(&spool, &at(BATCH_ENTRIES_MAX)) else { panic!("no entries") };
    assert_eq!((rest.len(), rest[0].index), (100, BATCH_ENTRIES_MAX));
    let mut position = at(BATCH_ENTRIES_MAX + 100);
    let Step::Checkpoint { log: 1, size, next, note } = step(&spool, &position) else {
        panic!("no checkpoint")
    };
    assert_eq!((size, next), (position.next, position.next));
    position.note = Some(note);
    assert_eq!((step(&spool, &position), position.signed()), (Step::Idle, (1, size)));
    spool.hold_to(&position).unwrap();
    // It is read anew where it has grown.
    folder.append_some(ShardNumber::FIRST, 1);
    assert_eq!(step(&spool, &position), Step::Idle);
    spool.look().unwrap();
    assert!(matches!(step(&spool, &position), Step::Entries(records) if records.len() == 1));
}

#[test]
fn a_batch_is_bounded_in_bytes() {
    let folder = Folder::new("bytes");
    let long = ledger::RunStart { command: vec!["x".repeat(3_000)], ..Default::default() };
    let events: Vec<_> = (0..BATCH_ENTRIES_MAX).map(|_| (1, Event::RunStart(long.clone()))).collect();
    folder.append(ShardNumber::FIRST, &events, LogConfig::default(), None);
    let Step::Entries(records) = step(&folder.spool(ShardNumber::FIRST), &at(0)) else {
        panic!("no entries")
    };
    let bytes: usize = records.iter().map(|record| record.bytes.len()).sum();
    assert!(bytes <= BATCH_BYTES_MAX && bytes > BATCH_BYTES_MAX / 2, "{bytes}");
}

#[test]
fn what_was_let_go_is_a_gap_and_what_was_cut_or_exchanged_is_not_shipped() {
    let folder = Folder::new("gap");
    let second_ns = 1_000_000_000;
    let log = LogConfig { rotate_age_ns: second_ns, ..LogConfig::default() };
    for time in 1..4 {
        let events = [(time * 10 * second_ns, Event::RunEnd(RunEnd::default()))];
        folder.append(ShardNumber::FIRST, &events, log, Some(1));
    }
    let spool = folder.spool(ShardNumber::FIRST);
    let (first, next) = (spool.first(), spool.next());
    assert!(first > 0);
    assert_eq!(step(&spool, &at(0)), Step::Gap { from: 0, to: first });
    assert!(matches!(step(&spool, &at(first)), Step::Entries(_)));
    let beyond = spool.step(&at(next + 1), &Signed::new());
    assert!(matches!(beyond, Err(SpoolError::Exchanged { .. })));
    let checkpoint =
        Checkpoint { origin: "host.example".into(), size: 1, root: ledger::hash::leaf_hash(b"") };
    let of = |checkpoint: &Checkpoint, key| Position {
        next,
        note: Some(checkpoint.sign(&[key])),
        last: None,
        begin: 0,
    };
    // A log that has gone cannot be compared with; one of somebody else's is none of these.
    assert!(spool.hold_to(&of(&checkpoint, key())).is_ok());
    let stranger = SecretKey::from_seed("other.example", Algorithm::Ed25519, &[4; 32]).unwrap();
    let other = Checkpoint { origin: "other.example".into(), ..checkpoint.clone() };
    assert!(matches!(spool.hold_to(&of(&other, stranger)), Err(SpoolError::Exchanged { .. })));
    let rewritten = Checkpoint { origin: spool.origin().unwrap(), ..checkpoint };
    assert!(matches!(spool.hold_to(&of(&rewritten, key())), Err(SpoolError::Exchanged { .. })));
}

#[test]
fn what_one_shard_has_seen_of_another_waits_for_that() {
    let folder = Folder::new("seen");
    folder.append_some(ShardNumber::FIRST, 3);
    folder.append_some(second(), 7);
    let seen = ledger::shards::seen(&folder.0, ShardNumber::FIRST, &[key().public().clone()]);
    assert_eq!(seen.len(), 1);
    let told = Event::ShardsSeen(ShardsSeen { shards: seen });
    folder.append(
        ShardNumber::FIRST,
        &[(1, told), (1, Event::RunEnd(RunEnd::default()))],
        LogConfig::default(),
        None,
    );
    let spool = folder.spool(ShardNumber::FIRST);
    let step = |next, shipped: Option<(u64, u64)>| {
        let signed: Signed = shipped.map(|shipped| (second(), shipped)).into_iter().collect();
        match spool.step(&at(next), &signed).unwrap() {
            Step::Entries(records) => Ok(records.len()),
            other => Err(other),
        }
    };
    assert_eq!(step(0, Some((1, 6))), Ok(3));
    assert_eq!(step(3, Some((1, 6))), Err(Step::After(second())));
    assert_eq!(step(3, Some((0, 0))), Err(Step::After(second())));
    assert_eq!(step(3, Some((1, 7))), Ok(2));
    assert_eq!(step(0, Some((2, 1))), Ok(5));
    // Of a shard that is not here or cannot be shipped there is nothing to wait for.
    assert_eq!(step(0, None), Ok(5));
    let numbers: Vec<u64> = shards(&folder.0).unwrap().iter().map(|(shard, _)| shard.number()).collect();
    assert_eq!(numbers, [1, 2]);
}
