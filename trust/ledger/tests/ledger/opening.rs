//! What it takes to open a ledger: a run is not to wait for its disk before it begins.

use crate::entries::{Pair, public};
use ledger::simulated::SimulatedDisk;
use ledger::storage::Source;
use ledger::{LogConfig, WriterConfig, layout, verify};

/// One that has so many more entries, published, and is ended.
fn lived(disk: SimulatedDisk, count: u64) -> SimulatedDisk {
    let mut pair = Pair::open(disk, WriterConfig::default(), LogConfig::default());
    pair.append(count);
    pair.log.publish(time::Instant::ZERO);
    assert!(pair.write());
    pair.writer.into_storage().repaired()
}

fn journals(disk: &SimulatedDisk) -> Vec<u64> {
    layout::journals(disk).unwrap()
}

#[test]
fn runs_that_ended_leave_one_journal_that_the_next_goes_on_with() {
    let mut disk = lived(SimulatedDisk::new(1), 2);
    let journal = journals(&disk);
    for life in 2..=100 {
        let before = disk.operations();
        let pair = Pair::open(disk, WriterConfig::default(), LogConfig::default());
        assert_eq!(pair.writer.next(), 2 * (life - 1));
        disk = pair.writer.into_storage();
        assert_eq!(disk.operations(), before, "life {life}: it was opened without writing");
        disk = lived(disk, 2);
        assert_eq!(journals(&disk), journal);
    }
    assert_eq!(verify(&disk, &public(), &[]).unwrap().next, 200);
}

#[test]
fn a_journal_that_is_long_makes_way_behind_the_next_batch() {
    let disk = lived(lived(SimulatedDisk::new(1), 200), 6_000);
    let journal = journals(&disk);
    let pair = Pair::open(disk, WriterConfig::default(), LogConfig::default());
    let disk = pair.writer.into_storage();
    assert_eq!(journals(&disk), journal, "opening replaces nothing");
    let disk = lived(disk, 1);
    assert_ne!(journals(&disk), journal);
    // What a tile was in parts goes once it is full, whoever wrote the parts.
    assert!(disk.list("1/tile/entries/000.p").unwrap().is_empty());
    assert_eq!(disk.list("1/tile/entries/024.p").unwrap(), ["56", "57"]);
    assert_eq!(verify(&disk, &public(), &[]).unwrap().next, 6_201);
    assert_eq!(verify(&disk.after_power_loss(), &public(), &[]).unwrap().next, 6_201);
}

#[test]
fn what_a_killed_run_has_not_published_is_in_tiles_before_the_next_begins() {
    let mut pair = Pair::open(SimulatedDisk::new(1), WriterConfig::default(), LogConfig::default());
    pair.append(20);
    assert!(pair.write());
    let disk = pair.writer.into_storage().repaired();
    let journal = journals(&disk);
    let pair = Pair::open(disk, WriterConfig::default(), LogConfig::default());
    assert_eq!(pair.writer.next(), 20);
    assert_ne!(journals(pair.writer.storage()), journal);
    assert_eq!(pair.writer.storage().list("1/tile/entries/000.p").unwrap(), ["20"]);
}
