//! IPv4 identifications and IPv6 fragment identifications (RFC 6864, RFC 7739).

use crate::index::words_of;
use core::net::IpAddr;
use hash::Key;
use wire::Protocol;

/// Counters to choose from: one is shared by few pairs of addresses, so that each pair's numbers last long.
const COUNTERS: usize = 256;

/// Counters chosen by a keyed hash of the pair of addresses (RFC 7739 §5.3): nobody else can foretell the next
/// number, and a pair's own is not used again before the counter has gone round.
#[derive(Debug)]
pub(crate) struct Identifications {
    key: Key,
    counters: [u32; COUNTERS],
}

impl Identifications {
    pub(crate) const fn new(key: Key) -> Self {
        Self { key, counters: [0; COUNTERS] }
    }

    /// The next number between two addresses. IPv4 uses its low 16 bits.
    pub(crate) fn next(&mut self, source: IpAddr, destination: IpAddr, protocol: Protocol) -> u32 {
        let [a, b] = words_of(source);
        let [c, d] = words_of(destination);
        let hash = self.key.strong(&[a, b, c, d, protocol.0.into()]);
        let counter = &mut self.counters[hash as usize % COUNTERS];
        *counter = counter.wrapping_add(1);
        counter.wrapping_add((hash >> 32) as u32)
    }
}
