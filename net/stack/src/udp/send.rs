//! Datagrams as they leave.

use crate::interface::is_unicast;
use crate::output::{HOP_LIMIT, Hop, Outgoing, ip_header_length};
use crate::stack::Stack;
use crate::udp::options::Passage;
use crate::{Binding, Datagram, SendError, UdpId};
use core::net::SocketAddr;
use packet::Packet;
use tcp::PathDiscovery;
use time::Instant;
use wire::{Protocol, udp};

/// The largest payload: 65,535 bytes less the headers of IPv4 and UDP.
const PAYLOAD_BYTES_MAX: usize = 65_535 - wire::ipv4::HEADER_LENGTH - udp::HEADER_LENGTH;

impl Stack {
    /// Sends a datagram; fragmented where it is larger than the way allows, unless it or
    /// [its socket](Self::udp_set_path_discovery) says otherwise. A socket bound to `Binding::Intercept` sends from any
    /// address, one bound to a port from any of the stack's own; an unspecified local address is replaced by the one that
    /// fits the way. Examples are at [`Datagram`] and [`SendError`].
    ///
    /// # Errors
    ///
    /// [`SendError`] where it cannot leave.
    pub fn udp_send(&mut self, socket: UdpId, datagram: Datagram, now: Instant) -> Result<(), SendError> {
        let socket = self.udp.sockets.find(socket.0).ok_or(SendError::NotBound)?;
        let (binding, options) = (socket.binding, socket.options);
        let Datagram { local, remote, payload, dont_fragment } = datagram;
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(SendError::TooLarge);
        }
        let hop = self.output.hop(remote.ip()).ok_or(SendError::NoRoute)?;
        let local = self.sender(binding, local, remote, hop).ok_or(SendError::NotLocal)?;
        let how = if dont_fragment { PathDiscovery::Do } else { options.path_discovery };
        let bytes = ip_header_length(remote.ip()) + udp::HEADER_LENGTH + payload.len();
        let Passage { dont_fragment, mtu } = self.passage(how, hop, remote.ip(), bytes, now)?;
        let header = udp::Header {
            source_port: local.port(),
            destination_port: remote.port(),
            length: (udp::HEADER_LENGTH + payload.len()) as u16,
            checksum: 0,
        };
        let mut packet = Packet::default();
        header.emit(packet.headers.prepend(udp::HEADER_LENGTH));
        packet.body.push(payload);
        let out = Outgoing {
            source: local.ip(),
            destination: remote.ip(),
            protocol: Protocol::UDP,
            hop_limit: HOP_LIMIT,
            traffic_class: options.traffic_class,
            flow_label: 0,
            dont_fragment,
            checksum_offset: Some(udp::CHECKSUM_OFFSET),
        };
        self.output.send_within(mtu, hop, out, packet, now)
    }

    /// The address and port that a datagram leaves from, where the socket may send from there.
    fn sender(
        &self,
        binding: Binding,
        local: SocketAddr,
        remote: SocketAddr,
        hop: Hop,
    ) -> Option<SocketAddr> {
        let from = match binding {
            Binding::Address(bound) if local.ip().is_unspecified() => bound,
            Binding::Address(bound) => {
                (bound.ip() == local.ip() && bound.port() == local.port()).then_some(bound)?
            }
            Binding::Port(port) | Binding::PortV4(port) | Binding::PortV6(port)
                if local.ip().is_unspecified() =>
            {
                let chosen = self.output.interface(hop.interface)?.source_for(remote.ip(), hop.next)?;
                SocketAddr::new(chosen, port)
            }
            Binding::Port(port) | Binding::PortV4(port) | Binding::PortV6(port) => {
                (local.port() == port && self.output.owns(local.ip())).then_some(local)?
            }
            Binding::Intercept => is_unicast(local.ip()).then_some(local)?,
        };
        let of_version = match binding {
            Binding::PortV4(_) => from.is_ipv4(),
            Binding::PortV6(_) => from.is_ipv6(),
            Binding::Address(_) | Binding::Port(_) | Binding::Intercept => true,
        };
        (of_version && from.is_ipv4() == remote.is_ipv4()).then_some(from)
    }
}
