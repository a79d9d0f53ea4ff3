//! Destinations that do not answer SYNs that ask for accurate ECN, or whose path drops them (RFC 9768 §3.1.4.1): they are asked
//! no more for a while, so that not every connection to them begins with two SYNs in vain.

use super::Tcp;
use crate::recent::Recent;
use alloc::sync::Arc;
use core::net::IpAddr;
use tcp::{Config, EcnFeedback};
use time::Instant;

/// So many destinations are remembered.
const DESTINATIONS_MAX: usize = 1_024;

/// What is remembered.
#[derive(Debug)]
pub(super) struct Unanswered(Recent<()>);

impl Unanswered {
    pub(super) const fn new() -> Self {
        Self(Recent::new(DESTINATIONS_MAX))
    }

    /// It became known at `at`.
    pub(super) fn learn(&mut self, destination: IpAddr, at: Instant) {
        self.0.learn(destination, (), at);
    }

    fn holds(&self, destination: IpAddr, now: Instant) -> bool {
        self.0.find(destination, now).is_some()
    }
}

impl Tcp {
    /// The profile of a connection to `destination`: as the program wants it, but without what is in vain.
    pub(super) fn advise(&mut self, config: Arc<Config>, destination: IpAddr, now: Instant) -> Arc<Config> {
        if config.ecn_request != EcnFeedback::Accurate || !self.unanswered.holds(destination, now) {
            return config;
        }
        self.share_profile(Config { ecn_request: EcnFeedback::Off, ..Config::clone(&config) })
    }
}
