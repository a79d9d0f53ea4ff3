//! What an agent tells of itself, in a bucket that `weft fleet status` reads.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The bound of gaps that are told one by one; the first stay.
pub const GAPS_MAX: usize = 16;

/// The state of one host's agent. Times are nanoseconds since 1970.
///
/// ```
/// use fleet::state::HostState;
///
/// let state = HostState { version: "0.1.0".into(), time_ns: 7, ..HostState::default() };
/// assert_eq!(HostState::decode(state.to_json().to_string().as_bytes()), Some(state));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostState {
    /// The agent's version.
    pub version: String,
    /// When it was told.
    pub time_ns: u64,
    /// Whether the agent has ended, and said so.
    pub is_stopped: bool,
    /// Its policy.
    pub policy: PolicyState,
    /// Its ledger, by shard.
    pub shards: BTreeMap<u64, ShardState>,
}

/// The policy that a host has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyState {
    /// Under which key it was found, and its revision; not known where none was installed.
    pub installed: Option<Revision>,
    /// Its hash, as an entry of the ledger tells it.
    pub digest: Option<String>,
    /// When it was installed, or found to be the same.
    pub installed_ns: u64,
    /// A newer one that was not installed, and why not.
    pub refused: Option<(Revision, String)>,
}

/// A value of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// Its key.
    pub key: String,
    /// Its number in the bucket.
    pub number: u64,
}

/// How far one shard is shipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardState {
    /// The name of its newest log.
    pub origin: Option<String>,
    /// The sequence number behind the last entry that is shipped.
    pub shipped: u64,
    /// That behind the last entry that there is.
    pub next: u64,
    /// When a checkpoint was shipped last; 0 where the agent has shipped none.
    pub checkpoint_ns: u64,
    /// Why nothing is shipped just now.
    pub stalled: Option<String>,
    /// When the stream was found to have lost what it had acknowledged, in nanoseconds since 1970; 0 where it never was.
    pub lost_ns: u64,
    /// Entries that the ledger let go before they were shipped, as pairs of the first and the one behind the last.
    pub gaps: Vec<(u64, u64)>,
}

impl HostState {
    /// The state as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let revision = |revision: &Revision| json!({ "key": revision.key, "revision": revision.number });
        let policy = &self.policy;
        let shard = |(number, shard): (&u64, &ShardState)| {
            json!({
                "shard": number, "origin": shard.origin, "shipped": shard.shipped, "next": shard.next,
                "checkpoint_ns": shard.checkpoint_ns, "stalled": shard.stalled, "lost_ns": shard.lost_ns,
                "gaps": shard.gaps,
            })
        };
        json!({
            "version": self.version,
            "time_ns": self.time_ns,
            "stopped": self.is_stopped,
            "policy": {
                "installed": policy.installed.as_ref().map(revision),
                "digest": policy.digest,
                "installed_ns": policy.installed_ns,
                "refused": policy.refused.as_ref().map(|(what, _)| revision(what)),
                "reason": policy.refused.as_ref().map(|(_, reason)| reason),
            },
            "shards": self.shards.iter().map(shard).collect::<Vec<_>>(),
        })
    }

    /// The state of a value of the bucket; `None` where it is none. Fields of a later version are not looked at.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(value).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let revision =
            |value: &Value| Some(Revision { key: text(&value["key"])?, number: value["revision"].as_u64()? });
        let policy = &value["policy"];
        let mut shards = BTreeMap::new();
        for shard in value["shards"].as_array()? {
            let gap = |gap: &Value| Some((gap[0].as_u64()?, gap[1].as_u64()?));
            let state = ShardState {
                origin: text(&shard["origin"]),
                shipped: shard["shipped"].as_u64()?,
                next: shard["next"].as_u64()?,
                checkpoint_ns: shard["checkpoint_ns"].as_u64()?,
                stalled: text(&shard["stalled"]),
                // One of an earlier version does not look.
                lost_ns: shard["lost_ns"].as_u64().unwrap_or(0),
                gaps: shard["gaps"].as_array()?.iter().map(gap).collect::<Option<_>>()?,
            };
            shards.insert(shard["shard"].as_u64()?, state);
        }
        Some(Self {
            version: text(&value["version"])?,
            time_ns: value["time_ns"].as_u64()?,
            is_stopped: value["stopped"].as_bool()?,
            policy: PolicyState {
                installed: revision(&policy["installed"]),
                digest: text(&policy["digest"]),
                installed_ns: policy["installed_ns"].as_u64()?,
                refused: revision(&policy["refused"]).zip(text(&policy["reason"])),
            },
            shards,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reads_as_it_was_told_and_garbage_is_none() {
        let revision = |number| Revision { key: "fleet".into(), number };
        let shard = ShardState {
            origin: Some("a.example".into()),
            shipped: 4,
            next: 9,
            checkpoint_ns: 5,
            stalled: Some("full".into()),
            lost_ns: 3,
            gaps: vec![(1, 2)],
        };
        let state = HostState {
            version: "1".into(),
            time_ns: 8,
            is_stopped: true,
            policy: PolicyState {
                installed: Some(revision(3)),
                digest: Some("ab".into()),
                installed_ns: 6,
                refused: Some((revision(4), "line 1".into())),
            },
            shards: [(1, shard), (2, ShardState::default())].into(),
        };
        let mut value = state.to_json();
        value["later"] = json!(1);
        assert_eq!(HostState::decode(value.to_string().as_bytes()), Some(state));
        for text in ["", "1", "{}", r#"{"shards":[{}]}"#] {
            assert_eq!(HostState::decode(text.as_bytes()), None);
        }
    }
}
