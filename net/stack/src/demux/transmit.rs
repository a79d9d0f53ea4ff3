//! Segments as they leave: connections take turns, and each segment gets its checksum and headers in place.

use crate::demux::{Flow, Owner, Tuple};
use crate::output::{
    HOP_LIMIT, Hop, Outgoing, Output, Resolved, Timer, ether_type, ip_header_length, prepend_ethernet,
    store_checksum,
};
use crate::stack::Stack;
use crate::{Event, InterfaceId, TcpId};
use packet::{Batch, Packet, Segmentation, SegmentationKind};
use tcp::{Path, Segment};
use time::Instant;
use wire::Protocol;
use wire::tcp::CHECKSUM_OFFSET;

/// What one connection sends before another has its turn: segments, and bytes of payload beyond which no more follow.
const TURN_SEGMENTS_MAX: usize = 16;
const TURN_BYTES_MAX: usize = 256 << 10;

/// Bytes of the largest TCP header.
const TCP_HEADER_BYTES_MAX: u32 = 60;

/// The largest IP packet, in bytes.
const PACKET_BYTES_MAX: u32 = 65_535;

impl Stack {
    /// Lets connections send until the batch is full or none has anything left.
    pub(crate) fn transmit_flows(&mut self, id: InterfaceId, batch: &mut Batch, now: Instant) {
        while !batch.is_full() {
            let Some(number) =
                self.output.interface_mut(id).and_then(|interface| interface.ready.pop_front())
            else {
                return;
            };
            let Some(flow) = self.tcp.flows.find_mut(number) else { continue };
            if transmit_turn(&mut self.output, flow, TcpId(number), batch, now) {
                if let Some(interface) = self.output.interface_mut(id) {
                    interface.ready.push_back(number);
                }
            } else {
                flow.ready = false;
                self.settle_sent(number);
            }
        }
    }

    /// Looks after a connection that something happened to: its events are told, its timer is set, its turn to send
    /// is coming, and where it is over it is let go.
    pub(crate) fn settle(&mut self, number: u64) {
        let Some(flow) = self.tcp.flows.find_mut(number) else { return };
        if !flow.ready && !flow.connection.is_over() {
            flow.ready = true;
            let interface = flow.hop.interface;
            if let Some(interface) = self.output.interface_mut(interface) {
                interface.ready.push_back(number);
            }
        }
        self.settle_sent(number);
    }

    /// As [`settle`](Self::settle), for a connection that has nothing to send.
    fn settle_sent(&mut self, number: u64) {
        let Some(flow) = self.tcp.flows.find_mut(number) else { return };
        flow.touched = false;
        while let Some(event) = flow.connection.poll_event() {
            match (flow.owner, event) {
                (Owner::Held, event) => {
                    self.events.push_back(Event::Tcp { connection: TcpId(number), event });
                }
                (Owner::Listener(listener), tcp::Event::Established) => {
                    flow.owner = Owner::Held;
                    let (local, remote) = (flow.tuple.local(), flow.tuple.remote());
                    self.events.push_back(Event::TcpAccepted {
                        listener,
                        connection: TcpId(number),
                        local,
                        remote,
                    });
                    if let Some(listener) = self.tcp.listeners.find_mut(listener.0) {
                        listener.half_open -= 1;
                    }
                }
                (Owner::Listener(_) | Owner::Released, _) => {}
            }
        }
        let bytes = flow.buffered();
        self.tcp.bytes = self.tcp.bytes - core::mem::replace(&mut flow.bytes, bytes) + bytes;
        if flow.connection.is_over() {
            self.finish(number);
        } else {
            self.set_tcp_timer(number);
        }
    }

    fn set_tcp_timer(&mut self, number: u64) {
        let Some(flow) = self.tcp.flows.find_mut(number) else { return };
        let deadline = flow.connection.poll_timeout().map(|(at, _)| at);
        if deadline == flow.deadline {
            return;
        }
        flow.deadline = deadline;
        match deadline {
            Some(at) => self.output.wheel.set(Timer::Tcp(number), at),
            None => self.output.wheel.cancel(Timer::Tcp(number)),
        }
    }

    /// A connection is over: its addresses and ports are free, and where nobody holds it, it is gone.
    fn finish(&mut self, number: u64) {
        self.unhook(number);
        self.let_go(number);
    }

    /// Drops a connection that is over, unless somebody holds it.
    pub(super) fn let_go(&mut self, number: u64) {
        let Some(flow) = self.tcp.flows.find_mut(number) else { return };
        match flow.owner {
            Owner::Held => return,
            Owner::Listener(listener) => {
                if let Some(listener) = self.tcp.listeners.find_mut(listener.0) {
                    listener.half_open -= 1;
                }
            }
            Owner::Released => {}
        }
        if let Some(gone) = self.tcp.flows.remove(number) {
            self.tcp.bytes -= gone.bytes;
        }
    }

    /// Takes a connection's addresses and ports from it, for another one.
    pub(super) fn unhook(&mut self, number: u64) {
        let Some(flow) = self.tcp.flows.find_mut(number) else { return };
        if !core::mem::replace(&mut flow.over, true) {
            flow.deadline = None;
            self.tcp.by_tuple.remove(&flow.tuple.words(), number);
            self.output.wheel.cancel(Timer::Tcp(number));
        }
    }

    /// Settles every connection that the batch has touched.
    pub(crate) fn settle_touched(&mut self) {
        let mut touched = core::mem::take(&mut self.tcp.touched);
        for number in touched.drain(..) {
            self.settle(number);
        }
        // The list's memory is used again for the next batch.
        self.tcp.touched = touched;
    }

    /// A connection's deadline has come.
    pub(crate) fn handle_tcp_timeout(&mut self, number: u64, now: Instant) {
        let Some(flow) = self.tcp.flows.find_mut(number) else { return };
        flow.deadline = None;
        flow.connection.handle_timeout(now);
        self.settle(number);
    }

    /// Tells connections whose neighbour did not answer.
    pub(crate) fn tell_unreachable(&mut self, now: Instant) {
        while let Some(id) = self.output.unreachable.pop() {
            let Some(flow) = self.tcp.flows.find_mut(id.0) else { continue };
            // The link itself says so: nobody else can have forged it.
            flow.connection.handle_unreachable(true, now);
            self.settle(id.0);
        }
    }
}

/// Lets a connection send for a turn. Whether it may have more.
fn transmit_turn(output: &mut Output, flow: &mut Flow, id: TcpId, batch: &mut Batch, now: Instant) -> bool {
    let path = path(output, flow);
    let mut bytes = 0;
    for _ in 0..TURN_SEGMENTS_MAX {
        if batch.is_full() || bytes >= TURN_BYTES_MAX {
            return true;
        }
        let Some(segment) = flow.connection.poll_transmit(path, now) else { return false };
        bytes += segment.payload.len();
        let packet = build(output, flow, segment);
        let resolved = output.resolve(flow.hop, &mut flow.neighbour, now);
        let Some(frame) = address(output, flow.hop, resolved, packet, id) else { continue };
        // There is room: it was asked above.
        let _ = batch.push(frame);
    }
    true
}

/// What the way allows for a segment that leaves now.
fn path(output: &Output, flow: &Flow) -> Path {
    let header_length = ip_header_length(flow.hop.next);
    let capabilities = output.interface(flow.hop.interface).map(|interface| interface.capabilities);
    let link_header_length = output.interface(flow.hop.interface).map_or(0, |i| i.link_header_length());
    let device_max = capabilities.map_or(0, |capabilities| capabilities.segmentation_bytes_max);
    let headers = header_length as u32 + TCP_HEADER_BYTES_MAX;
    let offload_bytes_max =
        device_max.saturating_sub(link_header_length as u32).min(PACKET_BYTES_MAX).saturating_sub(headers);
    Path { segment_bytes_max: flow.mtu - header_length as u16, offload_bytes_max }
}

/// The IP header of a connection's segments.
pub(super) fn outgoing(tuple: &Tuple) -> Outgoing {
    Outgoing {
        source: tuple.local().ip(),
        destination: tuple.remote().ip(),
        protocol: Protocol::TCP,
        hop_limit: HOP_LIMIT,
        checksum_offset: Some(CHECKSUM_OFFSET),
    }
}

/// A segment as an IP packet, with its checksum and its marks for the device.
fn build(output: &mut Output, flow: &Flow, segment: Segment) -> Packet {
    let Segment { header, payload, segment_size, .. } = segment;
    let out = outgoing(&flow.tuple);
    let header_length = header.length();
    let mut packet = Packet { body: payload, ..Packet::default() };
    header.emit(packet.headers.prepend(header_length));
    let (device_sums, link_header_length) =
        output.interface(flow.hop.interface).map_or((false, 0), |interface| {
            (interface.capabilities.transmit_checksum, interface.link_header_length())
        });
    let start = link_header_length + ip_header_length(out.source);
    store_checksum(&mut packet, &out, CHECKSUM_OFFSET, device_sums.then_some(start));
    if let Some(size) = segment_size.filter(|&size| packet.body.len() > usize::from(size)) {
        let kind = if out.source.is_ipv4() { SegmentationKind::Tcp4 } else { SegmentationKind::Tcp6 };
        let header_length = (start + header_length) as u16;
        packet.offload.segmentation = Some(Segmentation { kind, size, header_length });
    }
    let length = packet.len();
    output.prepend_ip(&mut packet, &out, length);
    packet
}

/// The frame to send, or nothing where the packet has to wait for a neighbour.
fn address(
    output: &mut Output,
    hop: Hop,
    resolved: Resolved,
    mut packet: Packet,
    id: TcpId,
) -> Option<Packet> {
    match resolved {
        Resolved::Link(hardware) => {
            let own = output.interface(hop.interface)?.hardware;
            prepend_ethernet(&mut packet, own, hardware, ether_type(hop.next));
            Some(packet)
        }
        Resolved::Ip => Some(packet),
        Resolved::Later(neighbour) => {
            output.wait(neighbour, packet, Some(id));
            None
        }
        Resolved::Never => {
            output.counters.count(crate::Drop::NoRoute);
            None
        }
    }
}
