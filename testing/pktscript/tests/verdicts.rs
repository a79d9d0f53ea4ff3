//! The runner itself: scripts that must pass, scripts that must fail at one event for one reason, and scripts that cannot
//! be expressed.

use pktscript::{Outcome, Profile, Run, Stop, files, run};
use std::fs;
use std::path::{Path, PathBuf};

fn scripts(directory: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(directory);
    let found = files::find(&path).unwrap();
    assert!(!found.is_empty(), "{} is empty", path.display());
    found
}

fn outcome(path: &Path) -> Outcome {
    outcome_as(path, Profile::Linux)
}

fn outcome_as(path: &Path, profile: Profile) -> Outcome {
    let how = Run { strict_end: true, ..Run::new(profile) };
    run(&fs::read_to_string(path).unwrap(), &how).0
}

/// The line that carries `marker`, and what stands behind it.
fn marked(path: &Path, marker: &str) -> (u32, String) {
    let text = fs::read_to_string(path).unwrap();
    let found = text.lines().enumerate().find_map(|(index, line)| {
        line.split_once(marker).map(|(_, text)| (index as u32 + 1, text.trim().to_owned()))
    });
    found.unwrap_or_else(|| panic!("{} has no {marker}", path.display()))
}

#[test]
fn what_is_right_passes() {
    for path in scripts("must_pass") {
        assert_eq!(outcome(&path), Outcome::Pass, "{}", path.display());
    }
}

#[test]
fn what_is_right_for_freebsd_passes() {
    for path in scripts("must_pass_freebsd") {
        assert_eq!(outcome_as(&path, Profile::FreeBsd), Outcome::Pass, "{}", path.display());
    }
}

#[test]
fn what_is_wrong_fails_at_its_event() {
    for path in scripts("must_fail") {
        let (line, text) = marked(&path, "// FAILS");
        let outcome = outcome(&path);
        let Outcome::Fail(Stop { line: seen_line, text: seen }) = &outcome else {
            panic!("{}: {outcome:?}", path.display())
        };
        assert_eq!(*seen_line, line, "{}: {seen}", path.display());
        assert!(seen.starts_with(&text), "{}: {seen}", path.display());
    }
}

#[test]
fn what_cannot_be_expressed_names_its_construct() {
    for path in scripts("unsupported") {
        let (line, text) = marked(&path, "// UNSUPPORTED");
        let outcome = outcome(&path);
        let Outcome::Unsupported(Stop { line: seen_line, text: seen }) = &outcome else {
            panic!("{}: {outcome:?}", path.display())
        };
        assert_eq!(*seen_line, line, "{}: {seen}", path.display());
        assert!(seen.starts_with(&text), "{}: {seen}", path.display());
    }
}

#[test]
fn a_packet_that_no_event_expects_is_let_through_at_the_end_unless_asked() {
    let path = scripts("must_fail").into_iter().find(|path| path.ends_with("extra_packet_at_the_end.pkt"));
    let text = fs::read_to_string(path.unwrap()).unwrap();
    assert_eq!(run(&text, &Run::new(Profile::Linux)).0, Outcome::Pass);
}
