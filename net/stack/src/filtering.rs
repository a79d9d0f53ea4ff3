//! The packet filter's place in the stack: behind reassembly and in front of the transports on the way in, in front of
//! fragmentation and the neighbour on the way out.
//!
//! ARP and neighbour discovery are the link's own affairs and pass by it (RFC 4890 §4.4.1: they must not be dropped). What
//! the filter itself answers is not judged again. Nothing is forwarded here: an owner that passes packets on between links
//! asks a filter of its own, at [`Hook::Forward`].

use crate::icmp::Problem;
use crate::ip::Incoming;
use crate::output::{Hop, Outgoing, Output, ip_header_length};
use crate::stack::Stack;
use crate::{Drop, InterfaceId, SendError};
use alloc::boxed::Box;
use filter::{Answer, Filter, Hook, Packet, Verdict};
use time::Instant;
use wire::Protocol;

/// Bytes of a transport's header and what it quotes that a filter looks at: an ICMPv6 error's own 8, the 40 of the IPv6
/// header in it, or 60 of an IPv4 one, and 20 of TCP's; with room.
const TRANSPORT_BYTES: usize = 96;

/// ICMPv6 types of neighbour discovery (RFC 4861 §4).
const DISCOVERY: core::ops::RangeInclusive<u8> = 133..=137;

impl Stack {
    /// Puts a packet filter into force, or with `None` takes it out, and gives the one that was. Its interfaces are named in
    /// the order of their numbers here.
    ///
    /// ```
    #[doc = include_str!("two_hosts.md")]
    /// use filter::{Filter, Hook, Ruleset};
    /// let rules = Ruleset::parse("receive default drop\n accept udp to port 53\n")?;
    /// let filter = Filter::new(rules, &["link"], filter::Config::default(), &[7; 32]).expect("it can be obeyed");
    /// server.set_filter(Some(filter));
    /// let sockets = [53, 54].map(|port| server.udp_bind(Binding::Port(port)).expect("it is free"));
    /// let asking = client.udp_bind(Binding::Port(0)).expect("a port is free");
    /// for to in ["192.0.2.2:53", "192.0.2.2:54"] {
    ///     let to = to.parse().expect("an address");
    ///     let question = Datagram::new("0.0.0.0:0".parse().expect("an address"), to, Bytes::from_static(b"who?"));
    ///     client.udp_send(asking, question, now).expect("it leaves");
    /// }
    /// carry(&mut client, &mut server, now);
    /// assert_eq!(sockets.map(|socket| server.udp_receive(socket).is_some()), [true, false]);
    /// assert_eq!(server.counters().dropped(Drop::FilterDropped), 1);
    /// assert_eq!(server.filter().expect("one is set").counters(Hook::Receive)[0].packets, 1);
    /// # Ok::<(), filter::Errors>(())
    /// ```
    pub fn set_filter(&mut self, filter: Option<Filter>) -> Option<Filter> {
        core::mem::replace(&mut self.output.filter, filter.map(Box::new)).map(|before| *before)
    }

    /// The packet filter in force. An example is at [`set_filter`](Self::set_filter).
    pub fn filter(&self) -> Option<&Filter> {
        self.output.filter.as_deref()
    }

    /// The packet filter in force, to be given other rules. An example is at [`set_filter`](Self::set_filter).
    pub fn filter_mut(&mut self) -> Option<&mut Filter> {
        self.output.filter.as_deref_mut()
    }

    /// Asks the filter about a packet that is for this stack, and answers where it is rejected; why it is dropped, where it
    /// is.
    #[cold]
    pub(crate) fn filter_received(&mut self, incoming: &Incoming, now: Instant) -> Option<Drop> {
        let transport = &incoming.packet[incoming.transport..];
        if is_discovery(incoming.protocol, transport) {
            return None;
        }
        let packet = Packet {
            source: incoming.source,
            destination: incoming.destination,
            protocol: incoming.protocol,
            transport,
            length_bytes: incoming.packet.len() as u32,
            is_fragment: false,
            program: None,
        };
        let verdict = self.output.judge(Hook::Receive, incoming.interface, &packet, now);
        if let Verdict::Rejected(answer) = verdict {
            // The answer is the filter's own.
            let filter = self.output.filter.take();
            self.answer_rejected(incoming, answer, now);
            self.output.filter = filter;
        }
        reason(verdict)
    }

    fn answer_rejected(&mut self, incoming: &Incoming, answer: Answer, now: Instant) {
        let problem = match answer {
            Answer::Fitting if incoming.protocol == Protocol::TCP => {
                self.reset_rejected(incoming, now);
                return;
            }
            Answer::Fitting | Answer::Prohibited => Problem::Prohibited,
            Answer::Port => Problem::Port,
            Answer::Host => Problem::Host,
        };
        self.send_problem(incoming, problem, now);
    }
}

impl Output {
    /// Asks the filter about a packet that holds everything after the IP header. `Err` is what its sender is told; a packet
    /// that vanishes without a word is `Ok(false)`.
    #[cold]
    pub(crate) fn filter_sent(
        &mut self,
        hop: Hop,
        out: &Outgoing,
        packet: &packet::Packet,
        now: Instant,
    ) -> Result<bool, SendError> {
        let mut room = [0; TRANSPORT_BYTES];
        let mut length = 0;
        let chunks = packet.body.chunks().map(|chunk| &chunk[..]);
        for chunk in core::iter::once(&packet.headers[..]).chain(chunks) {
            let taken = chunk.len().min(room.len() - length);
            room[length..length + taken].copy_from_slice(&chunk[..taken]);
            length += taken;
        }
        if is_discovery(out.protocol, &room[..length]) {
            return Ok(true);
        }
        let length_bytes = ip_header_length(out.source) + packet.len();
        self.filter_transport(hop, out, &room[..length], length_bytes, now)
    }

    /// As [`filter_sent`](Self::filter_sent), of a packet by its transport's first bytes and its whole length.
    pub(crate) fn filter_transport(
        &mut self,
        hop: Hop,
        out: &Outgoing,
        transport: &[u8],
        length_bytes: usize,
        now: Instant,
    ) -> Result<bool, SendError> {
        let packet = Packet {
            source: out.source,
            destination: out.destination,
            protocol: out.protocol,
            transport,
            length_bytes: length_bytes as u32,
            is_fragment: false,
            program: None,
        };
        let verdict = self.judge(Hook::Send, hop.interface, &packet, now);
        if let Some(reason) = reason(verdict) {
            self.counters.count(reason);
        }
        match verdict {
            Verdict::Accepted => Ok(true),
            Verdict::Dropped | Verdict::Limited => Ok(false),
            Verdict::Rejected(_) => Err(SendError::Prohibited),
        }
    }

    fn judge(&mut self, hook: Hook, interface: InterfaceId, packet: &Packet<'_>, now: Instant) -> Verdict {
        self.filter
            .as_mut()
            .map_or(Verdict::Accepted, |filter| filter.judge(hook, interface.0, packet, now).verdict)
    }
}

/// The name under which a packet is counted that does not pass.
const fn reason(verdict: Verdict) -> Option<Drop> {
    match verdict {
        Verdict::Accepted => None,
        Verdict::Dropped => Some(Drop::FilterDropped),
        Verdict::Limited => Some(Drop::FilterLimited),
        Verdict::Rejected(_) => Some(Drop::FilterRejected),
    }
}

fn is_discovery(protocol: Protocol, transport: &[u8]) -> bool {
    protocol == Protocol::ICMPV6 && transport.first().is_some_and(|kind| DISCOVERY.contains(kind))
}
