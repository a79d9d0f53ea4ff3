//! The Ethernet II header: destination, source, type (RFC 894, RFC 2464).

use crate::field::{put_u16, u16_at};
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

/// Bytes of the header.
pub const HEADER_LENGTH: usize = 14;

/// The smallest value of the type field that is a type; below it stands an IEEE 802.3 length.
const TYPE_MIN: u16 = 0x600;

/// A MAC address.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(pub [u8; 6]);

impl Address {
    /// Every station.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// All zeros: no station, and ARP's "not known".
    pub const UNSPECIFIED: Self = Self([0; 6]);

    /// Whether it names a group of stations; the broadcast address does too.
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether it names every station.
    pub const fn is_broadcast(self) -> bool {
        matches!(self.0, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
    }

    /// Whether it can be one station's address.
    pub const fn is_unicast(self) -> bool {
        !self.is_multicast() && !matches!(self.0, [0, 0, 0, 0, 0, 0])
    }

    /// Where packets to an IPv4 multicast group go: RFC 1112 §6.4.
    pub const fn multicast_v4(group: Ipv4Addr) -> Self {
        let [_, b, c, d] = group.octets();
        Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }

    /// Where packets to an IPv6 multicast group go: RFC 2464 §7.
    pub const fn multicast_v6(group: Ipv6Addr) -> Self {
        let octets = group.octets();
        Self([0x33, 0x33, octets[12], octets[13], octets[14], octets[15]])
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the frame carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4 (RFC 894).
    pub const IPV4: Self = Self(0x0800);
    /// ARP (RFC 826).
    pub const ARP: Self = Self(0x0806);
    /// IPv6 (RFC 2464 §3).
    pub const IPV6: Self = Self(0x86dd);
}

/// The header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Who is to take the frame.
    pub destination: Address,
    /// Who sent it.
    pub source: Address,
    /// What it carries.
    pub ether_type: EtherType,
}

/// Why a frame has no Ethernet II header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than the header.
    Truncated,
    /// An IEEE 802.3 length stands where the type would.
    LengthInsteadOfType,
    /// A group as its sender.
    MulticastSource,
}

impl Header {
    /// Reads the header at the front of a frame; with it, its length.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), Malformed> {
        let Some((header, _)) = bytes.split_first_chunk::<HEADER_LENGTH>() else {
            return Err(Malformed::Truncated);
        };
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, ..] = *header;
        let ether_type = u16_at(header, 12);
        if ether_type < TYPE_MIN {
            return Err(Malformed::LengthInsteadOfType);
        }
        let source = Address([s0, s1, s2, s3, s4, s5]);
        if source.is_multicast() {
            return Err(Malformed::MulticastSource);
        }
        let destination = Address([d0, d1, d2, d3, d4, d5]);
        Ok((Self { destination, source, ether_type: EtherType(ether_type) }, HEADER_LENGTH))
    }

    /// Writes the header into the first [`HEADER_LENGTH`] bytes.
    pub fn emit(&self, bytes: &mut [u8]) {
        bytes[..6].copy_from_slice(&self.destination.0);
        bytes[6..12].copy_from_slice(&self.source.0);
        put_u16(bytes, 12, self.ether_type.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn groups_have_their_stations() {
        let mdns = Ipv4Addr::new(224, 128, 0, 251);
        assert_eq!(Address::multicast_v4(mdns).0, [0x01, 0, 0x5e, 0, 0, 251]);
        let nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff12, 0x3456);
        assert_eq!(Address::multicast_v6(nodes).0, [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
        assert!(Address::BROADCAST.is_broadcast() && Address::BROADCAST.is_multicast());
        assert!(!Address::UNSPECIFIED.is_unicast() && Address([2, 0, 0, 0, 0, 1]).is_unicast());
    }

    #[test]
    fn what_is_wrong_has_a_name() {
        let mut frame = [0; HEADER_LENGTH];
        assert_eq!(Header::parse(&frame[..13]), Err(Malformed::Truncated));
        assert_eq!(Header::parse(&frame), Err(Malformed::LengthInsteadOfType));
        frame[12] = 8;
        frame[6] = 1;
        assert_eq!(Header::parse(&frame), Err(Malformed::MulticastSource));
    }

    proptest! {
        #[test]
        fn a_header_survives_the_wire(destination: [u8; 6], mut source: [u8; 6], ether_type in TYPE_MIN..) {
            source[0] &= !1;
            let (destination, source) = (Address(destination), Address(source));
            let header = Header { destination, source, ether_type: EtherType(ether_type) };
            let mut bytes = [0; HEADER_LENGTH + 3];
            header.emit(&mut bytes);
            prop_assert_eq!(Header::parse(&bytes), Ok((header, HEADER_LENGTH)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Header::parse(&bytes);
        }
    }
}
