//! What is told of a run: events, refusals, the summary.

use super::*;
use std::io::Write;
use std::sync::{Arc, Mutex};
use time::Duration;

const T0: Instant = Instant::from_secs(1);

fn process(name: &str, id: u32) -> Option<Process> {
    Some(Process { name: name.to_owned(), id })
}

fn target(kind: Kind, host: &str, port: Option<u16>) -> Target {
    Target { host: host.to_owned(), port, kind }
}

fn denied(name: &str, id: u32, target: Target) -> Event {
    Event::Deny {
        process: process(name, id),
        reason: "no rule allows it".to_owned(),
        hint: Some(format!("--allow {}", target.host)),
        entry: None,
        target,
    }
}

fn messages(report: &mut Report) -> Vec<String> {
    std::iter::from_fn(|| report.poll_message()).collect()
}

/// Every event once; `docs/events.md` shows them as they come out here.
fn one_of_each() -> Vec<Event> {
    let web = target(Kind::Tcp, "example.com", Some(443));
    vec![
        Event::Resolve {
            process: process("curl", 1234),
            target: target(Kind::Dns, "example.com", None),
            record_type: "A".to_owned(),
            code: 0,
            addresses: vec!["203.0.113.80".parse().expect("an address")],
        },
        Event::Connect {
            process: process("curl", 1234),
            target: web.clone(),
            address: Some("203.0.113.80:443".parse().expect("an address")),
            rule: Some("example.com:443".into()),
            entry: Some("41".to_owned()),
        },
        Event::Close {
            process: process("curl", 1234),
            target: web.clone(),
            address: Some("203.0.113.80:443".parse().expect("an address")),
            bytes_sent: 517,
            bytes_received: 12_345,
            duration: Duration::from_millis(87),
            closing: Closing::Finished,
            entry: Some("41".to_owned()),
        },
        Event::Fail { process: process("curl", 1234), target: web, reason: "connection refused".to_owned() },
        Event::Deny {
            process: process("curl", 1234),
            target: target(Kind::Tcp, "2001:db8::90", Some(80)),
            reason: "no rule allows it".to_owned(),
            hint: Some("--allow tcp://[2001:db8::90]:80".to_owned()),
            entry: Some("2.17".to_owned()),
        },
        Event::Deny {
            process: None,
            target: Target::of_question("tracker.example."),
            reason: "denied by --deny *.example".to_owned(),
            hint: None,
            entry: None,
        },
        Event::Publish {
            protocol: axiom::rules::Protocol::Tcp,
            listen: "127.0.0.1:8080".parse().expect("an address"),
            port: 80,
        },
        Event::Filter { file: "rules".to_owned(), rules: met() },
    ]
}

/// What a packet filter has met.
fn met() -> serde_json::Value {
    let rules = filter::Ruleset::parse("receive default accept\n  reject tcp to port 25\n").expect("rules");
    let mut filter = filter::Filter::new(rules, &[], filter::Config::default(), &[7; 32]).expect("a filter");
    let mail: filter::Sample = "tcp 10.0.2.15:7000 > 203.0.113.80:25 flags syn".parse().expect("a packet");
    let packet = mail.packet().expect("it can be looked at");
    assert!(!filter.judge(mail.hook, 0, &packet, T0).verdict.passes());
    crate::filtering::rules_to_json(filter.rules(), Some(&filter))
}

#[test]
fn the_documentation_shows_every_event_as_it_is_written() {
    let documentation = include_str!("../../../../docs/events.md");
    let mut report = Report::default();
    for event in one_of_each() {
        report.record(&event, T0, 1_795_228_969_123_000_000);
        let line = report.poll_line().expect("a line for each event");
        let parsed: serde_json::Value = serde_json::from_str(&line).expect("an event is JSON");
        for field in parsed.as_object().expect("an event is an object").keys() {
            assert!(documentation.contains(&format!("`{field}`")), "{field} is not documented");
        }
        assert!(documentation.contains(&line), "docs/events.md lacks:\n{line}");
    }
}

#[test]
fn a_refusal_is_one_line_that_tells_everything() {
    let mut report = Report::default();
    for event in one_of_each() {
        report.record(&event, T0, 0);
    }
    assert_eq!(
        messages(&mut report),
        [
            "weft: refused curl[1234] tcp [2001:db8::90]:80: no rule allows it; \
             allow with --allow tcp://[2001:db8::90]:80",
            "weft: refused an unknown program dns tracker.example: denied by --deny *.example",
        ]
    );
    assert_eq!(report.refusals(), 2);
}

#[test]
fn repeated_refusals_are_counted_and_told_now_and_then() {
    let mut report = Report::default();
    let refused = |id| denied("curl", id, target(Kind::Tcp, "a.example", Some(80)));
    report.record(&refused(1), T0, 0);
    assert_eq!((messages(&mut report).len(), report.poll_timeout()), (1, None));
    for id in 2..5 {
        report.record(&refused(id), T0, 0);
    }
    assert_eq!(messages(&mut report), [""; 0]);
    let when = report.poll_timeout().expect("repetitions are to be told");
    assert_eq!(when, T0 + REPEATS_INTERVAL);
    report.handle_timeout(T0);
    assert_eq!(messages(&mut report), [""; 0], "not yet");
    report.handle_timeout(when);
    assert_eq!(messages(&mut report), ["weft: refused curl[1] tcp a.example:80 3 more times"]);
    report.record(&refused(5), when, 0);
    report.finish();
    assert_eq!(messages(&mut report), ["weft: refused curl[1] tcp a.example:80 once more"]);
    report.finish();
    assert_eq!(messages(&mut report), [""; 0]);
    assert_eq!(report.refusals(), 5);
}

#[test]
fn a_program_that_was_not_found_is_no_news_where_one_was_named() {
    let mut report = Report::default();
    let deny = |process: Option<Process>, host: &str| Event::Deny {
        process,
        entry: None,
        target: target(Kind::Tcp, host, Some(80)),
        reason: "no rule allows it".to_owned(),
        hint: None,
    };
    report.record(&deny(process("curl", 1), "a.example"), T0, 0);
    report.record(&deny(None, "a.example"), T0, 0);
    report.record(&deny(None, "b.example"), T0, 0);
    report.finish();
    assert_eq!(
        messages(&mut report),
        [
            "weft: refused curl[1] tcp a.example:80: no rule allows it",
            "weft: refused an unknown program tcp b.example:80: no rule allows it",
            "weft: refused an unknown program tcp a.example:80 once more",
        ]
    );
}

#[test]
fn a_name_that_is_asked_for_again_is_told_once() {
    let mut report = Report::default();
    for _ in 0..3 {
        report.record(&denied("curl", 1, Target::of_question("a.example.")), T0, 0);
    }
    report.finish();
    assert_eq!(messages(&mut report).len(), 1);
}

#[test]
fn different_refusals_are_told_up_to_a_bound() {
    let mut report = Report::default();
    for number in 0..REFUSALS_MAX + 7 {
        report.record(&denied("scan", 1, target(Kind::Tcp, &format!("n{number}.example"), Some(1))), T0, 0);
    }
    assert_eq!(messages(&mut report).len(), REFUSALS_MAX);
    report.finish();
    assert_eq!(messages(&mut report), ["weft: refused 7 times more, beyond 256 different refusals"]);
    let rows = report.summary(false).lines().count();
    assert_eq!(rows, 1 + ROWS_MAX + 1, "a head, the rows, and the others");
}

#[test]
fn what_the_child_chooses_cannot_drive_the_terminal_or_break_a_line() {
    let mut report = Report::default();
    report.record(&denied("x\u{1b}[2J\n", 1, Target::of_question("a\\010\u{202e}b.")), T0, 0);
    let [message] = messages(&mut report).try_into().expect("one line");
    assert!(message.chars().all(|letter| !letter.is_control() && letter != '\u{202e}'), "{message:?}");
    let line = report.poll_line().expect("an event");
    assert!(line.chars().all(|letter| !letter.is_control()), "{line:?}");
}

#[test]
fn the_summary_lists_what_was_reached_and_refused() {
    let mut report = Report::default();
    assert_eq!(report.summary(false), "");
    for event in one_of_each() {
        report.record(&event, T0, 0);
    }
    assert_eq!(
        report.summary(false),
        "HOST             PORT     VERDICT  COUNT   SENT  RECEIVED\n\
         2001:db8::90     80/tcp   refused      1    0 B       0 B\n\
         example.com      443/tcp  allowed      1  517 B   12.3 kB\n\
         example.com      443/tcp  failed       1    0 B       0 B\n\
         tracker.example  name     refused      1    0 B       0 B\n"
    );
    assert!(report.summary(true).contains("  \u{1b}[32mallowed\u{1b}[0m  "));
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("unpoisoned").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("unpoisoned").clone()).expect("text")
    }
}

#[test]
fn a_reporter_writes_events_lines_and_the_summary() {
    let (events, errors) = (Shared::default(), Shared::default());
    let mut reporter =
        Reporter::new(Some(Box::new(events.clone())), Some(Box::new(errors.clone())), Some(false));
    for event in one_of_each() {
        reporter.record(&event, T0, 0);
    }
    reporter.finish().expect("everything was written");
    assert_eq!(events.text().lines().count(), one_of_each().len());
    let text = errors.text();
    assert!(text.starts_with("weft: refused curl[1234]") && text.contains("\nHOST "), "{text}");
    let mut quiet = Reporter::new(None, None, Some(true));
    quiet.record(&one_of_each()[4], T0, 0);
    quiet.finish().expect("nothing was written");
    assert_eq!(quiet.refusals(), 1);
}

#[test]
fn names_without_an_answer_are_told_once_each_up_to_a_bound() {
    let mut report = Report::default();
    let unanswered = |name: &str| Event::Fail {
        process: None,
        target: target(Kind::Dns, name, None),
        reason: "no answer from 192.0.2.53:53".to_owned(),
    };
    for _ in 0..2 {
        report.record(&unanswered("example.com"), T0, 0);
    }
    let line = "weft: example.com could not be resolved: no answer from 192.0.2.53:53";
    assert_eq!(messages(&mut report), [line]);
    for number in 0..2 * UNRESOLVED_MAX {
        report.record(&unanswered(&format!("{number}.example.com")), T0, 0);
    }
    assert_eq!(messages(&mut report).len(), UNRESOLVED_MAX - 1);
    assert_eq!(report.refusals(), 0);
}
