//! What has no place at all: the standard library in pure crates, ignored tests, sleeping.

use super::Finding;
use super::source::{Source, has_word};

/// The floors that know no clock, socket, thread or random source.
const PURE: [&str; 2] = ["base/", "net/"];

/// Sleeping that blocks a thread.
const BLOCKING_SLEEPS: [&str; 2] = ["thread::sleep", "sleep_ms"];
/// Sleeping that does not: a driver's way to a deadline, and in a test a guess at how long something takes.
const SLEEPS: [&str; 2] = ["time::sleep", "sleep_until"];

pub fn check(source: &Source) -> Vec<Finding> {
    let path = source.path.to_string_lossy();
    let is_pure = PURE.iter().any(|floor| path.starts_with(floor));
    let mut findings = Vec::new();
    let mut find =
        |rule, line: usize, text: &str| findings.push(Finding::new(rule, &source.path, line + 1, text));
    let declares_no_std = |code: &String| code.contains("no_std") && code.contains("#![");
    if is_pure && path.ends_with("src/lib.rs") && !source.code.iter().any(declares_no_std) {
        find("no-std", 0, "the crate does not say #![no_std]");
    }
    for (line, code) in source.code_lines() {
        if is_pure && !source.is_test(line) && (code.contains("std::") && has_word(code, "std")) {
            find("no-std", line, "std outside of tests");
        }
        if code.contains("#[ignore") || (code.contains("cfg_attr") && has_word(code, "ignore")) {
            find("ignored-test", line, "a test that never runs proves nothing");
        }
        let calls = |sleeps: &[&str]| sleeps.iter().any(|sleep| has_word(code, sleep));
        let is_test = source.is_test(line) || path.starts_with("testing/");
        if calls(&BLOCKING_SLEEPS) || is_test && calls(&SLEEPS) {
            find("sleep", line, "wait for the event itself");
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&Source::read(Path::new(path), text)).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn pure_crates_use_no_std_outside_of_tests() {
        assert_eq!(rules("net/tcp/src/a.rs", "use core::fmt;\n"), [""; 0]);
        assert_eq!(rules("net/tcp/src/a.rs", "use std::fmt;\n"), ["no-std"]);
        assert_eq!(rules("net/tcp/src/a.rs", "#[cfg(test)]\nuse std::fmt;\n"), [""; 0]);
        assert_eq!(rules("net/tcp/tests/a.rs", "use std::fmt;\n"), [""; 0]);
        assert_eq!(rules("host/link/src/a.rs", "use std::fmt;\n"), [""; 0]);
        assert_eq!(rules("net/tcp/src/lib.rs", "//! #![no_std]\n"), ["no-std"]);
        assert_eq!(rules("net/tcp/src/lib.rs", "#![no_std]\n"), [""; 0]);
    }

    #[test]
    fn ignored_tests_and_sleeping_are_found() {
        assert_eq!(rules("host/link/src/a.rs", "#[test]\n#[ignore]\nfn a() {}\n"), ["ignored-test"]);
        for path in ["host/link/src/a.rs", "host/link/tests/a.rs", "testing/sim/src/a.rs"] {
            assert_eq!(rules(path, "std::thread::sleep(DELAY);\n"), ["sleep"], "{path}");
        }
        let driver = "tokio::time::sleep(deadline).await;\n";
        assert_eq!(rules("host/link/src/a.rs", driver), [""; 0]);
        assert_eq!(rules("host/link/tests/a.rs", driver), ["sleep"]);
        assert_eq!(rules("testing/sim/src/a.rs", driver), ["sleep"]);
        assert_eq!(rules("host/link/tests/a.rs", "\"thread::sleep\"; // thread::sleep\n"), [""; 0]);
    }
}
