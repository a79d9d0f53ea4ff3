//! Packets too large for a link, cut into fragments (RFC 791 §3.2, RFC 8200 §4.5).

use crate::output::{Hop, Outgoing, Output, ip_header_length, store_checksum};
use crate::{Drop, SendError};
use core::net::IpAddr;
use packet::{Bytes, Chain, Packet};
use time::Instant;
use wire::{Protocol, extension, ipv4, ipv6};

/// The largest payload of an IP packet with the smallest header: 65,535 bytes less IPv4's 20.
const PAYLOAD_BYTES_MAX: usize = 65_535 - ipv4::HEADER_LENGTH;

impl Output {
    /// Sends a packet that holds everything after the IP header, in fragments of no more than `mtu` bytes.
    pub(crate) fn send_fragments(
        &mut self,
        mtu: u16,
        hop: Hop,
        out: Outgoing,
        mut packet: Packet,
        now: Instant,
    ) -> Result<(), SendError> {
        if packet.len() > PAYLOAD_BYTES_MAX || out.protocol == Protocol::TCP {
            self.counters.count(Drop::TooLarge);
            return Err(SendError::TooLarge);
        }
        if let Some(offset) = out.checksum_offset {
            // The sum is over the whole, which no device sees.
            store_checksum(&mut packet, &out, offset, None);
        }
        let mut whole = packet.body;
        whole.push_front(Bytes::copy_from_slice(&packet.headers));
        let extra = if out.source.is_ipv6() { extension::FRAGMENT_LENGTH } else { 0 };
        let room = usize::from(mtu).saturating_sub(ip_header_length(out.source) + extra);
        // Every fragment but the last is a multiple of eight bytes long.
        let step = (room / 8 * 8).max(8);
        let identification = self.identifications.next(out.source, out.destination, out.protocol);
        let mut offset = 0;
        while !whole.is_empty() {
            let payload = whole.split_to(step);
            let length = payload.len();
            let place = Place { identification, offset, more: !whole.is_empty() };
            self.send_on(hop, fragment(&out, place, payload), None, now);
            offset += length;
        }
        Ok(())
    }
}

/// Where a fragment belongs.
#[derive(Clone, Copy)]
struct Place {
    identification: u32,
    offset: usize,
    more: bool,
}

fn fragment(out: &Outgoing, place: Place, payload: Chain) -> Packet {
    let length = payload.len();
    let mut packet = Packet { body: payload, ..Packet::default() };
    match (out.source, out.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header = ipv4::Header {
                traffic_class: out.traffic_class,
                total_length: (ipv4::HEADER_LENGTH + length) as u16,
                identification: place.identification as u16,
                dont_fragment: false,
                more_fragments: place.more,
                fragment_offset: place.offset as u16,
                ttl: out.hop_limit,
                protocol: out.protocol,
                source,
                destination,
            };
            header.emit(packet.headers.prepend(ipv4::HEADER_LENGTH));
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let fragment = extension::Fragment {
                identification: place.identification,
                offset: place.offset as u16,
                more: place.more,
            };
            fragment.emit(out.protocol, packet.headers.prepend(extension::FRAGMENT_LENGTH));
            let header = ipv6::Header {
                traffic_class: out.traffic_class,
                flow_label: out.flow_label,
                payload_length: (extension::FRAGMENT_LENGTH + length) as u16,
                next_header: Protocol::FRAGMENT,
                hop_limit: out.hop_limit,
                source,
                destination,
            };
            header.emit(packet.headers.prepend(ipv6::HEADER_LENGTH));
        }
        _ => debug_assert!(false, "source and destination of a packet are of one IP version"),
    }
    packet
}
