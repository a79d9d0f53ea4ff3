//! Listeners, and what becomes of a SYN that comes to one.

use super::cookie;
use super::transmit::outgoing;
use crate::bindings::plain;
use crate::demux::{Flow, Listener, Opening, Owner, Tuple};
use crate::ip::Incoming;
use crate::output::{Outgoing, ip_header_length};
use crate::stack::Stack;
use crate::{BindError, Binding, Drop, Listen, ListenerId, Verdict};
use alloc::sync::Arc;
use alloc::vec::Vec;
use packet::Chain;
use tcp::{Connection, Path};
use time::Instant;
use wire::tcp::{Flags, Header};

/// Listeners of a stack: each is an entry in a table.
const LISTENERS_MAX: usize = 65_536;

impl Stack {
    /// Listens for connections. A port of 0 is chosen from the dynamic range (RFC 6056); `tcp_binding` tells it.
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    /// let config = Arc::new(tcp::Config::linux());
    /// let listen = Listen { binding: Binding::Port(80), defer: false, backlog: 128, config };
    /// let listener = server.tcp_listen(listen.clone())?;
    /// assert_eq!(server.tcp_listen(listen), Err(BindError::InUse));
    /// let remote = "192.0.2.2:80".parse().expect("an address");
    /// client.tcp_connect(None, remote, Arc::default(), now).expect("there is a route");
    /// carry(&mut client, &mut server, now);
    /// let told = server.poll_event();
    /// assert!(matches!(told, Some(Event::TcpAccepted { listener: at, .. }) if at == listener));
    /// # Ok::<(), BindError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BindError`] where the binding is taken or not ours.
    pub fn tcp_listen(&mut self, listen: Listen) -> Result<ListenerId, BindError> {
        let setup = self.checked(listen)?;
        if self.tcp.bindings.is_bound(setup.binding) {
            return Err(BindError::InUse);
        }
        let binding = setup.binding;
        let number = self.tcp.listeners.insert(Listener::new(setup, None));
        self.tcp.bindings.insert(binding, number)?;
        Ok(ListenerId(number))
    }

    /// Listens beside others with the same binding that were opened by this call too (SO_REUSEPORT): each peer's SYNs
    /// come to one of them, by a keyed hash of addresses and ports.
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    /// let listen = Listen { binding: Binding::Port(80), defer: false, backlog: 128, config: Arc::default() };
    /// let listeners = [server.tcp_listen_shared(listen.clone())?, server.tcp_listen_shared(listen)?];
    /// let remote = "192.0.2.2:80".parse().expect("an address");
    /// for _ in 0..32 {
    ///     client.tcp_connect(None, remote, Arc::default(), now).expect("there is a route");
    /// }
    /// carry(&mut client, &mut server, now);
    /// let mut accepted = [0, 0];
    /// while let Some(event) = server.poll_event() {
    ///     if let Event::TcpAccepted { listener, .. } = event {
    ///         accepted[usize::from(listener == listeners[1])] += 1;
    ///     }
    /// }
    /// assert!(accepted[0] > 0 && accepted[1] > 0 && accepted[0] + accepted[1] == 32);
    /// # Ok::<(), BindError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BindError`] where the binding is taken by one that does not share, or not ours.
    pub fn tcp_listen_shared(&mut self, listen: Listen) -> Result<ListenerId, BindError> {
        let setup = self.checked(listen)?;
        let binding = setup.binding;
        let first = self.tcp.bindings.bound_to(binding);
        if first.is_none() && self.tcp.bindings.is_bound(binding) {
            return Err(BindError::InUse);
        }
        let number = self.tcp.listeners.insert(Listener::new(setup, Some(Vec::new())));
        let shares = first.and_then(|first| self.tcp.listeners.find_mut(first)?.sharing.as_mut());
        match (first, shares) {
            (None, _) => self.tcp.bindings.insert(binding, number)?,
            (Some(_), Some(others)) => others.push(number),
            (Some(_), None) => {
                self.tcp.listeners.remove(number);
                return Err(BindError::InUse);
            }
        }
        Ok(ListenerId(number))
    }

    /// What a listener is bound to. Examples are at [`ListenerId`] and [`Listen`].
    pub fn tcp_binding(&self, listener: ListenerId) -> Option<Binding> {
        self.tcp.listeners.find(listener.0).map(|listener| listener.setup.binding)
    }

    /// A set-up that can be listened with.
    fn checked(&mut self, listen: Listen) -> Result<Listen, BindError> {
        if self.tcp.listeners.len() >= LISTENERS_MAX {
            return Err(BindError::TooMany);
        }
        let binding = match listen.binding {
            Binding::Address(address) if !self.output.may_send_from(address.ip()) => {
                return Err(BindError::NotLocal);
            }
            Binding::Address(address) => Binding::Address(plain(address)),
            Binding::Port(_) | Binding::PortV4(_) | Binding::PortV6(_) | Binding::Intercept => listen.binding,
        };
        let binding = self.tcp.bindings.with_port(binding, &mut self.output.random)?;
        Ok(Listen { binding, ..listen })
    }

    /// Ends a listener. SYNs that wait for its verdict are forgotten; its connections go on. An example is at [`ListenerId`].
    pub fn tcp_unlisten(&mut self, listener: ListenerId) {
        let Some(gone) = self.tcp.listeners.remove(listener.0) else { return };
        self.tcp.leave_binding(listener.0, &gone);
        let requests = self.tcp.requests.iter().filter(|(_, request)| request.listener == listener);
        let numbers: Vec<u64> = requests.map(|(number, _)| number).collect();
        for number in numbers {
            self.forget_request(number);
        }
    }

    /// A SYN for which there is neither a connection nor one that waits (RFC 9293 §3.10.7.2).
    pub(crate) fn receive_syn(
        &mut self,
        opening: Opening,
        payload: Chain,
        listener: u64,
        now: Instant,
    ) -> Verdict {
        let Some(found) = self.tcp.listeners.find(listener) else {
            return Verdict::Dropped(Drop::TcpNoConnection);
        };
        let setup = &found.setup;
        if setup.defer {
            return self.ask(opening, ListenerId(listener), now);
        }
        if found.accepted.is_full() {
            return Verdict::Dropped(Drop::TcpAcceptQueueFull);
        }
        let config = Arc::clone(&setup.config);
        if found.half_open >= setup.backlog {
            return self.answer_by_cookie(&opening, config, now);
        }
        self.accept_syn(&opening, payload, listener, config, now)
    }

    /// Whether a listener keeps what a SYN asks for, or has no room left.
    pub(super) fn takes_syn(&self, listener: u64) -> bool {
        let found = self.tcp.listeners.find(listener);
        let has_room = |found: &Listener| found.half_open < found.setup.backlog && !found.accepted.is_full();
        found.is_some_and(|found| found.setup.defer || has_room(found))
    }

    /// Answers a SYN of which nothing is kept (RFC 4987 §3.6).
    fn answer_by_cookie(&mut self, opening: &Opening, config: Arc<tcp::Config>, now: Instant) -> Verdict {
        let &Opening { interface, tuple, ref syn, ecn, initial_min } = opening;
        // Which numbers are safe after an earlier connection (RFC 6191) is not a cookie's to choose.
        if !self.tcp.syn_cookies || initial_min.is_some() {
            return Verdict::Dropped(Drop::TcpBacklogFull);
        }
        let Some(hop) = self.output.hop_back(interface, tuple.remote().ip()) else {
            return Verdict::Dropped(Drop::NoRoute);
        };
        let Some(mtu) = self.output.interface(hop.interface).map(|interface| interface.capabilities.mtu)
        else {
            return Verdict::Dropped(Drop::NoRoute);
        };
        let syn = cookie::answerable(syn, ecn, config.ecn_accept);
        let Some(initial) = self.tcp.cookies.make(&tuple, &syn, now) else {
            return Verdict::Dropped(Drop::TcpBacklogFull);
        };
        let offset = self.tcp.timestamp_offset(&tuple);
        let slow = cookie::slowness(&syn, (now.as_millis() as u32).wrapping_add(offset));
        let flow_label = self.tcp.flow_label(&tuple);
        let out = Outgoing { traffic_class: config.dscp << 2, flow_label, ..outgoing(&tuple) };
        let mut connection = Connection::accept(config, &syn, initial, offset.wrapping_sub(slow), now);
        connection.handle_marked_syn(&syn, ecn);
        let Some(answer) = connection.poll_transmit(plain_path(mtu, &tuple), now) else {
            return Verdict::Dropped(Drop::TcpBacklogFull);
        };
        let mut packet = packet::Packet::default();
        answer.header.emit(packet.headers.prepend(answer.header.length()));
        self.output.counters.syn_cookies_sent += 1;
        // A full queue has counted the drop; the peer's next SYN is answered again.
        let _ = self.output.send(hop, out, packet, now);
        Verdict::Accepted
    }

    /// The connection whose handshake the acknowledgement of a cookie ends, if it is one; or why there is no room for it.
    /// Its peer has a connection, and sends again what it says first.
    pub(crate) fn accept_by_cookie(
        &mut self,
        incoming: &Incoming,
        tuple: Tuple,
        header: &Header,
        now: Instant,
    ) -> Option<Result<u64, Drop>> {
        let ends = header.flags.contains(Flags::ACK) && !header.flags.intersects(Flags::SYN | Flags::RST);
        if !ends || !self.tcp.cookies.are_out(now) || self.tcp.find_request(&tuple).is_some() {
            return None;
        }
        let listener = self.listener_for(incoming, &tuple)?;
        let found = self.tcp.listeners.find(listener)?;
        let (setup, queue_full) = (&found.setup, found.accepted.is_full());
        if setup.defer {
            return None;
        }
        let config = Arc::clone(&setup.config);
        let syn = self.tcp.cookies.open(&tuple, header, config.ecn_accept, now)?;
        if queue_full {
            return Some(Err(Drop::TcpAcceptQueueFull));
        }
        if !self.has_room() {
            return Some(Err(Drop::TcpConnectionsFull));
        }
        let hop = self.output.hop_back(incoming.interface, tuple.remote().ip())?;
        let mtu = self.output.interface(hop.interface)?.capabilities.mtu;
        let offset = self.tcp.timestamp_offset(&tuple);
        let mut connection = Connection::accept(config, &syn, header.acknowledgement - 1, offset, now);
        connection.handle_answered_before(plain_path(mtu, &tuple), now);
        self.output.counters.syn_cookies_accepted += 1;
        let number =
            self.add_flow(Flow::new(tuple, connection, Owner::Listener(ListenerId(listener)), hop, mtu));
        if let Some(listener) = self.tcp.listeners.find_mut(listener) {
            listener.half_open += 1;
        }
        Some(Ok(number))
    }

    /// Makes the connection that a SYN asks for.
    pub(crate) fn accept(
        &mut self,
        opening: &Opening,
        config: Arc<tcp::Config>,
        owner: Owner,
        now: Instant,
    ) -> Result<u64, Drop> {
        let &Opening { interface, tuple, ref syn, ecn, initial_min } = opening;
        if !self.has_room() {
            return Err(Drop::TcpConnectionsFull);
        }
        let hop = self.output.hop_back(interface, tuple.remote().ip()).ok_or(Drop::NoRoute)?;
        let mtu = self.output.interface(hop.interface).ok_or(Drop::NoRoute)?.capabilities.mtu;
        let initial = self.tcp.initial_sequence(&tuple, now);
        let initial = initial_min.map_or(initial, |least| initial.later(least));
        let offset = self.tcp.timestamp_offset(&tuple);
        let mut connection = Connection::accept(config, syn, initial, offset, now);
        connection.handle_marked_syn(syn, ecn);
        Ok(self.add_flow(Flow::new(tuple, connection, owner, hop, mtu)))
    }

    /// Keeps a connection, and looks after it when the batch or the call under way is through.
    pub(crate) fn add_flow(&mut self, mut flow: Flow) -> u64 {
        flow.label = self.tcp.flow_label(&flow.tuple);
        let words = flow.tuple.words();
        let number = self.tcp.flows.insert(alloc::boxed::Box::new(flow));
        self.tcp.by_tuple.insert(&words, number);
        self.tcp.touch(number);
        number
    }
}

/// What one segment has room for, without a device that cuts larger ones.
fn plain_path(mtu: u16, tuple: &Tuple) -> Path {
    Path { segment_bytes_max: mtu - ip_header_length(tuple.remote().ip()) as u16, offload_bytes_max: 0 }
}
