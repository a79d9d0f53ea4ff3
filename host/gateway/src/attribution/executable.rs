//! The file that a process executes: which one it is, and by which path it is told.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// What the kernel puts behind the path of a file that has none any more.
const DELETED: &str = " (deleted)";
/// What stands behind a path at which the host has another file, or none.
const ELSEWHERE: &str = " (elsewhere)";

/// A file, and its content as long as nobody writes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    device: (u32, u32),
    inode: u64,
    bytes: u64,
    modified: (i64, u32),
    changed: (i64, u32),
}

impl Version {
    /// That of the file at a path; of the descriptor itself where the path is empty. What the kernel knows of it is
    /// enough: a file system that answers for itself, over a network or from a program, is not asked.
    pub fn of(directory: impl AsFd, path: impl rustix::path::Arg) -> Option<Self> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
        Self::ask(directory, path, flags)
    }

    /// That of an open file, by its file system.
    pub fn of_open(file: impl AsFd) -> Option<Self> {
        Self::ask(file, "", AtFlags::EMPTY_PATH)
    }

    fn ask(directory: impl AsFd, path: impl rustix::path::Arg, flags: AtFlags) -> Option<Self> {
        let about = statx(directory, path, flags, StatxFlags::BASIC_STATS).ok()?;
        Some(Self {
            device: (about.stx_dev_major, about.stx_dev_minor),
            inode: about.stx_ino,
            bytes: about.stx_size,
            modified: (about.stx_mtime.tv_sec, about.stx_mtime.tv_nsec),
            changed: (about.stx_ctime.tv_sec, about.stx_ctime.tv_nsec),
        })
    }

    /// Its length.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When its content was last changed, after the beginning of 1970.
    pub fn modified(&self) -> Duration {
        since_1970(self.modified)
    }

    /// When anything about it was last changed, after the beginning of 1970.
    pub fn changed(&self) -> Duration {
        since_1970(self.changed)
    }

    /// Whether both are of one file.
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

fn since_1970((seconds, nanos): (i64, u32)) -> Duration {
    Duration::new(u64::try_from(seconds).unwrap_or(0), nanos)
}

/// The executable of a program that asked.
#[derive(Debug)]
pub struct Executable {
    file: OwnedFd,
    version: Version,
}

impl Executable {
    /// That which this descriptor is of.
    pub(super) fn of(file: OwnedFd) -> Option<Self> {
        let version = Version::of(&file, "")?;
        Some(Self { file, version })
    }

    /// Which file it is.
    pub(super) fn version(&self) -> Version {
        self.version
    }
}

impl AsFd for Executable {
    /// The file. It is open as a place only (O_PATH, open(2)): its content is read by opening it again.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The path by which an executable is told. It is the kernel's where the host has that very file there. A program in a
/// mount namespace of its own may mount what it likes wherever it likes, so that any other file is marked.
pub(super) fn told_path(path: &[u8], version: &Version) -> String {
    let mut text = String::from_utf8_lossy(path).into_owned();
    let here = Version::of(CWD, Path::new(std::ffi::OsStr::from_bytes(path)));
    let is_here = text.starts_with('/') && here.is_some_and(|here| here.is_same_file(version));
    if !is_here && !text.ends_with(DELETED) {
        text.push_str(ELSEWHERE);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_as_it_is_only_where_it_leads_to_the_file() {
        let [bash, cat] = ["/bin/bash", "/bin/cat"].map(|path| Version::of(CWD, path).expect("it is there"));
        assert_eq!(told_path(b"/bin/bash", &bash), "/bin/bash");
        assert_eq!(told_path(b"/bin/bash", &cat), "/bin/bash (elsewhere)");
        assert_eq!(told_path(b"/bin/none", &cat), "/bin/none (elsewhere)");
        assert_eq!(told_path(b"/bin/cat (deleted)", &cat), "/bin/cat (deleted)");
        assert_eq!(told_path(b"/bin/\xff", &cat), "/bin/\u{fffd} (elsewhere)");
        assert_eq!(told_path(b"", &cat), " (elsewhere)");
    }
}
