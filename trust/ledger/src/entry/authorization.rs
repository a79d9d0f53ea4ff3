//! A question and its answer: may this be connected to, listened at, resolved?

use super::cut::cut_text;
use super::fields::{Field, Fields};
use super::{NAME_BYTES_MAX, OWN, PATH_BYTES_MAX, Program, REASON_BYTES_MAX};
use crate::cbor::Value;
use std::fmt;
use std::net::SocketAddr;

/// What was asked for, by whom, and what was decided.
///
/// ```
/// use ledger::{Authorization, Verdict};
///
/// let unsaid = Authorization::default();
/// assert_eq!((unsaid.verdict, unsaid.count), (Verdict::Refused, 1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// What was decided.
    pub verdict: Verdict,
    /// Why, in words.
    pub reason: String,
    /// The rule that decided, as it was written; `None` where none did.
    pub rule: Option<String>,
    /// Who asked; `None` where that could not be told.
    pub program: Option<Program>,
    /// By which protocol; `None` for a name that is only asked for.
    pub protocol: Option<Protocol>,
    /// Which way; `None` for a name that is only asked for.
    pub direction: Option<Direction>,
    /// The program's own end.
    pub local: Option<SocketAddr>,
    /// The far end, as an address of the real network.
    pub remote: Option<SocketAddr>,
    /// The name that it was asked for by.
    pub name: Option<String>,
    /// The port that it was asked for by.
    pub port: Option<u16>,
    /// How often the same was asked and decided; refusals that follow each other are one entry.
    pub count: u64,
    /// The path of a Unix socket of the host's, as the program sees it; then there is no protocol and no address.
    pub path: Option<String>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// It may not be.
    #[default]
    Refused,
    /// It may be.
    Allowed,
}

/// A protocol, by IANA's number where it is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// ICMP, of either version.
    Icmp,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Another.
    Other(u64),
}

/// Which way something was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The program opens a connection.
    Connect,
    /// The program takes an address.
    Bind,
    /// The program waits for connections.
    Listen,
    /// The program takes a connection.
    Accept,
}

pub(super) const VERDICT: u64 = OWN;
pub(super) const REASON: u64 = OWN + 1;
pub(super) const RULE: u64 = OWN + 2;
pub(super) const PROGRAM: u64 = OWN + 3;
pub(super) const PROTOCOL: u64 = OWN + 4;
pub(super) const DIRECTION: u64 = OWN + 5;
const LOCAL: u64 = OWN + 6;
pub(super) const REMOTE: u64 = OWN + 7;
pub(super) const NAME: u64 = OWN + 8;
pub(super) const PORT: u64 = OWN + 9;
pub(super) const COUNT: u64 = OWN + 10;
pub(super) const PATH: u64 = OWN + 11;

impl Default for Authorization {
    fn default() -> Self {
        Self {
            verdict: Verdict::Refused,
            reason: String::new(),
            rule: None,
            program: None,
            protocol: None,
            direction: None,
            local: None,
            remote: None,
            name: None,
            port: None,
            count: 1,
            path: None,
        }
    }
}

impl Authorization {
    pub(super) fn write(&self, fields: &mut Fields) {
        fields.put(VERDICT, &self.verdict);
        fields.put(REASON, &self.reason);
        fields.put_if(RULE, &self.rule);
        fields.put_if(PROGRAM, &self.program);
        fields.put_if(PROTOCOL, &self.protocol);
        fields.put_if(DIRECTION, &self.direction);
        fields.put_if(LOCAL, &self.local);
        fields.put_if(REMOTE, &self.remote);
        fields.put_if(NAME, &self.name);
        fields.put_if(PORT, &self.port);
        if self.count != 1 {
            fields.put(COUNT, &self.count);
        }
        fields.put_if(PATH, &self.path);
    }

    pub(super) fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            verdict: fields.take(VERDICT)?,
            reason: fields.take(REASON)?,
            rule: fields.take_if(RULE)?,
            program: fields.take_if(PROGRAM)?,
            protocol: fields.take_if(PROTOCOL)?,
            direction: fields.take_if(DIRECTION)?,
            local: fields.take_if(LOCAL)?,
            remote: fields.take_if(REMOTE)?,
            name: fields.take_if(NAME)?,
            port: fields.take_if(PORT)?,
            count: match fields.take_if(COUNT)? {
                None => 1,
                // It is left out where it is one: an entry has one form.
                Some(1) => return None,
                Some(count) => count,
            },
            path: fields.take_if(PATH)?,
        })
    }

    pub(super) fn cut(&mut self) -> bool {
        let mut is_cut = cut_text(&mut self.reason, REASON_BYTES_MAX);
        is_cut |= self.rule.as_mut().is_some_and(|rule| cut_text(rule, REASON_BYTES_MAX));
        is_cut |= self.path.as_mut().is_some_and(|path| cut_text(path, PATH_BYTES_MAX));
        is_cut |= self.name.as_mut().is_some_and(|name| cut_text(name, NAME_BYTES_MAX));
        is_cut | self.program.as_mut().is_some_and(Program::cut)
    }
}

impl Field for Verdict {
    fn to_value(&self) -> Value {
        Value::Bool(*self == Self::Allowed)
    }

    fn of_value(value: &Value) -> Option<Self> {
        Some(if bool::of_value(value)? { Self::Allowed } else { Self::Refused })
    }
}

impl Protocol {
    /// IANA's number of it; of ICMP that of version 4.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::Icmp => 1,
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Other(number) => number,
        }
    }
}

impl Field for Protocol {
    fn to_value(&self) -> Value {
        Value::Unsigned(self.number())
    }

    fn of_value(value: &Value) -> Option<Self> {
        Some(match u64::of_value(value)? {
            1 => Self::Icmp,
            6 => Self::Tcp,
            17 => Self::Udp,
            number => Self::Other(number),
        })
    }
}

impl Field for Direction {
    fn to_value(&self) -> Value {
        Value::Unsigned(match self {
            Self::Connect => 0,
            Self::Bind => 1,
            Self::Listen => 2,
            Self::Accept => 3,
        })
    }

    fn of_value(value: &Value) -> Option<Self> {
        match u64::of_value(value)? {
            0 => Some(Self::Connect),
            1 => Some(Self::Bind),
            2 => Some(Self::Listen),
            3 => Some(Self::Accept),
            _ => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::Allowed => "allowed",
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Icmp => f.write_str("icmp"),
            Self::Tcp => f.write_str("tcp"),
            Self::Udp => f.write_str("udp"),
            Self::Other(number) => write!(f, "protocol {number}"),
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Bind => "bind",
            Self::Listen => "listen",
            Self::Accept => "accept",
        })
    }
}
