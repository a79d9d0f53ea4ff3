//! Segments that came before their turn (RFC 9293 §3.10.7.4, seventh: "held for later processing").

use crate::sack::Block;
use alloc::collections::VecDeque;
use packet::Bytes;
use time::SequenceNumber;

/// Pieces that are held at most: a window of 4 MiB in segments of 1,024 bytes. A piece that finds no place is
/// dropped, and the peer sends it again.
pub(crate) const PIECES_MAX: usize = 4_096;
/// A piece smaller than this is copied, and one that was cut, so that it does not pin the frame that it came in.
const COPIED_BYTES_MAX: usize = 1_024;

/// Disjoint pieces in order. Their bytes are bounded by the receive window, in which they all lie.
#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    pieces: VecDeque<Piece>,
    /// Bytes of all pieces.
    length: usize,
}

#[derive(Debug)]
struct Piece {
    start: SequenceNumber,
    bytes: Bytes,
}

impl Piece {
    fn end(&self) -> SequenceNumber {
        self.start + self.bytes.len() as u32
    }
}

impl Reassembly {
    /// Bytes that are held.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.pieces.capacity()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Where in the list a piece belongs that begins at `start`.
    fn place(&self, start: SequenceNumber) -> usize {
        match self.pieces.back() {
            // Nearly always the next piece is the last.
            Some(last) if !last.start.after(start) => self.pieces.len(),
            _ => self.pieces.partition_point(|piece| piece.start.at_or_before(start)),
        }
    }

    /// The first contiguous part of `start .. end` that is held. The pieces that are looked at are those that
    /// [`insert`](Self::insert) or [`take`](Self::take) then removes.
    pub(crate) fn overlap(&self, start: SequenceNumber, end: SequenceNumber) -> Option<Block> {
        let at = self.place(start);
        let before = at.checked_sub(1).and_then(|index| self.pieces.get(index));
        let after = self.pieces.range(at..).take_while(|piece| piece.start.before(end));
        let mut pieces = before.into_iter().filter(|piece| piece.end().after(start)).chain(after);
        let first = pieces.next()?;
        let mut right = first.end();
        while right.before(end)
            && let Some(next) = pieces.next().filter(|piece| piece.start == right)
        {
            right = next.end();
        }
        Some((first.start.later(start), right.earlier(end)))
    }

    /// Holds `bytes`, which begin at `start`; whether there was room. What is held already stays where the two overlap
    /// at an edge, and goes where it lies within the new piece: so each piece that is visited is also removed, and a
    /// peer cannot make us walk the list again and again.
    #[must_use]
    pub(crate) fn insert(&mut self, mut start: SequenceNumber, mut bytes: Bytes) -> bool {
        let whole = bytes.len();
        let mut at = self.place(start);
        if let Some(before) = at.checked_sub(1).and_then(|index| self.pieces.get(index))
            && before.end().after(start)
        {
            let overlap = (before.end() - start) as usize;
            if overlap >= bytes.len() {
                return true;
            }
            let _ = bytes.split_to(overlap);
            start = before.end();
        }
        let end = start + bytes.len() as u32;
        let within = self.pieces.range(at..).take_while(|piece| piece.end().at_or_before(end)).count();
        if within > 0 {
            self.length -= self.pieces.drain(at..at + within).map(|piece| piece.bytes.len()).sum::<usize>();
            at = at.min(self.pieces.len());
        }
        if let Some(after) = self.pieces.get(at)
            && after.start.before(end)
        {
            bytes.truncate((after.start - start) as usize);
        }
        if bytes.is_empty() {
            return true;
        }
        if self.pieces.len() >= PIECES_MAX {
            return false;
        }
        if bytes.len() < whole.max(COPIED_BYTES_MAX) {
            bytes = Bytes::copy_from_slice(&bytes);
        }
        self.length += bytes.len();
        self.pieces.insert(at, Piece { start, bytes });
        true
    }

    /// Takes the bytes at `next`, if they are there; what lies before it is dropped.
    pub(crate) fn take(&mut self, next: SequenceNumber) -> Option<Bytes> {
        loop {
            if self.pieces.front()?.start.after(next) {
                return None;
            }
            let mut piece = self.pieces.pop_front()?;
            self.length -= piece.bytes.len();
            if self.pieces.is_empty() {
                self.pieces = VecDeque::new();
            }
            let old = (next - piece.start) as usize;
            if old < piece.bytes.len() {
                let _ = piece.bytes.split_to(old);
                return Some(piece.bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn at(base: u32, offset: u32) -> SequenceNumber {
        SequenceNumber(base) + offset
    }

    proptest! {
        #[test]
        fn every_byte_comes_out_once_and_in_place(
            base in any::<u32>(),
            pieces in proptest::collection::vec((1_u32..2_000, 1_usize..900), 0..80),
        ) {
            let stream: Vec<u8> = (0..3_000_u32).map(|i| (i * 7 + i / 256) as u8).collect();
            let mut covered = std::vec![false; stream.len()];
            let mut reassembly = Reassembly::default();
            for &(offset, length) in &pieces {
                let range = offset as usize..offset as usize + length;
                let held = range.clone().find(|&n| covered[n]).map(|first| {
                    (first, range.clone().find(|&n| n > first && !covered[n]).unwrap_or(range.end))
                });
                covered[range.clone()].fill(true);
                let overlap = reassembly.overlap(at(base, offset), at(base, range.end as u32));
                let place = |number| (number - at(base, 0)) as usize;
                prop_assert_eq!(overlap.map(|(left, right)| (place(left), place(right))), held);
                prop_assert!(reassembly.insert(at(base, offset), Bytes::copy_from_slice(&stream[range])));
                let mut last = at(base, 0);
                for piece in &reassembly.pieces {
                    prop_assert!(piece.start.at_or_after(last) && !piece.bytes.is_empty());
                    last = piece.end();
                }
                let held: usize = reassembly.pieces.iter().map(|piece| piece.bytes.len()).sum();
                prop_assert_eq!(reassembly.len(), held);
            }
            let mut next = 0_u32;
            while (next as usize) < stream.len() {
                match reassembly.take(at(base, next)) {
                    Some(bytes) => {
                        let range = next as usize..next as usize + bytes.len();
                        prop_assert!(covered[range.clone()].iter().all(|&c| c));
                        prop_assert_eq!(&bytes[..], &stream[range]);
                        next += bytes.len() as u32;
                    }
                    None => {
                        prop_assert!(!covered[next as usize]);
                        next += 1;
                    }
                }
            }
            prop_assert!(reassembly.is_empty());
            prop_assert_eq!(reassembly.len(), 0);
        }
    }

    #[test]
    fn the_number_of_pieces_is_bounded() {
        let mut reassembly = Reassembly::default();
        let held = (0..10_000_u32)
            .filter(|i| reassembly.insert(SequenceNumber(i * 2), Bytes::from_static(b"x")))
            .count();
        assert_eq!(held, PIECES_MAX);
        // A piece that covers others still finds its place.
        assert!(reassembly.insert(SequenceNumber(0), Bytes::from(std::vec![0; 5_000])));
        assert!(reassembly.pieces.len() < PIECES_MAX);
    }
}
