//! Fragments put together again (RFC 791 §3.2, RFC 815, RFC 8200 §4.5).
//!
//! A datagram is kept as its fragments in order. One that overlaps another takes the whole datagram with it, in
//! both versions (RFC 5722); an exact copy of one that is here is passed over (RFC 8200 §4.5). Memory is bounded:
//! the oldest datagram is given up for a new one.

use crate::counters::Drop;
use crate::index::{Index, words_of};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;
use hash::Key;
use packet::Bytes;
use time::{Duration, Instant};
use wire::Ecn;

/// How long fragments wait for the rest: RFC 8200 §4.5 says 60 s, RFC 1122 §3.3.2 60 to 120 s.
pub(crate) const REASSEMBLY_TIMEOUT: Duration = Duration::from_secs(60);

/// Fragments of one datagram: 65,535 bytes in pieces of 576 less their headers are 118.
const FRAGMENTS_MAX: usize = 128;

/// What a fragment is counted with besides its bytes: its place in the list and the buffer's own header.
const FRAGMENT_OVERHEAD_BYTES: usize = 64;

/// The largest payload of an IP packet.
const PAYLOAD_BYTES_MAX: usize = 65_535;

/// What the fragments of one datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FragmentKey {
    pub interface: crate::InterfaceId,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub identification: u32,
    /// The protocol for IPv4 (RFC 791); 0 for IPv6, whose later fragments may name another (RFC 8200 §4.5).
    pub protocol: u8,
}

impl FragmentKey {
    fn words(&self) -> [u64; 5] {
        let [a, b] = words_of(self.source);
        let [c, d] = words_of(self.destination);
        let rest = u64::from(self.identification) << 32
            | u64::from(self.interface.0) << 8
            | u64::from(self.protocol);
        [a, b, c, d, rest]
    }
}

/// One fragment.
#[derive(Debug)]
pub(crate) struct Fragment {
    /// Where its payload belongs, in bytes.
    pub offset: usize,
    /// Whether others follow.
    pub more: bool,
    /// Its payload.
    pub payload: Bytes,
    /// The header that the whole datagram will have in front; only the first fragment's is kept.
    pub header: Bytes,
    /// Its codepoint.
    pub ecn: Ecn,
}

/// A datagram put together.
#[derive(Debug)]
pub(crate) struct Whole {
    /// The first fragment's header, and then the payload.
    pub packet: Bytes,
    /// The header's length.
    pub transport: usize,
    /// The codepoint of them all.
    pub ecn: Ecn,
}

/// What a fragment led to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Others are missing still.
    Waiting,
    /// The datagram is whole.
    Whole(Whole),
    /// The fragment was dropped, with the rest of its datagram or alone.
    Dropped(Drop),
}

/// A datagram that was given up for lack of time, to tell its sender of (RFC 792, RFC 4443 §3.3).
#[derive(Debug)]
pub(crate) struct Expired {
    pub key: FragmentKey,
    /// Header and payload of the first fragment, where it has arrived.
    pub first: Option<(Bytes, Bytes)>,
    /// How many fragments are dropped with it.
    pub fragments: usize,
}

#[derive(Debug)]
struct Partial {
    key: FragmentKey,
    /// By offset, without overlap.
    fragments: Vec<(usize, Bytes)>,
    header: Option<Bytes>,
    /// The codepoint of all fragments so far (RFC 3168 §5.3).
    ecn: Option<Ecn>,
    /// The datagram's payload length, once the last fragment has told it.
    length: Option<usize>,
    received_bytes: usize,
    memory_bytes: usize,
    expires: Instant,
}

/// Datagrams that wait for fragments.
#[derive(Debug)]
pub(crate) struct Reassembly {
    /// By age: a younger one has a larger number, and a later deadline.
    waiting: BTreeMap<u64, Partial>,
    index: Index,
    next: u64,
    memory_bytes: usize,
    memory_bytes_max: usize,
}

impl Reassembly {
    pub(crate) const fn new(key: Key, memory_bytes_max: usize) -> Self {
        Self { waiting: BTreeMap::new(), index: Index::new(key), next: 1, memory_bytes: 0, memory_bytes_max }
    }

    /// Bytes held.
    pub(crate) const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// When the oldest datagram is given up.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|(_, partial)| partial.expires)
    }

    /// One datagram whose time is over.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Expired> {
        let (&number, partial) = self.waiting.first_key_value()?;
        if partial.expires > now {
            return None;
        }
        let partial = self.remove(number)?;
        let first =
            partial.fragments.first().filter(|(offset, _)| *offset == 0).map(|(_, bytes)| bytes.clone());
        Some(Expired {
            key: partial.key,
            first: partial.header.zip(first),
            fragments: partial.fragments.len(),
        })
    }

    /// Takes a fragment. Also says how many fragments of older datagrams were given up to make room.
    pub(crate) fn handle(&mut self, key: FragmentKey, fragment: Fragment, now: Instant) -> (Outcome, usize) {
        let cost = fragment.payload.len() + FRAGMENT_OVERHEAD_BYTES;
        let end = fragment.offset + fragment.payload.len();
        // RFC 791: all but the last carry a multiple of eight bytes; RFC 8200 §4.5: none ends beyond the largest packet.
        let cannot_be = fragment.payload.is_empty()
            || (fragment.more && !fragment.payload.len().is_multiple_of(8))
            || end + fragment.header.len() > PAYLOAD_BYTES_MAX;
        if cannot_be {
            return (Outcome::Dropped(Drop::FragmentMalformed), 0);
        }
        if cost > self.memory_bytes_max {
            return (Outcome::Dropped(Drop::ReassemblyFull), 0);
        }
        let words = key.words();
        let found =
            self.index.find(&words, |n| self.waiting.get(&n).is_some_and(|partial| partial.key == key));
        let number = found.unwrap_or_else(|| self.open(key, now));
        let evicted = self.make_room(cost, number);
        let outcome = self.add(number, fragment, end, cost);
        (outcome, evicted)
    }

    fn open(&mut self, key: FragmentKey, now: Instant) -> u64 {
        let number = self.next;
        self.next += 1;
        let partial = Partial {
            key,
            fragments: Vec::new(),
            header: None,
            ecn: None,
            length: None,
            received_bytes: 0,
            memory_bytes: 0,
            expires: now + REASSEMBLY_TIMEOUT,
        };
        self.waiting.insert(number, partial);
        self.index.insert(&key.words(), number);
        number
    }

    /// Gives the oldest datagrams up until `cost` more bytes fit; `keep` goes last, and then its fragments go with it.
    fn make_room(&mut self, cost: usize, keep: u64) -> usize {
        let mut evicted = 0;
        while self.memory_bytes + cost > self.memory_bytes_max {
            let oldest = self.waiting.keys().copied().find(|&number| number != keep);
            let Some(gone) = oldest.and_then(|number| self.remove(number)) else { break };
            evicted += gone.fragments.len();
        }
        evicted
    }

    fn add(&mut self, number: u64, fragment: Fragment, end: usize, cost: usize) -> Outcome {
        let full = self.memory_bytes + cost > self.memory_bytes_max;
        let Some(partial) = self.waiting.get_mut(&number) else { return Outcome::Waiting };
        match partial.place(&fragment, end) {
            Ok(None) => return Outcome::Waiting,
            Ok(Some(_)) if full => {
                let _ = self.remove(number);
                return Outcome::Dropped(Drop::ReassemblyFull);
            }
            Ok(Some(at)) => {
                if fragment.offset == 0 {
                    partial.header = Some(fragment.header);
                }
                partial.ecn = partial.ecn.map_or(Some(fragment.ecn), |ecn| ecn.joined(fragment.ecn));
                if !fragment.more {
                    partial.length = Some(end);
                }
                partial.received_bytes += fragment.payload.len();
                partial.memory_bytes += cost;
                self.memory_bytes += cost;
                partial.fragments.insert(at, (fragment.offset, fragment.payload));
            }
            Err(reason) => {
                let _ = self.remove(number);
                return Outcome::Dropped(reason);
            }
        }
        if partial.length != Some(partial.received_bytes) {
            return Outcome::Waiting;
        }
        self.remove(number).map_or(Outcome::Waiting, |partial| partial.join())
    }

    fn remove(&mut self, number: u64) -> Option<Partial> {
        let partial = self.waiting.remove(&number)?;
        self.index.remove(&partial.key.words(), number);
        self.memory_bytes -= partial.memory_bytes;
        Some(partial)
    }
}

impl Partial {
    /// Where in the list the fragment belongs; `None` where it is here already.
    fn place(&self, fragment: &Fragment, end: usize) -> Result<Option<usize>, Drop> {
        let at = self.fragments.partition_point(|(offset, _)| *offset < fragment.offset);
        if let Some((offset, bytes)) = self.fragments.get(at)
            && *offset == fragment.offset
            && *bytes == fragment.payload
            && self.is_last(end) != fragment.more
        {
            // RFC 8200 §4.5: an exact duplicate may be ignored.
            return Ok(None);
        }
        let overlaps_before = at > 0
            && self
                .fragments
                .get(at - 1)
                .is_some_and(|(offset, bytes)| offset + bytes.len() > fragment.offset);
        let overlaps_after = self.fragments.get(at).is_some_and(|(offset, _)| *offset < end);
        if overlaps_before || overlaps_after {
            return Err(Drop::FragmentOverlap);
        }
        let ends_elsewhere = match self.length {
            Some(length) => !fragment.more || end > length,
            None => {
                !fragment.more
                    && self.fragments.last().is_some_and(|(offset, bytes)| offset + bytes.len() > end)
            }
        };
        if ends_elsewhere {
            return Err(Drop::FragmentMalformed);
        }
        // RFC 3168 §5.3: a mark, and a sender that cannot answer it, make no packet.
        if self.ecn.is_some_and(|ecn| ecn.joined(fragment.ecn).is_none()) {
            return Err(Drop::FragmentEcn);
        }
        if self.fragments.len() >= FRAGMENTS_MAX {
            return Err(Drop::ReassemblyFull);
        }
        Ok(Some(at))
    }

    fn is_last(&self, end: usize) -> bool {
        self.length == Some(end)
    }

    fn join(self) -> Outcome {
        let Some(header) = self.header else { return Outcome::Dropped(Drop::FragmentMalformed) };
        let mut whole = Vec::with_capacity(header.len() + self.received_bytes);
        whole.extend_from_slice(&header);
        for (_, bytes) in &self.fragments {
            whole.extend_from_slice(bytes);
        }
        let ecn = self.ecn.unwrap_or_default();
        Outcome::Whole(Whole { packet: Bytes::from(whole), transport: header.len(), ecn })
    }
}
