//! `weft why` as a script sees it.

use super::ledger::{Ledger, json};
use super::{text, weft};
use ledger::{
    Authorization, Close, Digest, Direction, Entry, Event, Outcome, Parent, PolicyChange, Program, Protocol,
    RunEnd, RunId, RunStart, Verdict,
};
use serde_json::Value;

const SECOND_NS: u64 = 1_000_000_000;
/// After the entries that every ledger of the tests begins with.
const BEGAN_NS: u64 = 1_795_229_000 * SECOND_NS;
const RUN: RunId = RunId([0xab; 16]);
const OTHER: RunId = RunId([0xcd; 16]);

fn curl() -> Program {
    Program {
        id: 4_711,
        executable: "/usr/bin/curl".into(),
        digest: Some(Digest([5; 32])),
        command_line: vec!["curl".into(), "-sS".into(), "https://ads.example/\x1b[2J\u{202e}".into()],
        parents: vec![
            Parent { id: 4_700, executable: "/usr/bin/make".into() },
            Parent { id: 4_600, executable: "/usr/bin/bash".into() },
        ],
        user: Some(1_000),
        ..Program::default()
    }
}

fn refused(name: &str, local_port: u16) -> Authorization {
    Authorization {
        reason: "no rule allows it".into(),
        program: Some(curl()),
        protocol: Some(Protocol::Tcp),
        direction: Some(Direction::Connect),
        local: Some(([10, 0, 2, 15], local_port).into()),
        name: Some(name.into()),
        port: Some(443),
        ..Authorization::default()
    }
}

fn connect(second: u64, asked: Authorization) -> Entry {
    Entry::new(BEGAN_NS + second * SECOND_NS, RUN, Event::ConnectionAuthorize(asked))
}

fn start(second: u64, run: RunId) -> Entry {
    let start = RunStart {
        command: vec!["make".into(), "all".into()],
        directory: "/srv/u/project".into(),
        host: "h".into(),
        policy: Some(Digest([1; 32])),
        ..RunStart::default()
    };
    Entry::new(BEGAN_NS + second * SECOND_NS, run, Event::RunStart(start))
}

/// The entries 3 to 12: a run with refusals, a policy that changes, and connections; 13 and 14 are of another run.
fn ledger(name: &str) -> Ledger {
    let ledger = Ledger::new(name);
    let change = PolicyChange {
        digest: Digest([2; 32]),
        previous: Some(Digest([1; 32])),
        source: "team.list".into(),
        closed: 0,
    };
    let allowed = Authorization {
        verdict: Verdict::Allowed,
        reason: "allowed by --allow docs.example".into(),
        rule: Some("docs.example".into()),
        remote: "203.0.113.80:443".parse().ok(),
        ..refused("docs.example", 40_003)
    };
    let end = Close {
        sequence: 8,
        sent_bytes: 517,
        received_bytes: 12_345,
        duration_ns: 87_000_000,
        outcome: Outcome::Reset,
    };
    let at = |second: u64, event| Entry::new(BEGAN_NS + second * SECOND_NS, RUN, event);
    ledger.append_entries(&[
        start(0, RUN),
        connect(1, refused("ads.example", 40_000)),
        at(2, Event::PolicyChange(change)),
        connect(3, Authorization { count: 41, ..refused("ads.example", 40_001) }),
        connect(4, refused("other.example", 40_002)),
        connect(5, allowed.clone()),
        connect(
            6,
            Authorization {
                reason: "denied by team.list:3:6: old.example".into(),
                rule: Some("old.example".into()),
                ..refused("old.example", 40_004)
            },
        ),
        at(7, Event::ConnectionClose(end)),
        connect(8, allowed),
        at(9, Event::RunEnd(RunEnd::default())),
        start(10, OTHER),
        Entry::new(
            BEGAN_NS + 11 * SECOND_NS,
            OTHER,
            Event::ConnectionAuthorize(Authorization {
                reason: "it resolves to 10.0.0.5, a private address".into(),
                ..refused("db.example", 40_005)
            }),
        ),
    ]);
    ledger
}

/// Status, standard output and standard error.
fn why(ledger: &Ledger, words: &[&str]) -> (Option<i32>, String, String) {
    let place = ledger.file("ledger");
    let output = weft(&[&["why", "--ledger", &place], words].concat());
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn page(ledger: &Ledger, words: &[&str]) -> String {
    let (status, out, reason) = why(ledger, words);
    assert_eq!(status, Some(0), "{words:?}: {reason}");
    out
}

fn object(ledger: &Ledger, words: &[&str]) -> Value {
    json(&page(ledger, &[words, &["--json"]].concat()))
}

#[test]
fn a_refusal_is_explained_with_all_that_the_ledger_tells_of_it() {
    let ledger = ledger("why-refusal");
    let page = page(&ledger, &["4"]);
    let lines: Vec<&str> = page.lines().collect();
    assert_eq!(
        lines,
        [
            "Entry 4: refused at 2026-11-21T02:43:21.000Z",
            "  what        connect to tcp://ads.example:443",
            "  why         no rule allows it",
            "  how often   42 times in this run, from 2026-11-21T02:43:21.000Z to 2026-11-21T02:43:23.000Z",
            "  program     /usr/bin/curl, process 4711, user 1000",
            &format!("  its BLAKE3  {}", "05".repeat(32)),
            "  command     curl -sS https://ads.example/\\u{1b}[2J\\u{202e}",
            "  started by  /usr/bin/make [4700], /usr/bin/bash [4600]",
            &format!("  run         {RUN}: make all in /srv/u/project, begun at 2026-11-21T02:43:20.000Z"),
            &format!("  policy      {}, with which the run began (entry 3)", "01".repeat(32)),
            "  allow it    --allow tcp://ads.example:443",
        ]
    );
    let told = object(&ledger, &["6"]);
    assert_eq!((&told["times"], &told["entry"]), (&42.into(), &"6".into()));
    assert_eq!(
        (&told["first"], &told["last"]),
        (&"2026-11-21T02:43:21.000000000Z".into(), &"2026-11-21T02:43:23.000000000Z".into())
    );
    assert_eq!((&told["action"], &told["endpoint"]), (&"connect".into(), &"tcp://ads.example:443".into()));
    assert_eq!((&told["policy"]["source"], &told["policy"]["since"]), (&"team.list".into(), &"5".into()));
    assert_eq!(told["run"]["command"], Value::from(vec!["make", "all"]));
    assert_eq!((&told["run"]["entry"], &told["asked"]["program"]["id"]), (&"3".into(), &4_711.into()));
    assert_eq!(told["allow"], Value::from(vec!["--allow tcp://ads.example:443"]));
    assert!(told["end"].is_null() && told["take_back"].is_null());
}

#[test]
fn the_newest_refusal_is_that_of_all_shards_or_of_one_run() {
    let ledger = ledger("why-last");
    for words in [&[][..], &["last"], &["last", "--run", &OTHER.to_string()]] {
        let told = object(&ledger, words);
        assert_eq!(told["entry"], "14", "{words:?}");
        let flags = ["--allow tcp://db.example:443", "--allow tcp://10.0.0.5:443"];
        assert_eq!(told["allow"], Value::from(flags.to_vec()));
    }
    assert_eq!(object(&ledger, &["--run", &RUN.to_string()])["entry"], "9");
    let older = connect(7, refused("a.example", 1));
    ledger.hold(|| ledger.append_entries(&[older]));
    assert_eq!(object(&ledger, &[])["entry"], "14");
    let counted = Authorization { count: 900, ..Authorization::default() };
    let newer = [connect(12, refused("a.example", 2)), connect(13, counted)];
    ledger.hold(|| ledger.append_entries(&newer));
    let told = object(&ledger, &[]);
    assert_eq!((&told["entry"], &told["run"]), (&"2.1".into(), &Value::Null));
    assert_eq!(told["times"], 2, "of its own shard: {told}");
    assert!(page(&ledger, &["2.2"]).contains("more refusals in one second"));
    // An exported file is read alike.
    let (place, file) = (ledger.file("ledger"), ledger.file("ledger.tar"));
    assert!(weft(&["ledger", "export", "--ledger", &place, "-o", &file]).status.success());
    let output = weft(&["why", "--ledger", &file, "--json"]);
    assert_eq!(json(&text(&output.stdout)), told);
}

#[test]
fn what_a_rule_denies_names_the_rule_and_no_flag() {
    let ledger = ledger("why-denied");
    let page = page(&ledger, &["9"]);
    assert!(page.contains("  take back   team.list:3:6: old.example: nothing allows it"), "{page}");
    assert!(!page.contains("--allow"), "{page}");
    assert!(page.contains(&format!("{}, of team.list, since entry 5", "02".repeat(32))), "{page}");
    let told = object(&ledger, &["9"]);
    assert_eq!(told["take_back"], "team.list:3:6: old.example");
    assert_eq!(told["allow"], Value::Array(Vec::new()));
}

#[test]
fn what_was_allowed_is_explained_by_its_rule_and_its_end() {
    let ledger = ledger("why-allowed");
    // By its own number, and by that of its end.
    for number in ["8", "10"] {
        let page = page(&ledger, &[number]);
        assert!(page.starts_with("Entry 8: allowed at "), "{page}");
        assert!(page.contains("tcp://docs.example:443, which is 203.0.113.80:443\n"), "{page}");
        assert!(page.contains("  why         allowed by --allow docs.example\n"), "{page}");
        assert!(page.contains("reset after 87 ms, 517 B sent, 12345 B received (entry 10)"), "{page}");
        assert!(!page.contains("allow it") && !page.contains("how often"), "{page}");
    }
    let told = object(&ledger, &["8"]);
    assert_eq!((&told["verdict"], &told["end"]["outcome"]), (&"allowed".into(), &"reset".into()));
    assert!(page(&ledger, &["11"]).contains("its end     not told, and the run is over"));
    assert!(page(&ledger, &["0"]).contains("finished after 0 ms"));
}

#[test]
fn what_cannot_be_explained_is_a_status_and_words() {
    let ledger = ledger("why-absent");
    for (words, status, reason) in [
        (&["99"][..], 1, "there is no entry 99: the ledger has 0 to 14"),
        (&["3.0"], 1, "the ledger has no shard 3"),
        (&["3"], 1, "nothing was asked for in entry 3: see weft ledger show 3"),
        (&["4", "--run", &OTHER.to_string()], 1, &format!("of run {OTHER}, but of {RUN}")),
        (&["--run", "00000000000000000000000000000000"], 1, "nothing was refused in run 0"),
        (&["first"], 2, "it is the word last"),
        (&["--run", "x"], 2, "32 hexadecimal digits"),
    ] {
        let (code, out, told) = why(&ledger, words);
        assert_eq!(code, Some(status), "{words:?}: {told}");
        assert!(out.is_empty() && told.contains(reason), "{words:?}: {told}");
    }
    assert_eq!(weft(&["why", "--ledger", &ledger.file("none")]).status.code(), Some(2));
    let help = text(&weft(&["why", "--help"]).stdout);
    for status in ["0  it was explained", "1  there is no such entry", "2  the ledger cannot be read"] {
        assert!(help.contains(status), "{help}");
    }
}
