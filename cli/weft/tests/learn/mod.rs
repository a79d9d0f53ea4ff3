//! `weft learn`: the file is written whatever the command makes of its place.

use super::{text, weft};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What is learned of a command that needs nothing.
fn learned(script: &str) -> String {
    format!("# What this needed: sh -c {script}\n")
}

/// A directory of a test's own, with an empty one in it.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("learn").join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("place")).expect("a folder");
    folder
}

/// Learns what `script` needs, into `learned` in the directory `place`: the status, and what was told.
fn learn(folder: &Path, script: &str) -> (Option<i32>, String) {
    let file = folder.join("place/learned");
    let script = format!("cd {}; {script}", folder.display());
    let output =
        weft(&["learn", "--no-ledger", "-o", file.to_str().expect("text"), "--", "sh", "-c", &script]);
    (output.status.code(), text(&output.stderr))
}

#[test]
fn a_file_that_the_command_replaces_has_what_was_learned_all_the_same() {
    let folder = folder("replaced");
    let file = folder.join("place/learned");
    for what in [
        "echo a.example > new; mv new place/learned",
        "rm place/learned",
        "echo kept > other; ln -sf ../other place/learned",
        "mv place/learned other; mkfifo place/learned",
        "true",
    ] {
        fs::write(&file, "before\n").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("its mode");
        let (code, told) = learn(&folder, what);
        assert_eq!(code, Some(0), "{what}: {told}");
        assert!(told.contains(&format!("weft run --policy {} ", file.display())), "{what}: {told}");
        let script = format!("cd {}; {what}", folder.display());
        assert_eq!(fs::read_to_string(&file).expect("a file"), learned(&script), "{what}");
        let found = fs::symlink_metadata(&file).expect("a file");
        assert!(found.is_file() && found.permissions().mode() & 0o777 == 0o640, "{what}: {found:?}");
        assert_eq!(fs::read_dir(folder.join("place")).expect("a folder").count(), 1, "{what}");
    }
    assert_ne!(fs::read_to_string(folder.join("other")).expect("a file"), "kept\n", "it was moved there");
}

#[test]
fn a_directory_that_the_command_moves_is_followed_and_no_other_is_written_to() {
    let folder = folder("moved");
    fs::create_dir(folder.join("elsewhere")).expect("a folder");
    let (code, told) = learn(&folder, "mv place away; ln -s elsewhere place");
    assert_eq!(code, Some(0), "{told}");
    let file = folder.join("away/learned");
    assert!(told.contains(&format!("weft run --policy {} ", file.display())), "{told}");
    assert!(fs::read_to_string(&file).expect("a file").starts_with("# What this needed: "));
    assert_eq!(fs::read_dir(folder.join("elsewhere")).expect("a folder").count(), 0);
    // Where nothing is left of it there is nowhere to write to.
    fs::remove_file(folder.join("place")).expect("the link");
    fs::create_dir(folder.join("place")).expect("a folder");
    let (code, told) = learn(&folder, "rm -r place");
    assert_eq!(code, Some(125), "{told}");
    assert!(told.contains("the command has removed or replaced") && told.contains("place/learned"), "{told}");
}

#[test]
fn what_is_no_file_is_written_to_as_it_is() {
    let output = weft(&["learn", "--no-ledger", "-o", "/dev/stdout", "--", "true"]);
    let told = text(&output.stdout);
    assert_eq!((output.status.code(), told.as_str()), (Some(0), "# What this needed: true\n"), "{output:?}");
}
