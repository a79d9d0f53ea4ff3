//! Segments as they arrive: to their connection, to a SYN that waits, to a listener, or answered with a reset.

use super::transmit::{outgoing, outgoing_of};
use crate::demux::{Opening, Owner, Tuple};
use crate::interface::Reach;
use crate::ip::Incoming;
use crate::output::pseudo_header;
use crate::stack::Stack;
use crate::station::Station;
use crate::{Drop, InterfaceId, Verdict};
use core::net::SocketAddr;
use packet::{Buf, Chain, Checksum};
use tcp::{Segment, State};
use time::{Instant, SequenceNumber};
use wire::Protocol;
use wire::tcp::{Flags, Header};

impl Stack {
    /// A packet whose payload is TCP.
    #[inline]
    pub(crate) fn receive_segment(&mut self, incoming: Incoming, now: Instant) -> Verdict {
        // RFC 9293 §3.9.2.3, RFC 1122 §4.2.3.10: nobody connects to or from many.
        let to_one = matches!(incoming.reach, Reach::Own | Reach::Intercepted);
        if !to_one {
            return Verdict::Dropped(Drop::TcpBadAddress);
        }
        let Ok((header, header_length)) = Header::parse(&incoming.packet[incoming.transport..]) else {
            return Verdict::Dropped(Drop::TcpMalformed);
        };
        if header.source_port == 0 || header.destination_port == 0 {
            return Verdict::Dropped(Drop::TcpBadAddress);
        }
        if incoming.offload.checksum == Checksum::Complete && !is_intact(&incoming) {
            return Verdict::Dropped(Drop::TcpChecksum);
        }
        let local = SocketAddr::new(incoming.destination, header.destination_port);
        let remote = SocketAddr::new(incoming.source, header.source_port);
        let tuple = Tuple::new(local, remote);
        let Some(number) = self.tcp.find(&tuple) else {
            return match self.accept_by_cookie(&incoming, tuple, &header, now) {
                Some(Ok(number)) => self.receive_for_flow(number, incoming, header, header_length, now),
                Some(Err(reason)) => Verdict::Dropped(reason),
                None => self.receive_unmatched(&incoming, tuple, &header, header_length, None, now),
            };
        };
        self.output.stations.pass(Station::Demultiplex);
        if header.flags.contains(Flags::SYN)
            && let Some(initial_min) = self.reopen(number, &incoming, &header)
        {
            return self.receive_unmatched(&incoming, tuple, &header, header_length, Some(initial_min), now);
        }
        self.receive_for_flow(number, incoming, header, header_length, now)
    }

    /// A segment for a connection. One in its handshake for a listener may end that, where there is room for one more that
    /// waits to be accepted.
    #[inline]
    fn receive_for_flow(
        &mut self,
        number: u64,
        incoming: Incoming,
        header: Header,
        header_length: usize,
        now: Instant,
    ) -> Verdict {
        let Some(listener) = self.listener_awaiting(number) else {
            return self.receive_for_connection(number, incoming, header, header_length, now);
        };
        let ends = header.flags.contains(Flags::ACK) && !header.flags.contains(Flags::RST);
        if ends && self.tcp.listeners.find(listener).is_some_and(|listener| listener.accepted.is_full()) {
            return Verdict::Dropped(Drop::TcpAcceptQueueFull);
        }
        let verdict = self.receive_for_connection(number, incoming, header, header_length, now);
        // What ends within this turn counts for the next segment of it, before it is told.
        let is_open =
            self.tcp.flows.find(number).is_some_and(|flow| flow.connection.state() != State::Closed);
        if is_open
            && self.listener_awaiting(number).is_none()
            && let Some(listener) = self.tcp.listeners.find_mut(listener)
        {
            listener.accepted.add();
        }
        verdict
    }

    /// The listener for which a connection is in its handshake.
    #[inline]
    fn listener_awaiting(&self, number: u64) -> Option<u64> {
        let flow = self.tcp.flows.find(number)?;
        match flow.owner {
            Owner::Listener(listener) if flow.connection.state() == State::SynReceived => Some(listener.0),
            _ => None,
        }
    }

    #[inline]
    fn receive_for_connection(
        &mut self,
        number: u64,
        incoming: Incoming,
        header: Header,
        header_length: usize,
        now: Instant,
    ) -> Verdict {
        let Some(flow) = self.tcp.flows.find_mut(number) else {
            return Verdict::Dropped(Drop::TcpNoConnection);
        };
        let size = incoming.offload.segmentation.map(|joined| joined.size.max(1));
        let ecn = incoming.ecn;
        let mut payload = incoming.packet;
        payload.advance(incoming.transport + header_length);
        let mut refused = false;
        if self.tcp.memory.is_full(self.tcp.bytes) && !payload.is_empty() {
            // What came out of order is not acknowledged: it goes before what is in order is refused.
            flow.connection.prune();
            let bytes = flow.buffered();
            self.tcp.bytes = self.tcp.bytes - core::mem::replace(&mut flow.bytes, bytes) + bytes;
            refused = self.tcp.memory.is_full(self.tcp.bytes);
        }
        let joined =
            size.map_or(1, |size| payload.len().div_ceil(size.into()).clamp(1, u16::MAX.into()) as u16);
        let mut segment = Segment { header, payload: Chain::from(payload), joined, segment_size: size, ecn };
        if refused {
            flow.connection.refuse_payload(&mut segment);
        }
        self.output.stations.pass(Station::ConnectionReceive);
        let before = flow.connection.unacknowledged();
        let verdict = flow.connection.handle_segment(segment, now);
        // RFC 4861 §7.3.1: what the peer acknowledges anew has reached it by our neighbour.
        if let Some(neighbour) = flow.neighbour
            && flow.connection.unacknowledged() < before
            && self.output.neighbours.entry(neighbour).is_some_and(|entry| entry.confirm(now))
        {
            self.output.set_neighbour_timer(neighbour);
        }
        if flow.connection.acknowledges_apart() {
            self.acknowledge_apart(number, now);
        }
        self.tcp.touch(number);
        match verdict {
            _ if refused => Verdict::Dropped(Drop::TcpMemoryFull),
            tcp::Verdict::Accepted => Verdict::Accepted,
            tcp::Verdict::Dropped(reason) => {
                self.output.counters.count_refused(reason);
                Verdict::Dropped(Drop::TcpRefused)
            }
        }
    }

    /// Sends the acknowledgement that a connection owes already, before what else the turn brings; where the queue has no
    /// room, it waits for the connection's turn to send.
    fn acknowledge_apart(&mut self, number: u64, now: Instant) {
        let Some(flow) = self.tcp.flows.find_mut(number) else { return };
        if self.output.interface(flow.hop.interface).is_none_or(|interface| interface.is_full()) {
            return;
        }
        flow.connection.set_pressed(self.tcp.memory.is_pressed());
        if let Some(Segment { header, ecn, .. }) = flow.connection.poll_acknowledgement(now) {
            let mut packet = packet::Packet::default();
            header.emit(packet.headers.prepend(header.length()));
            // There is room: it was asked above.
            let _ = self.output.send(flow.hop, outgoing_of(flow, ecn), packet, now);
        }
    }

    /// Lets a connection in TIME-WAIT go for a SYN that may open a new one in its place (RFC 6191), where a listener takes
    /// it. The first sequence number that is safe for the new one.
    fn reopen(&mut self, number: u64, incoming: &Incoming, syn: &Header) -> Option<SequenceNumber> {
        let flow = self.tcp.flows.find(number)?;
        let initial_min = flow.connection.may_reuse(syn)?;
        let listener = self.listener_for(incoming, &flow.tuple)?;
        // Refused, it would have taken with it what keeps the next SYN's numbers beyond the old ones.
        if !self.takes_syn(listener) || self.is_from_elsewhere(incoming) {
            return None;
        }
        self.unhook(number);
        self.let_go(number);
        Some(initial_min)
    }

    pub(super) fn listener_for(&self, incoming: &Incoming, tuple: &Tuple) -> Option<u64> {
        let intercepts = self.output.interface(incoming.interface)?.intercept;
        let first = self.tcp.bindings.find_for(tuple.local(), incoming.reach, intercepts)?;
        Some(self.tcp.one_of_sharing(first, tuple))
    }

    /// A segment of no connection.
    fn receive_unmatched(
        &mut self,
        incoming: &Incoming,
        tuple: Tuple,
        header: &Header,
        header_length: usize,
        initial_min: Option<SequenceNumber>,
        now: Instant,
    ) -> Verdict {
        if let Some(request) = self.tcp.find_request(&tuple) {
            return self.receive_for_request(request, header, incoming.ecn);
        }
        let opens = header.flags.contains(Flags::SYN) && !header.flags.intersects(Flags::ACK | Flags::RST);
        if opens && let Some(listener) = self.listener_for(incoming, &tuple) {
            if self.is_from_elsewhere(incoming) {
                return Verdict::Dropped(Drop::SourceElsewhere);
            }
            let opening = Opening {
                interface: incoming.interface,
                tuple,
                syn: *header,
                ecn: incoming.ecn,
                initial_min,
            };
            // Only Fast Open looks at what comes with a SYN; all others leave it for the peer to send again.
            let brings = header.options.fast_open.is_some();
            let payload = brings.then(|| incoming.packet.slice(incoming.transport + header_length..));
            let payload = payload.map_or_else(Chain::new, Chain::from);
            return self.receive_syn(opening, payload, listener, now);
        }
        // RFC 9293 §3.10.7.2, fourth: what has none of the three bits is nothing to a listener.
        let is_nothing = !header.flags.intersects(Flags::SYN | Flags::RST | Flags::ACK);
        if is_nothing && self.listener_for(incoming, &tuple).is_some() {
            return Verdict::Dropped(Drop::TcpNoConnection);
        }
        let payload_length = incoming.packet.len() - incoming.transport - header_length;
        self.send_reset(incoming.interface, &tuple, header, payload_length, now);
        Verdict::Dropped(Drop::TcpNoConnection)
    }

    /// Answers a segment that the packet filter rejects as if it were one of no connection.
    pub(crate) fn reset_rejected(&mut self, incoming: &Incoming, now: Instant) {
        let to_one = matches!(incoming.reach, Reach::Own | Reach::Intercepted);
        let Ok((header, header_length)) = Header::parse(&incoming.packet[incoming.transport..]) else {
            return;
        };
        // What arrived damaged is no segment that anybody sent.
        if !to_one || incoming.offload.checksum == Checksum::Complete && !is_intact(incoming) {
            return;
        }
        let local = SocketAddr::new(incoming.destination, header.destination_port);
        let remote = SocketAddr::new(incoming.source, header.source_port);
        let payload_length = incoming.packet.len() - incoming.transport - header_length;
        self.send_reset(incoming.interface, &Tuple::new(local, remote), &header, payload_length, now);
    }

    /// Answers a segment of no connection with the reset that RFC 9293 §3.10.7.1 says.
    pub(crate) fn send_reset(
        &mut self,
        interface: InterfaceId,
        tuple: &Tuple,
        header: &Header,
        payload_length: usize,
        now: Instant,
    ) {
        let Some(reset) = tcp::reset_for(header, payload_length) else { return };
        let Some(hop) = self.output.hop_back(interface, tuple.remote().ip()) else {
            self.output.counters.count(Drop::NoRoute);
            return;
        };
        let mut packet = packet::Packet::default();
        reset.emit(packet.headers.prepend(reset.length()));
        let out = outgoing(tuple);
        // A full queue has counted the drop; the peer's next segment is answered again.
        let _ = self.output.send(hop, out, packet, now);
    }
}

#[inline]
fn is_intact(incoming: &Incoming) -> bool {
    let bytes = &incoming.packet[incoming.transport..];
    let mut sum = pseudo_header(incoming.source, incoming.destination, Protocol::TCP, bytes.len());
    sum.add(bytes);
    sum.is_valid()
}
