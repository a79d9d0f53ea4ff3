//! IPv4 packets as they arrive (RFC 791, RFC 1122 §3.2.1).
//!
//! Options are checked for their form and passed over: source routes are not followed (RFC 7126 §4.3, §4.4), and
//! nothing else in them matters to the end of a path.

use crate::icmp::Problem;
use crate::interface::Reach;
use crate::ip::Incoming;
use crate::ip::reassembly::{Expired, Fragment, FragmentKey, Outcome, Whole};
use crate::stack::Stack;
use crate::{Drop, InterfaceId, Verdict};
use packet::{Bytes, Offload};
use time::Instant;
use wire::Ecn;
use wire::ipv4::{HEADER_LENGTH, Header, Malformed, options};

impl Stack {
    /// A packet from its IPv4 header on, perhaps with the link's padding behind.
    pub(crate) fn receive_v4(
        &mut self,
        id: InterfaceId,
        mut packet: Bytes,
        offload: Offload,
        link_group: bool,
        now: Instant,
    ) -> Verdict {
        let (header, length) = match Header::parse(&packet) {
            Ok(parsed) => parsed,
            Err(Malformed::Checksum) => return Verdict::Dropped(Drop::Ipv4Checksum),
            Err(Malformed::FragmentBeyondEnd | Malformed::FragmentLength) => {
                return Verdict::Dropped(Drop::FragmentMalformed);
            }
            Err(_) => return Verdict::Dropped(Drop::Ipv4Malformed),
        };
        let (source, destination) = (header.source.into(), header.destination.into());
        let reach = match self.reach(id, source, destination) {
            Ok(reach) => reach,
            Err(reason) => return Verdict::Dropped(reason),
        };
        // RFC 1122 §3.3.6: a unicast packet in a frame to everyone is not for us.
        if link_group && matches!(reach, Reach::Own | Reach::Intercepted) {
            return Verdict::Dropped(Drop::OtherHardware);
        }
        // A strict or loose source route that is not at its end names a next hop, and nobody here forwards.
        if length > HEADER_LENGTH && has_route_left(&packet[HEADER_LENGTH..length]) {
            return Verdict::Dropped(Drop::OptionRefused);
        }
        packet.truncate(header.total_length.into());
        let incoming = Incoming {
            interface: id,
            source,
            destination,
            reach,
            protocol: header.protocol,
            ecn: Ecn::of(header.traffic_class),
            packet,
            transport: length,
            offload,
            link_group,
            reassembled: false,
            dont_fragment: header.dont_fragment,
        };
        if header.is_fragment() {
            return self.receive_fragment_v4(incoming, &header, now);
        }
        self.receive_transport(incoming, now)
    }

    fn receive_fragment_v4(&mut self, mut incoming: Incoming, header: &Header, now: Instant) -> Verdict {
        if self.is_from_elsewhere(&incoming) {
            return Verdict::Dropped(Drop::SourceElsewhere);
        }
        let payload = incoming.packet.split_off(incoming.transport);
        let key = FragmentKey {
            interface: incoming.interface,
            source: incoming.source,
            destination: incoming.destination,
            identification: header.identification.into(),
            protocol: header.protocol.0,
        };
        let fragment = Fragment {
            offset: header.fragment_offset.into(),
            more: header.more_fragments,
            payload,
            header: core::mem::take(&mut incoming.packet),
            ecn: incoming.ecn,
        };
        match self.handle_fragment(key, fragment, now) {
            Err(verdict) => verdict,
            Ok(Whole { packet, transport, ecn }) => {
                // Partial checksums are a matter of one frame; the whole is checked.
                incoming.offload = Offload::default();
                let whole = Incoming { packet, transport, ecn, reassembled: true, ..incoming };
                self.receive_transport(whole, now)
            }
        }
    }

    /// Keeps a fragment; the whole packet, header in front, where it was the last that was missing.
    pub(crate) fn handle_fragment(
        &mut self,
        key: FragmentKey,
        fragment: Fragment,
        now: Instant,
    ) -> Result<Whole, Verdict> {
        let (outcome, evicted) = self.reassembly.handle(key, fragment, now);
        for _ in 0..evicted {
            self.output.counters.count(Drop::ReassemblyFull);
        }
        match outcome {
            Outcome::Waiting => Err(Verdict::Accepted),
            Outcome::Dropped(reason) => Err(Verdict::Dropped(reason)),
            Outcome::Whole(whole) => Ok(whole),
        }
    }

    /// Gives datagrams up whose fragments did not all come in time, and tells their senders (RFC 792, RFC 4443 §3.3:
    /// only where the first fragment is there).
    pub(crate) fn expire_fragments(&mut self, now: Instant) {
        while let Some(Expired { key, first, fragments }) = self.reassembly.expire(now) {
            for _ in 0..fragments {
                self.output.counters.count(Drop::ReassemblyTimeout);
            }
            let Some((header, payload)) = first else { continue };
            let Ok(reach) = self.reach(key.interface, key.source, key.destination) else { continue };
            let mut packet = header.to_vec();
            packet.extend_from_slice(&payload);
            let incoming = Incoming {
                interface: key.interface,
                source: key.source,
                destination: key.destination,
                reach,
                protocol: wire::Protocol(key.protocol),
                ecn: Ecn::NotEct,
                transport: header.len(),
                packet: Bytes::from(packet),
                offload: Offload::default(),
                link_group: false,
                reassembled: true,
                dont_fragment: false,
            };
            self.send_problem(&incoming, Problem::ReassemblyTime, now);
        }
    }
}

/// Whether a source route names another machine to go to: its pointer is not past its end (RFC 791 §3.1).
fn has_route_left(bytes: &[u8]) -> bool {
    options(bytes).any(|option| {
        let pointer = usize::from(option.data.first().copied().unwrap_or(0));
        option.is_source_route() && pointer <= option.data.len() + 2
    })
}
