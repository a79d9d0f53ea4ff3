//! Entries as bytes: what is written reads as it was, and what is not known is kept.

use super::*;
use crate::checkpoint::{Checkpoint, ORIGIN_BYTES_MAX};
use crate::hash::Hash;
use crate::shards::SHARDS_MAX;
use proptest::prelude::*;

fn full() -> Authorization {
    Authorization {
        verdict: Verdict::Allowed,
        reason: "allowed by --allow *.example:443".into(),
        rule: Some("*.example:443".into()),
        program: Some(Program {
            id: 4_711,
            executable: "/usr/bin/curl".into(),
            digest: Some(Digest([7; 32])),
            command_line: vec!["curl".into(), "https://docs.example/".into()],
            parents: vec![Parent { id: 4_710, executable: "/usr/bin/bash".into() }],
            user: Some(1_000),
            container: Some("build".into()),
            others: Vec::new(),
        }),
        protocol: Some(Protocol::Tcp),
        direction: Some(Direction::Connect),
        local: Some("10.0.2.15:40000".parse().unwrap()),
        remote: Some("[2001:db8::7]:443".parse().unwrap()),
        name: Some("docs.example".into()),
        port: Some(443),
        count: 1,
        path: None,
    }
}

fn seen(origin: &str) -> Checkpoint {
    Checkpoint { origin: origin.into(), size: 7, root: Hash([5; 32]) }
}

pub(super) fn every_event() -> Vec<Event> {
    vec![
        Event::ConnectionAuthorize(full()),
        Event::ConnectionAuthorize(Authorization {
            direction: Some(Direction::Connect),
            path: Some("/run/docker.sock".into()),
            ..Authorization::default()
        }),
        Event::ListenAuthorize(Authorization {
            direction: Some(Direction::Listen),
            protocol: Some(Protocol::Udp),
            ..Authorization::default()
        }),
        Event::ResolveAuthorize(Authorization {
            name: Some("a.example".into()),
            count: 30,
            ..Authorization::default()
        }),
        Event::ConnectionClose(Close { sequence: 1, outcome: Outcome::Other(99), ..Close::default() }),
        Event::PolicyChange(PolicyChange {
            digest: Digest([1; 32]),
            previous: Some(Digest([2; 32])),
            source: "policy.cedar".into(),
            closed: 3,
        }),
        Event::RunStart(RunStart {
            command: vec!["true".into()],
            directory: "/".into(),
            host: "h".into(),
            version: "0.1.0".into(),
            user: Some(0),
            policy: Some(Digest([3; 32])),
            outer: Some(RunId([4; 16])),
        }),
        Event::RunEnd(RunEnd { status: Some(137), allowed: 1, ..RunEnd::default() }),
        Event::LogStart(LogStart { sequence: 1_000, previous: "note".into(), oldest: Some(3) }),
        Event::ShardsSeen(ShardsSeen { shards: vec![seen("a/shard-2"), seen("a")] }),
    ]
}

#[test]
fn every_event_reads_as_it_was_written() {
    for event in every_event() {
        let entry = Entry::new(5, RunId([9; 16]), event);
        let bytes = entry.encode().unwrap();
        assert_eq!(Entry::decode(&bytes).unwrap(), entry);
        assert!(!entry.is_cut);
        assert_eq!(tells_of_shards(&bytes), matches!(entry.event, Event::ShardsSeen(_)));
    }
}

/// The bytes are the format: what is written today must be written tomorrow.
#[test]
fn a_refusal_is_these_bytes() {
    let refused = Authorization {
        reason: "no rule allows it".into(),
        protocol: Some(Protocol::Tcp),
        direction: Some(Direction::Connect),
        remote: Some("192.0.2.1:80".parse().unwrap()),
        port: Some(80),
        ..Authorization::default()
    };
    let entry = Entry::new(1, RunId([0xab; 16]), Event::ConnectionAuthorize(refused));
    assert_eq!(
        Value::decode(&entry.encode().unwrap()).unwrap().to_string(),
        "{0: 1, 1: 1, 2: h'abababababababababababababababab', 4: false, 5: \"no rule allows it\", 8: 6, 9: 0, \
         11: [h'c0000201', 80], 13: 80}"
    );
}

#[test]
fn what_tells_of_shards_is_known_by_its_first_bytes() {
    let mut entry = Entry::new(5, RunId([9; 16]), Event::ShardsSeen(ShardsSeen::default()));
    for count in 0..40 {
        assert!(tells_of_shards(&entry.encode().unwrap()), "{count} more fields");
        entry.others.push((100 + count, Value::Null));
    }
    assert!(!tells_of_shards(&[]));
}

#[test]
fn a_field_of_a_later_version_is_kept() {
    for event in every_event() {
        let mut entry = Entry::new(5, RunId::default(), event);
        entry.others = vec![(100, Value::text("later")), (1_000, Value::Negative(0))];
        if let Event::ConnectionAuthorize(Authorization { program: Some(program), .. }) = &mut entry.event {
            program.others = vec![(50, Value::Null)];
        }
        let bytes = entry.encode().unwrap();
        assert_eq!(Entry::decode(&bytes).unwrap(), entry);
    }
}

#[test]
fn a_kind_of_a_later_version_is_kept() {
    let entry = Entry {
        time_ns: 7,
        run: RunId([1; 16]),
        event: Event::Unknown { kind: 77 },
        is_cut: false,
        others: vec![(4, Value::text("reward"))],
    };
    assert_eq!(Entry::decode(&entry.encode().unwrap()).unwrap(), entry);
}

#[test]
fn an_entry_that_lacks_what_its_kind_needs_is_unknown_and_whole() {
    let entry = Entry::new(7, RunId([1; 16]), Event::ConnectionClose(Close::default()));
    let Ok(Value::Map(mut pairs)) = Value::decode(&entry.encode().unwrap()) else { panic!("a map") };
    pairs.retain(|(key, _)| *key != Value::Unsigned(OWN + 2));
    let bytes = Value::Map(pairs).encode();
    let read = Entry::decode(&bytes).unwrap();
    assert_eq!((read.event.kind(), read.time_ns), (CONNECTION_CLOSE, 7));
    assert!(matches!(read.event, Event::Unknown { .. }));
    assert_eq!(read.encode().unwrap(), bytes);
}

#[test]
fn what_is_too_long_is_cut_and_says_so() {
    let long = |bytes: usize| "ü".repeat(bytes);
    let asked = Authorization {
        reason: long(9_000),
        rule: Some(long(9_000)),
        name: Some(long(9_000)),
        program: Some(Program {
            executable: long(9_000),
            command_line: vec![long(10); 10_000],
            parents: vec![Parent { id: u32::MAX, executable: long(9_000) }; 100],
            container: Some(long(9_000)),
            ..full().program.unwrap()
        }),
        count: u64::MAX,
        ..full()
    };
    let entry = Entry::new(u64::MAX, RunId([1; 16]), Event::ConnectionAuthorize(asked));
    assert!(entry.is_cut);
    let bytes = entry.encode().expect("all bounds together are below the entry's");
    assert_eq!(Entry::decode(&bytes).unwrap(), entry);
    let start = RunStart {
        command: vec![String::new(); 100_000],
        directory: long(9_000),
        host: long(9_000),
        version: long(9_000),
        ..RunStart::default()
    };
    for event in [
        Event::RunStart(start),
        Event::LogStart(LogStart { sequence: 0, previous: long(50_000), oldest: None }),
        Event::PolicyChange(PolicyChange {
            digest: Digest([0; 32]),
            previous: None,
            source: long(9_000),
            closed: 0,
        }),
    ] {
        let entry = Entry::new(0, RunId::default(), event);
        assert!(entry.is_cut);
        assert_eq!(Entry::decode(&entry.encode().unwrap()).unwrap(), entry);
    }
}

#[test]
fn what_was_seen_of_shards_is_these_bytes_and_has_a_bound() {
    let entry =
        |shards: Vec<Checkpoint>| Entry::new(1, RunId::default(), Event::ShardsSeen(ShardsSeen { shards }));
    assert_eq!(
        Value::decode(&entry(vec![seen("a")]).encode().unwrap()).unwrap().to_string(),
        format!("{{0: 9, 1: 1, 2: h'{}', 4: [[\"a\", 7, h'{}']]}}", "00".repeat(16), "05".repeat(32))
    );
    let longest = seen(&"a".repeat(ORIGIN_BYTES_MAX));
    let most = entry(vec![longest.clone(); SHARDS_MAX as usize]);
    assert!(!most.is_cut);
    assert_eq!(Entry::decode(&most.encode().unwrap()).unwrap(), most);
    // One more is left out, and one whose name is too long: cut, it would be another's.
    let more = entry(vec![longest.clone(); SHARDS_MAX as usize + 1]);
    assert!(more.is_cut && more.event == most.event);
    let other = entry(vec![seen(&"a".repeat(ORIGIN_BYTES_MAX + 1)), longest.clone()]);
    assert!(other.is_cut && other.event == entry(vec![longest]).event);
}

#[test]
fn an_entry_has_a_bound() {
    let mut entry = Entry::new(0, RunId::default(), Event::Unknown { kind: 99 });
    let bare = entry.encode().unwrap().len();
    // The key takes one byte, the length three.
    entry.others = vec![(4, Value::Bytes(vec![0; ENTRY_BYTES_MAX - bare - 4]))];
    assert_eq!(entry.encode().unwrap().len(), ENTRY_BYTES_MAX);
    entry.others = vec![(4, Value::Bytes(vec![0; ENTRY_BYTES_MAX - bare - 3]))];
    assert_eq!(entry.encode(), Err(TooLong { length: ENTRY_BYTES_MAX + 1 }));
}

#[test]
fn ids_are_hexadecimal() {
    for text in ["", "0", "+00102030405060708090a0b0c0d0e0f", "zz0102030405060708090a0b0c0d0e0f"] {
        assert_eq!(text.parse::<RunId>(), Err(RunIdError), "{text}");
    }
}

proptest! {
    /// Whatever is well formed reads as an entry, and is written as the same bytes: maps with the fields of an entry and
    /// values of any kind in them.
    #[test]
    fn any_map_is_an_entry(
        kind in 0u64..11,
        values in proptest::collection::btree_map(0u64..20, 0usize..10, 0..16),
    ) {
        let samples = [
            Value::Unsigned(1), Value::Unsigned(70_000), Value::Negative(3), Value::Null, Value::Bool(true),
            Value::Bool(false), Value::text("a"), Value::Bytes(vec![1; 16]),
            Value::Array(vec![Value::Bytes(vec![1; 4]), Value::Unsigned(9)]), Value::map(vec![]),
        ];
        let mut fields: Vec<(u64, Value)> =
            values.into_iter().filter(|(key, _)| *key > 2).map(|(key, at)| (key, samples[at].clone())).collect();
        fields.extend([(KIND, Value::Unsigned(kind)), (TIME, Value::Unsigned(1)), (RUN, Value::Bytes(vec![1; 16]))]);
        let bytes = Value::map(fields.into_iter().map(|(key, value)| (Value::Unsigned(key), value)).collect()).encode();
        prop_assert_eq!(Entry::decode(&bytes).unwrap().encode().unwrap(), bytes);
    }

    #[test]
    fn any_bytes_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(entry) = Entry::decode(&bytes) {
            prop_assert_eq!(entry.encode().unwrap(), bytes);
        }
    }
}
