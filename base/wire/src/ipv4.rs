//! The IPv4 header (RFC 791 §3.1, RFC 6864 for the identification) and its options.

use crate::Protocol;
use crate::checksum::checksum;
use crate::field::{ipv4_at, put_u16, u16_at};
use core::net::Ipv4Addr;

/// Bytes of a header without options.
pub const HEADER_LENGTH: usize = 20;
/// Bytes of the largest header.
pub const HEADER_LENGTH_MAX: usize = 60;
/// The smallest MTU that every link has, in bytes (RFC 791 §3.2).
pub const MTU_MIN: u16 = 68;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;

/// The header without its options; those are read from the bytes by [`options`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// DSCP in the upper six bits (RFC 2474), ECN in the lower two (RFC 3168).
    pub traffic_class: u8,
    /// Bytes of header and payload together.
    pub total_length: u16,
    /// Groups the fragments of one packet; meaningless in one that is and stays whole (RFC 6864 §4).
    pub identification: u16,
    /// Routers must not fragment it.
    pub dont_fragment: bool,
    /// More fragments of the packet follow this one.
    pub more_fragments: bool,
    /// Where the payload stands in the whole packet's, in bytes: a multiple of 8.
    pub fragment_offset: u16,
    /// Hops it may still take.
    pub ttl: u8,
    /// What the payload is.
    pub protocol: Protocol,
    /// The sender.
    pub source: Ipv4Addr,
    /// The receiver.
    pub destination: Ipv4Addr,
}

/// Why bytes are no IPv4 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end before the header does.
    TruncatedHeader,
    /// The bytes end before the packet does.
    TruncatedPayload,
    /// Another version's number.
    Version,
    /// A header length below 20.
    HeaderLength,
    /// A total length that does not hold the header.
    TotalLength,
    /// The header's checksum does not hold (RFC 1122 §3.2.1.2).
    Checksum,
    /// An option whose length leaves the header; at which byte of the header its length stands
    /// (RFC 792, Parameter Problem).
    OptionLength {
        /// Bytes from the start of the header.
        pointer: u8,
    },
    /// A fragment that would reach beyond 65,535 bytes.
    FragmentBeyondEnd,
    /// A fragment that is not the last and not a multiple of 8 bytes long.
    FragmentLength,
}

impl Header {
    /// Reads the header of a packet that is whole in `bytes`; with it, the header's length, options included.
    /// What follows `total_length` is the link's padding.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), Malformed> {
        let (header, length) = Self::parse_quoted(bytes)?;
        let total = usize::from(header.total_length);
        if total > bytes.len() {
            return Err(Malformed::TruncatedPayload);
        }
        if checksum(&bytes[..length]) != 0 {
            return Err(Malformed::Checksum);
        }
        if length > HEADER_LENGTH {
            check_options(&bytes[HEADER_LENGTH..length])?;
        }
        if header.is_fragment() {
            let payload = total - length;
            if header.more_fragments && (payload == 0 || !payload.is_multiple_of(8)) {
                return Err(Malformed::FragmentLength);
            }
            if usize::from(header.fragment_offset) + total > usize::from(u16::MAX) {
                return Err(Malformed::FragmentBeyondEnd);
            }
        }
        Ok((header, length))
    }

    /// Reads the header of a packet quoted in an ICMP error, which may be cut short and whose checksum a router
    /// may have left as it was (RFC 1812 §4.3.2.3).
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse_quoted(bytes: &[u8]) -> Result<(Self, usize), Malformed> {
        let Some((fixed, _)) = bytes.split_first_chunk::<HEADER_LENGTH>() else {
            return Err(Malformed::TruncatedHeader);
        };
        if fixed[0] >> 4 != 4 {
            return Err(Malformed::Version);
        }
        let length = usize::from(fixed[0] & 0x0f) * 4;
        if length < HEADER_LENGTH {
            return Err(Malformed::HeaderLength);
        }
        if length > bytes.len() {
            return Err(Malformed::TruncatedHeader);
        }
        let total_length = u16_at(fixed, 2);
        if usize::from(total_length) < length {
            return Err(Malformed::TotalLength);
        }
        let fragment = u16_at(fixed, 6);
        let header = Self {
            traffic_class: fixed[1],
            total_length,
            identification: u16_at(fixed, 4),
            dont_fragment: fragment & DONT_FRAGMENT != 0,
            more_fragments: fragment & MORE_FRAGMENTS != 0,
            fragment_offset: (fragment & 0x1fff) << 3,
            ttl: fixed[8],
            protocol: Protocol(fixed[9]),
            source: ipv4_at(fixed, 12),
            destination: ipv4_at(fixed, 16),
        };
        Ok((header, length))
    }

    /// Whether it is a part of a larger packet.
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }

    /// Writes the header, without options and with its checksum, into the first [`HEADER_LENGTH`] bytes.
    pub fn emit(&self, bytes: &mut [u8]) {
        self.emit_with_options(&[], bytes);
    }

    /// Writes the header with `options`, whose length is a multiple of 4 and at most 40, and with its checksum.
    ///
    /// # Panics
    ///
    /// Where the options have another length, or `bytes` no room for them: both are the caller's own.
    pub fn emit_with_options(&self, options: &[u8], bytes: &mut [u8]) {
        let length = HEADER_LENGTH + options.len();
        assert!(length <= HEADER_LENGTH_MAX && length.is_multiple_of(4), "options of an impossible length");
        bytes[0] = 0x40 | (length / 4) as u8;
        bytes[1] = self.traffic_class;
        put_u16(bytes, 2, self.total_length);
        put_u16(bytes, 4, self.identification);
        let mut fragment = self.fragment_offset >> 3;
        fragment |= if self.dont_fragment { DONT_FRAGMENT } else { 0 };
        fragment |= if self.more_fragments { MORE_FRAGMENTS } else { 0 };
        put_u16(bytes, 6, fragment);
        bytes[8] = self.ttl;
        bytes[9] = self.protocol.0;
        put_u16(bytes, 10, 0);
        bytes[12..16].copy_from_slice(&self.source.octets());
        bytes[16..20].copy_from_slice(&self.destination.octets());
        bytes[HEADER_LENGTH..length].copy_from_slice(options);
        let sum = checksum(&bytes[..length]);
        put_u16(bytes, 10, sum);
    }
}

/// One option of a header (RFC 791 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderOption<'a> {
    /// The type byte: copied flag, class and number.
    pub kind: u8,
    /// Bytes from the start of the options to the type byte.
    pub offset: usize,
    /// What follows the length byte; empty for no-operation.
    pub data: &'a [u8],
}

impl HeaderOption<'_> {
    /// Loose source and record route.
    pub const LOOSE_SOURCE_ROUTE: u8 = 131;
    /// Strict source and record route.
    pub const STRICT_SOURCE_ROUTE: u8 = 137;

    /// Whether fragments after the first carry it too (RFC 791 §3.1, the copied flag).
    pub const fn is_copied(&self) -> bool {
        self.kind & 0x80 != 0
    }

    /// Whether the option says by which routers the packet must go.
    pub const fn is_source_route(&self) -> bool {
        matches!(self.kind, Self::LOOSE_SOURCE_ROUTE | Self::STRICT_SOURCE_ROUTE)
    }
}

/// The options in the bytes between the fixed header and the payload, padding left out. Where a length leaves
/// the header, which [`Header::parse`] does not let through, the options end.
pub fn options(bytes: &[u8]) -> impl Iterator<Item = HeaderOption<'_>> {
    let mut at = 0;
    core::iter::from_fn(move || {
        loop {
            match next_option(bytes, at).ok().flatten()? {
                (option, next) if option.kind == 1 => at = next,
                (option, next) => {
                    at = next;
                    return Some(option);
                }
            }
        }
    })
}

fn check_options(bytes: &[u8]) -> Result<(), Malformed> {
    let mut at = 0;
    while let Some((_, next)) = next_option(bytes, at)? {
        at = next;
    }
    Ok(())
}

/// The option at `at` and where the next one stands; `None` at the end of the list.
fn next_option(bytes: &[u8], at: usize) -> Result<Option<(HeaderOption<'_>, usize)>, Malformed> {
    match bytes.get(at) {
        None | Some(0) => Ok(None),
        Some(1) => Ok(Some((HeaderOption { kind: 1, offset: at, data: &[] }, at + 1))),
        Some(&kind) => {
            let malformed = Malformed::OptionLength { pointer: (HEADER_LENGTH + at + 1) as u8 };
            let length = usize::from(*bytes.get(at + 1).ok_or(malformed)?);
            if length < 2 {
                return Err(malformed);
            }
            let data = bytes.get(at + 2..at + length).ok_or(malformed)?;
            Ok(Some((HeaderOption { kind, offset: at, data }, at + length)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn header() -> Header {
        Header {
            traffic_class: 0,
            total_length: 28,
            identification: 7,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol: Protocol::UDP,
            source: Ipv4Addr::new(192, 0, 2, 1),
            destination: Ipv4Addr::new(198, 51, 100, 2),
        }
    }

    fn packet(header: Header, options: &[u8]) -> Vec<u8> {
        let mut bytes = alloc::vec![0; usize::from(header.total_length)];
        header.emit_with_options(options, &mut bytes);
        bytes
    }

    /// The packet with one byte changed and the checksum made right again.
    fn changed(bytes: &[u8], at: usize, value: u8) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        bytes[at] = value;
        let length = (usize::from(bytes[0] & 15) * 4).min(bytes.len());
        put_u16(&mut bytes, 10, 0);
        let sum = checksum(&bytes[..length]);
        put_u16(&mut bytes, 10, sum);
        bytes
    }

    #[test]
    fn what_is_wrong_has_a_name() {
        let good = packet(header(), &[]);
        let wrong = |bytes: &[u8]| Header::parse(bytes).expect_err("malformed");
        assert_eq!(wrong(&good[..19]), Malformed::TruncatedHeader);
        assert_eq!(wrong(&good[..27]), Malformed::TruncatedPayload);
        assert_eq!(wrong(&changed(&good, 0, 0x65)), Malformed::Version);
        assert_eq!(wrong(&changed(&good, 0, 0x44)), Malformed::HeaderLength);
        assert_eq!(wrong(&changed(&good, 0, 0x4f)), Malformed::TruncatedHeader);
        assert_eq!(wrong(&changed(&good, 3, 19)), Malformed::TotalLength);
        let mut flipped = good.clone();
        flipped[8] ^= 1;
        assert_eq!(wrong(&flipped), Malformed::Checksum);
    }

    #[test]
    fn fragments_that_cannot_be_are_named() {
        let last = Header { fragment_offset: 65_528, ..header() };
        assert_eq!(Header::parse(&packet(last, &[])), Err(Malformed::FragmentBeyondEnd));
        let middle = Header { more_fragments: true, total_length: 27, ..header() };
        assert_eq!(Header::parse(&packet(middle, &[])), Err(Malformed::FragmentLength));
        let empty = Header { more_fragments: true, total_length: 20, ..header() };
        assert_eq!(Header::parse(&packet(empty, &[])), Err(Malformed::FragmentLength));
        let good = Header { more_fragments: true, fragment_offset: 1_480, ..header() };
        assert_eq!(Header::parse(&packet(good, &[])), Ok((good, 20)));
    }

    #[test]
    fn options_are_read_past_padding_and_a_bad_length_is_pointed_at() {
        let route = [1, HeaderOption::LOOSE_SOURCE_ROUTE, 7, 4, 10, 0, 0, 1, 1, 68, 2, 0];
        let bytes = packet(Header { total_length: 32, ..header() }, &route);
        let (_, length) = Header::parse(&bytes).expect("well-formed");
        let read: Vec<_> = options(&bytes[HEADER_LENGTH..length]).collect();
        assert_eq!(read.len(), 2);
        assert!(read[0].is_source_route() && read[0].is_copied() && !read[1].is_copied());
        assert_eq!((read[0].offset, read[0].data, read[1].kind), (1, &[4, 10, 0, 0, 1][..], 68));
        for (at, value) in [(22, 1), (22, 12), (30, 0), (30, 4)] {
            let pointer = at as u8;
            let result = Header::parse(&changed(&bytes, at, value));
            assert_eq!(result, Err(Malformed::OptionLength { pointer }), "{value} at {at}");
        }
    }

    fn any_header() -> impl Strategy<Value = Header> {
        let sizes = (20..1_500u16, any::<u8>(), any::<u8>(), any::<u8>());
        (sizes, any::<u16>(), any::<bool>(), any::<u32>(), any::<u32>()).prop_map(
            |(
                (total_length, traffic_class, ttl, protocol),
                identification,
                dont_fragment,
                source,
                destination,
            )| Header {
                traffic_class,
                total_length,
                identification,
                dont_fragment,
                more_fragments: false,
                fragment_offset: 0,
                ttl,
                protocol: Protocol(protocol),
                source: Ipv4Addr::from_bits(source),
                destination: Ipv4Addr::from_bits(destination),
            },
        )
    }

    proptest! {
        #[test]
        fn a_header_survives_the_wire(header in any_header(), offset in 0..1_000u16, padding in 0..30usize) {
            let header = Header { fragment_offset: offset * 8, ..header };
            let mut bytes = packet(header, &[]);
            bytes.resize(bytes.len() + padding, 0xee);
            prop_assert_eq!(Header::parse(&bytes), Ok((header, HEADER_LENGTH)));
            prop_assert_eq!(Header::parse_quoted(&bytes[..HEADER_LENGTH]), Ok((header, HEADER_LENGTH)));
        }

        #[test]
        fn every_truncation_is_named(header in any_header(), keep in 0..1_500usize) {
            let bytes = packet(header, &[]);
            let keep = keep % bytes.len();
            let name = if keep < HEADER_LENGTH { Malformed::TruncatedHeader } else { Malformed::TruncatedPayload };
            prop_assert_eq!(Header::parse(&bytes[..keep]), Err(name));
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..80), tidy: bool) {
            // Half of them are made to pass the first checks, so that the options are reached.
            if tidy && bytes.len() >= 60 {
                let header_length = usize::from(bytes[0] % 11) * 4 + 20;
                bytes[0] = 0x40 | (header_length / 4) as u8;
                bytes[2] = 0;
                bytes[3] = bytes.len() as u8;
                bytes = changed(&bytes, 1, 0);
            }
            if let Ok((header, length)) = Header::parse(&bytes) {
                prop_assert!(usize::from(header.total_length) <= bytes.len() && length >= HEADER_LENGTH);
                let _ = options(&bytes[HEADER_LENGTH..length]).count();
            }
            let _ = Header::parse_quoted(&bytes);
            let _ = options(&bytes).count();
        }
    }
}
