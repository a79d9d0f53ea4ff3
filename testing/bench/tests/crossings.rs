//! Linux and weft across a real link that does harm: seconds of what `bench impair` measures for minutes.

use std::process::Command;

#[test]
fn every_byte_crosses_every_kind_of_link_between_linux_and_weft() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "this needs root");
        eprintln!("skipped: this needs root");
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).arg("crossings").output().expect("it starts");
    let (out, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{complaint}");
    assert_eq!(out.lines().count(), 36, "{out}");
}
