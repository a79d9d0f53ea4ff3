//! What can happen, and how it is written as JSON (`docs/events.md`).

use axiom::rules::{Host, Protocol};
use serde_json::Value;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use time::Duration;

/// A process inside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its program's name, as the kernel has it: at most 15 bytes, and of the program's own choice.
    pub name: String,
    /// Its id, as the host sees it.
    pub id: u32,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", super::escape(&self.name), self.id)
    }
}

/// What kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A TCP connection.
    Tcp,
    /// A UDP flow.
    Udp,
    /// ICMP echo.
    Icmp,
    /// A question to the resolver inside.
    Dns,
    /// A Unix socket of the host's that has a path.
    Unix,
}

impl Kind {
    /// Its name in events and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Dns => "dns",
            Self::Unix => "unix",
        }
    }
}

impl From<Protocol> for Kind {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::Udp,
            Protocol::Icmp => Self::Icmp,
        }
    }
}

/// What a program wanted to reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The name it opened the connection for, or the address where it used none; the path of a Unix socket. IPv6 without
    /// brackets.
    pub host: String,
    /// The port, where the kind has any.
    pub port: Option<u16>,
    /// What kind of traffic.
    pub kind: Kind,
}

impl Target {
    /// Of a connection.
    #[must_use]
    pub fn new(protocol: Protocol, host: &Host, port: u16) -> Self {
        let host = match host {
            Host::Name(name) => name.to_string(),
            Host::Address(address) => address.to_string(),
        };
        Self { host, port: protocol.has_ports().then_some(port), kind: protocol.into() }
    }

    /// Of a Unix socket.
    #[must_use]
    pub fn of_socket(path: &str) -> Self {
        Self { host: path.to_owned(), port: None, kind: Kind::Unix }
    }

    /// Of a question about a name.
    #[must_use]
    pub fn of_question(name: &str) -> Self {
        let host = name.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(name).to_owned();
        Self { host, port: None, kind: Kind::Dns }
    }
}

impl fmt::Display for Target {
    /// `tcp example.com:443`, `udp [fd00::1]:53`, `icmp 192.0.2.1`, `dns example.com`, `unix /run/docker.sock`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = super::escape(&self.host);
        match self.port {
            Some(port) if host.contains(':') => write!(f, "{} [{host}]:{port}", self.kind.name()),
            Some(port) => write!(f, "{} {host}:{port}", self.kind.name()),
            None => write!(f, "{} {host}", self.kind.name()),
        }
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closing {
    /// Both sides had said all.
    Finished,
    /// One side reset it.
    Reset,
    /// Nothing came in time.
    TimedOut,
    /// The network said so.
    Unreachable,
    /// It was given up here.
    Aborted,
    /// The policy ended it after it had begun.
    Refused,
    /// It, or the run, had all that `--limit` gives.
    Limited,
    /// Its place was needed for another flow.
    Evicted,
    /// A flow in which nothing was said for long.
    Idle,
    /// Another socket has the port, or the identifier, that the flow came from.
    Replaced,
    /// The host's socket failed: how.
    Broken(String),
}

impl Closing {
    /// Its name in events.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Finished => "finished",
            Self::Reset => "reset",
            Self::TimedOut => "timed-out",
            Self::Unreachable => "unreachable",
            Self::Aborted => "aborted",
            Self::Refused => "refused",
            Self::Limited => "limited",
            Self::Evicted => "evicted",
            Self::Idle => "idle",
            Self::Replaced => "replaced",
            Self::Broken(how) => how,
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A name was resolved for a program.
    Resolve {
        /// Who asked.
        process: Option<Process>,
        /// For what; its kind is [`Kind::Dns`].
        target: Target,
        /// The type of record.
        record_type: String,
        /// DNS's response code.
        code: u16,
        /// Real addresses behind the answer.
        addresses: Vec<IpAddr>,
    },
    /// A connection was opened.
    Connect {
        /// Who opened it.
        process: Option<Process>,
        /// What it was opened for.
        target: Target,
        /// The real address that it leads to.
        address: Option<SocketAddr>,
        /// The rule that allowed it.
        rule: Option<Arc<str>>,
        /// Its entry in the ledger.
        entry: Option<String>,
    },
    /// A connection was allowed and could not be opened.
    Fail {
        /// Who tried.
        process: Option<Process>,
        /// What it was for.
        target: Target,
        /// Why not.
        reason: String,
    },
    /// Something was refused.
    Deny {
        /// Who tried.
        process: Option<Process>,
        /// What it wanted.
        target: Target,
        /// Why, in words that name the rule.
        reason: String,
        /// The flag that would allow it, where one would.
        hint: Option<String>,
        /// The entry in the ledger that tells of it.
        entry: Option<String>,
    },
    /// A connection ended.
    Close {
        /// Who opened it.
        process: Option<Process>,
        /// What it was opened for.
        target: Target,
        /// The real address that it led to.
        address: Option<SocketAddr>,
        /// Bytes of payload from the program.
        bytes_sent: u64,
        /// Bytes of payload to the program.
        bytes_received: u64,
        /// From its opening.
        duration: Duration,
        /// How it ended.
        closing: Closing,
        /// The entry in the ledger by which it was authorised.
        entry: Option<String>,
    },
    /// A port of the host leads to one inside.
    Publish {
        /// Of which protocol.
        protocol: Protocol,
        /// Where the host listens.
        listen: SocketAddr,
        /// The port inside.
        port: u16,
    },
    /// The run has ended, and so has its packet filter.
    Filter {
        /// The file of its rules.
        file: String,
        /// Sets, and hooks with their rules and what each has met.
        rules: Value,
    },
}

impl Event {
    /// One line of JSON, without its end.
    #[must_use]
    pub fn to_json(&self, time: &str) -> String {
        match self {
            Self::Resolve { process, target, record_type, code, addresses } => {
                let addresses: Vec<Value> =
                    addresses.iter().map(|address| address.to_string().into()).collect();
                Line::new(time, "resolve")
                    .about(process.as_ref(), target)
                    .field("type", record_type.as_str())
                    .field("code", *code)
                    .field("addresses", addresses)
            }
            Self::Connect { process, target, address, rule, entry } => Line::new(time, "connect")
                .about(process.as_ref(), target)
                .address(*address)
                .field("rule", rule.as_deref())
                .field("entry", entry.as_deref()),
            Self::Fail { process, target, reason } => {
                Line::new(time, "fail").about(process.as_ref(), target).field("reason", reason.as_str())
            }
            Self::Deny { process, target, reason, hint, entry } => Line::new(time, "deny")
                .about(process.as_ref(), target)
                .field("reason", reason.as_str())
                .field("hint", hint.as_deref())
                .field("entry", entry.as_deref()),
            Self::Close {
                process,
                target,
                address,
                bytes_sent,
                bytes_received,
                duration,
                closing,
                entry,
            } => Line::new(time, "close")
                .about(process.as_ref(), target)
                .address(*address)
                .field("bytes_sent", *bytes_sent)
                .field("bytes_received", *bytes_received)
                .field("duration_ms", u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
                .field("closing", closing.name())
                .field("entry", entry.as_deref()),
            Self::Publish { protocol, listen, port } => Line::new(time, "publish")
                .field("protocol", protocol.scheme())
                .address(Some(*listen))
                .field("inside_port", *port),
            Self::Filter { file, rules } => Line::new(time, "filter")
                .field("file", file.as_str())
                .field("sets", rules["sets"].clone())
                .field("hooks", rules["hooks"].clone()),
        }
        .end()
    }
}

/// A JSON object, its fields in the order in which they were added.
struct Line(String);

impl Line {
    fn new(time: &str, event: &str) -> Self {
        Self(String::from("{")).field("time", time).field("event", event)
    }

    fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0 += &Value::from(name).to_string();
        self.0.push(':');
        self.0 += &value.into().to_string();
        self
    }

    fn about(self, process: Option<&Process>, target: &Target) -> Self {
        self.field("process", process.map(|process| process.name.as_str()))
            .field("process_id", process.map(|process| process.id))
            .field("protocol", target.kind.name())
            .field("host", target.host.as_str())
            .field("port", target.port)
    }

    fn address(self, address: Option<SocketAddr>) -> Self {
        self.field("address", address.map(|address| address.ip().to_canonical().to_string()))
            .field("address_port", address.map(|address| address.port()))
    }

    fn end(self) -> String {
        self.0 + "}"
    }
}
