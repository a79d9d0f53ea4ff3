//! The doctor, who really tries.

use crate::harness::{Copy, root_or_passed_over, run_to_end, stderr};
use gateway::doctor;
use std::process::Command;

/// Examines, prints the table, and exits with 1 where `weft run` does not work.
pub fn run() -> ! {
    let findings = doctor::examine();
    print!("{}", doctor::render(&findings));
    std::process::exit(i32::from(!doctor::passes(&findings)));
}

pub fn a_machine_that_works_passes() {
    let copy = Copy::make();
    let output = run_to_end(Command::new(copy.path()).arg("doctor"));
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{table}{}", stderr(&output));
    for line in [
        "ok    sandbox",
        "ok    veth",
        "ok    proc",
        "ok    resolver files",
        "ok    ping inside",
        "ok    unix sockets",
        "ok    control groups",
    ] {
        assert!(table.contains(line), "no '{line}' in\n{table}");
    }
}

pub fn a_machine_without_namespaces_fails_with_the_fix() {
    if !root_or_passed_over("a user namespace in which no more may be made") {
        return;
    }
    let copy = Copy::make();
    // The limit is each user namespace's own: this one's is set, not the machine's.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" doctor";
    let mut shell = Command::new("unshare");
    shell.args(["--user", "--map-root-user", "sh", "-c", script]).arg(copy.path());
    let output = run_to_end(&mut shell);
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}{}", stderr(&output));
    assert!(table.contains("fail  sandbox"), "{table}");
    assert!(table.contains("fix: sysctl -w user.max_user_namespaces=65536"), "{table}");
}
