//! One run, from its options to its exit status.

use crate::addresses::Pins;
use crate::domain::DomainName;
use crate::engine::{Engine, EngineError, Gate, Parts, SetupError};
use crate::host_names;
use crate::options::Options;
use crate::report::Reporter;
use crate::resolver::{self, Resolver};
use crate::rules::{RuleError, Rules};
use crate::sandbox::{Exit, Launch, LaunchError, launch};
use crate::uplink::own_addresses;
use std::fmt;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What [`run`] returns where something was refused, and [`fail_on_deny`](Options::fail_on_deny) asks for that.
pub const EXIT_REFUSED: u8 = 100;
/// What [`run`] returns where the [`timeout`](Options::timeout) ended the command.
pub const EXIT_TIMEOUT: u8 = 124;
/// What the command `weft` exits with where it failed itself, which [`run`] tells by an error.
pub const EXIT_FAILURE: u8 = 125;

/// Runs the command and returns the exit status that says how it went: the command's own; 128 and the signal that
/// ended it; [`EXIT_REFUSED`], [`EXIT_TIMEOUT`]; 126 and 127 where it could not be executed or found. The calling process
/// must have one thread, and gives up privileges for good.
///
/// ```
/// use gateway::{Options, RunError, run};
///
/// // What is wrong with the options is told before anything runs.
/// let allow = vec!["api.example.com:https".to_owned()];
/// let options = Options { command: vec!["true".into()], allow, ..Options::default() };
/// assert!(matches!(run(options), Err(RunError::Rule(_))));
/// assert!(matches!(run(Options::default()), Err(RunError::NoCommand)));
/// ```
///
/// # Errors
///
/// Where weft itself failed. Nothing of the command is left.
pub fn run(options: Options) -> Result<u8, RunError> {
    let prepared = Prepared::of(&options)?;
    let mut launch_plan = Launch::new(options.command.clone());
    launch_plan.attach = options.attach;
    let launched = launch(launch_plan)?;
    for warning in launched.sandbox.warnings().iter().filter(|_| !options.quiet) {
        eprintln!("weft: {warning}");
    }
    raise_descriptor_limit();
    let parts = Parts {
        launched,
        gate: prepared.gate,
        resolver: prepared.resolver,
        reporter: prepared.reporter,
        upstreams: prepared.upstreams,
        publish: options.publish,
        pcap: prepared.pcap,
        timeout: options.timeout,
        seed: random_seed()?,
    };
    let (outcome, mut reporter, wire) = Engine::new(parts)?.run()?;
    if let Exit::NotExecuted(_) = outcome.exit {
        let name = options.command[0].to_string_lossy();
        eprintln!("weft: {}: {}", if name.is_empty() { "''" } else { &name }, outcome.exit);
    }
    if let Err(error) = reporter.finish() {
        return Err(RunError::Report(error));
    }
    if let Err(error) = wire.finish() {
        return Err(RunError::Capture(error));
    }
    if outcome.timed_out {
        return Ok(EXIT_TIMEOUT);
    }
    if options.fail_on_deny && reporter.refusals() > 0 {
        return Ok(EXIT_REFUSED);
    }
    Ok(outcome.exit.status())
}

/// What is checked and opened before anything runs.
struct Prepared {
    gate: Gate,
    resolver: Resolver,
    reporter: Reporter,
    upstreams: Vec<std::net::SocketAddr>,
    pcap: Option<File>,
}

impl Prepared {
    fn of(options: &Options) -> Result<Self, RunError> {
        if options.command.is_empty() {
            return Err(RunError::NoCommand);
        }
        let rules = Arc::new(Rules::parse(&options.allow, &options.deny)?);
        let mut pins = Pins::default();
        for pin in &options.resolve {
            let name = DomainName::parse(&pin.name)
                .map_err(|error| RunError::Name(pin.name.clone(), error.expected.to_string()))?;
            pins.add(name, pin.address);
        }
        let pins = Arc::new(pins);
        let upstreams = match options.dns {
            Some(server) => vec![server],
            None => host_names::resolvers(&read_or_empty("/etc/resolv.conf")),
        };
        let mut config = resolver::Config::new(rules.clone(), random_seed()?);
        config.pins = pins.clone();
        config.hosts = host_names::hosts(&read_or_empty("/etc/hosts"));
        config.servers = upstreams.len();
        let own = own_addresses().map_err(|error| RunError::System("listing the host's addresses", error))?;
        let gate = Gate { rules, pins, own: own.into_iter().collect(), tls_opaque: options.tls_opaque };
        let pcap = options.pcap.as_deref().map(create).transpose()?;
        let events = options.events.as_deref().map(create).transpose()?;
        let reporter = reporter(events, options.quiet);
        Ok(Self { gate, resolver: Resolver::new(config), reporter, upstreams, pcap })
    }
}

/// Events go to their file as they happen; the rest to standard error, with a summary where a person reads it.
fn reporter(events: Option<File>, quiet: bool) -> Reporter {
    let events = events.map(|file| Box::new(std::io::LineWriter::new(file)) as Box<dyn Write + Send>);
    let messages = (!quiet).then(|| Box::new(std::io::stderr()) as Box<dyn Write + Send>);
    let colour = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let summary = (!quiet && std::io::stderr().is_terminal()).then_some(colour);
    Reporter::new(events, messages, summary)
}

fn create(path: &Path) -> Result<File, RunError> {
    File::create(path).map_err(|error| RunError::File(path.to_owned(), error))
}

/// A file that need not be there.
fn read_or_empty(path: &str) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn random_seed() -> Result<[u8; 32], RunError> {
    let mut seed = [0; 32];
    let count = rustix::rand::getrandom(&mut seed[..], rustix::rand::GetRandomFlags::empty())
        .map_err(|error| RunError::System("asking the kernel for random bytes", error))?;
    debug_assert_eq!(count, seed.len(), "getrandom(2) gives up to 256 bytes at once");
    Ok(seed)
}

/// Every connection needs a descriptor: as many as the host lets us have. The command keeps its own limit.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // The limit that there is serves as well, only for fewer.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// weft itself failed: what it tried, on what, why.
///
/// ```
/// use gateway::{Options, run};
/// let failed = run(Options::default()).unwrap_err();
/// assert_eq!(failed.to_string(), "no command to run: weft run [OPTIONS] -- COMMAND [ARG...]");
/// ```
#[derive(Debug)]
pub enum RunError {
    /// There is nothing to run.
    NoCommand,
    /// A rule cannot be understood.
    Rule(RuleError),
    /// `--resolve` has something that is no name.
    Name(String, String),
    /// A file cannot be written.
    File(PathBuf, std::io::Error),
    /// The namespaces cannot be made.
    Launch(LaunchError),
    /// The gateway cannot be set up.
    Setup(SetupError),
    /// The gateway failed while the command ran.
    Engine(EngineError),
    /// Events could not be written: the record is not whole.
    Report(std::io::Error),
    /// Frames could not be written: the capture is not whole.
    Capture(std::io::Error),
    /// A call that does not fail failed.
    System(&'static str, rustix::io::Errno),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCommand => f.write_str("no command to run: weft run [OPTIONS] -- COMMAND [ARG...]"),
            Self::Rule(error) => write!(f, "{error}"),
            Self::Name(name, expected) => write!(f, "--resolve {name}: {expected}"),
            Self::File(path, error) => write!(f, "creating {} failed: {error}", path.display()),
            Self::Launch(error) => write!(f, "{error}"),
            Self::Setup(error) => write!(f, "{error}"),
            Self::Engine(error) => write!(f, "{error}"),
            Self::Report(error) => {
                write!(f, "writing the report failed, so the record is not whole: {error}")
            }
            Self::Capture(error) => {
                write!(f, "writing the capture failed, so it is not whole: {error}")
            }
            Self::System(doing, error) => write!(f, "{doing} failed: {error}"),
        }
    }
}

impl std::error::Error for RunError {}

macro_rules! from {
    ($($error:ty => $variant:ident),+) => {
        $(impl From<$error> for RunError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })+
    };
}

from!(RuleError => Rule, LaunchError => Launch, SetupError => Setup, EngineError => Engine);
