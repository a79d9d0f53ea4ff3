//! IPv6 packets as they arrive (RFC 8200 §3, §4).

use crate::icmp::Problem;
use crate::interface::Reach;
use crate::ip::Incoming;
use crate::ip::reassembly::{Fragment, FragmentKey, Whole};
use crate::stack::Stack;
use crate::{Drop, InterfaceId, Verdict};
use packet::{Bytes, Offload};
use time::Instant;
use wire::extension::{self, Answer, Malformed, Walk};
use wire::icmpv6::Parameter;
use wire::ipv6::{self, Header};
use wire::{Ecn, Protocol};

impl Stack {
    /// A packet from its IPv6 header on, perhaps with the link's padding behind.
    pub(crate) fn receive_v6(
        &mut self,
        id: InterfaceId,
        mut packet: Bytes,
        offload: Offload,
        link_group: bool,
        now: Instant,
    ) -> Verdict {
        let Ok((header, length)) = Header::parse(&packet) else {
            return Verdict::Dropped(Drop::Ipv6Malformed);
        };
        let (source, destination) = (header.source.into(), header.destination.into());
        let reach = match self.reach(id, source, destination) {
            Ok(reach) => reach,
            Err(reason) => return Verdict::Dropped(reason),
        };
        if link_group && matches!(reach, Reach::Own | Reach::Intercepted) {
            return Verdict::Dropped(Drop::OtherHardware);
        }
        packet.truncate(length + usize::from(header.payload_length));
        let mut incoming = Incoming {
            interface: id,
            source,
            destination,
            reach,
            protocol: header.next_header,
            ecn: Ecn::of(header.traffic_class),
            transport: length,
            packet,
            offload,
            link_group,
            reassembled: false,
            dont_fragment: true,
        };
        // Nearly every packet has no extension header.
        if !is_extension(header.next_header) {
            return self.receive_transport(incoming, now);
        }
        match extension::walk(&header, &incoming.packet) {
            Err(malformed) => self.refuse_extension(&incoming, malformed, now),
            Ok(walk) => {
                incoming.protocol = walk.protocol;
                incoming.transport = walk.offset;
                match walk.fragment {
                    None => self.receive_transport(incoming, now),
                    Some(_) => self.receive_fragment_v6(incoming, walk, now),
                }
            }
        }
    }

    fn receive_fragment_v6(&mut self, mut incoming: Incoming, walk: Walk, now: Instant) -> Verdict {
        let Some(fragment) = walk.fragment else { return Verdict::Dropped(Drop::FragmentMalformed) };
        if self.is_from_elsewhere(&incoming) {
            return Verdict::Dropped(Drop::SourceElsewhere);
        }
        let key = FragmentKey {
            interface: incoming.interface,
            source: incoming.source,
            destination: incoming.destination,
            identification: fragment.identification,
            protocol: 0,
        };
        let payload = incoming.packet.split_off(walk.offset);
        // The headers that were walked before a fragment bind each hop or the path, and have been obeyed: the whole
        // stands as fixed header, then the fragments' payload, named by the first fragment (RFC 8200 §4.5).
        let mut head = incoming.packet[..ipv6::HEADER_LENGTH].to_vec();
        head[6] = walk.protocol.0;
        let fragment = Fragment {
            offset: fragment.offset.into(),
            more: fragment.more,
            payload,
            header: Bytes::from(head),
            ecn: incoming.ecn,
        };
        let Whole { packet, transport: offset, ecn } = match self.handle_fragment(key, fragment, now) {
            Err(verdict) => return verdict,
            Ok(whole) => whole,
        };
        let protocol = Protocol(packet[6]);
        incoming = Incoming { packet, ecn, offload: Offload::default(), reassembled: true, ..incoming };
        match extension::walk_reassembled(protocol, &incoming.packet[offset..]) {
            // RFC 8200 §4.5: fragments of fragments make no packet.
            Ok(Walk { fragment: Some(_), .. }) => Verdict::Dropped(Drop::FragmentMalformed),
            Ok(walk) => {
                incoming.protocol = walk.protocol;
                incoming.transport = offset + walk.offset;
                self.receive_transport(incoming, now)
            }
            // Pointers into a packet that was never on the wire would tell nobody anything.
            Err(_) => Verdict::Dropped(Drop::Ipv6Malformed),
        }
    }

    /// Tells the sender what is wrong with an extension header, where RFC 8200 §4 says so.
    fn refuse_extension(&mut self, incoming: &Incoming, malformed: Malformed, now: Instant) -> Verdict {
        let group = matches!(incoming.reach, Reach::Multicast);
        let (reason, code, pointer) = match malformed {
            Malformed::Truncated | Malformed::TooManyHeaders | Malformed::TooManyOptions => {
                return Verdict::Dropped(Drop::Ipv6Malformed);
            }
            Malformed::HopByHopNotFirst { pointer } => (Drop::Ipv6Malformed, Parameter::NEXT_HEADER, pointer),
            Malformed::OptionLength { pointer } => (Drop::Ipv6Malformed, Parameter::HEADER_FIELD, pointer),
            Malformed::NestedFragment => return Verdict::Dropped(Drop::FragmentMalformed),
            Malformed::Option { answer: Answer::Silent, .. } => return Verdict::Dropped(Drop::OptionRefused),
            Malformed::Option { answer: Answer::UnicastOnly, .. } if group => {
                return Verdict::Dropped(Drop::OptionRefused);
            }
            Malformed::Option { pointer, .. } => (Drop::OptionRefused, Parameter::OPTION, pointer),
            Malformed::RoutingType { pointer } => (Drop::OptionRefused, Parameter::HEADER_FIELD, pointer),
            Malformed::FragmentLength { pointer } | Malformed::FragmentBeyondEnd { pointer } => {
                (Drop::FragmentMalformed, Parameter::HEADER_FIELD, pointer)
            }
            Malformed::IncompleteHeaderChain => {
                (Drop::FragmentMalformed, Parameter::INCOMPLETE_HEADER_CHAIN, 0)
            }
        };
        self.send_problem(incoming, Problem::Parameter { code, pointer: pointer as u32 }, now);
        Verdict::Dropped(reason)
    }
}

const fn is_extension(protocol: Protocol) -> bool {
    matches!(
        protocol,
        Protocol::HOP_BY_HOP | Protocol::ROUTING | Protocol::FRAGMENT | Protocol::DESTINATION_OPTIONS
    )
}
