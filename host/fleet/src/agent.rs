//! What runs on each host of a fleet, beside `weft run`, as a process of its own: no connection waits for it.
//!
//! ```text
//! bucket weft-policy ──> policies ──> the policy's file
//! the ledger's directory ──> ledgers ──> stream weft-ledger
//!                                reports ──> bucket weft-hosts
//! ```
//!
//! One thread turns all three; files are read on another. Where the servers are away it waits: the policy's file is the
//! last good one, and the ledger's directory holds what is to be shipped.

mod ledgers;
mod notice;
mod policies;
mod reports;

pub use ledgers::{LOOK_INTERVAL, RETRY_WAIT_MAX};
pub use notice::Notice;

use crate::host::HostName;
use crate::policy::install;
use crate::position::Positions;
use crate::server::{Access, Link, ServerError};
use crate::signed::Times;
use crate::state::HostState;
use identity::PublicKey;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The file in the agent's directory that tells how far it has shipped.
const POSITIONS: &str = "positions";
/// The file there that tells when the policies were signed that it has taken.
const SIGNED: &str = "signed";
/// The file there that one agent locks.
const LOCK: &str = "lock";

/// What an agent is told.
///
/// ```
/// use fleet::{Access, AgentConfig};
///
/// let config = AgentConfig {
///     access: Access::new(vec!["nats://127.0.0.1:4222".into()]),
///     host: "host7.example.com".parse()?,
///     ledger: Some("/var/lib/weft/ledger".into()),
///     policy: Some("/run/weft/policy.list".into()),
///     policy_keys: Vec::new(),
///     directory: "/var/lib/weft/fleet".into(),
/// };
/// assert_eq!(config.host.as_str(), "host7.example.com");
/// # Ok::<(), fleet::host::HostNameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// How the servers are reached.
    pub access: Access,
    /// What the host is called in the fleet.
    pub host: HostName,
    /// The ledger's directory, where it is to be shipped.
    pub ledger: Option<PathBuf>,
    /// The file of the policy, where one is to be kept there.
    pub policy: Option<PathBuf>,
    /// The keys that must have signed it, all of them; with none it is taken from whoever may hand it out.
    pub policy_keys: Vec<PublicKey>,
    /// The agent's own directory. It is made, with access for its owner only.
    pub directory: PathBuf,
}

/// Why there is no agent.
#[derive(Debug)]
pub enum AgentError {
    /// Neither a ledger nor a policy was given.
    Nothing,
    /// A file of the agent's cannot be used; which, and why.
    File(PathBuf, io::Error),
    /// The servers cannot be reached by what was given.
    Server(ServerError),
}

/// An agent that is ready to run.
pub struct Agent<'a> {
    config: AgentConfig,
    link: Link,
    state: RefCell<HostState>,
    positions: RefCell<Positions>,
    signed: RefCell<Times>,
    /// Whether the positions' file is behind.
    is_dirty: Cell<bool>,
    tell: &'a dyn Fn(&Notice),
    /// Held as long as it runs: the agent's own directory, and the ledger.
    _locks: (File, Option<File>),
}

impl<'a> Agent<'a> {
    /// Takes the agent's directory, and begins to connect. Notices go to `tell` as things change.
    ///
    /// # Errors
    ///
    /// Where the directory or the ledger is another agent's, or a file or an address cannot be used. A server that is away is no error.
    pub async fn start(config: AgentConfig, tell: &'a dyn Fn(&Notice)) -> Result<Self, AgentError> {
        if config.ledger.is_none() && config.policy.is_none() {
            return Err(AgentError::Nothing);
        }
        let ledger = config.ledger.as_deref().map(lock_ledger).transpose()?.flatten();
        let locks = (lock(&config.directory)?, ledger);
        let path = config.directory.join(POSITIONS);
        let positions = Positions::read(&path).map_err(|error| AgentError::File(path, error))?;
        let path = config.directory.join(SIGNED);
        let signed = Times::read(&path).map_err(|error| AgentError::File(path, error))?;
        let inbox = Some(format!("_INBOX.{}", config.host.token()));
        let access = Access { inbox, ..config.access.clone() };
        let link = access.keep_connected().await.map_err(AgentError::Server)?;
        let state = HostState { version: env!("CARGO_PKG_VERSION").to_owned(), ..HostState::default() };
        Ok(Self {
            config,
            link,
            state: RefCell::new(state),
            positions: RefCell::new(positions),
            signed: RefCell::new(signed),
            is_dirty: Cell::new(false),
            tell,
            _locks: locks,
        })
    }

    /// Runs until `stop` is over; then says so in the bucket of hosts, where a server is there to be told.
    ///
    /// # Errors
    ///
    /// Where how far it has shipped cannot be written.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), AgentError> {
        let mut ended = Ok(());
        tokio::select! {
            () = stop => {}
            () = self.connections() => {}
            () = self.policies() => {}
            () = self.reports() => {}
            error = self.ledgers() => ended = Err(error),
        }
        self.write_positions()?;
        self.state.borrow_mut().is_stopped = true;
        self.report_end().await;
        ended
    }

    /// Tells of connections as they come and go.
    async fn connections(&self) {
        let mut connections = self.link.connections();
        let mut told = None;
        loop {
            let now = connections.borrow_and_update().clone();
            let reason = now.reason.unwrap_or_else(|| "it does not answer".to_owned());
            let notice = if now.is_up { Notice::Connected } else { Notice::Disconnected(reason) };
            // Before the first attempt there is nothing to tell.
            let is_news =
                now.is_up || now.count > 0 || matches!(&notice, Notice::Disconnected(_) if told.is_some());
            if is_news && told.as_ref() != Some(&notice) {
                (self.tell)(&notice);
            }
            told = Some(notice);
            if connections.changed().await.is_err() {
                // The link has ended, and with it the agent.
                return std::future::pending().await;
            }
        }
    }

    /// Writes how far is shipped, where that has changed since it was written.
    fn write_positions(&self) -> Result<(), AgentError> {
        if !self.is_dirty.replace(false) {
            return Ok(());
        }
        let path = self.config.directory.join(POSITIONS);
        let bytes = self.positions.borrow().encode();
        install(&path, &bytes).map_err(|error| AgentError::File(path, error))
    }
}

/// A ledger that is shipped by two is shipped twice. It is only read: the lock is one of the directory, of which its writers
/// know nothing. One that is not there yet is not locked.
fn lock_ledger(path: &Path) -> Result<Option<File>, AgentError> {
    let failed = |error| AgentError::File(path.to_owned(), error);
    let directory = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    match directory.try_lock() {
        Ok(()) => Ok(Some(directory)),
        Err(TryLockError::WouldBlock) => {
            let text = "another agent ships this ledger, with another --directory";
            Err(failed(io::Error::new(io::ErrorKind::WouldBlock, text)))
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn lock(directory: &Path) -> Result<File, AgentError> {
    let failed = |error| AgentError::File(directory.to_owned(), error);
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(directory.join(LOCK)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(failed(io::Error::new(io::ErrorKind::WouldBlock, "another agent runs with this directory")))
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Nanoseconds since 1970.
fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Agent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("config", &self.config).finish_non_exhaustive()
    }
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => {
                f.write_str("an agent ships a ledger or keeps a policy: give one of them, or both")
            }
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Server(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AgentError {}
