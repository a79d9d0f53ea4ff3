//! How long data may stay unacknowledged (RFC 9293 §3.8.3), and what both sides tell each other of it (RFC 5482): ours where
//! the program has set one, the peer's where the profile lets it count.

use super::Connection;
use crate::{UserTimeoutExchange, Why};
use time::{Duration, Instant};
use wire::tcp::{HEADER_LENGTH, HEADER_LENGTH_MAX, Options, UserTimeout};

/// RFC 5482 §3.1, L_LIMIT: what a peer tells makes nobody give up before the 100 seconds of RFC 9293 §3.8.3.
const TOLD_MIN: Duration = Duration::from_secs(100);
/// RFC 5482 §3.1, U_LIMIT: nor has it us keep state for a peer that is gone for longer than two hours, as keep-alive does.
const TOLD_MAX: Duration = Duration::from_secs(7_200);

/// Bytes of options in all, and of this one.
const OPTIONS_LENGTH_MAX: usize = HEADER_LENGTH_MAX - HEADER_LENGTH;
const OPTION_LENGTH: usize = 4;

/// What was told of the user timeouts of both sides.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// REMOTE_UTO, where it counts.
    peer: Option<UserTimeout>,
    /// Ours has to be told in a segment without SYN.
    due: bool,
}

impl Connection {
    /// USER_TIMEOUT: the program's, or what the peer has told makes of it.
    pub(super) fn user_timeout(&self) -> Option<Duration> {
        match self.told.peer {
            None => self.config.user_timeout,
            // RFC 5482 §3.1: min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT)). What the program itself asks for has no bound.
            Some(peer) => {
                let own = self.config.user_timeout.unwrap_or_default();
                Some(peer.duration().clamp(TOLD_MIN, TOLD_MAX).max(own))
            }
        }
    }

    /// How often something may be sent without progress: where there is a user timeout, that decides (as Linux).
    pub(super) fn retries_max(&self) -> u8 {
        if self.user_timeout().is_some() { u8::MAX } else { self.config.retries }
    }

    /// ADV_UTO, where it is told.
    fn advertised(&self) -> Option<UserTimeout> {
        let tells = self.config.user_timeout_exchange != UserTimeoutExchange::Off;
        self.config.user_timeout.filter(|_| tells).map(UserTimeout::new)
    }

    /// Our SYN or SYN-ACK says it, where the other options leave room; and because the peer may forget what SYNs say, as one
    /// does that answers by cookies, so does our first segment without that bit (RFC 5482 §3.2, SHOULD).
    pub(super) fn tell_in_syn(&mut self, options: &mut Options) {
        options.user_timeout =
            self.advertised().filter(|_| options.length() + OPTION_LENGTH <= OPTIONS_LENGTH_MAX);
        self.owe_timeout();
    }

    /// It is to be told in a segment without SYN, where it is told at all.
    pub(super) fn owe_timeout(&mut self) {
        self.told.due = self.advertised().is_some();
    }

    /// Whether a bare acknowledgement is to tell it before anything else leaves.
    pub(super) fn owes_timeout(&self) -> bool {
        self.told.due
    }

    /// The option of a bare acknowledgement that leaves.
    pub(super) fn timeout_option(&mut self) -> Option<UserTimeout> {
        if core::mem::take(&mut self.told.due) { self.advertised() } else { None }
    }

    /// An acceptable segment of the peer tells its own (RFC 5482 §3.1).
    pub(super) fn hear_user_timeout(&mut self, peer: UserTimeout, now: Instant) {
        if self.is_changeable() && self.told.peer != Some(peer) {
            self.told.peer = Some(peer);
            self.time_user_anew(now);
        }
    }

    /// RFC 5482 §3.1, CHANGEABLE: what the program has set stays, unless it wants otherwise.
    fn is_changeable(&self) -> bool {
        match self.config.user_timeout_exchange {
            UserTimeoutExchange::Off => false,
            UserTimeoutExchange::On => self.config.user_timeout.is_none(),
            UserTimeoutExchange::Changeable => true,
        }
    }

    /// The program has changed its own, or whether it is exchanged. RFC 5482 §3.2: the peer is told of the change.
    pub(super) fn change_user_timeout(&mut self, now: Instant) {
        if !self.is_changeable() {
            self.told.peer = None;
        }
        if self.phase.is_synchronised() {
            self.owe_timeout();
        }
        self.time_user_anew(now);
    }

    /// What is unacknowledged has as long as the user timeout says, from now on.
    fn time_user_anew(&mut self, now: Instant) {
        match self.user_timeout() {
            Some(timeout) if self.send.is_awaiting() => self.timers.set(Why::UserTimeout, now + timeout),
            _ => self.timers.stop(Why::UserTimeout),
        }
    }

    /// RFC 5482 §3.1: what is unacknowledged, or held back by a closed window, has so long.
    pub(super) fn start_user_timeout(&mut self, now: Instant) {
        if let Some(timeout) = self.user_timeout() {
            self.timers.start(Why::UserTimeout, now + timeout);
        }
    }
}
