//! TCP connections of the program, from SYN to close.
//!
//! ```text
//!   SYN ─> asked for ─┬─ refused: reset
//!                     └─> dialling, each attempt authorised ─┬─ failed: reset or unreachable
//!                                                            └─> admitted (SYN-ACK) ─> relaying ─> closed
//! ```
//!
//! The program's handshake completes only when the far side's has: what `connect` tells the program is true.

mod pump;

use super::Sources;
use super::asked::{Asked, Identity, Said, Unopened, Waiter};
use super::cx::{Cx, Opened, Traffic};
use super::gate::{Denial, Entry, Way, host_addresses};
use super::held::{Held, Opening};
use super::inspection::StreamInspection;
use super::relay::{Pumped, Relay};
use crate::dial::{AttemptFailure, Dial, Reach, Reason, Step};
use crate::limits::Direction;
use crate::report::Closing;
use crate::resolver::{Family, Resolution};
use crate::uplink::TcpSocket;
use axiom::Committed;
use axiom::domain::DomainName;
use axiom::policy::Policy;
use axiom::rules::Protocol;
use ledger::Outcome;
use pump::Turns;
use runtime::Readiness;
use rustix::io::Errno;
use slab::Slab;
use stack::{Refusal, RequestId, TcpId};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use time::{Instant, Wheel};

/// How many connections the program may have at once. The descriptors of the process bound them too.
const FLOWS_MAX: usize = 65_536;

/// How many bytes all connections together move in one turn before frames are taken again: 2 ms at 16 Gbit/s.
const TURN_BYTES_MAX: u64 = 4 << 20;

/// Both versions are tried: where the host has no route, its socket says so at once.
const HOST_REACH: Reach = Reach { v4: true, v6: true };

/// The program's TCP connections.
#[derive(Debug)]
pub(super) struct TcpFlows {
    flows: Slab<Flow>,
    by_connection: HashMap<TcpId, usize>,
    by_request: HashMap<RequestId, usize>,
    /// Flows that have bytes to move, each once.
    ready: VecDeque<usize>,
    turns: Turns,
    timers: Wheel<usize>,
    profile: Arc<tcp::Config>,
    /// Bytes that writes to the far sides have left over, of all flows.
    left: usize,
}

#[derive(Debug)]
struct Flow {
    /// The address that the program connects to.
    local: SocketAddr,
    asked: Asked,
    phase: Phase,
    queued: bool,
}

#[derive(Debug)]
enum Phase {
    /// Names are resolved, and addresses tried.
    Dialling {
        request: RequestId,
        dial: Dial,
        attempts: Vec<Attempt>,
        /// Why addresses of the name may not be used, if some may not.
        denial: Option<Denial>,
    },
    Relaying {
        connection: TcpId,
        relay: Relay,
        opened: Opened,
    },
    /// Between two phases, inside one call.
    Moving,
}

/// One of a name's addresses, being tried.
#[derive(Debug)]
struct Attempt {
    number: usize,
    /// None while its entry is not on disk.
    socket: Option<TcpSocket>,
    remote: SocketAddr,
    committed: Committed,
    started: Instant,
}

impl Phase {
    fn traffic(&self) -> Traffic {
        match self {
            Self::Relaying { relay, .. } => relay.traffic(),
            Self::Dialling { .. } | Self::Moving => Traffic::default(),
        }
    }
}

impl TcpFlows {
    /// No connections; those to come have `profile`.
    pub fn new(profile: Arc<tcp::Config>, now: Instant) -> Self {
        Self {
            flows: Slab::new(),
            by_connection: HashMap::new(),
            by_request: HashMap::new(),
            ready: VecDeque::new(),
            turns: Turns::default(),
            timers: Wheel::new(now),
            profile,
            left: 0,
        }
    }

    /// The program asks for a connection.
    pub fn handle_request(&mut self, cx: &mut Cx, request: RequestId, local: SocketAddr, remote: SocketAddr) {
        let held = || Held::Tcp(request, local, remote);
        if let Some(identity) = cx.identify(Protocol::Tcp, local, remote, held) {
            self.handle_identified(cx, request, (local, remote), identity);
        }
    }

    /// The same, now that it is known who asks.
    pub fn handle_identified(
        &mut self,
        cx: &mut Cx,
        request: RequestId,
        (local, remote): (SocketAddr, SocketAddr),
        identity: Identity,
    ) {
        let held = || Held::Tcp(request, local, remote);
        let asked = match cx.ask((Protocol::Tcp, local, remote), identity, held) {
            Ok(asked) => asked,
            Err(Unopened::Refused) => return cx.stack.tcp_refuse(request, Refusal::Reset, cx.now),
            Err(Unopened::Waits) => return,
        };
        if self.flows.len() >= FLOWS_MAX {
            let reason = format!("there are {FLOWS_MAX} connections, the most that weft carries at once");
            cx.report_failure(&asked, reason);
            return cx.stack.tcp_refuse(request, Refusal::Reset, cx.now);
        }
        cx.names().pin(local.ip());
        let dial = Dial::new(HOST_REACH, cx.now);
        let phase = Phase::Dialling { request, dial, attempts: Vec::new(), denial: None };
        let way = asked.way.clone();
        let index = self.flows.insert(Flow { local, asked, phase, queued: false });
        self.by_request.insert(request, index);
        match way {
            Way::Address(address) => self.dial(cx, index, known(&[address.ip()])),
            Way::Host(_) => self.dial(cx, index, known(&host_addresses())),
            Way::Name(name, _) => {
                let known = cx.resolve(Sources::Tcp, index, &name);
                self.dial(cx, index, known);
            }
        }
    }

    /// The command gave up before it had an answer.
    pub fn handle_request_ended(&mut self, cx: &mut Cx, request: RequestId) {
        match self.by_request.get(&request) {
            Some(index) => self.remove(cx, *index),
            None => cx.forget_request(request),
        }
    }

    /// A person has been asked whether the name of a connection may lead to this address: it is dialled anew.
    pub fn handle_led(&mut self, cx: &mut Cx, request: RequestId, address: IpAddr, said: Option<Said>) {
        let Some(&index) = self.by_request.get(&request) else { return };
        let Some(flow) = self.flows.get_mut(index) else { return };
        let Phase::Dialling { dial, denial, .. } = &mut flow.phase else { return };
        (*dial, *denial) = (Dial::new(HOST_REACH, cx.now), None);
        flow.asked.consent.take(address, said);
        let Some(name) = flow.asked.way.name().cloned() else { return };
        let known = cx.resolve(Sources::Tcp, index, &name);
        self.dial(cx, index, known);
    }

    /// More is known of `name`, for which the flow at `index` waited, if it is still that flow.
    pub fn handle_resolved(&mut self, cx: &mut Cx, index: usize, name: &DomainName, known: Resolution) {
        if self.flows.get(index).is_some_and(|flow| flow.asked.way.name() == Some(name)) {
            self.dial(cx, index, known);
        }
    }

    /// Gives the dial the addresses that are known and may be used.
    fn dial(&mut self, cx: &mut Cx, index: usize, known: Resolution) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let Phase::Dialling { dial, denial, .. } = &mut flow.phase else { return };
        for (family, found) in [(Family::V6, known.v6), (Family::V4, known.v4)] {
            let Some(found) = found else { continue };
            let found = found.map(|found| {
                cx.admit(&flow.asked, &found).unwrap_or_else(|why| {
                    *denial = Some(why);
                    Vec::new()
                })
            });
            dial.handle_addresses(family, found, cx.now);
        }
        self.advance(cx, index);
    }

    /// Does what the dial asks for until it asks for nothing.
    fn advance(&mut self, cx: &mut Cx, index: usize) {
        loop {
            let Some(flow) = self.flows.get_mut(index) else { return };
            let Phase::Dialling { dial, attempts, .. } = &mut flow.phase else { return };
            match dial.poll_step() {
                Some(Step::Start { attempt, address }) => self.start(cx, index, attempt, address),
                Some(Step::Cancel { attempt }) => {
                    let cancelled = attempts.extract_if(.., |other| other.number == attempt);
                    cancelled.for_each(|attempt| attempt.abandon(cx, Outcome::Aborted));
                }
                Some(Step::Done { attempt }) => return self.admit(cx, index, attempt),
                Some(Step::Failed(reason)) => return self.fail(cx, index, reason),
                None => {
                    match dial.poll_timeout() {
                        Some((at, _)) => self.timers.set(index, at),
                        None => self.timers.cancel(index),
                    }
                    return;
                }
            }
        }
    }

    /// Authorises an attempt, and connects it as soon as that may be.
    fn start(&mut self, cx: &mut Cx, index: usize, number: usize, address: IpAddr) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let Phase::Dialling { dial, attempts, denial, .. } = &mut flow.phase else { return };
        let remote = SocketAddr::new(address, flow.asked.way.port());
        match cx.commit(&flow.asked, remote) {
            Ok(committed) => {
                let waiter = Waiter::Tcp { index, attempt: number };
                let waits = cx.authority.settle(committed.sequence, waiter).is_some();
                attempts.push(Attempt { number, socket: None, remote, committed, started: cx.now });
                if !waits {
                    self.connect(cx, index, number);
                }
            }
            Err(why) => {
                *denial = Some(why);
                dial.handle_failed(number, AttemptFailure::Unreachable, cx.now);
            }
        }
    }

    /// Lets an attempt's first packet leave.
    fn connect(&mut self, cx: &mut Cx, index: usize, number: usize) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let Phase::Dialling { attempts, .. } = &mut flow.phase else { return };
        let Some(attempt) = attempts.iter_mut().find(|attempt| attempt.number == number) else { return };
        let connected = TcpSocket::connect(attempt.remote).and_then(|socket| {
            cx.poller.add(&socket, Sources::Tcp.attempt_token(index, number))?;
            Ok(socket)
        });
        match connected {
            Ok(socket) => attempt.socket = Some(socket),
            Err(error) => self.lose(cx, index, number, error.into()),
        }
    }

    /// An attempt has come to nothing.
    fn lose(&mut self, cx: &mut Cx, index: usize, number: usize, failure: AttemptFailure) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let Phase::Dialling { dial, attempts, .. } = &mut flow.phase else { return };
        let lost = attempts.extract_if(.., |attempt| attempt.number == number);
        lost.for_each(|attempt| {
            attempt.abandon(
                cx,
                match failure {
                    AttemptFailure::Refused => Outcome::Refused,
                    AttemptFailure::Timeout => Outcome::TimedOut,
                    AttemptFailure::Unreachable | AttemptFailure::NoDescriptor => Outcome::Unreachable,
                },
            );
        });
        dial.handle_failed(number, failure, cx.now);
    }

    /// The entry of an attempt of the flow at `index` is on disk, or never will be.
    pub fn handle_settled(
        &mut self,
        cx: &mut Cx,
        (index, number): (usize, usize),
        sequence: u64,
        is_durable: bool,
    ) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let Phase::Dialling { attempts, denial, .. } = &mut flow.phase else { return };
        // The flow that waited may have ended, and another may have its index.
        let is_it = |attempt: &Attempt| attempt.number == number && attempt.committed.sequence == sequence;
        if !attempts.iter().any(is_it) {
            return;
        }
        if is_durable {
            self.connect(cx, index, number);
        } else {
            let why = cx.authority.failed().unwrap_or_default();
            *denial = Some(Denial::unwritten(&flow.asked.way, why));
            self.lose(cx, index, number, AttemptFailure::Unreachable);
        }
        self.advance(cx, index);
    }

    /// The far side is connected: so may the program be.
    fn admit(&mut self, cx: &mut Cx, index: usize, winner: usize) {
        self.timers.cancel(index);
        let Some(flow) = self.flows.get_mut(index) else { return };
        let Phase::Dialling { request, attempts, .. } = std::mem::replace(&mut flow.phase, Phase::Moving)
        else {
            return;
        };
        self.by_request.remove(&request);
        let Some(winner) = attempts.into_iter().find(|attempt| attempt.number == winner) else {
            return self.remove(cx, index);
        };
        let admitted = cx.stack.tcp_admit(request, self.profile.clone(), cx.now);
        let (Some(connection), true) = (admitted, winner.socket.is_some()) else {
            winner.abandon(cx, Outcome::Aborted);
            return self.remove(cx, index);
        };
        let Attempt { socket: Some(socket), remote, committed, .. } = winner else { return };
        let flow = &mut self.flows[index];
        let inspection = StreamInspection::new(flow.asked.way.name(), cx.gate.tls_opaque);
        let opened = cx.report_connect(&flow.asked, Some(remote), &committed);
        let relay = Relay::new(connection, socket, inspection);
        flow.phase = Phase::Relaying { connection, relay, opened };
        self.by_connection.insert(connection, index);
        self.queue(index);
    }

    fn fail(&mut self, cx: &mut Cx, index: usize, reason: Reason) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let Phase::Dialling { request, denial, .. } = &mut flow.phase else { return };
        let opening = Opening::Tcp(*request);
        let led = denial.as_mut().filter(|_| reason == Reason::NoAddress);
        if led.is_some_and(|denial| cx.inquire_where_it_leads(&flow.asked, denial, opening)) {
            return self.timers.cancel(index);
        }
        // What was refused in the end is told as that, whatever else was tried.
        let is_refusal =
            |denial: &mut Denial| reason == Reason::NoAddress || denial.entry != Entry::Unwritten;
        let refusal = match denial.take_if(is_refusal) {
            Some(denial) => {
                cx.refuse(&flow.asked, denial);
                Refusal::Reset
            }
            None => {
                cx.report_failure(&flow.asked, reason.to_string());
                match reason {
                    Reason::Refused => Refusal::Reset,
                    Reason::Unreachable
                    | Reason::NoAddress
                    | Reason::Unresolved(_)
                    | Reason::NoDescriptor => Refusal::HostUnreachable,
                    Reason::Timeout => Refusal::Silent,
                }
            }
        };
        cx.stack.tcp_refuse(*request, refusal, cx.now);
        self.remove(cx, index);
    }

    /// A connection to a published port came in at the host, and was authorised: `connection` leads to the program.
    pub fn insert_published(
        &mut self,
        cx: &mut Cx,
        connection: TcpId,
        socket: TcpSocket,
        (asked, committed): (Asked, &Committed),
        outside: SocketAddr,
    ) {
        let opened = cx.report_connect(&asked, Some(outside), committed);
        let full = self.flows.len() >= FLOWS_MAX;
        let entry = self.flows.vacant_entry();
        let index = entry.key();
        if full || cx.poller.add(&socket, Sources::Tcp.token(index)).is_err() {
            cx.report_close(opened, Traffic::default(), Closing::Aborted);
            cx.stack.tcp_abort(connection, cx.now);
            cx.stack.tcp_release(connection, cx.now);
            return socket.reset();
        }
        let relay = Relay::new(connection, socket, StreamInspection::new(None, false));
        let phase = Phase::Relaying { connection, relay, opened };
        entry.insert(Flow { local: outside, asked, phase, queued: false });
        self.by_connection.insert(connection, index);
    }

    /// A socket of the flow at `index` reported.
    pub fn handle_readiness(&mut self, cx: &mut Cx, index: usize, attempt: usize, readiness: Readiness) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        match &mut flow.phase {
            Phase::Dialling { dial, attempts, .. } => {
                let tried = attempts.iter().find(|other| other.number == attempt);
                let Some(socket) = tried.and_then(|tried| tried.socket.as_ref()) else { return };
                match socket.outcome(readiness) {
                    Ok(()) => dial.handle_connected(attempt),
                    Err(Errno::INPROGRESS) => return,
                    Err(error) => self.lose(cx, index, attempt, error.into()),
                }
                self.advance(cx, index);
                // What the far side sent with its handshake is not reported again.
                if let Some(Flow { phase: Phase::Relaying { relay, .. }, .. }) = self.flows.get_mut(index) {
                    relay.handle_readiness(readiness);
                }
            }
            Phase::Relaying { relay, .. } => {
                relay.handle_readiness(readiness);
                self.queue(index);
            }
            Phase::Moving => {}
        }
    }

    /// The stack says something about a connection.
    pub fn handle_event(&mut self, cx: &mut Cx, connection: TcpId, event: tcp::Event) {
        let Some(&index) = self.by_connection.get(&connection) else { return };
        match event {
            tcp::Event::Established
            | tcp::Event::Readable
            | tcp::Event::Writable
            | tcp::Event::PeerClosed
            | tcp::Event::SendingDone => self.queue(index),
            tcp::Event::Closed(reason) => self.close(cx, index, closing(reason)),
        }
    }

    /// Starts the attempts whose moment has come.
    pub fn handle_timeout(&mut self, cx: &mut Cx) {
        while let Some(index) = self.timers.expire(cx.now) {
            if let Some(Flow { phase: Phase::Dialling { dial, .. }, .. }) = self.flows.get_mut(index) {
                dial.handle_timeout(cx.now);
                self.advance(cx, index);
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) or [`pump`](Self::pump) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next().into_iter().chain(self.turns.poll_timeout()).min()
    }

    /// Closes what a policy would not allow; how many.
    pub fn revoke(&mut self, cx: &mut Cx, policy: &Policy) -> u64 {
        let is_revoked = |flow: &Flow| match &flow.phase {
            Phase::Relaying { opened, .. } => !cx.is_allowed_by(policy, &flow.asked, opened.address),
            Phase::Dialling { .. } => !cx.is_allowed_by(policy, &flow.asked, None),
            Phase::Moving => false,
        };
        let revoked: Vec<usize> =
            self.flows.iter().filter(|(_, flow)| is_revoked(flow)).map(|(index, _)| index).collect();
        for index in &revoked {
            let flow = self.flows.get_mut(*index);
            if let Some(Flow { phase: Phase::Dialling { request, attempts, .. }, .. }) = flow {
                cx.stack.tcp_refuse(*request, Refusal::Reset, cx.now);
                attempts.drain(..).for_each(|attempt| attempt.abandon(cx, Outcome::Revoked));
                self.remove(cx, *index);
            }
            self.close(cx, *index, Closing::Refused);
        }
        revoked.len() as u64
    }

    /// Everything that is open is reset.
    pub fn end(&mut self, cx: &mut Cx, closing: &Closing) {
        let open: Vec<usize> = self.flows.iter().map(|(index, _)| index).collect();
        for index in open {
            if let Some(Flow { phase: Phase::Dialling { request, .. }, .. }) = self.flows.get(index) {
                cx.stack.tcp_refuse(*request, Refusal::Reset, cx.now);
                self.remove(cx, index);
            }
            self.close(cx, index, closing.clone());
        }
    }

    /// The run is over: what was handed to the host goes on its way, and nothing is reset.
    pub fn leave(&mut self, cx: &mut Cx) {
        let open: Vec<usize> = self.flows.iter().map(|(index, _)| index).collect();
        for index in open {
            let Some(flow) = self.flows.get_mut(index) else { continue };
            if let Phase::Relaying { relay, opened, .. } = &flow.phase {
                let closing = if relay.is_sent() { Closing::Finished } else { Closing::Aborted };
                cx.report_close(opened.clone(), relay.traffic(), closing);
            }
            self.remove(cx, index);
        }
    }

    /// Whether bytes that the program sent are still on their way to the far side.
    pub fn is_sending(&self) -> bool {
        self.flows.iter().any(|(_, flow)| match &flow.phase {
            Phase::Relaying { relay, .. } => !relay.is_sent(),
            Phase::Dialling { .. } | Phase::Moving => false,
        })
    }

    /// Whether bytes wait to be moved.
    pub fn has_work(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many bytes of the open connections have been handed to the host.
    pub fn handed_over(&self) -> u64 {
        self.flows.iter().map(|(_, flow)| flow.phase.traffic().up).sum()
    }

    fn queue(&mut self, index: usize) {
        if let Some(flow) = self.flows.get_mut(index)
            && !flow.queued
        {
            flow.queued = true;
            self.ready.push_back(index);
        }
    }

    /// Ends both sides as `closing` says, and forgets the flow.
    fn close(&mut self, cx: &mut Cx, index: usize, closing: Closing) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        if !matches!(flow.phase, Phase::Relaying { .. }) {
            return;
        }
        let Phase::Relaying { connection, relay, opened } = std::mem::replace(&mut flow.phase, Phase::Moving)
        else {
            return;
        };
        self.left -= relay.left();
        for direction in [Direction::Up, Direction::Down] {
            if relay.is_held(direction) {
                self.turns.forget(direction, index);
            }
        }
        let in_order = closing == Closing::Finished;
        cx.report_close(opened, relay.traffic(), closing);
        if !in_order {
            cx.stack.tcp_abort(connection, cx.now);
            relay.reset();
        }
        cx.stack.tcp_release(connection, cx.now);
        self.by_connection.remove(&connection);
        self.remove(cx, index);
    }

    fn remove(&mut self, cx: &mut Cx, index: usize) {
        let Some(flow) = self.flows.try_remove(index) else { return };
        self.timers.cancel(index);
        // A connection from outside pinned nothing, whatever address it came from.
        if flow.asked.way.name().is_some() {
            cx.names().unpin(flow.local.ip());
        }
        if let Phase::Dialling { request, attempts, .. } = flow.phase {
            self.by_request.remove(&request);
            attempts.into_iter().for_each(|attempt| attempt.abandon(cx, Outcome::Aborted));
        }
    }
}

impl Attempt {
    /// It came to nothing, or another was faster.
    fn abandon(self, cx: &mut Cx, outcome: Outcome) {
        cx.abandon(self.committed.sequence, self.started, outcome);
    }
}

/// Addresses that need no resolver.
fn known(addresses: &[IpAddr]) -> Resolution {
    let (v4, v6) = addresses.iter().partition(|address| address.is_ipv4());
    Resolution { v4: Some(Ok(v4)), v6: Some(Ok(v6)) }
}

/// How a connection of our stack's ended. The far end of the link is the command itself: where it does not answer any
/// more, its namespace is gone.
fn closing(reason: ::tcp::CloseReason) -> Closing {
    match reason {
        ::tcp::CloseReason::Finished => Closing::Finished,
        ::tcp::CloseReason::Reset | ::tcp::CloseReason::Refused => Closing::Reset,
        ::tcp::CloseReason::TimedOut => Closing::TimedOut,
        ::tcp::CloseReason::Unreachable => Closing::Unreachable,
        ::tcp::CloseReason::Aborted => Closing::Aborted,
    }
}
