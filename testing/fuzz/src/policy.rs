//! Policies in either form, and questions to them, of any bytes.

use axiom::policy::{Complaint, Expectations, Place, Policy, PolicyBuilder, Question, format};
use std::str;

/// Questions that every policy is asked.
const QUESTIONS: [&str; 5] = [
    "connect tcp://example.com:443 address=203.0.113.80 program=/usr/bin/curl user=1000",
    "connect udp://[2001:db8::1]:53",
    "resolve a.example.com",
    "ping icmp://192.0.2.1",
    "accept 198.51.100.7:80",
];

/// Reads any text as a policy in the short format, which may include itself.
///
/// # Panics
///
/// Where reading panics, a complaint points outside of the text, or the formatted text decides otherwise.
pub fn policy_list(data: &[u8]) {
    policy("a.list", data);
}

/// The same in Cedar.
///
/// # Panics
///
/// As [`policy_list`].
pub fn policy_cedar(data: &[u8]) {
    policy("a.cedar", data);
}

/// Reads any text as a question, and as a file of expected verdicts.
///
/// # Panics
///
/// Where reading panics, an error points outside of the text, or an endpoint as it is told asks for something else.
pub fn policy_question(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let policy = Policy::of_rules(&["example.com:443".into(), "unix:/run/a".into()], &["10.0.0.0/8".into()])
        .expect("good rules");
    match Question::parse(text) {
        Ok(Question { proposal, context, .. }) => {
            let decision = policy.decide(&proposal, context);
            assert_eq!(decision.allowed, policy.decide(&proposal, context).allowed);
            let told = std::format!("{} {}", proposal.kind, proposal.endpoint());
            let again = Question::parse(&told).unwrap_or_else(|error| panic!("{told}: {error}")).proposal;
            assert_eq!(
                (again.name, again.port, again.protocol),
                (proposal.name, proposal.port, proposal.protocol),
                "{told}"
            );
        }
        Err(error) => assert!((1..=text.chars().count() + 1).contains(&error.column), "{error}"),
    }
    match Expectations::parse("a.expect", text) {
        Ok(expectations) => {
            let _ = expectations.hold_against(&policy);
        }
        Err(error) => expect_within(&error.complaints, text),
    }
}

fn policy(path: &str, data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let of = |text: &str| {
        let mut load = |wanted: &str| match wanted == path || wanted.ends_with(".list") {
            true => Ok(text.as_bytes().to_vec()),
            false => Err("no such file".to_owned()),
        };
        PolicyBuilder::default().file(path, &mut load).build()
    };
    let policy = match of(text) {
        Ok(policy) => policy,
        Err(error) => {
            assert!(!error.complaints.is_empty() && !error.to_string().is_empty());
            return expect_within(&error.complaints, text);
        }
    };
    let Ok(formatted) = format(path, text) else { return };
    let again = of(&formatted).unwrap_or_else(|error| panic!("{error}\n{formatted}"));
    assert_eq!(format(path, &formatted).as_ref(), Ok(&formatted), "what is formatted stays so");
    for question in QUESTIONS {
        let Question { proposal, context, .. } = Question::parse(question).expect("a question");
        let (one, other) = (policy.decide(&proposal, context), again.decide(&proposal, context));
        assert_eq!(one.allowed, other.allowed, "{question}\n{formatted}");
    }
}

/// Where a complaint is of the text itself, it points into it, or behind its end.
fn expect_within(complaints: &[Complaint], text: &str) {
    for complaint in complaints {
        let Place::File { line, column, .. } = &complaint.place else { continue };
        let letters = text.lines().nth(line - 1).map_or(0, |line| line.chars().count());
        assert!((1..=text.lines().count() + 1).contains(line), "{complaint}");
        assert!((1..=letters + 2).contains(column), "{complaint}");
    }
}
