//! Deadlines: retransmission (RFC 6298 §5, RFC 9293 §3.8.3), probes (§3.8.6.1), delayed acknowledgements,
//! keep-alive (§3.8.4), and the ends of waiting states.

use super::Connection;
use crate::state::Phase;
use crate::{CloseReason, Why};
use time::Instant;

impl Connection {
    /// RFC 9293 §3.10.8.
    pub(super) fn expire(&mut self, now: Instant) {
        match self.phase {
            Phase::TimeWait { until } if until <= now => return self.finish(CloseReason::Finished, now),
            Phase::FinWait2 { until } if until <= now => return self.finish(CloseReason::TimedOut, now),
            _ => {}
        }
        while let Some(why) = self.timers.expire(now) {
            match why {
                Why::Reordering => {
                    self.send.handle_reordering_timeout(now);
                    self.schedule_probes(now);
                }
                Why::TailProbe => {
                    self.send.handle_probe_timeout();
                    // RFC 8985 §7.2: where the timeout comes as soon, it is the probe that leaves, and the timeout has its full
                    // time again behind it (§7.3).
                    if self.timers.at(Why::Retransmit) <= now {
                        self.timers.set(Why::Retransmit, now + self.send.timeout(&self.config));
                    }
                }
                Why::Retransmit => self.expire_retransmission(now),
                Why::Persist => self.expire_persist(now),
                Why::DelayedAck => self.receive.acks_mut().handle_timeout(),
                Why::KeepAlive => self.expire_keep_alive(now),
                // What it held back leaves when the owner polls.
                Why::Pacing => {}
                Why::UserTimeout | Why::TimeWait => self.give_up(now),
            }
        }
    }

    fn expire_retransmission(&mut self, now: Instant) {
        let retries_max = match self.phase {
            Phase::SynSent(_) => self.config.syn_retries,
            Phase::SynReceived(handshake) if handshake.held => {
                self.config.syn_ack_retries.max(self.config.accept_defer_retries)
            }
            Phase::SynReceived(_) => self.config.syn_ack_retries,
            _ => self.retries_max(),
        };
        if self.send.retries() >= retries_max {
            return self.give_up(now);
        }
        let last_chance = self.send.retries().saturating_add(1) >= self.config.accept_defer_retries;
        let awaits = self.send.is_awaiting() || self.phase.handshake().is_some();
        if awaits {
            self.figures.handle_timeout(self.send.retries() == 0, now);
        }
        match self.phase.handshake() {
            // What was in flight waits behind a closed window: the persist timer has taken over.
            None if !awaits => {}
            // RFC 9293 §3.8.1: a SYN is sent again as data is.
            Some(handshake) => {
                handshake.due = !handshake.held || last_chance;
                let waits = !handshake.due;
                self.send.handle_silence();
                if waits {
                    self.start_retransmission(now);
                }
                self.fall_back();
            }
            None => {
                self.send.handle_timeout(&self.config, now);
                self.schedule_probes(now);
            }
        }
    }

    fn expire_persist(&mut self, now: Instant) {
        if !self.send.is_stalled() {
            return;
        }
        if self.send.retries() >= self.retries_max() {
            return self.give_up(now);
        }
        self.send.handle_persist();
    }

    /// RFC 9293 §3.8.4. The deadline is not moved for every segment: what was heard since is looked up now.
    fn expire_keep_alive(&mut self, now: Instant) {
        let Some(keep_alive) = self.config.keep_alive else { return };
        let idle_until = self.heard_at + keep_alive.idle;
        if self.send.flight() > 0 || (idle_until > now && self.keep_alive_probes == 0) {
            // Data in flight is a probe by itself.
            self.timers.set(Why::KeepAlive, idle_until.max(now + keep_alive.interval));
        } else if self.is_silent_too_long(keep_alive.probes, now) {
            self.reset_peer();
            self.give_up(now);
        } else {
            self.keep_alive_probes += 1;
            self.keep_alive_due = true;
            self.timers.set(Why::KeepAlive, now + keep_alive.interval);
        }
    }

    /// Whether keep-alive gives up: after so many probes, or where there is a user timeout, after that (as Linux; RFC
    /// 5482 §3.1 leaves it open).
    fn is_silent_too_long(&self, probes_max: u8, now: Instant) -> bool {
        match self.user_timeout() {
            Some(timeout) => self.keep_alive_probes > 0 && now - self.heard_at >= timeout,
            None => self.keep_alive_probes >= probes_max,
        }
    }

    /// The peer does not answer.
    fn give_up(&mut self, now: Instant) {
        let reason = if self.unreachable { CloseReason::Unreachable } else { CloseReason::TimedOut };
        self.finish(reason, now);
    }
}
