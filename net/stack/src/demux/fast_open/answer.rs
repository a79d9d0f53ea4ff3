//! Both roles of Fast Open in the stack: SYNs that take data along, and what those that bring some are answered with
//! (RFC 7413 §4.2).

use super::Pending;
use super::cache::{Advice, CookieCache};
use super::keys::{CookieKeys, Worth};
use crate::demux::{Flow, Opening, Owner, Tuple};
use crate::output::ip_header_length;
use crate::stack::Stack;
use crate::{Config, ConnectError, Drop, Event, ListenerId, TcpId, Verdict};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::net::SocketAddr;
use hash::Key;
use packet::{Bytes, Chain};
use tcp::{CloseReason, Connection};
use time::Instant;
use wire::tcp::FastOpen;

/// What a stack knows of Fast Open.
#[derive(Debug)]
pub(in crate::demux) struct FastOpening {
    client: bool,
    server: bool,
    keys: CookieKeys,
    cache: CookieCache,
}

impl FastOpening {
    pub(in crate::demux) fn new(config: &Config, cookies: Key, cache: Key) -> Self {
        Self {
            client: config.fast_open.client,
            server: config.fast_open.server,
            keys: CookieKeys::new(cookies),
            cache: CookieCache::new(cache, config.fast_open.servers_max),
        }
    }

    /// Sets up the connection to be opened by `tuple`.
    fn prepare(&self, connection: &mut Connection, tuple: &Tuple, now: Instant) {
        if !self.client {
            return;
        }
        match self.cache.advise(tuple.local().ip(), tuple.remote().ip(), now) {
            Advice::Send(cookie, mss) => connection.set_fast_open(cookie, mss),
            Advice::Ask => connection.set_fast_open(FastOpen::REQUEST, None),
            Advice::Refrain => {}
        }
    }

    /// A connection of ours is established, or over before it was, for the reason given.
    pub(in crate::demux) fn learn(&mut self, flow: &mut Flow, over: Option<CloseReason>) {
        let Some(outcome) = flow.connection.take_fast_open_outcome() else { return };
        let silent = matches!(over, Some(CloseReason::TimedOut | CloseReason::Unreachable));
        let (local, remote) = (flow.tuple.local().ip(), flow.tuple.remote().ip());
        self.cache.learn(local, remote, &outcome, silent);
    }
}

/// What a SYN is answered with.
enum Answer {
    /// As if it had no option.
    Plain,
    /// A cookie; its data is left for the peer to send again.
    Give(FastOpen),
    /// Its data is taken, with a newer cookie where the one that it brought ages.
    Take(Option<FastOpen>),
}

impl Stack {
    /// Opens a connection whose SYN takes along as much of `data` as it may, where the server has given a cookie before, and
    /// else asks for one (RFC 7413 §4.2.1; TCP_FASTOPEN_CONNECT, MSG_FASTOPEN). What does not leave with the SYN follows the
    /// handshake; what the send buffer has no room for stays in `data`.
    ///
    /// The server may get what the SYN takes along twice, as two connections, where the network duplicates the SYN (RFC 7413
    /// §6.1): only what may be done twice is to be sent so.
    ///
    /// ```
    #[doc = include_str!("../../two_hosts.md")]
    /// let listen = Listen { binding: Binding::Port(80), defer: false, backlog: 8, config: Arc::default() };
    /// let listener = server.tcp_listen(listen).expect("the port is free");
    /// server.tcp_set_fast_open(listener, 8);
    /// let remote = "192.0.2.2:80".parse().expect("an address");
    /// for expected in [tcp::FastOpenStatus::Requested, tcp::FastOpenStatus::Taken] {
    ///     let mut data = Bytes::from_static(b"GET /");
    ///     let ours = client.tcp_connect_fast(None, remote, &mut data, Arc::default(), now)?;
    ///     carry(&mut client, &mut server, now);
    ///     assert_eq!(client.tcp_info(ours, now).map(|info| info.fast_open), Some(expected));
    /// }
    /// // A packet of 1,500 bytes, less IPv4's header and the largest that TCP's can be.
    /// assert_eq!(client.tcp_fast_open_room(None, remote, now), Some(1_420));
    /// # Ok::<(), ConnectError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConnectError`] where no SYN can leave.
    pub fn tcp_connect_fast(
        &mut self,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        data: &mut Bytes,
        config: Arc<tcp::Config>,
        now: Instant,
    ) -> Result<TcpId, ConnectError> {
        let mut opening = self.open(local, remote, config, now)?;
        self.tcp.fast_open.prepare(&mut opening.connection, &opening.tuple, now);
        // It is open for writing: it has only just been made.
        let _ = opening.connection.write(data, now);
        Ok(self.launch(opening))
    }

    /// How many bytes a SYN from `local` to `remote` would take along; `None` where the server has given no cookie, or
    /// something speaks against its use. An example is at [`tcp_connect_fast`](Self::tcp_connect_fast).
    pub fn tcp_fast_open_room(
        &self,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        now: Instant,
    ) -> Option<usize> {
        let remote = crate::bindings::plain(remote).ip();
        let hop = self.output.hop(remote)?;
        let mtu = self.output.interface(hop.interface)?.capabilities.mtu;
        let local = self.local_address(local, remote, hop).ok()?;
        let Advice::Send(_, mss) = self.tcp.fast_open.cache.advise(local, remote, now) else { return None };
        let path = tcp::Path {
            segment_bytes_max: mtu.saturating_sub(ip_header_length(remote) as u16),
            offload_bytes_max: 0,
        };
        self.tcp.fast_open.client.then(|| tcp::syn_payload_bytes_max(path, mss))
    }

    /// Lets the SYNs of a listener bring data, for up to `pending_max` connections whose handshake is not over (RFC 7413
    /// §5.1; TCP_FASTOPEN); 0: not at all, as at first. They are told as `Event::TcpAccepted` before their handshake is over.
    ///
    /// Not for a listener that defers: what comes before the verdict is not looked at. An example is at
    /// [`tcp_connect_fast`](Self::tcp_connect_fast).
    pub fn tcp_set_fast_open(&mut self, listener: ListenerId, pending_max: usize) {
        let Some(listener) = self.tcp.listeners.find_mut(listener.0) else { return };
        match &mut listener.fast_open {
            Some(pending) => pending.set_max(pending_max),
            None if pending_max == 0 => {}
            none => *none = Some(Box::new(Pending::new(pending_max))),
        }
    }

    /// Makes cookies with `current` from now on, and lets those made with `previous` hold. Else both come from the seed and
    /// change by themselves. Servers behind one address need the same keys.
    ///
    /// ```
    #[doc = include_str!("../../two_hosts.md")]
    /// let listen = Listen { binding: Binding::Port(80), defer: false, backlog: 8, config: Arc::default() };
    /// let listener = server.tcp_listen(listen).expect("the port is free");
    /// server.tcp_set_fast_open(listener, 8);
    /// let remote = "192.0.2.2:80".parse().expect("an address");
    /// let mut opening = |client: &mut Stack, server: &mut Stack| {
    ///     let mut data = Bytes::from_static(b"GET /");
    ///     let ours = client.tcp_connect_fast(None, remote, &mut data, Arc::default(), now).expect("it leaves");
    ///     carry(client, server, now);
    ///     client.tcp_info(ours, now).map(|info| info.fast_open)
    /// };
    /// let (old, new) = (*b"sixteen bytes ..", *b"and sixteen more");
    /// server.set_fast_open_keys(old, None);
    /// opening(&mut client, &mut server);
    /// server.set_fast_open_keys(new, Some(old));
    /// assert_eq!(opening(&mut client, &mut server), Some(tcp::FastOpenStatus::Taken));
    /// ```
    pub fn set_fast_open_keys(&mut self, current: [u8; 16], previous: Option<[u8; 16]>) {
        self.tcp.fast_open.keys.give(current, previous);
    }

    /// Answers a SYN to a listener that neither defers nor is full.
    pub(in crate::demux) fn accept_syn(
        &mut self,
        opening: &Opening,
        payload: Chain,
        listener: u64,
        config: Arc<tcp::Config>,
        now: Instant,
    ) -> Verdict {
        let answer = self.judge(opening, listener, now);
        let id = ListenerId(listener);
        let early = matches!(answer, Answer::Take(_));
        let owner = if early { Owner::Early { listener: id, released: false } } else { Owner::Listener(id) };
        let number = match self.accept(opening, config, owner, now) {
            Ok(number) => number,
            Err(reason) => return Verdict::Dropped(reason),
        };
        let (Some(flow), Some(listener)) =
            (self.tcp.flows.find_mut(number), self.tcp.listeners.find_mut(listener))
        else {
            return Verdict::Dropped(Drop::TcpNoConnection);
        };
        if let Answer::Give(cookie) | Answer::Take(Some(cookie)) = answer {
            flow.connection.give_cookie(cookie);
        }
        if !early {
            listener.half_open += 1;
            return Verdict::Accepted;
        }
        if let Some(pending) = &mut listener.fast_open {
            pending.begin();
        }
        listener.accepted.add();
        flow.connection.accept_early(&opening.syn, payload);
        let (local, remote) = (flow.tuple.local(), flow.tuple.remote());
        self.events.push_back(Event::TcpAccepted { listener: id, connection: TcpId(number), local, remote });
        Verdict::Accepted
    }

    /// RFC 7413 §4.2.2.
    fn judge(&mut self, opening: &Opening, listener: u64, now: Instant) -> Answer {
        let full = self.tcp.memory.is_full(self.tcp.bytes);
        let fast_open = &mut self.tcp.fast_open;
        let Some(told) = opening.syn.options.fast_open.filter(|_| fast_open.server) else {
            return Answer::Plain;
        };
        let pending = self.tcp.listeners.find_mut(listener).and_then(|found| found.fast_open.as_mut());
        // RFC 7413 §5.1: beyond the bound there is no Fast Open at all.
        if pending.is_none_or(|pending| pending.is_full(now)) {
            return Answer::Plain;
        }
        let (remote, local) = (opening.tuple.remote().ip(), opening.tuple.local().ip());
        let worth = match told.is_request() {
            true => Worth::None,
            false => fast_open.keys.judge(&told, remote, local, now),
        };
        // The answer is of the kind that the client asked by.
        let mut fresh = || fast_open.keys.make(remote, local, now).experimental(told.is_experimental());
        match worth {
            Worth::None => Answer::Give(fresh()),
            _ if full => Answer::Plain,
            Worth::Good => Answer::Take(None),
            Worth::Ageing => Answer::Take(Some(fresh())),
        }
    }
}
