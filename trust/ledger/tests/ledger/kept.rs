//! What somebody has changed or put into a ledger is never written over: it is not opened, or not gone on with, and what lies
//! beside it is found.

use crate::entries::{Pair, keys, public};
use ledger::simulated::SimulatedDisk;
use ledger::storage::{Source, Storage};
use ledger::{Finding, LogConfig, OpenError, Writer, WriterConfig, layout, verify};

fn go_on(disk: SimulatedDisk) -> Pair<SimulatedDisk> {
    let config = LogConfig { rotate_age_ns: u64::MAX, ..LogConfig::default() };
    Pair::open(disk, WriterConfig::default(), config)
}

/// More entries, published. The journal begins behind the first 200, and has what is behind those.
fn ledger() -> SimulatedDisk {
    let mut pair = go_on(SimulatedDisk::new(1));
    pair.append(200);
    assert!(pair.write());
    let mut disk = pair.writer.into_storage().repaired();
    let (writer, _) = Writer::open(&mut disk, keys(), WriterConfig::default()).unwrap();
    writer.close().unwrap();
    grown(grown(disk, 324), 200)
}

/// So many more, published.
fn grown(disk: SimulatedDisk, count: u64) -> SimulatedDisk {
    let mut pair = go_on(disk);
    pair.append(count);
    pair.log.publish(time::Instant::ZERO);
    assert!(pair.write());
    pair.writer.into_storage().repaired()
}

fn changed(whole: &SimulatedDisk, path: &str, change: impl FnOnce(&mut Vec<u8>)) -> SimulatedDisk {
    let mut disk = whole.clone();
    let mut bytes = disk.read(path).unwrap().expect(path);
    change(&mut bytes);
    disk.write(path, &bytes).unwrap();
    disk
}

/// Why it is not opened; nothing was written meanwhile.
fn refused(mut disk: SimulatedDisk) -> String {
    let before = disk.operations();
    let error = Writer::open(&mut disk, keys(), WriterConfig::default()).expect_err("it was changed");
    assert!(matches!(error, OpenError::Damaged(_)), "{error}");
    assert_eq!(disk.operations(), before);
    error.to_string()
}

#[test]
fn a_ledger_that_was_changed_where_it_grows_is_not_opened() {
    let whole = ledger();
    verify(&whole, &public(), &[]).unwrap();
    let published = ["1/tile/entries/000", "1/tile/entries/001", "1/tile/entries/002.p/212"];
    let hashes = ["1/tile/0/000", "1/tile/0/001", "1/tile/0/002.p/212", "1/tile/1/000.p/2"];
    // Where the journal begins.
    let base = ["1/tile/entries/000.p/200", "1/tile/0/000.p/200"];
    let journal = layout::journal(layout::journals(&whole).unwrap()[0]);
    for path in published.into_iter().chain(hashes).chain(base).chain(["1/checkpoint", &journal]) {
        let told = refused(changed(&whole, path, |bytes| {
            let middle = bytes.len() / 3;
            bytes[middle] ^= 1;
        }));
        assert!(told.contains(path), "{path}: {told}");
        assert!(told.contains("weft ledger verify") && told.contains("move this directory away"), "{told}");
    }
    // A byte behind the last entry, and an older checkpoint of another ledger with the same key.
    for path in published.into_iter().chain(["1/tile/entries/000.p/200"]) {
        let disk = changed(&whole, path, |bytes| bytes.push(0));
        assert!(verify(&disk, &public(), &[]).is_err(), "{path}");
        assert!(refused(disk).contains(path));
    }
    let other = ledger::checkpoint::Checkpoint {
        origin: "ledger.example".into(),
        size: 300,
        root: ledger::hash::leaf_hash(b""),
    };
    let disk = changed(&whole, "1/checkpoint", |bytes| *bytes = other.sign(&keys()).into_bytes());
    assert!(refused(disk).contains("1/checkpoint"));
    // A journal that was cut has less than was published.
    let disk = changed(&whole, &journal, |bytes| bytes.truncate(bytes.len() - 1));
    assert!(refused(disk).contains("entry 524 is missing"));
}

#[test]
fn what_a_loss_of_power_leaves_is_written_again() {
    let whole = ledger();
    let published = ["1/tile/entries/001", "1/tile/entries/002.p/212", "1/tile/0/001", "1/tile/1/000.p/2"];
    for path in published.into_iter().chain(["1/checkpoint"]) {
        let zeros = |bytes: &mut Vec<u8>| bytes.fill(0);
        for disk in [changed(&whole, path, Vec::clear), changed(&whole, path, zeros), {
            let mut disk = whole.clone();
            disk.remove(path).unwrap();
            disk
        }] {
            assert!(matches!(verify(&disk, &public(), &[]), Err(Finding::Unpublished { .. })), "{path}");
            let (writer, position) = Writer::open(disk, keys(), WriterConfig::default()).unwrap();
            assert_eq!(position.next, 724);
            let disk = writer.into_storage();
            assert_eq!(disk.read(path).unwrap(), whole.read(path).unwrap(), "{path}");
            verify(&disk, &public(), &[]).unwrap();
        }
    }
}

#[test]
fn a_tile_that_was_put_where_one_is_to_be_is_found_and_stops_the_ledger() {
    let whole = ledger();
    for (path, level) in
        [("1/tile/entries/002", None), ("1/tile/0/002", Some(0)), ("1/tile/0/x001/000", None)]
    {
        let mut disk = whole.clone();
        disk.write(path, &[7; 256 * 32]).unwrap();
        assert!(matches!(verify(&disk, &public(), &[]), Err(Finding::Stray { path: told }) if told == path));
        let mut pair = go_on(disk);
        pair.append(100);
        assert_eq!(pair.write(), level.is_none() && path.contains('x'), "{path}");
        if let Some(reason) = pair.log.failed() {
            assert!(reason.contains(path) && reason.contains("weft ledger verify"), "{reason}");
        }
        assert_eq!(pair.writer.storage().read(path).unwrap().unwrap(), [7; 256 * 32]);
    }
}

#[test]
fn parts_that_are_left_of_tiles_are_what_the_tiles_began_with() {
    let whole = grown(ledger(), 20);
    // Of the newest bundle, which had fewer entries before, and of one that is full.
    let parts =
        ["1/tile/entries/002.p/12", "1/tile/0/002.p/12", "1/tile/entries/002.p/212", "1/tile/0/002.p/212"];
    for path in parts {
        let disk = changed(&whole, path, |bytes| bytes[40] ^= 1);
        assert!(matches!(verify(&disk, &public(), &[]), Err(Finding::Stray { path: told }) if told == path));
        let disk = changed(&whole, path, |bytes| bytes.push(0));
        assert!(matches!(verify(&disk, &public(), &[]), Err(Finding::Stray { path: told }) if told == path));
        // What a loss of power leaves of one contradicts nothing, and one that is gone is not missed.
        verify(&changed(&whole, path, Vec::clear), &public(), &[]).unwrap();
        let mut disk = whole.clone();
        disk.remove(path).unwrap();
        verify(&disk, &public(), &[]).unwrap();
    }
    // A part with more than there is.
    let bytes = whole.read("1/tile/0/002.p/232").unwrap().unwrap();
    let mut disk = whole.clone();
    disk.write("1/tile/0/002.p/233", &[&bytes[..], &[0; 32]].concat()).unwrap();
    assert!(matches!(verify(&disk, &public(), &[]), Err(Finding::Stray { .. })));
}

#[test]
fn a_log_that_is_complete_has_nothing_beside_it() {
    let config = LogConfig { rotate_age_ns: 2_000_000_000, ..LogConfig::default() };
    let mut pair = Pair::open(SimulatedDisk::new(1), WriterConfig::default(), config);
    for count in [100, 200, 300] {
        pair.append(count);
        pair.log.publish(time::Instant::ZERO);
        assert!(pair.write());
    }
    let whole = pair.writer.into_storage();
    assert_eq!(verify(&whole, &public(), &[]).unwrap().logs.len(), 2);
    let disk = changed(&whole, "1/tile/entries/000", |bytes| bytes.push(7));
    assert!(
        matches!(verify(&disk, &public(), &[]), Err(Finding::Tile { path }) if path == "1/tile/entries/000")
    );
    for path in ["1/tile/entries/001.p/44", "1/tile/0/001.p/44"] {
        let disk = changed(&whole, path, |bytes| bytes[40] ^= 1);
        assert!(matches!(verify(&disk, &public(), &[]), Err(Finding::Stray { path: told }) if told == path));
    }
    for path in ["1/tile/entries/002", "1/tile/0/002", "1/tile/entries/001.p/200", "1/tile/1/000"] {
        let mut disk = whole.clone();
        disk.write(path, &whole.read("1/tile/0/000").unwrap().unwrap()).unwrap();
        assert!(matches!(verify(&disk, &public(), &[]), Err(Finding::Stray { path: told }) if told == path));
    }
}

#[test]
fn frames_that_were_on_their_way_to_the_disk_together_are_lost_with_the_power_and_no_others() {
    let mut pair = go_on(SimulatedDisk::new(1));
    for _ in 0..2 {
        pair.append(10);
        assert!(pair.begin());
    }
    let flip = |bytes: &mut Vec<u8>| {
        let reason = bytes.windows(5).position(|window| window == b"xxxxx").unwrap();
        bytes[reason] = b'y';
    };
    // Neither was on disk: a loss of power may leave the second and not the first.
    let disk = changed(&pair.writer.storage().clone().repaired(), "journal/1", flip);
    assert!(matches!(verify(&disk, &public(), &[]), Err(Finding::Range { first: 0, last: 9, .. })));
    assert_eq!(Writer::open(disk, keys(), WriterConfig::default()).unwrap().1.next, 0);
    // The third tells that both are.
    assert!(pair.wait_or_settle() && pair.wait_or_settle());
    assert_eq!(pair.log.durable(), 20);
    pair.append(10);
    assert!(pair.begin());
    let whole = pair.writer.into_storage().repaired();
    assert_eq!(verify(&whole, &public(), &[]).unwrap().next, 30);
    let disk = changed(&whole, "journal/1", flip);
    assert!(matches!(verify(&disk, &public(), &[]), Err(Finding::Range { first: 0, .. })));
    assert!(refused(disk).contains("journal/1"));
}
