//! Signed notes: text, and the signatures below it (C2SP signed-note).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// The bound of a note, in bytes. A signature of ML-DSA-44 takes 3.3 kB.
pub const NOTE_BYTES_MAX: usize = 128 << 10;
/// The bound of a note's signatures. C2SP signed-note wants sixteen taken at least.
pub const SIGNATURES_MAX: usize = 32;

/// A note in its parts; nothing is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// The text, with the newline that ends it.
    pub text: &'a str,
    /// The signatures in their order.
    pub signatures: Vec<Signature<'a>>,
}

/// One signature of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// The key's name.
    pub name: &'a str,
    /// The key's id.
    pub id: u32,
    /// What the key's algorithm makes of it.
    pub bytes: Vec<u8>,
}

/// Why text is no note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteError {
    /// It is longer than [`NOTE_BYTES_MAX`], or has more than [`SIGNATURES_MAX`].
    TooLong,
    /// It has a control character that is no newline.
    Control,
    /// No empty line with signatures below it.
    Unsigned,
    /// A signature's line is not of the form `— name base64`; which one, from 1.
    Signature(usize),
}

impl<'a> Note<'a> {
    /// The note that this text is.
    ///
    /// # Errors
    ///
    /// Where it is none.
    pub fn parse(note: &'a str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        // C2SP signed-note, Format: no ASCII control characters but the newline.
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(NoteError::Control);
        }
        // C2SP signed-note, Format: the last empty line separates the text from the signatures.
        let split = note.rfind("\n\n").ok_or(NoteError::Unsigned)?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        let lines = lines.strip_suffix('\n').filter(|lines| !lines.is_empty()).ok_or(NoteError::Unsigned)?;
        if lines.split('\n').count() > SIGNATURES_MAX {
            return Err(NoteError::TooLong);
        }
        let parse = |(index, line)| Signature::parse(line).ok_or(NoteError::Signature(index + 1));
        let signatures = lines.split('\n').enumerate().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { text, signatures })
    }
}

impl<'a> Signature<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, signature) = line.strip_prefix("— ")?.split_once(' ')?;
        let is_name = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+');
        let bytes = STANDARD.decode(signature).ok()?;
        let (id, bytes) = bytes.split_first_chunk::<4>()?;
        let id = u32::from_be_bytes(*id);
        (is_name && !bytes.is_empty()).then(|| Self { name, id, bytes: bytes.to_vec() })
    }
}

impl fmt::Display for Signature<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.id.to_be_bytes(), &self.bytes[..]].concat();
        writeln!(f, "— {} {}", self.name, STANDARD.encode(bytes))
    }
}

impl fmt::Display for Note<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| signature.fmt(f))
    }
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("the note is longer than notes are, or has too many signatures"),
            Self::Control => f.write_str("the note has a control character"),
            Self::Unsigned => f.write_str("no signatures below an empty line"),
            Self::Signature(index) => write!(f, "signature {index} is not of the form — NAME BASE64"),
        }
    }
}

impl std::error::Error for NoteError {}

/// The checkpoints' notes in a text that has one after the other, with an empty line between them; there is none in the text
/// of a checkpoint itself (C2SP tlog-checkpoint, Note text).
///
/// ```
/// let text = "a\n\n— k AAAAAAE=\n\nb\n\n— k AAAAAAE=\n";
/// let notes: Vec<&str> = ledger::note::split(text).collect();
/// assert_eq!(notes, ["a\n\n— k AAAAAAE=\n", "b\n\n— k AAAAAAE=\n"]);
/// ```
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches('\n');
        if rest.is_empty() {
            return None;
        }
        // C2SP signed-note, Format: an empty line stands before the signatures, and none between them.
        let signatures = rest.find("\n\n").map_or(rest.len(), |at| at + 2);
        let end = rest[signatures..].find("\n\n").map_or(rest.len(), |at| signatures + at + 1);
        let (note, after) = rest.split_at(end);
        rest = after;
        Some(note)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of C2SP signed-note.
    const EXAMPLE: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\
        — quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99\
        ihAQwaqP3ZekRwNtIc=\n";

    #[test]
    fn the_example_of_the_specification_reads_and_writes() {
        let note = Note::parse(EXAMPLE).unwrap();
        assert!(note.text.ends_with("\n\ned è subito sera.\n"));
        let [signature] = &note.signatures[..] else { panic!("one signature") };
        assert_eq!((signature.name, signature.id), ("quasimodo.example/salvatore", 0x367b_a04b));
        assert_eq!(signature.bytes.len(), 64);
        assert_eq!(note.to_string(), EXAMPLE);
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let line = "— a AAAAAAE=\n";
        let cases = [
            (String::new(), NoteError::Unsigned),
            ("text\n".into(), NoteError::Unsigned),
            ("text\n\n".into(), NoteError::Unsigned),
            ("text\n\n— a AAAAAAE=".into(), NoteError::Unsigned),
            ("te\txt\n\n".to_owned() + line, NoteError::Control),
            ("text\n\n- a AAAAAAE=\n".into(), NoteError::Signature(1)),
            (format!("text\n\n{line}— a+b AAAAAAE=\n"), NoteError::Signature(2)),
            (format!("text\n\n{line}— a AAAAAA==\n"), NoteError::Signature(2)),
            (format!("text\n\n{line}— a AAAAAAE\n"), NoteError::Signature(2)),
            (format!("{}\n\n{line}", "a".repeat(NOTE_BYTES_MAX)), NoteError::TooLong),
            (format!("text\n\n{}", line.repeat(SIGNATURES_MAX + 1)), NoteError::TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(Note::parse(&text), Err(error), "{text:.80}");
        }
        assert!(Note::parse(&format!("text\n\n{}", line.repeat(SIGNATURES_MAX))).is_ok());
    }
}
