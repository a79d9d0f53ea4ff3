//! Packets from the script, as they arrive.

use super::driver::Driver;
use super::flows::FlowIndex;
use super::frames::{ip_packet, option_bytes, tcp_bytes, tcp_header, udp_bytes};
use super::icmp;
use crate::syntax::{Body, Packet, Segment};
use packet::{Offload, Segmentation, SegmentationKind};
use std::net::SocketAddr;
use wire::Protocol;
use wire::tcp::Flags;

/// The largest IP packet.
const PACKET_BYTES_MAX: usize = 65_535;
/// IPv6's header and the largest of TCP.
const HEADERS_BYTES_MAX: usize = 100;

impl Driver {
    /// A packet of the script arrives.
    pub(super) fn arrive(&mut self, packet: &Packet) -> Result<(), String> {
        match &packet.body {
            Body::Tcp(segment) => self.arrive_segment(packet, segment),
            Body::Udp(length) if length + HEADERS_BYTES_MAX > PACKET_BYTES_MAX => {
                Err("a packet of more than 65,535 bytes".to_owned())
            }
            Body::Udp(length) => {
                let (local, remote) = self
                    .sockets
                    .datagram_subject(&self.world)
                    .unwrap_or((self.world.local, self.world.remote));
                let (from, to) = match packet.ports {
                    Some((from, to)) => (SocketAddr::new(remote.ip(), from), SocketAddr::new(local.ip(), to)),
                    None => (remote, local),
                };
                let datagram = udp_bytes(from, to, *length);
                let bytes = ip_packet(from.ip(), to.ip(), &packet.network, Protocol::UDP, &datagram);
                self.world.inject(bytes, Offload::default());
                Ok(())
            }
            Body::Icmp(message) => {
                let subject = self.world.flows.subject.map(|index| self.world.flows.at(index).clone());
                let datagrams = self.sockets.datagram_subject(&self.world);
                let bytes = icmp::error(message, subject.as_ref(), datagrams, &self.world, &packet.network)?;
                self.world.inject(bytes, Offload::default());
                Ok(())
            }
            Body::Other(name) => Err(name.clone()),
        }
    }

    fn arrive_segment(&mut self, packet: &Packet, segment: &Segment) -> Result<(), String> {
        let index = self.subject_for(packet);
        let syn = Flags(segment.flags).contains(Flags::SYN);
        if let Some(number) = segment.sequence.filter(|_| syn) {
            self.world.flows.change(index).start_theirs(number.value);
        }
        let flow = self.world.flows.at(index).clone();
        let sequence = segment.sequence.map_or(0, |number| flow.theirs_to_wire(number, syn));
        let acknowledgement = segment.acknowledgement.map_or(0, |number| flow.ours_to_wire(number, syn));
        let window = segment.window.unwrap_or(0);
        let header =
            tcp_header(sequence, acknowledgement, segment.flags, window, segment.urgent.unwrap_or(0));
        let options = option_bytes(&flow.options_to_wire(segment.options.as_deref().unwrap_or_default()))?;
        let length = segment.length as usize;
        if length + HEADERS_BYTES_MAX > PACKET_BYTES_MAX {
            return Err("a packet of more than 65,535 bytes".to_owned());
        }
        let bytes = tcp_bytes(flow.remote, flow.local, &header, &options, length);
        let header_length = bytes.len() - length;
        let bytes = ip_packet(flow.remote.ip(), flow.local.ip(), &packet.network, Protocol::TCP, &bytes);
        // A script that names its MSS means several segments that arrived joined.
        let segmentation =
            self.joined_size.filter(|size| length > usize::from(*size)).map(|size| Segmentation {
                kind: if flow.local.is_ipv4() { SegmentationKind::Tcp4 } else { SegmentationKind::Tcp6 },
                size,
                header_length: header_length as u16,
            });
        self.world.inject(bytes, Offload { segmentation, ..Offload::default() });
        Ok(())
    }

    /// The connection that a segment from the script belongs to: the one with its ports, else the subject, else a new one.
    fn subject_for(&mut self, packet: &Packet) -> FlowIndex {
        if let Some((remote_port, local_port)) = packet.ports {
            if let Some(index) = self.world.flows.find_by_ports(local_port, remote_port) {
                self.world.flows.subject = Some(index);
                return index;
            }
            self.sockets.take_fresh_listener();
            let local = SocketAddr::new(self.world.local.ip(), local_port);
            let remote = SocketAddr::new(self.world.remote.ip(), remote_port);
            return self.world.flows.add(local, remote);
        }
        match (self.world.flows.subject, self.sockets.take_fresh_listener()) {
            (Some(index), None) => index,
            (_, listener) => {
                let local = listener.unwrap_or(self.world.local);
                let remote = SocketAddr::new(self.world.remote.ip(), self.world.peer_port());
                self.world.flows.add(local, remote)
            }
        }
    }
}
