//! Which entries are asked for.

use crate::args::{Select, SelectedHost};
use axiom::domain::DomainName;
use ledger::{Authorization, Direction, Entry, EntryNumber, Event, Program, ShardNumber};
use std::collections::{BTreeMap, BTreeSet};

/// How many connections of each shard that were taken are remembered, to take their ends as well; the oldest are forgotten
/// first.
const REMEMBERED_MAX: usize = 65_536;

/// What is asked for, and what was taken lately.
#[derive(Debug)]
pub struct Selection {
    asked: Select,
    taken: BTreeMap<ShardNumber, BTreeSet<u64>>,
}

impl Selection {
    pub fn new(asked: Select) -> Self {
        Self { asked, taken: BTreeMap::new() }
    }

    /// Whether this entry is asked for. Entries of a shard come in their order.
    pub fn takes(&mut self, number: EntryNumber, entry: &Entry) -> bool {
        let asked = &self.asked;
        let is_in_time = asked.since.is_none_or(|since| entry.time_ns >= since)
            && asked.until.is_none_or(|until| entry.time_ns < until)
            && asked.run.is_none_or(|run| run == entry.run);
        let is_narrowed = asked.program.is_some() || asked.host.is_some() || asked.verdict.is_some();
        let is_taken = match &entry.event {
            Event::ConnectionAuthorize(asked)
            | Event::ListenAuthorize(asked)
            | Event::ResolveAuthorize(asked) => self.takes_authorization(asked),
            // The end of a connection is told with its beginning.
            Event::ConnectionClose(close) => {
                let taken = self.taken.get_mut(&number.shard);
                !is_narrowed || taken.is_some_and(|taken| taken.remove(&close.sequence))
            }
            Event::PolicyChange(_)
            | Event::RunStart(_)
            | Event::RunEnd(_)
            | Event::LogStart(_)
            | Event::ShardsSeen(_)
            | Event::Unknown { .. }
            | Event::Shapeless(_) => !is_narrowed,
        };
        if is_taken && is_narrowed && matches!(entry.event, Event::ConnectionAuthorize(_)) {
            let taken = self.taken.entry(number.shard).or_default();
            taken.insert(number.sequence);
            if taken.len() > REMEMBERED_MAX {
                taken.pop_first();
            }
        }
        is_in_time && is_taken
    }

    fn takes_authorization(&self, entry: &Authorization) -> bool {
        let asked = &self.asked;
        asked.verdict.is_none_or(|verdict| verdict.is(entry.verdict))
            && asked.host.as_ref().is_none_or(|host| is_host(host, entry))
            && asked
                .program
                .as_ref()
                .is_none_or(|name| entry.program.as_ref().is_some_and(|of| is_program(name, of)))
    }
}

fn is_program(name: &str, program: &Program) -> bool {
    program.executable == name || program.executable.rsplit('/').next() == Some(name)
}

fn is_host(host: &SelectedHost, entry: &Authorization) -> bool {
    let is_name = |is_it: &dyn Fn(&DomainName) -> bool| {
        entry.name.as_ref().is_some_and(|name| DomainName::parse(name).is_ok_and(|name| is_it(&name)))
    };
    match host {
        SelectedHost::Unix(path) => entry.path.as_ref() == Some(path),
        SelectedHost::Network(network) => {
            // A listener has no far end: the place that it is about is its own.
            let is_own = matches!(entry.direction, Some(Direction::Bind | Direction::Listen));
            let place = if is_own { entry.local } else { entry.remote };
            place.is_some_and(|place| network.contains(place.ip().to_canonical()))
        }
        SelectedHost::Name(asked) => is_name(&|name| name == asked),
        SelectedHost::Below(parent) => {
            is_name(&|name| name.ancestors().any(|above| above == parent.as_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{Close, RunId, Verdict};

    /// As it is read from the command line.
    fn host(text: &str) -> Option<SelectedHost> {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            select: Select,
        }
        let line = <Line as clap::Parser>::try_parse_from(["list", "--host", text]);
        line.expect("a host").select.host
    }

    fn number(shard: u64, sequence: u64) -> EntryNumber {
        EntryNumber { shard: ShardNumber::new(shard).unwrap(), sequence }
    }

    fn asked(select: Select, entries: &[Entry]) -> Vec<u64> {
        let mut selection = Selection::new(select);
        let numbered = (0..).zip(entries);
        numbered
            .filter(|(sequence, entry)| selection.takes(number(1, *sequence), entry))
            .map(|(sequence, _)| sequence)
            .collect()
    }

    fn connection(time_ns: u64, name: &str, remote: &str, program: &str, verdict: Verdict) -> Entry {
        let asked = Authorization {
            verdict,
            name: Some(name.into()),
            remote: remote.parse().ok(),
            program: Some(Program { executable: program.into(), ..Program::default() }),
            ..Authorization::default()
        };
        Entry::new(time_ns, RunId([time_ns as u8; 16]), Event::ConnectionAuthorize(asked))
    }

    #[test]
    fn entries_are_taken_by_what_they_say_and_ends_with_their_beginnings() {
        let entries = [
            connection(1, "a.example", "192.0.2.1:443", "/usr/bin/curl", Verdict::Allowed),
            connection(2, "b.A.example", "[2001:db8::1]:443", "/opt/curl", Verdict::Refused),
            connection(3, "ba.example", "", "/usr/bin/wget", Verdict::Allowed),
            Entry::new(4, RunId([1; 16]), Event::ConnectionClose(Close { sequence: 0, ..Close::default() })),
            Entry::new(5, RunId([3; 16]), Event::ConnectionClose(Close { sequence: 2, ..Close::default() })),
        ];
        let all = |select| asked(select, &entries);
        assert_eq!(all(Select::default()), [0, 1, 2, 3, 4]);
        assert_eq!(all(Select { since: Some(2), until: Some(5), ..Select::default() }), [1, 2, 3]);
        assert_eq!(all(Select { run: Some(RunId([1; 16])), ..Select::default() }), [0, 3]);
        let program = |name: &str| all(Select { program: Some(name.into()), ..Select::default() });
        assert_eq!(program("curl"), [0, 1, 3]);
        assert_eq!(program("/usr/bin/wget"), [2, 4]);
        let host = |name: &str| all(Select { host: host(name), ..Select::default() });
        assert_eq!(host("A.example"), [0, 3]);
        assert_eq!(host("*.a.example"), [1]);
        assert_eq!(host("::ffff:192.0.2.1"), [0, 3]);
        assert_eq!(host("2001:db8::1"), [1]);
        assert_eq!((host("192.0.2.0/24"), host("a.example.")), (vec![0, 3], vec![0, 3]));
        let verdict = clap::ValueEnum::from_str("refused", false).ok();
        assert_eq!(all(Select { verdict, ..Select::default() }), [1]);
    }

    #[test]
    fn a_listener_is_taken_by_its_own_address() {
        let listener = Authorization {
            direction: Some(Direction::Listen),
            local: "127.0.0.1:80".parse().ok(),
            ..Authorization::default()
        };
        let listener = Entry::new(6, RunId([1; 16]), Event::ListenAuthorize(listener));
        let taken =
            |text| asked(Select { host: host(text), ..Select::default() }, std::slice::from_ref(&listener));
        assert_eq!((taken("127.0.0.0/8"), taken("192.0.2.1")), (vec![0], vec![]));
    }

    #[test]
    fn the_end_of_a_connection_is_one_of_its_own_shard() {
        let mut selection = Selection::new(Select { host: host("a.example"), ..Select::default() });
        let asked = connection(1, "a.example", "", "/usr/bin/curl", Verdict::Allowed);
        let end =
            Entry::new(2, RunId([1; 16]), Event::ConnectionClose(Close { sequence: 7, ..Close::default() }));
        assert!(selection.takes(number(2, 7), &asked));
        assert!(!selection.takes(number(1, 8), &end) && !selection.takes(number(3, 8), &end));
        assert!(selection.takes(number(2, 8), &end));
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut selection = Selection::new(Select { host: host("a.example"), ..Select::default() });
        let asked = connection(1, "a.example", "", "/usr/bin/curl", Verdict::Allowed);
        let end = |sequence| {
            Entry::new(2, RunId([1; 16]), Event::ConnectionClose(Close { sequence, ..Close::default() }))
        };
        for sequence in 0..=REMEMBERED_MAX as u64 {
            assert!(selection.takes(number(1, sequence), &asked));
        }
        assert_eq!(selection.taken[&ShardNumber::FIRST].len(), REMEMBERED_MAX);
        assert!(
            !selection.takes(number(1, 100_000), &end(0)) && selection.takes(number(1, 100_001), &end(1))
        );
    }
}
