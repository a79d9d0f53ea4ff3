//! Ports of the host that lead to ports inside (`--publish`). The command sees the gateway as the other side.

use super::Sources;
use super::asked::{Asked, Consent, Question};
use super::cx::{Cx, Opened, Traffic};
use super::deadlines::Deadlines;
use super::gate::Way;
use super::origin::Origin;
use super::tcp::TcpFlows;
use crate::limits::Direction;
use crate::options::Publish;
use crate::report::Closing;
use crate::sandbox::plan;
use crate::uplink::{Listener, UdpSocket};
use axiom::policy::Policy;
use axiom::rules::Protocol;
use axiom::{Committed, Proposal};
use packet::Bytes;
use slab::Slab;
use stack::{Binding, Datagram, UdpId};
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use time::{Duration, Instant};

/// How many outside peers a published UDP port remembers; for one more the quietest is forgotten.
const PEERS_MAX: usize = 1_024;

/// How long one is remembered without a datagram (RFC 4787 §4.3, REQ-5).
const IDLE: Duration = Duration::from_secs(300);

/// The addresses at which published ports lead inside.
pub(super) const INSIDE: [IpAddr; 2] = [IpAddr::V4(plan::ADDRESS_V4), IpAddr::V6(plan::ADDRESS_V6)];

/// How many connections or datagrams are taken before the rest of the gateway has its turn.
const TURN_MAX: usize = 64;

/// How long a listener waits for a descriptor before it is tried again: the connection that wants one waits in the
/// kernel, and is not reported a second time.
const RETRY: Duration = Duration::from_millis(100);

/// The published ports.
#[derive(Debug, Default)]
pub(super) struct Published {
    listeners: Vec<(Listener, u16)>,
    /// Listeners that had no descriptor for a connection, and when they are tried again.
    retries: Vec<(Instant, usize)>,
    sockets: Vec<(UdpSocket, u16)>,
    peers: Slab<Peer>,
    by_address: HashMap<(usize, SocketAddr), usize>,
    by_inner: HashMap<UdpId, usize>,
    deadlines: Deadlines,
}

/// Somebody outside who sends to a published UDP port, and the socket of the stack that stands for them inside.
#[derive(Debug)]
struct Peer {
    published: usize,
    outside: SocketAddr,
    inner: UdpId,
    inner_address: SocketAddr,
    /// The socket that has the port inside.
    origin: Origin,
    deadline: Instant,
    asked: Asked,
    opened: Opened,
    traffic: Traffic,
}

/// A port cannot be published.
#[derive(Debug)]
pub struct PublishError {
    host: SocketAddr,
    udp: bool,
    error: rustix::io::Errno,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.udp { "UDP" } else { "TCP" };
        write!(f, "publishing {protocol} {} of the host failed: {}", self.host, self.error)?;
        match self.error {
            rustix::io::Errno::ADDRINUSE => f.write_str("; choose another port, or stop what listens there"),
            rustix::io::Errno::ACCESS => f.write_str("; ports below 1024 need root or CAP_NET_BIND_SERVICE"),
            rustix::io::Errno::ADDRNOTAVAIL => f.write_str("; it is not an address of this host"),
            _ => Ok(()),
        }
    }
}

impl Published {
    /// Opens every port, before the command starts.
    ///
    /// # Errors
    ///
    /// Of the first that cannot be opened.
    pub fn open(ports: &[Publish], poller: &runtime::Poller) -> Result<Self, PublishError> {
        let mut published = Self::default();
        for port in ports {
            let failed = |error| PublishError { host: port.host, udp: port.udp, error };
            if port.udp {
                let socket = UdpSocket::bind(port.host).map_err(failed)?;
                let token = Sources::PublishedUdp.token(published.sockets.len());
                poller.add(&socket, token).map_err(failed)?;
                published.sockets.push((socket, port.port));
            } else {
                let listener = Listener::bind(port.host).map_err(failed)?;
                let token = Sources::PublishedTcp.token(published.listeners.len());
                poller.add(&listener, token).map_err(failed)?;
                published.listeners.push((listener, port.port));
            }
        }
        Ok(published)
    }

    /// Connections wait at a listener. Whether more may.
    pub fn accept(
        &mut self,
        cx: &mut Cx,
        tcp: &mut TcpFlows,
        profile: &Arc<::tcp::Config>,
        index: usize,
    ) -> bool {
        for _ in 0..TURN_MAX {
            let Some((listener, port)) = self.listeners.get(index) else { return false };
            let (socket, outside) = match listener.accept() {
                Ok(Some(accepted)) => accepted,
                Ok(None) => return false,
                Err(_) => {
                    self.retries.retain(|(_, other)| *other != index);
                    self.retries.push((cx.now + RETRY, index));
                    return false;
                }
            };
            let inside = inside(outside, *port);
            let gateway = gateway(outside);
            let question = (Protocol::Tcp, gateway, inside);
            let Some((asked, committed)) = Self::admit(cx, question, outside, Origin::default()) else {
                socket.reset();
                continue;
            };
            match cx.stack.tcp_connect(Some(gateway), inside, profile.clone(), cx.now) {
                Ok(connection) => {
                    tcp.insert_published(cx, connection, socket, (asked, &committed), outside);
                }
                Err(_) => {
                    cx.abandon(committed.sequence, cx.now, ledger::Outcome::Aborted);
                    socket.reset();
                }
            }
        }
        true
    }

    /// The next listener that is to be tried again.
    pub fn take_retry(&mut self, now: Instant) -> Option<usize> {
        let due = self.retries.iter().position(|(at, _)| *at <= now)?;
        Some(self.retries.swap_remove(due).1)
    }

    /// Datagrams wait at a published port. Whether more may.
    pub fn receive(&mut self, cx: &mut Cx, index: usize) -> bool {
        for _ in 0..TURN_MAX {
            let Some((socket, port)) = self.sockets.get(index) else { return false };
            let port = *port;
            match socket.receive(&mut cx.scratch) {
                Ok(Some((payload, Some(outside)))) => self.pass_in(cx, index, port, outside, payload),
                Ok(Some((_, None))) | Err(_) => {}
                Ok(None) => return false,
            }
        }
        true
    }

    fn pass_in(&mut self, cx: &mut Cx, published: usize, port: u16, outside: SocketAddr, payload: Bytes) {
        let known = self.by_address.get(&(published, outside)).copied();
        let index = match known {
            Some(index) => self.keep(cx, index).then_some(index),
            None => self.open_peer(cx, published, port, outside),
        };
        let Some(index) = index else { return };
        let Some(peer) = self.peers.get_mut(index) else { return };
        self.deadlines.postpone(index, &mut peer.deadline, cx.now + IDLE);
        if !cx.passes(Direction::Down, &payload) {
            return;
        }
        peer.traffic.down += payload.len() as u64;
        cx.authority.add_carried(payload.len() as u64);
        let datagram = Datagram::new(peer.inner_address, inside(outside, port), payload);
        // A full queue drops it, as a network would; it is counted there.
        let _ = cx.stack.udp_send(peer.inner, datagram, cx.now);
    }

    fn open_peer(&mut self, cx: &mut Cx, published: usize, port: u16, outside: SocketAddr) -> Option<usize> {
        if self.peers.len() >= PEERS_MAX
            && let Some((_, quietest)) = self.deadlines.first()
        {
            self.remove(cx, quietest, Closing::Evicted);
        }
        let inner = cx.stack.udp_bind(Binding::Address(gateway(outside))).ok()?;
        let Some(Binding::Address(inner_address)) = cx.stack.udp_binding(inner) else {
            cx.stack.udp_close(inner);
            return None;
        };
        let question = (Protocol::Udp, inner_address, inside(outside, port));
        let origin = cx.trace(question);
        let accepted = Self::admit(cx, question, outside, origin);
        let Some((asked, committed)) = accepted else {
            cx.stack.udp_close(inner);
            return None;
        };
        let opened = cx.report_connect(&asked, Some(outside), &committed);
        let (deadline, traffic) = (cx.now + IDLE, Traffic::default());
        let peer =
            Peer { published, outside, inner, inner_address, origin, deadline, asked, opened, traffic };
        let index = self.peers.insert(peer);
        self.by_address.insert((published, outside), index);
        self.by_inner.insert(inner, index);
        self.deadlines.insert(index, deadline);
        Some(index)
    }

    /// Whether the socket inside is still the one that a peer was let in to, or its successor may be too; else the peer is
    /// forgotten.
    fn keep(&mut self, cx: &mut Cx, index: usize) -> bool {
        let Some(peer) = self.peers.get_mut(index) else { return false };
        let Some((_, port)) = self.sockets.get(peer.published) else { return false };
        let question = (Protocol::Udp, peer.inner_address, inside(peer.outside, *port));
        if cx.is_still_from(&mut peer.origin, question) {
            return true;
        }
        let (outside, origin) = (peer.outside, cx.trace(question));
        let admitted = Self::admit(cx, question, outside, origin);
        let (Some((asked, committed)), Some(peer)) = (admitted, self.peers.get_mut(index)) else {
            self.remove(cx, index, Closing::Replaced);
            return false;
        };
        let opened = cx.report_connect(&asked, Some(outside), &committed);
        (peer.asked, peer.origin) = (asked, origin);
        let (before, traffic) =
            (std::mem::replace(&mut peer.opened, opened), std::mem::take(&mut peer.traffic));
        cx.report_close(before, traffic, Closing::Replaced);
        true
    }

    /// Whether somebody outside may connect to a published port, which is told and written down.
    fn admit(
        cx: &mut Cx,
        question: Question,
        outside: SocketAddr,
        origin: Origin,
    ) -> Option<(Asked, Committed)> {
        let (protocol, _, inside) = question;
        // Whoever listens there: no connection has the program's side of it yet.
        let asker = cx.identify_listener(question, origin);
        if !cx.may_have(protocol, inside, &asker) {
            return None;
        }
        let (program, run) = (asker.program, cx.authority.run());
        let proposal = Proposal { program, run, ..Proposal::accept(protocol, outside, inside) };
        let (way, consent) = (Way::Address(inside), Consent::default());
        let mut asked = Asked { way, proposal, process: asker.process, wanted: None, permit: None, consent };
        // What the policy refuses takes nothing of a limit.
        let is_allowed = cx.authority.decide(&asked.proposal, cx.now).allowed;
        if is_allowed && !cx.permit(&mut asked) {
            return None;
        }
        match cx.commit(&asked, outside) {
            Ok(committed) => Some((asked, committed)),
            Err(denial) => {
                cx.refuse(&asked, denial);
                None
            }
        }
    }

    /// Whether `socket` stands for an outside peer; then what waits there is sent to that peer.
    pub fn handle_readable(&mut self, cx: &mut Cx, socket: UdpId) -> bool {
        let Some(&index) = self.by_inner.get(&socket) else { return false };
        if !self.keep(cx, index) {
            return true;
        }
        while let Some(datagram) = cx.stack.udp_receive(socket) {
            let Some(peer) = self.peers.get_mut(index) else { break };
            self.deadlines.postpone(index, &mut peer.deadline, cx.now + IDLE);
            if let Some((outer, _)) = self.sockets.get(peer.published)
                && cx.passes(Direction::Up, &datagram.payload)
            {
                // What an ICMP error says of an outside peer does not concern the command.
                if outer.send_to(&datagram.payload, peer.outside).is_ok() {
                    peer.traffic.up += datagram.payload.len() as u64;
                    cx.authority.add_carried(datagram.payload.len() as u64);
                }
            }
        }
        true
    }

    /// Forgets the peers whose time is over.
    pub fn handle_timeout(&mut self, cx: &mut Cx) {
        while let Some((at, index)) = self.deadlines.first()
            && at <= cx.now
        {
            self.remove(cx, index, Closing::Idle);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let retry = self.retries.iter().map(|(at, _)| *at).min();
        self.deadlines.first().map(|(at, _)| at).into_iter().chain(retry).min()
    }

    /// Closes what a policy would not allow; how many.
    pub fn revoke(&mut self, cx: &mut Cx, policy: &Policy) -> u64 {
        cx.listeners.forget();
        let is_revoked = |peer: &Peer| !cx.is_allowed_by(policy, &peer.asked, None);
        let revoked: Vec<usize> =
            self.peers.iter().filter(|(_, peer)| is_revoked(peer)).map(|(index, _)| index).collect();
        revoked.iter().for_each(|index| self.remove(cx, *index, Closing::Refused));
        revoked.len() as u64
    }

    /// Everything that is open ends.
    pub fn end(&mut self, cx: &mut Cx, closing: &Closing) {
        let open: Vec<usize> = self.peers.iter().map(|(index, _)| index).collect();
        open.into_iter().for_each(|index| self.remove(cx, index, closing.clone()));
    }

    fn remove(&mut self, cx: &mut Cx, index: usize, closing: Closing) {
        let Some(peer) = self.peers.try_remove(index) else { return };
        self.deadlines.remove(index, peer.deadline);
        self.by_address.remove(&(peer.published, peer.outside));
        self.by_inner.remove(&peer.inner);
        cx.stack.udp_close(peer.inner);
        cx.report_close(peer.opened, peer.traffic, closing);
    }
}

/// Where a connection from `outside` goes inside: by the same version of IP.
fn inside(outside: SocketAddr, port: u16) -> SocketAddr {
    let address = match outside.ip().to_canonical() {
        IpAddr::V4(_) => IpAddr::V4(plan::ADDRESS_V4),
        IpAddr::V6(_) => IpAddr::V6(plan::ADDRESS_V6),
    };
    SocketAddr::new(address, port)
}

/// Where it seems to come from.
fn gateway(outside: SocketAddr) -> SocketAddr {
    let address = match outside.ip().to_canonical() {
        IpAddr::V4(_) => IpAddr::V4(plan::GATEWAY_V4),
        IpAddr::V6(_) => IpAddr::V6(plan::GATEWAY_V6),
    };
    SocketAddr::new(address, 0)
}
