//! What every part of the engine works with: the stack, the verdicts, the names, the report, and the time.

use super::Sources;
use super::gate::{Denial, Gate, Way};
use super::lookup::Waiters;
use super::reporter::Reporter;
use crate::domain::DomainName;
use crate::names::Names;
use crate::resolver::{Event, Resolution, Resolver};
use crate::rules::Protocol;
use packet::Pool;
use runtime::{Clock, Poller};
use stack::{Refusal, RequestId, Stack};
use std::net::SocketAddr;
use time::Instant;

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
        self.stack.tcp_refuse(request, Refusal::Reset, self.now);
        self.report_denial(Protocol::Tcp, local, remote, denial);
    }

    /// Something was refused.
    pub fn report_denial(
        &mut self,
        protocol: Protocol,
        _local: SocketAddr,
        _remote: SocketAddr,
        denial: &Denial,
    ) {
        let Denial { host, port, reason, rule, hint } = denial;
        let mut line = format!("refused {protocol} {host}");
        if protocol.has_ports() {
            line = format!("{line}:{port}");
        }
        line = format!("{line}: {reason}");
        if let Some(rule) = rule {
            line = format!("{line} ({rule})");
        }
        if let Some(hint) = hint {
            line = format!("{line}; allow with {hint}");
        }
        self.reporter.tell_refusal(&line);
    }

    /// A name was asked for.
    pub fn report_resolution(&mut self, event: &Event, _asker: Option<SocketAddr>) {
        if let Event::Refused { name, .. } = event {
            let name = name.trim_end_matches('.');
            self.reporter
                .tell_refusal(&format!("refused dns {name}: no rule allows it; allow with --allow {name}"));
        }
    }
}
