//! Opening what must be a file: a named pipe, a device or a folder in its place keeps nobody waiting, and is told by its name.

use rustix::fs::OFlags;
use std::fmt;
use std::fs::{File, FileType, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Something that is no file, where a file should be, or no folder where a folder should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongKind {
    /// Where it is; `it` where who asked has the name.
    pub path: String,
    /// What it is.
    pub found: &'static str,
    /// What it should be.
    pub expected: &'static str,
}

impl WrongKind {
    fn error(path: impl fmt::Display, found: &'static str, expected: &'static str) -> io::Error {
        io::Error::new(ErrorKind::InvalidInput, Self { path: path.to_string(), found, expected })
    }

    /// The one that an error was made of, where it was.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// Opens a file to read it. A named pipe is not waited for.
///
/// # Errors
///
/// Where it is not there, cannot be opened, or is no file.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().read(true), path, "it")
}

/// Opens a file so, and tells of it by this name where it is none.
pub(crate) fn open_with(options: &mut OpenOptions, path: &Path, name: impl fmt::Display) -> io::Result<File> {
    let is_pipe = |found: &std::fs::Metadata| found.file_type().is_fifo();
    let file = options.custom_flags(no_wait()).open(path).map_err(|error| {
        // What nobody reads cannot be opened to be written.
        match std::fs::metadata(path).is_ok_and(|found| is_pipe(&found)) {
            true => WrongKind::error(&name, "a pipe", "a file"),
            false => error,
        }
    })?;
    let found = file.metadata()?.file_type();
    if found.is_file() { Ok(file) } else { Err(WrongKind::error(name, kind_of(found), "a file")) }
}

/// Opens what somebody names to be read once: a file, or a pipe or a terminal that the process was given as `/dev/stdin` or by
/// a shell's `<(..)`.
///
/// # Errors
///
/// Where it is not there, cannot be opened, or is something else.
pub fn open_given(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(no_wait()).open(path)?;
    let found = file.metadata()?.file_type();
    if found.is_file() {
        return Ok(file);
    }
    let is_given = ["/dev/stdin", "/dev/fd", "/proc/self/fd"].iter().any(|given| path.starts_with(given));
    if !is_given || found.is_dir() {
        return Err(WrongKind::error("it", kind_of(found), "a file"));
    }
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

/// Holds to it that there is a folder, or nothing: a file has nothing below it.
pub(crate) fn hold_to_folder(path: &Path, name: &str) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() && !found.is_file() => {
            Err(WrongKind::error(name, kind_of(found.file_type()), "a folder"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn no_wait() -> i32 {
    (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32
}

fn kind_of(found: FileType) -> &'static str {
    match found {
        found if found.is_dir() => "a folder",
        found if found.is_fifo() => "a pipe",
        found if found.is_socket() => "a socket",
        found if found.is_file() => "a file",
        _ => "a device",
    }
}

impl fmt::Display for WrongKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, and should be {}", self.path, self.found, self.expected)
    }
}

impl std::error::Error for WrongKind {}
