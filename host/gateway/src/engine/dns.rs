//! The resolver's front: the sockets of our stack by which the command asks it, and its way upstream.

use super::cx::Cx;
use super::upstream::Upstreams;
use crate::resolver::{BUFFER_BYTES_MAX, Client, Deframer, Failure, Transport, Upstream, frame};
use crate::sandbox::plan;
use axiom::rules::Protocol;
use packet::{Bytes, Chain};
use runtime::Readiness;
use stack::{BindError, Binding, Datagram, Listen, ListenerId, Stack, TcpId, UdpId};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

const PORT: u16 = 53;

/// How many connections of the command are served at once, and handshakes of them at once.
const CONNECTIONS_MAX: usize = 128;

/// How many datagrams are remembered so that their answers find back; an answer to an older one is lost.
const ASKERS_MAX: usize = 8_192;

/// How many bytes of answers wait for a connection that does not read before it is closed.
const ANSWERS_BYTES_MAX: usize = 1 << 20;

/// How many answers to one upstream question are looked at when its socket reports; more are not waited for.
const ANSWERS_MAX: usize = 16;

/// Where the command's questions come in and where they go.
#[derive(Debug)]
pub(super) struct DnsFront {
    sockets: [UdpId; 2],
    listeners: [ListenerId; 2],
    upstreams: Upstreams,
    /// Who asked by datagram, by the number given to the resolver.
    askers: VecDeque<(u64, UdpId, SocketAddr, SocketAddr)>,
    connections: HashMap<TcpId, Connection>,
    by_number: HashMap<u64, TcpId>,
    next_number: u64,
}

#[derive(Debug)]
struct Connection {
    number: u64,
    local: SocketAddr,
    remote: SocketAddr,
    incoming: Deframer,
    /// Questions that are not answered yet.
    open: usize,
    answers: Chain,
}

impl DnsFront {
    /// Listens at the resolver's addresses inside, by UDP and TCP.
    ///
    /// # Errors
    ///
    /// The stack's, where its interface lacks the addresses.
    pub fn open(
        stack: &mut Stack,
        profile: &Arc<tcp::Config>,
        servers: Vec<SocketAddr>,
    ) -> Result<Self, BindError> {
        let v4 = Binding::Address(SocketAddr::new(IpAddr::V4(plan::RESOLVER_V4), PORT));
        let v6 = Binding::Address(SocketAddr::new(IpAddr::V6(plan::RESOLVER_V6), PORT));
        let listen =
            |binding| Listen { binding, defer: false, backlog: CONNECTIONS_MAX, config: profile.clone() };
        Ok(Self {
            sockets: [stack.udp_bind(v4)?, stack.udp_bind(v6)?],
            listeners: [stack.tcp_listen(listen(v4))?, stack.tcp_listen(listen(v6))?],
            upstreams: Upstreams::new(servers),
            askers: VecDeque::new(),
            connections: HashMap::new(),
            by_number: HashMap::new(),
            next_number: 0,
        })
    }

    /// Whether `socket` is one of the resolver's; then the questions that wait there are taken.
    pub fn handle_readable(&mut self, cx: &mut Cx, socket: UdpId) -> bool {
        if !self.sockets.contains(&socket) {
            return false;
        }
        while let Some(Datagram { local, remote, payload, .. }) = cx.stack.udp_receive(socket) {
            let number = self.number();
            if self.askers.len() >= ASKERS_MAX {
                self.askers.pop_front();
            }
            self.askers.push_back((number, socket, local, remote));
            let client = Client { token: number, transport: Transport::Udp };
            cx.resolver.handle_query(client, &payload);
        }
        true
    }

    /// Whether `listener` is one of the resolver's; then the connection is served, if there is room.
    pub fn handle_accepted(
        &mut self,
        cx: &mut Cx,
        listener: ListenerId,
        connection: TcpId,
        (local, remote): (SocketAddr, SocketAddr),
    ) -> bool {
        if !self.listeners.contains(&listener) {
            return false;
        }
        if self.connections.len() >= CONNECTIONS_MAX {
            cx.stack.tcp_abort(connection, cx.now);
            cx.stack.tcp_release(connection, cx.now);
            return true;
        }
        let number = self.number();
        self.by_number.insert(number, connection);
        let served = Connection {
            number,
            local,
            remote,
            incoming: Deframer::default(),
            open: 0,
            answers: Chain::new(),
        };
        self.connections.insert(connection, served);
        true
    }

    /// Whether `connection` is one of the resolver's; then it is served.
    pub fn handle_event(&mut self, cx: &mut Cx, connection: TcpId, event: tcp::Event) -> bool {
        let Some(served) = self.connections.get_mut(&connection) else { return false };
        let client = Client { token: served.number, transport: Transport::Tcp };
        while let Some(chunk) = cx.stack.tcp_read(connection, BUFFER_BYTES_MAX, cx.now) {
            let mut bytes = &chunk[..];
            while let Some(message) = served.incoming.take(&mut bytes) {
                served.open += 1;
                cx.resolver.handle_query(client, &message);
            }
        }
        served.send(cx, connection);
        if matches!(event, tcp::Event::Closed(_)) {
            self.close(cx, connection);
        }
        true
    }

    /// The socket of an upstream question reported.
    pub fn handle_readiness(&mut self, cx: &mut Cx, index: usize, readiness: Readiness) {
        // A readiness is told once: the answer may stand behind one that is forged or belongs to nothing.
        for _ in 0..ANSWERS_MAX {
            let came = self.upstreams.handle_readiness(index, readiness, &cx.pool, &mut cx.scratch);
            let Some((id, outcome)) = came else { return };
            cx.resolver.handle_upstream(id, outcome.as_deref().map_err(Failure::clone), cx.now);
            if outcome.is_err() {
                return;
            }
        }
    }

    /// Does what the resolver asks for: questions upstream, answers inside.
    pub fn turn(&mut self, cx: &mut Cx) {
        if cx.resolver.poll_timeout().is_some_and(|at| at <= cx.now) {
            cx.resolver.handle_timeout(cx.now);
        }
        while let Some(wanted) = cx.resolver.poll_wanted() {
            let asker = self.asker(wanted.client);
            cx.handle_wanted(wanted, asker);
        }
        while let Some(order) = cx.resolver.poll_upstream() {
            match order {
                Upstream::Send(query) => {
                    if let Err(failure) = self.upstreams.ask(&cx.poller, &query) {
                        cx.resolver.handle_upstream(query.id, Err(failure), cx.now);
                    }
                }
                Upstream::Close(id) => self.upstreams.close(id),
            }
        }
        while let Some(event) = cx.resolver.poll_event() {
            let asker = self.asker(event.client());
            cx.report_resolution(event, asker, self.upstreams.servers());
        }
        while let Some(reply) = cx.resolver.poll_reply() {
            match reply.client.transport {
                Transport::Udp => self.answer(cx, reply.client.token, reply.bytes),
                Transport::Tcp => self.answer_connection(cx, reply.client.token, &reply.bytes),
            }
        }
    }

    /// The sockets between which a question came, ours first.
    fn asker(&self, client: Client) -> Option<(Protocol, SocketAddr, SocketAddr)> {
        match client.transport {
            Transport::Udp => {
                let place = self.askers.binary_search_by_key(&client.token, |(number, ..)| *number).ok()?;
                let (_, _, local, remote) = self.askers[place];
                Some((Protocol::Udp, local, remote))
            }
            Transport::Tcp => {
                let served = self.connections.get(self.by_number.get(&client.token)?)?;
                Some((Protocol::Tcp, served.local, served.remote))
            }
        }
    }

    fn answer(&mut self, cx: &mut Cx, number: u64, bytes: Vec<u8>) {
        // Numbers rise: the queue is sorted by them.
        let Ok(place) = self.askers.binary_search_by_key(&number, |(number, ..)| *number) else { return };
        let Some((_, socket, local, remote)) = self.askers.remove(place) else { return };
        // A full queue drops it, as a network would; it is counted there.
        let _ = cx.stack.udp_send(socket, Datagram::new(local, remote, Bytes::from(bytes)), cx.now);
    }

    fn answer_connection(&mut self, cx: &mut Cx, number: u64, bytes: &[u8]) {
        let Some(&connection) = self.by_number.get(&number) else { return };
        let Some(served) = self.connections.get_mut(&connection) else { return };
        served.open = served.open.saturating_sub(1);
        served.answers.push(Bytes::from(frame(bytes)));
        served.send(cx, connection);
        if served.answers.len() > ANSWERS_BYTES_MAX {
            cx.stack.tcp_abort(connection, cx.now);
            self.close(cx, connection);
        }
    }

    fn close(&mut self, cx: &mut Cx, connection: TcpId) {
        cx.stack.tcp_release(connection, cx.now);
        if let Some(served) = self.connections.remove(&connection) {
            self.by_number.remove(&served.number);
        }
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}

impl Connection {
    /// Hands answers to the stack as far as it takes them.
    fn send(&mut self, cx: &mut Cx, connection: TcpId) {
        while let Some(mut answer) = self.answers.pop() {
            cx.stack.tcp_write(connection, &mut answer, cx.now);
            if !answer.is_empty() {
                self.answers.push_front(answer);
                return;
            }
        }
        if self.open == 0 && cx.stack.tcp_is_at_end(connection) {
            cx.stack.tcp_shutdown(connection, cx.now);
        }
    }
}
