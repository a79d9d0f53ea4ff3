//! IPv6 extension headers (RFC 8200 §4), walked once from the fixed header to the upper layer.
//!
//! ```text
//!  IPv6 | hop-by-hop | destination | routing | fragment | destination | upper layer
//!       '---------- walk ----------------------'
//!                 a fragment ends it; the reassembled payload is walked on
//! ```

use crate::Protocol;
use crate::field::{put_u16, put_u32, u16_at, u32_at};
use crate::ipv6;

/// Bytes of a fragment header.
pub const FRAGMENT_LENGTH: usize = 8;
/// Extension headers that are walked before a packet is given up: RFC 8200 §4.1 recommends an order in which there
/// are seven at most.
pub const HEADERS_MAX: usize = 8;
/// Options that are read in one header, padding included (RFC 8504 §5.3 lets a host bound them).
pub const OPTIONS_MAX: usize = 32;

/// Where a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// What stands at `offset`: the upper layer, [`Protocol::NO_NEXT_HEADER`], or what the fragments hold.
    pub protocol: Protocol,
    /// Bytes from the start of the packet to the upper layer's header, or to the fragment's payload.
    pub offset: usize,
    /// Bytes from the start of the packet to the field that named `protocol`: the pointer of an ICMPv6 error about
    /// a protocol that is not known (RFC 8200 §4).
    pub protocol_pointer: usize,
    /// Set where the payload is a part of a packet that has to be put together first. An atomic fragment, which is
    /// the whole, is walked through and sets nothing (RFC 6946 §4, RFC 8200 §4.5).
    pub fragment: Option<Fragment>,
}

/// What a fragment header tells (RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Groups the fragments of one packet.
    pub identification: u32,
    /// Where the payload stands in the whole, in bytes: a multiple of 8.
    pub offset: u16,
    /// More fragments follow.
    pub more: bool,
}

/// Why a walk did not end at an upper layer: the packet is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end before an extension header does.
    Truncated,
    /// More than [`HEADERS_MAX`] extension headers.
    TooManyHeaders,
    /// More than [`OPTIONS_MAX`] options in one header.
    TooManyOptions,
    /// Hop-by-hop options that are not first (RFC 8200 §4.1): ICMPv6 "next header" at `pointer`.
    HopByHopNotFirst {
        /// Bytes from the start of the packet.
        pointer: usize,
    },
    /// An option whose length leaves its header: ICMPv6 "header field" at `pointer`.
    OptionLength {
        /// Bytes from the start of the packet.
        pointer: usize,
    },
    /// An option that is not known and says that the packet is to be dropped (RFC 8200 §4.2).
    Option {
        /// Bytes from the start of the packet.
        pointer: usize,
        /// Whom to tell by ICMPv6 "option".
        answer: Answer,
    },
    /// A routing header of a type that is not known, with segments left (RFC 8200 §4.4, RFC 5095 for type 0):
    /// ICMPv6 "header field" at `pointer`.
    RoutingType {
        /// Bytes from the start of the packet.
        pointer: usize,
    },
    /// A fragment that is not the last and not a multiple of 8 bytes long: ICMPv6 "header field" at `pointer`, the
    /// payload length (RFC 8200 §4.5).
    FragmentLength {
        /// Bytes from the start of the packet.
        pointer: usize,
    },
    /// A fragment that reaches beyond 65,535 bytes: ICMPv6 "header field" at `pointer`, the fragment offset.
    FragmentBeyondEnd {
        /// Bytes from the start of the packet.
        pointer: usize,
    },
    /// A fragment header in what was or is to be put together from fragments: nothing sends it, and nested
    /// reassembly would have no bound.
    NestedFragment,
    /// A first fragment that does not hold every header (RFC 7112 §5): ICMPv6 "incomplete header chain".
    IncompleteHeaderChain,
}

/// Whether a dropped packet's sender is told (RFC 8200 §4.2, the two highest bits of an option's type).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nobody is told.
    Silent,
    /// The sender is told, also where the packet went to a group.
    Always,
    /// The sender is told, but not where the packet went to a group.
    UnicastOnly,
}

/// Walks from the fixed header of the packet in `bytes` (which ends where its payload length says) to the upper
/// layer or a fragment.
///
/// # Errors
///
/// What is wrong, with where it stands.
pub fn walk(header: &ipv6::Header, bytes: &[u8]) -> Result<Walk, Malformed> {
    let start = Walk {
        protocol: header.next_header,
        offset: ipv6::HEADER_LENGTH,
        protocol_pointer: 6,
        fragment: None,
    };
    let end = bytes.len().min(ipv6::HEADER_LENGTH + usize::from(header.payload_length));
    walk_on(start, &bytes[..end], Place::Packet)
}

/// Walks the payload of a packet put together from fragments, whose first header is `protocol`. Offsets and pointers
/// are counted from the start of `bytes`.
///
/// # Errors
///
/// What is wrong, with where it stands.
pub fn walk_reassembled(protocol: Protocol, bytes: &[u8]) -> Result<Walk, Malformed> {
    walk_on(Walk { protocol, offset: 0, protocol_pointer: 0, fragment: None }, bytes, Place::Reassembled)
}

/// What a walk started in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A packet as it arrived.
    Packet,
    /// What fragments hold together.
    Reassembled,
}

fn walk_on(mut walk: Walk, bytes: &[u8], place: Place) -> Result<Walk, Malformed> {
    for count in 0..=HEADERS_MAX {
        let first = count == 0 && place == Place::Packet;
        let at = walk.offset;
        let length = match walk.protocol {
            Protocol::HOP_BY_HOP if !first => {
                return Err(Malformed::HopByHopNotFirst { pointer: walk.protocol_pointer });
            }
            Protocol::HOP_BY_HOP | Protocol::DESTINATION_OPTIONS => {
                let length = header_length(bytes, at)?;
                check_options(bytes, at + 2, at + length)?;
                length
            }
            Protocol::ROUTING => {
                let length = header_length(bytes, at)?;
                // RFC 8200 §4.4: with no segments left an unknown type is passed over. No type is known: a stack
                // at the end of a path forwards for nobody.
                if bytes[at + 3] != 0 {
                    return Err(Malformed::RoutingType { pointer: at + 2 });
                }
                length
            }
            Protocol::FRAGMENT if place == Place::Reassembled => return Err(Malformed::NestedFragment),
            Protocol::FRAGMENT => {
                walk.fragment = fragment_at(bytes, at)?;
                FRAGMENT_LENGTH
            }
            _ => return Ok(walk),
        };
        walk.protocol = Protocol(bytes[at]);
        walk.protocol_pointer = at;
        walk.offset = at + length;
        if let Some(fragment) = walk.fragment {
            // RFC 7112 §5: a first fragment holds all headers, up to the upper layer's.
            if fragment.offset == 0 {
                check_first_fragment(walk, bytes)?;
            }
            return Ok(walk);
        }
    }
    Err(Malformed::TooManyHeaders)
}

/// The length of the options or routing header at `at`, all of which is there.
fn header_length(bytes: &[u8], at: usize) -> Result<usize, Malformed> {
    let units = usize::from(*bytes.get(at + 1).ok_or(Malformed::Truncated)?);
    let length = 8 + units * 8;
    if at + length > bytes.len() {
        return Err(Malformed::Truncated);
    }
    Ok(length)
}

/// Reads the options in `at .. end`: none is known but padding, each says itself what then becomes of the packet.
fn check_options(bytes: &[u8], mut at: usize, end: usize) -> Result<(), Malformed> {
    for _ in 0..OPTIONS_MAX {
        if at == end {
            return Ok(());
        }
        let kind = bytes[at];
        // Pad1 (RFC 8200 §4.2).
        if kind == 0 {
            at += 1;
            continue;
        }
        if at + 1 >= end {
            return Err(Malformed::OptionLength { pointer: at });
        }
        let next = at + 2 + usize::from(bytes[at + 1]);
        if next > end {
            return Err(Malformed::OptionLength { pointer: at + 1 });
        }
        let answer = match kind >> 6 {
            0 => None,
            1 => Some(Answer::Silent),
            2 => Some(Answer::Always),
            _ => Some(Answer::UnicastOnly),
        };
        if let Some(answer) = answer {
            return Err(Malformed::Option { pointer: at, answer });
        }
        at = next;
    }
    if at == end { Ok(()) } else { Err(Malformed::TooManyOptions) }
}

/// The fragment header at `at`; `None` for an atomic fragment.
fn fragment_at(bytes: &[u8], at: usize) -> Result<Option<Fragment>, Malformed> {
    let Some(header) = bytes.get(at..at + FRAGMENT_LENGTH) else {
        return Err(Malformed::Truncated);
    };
    let field = u16_at(header, 2);
    let fragment =
        Fragment { identification: u32_at(header, 4), offset: field & 0xfff8, more: field & 1 == 1 };
    if fragment.offset == 0 && !fragment.more {
        return Ok(None);
    }
    let payload = bytes.len() - at - FRAGMENT_LENGTH;
    if fragment.more && (payload == 0 || !payload.is_multiple_of(8)) {
        return Err(Malformed::FragmentLength { pointer: 4 });
    }
    if usize::from(fragment.offset) + payload > usize::from(u16::MAX) {
        return Err(Malformed::FragmentBeyondEnd { pointer: at + 2 });
    }
    Ok(Some(fragment))
}

/// Whether the first fragment's payload, which starts where `walk` ended, holds every header.
fn check_first_fragment(walk: Walk, bytes: &[u8]) -> Result<(), Malformed> {
    let whole = Walk { fragment: None, ..walk };
    let upper = match walk_on(whole, bytes, Place::Reassembled) {
        Ok(upper) => upper,
        Err(Malformed::Truncated) => return Err(Malformed::IncompleteHeaderChain),
        Err(malformed) => return Err(malformed),
    };
    let header_length = match upper.protocol {
        Protocol::TCP => crate::tcp::HEADER_LENGTH,
        Protocol::UDP => crate::udp::HEADER_LENGTH,
        Protocol::ICMPV6 => 4,
        _ => 0,
    };
    if upper.offset + header_length > bytes.len() {
        return Err(Malformed::IncompleteHeaderChain);
    }
    Ok(())
}

impl Fragment {
    /// Writes the fragment header, naming `next` as what the fragments hold, into the first [`FRAGMENT_LENGTH`]
    /// bytes.
    pub fn emit(&self, next: Protocol, bytes: &mut [u8]) {
        bytes[0] = next.0;
        bytes[1] = 0;
        put_u16(bytes, 2, (self.offset & 0xfff8) | u16::from(self.more));
        put_u32(bytes, 4, self.identification);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::net::Ipv6Addr;
    use proptest::prelude::*;

    const TCP: &[u8] = &[0; 20];

    /// A packet whose extension headers are `chain`, each with what it is; then `protocol` and `payload`.
    fn packet(chain: &[(Protocol, &[u8])], protocol: Protocol, payload: &[u8]) -> (ipv6::Header, Vec<u8>) {
        let mut bytes = alloc::vec![0; ipv6::HEADER_LENGTH];
        let mut naming = 6;
        for (kind, extension) in chain {
            bytes[naming] = kind.0;
            naming = bytes.len();
            bytes.extend_from_slice(extension);
        }
        bytes[naming] = protocol.0;
        bytes.extend_from_slice(payload);
        let header = ipv6::Header {
            traffic_class: 0,
            flow_label: 0,
            payload_length: (bytes.len() - ipv6::HEADER_LENGTH) as u16,
            next_header: Protocol(bytes[6]),
            hop_limit: 64,
            source: Ipv6Addr::LOCALHOST,
            destination: Ipv6Addr::LOCALHOST,
        };
        header.emit(&mut bytes);
        (header, bytes)
    }

    fn walked(chain: &[(Protocol, &[u8])], protocol: Protocol, payload: &[u8]) -> Result<Walk, Malformed> {
        let (header, bytes) = packet(chain, protocol, payload);
        walk(&header, &bytes)
    }

    fn fragment(offset: u16, more: bool) -> [u8; FRAGMENT_LENGTH] {
        let mut bytes = [0; FRAGMENT_LENGTH];
        Fragment { identification: 77, offset, more }.emit(Protocol::TCP, &mut bytes);
        bytes
    }

    /// Six bytes of padding as one PadN.
    const PADDED: &[u8] = &[0, 0, 1, 4, 0, 0, 0, 0];

    #[test]
    fn a_chain_is_walked_to_the_upper_layer() {
        let bare = walked(&[], Protocol::TCP, TCP).expect("well-formed");
        assert_eq!((bare.offset, bare.protocol_pointer, bare.protocol), (40, 6, Protocol::TCP));
        let chain = [
            (Protocol::HOP_BY_HOP, PADDED),
            (Protocol::DESTINATION_OPTIONS, &[0, 1, 0, 0, 0, 0, 0, 0, 1, 6, 0, 0, 0, 0, 0, 0]),
            (Protocol::ROUTING, &[0, 0, 77, 0, 0, 0, 0, 0]),
            (Protocol::DESTINATION_OPTIONS, PADDED),
        ];
        let walk = walked(&chain, Protocol::UDP, TCP).expect("well-formed");
        assert_eq!(walk, Walk { protocol: Protocol::UDP, offset: 80, protocol_pointer: 72, fragment: None });
        let none = walked(&chain[..1], Protocol::NO_NEXT_HEADER, &[]).expect("well-formed");
        assert_eq!(none.protocol, Protocol::NO_NEXT_HEADER);
    }

    #[test]
    fn hop_by_hop_options_stand_first_or_nowhere() {
        let chain = [(Protocol::DESTINATION_OPTIONS, PADDED), (Protocol::HOP_BY_HOP, PADDED)];
        assert_eq!(walked(&chain, Protocol::TCP, TCP), Err(Malformed::HopByHopNotFirst { pointer: 40 }));
        let inside = walk_reassembled(Protocol::HOP_BY_HOP, PADDED);
        assert_eq!(inside, Err(Malformed::HopByHopNotFirst { pointer: 0 }));
    }

    #[test]
    fn an_unknown_option_says_itself_what_becomes_of_the_packet() {
        for (kind, answer) in [(0x5e, Answer::Silent), (0x9e, Answer::Always), (0xde, Answer::UnicastOnly)] {
            let options = [0, 0, 1, 0, kind, 2, 0, 0];
            let result = walked(&[(Protocol::DESTINATION_OPTIONS, &options)], Protocol::TCP, TCP);
            assert_eq!(result, Err(Malformed::Option { pointer: 44, answer }));
        }
        assert!(
            walked(&[(Protocol::DESTINATION_OPTIONS, &[0, 0, 0x1e, 4, 0, 0, 0, 0])], Protocol::TCP, TCP)
                .is_ok()
        );
    }

    #[test]
    fn option_lengths_stay_in_their_header() {
        let beyond = [0, 0, 0, 0, 0, 0, 1, 1];
        let result = walked(&[(Protocol::HOP_BY_HOP, &beyond)], Protocol::TCP, TCP);
        assert_eq!(result, Err(Malformed::OptionLength { pointer: 47 }));
        let without_length = [0, 0, 0, 0, 0, 0, 0, 1];
        let result = walked(&[(Protocol::HOP_BY_HOP, &without_length)], Protocol::TCP, TCP);
        assert_eq!(result, Err(Malformed::OptionLength { pointer: 47 }));
    }

    #[test]
    fn headers_and_options_are_bounded() {
        let chain = [(Protocol::DESTINATION_OPTIONS, PADDED); HEADERS_MAX];
        assert!(walked(&chain, Protocol::TCP, TCP).is_ok());
        let chain = [(Protocol::DESTINATION_OPTIONS, PADDED); HEADERS_MAX + 1];
        assert_eq!(walked(&chain, Protocol::TCP, TCP), Err(Malformed::TooManyHeaders));
        let mut pads = [0; 40];
        pads[1] = 4;
        let result = walked(&[(Protocol::HOP_BY_HOP, &pads)], Protocol::TCP, TCP);
        assert_eq!(result, Err(Malformed::TooManyOptions));
    }

    #[test]
    fn a_source_route_is_refused_while_segments_are_left() {
        let route = [0, 0, 0, 1, 0, 0, 0, 0];
        let result = walked(&[(Protocol::ROUTING, &route)], Protocol::TCP, TCP);
        assert_eq!(result, Err(Malformed::RoutingType { pointer: 42 }));
    }

    #[test]
    fn a_fragment_ends_the_walk() {
        let walk = walked(&[(Protocol::FRAGMENT, &fragment(1_232, false))], Protocol::TCP, &[1; 5])
            .expect("well-formed");
        let fragment_read = Some(Fragment { identification: 77, offset: 1_232, more: false });
        let expected =
            Walk { protocol: Protocol::TCP, offset: 48, protocol_pointer: 40, fragment: fragment_read };
        assert_eq!(walk, expected);
        let first = walked(&[(Protocol::FRAGMENT, &fragment(0, true))], Protocol::TCP, &[1; 24])
            .expect("well-formed");
        assert_eq!(first.fragment.map(|fragment| fragment.offset), Some(0));
    }

    #[test]
    fn an_atomic_fragment_is_the_whole_packet() {
        let walk =
            walked(&[(Protocol::FRAGMENT, &fragment(0, false))], Protocol::TCP, TCP).expect("well-formed");
        assert_eq!((walk.fragment, walk.protocol, walk.offset), (None, Protocol::TCP, 48));
    }

    #[test]
    fn fragments_that_cannot_be_are_named() {
        let wrong = |fragment: [u8; 8], payload: &[u8]| {
            walked(&[(Protocol::FRAGMENT, &fragment)], Protocol::TCP, payload).expect_err("malformed")
        };
        assert_eq!(wrong(fragment(0, true), &[0; 23]), Malformed::FragmentLength { pointer: 4 });
        assert_eq!(wrong(fragment(8, true), &[]), Malformed::FragmentLength { pointer: 4 });
        assert_eq!(wrong(fragment(65_528, false), &[0; 8]), Malformed::FragmentBeyondEnd { pointer: 42 });
        assert_eq!(wrong(fragment(0, true), &[0; 16]), Malformed::IncompleteHeaderChain);
        let nested = [(Protocol::FRAGMENT, &fragment(0, true)[..]), (Protocol::FRAGMENT, &fragment(0, true))];
        assert_eq!(walked(&nested, Protocol::TCP, &[0; 24]), Err(Malformed::NestedFragment));
        assert_eq!(walk_reassembled(Protocol::FRAGMENT, &fragment(0, false)), Err(Malformed::NestedFragment));
    }

    proptest! {
        #[test]
        fn every_truncation_of_a_header_is_named(keep in 1..24usize) {
            let chain = [(Protocol::HOP_BY_HOP, PADDED), (Protocol::ROUTING, &[0; 8]), (Protocol::FRAGMENT, &[0; 8])];
            let (mut header, bytes) = packet(&chain, Protocol::TCP, &[]);
            header.payload_length = keep as u16;
            prop_assert_eq!(walk(&header, &bytes), Err(Malformed::Truncated));
        }

        #[test]
        fn any_chain_is_walked_or_refused(
            next in 0..70u8, bytes in prop::collection::vec(prop_oneof![4 => 0..3u8, 1 => any::<u8>()], 0..200),
            kinds in prop::collection::vec(prop::sample::select(&[0u8, 6, 43, 44, 60][..]), 0..12),
        ) {
            let mut all = alloc::vec![0; ipv6::HEADER_LENGTH];
            all.extend(&bytes);
            // Where headers of the smallest length would stand, something that continues the chain.
            for (place, kind) in all[ipv6::HEADER_LENGTH..].chunks_mut(8).zip(kinds) {
                place[0] = kind;
            }
            let (mut header, _) = packet(&[], Protocol(next), &[]);
            header.payload_length = bytes.len() as u16;
            if let Ok(walk) = walk(&header, &all) {
                prop_assert!(walk.offset <= all.len() && walk.protocol_pointer < walk.offset);
            }
            let _ = walk_reassembled(Protocol(next), &bytes);
        }
    }
}
