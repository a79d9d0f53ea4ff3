//! What every part of the engine works with: the stack, the verdicts, the names, the report, and the time.

use super::Sources;
use super::gate::{Denial, Gate, Way};
use super::lookup::Waiters;
use crate::attribution::Processes;
use crate::domain::DomainName;
use crate::names::Names;
use crate::report::{Closing, Event, Process, Reporter, Target};
use crate::resolver::{self, Resolution, Resolver};
use crate::rules::{Decision, Protocol};
use packet::Pool;
use runtime::{Clock, Poller};
use stack::{Refusal, RequestId, Stack};
use std::net::SocketAddr;
use time::{Duration, Instant};

/// Which part of the gateway's time searching for processes may take: one in so many.
const SEARCH_SHARE: u32 = 10;

/// How much of that may be taken at once, as the time in which it is earned: 100 ms of searching.
const SEARCH_CREDIT: Duration = Duration::from_secs(1);

/// The time that searches for processes may still take. A search costs what the command makes it cost, by the files
/// that it holds open, so that counting searches would bound nothing.
#[derive(Debug)]
pub(super) struct Searches {
    /// When all that was taken is earned again.
    earned: Instant,
}

impl Searches {
    /// All of the credit, at `now`.
    pub fn new(now: Instant) -> Self {
        Self { earned: now }
    }

    /// Whether there is credit for one more.
    fn may_start(&self, now: Instant) -> bool {
        self.earned <= now + SEARCH_CREDIT
    }

    /// One more took this long.
    fn handle_taken(&mut self, took: Duration, now: Instant) {
        self.earned = self.earned.max(now) + took * SEARCH_SHARE;
    }
}

/// What this thread has worked so far: time in which others had the processor is not the command's to cost.
fn worked() -> Duration {
    let worked = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(worked.tv_sec as u64, worked.tv_nsec as u32)
}

/// A flow's beginning, for the report of its end.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    at: Instant,
    process: Option<Process>,
    target: Target,
    address: Option<SocketAddr>,
}

/// Bytes that went each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    /// From the command.
    pub up: u64,
    /// To the command.
    pub down: u64,
}

impl Traffic {
    /// Bytes both ways.
    pub fn total(self) -> u64 {
        self.up + self.down
    }
}

/// Shared by all parts while one of them works.
pub(super) struct Cx {
    pub clock: Clock,
    /// The moment of this turn.
    pub now: Instant,
    pub stack: Stack,
    pub poller: Poller,
    /// Buffers that reads from the host's sockets fill.
    pub pool: Pool,
    /// Room for one datagram.
    pub scratch: Vec<u8>,
    pub gate: Gate,
    pub resolver: Resolver,
    pub waiters: Waiters,
    pub reporter: Reporter,
    pub processes: Processes,
    pub searches: Searches,
}

impl Cx {
    /// Names and the addresses that stand for them.
    pub fn names(&mut self) -> &mut Names {
        self.resolver.names_mut()
    }

    /// Where a connection to `wanted` goes, or why it goes nowhere.
    pub fn judge(&self, protocol: Protocol, wanted: SocketAddr) -> Result<Way, Denial> {
        self.gate.judge(self.resolver.names(), protocol, wanted)
    }

    /// What is known of a name's addresses now; the flow at `index` is told of the rest.
    pub fn resolve(&mut self, source: Sources, index: usize, name: &DomainName) -> Resolution {
        let known = self.resolver.resolve_for_connect(name, self.now);
        self.waiters.insert(name, source, index, &known);
        known
    }
}

/// What is told.
impl Cx {
    /// Refuses a pending SYN, and says so.
    pub fn refuse_request(
        &mut self,
        request: RequestId,
        local: SocketAddr,
        remote: SocketAddr,
        denial: &Denial,
    ) {
        self.report_denial(Protocol::Tcp, local, remote, denial);
        self.stack.tcp_refuse(request, Refusal::Reset, self.now);
    }

    /// What `remote`, a socket of the command's, wanted of `local` was refused.
    pub fn report_denial(
        &mut self,
        protocol: Protocol,
        local: SocketAddr,
        remote: SocketAddr,
        denial: &Denial,
    ) {
        let process = self.process(protocol, local, remote);
        let Denial { host, port, reason, hint } = denial;
        let target =
            Target { host: host.clone(), port: protocol.has_ports().then_some(*port), kind: protocol.into() };
        self.record(&Event::Deny { process, target, reason: reason.clone(), hint: hint.clone() });
    }

    /// A flow was opened. What its end is to be told with.
    pub fn report_connect(
        &mut self,
        protocol: Protocol,
        way: &Way,
        local: SocketAddr,
        remote: SocketAddr,
        address: Option<SocketAddr>,
    ) -> Opened {
        let process = self.reporter.keeps_events().then(|| self.process(protocol, local, remote)).flatten();
        let target = target(protocol, way);
        let rule = self.gate.rule_for(protocol, way);
        let opened = Opened { at: self.now, process: process.clone(), target: target.clone(), address };
        self.record(&Event::Connect { process, target, address, rule });
        opened
    }

    /// A flow was allowed, and could not be opened.
    pub fn report_failure(
        &mut self,
        protocol: Protocol,
        way: &Way,
        local: SocketAddr,
        remote: SocketAddr,
        reason: String,
    ) {
        let process = self.reporter.keeps_events().then(|| self.process(protocol, local, remote)).flatten();
        self.record(&Event::Fail { process, target: target(protocol, way), reason });
    }

    /// A flow ended.
    pub fn report_close(&mut self, opened: Opened, traffic: Traffic, closing: Closing) {
        let Opened { at, process, target, address } = opened;
        self.record(&Event::Close {
            process,
            target,
            address,
            bytes_sent: traffic.up,
            bytes_received: traffic.down,
            duration: self.now.since(at),
            closing,
        });
    }

    /// A name was asked for by `asker`, a socket of the command's, of `server`, a socket of ours.
    pub fn report_resolution(
        &mut self,
        event: resolver::Event,
        asker: Option<(Protocol, SocketAddr, SocketAddr)>,
    ) {
        let refused = matches!(event, resolver::Event::Refused { .. });
        let process = match asker {
            Some((protocol, server, asker)) if refused || self.reporter.keeps_events() => {
                self.process(protocol, server, asker)
            }
            _ => None,
        };
        let event = match event {
            resolver::Event::Refused { name, by, .. } => {
                let target = Target::of_question(&name);
                let hint = by.is_none().then(|| format!("--allow {}", target.host));
                let reason = Decision { allowed: false, by }.to_string();
                Event::Deny { process, target, reason, hint }
            }
            resolver::Event::Answered { name, record_type, code, addresses, .. } => {
                Event::Resolve { process, target: Target::of_question(&name), record_type, code, addresses }
            }
        };
        self.record(&event);
    }

    /// Something happened.
    pub fn record(&mut self, event: &Event) {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let unix_nanos = since_1970.map_or(0, |span| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
        self.reporter.record(event, self.now, unix_nanos);
    }

    /// The process that holds the command's socket `remote`, as long as looking for it costs little: a command that
    /// is refused ten thousand times a second is not worth ten thousand searches.
    fn process(&mut self, protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> Option<Process> {
        if !self.searches.may_start(self.now) {
            return None;
        }
        let before = worked();
        let found = self.processes.find(protocol, remote, local);
        self.searches.handle_taken(worked().saturating_sub(before), self.now);
        found
    }
}

fn target(protocol: Protocol, way: &Way) -> Target {
    Target { host: way.host(), port: protocol.has_ports().then(|| way.port()), kind: protocol.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_take_their_share_of_the_time_and_no_more() {
        let (start, took) = (Instant::from_secs(1), Duration::from_millis(10));
        let mut searches = Searches::new(start);
        let mut at_once = 0;
        while searches.may_start(start) {
            searches.handle_taken(took, start);
            at_once += 1;
        }
        assert_eq!(at_once, 11, "100 ms, and the one that ends above them");
        assert!(!searches.may_start(start + Duration::from_millis(99)));
        assert!(searches.may_start(start + Duration::from_millis(100)), "10 ms are earned in 100 ms");
        let mut later = 0;
        for millisecond in 0..10_000 {
            let now = start + Duration::from_millis(100 + millisecond);
            while searches.may_start(now) {
                searches.handle_taken(took, now);
                later += 1;
            }
        }
        assert!((99..=101).contains(&later), "one second of ten, not {later} times 10 ms");
    }
}
