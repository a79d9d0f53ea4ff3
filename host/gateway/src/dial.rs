//! In which order a name's addresses are tried, and when the next one starts: Happy Eyeballs (RFC 8305).
//!
//! ```text
//!  Resolving ── AAAA came, or both, or 50 ms after A ──▶ Racing ── one connects ──▶ Over (Done)
//!      │                                                   │
//!      └────── no address of either family ────────────────┴── all failed, or too long ──▶ Over (Failed)
//! ```
//!
//! RFC 8305 §3 (which answer is waited for), §4 (order: RFC 6724's precedence, then alternating families), §5 (an
//! attempt each 250 ms, at once after a failure), §8 (constants).

use crate::resolver::{Addresses, Family, ResolveError};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::net::IpAddr;
use time::{Duration, Instant};

/// How long an A answer waits for the AAAA answer (RFC 8305 §8, Resolution Delay).
pub const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// How long after an attempt the next one starts (RFC 8305 §8, Connection Attempt Delay).
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// How long everything together may take: half of what a program's own stack waits for an answer to its SYN.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(60);
/// How many addresses are tried; more are not looked at. Each may cost a socket at the same time.
pub const ADDRESSES_MAX: usize = 16;

/// Which families the host can reach beyond itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// It has an IPv4 route.
    pub v4: bool,
    /// It has an IPv6 route.
    pub v6: bool,
}

/// What the engine does for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Start to connect; the attempt's number names it from now on. Numbers count from 0.
    Start {
        /// The attempt.
        attempt: usize,
        /// Where to.
        address: IpAddr,
    },
    /// Close that attempt's socket.
    Cancel {
        /// The attempt.
        attempt: usize,
    },
    /// That attempt is the connection; all others are cancelled.
    Done {
        /// The attempt.
        attempt: usize,
    },
    /// There is no connection.
    Failed(Reason),
}

/// Why there is none. The later a reason stands here, the more it tells: the last one seen is what the program hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The name exists and has no address that may be used.
    NoAddress,
    /// The name could not be resolved.
    Unresolved(ResolveFailure),
    /// No answer in time.
    Timeout,
    /// No route there, or a router said so.
    Unreachable,
    /// The host there answered that nobody listens.
    Refused,
    /// There is no descriptor for it.
    NoDescriptor,
}

/// How resolving failed, ordered as [`Reason`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResolveFailure {
    /// No such name.
    NoSuchName,
    /// The resolver failed or was silent.
    NoAnswer,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoAddress => "it has no address",
            Self::Unresolved(ResolveFailure::NoSuchName) => "the name does not exist",
            Self::Unresolved(ResolveFailure::NoAnswer) => "the upstream resolver did not answer",
            Self::Timeout => "no answer in time",
            Self::Unreachable => "no route leads there",
            Self::Refused => "connection refused",
            Self::NoDescriptor => {
                "weft has no descriptor left for it: close others first, or raise `ulimit -Hn` before the run"
            }
        })
    }
}

impl From<ResolveError> for ResolveFailure {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::NoSuchName => Self::NoSuchName,
            ResolveError::ServerFailure | ResolveError::NoReply | ResolveError::Overloaded => Self::NoAnswer,
        }
    }
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptFailure {
    /// The kernel gave up.
    Timeout,
    /// No route, or a router's ICMP error.
    Unreachable,
    /// A reset.
    Refused,
    /// There was no descriptor for it.
    NoDescriptor,
}

impl From<Errno> for AttemptFailure {
    /// What an error of the host's socket means to the program.
    fn from(error: Errno) -> Self {
        match error {
            Errno::CONNREFUSED | Errno::CONNRESET => Self::Refused,
            Errno::TIMEDOUT => Self::Timeout,
            Errno::MFILE | Errno::NFILE => Self::NoDescriptor,
            _ => Self::Unreachable,
        }
    }
}

/// Why the dial wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The AAAA answer has not come.
    ResolutionDelay,
    /// It is the next address's turn.
    AttemptDelay,
    /// It all took too long.
    DialTimeout,
}

/// One connection to a name, being opened.
#[derive(Debug)]
pub struct Dial {
    reach: Reach,
    state: State,
    /// Which families are known, IPv4 and IPv6.
    known: [bool; 2],
    untried: Vec<IpAddr>,
    attempts: Vec<Attempt>,
    reason: Reason,
    deadline: Instant,
    steps: VecDeque<Step>,
}

#[derive(Debug)]
enum State {
    /// Nothing has been tried; an A answer may be waiting for AAAA.
    Resolving { resolution_delay: Option<Instant> },
    /// Attempts are under way, or addresses still to come.
    Racing { next_attempt: Instant },
    /// Done or failed.
    Over,
}

#[derive(Debug)]
struct Attempt {
    address: IpAddr,
    live: bool,
}

impl Dial {
    /// Starts; addresses are told as they come.
    #[must_use]
    pub fn new(reach: Reach, now: Instant) -> Self {
        Self {
            reach,
            state: State::Resolving { resolution_delay: None },
            known: [false; 2],
            untried: Vec::new(),
            attempts: Vec::new(),
            reason: Reason::NoAddress,
            deadline: now + DIAL_TIMEOUT,
            steps: VecDeque::new(),
        }
    }

    /// Tells the addresses of one family, or why they are not known. To be told once for each family; addresses that
    /// the policy does not admit are left out by the caller.
    pub fn handle_addresses(&mut self, family: Family, addresses: Addresses, now: Instant) {
        self.known[family as usize] = true;
        match addresses {
            Ok(addresses) => {
                for address in addresses {
                    let tried = self.attempts.iter().any(|attempt| attempt.address == address);
                    let room = self.untried.len() + self.attempts.len() < ADDRESSES_MAX;
                    if room && !tried && !self.untried.contains(&address) {
                        self.untried.push(address);
                    }
                }
            }
            Err(error) => self.reason = self.reason.max(Reason::Unresolved(error.into())),
        }
        self.advance(now);
    }

    /// An attempt's socket is connected.
    pub fn handle_connected(&mut self, attempt: usize) {
        if matches!(self.state, State::Over) || !self.attempts.get(attempt).is_some_and(|one| one.live) {
            return;
        }
        self.attempts[attempt].live = false;
        self.end(Step::Done { attempt });
    }

    /// An attempt's socket failed; the caller has closed it.
    pub fn handle_failed(&mut self, attempt: usize, failure: AttemptFailure, now: Instant) {
        let Some(one) = self.attempts.get_mut(attempt).filter(|one| one.live) else { return };
        one.live = false;
        self.reason = self.reason.max(match failure {
            AttemptFailure::Timeout => Reason::Timeout,
            AttemptFailure::Unreachable => Reason::Unreachable,
            AttemptFailure::Refused => Reason::Refused,
            AttemptFailure::NoDescriptor => Reason::NoDescriptor,
        });
        self.advance(now);
    }

    /// A moment that [`poll_timeout`](Self::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now >= self.deadline && !matches!(self.state, State::Over) {
            self.reason = self.reason.max(Reason::Timeout);
            return self.end(Step::Failed(self.reason));
        }
        self.advance(now);
    }

    /// The next thing to do.
    pub fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, Why)> {
        let overall = (self.deadline, Why::DialTimeout);
        let next = match self.state {
            State::Over => return None,
            State::Resolving { resolution_delay } => {
                resolution_delay.map(|when| (when, Why::ResolutionDelay))
            }
            State::Racing { next_attempt } => {
                (!self.untried.is_empty()).then_some((next_attempt, Why::AttemptDelay))
            }
        };
        Some(next.filter(|next| next.0 < overall.0).unwrap_or(overall))
    }

    /// Does what can be done now.
    fn advance(&mut self, now: Instant) {
        if let State::Resolving { resolution_delay } = &mut self.state {
            let [v4_known, v6_known] = self.known;
            let v6_came = v6_known && self.untried.iter().any(IpAddr::is_ipv6);
            // RFC 8305 §3: A alone waits for AAAA for a moment, AAAA waits for nothing.
            if !(v6_came || v4_known && v6_known) {
                if self.untried.is_empty() {
                    return;
                }
                if now < *resolution_delay.get_or_insert(now + RESOLUTION_DELAY) {
                    return;
                }
            }
            self.state = State::Racing { next_attempt: now };
        }
        let State::Racing { next_attempt } = self.state else { return };
        let idle = !self.attempts.iter().any(|attempt| attempt.live);
        if idle || now >= next_attempt {
            if let Some(address) = self.take_next() {
                let attempt = self.attempts.len();
                self.attempts.push(Attempt { address, live: true });
                self.steps.push_back(Step::Start { attempt, address });
                self.state = State::Racing { next_attempt: now + ATTEMPT_DELAY };
            } else if idle && self.known == [true; 2] {
                self.end(Step::Failed(self.reason));
            }
        }
    }

    /// The best untried address of the family whose turn it is (RFC 8305 §4: the families alternate).
    fn take_next(&mut self) -> Option<IpAddr> {
        let last_was_v4 = self.attempts.last().map(|attempt| attempt.address.is_ipv4());
        let rank = |position: usize| {
            let address = self.untried[position];
            let usable = self.is_usable(address);
            let turn = usable && last_was_v4.is_some_and(|v4| v4 != address.is_ipv4());
            // Among equals the first: upstream's order is kept (RFC 6724 §6, rule 10).
            (usable, turn, precedence(address), std::cmp::Reverse(position))
        };
        let best = (0..self.untried.len()).max_by_key(|position| rank(*position))?;
        Some(self.untried.remove(best))
    }

    /// RFC 6724 §6, rule 1. What looks unusable is tried last, not left out: the routes may have changed.
    fn is_usable(&self, address: IpAddr) -> bool {
        address.is_loopback() || if address.is_ipv4() { self.reach.v4 } else { self.reach.v6 }
    }

    fn end(&mut self, step: Step) {
        for (attempt, one) in self.attempts.iter_mut().enumerate() {
            if std::mem::take(&mut one.live) {
                self.steps.push_back(Step::Cancel { attempt });
            }
        }
        self.steps.push_back(step);
        self.untried.clear();
        self.state = State::Over;
    }
}

/// RFC 6724 §2.1: the default policy table's precedence.
fn precedence(address: IpAddr) -> u8 {
    let IpAddr::V6(v6) = address else { return 35 };
    match v6.segments() {
        _ if v6.is_loopback() => 50,
        [0x2002, ..] => 30,
        [0x2001, 0, ..] => 5,
        [first, ..] if first & 0xfe00 == 0xfc00 => 3,
        [first, ..] if first & 0xffc0 == 0xfec0 || first == 0x3ffe => 1,
        [0, 0, 0, 0, 0, 0, ..] => 1,
        _ => 40,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOTH: Reach = Reach { v4: true, v6: true };
    const T0: Instant = Instant::from_secs(1);

    fn addresses(texts: &[&str]) -> Addresses {
        Ok(texts.iter().map(|text| text.parse().expect("an address")).collect())
    }

    fn steps(dial: &mut Dial) -> Vec<Step> {
        std::iter::from_fn(|| dial.poll_step()).collect()
    }

    fn start(attempt: usize, address: &str) -> Step {
        Step::Start { attempt, address: address.parse().expect("an address") }
    }

    #[test]
    fn ipv6_starts_at_once_and_the_families_alternate() {
        let mut dial = Dial::new(BOTH, T0);
        dial.handle_addresses(Family::V6, addresses(&["2606::1", "2606::2"]), T0);
        assert_eq!(steps(&mut dial), [start(0, "2606::1")]);
        dial.handle_addresses(Family::V4, addresses(&["1.1.1.1", "1.1.1.2"]), T0);
        let mut now = T0;
        for expected in [start(1, "1.1.1.1"), start(2, "2606::2"), start(3, "1.1.1.2")] {
            assert_eq!(steps(&mut dial), []);
            assert_eq!(dial.poll_timeout(), Some((now + ATTEMPT_DELAY, Why::AttemptDelay)));
            now += ATTEMPT_DELAY;
            dial.handle_timeout(now);
            assert_eq!(steps(&mut dial), [expected]);
        }
        dial.handle_failed(3, AttemptFailure::Refused, now);
        dial.handle_connected(1);
        assert_eq!(
            steps(&mut dial),
            [Step::Cancel { attempt: 0 }, Step::Cancel { attempt: 2 }, Step::Done { attempt: 1 }]
        );
        assert_eq!(dial.poll_timeout(), None);
        dial.handle_connected(0);
        dial.handle_addresses(Family::V4, addresses(&["1.1.1.3"]), now);
        assert_eq!(steps(&mut dial), [], "nothing follows the end");
    }

    #[test]
    fn ipv4_waits_a_moment_for_ipv6() {
        let mut dial = Dial::new(BOTH, T0);
        dial.handle_addresses(Family::V4, addresses(&["1.1.1.1"]), T0);
        assert_eq!(steps(&mut dial), []);
        assert_eq!(dial.poll_timeout(), Some((T0 + RESOLUTION_DELAY, Why::ResolutionDelay)));
        dial.handle_timeout(T0 + RESOLUTION_DELAY);
        assert_eq!(steps(&mut dial), [start(0, "1.1.1.1")]);
        dial.handle_addresses(Family::V6, addresses(&["2606::1"]), T0 + RESOLUTION_DELAY);
        dial.handle_failed(0, AttemptFailure::Unreachable, T0 + RESOLUTION_DELAY);
        assert_eq!(steps(&mut dial), [start(1, "2606::1")], "a failure starts the next at once");
    }

    #[test]
    fn ipv4_does_not_wait_where_ipv6_has_no_address() {
        let mut dial = Dial::new(BOTH, T0);
        dial.handle_addresses(Family::V6, addresses(&[]), T0);
        dial.handle_addresses(Family::V4, addresses(&["1.1.1.1"]), T0);
        assert_eq!(steps(&mut dial), [start(0, "1.1.1.1")]);
    }

    #[test]
    fn an_unreachable_family_and_low_precedence_come_last() {
        let mut dial = Dial::new(Reach { v4: true, v6: false }, T0);
        dial.handle_addresses(Family::V6, addresses(&["2606::1", "::1"]), T0);
        dial.handle_addresses(Family::V4, addresses(&["1.1.1.1"]), T0);
        dial.handle_failed(0, AttemptFailure::Refused, T0);
        dial.handle_failed(1, AttemptFailure::Refused, T0);
        assert_eq!(steps(&mut dial), [start(0, "::1"), start(1, "1.1.1.1"), start(2, "2606::1")]);
        let mut dial = Dial::new(BOTH, T0);
        dial.handle_addresses(Family::V4, addresses(&["1.1.1.1"]), T0);
        dial.handle_addresses(Family::V6, addresses(&["fd12::1", "2002::1", "2606::1"]), T0);
        for attempt in 0..3 {
            dial.handle_failed(attempt, AttemptFailure::Timeout, T0);
        }
        assert_eq!(
            steps(&mut dial),
            [start(0, "2606::1"), start(1, "1.1.1.1"), start(2, "2002::1"), start(3, "fd12::1")]
        );
    }

    #[test]
    fn the_reason_that_tells_most_is_told() {
        for (v4, v6, failures, reason) in [
            (addresses(&[]), addresses(&[]), vec![], Reason::NoAddress),
            (
                Err(ResolveError::NoSuchName),
                Err(ResolveError::NoSuchName),
                vec![],
                Reason::Unresolved(ResolveFailure::NoSuchName),
            ),
            (
                addresses(&[]),
                Err(ResolveError::NoReply),
                vec![],
                Reason::Unresolved(ResolveFailure::NoAnswer),
            ),
            (
                addresses(&["1.1.1.1"]),
                addresses(&["2606::1"]),
                vec![AttemptFailure::Unreachable, AttemptFailure::Refused],
                Reason::Refused,
            ),
            (
                addresses(&["1.1.1.1", "1.1.1.2"]),
                addresses(&[]),
                vec![AttemptFailure::Unreachable, AttemptFailure::Timeout],
                Reason::Unreachable,
            ),
            (
                addresses(&["1.1.1.1"]),
                addresses(&["2606::1"]),
                vec![Errno::MFILE.into(), Errno::CONNREFUSED.into()],
                Reason::NoDescriptor,
            ),
        ] {
            let mut dial = Dial::new(BOTH, T0);
            dial.handle_addresses(Family::V4, v4, T0);
            dial.handle_addresses(Family::V6, v6, T0);
            for (attempt, failure) in failures.into_iter().enumerate() {
                dial.handle_failed(attempt, failure, T0);
            }
            assert_eq!(steps(&mut dial).last(), Some(&Step::Failed(reason)));
        }
    }

    #[test]
    fn a_dial_ends_in_time_and_tries_no_more_than_its_bound() {
        let mut dial = Dial::new(BOTH, T0);
        let many: Vec<IpAddr> = (0..100u8).map(|low| IpAddr::from([1, 1, 1, low])).collect();
        dial.handle_addresses(Family::V4, Ok(many), T0);
        let mut started = 0;
        let last = loop {
            let Some((when, _)) = dial.poll_timeout() else { panic!("a dial that is not over wakes up") };
            dial.handle_timeout(when);
            let steps = steps(&mut dial);
            started += steps.iter().filter(|step| matches!(step, Step::Start { .. })).count();
            if let Some(Step::Failed(reason)) = steps.last() {
                assert_eq!(steps.len(), ADDRESSES_MAX + 1, "all attempts are cancelled");
                break (when, *reason);
            }
        };
        assert_eq!((started, last), (ADDRESSES_MAX, (T0 + DIAL_TIMEOUT, Reason::Timeout)));
    }

    proptest! {
        /// Whatever happens in whatever order: attempts are distinct, each ends once, and there is one end.
        #[test]
        fn every_dial_ends_once(inputs in proptest::collection::vec((0u8..5, 0usize..6), 0..40)) {
            let mut dial = Dial::new(BOTH, T0);
            let (mut now, mut live, mut tried, mut ends) = (T0, Vec::new(), Vec::new(), 0);
            let mut told = [false; 2];
            for (action, number) in inputs.into_iter().chain([(4, 0); 40]) {
                match action {
                    0 if !told[0] => {
                        told[0] = true;
                        let list = (0..number as u8).map(|low| IpAddr::from([1, 1, 1, low])).collect();
                        dial.handle_addresses(Family::V4, Ok(list), now);
                    }
                    1 if !told[1] => {
                        told[1] = true;
                        let list = (0..number as u16).map(|low| IpAddr::from([9, 0, 0, 0, 0, 0, 0, low])).collect();
                        dial.handle_addresses(Family::V6, Ok(list), now);
                    }
                    2 => dial.handle_failed(number, AttemptFailure::Refused, now),
                    3 => dial.handle_connected(number),
                    _ => if let Some((when, _)) = dial.poll_timeout() {
                        now = now.max(when);
                        dial.handle_timeout(now);
                    },
                }
                if action == 2 {
                    live.retain(|attempt| *attempt != number);
                }
                while let Some(step) = dial.poll_step() {
                    prop_assert_eq!(ends, 0, "nothing follows the end");
                    match step {
                        Step::Start { attempt, address } => {
                            prop_assert!(!tried.contains(&address) && attempt == tried.len());
                            tried.push(address);
                            live.push(attempt);
                        }
                        Step::Cancel { attempt } => {
                            prop_assert!(live.contains(&attempt));
                            live.retain(|other| *other != attempt);
                        }
                        Step::Done { attempt } => {
                            prop_assert_eq!(&live, &[attempt]);
                            ends += 1;
                        }
                        Step::Failed(_) => {
                            prop_assert!(live.is_empty());
                            ends += 1;
                        }
                    }
                }
            }
            prop_assert_eq!(ends, 1);
        }
    }
}
