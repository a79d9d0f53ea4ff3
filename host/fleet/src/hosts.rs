//! The bucket of hosts: what each agent told last.

use crate::host::HostName;
use crate::server::{Link, ServerError, chain};
use crate::state::HostState;
use crate::subject::HOSTS;
use async_nats::jetstream::kv::Store;
use futures_util::StreamExt;
use std::collections::BTreeMap;

/// The bound of the hosts that are told of.
pub const HOSTS_MAX: usize = 100_000;

/// What the agents told last, by host. Values that are none of an agent's are left out.
///
/// # Errors
///
/// Where there is no bucket, or no server answers.
pub async fn states(
    link: &Link,
    only: Option<&HostName>,
) -> Result<BTreeMap<HostName, HostState>, ServerError> {
    let failed = |reason: String| ServerError::Request("read the bucket of hosts", reason);
    let bucket = link.jetstream().get_key_value(HOSTS).await.map_err(|error| failed(chain(&error)))?;
    let mut tokens = Vec::new();
    match only {
        Some(host) => tokens.push(host.token()),
        None => {
            let mut keys = bucket.keys().await.map_err(|error| failed(chain(&error)))?.take(HOSTS_MAX);
            while let Some(key) = keys.next().await {
                tokens.push(key.map_err(|error| failed(chain(&error)))?);
            }
        }
    }
    let mut states = BTreeMap::new();
    for token in tokens {
        let Some(host) = HostName::of_token(&token) else { continue };
        states.extend(state(&bucket, &token).await?.map(|state| (host, state)));
    }
    Ok(states)
}

async fn state(bucket: &Store, token: &str) -> Result<Option<HostState>, ServerError> {
    let value = bucket.get(token).await;
    let value = value.map_err(|error| ServerError::Request("read the bucket of hosts", chain(&error)))?;
    Ok(value.and_then(|value| HostState::decode(&value)))
}
