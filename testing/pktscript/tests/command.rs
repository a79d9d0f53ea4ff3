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
fn strictness_fails_what_is_unsupported_and_tells_how_many() {
    let out = pktscript(&["--profile", "linux", "--strict", "unsupported/unknown_call.pkt"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("1 unsupported"), "{}", text(&out.stderr));
    let out = pktscript(&["--profile", "linux", "--strict", "must_pass/ipv6.pkt"]);
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), String::new()));
}

#[test]
fn a_definition_without_a_value_is_refused() {
    for word in ["foo", "=1"] {
        let out = pktscript(&["--profile", "linux", "-D", word, "must_pass/ipv6.pkt"]);
        assert_eq!(out.status.code(), Some(2), "{word}");
        assert!(text(&out.stderr).contains("NAME=VALUE"), "{}", text(&out.stderr));
    }
}

#[test]
fn where_nothing_is_found_the_paths_and_the_pattern_are_told() {
    let out = pktscript(&["--profile", "linux", "-k", "no_such", "must_pass", "must_fail"]);
    let words = "there is no script to run: no *.pkt in must_pass, must_fail whose path contains 'no_such'";
    assert!(text(&out.stderr).contains(words), "{}", text(&out.stderr));
}

#[test]
fn a_reader_that_is_gone_ends_it_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let out = Command::new(env!("CARGO_BIN_EXE_pktscript"))
        .args(["--profile", "linux", "tests/must_pass"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .unwrap();
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(141), String::new()));
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
    let lines: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((lines.len(), &lines[0]["line"], &lines[0]["outcome"]), (2, &2.into(), &"unsupported".into()));
    assert_eq!(lines[1], serde_json::json!({"total": {"fail": 0, "pass": 0, "unsupported": 1}}));
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
fn what_is_no_script_does_not_pass_and_prints_no_control_characters() {
    let file = std::env::temp_dir().join(format!("pktscript-garbage-{}.pkt", std::process::id()));
    for (bytes, what, outcome) in
        [(&b""[..], "a script without an event", "fail"), (b"\x1b[2J\x07\xff", "syntax", "unsupported")]
    {
        std::fs::write(&file, bytes).unwrap();
        let out = text(&pktscript(&["--profile", "linux", file.to_str().unwrap()]).stdout);
        assert!(out.starts_with(outcome) && out.contains(what), "{out:?}");
        assert!(out.chars().all(|c| c == '\n' || !c.is_control()), "{out:?}");
    }
    std::fs::remove_file(&file).unwrap();
}
