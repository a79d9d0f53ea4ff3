//! The ledger of a run, opened before anything runs; its keys are made where there are none.

use crate::options::LedgerOptions;
use identity::{Algorithm, PublicKey, SecretKey, file};
use ledger::directory::{Directory, DirectoryStorage};
use ledger::shards::{self, ShardNumber, ShardsError};
use ledger::{LogConfig, Position, ShardsSeen, Writer, WriterConfig, layout};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What begins the name of keys that are made on a host whose own name cannot.
const NAME_DEFAULT: &str = "localhost";

/// A ledger that is open for writing.
#[derive(Debug)]
pub(crate) struct Opened {
    pub writer: Writer<DirectoryStorage>,
    pub position: Position,
    pub config: LogConfig,
    pub shard: ShardNumber,
    pub others: Others,
    /// What the program must not reach: the ledger's directory and the files of its keys.
    pub hidden: Vec<PathBuf>,
}

/// The other shards of a ledger, which are written by other runs.
#[derive(Debug)]
pub(crate) struct Others {
    directory: PathBuf,
    own: ShardNumber,
    keys: Vec<PublicKey>,
}

impl Others {
    /// What they have on disk; `None` where there is none.
    pub fn seen(&self) -> Option<ShardsSeen> {
        let shards = shards::seen(&self.directory, self.own, &self.keys);
        (!shards.is_empty()).then_some(ShardsSeen { shards })
    }
}

/// A ledger cannot be opened, so nothing is run: what was tried, on what, why it failed.
#[derive(Debug)]
pub enum LedgerError {
    /// Its directory or a file in it.
    Directory(PathBuf, io::Error),
    /// Its directory is another user's, by number: what is written there would not be that user's to write on.
    Foreign(PathBuf, u32),
    /// The file of its keys cannot be made.
    Create(file::CreateError),
    /// It cannot be read.
    Read(file::ReadError),
    /// The keys' public halves cannot be written beside them.
    Public(PathBuf, io::Error),
    /// There is no file of its keys, and something that was signed with them: the file, and what there is.
    Missing(PathBuf, PathBuf),
    /// The public keys beside it, which it was signed with, are not those of the file of its keys.
    Mixed(PathBuf, PathBuf),
    /// What is in the directory cannot be gone on from.
    Open(PathBuf, ShardsError),
    /// The kernel gives no random bytes.
    Random,
}

impl Opened {
    /// Opens the ledger, or begins one.
    ///
    /// # Errors
    ///
    /// Where that cannot be; nothing may run then.
    pub fn of(options: &LedgerOptions) -> Result<Self, LedgerError> {
        let directory = std::path::absolute(&options.directory)
            .map_err(|error| LedgerError::Directory(options.directory.clone(), error))?;
        let key_path = beside(&directory, "key");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.map_err(|error| LedgerError::Directory(directory.clone(), error))?;
        let owner =
            fs::metadata(&directory).map_err(|error| LedgerError::Directory(directory.clone(), error))?;
        // Root could make files there, and could not write them once it has dropped what lets it.
        if owner.uid() != rustix::process::geteuid().as_raw() {
            return Err(LedgerError::Foreign(directory, owner.uid()));
        }
        let keys = keys(&key_path, &directory)?;
        let public: Vec<PublicKey> = keys.iter().map(|key| key.public().clone()).collect();
        let ns = |age: std::time::Duration| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        let writing = WriterConfig {
            keep_logs: options.keep_logs,
            keep_age_ns: options.keep_age.map(ns),
            ..WriterConfig::default()
        };
        let opened = shards::open(&directory, keys, writing);
        let (writer, position, shard) =
            opened.map_err(|error| LedgerError::Open(directory.clone(), error))?;
        // Only now: what is there was signed with these keys.
        publish(&beside(&directory, "pub"), &public)?;
        let others = Others { directory: directory.clone(), own: shard, keys: public };
        let usual = LogConfig::default();
        let config = LogConfig {
            durability: options.durability,
            rotate_bytes: options.rotate_bytes.unwrap_or(usual.rotate_bytes),
            rotate_age_ns: options.rotate_age.map_or(usual.rotate_age_ns, ns),
        };
        let hidden = vec![beside(&directory, "pub"), directory, key_path];
        Ok(Self { writer, position, config, shard, others, hidden })
    }
}

/// Whether a run around this one has this path hidden, as it hides its own ledger: then that ledger has what this run does.
#[must_use]
pub fn is_covered(path: &Path) -> bool {
    // As the sandbox covers a directory: empty, never to be written, and nobody's.
    let (Ok(system), Ok(found)) = (rustix::fs::statvfs(path), rustix::fs::stat(path)) else { return false };
    system.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) && found.st_mode & 0o7777 == 0
}

/// What of a ledger and its keys is there. In a run, what that run has covered is none of it.
#[must_use]
pub fn ledger_files(directory: &Path) -> Vec<PathBuf> {
    let files = [directory.to_owned(), beside(directory, "key"), beside(directory, "pub")];
    files.into_iter().filter(|path| path.is_dir() || path.is_file()).collect()
}

/// `ledger` and `key` give `ledger.key`, beside the directory: a copy of the ledger has no secret in it.
fn beside(directory: &Path, extension: &str) -> PathBuf {
    let mut name: OsString = directory.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

/// The keys that sign. Where nothing was signed yet they are made; two runs that make them at once end up with the same.
fn keys(path: &Path, directory: &Path) -> Result<Vec<SecretKey>, LedgerError> {
    let is_there = || fs::exists(path).map_err(|error| LedgerError::Directory(path.to_owned(), error));
    if !is_there()? {
        let signed =
            signed(directory).map_err(|error| LedgerError::Directory(directory.to_owned(), error))?;
        match signed {
            // Another run that makes them has done so before it signs anything.
            Some(signed) if !is_there()? => return Err(LedgerError::Missing(path.to_owned(), signed)),
            Some(_) => {}
            None => create(path, directory)?,
        }
    }
    let keys = file::read(path).map_err(LedgerError::Read)?;
    let public = beside(directory, "pub");
    let is_own =
        |line: &str| line.parse().map_or(true, |there| keys.iter().any(|key| *key.public() == there));
    match fs::read_to_string(&public) {
        Ok(text) if !text.lines().all(is_own) => Err(LedgerError::Mixed(path.to_owned(), public)),
        // What is not there, or no text, is written once the ledger is open.
        _ => Ok(keys),
    }
}

/// What there is that was signed with a ledger's keys, if anything: the ledger, or their public halves.
fn signed(directory: &Path) -> io::Result<Option<PathBuf>> {
    let source = Directory::open(directory);
    let is_begun = !layout::logs(&source)?.is_empty()
        || !layout::journals(&source)?.is_empty()
        || layout::shards(&source)?.is_some_and(|shards| !shards.is_empty());
    if is_begun {
        return Ok(Some(directory.to_owned()));
    }
    let public = beside(directory, "pub");
    Ok(fs::exists(&public)?.then_some(public))
}

fn create(path: &Path, directory: &Path) -> Result<(), LedgerError> {
    let made = make()?;
    // Whole before it has its name: who finds it there can read it.
    let draft = beside(directory, &format!("key.{}", std::process::id()));
    file::create(&draft, &made).map_err(LedgerError::Create)?;
    let linked = fs::hard_link(&draft, path);
    let removed = fs::remove_file(&draft);
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(LedgerError::Create(file::CreateError { path: path.to_owned(), error }))
        }
        _ => removed.map_err(|error| LedgerError::Directory(draft, error)),
    }
}

/// Writes the public halves, for who verifies.
fn publish(path: &Path, keys: &[PublicKey]) -> Result<(), LedgerError> {
    let text: String = keys.iter().map(|key| format!("{key}\n")).collect();
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    fs::write(path, text).map_err(|error| LedgerError::Public(path.to_owned(), error))
}

fn make() -> Result<Vec<SecretKey>, LedgerError> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // Each of them has a seed of its own: who breaks one has not broken the other.
    let mut seeds = Algorithm::ALL.map(|_| Zeroizing::new([0; identity::secret::SEED_BYTES]));
    for seed in &mut seeds {
        let length = rustix::rand::getrandom(&mut seed[..], rustix::rand::GetRandomFlags::empty());
        if length != Ok(seed.len()) {
            return Err(LedgerError::Random);
        }
    }
    let seeds: Vec<_> = Algorithm::ALL.into_iter().zip(seeds.iter().map(|seed| &**seed)).collect();
    SecretKey::for_log(&host, &seeds)
        .or_else(|_| SecretKey::for_log(NAME_DEFAULT, &seeds))
        .map_err(|_| LedgerError::Random)
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path, error) => write!(f, "the ledger {}: {error}", path.display())?,
            Self::Foreign(path, user) => {
                write!(f, "the ledger {} is another user's (number {user})", path.display())?;
            }
            Self::Create(error) => write!(f, "the ledger's keys: {error}")?,
            Self::Read(error) => write!(f, "the ledger's keys: {error}")?,
            Self::Public(path, error) => write!(f, "the ledger's public keys {}: {error}", path.display())?,
            Self::Missing(key, signed) => write!(
                f,
                "the ledger's keys: there is no {}, and what they have signed is there ({}): new ones would not go on \
                 with it, so put that file back",
                key.display(),
                signed.display()
            )?,
            Self::Mixed(key, public) => write!(
                f,
                "the ledger's keys: {} does not have those of {}: put the file back that has",
                key.display(),
                public.display()
            )?,
            Self::Open(path, error) => write!(f, "the ledger {}: {error}", path.display())?,
            Self::Random => f.write_str("the ledger's keys: the kernel gives no random bytes")?,
        }
        f.write_str("; another place is named with --ledger DIR, and --no-ledger runs without one")
    }
}

impl std::error::Error for LedgerError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(directory: PathBuf) -> LedgerOptions {
        LedgerOptions { directory, ..LedgerOptions::default() }
    }

    /// A place of the test's own, gone with it.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("weft-opening-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn options(&self) -> LedgerOptions {
            options(self.0.join("led"))
        }

        fn read(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.0.join(name)).ok()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn keys_are_never_made_anew_where_something_was_signed() {
        let place = Place::new("anew");
        drop(Opened::of(&place.options()).unwrap());
        let (key, public) = (place.read("led.key").unwrap(), place.read("led.pub"));
        fs::rename(place.0.join("led.key"), place.0.join("away")).unwrap();
        let refuse = || {
            let error = Opened::of(&place.options()).unwrap_err().to_string();
            assert!(error.contains("led.key") && error.contains("put that file back"), "{error}");
            assert!(error.contains("--ledger DIR"), "{error}");
            assert_eq!(place.read("led.key"), None);
        };
        refuse();
        assert_eq!(place.read("led.pub"), public);
        fs::rename(place.0.join("led.pub"), place.0.join("kept")).unwrap();
        refuse();
        assert_eq!(place.read("led.pub"), None);
        // The public keys alone are enough: what was signed may lie elsewhere.
        fs::rename(place.0.join("kept"), place.0.join("led.pub")).unwrap();
        fs::remove_dir_all(place.0.join("led")).unwrap();
        refuse();
        fs::rename(place.0.join("away"), place.0.join("led.key")).unwrap();
        drop(Opened::of(&place.options()).unwrap());
        assert_eq!((place.read("led.key"), place.read("led.pub")), (Some(key), public));
    }

    #[test]
    fn public_keys_are_not_written_over_by_those_of_another_ledger() {
        let place = Place::new("mixed");
        drop(Opened::of(&place.options()).unwrap());
        let public = place.read("led.pub");
        drop(Opened::of(&options(place.0.join("other"))).unwrap());
        fs::rename(place.0.join("other.key"), place.0.join("led.key")).unwrap();
        let error = Opened::of(&place.options()).unwrap_err();
        assert!(matches!(error, LedgerError::Mixed(..)), "{error}");
        assert_eq!(place.read("led.pub"), public);
        // Without the public keys the ledger itself tells, before anything is written.
        fs::remove_file(place.0.join("led.pub")).unwrap();
        let error = Opened::of(&place.options()).unwrap_err();
        assert!(matches!(error, LedgerError::Open(..)), "{error}");
        assert_eq!(place.read("led.pub"), None);
    }
}
