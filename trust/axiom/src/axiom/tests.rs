//! What is committed and rejected, and what the ledger then holds.

use super::*;
use crate::policy::Question;
use crate::refusals::{COUNTING, NEW_PER_SECOND_MAX, WAITING_MAX};
use ledger::{LogConfig, Position};
use time::Duration;

fn axiom(allow: &[&str]) -> Axiom {
    let allow: Vec<String> = allow.iter().map(|rule| (*rule).to_owned()).collect();
    let policy = Policy::of_rules(&allow, &[]).expect("a policy");
    Axiom::new(policy, Log::start(Position::default(), LogConfig::default()))
}

fn at_ms(ms: u64) -> Moment {
    Moment { now: Instant::ZERO + Duration::from_millis(ms), time_ns: ms * 1_000_000 }
}

fn ask(text: &str) -> Proposal {
    Question::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).proposal
}

fn reject(axiom: &mut Axiom, text: &str, ms: u64) -> Rejected {
    match axiom.submit(&ask(text), at_ms(ms)) {
        Verdict::Rejected(rejected) => rejected,
        Verdict::Committed(_) => panic!("{text} was committed"),
    }
}

/// Every entry that waits to be written.
fn entries(axiom: &mut Axiom) -> Vec<Entry> {
    let mut entries = Vec::new();
    let log = axiom.log_mut();
    log.publish(Instant::ZERO);
    while let Some(batch) = log.poll_write(Instant::from_secs(1_000_000)) {
        let mut records = batch.records();
        while let Some((length, rest)) = records.split_first_chunk() {
            let (entry, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
            entries.push(Entry::decode(entry).expect("an entry"));
            records = rest;
        }
        let next = batch.first() + batch.count();
        log.handle_written(ledger::Written { next, checkpoint: String::new() }, Instant::ZERO);
    }
    entries
}

fn asked(entry: &Entry) -> &Authorization {
    entry.event.authorization().expect("a question")
}

#[test]
fn every_kind_is_an_entry_of_its_own() {
    let mut axiom = axiom(&["a.example", "192.0.2.1"]);
    for (sequence, question) in
        ["connect udp://a.example:53 program=/bin/a address=192.0.2.1", "ping 192.0.2.1", "resolve a.example"]
            .into_iter()
            .enumerate()
    {
        match axiom.submit(&ask(question), at_ms(7)) {
            Verdict::Committed(committed) => assert_eq!(committed.sequence, sequence as u64),
            Verdict::Rejected(rejected) => panic!("{question}: {}", rejected.reason),
        }
    }
    for question in ["listen 0.0.0.0:80", "bind udp://0.0.0.0:80", "accept 192.0.2.9:80"] {
        assert_eq!(reject(&mut axiom, question, 8).reason, "no rule allows it");
    }
    let entries = entries(&mut axiom);
    let kinds: Vec<u64> = entries.iter().map(|entry| entry.event.kind()).collect();
    assert_eq!(kinds, [1, 1, 3, 2, 2, 1]);
    let first = asked(&entries[0]);
    assert_eq!(first.reason, "allowed by --allow a.example");
    assert_eq!(first.rule.as_deref(), Some("a.example"));
    assert_eq!(first.program.as_ref().map(|program| program.executable.as_str()), Some("/bin/a"));
    assert_eq!((first.name.as_deref(), first.port), (Some("a.example"), Some(53)));
    assert_eq!(first.remote, Some("192.0.2.1:53".parse().expect("an address")));
    let directions: Vec<_> = entries.iter().map(|entry| asked(entry).direction).collect();
    let expected = [
        Some(Direction::Connect),
        Some(Direction::Connect),
        None,
        Some(Direction::Listen),
        Some(Direction::Bind),
        Some(Direction::Accept),
    ];
    assert_eq!(directions, expected);
    assert_eq!(entries[0].time_ns, 7_000_000);
}

#[test]
fn nothing_is_committed_where_the_ledger_cannot_be_written() {
    let mut axiom = axiom(&["a.example"]);
    axiom.log_mut().handle_failed("no space left on device");
    let rejected = reject(&mut axiom, "connect a.example:1", 0);
    assert_eq!(rejected.reason, "the ledger cannot be written: no space left on device");
    assert_eq!(rejected.sequence, None);
    assert_eq!(reject(&mut axiom, "connect b.example:1", 0).reason, "no rule allows it");
}

#[test]
fn the_same_refusal_again_is_counted_and_told_once_a_second() {
    let mut axiom = axiom(&[]);
    assert_eq!(axiom.poll_timeout(), None);
    assert_eq!(reject(&mut axiom, "connect a.example:1", 0).sequence, Some(0));
    for ms in 1..=10 {
        assert_eq!(reject(&mut axiom, "connect a.example:1", ms).sequence, Some(0));
    }
    assert_eq!(reject(&mut axiom, "connect a.example:2", 11).sequence, Some(1));
    assert_eq!(axiom.poll_timeout(), Some(Instant::ZERO + COUNTING));
    axiom.handle_timeout(at_ms(1_000));
    assert_eq!(reject(&mut axiom, "connect a.example:1", 1_001).sequence, Some(2));
    axiom.handle_timeout(at_ms(3_000));
    axiom.handle_timeout(at_ms(5_000));
    assert_eq!(axiom.poll_timeout(), None, "who stays away for a second is forgotten");
    let counts: Vec<u64> = entries(&mut axiom).iter().map(|entry| asked(entry).count).collect();
    assert_eq!(counts, [1, 1, 10, 1]);
}

#[test]
fn many_different_refusals_are_counted_together() {
    let mut axiom = axiom(&[]);
    for port in 1..=1_000 {
        let rejected = reject(&mut axiom, &format!("connect a.example:{port}"), 0);
        assert_eq!(rejected.sequence.is_some(), port <= NEW_PER_SECOND_MAX);
    }
    axiom.handle_timeout(at_ms(1_000));
    let entries = entries(&mut axiom);
    assert_eq!(entries.len() as u64, NEW_PER_SECOND_MAX + 1);
    assert_eq!(asked(&entries[64]).count, 1_000 - NEW_PER_SECOND_MAX);
}

#[test]
fn what_is_looked_out_for_is_bounded() {
    let mut axiom = axiom(&[]);
    // All that were told are repeated within each second, so that none is forgotten.
    for second in 0..8 {
        for port in 1..=(second + 1) * 64 {
            let _ = reject(&mut axiom, &format!("connect a.example:{port}"), second * 1_000);
            let _ = reject(&mut axiom, &format!("connect a.example:{port}"), second * 1_000);
        }
    }
    let waiting = (1..=512)
        .filter(|port| reject(&mut axiom, &format!("connect a.example:{port}"), 7_000).sequence.is_some());
    assert_eq!(waiting.count(), WAITING_MAX);
}

#[test]
fn another_policy_decides_from_its_entry_on() {
    let mut axiom = axiom(&["a.example"]);
    let (old, proposal) = (axiom.policy().digest(), ask("connect a.example:1"));
    assert!(matches!(axiom.submit(&proposal, at_ms(0)), Verdict::Committed(_)));
    let policy = Policy::of_rules(&["b.example".into()], &[]).expect("a policy");
    assert!(!policy.would_still_allow(&proposal, Context::default()));
    assert_eq!(axiom.change_policy(policy, "p.list", RunId::default(), 1, at_ms(1)), Ok(1));
    assert!(matches!(axiom.submit(&proposal, at_ms(2)), Verdict::Rejected(_)));
    let digest = axiom.policy().digest();
    let change = PolicyChange { digest, previous: Some(old), source: "p.list".into(), closed: 1 };
    assert_eq!(entries(&mut axiom)[1].event, Event::PolicyChange(change));
}

#[test]
fn carried_bytes_and_the_time_are_what_a_policy_sees() {
    let text = "permit (principal, action, resource) when { context.bytes < 10 && context.time < datetime(\"1970-01-02\") };";
    let mut load = |_: &str| Ok(text.as_bytes().to_vec());
    let policy =
        crate::policy::PolicyBuilder::default().file("p.cedar", &mut load).build().expect("a policy");
    let mut axiom = Axiom::new(policy, Log::start(Position::default(), LogConfig::default()));
    let proposal = ask("connect a.example:1");
    assert!(matches!(axiom.submit(&proposal, at_ms(0)), Verdict::Committed(_)));
    assert!(matches!(axiom.submit(&proposal, at_ms(86_400_000)), Verdict::Rejected(_)));
    axiom.add_carried(10);
    assert!(matches!(axiom.submit(&proposal, at_ms(0)), Verdict::Rejected(_)));
}
