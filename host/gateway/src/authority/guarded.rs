//! Which files of a policy the command cannot change: only of these does a change count while it runs.
//!
//! The command runs as the user who wrote the policy, and could otherwise allow itself what it likes. A file is out of its
//! reach where its directory is read-only inside, or belongs to another user and may not be written by this one. Files are
//! read by their directories' descriptors: renaming what lies above them leads nowhere.

use axiom::policy::POLICY_BYTES_MAX;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::{self, Errno};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The directories that a policy was read from at the start, each by the path that it was given by.
#[derive(Debug)]
pub(crate) struct Guarded {
    directories: BTreeMap<PathBuf, Directory>,
}

#[derive(Debug)]
struct Directory {
    descriptor: OwnedFd,
    /// Whether it is read-only for the command.
    is_read_only: bool,
}

/// Why a change of a file does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unguarded {
    /// The command may write the file, or put another in its place.
    Reachable,
    /// No file was read from its directory at the start.
    Elsewhere,
    /// It cannot be read.
    Unread(Errno),
}

impl Guarded {
    /// Of these files, which are there. Must be made before the command runs. `read_only` are the directories that are so
    /// inside.
    ///
    /// # Errors
    ///
    /// The first that the command can change.
    pub fn of(paths: &BTreeSet<PathBuf>, read_only: &[PathBuf]) -> Result<Self, PathBuf> {
        let read_only: Vec<PathBuf> = read_only.iter().filter_map(|path| path.canonicalize().ok()).collect();
        let mut guarded = Self { directories: BTreeMap::new() };
        for path in paths {
            guarded.hold(directory_of(path), &read_only).map_err(|_| path.clone())?;
            guarded.open(path).map_err(|_| path.clone())?;
        }
        Ok(guarded)
    }

    fn hold(&mut self, path: &Path, read_only: &[PathBuf]) -> io::Result<()> {
        if !self.directories.contains_key(path) {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let descriptor = rustix::fs::open(path, flags, Mode::empty())?;
            let whole =
                path.canonicalize().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
            let is_read_only = read_only.iter().any(|above| whole.starts_with(above));
            self.directories.insert(path.to_owned(), Directory { descriptor, is_read_only });
        }
        Ok(())
    }

    /// Reads a file, and no more of it than a policy may have.
    ///
    /// # Errors
    ///
    /// Why it does not count.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, Unguarded> {
        let mut bytes = Vec::new();
        let read = self.open(path)?.take(POLICY_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| Unguarded::Unread(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        Ok(bytes)
    }

    fn open(&self, path: &Path) -> Result<File, Unguarded> {
        let directory = self.directories.get(directory_of(path)).ok_or(Unguarded::Elsewhere)?;
        let name = path.file_name().ok_or(Unguarded::Unread(Errno::ISDIR))?;
        // A link that leads out of the directory leads to where nobody has looked.
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat2(&directory.descriptor, name, flags, Mode::empty(), resolve);
        let file = File::from(opened.map_err(|error| match error {
            Errno::XDEV => Unguarded::Reachable,
            error => Unguarded::Unread(error),
        })?);
        let found = file.metadata().map_err(|_| Unguarded::Unread(Errno::IO))?;
        let is_out_of_reach = match directory.is_read_only {
            // By another name of its own it could be written all the same.
            true => found.nlink() == 1,
            false => is_foreign(&directory.descriptor) && is_foreign(&file),
        };
        if is_out_of_reach && found.is_file() { Ok(file) } else { Err(Unguarded::Reachable) }
    }
}

impl std::fmt::Display for Unguarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reachable => f.write_str("the command may write it, so that it does not count"),
            Self::Elsewhere => f.write_str(
                "nothing was read from its directory when the run began, so that it does not count",
            ),
            Self::Unread(error) => error.fmt(f),
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether this is another user's and may not be written by this one. To root all is its own.
fn is_foreign(of: impl AsFd) -> bool {
    let own = rustix::process::geteuid();
    let is_anothers = rustix::fs::fstat(&of).is_ok_and(|stat| stat.st_uid != own.as_raw());
    let path = format!("/proc/self/fd/{}", of.as_fd().as_raw_fd());
    let refused = rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS);
    !own.is_root() && is_anothers && matches!(refused, Err(Errno::ACCESS | Errno::ROFS | Errno::PERM))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("weft-guarded-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(path.join("kept")).expect("a directory");
            Self(path)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).expect("written");
            path
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_the_command_may_write_does_not_count() {
        let place = Place::new("own");
        let own = place.write("own", "a.example\n");
        assert_eq!(Guarded::of(&BTreeSet::from([own.clone()]), &[]).unwrap_err(), own);
        assert_eq!(Guarded::of(&BTreeSet::from([own.clone()]), &[place.0.join("kept")]).unwrap_err(), own);
        let system = PathBuf::from("/etc/passwd");
        let is_root = rustix::process::geteuid().is_root();
        assert_eq!(Guarded::of(&BTreeSet::from([system]), &[]).is_err(), is_root);
    }

    #[test]
    fn files_of_a_read_only_directory_are_found_in_it_wherever_it_is_moved() {
        let place = Place::new("kept");
        let path = place.write("kept/policy", "a.example\n");
        let outside = place.write("outside", "b.example\n");
        let paths = BTreeSet::from([path.clone()]);
        let guarded = Guarded::of(&paths, std::slice::from_ref(&place.0.join("kept"))).expect("guarded");
        assert_eq!(guarded.read(&path).as_deref(), Ok(&b"a.example\n"[..]));
        // Somebody makes another directory of that name.
        fs::rename(place.0.join("kept"), place.0.join("moved")).expect("moved");
        fs::create_dir(place.0.join("kept")).expect("a directory");
        place.write("kept/policy", "evil.example\n");
        place.write("moved/policy", "c.example\n");
        assert_eq!(guarded.read(&path).as_deref(), Ok(&b"c.example\n"[..]));
        assert_eq!(guarded.read(&outside), Err(Unguarded::Elsewhere));
        symlink(&outside, place.0.join("moved/link")).expect("a link");
        assert_eq!(guarded.read(&place.0.join("kept/link")), Err(Unguarded::Reachable));
        fs::hard_link(place.0.join("moved/policy"), place.0.join("other-name")).expect("a link");
        assert_eq!(guarded.read(&path), Err(Unguarded::Reachable));
        assert_eq!(guarded.read(&place.0.join("kept/none")), Err(Unguarded::Unread(Errno::NOENT)));
    }
}
