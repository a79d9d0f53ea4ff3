//! Who hands out a policy may sign it, and agents that are told the keys take no other: then neither the servers nor whoever
//! may write to the bucket decides what hosts may do.
//!
//! What is signed is a note (C2SP signed-note), which stands in the document beside the policy:
//!
//! ```text
//! weft policy
//! KEY          whose it is: fleet, or host.HOST
//! LANGUAGE     list or cedar
//! TIME         when it was signed, in nanoseconds since 1970
//! HASH         that of a leaf with the policy's text (RFC 6962 §2.1), in base64
//!
//! — NAME SIGNATURE
//! ```
//!
//! No checkpoint of a ledger reads so: its second line is a number.

use crate::policy::{Document, word};
use identity::{PublicKey, SecretKey};
use ledger::hash::leaf_hash;
use ledger::note::{Note, NoteError, Signature};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What the note's first line is.
const HEADER: &str = "weft policy";
/// The bound of the file of times, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Why a policy's signatures do not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// It has none.
    Unsigned,
    /// What stands in their place is no note.
    Note(NoteError),
    /// They are of something else; of what.
    Other(&'static str),
    /// This key has not signed.
    Missing(String),
    /// What is said to be this key's signature is not.
    Forged(String),
    /// One that was signed later has been taken already.
    Older,
}

impl Document {
    /// The same, signed as the policy under this key of the bucket.
    #[must_use]
    pub fn signed(self, key: &str, time_ns: u64, keys: &[SecretKey]) -> Self {
        let text = self.note_text(key, time_ns);
        let sign = |key: &SecretKey| {
            let public = key.public();
            (public.name().to_owned(), public.id(), key.sign(text.as_bytes()))
        };
        let signed: Vec<_> = keys.iter().map(sign).collect();
        let signatures =
            signed.iter().map(|(name, id, bytes)| Signature { name, id: *id, bytes: bytes.clone() });
        let note = Note { text: &text, signatures: signatures.collect() }.to_string();
        Self { note: Some(note), ..self }
    }

    fn note_text(&self, key: &str, time_ns: u64) -> String {
        let (language, hash) = (word(self.language), leaf_hash(self.text.as_bytes()));
        format!("{HEADER}\n{key}\n{language}\n{time_ns}\n{hash}\n")
    }

    /// When it was signed, if all of these keys have signed it as the policy under this key of the bucket.
    ///
    /// # Errors
    ///
    /// Why it does not count as signed.
    pub fn verify(&self, key: &str, keys: &[PublicKey]) -> Result<u64, SignatureError> {
        let note = self.note.as_deref().ok_or(SignatureError::Unsigned)?;
        let note = Note::parse(note).map_err(SignatureError::Note)?;
        let time = note.text.lines().nth(3).and_then(|time| time.parse().ok());
        let time = time.ok_or(SignatureError::Other("no policy"))?;
        if note.text != self.note_text(key, time) {
            let is_anothers = note.text.lines().nth(1) != Some(key);
            let what = if is_anothers { "the policy of others" } else { "another policy" };
            return Err(SignatureError::Other(what));
        }
        for key in keys {
            // C2SP signed-note, Signatures: name and id together tell the key.
            let is_of = |signature: &&Signature| signature.name == key.name() && signature.id == key.id();
            let mut signatures = note.signatures.iter().filter(is_of).peekable();
            if signatures.peek().is_none() {
                return Err(SignatureError::Missing(key.name().to_owned()));
            }
            if !signatures.all(|signature| key.verify(note.text.as_bytes(), &signature.bytes)) {
                return Err(SignatureError::Forged(key.name().to_owned()));
            }
        }
        Ok(time)
    }
}

/// When the newest policy under each key was signed that an agent has taken: an older one is not taken any more.
///
/// ```
/// use fleet::signed::Times;
///
/// let mut times = Times::default();
/// assert!(times.take("fleet", 7).is_ok() && times.take("fleet", 7).is_ok());
/// assert!(times.take("fleet", 6).is_err() && times.take("host.host7", 6).is_ok());
/// assert_eq!(Times::decode(&times.encode()), Some(times));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times(BTreeMap<String, u64>);

impl Times {
    /// The times of a file; none where there is no file.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, or is not what an agent has written.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(file) => file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let wrong = "it is not what an agent has written; without it, an older policy is taken as well";
        Self::decode(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, wrong))
    }

    /// Those in these bytes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let fields: Map<String, Value> = serde_json::from_slice(bytes).ok()?;
        fields.into_iter().map(|(key, time)| Some((key, time.as_u64()?))).collect::<Option<_>>().map(Self)
    }

    /// The bytes of a file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let fields: Map<String, Value> =
            self.0.iter().map(|(key, time)| (key.clone(), (*time).into())).collect();
        format!("{}\n", Value::Object(fields)).into_bytes()
    }

    /// Takes the time in at which a policy under this key was signed.
    ///
    /// # Errors
    ///
    /// Where one that was signed later has been taken.
    pub fn take(&mut self, key: &str, time_ns: u64) -> Result<(), SignatureError> {
        let newest = self.0.entry(key.to_owned()).or_insert(time_ns);
        if *newest > time_ns {
            return Err(SignatureError::Older);
        }
        *newest = time_ns;
        Ok(())
    }
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.write_str("the policy is not signed: weft fleet policy push --sign KEY"),
            Self::Note(error) => write!(f, "the policy's signatures cannot be read: {error}"),
            Self::Other(what) => write!(f, "the policy's signatures are of {what}"),
            Self::Missing(name) => write!(f, "the policy is not signed by {name}"),
            Self::Forged(name) => write!(f, "the policy's signature is not that of {name}"),
            Self::Older => f.write_str("one that was signed later has been here already"),
        }
    }
}

impl std::error::Error for SignatureError {}

#[cfg(test)]
mod tests {
    use super::*;
    use axiom::policy::Language;
    use identity::Algorithm;

    fn key(name: &str, algorithm: Algorithm, seed: u8) -> SecretKey {
        SecretKey::from_seed(name, algorithm, &[seed; 32]).unwrap()
    }

    fn document(text: &str) -> Document {
        Document { language: Language::List, text: text.into(), note: None }
    }

    #[test]
    fn what_was_signed_counts_as_that_and_as_nothing_else() {
        let keys = [key("a.example", Algorithm::Ed25519, 1), key("a.example", Algorithm::MlDsa44, 2)];
        let public = keys.each_ref().map(|key| key.public().clone());
        let signed = document("allow a.example\n").signed("fleet", 7, &keys);
        let same = Document::decode(&signed.encode().unwrap()).unwrap();
        assert_eq!(same, signed);
        assert_eq!(same.verify("fleet", &public), Ok(7));
        assert_eq!(same.verify("host.b", &public), Err(SignatureError::Other("the policy of others")));
        let changed = Document { text: "allow b.example\n".into(), ..signed.clone() };
        assert_eq!(changed.verify("fleet", &public), Err(SignatureError::Other("another policy")));
        let changed = Document { language: Language::Cedar, ..signed.clone() };
        assert_eq!(changed.verify("fleet", &public), Err(SignatureError::Other("another policy")));
        let note = signed.note.clone().unwrap();
        let later = Document { note: Some(note.replacen("\n7\n", "\n8\n", 1)), ..signed.clone() };
        assert_eq!(later.verify("fleet", &public), Err(SignatureError::Forged("a.example".into())));
        let stranger = [key("b.example", Algorithm::Ed25519, 3).public().clone()];
        assert_eq!(signed.verify("fleet", &stranger), Err(SignatureError::Missing("b.example".into())));
        assert_eq!(document("").verify("fleet", &public), Err(SignatureError::Unsigned));
        let half = document("allow a.example\n").signed("fleet", 7, &keys[..1]);
        assert_eq!(half.verify("fleet", &public), Err(SignatureError::Missing("a.example".into())));
        for note in ["", "weft policy\n", "x\n\n— a AAAAAAE=\n"] {
            let wrong = Document { note: Some(note.into()), ..signed.clone() };
            assert!(wrong.verify("fleet", &public).is_err(), "{note}");
        }
    }
}
