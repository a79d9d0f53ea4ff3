//! The file of a policy that is learned: opened at once, as long as there are the caller's privileges, and written at the end.
//!
//! In between the command may move what it likes, its directory too. So the directory is held by a descriptor: what the
//! command has put into the file's place is replaced, and no path is followed that could lead to where the command itself
//! may not write.

use super::deeds::Form;
use super::lessons::{LESSONS_MAX, Lessons};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A file that is open; what was in it is there until something was learned.
#[derive(Debug)]
pub(crate) struct Draft {
    path: PathBuf,
    file: File,
    /// Where it lies; `None` of what is no file in a directory, as a terminal or a pipe.
    place: Option<Place>,
}

#[derive(Debug)]
struct Place {
    directory: OwnedFd,
    /// The directory's path when it was opened.
    path: PathBuf,
    name: OsString,
}

/// What was learned cannot be written: where, and why.
#[derive(Debug)]
pub struct LearnError {
    path: PathBuf,
    /// Whether the command has taken the file away.
    is_gone: bool,
    error: io::Error,
}

impl Draft {
    /// Opens the file, and makes it where there is none.
    ///
    /// # Errors
    ///
    /// Where that cannot be.
    pub fn open(path: &Path) -> Result<Self, LearnError> {
        let failed = |error| LearnError { path: path.to_owned(), is_gone: false, error };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(failed)?;
        let is_file = file.metadata().map_err(failed)?.is_file();
        let place = is_file.then(|| Place::of(path)).transpose().map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, place })
    }

    /// Writes the policy, and says so.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn write(mut self, lessons: &Lessons, command: &[OsString]) -> Result<String, LearnError> {
        let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
        let form = Form::of(&self.path);
        let text = lessons.to_text(form, &words.join(" "));
        let gone = self.place.as_ref().filter(|place| !place.holds(&self.file));
        let written = match gone {
            Some(place) => place.replace(&self.file, &text),
            None => rewrite(&mut self.file, &text),
        };
        let is_gone = gone.is_some();
        written.map_err(|error| LearnError { path: self.path.clone(), is_gone, error })?;
        let (rules, beyond) = lessons.counts();
        let path = self.place.as_ref().and_then(Place::moved).unwrap_or_else(|| self.path.clone());
        let path = path.display();
        let nobody = match lessons.of_nobody(form) {
            0 => String::new(),
            1 => "weft: one endpoint is allowed any program: which one it was could not be told\n".to_owned(),
            count => {
                format!(
                    "weft: {count} endpoints are allowed any program: which one it was could not be told\n"
                )
            }
        };
        let learned = match beyond {
            0 => format!("weft: learned {rules} rules: weft run --policy {path} -- COMMAND"),
            _ => format!(
                "weft: learned {rules} rules in {path}, and not {beyond} more: {LESSONS_MAX} are the most"
            ),
        };
        Ok(nobody + &learned)
    }
}

impl Place {
    /// Of a file that is there: a link's is that of what it leads to.
    fn of(path: &Path) -> io::Result<Self> {
        let whole = path.canonicalize()?;
        let (directory, name) = whole.parent().zip(whole.file_name()).ok_or(Errno::ISDIR)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(directory, flags, Mode::empty())?;
        Ok(Self { directory: opened, path: directory.to_owned(), name: name.to_owned() })
    }

    /// Whether it is this file that lies there.
    fn holds(&self, file: &File) -> bool {
        let identity = |stat: Stat| (stat.st_dev, stat.st_ino);
        let there = rustix::fs::statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW).map(identity);
        there.is_ok_and(|there| rustix::fs::fstat(file).map(identity) == Ok(there))
    }

    /// Puts a file with this text into the place of whatever lies there, with the mode of the one that did.
    fn replace(&self, before: &File, text: &str) -> io::Result<()> {
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random[..], rustix::rand::GetRandomFlags::empty())?;
        let beside = format!(".weft-learned-{:016x}", u64::from_ne_bytes(random));
        let mode = Mode::from_raw_mode(rustix::fs::fstat(before)?.st_mode & 0o777);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&self.directory, &beside, flags, Mode::RUSR)?);
        let written = rewrite(&mut file, text)
            .and_then(|()| Ok(rustix::fs::fchmod(&file, mode)?))
            .and_then(|()| Ok(rustix::fs::renameat(&self.directory, &beside, &self.directory, &self.name)?));
        if written.is_err() {
            // What is left of it would be in the way of nothing.
            let _ = rustix::fs::unlinkat(&self.directory, &beside, AtFlags::empty());
        }
        written
    }

    /// Where the file is now, if its directory is not where it was.
    fn moved(&self) -> Option<PathBuf> {
        let link = format!("/proc/self/fd/{}", self.directory.as_raw_fd());
        let now = rustix::fs::readlink(link, Vec::new()).ok()?;
        let now = Path::new(OsStr::from_bytes(now.to_bytes()));
        (now != self.path).then(|| now.join(&self.name))
    }
}

fn rewrite(file: &mut File, text: &str) -> io::Result<()> {
    // A terminal or a pipe has no length.
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(text.as_bytes())?;
    match file.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

impl fmt::Display for LearnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, error) = (self.path.display(), &self.error);
        match self.is_gone {
            false => write!(f, "the learned policy {path} cannot be written: {error}"),
            true => write!(
                f,
                "the command has removed or replaced {path}, and what was learned cannot be written in its place: \
                 {error}; name a file that the command leaves alone"
            ),
        }
    }
}

impl std::error::Error for LearnError {}
