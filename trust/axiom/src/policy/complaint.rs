//! What is wrong with a policy, and where.

use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;

/// How many complaints are told of one policy: what is wrong after them is mostly wrong because of them.
pub const COMPLAINTS_MAX: usize = 100;

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file: its path as it was given, the line and the letter, both counted from 1.
    File {
        /// The path.
        path: Arc<str>,
        /// The line.
        line: usize,
        /// The letter of the line.
        column: usize,
    },
    /// On the command line: the flag, such as `--allow`.
    Flag(&'static str),
    /// What a person answered at the terminal: `always`, `never`, `once`.
    Answer(&'static str),
}

impl Place {
    /// Of a byte of a file's text.
    pub(super) fn of_offset(path: &Arc<str>, text: &str, offset: usize) -> Self {
        let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let letters = String::from_utf8_lossy(&before[start..]).chars().count();
        Self::File { path: path.clone(), line, column: letters + 1 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Flag(flag) => f.write_str(flag),
            Self::Answer(answer) => write!(f, "the answer {answer} at the terminal"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Where.
    pub place: Place,
    /// What.
    pub message: String,
    /// What would help, where that is known.
    pub help: Option<String>,
}

impl Complaint {
    pub(super) fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), help: None }
    }

    pub(super) fn helped(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// As an object: `file`, `line`, `column` (or `flag`, or `answer`), `message`, `help`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = place_json(&self.place);
        object["message"] = self.message.as_str().into();
        object["help"] = self.help.as_deref().into();
        object
    }
}

/// A place as an object of its own.
pub(super) fn place_json(place: &Place) -> Value {
    match place {
        Place::File { path, line, column } => json!({ "file": &**path, "line": line, "column": column }),
        Place::Flag(flag) => json!({ "flag": flag }),
        Place::Answer(answer) => json!({ "answer": answer }),
    }
}

impl fmt::Display for Complaint {
    /// `FILE:LINE:COLUMN: what is wrong`, and what would help on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, shown(&self.message))?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {}", shown(help)),
            None => Ok(()),
        }
    }
}

/// Text of a policy's author, which must not drive a terminal.
pub(super) fn shown(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() && letter != '\n' { '\u{fffd}' } else { letter })
        .collect()
}

/// A policy that cannot be used. There is no part of it that can: nothing is allowed by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// What is wrong with it: at least one thing, at most [`COMPLAINTS_MAX`], in the order of the text.
    pub complaints: Vec<Complaint>,
}

impl PolicyError {
    /// All of them, as objects.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.complaints.iter().map(Complaint::to_json).collect()
    }
}

impl fmt::Display for PolicyError {
    /// One complaint after the other, each on its own line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, complaint) in self.complaints.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{complaint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for PolicyError {}
