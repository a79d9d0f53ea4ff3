//! The policy: looked at when the bucket says that it has changed, and now and then; installed where it is right.

use super::{Agent, Notice, SIGNED, now_ns};
use crate::policies::{self, Changes, Found, Policies};
use crate::policy::{Document, DocumentError, install};
use crate::server::ServerError;
use crate::state::Revision;
use futures_util::StreamExt;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How often the policy is looked at without being told that it has changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// How soon it is looked at again after a change, one time after the other: of servers that keep copies any may answer, also
/// one that does not have the change yet.
const LOOKS_AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// How soon it is looked at again where that failed.
const RETRY_WAIT: Duration = Duration::from_secs(5);
/// The bound of a reason that goes into the bucket of hosts, in bytes.
const REASON_BYTES_MAX: usize = 4 << 10;

impl Agent<'_> {
    /// Keeps the policy's file as the bucket has it, for ever.
    pub(super) async fn policies(&self) {
        let Some(path) = self.config.policy.clone() else { return std::future::pending().await };
        let mut connections = self.link.connections();
        let (mut changes, mut last_failure) = (None, None);
        // How often it was looked at since something has changed.
        let mut looks = 0;
        loop {
            connections.borrow_and_update();
            // Listened to before it is looked at: what comes in between wakes.
            if changes.is_none() {
                changes = policies::changes(&self.link, &self.config.host).await.ok();
            }
            let wait_again = LOOKS_AGAIN.get(looks).copied();
            let failure =
                self.look_at_policy(&path, wait_again.is_none()).await.err().map(|error| error.to_string());
            if failure != last_failure && self.link.connections().borrow().is_up {
                failure.iter().for_each(|reason| (self.tell)(&Notice::Unseen(reason.clone())));
                last_failure.clone_from(&failure);
            }
            let wait = if failure.is_none() { wait_again.unwrap_or(LOOK_INTERVAL) } else { RETRY_WAIT };
            looks = tokio::select! {
                is_open = next(&mut changes) => {
                    if !is_open {
                        changes = None;
                    }
                    0
                }
                // What happened in between was told to nobody.
                _ = connections.changed() => 0,
                () = tokio::time::sleep(wait) => looks + 1,
            }
        }
    }

    /// Looks at the host's own policy, or where there is none at the fleet's, and installs it where it is another; one from
    /// before only where that `is_settled`.
    async fn look_at_policy(&self, path: &Path, is_settled: bool) -> Result<(), ServerError> {
        let bucket = Policies::open(&self.link).await?;
        let found = bucket.find(Some(&self.config.host)).await?;
        // Where all are taken away the last good one stays: no policy would close everything at once.
        let Some(Found { revision, value }) = found else { return Ok(()) };
        let policy = self.state.borrow().policy.clone();
        if policy.installed.as_ref() == Some(&revision) {
            self.state.borrow_mut().policy.refused = None;
            return Ok(());
        }
        // A server that is behind the others has an older one, or none of the host's own. All of them do where they were put
        // back to an old copy, or where that was taken away.
        let is_before = |installed: &Revision| match installed.key == revision.key {
            true => revision.number < installed.number,
            false => revision.key == policies::key(None),
        };
        if bucket.is_replicated() && !is_settled && policy.installed.as_ref().is_some_and(is_before) {
            return Ok(());
        }
        if policy.refused.is_some_and(|(refused, _)| refused == revision) {
            return Ok(());
        }
        match self.take(&value, path, &revision.key) {
            Ok((digest, bytes)) => {
                self.keep_times()?;
                self.install(path, &bytes, revision, digest)
            }
            Err(error) => {
                let mut reason = error.to_string();
                reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
                (self.tell)(&Notice::Refused(revision.clone(), reason.clone()));
                self.state.borrow_mut().policy.refused = Some((revision, reason));
                Ok(())
            }
        }
    }

    /// The hash and the text of the policy in a document under this key, where it is right, and signed by whom it must be.
    fn take(&self, value: &[u8], path: &Path, key: &str) -> Result<(String, Vec<u8>), DocumentError> {
        let document = Document::decode(value)?;
        let keys = &self.config.policy_keys;
        let time = (!keys.is_empty()).then(|| document.verify(key, keys)).transpose();
        let time = time.map_err(DocumentError::Signature)?;
        let policy = document.check(&path.to_string_lossy())?;
        if let Some(time) = time {
            self.signed.borrow_mut().take(key, time).map_err(DocumentError::Signature)?;
        }
        Ok((policy.digest().to_string(), document.text.into_bytes()))
    }

    /// Writes down when what is installed now was signed, before it is: an older one never takes its place.
    fn keep_times(&self) -> Result<(), ServerError> {
        if self.config.policy_keys.is_empty() {
            return Ok(());
        }
        let path = self.config.directory.join(SIGNED);
        let written = install(&path, &self.signed.borrow().encode());
        written.map_err(|error| ServerError::File(path, error.to_string()))
    }

    fn install(
        &self,
        path: &Path,
        text: &[u8],
        revision: Revision,
        digest: String,
    ) -> Result<(), ServerError> {
        let is_same = fs::read(path).is_ok_and(|old| old == text);
        if !is_same && let Err(error) = install(path, text) {
            // It is tried again: a full disk may have room by then.
            return Err(ServerError::File(path.to_owned(), error.to_string()));
        }
        (self.tell)(&Notice::Installed(revision.clone()));
        let policy = &mut self.state.borrow_mut().policy;
        (policy.installed, policy.digest) = (Some(revision), Some(digest));
        (policy.installed_ns, policy.refused) = (now_ns(), None);
        Ok(())
    }
}

/// Waits for a change; whether others may follow.
async fn next(changes: &mut Option<Changes>) -> bool {
    match changes {
        Some(changes) => changes.next().await.is_some(),
        None => std::future::pending().await,
    }
}
