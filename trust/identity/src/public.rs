//! Public keys, and their text: `name+id+key`, the verifier key of C2SP signed-note.

use crate::Algorithm;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, ML_DSA_44, ParsedPublicKey, VerificationAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// The bound of a key's name, in bytes: what ML-DSA-44 signs tells its length in 8 bits (C2SP tlog-cosignature).
pub const NAME_BYTES_MAX: usize = 255;

/// A public key and the name that its owner signs with.
///
/// ```
/// use identity::PublicKey;
///
/// let key: PublicKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse()?;
/// assert_eq!((key.name(), key.id()), ("PeterNeumann", 0xc74f_20a3));
/// assert!(!key.verify(b"text", &[0; 64]));
/// # Ok::<(), identity::KeyError>(())
/// ```
#[derive(Clone)]
pub struct PublicKey {
    name: String,
    algorithm: Algorithm,
    bytes: Vec<u8>,
    id: u32,
    parsed: ParsedPublicKey,
}

/// Why text or bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Not of the form `name+id+key`, or `PRIVATE+KEY+name+id+key` for a secret one.
    Form,
    /// The name is empty or too long, or has a space, a plus or a control character.
    Name,
    /// The id is not that of the name and the key: one of the three was changed.
    Id,
    /// An algorithm that is not known here.
    Algorithm,
    /// The key is not what the algorithm's keys are.
    Key,
}

impl PublicKey {
    /// The key of these bytes, as the algorithm encodes public keys.
    ///
    /// # Errors
    ///
    /// [`KeyError::Name`] and [`KeyError::Key`].
    pub fn new(name: &str, algorithm: Algorithm, bytes: &[u8]) -> Result<Self, KeyError> {
        check_name(name)?;
        if bytes.len() != algorithm.public_key_bytes() {
            return Err(KeyError::Key);
        }
        let verification: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::Ed25519 => &ED25519,
            Algorithm::MlDsa44 => &ML_DSA_44,
        };
        let parsed = ParsedPublicKey::new(verification, bytes).map_err(|_| KeyError::Key)?;
        let id = key_id(name, algorithm, bytes);
        Ok(Self { name: name.to_owned(), algorithm, bytes: bytes.to_vec(), id, parsed })
    }

    /// The name of its owner.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells it from other keys of the name. Easily forged: only the signature proves anything.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What it checks.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key itself, as its algorithm encodes it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The name for the keys of a log that is kept on this host, where this is the first of them: no other log has it,
    /// whatever its host is called. The host, `/weft/`, and the first 16 hex digits of the SHA-256 hash of what the key's
    /// text has in base64, whatever the key itself is called.
    ///
    /// ```
    /// use identity::PublicKey;
    ///
    /// let key: PublicKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse()?;
    /// assert_eq!(key.log_name("host7.example.com"), "host7.example.com/weft/dca0235f866eb8d2");
    /// # Ok::<(), identity::KeyError>(())
    /// ```
    #[must_use]
    pub fn log_name(&self, host: &str) -> String {
        let hash = digest(&SHA256, &self.typed_bytes());
        let digits: String = hash.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{host}/weft/{digits}")
    }

    /// What the text has in base64.
    fn typed_bytes(&self) -> Vec<u8> {
        [&[self.algorithm.signature_type()], &self.bytes[..]].concat()
    }

    /// Whether its owner has signed exactly this message.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() == self.algorithm.signature_bytes()
            && self.parsed.verify_sig(message, signature).is_ok()
    }
}

pub(crate) fn check_name(name: &str) -> Result<(), KeyError> {
    // C2SP signed-note, Format: no Unicode spaces, no plus; a note has no control characters at all.
    let is_bad = |c: char| c.is_whitespace() || c == '+' || c.is_control();
    match name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(is_bad) {
        true => Err(KeyError::Name),
        false => Ok(()),
    }
}

/// C2SP signed-note, Signatures: the first four bytes of SHA-256 over name, newline, type and public key.
fn key_id(name: &str, algorithm: Algorithm, bytes: &[u8]) -> u32 {
    let hashed = [name.as_bytes(), b"\n", &[algorithm.signature_type()], bytes].concat();
    let hash = digest(&SHA256, &hashed);
    hash.as_ref()[..4].iter().fold(0, |id, byte| id << 8 | u32::from(*byte))
}

/// What stands in `name+id+base64(type || bytes)`.
pub(crate) struct Parts<'a> {
    pub name: &'a str,
    pub id: u32,
    pub algorithm: Algorithm,
    /// Those of a secret key too: they are overwritten when dropped.
    pub bytes: Zeroizing<Vec<u8>>,
}

pub(crate) fn parse_text(text: &str) -> Result<Parts<'_>, KeyError> {
    let (name, rest) = text.split_once('+').ok_or(KeyError::Form)?;
    let (id, key) = rest.split_once('+').ok_or(KeyError::Form)?;
    let is_id = id.len() == 8 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let id = is_id.then(|| u32::from_str_radix(id, 16).ok()).flatten().ok_or(KeyError::Form)?;
    let mut bytes = Zeroizing::new(STANDARD.decode(key).map_err(|_| KeyError::Form)?);
    check_name(name)?;
    let first = bytes.first().ok_or(KeyError::Form)?;
    let algorithm = Algorithm::of_signature_type(*first).ok_or(KeyError::Algorithm)?;
    bytes.remove(0);
    Ok(Parts { name, id, algorithm, bytes })
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let parts = parse_text(text)?;
        let key = Self::new(parts.name, parts.algorithm, &parts.bytes)?;
        if key.id == parts.id { Ok(key) } else { Err(KeyError::Id) }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode(self.typed_bytes());
        write!(f, "{}+{:08x}+{key}", self.name, self.id)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}+{:08x} {})", self.name, self.id, self.algorithm)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.algorithm, &self.bytes) == (&other.name, other.algorithm, &other.bytes)
    }
}

impl Eq for PublicKey {}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "not of the form NAME+ID+KEY",
            Self::Name => "a key's name has 1 to 255 bytes and no space, plus or control character",
            Self::Id => "the id does not belong to the name and the key: one of them was changed",
            Self::Algorithm => "the key is of an algorithm that is not known here",
            Self::Key => "the key is not one of its algorithm",
        })
    }
}

impl std::error::Error for KeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the documentation of Go's golang.org/x/mod/sumdb/note.
    const NEUMANN: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn the_text_of_a_key_reads_and_writes() {
        let key: PublicKey = NEUMANN.parse().unwrap();
        assert_eq!(key.algorithm(), Algorithm::Ed25519);
        assert_eq!(key.to_string(), NEUMANN);
        assert_eq!(PublicKey::new("PeterNeumann", Algorithm::Ed25519, key.as_bytes()), Ok(key));
    }

    #[test]
    fn the_reference_note_verifies() {
        let key: PublicKey = NEUMANN.parse().unwrap();
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let signature =
            "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let signature = STANDARD.decode(signature).unwrap();
        assert_eq!(signature[..4], key.id().to_be_bytes());
        assert!(key.verify(text.as_bytes(), &signature[4..]));
        assert!(!key.verify(&text.as_bytes()[1..], &signature[4..]));
        assert!(!key.verify(text.as_bytes(), &signature[5..]));
    }

    #[test]
    fn a_key_that_was_changed_is_refused() {
        for (text, error) in [
            ("", KeyError::Form),
            ("PeterNeumann+c74f20a3", KeyError::Form),
            (&NEUMANN.replace("c74f20a3", "C74F20A3"), KeyError::Form),
            (&NEUMANN.replace("TW", "T"), KeyError::Form),
            (&NEUMANN.replace("Peter", "Per "), KeyError::Name),
            (&NEUMANN.replace("PeterNeumann", ""), KeyError::Name),
            (&NEUMANN.replace("Peter", "Petra"), KeyError::Id),
            (&NEUMANN.replace("c74f20a3", "c74f20a4"), KeyError::Id),
            (&NEUMANN.replace("+ARpc", "+ZRpc"), KeyError::Algorithm),
            (&NEUMANN.replace("+ARpc", "+Bhpc"), KeyError::Key),
            (&NEUMANN.replace("10TW", "10TWAA=="), KeyError::Key),
        ] {
            assert_eq!(text.parse::<PublicKey>().unwrap_err(), error, "{text}");
        }
        let long = "a".repeat(NAME_BYTES_MAX);
        let bytes = NEUMANN.parse::<PublicKey>().unwrap().as_bytes().to_vec();
        assert!(PublicKey::new(&long, Algorithm::Ed25519, &bytes).is_ok());
        assert_eq!(PublicKey::new(&(long + "a"), Algorithm::Ed25519, &bytes), Err(KeyError::Name));
    }
}
