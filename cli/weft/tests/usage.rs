//! The command as a script sees it: statuses, where the words go, and that no colour goes into a pipe.

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
