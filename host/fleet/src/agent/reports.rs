//! What the agent tells of itself in the bucket of hosts.

use super::{Agent, now_ns};
use crate::server::{ServerError, chain};
use crate::state::HostState;
use crate::subject::HOSTS;
use bytes::Bytes;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The least time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// A report comes at least this often, so that its age tells whether the agent lives.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);
/// How long an agent that ends waits to say so.
const FAREWELL_WAIT: Duration = Duration::from_secs(2);

impl Agent<'_> {
    /// Reports what has changed, for ever. A report that fails is made again with what is true by then.
    pub(super) async fn reports(&self) {
        let mut told: Option<(HostState, Instant)> = None;
        loop {
            let state = self.state.borrow().clone();
            let is_due = told
                .as_ref()
                .is_none_or(|(last, when)| *last != state || when.elapsed() >= HEARTBEAT_INTERVAL);
            if is_due && self.link.connections().borrow().is_up && self.report(&state).await.is_ok() {
                told = Some((state, Instant::now()));
            }
            tokio::time::sleep(REPORT_INTERVAL).await;
        }
    }

    /// Says that the agent has ended.
    pub(super) async fn report_end(&self) {
        let state = self.state.borrow().clone();
        if self.link.connections().borrow().is_up {
            // Where nobody takes it, the report's age will tell.
            let _ = timeout(FAREWELL_WAIT, async {
                self.report(&state).await?;
                self.link.flush().await
            })
            .await;
        }
    }

    async fn report(&self, state: &HostState) -> Result<(), ServerError> {
        let failed = |reason: String| ServerError::Request("report to the bucket of hosts", reason);
        let bucket =
            self.link.jetstream().get_key_value(HOSTS).await.map_err(|error| failed(chain(&error)))?;
        let state = HostState { time_ns: now_ns(), ..state.clone() };
        let value = Bytes::from(state.to_json().to_string());
        let put = bucket.put(self.config.host.token(), value).await;
        put.map(drop).map_err(|error| failed(chain(&error)))
    }
}
