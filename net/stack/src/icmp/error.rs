//! Errors that we send (RFC 1122 §3.2.2, RFC 1812 §4.3.2, RFC 4443 §2.4): what they say, when they may be sent, and
//! what they quote.

use crate::interface::{Reach, is_unicast};
use crate::ip::Incoming;
use crate::output::{HOP_LIMIT, Outgoing};
use crate::stack::Stack;
use crate::{Datagram, Drop, Echo, InterfaceId, Refusal};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use packet::{Bytes, Packet};
use time::Instant;
use wire::icmpv6::Parameter;
use wire::{Protocol, icmpv4, icmpv6, ipv4, ipv6, udp};

/// Bytes of an IPv4 error with its headers: RFC 1812 §4.3.2.3.
const ERROR_BYTES_MAX_V4: usize = 576;
/// Bytes of an IPv6 error with its headers: RFC 4443 §2.4 (c), the smallest MTU.
const ERROR_BYTES_MAX_V6: usize = ipv6::MTU_MIN as usize;

/// What an error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Nothing listens at the port.
    Port,
    /// The upper-layer protocol is not spoken; where in the packet it is named.
    Protocol { pointer: u32 },
    /// The host does not answer.
    Host,
    /// A rule forbids it.
    Prohibited,
    /// It is not to be fragmented, and the way carries packets of so many bytes.
    TooBig { mtu: u16 },
    /// Fragments did not all come in time.
    ReassemblyTime,
    /// A field of an IPv6 header.
    Parameter { code: Parameter, pointer: u32 },
}

impl Problem {
    fn message_v4(self) -> icmpv4::Message {
        let unreachable = |code| icmpv4::Message::DestinationUnreachable { code, mtu: 0 };
        match self {
            Self::Port => unreachable(icmpv4::Unreachable::PORT),
            Self::Protocol { .. } => unreachable(icmpv4::Unreachable::PROTOCOL),
            Self::Host => unreachable(icmpv4::Unreachable::HOST),
            Self::Prohibited => unreachable(icmpv4::Unreachable::PROHIBITED),
            Self::TooBig { mtu } => {
                let code = icmpv4::Unreachable::FRAGMENTATION_NEEDED;
                icmpv4::Message::DestinationUnreachable { code, mtu }
            }
            Self::ReassemblyTime => icmpv4::Message::TimeExceeded { code: 1 },
            Self::Parameter { pointer, .. } => icmpv4::Message::ParameterProblem { pointer: pointer as u8 },
        }
    }

    fn message_v6(self) -> icmpv6::Message {
        let unreachable = |code| icmpv6::Message::DestinationUnreachable { code };
        match self {
            Self::Port => unreachable(icmpv6::Unreachable::PORT),
            Self::Protocol { pointer } => {
                icmpv6::Message::ParameterProblem { code: Parameter::NEXT_HEADER, pointer }
            }
            Self::Host => unreachable(icmpv6::Unreachable::ADDRESS),
            Self::Prohibited => unreachable(icmpv6::Unreachable::PROHIBITED),
            Self::TooBig { mtu } => icmpv6::Message::PacketTooBig { mtu: mtu.into() },
            Self::ReassemblyTime => icmpv6::Message::TimeExceeded { code: 1 },
            Self::Parameter { code, pointer } => icmpv6::Message::ParameterProblem { code, pointer },
        }
    }

    /// What a refusal says by ICMP; `None` where it says nothing.
    pub(crate) const fn of(refusal: Refusal) -> Option<Self> {
        match refusal {
            Refusal::Reset | Refusal::PortUnreachable => Some(Self::Port),
            Refusal::Prohibited => Some(Self::Prohibited),
            Refusal::TooBig { mtu } => Some(Self::TooBig { mtu }),
            Refusal::HostUnreachable => Some(Self::Host),
            Refusal::Silent => None,
        }
    }
}

impl Stack {
    /// Tells the sender of a packet what is wrong with it, where that may be told.
    pub(crate) fn send_problem(&mut self, incoming: &Incoming, problem: Problem, now: Instant) {
        // RFC 1122 §3.2.2, RFC 4443 §2.4 (e): never about what went to many, or came from nobody in particular.
        // RFC 4443 §2.4 (e.3): but about an IPv6 option that asks for it.
        let asked_for = matches!(problem, Problem::Parameter { code: Parameter::OPTION, .. });
        let to_many = incoming.link_group || matches!(incoming.reach, Reach::Broadcast | Reach::Multicast);
        if (to_many && !asked_for) || !is_unicast(incoming.source) || is_error(incoming) {
            return;
        }
        let own = (incoming.reach == Reach::Own).then_some(incoming.destination);
        self.send_error(incoming.interface, own, incoming.source, problem, &incoming.packet, now);
    }

    /// Tells the sender that its packet's protocol is not spoken here.
    pub(crate) fn refuse_protocol(&mut self, incoming: &Incoming, now: Instant) {
        let pointer = match ipv6::Header::parse_quoted(&incoming.packet) {
            Ok((header, _)) => {
                wire::extension::walk(&header, &incoming.packet).map_or(6, |walk| walk.protocol_pointer)
            }
            Err(_) => 0,
        };
        self.send_problem(incoming, Problem::Protocol { pointer: pointer as u32 }, now);
    }

    /// Sends an error that quotes `packet`, from `own` or the interface's own address.
    fn send_error(
        &mut self,
        id: InterfaceId,
        own: Option<IpAddr>,
        to: IpAddr,
        problem: Problem,
        packet: &[u8],
        now: Instant,
    ) {
        let Some(hop) = self.output.hop_back(id, to) else {
            self.output.counters.count(Drop::NoRoute);
            return;
        };
        let from = own.or_else(|| self.output.interface(hop.interface)?.source_for(to, hop.next));
        let Some(from) = from else { return };
        if !self.output.errors.as_mut().is_some_and(|errors| errors.take(1, now)) {
            self.output.counters.count(Drop::IcmpRateLimited);
            return;
        }
        let mut error = Packet::default();
        let protocol = match (from, to) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let room = ERROR_BYTES_MAX_V6 - ipv6::HEADER_LENGTH - icmpv6::HEADER_LENGTH;
                let quote = Bytes::copy_from_slice(&packet[..packet.len().min(room)]);
                let header = error.headers.prepend(icmpv6::HEADER_LENGTH);
                problem.message_v6().emit(source, destination, [&quote], header);
                error.body.push(quote);
                Protocol::ICMPV6
            }
            _ => {
                let room = ERROR_BYTES_MAX_V4 - ipv4::HEADER_LENGTH - icmpv4::HEADER_LENGTH;
                let quote = Bytes::copy_from_slice(&packet[..packet.len().min(room)]);
                problem.message_v4().emit([&quote], error.headers.prepend(icmpv4::HEADER_LENGTH));
                error.body.push(quote);
                Protocol::ICMP
            }
        };
        let out = Outgoing {
            source: from,
            destination: to,
            protocol,
            hop_limit: HOP_LIMIT,
            traffic_class: 0,
            flow_label: 0,
            dont_fragment: false,
            checksum_offset: None,
        };
        // A full queue has counted the drop, and nobody waits for an error.
        let _ = self.output.send(hop, out, error, now);
    }

    /// Tells the sender of a packet that is not kept, but whose transport header is known, that it is refused.
    pub(crate) fn send_refusal(
        &mut self,
        flow: (SocketAddr, SocketAddr),
        protocol: Protocol,
        transport: &[u8],
        transport_length: usize,
        problem: Problem,
        now: Instant,
    ) {
        let (local, remote) = flow;
        let Some(hop) = self.output.hop(remote.ip()) else { return };
        let quote = quote(remote.ip(), local.ip(), protocol, transport, transport_length);
        self.send_error(hop.interface, None, remote.ip(), problem, &quote, now);
    }

    /// Answers a datagram that was received with the ICMP error that says `refusal`.
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    /// let socket = server.udp_bind(Binding::Port(53)).expect("it is free");
    /// let asking = client.udp_bind(Binding::Port(0)).expect("a port is free");
    /// let question = Datagram::new("0.0.0.0:0".parse()?, "192.0.2.2:53".parse()?, Bytes::from_static(b"who?"));
    /// client.udp_send(asking, question, now).expect("it leaves");
    /// carry(&mut client, &mut server, now);
    /// let heard = server.udp_receive(socket).expect("it has arrived");
    /// server.refuse_datagram(&heard, Refusal::PortUnreachable, now);
    /// let mut batch = Batch::with_capacity(1);
    /// server.poll_transmit(InterfaceId(0), &mut batch, now);
    /// let packet = batch.pop().expect("it leaves").into_bytes();
    /// assert_eq!(packet[20..22], [3, 3], "destination unreachable, port (RFC 792)");
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn refuse_datagram(&mut self, datagram: &Datagram, refusal: Refusal, now: Instant) {
        let Some(problem) = Problem::of(refusal) else { return };
        let (local, remote) = (datagram.local, datagram.remote);
        let length = udp::HEADER_LENGTH + datagram.payload.len();
        let mut header = udp::Header {
            source_port: remote.port(),
            destination_port: local.port(),
            length: length as u16,
            checksum: 0,
        };
        let mut bytes = alloc::vec![0; udp::HEADER_LENGTH];
        header.emit(&mut bytes);
        let mut sum = crate::output::pseudo_header(remote.ip(), local.ip(), Protocol::UDP, length);
        sum.add(&bytes);
        sum.add(&datagram.payload);
        header.checksum = udp::checksum(sum);
        header.emit(&mut bytes);
        bytes.extend_from_slice(&datagram.payload[..datagram.payload.len().min(ERROR_BYTES_MAX_V6)]);
        self.send_refusal((local, remote), Protocol::UDP, &bytes, length, problem, now);
    }
}

impl Stack {
    /// Answers an echo request that was received with the ICMP error that says `refusal`. An example is at [`Echo`].
    pub fn refuse_echo(&mut self, echo: &Echo, refusal: Refusal, now: Instant) {
        let Some(problem) = Problem::of(refusal) else { return };
        let Echo { local, remote, identifier, sequence, .. } = *echo;
        let mut bytes = alloc::vec![0; icmpv4::HEADER_LENGTH];
        let protocol = match (local, remote) {
            (IpAddr::V6(local), IpAddr::V6(remote)) => {
                let request = icmpv6::Message::EchoRequest { identifier, sequence };
                request.emit(remote, local, [&echo.payload], &mut bytes);
                Protocol::ICMPV6
            }
            _ => {
                icmpv4::Message::EchoRequest { identifier, sequence }.emit([&echo.payload], &mut bytes);
                Protocol::ICMP
            }
        };
        let length = bytes.len() + echo.payload.len();
        bytes.extend_from_slice(&echo.payload[..echo.payload.len().min(ERROR_BYTES_MAX_V6)]);
        let flow = (SocketAddr::new(local, 0), SocketAddr::new(remote, 0));
        self.send_refusal(flow, protocol, &bytes, length, problem, now);
    }
}

/// The packet that carried a transport header from `source` to `destination`, as an error quotes it.
fn quote(
    source: IpAddr,
    destination: IpAddr,
    protocol: Protocol,
    transport: &[u8],
    length: usize,
) -> Vec<u8> {
    let mut bytes;
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            bytes = alloc::vec![0; ipv4::HEADER_LENGTH];
            let header = ipv4::Header {
                traffic_class: 0,
                total_length: (ipv4::HEADER_LENGTH + length) as u16,
                identification: 0,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                ttl: HOP_LIMIT,
                protocol,
                source,
                destination,
            };
            header.emit(&mut bytes);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            bytes = alloc::vec![0; ipv6::HEADER_LENGTH];
            let header = ipv6::Header {
                traffic_class: 0,
                flow_label: 0,
                payload_length: length as u16,
                next_header: protocol,
                hop_limit: HOP_LIMIT,
                source,
                destination,
            };
            header.emit(&mut bytes);
        }
        _ => return Vec::new(),
    }
    bytes.extend_from_slice(transport);
    bytes
}

/// Whether a packet is an ICMP error itself: no error is sent about those (RFC 1122 §3.2.2, RFC 4443 §2.4 (e.1)).
fn is_error(incoming: &Incoming) -> bool {
    let kind = incoming.packet.get(incoming.transport).copied();
    match incoming.protocol {
        Protocol::ICMP => kind.is_none_or(icmpv4::is_error_type),
        Protocol::ICMPV6 => kind.is_none_or(icmpv6::is_error_type),
        _ => false,
    }
}
