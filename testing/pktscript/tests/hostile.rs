//! Scripts that somebody has broken: whatever they say, the runner ends with a verdict.

use pktscript::{Outcome, Profile, Run, files, run};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

/// Lines of all scripts that pass.
fn lines() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directories = [root.join("tests/must_pass"), root.join("../../net/tcp/scripts")];
    let found = directories.iter().flat_map(|path| files::find(path).unwrap());
    let texts = found.map(|path| fs::read_to_string(path).unwrap());
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn ends(text: &str) {
    for profile in [Profile::Linux, Profile::FreeBsd] {
        let how = Run { strict_end: true, trace: true, ..Run::new(profile) };
        let (Outcome::Pass | Outcome::Fail(_) | Outcome::Unsupported(_), ..) = run(text, &how);
    }
}

proptest! {
    #[test]
    fn any_text_ends_with_a_verdict(text in "(?s).{0,300}") {
        ends(&text);
    }

    #[test]
    fn scripts_of_any_lines_end_with_a_verdict(
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 1..40),
    ) {
        let lines = lines();
        let text: Vec<&str> = picks.iter().map(|pick| lines[pick.index(lines.len())].as_str()).collect();
        ends(&format!("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n{}", text.join("\n")));
    }

    #[test]
    fn a_script_with_broken_bytes_ends_with_a_verdict(
        start in any::<prop::sample::Index>(),
        breaks in proptest::collection::vec((any::<prop::sample::Index>(), "[0-9+~.<>\\[\\](){}!*,:SFRPA-]{1,3}"), 1..6),
    ) {
        let lines = lines();
        let start = start.index(lines.len());
        let mut text = lines[start..].iter().take(25).map(String::as_str).collect::<Vec<_>>().join("\n");
        for (at, with) in breaks {
            let at = at.index(text.len().max(1)).min(text.len());
            if text.is_char_boundary(at) {
                text.insert_str(at, &with);
            }
        }
        ends(&text);
    }
}

#[test]
fn numbers_without_measure_are_refused() {
    for event in [
        "99999999999999999999 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3",
        "0 < S 0:4000000000(4000000000) win 1",
        "0 < udp (65535)",
        "0 < . 0:65535(65535) ack 1 win 1",
        "0 < . 0:0(0) ack 1 win 1 <FO aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa>",
        "0 `sleep 1e300`",
    ] {
        let (outcome, ..) = run(event, &Run::new(Profile::Linux));
        assert!(matches!(outcome, Outcome::Unsupported(_)), "{event}: {outcome:?}");
    }
    let calls = ["read(3, ..., 99999999999) = 1", "write(3, ..., 99999999999) = 1"];
    for call in calls {
        let text = format!("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 {call}");
        assert!(matches!(run(&text, &Run::new(Profile::Linux)).0, Outcome::Unsupported(_)), "{call}");
    }
}
