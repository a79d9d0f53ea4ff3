//! Echo requests of the program, carried on by ping sockets: one for each address and identifier.

use super::Sources;
use super::asked::{Asked, Identity, Question, Said, Unopened, Waiter};
use super::cx::{Cx, Opened, Traffic};
use super::deadlines::Deadlines;
use super::gate::{Denial, Way, host_addresses};
use super::held::{Held, Opening};
use super::inquiry;
use super::lookup::Lookup;
use super::origin::Origin;
use crate::dial::Reason;
use crate::limits::Direction;
use crate::report::Closing;
use crate::resolver::Resolution;
use crate::uplink::PingSocket;
use axiom::domain::DomainName;
use axiom::policy::Policy;
use axiom::rules::Protocol;
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
    origin: Origin,
    asked: Asked,
    deadline: Instant,
    lookup: Lookup,
    waiting: Vec<Echo>,
    socket: Option<(PingSocket, Opened)>,
    /// Whether the entry that authorises it is not on disk, so that nothing leaves yet.
    is_unsettled: bool,
    /// Bytes of requests and replies.
    traffic: Traffic,
}

impl EchoFlows {
    /// The program sent an echo request.
    pub fn handle_request(&mut self, cx: &mut Cx, echo: Echo) {
        if let Some(&index) = self.by_key.get(&(echo.remote, echo.local, echo.identifier))
            && self.keep(cx, index)
        {
            return self.handle_identified(cx, echo, Origin::default(), Identity::default());
        }
        let question = question(echo.local, echo.remote, echo.identifier);
        let origin = cx.trace(question);
        let held = || Held::Echo(echo.clone(), origin);
        let flow = inquiry::Flow::Echo(echo.local, echo.remote, echo.identifier);
        if cx.joins(flow, held) {
            return;
        }
        if let Some(identity) = cx.identify_sender(question, origin, held) {
            self.handle_identified(cx, echo, origin, identity);
        }
    }

    /// Whether the program's end of a flow is still the socket that it was allowed for; else the flow ends.
    fn keep(&mut self, cx: &mut Cx, index: usize) -> bool {
        let Some(flow) = self.flows.get_mut(index) else { return false };
        let question = question(flow.local, flow.remote, flow.identifier);
        let is_kept = cx.is_still_from(&mut flow.origin, question);
        if !is_kept {
            self.remove(cx, index, Closing::Replaced);
        }
        is_kept
    }

    /// The same, now that it is known who asks, where that has to be known.
    pub fn handle_identified(&mut self, cx: &mut Cx, echo: Echo, origin: Origin, identity: Identity) {
        let key = (echo.remote, echo.local, echo.identifier);
        let known = self.by_key.get(&key).copied();
        let Some(index) = known.or_else(|| self.open(cx, &echo, origin, identity)) else { return };
        let Some(flow) = self.flows.get_mut(index) else { return };
        self.deadlines.postpone(index, &mut flow.deadline, cx.now + IDLE);
        if flow.waiting.len() < WAITING_MAX {
            flow.waiting.push(echo);
        }
        if known.is_some() { self.flush(cx, index) } else { self.dial(cx, index) }
    }

    /// A new flow for a request, where one may be: [`dial`](Self::dial) it once it holds the request, so that the request
    /// is answered where the flow comes to nothing.
    fn open(&mut self, cx: &mut Cx, echo: &Echo, origin: Origin, identity: Identity) -> Option<usize> {
        let held = || Held::Echo(echo.clone(), origin);
        let asked = match cx.ask(question(echo.local, echo.remote, echo.identifier), identity, held) {
            Ok(asked) => asked,
            Err(Unopened::Refused) => {
                cx.stack.refuse_echo(echo, Refusal::Prohibited, cx.now);
                return None;
            }
            Err(Unopened::Waits) => return None,
        };
        if self.flows.len() >= FLOWS_MAX
            && let Some((_, quietest)) = self.deadlines.first()
        {
            self.remove(cx, quietest, Closing::Evicted);
        }
        cx.names().pin(echo.local);
        let Echo { local, remote, identifier, .. } = *echo;
        let deadline = cx.now + IDLE;
        let flow = Flow {
            local,
            remote,
            identifier,
            origin,
            asked,
            deadline,
            lookup: Lookup::default(),
            waiting: Vec::new(),
            socket: None,
            is_unsettled: false,
            traffic: Traffic::default(),
        };
        let index = self.flows.insert(flow);
        self.by_key.insert((remote, local, identifier), index);
        self.deadlines.insert(index, deadline);
        Some(index)
    }

    /// Looks for an address to send to.
    fn dial(&mut self, cx: &mut Cx, index: usize) {
        let Some(flow) = self.flows.get(index) else { return };
        match flow.asked.way.clone() {
            Way::Address(address) => self.connect(cx, index, &[address.ip()]),
            Way::Host(_) => match cx.admit(&flow.asked, &host_addresses()) {
                Ok(admitted) => self.connect(cx, index, &admitted),
                Err(denial) => self.refuse(cx, index, denial),
            },
            Way::Name(name, _) => {
                let known = cx.resolve(Sources::Echo, index, &name);
                self.handle_resolved(cx, index, &name, known);
            }
        }
    }

    /// More is known of `name`, for which the flow at `index` waited, if it is still that flow.
    pub fn handle_resolved(&mut self, cx: &mut Cx, index: usize, name: &DomainName, known: Resolution) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        if flow.socket.is_some() || flow.asked.way.name() != Some(name) {
            return;
        }
        let Some(found) = flow.lookup.take(known) else { return };
        match cx.admit(&flow.asked, &found) {
            Ok(mut admitted) => {
                // An echo request is of the version that the command chose, where the name has such an address.
                let is_v4 = flow.local.is_ipv4();
                admitted.sort_by_key(|address| address.is_ipv4() != is_v4);
                self.connect(cx, index, &admitted);
            }
            Err(mut denial) => {
                let Flow { local, remote, identifier, origin, .. } = *flow;
                let opening = Opening::Flow(inquiry::Flow::Echo(local, remote, identifier), origin);
                if !cx.inquire_where_it_leads(&flow.asked, &mut denial, opening) {
                    self.refuse(cx, index, denial);
                }
            }
        }
    }

    /// A person has been asked whether the name of a flow may lead to this address.
    pub fn handle_led(
        &mut self,
        cx: &mut Cx,
        (local, remote, identifier): (IpAddr, IpAddr, u16),
        origin: Origin,
        address: IpAddr,
        said: Option<Said>,
    ) {
        let Some(&index) = self.by_key.get(&(remote, local, identifier)) else { return };
        let flow = self.flows.get_mut(index).filter(|flow| origin.socket() == flow.origin.socket());
        let Some(flow) = flow else { return };
        flow.lookup = Lookup::default();
        flow.asked.consent.take(address, said);
        self.dial(cx, index);
    }

    /// Nothing of the flow may leave.
    fn refuse(&mut self, cx: &mut Cx, index: usize, denial: Denial) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        for echo in std::mem::take(&mut flow.waiting) {
            cx.stack.refuse_echo(&echo, Refusal::Prohibited, cx.now);
        }
        cx.refuse(&flow.asked, denial);
        self.remove(cx, index, Closing::Refused);
    }

    /// Gives the flow a socket to the first address that there is a route to. Connecting sends nothing.
    fn connect(&mut self, cx: &mut Cx, index: usize, addresses: &[IpAddr]) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let mut outcome = Err(Errno::HOSTUNREACH);
        for address in addresses {
            outcome = PingSocket::connect(*address, flow.identifier).map(|socket| (socket, *address));
            if outcome.is_ok() {
                break;
            }
        }
        let opened = outcome.and_then(|(socket, address)| {
            cx.poller.add(&socket, Sources::Echo.token(index))?;
            Ok((socket, SocketAddr::new(address, 0)))
        });
        let (socket, remote) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                cx.report_failure(&flow.asked, reason(error));
                for echo in std::mem::take(&mut flow.waiting) {
                    cx.stack.refuse_echo(&echo, Refusal::HostUnreachable, cx.now);
                }
                return self.remove(cx, index, Closing::Unreachable);
            }
        };
        match cx.commit(&flow.asked, remote) {
            Ok(committed) => {
                let waits = cx.authority.settle(committed.sequence, Waiter::Echo { index }).is_some();
                let opened = cx.report_connect(&flow.asked, Some(remote), &committed);
                (flow.socket, flow.is_unsettled) = (Some((socket, opened)), waits);
                self.flush(cx, index);
            }
            Err(denial) => self.refuse(cx, index, denial),
        }
    }

    /// The entry of the flow at `index` is on disk, or never will be.
    pub fn handle_settled(&mut self, cx: &mut Cx, index: usize, sequence: u64, is_durable: bool) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let opened = flow.socket.as_ref().map(|(_, opened)| opened);
        match cx.settled(&flow.asked, opened, sequence, is_durable) {
            Some(Ok(())) => {
                flow.is_unsettled = false;
                self.flush(cx, index);
            }
            Some(Err(denial)) => self.refuse(cx, index, denial),
            None => {}
        }
    }

    fn flush(&mut self, cx: &mut Cx, index: usize) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let (Some((socket, _)), false) = (&flow.socket, flow.is_unsettled) else { return };
        for echo in std::mem::take(&mut flow.waiting) {
            // An error is the network's answer to an earlier request; a lost one is what ping is there to show.
            if cx.passes(Direction::Up, &echo.payload) && socket.send(echo.sequence, &echo.payload).is_ok() {
                flow.traffic.up += echo.payload.len() as u64;
                cx.authority.add_carried(echo.payload.len() as u64);
            }
        }
    }

    /// The socket of the flow at `index` reported. Whether it may have more.
    pub fn handle_readiness(&mut self, cx: &mut Cx, index: usize) -> bool {
        if !self.keep(cx, index) {
            return false;
        }
        for _ in 0..TURN_REPLIES_MAX {
            let Some(flow) = self.flows.get_mut(index) else { return false };
            let Some((socket, _)) = &flow.socket else { return false };
            match socket.receive(&mut cx.scratch) {
                Ok(Some((_, payload))) if !cx.passes(Direction::Down, &payload) => {}
                Ok(Some((sequence, payload))) => {
                    flow.traffic.down += payload.len() as u64;
                    cx.authority.add_carried(payload.len() as u64);
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
            self.remove(cx, index, Closing::Idle);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| at)
    }

    /// Closes what a policy would not allow; how many.
    pub fn revoke(&mut self, cx: &mut Cx, policy: &Policy) -> u64 {
        let is_revoked = |flow: &Flow| {
            let address = flow.socket.as_ref().and_then(|(_, opened)| opened.address);
            !cx.is_allowed_by(policy, &flow.asked, address)
        };
        let revoked: Vec<usize> =
            self.flows.iter().filter(|(_, flow)| is_revoked(flow)).map(|(index, _)| index).collect();
        revoked.iter().for_each(|index| self.remove(cx, *index, Closing::Refused));
        revoked.len() as u64
    }

    /// Everything that is open ends.
    pub fn end(&mut self, cx: &mut Cx, closing: &Closing) {
        let open: Vec<usize> = self.flows.iter().map(|(index, _)| index).collect();
        open.into_iter().for_each(|index| self.remove(cx, index, closing.clone()));
    }

    fn remove(&mut self, cx: &mut Cx, index: usize, closing: Closing) {
        let Some(flow) = self.flows.try_remove(index) else { return };
        self.by_key.remove(&(flow.remote, flow.local, flow.identifier));
        self.deadlines.remove(index, flow.deadline);
        cx.names().unpin(flow.local);
        if let Some((_, opened)) = flow.socket {
            cx.report_close(opened, flow.traffic, closing);
        }
    }
}

/// How a program asks for a flow: the identifier of its socket is its port.
fn question(local: IpAddr, remote: IpAddr, identifier: u16) -> Question {
    (Protocol::Icmp, SocketAddr::new(local, 0), SocketAddr::new(remote, identifier))
}

/// Why there is no socket for a flow, and what would help.
fn reason(error: Errno) -> String {
    match error {
        Errno::MFILE | Errno::NFILE => Reason::NoDescriptor.to_string(),
        Errno::ACCESS | Errno::PERM => format!(
            "opening a ping socket failed: {error}; sysctl -w net.ipv4.ping_group_range='0 2147483647' opens them"
        ),
        _ => format!("opening a ping socket failed: {error}"),
    }
}
