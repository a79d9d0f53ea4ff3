//! Losses of power, full and broken disks: whatever happens at whichever operation, a ledger that is opened again has
//! everything that was reported durable, in its order, and goes on. So it has what it had published, which others tell of;
//! and it verifies, once it is opened again, and at once where nothing was lost.

use crate::entries::{Pair, entry, keys, public};
use ledger::checkpoint::Checkpoint;
use ledger::entry::Event;
use ledger::simulated::{Fault, SimulatedDisk};
use ledger::storage::Source;
use ledger::{Entry, Finding, LogConfig, ReadError, Reader, Writer, WriterConfig, layout, verify};

/// Seeds in all. Each is several lives of one ledger.
const SEEDS: u64 = 10_000;

/// Numbers from a seed, by SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Entries of this ledger: those that the test made, and the first ones of logs that go on.
fn check(disk: &SimulatedDisk, durable: u64, seed: u64) {
    let reader = Reader::open(disk, None).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    // The entry by which a log went on in a new one was made for the number that the new one's first entry took.
    let (mut next, mut taken) = (reader.first(), 0);
    for record in reader.entries(reader.first()..u64::MAX) {
        let record = record.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(record.sequence, next, "seed {seed}");
        let found = Entry::decode(&record.bytes).unwrap();
        if matches!(found.event, Event::LogStart(_)) {
            taken = 1;
        } else {
            assert_eq!(found, entry(record.sequence - taken), "seed {seed}");
            taken = 0;
        }
        next += 1;
    }
    assert!(next >= durable, "seed {seed}: {durable} entries were durable, {next} are there");
}

/// What the newest log publishes: others rely on it at once, and tell of it.
fn published(disk: &SimulatedDisk) -> Option<(u64, Checkpoint)> {
    let log = layout::logs(disk).unwrap().into_iter().next_back()?;
    let note = disk.read(&layout::in_log(log, "checkpoint")).unwrap()?;
    // One that a loss of power has torn before tells nobody anything.
    let checkpoint = Checkpoint::open(str::from_utf8(&note).ok()?, &public()).ok()?;
    Some((log, checkpoint))
}

/// What was published is there, unless its log was let go.
fn hold_to(disk: &SimulatedDisk, log: u64, told: &Checkpoint, seed: u64) {
    let reader = Reader::open(disk, None).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    if log < reader.logs()[0].number {
        return;
    }
    let found =
        reader.logs().iter().find(|found| found.number == log).filter(|found| found.size >= told.size);
    let found =
        found.unwrap_or_else(|| panic!("seed {seed}: {} entries of log {log} were published", told.size));
    assert_eq!(reader.root_at(found, told.size).unwrap(), told.root, "seed {seed}");
}

/// What is there verifies, and what is published of it.
fn hold(disk: &SimulatedDisk, seed: u64) {
    match verify(disk, &public(), &[]) {
        Ok(_) => {}
        // Its making was interrupted.
        Err(Finding::Read(error)) if matches!(*error, ReadError::Nothing) => {}
        Err(finding) => panic!("seed {seed}: {finding}"),
    }
}

/// One life: writes until the fault, or to its end.
fn live(disk: &mut SimulatedDisk, random: &mut Random, durable: &mut u64, seed: u64) {
    let keep_logs = [None, Some(1), Some(2)][random.below(3) as usize];
    let journal_bytes = 2_000 + random.below(40_000);
    let config = WriterConfig { journal_bytes, keep_logs, ..WriterConfig::default() };
    // 200 entries, or 800, which fill tiles.
    let rotate_age_ns = [1_000_000_000, 4_000_000_000][random.below(2) as usize];
    let log = LogConfig { rotate_age_ns, ..LogConfig::default() };
    // The fault may come while it is opened.
    let Ok((writer, position)) = Writer::open(disk, keys(), config) else { return };
    assert!(position.next >= *durable, "seed {seed}: {durable} were durable, opened at {}", position.next);
    let mut pair = Pair::start(writer, position, log);
    let is_ahead = random.below(2) == 0;
    for _ in 0..1 + random.below(if is_ahead { 12 } else { 6 }) {
        let most = if random.below(4) == 0 { 300 } else { 20 };
        pair.append(1 + random.below(most));
        if random.below(5) == 0 {
            pair.log.publish(time::Instant::ZERO);
        }
        // The next batches may be written while these are on their way to the disk.
        let is_written = match is_ahead && random.below(4) > 0 {
            true => {
                let tiles = [0, 1, 3, u64::MAX][random.below(4) as usize];
                pair.begin() && (random.below(2) == 0 || pair.wait_or_settle_in_part(tiles))
            }
            false => pair.write(),
        };
        *durable = pair.log.durable().max(*durable);
        if !is_written {
            return;
        }
    }
    match random.below(4) {
        // As a run ends: the next one goes on with the journal.
        0 => {
            pair.log.publish(time::Instant::ZERO);
            pair.write();
            *durable = pair.log.durable().max(*durable);
        }
        // Closed or not: nothing more is promised by it, and nothing less.
        1 | 2 => drop(pair.writer.close()),
        _ => {}
    }
}

fn try_seed(seed: u64) {
    let random = &mut Random(seed);
    let (mut disk, mut durable) = (SimulatedDisk::new(seed), 0);
    let (mut told, mut is_whole) = (Vec::new(), true);
    for _ in 0..3 {
        let fault =
            [Fault::PowerLoss, Fault::PowerLoss, Fault::Full, Fault::Broken][random.below(4) as usize];
        disk.set_fault(disk.operations() + random.below(60), fault);
        live(&mut disk, random, &mut durable, seed);
        told.extend(published(&disk));
        // A writer that was killed leaves the same, and loses nothing of it.
        is_whole &= fault == Fault::PowerLoss;
        if is_whole {
            hold(&disk, seed);
        }
        // A disk that is full or broken may lose its power as well.
        disk = match fault != Fault::PowerLoss && random.below(2) == 0 {
            true => disk.repaired(),
            // Some writers are only killed.
            false if is_whole && random.below(8) == 0 => disk.repaired(),
            false => {
                is_whole = false;
                disk.after_power_loss()
            }
        };
    }
    let (writer, _) = Writer::open(disk, keys(), WriterConfig::default())
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    check(writer.storage(), durable, seed);
    hold(writer.storage(), seed);
    told.iter().for_each(|(log, told)| hold_to(writer.storage(), *log, told, seed));
}

fn try_seeds(part: u64) {
    (SEEDS / 4 * part..SEEDS / 4 * (part + 1)).for_each(try_seed);
}

#[test]
fn nothing_durable_is_lost_first_quarter_of_the_seeds() {
    try_seeds(0);
}

#[test]
fn nothing_durable_is_lost_second_quarter_of_the_seeds() {
    try_seeds(1);
}

#[test]
fn nothing_durable_is_lost_third_quarter_of_the_seeds() {
    try_seeds(2);
}

#[test]
fn nothing_durable_is_lost_last_quarter_of_the_seeds() {
    try_seeds(3);
}
