//! Echo (RFC 792, RFC 4443 §4): our own addresses answer by themselves, intercepted ones by their owner.

use crate::interface::Reach;
use crate::ip::Incoming;
use crate::output::{HOP_LIMIT, Hop, Outgoing};
use crate::stack::Stack;
use crate::{Drop, Echo, Event, SendError, Verdict};
use core::net::IpAddr;
use packet::{Buf, Packet};
use time::Instant;
use wire::{Protocol, icmpv4, icmpv6};

/// Echo requests that wait for the owner to drain its events.
pub(crate) const ECHO_REQUESTS_MAX: usize = 256;

impl Stack {
    /// An echo request whose checksum holds.
    pub(crate) fn receive_echo(
        &mut self,
        incoming: Incoming,
        (identifier, sequence): (u16, u16),
        now: Instant,
    ) -> Verdict {
        let (reach, interface) = (incoming.reach, incoming.interface);
        if self.is_from_elsewhere(&incoming) {
            return Verdict::Dropped(Drop::SourceElsewhere);
        }
        let mut payload = incoming.packet;
        payload.advance(incoming.transport + icmpv4::HEADER_LENGTH);
        let echo =
            Echo { local: incoming.destination, remote: incoming.source, identifier, sequence, payload };
        match reach {
            Reach::Own => {
                let hop = self.output.hop_back(interface, echo.remote);
                match hop.ok_or(SendError::NoRoute).and_then(|hop| self.send_echo_reply(hop, echo, now)) {
                    Err(SendError::NoRoute) => Verdict::Dropped(Drop::NoRoute),
                    // What kept the reply back has been counted.
                    Ok(()) | Err(_) => Verdict::Accepted,
                }
            }
            Reach::Intercepted if self.echo_requests >= ECHO_REQUESTS_MAX => {
                Verdict::Dropped(Drop::EchoQueueFull)
            }
            Reach::Intercepted => {
                self.echo_requests += 1;
                self.events.push_back(Event::EchoRequest(echo));
                Verdict::Accepted
            }
            // RFC 1122 §3.2.2.6 lets a host pass over requests to a broadcast or a group.
            Reach::Broadcast | Reach::Multicast | Reach::Elsewhere => Verdict::Dropped(Drop::IcmpIgnored),
        }
    }

    /// Sends an echo reply from `echo.local` to `echo.remote` (RFC 792, RFC 4443 §4.2). An example is at [`Echo`].
    ///
    /// # Errors
    ///
    /// [`SendError`] where it cannot leave.
    pub fn icmp_reply(&mut self, echo: Echo, now: Instant) -> Result<(), SendError> {
        if echo.local.is_ipv4() != echo.remote.is_ipv4() || !self.output.may_send_from(echo.local) {
            return Err(SendError::NotLocal);
        }
        let hop = self.output.hop(echo.remote).ok_or(SendError::NoRoute)?;
        self.send_echo_reply(hop, echo, now)
    }

    fn send_echo_reply(&mut self, hop: Hop, echo: Echo, now: Instant) -> Result<(), SendError> {
        let Echo { local, remote, identifier, sequence, payload } = echo;
        let mut packet = Packet::default();
        let header = packet.headers.prepend(icmpv4::HEADER_LENGTH);
        let protocol = match (local, remote) {
            (IpAddr::V6(local), IpAddr::V6(remote)) => {
                icmpv6::Message::EchoReply { identifier, sequence }.emit(local, remote, [&payload], header);
                Protocol::ICMPV6
            }
            _ => {
                icmpv4::Message::EchoReply { identifier, sequence }.emit([&payload], header);
                Protocol::ICMP
            }
        };
        packet.body.push(payload);
        let out = Outgoing {
            source: local,
            destination: remote,
            protocol,
            hop_limit: HOP_LIMIT,
            traffic_class: 0,
            flow_label: 0,
            dont_fragment: false,
            checksum_offset: None,
        };
        self.output.send(hop, out, packet, now)
    }
}
