//! The command: what it prints and how it ends.

use std::path::Path;
use std::process::{Command, Output};

fn pktscript(words: &[&str]) -> Output {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    Command::new(env!("CARGO_BIN_EXE_pktscript")).args(words).current_dir(directory).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_exit_status_tells_failures_from_mistakes() {
    let status = |words: &[&str]| pktscript(words).status.code();
    assert_eq!(status(&["--profile", "linux", "must_pass"]), Some(0));
    assert_eq!(status(&["--profile", "linux", "unsupported"]), Some(0));
    assert_eq!(status(&["--profile", "linux", "--strict-end", "must_fail", "must_pass"]), Some(1));
    assert_eq!(status(&["--profile", "beos", "must_pass"]), Some(2));
    assert_eq!(status(&["--profile", "linux"]), Some(2));
    assert_eq!(status(&["--profile", "linux", "nowhere"]), Some(3));
    assert_eq!(status(&["--profile", "linux", "-k", "no_such_script", "must_pass"]), Some(3));
    assert_eq!(status(&["--help"]), Some(0));
}

#[test]
fn one_line_a_script_and_a_total() {
    let out = text(&pktscript(&["--profile", "linux", "-k", "wrong_ack", "must_fail"]).stdout);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines,
        ["fail must_fail/wrong_ack.pkt:9: ack: expected 12, sent 11", "0 passed, 1 failed, 0 unsupported"]
    );
    let out = text(&pktscript(&["--profile", "linux", "--json", "unsupported/unknown_call.pkt"]).stdout);
    assert!(out.starts_with(r#"{"line":2,"outcome":"unsupported""#), "{out}");
    assert!(out.ends_with("{\"total\":{\"fail\":0,\"pass\":0,\"unsupported\":1}}\n"), "{out}");
}

#[test]
fn the_trace_stands_side_by_side_and_the_capture_is_pcap() {
    let out = pktscript(&["--profile", "linux", "--trace", "must_fail/wrong_ack.pkt"]);
    let trace = text(&out.stderr);
    let last = trace.lines().last().unwrap();
    assert!(last.contains("> . 1:1(0) ack 12") && last.contains("| > . 1:1(0) ack 11"), "{trace}");
    let file = std::env::temp_dir().join(format!("pktscript-{}.pcap", std::process::id()));
    let out = pktscript(&["--profile", "linux", "--pcap", file.to_str().unwrap(), "must_pass/ipv6.pkt"]);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(out.status.success());
    assert_eq!(bytes[..4], 0xa1b2_3c4d_u32.to_le_bytes());
    assert!(bytes.len() > 24 + 5 * (16 + 60), "five packets and more: {}", bytes.len());
}

#[test]
fn directories_that_hold_themselves_are_gone_through_once() {
    let directory = std::env::temp_dir().join(format!("pktscript-loop-{}", std::process::id()));
    std::fs::create_dir_all(directory.join("below")).unwrap();
    std::fs::copy(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/must_pass/ipv6.pkt"),
        directory.join("once.pkt"),
    )
    .unwrap();
    std::os::unix::fs::symlink("..", directory.join("below/up")).unwrap();
    let out = pktscript(&["--profile", "linux", directory.to_str().unwrap()]);
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(text(&out.stdout).ends_with("1 passed, 0 failed, 0 unsupported\n"), "{}", text(&out.stdout));
}

#[test]
fn what_is_no_script_is_unsupported_and_prints_no_control_characters() {
    let file = std::env::temp_dir().join(format!("pktscript-garbage-{}.pkt", std::process::id()));
    for (bytes, what) in [(&b""[..], "a script without an event"), (b"\x1b[2J\x07\xff", "syntax")] {
        std::fs::write(&file, bytes).unwrap();
        let out = text(&pktscript(&["--profile", "linux", file.to_str().unwrap()]).stdout);
        assert!(out.starts_with("unsupported") && out.contains(what), "{out:?}");
        assert!(out.chars().all(|c| c == '\n' || !c.is_control()), "{out:?}");
    }
    std::fs::remove_file(&file).unwrap();
}
