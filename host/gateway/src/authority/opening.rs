//! The ledger of a run, opened before anything runs; its keys are made where there are none.

use crate::options::LedgerOptions;
use identity::{Algorithm, PublicKey, SecretKey, file};
use ledger::directory::DirectoryStorage;
use ledger::shards::{self, ShardNumber, ShardsError};
use ledger::{LogConfig, Position, ShardsSeen, Writer, WriterConfig};
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
        let public = keys.iter().map(|key| key.public().clone()).collect();
        let ns = |age: std::time::Duration| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        let writing = WriterConfig {
            keep_logs: options.keep_logs,
            keep_age_ns: options.keep_age.map(ns),
            ..WriterConfig::default()
        };
        let opened = shards::open(&directory, keys, writing);
        let (writer, position, shard) =
            opened.map_err(|error| LedgerError::Open(directory.clone(), error))?;
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

/// The keys that sign, made where there are none. Two runs that make them at once end up with the same.
fn keys(path: &Path, directory: &Path) -> Result<Vec<SecretKey>, LedgerError> {
    if !fs::exists(path).map_err(|error| LedgerError::Directory(path.to_owned(), error))? {
        let made = make()?;
        // Whole before it has its name: who finds it there can read it.
        let draft = beside(directory, &format!("key.{}", std::process::id()));
        file::create(&draft, &made).map_err(LedgerError::Create)?;
        let linked = fs::hard_link(&draft, path);
        let removed = fs::remove_file(&draft);
        match linked {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(LedgerError::Create(file::CreateError { path: path.to_owned(), error }));
            }
            _ => removed.map_err(|error| LedgerError::Directory(draft, error))?,
        }
    }
    let keys = file::read(path).map_err(LedgerError::Read)?;
    let public = beside(directory, "pub");
    let text: String = keys.iter().map(|key| format!("{}\n", key.public())).collect();
    if fs::read_to_string(&public).is_ok_and(|there| there == text) {
        return Ok(keys);
    }
    fs::write(&public, text).map_err(|error| LedgerError::Public(public, error))?;
    Ok(keys)
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
            Self::Open(path, error) => write!(f, "the ledger {}: {error}", path.display())?,
            Self::Random => f.write_str("the ledger's keys: the kernel gives no random bytes")?,
        }
        f.write_str("; another place is named with --ledger DIR, and --no-ledger runs without one")
    }
}

impl std::error::Error for LedgerError {}
