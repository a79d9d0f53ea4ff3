//! Exit statuses, and rules that cannot be understood.

use std::time::Duration;

use interop::{World, needs};

use crate::probe::{probe, result};

#[test]
fn the_commands_own_status_comes_through() {
    needs![];
    let world = World::new();
    for code in [0, 1, 7, 255] {
        let _ = world.weft().shell(&format!("exit {code}")).exited(code);
    }
}

#[test]
fn a_signal_that_ends_the_command_is_added_to_128() {
    needs![];
    let world = World::new();
    for (signal, number) in [("TERM", 15), ("KILL", 9), ("INT", 2)] {
        let _ = world.weft().shell(&format!("kill -{signal} $$")).exited(128 + number);
    }
}

#[test]
fn a_command_that_takes_too_long_is_ended_with_124() {
    needs![];
    let world = World::new();
    let outcome = world.weft().option("--timeout").option("1s").shell("sleep 1000").exited(124);
    assert!(outcome.took >= Duration::from_secs(1), "{outcome}");
    // A command that holds on is killed all the same.
    let _ = world
        .weft()
        .option("--timeout")
        .option("1s")
        .shell("trap '' TERM INT; sleep 1000; sleep 1000")
        .exited(124);
}

#[test]
fn a_command_that_is_not_there_or_not_executable_has_its_status() {
    needs![];
    let world = World::new();
    let _ = world.weft().output(&["no-such-command-here"]).exited(127).told("no-such-command-here");
    let _ = world.weft().output(&["/no/such/command"]).exited(127);
    let _ = world.weft().output(&[""]).exited(127).told("''");
    let text = world.write("text", "not a program");
    std::fs::set_permissions(&text, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("its mode");
    let _ = world.weft().output(&[text.as_os_str()]).exited(126);
    let _ = world.weft().output(&[world.directory().as_os_str()]).exited(126);
}

#[test]
fn a_refusal_is_100_where_that_was_asked_for() {
    needs!["python3"];
    let world = World::new();
    let refused =
        "import socket\ntry: socket.create_connection(('203.0.113.90', 80))\nexcept OSError as e: print(e)";
    let command = ["python3", "-c", refused];
    let run = || world.weft().option("--fail-on-deny");
    let _ = world.weft().output(&command).succeeded().printed("refused");
    let _ = run().output(&command).exited(100).printed("refused");
    let _ = run().shell("exit 0").exited(0);
    // Also where the command failed of itself, as most do that are refused something.
    let _ = run().shell("getent hosts two.test || exit 7").exited(100);
}

#[test]
fn a_rule_that_cannot_be_understood_stops_the_run_and_names_the_column() {
    needs![];
    let world = World::new();
    // Each rule with the column, counted from one, where it goes wrong.
    let wrong = [
        ("one.test:", 10),
        ("one.test:http", 10),
        ("one.test:0", 10),
        ("one.test:70000", 10),
        ("one.test:90-80", 13),
        ("sctp://one.test", 1),
        ("one.*.test", 5),
        ("*one.test", 2),
        ("10.0.0.0/33", 10),
        ("10.0.0.256", 8),
        ("[2001:db8::1", 13),
        ("one..test", 5),
        ("one.test/8", 9),
        ("", 1),
    ];
    for (rule, column) in wrong {
        for option in ["--allow", "--deny"] {
            let outcome = world.weft().option(option).option(rule).shell("echo it ran").exited(125);
            assert!(!outcome.stdout.contains("it ran"), "{option} {rule}:\n{outcome}");
            let column = format!("column {column}");
            assert!(outcome.stderr.contains(&column), "{option} {rule} should name {column}:\n{outcome}");
        }
    }
}

#[test]
fn wefts_own_failure_is_125() {
    needs![];
    let world = World::new();
    let _ = world.weft().option("--no-such-option").shell("echo it ran").exited(125);
    let _ = world.weft().option("--dns").option("nonsense").shell("echo it ran").exited(125);
    let _ = world.weft().option("--resolve").option("one.test").shell("echo it ran").exited(125);
    let _ = world.weft().option("--publish").option("80").shell("echo it ran").exited(125);
    let _ = world.weft().option("--timeout").option("soon").shell("echo it ran").exited(125);
    let _ = world.weft().option("--attach").option("string").shell("echo it ran").exited(125);
    let _ = world.weft().option("--pcap").option("/no/such/place").shell("echo it ran").exited(125);
}

#[test]
fn a_rule_of_a_name_does_not_widen_to_its_look_alikes() {
    needs!["python3"];
    let world = World::new();
    for name in ["one.test", "xone.test", "one.test.evil", "one-test", "sub.one.test"] {
        world.name(name);
    }
    let targets = ["tcp xone.test 80", "tcp one.test.evil 80", "tcp sub.one.test 80"];
    let outcome = probe(&world, world.weft().allow("one.test:80"), &targets);
    for target in targets {
        assert_eq!(result(&outcome, target), "unknown", "{outcome}");
    }
    assert!(world.resolver.asked().iter().all(|question| question.name == "one.test"));
}
