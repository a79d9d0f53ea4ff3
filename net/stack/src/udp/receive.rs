//! Datagrams as they arrive, joined ones cut apart.

use crate::icmp::Problem;
use crate::ip::Incoming;
use crate::output::pseudo_header;
use crate::stack::Stack;
use crate::udp::cost;
use crate::{Datagram, Drop, Event, UdpId, Verdict};
use core::net::SocketAddr;
use packet::{Buf, Checksum, SegmentationKind};
use time::Instant;
use wire::{Protocol, udp};

impl Stack {
    /// A packet whose payload is UDP.
    pub(crate) fn receive_datagram(&mut self, incoming: Incoming, now: Instant) -> Verdict {
        let bytes = &incoming.packet[incoming.transport..];
        let Ok((header, header_length)) = udp::Header::parse(bytes) else {
            return Verdict::Dropped(Drop::UdpMalformed);
        };
        if header.destination_port == 0 {
            return Verdict::Dropped(Drop::UdpMalformed);
        }
        if !is_intact(&incoming, &header) {
            return Verdict::Dropped(Drop::UdpChecksum);
        }
        if self.is_from_elsewhere(&incoming) {
            return Verdict::Dropped(Drop::SourceElsewhere);
        }
        let local = SocketAddr::new(incoming.destination, header.destination_port);
        let remote = SocketAddr::new(incoming.source, header.source_port);
        let intercepts =
            self.output.interface(incoming.interface).is_some_and(|interface| interface.intercept);
        let Some(socket) = self.udp.bindings.find_for(local, incoming.reach, intercepts) else {
            self.send_problem(&incoming, Problem::Port, now);
            return Verdict::Dropped(Drop::UdpPortClosed);
        };
        let joined = incoming.offload.segmentation.filter(|joined| joined.kind == SegmentationKind::Udp);
        let dont_fragment = incoming.dont_fragment && !incoming.reassembled;
        let mut payload = incoming.packet;
        payload.advance(incoming.transport + header_length);
        payload.truncate(usize::from(header.length) - header_length);
        let size = joined.map_or(usize::MAX, |joined| usize::from(joined.size.max(1)));
        let mut verdict = Verdict::Accepted;
        while payload.len() > size {
            let datagram = Datagram { local, remote, payload: payload.split_to(size), dont_fragment };
            if let Verdict::Dropped(reason) = verdict {
                self.output.counters.count(reason);
            }
            verdict = self.deliver(UdpId(socket), datagram);
        }
        if let Verdict::Dropped(reason) = verdict {
            self.output.counters.count(reason);
        }
        self.deliver(UdpId(socket), Datagram { local, remote, payload, dont_fragment })
    }

    fn deliver(&mut self, id: UdpId, datagram: Datagram) -> Verdict {
        let Some(socket) = self.udp.sockets.find_mut(id.0) else {
            return Verdict::Dropped(Drop::UdpPortClosed);
        };
        let cost = cost(&datagram);
        if socket.bytes + cost > self.udp.queue_bytes_max {
            return Verdict::Dropped(Drop::UdpQueueFull);
        }
        socket.bytes += cost;
        self.udp.bytes += cost;
        socket.queue.push_back(datagram);
        if !core::mem::replace(&mut socket.told, true) {
            self.events.push_back(Event::UdpReadable { socket: id });
        }
        Verdict::Accepted
    }
}

/// Whether the checksum holds, or need not.
fn is_intact(incoming: &Incoming, header: &udp::Header) -> bool {
    match incoming.offload.checksum {
        Checksum::Verified | Checksum::Partial { .. } => return true,
        Checksum::Complete => {}
    }
    if header.checksum == 0 {
        // RFC 768: the sender computed none. RFC 8200 §8.1: over IPv6 it must.
        return incoming.source.is_ipv4();
    }
    let length = usize::from(header.length);
    let mut sum = pseudo_header(incoming.source, incoming.destination, Protocol::UDP, length);
    sum.add(&incoming.packet[incoming.transport..incoming.transport + length]);
    sum.is_valid()
}
