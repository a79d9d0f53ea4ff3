//! SipHash (Aumasson and Bernstein, 2012) over words: the keyed hash behind table lookups, initial sequence
//! numbers, ports and identifiers. A peer that does not know the key can neither aim at one bucket of a table nor
//! foretell a number.
//!
//! ```
//! use hash::Key;
//! let key = Key::derive(&[7; 32], 1);
//! assert_eq!(key.quick(&[1, 2]), key.quick(&[1, 2]));
//! assert_ne!(key.quick(&[1, 2]), Key::derive(&[7; 32], 2).quick(&[1, 2]), "another purpose, another key");
//! ```
#![no_std]
#![forbid(unsafe_code)]

/// A 128-bit key.
#[derive(Clone, Copy)]
pub struct Key(u64, u64);

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Key(secret)")
    }
}

impl Key {
    /// The key for `purpose`, made from a seed: keys for two purposes tell nothing about each other.
    #[must_use]
    pub fn derive(seed: &[u8; 32], purpose: u64) -> Self {
        let word = |i: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&seed[i * 8..i * 8 + 8]);
            u64::from_le_bytes(bytes)
        };
        let outer = Self(word(0), word(1));
        Self(outer.strong(&[word(2), word(3), purpose, 0]), outer.strong(&[word(2), word(3), purpose, 1]))
    }

    /// A key that others know too.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let number = u128::from_le_bytes(bytes);
        Self(number as u64, (number >> 64) as u64)
    }

    /// SipHash-1-3: for hash tables.
    #[must_use]
    #[inline]
    pub fn quick(self, words: &[u64]) -> u64 {
        self.sip::<1, 3>(words)
    }

    /// SipHash-2-4: for numbers that others see.
    #[must_use]
    #[inline]
    pub fn strong(self, words: &[u64]) -> u64 {
        self.sip::<2, 4>(words)
    }

    #[inline]
    fn sip<const COMPRESS: usize, const FINISH: usize>(self, words: &[u64]) -> u64 {
        let mut v = [
            self.0 ^ 0x736f_6d65_7073_6575,
            self.1 ^ 0x646f_7261_6e64_6f6d,
            self.0 ^ 0x6c79_6765_6e65_7261,
            self.1 ^ 0x7465_6462_7974_6573,
        ];
        // The last block holds the length in bytes, modulo 256, in its top byte.
        let last = (words.len() as u64 * 8) << 56;
        for &word in words.iter().chain(core::iter::once(&last)) {
            v[3] ^= word;
            for _ in 0..COMPRESS {
                round(&mut v);
            }
            v[0] ^= word;
        }
        v[2] ^= 0xff;
        for _ in 0..FINISH {
            round(&mut v);
        }
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }
}

#[inline]
fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

/// A stream of numbers from one key, for what need not be the same twice: jitter, the order of trying ports.
#[derive(Clone, Debug)]
pub struct Stream {
    key: Key,
    drawn: u64,
}

impl Stream {
    /// The stream of `key`, from its beginning.
    #[must_use]
    pub const fn new(key: Key) -> Self {
        Self { key, drawn: 0 }
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "it never ends: there is no None to give")]
    pub fn next(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        self.key.strong(&[self.drawn])
    }

    /// A number below `bound`, which is small against 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference key and messages of the SipHash paper, appendix A, and of its reference code: byte i is i.
    #[test]
    fn strong_agrees_with_the_published_vectors() {
        let key = Key(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        assert_eq!(key.strong(&[]), 0x726f_db47_dd0e_0e31);
        assert_eq!(key.strong(&[0x0706_0504_0302_0100]), 0x93f5_f579_9a93_2462);
    }

    #[test]
    fn keys_for_different_purposes_differ() {
        let seed = [7; 32];
        assert_ne!(Key::derive(&seed, 1).quick(&[1]), Key::derive(&seed, 2).quick(&[1]));
        assert_ne!(Key::derive(&seed, 1).quick(&[1]), Key::derive(&[8; 32], 1).quick(&[1]));
    }
}
