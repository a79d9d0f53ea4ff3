//! SYNs that wait for their owner's verdict (deferred accept): nothing is sent before it, and no connection made.

use crate::demux::{Owner, Tuple};
use crate::icmp::Problem;
use crate::output::Timer;
use crate::stack::Stack;
use crate::{Drop, Event, InterfaceId, ListenerId, Refusal, RequestId, TcpId, Verdict};
use alloc::sync::Arc;
use time::{Instant, SequenceNumber};
use wire::tcp::{Flags, Header};
use wire::{Ecn, Protocol};

/// What a SYN asks for.
#[derive(Debug)]
pub(crate) struct Opening {
    /// Where it came in.
    pub interface: InterfaceId,
    pub tuple: Tuple,
    pub syn: Header,
    /// The codepoint that it arrived with.
    pub ecn: Ecn,
    /// The first sequence number that our side may use, where an earlier connection used others (RFC 6191).
    pub initial_min: Option<SequenceNumber>,
}

/// A SYN that waits.
#[derive(Debug)]
pub(crate) struct Request {
    pub opening: Opening,
    pub listener: ListenerId,
}

impl Stack {
    /// Keeps a SYN and tells the owner of it.
    pub(crate) fn ask(&mut self, opening: Opening, listener: ListenerId, now: Instant) -> Verdict {
        while self.tcp.requests.len() >= self.tcp.requests_max {
            // RFC 4987 §3.3: the oldest gives way. Else whoever opens many would keep all others out until they time out.
            let Some(oldest) = self.tcp.oldest_request() else {
                return Verdict::Dropped(Drop::TcpRequestsFull);
            };
            self.output.counters.count(Drop::TcpRequestsFull);
            self.expire_request(oldest);
        }
        let tuple = opening.tuple;
        let number = self.tcp.requests.insert(Request { opening, listener });
        self.tcp.note_request(number);
        self.tcp.requests_by_tuple.insert(&tuple.words(), number);
        self.output.wheel.set(Timer::Request(number), now + self.tcp.request_lifetime);
        self.events.push_back(Event::TcpRequest {
            request: RequestId(number),
            listener,
            local: tuple.local(),
            remote: tuple.remote(),
        });
        Verdict::Accepted
    }

    /// A segment whose addresses and ports are those of a SYN that waits.
    pub(crate) fn receive_for_request(&mut self, number: u64, header: &Header, ecn: Ecn) -> Verdict {
        let Some(request) = self.tcp.requests.find_mut(number) else {
            return Verdict::Dropped(Drop::TcpNoConnection);
        };
        let Opening { syn, ecn: marked, .. } = &mut request.opening;
        if header.flags.contains(Flags::RST) {
            // The peer gave up. Its SYN took one number; nobody else knows it (RFC 5961 §3.2).
            let expected = header.sequence == syn.sequence || header.sequence == syn.sequence + 1;
            if !expected {
                return Verdict::Dropped(Drop::TcpRequestPending);
            }
            self.forget_request(number);
            self.events.push_back(Event::TcpRequestEnded { request: RequestId(number) });
            return Verdict::Accepted;
        }
        if header.flags.contains(Flags::SYN) && !header.flags.contains(Flags::ACK) {
            // The same again, or a later connection's in its place; the answer goes to the last one's numbers.
            *syn = *header;
            *marked = ecn;
        }
        Verdict::Dropped(Drop::TcpRequestPending)
    }

    /// Answers a pending SYN with a SYN-ACK; the owner holds the connection from now on. `None` where the request
    /// has ended or as many connections as may be are open.
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    /// let listen = Listen { binding: Binding::Port(80), defer: true, backlog: 0, config: Arc::default() };
    /// server.tcp_listen(listen).expect("the port is free");
    /// let ours = client.tcp_connect(None, "192.0.2.2:80".parse()?, Arc::default(), now).expect("there is a route");
    /// carry(&mut client, &mut server, now);
    /// let Some(Event::TcpRequest { request, .. }) = server.poll_event() else { panic!("a SYN has arrived") };
    /// assert_eq!(client.tcp_info(ours, now).map(|info| info.state), Some(tcp::State::SynSent));
    /// let theirs = server.tcp_admit(request, Arc::default(), now).expect("there is room");
    /// carry(&mut client, &mut server, now);
    /// for (stack, connection) in [(&client, ours), (&server, theirs)] {
    ///     assert_eq!(stack.tcp_info(connection, now).map(|info| info.state), Some(tcp::State::Established));
    /// }
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn tcp_admit(&mut self, request: RequestId, config: Arc<tcp::Config>, now: Instant) -> Option<TcpId> {
        let Request { opening, .. } = self.forget_request(request.0)?;
        match self.accept(&opening, config, Owner::Held, now) {
            Ok(number) => {
                self.settle(number);
                Some(TcpId(number))
            }
            Err(reason) => {
                self.output.counters.count(reason);
                None
            }
        }
    }

    /// Refuses a pending SYN. An example is at [`Refusal`].
    pub fn tcp_refuse(&mut self, request: RequestId, refusal: Refusal, now: Instant) {
        let Some(Request { opening, .. }) = self.forget_request(request.0) else { return };
        let Opening { interface, tuple, syn, .. } = opening;
        if refusal == Refusal::Reset {
            self.send_reset(interface, &tuple, &syn, 0, now);
            return;
        }
        let Some(problem) = Problem::of(refusal) else { return };
        let length = syn.length();
        let mut bytes = alloc::vec![0; length];
        syn.emit(&mut bytes);
        let (local, remote) = (tuple.local(), tuple.remote());
        let mut sum = crate::output::pseudo_header(remote.ip(), local.ip(), Protocol::TCP, length);
        sum.add(&bytes);
        let at = wire::tcp::CHECKSUM_OFFSET;
        bytes[at..at + 2].copy_from_slice(&sum.checksum().to_be_bytes());
        self.send_refusal((local, remote), Protocol::TCP, &bytes, length, problem, now);
    }

    /// A SYN has waited too long, or gives way.
    pub(crate) fn expire_request(&mut self, number: u64) {
        if self.forget_request(number).is_some() {
            self.events.push_back(Event::TcpRequestEnded { request: RequestId(number) });
        }
    }

    pub(crate) fn forget_request(&mut self, number: u64) -> Option<Request> {
        let request = self.tcp.requests.remove(number)?;
        self.tcp.requests_by_tuple.remove(&request.opening.tuple.words(), number);
        self.output.wheel.cancel(Timer::Request(number));
        Some(request)
    }
}
