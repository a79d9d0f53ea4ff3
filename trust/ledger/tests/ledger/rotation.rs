//! Logs that go on in new ones, and old ones that go.

use crate::entries::{Pair, keys, public};
use ledger::directory::{Directory, DirectoryStorage};
use ledger::simulated::SimulatedDisk;
use ledger::storage::{Source, Storage};
use ledger::{
    Extent, Finding, LogConfig, Reader, Report, Writer, WriterConfig, layout, verify, verify_extent,
};

/// A ledger of a thousand entries, 5 ms from each to the next, in logs of one second.
fn written(config: WriterConfig) -> SimulatedDisk {
    let log = LogConfig { rotate_age_ns: 1_000_000_000, ..LogConfig::default() };
    let mut pair = Pair::open(SimulatedDisk::new(1), config, log);
    for _ in 0..100 {
        pair.append(10);
        assert!(pair.write());
    }
    pair.writer.into_storage()
}

fn logs(report: &Report) -> Vec<&str> {
    report.logs.iter().map(|log| log.origin.as_str()).collect()
}

#[test]
fn every_log_goes_on_from_the_one_before_it() {
    let disk = written(WriterConfig::default());
    let report = verify(&disk, &public(), &[]).unwrap();
    let origins = ["ledger.example", "ledger.example/2", "ledger.example/3", "ledger.example/4"];
    assert_eq!(logs(&report)[..4], origins);
    let reader = Reader::open(&disk, None).unwrap();
    assert!(reader.logs().windows(2).all(|pair| pair[0].base + pair[0].size == pair[1].base));
    assert_eq!((reader.first(), reader.next()), (report.first, report.next));
}

/// Across logs of 200 entries, whose last is partly in tiles and partly in the journal.
#[test]
fn entries_are_read_from_both_ends() {
    let log = LogConfig { rotate_age_ns: 1_000_000_000, ..LogConfig::default() };
    let mut pair = Pair::open(SimulatedDisk::new(1), WriterConfig::default(), log);
    for count in [300, 1, 399, 7] {
        pair.append(count);
        assert!(pair.write());
    }
    let reader = Reader::open(pair.writer.into_storage(), None).unwrap();
    assert!(reader.logs().len() > 2, "{:?}", reader.logs());
    let all: Vec<_> = reader.entries(0..u64::MAX).map(Result::unwrap).collect();
    assert_eq!(all.len() as u64, reader.next());
    for (start, end) in [(0, u64::MAX), (1, 700), (255, 257), (300, 301), (5, 5), (9_000, 9_001)] {
        let there = |sequence: u64| sequence.min(reader.next()) as usize;
        let part = &all[there(start)..there(end)];
        let back: Vec<_> = reader.entries(start..end).rev().map(Result::unwrap).collect();
        assert!(back.iter().eq(part.iter().rev()), "{start} to {end}");
        // From both ends in turn, each is given once.
        let mut entries = reader.entries(start..end);
        let mut both = Vec::new();
        while let Some(first) = entries.next() {
            both.push(first.unwrap());
            both.extend(entries.next_back().map(Result::unwrap));
        }
        both.sort_by_key(|record| record.sequence);
        assert_eq!(both, part, "{start} to {end}");
    }
}

#[test]
fn old_logs_go_by_number_and_by_age_and_leave_no_gap() {
    let keep_logs = WriterConfig { keep_logs: Some(2), ..WriterConfig::default() };
    // The newest two began a second ago and now; a third ended a second ago.
    let keep_age = WriterConfig { keep_age_ns: Some(500_000_000), ..WriterConfig::default() };
    let all = verify(&written(WriterConfig::default()), &public(), &[]).unwrap();
    for (config, count) in [(keep_logs, 2), (keep_age, 2)] {
        let disk = written(config);
        let report = verify(&disk, &public(), &[]).unwrap();
        assert_eq!(logs(&report), logs(&all)[all.logs.len() - count..]);
        assert_eq!(report.next, all.next);
        assert!(report.first > 0);
        // What is left opens, and goes on.
        let (writer, position) = Writer::open(disk, keys(), config).unwrap();
        assert_eq!((writer.next(), position.next), (all.next, all.next));
        assert!(position.started_ns.is_some() && position.bytes > 0);
    }
}

#[test]
fn a_log_that_is_let_go_while_it_is_read_is_passed_over() {
    let temporary = crate::storage::Temporary::new("let-go");
    let config = WriterConfig { keep_logs: Some(3), ..WriterConfig::default() };
    let log = LogConfig { rotate_age_ns: 1_000_000_000, ..LogConfig::default() };
    let mut pair = Pair::open(DirectoryStorage::open(&temporary.0).unwrap(), config, log);
    let mut append = || {
        pair.append(200);
        assert!(pair.write());
    };
    (0..3).for_each(|_| append());
    let reader = Reader::open(Directory::open(&temporary.0), None).unwrap();
    let logs = reader.logs().to_vec();
    assert_eq!(logs.len(), 3);
    let mut entries = reader.entries(0..u64::MAX);
    assert_eq!(entries.next().unwrap().unwrap().sequence, logs[0].base);
    append();
    append();
    // What was read already is given; of the second log, which has gone as well, nothing is.
    let sequences: Vec<u64> = entries.map(|record| record.unwrap().sequence).collect();
    let passed = logs[0].base + logs[0].size..logs[2].base;
    assert!(sequences.iter().all(|sequence| !passed.contains(sequence)));
    assert!(sequences.contains(&logs[2].base));
    assert_eq!(reader.lost().last().unwrap().number, logs[1].number);
    let back: Vec<u64> = reader.entries(0..u64::MAX).rev().map(|record| record.unwrap().sequence).collect();
    assert_eq!(back.last(), Some(&logs[2].base));
    // What somebody takes away that is to be kept is missed.
    let reader = Reader::open(Directory::open(&temporary.0), None).unwrap();
    std::fs::remove_dir_all(temporary.0.join(reader.logs()[0].number.to_string())).unwrap();
    assert!(reader.entries(0..u64::MAX).any(|record| record.is_err()) && reader.lost().is_empty());
}

/// Copies what is in a folder of one disk to another.
fn copy(from: &SimulatedDisk, to: &mut SimulatedDisk, folder: &str) {
    for name in from.list(folder).unwrap() {
        let path = format!("{folder}/{name}");
        match from.read(&path).unwrap() {
            Some(bytes) => to.write(&path, &bytes).unwrap(),
            None => copy(from, to, &path),
        }
    }
}

#[test]
fn logs_that_are_kept_are_missed_where_somebody_takes_them_away() {
    for (keep, oldest) in [(None, 1), (Some(3), 4)] {
        let disk = written(WriterConfig { keep_logs: keep, ..WriterConfig::default() });
        let report = verify(&disk, &public(), &[]).unwrap();
        let logs = layout::logs(&disk).unwrap();
        assert_eq!((logs[0], report.is_retired), (oldest, keep.is_some()));
        let mut less = disk.clone();
        logs[..2].iter().for_each(|log| less.remove(&log.to_string()).unwrap());
        match verify(&less, &public(), &[]).unwrap_err() {
            Finding::Unkept { first, last, witness } => {
                assert_eq!((first, last), (oldest, oldest + 1));
                assert!(witness > report.first);
            }
            finding => panic!("{finding}"),
        }
        assert!(!verify_extent(&less, &public(), &[], Extent::Part).unwrap().is_retired);
        // Who goes on with it does not take them for logs that were let go.
        let log = LogConfig { rotate_age_ns: 1_000_000_000, ..LogConfig::default() };
        let config = WriterConfig { keep_logs: Some(20), ..WriterConfig::default() };
        let mut pair = Pair::open(less, config, log);
        for _ in 0..30 {
            pair.append(10);
            assert!(pair.write());
        }
        let grown = verify(pair.writer.storage(), &public(), &[]);
        assert!(matches!(grown, Err(Finding::Unkept { .. })), "{grown:?}");
    }
}

#[test]
fn a_log_that_is_let_go_and_is_there_still_is_not_wrong() {
    let mut disk = written(WriterConfig { keep_logs: Some(2), ..WriterConfig::default() });
    let config = WriterConfig { keep_logs: Some(2), ..WriterConfig::default() };
    let log = LogConfig { rotate_age_ns: 1_000_000_000, ..LogConfig::default() };
    let mut pair = Pair::open(disk.clone(), config, log);
    let gone = layout::logs(&disk).unwrap()[0];
    while layout::logs(pair.writer.storage()).unwrap()[0] == gone {
        pair.append(10);
        assert!(pair.write());
    }
    let mut after = pair.writer.into_storage();
    copy(&disk, &mut after, &gone.to_string());
    disk = after;
    assert_eq!(layout::logs(&disk).unwrap()[0], gone);
    let report = verify(&disk, &public(), &[]);
    assert!(report.is_ok_and(|report| !report.is_retired));
}
