//! `weft filter`: what it says, where, and with which status.

use super::{text, weft};
use filter::Hook;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

const RULES: &str = "\
# the front door
set office { 192.0.2.0/24 }
set blocked file \"blocked.txt\"
receive default drop
  accept state established
  drop from @blocked
  accept on lan tcp from @office to port 22 # administration
  limit 1/second udp
  accept udp
send default accept
";

const SSH: &str = "on lan tcp 192.0.2.1:7000 > 198.51.100.2:22 flags syn";

/// A folder of its own for a test, gone with the build.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("filter").join(test);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// The rules in a file of a test's own.
fn rules(test: &str, text: &str) -> String {
    let folder = folder(test);
    fs::write(folder.join("blocked.txt"), "203.0.113.0/24\n# and one more\n192.0.2.66\n")
        .expect("it is written");
    let file = folder.join("rules");
    fs::write(&file, text).expect("it is written");
    file.to_str().expect("text").to_owned()
}

fn status(words: &[&str]) -> (Option<i32>, String, String) {
    let output = weft(words);
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_good_file_is_counted_and_listed() {
    let file = rules("good", RULES);
    let (code, told, errors) = status(&["filter", "check", &file]);
    assert_eq!((code, told, errors), (Some(0), format!("{file}: 5 rules, 2 sets\n"), String::new()));
    let (code, told, _) = status(&["filter", "list", &file]);
    assert_eq!(code, Some(0));
    for line in [
        "set blocked: 2 addresses and networks",
        "receive default drop",
        "     3  accept on lan tcp from @office to port 22",
        "forward default accept",
    ] {
        assert!(told.lines().any(|told| told == line), "{line} is not in\n{told}");
    }
    let (_, told, _) = status(&["filter", "list", "--formatted", &file]);
    assert!(told.starts_with("# the front door\nset office { 192.0.2.0/24 }\n"), "{told}");
    assert!(told.contains("\n    accept on lan tcp from @office to port 22  # administration\n"), "{told}");
    let (_, told, _) = status(&["filter", "list", "--json", &file]);
    let document: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(document["hooks"][0]["rules"][2]["line"], 7);
    assert_eq!(document["hooks"][0]["rules"][2]["remark"], "administration");
    assert_eq!(document["sets"][1]["networks"], 2);
}

#[test]
fn every_error_has_its_file_line_and_column() {
    let file = rules("bad", "set a file \"gone\"\nset b file \"wrong\"\nreceive default dorp\n accept tpc\n");
    fs::write(folder("bad").join("wrong"), "192.0.2.1\nlocalhost\n").expect("it is written");
    for task in ["check", "list"] {
        let (code, told, errors) = status(&["filter", task, &file]);
        assert_eq!((code, told), (Some(1), String::new()));
        let lines: Vec<&str> = errors.lines().collect();
        assert_eq!(lines.len(), 4, "{errors}");
        assert!(lines[0].starts_with(&format!("{file}:1:12: gone: ")), "{errors}");
        assert!(lines[1].starts_with("wrong:2:1: expected an IPv4 or IPv6 address"), "{errors}");
        assert!(lines[2].starts_with(&format!("{file}:3:17: expected accept, drop or reject")), "{errors}");
        assert!(lines[3].starts_with(&format!("{file}:4:9: expected on, a protocol")), "{errors}");
        let (code, told, errors) = status(&["filter", task, "--json", &file]);
        assert_eq!((code, errors), (Some(1), String::new()));
        let document: serde_json::Value = serde_json::from_str(&told).expect("JSON");
        assert_eq!((&document["valid"], &document["errors"][2]["line"]), (&false.into(), &3.into()));
    }
    for task in ["check", "list"] {
        let (code, told, errors) = status(&["filter", task, "--json", "no/such/file"]);
        assert_eq!((code, told), (Some(2), String::new()));
        assert!(errors.starts_with("weft: no/such/file cannot be read: No such file"), "{errors}");
    }
}

#[test]
fn packets_are_tried_one_after_the_other() {
    let file = rules("tried", RULES);
    let test = ["filter", "test", &file, "--packet"];
    let (code, told, _) = status(&[&test[..], &[SSH]].concat());
    assert_eq!(code, Some(0));
    let expected = format!(
        "{SSH}\n    accepted by rule 3 on line 7: accept on lan tcp from @office to port 22 (state new)\n"
    );
    assert_eq!(told, expected);
    let elsewhere = SSH.replace("on lan", "on wan");
    let (code, told, _) = status(&[&test[..], &[&elsewhere]].concat());
    assert_eq!(code, Some(1));
    assert!(told.contains("dropped by the default of receive"), "{told}");
    // The answer to a question passes because the question did.
    let ask = "send udp 198.51.100.2:7000 > 192.0.2.9:9";
    let answer = "udp 192.0.2.9:9 > 198.51.100.2:7000 after 1000";
    let (code, told, _) = status(&[&test[..], &[ask, "--packet", answer, "--counters"]].concat());
    assert_eq!(code, Some(0));
    assert!(
        told.contains("accepted by rule 1 on line 5: accept state established (state established)"),
        "{told}"
    );
    assert!(told.contains("     1  accept state established  [1 packets, 28 bytes]"), "{told}");
}

#[test]
fn an_expectation_decides_the_status() {
    let file = rules("expected", RULES);
    let blocked = "udp 192.0.2.66:1 > 198.51.100.2:53";
    let udp = "udp 192.0.2.1:1 > 198.51.100.2:53";
    for (packets, expect, code) in [
        (&[blocked][..], "drop", 0),
        (&[blocked], "accept", 1),
        (&[blocked], "reject", 1),
        (&[udp], "accept", 0),
        (&[udp, udp], "accept", 1),
        (&[udp], "limit", 1),
    ] {
        let mut words = vec!["filter", "test", &file, "--json", "--expect", expect];
        words.extend(packets.iter().flat_map(|packet| ["--packet", packet]));
        let (told, text, _) = status(&words);
        assert_eq!(told, Some(code), "{packets:?} {expect}: {text}");
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(document["as_expected"], code == 0);
        assert_eq!(document["packets"].as_array().map(Vec::len), Some(packets.len()));
    }
}

#[test]
fn what_cannot_be_tried_exits_with_2() {
    let (good, bad) = (rules("tried-good", RULES), rules("tried-bad", "nonsense"));
    for words in [
        &["filter", "test", &good][..],
        &["filter", "test", &good, "--packet", "tcp nobody"],
        &["filter", "test", &good, "--packet", "hex 45"],
        &["filter", "test", &bad, "--packet", SSH],
        &["filter", "test", &good, "--expect", "perhaps", "--packet", SSH],
        &["filter"],
    ] {
        let (code, told, errors) = status(words);
        assert_eq!((code, told.as_str()), (Some(2), ""), "{words:?}");
        assert!(!errors.is_empty(), "{words:?}");
    }
    let (code, told, errors) = status(&["filter", "test", &bad, "--packet", SSH, "--json"]);
    let document: serde_json::Value = serde_json::from_str(&told).expect("what is wrong is a document");
    assert_eq!((code, &document["valid"], errors.as_str()), (Some(2), &false.into(), ""), "{told}");
}

/// What each rule of a run has met: counted, and told at the end, to people and to programs.
#[test]
fn a_run_is_filtered_and_tells_what_its_rules_have_met() {
    let [open, shut] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port of the host's"));
    let [open_port, shut_port] = [&open, &shut].map(|listener| listener.local_addr().expect("bound").port());
    let text = format!(
        "receive default accept\n  count \"all of TCP\" on eth0 tcp\n  reject tcp to port {shut_port}\n  \
         accept tcp to port {open_port} flags syn/syn,ack\nsend default accept\n  count tcp from port {open_port}\n"
    );
    let (file, events) = (rules("run", &text), folder("run").join("events"));
    let script = format!(
        "exec 3<>/dev/tcp/host.weft.internal/{open_port} && echo open; \
         (exec 4<>/dev/tcp/host.weft.internal/{shut_port}) 2> /dev/null || echo shut"
    );
    let events = events.to_str().expect("text");
    let run = ["run", "--no-ledger", "--allow", "host.weft.internal", "--events", events, "--filter"];
    let (code, told, errors) = status(&[&run[..], &[&file, "--", "bash", "-c", &script]].concat());
    assert_eq!((code, told.as_str()), (Some(0), "open\nshut\n"), "{errors}");
    let (_, lines) = errors.split_once(&format!("the rules of {file} have met:\n")).expect(&errors);
    assert!(lines.starts_with("receive default accept  ["), "{lines}");
    shut.set_nonblocking(true).expect("set");
    assert!(shut.accept().is_err(), "what the filter rejects is not even asked about");

    let events = fs::read_to_string(events).expect("events");
    let last: serde_json::Value = serde_json::from_str(events.lines().last().expect("one")).expect("JSON");
    assert_eq!((&last["event"], &last["file"]), (&"filter".into(), &file.as_str().into()));
    let met = |hook: Hook, number: usize| {
        let hook = Hook::ALL.iter().position(|other| *other == hook).expect("a hook");
        let rule = &last["hooks"][hook]["rules"][number - 1];
        let count = |what: &str| rule[what].as_u64().expect("a count");
        let shown = format!("[{} packets, {} bytes]", count("packets"), count("bytes"));
        let line = format!("{number:>6}  {}  {shown}\n", rule["rule"].as_str().expect("a rule"));
        assert!(lines.contains(&line), "{line} is not in\n{lines}");
        count("packets")
    };
    let (all, rejected, opened) = (met(Hook::Receive, 1), met(Hook::Receive, 2), met(Hook::Receive, 3));
    // One try for each IP version that the name has an address of.
    assert!((1..=2).contains(&rejected) && opened == 1 && all > rejected + opened, "{lines}");
    assert!(met(Hook::Send, 1) > 0, "{lines}");
    assert!(events.lines().all(|line| !line.contains("\"deny\"")), "{events}");
}

#[test]
fn a_run_whose_filter_is_wrong_does_not_begin() {
    for (text, wrong) in [
        ("receive default drop\n  accept tcq\n", ":2:10: "),
        ("receive default drop\n  accept on wan\n", "the interface of a run is eth0"),
    ] {
        let file = rules("run-wrong", text);
        let (code, told, errors) = status(&["run", "--no-ledger", "--filter", &file, "--", "echo", "ran"]);
        assert_eq!((code, told.as_str()), (Some(125), ""), "{errors}");
        assert!(errors.starts_with(&format!("weft: --filter {file}:")) && errors.contains(wrong), "{errors}");
    }
}
