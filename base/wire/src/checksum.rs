//! The Internet checksum (RFC 1071), its incremental update (RFC 1624), and the pseudo-headers of IPv4
//! (RFC 9293 §3.1) and IPv6 (RFC 8200 §8.1).

use crate::Protocol;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes that one round of the summing loop takes.
const BLOCK: usize = 64;

/// A ones-complement sum in progress, over as many chunks as there are.
///
/// A chunk of odd length is right wherever it stands: the bytes after it are summed at their real places.
///
/// ```
/// use wire::checksum::Sum;
/// let mut whole = Sum::new();
/// whole.add(b"odd chunk");
/// let mut parts = Sum::new();
/// parts.add(b"odd");
/// parts.add(b" chunk");
/// assert_eq!(whole.checksum(), parts.checksum());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// The sum of 16-bit words so far; it cannot overflow before 2^48 words.
    total: u64,
    /// Whether an odd number of bytes has been summed.
    odd: bool,
}

impl Sum {
    /// The sum of nothing.
    pub const fn new() -> Self {
        Self { total: 0, odd: false }
    }

    /// The sum of IPv4's pseudo-header for `length` bytes of transport header and payload.
    pub const fn pseudo_v4(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: Protocol,
        length: usize,
    ) -> Self {
        let source = source.to_bits() as u64;
        let destination = destination.to_bits() as u64;
        let addresses = (source >> 16) + (source & 0xffff) + (destination >> 16) + (destination & 0xffff);
        Self { total: addresses + protocol.0 as u64 + length as u64, odd: false }
    }

    /// The sum of IPv6's pseudo-header for `length` bytes of upper-layer header and payload.
    pub fn pseudo_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: Protocol, length: usize) -> Self {
        let mut sum = Self {
            total: u64::from(protocol.0) + (length as u64 >> 16) + (length as u64 & 0xffff),
            odd: false,
        };
        sum.add(&source.octets());
        sum.add(&destination.octets());
        sum
    }

    /// The sum of the pseudo-header of whichever version both addresses are; `None` where they differ.
    pub fn pseudo(source: IpAddr, destination: IpAddr, protocol: Protocol, length: usize) -> Option<Self> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Some(Self::pseudo_v4(source, destination, protocol, length))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                Some(Self::pseudo_v6(source, destination, protocol, length))
            }
            _ => None,
        }
    }

    /// Adds the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        let sum = sum_words(bytes);
        // RFC 1071 §2(B): a sum of swapped words is the swapped sum.
        self.total += u64::from(if self.odd { sum.swap_bytes() } else { sum });
        self.odd ^= bytes.len() & 1 == 1;
    }

    /// Adds every chunk in order.
    pub fn add_chunks<I>(&mut self, chunks: I)
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        for chunk in chunks {
            self.add(chunk.as_ref());
        }
    }

    /// The sum folded to 16 bits and not complemented: what a field holds whose checksum a device finishes.
    pub const fn partial(self) -> u16 {
        fold(self.total)
    }

    /// The checksum: the complement of the folded sum.
    pub const fn checksum(self) -> u16 {
        !fold(self.total)
    }

    /// Whether bytes summed with their checksum among them are intact.
    pub const fn is_valid(self) -> bool {
        fold(self.total) == 0xffff
    }
}

/// The checksum of one run of bytes.
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = Sum::new();
    sum.add(bytes);
    sum.checksum()
}

/// A checksum after one 16-bit word under it changed from `old` to `new`, by RFC 1624 §3 (eqn. 3).
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(!checksum as u64 + !old as u64 + new as u64)
}

/// As [`update`], for a 32-bit field at an even offset.
pub const fn update_u32(checksum: u16, old: u32, new: u32) -> u16 {
    let checksum = update(checksum, (old >> 16) as u16, (new >> 16) as u16);
    update(checksum, old as u16, new as u16)
}

/// The big-endian 16-bit words of `bytes`, the last padded with zero, summed and folded.
fn sum_words(bytes: &[u8]) -> u16 {
    // Words are summed as the machine reads them; one swap at the end makes the sum big-endian (RFC 1071 §2(B)).
    // 32-bit halves in 64-bit sums leave no carry to chase, and in lanes the compiler vectorises them.
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut total = if blocks.is_empty() { 0 } else { sum_blocks(blocks) };
    let (words, tail) = rest.as_chunks::<4>();
    for word in words {
        total += u64::from(u32::from_ne_bytes(*word));
    }
    // Byte by byte: a copy of unknown length would be a call.
    for (place, byte) in tail.iter().enumerate() {
        let mut last = [0; 4];
        last[place] = *byte;
        total += u64::from(u32::from_ne_bytes(last));
    }
    u16::from_be(fold(total))
}

fn sum_blocks(blocks: &[[u8; BLOCK]]) -> u64 {
    let mut lanes = [0u64; BLOCK / 8];
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            let word = u64::from_ne_bytes(*word);
            *lane += (word & 0xffff_ffff) + (word >> 32);
        }
    }
    lanes.iter().sum()
}

/// Adds the carries back in until 16 bits are left.
const fn fold(mut total: u64) -> u16 {
    total = (total & 0xffff_ffff) + (total >> 32);
    total = (total & 0xffff) + (total >> 16);
    total = (total & 0xffff) + (total >> 16);
    total = (total & 0xffff) + (total >> 16);
    total as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// RFC 1071 §1 as it is written: word by word.
    fn by_the_book(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn the_example_of_rfc_1071_sums_to_ddf2() {
        let mut sum = Sum::new();
        sum.add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.partial(), 0xddf2);
    }

    #[test]
    fn the_example_of_rfc_1624_updates_to_zero() {
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn a_large_run_of_ones_does_not_overflow() {
        let bytes = alloc::vec![0xff; 1 << 20];
        assert_eq!(checksum(&bytes), by_the_book(&bytes));
    }

    proptest! {
        #[test]
        fn chunks_sum_as_the_whole_does(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            mut cuts in prop::collection::vec(0..300usize, 0..6),
        ) {
            cuts.sort_unstable();
            let mut sum = Sum::new();
            let mut from = 0;
            for cut in cuts {
                let to = cut.min(bytes.len());
                sum.add(&bytes[from..to]);
                from = to;
            }
            sum.add_chunks([&bytes[from..]]);
            prop_assert_eq!(sum.checksum(), by_the_book(&bytes));
            prop_assert_eq!(sum.partial(), !by_the_book(&bytes));
        }

        #[test]
        fn an_update_is_as_good_as_summing_again(
            words in prop::collection::vec(any::<u16>(), 4..40),
            new in any::<u32>(),
        ) {
            let bytes = |words: &[u16]| -> Vec<u8> { words.iter().flat_map(|word| word.to_be_bytes()).collect() };
            let before = checksum(&bytes(&words));
            let mut changed = words.clone();
            (changed[2], changed[3]) = ((new >> 16) as u16, new as u16);
            let old = u32::from(words[2]) << 16 | u32::from(words[3]);
            let mut sum = Sum::new();
            sum.add(&bytes(&changed));
            sum.add(&update_u32(before, old, new).to_be_bytes());
            prop_assert!(sum.is_valid());
            prop_assert_eq!(update_u32(before, old, new), update(update(before, words[2], changed[2]), words[3], changed[3]));
        }

        #[test]
        fn a_pseudo_header_sums_as_its_bytes_do(
            source in any::<u128>(), destination in any::<u128>(), protocol in any::<u8>(), length in 0..200_000usize,
        ) {
            let (source, destination) = (Ipv6Addr::from_bits(source), Ipv6Addr::from_bits(destination));
            let mut bytes = Vec::new();
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
            bytes.extend((length as u32).to_be_bytes());
            bytes.extend([0, 0, 0, protocol]);
            let sum = Sum::pseudo_v6(source, destination, Protocol(protocol), length);
            prop_assert_eq!(sum.checksum(), by_the_book(&bytes));

            let (source, destination) = (Ipv4Addr::from_bits(source.to_bits() as u32), Ipv4Addr::LOCALHOST);
            let length = length % 65_536;
            let mut bytes = Vec::new();
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
            bytes.extend([0, protocol]);
            bytes.extend((length as u16).to_be_bytes());
            let sum = Sum::pseudo_v4(source, destination, Protocol(protocol), length);
            prop_assert_eq!(sum.checksum(), by_the_book(&bytes));
            prop_assert_eq!(Some(sum), Sum::pseudo(IpAddr::V4(source), IpAddr::V4(destination), Protocol(protocol), length));
        }
    }
}
