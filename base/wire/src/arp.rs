//! ARP for IPv4 over Ethernet (RFC 826, RFC 5227).
//!
//! ```text
//!  0       2       4   5   6       8           14       18          24       28
//!  +-------+-------+---+---+-------+-----------+--------+-----------+--------+
//!  | hw 1  |pr 0800| 6 | 4 | oper. | sender hw | sender | target hw | target |
//!  +-------+-------+---+---+-------+-----------+--------+-----------+--------+
//! ```

use crate::ethernet::{Address, EtherType};
use crate::field::{ipv4_at, put_u16, u16_at};
use core::net::Ipv4Addr;

/// Bytes of a packet.
pub const LENGTH: usize = 28;

/// The hardware type of Ethernet.
const ETHERNET: u16 = 1;

/// What the packet asks or tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Asked or told.
    pub operation: Operation,
    /// The sender's MAC address.
    pub sender_hardware: Address,
    /// The sender's IPv4 address; unspecified in a probe (RFC 5227 §1.1).
    pub sender_protocol: Ipv4Addr,
    /// The target's MAC address; meaningless in a request.
    pub target_hardware: Address,
    /// The address asked for, or the one told.
    pub target_protocol: Ipv4Addr,
}

/// Why bytes are no ARP packet that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than a packet.
    Truncated,
    /// Not for Ethernet.
    HardwareType,
    /// Not for IPv4.
    ProtocolType,
    /// Address lengths that are not Ethernet's and IPv4's.
    AddressLength,
    /// Neither request nor reply.
    Operation,
    /// A group's MAC address as the sender's.
    MulticastSender,
}

impl Packet {
    /// Reads a packet; padding after it is ignored.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some((bytes, _)) = bytes.split_first_chunk::<LENGTH>() else {
            return Err(Malformed::Truncated);
        };
        // RFC 826 "Packet Reception": the checks in the order given there.
        if u16_at(bytes, 0) != ETHERNET {
            return Err(Malformed::HardwareType);
        }
        if u16_at(bytes, 2) != EtherType::IPV4.0 {
            return Err(Malformed::ProtocolType);
        }
        if bytes[4] != 6 || bytes[5] != 4 {
            return Err(Malformed::AddressLength);
        }
        let operation = match u16_at(bytes, 6) {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return Err(Malformed::Operation),
        };
        let [_, _, _, _, _, _, _, _, s0, s1, s2, s3, s4, s5, ..] = *bytes;
        let [.., t0, t1, t2, t3, t4, t5, _, _, _, _] = *bytes;
        let sender_hardware = Address([s0, s1, s2, s3, s4, s5]);
        if sender_hardware.is_multicast() {
            return Err(Malformed::MulticastSender);
        }
        Ok(Self {
            operation,
            sender_hardware,
            sender_protocol: ipv4_at(bytes, 14),
            target_hardware: Address([t0, t1, t2, t3, t4, t5]),
            target_protocol: ipv4_at(bytes, 24),
        })
    }

    /// Writes the packet into the first [`LENGTH`] bytes.
    pub fn emit(&self, bytes: &mut [u8]) {
        put_u16(bytes, 0, ETHERNET);
        put_u16(bytes, 2, EtherType::IPV4.0);
        bytes[4] = 6;
        bytes[5] = 4;
        put_u16(bytes, 6, if self.operation == Operation::Request { 1 } else { 2 });
        bytes[8..14].copy_from_slice(&self.sender_hardware.0);
        bytes[14..18].copy_from_slice(&self.sender_protocol.octets());
        bytes[18..24].copy_from_slice(&self.target_hardware.0);
        bytes[24..28].copy_from_slice(&self.target_protocol.octets());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply() -> Packet {
        Packet {
            operation: Operation::Reply,
            sender_hardware: Address([2, 0, 0, 0, 0, 1]),
            sender_protocol: Ipv4Addr::new(10, 0, 2, 2),
            target_hardware: Address([2, 0, 0, 0, 0, 2]),
            target_protocol: Ipv4Addr::new(10, 0, 2, 15),
        }
    }

    #[test]
    fn what_is_wrong_has_a_name() {
        let mut bytes = [0; LENGTH];
        reply().emit(&mut bytes);
        let broken = |at: usize, value: u8| {
            let mut bytes = bytes;
            bytes[at] = value;
            Packet::parse(&bytes)
        };
        assert_eq!(Packet::parse(&bytes), Ok(reply()));
        assert_eq!(Packet::parse(&bytes[..27]), Err(Malformed::Truncated));
        assert_eq!(broken(1, 6), Err(Malformed::HardwareType));
        assert_eq!(broken(3, 1), Err(Malformed::ProtocolType));
        assert_eq!(broken(4, 8), Err(Malformed::AddressLength));
        assert_eq!(broken(5, 16), Err(Malformed::AddressLength));
        assert_eq!(broken(7, 3), Err(Malformed::Operation));
        assert_eq!(broken(8, 3), Err(Malformed::MulticastSender));
    }

    proptest! {
        #[test]
        fn a_packet_survives_the_wire(asks: bool, mut from: [u8; 6], to: [u8; 6], sender: u32, target: u32) {
            from[0] &= !1;
            let packet = Packet {
                operation: if asks { Operation::Request } else { Operation::Reply },
                sender_hardware: Address(from),
                sender_protocol: Ipv4Addr::from_bits(sender),
                target_hardware: Address(to),
                target_protocol: Ipv4Addr::from_bits(target),
            };
            let mut bytes = [0; LENGTH + 18];
            packet.emit(&mut bytes);
            prop_assert_eq!(Packet::parse(&bytes), Ok(packet));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Packet::parse(&bytes);
        }
    }
}
