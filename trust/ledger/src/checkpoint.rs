//! Checkpoints: how large the log is, its root, and who says so (C2SP tlog-checkpoint).

use crate::hash::{HASH_BYTES, Hash};
use crate::note::{Note, NoteError, Signature};
use identity::{Algorithm, PublicKey, SecretKey};
use std::fmt;

/// The bound of a log's name, in bytes: that of what ML-DSA-44 signs (C2SP tlog-cosignature).
pub const ORIGIN_BYTES_MAX: usize = 255;

/// A log's size and root.
///
/// ```
/// use identity::{Algorithm, SecretKey};
/// use ledger::checkpoint::Checkpoint;
/// use ledger::hash::leaf_hash;
///
/// let key = SecretKey::from_seed("build.example", Algorithm::Ed25519, &[7; 32])?;
/// let checkpoint = Checkpoint { origin: "build.example".into(), size: 1, root: leaf_hash(b"entry") };
/// let note = checkpoint.sign(std::slice::from_ref(&key));
/// assert!(note.starts_with("build.example\n1\n"));
/// assert_eq!(Checkpoint::open(&note, &[key.public().clone()])?, checkpoint);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log it is.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The root of its tree.
    pub root: Hash,
}

/// Why a note is no checkpoint to rely on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointError {
    /// It is no note.
    Note(NoteError),
    /// A line of it is not what a checkpoint has there, from 1.
    Line(usize),
    /// This key has not signed it.
    Missing(String),
    /// The signature under this key's name and id is not that key's: the text was changed, or the signature.
    Forged(String),
    /// There is no key to check it with.
    NoKey,
}

/// What an ML-DSA-44 signature's time says where it says nothing: the log does not read a clock to sign.
const NO_TIME: u64 = 0;

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// The same on one line, `ORIGIN SIZE ROOT`, to be said and written down. It is not signed: it is as good as where it was
    /// heard.
    ///
    /// ```
    /// use ledger::checkpoint::Checkpoint;
    ///
    /// let checkpoint = Checkpoint { origin: "build.example".into(), size: 0, root: ledger::hash::empty_root() };
    /// assert_eq!(checkpoint.line(), "build.example 0 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    /// assert_eq!(Checkpoint::of_line(&checkpoint.line())?, checkpoint);
    /// # Ok::<(), ledger::checkpoint::CheckpointError>(())
    /// ```
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {} {}", self.origin, self.size, self.root)
    }

    /// The checkpoint of such a line.
    ///
    /// # Errors
    ///
    /// Where it is none.
    pub fn of_line(line: &str) -> Result<Self, CheckpointError> {
        if line.contains('\n') {
            return Err(CheckpointError::Line(1));
        }
        // A name may have spaces in it, what is behind it has none.
        let lines: Vec<&str> = line.rsplitn(3, ' ').collect();
        Self::of_text(&lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
    }

    /// The checkpoint that somebody has kept: a note as for [`Self::open`], or a [line](Self::line), which needs no signature,
    /// since who holds a log to it knows where it is from.
    ///
    /// # Errors
    ///
    /// Where it is neither, or a key has not signed the note.
    pub fn open_kept(kept: &str, keys: &[PublicKey]) -> Result<Self, CheckpointError> {
        Self::of_line(kept).or_else(|_| Self::open(kept, keys))
    }

    /// The note: the text, and a signature of each of these keys.
    #[must_use]
    pub fn sign(&self, keys: &[SecretKey]) -> String {
        let text = self.text();
        let sign = |key: &SecretKey| {
            let public = key.public();
            let bytes = match public.algorithm() {
                Algorithm::Ed25519 => key.sign(text.as_bytes()),
                // C2SP tlog-cosignature, Format: the time stands before the signature.
                Algorithm::MlDsa44 => {
                    let signature = key.sign(&self.cosigned_message(public.name(), NO_TIME));
                    [&NO_TIME.to_be_bytes()[..], &signature].concat()
                }
            };
            (public.name().to_owned(), public.id(), bytes)
        };
        let signed: Vec<_> = keys.iter().map(sign).collect();
        let signatures =
            signed.iter().map(|(name, id, bytes)| Signature { name, id: *id, bytes: bytes.clone() });
        Note { text: &text, signatures: signatures.collect() }.to_string()
    }

    /// The checkpoint of a note without a look at its signatures.
    ///
    /// # Errors
    ///
    /// Where it is no note, or none of a checkpoint.
    pub fn parse_unverified(note: &str) -> Result<Self, CheckpointError> {
        let note = Note::parse(note).map_err(CheckpointError::Note)?;
        Self::of_text(note.text)
    }

    /// The checkpoint of a note that every one of these keys has signed. Signatures of others are not looked at.
    ///
    /// # Errors
    ///
    /// Where one has not.
    pub fn open(note: &str, keys: &[PublicKey]) -> Result<Self, CheckpointError> {
        let note = Note::parse(note).map_err(CheckpointError::Note)?;
        let checkpoint = Self::of_text(note.text)?;
        if keys.is_empty() {
            return Err(CheckpointError::NoKey);
        }
        for key in keys {
            // C2SP signed-note, Signatures: name and id together tell the key.
            let is_of = |signature: &&Signature| signature.name == key.name() && signature.id == key.id();
            let mut signatures = note.signatures.iter().filter(is_of).peekable();
            if signatures.peek().is_none() {
                return Err(CheckpointError::Missing(key.name().to_owned()));
            }
            if !signatures.all(|signature| checkpoint.is_signed_by(key, note.text, &signature.bytes)) {
                return Err(CheckpointError::Forged(key.name().to_owned()));
            }
        }
        Ok(checkpoint)
    }

    fn is_signed_by(&self, key: &PublicKey, text: &str, signature: &[u8]) -> bool {
        match key.algorithm() {
            Algorithm::Ed25519 => key.verify(text.as_bytes(), signature),
            Algorithm::MlDsa44 => signature.split_first_chunk().is_some_and(|(time, signature)| {
                let time = u64::from_be_bytes(*time);
                key.verify(&self.cosigned_message(key.name(), time), signature)
            }),
        }
    }

    /// C2SP tlog-cosignature, ML-DSA-44 signed message: of the whole tree, from its first leaf.
    fn cosigned_message(&self, name: &str, time: u64) -> Vec<u8> {
        let mut message = b"subtree/v1\n\0".to_vec();
        let push_text = |message: &mut Vec<u8>, text: &str| {
            // Names and origins have at most 255 bytes; a longer one is not signed as what it is not.
            let length = u8::try_from(text.len()).unwrap_or(0);
            message.push(length);
            message.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
        };
        push_text(&mut message, name);
        message.extend_from_slice(&time.to_be_bytes());
        push_text(&mut message, &self.origin);
        message.extend_from_slice(&0u64.to_be_bytes());
        message.extend_from_slice(&self.size.to_be_bytes());
        message.extend_from_slice(&self.root.0);
        message
    }

    fn of_text(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
        let mut line =
            |number| lines.next().filter(|line| !line.is_empty()).ok_or(CheckpointError::Line(number));
        let origin = Some(line(1)?).filter(|origin| origin.len() <= ORIGIN_BYTES_MAX);
        let origin = origin.ok_or(CheckpointError::Line(1))?;
        let (size, root) = (line(2)?, line(3)?);
        // C2SP tlog-checkpoint, Note text: decimal without leading zeroes.
        let number = size.parse::<u64>().ok().filter(|number| number.to_string() == size);
        let root = root.parse::<Hash>().ok();
        if lines.any(str::is_empty) {
            return Err(CheckpointError::Line(4));
        }
        Ok(Self {
            origin: origin.to_owned(),
            size: number.ok_or(CheckpointError::Line(2))?,
            root: root.ok_or(CheckpointError::Line(3))?,
        })
    }
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Note(error) => error.fmt(f),
            Self::Line(1) => f.write_str("line 1 is not a log's name of 1 to 255 bytes"),
            Self::Line(2) => f.write_str("line 2 is not a size"),
            Self::Line(3) => write!(f, "line 3 is not a hash of {HASH_BYTES} bytes"),
            Self::Line(line) => write!(f, "line {line} is not one of a checkpoint"),
            Self::Missing(name) => write!(f, "the key of {name} has not signed it"),
            Self::Forged(name) => write!(f, "the signature is not that of the key of {name}"),
            Self::NoKey => f.write_str("there is no key to check the signature with"),
        }
    }
}

impl std::error::Error for CheckpointError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The log's key and checkpoint of filippo.io/torchwood, cmd/litewitness/testdata/mldsa.txt.
    const TORCHWOOD_KEY: &str = include_str!("../tests/vectors/torchwood-mldsa.vkey");
    const TORCHWOOD_CHECKPOINT: &str = include_str!("../tests/vectors/torchwood-mldsa.checkpoint");

    fn keys(name: &str) -> Vec<SecretKey> {
        Algorithm::ALL.map(|algorithm| SecretKey::from_seed(name, algorithm, &[5; 32]).unwrap()).into()
    }

    fn public(keys: &[SecretKey]) -> Vec<PublicKey> {
        keys.iter().map(|key| key.public().clone()).collect()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "a.example/log".into(), size: 20_852_163, root: Hash([9; 32]) }
    }

    #[test]
    fn a_published_checkpoint_with_ml_dsa_44_verifies() {
        let key: PublicKey = TORCHWOOD_KEY.trim_end().parse().unwrap();
        let opened = Checkpoint::open(TORCHWOOD_CHECKPOINT, std::slice::from_ref(&key)).unwrap();
        assert_eq!((opened.origin.as_str(), opened.size), ("example.com/mldsa-log", 1));
        for (from, to) in [("\n1\n", "\n2\n"), ("mldsa-log\n1", "mldsa-lag\n1"), ("+zoE", "+zoF")] {
            let changed = TORCHWOOD_CHECKPOINT.replacen(from, to, 1);
            let error = Checkpoint::open(&changed, std::slice::from_ref(&key)).unwrap_err();
            assert_eq!(error, CheckpointError::Forged("example.com/mldsa-log".into()), "{from}");
        }
    }

    /// The example of C2SP tlog-checkpoint.
    #[test]
    fn the_example_of_the_specification_reads() {
        let note = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
            — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9\
            nTo+zyWE+xeMcTOAYQ8=\n";
        let read = Checkpoint::parse_unverified(note).unwrap();
        assert_eq!(read.text() + "\n", note[..note.find('—').unwrap()]);
    }

    #[test]
    fn every_key_must_have_signed() {
        let (ours, others) = (keys("a.example"), keys("b.example"));
        let note = checkpoint().sign(&ours);
        assert_eq!(Checkpoint::open(&note, &public(&ours)), Ok(checkpoint()));
        for key in public(&ours) {
            assert_eq!(Checkpoint::open(&note, &[key]), Ok(checkpoint()));
        }
        let both = [public(&ours), public(&others)].concat();
        assert_eq!(Checkpoint::open(&note, &both), Err(CheckpointError::Missing("b.example".into())));
        assert_eq!(Checkpoint::open(&note, &[]), Err(CheckpointError::NoKey));
    }

    #[test]
    fn what_was_changed_is_forged() {
        let ours = keys("a.example");
        let note = checkpoint().sign(&ours);
        let changed = note.replacen("20852163", "20852164", 1);
        for key in public(&ours) {
            assert_eq!(Checkpoint::open(&changed, &[key]), Err(CheckpointError::Forged("a.example".into())));
        }
        // A second signature under the key's name and id must be the key's as well.
        let other = SecretKey::from_seed("a.example", Algorithm::Ed25519, &[6; 32]).unwrap();
        let line = Checkpoint { size: 1, ..checkpoint() }.sign(&ours[..1]);
        let doubled = note.clone() + line.lines().last().unwrap() + "\n";
        assert_eq!(
            Checkpoint::open(&doubled, &public(&ours)),
            Err(CheckpointError::Forged("a.example".into()))
        );
        assert_eq!(
            Checkpoint::open(&note, &[other.public().clone()]),
            Err(CheckpointError::Missing("a.example".into()))
        );
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        let signature = "\n— a AAAAAAE=\n";
        let root = Hash([0; 32]);
        for (text, line) in [
            (format!("\n1\n{root}\n"), 1),
            (format!("{}\n1\n{root}\n", "a".repeat(256)), 1),
            (format!("a\n01\n{root}\n"), 2),
            (format!("a\n+1\n{root}\n"), 2),
            ("a\n1\n".to_owned(), 3),
            ("a\n1\nAAAA\n".to_owned(), 3),
            (format!("a\n1\n{root}\n\nb\n"), 4),
        ] {
            let read = Checkpoint::parse_unverified(&(text.clone() + signature));
            assert_eq!(read, Err(CheckpointError::Line(line)), "{text}");
        }
        let extended = format!("a\n1\n{root}\nmore\n{signature}");
        assert!(Checkpoint::parse_unverified(&extended).is_ok());
    }
}
