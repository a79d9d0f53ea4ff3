//! The file of a policy that is learned: opened at once, as long as there are the caller's privileges, and written at the end.

use super::deeds::Form;
use super::lessons::{LESSONS_MAX, Lessons};
use std::ffi::OsString;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that is open; what was in it is there until something was learned.
#[derive(Debug)]
pub(crate) struct Draft {
    path: PathBuf,
    file: File,
}

/// What was learned cannot be written: where, and why.
#[derive(Debug)]
pub struct LearnError(PathBuf, io::Error);

impl Draft {
    /// Opens the file, and makes it where there is none.
    ///
    /// # Errors
    ///
    /// Where that cannot be.
    pub fn open(path: &Path) -> Result<Self, LearnError> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let file = file.map_err(|error| LearnError(path.to_owned(), error))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Writes the policy, and says so.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn write(mut self, lessons: &Lessons, command: &[OsString]) -> Result<String, LearnError> {
        let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
        let text = lessons.to_text(Form::of(&self.path), &words.join(" "));
        let emptied = self.file.set_len(0);
        let written =
            emptied.and_then(|()| self.file.write_all(text.as_bytes())).and_then(|()| self.file.sync_all());
        written.map_err(|error| LearnError(self.path.clone(), error))?;
        let (rules, beyond) = lessons.counts();
        let path = self.path.display();
        Ok(match beyond {
            0 => format!("weft: learned {rules} rules: weft run --policy {path} -- COMMAND"),
            _ => format!(
                "weft: learned {rules} rules in {path}, and not {beyond} more: {LESSONS_MAX} are the most"
            ),
        })
    }
}

impl fmt::Display for LearnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the learned policy {} cannot be written: {}", self.0.display(), self.1)
    }
}

impl std::error::Error for LearnError {}
