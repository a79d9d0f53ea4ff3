//! What is no file in the place of one: nobody waits for it, and it is told by its name.

use crate::entries::{Pair, keys, public};
use crate::storage::Temporary;
use ledger::archive::Archive;
use ledger::directory::{Directory, DirectoryStorage};
use ledger::{Finding, LogConfig, Reader, Writer, WriterConfig, regular, verify};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

fn make_pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// The files and folders below a folder, by their paths in it.
fn below(folder: &Path, within: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder.join(within)).unwrap() {
        let path = within.join(entry.unwrap().file_name());
        found.push(path.clone());
        if folder.join(&path).is_dir() {
            below(folder, &path, found);
        }
    }
}

/// A ledger with two logs, whose journal has more than was published.
fn make(path: &Path) {
    let log = LogConfig { rotate_age_ns: 1_000_000_000, ..LogConfig::default() };
    let mut pair = Pair::open(DirectoryStorage::open(path).unwrap(), WriterConfig::default(), log);
    for _ in 0..2 {
        pair.append(150);
        pair.log.publish(time::Instant::ZERO);
        assert!(pair.write());
    }
    pair.append(7);
    assert!(pair.write());
}

#[test]
fn a_pipe_in_the_place_of_any_file_or_folder_is_told_by_its_name() {
    let temporary = Temporary::new("pipes");
    let (whole, copy) = (temporary.0.join("whole"), temporary.0.join("copy"));
    make(&whole);
    verify(&Directory::open(&whole), &public(), &[]).unwrap();
    let mut paths = Vec::new();
    below(&whole, Path::new(""), &mut paths);
    for path in paths {
        let _ = fs::remove_dir_all(&copy);
        assert!(
            std::process::Command::new("cp").arg("-r").arg(&whole).arg(&copy).status().unwrap().success()
        );
        let (place, name) = (copy.join(&path), path.display().to_string());
        if place.is_dir() { fs::remove_dir_all(&place) } else { fs::remove_file(&place) }.unwrap();
        make_pipe(&place);
        let source = Directory::open(&copy);
        match (verify(&source, &public(), &[]), name.as_str()) {
            // No entry of the ledger's is in it.
            (found, "lock") => assert!(found.is_ok()),
            (found, _) => {
                let told = found.expect_err(&name).to_string();
                assert!(told.contains(&name) || told.contains("entry"), "{name}: {told}");
            }
        }
        // Whether it is read or written, nobody waits.
        let _ = Reader::open(&source, None).map(|reader| reader.entries(0..u64::MAX).count());
        let opened = DirectoryStorage::open(&copy).map(|storage| {
            Writer::open(storage, keys(), WriterConfig::default()).map_err(|error| error.to_string())
        });
        match opened {
            Ok(Err(told)) => assert!(told.contains(&name), "{name}: {told}"),
            Err(error) => assert_eq!(error.to_string(), "lock is a pipe, and should be a file"),
            // What it does not look at.
            Ok(Ok(_)) => assert!(name.starts_with('1') || name.contains(".p"), "{name}"),
        }
    }
}

#[test]
fn a_pipe_behind_the_end_of_a_log_is_told_by_its_name() {
    let temporary = Temporary::new("pipe-behind");
    make(&temporary.0);
    let behind = "1/tile/entries/004";
    make_pipe(&temporary.0.join(behind));
    match verify(&Directory::open(&temporary.0), &public(), &[]) {
        Err(Finding::Kind(wrong)) => {
            assert_eq!(wrong.to_string(), format!("{behind} is a pipe, and should be a file"))
        }
        found => panic!("{found:?}"),
    }
}

#[test]
fn what_somebody_names_is_a_file_or_comes_from_who_started_the_process() {
    let temporary = Temporary::new("named");
    let (pipe, socket) = (temporary.0.join("pipe"), temporary.0.join("socket"));
    make_pipe(&pipe);
    let _listener = UnixListener::bind(&socket).unwrap();
    for path in [pipe.as_path(), &temporary.0, Path::new("/dev/zero")] {
        for error in [regular::open(path).map(drop), regular::open_given(path).map(drop)] {
            assert!(error.unwrap_err().to_string().ends_with("and should be a file"), "{path:?}");
        }
        assert!(Archive::open(path).is_err());
    }
    assert!(regular::open_given(&socket).is_err());
    // As a shell's <(..) is given.
    let (reader, mut writer) = std::io::pipe().unwrap();
    let given = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
    let mut file = regular::open_given(Path::new(&given)).unwrap();
    let thread = std::thread::spawn(move || std::io::Write::write_all(&mut writer, b"a key"));
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    thread.join().unwrap().unwrap();
    assert_eq!(text, "a key");
}
