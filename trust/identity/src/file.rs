//! Files of secret keys: one key a line, readable for their owner alone.

use crate::public::KeyError;
use crate::secret::SecretKey;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The bound of a file of keys, in bytes.
pub const FILE_BYTES_MAX: usize = 64 << 10;

/// How a file of keys begins.
const HEADER: &str = "# Secret keys: whoever has this file signs as their owner.\n";

/// Why a file of keys was not made.
#[derive(Debug)]
pub struct CreateError {
    /// Which file.
    pub path: PathBuf,
    /// Why not.
    pub error: io::Error,
}

/// Why a file of keys was not read.
#[derive(Debug)]
pub enum ReadError {
    /// It cannot be read.
    Io(PathBuf, io::Error),
    /// Others than its owner may read or write it; its permissions.
    Exposed(PathBuf, u32),
    /// It is no file, or larger than [`FILE_BYTES_MAX`].
    NoKeyFile(PathBuf),
    /// A line, from 1, is no key.
    Line(PathBuf, usize, KeyError),
    /// There is no key in it.
    Empty(PathBuf),
}

/// Makes a file of these keys, that was not there and that only this user can read; it is on disk afterwards.
///
/// # Errors
///
/// Where there is one already, or it cannot be written; then none is left behind.
pub fn create(path: &Path, keys: &[SecretKey]) -> Result<(), CreateError> {
    let fail = |error| CreateError { path: path.to_owned(), error };
    // Exclusive: a link that somebody left there is not followed, and no key is overwritten.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(fail)?;
    write(file, path, keys).map_err(|error| {
        // Half a file of keys is of no use; what cannot be removed is told by the next attempt.
        let _ = std::fs::remove_file(path);
        fail(error)
    })
}

fn write(mut file: File, path: &Path, keys: &[SecretKey]) -> io::Result<()> {
    file.write_all(HEADER.as_bytes())?;
    for key in keys {
        file.write_all(key.to_text().as_bytes())?;
        file.write_all(b"\n")?;
    }
    file.sync_all()?;
    // The name is on disk once the directory is.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// The keys of a file, in its order.
///
/// # Errors
///
/// Where it cannot be read, is open to others, or a line is no key.
pub fn read(path: &Path) -> Result<Vec<SecretKey>, ReadError> {
    let io = |error| ReadError::Io(path.to_owned(), error);
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX as u64 {
        return Err(ReadError::NoKeyFile(path.to_owned()));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(ReadError::Exposed(path.to_owned(), mode));
    }
    // Room for all of it at once: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX));
    file.take(FILE_BYTES_MAX as u64).read_to_string(&mut text).map_err(io)?;
    let mut keys = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if !line.is_empty() && !line.starts_with('#') {
            let key = SecretKey::parse(line);
            keys.push(key.map_err(|error| ReadError::Line(path.to_owned(), index + 1, error))?);
        }
    }
    if keys.is_empty() { Err(ReadError::Empty(path.to_owned())) } else { Ok(keys) }
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, error } = self;
        match error.kind() {
            io::ErrorKind::AlreadyExists => {
                write!(
                    f,
                    "{} is there already, and keys are never overwritten: choose another name",
                    path.display()
                )
            }
            _ => write!(f, "{} cannot be written: {error}", path.display()),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "the keys of {} cannot be read: {error}", path.display()),
            Self::Exposed(path, mode) => write!(
                f,
                "the keys of {0} are not used: others may read or write it (mode {mode:03o}); chmod 600 {0}",
                path.display()
            ),
            Self::NoKeyFile(path) => {
                write!(f, "{} is no file of keys of at most {} KiB", path.display(), FILE_BYTES_MAX >> 10)
            }
            Self::Line(path, line, error) => write!(f, "{}:{line}: no secret key: {error}", path.display()),
            Self::Empty(path) => write!(f, "there is no key in {}", path.display()),
        }
    }
}

impl std::error::Error for CreateError {}
impl std::error::Error for ReadError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;
    use std::fs::{self, Permissions};

    /// A directory of the test's own, gone with it.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("weft-identity-{}-{name}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn keys() -> Vec<SecretKey> {
        Algorithm::ALL.map(|algorithm| SecretKey::from_seed("a.example", algorithm, &[3; 32]).unwrap()).into()
    }

    #[test]
    fn keys_are_written_for_their_owner_alone_and_read() {
        let directory = Directory::new("round");
        let path = directory.0.join("keys");
        create(&path, &keys()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read: Vec<_> = read(&path).unwrap().iter().map(|key| key.public().clone()).collect();
        let written: Vec<_> = keys().iter().map(|key| key.public().clone()).collect();
        assert_eq!(read, written);
        let error = create(&path, &keys()).unwrap_err();
        assert!(error.to_string().contains("never overwritten"), "{error}");
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let directory = Directory::new("exposed");
        let path = directory.0.join("keys");
        create(&path, &keys()).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = read(&path).unwrap_err();
            assert!(matches!(error, ReadError::Exposed(_, found) if found == mode), "{error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        assert_eq!(read(&path).unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_file_of_keys_is_refused() {
        let directory = Directory::new("wrong");
        let path = directory.0.join("keys");
        assert!(matches!(read(&path), Err(ReadError::Io(..))));
        assert!(matches!(read(&directory.0), Err(ReadError::NoKeyFile(_))));
        create(&path, &[]).unwrap();
        assert!(matches!(read(&path), Err(ReadError::Empty(_))));
        fs::write(&path, "# a\n\nPRIVATE+KEY+a\n").unwrap();
        assert!(matches!(read(&path), Err(ReadError::Line(_, 3, KeyError::Form))));
        fs::write(&path, vec![b'#'; FILE_BYTES_MAX]).unwrap();
        assert!(matches!(read(&path), Err(ReadError::Empty(_))));
        fs::write(&path, vec![b'#'; FILE_BYTES_MAX + 1]).unwrap();
        assert!(matches!(read(&path), Err(ReadError::NoKeyFile(_))));
    }
}
