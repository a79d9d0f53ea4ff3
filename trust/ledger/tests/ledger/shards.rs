//! Several writers of one ledger at once: each has a shard of its own, and is a witness of the others.

use crate::entries::{NAME, Pair, keys, public};
use crate::storage::Temporary;
use identity::{Algorithm, SecretKey};
use ledger::directory::{Directory, DirectoryStorage};
use ledger::shards::{self, SHARDS_MAX, ShardNumber, ShardsError};
use ledger::{LogConfig, OpenError, Reader, WriterConfig, verify};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn shard(number: u64) -> ShardNumber {
    ShardNumber::new(number).unwrap()
}

/// Opens a shard: the first that is free.
fn open(directory: &Path) -> (Pair<DirectoryStorage>, ShardNumber) {
    let (writer, position, shard) = shards::open(directory, keys(), WriterConfig::default()).unwrap();
    (Pair::start(writer, position, LogConfig::default()), shard)
}

/// Its folder in the ledger.
fn folder(directory: &Path, shard: ShardNumber) -> PathBuf {
    directory.join(ledger::layout::shard(shard))
}

#[test]
fn each_writer_takes_the_first_shard_that_is_free() {
    let temporary = Temporary::new("shards-free");
    let (first, one) = open(&temporary.0);
    let (second, two) = open(&temporary.0);
    let (third, three) = open(&temporary.0);
    assert_eq!([one, two, three].map(ShardNumber::number), [1, 2, 3]);
    drop(second);
    assert_eq!(open(&temporary.0).1, two);
    drop((first, third));
    let (mut pair, again) = open(&temporary.0);
    assert_eq!(again, one);
    pair.append(7);
    assert!(pair.write());
    pair.writer.close().unwrap();
    assert_eq!(open(&temporary.0).0.log.next(), 7);
    // A shard that was taken away is not made anew while there is one behind it.
    fs::remove_dir_all(folder(&temporary.0, two)).unwrap();
    let held = open(&temporary.0);
    let (_third, next) = open(&temporary.0);
    assert_eq!((held.1, next), (one, three));
    assert_eq!(open(&temporary.0).1, shard(4));
}

#[test]
fn there_are_as_many_shards_as_there_may_be_and_then_words() {
    let temporary = Temporary::new("shards-all");
    let held: Vec<_> = (0..SHARDS_MAX).map(|_| open(&temporary.0)).collect();
    assert_eq!(
        held.iter().map(|(_, shard)| shard.number()).collect::<Vec<_>>(),
        (1..=SHARDS_MAX).collect::<Vec<_>>()
    );
    let error = shards::open(&temporary.0, keys(), WriterConfig::default()).unwrap_err();
    assert!(matches!(error, ShardsError::Taken(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("64 processes") && text.contains("--ledger DIR"), "{text}");
    // What one of them has seen of all the others is one entry.
    let seen = shards::seen(&temporary.0, shard(1), &public());
    assert_eq!(seen.len() as u64, SHARDS_MAX - 1);
}

#[test]
fn makers_that_race_get_shards_of_their_own() {
    let temporary = Temporary::new("shards-race");
    for round in 0..10 {
        let directory = temporary.0.join(round.to_string());
        let makers: Vec<_> = (0..8)
            .map(|_| {
                let directory = directory.clone();
                std::thread::spawn(move || open(&directory))
            })
            .collect();
        // Each is held until all are made.
        let made: Vec<_> = makers.into_iter().map(|maker| maker.join().unwrap()).collect();
        let numbers: BTreeSet<u64> = made.iter().map(|(_, shard)| shard.number()).collect();
        assert_eq!(numbers, (1..=8).collect());
    }
}

#[test]
fn a_shard_is_a_ledger_with_a_name_of_its_own() {
    let temporary = Temporary::new("shards-names");
    // Names that look like a shard's or a log's confuse nobody: who signed tells.
    for (at, name) in [NAME, "a/shard-2", "a/shard-2/2", "a/2"].into_iter().enumerate() {
        let directory = temporary.0.join(at.to_string());
        let key = || SecretKey::from_seed(name, Algorithm::Ed25519, &[7; 32]).unwrap();
        let public = [key().public().clone()];
        let open = || shards::open(&directory, vec![key()], WriterConfig::default()).unwrap();
        let writers = [open(), open()];
        for (writer, position, shard) in writers {
            let mut pair = Pair::start(
                writer,
                position,
                LogConfig { rotate_age_ns: 1_000_000_000, ..LogConfig::default() },
            );
            // Two logs, and a journal behind them.
            pair.append(300);
            assert!(pair.write());
            let source = Directory::open(folder(&directory, shard));
            let check = || {
                let report = verify(&source, &public, &[])
                    .unwrap_or_else(|finding| panic!("{name} {shard}: {finding}"));
                let origins: Vec<_> = report.logs.iter().map(|log| log.origin.clone()).collect();
                let own = if shard == ShardNumber::FIRST {
                    name.to_owned()
                } else {
                    format!("{name}/shard-{shard}")
                };
                assert_eq!((report.next, origins), (301, vec![own.clone(), format!("{own}/2")]));
                for keys in [None, Some(&public[..])] {
                    assert_eq!(Reader::open(&source, keys).unwrap().next(), 301, "{name}");
                }
            };
            check();
            pair.writer.close().unwrap();
            check();
        }
        let reopened = [open(), open()];
        assert_eq!(
            reopened.map(|(_, position, shard)| (position.next, shard.number())),
            [(301, 1), (301, 2)]
        );
    }
}

#[test]
fn what_is_seen_of_others_is_what_they_have_published() {
    let temporary = Temporary::new("shards-seen");
    let (mut first, one) = open(&temporary.0);
    let (mut second, two) = open(&temporary.0);
    let seen = |own| shards::seen(&temporary.0, own, &public());
    let told = |own| seen(own).into_iter().map(|shard| (shard.origin, shard.size)).collect::<Vec<_>>();
    let (of_first, of_second) = (NAME.to_owned(), format!("{NAME}/shard-2"));
    assert_eq!(told(one), [(of_second.clone(), 0)]);
    assert_eq!(told(two), [(of_first.clone(), 0)]);
    // What is in the journal alone may be lost with the power.
    second.append(5);
    assert!(second.write());
    assert_eq!(told(one), [(of_second.clone(), 0)]);
    second.log.publish(time::Instant::ZERO);
    assert!(second.write());
    assert_eq!(told(one), [(of_second.clone(), 5)]);
    let reader = Reader::open(Directory::open(folder(&temporary.0, two)), None).unwrap();
    assert_eq!(seen(one)[0].root, reader.root_at(&reader.logs()[0], 5).unwrap());
    first.append(3);
    assert!(first.write());
    first.writer.close().unwrap();
    assert_eq!(told(two), [(of_first, 3)]);
    // What others have signed, or one shard in another's place, is nothing that was seen.
    let note = folder(&temporary.0, two).join("1/checkpoint");
    let whole = fs::read_to_string(&note).unwrap();
    for wrong in [
        whole.replacen("\n5\n", "\n6\n", 1),
        fs::read_to_string(temporary.0.join("1/checkpoint")).unwrap(),
        String::new(),
    ] {
        fs::write(&note, wrong).unwrap();
        assert_eq!(told(one), []);
    }
}

#[test]
fn a_shard_is_signed_with_the_keys_of_its_ledger() {
    let temporary = Temporary::new("shards-keys");
    let (first, _) = open(&temporary.0);
    let other = || vec![SecretKey::from_seed(NAME, Algorithm::Ed25519, &[8; 32]).unwrap()];
    let foreign = |error: ShardsError| matches!(error, ShardsError::Open(_, OpenError::Foreign(_)));
    assert!(foreign(shards::open(&temporary.0, other(), WriterConfig::default()).unwrap_err()));
    assert_eq!(open(&temporary.0).1, shard(2));
    assert!(foreign(shards::open(&temporary.0, other(), WriterConfig::default()).unwrap_err()));
    drop(first);
    // A shard in another's place goes on in neither.
    let (mut first, _) = open(&temporary.0);
    fs::remove_dir_all(temporary.0.join("shards/2")).unwrap();
    first.append(1);
    assert!(first.write());
    fs::create_dir(temporary.0.join("shards/2")).unwrap();
    for part in ["1", "journal"] {
        let status = std::process::Command::new("cp")
            .arg("-r")
            .arg(temporary.0.join(part))
            .arg(temporary.0.join("shards/2"))
            .status();
        assert!(status.unwrap().success());
    }
    assert!(foreign(shards::open(&temporary.0, keys(), WriterConfig::default()).unwrap_err()));
}

#[test]
fn a_name_leaves_room_for_those_of_all_logs() {
    let temporary = Temporary::new("shards-long");
    // Of 255 bytes in all, a slash and twenty digits are a log's, and eight or nine more a shard's.
    for (length, shards) in [(225, 10), (226, 9), (227, 1), (234, 1), (235, 0), (255, 0)] {
        let directory = temporary.0.join(length.to_string());
        let keys = || vec![SecretKey::from_seed(&"a".repeat(length), Algorithm::Ed25519, &[7; 32]).unwrap()];
        let open = || shards::open(&directory, keys(), WriterConfig::default());
        let held: Vec<_> = (0..10).map_while(|_| open().ok()).collect();
        assert_eq!(held.len(), shards, "{length}");
        if shards < 10 {
            let error = open().unwrap_err();
            assert!(matches!(error, ShardsError::Open(_, OpenError::Name(_))), "{error}");
        }
    }
}

#[test]
fn a_ledger_that_was_closed_opens_without_a_write() {
    let temporary = Temporary::new("shards-idle");
    let (mut pair, _) = open(&temporary.0);
    pair.append(1_000);
    assert!(pair.write());
    pair.writer.close().unwrap();
    let files = || {
        let mut files = Vec::new();
        let mut folders = vec![temporary.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false => files.push((entry.path(), entry.metadata().unwrap().modified().unwrap())),
                }
            }
        }
        files.sort();
        files
    };
    let before = files();
    for _ in 0..3 {
        let (pair, _) = open(&temporary.0);
        assert_eq!(pair.log.next(), 1_000);
    }
    assert_eq!(files(), before);
    // What is missing is made again.
    fs::remove_file(temporary.0.join("1/checkpoint")).unwrap();
    let (mut pair, _) = open(&temporary.0);
    assert!(temporary.0.join("1/checkpoint").exists());
    pair.append(1);
    assert!(pair.write());
    drop(pair);
    assert_eq!(verify(&Directory::open(&temporary.0), &public(), &[]).unwrap().next, 1_001);
}
