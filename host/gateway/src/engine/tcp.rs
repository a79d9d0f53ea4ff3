//! TCP connections of the program, from SYN to close.
//!
//! ```text
//!   SYN ─> judged ─┬─ refused: reset
//!                  └─> dialling ─┬─ failed: reset or unreachable
//!                                └─> admitted (SYN-ACK) ─> relaying ─> closed
//! ```
//!
//! The program's handshake completes only when the far side's has: what `connect` tells the program is true.

use super::Sources;
use super::cx::{Cx, Opened, Traffic};
use super::gate::{Denial, Way, host_addresses};
use super::inspection::StreamInspection;
use super::relay::{Pumped, Relay};
use crate::dial::{AttemptFailure, Dial, Reach, Reason, Step};
use crate::domain::DomainName;
use crate::report::Closing;
use crate::resolver::{Family, Resolution};
use crate::rules::Protocol;
use crate::uplink::TcpSocket;
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
    timers: Wheel<usize>,
    profile: Arc<tcp::Config>,
    /// Bytes that writes to the far sides have left over, of all flows.
    left: usize,
}

#[derive(Debug)]
struct Flow {
    /// What the program asked for, and its own address.
    local: SocketAddr,
    remote: SocketAddr,
    way: Way,
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
    socket: TcpSocket,
    remote: SocketAddr,
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
            timers: Wheel::new(now),
            profile,
            left: 0,
        }
    }

    /// The program asks for a connection.
    pub fn handle_request(&mut self, cx: &mut Cx, request: RequestId, local: SocketAddr, remote: SocketAddr) {
        let way = match cx.judge(Protocol::Tcp, local) {
            Ok(way) => way,
            Err(denial) => return cx.refuse_request(request, local, remote, &denial),
        };
        if self.flows.len() >= FLOWS_MAX {
            let reason = format!("there are {FLOWS_MAX} connections, the most that weft carries at once");
            cx.report_failure(Protocol::Tcp, &way, local, remote, reason);
            return cx.stack.tcp_refuse(request, Refusal::Reset, cx.now);
        }
        cx.names().pin(local.ip());
        let dial = Dial::new(HOST_REACH, cx.now);
        let phase = Phase::Dialling { request, dial, attempts: Vec::new(), denial: None };
        let flow = Flow { local, remote, way: way.clone(), phase, queued: false };
        let index = self.flows.insert(flow);
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
        if let Some(index) = self.by_request.get(&request) {
            self.remove(cx, *index);
        }
    }

    /// More is known of `name`, for which the flow at `index` waited, if it is still that flow.
    pub fn handle_resolved(&mut self, cx: &mut Cx, index: usize, name: &DomainName, known: Resolution) {
        if self.flows.get(index).is_some_and(|flow| flow.way.name() == Some(name)) {
            self.dial(cx, index, known);
        }
    }

    /// Gives the dial the addresses that are known and may be used.
    fn dial(&mut self, cx: &mut Cx, index: usize, known: Resolution) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let Phase::Dialling { dial, denial, .. } = &mut flow.phase else { return };
        for (family, found) in [(Family::V6, known.v6), (Family::V4, known.v4)] {
            let Some(found) = found else { continue };
            let found = found.map(|found| match &flow.way {
                Way::Name(name, port) => {
                    cx.gate.admit(Protocol::Tcp, name, *port, &found).unwrap_or_else(|why| {
                        *denial = Some(why);
                        Vec::new()
                    })
                }
                Way::Address(_) | Way::Host(_) => found,
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
                Some(Step::Start { attempt, address }) => {
                    let remote = SocketAddr::new(address, flow.way.port());
                    match TcpSocket::connect(remote) {
                        Ok(socket) => {
                            let token = Sources::Tcp.attempt_token(index, attempt);
                            match cx.poller.add(&socket, token) {
                                Ok(()) => attempts.push(Attempt { number: attempt, socket, remote }),
                                Err(error) => dial.handle_failed(attempt, failure(error), cx.now),
                            }
                        }
                        Err(error) => dial.handle_failed(attempt, failure(error), cx.now),
                    }
                }
                Some(Step::Cancel { attempt }) => attempts.retain(|other| other.number != attempt),
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

    /// The far side is connected: so may the program be.
    fn admit(&mut self, cx: &mut Cx, index: usize, winner: usize) {
        self.timers.cancel(index);
        let Some(flow) = self.flows.get_mut(index) else { return };
        let Phase::Dialling { request, attempts, .. } = std::mem::replace(&mut flow.phase, Phase::Moving)
        else {
            return;
        };
        self.by_request.remove(&request);
        let winner = attempts.into_iter().find(|attempt| attempt.number == winner);
        let admitted = cx.stack.tcp_admit(request, self.profile.clone(), cx.now);
        let (Some(winner), Some(connection)) = (winner, admitted) else { return self.remove(cx, index) };
        let flow = &mut self.flows[index];
        let inspection = StreamInspection::new(flow.way.name(), cx.gate.tls_opaque);
        let opened =
            cx.report_connect(Protocol::Tcp, &flow.way, flow.local, flow.remote, Some(winner.remote));
        let relay = Relay::new(connection, winner.socket, inspection);
        flow.phase = Phase::Relaying { connection, relay, opened };
        self.by_connection.insert(connection, index);
        self.queue(index);
    }

    fn fail(&mut self, cx: &mut Cx, index: usize, reason: Reason) {
        let Some(flow) = self.flows.get(index) else { return };
        let Phase::Dialling { request, denial, .. } = &flow.phase else { return };
        if let (Some(denial), Reason::NoAddress) = (denial, reason) {
            cx.refuse_request(*request, flow.local, flow.remote, denial);
        } else {
            let refusal = match reason {
                Reason::Refused => Refusal::Reset,
                Reason::Unreachable | Reason::NoAddress | Reason::Unresolved(_) => Refusal::HostUnreachable,
                Reason::Timeout => Refusal::Silent,
            };
            cx.stack.tcp_refuse(*request, refusal, cx.now);
            cx.report_failure(Protocol::Tcp, &flow.way, flow.local, flow.remote, reason.to_string());
        }
        self.remove(cx, index);
    }

    /// A connection to a published port came in at the host: `connection` leads to the program.
    pub fn insert_published(
        &mut self,
        cx: &mut Cx,
        connection: TcpId,
        socket: TcpSocket,
        outside: SocketAddr,
        inside: SocketAddr,
    ) {
        let full = self.flows.len() >= FLOWS_MAX;
        let entry = self.flows.vacant_entry();
        let index = entry.key();
        if full || cx.poller.add(&socket, Sources::Tcp.token(index)).is_err() {
            cx.stack.tcp_abort(connection, cx.now);
            cx.stack.tcp_release(connection, cx.now);
            return socket.reset();
        }
        let relay = Relay::new(connection, socket, StreamInspection::new(None, false));
        let way = Way::Address(inside);
        let opened = cx.report_connect(Protocol::Tcp, &way, inside, outside, Some(outside));
        let phase = Phase::Relaying { connection, relay, opened };
        entry.insert(Flow { local: outside, remote: inside, way, phase, queued: false });
        self.by_connection.insert(connection, index);
    }

    /// A socket of the flow at `index` reported.
    pub fn handle_readiness(&mut self, cx: &mut Cx, index: usize, attempt: usize, readiness: Readiness) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        match &mut flow.phase {
            Phase::Dialling { dial, attempts, .. } => {
                let Some(Attempt { socket, .. }) = attempts.iter().find(|other| other.number == attempt)
                else {
                    return;
                };
                match socket.outcome(readiness) {
                    Ok(()) => dial.handle_connected(attempt),
                    Err(Errno::INPROGRESS) => return,
                    Err(error) => dial.handle_failed(attempt, failure(error), cx.now),
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

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Moves the bytes of the flows that have some, one turn each, as many as one turn of the gateway has room for: the
    /// others are the first of the next. Whether some have more.
    pub fn pump(&mut self, cx: &mut Cx) -> bool {
        let mut moved = 0;
        for _ in 0..self.ready.len() {
            if moved >= TURN_BYTES_MAX {
                break;
            }
            let Some(index) = self.ready.pop_front() else { break };
            let Some(flow) = self.flows.get_mut(index) else { continue };
            flow.queued = false;
            let Phase::Relaying { relay, .. } = &mut flow.phase else { continue };
            let (before, bytes) = (relay.left(), relay.traffic());
            let pumped = relay.pump(&mut cx.stack, &cx.pool, self.left, cx.now);
            self.left = self.left + relay.left() - before;
            moved += relay.traffic().total() - bytes.total();
            match pumped {
                Pumped::Waiting => {}
                Pumped::More => self.queue(index),
                Pumped::Done => self.close(cx, index, Closing::Finished),
                Pumped::Broken(error) => self.close(cx, index, Closing::Broken(error.to_string())),
                Pumped::Refused(refusal) => {
                    let denial = Denial::by_inspection(&flow.way, &refusal);
                    cx.report_denial(Protocol::Tcp, flow.local, flow.remote, &denial);
                    self.close(cx, index, Closing::Refused);
                }
            }
        }
        !self.ready.is_empty()
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
        let Phase::Relaying { connection, relay, opened } = std::mem::replace(&mut flow.phase, Phase::Moving)
        else {
            return;
        };
        self.left -= relay.left();
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
        if flow.way.name().is_some() {
            cx.names().unpin(flow.local.ip());
        }
        if let Phase::Dialling { request, .. } = flow.phase {
            self.by_request.remove(&request);
        }
    }
}

/// Addresses that need no resolver.
fn known(addresses: &[IpAddr]) -> Resolution {
    let (v4, v6) = addresses.iter().partition(|address| address.is_ipv4());
    Resolution { v4: Some(Ok(v4)), v6: Some(Ok(v6)) }
}

/// What an error of the host's socket means to the command.
fn failure(error: Errno) -> AttemptFailure {
    match error {
        Errno::CONNREFUSED | Errno::CONNRESET => AttemptFailure::Refused,
        Errno::TIMEDOUT => AttemptFailure::Timeout,
        _ => AttemptFailure::Unreachable,
    }
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
