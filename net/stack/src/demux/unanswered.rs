//! Destinations that do not answer SYNs that ask for accurate ECN, or whose path drops them (RFC 9768 §3.1.4.1): they are asked
//! no more for a while, so that not every connection to them begins with two SYNs in vain.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use core::net::IpAddr;
use tcp::{Config, EcnFeedback};
use time::{Duration, Instant};

/// How long: a path may change, and SYNs may have been lost by chance. As long as a path's MTU is believed.
const AGE_MAX: Duration = Duration::from_secs(600);
/// So many destinations; the one that was learnt first is forgotten for a new one.
const DESTINATIONS_MAX: usize = 1_024;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    since: BTreeMap<IpAddr, Instant>,
    by_age: VecDeque<IpAddr>,
}

impl Unanswered {
    /// It became known at `at`.
    pub(super) fn learn(&mut self, destination: IpAddr, at: Instant) {
        if self.since.insert(destination, at).is_none() {
            self.by_age.push_back(destination);
        }
        while self.since.len() > DESTINATIONS_MAX
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.since.remove(&oldest);
        }
    }

    /// The profile of a connection to `destination`: as the program wants it, but without what is in vain.
    pub(super) fn advise(&self, config: Arc<Config>, destination: IpAddr, now: Instant) -> Arc<Config> {
        let asks = config.ecn_request == EcnFeedback::Accurate;
        match self.since.get(&destination) {
            Some(since) if asks && now - *since < AGE_MAX => {
                Arc::new(Config { ecn_request: EcnFeedback::Off, ..Config::clone(&config) })
            }
            Some(_) | None => config,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_secs(1_000);

    fn to(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    fn request(known: &Unanswered, n: u32, now: Instant) -> EcnFeedback {
        let config = Arc::new(Config { ecn_request: EcnFeedback::Accurate, ..Config::linux() });
        known.advise(config, to(n), now).ecn_request
    }

    #[test]
    fn who_did_not_answer_is_not_asked_for_ten_minutes() {
        let mut known = Unanswered::default();
        known.learn(to(1), NOW);
        assert_eq!(request(&known, 1, NOW), EcnFeedback::Off);
        assert_eq!(request(&known, 2, NOW), EcnFeedback::Accurate);
        assert_eq!(request(&known, 1, NOW + AGE_MAX), EcnFeedback::Accurate);
        known.learn(to(1), NOW + AGE_MAX);
        assert_eq!(request(&known, 1, NOW + AGE_MAX), EcnFeedback::Off);
        let classic = Arc::new(Config { ecn_request: EcnFeedback::Classic, ..Config::linux() });
        assert_eq!(known.advise(classic, to(1), NOW + AGE_MAX).ecn_request, EcnFeedback::Classic);
    }

    #[test]
    fn so_many_are_remembered_and_the_oldest_goes() {
        let mut known = Unanswered::default();
        for n in 0..=DESTINATIONS_MAX as u32 {
            known.learn(to(n), NOW);
        }
        assert_eq!((known.since.len(), known.by_age.len()), (DESTINATIONS_MAX, DESTINATIONS_MAX));
        assert_eq!(request(&known, 0, NOW), EcnFeedback::Accurate);
        assert_eq!(request(&known, 1, NOW), EcnFeedback::Off);
    }
}
