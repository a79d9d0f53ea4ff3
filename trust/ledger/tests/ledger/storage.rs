//! What every storage must do, tried on a directory and on the simulated disk.

use ledger::directory::{Directory, DirectoryStorage};
use ledger::simulated::SimulatedDisk;
use ledger::storage::{Source, Storage};
use std::path::PathBuf;

/// A directory of a test's own, gone with it.
pub struct Temporary(pub PathBuf);

impl Temporary {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weft-ledger-{}-{name}", std::process::id()));
        // Another process of this id may have left one.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn hold_to_the_seam(mut storage: impl Storage) {
    assert_eq!(storage.read("a/b").unwrap(), None);
    assert!(storage.list("a").unwrap().is_empty());
    assert!(storage.append("a/b", b"x").is_err(), "nothing to append to");
    assert!(storage.rename("a/b", "a/c").is_err(), "nothing to rename");
    storage.remove("a/b").unwrap();

    storage.write("a/b", b"one").unwrap();
    storage.append("a/b", b" two").unwrap();
    storage.append("a/b", b" three").unwrap();
    storage.sync_beside("a/b").unwrap()().unwrap();
    assert_eq!(storage.read("a/b").unwrap().unwrap(), b"one two three");
    storage.write("a/b", b"new").unwrap();
    storage.append("a/b", b"er").unwrap();
    assert_eq!(storage.read("a/b").unwrap().unwrap(), b"newer");

    storage.write("a/c/d", b"d").unwrap();
    storage.write("a/e", b"e").unwrap();
    storage.sync_all().unwrap();
    assert_eq!(storage.list("a").unwrap(), ["b", "c", "e"]);
    assert_eq!(storage.read("a/b/c").unwrap(), None, "below a file is nothing");
    storage.rename("a/e", "a/b").unwrap();
    assert_eq!(storage.read("a/b").unwrap().unwrap(), b"e");
    storage.append("a/b", b"f").unwrap();
    assert_eq!(storage.read("a/b").unwrap().unwrap(), b"ef");
    storage.remove("a/c").unwrap();
    assert_eq!((storage.list("a").unwrap(), storage.read("a/c/d").unwrap()), (vec!["b".to_owned()], None));
    storage.sync_all().unwrap();
    for number in 0..100 {
        storage.write(&format!("many/{number}"), b"m").unwrap();
    }
    storage.sync_all().unwrap();
    assert_eq!(storage.list("many").unwrap().len(), 100);
}

#[test]
fn a_directory_holds_to_the_seam() {
    let temporary = Temporary::new("seam");
    hold_to_the_seam(DirectoryStorage::open(temporary.0.join("ledger")).unwrap());
    let found = Directory::open(temporary.0.join("ledger"));
    assert_eq!(found.read("a/b").unwrap().unwrap(), b"ef");
}

#[test]
fn a_simulated_disk_holds_to_the_seam() {
    hold_to_the_seam(SimulatedDisk::new(1));
}

#[test]
fn what_was_synced_survives_and_nothing_else_is_sure() {
    let (mut lost, mut kept, mut torn) = (0, 0, 0);
    for seed in 0..200 {
        let mut disk = SimulatedDisk::new(seed);
        disk.write("a", &[1; 2_000]).unwrap();
        disk.sync_all().unwrap();
        disk.append("a", &[2; 3_000]).unwrap();
        disk.write("b", b"b").unwrap();
        disk.sync_beside("b").unwrap()().unwrap();
        let after = disk.after_power_loss();
        let a = after.read("a").unwrap().unwrap();
        assert_eq!(a[..2_000], [1; 2_000]);
        match a.len() {
            2_000 => lost += 1,
            5_000 if a[2_000..].iter().all(|byte| *byte == 2) => kept += 1,
            _ => torn += 1,
        }
        // The content was synced, the name was not.
        assert!(matches!(after.read("b").unwrap().as_deref(), None | Some(b"b")));
    }
    assert!(lost > 10 && kept > 10 && torn > 10, "{lost} {kept} {torn}");
}
