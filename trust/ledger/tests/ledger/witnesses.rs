//! Ledgers of several shards, whole and changed: what was cut off one, put in its place or taken away is found by what
//! another has seen.

use crate::entries::{NAME, Pair, entry, keys, public};
use crate::storage::Temporary;
use identity::{Algorithm, SecretKey};
use ledger::archive::Archive;
use ledger::directory::{Directory, DirectoryStorage};
use ledger::shards::{self, EntryNumber, ShardError, ShardNumber, Shards, ShardsFinding, ShardsReport};
use ledger::storage::Source;
use ledger::{Entry, Event, Extent, Finding, LogConfig, ReadError, RunId, ShardsSeen, WriterConfig, verify};
use std::cell::Cell;
use std::fs;
use std::path::Path;
use time::Instant;

fn shard(number: u64) -> ShardNumber {
    ShardNumber::new(number).unwrap()
}

/// A run: a shard, from its opening to its closing.
struct Run<'a> {
    directory: &'a Path,
    shard: ShardNumber,
    pair: Pair<DirectoryStorage>,
}

impl<'a> Run<'a> {
    fn open(directory: &'a Path) -> Self {
        Self::open_with(directory, WriterConfig::default())
    }

    fn open_with(directory: &'a Path, config: WriterConfig) -> Self {
        let (writer, position, shard) = shards::open(directory, keys(), config).unwrap();
        // A new log after 200 entries.
        let log = LogConfig { rotate_age_ns: 1_000_000_000, ..LogConfig::default() };
        let mut run = Self { directory, shard, pair: Pair::start(writer, position, log) };
        run.tell();
        run
    }

    /// Appends what is seen of the others.
    fn tell(&mut self) {
        let shards = shards::seen(self.directory, self.shard, &public());
        if !shards.is_empty() {
            let time_ns = entry(self.pair.log.next()).time_ns;
            let told = Entry::new(time_ns, RunId([1; 16]), Event::ShardsSeen(ShardsSeen { shards }));
            self.pair.log.append(&told, Instant::ZERO).unwrap();
        }
    }

    fn append(&mut self, count: u64) {
        self.pair.append(count);
        assert!(self.pair.write());
    }

    /// Has what is there be published, as happens within seconds.
    fn publish(&mut self) {
        self.pair.log.publish(Instant::ZERO);
        assert!(self.pair.write());
    }

    fn close(mut self) {
        self.tell();
        assert!(self.pair.write());
        self.pair.writer.close().unwrap();
    }
}

/// Three shards, each with two logs, that have seen each other: each of 300 entries and those that tell.
fn ledger(directory: &Path) {
    let mut runs = [Run::open(directory), Run::open(directory), Run::open(directory)];
    for run in &mut runs {
        run.append(300);
        run.publish();
    }
    for run in runs {
        run.close();
    }
}

fn check(directory: &Path) -> Result<ShardsReport, ShardsFinding> {
    shards::verify(&Directory::open(directory), &public(), &[])
}

fn wrong(directory: &Path) -> ShardsFinding {
    check(directory).expect_err("it was changed")
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

/// A ledger and a place for others, gone with it.
fn made(name: &str) -> (Temporary, std::path::PathBuf) {
    let temporary = Temporary::new(name);
    let directory = temporary.0.join("ledger");
    ledger(&directory);
    (temporary, directory)
}

#[test]
fn shards_that_nobody_changed_verify_each_and_together() {
    let (temporary, directory) = made("witness-whole");
    let report = check(&directory).unwrap_or_else(|finding| panic!("{finding}"));
    let told: Vec<_> = report.shards.iter().map(|shard| (shard.shard.number(), shard.logs.len())).collect();
    assert_eq!((told, report.absent.len()), (vec![(1, 2), (2, 2), (3, 2)], 0));
    assert!(report.shards.iter().all(|shard| shard.next >= 302), "{report:?}");
    // A checkpoint is held to its shard, by its name.
    let notes: Vec<String> = report.shards.iter().map(|shard| shard.note.clone()).collect();
    let source = Directory::open(&directory);
    assert_eq!(shards::verify(&source, &public(), &notes).unwrap(), report);
    let later = ledger::checkpoint::Checkpoint { size: 900, ..report.shards[1].logs[1].clone() };
    match shards::verify(&source, &public(), &[later.sign(&keys())]).unwrap_err() {
        ShardsFinding::Within { shard: of, finding: Finding::Truncated { .. } } => assert_eq!(of, shard(2)),
        finding => panic!("{finding}"),
    }
    let other = ledger::checkpoint::Checkpoint { origin: format!("{NAME}/shard-9"), ..later };
    match shards::verify(&source, &public(), &[other.sign(&keys())]).unwrap_err() {
        ShardsFinding::Within { finding: Finding::Elsewhere { origin }, .. } => {
            assert_eq!(origin, format!("{NAME}/shard-9"));
        }
        finding => panic!("{finding}"),
    }
    // Each alone is what it is, and says what it lacks.
    for number in 1..=3 {
        let alone = temporary.0.join(number.to_string());
        copy(&directory.join(ledger::layout::shard(shard(number))), &alone);
        let _ = fs::remove_dir_all(alone.join("shards"));
        assert!(matches!(wrong(&alone), ShardsFinding::Removed { .. }));
        let part = shards::verify_extent(&Directory::open(&alone), &public(), &[], Extent::Part);
        let report = part.unwrap_or_else(|finding| panic!("{finding}"));
        let absent: Vec<u64> = report.absent.iter().map(|shard| shard.number()).collect();
        let others: Vec<u64> = (1..=3).filter(|other| *other != number).collect();
        assert_eq!((report.shards[0].shard, absent), (shard(number), others));
    }
}

#[test]
fn a_shard_that_was_cut_off_is_found_by_what_another_has_seen() {
    for number in [1, 2] {
        let temporary = Temporary::new(&format!("witness-cut-{number}"));
        let directory = temporary.0.join("ledger");
        let mut runs = [Run::open(&directory), Run::open(&directory)];
        runs.iter_mut().for_each(|run| run.append(100));
        runs.iter_mut().for_each(Run::publish);
        // As it is now.
        let early = temporary.0.join("early");
        copy(&directory, &early);
        runs.iter_mut().for_each(|run| run.append(50));
        runs.iter_mut().for_each(Run::publish);
        runs.into_iter().for_each(Run::close);
        check(&directory).unwrap_or_else(|finding| panic!("{finding}"));
        let place = |root: &Path, part: &str| root.join(ledger::layout::shard(shard(number))).join(part);
        for part in ["1", "journal"] {
            fs::remove_dir_all(place(&directory, part)).unwrap();
            copy(&place(&early, part), &place(&directory, part));
        }
        // By itself, a shorter shard is one that verifies.
        let report = verify(&Directory::open(place(&directory, "")), &public(), &[]).unwrap();
        match wrong(&directory) {
            ShardsFinding::Truncated { have, witness, seen: (origin, size) } => {
                assert_eq!(have, EntryNumber { shard: shard(number), sequence: report.next });
                assert_eq!((witness.shard.number(), size >= 150), (3 - number, true), "{origin} {size}");
            }
            finding => panic!("{finding}"),
        }
    }
}

#[test]
fn a_shard_that_was_taken_away_is_found() {
    let (_temporary, directory) = made("witness-removed");
    let second = directory.join("shards/2");
    fs::remove_dir_all(&second).unwrap();
    match wrong(&directory) {
        ShardsFinding::Removed { shard: of, seen: (origin, _), witness } => {
            assert_eq!((of, witness.shard, origin), (shard(2), shard(1), format!("{NAME}/shard-2/2")));
        }
        finding => panic!("{finding}"),
    }
    // Emptied, it is not one that is being made.
    fs::create_dir(&second).unwrap();
    assert!(matches!(wrong(&directory), ShardsFinding::Removed { .. }));
    fs::remove_dir_all(directory.join("shards")).unwrap();
    fs::create_dir(directory.join("shards")).unwrap();
    assert!(matches!(wrong(&directory), ShardsFinding::Removed { .. }));

    let (_temporary, directory) = made("witness-removed-first");
    for part in ["1", "2", "journal"] {
        fs::remove_dir_all(directory.join(part)).unwrap();
    }
    match wrong(&directory) {
        ShardsFinding::Removed { shard: of, witness, .. } => {
            assert_eq!((of, witness.shard), (shard(1), shard(2)))
        }
        finding => panic!("{finding}"),
    }
}

#[test]
fn a_shard_that_was_made_anew_or_is_of_another_ledger_is_found() {
    let (temporary, directory) = made("witness-replaced");
    // One of the same key with more entries.
    let other = temporary.0.join("other");
    let mut runs = [Run::open(&other), Run::open(&other)];
    for run in &mut runs {
        let first = Entry { run: RunId([2; 16]), ..entry(run.pair.log.next()) };
        run.pair.log.append(&first, Instant::ZERO).unwrap();
        run.append(900);
    }
    runs.into_iter().for_each(Run::close);
    let second = directory.join("shards/2");
    fs::remove_dir_all(&second).unwrap();
    copy(&other.join("shards/2"), &second);
    verify(&Directory::open(&second), &public(), &[]).unwrap_or_else(|finding| panic!("{finding}"));
    let finding = wrong(&directory);
    assert!(finding.to_string().contains("or the shard of entry"), "{finding}");
    match finding {
        ShardsFinding::Replaced { first, witness, .. } => {
            assert_ne!(first.shard, witness.shard);
            assert!([first.shard, witness.shard].contains(&shard(2)));
        }
        finding => panic!("{finding}"),
    }
}

#[test]
fn a_shard_in_anothers_place_is_found() {
    let (temporary, directory) = made("witness-exchanged");
    let [second, third] = ["shards/2", "shards/3"].map(|folder| directory.join(folder));
    let aside = temporary.0.join("aside");
    fs::rename(&second, &aside).unwrap();
    copy(&third, &second);
    match wrong(&directory) {
        ShardsFinding::Exchanged { shard: of, origin } => {
            assert_eq!((of, origin), (shard(2), format!("{NAME}/shard-3/2")));
        }
        finding => panic!("{finding}"),
    }
    fs::remove_dir_all(&third).unwrap();
    fs::rename(&aside, &third).unwrap();
    assert!(matches!(wrong(&directory), ShardsFinding::Exchanged { .. }));
    // One of its logs in the place of another shard's.
    let (_temporary, directory) = made("witness-spliced");
    fs::remove_dir_all(directory.join("shards/2/1")).unwrap();
    copy(&directory.join("shards/3/1"), &directory.join("shards/2/1"));
    match wrong(&directory) {
        ShardsFinding::Within { shard: of, finding: Finding::Chain { .. } } => assert_eq!(of, shard(2)),
        finding => panic!("{finding}"),
    }
}

#[test]
fn what_is_wrong_within_a_shard_is_told_with_its_number() {
    let (_temporary, directory) = made("witness-within");
    let bundle = directory.join("shards/3/1/tile/entries/000.p/200");
    let mut bytes = fs::read(&bundle).unwrap();
    bytes[40] ^= 1;
    fs::write(&bundle, bytes).unwrap();
    let finding = wrong(&directory);
    assert_eq!(finding.to_string(), "shard 3: entry 0 was changed");
    assert_eq!((finding.kind(), finding.shard(), finding.sequence()), ("changed", shard(3), Some(0)));
}

#[test]
fn logs_that_were_let_go_leave_what_was_seen_of_them() {
    let temporary = Temporary::new("witness-retired");
    let config = WriterConfig { keep_logs: Some(2), ..WriterConfig::default() };
    for _ in 0..4 {
        let mut runs = [Run::open_with(&temporary.0, config), Run::open_with(&temporary.0, config)];
        runs.iter_mut().for_each(|run| run.append(150));
        runs.iter_mut().for_each(Run::publish);
        runs.into_iter().for_each(Run::close);
    }
    let report = check(&temporary.0).unwrap_or_else(|finding| panic!("{finding}"));
    assert!(report.shards.iter().all(|shard| shard.first > 0 && shard.logs.len() == 2), "{report:?}");
}

#[test]
fn all_shards_are_read_as_one_and_exported_as_one_file() {
    let (temporary, directory) = made("witness-export");
    let source = Directory::open(&directory);
    let shards = Shards::open_settled(&source, Some(&public())).unwrap();
    let all: Vec<_> = shards.entries(|_| 0..u64::MAX).map(Result::unwrap).collect();
    assert_eq!(all.len() as u64, shards.count());
    // Within a shard the times of this test go up, but for a log's own first entry.
    for (number, reader) in shards.readers() {
        let own = all.iter().filter(|entry| entry.shard == *number).map(|entry| entry.record.sequence);
        assert!(own.eq(reader.first()..reader.next()));
    }
    let key = |at: usize| (all[at].entry.as_ref().unwrap().time_ns, all[at].number());
    assert!((1..all.len()).filter(|at| key(at - 1) > key(*at)).count() <= shards.readers().len() * 2);

    let path = temporary.0.join("ledger.tar");
    shards.export(&mut fs::File::create(&path).unwrap()).unwrap();
    let archive = Archive::open(&path).unwrap();
    let logs =
        |report: &ShardsReport| report.shards.iter().map(|shard| shard.logs.clone()).collect::<Vec<_>>();
    let original = logs(&check(&directory).unwrap());
    assert_eq!(logs(&shards::verify(&archive, &public(), &[]).unwrap()), original);
    assert_eq!(Shards::open(&archive, None).unwrap().entries(|_| 0..u64::MAX).count(), all.len());
    let unpacked = temporary.0.join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    let status = std::process::Command::new("tar").arg("-xf").arg(&path).arg("-C").arg(&unpacked).status();
    assert!(status.unwrap().success());
    assert_eq!(logs(&check(&unpacked).unwrap()), original);
}

#[test]
fn names_that_look_like_shards_confuse_no_witness() {
    let temporary = Temporary::new("witness-names");
    for (at, name) in ["a/shard-2", "a/shard-2/2", "a/2"].into_iter().enumerate() {
        let directory = temporary.0.join(at.to_string());
        let keys = || vec![SecretKey::from_seed(name, Algorithm::Ed25519, &[7; 32]).unwrap()];
        let public = [keys()[0].public().clone()];
        let held = [(); 2].map(|()| shards::open(&directory, keys(), WriterConfig::default()).unwrap());
        for (writer, position, own) in held {
            let mut pair = Pair::start(writer, position, LogConfig::default());
            let shards = shards::seen(&directory, own, &public);
            assert_eq!(shards.len(), 1, "{name}");
            let told = Entry::new(1, RunId::default(), Event::ShardsSeen(ShardsSeen { shards }));
            pair.log.append(&told, Instant::ZERO).unwrap();
            assert!(pair.write());
            pair.writer.close().unwrap();
        }
        let report = shards::verify(&Directory::open(&directory), &public, &[]).unwrap();
        assert_eq!(report.shards.len(), 2, "{name}");
        fs::remove_dir_all(directory.join("shards/2")).unwrap();
        let finding = shards::verify(&Directory::open(&directory), &public, &[]).unwrap_err();
        assert_eq!(finding.kind(), "shard-removed", "{name}: {finding}");
    }
}

/// A directory in which something happens just before a folder is listed for the last of so many times.
struct Interrupted<F> {
    directory: Directory,
    folder: &'static str,
    left: Cell<u32>,
    happens: F,
}

impl<F: Fn()> Source for Interrupted<F> {
    fn read(&self, path: &str) -> std::io::Result<Option<Vec<u8>>> {
        self.directory.read(path)
    }

    fn list(&self, folder: &str) -> std::io::Result<Vec<String>> {
        if folder == self.folder && self.left.get() > 0 {
            self.left.set(self.left.get() - 1);
            if self.left.get() == 0 {
                (self.happens)();
            }
        }
        self.directory.list(folder)
    }
}

/// A run in the first shard, and then one in the second, which has seen it.
fn run_in_both(directory: &Path) {
    let mut first = Run::open(directory);
    first.append(20);
    first.publish();
    let mut second = Run::open(directory);
    assert_eq!((first.shard.number(), second.shard.number()), (1, 2));
    second.append(1);
    second.close();
    first.close();
}

#[test]
fn what_one_shard_tells_while_another_was_read_is_read_again() {
    let temporary = Temporary::new("witness-settled");
    let directory = temporary.0.join("ledger");
    run_in_both(&directory);
    let interrupted = || Interrupted {
        directory: Directory::open(&directory),
        // The first shard is read by then.
        folder: "shards/2/journal",
        left: Cell::new(1),
        happens: || run_in_both(&directory),
    };
    let exported = |shards: &Shards<_>| {
        let path = temporary.0.join("ledger.tar");
        shards.export(&mut fs::File::create(&path).unwrap()).unwrap();
        shards::verify(&Archive::open(&path).unwrap(), &public(), &[])
    };
    // As it was opened, the second has seen more of the first than was read.
    let source = interrupted();
    let finding = exported(&Shards::open(&source, None).unwrap()).unwrap_err();
    assert_eq!(finding.kind(), "shard-truncated", "{finding}");
    let source = interrupted();
    let report = exported(&Shards::open_settled(&source, None).unwrap());
    assert!(source.left.get() == 0 && report.is_ok(), "{report:?}");
}

#[test]
fn what_a_shard_tells_while_it_is_verified_accuses_nobody() {
    let temporary = Temporary::new("witness-during");
    run_in_both(&temporary.0);
    let kept: Vec<String> = check(&temporary.0).unwrap().shards.into_iter().map(|shard| shard.note).collect();
    // The folder of shards is looked at for each of them alone, and again for all together.
    for left in 1..=2 {
        let source = Interrupted {
            directory: Directory::open(&temporary.0),
            folder: "shards",
            left: Cell::new(left),
            happens: || run_in_both(&temporary.0),
        };
        let report = shards::verify(&source, &public(), &kept);
        assert!(source.left.get() == 0 && report.is_ok(), "{report:?}");
    }
}

#[test]
fn a_ledger_that_never_settles_is_given_up() {
    let temporary = Temporary::new("witness-busy");
    run_in_both(&temporary.0);
    #[derive(Debug)]
    struct Always<'a>(Directory, &'a Path);
    impl Source for Always<'_> {
        fn read(&self, path: &str) -> std::io::Result<Option<Vec<u8>>> {
            self.0.read(path)
        }

        fn list(&self, folder: &str) -> std::io::Result<Vec<String>> {
            if folder == "shards/2/journal" {
                run_in_both(self.1);
            }
            self.0.list(folder)
        }
    }
    let source = Always(Directory::open(&temporary.0), &temporary.0);
    let error = Shards::open_settled(&source, None).unwrap_err();
    assert!(matches!(error.error, ReadError::Busy), "{error}");
}

/// Whoever verifies, lists or exports a ledger while runs begin and end accuses nobody.
#[test]
fn shards_that_are_being_written_verify_and_export() {
    let temporary = Temporary::new("witness-live");
    Run::open(&temporary.0).close();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for round in 0..25 {
                        let mut run = Run::open(&temporary.0);
                        run.append(1 + round * 7 % 40);
                        if round % 3 == 0 {
                            run.publish();
                        }
                        run.close();
                    }
                })
            })
            .collect();
        let path = temporary.0.join("ledger.tar");
        let source = Directory::open(&temporary.0);
        let (mut looks, mut kept): (u32, Vec<String>) = (0, Vec::new());
        while looks < 3 || writers.iter().any(|writer| !writer.is_finished()) {
            let report =
                shards::verify(&source, &public(), &kept).unwrap_or_else(|finding| panic!("{finding}"));
            kept = report.shards.into_iter().map(|shard| shard.note).collect();
            let shards = match Shards::open_settled(&source, Some(&public())) {
                Ok(shards) => shards,
                // These runs do nothing but begin and end.
                Err(ShardError { error: ReadError::Busy, .. }) => continue,
                Err(error) => panic!("{error}"),
            };
            shards.export(&mut fs::File::create(&path).unwrap()).unwrap_or_else(|error| panic!("{error}"));
            let archive = Archive::open(&path).unwrap();
            shards::verify(&archive, &public(), &[]).unwrap_or_else(|finding| panic!("exported: {finding}"));
            looks += 1;
        }
    });
    let report = check(&temporary.0).unwrap();
    assert!(report.shards.len() > 1, "{report:?}");
}
