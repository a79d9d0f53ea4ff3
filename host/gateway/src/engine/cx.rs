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

/// How many processes are searched for in an interval.
const SEARCHES_MAX: u32 = 200;
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);

/// Searches for processes that are left in the current interval.
#[derive(Debug)]
pub(super) struct Searches {
    renewed: Instant,
    left: u32,
}

impl Searches {
    /// All of them, from `now`.
    pub fn new(now: Instant) -> Self {
        Self { renewed: now, left: SEARCHES_MAX }
    }
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
        if self.now >= self.searches.renewed + SEARCH_INTERVAL {
            self.searches = Searches { renewed: self.now, left: SEARCHES_MAX };
        }
        self.searches.left = self.searches.left.checked_sub(1)?;
        self.processes.find(protocol, remote, local)
    }
}

fn target(protocol: Protocol, way: &Way) -> Target {
    Target { host: way.host(), port: protocol.has_ports().then(|| way.port()), kind: protocol.into() }
}
