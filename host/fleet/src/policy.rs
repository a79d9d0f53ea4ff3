//! Policies on their way: one document in a bucket, and the file that a host keeps.
//!
//! The document says in which language the policy is written, because a file's name does, and a key has none. It is held
//! to be right twice: before it is pushed, and by each host before it takes the place of the last good one.

use crate::signed::SignatureError;
use axiom::policy::{Language, Policy, PolicyBuilder, PolicyError};
use serde_json::{Value, json};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The bound of a policy's text, in bytes: what goes into one message of a server with its default bound of 1 MiB.
pub const POLICY_BYTES_MAX: usize = 900_000;
/// The bound of a document, in bytes. It is longer than the text in it, because JSON escapes line ends.
pub const DOCUMENT_BYTES_MAX: usize = 1_000_000;

/// A policy as it is in the bucket.
///
/// ```
/// use fleet::policy::Document;
///
/// let document = Document::of_file("team.list", "allow api.example.com:443\n".to_owned());
/// let same = Document::decode(&document.encode()?)?;
/// assert_eq!(same, document);
/// assert!(same.check("/run/weft/policy.list").is_ok());
/// assert!(same.check("/run/weft/policy.cedar").is_err(), "it is in another language");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// In which language it is written.
    pub language: Language,
    /// Its text.
    pub text: String,
    /// Who has signed it, where somebody has: a [note](crate::signed).
    pub note: Option<String>,
}

/// Why a policy is not taken.
#[derive(Debug)]
pub enum DocumentError {
    /// The value is no document; what was expected.
    Form(&'static str),
    /// It has more bytes than this.
    TooLong(usize),
    /// The file's name says another language.
    Language(Language),
    /// What is wrong with the policy.
    Wrong(PolicyError),
    /// Those whose policies are taken have not signed it.
    Signature(SignatureError),
}

impl Document {
    /// The policy of a file of this name.
    #[must_use]
    pub fn of_file(path: &str, text: String) -> Self {
        Self { language: Language::of_path(path), text, note: None }
    }

    /// The document as a value of the bucket.
    ///
    /// # Errors
    ///
    /// Where it is too long.
    pub fn encode(&self) -> Result<Vec<u8>, DocumentError> {
        if self.text.len() > POLICY_BYTES_MAX {
            return Err(DocumentError::TooLong(POLICY_BYTES_MAX));
        }
        let mut value = json!({ "language": word(self.language), "text": self.text });
        if let Some(note) = &self.note {
            value["note"] = note.as_str().into();
        }
        let value = value.to_string();
        match value.len() > DOCUMENT_BYTES_MAX {
            true => Err(DocumentError::TooLong(DOCUMENT_BYTES_MAX)),
            false => Ok(value.into_bytes()),
        }
    }

    /// The document of a value. Fields of a later version are not looked at.
    ///
    /// # Errors
    ///
    /// Where it is none. Its text is not read yet.
    pub fn decode(value: &[u8]) -> Result<Self, DocumentError> {
        if value.len() > DOCUMENT_BYTES_MAX {
            return Err(DocumentError::TooLong(DOCUMENT_BYTES_MAX));
        }
        let value: Value = serde_json::from_slice(value).map_err(|_| DocumentError::Form("JSON"))?;
        let language = match value["language"].as_str() {
            Some("cedar") => Language::Cedar,
            Some("list") => Language::List,
            _ => return Err(DocumentError::Form("a language, which is list or cedar")),
        };
        let text = value["text"].as_str().ok_or(DocumentError::Form("a text"))?;
        if text.len() > POLICY_BYTES_MAX {
            return Err(DocumentError::TooLong(POLICY_BYTES_MAX));
        }
        let note = value["note"].as_str().map(str::to_owned);
        Ok(Self { language, text: text.to_owned(), note })
    }

    /// The policy, as a host would read it from a file of this name.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it. A file that it includes is, because other hosts do not have it.
    pub fn check(&self, path: &str) -> Result<Policy, DocumentError> {
        if Language::of_path(path) != self.language {
            return Err(DocumentError::Language(self.language));
        }
        let mut load = |asked: &str| match asked == path {
            true => Ok(self.text.clone().into_bytes()),
            false => {
                Err("a policy for many hosts is one file: put the rules of the other into it".to_owned())
            }
        };
        PolicyBuilder::default().file(path, &mut load).build().map_err(DocumentError::Wrong)
    }
}

/// A language, as the document has it.
#[must_use]
pub fn word(language: Language) -> &'static str {
    match language {
        Language::Cedar => "cedar",
        Language::List => "list",
    }
}

/// Puts bytes into a file's place at once and onto the disk: whoever reads it has the old or the new, also after a loss of
/// power. A new file is readable for everybody, because policies are no secret; one that is there keeps its mode.
///
/// # Errors
///
/// Where it cannot be written. The old file is there then.
pub fn install(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link stays one: what it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder: PathBuf = folder.unwrap_or(Path::new(".")).to_owned();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // One agent writes it, so that what an interrupted one left is overwritten.
    name.push(".new");
    let beside = folder.join(name);
    let written = (|| {
        let mut file = File::create(&beside)?;
        if let Ok(old) = fs::metadata(&path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(&folder)?.sync_all()
    })();
    if written.is_err() {
        // It may not even have come to be.
        let _ = fs::remove_file(&beside);
    }
    written
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(expected) => {
                write!(
                    f,
                    "the value in the bucket is no policy, expected {expected}: use weft fleet policy push"
                )
            }
            Self::TooLong(bound) => write!(f, "a policy for many hosts has at most {bound} bytes"),
            Self::Language(Language::Cedar) => {
                f.write_str("the policy is in Cedar: give the agent a file whose name ends in .cedar")
            }
            Self::Language(Language::List) => f.write_str(
                "the policy is a list of rules: give the agent a file whose name does not end in .cedar",
            ),
            Self::Wrong(error) => error.fmt(f),
            Self::Signature(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DocumentError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(value: &str) -> Result<Document, DocumentError> {
        Document::decode(value.as_bytes())
    }

    #[test]
    fn what_is_no_policy_is_refused_with_what_was_expected() {
        for (value, told) in [
            ("allow a.example", "expected JSON"),
            ("{}", "expected a language"),
            (r#"{"language":"list"}"#, "expected a text"),
            (r#"{"language":"rego","text":""}"#, "list or cedar"),
        ] {
            let error = decode(value).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        let later = decode(r#"{"language":"list","text":"a.example","later":1}"#).unwrap();
        assert_eq!(later, Document { language: Language::List, text: "a.example".into(), note: None });
    }

    #[test]
    fn a_policy_is_bounded() {
        let of = |text: String| Document { language: Language::List, text, note: None };
        assert!(of("#".repeat(POLICY_BYTES_MAX)).encode().is_ok());
        assert!(matches!(
            of("#".repeat(POLICY_BYTES_MAX + 1)).encode(),
            Err(DocumentError::TooLong(POLICY_BYTES_MAX))
        ));
        let escaped = of("\n".repeat(POLICY_BYTES_MAX)).encode();
        assert!(matches!(escaped, Err(DocumentError::TooLong(DOCUMENT_BYTES_MAX))));
        let long = vec![b' '; DOCUMENT_BYTES_MAX + 1];
        assert!(matches!(Document::decode(&long), Err(DocumentError::TooLong(_))));
    }

    #[test]
    fn what_is_wrong_is_told_where_it_stands() {
        let check =
            |text: &str| Document::of_file("p", text.to_owned()).check("p").map(|policy| policy.counts());
        assert_eq!(check("a.example\n").unwrap(), (1, 0));
        assert!(check("a.example\nb..c\n").unwrap_err().to_string().starts_with("p:2:3"));
        let cedar = Document::of_file("p.cedar", "permit (principal, action, resource);".to_owned());
        assert_eq!(cedar.check("p.cedar").unwrap().counts(), (0, 1));
        let listed = Document::of_file(
            "p.cedar",
            r#"permit (principal, action, resource in List::"team");"#.to_owned(),
        );
        assert!(
            matches!(listed.check("p.cedar"), Err(DocumentError::Wrong(_))),
            "the list is on no other host"
        );
        let included = check("include team.list\n").unwrap_err().to_string();
        assert!(included.contains("is one file"), "{included}");
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = std::env::temp_dir().join(format!("weft-fleet-install-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("policy.list");
        install(&path, b"one").unwrap();
        install(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        assert!(install(&folder.join("none/policy"), b"x").is_err());
        // What stands in the way of the new file leaves the old one.
        fs::create_dir(folder.join("policy.list.new")).unwrap();
        assert!(install(&path, b"three").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"two");
        fs::remove_dir_all(&folder).unwrap();
    }
}
