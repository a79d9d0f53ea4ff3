//! What a hostile program, resolver or server may send, as functions of any bytes: each panics where something happens
//! that must not. They are public for the fuzzer; the test replays the corpora of testing/fuzz with mutations.

use crate::inspect::{OpenedConnections, QuicInspector, QuicOutcome, TlsInspector, TlsOutcome};
use crate::names::is_synthetic;
use crate::resolver::{Client, Config, Resolver, Transport, UDP_BYTES_MAX, Upstream, UpstreamQuery};
use axiom::policy::Policy;
use axiom::rules::Rule;
use axiom::{Context, Proposal};
use hickory_proto::op::Message;
use hickory_proto::rr::{RData, RecordType};
use time::Instant;

const NOW: Instant = Instant::from_secs(1);

/// A rule's text: it is understood as it is written, or an error points into it.
pub fn rule(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match text.parse::<Rule>() {
        Ok(rule) => assert_eq!(&**rule.text(), text, "a rule keeps its text"),
        Err(error) => {
            assert!((1..=text.chars().count() + 1).contains(&error.column), "a column lies within the rule");
            assert_eq!(error.to_string().lines().count(), 3, "an error is three lines");
        }
    }
}

/// The child's DNS messages, by UDP and by TCP: each has at most one reply, within its bounds, and no name that no rule
/// allows goes upstream.
pub fn dns_query(input: &[u8]) {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut resolver = resolver();
        let client = Client { token: 1, transport };
        resolver.handle_query(client, input);
        decide(&mut resolver);
        if let Some(reply) = resolver.poll_reply() {
            assert_eq!(reply.bytes[..2], input[..2], "a reply has its query's id");
            assert!(Message::from_vec(&reply.bytes).is_ok(), "a reply can be read");
            let bytes_max = if transport == Transport::Udp { UDP_BYTES_MAX } else { u16::MAX };
            assert!(reply.bytes.len() <= usize::from(bytes_max), "a reply is within its bound");
        }
        assert!(resolver.poll_reply().is_none(), "a query has one reply");
        for query in sent(&mut resolver) {
            let asked = Message::from_vec(&query.bytes).expect("what is asked can be read");
            let name = asked.queries[0].name.to_lowercase().to_ascii();
            assert!(name.ends_with("example.com."), "{name} went upstream");
        }
    }
}

/// Upstream's answers: the first byte says which type was asked for, the rest stands behind a header and question that
/// are the right ones. No address but one that stands for a name reaches the child, whatever upstream says.
pub fn dns_upstream(input: &[u8]) {
    let types = [
        RecordType::A,
        RecordType::AAAA,
        RecordType::HTTPS,
        RecordType::TXT,
        RecordType::MX,
        RecordType::CNAME,
    ];
    let Some((first, input)) = input.split_first() else { return };
    let record_type = types[usize::from(*first) % types.len()];
    let mut resolver = resolver();
    let mut query = Message::new(7, hickory_proto::op::MessageType::Query, hickory_proto::op::OpCode::Query);
    let name = hickory_proto::rr::Name::from_ascii("www.example.com.").expect("a name");
    query.queries.push(hickory_proto::op::Query::query(name, record_type));
    let bytes = query.to_vec().expect("a query");
    resolver.handle_query(Client { token: 1, transport: Transport::Tcp }, &bytes);
    decide(&mut resolver);
    // Aliases have it ask again, truncation by TCP: the same bytes answer each time.
    for _ in 0..32 {
        let Some(query) = sent(&mut resolver).pop() else { break };
        let question_end = question_end(&query.bytes);
        let mut answer = query.bytes[..question_end].to_vec();
        answer[2] |= 0x80;
        if let Some(counts) = input.get(..7) {
            answer[3] = counts[0];
            answer[6..12].copy_from_slice(&[0, counts[1] & 7, 0, counts[2] & 7, 0, counts[3] & 7]);
            answer.extend_from_slice(&input[4..]);
        }
        resolver.handle_upstream(query.id, Ok(&answer), NOW);
        resolver.handle_upstream(query.id, Ok(input), NOW);
    }
    while let Some((when, why)) = resolver.poll_timeout().map(|when| (when, "no answer")) {
        resolver.handle_timeout(when);
        assert!(when < NOW + time::Duration::from_secs(60), "{why}: a lookup ends");
    }
    let reply = resolver.poll_reply().expect("the child is answered in the end");
    assert!(resolver.poll_reply().is_none(), "once");
    let reply = Message::from_vec(&reply.bytes).expect("a reply can be read");
    for record in reply.answers.iter().chain(&reply.authorities).chain(&reply.additionals) {
        if let Some(address) = record.data.ip_addr() {
            assert!(is_synthetic(address), "{address} reached the child");
        }
        if let RData::HTTPS(service) = &record.data {
            let keys: Vec<u16> = service.0.svc_params.iter().map(|(key, _)| u16::from(*key)).collect();
            assert!(!keys.iter().any(|key| [4, 5, 6].contains(key)), "hints or ECH reached the child");
        }
    }
}

/// A TCP stream's first bytes: the outcome is the same however they are cut.
pub fn client_hello(input: &[u8]) {
    let whole = TlsInspector::default().push(input);
    let mut inspector = TlsInspector::default();
    let mut cut = TlsOutcome::NeedMore;
    for byte in input {
        cut = inspector.push(std::slice::from_ref(byte));
        if cut != TlsOutcome::NeedMore {
            break;
        }
    }
    assert_eq!(cut, whole, "how a stream is cut changes nothing");
}

/// A flow's datagrams, each behind its length in two bytes.
pub fn quic(mut input: &[u8]) {
    let mut inspector = QuicInspector::default();
    let mut opened = OpenedConnections::default();
    while let Some((length, rest)) = input.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (datagram, rest) = rest.split_at(length);
        input = rest;
        let outcome = inspector.push(datagram, &mut opened, Instant::ZERO);
        let long = datagram.first().is_some_and(|first| first & 0x80 != 0);
        assert!(long || outcome == QuicOutcome::NotQuic, "only a long header opens a connection");
    }
}

fn resolver() -> Resolver {
    Resolver::new(Config::new(policy(), [3; 32]))
}

fn policy() -> Policy {
    Policy::of_rules(&["example.com".into(), "*.example.com:443".into()], &[]).expect("rules")
}

/// Answers what is wanted as the policy does.
fn decide(resolver: &mut Resolver) {
    let policy = policy();
    while let Some(wanted) = resolver.poll_wanted() {
        let decision = policy.decide(&Proposal::resolve(wanted.host), Context::default());
        resolver.handle_verdict(wanted.id, decision.allowed, NOW);
    }
}

/// The queries that wait upstream.
fn sent(resolver: &mut Resolver) -> Vec<UpstreamQuery> {
    let mut sent = Vec::new();
    while let Some(upstream) = resolver.poll_upstream() {
        match upstream {
            Upstream::Send(query) => sent.push(query),
            Upstream::Close(id) => sent.retain(|query| query.id != id),
        }
    }
    sent
}

/// Where a query's question ends: behind the name's last label, type and class.
fn question_end(query: &[u8]) -> usize {
    let mut at = 12;
    while query[at] != 0 {
        at += 1 + usize::from(query[at]);
    }
    at + 5
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    type Target = fn(&[u8]);

    const TARGETS: [(&str, Target); 5] = [
        ("rule", rule),
        ("dns_query", dns_query),
        ("dns_upstream", dns_upstream),
        ("client_hello", client_hello),
        ("quic", quic),
    ];

    fn corpus(name: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testing/fuzz/corpus").join(name);
        let mut paths: Vec<_> = std::fs::read_dir(folder)
            .expect("a corpus")
            .map(|entry| entry.expect("readable").path())
            .collect();
        paths.sort();
        assert!(paths.len() >= 12, "{name} has a corpus of {}", paths.len());
        paths.into_iter().map(|path| std::fs::read(path).expect("readable")).collect()
    }

    /// What is done to an input: a byte replaced, bytes cut out, or bytes put in.
    fn mutated(input: &[u8], changes: &[(usize, u8, u8)]) -> Vec<u8> {
        let mut out = input.to_vec();
        for (at, action, value) in changes {
            let at = at % (out.len() + 1);
            match action % 4 {
                0 | 1 if at < out.len() => out[at] = *value,
                2 => drop(out.drain(at..out.len().min(at + usize::from(*value % 16)))),
                _ => out.insert(at, *value),
            }
        }
        out
    }

    #[test]
    fn the_corpora_pass() {
        for (name, target) in TARGETS {
            corpus(name).iter().for_each(|input| target(input));
        }
    }

    proptest! {
        #[test]
        fn mutations_of_the_corpora_pass(
            target in 0usize..TARGETS.len(),
            input in any::<prop::sample::Index>(),
            changes in proptest::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 0..5),
        ) {
            let (name, target) = TARGETS[target];
            let inputs = corpus(name);
            target(&mutated(&inputs[input.index(inputs.len())], &changes));
        }
    }
}
