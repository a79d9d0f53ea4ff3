//! Every byte of a journal is looked at: what was changed is found, and what verifies can be gone on with.

use crate::entries::{Pair, entry, keys, public};
use ledger::simulated::SimulatedDisk;
use ledger::storage::{Source, Storage};
use ledger::verify::Wrong;
use ledger::{
    Entry, Extent, Finding, LogConfig, OpenError, Reader, Report, Writer, WriterConfig, layout, verify_extent,
};

fn check(disk: &SimulatedDisk) -> Result<Report, Finding> {
    verify_extent(disk, &public(), &[], Extent::Kept)
}

/// A ledger whose journal has frames of both kinds; with all of it published, or nothing.
fn ledger(is_published: bool) -> SimulatedDisk {
    let log = LogConfig { rotate_age_ns: u64::MAX, ..LogConfig::default() };
    let mut pair = Pair::open(SimulatedDisk::new(1), WriterConfig::default(), log);
    pair.append(3);
    assert!(pair.write());
    for count in [2, 1] {
        pair.append(count);
        assert!(pair.begin());
    }
    assert!(pair.wait_or_settle() && pair.wait_or_settle());
    pair.append(2);
    if is_published {
        pair.log.publish(time::Instant::ZERO);
    }
    assert!(pair.write());
    pair.writer.into_storage().repaired()
}

fn path(disk: &SimulatedDisk) -> String {
    layout::journal(layout::journals(disk).unwrap()[0])
}

fn with_journal(whole: &SimulatedDisk, bytes: &[u8]) -> SimulatedDisk {
    let mut disk = whole.clone();
    disk.write(&path(whole), bytes).unwrap();
    disk
}

fn opens(disk: &SimulatedDisk) -> Result<(), OpenError> {
    Writer::open(disk.clone(), keys(), WriterConfig::default()).map(drop)
}

#[test]
fn every_flipped_bit_of_a_journal_is_found() {
    for is_published in [true, false] {
        let whole = ledger(is_published);
        let bytes = whole.read(&path(&whole)).unwrap().unwrap();
        assert!(bytes.windows(4).any(|magic| magic == b"wfr2"));
        assert_eq!(check(&whole).unwrap().next, 8);
        opens(&whole).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let disk = with_journal(&whole, &flipped);
            assert!(check(&disk).is_err(), "bit {} of byte {}, {is_published}", bit % 8, bit / 8);
        }
    }
}

#[test]
fn what_was_changed_in_the_journal_of_a_later_log_is_told_as_in_the_first() {
    let log = LogConfig { rotate_age_ns: 1_000_000_000, ..LogConfig::default() };
    let mut pair = Pair::open(SimulatedDisk::new(1), WriterConfig::default(), log);
    for _ in 0..25 {
        pair.append(10);
        assert!(pair.write());
    }
    let whole = pair.writer.into_storage().repaired();
    let report = check(&whole).unwrap();
    assert!(report.logs.len() > 1);
    let last = report.logs.last().unwrap().size;
    let bytes = whole.read(&path(&whole)).unwrap().unwrap();
    for at in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let finding = check(&with_journal(&whole, &changed)).expect_err("it was changed");
        let named = finding.sequence().is_some_and(|first| first + last >= report.next);
        let is_base =
            matches!(finding, Finding::Checkpoint { .. } | Finding::NoJournal | Finding::Tile { .. });
        let is_journal = matches!(finding, Finding::Journal { .. });
        assert!(named || is_journal || (is_base && at < 9_000), "byte {at} of {}: {finding}", bytes.len());
    }
}

#[test]
fn what_was_published_and_taken_away_is_told() {
    let mut disk = ledger(true);
    assert!(!check(&disk).unwrap().is_unpublished);
    disk.remove("1").unwrap();
    let report = check(&disk).unwrap();
    assert!(report.is_unpublished && report.next == 8);
}

#[test]
fn what_is_left_of_a_journal_that_was_cut_verifies_where_it_opens() {
    for is_published in [true, false] {
        let whole = ledger(is_published);
        let bytes = whole.read(&path(&whole)).unwrap().unwrap();
        for length in 0..bytes.len() {
            let disk = with_journal(&whole, &bytes[..length]);
            let (found, opened) = (check(&disk), opens(&disk));
            assert!(found.is_err() || opened.is_ok(), "{length}: {found:?} {:?}", opened.err());
            assert!(opened.is_ok() || found.is_err(), "{length}");
            assert!(!is_published || found.is_err(), "{length}: what was published is missing");
        }
        // What a loss of power leaves of a frame is none, and nothing else is behind a whole one.
        let zeros = with_journal(&whole, &[&bytes[..], &[0; 600]].concat());
        assert!(check(&zeros).unwrap().is_unfinished && opens(&zeros).is_ok());
        for behind in [&b"x"[..], b"wfrm\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0\x01"] {
            let disk = with_journal(&whole, &[&bytes[..], behind].concat());
            assert!(matches!(check(&disk), Err(Finding::Journal { first: 8, .. })));
        }
        let begun = with_journal(&whole, &[&bytes[..], b"wfrm\0\0"].concat());
        assert!(check(&begun).unwrap().is_unfinished && opens(&begun).is_ok());
    }
}

#[test]
fn a_journal_that_was_taken_away_or_emptied_is_missed() {
    let whole = ledger(true);
    let mut gone = whole.clone();
    gone.remove("journal").unwrap();
    for disk in [&gone, &with_journal(&whole, b""), &with_journal(&whole, b"wfrn")] {
        assert!(matches!(check(disk), Err(Finding::NoJournal)));
        assert!(matches!(opens(disk), Err(OpenError::Damaged(_))));
    }
    // As an export is.
    assert_eq!(verify_extent(&gone, &public(), &[], Extent::Exported).unwrap().next, 8);
}

#[test]
fn an_entry_that_was_changed_in_the_journal_is_named_where_it_was_published() {
    for (is_published, expected) in [(true, None), (false, Some((3, 4)))] {
        let whole = ledger(is_published);
        let bytes = whole.read(&path(&whole)).unwrap().unwrap();
        // The second frame's second entry, of the number 4: its reason has four letters.
        let at = bytes.windows(5).position(|window| window == b"dxxxx").unwrap();
        let mut changed = bytes.clone();
        changed[at + 2] = b'y';
        match (check(&with_journal(&whole, &changed)).unwrap_err(), expected) {
            (Finding::Entry { sequence: 4, wrong: Wrong::Changed }, None) => {}
            (Finding::Range { first, last, .. }, Some(range)) => assert_eq!((first, last), range),
            (finding, _) => panic!("{finding}"),
        }
    }
}

/// A ledger of seven entries in a journal and in one that goes on from it; whether the disk has answered meanwhile.
fn pair_of_two(is_told: bool) -> Pair<SimulatedDisk> {
    let log = LogConfig { rotate_age_ns: u64::MAX, ..LogConfig::default() };
    let config = WriterConfig { journal_bytes: 700, ..WriterConfig::default() };
    let mut pair = Pair::open(SimulatedDisk::new(1), config, log);
    for count in [3, 2, 1] {
        pair.append(count);
        assert!(pair.begin());
    }
    if is_told {
        assert!(pair.wait_or_settle() && pair.wait_or_settle());
    }
    pair.append(1);
    assert!(pair.begin());
    assert_eq!(layout::journals(pair.writer.storage()).unwrap(), [1, 2]);
    pair
}

fn two(is_told: bool) -> SimulatedDisk {
    pair_of_two(is_told).writer.into_storage().repaired()
}

/// What is told of the disk, with this in a journal's place.
fn with(disk: &SimulatedDisk, number: u64, bytes: &[u8]) -> SimulatedDisk {
    let mut disk = disk.clone();
    disk.write(&layout::journal(number), bytes).unwrap();
    disk
}

fn bytes_of(disk: &SimulatedDisk, number: u64) -> Vec<u8> {
    disk.read(&layout::journal(number)).unwrap().unwrap()
}

fn hold_to_seven(disk: &SimulatedDisk) {
    assert_eq!(check(disk).unwrap().next, 7);
    let reader = Reader::open(disk, Some(&public())).unwrap();
    let records: Vec<_> = reader.entries(0..u64::MAX).map(Result::unwrap).collect();
    assert_eq!(records.len(), 7);
    for record in records {
        assert_eq!(Entry::decode(&record.bytes).unwrap(), entry(record.sequence));
    }
}

#[test]
fn a_journal_that_goes_on_from_another_is_one_with_it_until_that_has_gone() {
    for is_told in [true, false] {
        let mut pair = pair_of_two(is_told);
        hold_to_seven(pair.writer.storage());
        let opened = Writer::open(two(is_told), keys(), WriterConfig::default()).unwrap();
        assert_eq!(opened.1.next, 7);
        assert_eq!(layout::journals(opened.0.storage()).unwrap(), [3], "there is one journal again");
        hold_to_seven(opened.0.storage());
        while pair.writer.is_ahead() {
            assert!(pair.wait_or_settle() && pair.wait_or_settle());
            hold_to_seven(pair.writer.storage());
        }
        assert_eq!((pair.log.durable(), layout::journals(pair.writer.storage()).unwrap()), (7, vec![2]));
        let disk = pair.writer.into_storage().after_power_loss();
        hold_to_seven(&disk);
        opens(&disk).unwrap();
    }
}

/// Where in a journal the first byte is that has a meaning. Once the tiles are written, the later journal needs the earlier no
/// more: one that does not begin as a journal does is none.
fn needed(is_told: bool, number: u64, bytes: &[u8]) -> usize {
    let frames = || (1..).find(|at| bytes[*at..].starts_with(b"wfr")).unwrap();
    if is_told && number == 1 { frames() } else { 0 }
}

#[test]
fn every_flipped_bit_of_two_journals_is_found() {
    for is_told in [true, false] {
        let whole = two(is_told);
        for number in [1, 2] {
            let bytes = bytes_of(&whole, number);
            for bit in needed(is_told, number, &bytes) * 8..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let found = check(&with(&whole, number, &flipped));
                assert!(found.is_err(), "bit {} of byte {} of {number}: {found:?}", bit % 8, bit / 8);
            }
        }
    }
}

#[test]
fn of_two_journals_only_what_no_frame_tells_to_be_on_disk_can_be_lost() {
    for (is_told, number) in [(true, 1), (true, 2), (false, 1), (false, 2)] {
        let whole = two(is_told);
        let bytes = bytes_of(&whole, number);
        for length in needed(is_told, number, &bytes)..bytes.len() {
            let disk = with(&whole, number, &bytes[..length]);
            let (found, opened) = (check(&disk), Writer::open(disk.clone(), keys(), WriterConfig::default()));
            assert!(found.is_err() || opened.is_ok(), "{length} of {number}: {found:?} {:?}", opened.err());
            let Ok((writer, position)) = opened else { continue };
            assert!(found.is_err() || found.unwrap().next == position.next, "{length} of {number}");
            assert!(number == 2 || !is_told, "{length}: what was on disk is missing");
            assert_eq!(check(writer.storage()).unwrap().next, position.next, "{length} of {number}");
        }
    }
}
