//! One run, from its options to its exit status.

use crate::authority::{Draft, LearnError, LedgerError, OpenedLedger, Source, Watch, unix_ns};
use crate::console::{Lines, Person};
use crate::engine::{Ended, Engine, EngineError, Gate, Interview, Parts, SetupError};
use crate::filtering::{self, filter_of};
use crate::host_names;
use crate::limits::{Limits, SameLimit};
use crate::options::Options;
use crate::report::{Event, Reporter};
use crate::resolver::{self, Resolver};
use crate::sandbox::{Exit, Launch, LaunchError, UnixRules, is_same_terminal, launch};
use crate::uplink::own_addresses;
use axiom::addresses::Pins;
use axiom::domain::DomainName;
use axiom::policy::{Policy, PolicyError};
use filter::Filter;
use ledger::checkpoint::Checkpoint;
use ledger::{RunId, RunStart};
use rustix::fd::AsFd;
use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use time::Instant;

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
/// assert!(matches!(run(options), Err(RunError::Policy(_))));
/// assert!(matches!(run(Options::default()), Err(RunError::NoCommand)));
/// ```
///
/// # Errors
///
/// Where weft itself failed. Nothing of the command is left.
pub fn run(options: Options) -> Result<u8, RunError> {
    let prepared = Prepared::of(&options)?;
    let launched = launch(launch_plan(&options, &prepared))?;
    if !options.quiet {
        prepared.policy.warnings().iter().for_each(|warning| eprintln!("weft: {warning}"));
        launched.sandbox.warnings().iter().for_each(|warning| eprintln!("weft: {warning}"));
    }
    raise_descriptor_limit();
    let parts = Parts {
        launched,
        gate: prepared.gate,
        policy: prepared.policy,
        source: prepared.source,
        watch: prepared.watch,
        on_revoke: options.on_revoke,
        is_learning: options.learn.is_some(),
        asking: prepared.asking,
        ledger: prepared.ledger,
        run: prepared.run,
        start: run_start(&options.command),
        resolver: prepared.resolver,
        reporter: prepared.reporter,
        upstreams: prepared.upstreams,
        publish: options.publish,
        limits: prepared.limits,
        filter: prepared.filter,
        pcap: prepared.pcap,
        timeout: options.timeout,
        seed: random_seed()?,
    };
    let Ended { outcome, filter, mut reporter, wire, lessons, checkpoint } = Engine::new(parts)?.run()?;
    let is_killed = outcome.exit == Exit::Killed && !outcome.timed_out;
    if is_killed || matches!(outcome.exit, Exit::NotExecuted(_)) {
        let name = options.command[0].to_string_lossy();
        eprintln!("weft: {}: {}", if name.is_empty() { "''" } else { &name }, outcome.exit);
    }
    let checkpoint = checkpoint.map(|note| note.as_deref().and_then(summary_of_checkpoint));
    let met = filter.as_ref().zip(options.filter.as_deref());
    let met = met.map(|(filter, file)| tell_of_filter(&mut reporter, filter, file));
    let reported = reporter.finish();
    if let Some(lines) = &met {
        reporter.say(lines);
    }
    if let Ok(Some(line)) = &checkpoint {
        reporter.say(line);
    }
    if let (Some(lessons), Some(draft)) = (&lessons, prepared.draft) {
        let line = draft.write(lessons, &options.command).map_err(RunError::Learned)?;
        reporter.say(&line);
    }
    // What was learned is written whether or not anybody reads the report.
    reported.map_err(RunError::Report)?;
    if let Err(error) = wire.finish() {
        return Err(RunError::Capture(error));
    }
    if let Err(reason) = checkpoint {
        return Err(RunError::Unrecorded(reason));
    }
    if outcome.timed_out {
        return Ok(EXIT_TIMEOUT);
    }
    if options.fail_on_deny && reporter.refusals() > 0 {
        return Ok(EXIT_REFUSED);
    }
    Ok(outcome.exit.status())
}

/// What the sandbox is to be like.
fn launch_plan(options: &Options, prepared: &Prepared) -> Launch {
    let mut plan = Launch::new(options.command.clone());
    plan.attach = options.attach;
    plan.unix = prepared.unix.clone();
    let written = prepared.ledger.iter().flat_map(|ledger| ledger.hidden.clone());
    let hidden: BTreeSet<PathBuf> = options.hidden.iter().cloned().chain(written).collect();
    plan.hidden = hidden.into_iter().collect();
    plan.read_only = options.read_only.clone();
    plan.strict = options.strict;
    plan.own_terminal = prepared.asking.is_some();
    plan
}

/// What is checked and opened before anything runs.
struct Prepared {
    gate: Gate,
    policy: Policy,
    source: Source,
    watch: Option<Watch>,
    ledger: Option<OpenedLedger>,
    run: RunId,
    unix: UnixRules,
    resolver: Resolver,
    reporter: Reporter,
    upstreams: Vec<std::net::SocketAddr>,
    limits: Option<Box<Limits>>,
    filter: Option<Filter>,
    pcap: Option<File>,
    draft: Option<Draft>,
    asking: Option<Interview>,
}

impl Prepared {
    fn of(options: &Options) -> Result<Self, RunError> {
        if options.command.is_empty() {
            return Err(RunError::NoCommand);
        }
        // Every bucket is full when the engine's time begins.
        let limits = Limits::new(&options.limits, Instant::ZERO)?;
        let filter =
            options.filter.as_deref().map(|file| filter_of(file, &random_seed()?).map_err(RunError::Filter));
        let filter = filter.transpose()?;
        let source = Source::of(options);
        let (policy, texts) = source.read();
        let policy = policy?;
        let has_files = !texts.is_empty();
        let watch = || Watch::start(texts, &options.read_only);
        let watch = has_files.then(watch).transpose().map_err(RunError::Watch)?;
        let unix = policy.rules().map(UnixRules::of).unwrap_or_default();
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
        let mut config = resolver::Config::new(policy.clone(), random_seed()?);
        config.pins = pins.clone();
        config.hosts = host_names::hosts(&read_or_empty("/etc/hosts"));
        config.search = search_list();
        config.servers = upstreams.len();
        let own = own_addresses().map_err(|error| RunError::System("listing the host's addresses", error))?;
        let gate = Gate { pins, own: own.into_iter().collect(), tls_opaque: options.tls_opaque };
        // Before anything is written for nothing.
        let asking = options.learn.as_deref().filter(|_| options.ask).map(asking).transpose()?;
        let draft = options.learn.as_deref().map(Draft::open).transpose().map_err(RunError::Learned)?;
        let (pcap, events) = outputs(options)?;
        let lines = asking.as_ref().and_then(|interview| interview.lines.clone());
        let reporter = reporter(events, options.quiet, lines);
        let ledger = options.ledger.as_ref().map(OpenedLedger::of).transpose()?;
        let mut run = RunId::default();
        run.0.copy_from_slice(&random_seed()?[..16]);
        Ok(Self {
            gate,
            policy,
            source,
            watch,
            ledger,
            run,
            unix,
            resolver: Resolver::new(config),
            reporter,
            upstreams,
            limits,
            filter,
            pcap,
            draft,
            asking,
        })
    }
}

/// Who is asked about the policy that is written to `file`, and at what.
fn asking(file: &Path) -> Result<Interview, RunError> {
    let person = Person::open().map_err(RunError::NoTerminal)?;
    let is_shared = is_same_terminal(rustix::stdio::stderr(), person.as_fd());
    let lines = is_shared.then(Lines::default);
    Ok(Interview { person, lines, file: file.to_owned() })
}

/// What the command's resolver library makes of short names.
fn search_list() -> Vec<DomainName> {
    let local_domain = std::env::var("LOCALDOMAIN").ok();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    host_names::search_list(&read_or_empty("/etc/resolv.conf"), local_domain.as_deref(), &host)
}

/// What the run's first entry says.
fn run_start(command: &[std::ffi::OsString]) -> RunStart {
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    RunStart {
        command: command.iter().map(|word| text(word)).collect(),
        directory: std::env::current_dir().map(|path| text(path.as_os_str())).unwrap_or_default(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        user: Some(rustix::process::getuid().as_raw()),
        policy: None,
        outer: None,
    }
}

/// Writes down what the rules of the packet filter have met; the lines that say it.
fn tell_of_filter(reporter: &mut Reporter, filter: &Filter, file: &Path) -> String {
    let (rules, file) = (filtering::rules_to_json(filter.rules(), Some(filter)), file.display().to_string());
    let lines = filtering::rules_to_text(filter.rules(), Some(filter));
    let lines = format!("weft: the packets that the rules of {file} have met:\n{}", lines.trim_end());
    // Its end needs no time of the run's.
    reporter.record(&Event::Filter { file, rules }, Instant::ZERO, unix_ns());
    lines
}

/// What is said of the last checkpoint: whose log, how many entries, and the hash that stands for all of them, as
/// `weft ledger verify --checkpoint` takes it.
fn summary_of_checkpoint(note: &str) -> Option<String> {
    let checkpoint = Checkpoint::parse_unverified(note).ok()?;
    Some(format!("weft: checkpoint {}", checkpoint.line()))
}

/// Events go to their file as they happen; the rest to standard error, with a summary where a person reads it.
fn reporter(events: Option<File>, quiet: bool, lines: Option<Lines>) -> Reporter {
    let events = events.map(|file| Box::new(std::io::LineWriter::new(file)) as Box<dyn Write + Send>);
    let messages = (!quiet).then(|| match lines {
        Some(lines) => Box::new(lines) as Box<dyn Write + Send>,
        None => Box::new(std::io::stderr()),
    });
    let colour = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let summary = (!quiet && std::io::stderr().is_terminal()).then_some(colour);
    Reporter::new(events, messages, summary)
}

/// The files of `--pcap` and `--events`, written anew.
fn outputs(options: &Options) -> Result<(Option<File>, Option<File>), RunError> {
    let create = |option, path: &Option<PathBuf>| {
        let path = path.as_deref();
        path.map(|path| File::create(path).map_err(|error| RunError::File(option, path.to_owned(), error)))
            .transpose()
    };
    let (pcap, events) = (create("--pcap", &options.pcap)?, create("--events", &options.events)?);
    if let (Some(one), Some(other), Some(path)) = (&pcap, &events, &options.events) {
        let identity = |file: &File| file.metadata().map(|of| (of.is_file(), of.dev(), of.ino()));
        let failed = |error| RunError::File("--events", path.clone(), error);
        let (one, other) = (identity(one).map_err(failed)?, identity(other).map_err(failed)?);
        // Whatever the paths say; a device such as /dev/null may be both.
        if one == other && one.0 {
            return Err(RunError::SameFile(path.clone()));
        }
    }
    Ok((pcap, events))
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
    /// The policy cannot be understood.
    Policy(PolicyError),
    /// The policy's files cannot be watched.
    Watch(std::io::Error),
    /// The ledger cannot be opened.
    Ledger(LedgerError),
    /// What was learned cannot be written.
    Learned(LearnError),
    /// Somebody is to be asked, and there is no terminal.
    NoTerminal(rustix::io::Errno),
    /// The ledger could not be written to its end: the record is not whole.
    Unrecorded(String),
    /// There are two limits of one kind.
    Limit(SameLimit),
    /// The rules of the packet filter cannot be used; what is wrong with them.
    Filter(String),
    /// `--resolve` has something that is no name.
    Name(String, String),
    /// The file of this option cannot be written.
    File(&'static str, PathBuf, std::io::Error),
    /// `--events` and `--pcap` are the same file.
    SameFile(PathBuf),
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
            Self::Policy(error) => write!(f, "{error}"),
            Self::Watch(error) => write!(f, "watching the policy's files for changes failed: {error}"),
            Self::Ledger(error) => write!(f, "{error}"),
            Self::Learned(error) => write!(f, "{error}"),
            Self::NoTerminal(error) => write!(
                f,
                "--ask needs a terminal to ask at, and opening /dev/tty failed: {error}; run it at one, or without --ask, \
                 and read what was learned"
            ),
            Self::Unrecorded(reason) => {
                write!(f, "the ledger cannot be written, so the record is not whole: {reason}")
            }
            Self::Limit(error) => write!(f, "{error}"),
            Self::Filter(wrong) => write!(f, "--filter {wrong}"),
            Self::Name(name, expected) => write!(f, "--resolve {name}: {expected}"),
            Self::File(option, path, error) => {
                write!(f, "{option} {}: creating the file failed: {error}", path.display())?;
                match error.kind() {
                    ErrorKind::NotFound => f.write_str("; make its directory first"),
                    ErrorKind::PermissionDenied => f.write_str("; name a place where you may write"),
                    _ => Ok(()),
                }
            }
            Self::SameFile(path) => {
                write!(f, "--events and --pcap name the same file, {}: each takes its own", path.display())
            }
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

from!(SameLimit => Limit, PolicyError => Policy, LedgerError => Ledger, LaunchError => Launch, SetupError => Setup, EngineError => Engine);
