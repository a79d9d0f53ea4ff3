//! One neighbour: the states of RFC 4861 §7.3.2, for ARP too.
//!
//! ```text
//!   (asked) Incomplete --answer--> Reachable --time--> Stale --use--> Delay --5 s--> Probe --no answer--> forgotten
//!               |                      ^                 ^              |              |
//!               |                      '--- answer, or TCP progress ----+--------------'
//!               '--no answer--> forgotten                '--- it tells another hardware address
//! ```
//!
//! Reachable has no timer: whether its time is over is seen when it is next used.

use crate::{InterfaceId, TcpId};
use alloc::collections::VecDeque;
use core::net::IpAddr;
use packet::Packet;
use time::{Duration, Instant};
use wire::ethernet::Address;

/// RFC 4861 §10, MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT.
const ASKS_MAX: u8 = 3;
/// RFC 4861 §10, RETRANS_TIMER; RFC 1122 §2.3.2.1: at most one ARP request a second for a destination.
const ASK_INTERVAL: Duration = Duration::from_secs(1);
/// RFC 4861 §10, DELAY_FIRST_PROBE_TIME.
const DELAY: Duration = Duration::from_secs(5);
/// Packets that wait for an answer; RFC 4861 §7.2.2 asks for one at least, and the oldest goes for a new one.
pub(crate) const WAITING_MAX: usize = 16;

/// A packet that waits for an answer, and the connection whose it is.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub packet: Packet,
    pub connection: Option<TcpId>,
}

#[derive(Debug)]
enum State {
    Incomplete { asked: u8, waiting: VecDeque<Waiting> },
    Reachable { hardware: Address, confirmed: Instant },
    Stale { hardware: Address },
    Delay { hardware: Address },
    Probe { hardware: Address, asked: u8 },
}

/// One neighbour.
#[derive(Debug)]
pub(crate) struct Entry {
    pub interface: InterfaceId,
    pub address: IpAddr,
    /// Used since the table last looked for one to forget.
    pub used: bool,
    /// When `handle_timeout` is due.
    pub deadline: Option<Instant>,
    state: State,
}

/// How a packet leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// To this hardware address; `timer` where a deadline was set by it.
    Send { hardware: Address, timer: bool },
    /// It has to wait.
    Wait,
}

/// What is due after a deadline.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Ask everyone on the link.
    Everyone,
    /// Ask the neighbour itself whether it is still there.
    Itself(Address),
    /// It did not answer: forget it.
    Nobody,
    /// Nothing is due.
    Nothing,
}

impl Entry {
    /// A neighbour that is asked for now, or one that has told its hardware address without being asked.
    pub(crate) fn new(
        interface: InterfaceId,
        address: IpAddr,
        hardware: Option<Address>,
        now: Instant,
    ) -> Self {
        let (state, deadline) = match hardware {
            Some(hardware) => (State::Stale { hardware }, None),
            None => (State::Incomplete { asked: 1, waiting: VecDeque::new() }, Some(now + ASK_INTERVAL)),
        };
        Self { interface, address, used: true, deadline, state }
    }

    /// Packets that wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        if let State::Incomplete { waiting, .. } = &self.state { waiting.len() } else { 0 }
    }

    /// The hardware address, where one is known.
    pub(crate) const fn hardware(&self) -> Option<Address> {
        match self.state {
            State::Incomplete { .. } => None,
            State::Reachable { hardware, .. }
            | State::Stale { hardware }
            | State::Delay { hardware }
            | State::Probe { hardware, .. } => Some(hardware),
        }
    }

    /// A packet is to leave for it.
    #[inline]
    pub(crate) fn use_now(&mut self, reachable: Duration, now: Instant) -> Use {
        self.used = true;
        match self.state {
            State::Incomplete { .. } => Use::Wait,
            State::Reachable { hardware, confirmed } if now.since(confirmed) < reachable => {
                Use::Send { hardware, timer: false }
            }
            State::Delay { hardware } | State::Probe { hardware, .. } => Use::Send { hardware, timer: false },
            State::Reachable { hardware, .. } | State::Stale { hardware } => {
                self.state = State::Delay { hardware };
                self.deadline = Some(now + DELAY);
                Use::Send { hardware, timer: true }
            }
        }
    }

    /// Keeps a packet until there is an answer; gives the oldest back where too many wait.
    pub(crate) fn wait(&mut self, packet: Waiting) -> Option<Waiting> {
        let State::Incomplete { waiting, .. } = &mut self.state else { return Some(packet) };
        let pushed_out = if waiting.len() >= WAITING_MAX { waiting.pop_front() } else { None };
        waiting.push_back(packet);
        pushed_out
    }

    /// It answered our question, so the way there and back works. Returns what waited.
    pub(crate) fn handle_answer(&mut self, hardware: Address, now: Instant) -> VecDeque<Waiting> {
        self.deadline = None;
        let before = core::mem::replace(&mut self.state, State::Reachable { hardware, confirmed: now });
        released(before)
    }

    /// It told its hardware address without being asked: that says nothing of our way to it. Returns what waited.
    pub(crate) fn handle_told(&mut self, hardware: Address) -> VecDeque<Waiting> {
        if self.hardware() == Some(hardware) {
            return VecDeque::new();
        }
        self.deadline = None;
        released(core::mem::replace(&mut self.state, State::Stale { hardware }))
    }

    /// An advertisement with another address that does not replace ours (RFC 4861 §7.2.5): trust it less.
    pub(crate) fn doubt(&mut self) {
        if let State::Reachable { hardware, .. } = self.state {
            self.state = State::Stale { hardware };
        }
    }

    /// The peer behind it has acknowledged what we sent (RFC 4861 §7.3.1). Whether a deadline was taken away.
    #[inline]
    pub(crate) fn confirm(&mut self, now: Instant) -> bool {
        let Some(hardware) = self.hardware() else { return false };
        self.state = State::Reachable { hardware, confirmed: now };
        self.deadline.take().is_some()
    }

    /// The deadline has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Ask {
        if self.deadline.is_none_or(|at| at > now) {
            return Ask::Nothing;
        }
        self.deadline = Some(now + ASK_INTERVAL);
        match &mut self.state {
            State::Incomplete { asked, .. } if *asked < ASKS_MAX => {
                *asked += 1;
                Ask::Everyone
            }
            State::Probe { hardware, asked } if *asked < ASKS_MAX => {
                *asked += 1;
                Ask::Itself(*hardware)
            }
            State::Incomplete { .. } | State::Probe { .. } => Ask::Nobody,
            State::Delay { hardware } => {
                let hardware = *hardware;
                self.state = State::Probe { hardware, asked: 1 };
                Ask::Itself(hardware)
            }
            State::Reachable { .. } | State::Stale { .. } => {
                self.deadline = None;
                Ask::Nothing
            }
        }
    }

    /// What waits, when it is forgotten.
    pub(crate) fn into_waiting(self) -> VecDeque<Waiting> {
        released(self.state)
    }
}

fn released(state: State) -> VecDeque<Waiting> {
    if let State::Incomplete { waiting, .. } = state { waiting } else { VecDeque::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    const HERE: Address = Address([2, 0, 0, 0, 0, 1]);
    const ELSEWHERE: Address = Address([2, 0, 0, 0, 0, 2]);
    const REACHABLE: Duration = Duration::from_secs(30);

    fn entry(hardware: Option<Address>) -> Entry {
        Entry::new(InterfaceId(0), Ipv4Addr::new(10, 0, 0, 1).into(), hardware, Instant::ZERO)
    }

    fn packet() -> Waiting {
        Waiting { packet: Packet::default(), connection: None }
    }

    #[test]
    fn incomplete_without_answer_is_asked_three_times_and_forgotten() {
        let mut entry = entry(None);
        assert_eq!(entry.use_now(REACHABLE, Instant::ZERO), Use::Wait);
        assert!(matches!(entry.handle_timeout(Instant::from_millis(999)), Ask::Nothing));
        assert!(matches!(entry.handle_timeout(Instant::from_secs(1)), Ask::Everyone));
        assert!(matches!(entry.handle_timeout(Instant::from_secs(2)), Ask::Everyone));
        assert!(matches!(entry.handle_timeout(Instant::from_secs(3)), Ask::Nobody));
    }

    #[test]
    fn incomplete_keeps_the_youngest_packets() {
        let mut entry = entry(None);
        for _ in 0..WAITING_MAX {
            assert!(entry.wait(packet()).is_none());
        }
        assert!(entry.wait(packet()).is_some());
        assert_eq!(entry.handle_answer(HERE, Instant::ZERO).len(), WAITING_MAX);
    }

    #[test]
    fn reachable_turns_stale_delays_probes_and_is_forgotten() {
        let mut entry = entry(None);
        let _ = entry.handle_answer(HERE, Instant::ZERO);
        assert_eq!(
            entry.use_now(REACHABLE, Instant::from_secs(29)),
            Use::Send { hardware: HERE, timer: false }
        );
        assert_eq!(
            entry.use_now(REACHABLE, Instant::from_secs(30)),
            Use::Send { hardware: HERE, timer: true }
        );
        assert_eq!(entry.deadline, Some(Instant::from_secs(35)));
        for second in [35, 36, 37] {
            assert!(matches!(entry.handle_timeout(Instant::from_secs(second)), Ask::Itself(HERE)));
        }
        assert!(matches!(entry.handle_timeout(Instant::from_secs(38)), Ask::Nobody));
    }

    #[test]
    fn probe_confirmed_is_reachable() {
        let mut entry = entry(Some(HERE));
        assert!(matches!(entry.use_now(REACHABLE, Instant::ZERO), Use::Send { timer: true, .. }));
        assert!(matches!(entry.handle_timeout(Instant::from_secs(5)), Ask::Itself(HERE)));
        assert!(entry.confirm(Instant::from_secs(5)));
        assert!(matches!(entry.handle_timeout(Instant::from_secs(6)), Ask::Nothing));
        assert_eq!(
            entry.use_now(REACHABLE, Instant::from_secs(6)),
            Use::Send { hardware: HERE, timer: false }
        );
    }

    #[test]
    fn another_address_told_makes_it_stale() {
        let mut entry = entry(None);
        assert!(entry.wait(packet()).is_none());
        assert_eq!(entry.handle_answer(HERE, Instant::ZERO).len(), 1);
        assert!(entry.handle_told(HERE).is_empty());
        assert_eq!(entry.use_now(REACHABLE, Instant::ZERO), Use::Send { hardware: HERE, timer: false });
        assert!(entry.handle_told(ELSEWHERE).is_empty());
        assert_eq!(entry.use_now(REACHABLE, Instant::ZERO), Use::Send { hardware: ELSEWHERE, timer: true });
    }
}
