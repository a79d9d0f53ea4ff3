//! The bucket of policies: one for all hosts, and where a host is to have another, one of its own.

use crate::host::HostName;
use crate::server::{Link, ServerError, chain};
use crate::state::Revision;
use crate::subject::{FLEET_KEY, POLICIES, host_key};
use async_nats::Subscriber;
use async_nats::jetstream::kv::{Operation, Store};
use bytes::Bytes;
use futures_util::stream::{Select, select};

/// The bucket, as it is reached.
#[derive(Clone, Debug)]
pub struct Policies {
    bucket: Store,
}

/// Whose policy is handed out: a host's own, or where there is none that of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its key and revision.
    pub revision: Revision,
    /// The value; [`Document::decode`](crate::policy::Document::decode) reads it.
    pub value: Bytes,
}

/// The key of a host's own policy, or of that of all.
#[must_use]
pub fn key(host: Option<&HostName>) -> String {
    host.map_or_else(|| FLEET_KEY.to_owned(), host_key)
}

impl Policies {
    /// Finds the bucket.
    ///
    /// # Errors
    ///
    /// Where there is none, or no server answers.
    pub async fn open(link: &Link) -> Result<Self, ServerError> {
        let bucket = link.jetstream().get_key_value(POLICIES).await;
        let bucket =
            bucket.map_err(|error| ServerError::Request("find the bucket of policies", chain(&error)))?;
        Ok(Self { bucket })
    }

    /// Whether several servers keep it, any of which may answer, the one that is behind included.
    #[must_use]
    pub fn is_replicated(&self) -> bool {
        self.bucket.stream.cached_info().config.num_replicas > 1
    }

    /// Hands out a value; the revision that it has.
    ///
    /// # Errors
    ///
    /// Where the server has not taken it.
    pub async fn push(&self, host: Option<&HostName>, value: Vec<u8>) -> Result<Revision, ServerError> {
        let key = key(host);
        let number = self.bucket.put(&key, Bytes::from(value)).await;
        let number = number.map_err(|error| ServerError::Request("hand out the policy", chain(&error)))?;
        Ok(Revision { key, number })
    }

    /// The policy that a host is to have, or that of all; `None` where there is none.
    ///
    /// # Errors
    ///
    /// Where the server does not answer.
    pub async fn find(&self, host: Option<&HostName>) -> Result<Option<Found>, ServerError> {
        let keys = host.map(host_key).into_iter().chain([FLEET_KEY.to_owned()]);
        for key in keys {
            let entry = self.bucket.entry(&key).await;
            let entry = entry.map_err(|error| ServerError::Request("read the policy", chain(&error)))?;
            if let Some(entry) = entry.filter(|entry| entry.operation == Operation::Put) {
                let revision = Revision { key: entry.key, number: entry.revision };
                return Ok(Some(Found { revision, value: entry.value }));
            }
        }
        Ok(None)
    }

    /// Takes a host's own policy away; whether there was one.
    ///
    /// # Errors
    ///
    /// Where the server does not answer.
    pub async fn remove(&self, host: &HostName) -> Result<bool, ServerError> {
        let key = host_key(host);
        if self.find(Some(host)).await?.is_none_or(|found| found.revision.key != key) {
            return Ok(false);
        }
        let removed = self.bucket.delete(&key).await;
        removed.map_err(|error| ServerError::Request("take the policy away", chain(&error)))?;
        Ok(true)
    }
}

/// Something whenever a policy changes that concerns a host.
pub(crate) type Changes = Select<Subscriber, Subscriber>;

/// Listens to changes of a host's own policy and of that of all. A value is put into a bucket by a message to its key's
/// subject, which whoever listens gets as well: that needs nothing of the server that could be lost with it, and no leave
/// but for these two. What is missed while there is no connection must be looked for.
pub(crate) async fn changes(link: &Link, host: &HostName) -> Result<Changes, ServerError> {
    let own = link.listen(format!("$KV.{POLICIES}.{}", host_key(host))).await?;
    Ok(select(own, link.listen(format!("$KV.{POLICIES}.{FLEET_KEY}")).await?))
}
