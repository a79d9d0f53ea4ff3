//! The demonstration does what README shows, with curl and with the fetcher of its own.

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::collections::BTreeSet;
use std::env;
use std::fs::File;
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};

/// Runs the demonstration on a terminal, with this search path. `None` where `weft run` cannot work on this machine; with
/// CI=true that is a failure.
fn demonstrate(path: &str) -> Option<(ExitStatus, String)> {
    let weft = env!("CARGO_BIN_EXE_weft");
    let doctor = Command::new(weft).arg("doctor").output().expect("weft starts");
    if !doctor.status.success() {
        let found = String::from_utf8_lossy(&doctor.stdout);
        assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "CI=true and missing:\n{found}");
        eprintln!("skipped, missing:\n{found}");
        return None;
    }
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).expect("the terminal's other end");
    unlockpt(&ours).expect("the terminal's other end");
    let name = ptsname(&ours, Vec::new()).expect("a name").into_string().expect("text");
    let theirs = File::options().read(true).write(true).open(name).expect("the terminal's other end");
    let mut demonstration = Command::new(weft);
    demonstration.arg("demo").env("PATH", path).env("NO_COLOR", "1").stdin(Stdio::null());
    demonstration.stderr(theirs.try_clone().expect("a second descriptor")).stdout(theirs);
    let mut child = demonstration.spawn().expect("weft starts");
    // The last of these descriptors is the child's, so that its end is the terminal's.
    drop(demonstration);
    let mut text = Vec::new();
    // Linux tells the end of the other side as an error (EIO).
    let _ = File::from(ours).read_to_end(&mut text);
    let status = child.wait().expect("weft ends");
    Some((status, String::from_utf8(text).expect("text").replace("\r\n", "\n")))
}

/// The lines, whatever the ports, the process's id and curl's wording. Two processes write them, so that neighbours may change places; and a program may ask
/// for a name once or twice.
fn lines(text: &str) -> BTreeSet<String> {
    let numbers_apart = |line: &str| {
        let mut out = String::new();
        for word in line.split_inclusive(|c: char| !c.is_ascii_digit()) {
            let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
            // How many entries there are goes by how often the program asks for a name.
            let is_entry = ["record: ", "weft: entry "].iter().any(|start| line.starts_with(start));
            let is_own = is_entry && !digits.is_empty() || digits.len() >= 4 || out.ends_with('[');
            out += if is_own { "NUMBER" } else { digits };
            out += &word[digits.len()..];
        }
        match out.split_once(") ") {
            // The host's name, how many entries, and a hash.
            _ if line.starts_with("weft: checkpoint ") => "weft: checkpoint".to_owned(),
            Some((status, _)) if out.starts_with("curl: (") => status.to_owned(),
            // A row of the summary, less how often and how much.
            _ if out.ends_with('B') => out.split_whitespace().take(3).collect::<Vec<_>>().join(" "),
            _ => out.split_whitespace().collect::<Vec<_>>().join(" "),
        }
    };
    text.lines().map(numbers_apart).collect()
}

/// What README shows.
fn shown() -> &'static str {
    let readme = include_str!("../../../README.md");
    let (_, rest) =
        readme.split_once("<!-- demo: what `weft demo` prints -->\n```\n").expect("the place in README");
    rest.split_once("\n```\n").expect("its end").0
}

/// Lines that count things, and differ by how often a program asks.
fn without_counts(lines: BTreeSet<String>) -> BTreeSet<String> {
    lines.into_iter().filter(|line| !line.starts_with("questions about ")).collect()
}

#[test]
fn it_prints_what_readme_shows() {
    let path = env::var("PATH").expect("a search path");
    if !env::split_paths(&path).any(|directory| directory.join("curl").is_file()) {
        assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "CI=true and missing: curl");
        eprintln!("skipped, missing: curl");
        return;
    }
    let Some((status, text)) = demonstrate(&path) else { return };
    assert!(status.success(), "{text}");
    assert_eq!(without_counts(lines(&text)), without_counts(lines(shown())), "{text}");
}

#[test]
fn it_works_without_curl() {
    let Some((status, text)) = demonstrate("/nowhere") else { return };
    assert!(status.success(), "{text}");
    for line in [
        "A small fetcher asks for",
        "\nhello from docs.example\n",
        "requests to docs.example: 1, to ads.example: 0",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
}
