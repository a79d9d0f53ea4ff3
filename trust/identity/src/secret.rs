//! Secret keys.

use crate::public::{KeyError, check_name, parse_text};
use crate::{Algorithm, PublicKey};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, ML_DSA_44_SIGNING, PqdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use zeroize::Zeroizing;

/// The length of a seed, in bytes, with both algorithms (RFC 8032 §5.1.5, FIPS 204 §5.1).
pub const SEED_BYTES: usize = 32;

/// What stands before the text of a secret key, as Go's note package has it.
const PREFIX: &str = "PRIVATE+KEY+";

/// A secret key and its owner's name. What is secret in it is overwritten when it is dropped, and it is not printed but
/// where it is asked for as text.
///
/// ```
/// use identity::{Algorithm, SecretKey};
///
/// // Of random bytes, in earnest.
/// let key = SecretKey::from_seed("build.example", Algorithm::Ed25519, &[7; 32])?;
/// let signature = key.sign(b"text");
/// assert!(key.public().verify(b"text", &signature));
/// assert_eq!(SecretKey::parse(&key.to_text())?.public(), key.public());
/// # Ok::<(), identity::KeyError>(())
/// ```
pub struct SecretKey {
    public: PublicKey,
    seed: Zeroizing<[u8; SEED_BYTES]>,
    pair: Pair,
}

/// The library's own form of it, which it overwrites itself.
enum Pair {
    Ed25519(Box<Ed25519KeyPair>),
    MlDsa44(Box<PqdsaKeyPair>),
}

impl SecretKey {
    /// The key of this seed: random bytes that nobody else knows.
    ///
    /// # Errors
    ///
    /// [`KeyError::Name`], and [`KeyError::Key`] where the library refuses the seed.
    pub fn from_seed(name: &str, algorithm: Algorithm, seed: &[u8; SEED_BYTES]) -> Result<Self, KeyError> {
        check_name(name)?;
        let (pair, public) = match algorithm {
            Algorithm::Ed25519 => {
                let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Key)?;
                let public = PublicKey::new(name, algorithm, pair.public_key().as_ref())?;
                (Pair::Ed25519(Box::new(pair)), public)
            }
            Algorithm::MlDsa44 => {
                let pair = PqdsaKeyPair::from_seed(&ML_DSA_44_SIGNING, seed).map_err(|_| KeyError::Key)?;
                let public = PublicKey::new(name, algorithm, pair.public_key().as_ref())?;
                (Pair::MlDsa44(Box::new(pair)), public)
            }
        };
        Ok(Self { public, seed: Zeroizing::new(*seed), pair })
    }

    /// The keys of a log on this host, each of the seed that is beside it; all have one name, which no other log has
    /// ([`PublicKey::log_name`]).
    ///
    /// ```
    /// use identity::{Algorithm, SecretKey};
    ///
    /// let seeds = [(Algorithm::Ed25519, &[7; 32]), (Algorithm::MlDsa44, &[8; 32])];
    /// let keys = SecretKey::for_log("host7.example.com", &seeds)?;
    /// assert_eq!(keys[1].public().name(), keys[0].public().log_name("host7.example.com"));
    /// # Ok::<(), identity::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Self::from_seed`].
    pub fn for_log(host: &str, seeds: &[(Algorithm, &[u8; SEED_BYTES])]) -> Result<Vec<Self>, KeyError> {
        let Some((algorithm, seed)) = seeds.first() else { return Ok(Vec::new()) };
        let name = Self::from_seed(host, *algorithm, seed)?.public.log_name(host);
        seeds.iter().map(|(algorithm, seed)| Self::from_seed(&name, *algorithm, seed)).collect()
    }

    /// The key of its text.
    ///
    /// # Errors
    ///
    /// Where it is none.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.strip_prefix(PREFIX).ok_or(KeyError::Form)?;
        let parts = parse_text(text)?;
        let seed = <[u8; SEED_BYTES]>::try_from(&parts.bytes[..]).map_err(|_| KeyError::Key)?;
        let seed = Zeroizing::new(seed);
        let key = Self::from_seed(parts.name, parts.algorithm, &seed)?;
        if key.public.id() == parts.id { Ok(key) } else { Err(KeyError::Id) }
    }

    /// Whether there is the text of a secret key in this, or what began as one: then it is not to be repeated.
    ///
    /// ```
    /// assert!(identity::SecretKey::is_in("key=PRIVATE+KEY+build.example+"));
    /// assert!(!identity::SecretKey::is_in("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"));
    /// ```
    #[must_use]
    pub fn is_in(text: &str) -> bool {
        text.contains(PREFIX)
    }

    /// Its text, for a file that nobody else can read: `PRIVATE+KEY+name+id+seed`.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let algorithm = self.public.algorithm();
        let mut bytes = Zeroizing::new([0; 1 + SEED_BYTES]);
        bytes[0] = algorithm.signature_type();
        bytes[1..].copy_from_slice(&*self.seed);
        let seed = Zeroizing::new(STANDARD.encode(&bytes[..]));
        Zeroizing::new(format!("{PREFIX}{}+{:08x}+{}", self.public.name(), self.public.id(), *seed))
    }

    /// The public key of it.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Its signature of this message. That of ML-DSA-44 has random bytes of the library's own in it.
    ///
    /// # Panics
    ///
    /// Where the library cannot sign with a key that it has taken: it has no memory, or no random bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::MlDsa44(pair) => {
                let mut signature = vec![0; Algorithm::MlDsa44.signature_bytes()];
                pair.sign(message, &mut signature).expect("the library signs with a key that it has taken");
                signature
            }
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("public", &self.public).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
        std::array::from_fn(byte)
    }

    /// Else a process waits for tens of milliseconds before it signs for the first time.
    #[test]
    fn the_library_has_its_random_bytes_from_the_kernel() {
        let gathers = aws_lc_rs::try_fips_cpu_jitter_entropy().is_ok();
        assert!(
            !gathers,
            "aws-lc-sys was built without AWS_LC_SYS_NO_JITTER_ENTROPY=1, which .cargo/config.toml sets"
        );
    }

    /// RFC 8032 §7.1, test 1.
    #[test]
    fn the_specification_s_ed25519_key_signs_as_it_says() {
        let seed = bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let key = SecretKey::from_seed("a", Algorithm::Ed25519, &seed).unwrap();
        let public: [u8; 32] = bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(key.public().as_bytes(), public);
        let signature: [u8; 64] = bytes(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25b\
             f5f0595bbe24655141438e7a100b",
        );
        assert_eq!(key.sign(b""), signature);
    }

    /// From the documentation of Go's golang.org/x/mod/sumdb/note.
    #[test]
    fn the_reference_secret_key_reads_and_writes() {
        let text = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
        let key = SecretKey::parse(text).unwrap();
        assert_eq!(
            key.public().to_string(),
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
        );
        assert_eq!(*key.to_text(), text);
    }

    /// RFC 9881 Appendix C: the seed of its examples, and how their public key begins.
    #[test]
    fn the_specification_s_ml_dsa_44_seed_gives_its_key() {
        let seed = std::array::from_fn(|at| at as u8);
        let key = SecretKey::from_seed("a", Algorithm::MlDsa44, &seed).unwrap();
        let begin: [u8; 20] = bytes("d7b2b47254aae0db45e7930d4a98d2c97d8f1397");
        assert_eq!(key.public().as_bytes()[..20], begin);
    }

    #[test]
    fn every_algorithm_signs_and_its_texts_read() {
        for algorithm in Algorithm::ALL {
            let key = SecretKey::from_seed("build.example/7", algorithm, &[9; 32]).unwrap();
            let signature = key.sign(b"text");
            assert_eq!(signature.len(), algorithm.signature_bytes());
            let public: PublicKey = key.public().to_string().parse().unwrap();
            assert!(public.verify(b"text", &signature));
            assert!(!public.verify(b"texs", &signature));
            let again = SecretKey::parse(&key.to_text()).unwrap();
            assert!(public.verify(b"more", &again.sign(b"more")));
        }
    }

    #[test]
    fn a_key_that_was_changed_is_refused() {
        let key = SecretKey::from_seed("a", Algorithm::Ed25519, &[9; 32]).unwrap();
        let text = key.to_text();
        assert_eq!(SecretKey::parse(&text.replace("+a+", "+b+")).unwrap_err(), KeyError::Id);
        assert_eq!(SecretKey::parse(&text[1..]).unwrap_err(), KeyError::Form);
        assert_eq!(SecretKey::parse(&key.public().to_string()).unwrap_err(), KeyError::Form);
    }

    #[test]
    fn debugging_shows_no_secret() {
        let key = SecretKey::from_seed("a", Algorithm::Ed25519, &[0x5a; 32]).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains("a+") && !shown.contains("90, 90") && !shown.contains("5a5a"), "{shown}");
        assert!(!shown.contains(&STANDARD.encode([0x5a; 30])), "{shown}");
    }
}
