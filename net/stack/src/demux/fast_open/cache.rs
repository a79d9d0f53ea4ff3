//! What a client remembers of servers (RFC 7413 §4.1.3): the cookie, the MSS that came with it, and for how long it is not
//! worth trying (§4.1.3.1).

use crate::index::{Index, words_of};
use crate::slab::Slab;
use alloc::collections::VecDeque;
use core::net::IpAddr;
use hash::Key;
use tcp::{FastOpenOutcome, FastOpenStatus};
use time::{Duration, Instant};
use wire::tcp::FastOpen;

/// How long a server is not tried after a first failure; each that follows doubles it.
const REFUSAL: Duration = Duration::from_secs(60);
/// So often at most: an hour.
const DOUBLINGS_MAX: u32 = 6;

/// What to do for a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// Send data with this cookie, no more than this MSS has room for.
    Send(FastOpen, Option<u16>),
    /// Ask for a cookie.
    Ask,
    /// Do without.
    Refrain,
}

/// Servers by their address and ours: a cookie is of both. Where the cache is full, the one that was added first is
/// forgotten for a new one.
#[derive(Debug)]
pub(super) struct CookieCache {
    entries: Slab<Entry>,
    by_addresses: Index,
    by_age: VecDeque<u64>,
    entries_max: usize,
}

#[derive(Debug)]
struct Entry {
    local: IpAddr,
    remote: IpAddr,
    cookie: Option<FastOpen>,
    mss: Option<u16>,
    /// Failures since it worked.
    failures: u32,
    refused_until: Instant,
}

impl CookieCache {
    pub(super) fn new(key: Key, entries_max: usize) -> Self {
        Self { entries: Slab::new(), by_addresses: Index::new(key), by_age: VecDeque::new(), entries_max }
    }

    /// What is known of the server at `remote`.
    pub(super) fn advise(&self, local: IpAddr, remote: IpAddr, now: Instant) -> Advice {
        let Some(entry) = self.find(local, remote).and_then(|number| self.entries.find(number)) else {
            return Advice::Ask;
        };
        // RFC 7413 §4.1.3.1: a path or a server that takes no data in SYNs is not tried again for some time.
        match entry.cookie {
            _ if now < entry.refused_until => Advice::Refrain,
            Some(cookie) => Advice::Send(cookie, entry.mss),
            None => Advice::Ask,
        }
    }

    /// How a handshake went that used what was advised; `silent` where nobody answered at all.
    pub(super) fn learn(&mut self, local: IpAddr, remote: IpAddr, outcome: &FastOpenOutcome, silent: bool) {
        let refused = outcome.status == FastOpenStatus::NotTaken && outcome.cookie.is_none();
        let failed = silent || refused || outcome.status == FastOpenStatus::Repeated;
        if !failed && outcome.cookie.is_none() && self.find(local, remote).is_none() {
            return;
        }
        let number = self.find(local, remote).or_else(|| self.add(local, remote));
        let Some(entry) = number.and_then(|number| self.entries.find_mut(number)) else { return };
        if outcome.cookie.is_some() {
            (entry.cookie, entry.mss) = (outcome.cookie, outcome.mss);
        } else if refused {
            entry.cookie = None;
        }
        if failed {
            entry.refused_until = outcome.at + REFUSAL * (1 << entry.failures.min(DOUBLINGS_MAX));
            entry.failures = entry.failures.saturating_add(1);
        } else if outcome.status == FastOpenStatus::Taken {
            entry.failures = 0;
        }
    }

    fn find(&self, local: IpAddr, remote: IpAddr) -> Option<u64> {
        let is = |number: u64| {
            self.entries.find(number).is_some_and(|entry| (entry.local, entry.remote) == (local, remote))
        };
        self.by_addresses.find(&words(local, remote), is)
    }

    fn add(&mut self, local: IpAddr, remote: IpAddr) -> Option<u64> {
        while self.entries.len() >= self.entries_max {
            let oldest = self.by_age.pop_front()?;
            let gone = self.entries.remove(oldest)?;
            self.by_addresses.remove(&words(gone.local, gone.remote), oldest);
        }
        let refused_until = Instant::ZERO;
        let entry = Entry { local, remote, cookie: None, mss: None, failures: 0, refused_until };
        let number = self.entries.insert(entry);
        self.by_addresses.insert(&words(local, remote), number);
        self.by_age.push_back(number);
        Some(number)
    }
}

fn words(local: IpAddr, remote: IpAddr) -> [u64; 4] {
    let ([a, b], [c, d]) = (words_of(local), words_of(remote));
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    fn remote(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 1, last))
    }

    fn cookie() -> FastOpen {
        FastOpen::new(b"12345678").expect("legal")
    }

    fn outcome(cookie: Option<FastOpen>, status: FastOpenStatus, at: Instant) -> FastOpenOutcome {
        FastOpenOutcome { cookie, mss: Some(1_000), sent_data: true, status, at }
    }

    fn cache(entries_max: usize) -> CookieCache {
        CookieCache::new(Key::derive(&[7; 32], 1), entries_max)
    }

    #[test]
    fn a_cookie_is_kept_for_both_addresses() {
        let (mut cache, now) = (cache(9), Instant::from_secs(1));
        assert_eq!(cache.advise(LOCAL, remote(1), now), Advice::Ask);
        cache.learn(LOCAL, remote(1), &outcome(Some(cookie()), FastOpenStatus::Requested, now), false);
        assert_eq!(cache.advise(LOCAL, remote(1), now), Advice::Send(cookie(), Some(1_000)));
        assert_eq!(cache.advise(LOCAL, remote(2), now), Advice::Ask);
        assert_eq!(cache.advise(remote(9), remote(1), now), Advice::Ask);
    }

    #[test]
    fn a_failure_is_remembered_for_a_minute_and_each_next_for_twice_as_long() {
        let (mut cache, mut now) = (cache(9), Instant::from_secs(1));
        cache.learn(LOCAL, remote(1), &outcome(Some(cookie()), FastOpenStatus::Requested, now), false);
        for minutes in [1, 2, 4, 8, 16, 32, 64, 64] {
            cache.learn(LOCAL, remote(1), &outcome(None, FastOpenStatus::Repeated, now), false);
            let span = Duration::from_secs(60 * minutes);
            let last = now + span - Duration::from_millis(1);
            assert_eq!(cache.advise(LOCAL, remote(1), last), Advice::Refrain);
            now += span;
            assert_eq!(cache.advise(LOCAL, remote(1), now), Advice::Send(cookie(), Some(1_000)));
        }
        cache.learn(LOCAL, remote(1), &outcome(None, FastOpenStatus::Taken, now), false);
        cache.learn(LOCAL, remote(1), &outcome(None, FastOpenStatus::Repeated, now), false);
        assert_eq!(cache.advise(LOCAL, remote(1), now + REFUSAL), Advice::Send(cookie(), Some(1_000)));
    }

    #[test]
    fn a_server_that_takes_no_data_is_asked_for_a_cookie_later() {
        let (mut cache, now) = (cache(9), Instant::from_secs(1));
        cache.learn(LOCAL, remote(1), &outcome(Some(cookie()), FastOpenStatus::Requested, now), false);
        cache.learn(LOCAL, remote(1), &outcome(None, FastOpenStatus::NotTaken, now), false);
        assert_eq!(cache.advise(LOCAL, remote(1), now), Advice::Refrain);
        assert_eq!(cache.advise(LOCAL, remote(1), now + REFUSAL), Advice::Ask);
        let other = FastOpen::new(b"87654321").expect("legal");
        cache.learn(LOCAL, remote(2), &outcome(Some(other), FastOpenStatus::NotTaken, now), false);
        assert_eq!(cache.advise(LOCAL, remote(2), now), Advice::Send(other, Some(1_000)), "a new cookie");
        cache.learn(LOCAL, remote(3), &outcome(None, FastOpenStatus::Unused, now), true);
        assert_eq!(cache.advise(LOCAL, remote(3), now), Advice::Refrain, "nobody answered");
    }

    #[test]
    fn the_first_goes_for_a_new_one() {
        let (mut cache, now) = (cache(3), Instant::from_secs(1));
        for last in 1..=5 {
            cache.learn(LOCAL, remote(last), &outcome(Some(cookie()), FastOpenStatus::Requested, now), false);
        }
        let known = (1..=5).filter(|last| cache.advise(LOCAL, remote(*last), now) != Advice::Ask);
        assert_eq!(known.collect::<alloc::vec::Vec<_>>(), [3, 4, 5]);
        let mut none = super::CookieCache::new(Key::derive(&[7; 32], 1), 0);
        none.learn(LOCAL, remote(1), &outcome(Some(cookie()), FastOpenStatus::Requested, now), false);
        assert_eq!(none.advise(LOCAL, remote(1), now), Advice::Ask);
    }
}
