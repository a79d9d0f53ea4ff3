//! Claiming an IPv4 address on a link: probes before it is used, announcements after (RFC 5227 §2).

use crate::InterfaceId;
use crate::interface::Interface;
use crate::output::{Output, Timer};
use core::net::{IpAddr, Ipv4Addr};
use time::{Duration, Instant};

/// RFC 5227 §1.1.
const PROBES: u8 = 3;
const ANNOUNCEMENTS: u8 = 2;
const PROBE_WAIT_MS: u64 = 1_000;
const PROBE_MIN_MS: u64 = 1_000;
const PROBE_MAX_MS: u64 = 2_000;
const ANNOUNCE_WAIT: Duration = Duration::from_secs(2);
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// An address that an interface claims.
#[derive(Debug)]
pub(crate) struct Claim {
    pub address: Ipv4Addr,
    state: State,
    at: Instant,
    defended: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Asking whether anyone uses it; it is not used before that is over.
    Probing {
        sent: u8,
    },
    /// Telling that it is ours.
    Announcing {
        sent: u8,
    },
    Ours,
    /// Another machine has it: it is not used.
    Lost,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    Probe,
    Announce,
}

impl Claim {
    pub(crate) const fn new(address: Ipv4Addr) -> Self {
        Self { address, state: State::Probing { sent: 0 }, at: Instant::MAX, defended: None }
    }

    /// Whether `address` is the claimed one, and not to be used yet, or ever.
    pub(crate) fn is_tentative(&self, address: IpAddr) -> bool {
        matches!(self.state, State::Probing { .. } | State::Lost) && address == IpAddr::V4(self.address)
    }

    /// Another machine speaks for it, or asks for it too (RFC 5227 §2.1.1).
    pub(crate) fn lose(&mut self) {
        self.state = State::Lost;
        self.at = Instant::MAX;
    }

    fn handle_timeout(&mut self, jitter_ms: u64, now: Instant) -> Due {
        if self.at > now {
            return Due::Nothing;
        }
        match self.state {
            State::Probing { sent } if sent < PROBES => {
                self.state = State::Probing { sent: sent + 1 };
                let gap_ms = PROBE_MIN_MS + jitter_ms % (PROBE_MAX_MS - PROBE_MIN_MS);
                self.at = now + if sent + 1 < PROBES { Duration::from_millis(gap_ms) } else { ANNOUNCE_WAIT };
                Due::Probe
            }
            State::Probing { .. } => {
                self.state = State::Announcing { sent: 1 };
                self.at = now + ANNOUNCE_INTERVAL;
                Due::Announce
            }
            State::Announcing { sent } if sent < ANNOUNCEMENTS => {
                self.state = State::Announcing { sent: sent + 1 };
                self.at = now + ANNOUNCE_INTERVAL;
                Due::Announce
            }
            State::Announcing { .. } | State::Ours => {
                self.state = State::Ours;
                self.at = Instant::MAX;
                Due::Nothing
            }
            State::Lost => Due::Nothing,
        }
    }
}

impl Interface {
    /// Whether a conflict about an own address is answered now: once in a while, so that two machines that both
    /// defend do not flood the link (RFC 5227 §2.4 (b), and (c) for not giving the address up).
    pub(crate) fn may_defend(&mut self, address: Ipv4Addr, now: Instant) -> bool {
        let at = match self.claims.iter().position(|claim| claim.address == address) {
            Some(at) => at,
            None => {
                self.claims.push(Claim { address, state: State::Ours, at: Instant::MAX, defended: None });
                self.claims.len() - 1
            }
        };
        let claim = &mut self.claims[at];
        let may = claim.defended.is_none_or(|last| now.since(last) >= DEFEND_INTERVAL);
        if may {
            claim.defended = Some(now);
        }
        may
    }
}

impl Output {
    /// Starts to claim the addresses of an interface that is configured to.
    pub(crate) fn start_claims(&mut self, id: InterfaceId, now: Instant) {
        let wait = Duration::from_millis(self.random.below(PROBE_WAIT_MS));
        let Some(interface) = self.interface_mut(id) else { return };
        for claim in &mut interface.claims {
            claim.at = now + wait;
        }
        self.set_claims_timer(id);
    }

    /// The deadline of an interface's claims has come.
    pub(crate) fn handle_claims_timeout(&mut self, id: InterfaceId, now: Instant) {
        let count = self.interface(id).map_or(0, |interface| interface.claims.len());
        for at in 0..count {
            let jitter_ms = self.random.next();
            let Some(claim) = self.interface_mut(id).and_then(|interface| interface.claims.get_mut(at))
            else {
                break;
            };
            let address = claim.address;
            match claim.handle_timeout(jitter_ms, now) {
                Due::Nothing => {}
                Due::Probe => self.probe_address(id, address),
                Due::Announce => self.announce(id, address),
            }
        }
        self.set_claims_timer(id);
    }

    fn set_claims_timer(&mut self, id: InterfaceId) {
        let Some(interface) = self.interface(id) else { return };
        let next = interface.claims.iter().map(|claim| claim.at).min().filter(|&at| at != Instant::MAX);
        if let Some(at) = next {
            self.wheel.set(Timer::Claims(id), at);
        }
    }
}
