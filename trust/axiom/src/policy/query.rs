//! A question in words, as `weft policy explain` and files of expected verdicts put it.
//!
//! ```text
//! QUESTION = ACTION ENDPOINT [KEY=VALUE]...
//! ACTION   = connect | bind | listen | accept | ping | resolve
//! ENDPOINT = [tcp://|udp://|icmp://]HOST[:PORT]
//! KEY      = address | program | parents | command | digest | user | container | run | time | bytes | by
//! ```
//!
//! A value, or a part of it, may stand between double quotes, and then hold spaces.

use crate::proposal::{Context, Kind, Proposal};
use crate::rules::{Host, Protocol, Rule, Target};
use ledger::{Digest, Parent};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use time::calendar::parse_rfc3339;

/// The most bytes that one question has: a command line, and a path or two.
pub const QUESTION_BYTES_MAX: usize = 16_384;

/// A question: what is asked for, and under which circumstances.
///
/// ```
/// use axiom::policy::Question;
///
/// let question = Question::parse("connect tcp://api.example.com:443 program=/usr/bin/curl user=1000")?;
/// assert_eq!(question.proposal.endpoint().to_string(), "tcp://api.example.com:443");
/// let wrong = Question::parse("connect tcp://api.example.com").unwrap_err();
/// assert_eq!(wrong.to_string(), "column 30: expected ':' and a port");
/// # Ok::<(), axiom::policy::QuestionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is asked for, and by whom.
    pub proposal: Proposal,
    /// When, and after how many bytes. The time is 1970 where the question tells none.
    pub context: Context,
    /// Whether the question tells a time of its own.
    pub has_time: bool,
    /// The rule that is expected to decide, as it is written, or `-` for none.
    pub by: Option<String>,
}

/// A question cannot be understood: where, and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionError {
    /// The letter that is wrong, counted from 1.
    pub column: usize,
    /// What was expected there.
    pub message: String,
}

impl fmt::Display for QuestionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.message)
    }
}

impl std::error::Error for QuestionError {}

/// What is wrong, at which byte.
type Wrong = (usize, String);

fn wrong<T>(at: usize, message: impl Into<String>) -> Result<T, Wrong> {
    Err((at, message.into()))
}

impl Question {
    /// Reads a question.
    ///
    /// # Errors
    ///
    /// Where it cannot be understood.
    pub fn parse(text: &str) -> Result<Self, QuestionError> {
        parse(text).map_err(|(at, message)| QuestionError {
            column: text.get(..at).unwrap_or(text).chars().count() + 1,
            message,
        })
    }
}

fn parse(text: &str) -> Result<Question, Wrong> {
    if text.len() > QUESTION_BYTES_MAX {
        return wrong(0, format!("expected a question of at most {QUESTION_BYTES_MAX} letters"));
    }
    let mut words = words(text)?.into_iter();
    let Some((at, word)) = words.next() else {
        return wrong(text.len(), "expected an action, as in connect");
    };
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == word) else {
        return wrong(at, "expected connect, bind, listen, accept, ping or resolve");
    };
    let Some((at, word)) = words.next() else {
        return wrong(text.len(), "expected an endpoint, as in tcp://example.com:443");
    };
    let proposal = about(kind, &word, at)?;
    let (context, has_time, by) = (Context::default(), false, None);
    let mut question = Question { proposal, context, has_time, by };
    for (at, word) in words {
        let Some((key, value)) = word.split_once('=') else { return wrong(at, "expected KEY=VALUE") };
        question.take(key, value, at)?;
    }
    Ok(question)
}

/// Words with the bytes where they start. Quotes hold a word together and are taken off.
fn words(text: &str) -> Result<Vec<(usize, String)>, Wrong> {
    let mut words: Vec<(usize, String)> = Vec::new();
    let (mut quote, mut is_inside) = (None, false);
    for (at, letter) in text.char_indices() {
        if letter == '"' {
            quote = if quote.is_some() { None } else { Some(at) };
        } else if letter.is_whitespace() && quote.is_none() {
            is_inside = false;
            continue;
        }
        if !is_inside {
            words.push((at, String::new()));
            is_inside = true;
        }
        if let Some((_, word)) = words.last_mut().filter(|_| letter != '"') {
            word.push(letter);
        }
    }
    match quote {
        Some(at) => wrong(at, "expected a second '\"' that ends this"),
        None => Ok(words),
    }
}

/// The proposal of an action and an endpoint.
fn about(kind: Kind, text: &str, at: usize) -> Result<Proposal, Wrong> {
    let (protocol, host, port) = endpoint(text, at)?;
    let end = at + text.len();
    let local = |host: &Host, port| match host {
        Host::Address(address) => Ok(SocketAddr::new(*address, port)),
        Host::Name(_) => wrong(at, "expected an address, not a name"),
    };
    if kind == Kind::Resolve {
        return match (protocol, port) {
            (None, None) => Ok(Proposal::resolve(host)),
            _ => {
                wrong(at, "expected a name or an address alone: what is resolved has no protocol and no port")
            }
        };
    }
    let protocol = protocol.unwrap_or(if kind == Kind::Ping { Protocol::Icmp } else { Protocol::Tcp });
    if (kind == Kind::Ping) == protocol.has_ports() {
        return wrong(at, "expected icmp:// with ping, and tcp:// or udp:// with everything else");
    }
    let port = match (port, protocol.has_ports()) {
        (Some(port), true) => port,
        (None, true) => return wrong(end, "expected ':' and a port"),
        (_, false) => 0,
    };
    let proposal = match kind {
        Kind::Bind | Kind::Listen => Proposal::listen(protocol, local(&host, port)?),
        Kind::Accept => {
            let remote = local(&host, 0)?;
            let unspecified = match remote.ip() {
                IpAddr::V4(_) => IpAddr::from([0; 4]),
                IpAddr::V6(_) => IpAddr::from([0; 16]),
            };
            Proposal::accept(protocol, remote, SocketAddr::new(unspecified, port))
        }
        Kind::Connect | Kind::Ping | Kind::Resolve => Proposal::connect(protocol, host, port),
    };
    Ok(Proposal { kind, ..proposal })
}

/// The parts of an endpoint: it is written as a rule that speaks of one thing alone.
fn endpoint(text: &str, at: usize) -> Result<(Option<Protocol>, Host, Option<u16>), Wrong> {
    let rule: Rule = text.parse().map_err(|error: crate::rules::RuleError| {
        (at + text.char_indices().nth(error.column - 1).map_or(text.len(), |(at, _)| at), error.message)
    })?;
    let host = match rule.target() {
        Target::Name(name) => Host::Name(name.clone()),
        Target::Network(network) if network.is_one_address() => Host::Address(network.address()),
        Target::Below(_) | Target::Network(_) => return wrong(at, "expected one name or one address"),
        Target::Unix(_) => {
            return wrong(at, "expected a name or an address: Unix sockets are not asked about");
        }
    };
    let port = match rule.ports() {
        Some(ports) if ports.first != ports.last => return wrong(at, "expected one port"),
        ports => ports.map(|ports| ports.first),
    };
    Ok((rule.protocol(), host, port))
}

/// What is wrong with the id of an endpoint in a policy, and what would help.
pub(super) fn endpoint_complaint(id: &str) -> Option<(String, String)> {
    let help = "write it as in \"tcp://api.example.com:443\", \"icmp://192.0.2.1\" or \"api.example.com\""
        .to_owned();
    let proposal = match endpoint(id, 0) {
        Err((_, message)) => return Some((format!("\"{id}\" is no endpoint: {message}"), help)),
        Ok((None, host, None)) => Proposal::resolve(host),
        Ok((Some(protocol), host, port)) if port.is_some() == protocol.has_ports() => {
            Proposal::connect(protocol, host, port.unwrap_or(0))
        }
        Ok(_) => {
            return Some((format!("\"{id}\" is no endpoint: a protocol and a port belong together"), help));
        }
    };
    let canonical = proposal.endpoint().to_string();
    (canonical != id)
        .then(|| (format!("no endpoint is compared as \"{id}\""), format!("write \"{canonical}\"")))
}

impl Question {
    /// Takes in one of the words behind the endpoint, which starts at byte `at`.
    fn take(&mut self, key: &str, value: &str, at: usize) -> Result<(), Wrong> {
        let value_at = at + key.len() + 1;
        match key {
            "by" => self.by = Some(value.to_owned()),
            "time" => match parse_rfc3339(value) {
                Some(time_ns) => (self.context.time_ns, self.has_time) = (time_ns, true),
                None => return wrong(value_at, "expected a time, as in 2026-11-21T10:00:00Z"),
            },
            "bytes" => self.context.carried_bytes = number(value, value_at)?,
            "run" => match value.parse() {
                Ok(run) => self.proposal.run = run,
                Err(_) => return wrong(value_at, "expected the id of a run: 32 hexadecimal digits"),
            },
            "address" => {
                let Ok(address) = value.parse::<IpAddr>() else {
                    return wrong(value_at, "expected an address");
                };
                if self.proposal.remote.is_some() || self.proposal.local.is_some() {
                    return wrong(at, "expected an address only beside a name, whose address it is");
                }
                self.proposal.remote = Some(SocketAddr::new(address, self.proposal.port.unwrap_or(0)));
            }
            "program" => {
                Arc::make_mut(self.proposal.program.get_or_insert_default()).executable = value.to_owned();
            }
            _ => return self.take_of_program(key, value, at),
        }
        Ok(())
    }

    fn take_of_program(&mut self, key: &str, value: &str, at: usize) -> Result<(), Wrong> {
        if !matches!(key, "parents" | "command" | "digest" | "user" | "container") {
            let known = "address, program, parents, command, digest, user, container, run, time, bytes or by";
            return wrong(at, format!("expected {known}"));
        }
        let Some(program) = self.proposal.program.as_mut().map(Arc::make_mut) else {
            return wrong(at, format!("expected program=PATH before {key}"));
        };
        let value_at = at + key.len() + 1;
        match key {
            "parents" => program.parents = value.split(',').map(parent).collect(),
            "command" => program.command_line = value.split(' ').map(str::to_owned).collect(),
            "user" => match value.parse() {
                Ok(user) => program.user = Some(user),
                Err(_) => return wrong(value_at, "expected the number of a user"),
            },
            "digest" => program.digest = Some(digest(value, value_at)?),
            _ => program.container = Some(value.to_owned()),
        }
        Ok(())
    }
}

fn parent(executable: &str) -> Parent {
    Parent { executable: executable.to_owned(), ..Parent::default() }
}

fn number(text: &str, at: usize) -> Result<u64, Wrong> {
    text.parse().or_else(|_| wrong(at, "expected a number"))
}

fn digest(text: &str, at: usize) -> Result<Digest, Wrong> {
    let mut bytes = [0; 32];
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    for (byte, pair) in bytes.iter_mut().zip(0..32) {
        match text.get(pair * 2..pair * 2 + 2).filter(|_| is_hex).map(|pair| u8::from_str_radix(pair, 16)) {
            Some(Ok(value)) => *byte = value,
            _ => return wrong(at, "expected a BLAKE3 hash: 64 hexadecimal digits"),
        }
    }
    Ok(Digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Question {
        Question::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn questions_are_read() {
        for (text, endpoint) in [
            ("connect tcp://Example.com.:443", "tcp://example.com:443"),
            ("connect example.com:443", "tcp://example.com:443"),
            ("connect udp://[FD00::1]:53", "udp://[fd00::1]:53"),
            ("ping 192.0.2.1", "icmp://192.0.2.1"),
            ("ping icmp://example.com", "icmp://example.com"),
            ("resolve example.com", "example.com"),
            ("resolve 192.0.2.1", "192.0.2.1"),
            ("listen 0.0.0.0:80", "tcp://0.0.0.0:80"),
            ("bind udp://[::]:53", "udp://[::]:53"),
            ("accept 192.0.2.1:80", "tcp://192.0.2.1:80"),
        ] {
            assert_eq!(read(text).proposal.endpoint().to_string(), endpoint, "{text}");
        }
        let whole = read(
            "connect example.com:443 address=192.0.2.1 program=\"/opt/my program\" parents=/bin/sh,/sbin/init \
             command=\"curl -v\" user=1000 container=c1 time=1970-01-01T00:00:01Z bytes=7 by=-  run=\
             000102030405060708090a0b0c0d0e0f digest=0101010101010101010101010101010101010101010101010101010101010101",
        );
        let program = whole.proposal.program.as_ref().expect("a program");
        assert_eq!(program.executable, "/opt/my program");
        assert_eq!(program.parents.len(), 2);
        assert_eq!(program.command_line, ["curl", "-v"]);
        assert_eq!((program.user, program.digest), (Some(1000), Some(Digest([1; 32]))));
        assert_eq!(whole.context, Context { time_ns: 1_000_000_000, carried_bytes: 7 });
        assert_eq!((whole.by.as_deref(), whole.proposal.run.0[15]), (Some("-"), 15));
        assert_eq!(whole.proposal.address(), Some(IpAddr::from([192, 0, 2, 1])));
    }

    #[test]
    fn what_cannot_be_understood_is_told_at_its_letter() {
        for (text, column, expected) in [
            ("", 1, "an action"),
            ("walk example.com", 1, "connect, bind"),
            ("connect", 8, "an endpoint"),
            ("connect example.com", 20, "a port"),
            ("connect *.example.com:1", 9, "one name"),
            ("connect 10.0.0.0/8:1", 9, "one name"),
            ("connect example.com:1-2", 9, "one port"),
            ("connect unix:/run/a", 9, "a name or an address"),
            ("connect icmp://example.com", 9, "icmp:// with ping"),
            ("ping tcp://example.com:1", 9 - 3, "icmp:// with ping"),
            ("resolve tcp://example.com:1", 9, "alone"),
            ("listen example.com:1", 8, "an address"),
            ("connect exa mple.com:1", 12, "a port"),
            ("connect example.com:1 x", 23, "KEY=VALUE"),
            ("connect example.com:1 x=1", 23, "address, program"),
            ("connect example.com:1 user=1", 23, "program=PATH"),
            ("connect example.com:1 program=a user=x", 38, "a user"),
            ("connect example.com:1 program=a digest=00", 40, "64"),
            ("connect example.com:1 time=now", 28, "a time"),
            ("connect example.com:1 bytes=-1", 29, "a number"),
            ("connect example.com:1 run=1", 27, "32"),
            ("connect example.com:1 address=x", 31, "an address"),
            ("connect 192.0.2.1:1 address=192.0.2.2", 21, "beside a name"),
            ("connect example.com:1 program=\"a b", 31, "ends this"),
        ] {
            let error = Question::parse(text).expect_err(text);
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.message.contains(expected), "{text}: {error}");
        }
        let long = "connect ".to_owned() + &"a".repeat(QUESTION_BYTES_MAX);
        assert_eq!(Question::parse(&long).expect_err("too long").column, 1);
    }

    #[test]
    fn an_endpoint_of_a_policy_is_written_in_one_way() {
        for id in ["tcp://example.com:443", "icmp://192.0.2.1", "udp://[fd00::1]:53", "example.com"] {
            assert_eq!(endpoint_complaint(id), None);
        }
        for (id, help) in [
            ("tcp://Example.com:443", "write \"tcp://example.com:443\""),
            ("example.com:443", "write it as in"),
            ("tcp://example.com", "write it as in"),
            ("tcp://*.example.com:443", "write it as in"),
            ("", "write it as in"),
        ] {
            assert!(endpoint_complaint(id).expect(id).1.starts_with(help), "{id}");
        }
    }
}
