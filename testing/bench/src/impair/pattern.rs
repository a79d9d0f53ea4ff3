//! Bytes that say where they stand in the stream, and in whose.

/// Bytes of one word.
const WORD_BYTES: u64 = 8;

/// A stream of bytes that follow from a seed.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    seed: u64,
    offset: u64,
}

impl Pattern {
    /// From the beginning.
    pub fn new(seed: u64) -> Self {
        Self { seed, offset: 0 }
    }

    /// How many bytes there were.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Fills `bytes` with what comes next.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        let mut word = self.word();
        for byte in bytes {
            *byte = word[(self.offset % WORD_BYTES) as usize];
            self.offset += 1;
            if self.offset.is_multiple_of(WORD_BYTES) {
                word = self.word();
            }
        }
    }

    /// Whether `bytes` are what comes next; else the offset of the first that is not.
    pub fn check(&mut self, bytes: &[u8]) -> Result<(), u64> {
        let mut word = self.word();
        for byte in bytes {
            if *byte != word[(self.offset % WORD_BYTES) as usize] {
                return Err(self.offset);
            }
            self.offset += 1;
            if self.offset.is_multiple_of(WORD_BYTES) {
                word = self.word();
            }
        }
        Ok(())
    }

    /// The word that the offset stands in.
    fn word(&self) -> [u8; WORD_BYTES as usize] {
        let mut mixed = self.seed ^ (self.offset / WORD_BYTES).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ mixed >> 29).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_pieces_is_checked_in_others_and_a_wrong_byte_is_found() {
        let mut bytes = vec![0; 1_000];
        let mut pattern = Pattern::new(7);
        for piece in bytes.chunks_mut(13) {
            pattern.fill(piece);
        }
        let mut pattern = Pattern::new(7);
        assert!(bytes.chunks(29).all(|piece| pattern.check(piece) == Ok(())));
        assert_eq!(pattern.offset(), 1_000);
        bytes[501] ^= 1;
        assert_eq!(Pattern::new(7).check(&bytes), Err(501));
        assert!(Pattern::new(8).check(&bytes).is_err());
    }
}
