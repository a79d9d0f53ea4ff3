//! The IPv6 header (RFC 8200 §3). What may stand between it and the upper layer is in
//! [`extension`](crate::extension).

use crate::Protocol;
use crate::field::{ipv6_at, put_u16, put_u32, u16_at, u32_at};
use core::net::Ipv6Addr;

/// Bytes of the header.
pub const HEADER_LENGTH: usize = 40;
/// The smallest MTU that every link has, in bytes (RFC 8200 §5).
pub const MTU_MIN: u16 = 1280;

/// The fixed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// DSCP in the upper six bits (RFC 2474), ECN in the lower two (RFC 3168).
    pub traffic_class: u8,
    /// Names a flow to routers, 20 bits (RFC 6437).
    pub flow_label: u32,
    /// Bytes after this header.
    pub payload_length: u16,
    /// What follows: an extension header or the upper layer.
    pub next_header: Protocol,
    /// Hops it may still take.
    pub hop_limit: u8,
    /// The sender.
    pub source: Ipv6Addr,
    /// The receiver.
    pub destination: Ipv6Addr,
}

/// Why bytes are no IPv6 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end before the header does.
    TruncatedHeader,
    /// The bytes end before the packet does.
    TruncatedPayload,
    /// Another version's number.
    Version,
    /// A group as the sender (RFC 4291 §2.7).
    MulticastSource,
}

impl Header {
    /// Reads the header of a packet that is whole in `bytes`; with it, its length. What follows the payload is the
    /// link's padding.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), Malformed> {
        let (header, length) = Self::parse_quoted(bytes)?;
        if length + usize::from(header.payload_length) > bytes.len() {
            return Err(Malformed::TruncatedPayload);
        }
        if header.source.is_multicast() {
            return Err(Malformed::MulticastSource);
        }
        Ok((header, length))
    }

    /// Reads the header of a packet quoted in an ICMPv6 error, which may be cut short.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse_quoted(bytes: &[u8]) -> Result<(Self, usize), Malformed> {
        let Some((fixed, _)) = bytes.split_first_chunk::<HEADER_LENGTH>() else {
            return Err(Malformed::TruncatedHeader);
        };
        let first = u32_at(fixed, 0);
        if first >> 28 != 6 {
            return Err(Malformed::Version);
        }
        let header = Self {
            traffic_class: (first >> 20) as u8,
            flow_label: first & 0x000f_ffff,
            payload_length: u16_at(fixed, 4),
            next_header: Protocol(fixed[6]),
            hop_limit: fixed[7],
            source: ipv6_at(fixed, 8),
            destination: ipv6_at(fixed, 24),
        };
        Ok((header, HEADER_LENGTH))
    }

    /// Writes the header into the first [`HEADER_LENGTH`] bytes.
    pub fn emit(&self, bytes: &mut [u8]) {
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | (self.flow_label & 0x000f_ffff);
        put_u32(bytes, 0, first);
        put_u16(bytes, 4, self.payload_length);
        bytes[6] = self.next_header.0;
        bytes[7] = self.hop_limit;
        bytes[8..24].copy_from_slice(&self.source.octets());
        bytes[24..40].copy_from_slice(&self.destination.octets());
    }
}

/// The group in which a node asks for and hears of `address` (RFC 4291 §2.7.1).
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., low_high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (low_high & 0xff), low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_wrong_has_a_name() {
        let header = Header {
            traffic_class: 0,
            flow_label: 0,
            payload_length: 4,
            next_header: Protocol::UDP,
            hop_limit: 64,
            source: Ipv6Addr::LOCALHOST,
            destination: Ipv6Addr::LOCALHOST,
        };
        let mut bytes = [0; 44];
        header.emit(&mut bytes);
        assert_eq!(Header::parse(&bytes), Ok((header, HEADER_LENGTH)));
        assert_eq!(Header::parse(&bytes[..39]), Err(Malformed::TruncatedHeader));
        assert_eq!(Header::parse(&bytes[..43]), Err(Malformed::TruncatedPayload));
        assert_eq!(Header::parse_quoted(&bytes[..40]), Ok((header, HEADER_LENGTH)));
        bytes[8] = 0xff;
        assert_eq!(Header::parse(&bytes), Err(Malformed::MulticastSource));
        bytes[0] = 0x45;
        assert_eq!(Header::parse(&bytes), Err(Malformed::Version));
    }

    #[test]
    fn a_neighbour_is_asked_in_its_group() {
        let address: Ipv6Addr = "fd00:2::12:3456:789a".parse().expect("an address");
        assert_eq!(solicited_node(address), "ff02::1:ff56:789a".parse::<Ipv6Addr>().expect("an address"));
    }

    proptest! {
        #[test]
        fn a_header_survives_the_wire(
            class: u8, label in 0..1u32 << 20, payload_length in 0..2_000u16, next: u8, hop_limit: u8,
            source in 0..0xff_u128 << 120, destination: u128, padding in 0..30usize,
        ) {
            let header = Header {
                traffic_class: class,
                flow_label: label,
                payload_length,
                next_header: Protocol(next),
                hop_limit,
                source: Ipv6Addr::from_bits(source),
                destination: Ipv6Addr::from_bits(destination),
            };
            let mut bytes = alloc::vec![0; HEADER_LENGTH + usize::from(payload_length) + padding];
            header.emit(&mut bytes);
            prop_assert_eq!(Header::parse(&bytes), Ok((header, HEADER_LENGTH)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Header::parse(&bytes);
        }
    }
}
