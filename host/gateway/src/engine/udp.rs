//! UDP flows of the program: one for each pair of its address and port and the address and port that it sends to,
//! each with a connected socket of the host's, so that nobody but that peer can answer into it (RFC 4787 §5:
//! address and port-dependent filtering).

use super::Sources;
use super::asked::{Asked, Identity, Said, Unopened, Waiter};
use super::cx::{Cx, Opened, Traffic};
use super::deadlines::Deadlines;
use super::gate::{Denial, Way, host_addresses};
use super::held::{Held, Opening};
use super::inquiry;
use super::inspection::{DatagramInspection, Verdict};
use super::lookup::Lookup;
use super::origin::Origin;
use crate::dial::Reason;
use crate::inspect::{self, OpenedConnections};
use crate::limits::Direction;
use crate::report::Closing;
use crate::resolver::Resolution;
use crate::uplink::UdpSocket;
use axiom::domain::DomainName;
use axiom::policy::Policy;
use axiom::rules::Protocol;
use packet::Bytes;
use rustix::io::Errno;
use slab::Slab;
use stack::{Datagram, Refusal, UdpId};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use time::{Duration, Instant};
use wire::{ipv4, ipv6, udp};

/// How many flows the program may have; for one more the one that was quiet longest is forgotten.
pub const FLOWS_MAX: usize = 8_192;

/// How long a flow lives without a packet (RFC 4787 §4.3, REQ-5: five minutes are recommended).
const IDLE: Duration = Duration::from_secs(300);

/// The same for port 53, where one answer is all that comes (REQ-5 a allows less for well-known ports).
const IDLE_DNS: Duration = Duration::from_secs(30);

/// How many datagrams wait while a name is resolved or first datagrams are inspected.
const WAITING_MAX: usize = 16;

/// How many datagrams one flow moves before the others have their turn.
const TURN_DATAGRAMS_MAX: usize = 64;

/// The program's UDP flows.
#[derive(Debug)]
pub(super) struct UdpFlows {
    /// The stack's socket that hears everything.
    socket: UdpId,
    flows: Slab<Flow>,
    by_addresses: HashMap<(SocketAddr, SocketAddr), usize>,
    deadlines: Deadlines,
    /// QUIC connections that any flow has opened.
    opened: OpenedConnections,
}

#[derive(Debug)]
struct Flow {
    /// What the program sends to, and its own address.
    local: SocketAddr,
    remote: SocketAddr,
    origin: Origin,
    asked: Asked,
    deadline: Instant,
    lookup: Lookup,
    waiting: Vec<Waiting>,
    inspection: DatagramInspection,
    socket: Option<(UdpSocket, Opened)>,
    /// Whether the entry that authorises it is not on disk, so that nothing leaves yet.
    is_unsettled: bool,
    traffic: Traffic,
}

/// What the program sent before it could leave.
#[derive(Debug)]
struct Waiting {
    payload: Bytes,
    /// It may not be fragmented.
    whole: bool,
}

impl UdpFlows {
    /// No flows; datagrams to the program leave by `socket`.
    pub fn new(socket: UdpId) -> Self {
        Self {
            socket,
            flows: Slab::new(),
            by_addresses: HashMap::new(),
            deadlines: Deadlines::default(),
            opened: OpenedConnections::default(),
        }
    }

    /// The program sent a datagram.
    pub fn handle_datagram(&mut self, cx: &mut Cx, datagram: Datagram) {
        let (local, remote) = (datagram.local, datagram.remote);
        if let Some(&index) = self.by_addresses.get(&(remote, local))
            && self.keep(cx, index)
        {
            return self.handle_identified(cx, datagram, Origin::default(), Identity::default());
        }
        let question = (Protocol::Udp, local, remote);
        let origin = cx.trace(question);
        let held = || Held::Udp(datagram.clone(), origin);
        let flow = inquiry::Flow::Udp(local, remote);
        if cx.joins(flow, held) {
            return;
        }
        if let Some(identity) = cx.identify_sender(question, origin, held) {
            self.handle_identified(cx, datagram, origin, identity);
        }
    }

    /// Whether the program's end of a flow is still the socket that it was allowed for; else the flow ends.
    fn keep(&mut self, cx: &mut Cx, index: usize) -> bool {
        let Some(flow) = self.flows.get_mut(index) else { return false };
        let is_kept = cx.is_still_from(&mut flow.origin, (Protocol::Udp, flow.local, flow.remote));
        if !is_kept {
            self.remove(cx, index, Closing::Replaced);
        }
        is_kept
    }

    /// The same, now that it is known who asks, where that has to be known.
    pub fn handle_identified(&mut self, cx: &mut Cx, datagram: Datagram, origin: Origin, identity: Identity) {
        let key = (datagram.remote, datagram.local);
        let known = self.by_addresses.get(&key).copied();
        let Some(index) = known.or_else(|| self.open(cx, &datagram, origin, identity)) else { return };
        let Some(flow) = self.flows.get_mut(index) else { return };
        // RFC 4787 §4.3, REQ-6: what the program sends keeps the flow alive.
        self.deadlines.postpone(index, &mut flow.deadline, cx.now + idle(flow.local));
        if flow.waiting.len() >= WAITING_MAX {
            // What is not kept is not read either. A ClientHello that does not become whole goes with all that is
            // held behind it.
            if flow.inspection.waits() {
                flow.inspection.forget_unfinished();
                flow.waiting.clear();
            }
            return;
        }
        match flow.inspection.handle_datagram(&datagram.payload, &mut self.opened, cx.now) {
            Verdict::Pass if flow.may_send() && flow.waiting.is_empty() => {
                let whole = is_whole(&datagram);
                self.send(cx, index, Waiting { payload: datagram.payload, whole });
            }
            Verdict::Pass | Verdict::Wait => {
                let whole = is_whole(&datagram);
                flow.waiting.push(Waiting { payload: datagram.payload, whole });
                self.flush(cx, index);
            }
            Verdict::Refuse(refusal) => {
                let denial = Denial::by_inspection(&flow.asked.way, &refusal);
                cx.refuse(&flow.asked, denial);
                cx.stack.refuse_datagram(&datagram, Refusal::Prohibited, cx.now);
                // Of a flow that is none of QUIC's one datagram in a thousand begins as a packet does that opens a
                // connection: it alone is lost. Where it is QUIC, so is every one that opens a connection.
                let alone = matches!(
                    refusal,
                    inspect::Refusal::Unprocessable(_) | inspect::Refusal::UnknownQuicVersion(_)
                );
                if known.is_none() || !alone {
                    self.remove(cx, index, Closing::Refused);
                }
                return;
            }
        }
        if known.is_none() {
            self.dial(cx, index);
        }
    }

    /// A new flow for a datagram, where one may be: [`dial`](Self::dial) it once it holds the datagram, so that the
    /// datagram is answered where the flow comes to nothing.
    fn open(
        &mut self,
        cx: &mut Cx,
        datagram: &Datagram,
        origin: Origin,
        identity: Identity,
    ) -> Option<usize> {
        let held = || Held::Udp(datagram.clone(), origin);
        let asked = match cx.ask((Protocol::Udp, datagram.local, datagram.remote), identity, held) {
            Ok(asked) => asked,
            Err(Unopened::Refused) => {
                cx.stack.refuse_datagram(datagram, Refusal::Prohibited, cx.now);
                return None;
            }
            Err(Unopened::Waits) => return None,
        };
        if self.flows.len() >= FLOWS_MAX
            && let Some((_, quietest)) = self.deadlines.first()
        {
            self.remove(cx, quietest, Closing::Evicted);
        }
        cx.names().pin(datagram.local.ip());
        let deadline = cx.now + idle(datagram.local);
        let inspection = DatagramInspection::new(asked.way.name(), cx.gate.tls_opaque);
        let index = self.flows.insert(Flow {
            local: datagram.local,
            remote: datagram.remote,
            origin,
            asked,
            deadline,
            lookup: Lookup::default(),
            waiting: Vec::new(),
            inspection,
            socket: None,
            is_unsettled: false,
            traffic: Traffic::default(),
        });
        self.by_addresses.insert((datagram.remote, datagram.local), index);
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
                let known = cx.resolve(Sources::Udp, index, &name);
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
            Ok(admitted) => self.connect(cx, index, &admitted),
            Err(mut denial) => {
                let opening = Opening::Flow(inquiry::Flow::Udp(flow.local, flow.remote), flow.origin);
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
        (local, remote): (SocketAddr, SocketAddr),
        origin: Origin,
        address: IpAddr,
        said: Option<Said>,
    ) {
        let Some(&index) = self.by_addresses.get(&(remote, local)) else { return };
        let flow = self.flows.get_mut(index).filter(|flow| origin.socket() == flow.origin.socket());
        let Some(flow) = flow else { return };
        flow.lookup = Lookup::default();
        flow.asked.consent.take(address, said);
        self.dial(cx, index);
    }

    /// Nothing of the flow may leave.
    fn refuse(&mut self, cx: &mut Cx, index: usize, denial: Denial) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        for Waiting { payload, .. } in std::mem::take(&mut flow.waiting) {
            let datagram = Datagram::new(flow.local, flow.remote, payload);
            cx.stack.refuse_datagram(&datagram, Refusal::Prohibited, cx.now);
        }
        cx.refuse(&flow.asked, denial);
        self.remove(cx, index, Closing::Refused);
    }

    /// Gives the flow a socket to the first address that there is a route to. Connecting sends nothing.
    fn connect(&mut self, cx: &mut Cx, index: usize, addresses: &[IpAddr]) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let port = flow.asked.way.port();
        let mut has_descriptor = true;
        let connected = addresses.iter().find_map(|ip| {
            let remote = SocketAddr::new(*ip, port);
            let connected = UdpSocket::connect(remote);
            has_descriptor &= !matches!(connected, Err(Errno::MFILE | Errno::NFILE));
            connected.ok().map(|socket| (socket, remote))
        });
        let usable = connected.filter(|(socket, _)| cx.poller.add(socket, Sources::Udp.token(index)).is_ok());
        let Some((socket, remote)) = usable else {
            if !has_descriptor {
                cx.report_failure(&flow.asked, Reason::NoDescriptor.to_string());
            }
            for Waiting { payload, .. } in std::mem::take(&mut flow.waiting) {
                let datagram = Datagram::new(flow.local, flow.remote, payload);
                cx.stack.refuse_datagram(&datagram, Refusal::HostUnreachable, cx.now);
            }
            return self.remove(cx, index, Closing::Unreachable);
        };
        match cx.commit(&flow.asked, remote) {
            Ok(committed) => {
                let waits = cx.authority.settle(committed.sequence, Waiter::Udp { index }).is_some();
                let opened = cx.report_connect(&flow.asked, socket.peer(), &committed);
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

    /// Sends what has waited, once there is a socket and the first datagrams are what they may be.
    fn flush(&mut self, cx: &mut Cx, index: usize) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        if !flow.may_send() || flow.inspection.waits() {
            return;
        }
        for waiting in std::mem::take(&mut flow.waiting) {
            self.send(cx, index, waiting);
        }
    }

    fn send(&mut self, cx: &mut Cx, index: usize, Waiting { payload, whole }: Waiting) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let Some((socket, _)) = &flow.socket else { return };
        if !cx.passes(Direction::Up, &payload) {
            return;
        }
        match socket.send(&payload, whole) {
            Ok(sent) => {
                let went = if sent.went { payload.len() as u64 } else { 0 };
                flow.traffic.up += went;
                cx.authority.add_carried(went);
                if let Some(error) = sent.earlier {
                    flow.tell_error(cx, error, Bytes::new());
                }
            }
            Err(error) => flow.tell_error(cx, error, payload),
        }
    }

    /// The socket of the flow at `index` reported. Whether it may have more.
    pub fn handle_readiness(&mut self, cx: &mut Cx, index: usize) -> bool {
        if !self.keep(cx, index) {
            return false;
        }
        for _ in 0..TURN_DATAGRAMS_MAX {
            let Some(flow) = self.flows.get_mut(index) else { return false };
            let Some((socket, _)) = &flow.socket else { return false };
            match socket.receive(&mut cx.scratch) {
                Ok(Some((payload, _))) if !cx.passes(Direction::Down, &payload) => {}
                Ok(Some((payload, _))) => {
                    flow.traffic.down += payload.len() as u64;
                    cx.authority.add_carried(payload.len() as u64);
                    self.deadlines.postpone(index, &mut flow.deadline, cx.now + idle(flow.local));
                    let datagram = Datagram::new(flow.local, flow.remote, payload);
                    // A full queue drops it, as a network would; it is counted there.
                    let _ = cx.stack.udp_send(self.socket, datagram, cx.now);
                }
                Ok(None) => return false,
                Err(error) => flow.tell_error(cx, error, Bytes::new()),
            }
        }
        true
    }

    /// Whether datagrams of the program still wait for the name that they were sent to.
    pub fn is_sending(&self) -> bool {
        let waits = |flow: &Flow| !flow.may_send() && !flow.waiting.is_empty() && !flow.inspection.waits();
        self.flows.iter().any(|(_, flow)| waits(flow))
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
        self.by_addresses.remove(&(flow.remote, flow.local));
        self.deadlines.remove(index, flow.deadline);
        cx.names().unpin(flow.local.ip());
        match flow.socket {
            Some((_, opened)) => {
                cx.report_close(opened, flow.traffic, closing);
            }
            None if closing == Closing::Unreachable => {
                let reason = "no address of it can be reached".to_owned();
                cx.report_failure(&flow.asked, reason);
            }
            None => {}
        }
    }
}

impl Flow {
    /// Whether there is a socket, and what authorises it counts.
    fn may_send(&self) -> bool {
        self.socket.is_some() && !self.is_unsettled
    }

    /// The largest packet of the program's that the way outside carries: its header there may be that of the other
    /// version.
    fn path_mtu(&self) -> Option<u16> {
        let (socket, _) = self.socket.as_ref()?;
        let inside_v6 = self.local.is_ipv6();
        let payload = socket.path_mtu()?.saturating_sub(header_bytes(socket.is_v6()));
        let mtu = payload.saturating_add(header_bytes(inside_v6));
        Some(if inside_v6 { mtu.max(ipv6::MTU_MIN) } else { mtu })
    }

    /// An ICMP error came back for something that was sent: the program is told in the same words.
    fn tell_error(&self, cx: &mut Cx, error: Errno, payload: Bytes) {
        let refusal = match error {
            Errno::CONNREFUSED => Refusal::PortUnreachable,
            Errno::HOSTUNREACH | Errno::NETUNREACH => Refusal::HostUnreachable,
            Errno::ACCESS | Errno::PERM => Refusal::Prohibited,
            Errno::MSGSIZE => match self.path_mtu() {
                Some(mtu) => Refusal::TooBig { mtu },
                None => return,
            },
            _ => return,
        };
        let datagram = Datagram::new(self.local, self.remote, payload);
        cx.stack.refuse_datagram(&datagram, refusal, cx.now);
    }
}

/// Whether a datagram has to leave in one packet, as the program sent it. RFC 8200 §5: a link that carries IPv6 carries 1,280
/// bytes, in fragments of its own if need be; so is ours.
fn is_whole(datagram: &Datagram) -> bool {
    let least = datagram.local.is_ipv6() && packet_bytes(datagram) <= usize::from(ipv6::MTU_MIN);
    datagram.dont_fragment && !least
}

/// The IP packet that a datagram was.
fn packet_bytes(datagram: &Datagram) -> usize {
    usize::from(header_bytes(datagram.local.is_ipv6())) + udp::HEADER_LENGTH + datagram.payload.len()
}

const fn header_bytes(is_v6: bool) -> u16 {
    (if is_v6 { ipv6::HEADER_LENGTH } else { ipv4::HEADER_LENGTH }) as u16
}

fn idle(local: SocketAddr) -> Duration {
    if local.port() == 53 { IDLE_DNS } else { IDLE }
}
