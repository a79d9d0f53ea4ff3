//! ICMPv6 (RFC 4443). Neighbour discovery's messages are read by [`ndp`](crate::ndp).

use crate::Protocol;
use crate::checksum::Sum;
use crate::field::{put_u16, put_u32, u16_at, u32_at};
use core::net::Ipv6Addr;

/// Bytes of a header; what follows is an echo's data, or the packet that an error quotes.
pub const HEADER_LENGTH: usize = 8;

/// A message's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A packet could not be delivered; it is quoted.
    DestinationUnreachable {
        /// Why.
        code: Unreachable,
    },
    /// A packet is larger than a link's MTU; it is quoted.
    PacketTooBig {
        /// The MTU in bytes.
        mtu: u32,
    },
    /// A packet lived too long; it is quoted.
    TimeExceeded {
        /// Where: 0 in transit, 1 in reassembly.
        code: u8,
    },
    /// A header could not be understood; the packet is quoted.
    ParameterProblem {
        /// What could not be.
        code: Parameter,
        /// Bytes from the start of the packet to what could not be.
        pointer: u32,
    },
    /// Asks for an echo; its data follows.
    EchoRequest {
        /// Names the asker.
        identifier: u16,
        /// Counts its requests.
        sequence: u16,
    },
    /// The echo of a request; its data follows.
    EchoReply {
        /// As in the request.
        identifier: u16,
        /// As in the request.
        sequence: u16,
    },
    /// A message of neighbour discovery: give the same bytes to [`ndp::Message::parse`](crate::ndp::Message::parse).
    NeighborDiscovery,
    /// Any other message.
    Other {
        /// The type.
        kind: u8,
        /// The code.
        code: u8,
    },
}

/// Why a packet could not be delivered (RFC 4443 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable(pub u8);

impl Unreachable {
    /// No route.
    pub const NO_ROUTE: Self = Self(0);
    /// Administratively prohibited.
    pub const PROHIBITED: Self = Self(1);
    /// The address does not answer.
    pub const ADDRESS: Self = Self(3);
    /// Nothing listens at the port.
    pub const PORT: Self = Self(4);
}

/// What could not be understood (RFC 4443 §3.4, RFC 7112 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter(pub u8);

impl Parameter {
    /// A field of a header.
    pub const HEADER_FIELD: Self = Self(0);
    /// A next header.
    pub const NEXT_HEADER: Self = Self(1);
    /// An option.
    pub const OPTION: Self = Self(2);
    /// A first fragment that does not hold all headers.
    pub const INCOMPLETE_HEADER_CHAIN: Self = Self(3);
}

/// Why bytes are no ICMPv6 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than the header.
    Truncated,
    /// The checksum does not hold.
    Checksum,
}

const DESTINATION_UNREACHABLE: u8 = 1;
const PACKET_TOO_BIG: u8 = 2;
const TIME_EXCEEDED: u8 = 3;
const PARAMETER_PROBLEM: u8 = 4;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;

impl Message {
    /// Reads the header of a message that is whole in `bytes`, and checks the checksum over all of it and the
    /// pseudo-header; with it, the header's length.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(bytes: &[u8], source: Ipv6Addr, destination: Ipv6Addr) -> Result<(Self, usize), Malformed> {
        let Some((header, _)) = bytes.split_first_chunk::<HEADER_LENGTH>() else {
            return Err(Malformed::Truncated);
        };
        let mut sum = Sum::pseudo_v6(source, destination, Protocol::ICMPV6, bytes.len());
        sum.add(bytes);
        if !sum.is_valid() {
            return Err(Malformed::Checksum);
        }
        let [kind, code, ..] = *header;
        let (identifier, sequence) = (u16_at(header, 4), u16_at(header, 6));
        let message = match kind {
            DESTINATION_UNREACHABLE => Self::DestinationUnreachable { code: Unreachable(code) },
            PACKET_TOO_BIG => Self::PacketTooBig { mtu: u32_at(header, 4) },
            TIME_EXCEEDED => Self::TimeExceeded { code },
            PARAMETER_PROBLEM => Self::ParameterProblem { code: Parameter(code), pointer: u32_at(header, 4) },
            ECHO_REQUEST if code == 0 => Self::EchoRequest { identifier, sequence },
            ECHO_REPLY if code == 0 => Self::EchoReply { identifier, sequence },
            133..=137 => Self::NeighborDiscovery,
            _ => Self::Other { kind, code },
        };
        Ok((message, HEADER_LENGTH))
    }

    /// Whether it reports an error: no error is ever sent about it (RFC 4443 §2.4(e.1)).
    pub const fn is_error(&self) -> bool {
        match self {
            Self::DestinationUnreachable { .. }
            | Self::PacketTooBig { .. }
            | Self::TimeExceeded { .. }
            | Self::ParameterProblem { .. } => true,
            Self::EchoRequest { .. } | Self::EchoReply { .. } | Self::NeighborDiscovery => false,
            Self::Other { kind, .. } => is_error_type(*kind),
        }
    }

    /// Writes the header into the first [`HEADER_LENGTH`] bytes, its checksum over the pseudo-header, itself and
    /// `payload`.
    ///
    /// # Panics
    ///
    /// On [`Message::NeighborDiscovery`], which [`ndp::Message::emit`](crate::ndp::Message::emit) writes.
    pub fn emit<I>(&self, source: Ipv6Addr, destination: Ipv6Addr, payload: I, bytes: &mut [u8])
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let (kind, code, rest) = match *self {
            Self::DestinationUnreachable { code } => (DESTINATION_UNREACHABLE, code.0, 0),
            Self::PacketTooBig { mtu } => (PACKET_TOO_BIG, 0, mtu),
            Self::TimeExceeded { code } => (TIME_EXCEEDED, code, 0),
            Self::ParameterProblem { code, pointer } => (PARAMETER_PROBLEM, code.0, pointer),
            Self::EchoRequest { identifier, sequence } => (ECHO_REQUEST, 0, join(identifier, sequence)),
            Self::EchoReply { identifier, sequence } => (ECHO_REPLY, 0, join(identifier, sequence)),
            Self::NeighborDiscovery => panic!("neighbour discovery's messages are written by ndp"),
            Self::Other { kind, code } => (kind, code, 0),
        };
        bytes[0] = kind;
        bytes[1] = code;
        put_u16(bytes, 2, 0);
        put_u32(bytes, 4, rest);
        let mut message = Sum::new();
        message.add(&bytes[..HEADER_LENGTH]);
        let mut length = HEADER_LENGTH;
        for chunk in payload {
            message.add(chunk.as_ref());
            length += chunk.as_ref().len();
        }
        let mut sum = Sum::pseudo_v6(source, destination, Protocol::ICMPV6, length);
        sum.add(&message.partial().to_be_bytes());
        put_u16(bytes, 2, sum.checksum());
    }
}

/// Whether a type is an error's, also of a message that is quoted (RFC 4443 §2.1: the high bit is clear).
/// A redirect counts as one (RFC 4443 §2.4(e.2)).
pub const fn is_error_type(kind: u8) -> bool {
    kind < 128 || kind == 137
}

fn join(high: u16, low: u16) -> u32 {
    u32::from(high) << 16 | u32::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 15);
    const THERE: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 2);

    #[test]
    fn what_is_wrong_has_a_name() {
        let mut bytes = [0; 8];
        Message::EchoRequest { identifier: 1, sequence: 2 }.emit(HERE, THERE, [[]; 0], &mut bytes);
        assert_eq!(Message::parse(&bytes[..7], HERE, THERE), Err(Malformed::Truncated));
        // RFC 4443 §2.3: the pseudo-header is summed, so that another destination is an error.
        assert_eq!(Message::parse(&bytes, HERE, Ipv6Addr::LOCALHOST), Err(Malformed::Checksum));
        bytes[7] ^= 1;
        assert_eq!(Message::parse(&bytes, HERE, THERE), Err(Malformed::Checksum));
    }

    #[test]
    fn errors_are_told_from_queries() {
        assert!(Message::PacketTooBig { mtu: 1280 }.is_error());
        assert!(!Message::EchoReply { identifier: 0, sequence: 0 }.is_error());
        assert!(!Message::NeighborDiscovery.is_error());
        assert!(is_error_type(127) && is_error_type(137) && !is_error_type(128) && !is_error_type(143));
    }

    fn any_message() -> impl Strategy<Value = Message> {
        prop_oneof![
            any::<u8>().prop_map(|code| Message::DestinationUnreachable { code: Unreachable(code) }),
            any::<u32>().prop_map(|mtu| Message::PacketTooBig { mtu }),
            any::<u8>().prop_map(|code| Message::TimeExceeded { code }),
            (any::<u8>(), any::<u32>())
                .prop_map(|(code, pointer)| Message::ParameterProblem { code: Parameter(code), pointer }),
            (any::<u16>(), any::<u16>())
                .prop_map(|(identifier, sequence)| Message::EchoRequest { identifier, sequence }),
            (any::<u16>(), any::<u16>())
                .prop_map(|(identifier, sequence)| Message::EchoReply { identifier, sequence }),
            (138..=160u8, any::<u8>()).prop_map(|(kind, code)| Message::Other { kind, code }),
        ]
    }

    proptest! {
        #[test]
        fn a_message_survives_the_wire(message in any_message(), payload in prop::collection::vec(any::<u8>(), 0..70)) {
            let mut bytes = alloc::vec![0; HEADER_LENGTH];
            let (front, back) = payload.split_at(payload.len() / 3);
            message.emit(HERE, THERE, [front, back], &mut bytes);
            bytes.extend(&payload);
            prop_assert_eq!(Message::parse(&bytes, HERE, THERE), Ok((message, HEADER_LENGTH)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Message::parse(&bytes, HERE, THERE);
        }
    }
}
