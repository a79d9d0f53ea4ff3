//! What a run tells: lines on standard error, events, and the summary on a terminal.

use interop::terminal::Terminal;
use interop::world::SITE_V4;
use interop::{Outcome, Run, World, needs};

use crate::probe::probe;

/// Exchanges a word with one.test, is refused two.test, and an address.
fn some_of_each(world: &World, run: Run<'_>) -> Outcome {
    probe(world, run.allow("one.test:7"), &["tcp one.test 7", "tcp two.test 7", "tcp 203.0.113.90 81"])
}

#[test]
fn a_refusal_is_one_line_with_the_program_the_target_the_rule_and_the_flag() {
    needs!["python3"];
    let world = World::with_echo();
    let outcome = some_of_each(&world, world.weft());
    let lines: Vec<&str> = outcome.stderr.lines().filter(|line| line.contains("203.0.113.90")).collect();
    assert_eq!(lines.len(), 1, "one line for one refusal:\n{outcome}");
    for part in ["python3", "tcp", "81", "--allow tcp://203.0.113.90:81"] {
        assert!(lines[0].contains(part), "the line lacks {part:?}:\n{outcome}");
    }
    let (_, after_name) =
        lines[0].split_once("python3[").unwrap_or_else(|| panic!("no name and id:\n{outcome}"));
    let id = after_name.split(']').next().and_then(|id| id.parse::<u32>().ok());
    assert!(id.is_some_and(|id| id > 1), "{outcome}");
    let _ = outcome.refused(&["two.test", "--allow"]);
}

#[test]
fn a_refusal_by_a_rule_names_that_rule() {
    needs!["python3"];
    let world = World::with_echo();
    let run = world.weft().allow("203.0.113.0/24").deny("203.0.113.90:80-90");
    let _ =
        probe(&world, run, &["tcp 203.0.113.90 81"]).refused(&["203.0.113.90", "--deny 203.0.113.90:80-90"]);
}

#[test]
fn events_tell_of_resolving_connecting_refusing_and_closing() {
    needs!["python3"];
    let world = World::with_echo();
    let outcome = some_of_each(&world, world.weft());
    for (kind, host) in
        [("resolve", "one.test"), ("connect", "one.test"), ("close", "one.test"), ("deny", "203.0.113.90")]
    {
        assert!(outcome.has_event(kind, host), "no event {kind} of {host}:\n{outcome}");
    }
    assert!(outcome.has_event("deny", "two.test"), "{outcome}");
    assert!(!outcome.has_event("connect", "203.0.113.90"), "{outcome}");
    let close = outcome.events_of("close").find(|event| event["host"] == "one.test").expect("a close");
    // The probe sends `probe\n` and is sent the same.
    assert_eq!((&close["bytes_sent"], &close["bytes_received"]), (&6.into(), &6.into()), "{outcome}");
    assert!(close["duration_ms"].is_number(), "{outcome}");
    let connect = outcome.events_of("connect").next().expect("a connect");
    assert_eq!((&connect["port"], &connect["protocol"]), (&7.into(), &"tcp".into()), "{outcome}");
    assert_eq!(connect["address"], SITE_V4.to_string(), "{outcome}");
}

#[test]
fn quiet_says_nothing() {
    needs!["python3"];
    let world = World::with_echo();
    let outcome = some_of_each(&world, world.weft().option("--quiet"));
    assert_eq!(outcome.stderr, "", "{outcome}");
    assert!(outcome.has_event("deny", "203.0.113.90"), "events go on:\n{outcome}");
}

#[test]
fn nothing_refused_is_nothing_said_but_the_checkpoint() {
    needs!["python3"];
    let world = World::with_echo();
    let outcome = probe(&world, world.weft().allow("one.test:7"), &["tcp one.test 7"]);
    assert!(outcome.stderr.starts_with("weft: checkpoint "), "{outcome}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
    let unrecorded = world.weft().allow("one.test:7").option("--no-ledger");
    let outcome = probe(&world, unrecorded, &["tcp one.test 7"]);
    assert_eq!(outcome.stderr, "", "{outcome}");
}

#[test]
fn a_summary_is_shown_at_the_end_on_a_terminal() {
    needs!["python3", "setsid"];
    let world = World::with_echo();
    let script = "python3 - <<'END'\nimport socket\n\
        socket.create_connection(('one.test', 7)).close()\n\
        try: socket.create_connection(('203.0.113.90', 81))\nexcept OSError: print('the command is done')\nEND\n";
    let terminal = Terminal::start(world.weft().allow("one.test:7"), &["sh", "-c", script]);
    terminal.until_shown("the command is done");
    let shown = terminal.finish().1;
    let (_, summary) = shown.split_once("the command is done").expect("the command's last words");
    for part in ["one.test", "203.0.113.90"] {
        assert!(summary.contains(part), "the summary lacks {part}:\n{shown}");
    }
}

#[test]
fn a_capture_that_cannot_be_written_is_told_with_125() {
    needs![];
    let world = World::with_echo();
    let outcome = world.weft().option("--pcap").option("/dev/full").shell("getent hosts two.test || true");
    let _ = outcome.exited(125).told("the capture").told("No space left");
}

#[test]
fn every_frame_is_kept_as_pcap_where_that_was_asked_for() {
    needs!["python3"];
    let world = World::with_echo();
    let pcap = world.home().join("frames.pcap");
    let run = world.weft().option("--pcap").option(pcap.to_string_lossy());
    let _ = some_of_each(&world, run);
    let bytes = std::fs::read(&pcap).expect("the frames");
    let magic = [[0xd4, 0xc3, 0xb2, 0xa1], [0x4d, 0x3c, 0xb2, 0xa1], [0x0a, 0x0d, 0x0d, 0x0a]];
    assert!(
        magic.iter().any(|magic| bytes.starts_with(magic)),
        "no pcap: {:x?}",
        &bytes[..bytes.len().min(24)]
    );
    assert!(bytes.windows(6).any(|part| part == b"probe\n"), "the probe's bytes are not in the frames");
}
