//! Echo requests of the program, carried on by ping sockets: one for each address and identifier.

use super::Sources;
use super::cx::Cx;
use super::deadlines::Deadlines;
use super::gate::{Way, host_addresses};
use super::lookup::Lookup;
use crate::domain::DomainName;
use crate::resolver::Resolution;
use crate::rules::Protocol;
use crate::uplink::PingSocket;
use rustix::io::Errno;
use slab::Slab;
use stack::{Echo, Refusal};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use time::{Duration, Instant};

/// How many pairs of address and identifier are open; for one more the one that was quiet longest is forgotten.
const FLOWS_MAX: usize = 1_024;

/// How long one is kept without a request (RFC 5508 §3.2, REQ-2: at least 60 s).
const IDLE: Duration = Duration::from_secs(60);

/// How many requests wait while a name is resolved.
const WAITING_MAX: usize = 4;

/// How many replies are taken before the rest of the gateway has its turn.
const TURN_REPLIES_MAX: usize = 64;

/// The program's pings.
#[derive(Debug, Default)]
pub(super) struct EchoFlows {
    flows: Slab<Flow>,
    by_key: HashMap<(IpAddr, IpAddr, u16), usize>,
    deadlines: Deadlines,
}

#[derive(Debug)]
struct Flow {
    /// What the program sends to, its own address, and the identifier of its socket.
    local: IpAddr,
    remote: IpAddr,
    identifier: u16,
    way: Way,
    deadline: Instant,
    lookup: Lookup,
    waiting: Vec<Echo>,
    socket: Option<PingSocket>,
}

impl EchoFlows {
    /// The program sent an echo request.
    pub fn handle_request(&mut self, cx: &mut Cx, echo: Echo) {
        let key = (echo.remote, echo.local, echo.identifier);
        let known = self.by_key.get(&key).copied();
        let Some(index) = known.or_else(|| self.open(cx, &echo)) else { return };
        let Some(flow) = self.flows.get_mut(index) else { return };
        self.deadlines.postpone(index, &mut flow.deadline, cx.now + IDLE);
        if flow.waiting.len() < WAITING_MAX {
            flow.waiting.push(echo);
        }
        if known.is_some() { self.flush(index) } else { self.dial(cx, index) }
    }

    /// A new flow for a request, where one may be: [`dial`](Self::dial) it once it holds the request, so that the request
    /// is answered where the flow comes to nothing.
    fn open(&mut self, cx: &mut Cx, echo: &Echo) -> Option<usize> {
        let wanted = SocketAddr::new(echo.local, 0);
        let way = match cx.judge(Protocol::Icmp, wanted) {
            Ok(way) => way,
            Err(denial) => {
                cx.stack.refuse_echo(echo, Refusal::Prohibited, cx.now);
                let command = SocketAddr::new(echo.remote, echo.identifier);
                cx.report_denial(Protocol::Icmp, wanted, command, &denial);
                return None;
            }
        };
        if self.flows.len() >= FLOWS_MAX
            && let Some((_, quietest)) = self.deadlines.first()
        {
            self.remove(cx, quietest);
        }
        cx.names().pin(echo.local);
        let Echo { local, remote, identifier, .. } = *echo;
        let deadline = cx.now + IDLE;
        let flow = Flow {
            local,
            remote,
            identifier,
            way,
            deadline,
            lookup: Lookup::default(),
            waiting: Vec::new(),
            socket: None,
        };
        let index = self.flows.insert(flow);
        self.by_key.insert((remote, local, identifier), index);
        self.deadlines.insert(index, deadline);
        Some(index)
    }

    /// Looks for an address to send to.
    fn dial(&mut self, cx: &mut Cx, index: usize) {
        let Some(flow) = self.flows.get(index) else { return };
        match flow.way.clone() {
            Way::Address(address) => self.connect(cx, index, &[address.ip()]),
            Way::Host(_) => self.connect(cx, index, &host_addresses()),
            Way::Name(name, _) => {
                let known = cx.resolve(Sources::Echo, index, &name);
                self.handle_resolved(cx, index, &name, known);
            }
        }
    }

    /// More is known of `name`, for which the flow at `index` waited, if it is still that flow.
    pub fn handle_resolved(&mut self, cx: &mut Cx, index: usize, name: &DomainName, known: Resolution) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        if flow.socket.is_some() || flow.way.name() != Some(name) {
            return;
        }
        let Some(found) = flow.lookup.take(known) else { return };
        match cx.gate.admit(Protocol::Icmp, name, 0, &found) {
            Ok(mut admitted) => {
                // An echo request is of the version that the command chose, where the name has such an address.
                let is_v4 = flow.local.is_ipv4();
                admitted.sort_by_key(|address| address.is_ipv4() != is_v4);
                self.connect(cx, index, &admitted);
            }
            Err(denial) => {
                let (wanted, command) =
                    (SocketAddr::new(flow.local, 0), SocketAddr::new(flow.remote, flow.identifier));
                for echo in std::mem::take(&mut flow.waiting) {
                    cx.stack.refuse_echo(&echo, Refusal::Prohibited, cx.now);
                }
                cx.report_denial(Protocol::Icmp, wanted, command, &denial);
                self.remove(cx, index);
            }
        }
    }

    fn connect(&mut self, cx: &mut Cx, index: usize, addresses: &[IpAddr]) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let mut outcome = Err(Errno::HOSTUNREACH);
        for address in addresses {
            outcome = PingSocket::connect(*address, flow.identifier);
            if outcome.is_ok() {
                break;
            }
        }
        let opened = outcome.and_then(|socket| {
            cx.poller.add(&socket, Sources::Echo.token(index))?;
            Ok(socket)
        });
        match opened {
            Ok(socket) => {
                flow.socket = Some(socket);
                self.flush(index);
            }
            Err(error) => {
                let mut reason = format!("opening a ping socket failed: {error}");
                if matches!(error, Errno::ACCESS | Errno::PERM) {
                    reason += "; sysctl -w net.ipv4.ping_group_range='0 2147483647' opens them";
                }
                let (local, remote) =
                    (SocketAddr::new(flow.local, 0), SocketAddr::new(flow.remote, flow.identifier));
                cx.report_failure(Protocol::Icmp, &flow.way, local, remote, reason);
                for echo in std::mem::take(&mut flow.waiting) {
                    cx.stack.refuse_echo(&echo, Refusal::HostUnreachable, cx.now);
                }
                self.remove(cx, index);
            }
        }
    }

    fn flush(&mut self, index: usize) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let Some(socket) = &flow.socket else { return };
        for echo in std::mem::take(&mut flow.waiting) {
            // An error is the network's answer to an earlier request; a lost one is what ping is there to show.
            let _ = socket.send(echo.sequence, &echo.payload);
        }
    }

    /// The socket of the flow at `index` reported. Whether it may have more.
    pub fn handle_readiness(&mut self, cx: &mut Cx, index: usize) -> bool {
        for _ in 0..TURN_REPLIES_MAX {
            let Some(flow) = self.flows.get(index) else { return false };
            let Some(socket) = &flow.socket else { return false };
            match socket.receive(&mut cx.scratch) {
                Ok(Some((sequence, payload))) => {
                    let Flow { local, remote, identifier, .. } = *flow;
                    let reply = Echo { local, remote, identifier, sequence, payload };
                    // A full queue loses it, as a network would; it is counted there.
                    let _ = cx.stack.icmp_reply(reply, cx.now);
                }
                Ok(None) => return false,
                Err(_) => {
                    let Flow { local, remote, identifier, .. } = *flow;
                    let payload = packet::Bytes::new();
                    let echo = Echo { local, remote, identifier, sequence: 0, payload };
                    cx.stack.refuse_echo(&echo, Refusal::HostUnreachable, cx.now);
                }
            }
        }
        true
    }

    /// Forgets the flows whose time is over.
    pub fn handle_timeout(&mut self, cx: &mut Cx) {
        while let Some((at, index)) = self.deadlines.first()
            && at <= cx.now
        {
            self.remove(cx, index);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| at)
    }

    fn remove(&mut self, cx: &mut Cx, index: usize) {
        let Some(flow) = self.flows.try_remove(index) else { return };
        self.by_key.remove(&(flow.remote, flow.local, flow.identifier));
        self.deadlines.remove(index, flow.deadline);
        cx.names().unpin(flow.local);
    }
}
