//! What every part of the engine works with: the stack, the verdicts, the names, the report, and the time.

use super::Sources;
use super::asked::{Identity, Question, Waiter};
use super::gate::Gate;
use super::held::{Held, Waiting};
use super::inquiry::{Flow, Inquiries};
use super::listeners::Listeners;
use super::lookup::Waiters;
use super::origin::Origin;
use super::unix::Sockets;
use crate::attribution::{Asker, Digesting, Digests, Processes};
use crate::authority::{Authority, Lessons, unix_ns};
use crate::limits::{Direction, Limits};
use crate::names::Names;
use crate::report::{Event, Process, Reporter, Target};
use crate::resolver::{self, Resolution, Resolver};
use axiom::Proposal;
use axiom::domain::DomainName;
use axiom::rules::{Decision, Protocol};
use packet::Pool;
use runtime::{Clock, Poller};
use stack::{RequestId, Stack};
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
    pub at: Instant,
    pub process: Option<Process>,
    pub target: Target,
    pub address: Option<SocketAddr>,
    /// The entry by which it was authorised.
    pub sequence: u64,
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
    pub authority: Authority<Waiter>,
    pub has_told_of_ledger: bool,
    /// Whether it was said that questions from the sandbox are lost.
    pub has_told_of_loss: bool,
    /// What the run does, where that is learned.
    pub lessons: Option<Lessons>,
    /// What the run may use of the network; `None` where nothing was said of it.
    pub limits: Option<Box<Limits>>,
    pub resolver: Resolver,
    pub waiters: Waiters,
    pub reporter: Reporter,
    pub processes: Processes,
    pub digests: Digests,
    /// What waits for a digest.
    pub waiting: Waiting,
    /// What waits for a person; `None` where nobody is asked.
    pub inquiries: Option<Inquiries>,
    /// Unix sockets of the host's that are about to be connected.
    pub sockets: Sockets,
    /// Programs that have taken ports inside.
    pub listeners: Listeners,
    pub searches: Searches,
}

impl Cx {
    /// Names and the addresses that stand for them.
    pub fn names(&mut self) -> &mut Names {
        self.resolver.names_mut()
    }

    /// What is known of a name's addresses now; the flow at `index` is told of the rest.
    pub fn resolve(&mut self, source: Sources, index: usize, name: &DomainName) -> Resolution {
        let known = self.resolver.resolve_for_connect(name, self.now);
        self.waiters.insert(name, source, index, &known);
        known
    }
}

/// What is limited.
impl Cx {
    /// Whether a datagram may pass, as far as limits go: where it may not, it is lost.
    pub fn passes(&mut self, direction: Direction, payload: &[u8]) -> bool {
        self.limits.as_mut().is_none_or(|limits| limits.pass(direction, payload.len(), self.now))
    }

    /// Whether everything that is open is to be closed: the run has carried all that it may.
    pub fn is_cut_due(&self) -> bool {
        self.limits.as_ref().is_some_and(|limits| limits.is_cut_due())
    }

    /// Everything that was open is closed.
    pub fn handle_cut(&mut self) {
        if let Some(limits) = &mut self.limits {
            limits.handle_cut();
            self.reporter
                .say("weft: the run has carried all bytes that --limit gives it; nothing more is carried");
        }
    }

    /// Says how many datagrams limits have lost, if they did.
    pub fn tell_of_drops(&mut self) {
        let dropped = self.limits.as_ref().map_or(0, |limits| limits.dropped());
        if dropped > 0 {
            self.reporter.say(&format!("weft: datagrams dropped by --limit: {dropped}"));
        }
    }
}

/// What is told.
impl Cx {
    /// A name was asked for by `asker`, a socket of the command's, of `server`, a socket of ours; `upstreams` are whom the
    /// resolver asks.
    pub fn report_resolution(
        &mut self,
        event: resolver::Event,
        asker: Option<(Protocol, SocketAddr, SocketAddr)>,
        upstreams: &[SocketAddr],
    ) {
        let process = match asker {
            _ if matches!(event, resolver::Event::Nameless { .. }) => None,
            Some((protocol, server, asker)) if self.reporter.keeps_events() => {
                self.find(protocol, server, asker).as_ref().map(Asker::to_process)
            }
            _ => None,
        };
        let event = match event {
            resolver::Event::Nameless { name, .. } => self.refuse_nameless(&name, asker),
            resolver::Event::Answered { name, record_type, code, addresses, .. } => {
                Event::Resolve { process, target: Target::of_question(&name), record_type, code, addresses }
            }
            resolver::Event::Unanswered { name, .. } => {
                let servers: Vec<String> = upstreams.iter().map(SocketAddr::to_string).collect();
                let reason = match servers.is_empty() {
                    true => "no resolver is configured; name one with --dns".to_owned(),
                    false => format!("no answer from {}", servers.join(", ")),
                };
                Event::Fail { process, target: Target::of_question(&name), reason }
            }
        };
        self.record(&event);
    }

    /// Writes down that a name was asked for that no host can have, so that no rule allows it.
    fn refuse_nameless(&mut self, name: &str, asker: Option<(Protocol, SocketAddr, SocketAddr)>) -> Event {
        let found = asker.and_then(|(protocol, server, own)| self.find(protocol, server, own));
        let Identity { process, program, .. } = found.map_or_else(Identity::default, |one| self.know(&one));
        let target = Target::of_question(name);
        let local = asker.map(|(_, _, own)| own);
        let nameless = Proposal::resolve_nameless(target.host.as_str());
        let proposal = Proposal { local, program, run: self.authority.run(), ..nameless };
        let reason = Decision { allowed: false, by: None }.to_string();
        let rejected = self.authority.reject(&proposal, &reason, self.now);
        let entry = self.authority.entry_id(rejected.sequence);
        Event::Deny { process, target, reason, hint: None, entry }
    }

    /// Says once that the ledger cannot be written, so that nothing new is allowed.
    pub fn tell_of_ledger(&mut self) {
        if self.has_told_of_ledger {
            return;
        }
        if let Some(why) = self.authority.failed() {
            let line = format!("weft: the ledger cannot be written: {why}; nothing new is allowed");
            self.has_told_of_ledger = true;
            self.reporter.say(&line);
        }
    }

    /// Something happened.
    pub fn record(&mut self, event: &Event) {
        self.reporter.record(event, self.now, unix_ns());
    }

    /// Who listens at the command's socket `own`, as far as that is known now.
    pub fn identify_listener(&mut self, (protocol, from, own): Question, origin: Origin) -> Identity {
        let found = self.search(|processes| {
            let socket = origin.socket().or_else(|| processes.look(protocol, own, from))?;
            processes.find_holding(socket, protocol, own, from)
        });
        found.map_or_else(Identity::default, |asker| self.know(&asker))
    }

    /// Who asks, as far as that is known now: without a digest that is still being found.
    fn know(&mut self, asker: &Asker) -> Identity {
        let digest = match self.digests.digest(asker.executable()) {
            Digesting::Known(digest) => Some(digest),
            Digesting::Pending(_) | Digesting::Unknown => None,
        };
        Identity::of(asker, digest)
    }

    /// Who opened the command's socket `own`; `None` where that is still being found: then it comes back with what is
    /// `held`.
    pub fn identify(
        &mut self,
        protocol: Protocol,
        wanted: SocketAddr,
        own: SocketAddr,
        held: impl FnOnce() -> Held,
    ) -> Option<Identity> {
        if !self.asks_who() {
            return Some(Identity::default());
        }
        let Some(asker) = self.find(protocol, wanted, own) else { return Some(Identity::default()) };
        self.with_digest(asker, held)
    }

    /// Who sends from the socket where a flow's first datagram came from; `None` where that is still being found: then it comes
    /// back with what is `held`.
    pub fn identify_sender(
        &mut self,
        (protocol, wanted, own): Question,
        origin: Origin,
        held: impl FnOnce() -> Held,
    ) -> Option<Identity> {
        let found = origin
            .socket()
            .and_then(|socket| self.search(|processes| processes.find_at(socket, protocol, own, wanted)));
        match found {
            Some(asker) => self.with_digest(asker, held),
            None => Some(Identity::default()),
        }
    }

    /// A process with its executable's digest; `None` where that is still being found: then it comes back with what is
    /// `held`.
    pub fn with_digest(&mut self, asker: Asker, held: impl FnOnce() -> Held) -> Option<Identity> {
        match self.digests.digest(asker.executable()) {
            Digesting::Known(digest) => Some(Identity::of(&asker, Some(digest))),
            Digesting::Pending(ticket) if self.waiting.has_room() => {
                self.waiting.hold(ticket, asker, held(), self.now);
                None
            }
            Digesting::Pending(_) | Digesting::Unknown => Some(Identity::of(&asker, None)),
        }
    }

    /// Whether a packet belongs to a flow whose first one waits, for a person or until it is known who asks; then it is kept
    /// behind that, or lost.
    pub fn joins(&mut self, flow: Flow, packet: impl FnOnce() -> Held) -> bool {
        match self.inquiries.as_mut().filter(|inquiries| inquiries.keeps(flow)) {
            Some(inquiries) => {
                inquiries.join(flow, packet);
                true
            }
            None => self.waiting.join(flow, packet),
        }
    }

    /// The command gave a connection up for which nothing has been opened yet.
    pub fn forget_request(&mut self, request: RequestId) {
        self.waiting.forget(request);
        if let Some(inquiries) = &mut self.inquiries {
            inquiries.forget(request);
        }
    }

    /// Whether each asker is looked for, and not only whom something is refused.
    pub fn asks_who(&self) -> bool {
        self.authority.asks_who() || self.reporter.keeps_events() || self.lessons.is_some()
    }

    /// Who wanted what is refused: looked for now, where nobody was before.
    pub fn find_refused(&mut self, (protocol, wanted, own): Question) -> Option<Process> {
        if self.asks_who() {
            return None;
        }
        self.find(protocol, wanted, own).as_ref().map(Asker::to_process)
    }

    /// The process that opened the command's socket `own`.
    fn find(&mut self, protocol: Protocol, wanted: SocketAddr, own: SocketAddr) -> Option<Asker> {
        self.search(|processes| processes.find(protocol, own, wanted))
    }

    /// Looks for a process, as long as that costs little, unless the policy asks who it is: a command that is refused ten
    /// thousand times a second is not worth ten thousand searches.
    pub fn search<T>(&mut self, look: impl FnOnce(&mut Processes) -> Option<T>) -> Option<T> {
        let is_told_apart = self.inquiries.as_ref().is_some_and(Inquiries::tells_programs_apart);
        if !self.searches.may_start(self.now) && !self.authority.looks_at_programs() && !is_told_apart {
            return None;
        }
        let before = worked();
        let found = look(&mut self.processes);
        self.searches.handle_taken(worked().saturating_sub(before), self.now);
        found
    }
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
