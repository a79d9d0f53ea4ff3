//! The command as a script sees it: statuses, where the words go, and that no colour goes into a pipe.

mod filter;
mod fleet;
mod learn;
mod ledger;
mod policy;
mod why;

use std::process::{Command, Output};

fn weft(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weft")).args(words).output().expect("weft starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn help_tells_every_status_on_standard_output() {
    let output = weft(&["run", "--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    for status in ["100", "124", "125", "126", "127", "128"] {
        assert!(help.contains(status), "{status} is not in\n{help}");
    }
    assert!(output.stderr.is_empty());
}

#[test]
fn bad_usage_of_run_exits_with_125_and_of_the_rest_with_2() {
    for (words, status) in
        [(&["run"][..], 125), (&["run", "--alow", "x", "--", "true"], 125), (&["walk"], 2), (&[], 2)]
    {
        let output = weft(words);
        assert_eq!(output.status.code(), Some(status), "{words:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn no_colour_goes_into_a_pipe() {
    for words in [&["--help"][..], &["run", "--help"], &["run"], &["run", "--alow", "x", "--", "true"]] {
        let output = weft(words);
        let all = [output.stdout, output.stderr].concat();
        assert!(!all.contains(&0x1b), "{words:?}: {}", String::from_utf8_lossy(&all));
    }
}

#[test]
fn completions_and_manual_pages_are_printed() {
    let completions = weft(&["completions", "bash"]);
    assert!(completions.status.success() && text(&completions.stdout).contains("--fail-on-deny"));
    let page = weft(&["man", "run"]);
    assert!(page.status.success() && text(&page.stdout).contains(".TH"));
    assert_eq!(weft(&["man", "walk"]).status.code(), Some(2));
}

#[test]
fn a_file_that_cannot_be_written_is_told_with_its_option() {
    let output = weft(&["run", "--events", "/nonexistent/events", "--", "true"]);
    assert_eq!(output.status.code(), Some(125));
    let told = text(&output.stderr);
    assert!(
        told.contains("--events /nonexistent/events") && told.contains("make its directory first"),
        "{told}"
    );
}

#[test]
fn events_and_frames_take_a_file_each() {
    let file = std::env::temp_dir().join(format!("weft-same-{}", std::process::id()));
    let path = file.to_str().expect("text");
    let output = weft(&["run", "--events", path, "--pcap", path, "--", "true"]);
    let _ = std::fs::remove_file(&file);
    assert_eq!(output.status.code(), Some(125));
    assert!(
        text(&output.stderr).contains("--events and --pcap name the same file"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_demonstration_that_nobody_reads_ends_quietly() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_weft"));
    command.arg("demo").stdout(writer).stderr(std::process::Stdio::piped());
    let output = command.spawn().and_then(std::process::Child::wait_with_output).expect("weft starts");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}
