//! What streams, buckets, subjects and messages are called.
//!
//! ```text
//! stream weft-ledger   weft.ledger.HOST.SHARD   entries, checkpoints and gaps of one shard, in their order
//! bucket weft-policy   fleet, host.HOST         the policy of all hosts, and that of one
//! bucket weft-hosts    HOST                     what the agent of a host tells of itself
//! ```
//!
//! The id of a message (`Nats-Msg-Id`) says what it is. The server drops a message whose id it has seen within its
//! duplicate window; whoever reads drops what it has, whenever that came.

use crate::host::HostName;
use ledger::ShardNumber;
use std::fmt;
use std::str::FromStr;

/// The stream of the ledgers.
pub const STREAM: &str = "weft-ledger";
/// All subjects of the stream.
pub const STREAM_SUBJECTS: &str = "weft.ledger.*.*";
/// The bucket of policies.
pub const POLICIES: &str = "weft-policy";
/// The bucket of what the agents tell.
pub const HOSTS: &str = "weft-hosts";
/// The key of the policy for every host that has none of its own.
pub const FLEET_KEY: &str = "fleet";

/// The key of one host's own policy.
#[must_use]
pub fn host_key(host: &HostName) -> String {
    format!("host.{}", host.token())
}

/// The subject of one shard of a host's ledger.
#[must_use]
pub fn ledger(host: &HostName, shard: ShardNumber) -> String {
    format!("weft.ledger.{}.{shard}", host.token())
}

/// The subjects of all shards of a host's ledger.
#[must_use]
pub fn ledgers(host: &HostName) -> String {
    format!("weft.ledger.{}.*", host.token())
}

/// Which message it is.
///
/// ```
/// use fleet::subject::{MessageId, Part};
///
/// let id: MessageId = "host7_example_com/1/2/4711".parse()?;
/// assert_eq!((id.shard.number(), &id.part), (1, &Part::Entry { log: 2, index: 4_711 }));
/// assert_eq!(id.to_string(), "host7_example_com/1/2/4711");
/// # Ok::<(), fleet::subject::MessageIdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageId {
    /// Whose it is.
    pub host: HostName,
    /// Which shard of the host's ledger.
    pub shard: ShardNumber,
    /// What of it.
    pub part: Part,
}

/// What of a ledger a message holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// `LOG/INDEX`: an entry, its bytes being the payload.
    Entry {
        /// The number of its log.
        log: u64,
        /// Its index there.
        index: u64,
    },
    /// `LOG/at/SIZE`: the checkpoint of a log of this size; the payload is the signed note.
    Checkpoint {
        /// The number of the log.
        log: u64,
        /// How many entries it tells of.
        size: u64,
    },
    /// `gap/FROM/TO`: entries that the ledger did not have any more when they were to be shipped, by their sequence
    /// numbers; the payload says so in words.
    Gap {
        /// The first of them.
        from: u64,
        /// The one behind the last.
        to: u64,
    },
}

/// Text that is no message's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageIdError;

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/", self.host.token(), self.shard)?;
        match &self.part {
            Part::Entry { log, index } => write!(f, "{log}/{index}"),
            Part::Checkpoint { log, size } => write!(f, "{log}/at/{size}"),
            Part::Gap { from, to } => write!(f, "gap/{from}/{to}"),
        }
    }
}

impl FromStr for MessageId {
    type Err = MessageIdError;

    fn from_str(text: &str) -> Result<Self, MessageIdError> {
        let words: Vec<&str> = text.split('/').take(6).collect();
        let number = |at: usize| {
            let word: &str = words.get(at)?;
            // One way of writing a number, so that one message has one id.
            word.parse::<u64>().ok().filter(|number| number.to_string() == word)
        };
        let parse = || {
            let host = HostName::of_token(words.first()?)?;
            let part = match &words[..] {
                [_, _, "gap", _, _] => Part::Gap { from: number(3)?, to: number(4)? },
                [_, _, _, "at", _] => Part::Checkpoint { log: number(2)?, size: number(4)? },
                [_, _, _, _] => Part::Entry { log: number(2)?, index: number(3)? },
                _ => return None,
            };
            Some(Self { host, shard: ShardNumber::of_text(words[1])?, part })
        };
        parse().ok_or(MessageIdError)
    }
}

impl fmt::Display for MessageIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no id of a message of a ledger")
    }
}

impl std::error::Error for MessageIdError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_as_they_are_written() {
        let host: HostName = "a.b".parse().unwrap();
        for part in [
            Part::Entry { log: 1, index: 0 },
            Part::Checkpoint { log: 3, size: u64::MAX },
            Part::Gap { from: 7, to: 9 },
        ] {
            let id = MessageId { host: host.clone(), shard: ShardNumber::new(2).unwrap(), part };
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in [
            "",
            "a/1",
            "a/1/1",
            "a/1/1/01",
            "a/1/1/-1",
            "a/0/1/1",
            "a/65/1/1",
            "a/1/1/at/2/3",
            "a.b/1/1/1",
            "a/1/gap/1/x",
        ] {
            assert_eq!(text.parse::<MessageId>(), Err(MessageIdError), "{text}");
        }
    }

    #[test]
    fn a_hosts_subject_is_in_the_stream() {
        let host: HostName = "a.b".parse().unwrap();
        assert_eq!(ledger(&host, ShardNumber::new(4).unwrap()), "weft.ledger.a_b.4");
        assert_eq!(
            ledger(&host, ShardNumber::new(4).unwrap()).split('.').count(),
            STREAM_SUBJECTS.split('.').count()
        );
        assert_eq!((host_key(&host), ledgers(&host)), ("host.a_b".into(), "weft.ledger.a_b.*".into()));
    }
}
