//! ICMP (RFC 792, RFC 1122 §3.2.2, RFC 1191 §4 for the MTU).

use crate::checksum::Sum;
use crate::field::{put_u16, u16_at};

/// Bytes of a header; what follows is an echo's data, or the packet that an error quotes.
pub const HEADER_LENGTH: usize = 8;

/// A message's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
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
    /// A packet could not be delivered; it is quoted.
    DestinationUnreachable {
        /// Why.
        code: Unreachable,
        /// The next hop's MTU in bytes where `code` is [`Unreachable::FRAGMENTATION_NEEDED`]; 0 from routers that
        /// do not tell it, and with other codes.
        mtu: u16,
    },
    /// A packet lived too long; it is quoted.
    TimeExceeded {
        /// Where: 0 in transit, 1 in reassembly.
        code: u8,
    },
    /// A header could not be understood; it is quoted.
    ParameterProblem {
        /// The byte of the header that is wrong.
        pointer: u8,
    },
    /// Any other message.
    Other {
        /// The type.
        kind: u8,
        /// The code.
        code: u8,
    },
}

/// Why a packet could not be delivered (RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable(pub u8);

impl Unreachable {
    /// No route to the network.
    pub const NETWORK: Self = Self(0);
    /// The host does not answer.
    pub const HOST: Self = Self(1);
    /// The host does not know the protocol.
    pub const PROTOCOL: Self = Self(2);
    /// Nothing listens at the port.
    pub const PORT: Self = Self(3);
    /// Larger than a link's MTU, and not to be fragmented.
    pub const FRAGMENTATION_NEEDED: Self = Self(4);
    /// Administratively prohibited.
    pub const PROHIBITED: Self = Self(13);
}

/// Why bytes are no ICMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than the header.
    Truncated,
    /// The checksum does not hold.
    Checksum,
}

const ECHO_REPLY: u8 = 0;
const DESTINATION_UNREACHABLE: u8 = 3;
const REDIRECT: u8 = 5;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;

impl Message {
    /// Reads the header of a message that is whole in `bytes`, and checks the checksum over all of it; with it, the
    /// header's length.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), Malformed> {
        let Some((header, _)) = bytes.split_first_chunk::<HEADER_LENGTH>() else {
            return Err(Malformed::Truncated);
        };
        let mut sum = Sum::new();
        sum.add(bytes);
        if !sum.is_valid() {
            return Err(Malformed::Checksum);
        }
        let [kind, code, ..] = *header;
        let (identifier, sequence) = (u16_at(header, 4), u16_at(header, 6));
        let message = match kind {
            ECHO_REQUEST if code == 0 => Self::EchoRequest { identifier, sequence },
            ECHO_REPLY if code == 0 => Self::EchoReply { identifier, sequence },
            DESTINATION_UNREACHABLE => {
                Self::DestinationUnreachable { code: Unreachable(code), mtu: sequence }
            }
            TIME_EXCEEDED => Self::TimeExceeded { code },
            PARAMETER_PROBLEM if code == 0 => Self::ParameterProblem { pointer: header[4] },
            _ => Self::Other { kind, code },
        };
        Ok((message, HEADER_LENGTH))
    }

    /// Whether it reports an error: no error is ever sent about it (RFC 1122 §3.2.2).
    pub const fn is_error(&self) -> bool {
        match self {
            Self::EchoRequest { .. } | Self::EchoReply { .. } => false,
            Self::DestinationUnreachable { .. }
            | Self::TimeExceeded { .. }
            | Self::ParameterProblem { .. } => true,
            Self::Other { kind, .. } => is_error_type(*kind),
        }
    }

    /// Writes the header into the first [`HEADER_LENGTH`] bytes, its checksum over itself and `payload`.
    pub fn emit<I>(&self, payload: I, bytes: &mut [u8])
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        bytes[..HEADER_LENGTH].fill(0);
        match *self {
            Self::EchoRequest { identifier, sequence } | Self::EchoReply { identifier, sequence } => {
                bytes[0] = if matches!(self, Self::EchoReply { .. }) { ECHO_REPLY } else { ECHO_REQUEST };
                put_u16(bytes, 4, identifier);
                put_u16(bytes, 6, sequence);
            }
            Self::DestinationUnreachable { code, mtu } => {
                bytes[0] = DESTINATION_UNREACHABLE;
                bytes[1] = code.0;
                put_u16(bytes, 6, mtu);
            }
            Self::TimeExceeded { code } => {
                bytes[0] = TIME_EXCEEDED;
                bytes[1] = code;
            }
            Self::ParameterProblem { pointer } => {
                bytes[0] = PARAMETER_PROBLEM;
                bytes[4] = pointer;
            }
            Self::Other { kind, code } => {
                bytes[0] = kind;
                bytes[1] = code;
            }
        }
        let mut sum = Sum::new();
        sum.add(&bytes[..HEADER_LENGTH]);
        sum.add_chunks(payload);
        put_u16(bytes, 2, sum.checksum());
    }
}

/// Whether a type is an error's, also of a message that is quoted and of which only the type is known.
///
/// DEVIATES RFC 1122 §3.2.2: every type that RFC 1122 does not name as a query counts as an error, so that an
/// unknown one is never answered.
pub const fn is_error_type(kind: u8) -> bool {
    // Echo, router discovery, timestamp, information and address mask are queries.
    !matches!(kind, ECHO_REPLY | ECHO_REQUEST | 9 | 10 | 13..=18) || kind == REDIRECT
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_wrong_has_a_name() {
        let mut bytes = [0; 8];
        Message::EchoRequest { identifier: 1, sequence: 2 }.emit([[]; 0], &mut bytes);
        assert_eq!(Message::parse(&bytes[..7]), Err(Malformed::Truncated));
        bytes[7] ^= 1;
        assert_eq!(Message::parse(&bytes), Err(Malformed::Checksum));
    }

    #[test]
    fn errors_are_told_from_queries() {
        assert!(!Message::EchoRequest { identifier: 0, sequence: 0 }.is_error());
        assert!(Message::TimeExceeded { code: 0 }.is_error());
        assert!(is_error_type(REDIRECT) && is_error_type(4) && is_error_type(200));
        assert!(!is_error_type(13) && !is_error_type(18) && !is_error_type(9));
    }

    fn any_message() -> impl Strategy<Value = Message> {
        prop_oneof![
            (any::<u16>(), any::<u16>())
                .prop_map(|(identifier, sequence)| { Message::EchoRequest { identifier, sequence } }),
            (any::<u16>(), any::<u16>())
                .prop_map(|(identifier, sequence)| Message::EchoReply { identifier, sequence }),
            (any::<u8>(), any::<u16>())
                .prop_map(|(code, mtu)| Message::DestinationUnreachable { code: Unreachable(code), mtu }),
            any::<u8>().prop_map(|code| Message::TimeExceeded { code }),
            any::<u8>().prop_map(|pointer| Message::ParameterProblem { pointer }),
            (13..=18u8, any::<u8>()).prop_map(|(kind, code)| Message::Other { kind, code }),
        ]
    }

    proptest! {
        #[test]
        fn a_message_survives_the_wire(message in any_message(), payload in prop::collection::vec(any::<u8>(), 0..70)) {
            let mut bytes = alloc::vec![0; HEADER_LENGTH];
            let (front, back) = payload.split_at(payload.len() / 3);
            message.emit([front, back], &mut bytes);
            bytes.extend(&payload);
            prop_assert_eq!(Message::parse(&bytes), Ok((message, HEADER_LENGTH)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..64), tidy: bool) {
            if tidy && bytes.len() >= HEADER_LENGTH {
                put_u16(&mut bytes, 2, 0);
                let sum = crate::checksum::checksum(&bytes);
                put_u16(&mut bytes, 2, sum);
                prop_assert!(Message::parse(&bytes).is_ok());
            }
            let _ = Message::parse(&bytes);
        }
    }
}
