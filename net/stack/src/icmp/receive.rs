//! ICMP messages as they arrive. An error is believed only where it quotes a segment of ours that is still in flight
//! (RFC 9293 §3.9.2.2, RFC 5927 §4): whoever cannot see the connection cannot guess that.

use crate::demux::Tuple;
use crate::ip::Incoming;
use crate::path::PathMtu;
use crate::stack::Stack;
use crate::{Drop, Verdict};
use core::net::{IpAddr, SocketAddr};
use time::Instant;
use wire::{Protocol, icmpv4, icmpv6, ipv4, ipv6, tcp};

/// What an error reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The peer cannot be reached; whether for good.
    Unreachable { hard: bool },
    /// Larger packets do not pass.
    TooBig(PathMtu),
}

impl Stack {
    /// An ICMP message.
    pub(crate) fn receive_icmp_v4(&mut self, incoming: Incoming, now: Instant) -> Verdict {
        use icmpv4::{Malformed, Message, Unreachable};
        let message = match Message::parse(&incoming.packet[incoming.transport..]) {
            Ok((message, _)) => message,
            Err(Malformed::Checksum) => return Verdict::Dropped(Drop::IcmpChecksum),
            Err(Malformed::Truncated) => return Verdict::Dropped(Drop::IcmpMalformed),
        };
        let report = match message {
            Message::EchoRequest { identifier, sequence } => {
                return self.receive_echo(incoming, (identifier, sequence), now);
            }
            Message::DestinationUnreachable { code: Unreachable::FRAGMENTATION_NEEDED, mtu } => {
                let quoted = &incoming.packet[incoming.transport + icmpv4::HEADER_LENGTH..];
                let packet_bytes =
                    ipv4::Header::parse_quoted(quoted).map_or(0, |(header, _)| header.total_length);
                match PathMtu::told_v4(mtu, packet_bytes) {
                    Some(mtu) => Report::TooBig(mtu),
                    None => return Verdict::Dropped(Drop::IcmpIgnored),
                }
            }
            // RFC 1122 §4.2.3.9: protocol and port are hard; so is what is prohibited, for a connection that opens.
            Message::DestinationUnreachable { code: Unreachable(code), .. } => {
                Report::Unreachable { hard: matches!(code, 2 | 3 | 9 | 10 | 13) }
            }
            Message::TimeExceeded { .. } | Message::ParameterProblem { .. } => {
                Report::Unreachable { hard: false }
            }
            // RFC 6633 §3: a source quench is one of these.
            Message::EchoReply { .. } | Message::Other { .. } => return Verdict::Dropped(Drop::IcmpIgnored),
        };
        let quoted = &incoming.packet[incoming.transport + icmpv4::HEADER_LENGTH..];
        let Ok((header, length)) = ipv4::Header::parse_quoted(quoted) else {
            return Verdict::Dropped(Drop::IcmpMalformed);
        };
        if header.fragment_offset != 0 {
            return Verdict::Dropped(Drop::IcmpIgnored);
        }
        let addresses = (header.source.into(), header.destination.into());
        self.receive_report(report, addresses, header.protocol, &quoted[length..], now)
    }

    /// An ICMPv6 message.
    pub(crate) fn receive_icmp_v6(&mut self, incoming: Incoming, now: Instant) -> Verdict {
        use icmpv6::{Malformed, Message, Unreachable};
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (incoming.source, incoming.destination) else {
            return Verdict::Dropped(Drop::IcmpMalformed);
        };
        let message = match Message::parse(&incoming.packet[incoming.transport..], source, destination) {
            Ok((message, _)) => message,
            Err(Malformed::Checksum) => return Verdict::Dropped(Drop::IcmpChecksum),
            Err(Malformed::Truncated) => return Verdict::Dropped(Drop::IcmpMalformed),
        };
        let report = match message {
            Message::EchoRequest { identifier, sequence } => {
                return self.receive_echo(incoming, (identifier, sequence), now);
            }
            Message::NeighborDiscovery => return self.output.receive_ndp(&incoming, now),
            Message::DestinationUnreachable { code } => {
                Report::Unreachable { hard: matches!(code, Unreachable::PROHIBITED | Unreachable::PORT) }
            }
            Message::PacketTooBig { mtu } => match PathMtu::told_v6(mtu) {
                Some(mtu) => Report::TooBig(mtu),
                None => return Verdict::Dropped(Drop::IcmpIgnored),
            },
            Message::TimeExceeded { .. } | Message::ParameterProblem { .. } => {
                Report::Unreachable { hard: false }
            }
            Message::EchoReply { .. } | Message::Other { .. } => return Verdict::Dropped(Drop::IcmpIgnored),
        };
        let quoted = &incoming.packet[incoming.transport + icmpv6::HEADER_LENGTH..];
        let Ok((header, length)) = ipv6::Header::parse_quoted(quoted) else {
            return Verdict::Dropped(Drop::IcmpMalformed);
        };
        let addresses = (header.source.into(), header.destination.into());
        self.receive_report(report, addresses, header.next_header, &quoted[length..], now)
    }

    /// An error about a packet between `addresses`, of which the transport header's first bytes are quoted.
    fn receive_report(
        &mut self,
        report: Report,
        (local, remote): (IpAddr, IpAddr),
        protocol: Protocol,
        transport: &[u8],
        now: Instant,
    ) -> Verdict {
        if protocol != Protocol::TCP {
            return Verdict::Dropped(Drop::IcmpIgnored);
        }
        let Some(quoted) = tcp::Quoted::parse(transport) else {
            return Verdict::Dropped(Drop::IcmpMalformed);
        };
        let local = SocketAddr::new(local, quoted.source_port);
        let remote = SocketAddr::new(remote, quoted.destination_port);
        match self.tcp.report(&Tuple::new(local, remote), quoted.sequence, report, now) {
            Some(Some(mtu)) => self.output.paths.learn(remote.ip(), mtu, now),
            Some(None) => {}
            None => return Verdict::Dropped(Drop::IcmpNotOurs),
        }
        Verdict::Accepted
    }
}
