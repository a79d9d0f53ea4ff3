//! What a program changes of a connection that is open: its profile, which it shares with others until then
//! (RFC 9293 §3.9.1: what the user may ask for).

use super::Connection;
use crate::state::Phase;
use crate::{Config, ConfigError, Event, Why};
use alloc::sync::Arc;
use time::Instant;

impl Connection {
    /// The profile that it has now.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Another profile from now on. What the handshake has settled stays as it is: window scale, timestamps, SACK,
    /// segment sizes, the initial window. The window never shrinks below what was advertised already.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tcp::{Config, ConfigError, Connection};
    /// use time::{Instant, SequenceNumber};
    ///
    /// let now = Instant::from_secs(1);
    /// let config = Arc::new(Config::linux());
    /// let mut connection = Connection::connect(config.clone(), 40_000, 80, SequenceNumber(7), 0, now);
    /// connection.set_config(Arc::new(Config { nagle: false, ..Config::linux() }), now)?;
    /// assert!(!connection.config().nagle && config.nagle);
    /// # Ok::<(), ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first field that is outside its range; nothing has changed then.
    pub fn set_config(&mut self, config: Arc<Config>, now: Instant) -> Result<(), ConfigError> {
        config.check()?;
        let old = core::mem::replace(&mut self.config, config);
        if old.congestion != self.config.congestion {
            self.send.set_congestion(self.config.congestion);
        }
        self.send.set_pacing(self.config.pacing);
        if old.cork && !self.config.cork {
            self.send.urge();
        }
        if old.keep_alive != self.config.keep_alive {
            self.keep_alive_anew(old.keep_alive.is_some(), now);
        }
        let exchange = |config: &Config| (config.user_timeout, config.user_timeout_exchange);
        if exchange(&old) != exchange(&self.config) {
            self.change_user_timeout(now);
        }
        let bounds = |config: &Config| (config.receive_start_bytes, config.receive_buffer_bytes);
        if bounds(&old) != bounds(&self.config) {
            self.receive.set_bound(self.config.receive_start());
            self.tell_window();
        }
        if self.may_write() && self.send.unblock(&self.config) {
            self.events.push(Event::Writable);
        }
        Ok(())
    }

    /// Acknowledgements leave at once for a while, one that waits among them; or, where not `on`, they may wait for data
    /// to answer with from now on (TCP_QUICKACK).
    pub fn set_quick_ack(&mut self, on: bool) {
        let acks = self.receive.acks_mut();
        acks.set_quick(if on { self.config.quick_acks.max(1) } else { 0 });
        if on && acks.is_soon() {
            acks.set_now();
        }
    }

    /// Whether acknowledgements leave at once for now.
    pub fn is_quick_ack(&self) -> bool {
        self.receive.acks().is_quick()
    }

    /// Keep-alive was switched on or off, or has other figures.
    fn keep_alive_anew(&mut self, was_on: bool, now: Instant) {
        let open = self.phase.is_synchronised() && !matches!(self.phase, Phase::TimeWait { .. });
        match self.config.keep_alive.filter(|_| open) {
            // Whoever asks for it now has not waited for the silence before.
            Some(keep_alive) => {
                let since = if was_on { self.heard_at } else { now };
                self.timers.set(Why::KeepAlive, (since + keep_alive.idle).max(now));
            }
            None => self.timers.stop(Why::KeepAlive),
        }
    }
}
