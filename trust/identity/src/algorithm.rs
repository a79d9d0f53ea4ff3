//! Which signatures there are.

use std::fmt;
use std::str::FromStr;

/// A signature algorithm.
///
/// ```
/// use identity::Algorithm;
/// assert_eq!("ml-dsa-44".parse(), Ok(Algorithm::MlDsa44));
/// assert_eq!(Algorithm::Ed25519.signature_bytes(), 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// Ed25519 (RFC 8032): what every tool knows.
    Ed25519,
    /// ML-DSA-44 (FIPS 204): holds against quantum computers.
    MlDsa44,
}

/// Why a word names no algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlgorithmError;

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Ed25519, Self::MlDsa44];

    /// The byte that names it in keys and key ids.
    #[must_use]
    pub fn signature_type(self) -> u8 {
        match self {
            // C2SP signed-note, Signature types.
            Self::Ed25519 => 0x01,
            // C2SP tlog-cosignature, Format.
            Self::MlDsa44 => 0x06,
        }
    }

    pub(crate) fn of_signature_type(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.signature_type() == byte)
    }

    /// The length of a public key, in bytes.
    #[must_use]
    pub fn public_key_bytes(self) -> usize {
        match self {
            // RFC 8032 §5.1.5.
            Self::Ed25519 => 32,
            // FIPS 204 §4, table 2.
            Self::MlDsa44 => 1_312,
        }
    }

    /// The length of a signature, in bytes.
    #[must_use]
    pub fn signature_bytes(self) -> usize {
        match self {
            // RFC 8032 §5.1.6.
            Self::Ed25519 => 64,
            // FIPS 204 §4, table 2.
            Self::MlDsa44 => 2_420,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "ed25519",
            Self::MlDsa44 => "ml-dsa-44",
        })
    }
}

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    fn from_str(text: &str) -> Result<Self, AlgorithmError> {
        Self::ALL.into_iter().find(|algorithm| algorithm.to_string() == text).ok_or(AlgorithmError)
    }
}

impl fmt::Display for AlgorithmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an algorithm is ed25519 or ml-dsa-44")
    }
}

impl std::error::Error for AlgorithmError {}
