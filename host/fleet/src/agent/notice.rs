//! What an agent tells whoever runs it.

use crate::state::Revision;
use ledger::ShardNumber;
use serde_json::{Value, json};
use std::fmt;

/// Something has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// There is a connection to a server.
    Connected,
    /// There is none; why.
    Disconnected(String),
    /// A policy was written to the file, or was there already.
    Installed(Revision),
    /// A policy is not installed, and the last good one stays; why.
    Refused(Revision, String),
    /// It cannot be seen whether there is another policy; why.
    Unseen(String),
    /// Nothing of a shard is shipped; why.
    Stalled(ShardNumber, String),
    /// A shard is shipped again.
    Resumed(ShardNumber),
    /// The ledger let these entries go before they were shipped; the first, and the one behind the last.
    Gap(ShardNumber, u64, u64),
    /// The stream no longer has what it had acknowledged; shipping begins anew at this entry.
    Lost(ShardNumber, u64),
}

impl Notice {
    /// As an object: `notice` is the kind in a word, `text` the sentence, and what it is about has a field each.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (notice, mut told) = match self {
            Self::Connected => ("connected", json!({})),
            Self::Disconnected(reason) => ("disconnected", json!({ "reason": reason })),
            Self::Installed(Revision { key, number }) => {
                ("installed", json!({ "key": key, "revision": number }))
            }
            Self::Refused(Revision { key, number }, reason) => {
                ("refused", json!({ "key": key, "revision": number, "reason": reason }))
            }
            Self::Unseen(reason) => ("unseen", json!({ "reason": reason })),
            Self::Stalled(shard, reason) => ("stalled", json!({ "shard": shard.number(), "reason": reason })),
            Self::Resumed(shard) => ("resumed", json!({ "shard": shard.number() })),
            Self::Gap(shard, from, to) => ("gap", json!({ "shard": shard.number(), "from": from, "to": to })),
            Self::Lost(shard, next) => ("lost", json!({ "shard": shard.number(), "next": next })),
        };
        told["notice"] = notice.into();
        told["text"] = self.to_string().into();
        told
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Disconnected(reason) => write!(f, "no connection to a server: {reason}"),
            Self::Installed(Revision { key, number }) => {
                write!(f, "policy {key}, revision {number}, is installed")
            }
            Self::Refused(Revision { key, number }, reason) => {
                write!(
                    f,
                    "policy {key}, revision {number}, is not installed, the last good one stays: {reason}"
                )
            }
            Self::Unseen(reason) => {
                write!(f, "the policy cannot be looked at, the last good one stays: {reason}")
            }
            Self::Stalled(shard, reason) => write!(f, "shard {shard} is not shipped just now: {reason}"),
            Self::Resumed(shard) => write!(f, "shard {shard} is shipped again"),
            Self::Gap(shard, from, to) => write!(
                f,
                "shard {shard}: the ledger let entries {from} to {} go before they were shipped; let it keep more logs",
                to.saturating_sub(1)
            ),
            Self::Lost(shard, next) => {
                write!(
                    f,
                    "shard {shard}: the stream has lost what it had acknowledged; ships anew from entry {next}"
                )
            }
        }
    }
}
