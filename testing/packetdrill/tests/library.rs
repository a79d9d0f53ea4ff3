//! The shared library as the tool loads it: a program in C, built here, that calls every function of the struct.

use packetdrill as _;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The library stands beside this test.
fn library() -> PathBuf {
    let own = env::current_exe().unwrap();
    let found = own.with_file_name("libpacketdrill.so");
    assert!(found.is_file(), "{} was not built", found.display());
    found
}

#[test]
fn a_program_in_c_opens_moves_bytes_and_closes_in_both_roles() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let harness = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packetdrill-harness");
    let built = Command::new("cc")
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-pthread", "-I"])
        .arg(manifest.join("include"))
        .arg(manifest.join("tests/harness.c"))
        .arg("-o")
        .arg(&harness)
        .arg("-ldl")
        .status()
        .expect("a C compiler called cc");
    assert!(built.success(), "the harness does not build");
    let ran = Command::new(&harness).arg(library()).output().unwrap();
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{}: {told}", ran.status);
    assert_eq!(ran.stdout, b"done\n", "{told}");
}
