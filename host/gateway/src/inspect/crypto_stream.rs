//! The bytes of CRYPTO frames, put together in order (RFC 9000 §19.6).

use super::client_hello::{HEADER_BYTES, HELLO_BYTES_MAX};
use std::collections::BTreeMap;

/// Bytes by offset, in whatever order and overlap they come.
#[derive(Debug, Default)]
pub(super) struct CryptoStream {
    bytes: Vec<u8>,
    /// What of `bytes` has come: start and end of stretches that do not touch.
    stretches: BTreeMap<usize, usize>,
}

impl CryptoStream {
    /// Adds the bytes at an offset.
    pub(super) fn insert(&mut self, offset: usize, data: &[u8]) -> Result<(), &'static str> {
        let end = offset.checked_add(data.len()).filter(|end| *end <= HEADER_BYTES + HELLO_BYTES_MAX);
        let end = end.ok_or("CRYPTO frames reach too far")?;
        if data.is_empty() {
            return Ok(());
        }
        // A server might keep the one or the other of two bytes at the same place (RFC 9000 §2.2).
        let overlapping = self.stretches.range(..end).rev().take_while(|(_, until)| **until > offset);
        for (start, until) in overlapping {
            let (from, to) = ((*start).max(offset), (*until).min(end));
            if self.bytes[from..to] != data[from - offset..to - offset] {
                return Err("CRYPTO frames contradict each other");
            }
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(data);
        let (mut start, mut until) = (offset, end);
        while let Some((&other, &other_until)) = self.stretches.range(..=until).next_back() {
            if other_until < start {
                break;
            }
            self.stretches.remove(&other);
            start = start.min(other);
            until = until.max(other_until);
        }
        self.stretches.insert(start, until);
        Ok(())
    }

    /// The bytes from the start that have come without a gap.
    pub(super) fn front(&self) -> &[u8] {
        self.stretches.get(&0).map_or(&[], |end| &self.bytes[..*end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_come_out_in_order_however_they_are_cut(
            pieces in proptest::collection::vec((0usize..60, 0usize..20), 0..30),
        ) {
            let all: Vec<u8> = (0..80).collect();
            let (mut stream, mut came) = (CryptoStream::default(), [false; 80]);
            for (offset, length) in pieces {
                prop_assert_eq!(stream.insert(offset, &all[offset..offset + length]), Ok(()));
                came[offset..offset + length].fill(true);
                let expected = came.iter().take_while(|one| **one).count();
                prop_assert_eq!(stream.front(), &all[..expected]);
            }
        }
    }

    #[test]
    fn contradictions_and_distant_bytes_are_refused() {
        let mut stream = CryptoStream::default();
        assert_eq!(stream.insert(4, b"efgh"), Ok(()));
        assert_eq!(stream.insert(0, b"abcd"), Ok(()));
        assert_eq!(stream.insert(2, b"cdef"), Ok(()));
        assert!(stream.insert(7, b"x").is_err() && stream.insert(0, b"abcdefgx").is_err());
        assert!(stream.insert(HELLO_BYTES_MAX + 4, b"x").is_err());
        assert!(stream.insert(usize::MAX, b"x").is_err());
        assert_eq!(stream.front(), b"abcdefgh");
    }
}
