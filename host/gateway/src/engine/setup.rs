//! The engine, put together.

use super::Gate;
use super::Sources;
use super::asked::Waiter;
use super::cx::{Cx, Searches};
use super::dns::DnsFront;
use super::echo::EchoFlows;
use super::held::Waiting;
use super::inquiry::{Inquiries, Interview};
use super::listeners::Listeners;
use super::lookup::Waiters;
use super::published::{PublishError, Published};
use super::signals::Signals;
use super::tcp::TcpFlows;
use super::turn::{Engine, Life};
use super::udp::UdpFlows;
use super::unix::Sockets;
use super::wire::Wire;
use crate::attribution::{Digests, Processes};
use crate::authority::{Authority, Lessons, OpenedLedger, Source, Watch};
use crate::console::Console;
use crate::limits::Limits;
use crate::options::{OnRevoke, Publish};
use crate::report::{Event, Reporter};
use crate::resolver::Resolver;
use crate::sandbox::{AttachedDevice, Launched, Sandbox, plan};
use axiom::Proposal;
use axiom::policy::Policy;
use axiom::rules::Protocol;
use filter::Filter;
use ledger::{RunId, RunStart};
use packet::{Capabilities, Device, Pool};
use runtime::{Clock, Poller, Port};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::Pid;
use stack::{
    BindError, Binding, FastOpenConfig, InterfaceConfig, InterfaceId, Listen, Prefix, RouterConfig, Stack,
};
use std::fmt;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use time::{Duration, Instant};

/// Bytes of one connection that wait between the host's socket and the command: deep enough for the largest frame
/// to be under way while the next is read, and no deeper, so that 10,000 stalled connections stay within memory.
const BUFFER_BYTES: u32 = 1 << 20;

/// SYNs that wait for their verdict, names and far side included.
const REQUESTS_MAX: usize = 4_096;

/// How long a SYN waits where a person may be asked about it: as long as the command's kernel repeats it (tcp(7):
/// tcp_syn_retries), and as long again for what is tried then.
const ASKED_LIFETIME: Duration = Duration::from_secs(260);

/// How many buffers for reads are kept while nothing uses them.
const IDLE_BUFFERS_MAX: usize = 64;

/// The size of each, in bytes: what one read takes, and one datagram.
const BUFFER_SIZE: usize = 65_536;

/// What a run is made of, ready to turn.
pub(crate) struct Parts {
    pub launched: Launched,
    pub gate: Gate,
    pub policy: Policy,
    /// What the policy was read from, and what tells when to read it again.
    pub source: Source,
    pub watch: Option<Watch>,
    pub on_revoke: OnRevoke,
    pub is_learning: bool,
    /// Who is asked about what no rule speaks of.
    pub asking: Option<Interview>,
    pub ledger: Option<OpenedLedger>,
    pub run: RunId,
    /// What the run's first entry says.
    pub start: RunStart,
    pub resolver: Resolver,
    pub reporter: Reporter,
    /// The resolvers that ours asks.
    pub upstreams: Vec<SocketAddr>,
    pub publish: Vec<Publish>,
    pub limits: Option<Box<Limits>>,
    /// What packets of the command's have to pass, and those to it.
    pub filter: Option<Filter>,
    /// Where every frame is written.
    pub pcap: Option<File>,
    pub timeout: Option<Duration>,
    /// The stack's only randomness.
    pub seed: [u8; 32],
}

impl Engine {
    /// Puts a run together. The command waits until [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// Where a port cannot be published or a descriptor cannot be had.
    pub fn new(parts: Parts) -> Result<Self, SetupError> {
        let clock = Clock::start();
        let now = clock.now();
        let Launched { sandbox, device, socket_tables, terminal } = parts.launched;
        let signals = Signals::catch(terminal.is_some()).map_err(SetupError::Signals)?;
        let digests = Digests::new().map_err(SetupError::Poll)?;
        let poller = poller(&device, &sandbox, (&signals, &digests), parts.watch.as_ref())?;
        let published = Published::open(&parts.publish, &poller)?;
        let (console, inquiries) =
            console(&poller, parts.asking, terminal.map(|near| (near, sandbox.command_pid())))?;

        let (mut stack, interface) = build_stack(device.capabilities(), parts.seed, console.is_some(), now)?;
        stack.set_filter(parts.filter);
        let profile = Arc::new(profile());
        let listen = Listen { binding: Binding::Intercept, defer: true, backlog: 0, config: profile.clone() };
        stack.tcp_listen(listen)?;
        let intercept_udp = stack.udp_bind(Binding::Intercept)?;
        let dns = DnsFront::open(&mut stack, &profile, parts.upstreams)?;
        let wire = Wire::new(device, parts.pcap).map_err(SetupError::Capture)?;
        let authority = authority(&poller, parts.policy, parts.ledger, (parts.run, parts.start), now)?;
        let processes = Processes::new(socket_tables, sandbox.init_pid());
        let processes = if sandbox.is_guarded() { processes.with_guard() } else { processes };
        let engine = Self {
            port: Port::new(interface, wire),
            signals,
            console,
            intercept_udp,
            dns,
            tcp: TcpFlows::new(profile.clone(), now),
            profile,
            udp: UdpFlows::new(intercept_udp),
            echo: EchoFlows::default(),
            published,
            source: parts.source,
            watch: parts.watch,
            on_revoke: parts.on_revoke,
            life: Life::Running { until: parts.timeout.map(|span| now + span), interrupts: 0 },
            is_told_to_end: false,
            is_digest_found: false,
            again: Vec::new(),
            arrived: true,
            blocked: false,
            sandbox,
            cx: Cx {
                clock,
                now,
                stack,
                poller,
                pool: Pool::new(BUFFER_SIZE, IDLE_BUFFERS_MAX),
                scratch: vec![0; BUFFER_SIZE],
                gate: parts.gate,
                authority,
                has_told_of_ledger: false,
                has_told_of_loss: false,
                lessons: parts.is_learning.then(Lessons::default),
                limits: parts.limits,
                resolver: parts.resolver,
                waiters: Waiters::default(),
                reporter: parts.reporter,
                processes,
                digests,
                waiting: Waiting::default(),
                inquiries,
                sockets: Sockets::default(),
                listeners: Listeners::default(),
                searches: Searches::new(now),
            },
        };
        engine.authorise_published(&parts.publish)
    }
}

impl Engine {
    /// Begins with the published ports, where they may be the command's.
    fn authorise_published(mut self, ports: &[Publish]) -> Result<Self, SetupError> {
        match self.cx.authorise_published(ports) {
            Ok(()) => Ok(self),
            Err(refused) => {
                // The refusal is an entry as well. That it could not be written says less than what was refused.
                let _ = self.cx.authority.finish(None, self.cx.now);
                Err(refused)
            }
        }
    }
}

impl Cx {
    /// Asks whether the published ports may be the command's, and tells of them.
    fn authorise_published(&mut self, ports: &[Publish]) -> Result<(), SetupError> {
        for Publish { host, port, udp } in ports {
            let protocol = if *udp { Protocol::Udp } else { Protocol::Tcp };
            let inside = SocketAddr::new(IpAddr::V4(plan::ADDRESS_V4), *port);
            let proposal = Proposal { run: self.authority.run(), ..Proposal::listen(protocol, inside) };
            let committed = self.authority.submit(&proposal, self.now);
            committed.map_err(|rejected| SetupError::Listen(*host, rejected.reason))?;
            self.listeners.publish(protocol, *port);
            self.record(&Event::Publish { protocol, listen: *host, port: *port });
        }
        Ok(())
    }
}

/// One that reports what a run has from its beginning to its end.
fn poller(
    device: &AttachedDevice,
    sandbox: &Sandbox,
    (signals, digests): (&Signals, &Digests),
    watch: Option<&Watch>,
) -> Result<Poller, SetupError> {
    let poller = Poller::new().map_err(SetupError::Poll)?;
    let sources = [
        (device.as_fd(), Sources::Device),
        (sandbox.control_fd(), Sources::Control),
        (signals.as_fd(), Sources::Signals),
        (digests.as_fd(), Sources::Digests),
    ];
    for (descriptor, source) in sources.into_iter().chain(watch.map(|watch| (watch.fd(), Sources::Policy))) {
        poller.add(descriptor, source.token(0)).map_err(SetupError::Poll)?;
    }
    Ok(poller)
}

/// The console, where a person is asked and the command has a terminal of its own for that.
fn console(
    poller: &Poller,
    asking: Option<Interview>,
    terminal: Option<(OwnedFd, Pid)>,
) -> Result<(Option<Console>, Option<Inquiries>), SetupError> {
    let Some((Interview { person, lines, file }, near)) = asking.zip(terminal) else {
        return Ok((None, None));
    };
    let inquiries = Inquiries::new(&file);
    let console = Console::new(person, near, lines).map_err(SetupError::Poll)?;
    let (person, command) = console.descriptors();
    poller.add(person, Sources::Console.token(0)).map_err(SetupError::Poll)?;
    if let Some(command) = command {
        poller.add(command, Sources::Console.token(1)).map_err(SetupError::Poll)?;
    }
    Ok((Some(console), Some(inquiries)))
}

/// The authority, whose first entry says that the run begins.
fn authority(
    poller: &Poller,
    policy: Policy,
    ledger: Option<OpenedLedger>,
    (run, start): (RunId, RunStart),
    now: Instant,
) -> Result<Authority<Waiter>, SetupError> {
    let mut authority = Authority::start(policy, ledger, run, now).map_err(SetupError::Ledger)?;
    if let Some(wake) = authority.wake_fd() {
        poller.add(wake, Sources::Ledger.token(0)).map_err(SetupError::Poll)?;
    }
    authority.begin(start, now);
    Ok(authority)
}

/// The stack with its one interface, which takes every packet as its own.
fn build_stack(
    capabilities: Capabilities,
    seed: [u8; 32],
    is_asking: bool,
    now: Instant,
) -> Result<(Stack, InterfaceId), SetupError> {
    // Nothing that a SYN brings is looked at before its verdict.
    let fast_open = FastOpenConfig { client: false, server: false, ..FastOpenConfig::default() };
    let mut config = stack::Config { requests_max: REQUESTS_MAX, fast_open, ..stack::Config::default() };
    if is_asking {
        config.request_lifetime = ASKED_LIFETIME;
    }
    let mut stack = Stack::new(config, seed, now);
    let v4 = |address| Prefix::new(IpAddr::V4(address), plan::PREFIX_LENGTH_V4);
    let v6 = |address| Prefix::new(IpAddr::V6(address), plan::PREFIX_LENGTH_V6);
    let addresses =
        vec![v4(plan::GATEWAY_V4), v4(plan::RESOLVER_V4), v6(plan::GATEWAY_V6), v6(plan::RESOLVER_V6)];
    let mut config = InterfaceConfig::new(capabilities, plan::GATEWAY_MAC, addresses);
    config.intercept = true;
    // The route to us stands when the command starts, and nobody else is on the link: nothing of both is advertised.
    config.router = Some(RouterConfig { lifetime: Duration::ZERO, ..RouterConfig::default() });
    let interface = stack.add_interface(config, now).map_err(|error| SetupError::Stack(error.to_string()))?;
    // As the command's side knows us: neither asks before the first packet.
    for address in [IpAddr::V4(plan::ADDRESS_V4), IpAddr::V6(plan::ADDRESS_V6)] {
        stack.add_neighbour(interface, address, plan::MAC, now);
    }
    Ok((stack, interface))
}

/// TCP towards the command.
fn profile() -> tcp::Config {
    tcp::Config {
        send_buffer_bytes: BUFFER_BYTES,
        send_start_bytes: BUFFER_BYTES,
        receive_buffer_bytes: BUFFER_BYTES,
        receive_start_bytes: BUFFER_BYTES,
        // What is relayed was written by somebody who decided when to write it.
        nagle: false,
        // The program waits on the same machine: an acknowledgement that its answer can carry within a millisecond
        // need not wake it up by itself.
        quick_acks: 0,
        delayed_ack: Duration::from_millis(1),
        // The link is memory: it has no bottleneck whose queue has to be found or spared.
        hystart: false,
        pacing: false,
        ..tcp::Config::linux()
    }
}

/// A run cannot be put together.
#[derive(Debug)]
pub enum SetupError {
    /// A port of the host cannot be published.
    Publish(PublishError),
    /// The policy does not let the command have a published port; why.
    Listen(SocketAddr, String),
    /// A descriptor cannot be made or watched.
    Poll(Errno),
    /// The thread that writes the ledger cannot be started.
    Ledger(std::io::Error),
    /// Signals cannot be taken.
    Signals(std::io::Error),
    /// The capture cannot be begun.
    Capture(std::io::Error),
    /// Our own stack refuses its fixed set-up.
    Stack(String),
}

impl From<BindError> for SetupError {
    fn from(error: BindError) -> Self {
        Self::Stack(error.to_string())
    }
}

impl From<PublishError> for SetupError {
    fn from(error: PublishError) -> Self {
        Self::Publish(error)
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish(error) => write!(f, "{error}"),
            Self::Listen(host, reason) => write!(f, "publishing {host} of the host is refused: {reason}"),
            Self::Poll(error) => write!(f, "watching descriptors failed: {error}"),
            Self::Ledger(error) => write!(f, "starting the ledger's thread failed: {error}"),
            Self::Signals(error) => write!(f, "taking signals failed: {error}"),
            Self::Capture(error) => write!(f, "beginning the capture failed: {error}"),
            Self::Stack(error) => write!(f, "setting up the stack failed: {error}"),
        }
    }
}

impl std::error::Error for SetupError {}
