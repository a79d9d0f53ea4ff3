//! Frames between the sandbox and a device, checksums and segmentation left to whoever is last.

use crate::harness::{Copy, Who, run_to_end, stderr};

pub fn frames_pass_both_ways_by_tap() {
    frames_pass("tap");
}

pub fn frames_pass_both_ways_by_veth() {
    frames_pass("veth");
}

fn frames_pass(attach: &str) {
    let copy = Copy::make();
    let who = Who::User;
    assert_eq!(copy.probe(&mut copy.launcher(who, attach), &["ping"]), "replied\n");
    let mut launcher = copy.launcher(who, attach);
    let output = run_to_end(launcher.arg(copy.path()).args(["inside", "datagrams"]));
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    assert!(told.contains(&format!("attached by {attach}")), "{told}");
    // 40 datagrams crossed the link as one, there and back (Linux 6.2 and later).
    assert!(told.contains("largest frame 40042 drops 0"), "{told}");
}
