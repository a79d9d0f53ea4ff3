//! Ledgers that somebody has changed: each change is found, and its first entry named.

use crate::entries::{Pair, entry, keys, public};
use crate::storage::Temporary;
use identity::{Algorithm, SecretKey};
use ledger::archive::{Archive, export};
use ledger::directory::{Directory, DirectoryStorage};
use ledger::proof::{ConsistencyProof, InclusionProof, ProofError};
use ledger::simulated::SimulatedDisk;
use ledger::storage::{Source, Storage};
use ledger::verify::Wrong;
use ledger::{Entry, Finding, LogConfig, Reader, Report, RunId, Writer, WriterConfig, verify};
use std::fs;
use std::io::Write;

/// A ledger of this many entries, closed.
fn ledger(count: u64) -> SimulatedDisk {
    let config = LogConfig { rotate_age_ns: u64::MAX, ..LogConfig::default() };
    let mut pair = Pair::open(SimulatedDisk::new(1), WriterConfig::default(), config);
    pair.append(count);
    assert!(pair.write());
    // As if the writer had been killed, opened again and closed.
    let mut disk = pair.writer.into_storage();
    let (writer, _) = Writer::open(&mut disk, keys(), WriterConfig::default()).unwrap();
    writer.close().unwrap();
    disk
}

/// The same with a new log every 200 entries.
fn chain(count: u64) -> SimulatedDisk {
    let config = LogConfig { rotate_age_ns: 1_000_000_000, ..LogConfig::default() };
    let mut pair = Pair::open(SimulatedDisk::new(1), WriterConfig::default(), config);
    for _ in 0..count / 10 {
        pair.append(10);
        assert!(pair.write());
    }
    pair.writer.into_storage()
}

fn check(disk: &SimulatedDisk) -> Result<Report, Finding> {
    verify(disk, &public(), &[])
}

/// The records of a bundle, each with its length.
fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let records = ledger::tile::Records::new(bytes);
    records.map(|record| [&(record.unwrap().len() as u16).to_be_bytes(), record.unwrap()].concat()).collect()
}

/// Changes the records of a file.
fn change(disk: &mut SimulatedDisk, path: &str, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let mut all = records(&disk.read(path).unwrap().expect(path));
    change(&mut all);
    disk.write(path, &all.concat()).unwrap();
}

fn wrong(disk: &SimulatedDisk) -> (u64, Wrong) {
    match check(disk).expect_err("it was changed") {
        Finding::Entry { sequence, wrong } => (sequence, wrong),
        finding => panic!("{finding}"),
    }
}

#[test]
fn a_ledger_that_nobody_changed_verifies() {
    for count in [0, 1, 255, 256, 257, 1_000, 70_000] {
        let report = check(&ledger(count)).unwrap_or_else(|finding| panic!("{count}: {finding}"));
        assert_eq!((report.first, report.next, report.is_unfinished), (0, count, false));
    }
    let report = check(&chain(1_000)).unwrap();
    assert_eq!((report.first, report.next, report.logs.len()), (0, 1_005, 6));
}

#[test]
fn the_first_entry_that_was_changed_is_named() {
    let whole = ledger(1_000);
    // In a full bundle, and in the last one, which is not full.
    for (path, base) in [("1/tile/entries/001", 256), ("1/tile/entries/003.p/232", 768)] {
        let mut disk = whole.clone();
        change(&mut disk, path, |records| records[7][5] ^= 1);
        assert_eq!(wrong(&disk), (base + 7, Wrong::Changed));
        let mut disk = whole.clone();
        change(&mut disk, path, |records| drop(records.remove(7)));
        assert_eq!(wrong(&disk), (base + 7, Wrong::Missing));
        let mut disk = whole.clone();
        change(&mut disk, path, |records| drop(records.drain(7..9)));
        assert_eq!(wrong(&disk), (base + 7, Wrong::Missing));
        let mut disk = whole.clone();
        change(&mut disk, path, |records| records.swap(7, 8));
        assert_eq!(wrong(&disk), (base + 7, Wrong::Swapped));
        let mut disk = whole.clone();
        change(&mut disk, path, |records| records.insert(7, b"\0\x01\xf6".to_vec()));
        assert_eq!(wrong(&disk), (base + 7, Wrong::Inserted));
        let mut disk = whole.clone();
        change(&mut disk, path, |records| records.truncate(100));
        assert_eq!(wrong(&disk), (base + 100, Wrong::Missing));
        let mut disk = whole.clone();
        disk.remove(path).unwrap();
        assert_eq!(wrong(&disk), (base, Wrong::Missing));
    }
}

#[test]
fn every_flipped_bit_of_a_bundle_is_found() {
    let mut disk = ledger(300);
    let path = "1/tile/entries/001.p/44";
    let whole = disk.read(path).unwrap().unwrap();
    for bit in (0..whole.len() * 8).step_by(11) {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        disk.write(path, &bytes).unwrap();
        assert!(matches!(check(&disk), Err(Finding::Entry { .. })), "bit {bit}");
    }
}

#[test]
fn hashes_that_were_changed_are_told_from_entries_that_were() {
    let mut disk = ledger(70_000);
    let tile = |disk: &SimulatedDisk, path: &str| disk.read(path).unwrap().unwrap();
    let whole = disk.clone();
    for path in ["1/tile/0/007", "1/tile/1/000", "1/tile/0/273.p/112", "1/tile/2/000.p/1"] {
        let mut bytes = tile(&disk, path);
        bytes[0] ^= 1;
        disk.write(path, &bytes).unwrap();
        assert!(matches!(check(&disk), Err(Finding::Tile { .. })), "{path}");
        disk = whole.clone();
    }
    // An entry and its hash alike: the tile above leaves 256 entries.
    change(&mut disk, "1/tile/entries/007", |records| records[9][5] ^= 1);
    let entry = records(&tile(&disk, "1/tile/entries/007"))[9][2..].to_vec();
    let mut hashes = tile(&disk, "1/tile/0/007");
    hashes[9 * 32..10 * 32].copy_from_slice(&ledger::hash::leaf_hash(&entry).0);
    disk.write("1/tile/0/007", &hashes).unwrap();
    match check(&disk).unwrap_err() {
        Finding::Range { first: 1_792, last: 2_047, path } => assert_eq!(path, "1/tile/0/007"),
        finding => panic!("{finding}"),
    }
}

#[test]
fn a_truncated_tail_is_found_against_a_later_checkpoint() {
    let early = ledger(1_000);
    let late = ledger(1_100);
    let note = |disk: &SimulatedDisk| String::from_utf8(disk.read("1/checkpoint").unwrap().unwrap()).unwrap();
    verify(&late, &public(), &[note(&early), note(&late)]).unwrap();
    match verify(&early, &public(), &[note(&late)]).unwrap_err() {
        Finding::Truncated { have: 1_000, want: 1_100 } => {}
        finding => panic!("{finding}"),
    }
    // One of the same key that is not of this history.
    let other = ledger::checkpoint::Checkpoint {
        origin: "ledger.example".into(),
        size: 900,
        root: ledger::hash::leaf_hash(b""),
    };
    match verify(&late, &public(), &[other.sign(&keys())]).unwrap_err() {
        Finding::Rewritten { first: 0, next: 900 } => {}
        finding => panic!("{finding}"),
    }
}

#[test]
fn a_journal_that_was_cut_is_found_by_what_was_published() {
    let mut pair = Pair::open(SimulatedDisk::new(1), WriterConfig::default(), LogConfig::default());
    for _ in 0..3 {
        pair.append(10);
        pair.log.publish(time::Instant::ZERO);
        assert!(pair.write());
    }
    let mut disk = pair.writer.into_storage();
    let report = check(&disk).unwrap();
    assert_eq!((report.next, report.is_unfinished), (30, false));
    let path = "journal/1";
    let journal = disk.read(path).unwrap().unwrap();
    // An entry of the second batch was changed: it was published, which tells which.
    let mut changed = journal.clone();
    let middle = journal.len() / 2 - 200;
    changed[middle] ^= 1;
    disk.write(path, &changed).unwrap();
    match check(&disk).unwrap_err() {
        Finding::Entry { sequence: 10..20, wrong: Wrong::Changed } => {}
        finding => panic!("{finding}"),
    }
    disk.write(path, &journal[..journal.len() - 1]).unwrap();
    match check(&disk).unwrap_err() {
        Finding::Truncated { have: 20, want: 30 } => {}
        finding => panic!("{finding}"),
    }
}

/// A ledger of two runs: the journal begins behind the first, whose end and all of the second is in tiles as well.
fn two_runs(seed: u64) -> SimulatedDisk {
    let mut disk = SimulatedDisk::new(1);
    for count in [200, 524] {
        let config = LogConfig { rotate_age_ns: u64::MAX, ..LogConfig::default() };
        let mut pair = Pair::open(&mut disk, WriterConfig::default(), config);
        for _ in 0..count {
            let entry = Entry { run: RunId([seed as u8; 16]), ..entry(pair.log.next()) };
            pair.log.append(&entry, time::Instant::ZERO).unwrap();
        }
        pair.log.publish(time::Instant::ZERO);
        assert!(pair.write());
        if count == 200 {
            pair.writer.close().unwrap();
        }
    }
    disk
}

/// The file that was published and is not whole, and the first entry that it lacks.
fn unpublished(disk: &SimulatedDisk) -> (String, Option<u64>) {
    match check(disk).expect_err("it was taken away") {
        Finding::Unpublished { path, first } => (path, first),
        finding => panic!("{finding}"),
    }
}

#[test]
fn entries_that_are_published_are_held_to_the_journal() {
    let whole = two_runs(1);
    let report = check(&whole).unwrap();
    assert_eq!((report.next, report.is_unfinished), (724, false));
    type Change<'a> = (Wrong, &'a dyn Fn(&mut Vec<Vec<u8>>));
    // In a bundle that was begun before the journal was, and in the last one.
    for (path, base) in [("1/tile/entries/000", 0), ("1/tile/entries/002.p/212", 512)] {
        for at in [7, 203] {
            let changes: [Change; 5] = [
                (Wrong::Changed, &|records| records[at][5] ^= 1),
                (Wrong::Missing, &|records| drop(records.remove(at))),
                (Wrong::Swapped, &|records| records.swap(at, at + 1)),
                (Wrong::Inserted, &|records| records.insert(at, b"\0\x01\xf6".to_vec())),
                (Wrong::Changed, &|records| records[at] = b"\0\x01\xf6".to_vec()),
            ];
            for (how, changed) in changes {
                let mut disk = whole.clone();
                change(&mut disk, path, changed);
                assert_eq!(wrong(&disk), (base + at as u64, how), "{path}");
            }
        }
        for length in [0, 100, 211] {
            let mut disk = whole.clone();
            change(&mut disk, path, |records| records.truncate(length));
            assert_eq!(unpublished(&disk), (path.into(), Some(base + length as u64)));
        }
        let mut disk = whole.clone();
        disk.remove(path).unwrap();
        assert_eq!(unpublished(&disk), (path.into(), Some(base)));
    }
    // The part that the journal begins behind, and what the next run makes of it.
    let mut disk = whole.clone();
    change(&mut disk, "1/tile/entries/000.p/200", |records| records[9][5] ^= 1);
    assert_eq!(wrong(&disk), (9, Wrong::Changed));
    let mut disk = whole.clone();
    disk.remove("1/tile/entries/000.p").unwrap();
    check(&disk).expect("the full one has taken its place");
}

#[test]
fn hashes_and_checkpoints_that_are_published_are_held_to_the_journal() {
    let (whole, other) = (two_runs(1), two_runs(2));
    for path in ["1/tile/0/000", "1/tile/0/002.p/212", "1/tile/1/000.p/2"] {
        let mut disk = whole.clone();
        let mut bytes = disk.read(path).unwrap().unwrap();
        bytes[33] ^= 1;
        disk.write(path, &bytes).unwrap();
        assert!(matches!(check(&disk), Err(Finding::Tile { path: told }) if told == path));
        disk.write(path, b"").unwrap();
        assert_eq!(unpublished(&disk), (path.into(), None));
        disk.remove(path).unwrap();
        assert_eq!(unpublished(&disk), (path.into(), None));
    }
    // Entries and hashes that fit each other, of another ledger.
    let mut disk = whole.clone();
    for path in ["1/tile/entries/001", "1/tile/0/001"] {
        disk.write(path, &other.read(path).unwrap().unwrap()).unwrap();
    }
    assert_eq!(wrong(&disk), (256, Wrong::Changed));
    let path = "1/checkpoint";
    let mut disk = whole.clone();
    disk.write(path, b"").unwrap();
    assert_eq!(unpublished(&disk), (path.into(), None));
    disk.remove(path).unwrap();
    assert_eq!(unpublished(&disk), (path.into(), None));
    disk.write(path, &other.read(path).unwrap().unwrap()).unwrap();
    assert!(matches!(check(&disk), Err(Finding::Rewritten { first: 0, next: 724 })));
    let note = String::from_utf8(whole.read(path).unwrap().unwrap()).unwrap();
    disk.write(path, note.replacen("724", "725", 1).as_bytes()).unwrap();
    assert!(matches!(check(&disk), Err(Finding::Checkpoint { .. })));
}

/// What was published before the journal began, which is less: a writer was killed while it opened the ledger.
#[test]
fn a_checkpoint_that_lags_is_held_to_what_there_is() {
    let mut disk = two_runs(1);
    let published = disk.read("1/checkpoint").unwrap().unwrap();
    let mut pair = Pair::open(&mut disk, WriterConfig::default(), LogConfig::default());
    pair.append(20);
    assert!(pair.write());
    let (writer, _) = Writer::open(&mut disk, keys(), WriterConfig::default()).unwrap();
    drop(writer);
    disk.write("1/checkpoint", &published).unwrap();
    assert_eq!(check(&disk).unwrap().next, 744);
    let whole = disk.clone();
    change(&mut disk, "1/tile/entries/002.p/212", |records| records[9][5] ^= 1);
    assert_eq!(wrong(&disk), (521, Wrong::Changed));
    disk = whole.clone();
    change(&mut disk, "1/tile/entries/002.p/232", |records| records[9][5] ^= 1);
    assert_eq!(wrong(&disk), (521, Wrong::Changed));
    disk = whole;
    disk.remove("1/tile/0/002.p/212").unwrap();
    assert_eq!(unpublished(&disk), ("1/tile/0/002.p/212".into(), None));
}

#[test]
fn a_log_that_belongs_to_no_other_is_found() {
    for number in ["0", "2", "17"] {
        let (mut disk, other) = (two_runs(1), two_runs(2));
        for path in ["checkpoint", "tile/entries/000", "tile/0/000"] {
            let bytes = other.read(&format!("1/{path}")).unwrap().unwrap();
            disk.write(&format!("{number}/{path}"), &bytes).unwrap();
        }
        assert!(matches!(check(&disk), Err(Finding::Chain { log }) if log.to_string() == number));
        disk.remove(&format!("{number}/checkpoint")).unwrap();
        assert!(matches!(check(&disk), Err(Finding::Chain { log }) if log.to_string() == number));
    }
    let mut disk = chain(1_000);
    for (path, log) in [("3/checkpoint", 3), ("6/checkpoint", 0)] {
        let whole = disk.clone();
        disk.remove(path).unwrap();
        match check(&disk).expect_err(path) {
            Finding::Chain { log: told } => assert_eq!(told, log),
            Finding::Unpublished { path: told, first: None } => assert_eq!((told.as_str(), log), (path, 0)),
            finding => panic!("{finding}"),
        }
        disk = whole;
    }
}

#[test]
fn a_splice_of_two_ledgers_is_found() {
    let whole = chain(1_000);
    // A bundle of another ledger.
    let other = ledger(1_000);
    let mut disk = whole.clone();
    let bundle = other.read("1/tile/entries/003.p/232").unwrap().unwrap();
    disk.write("3/tile/entries/000.p/200", &bundle).unwrap();
    assert_eq!(wrong(&disk), (400, Wrong::Changed));
    // A log taken out, and all before it as well, which the newest tells to be kept.
    let mut disk = whole.clone();
    disk.remove("3").unwrap();
    assert!(matches!(check(&disk), Err(Finding::Chain { log: 4 })));
    disk.remove("2").unwrap();
    disk.remove("1").unwrap();
    assert!(matches!(check(&disk), Err(Finding::Unkept { first: 1, last: 3, witness: 1_000 })));
    // A whole log of another history, with the same key.
    let mut disk = whole.clone();
    let mut pair = Pair::open(
        SimulatedDisk::new(1),
        WriterConfig::default(),
        LogConfig { rotate_age_ns: 1_000_000_000, ..LogConfig::default() },
    );
    for _ in 0..500 {
        let other = Entry { run: RunId([2; 16]), ..entry(pair.log.next()) };
        pair.log.append(&other, time::Instant::ZERO).unwrap();
        assert!(pair.write());
    }
    let twin = pair.writer.into_storage();
    disk.remove("2").unwrap();
    for path in ["2/checkpoint", "2/tile/entries/000.p/200", "2/tile/0/000.p/200"] {
        disk.write(path, &twin.read(path).unwrap().expect(path)).unwrap();
    }
    assert!(matches!(check(&disk), Err(Finding::Chain { log: 2 })));
}

#[test]
fn another_key_verifies_nothing() {
    let other = SecretKey::from_seed("ledger.example", Algorithm::Ed25519, &[8; 32]).unwrap();
    let finding = verify(&ledger(10), &[other.public().clone()], &[]).unwrap_err();
    assert!(matches!(finding, Finding::Checkpoint { .. }), "{finding}");
    assert!(finding.to_string().contains("has not signed"), "{finding}");
}

#[test]
fn an_exported_file_is_the_ledger() {
    for disk in [ledger(0), ledger(1_000), chain(1_000)] {
        let temporary = Temporary::new("export");
        let path = temporary.0.join("ledger.tar");
        let reader = Reader::open(&disk, Some(&public())).unwrap();
        let mut file = fs::File::create(&path).unwrap();
        export(&reader, &mut file).unwrap();
        let archive = Archive::open(&path).unwrap();
        let (exported, original) = (verify(&archive, &public(), &[]).unwrap(), check(&disk).unwrap());
        assert_eq!((exported.next, &exported.logs), (original.next, &original.logs));
        let read = Reader::open(&archive, Some(&public())).unwrap();
        let entries = |range| read.entries(range).map(|record| record.unwrap().bytes).collect::<Vec<_>>();
        let ours: Vec<_> = reader.entries(0..2_000).map(|record| record.unwrap().bytes).collect();
        assert_eq!(entries(0..2_000), ours);
        // What tar unpacks is a directory that verifies.
        let status =
            std::process::Command::new("tar").arg("-xf").arg(&path).arg("-C").arg(&temporary.0).status();
        assert!(status.unwrap().success());
        assert_eq!(verify(&Directory::open(&temporary.0), &public(), &[]).unwrap().logs, original.logs);
        // Half of it is none, and what is missing has a name.
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1_024]).unwrap();
        let endless = Archive::open_cut(&path).unwrap();
        assert!(endless.expect_whole().is_err() && verify(&endless, &public(), &[]).is_ok());
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let error = Archive::open(&path).unwrap_err().to_string();
        assert!(
            original.next == 0 || error.contains("it is cut off in 1/") || error.contains("in 3/"),
            "{error}"
        );
        let half = verify(&Archive::open_cut(&path).unwrap(), &public(), &[]);
        let is_named = matches!(half, Err(Finding::Entry { wrong: Wrong::Missing, .. }));
        assert!(original.next == 0 || is_named || original.logs.len() > 1, "{half:?}");
    }
}

#[test]
fn entries_that_are_gone_with_their_hashes_are_missing() {
    let mut disk = ledger(1_000);
    let remove = |disk: &mut SimulatedDisk, path: &str| disk.remove(path).expect(path);
    remove(&mut disk, "1/tile/entries/003.p");
    remove(&mut disk, "1/tile/0/003.p");
    assert_eq!(wrong(&disk), (768, Wrong::Missing));
    remove(&mut disk, "1/tile");
    assert_eq!(wrong(&disk), (0, Wrong::Missing));
}

#[test]
fn proofs_prove_alone() {
    // Entries in tiles, and behind them in the journal.
    let mut disk = ledger(600);
    let (writer, position) = Writer::open(&mut disk, keys(), WriterConfig::default()).unwrap();
    let mut pair =
        Pair::start(writer, position, LogConfig { rotate_age_ns: u64::MAX, ..LogConfig::default() });
    let early = Reader::open(pair.writer.storage(), None).unwrap().checkpoint().to_owned();
    pair.append(300);
    assert!(pair.write());
    let reader = Reader::open(pair.writer.storage(), Some(&public())).unwrap();
    for sequence in [0, 255, 256, 599, 600, 767, 768, 899] {
        let proof = reader.prove(sequence).unwrap().unwrap();
        let proof = InclusionProof::parse(&proof.to_string()).unwrap();
        assert_eq!(proof.verify(&public()).unwrap().size, 900, "{sequence}");
        let mut changed = proof.clone();
        changed.entry[3] ^= 1;
        assert_eq!(changed.verify(&public()), Err(ProofError::Path));
        let mut moved = proof;
        moved.index ^= 1;
        assert_eq!(moved.verify(&public()), Err(ProofError::Path));
    }
    assert_eq!(reader.prove(900).unwrap(), None);
    let proof = reader.prove_consistency(&reader.logs()[0], 600).unwrap();
    let proof = ConsistencyProof::parse(&proof.to_string()).unwrap();
    assert_eq!(proof.verify(&early, &public()).unwrap().size, 900);
    assert_eq!(proof.verify(&proof.note, &public()), Err(ProofError::Other));
    let mut changed = proof;
    changed.path[0].0[0] ^= 1;
    assert_eq!(changed.verify(&early, &public()), Err(ProofError::Path));
}

#[test]
fn a_ledger_is_read_while_it_is_written() {
    let temporary = Temporary::new("live");
    let storage = DirectoryStorage::open(&temporary.0).unwrap();
    let config = WriterConfig { journal_bytes: 20_000, ..WriterConfig::default() };
    let log = LogConfig { rotate_age_ns: 5_000_000_000, ..LogConfig::default() };
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let mut pair = Pair::open(storage, config, log);
            for _ in 0..60 {
                pair.append(50);
                assert!(pair.write());
            }
            pair.log.next()
        });
        let (mut seen, mut looks) = (0, 0);
        while !writer.is_finished() {
            match Reader::open(Directory::open(&temporary.0), Some(&public())) {
                Ok(reader) => {
                    let count = reader
                        .entries(0..u64::MAX)
                        .fold(0, |count, record| record.map(|_| count + 1).unwrap());
                    assert!(count == reader.next() && count >= seen, "{count} after {seen}");
                    (seen, looks) = (count, looks + 1);
                }
                Err(error) => assert!(matches!(error, ledger::ReadError::Nothing), "{error}"),
            }
        }
        assert!(looks > 0);
        assert_eq!(writer.join().unwrap(), 3_003);
    });
    let mut out = Vec::new();
    let reader = Reader::open(Directory::open(&temporary.0), Some(&public())).unwrap();
    export(&reader, &mut out).unwrap();
    out.flush().unwrap();
    assert_eq!(verify(reader.source(), &public(), &[]).unwrap().next, 3_003);
}
