//! Segments as they leave: connections take turns, and each segment gets its checksum and headers in place.

use crate::demux::{Flow, Tuple};
use crate::output::{
    HOP_LIMIT, Hop, Outgoing, Output, Resolved, ether_type, ip_header_length, prepend_ethernet,
    store_checksum,
};
use crate::stack::Stack;
use crate::station::Station;
use crate::{InterfaceId, TcpId};
use packet::{Batch, Packet, Segmentation, SegmentationKind};
use tcp::{Path, Segment, State};
use time::Instant;
use wire::tcp::CHECKSUM_OFFSET;
use wire::{Ecn, Protocol};

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
            let pressed = self.tcp.memory.is_pressed();
            let Some(flow) = self.tcp.flows.find_mut(number) else { continue };
            flow.connection.set_pressed(pressed);
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
}

/// Lets a connection send for a turn. Whether it may have more.
fn transmit_turn(output: &mut Output, flow: &mut Flow, id: TcpId, batch: &mut Batch, now: Instant) -> bool {
    flow.look_up_path(output, now);
    let path = path(output, flow);
    // Asked for with the first segment: who has nothing to send needs no neighbour.
    let mut known = None;
    let mut bytes = 0;
    for _ in 0..TURN_SEGMENTS_MAX {
        if batch.is_full() || bytes >= TURN_BYTES_MAX {
            return true;
        }
        let Some(segment) = flow.connection.poll_transmit(path, now) else { return false };
        output.stations.pass(Station::ConnectionTransmit);
        bytes += segment.payload.len();
        let packet = build(output, flow, segment);
        if output.filter.is_some() && !passes_filter(output, flow, &packet, now) {
            continue;
        }
        let resolved = match known {
            Some(resolved) => resolved,
            None => *known.insert(output.resolve(flow.hop, &mut flow.neighbour, now)),
        };
        let Some(frame) = address(output, flow.hop, resolved, packet, id) else {
            // One segment waits for the neighbour; the others are better kept by the connection than lost from a
            // short queue. The answer brings the connection its next turn.
            return false;
        };
        output.stations.pass(Station::HandOut);
        // There is room: it was asked above.
        let _ = batch.push(frame);
    }
    true
}

/// Asks the filter about a segment that is ready to leave. A connection is told that its segment is rejected as if a router
/// had said so: one that opens ends (RFC 5927 §5.2).
#[cold]
fn passes_filter(output: &mut Output, flow: &mut Flow, packet: &Packet, now: Instant) -> bool {
    let out = outgoing(&flow.tuple);
    let transport = packet.headers.get(ip_header_length(out.source)..).unwrap_or_default();
    let judged = output.filter_transport(flow.hop, &out, transport, packet.len(), now);
    if judged.is_err() {
        flow.connection.handle_unreachable(true, now);
    }
    judged == Ok(true)
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
    // RFC 1191 §3.1: what a SYN announces is what we can take, whatever the way there carries.
    let opening = matches!(flow.connection.state(), State::SynSent | State::SynReceived);
    let mtu = capabilities.filter(|_| opening).map_or(flow.path.mtu().bytes, |capabilities| capabilities.mtu);
    Path { segment_bytes_max: mtu - header_length as u16, offload_bytes_max }
}

/// The IP header of what leaves for a peer without being a connection's.
pub(super) fn outgoing(tuple: &Tuple) -> Outgoing {
    Outgoing {
        source: tuple.local().ip(),
        destination: tuple.remote().ip(),
        protocol: Protocol::TCP,
        hop_limit: HOP_LIMIT,
        traffic_class: 0,
        flow_label: 0,
        dont_fragment: true,
        checksum_offset: Some(CHECKSUM_OFFSET),
    }
}

/// As [`outgoing`], for what a connection sends.
pub(super) fn outgoing_of(flow: &Flow, ecn: Ecn) -> Outgoing {
    let config = flow.connection.config();
    Outgoing {
        traffic_class: config.dscp << 2 | ecn.bits(),
        flow_label: flow.label,
        dont_fragment: flow.path.is_whole(config.path_discovery),
        ..outgoing(&flow.tuple)
    }
}

/// A segment as an IP packet, with its checksum and its marks for the device.
fn build(output: &mut Output, flow: &Flow, segment: Segment) -> Packet {
    let Segment { header, payload, segment_size, ecn, .. } = segment;
    let out = outgoing_of(flow, ecn);
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
    output.stations.pass(Station::TransportTransmit);
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
            output.stations.pass(Station::LinkTransmit);
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
