//! What stands at the head of an entry, read without the rest: for whoever looks for one entry among a million.

use super::authorization::{
    COUNT, DIRECTION, NAME, PATH, PORT, PROGRAM, PROTOCOL, REASON, REMOTE, RULE, VERDICT,
};
use super::program::EXECUTABLE;
use super::{
    CONNECTION_AUTHORIZE, CONNECTION_CLOSE, CUT, KIND, LISTEN_AUTHORIZE, POLICY_CHANGE, RESOLVE_AUTHORIZE,
    RUN, RUN_END, RUN_START, RunId, TIME,
};
use crate::cbor::{RawFields, raw_number};

// RFC 8949 §3.1 and §3.3: the first byte of a string of sixteen bytes, and the simple values.
const SIXTEEN_BYTES: u8 = 0x50;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;

/// The head of an entry. Its fields are the first of a map, in the order of their keys (RFC 8949 §4.2.1), so that they are
/// found without a look at what follows. That may be anything: only [`Entry::decode`](super::Entry::decode) tells whether
/// the whole is an entry.
///
/// ```
/// use ledger::{Authorization, Entry, Event, Glance, RunId};
///
/// let run = RunId([7; 16]);
/// let asked = Event::ConnectionAuthorize(Authorization::default());
/// let bytes = Entry::new(1_795_000_000_000_000_000, run, asked).encode()?;
/// let head = Glance::of(&bytes).expect("a head");
/// assert!(head.is_refusal() && head.run == run && !head.is_close());
/// # Ok::<(), ledger::TooLong>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// When: nanoseconds since 1970-01-01 00:00 UTC.
    pub time_ns: u64,
    /// The run that it belongs to.
    pub run: RunId,
    kind: u64,
    /// Of what asks: whether it was allowed.
    is_allowed: Option<bool>,
}

impl Glance {
    /// The head of these bytes; `None` where they do not begin as an entry does.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut fields = RawFields::of(bytes)?;
        let kind = fields.next().filter(|(key, _)| *key == KIND).and_then(|(_, kind)| raw_number(kind))?;
        let time_ns = fields.next().filter(|(key, _)| *key == TIME).and_then(|(_, time)| raw_number(time))?;
        let run = fields.next().filter(|(key, _)| *key == RUN).and_then(|(_, run)| run_id(run))?;
        let own = fields.find(|(key, _)| *key != CUT);
        let is_allowed = match own {
            Some((VERDICT, &[FALSE])) if asks(kind) => Some(false),
            Some((VERDICT, &[TRUE])) if asks(kind) => Some(true),
            _ => None,
        };
        Some(Self { time_ns, run, kind, is_allowed })
    }

    /// Whether something was asked for, and refused.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.is_allowed == Some(false)
    }

    /// Whether a connection has ended.
    #[must_use]
    pub fn is_close(&self) -> bool {
        self.kind == CONNECTION_CLOSE
    }

    /// Whether the policy became another.
    #[must_use]
    pub fn is_policy_change(&self) -> bool {
        self.kind == POLICY_CHANGE
    }

    /// Whether a run began.
    #[must_use]
    pub fn is_run_start(&self) -> bool {
        self.kind == RUN_START
    }

    /// Whether a run ended.
    #[must_use]
    pub fn is_run_end(&self) -> bool {
        self.kind == RUN_END
    }
}

fn asks(kind: u64) -> bool {
    matches!(kind, CONNECTION_AUTHORIZE | LISTEN_AUTHORIZE | RESOLVE_AUTHORIZE)
}

fn run_id(bytes: &[u8]) -> Option<RunId> {
    match bytes {
        [SIXTEEN_BYTES, run @ ..] => run.try_into().ok().map(RunId),
        _ => None,
    }
}

/// A refusal as it is written, to be compared with others: each value is written in one way. Left out is what differs from
/// one time to the next: the program's port and process, and what else it runs as.
///
/// ```
/// use ledger::{Authorization, Entry, Event, Refusal, RunId};
///
/// let bytes = |port: u16, count| {
///     let local = Some(([10, 0, 2, 15], port).into());
///     let name = Some("ads.example".to_owned());
///     let asked = Authorization { local, name, count, ..Authorization::default() };
///     Entry::new(u64::from(port), RunId([7; 16]), Event::ConnectionAuthorize(asked)).encode()
/// };
/// let (first, again) = (bytes(40_000, 1)?, bytes(40_001, 30)?);
/// let (first, again) = (Refusal::of(&first).expect("one"), Refusal::of(&again).expect("one"));
/// assert!(first.is_same(&again));
/// assert_eq!((first.count, again.count), (1, 30));
/// # Ok::<(), ledger::TooLong>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// How often it was told.
    pub count: u64,
    kind: u64,
    fields: [Option<&'a [u8]>; COMPARED.len()],
    executable: Option<&'a [u8]>,
}

const COMPARED: [u64; 8] = [REASON, RULE, PROTOCOL, DIRECTION, REMOTE, NAME, PORT, PATH];

impl<'a> Refusal<'a> {
    /// That of these bytes; `None` where they are none.
    #[must_use]
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        let head = Glance::of(bytes).filter(Glance::is_refusal)?;
        let mut refusal = Self { count: 1, kind: head.kind, fields: Default::default(), executable: None };
        for (key, value) in RawFields::of(bytes)? {
            match COMPARED.iter().position(|compared| *compared == key) {
                Some(index) => refusal.fields[index] = Some(value),
                None if key == COUNT => refusal.count = raw_number(value)?,
                None if key == PROGRAM => {
                    let mut fields = RawFields::of(value)?;
                    refusal.executable = fields.find(|(key, _)| *key == EXECUTABLE).map(|(_, path)| path);
                }
                None => {}
            }
        }
        Some(refusal)
    }

    /// Whether the same was refused to the same program, for the same reason.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (self.kind, self.fields, self.executable) == (other.kind, other.fields, other.executable)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::every_event;
    use super::super::{Authorization, Direction, Entry, Event, Program, Protocol, Verdict};
    use super::*;

    #[test]
    fn a_head_says_what_the_whole_entry_says() {
        for event in every_event() {
            for is_cut in [false, true] {
                let entry = Entry { is_cut, ..Entry::new(5_000_000_000, RunId([9; 16]), event.clone()) };
                let bytes = entry.encode().unwrap();
                let head = Glance::of(&bytes).unwrap_or_else(|| panic!("{entry:?}"));
                let refused = |asked: &Authorization| asked.verdict == Verdict::Refused;
                assert_eq!((head.time_ns, head.run), (entry.time_ns, entry.run));
                assert_eq!(head.is_refusal(), event.authorization().is_some_and(refused), "{entry:?}");
                assert_eq!(head.is_close(), matches!(event, Event::ConnectionClose(_)));
                assert_eq!(head.is_policy_change(), matches!(event, Event::PolicyChange(_)));
                assert_eq!(head.is_run_start(), matches!(event, Event::RunStart(_)));
                assert_eq!(head.is_run_end(), matches!(event, Event::RunEnd(_)));
                // Cut anywhere, it is the same head or none.
                for end in 0..bytes.len() {
                    let cut = Glance::of(&bytes[..end]);
                    assert!(cut.is_none_or(|cut| (cut.time_ns, cut.run) == (head.time_ns, head.run)));
                }
            }
        }
    }

    #[test]
    fn what_is_no_entry_has_no_head() {
        for bytes in [&[][..], &[0xa1], &[0x80], &[0xa1, 0], &[0xa3, 0, 1, 1, 0x1c], &[0xbf, 0, 1], b"text"] {
            assert_eq!(Glance::of(bytes), None, "{bytes:02x?}");
        }
        let bytes = Entry::new(0, RunId::default(), Event::Unknown { kind: u64::MAX }).encode().unwrap();
        assert!(Glance::of(&bytes).is_some_and(|head| head.kind == u64::MAX && !head.is_refusal()));
    }

    #[test]
    fn a_refusal_is_compared_by_what_was_asked_for_and_why() {
        let first = Authorization {
            verdict: Verdict::Refused,
            program: Some(Program { executable: "/usr/bin/curl".into(), ..Program::default() }),
            name: Some("a.example".into()),
            ..Authorization::default()
        };
        let bytes = |event| Entry::new(1, RunId::default(), event).encode().unwrap();
        let of = |asked: &Authorization| bytes(Event::ConnectionAuthorize(asked.clone()));
        let is_same =
            |one: &[u8], other: &[u8]| Refusal::of(one).unwrap().is_same(&Refusal::of(other).unwrap());
        let other_process = Program {
            id: 9,
            user: Some(1),
            command_line: vec!["x".into()],
            ..first.program.clone().unwrap()
        };
        let again = Authorization {
            program: Some(other_process),
            local: "10.0.2.15:1".parse().ok(),
            count: 70_000,
            ..first.clone()
        };
        assert!(is_same(&of(&first), &of(&again)));
        assert_eq!(Refusal::of(&of(&again)).unwrap().count, 70_000);
        for other in [
            Authorization { reason: "another".into(), ..first.clone() },
            Authorization { rule: Some("a".into()), ..first.clone() },
            Authorization { protocol: Some(Protocol::Tcp), ..first.clone() },
            Authorization { direction: Some(Direction::Accept), ..first.clone() },
            Authorization { remote: "192.0.2.1:1".parse().ok(), ..first.clone() },
            Authorization { name: None, ..first.clone() },
            Authorization { port: Some(1), ..first.clone() },
            Authorization { path: Some("/run/a.sock".into()), ..first.clone() },
            Authorization { program: None, ..first.clone() },
            Authorization { program: Some(Program::default()), ..first.clone() },
        ] {
            assert!(!is_same(&of(&first), &of(&other)), "{other:?}");
        }
        assert!(!is_same(&of(&first), &bytes(Event::ResolveAuthorize(first.clone()))));
        let allowed = Authorization { verdict: Verdict::Allowed, ..first };
        assert!(Refusal::of(&of(&allowed)).is_none());
    }
}
