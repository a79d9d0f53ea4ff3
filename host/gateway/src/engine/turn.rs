//! The turn: wait, take in, answer, send.

use super::Sources;
use super::asked::Waiter;
use super::cx::Cx;
use super::dns::DnsFront;
use super::echo::EchoFlows;
use super::lookup::partial;
use super::published::Published;
use super::signals::{Arrived, Signals};
use super::tcp::TcpFlows;
use super::udp::UdpFlows;
use super::wire::Wire;
use crate::authority::{Lessons, Source, Watch};
use crate::console::Console;
use crate::options::OnRevoke;
use crate::report::{Closing, Reporter};
use crate::sandbox::{Exit, GuardNews, Sandbox};
use filter::Filter;
use runtime::{Port, Readiness, Spin};
use rustix::process::Signal;
use stack::{Event, UdpId};
use std::sync::Arc;
use time::{Duration, Instant};

/// How long the command may ignore SIGTERM after its time is over before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// How long what the command sent before its end may take to be handed to the host without any progress.
const LINGER: Duration = Duration::from_secs(3);

/// Turns of the device in a row before host sockets have theirs.
const BATCHES_MAX: usize = 4;

/// The gateway of one run.
pub(crate) struct Engine {
    /// Dropped first: a file system of the command's own may keep the thread that finds digests until the command is gone.
    pub(super) sandbox: Sandbox,
    pub(super) cx: Cx,
    pub(super) port: Port<Wire>,
    pub(super) signals: Signals,
    /// The person's terminal, where a person is asked.
    pub(super) console: Option<Console>,
    pub(super) intercept_udp: UdpId,
    pub(super) profile: Arc<::tcp::Config>,
    pub(super) dns: DnsFront,
    pub(super) tcp: TcpFlows,
    pub(super) udp: UdpFlows,
    pub(super) echo: EchoFlows,
    pub(super) published: Published,
    pub(super) source: Source,
    pub(super) watch: Option<Watch>,
    pub(super) on_revoke: OnRevoke,
    pub(super) life: Life,
    /// Whether somebody has sent a signal that is to end the command: nobody is asked any more behind its end.
    pub(super) is_told_to_end: bool,
    /// Whether a digest may have been found.
    pub(super) is_digest_found: bool,
    /// Descriptors that have more than one turn takes.
    pub(super) again: Vec<Readiness>,
    /// Whether frames may wait in the device.
    pub(super) arrived: bool,
    /// Whether the device takes no more until it reports.
    pub(super) blocked: bool,
}

/// How far the command is.
#[derive(Debug)]
pub(super) enum Life {
    Running {
        until: Option<Instant>,
        interrupts: u32,
    },
    /// Its time is over; it is killed at `kill_at`.
    TimedOut {
        kill_at: Instant,
    },
    /// It has ended; what it sent is still handed over.
    Ended {
        exit: Exit,
        timed_out: bool,
        until: Instant,
        handed: u64,
        /// When what is still to be asked is asked no more.
        asks_until: Option<Instant>,
    },
}

/// A run that has ended, and what is left to be finished.
pub(crate) struct Ended {
    /// How.
    pub outcome: Outcome,
    /// The report, which may have more to tell.
    pub reporter: Reporter,
    /// The wire with what its capture came to.
    pub wire: Wire,
    /// The packet filter, with what its rules have met.
    pub filter: Option<Filter>,
    /// What the run did, where that was learned.
    pub lessons: Option<Lessons>,
    /// The last checkpoint of the ledger, where there is one, or why it is not whole.
    pub checkpoint: Result<Option<String>, String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// How the command ended.
    pub exit: Exit,
    /// Whether `--timeout` ended it.
    pub timed_out: bool,
}

impl Engine {
    /// Turns until the command has ended and what it sent is handed over.
    ///
    /// # Errors
    ///
    /// Where the device or the wait itself fails: then the command has no network any more, and is killed when
    /// the engine is dropped.
    pub fn run(mut self) -> Result<Ended, EngineError> {
        if let Some(console) = &mut self.console {
            console.begin();
        }
        self.sandbox.start().map_err(|error| EngineError { doing: "starting the command", error })?;
        let mut ready = Vec::new();
        let mut spin = Spin::new(self.cx.now);
        loop {
            let wait = self.wait(&spin);
            ready.append(&mut self.again);
            let events = self.cx.poller.wait(wait);
            ready.extend(events.map_err(|error| EngineError { doing: "waiting for work", error })?);
            self.cx.now = self.cx.clock.now();
            if !ready.is_empty() {
                spin.handle_work(self.cx.now);
            }
            for readiness in ready.drain(..) {
                self.handle_readiness(readiness)?;
            }
            self.turn()?;
            if let Some(outcome) = self.outcome() {
                return Ok(self.end(outcome));
            }
        }
    }

    /// Ends what is open, and waits for the ledger.
    fn end(mut self, outcome: Outcome) -> Ended {
        let (cx, closing) = (&mut self.cx, &Closing::Aborted);
        self.tcp.leave(cx);
        self.udp.end(cx, closing);
        self.echo.end(cx, closing);
        self.published.end(cx, closing);
        cx.tell_of_drops();
        let now = cx.clock.now();
        drop(self.sandbox);
        if let Some(console) = &mut self.console {
            console.finish();
        }
        let checkpoint = self.cx.authority.finish(Some(u32::from(outcome.exit.status())), now);
        let filter = self.cx.stack.set_filter(None);
        let lessons = self.cx.lessons;
        let (reporter, wire) = (self.cx.reporter, self.port.into_device());
        Ended { outcome, filter, lessons, reporter, wire, checkpoint }
    }

    fn close_all(&mut self, closing: &Closing) {
        let cx = &mut self.cx;
        self.tcp.end(cx, closing);
        self.udp.end(cx, closing);
        self.echo.end(cx, closing);
        self.published.end(cx, closing);
    }

    /// How long nothing happens by itself; `None` for ever.
    fn wait(&self, spin: &Spin) -> Option<Duration> {
        let has_work = self.arrived || !self.again.is_empty() || self.tcp.has_work() || self.cx.is_cut_due();
        if has_work || self.has_more_to_carry() || spin.is_worth_it(self.cx.now) {
            return Some(Duration::ZERO);
        }
        let deadlines = [
            self.cx.stack.poll_timeout(),
            self.tcp.poll_timeout(),
            self.udp.poll_timeout(),
            self.echo.poll_timeout(),
            self.published.poll_timeout(),
            self.cx.resolver.poll_timeout(),
            self.cx.reporter.poll_timeout(),
            self.cx.authority.poll_timeout(),
            self.watch.as_ref().and_then(Watch::poll_timeout),
            self.cx.waiting.poll_timeout(),
            self.life.poll_timeout(),
        ];
        deadlines.into_iter().flatten().min().map(|at| at.since(self.cx.clock.now()))
    }

    fn handle_readiness(&mut self, readiness: Readiness) -> Result<(), EngineError> {
        let Some((source, index, attempt)) = Sources::of(readiness.token) else { return Ok(()) };
        let cx = &mut self.cx;
        let more = match source {
            Sources::Device => {
                self.arrived |= readiness.readable;
                self.blocked &= !readiness.writable;
                false
            }
            Sources::Control => {
                self.handle_control()?;
                false
            }
            Sources::Signals => {
                self.handle_signals();
                false
            }
            Sources::Ledger => {
                cx.authority.handle_wake();
                false
            }
            Sources::Digests => {
                self.is_digest_found = true;
                false
            }
            Sources::Console => {
                let (readable, writable) = (readiness.readable, readiness.writable);
                match (&mut self.console, index) {
                    (Some(console), 0) => console.handle_person(readable, writable),
                    (Some(console), _) => console.handle_command(readable, writable),
                    (None, _) => {}
                }
                false
            }
            Sources::Policy => {
                if let Some(watch) = &mut self.watch {
                    watch.handle_readiness(cx.now);
                }
                false
            }
            Sources::Upstream => {
                self.dns.handle_readiness(cx, index, readiness);
                false
            }
            Sources::Tcp => {
                self.tcp.handle_readiness(cx, index, attempt, readiness);
                false
            }
            Sources::Udp => self.udp.handle_readiness(cx, index),
            Sources::Echo => self.echo.handle_readiness(cx, index),
            Sources::PublishedTcp => self.published.accept(cx, &mut self.tcp, &self.profile, index),
            Sources::PublishedUdp => self.published.receive(cx, index),
        };
        if more {
            self.again.push(readiness);
        }
        Ok(())
    }

    /// Everything that can be done now, once.
    fn turn(&mut self) -> Result<(), EngineError> {
        // What the last turn still carried has left by now.
        if self.cx.is_cut_due() {
            self.close_all(&Closing::Limited);
            self.cx.handle_cut();
        }
        for _ in 0..BATCHES_MAX {
            if !self.arrived {
                break;
            }
            self.arrived = self.port.receive(&mut self.cx.stack, self.cx.now).map_err(EngineError::device)?;
            self.dispatch();
        }
        if self.cx.stack.poll_timeout().is_some_and(|at| at <= self.cx.now) {
            self.cx.stack.handle_timeout(self.cx.now);
        }
        self.settle();
        self.release();
        self.converse();
        if self.watch.as_mut().is_some_and(|watch| watch.take_due(self.cx.now)) {
            self.reload();
        }
        self.tcp.handle_timeout(&mut self.cx);
        self.udp.handle_timeout(&mut self.cx);
        self.echo.handle_timeout(&mut self.cx);
        self.published.handle_timeout(&mut self.cx);
        while let Some(index) = self.published.take_retry(self.cx.now) {
            let token = Sources::PublishedTcp.token(index);
            let readiness = Readiness { token, readable: true, writable: false, ended: false, urgent: false };
            self.handle_readiness(readiness)?;
        }
        self.dns.turn(&mut self.cx);
        self.deliver_names();
        self.dispatch();
        self.tcp.pump(&mut self.cx);
        if self.cx.reporter.poll_timeout().is_some_and(|at| at <= self.cx.now) {
            self.cx.reporter.handle_timeout(self.cx.now);
        }
        if !self.blocked {
            self.blocked =
                self.port.transmit(&mut self.cx.stack, self.cx.now).map_err(EngineError::device)?;
        }
        // Sending frees room to write and ends connections.
        self.dispatch();
        // What this turn decided goes to the recorder.
        self.cx.authority.turn(self.cx.now);
        if let Some(console) = &mut self.console {
            console.turn();
        }
        Ok(())
    }

    /// Takes the recorder's answers in, and lets go who waited for the disk.
    fn settle(&mut self) {
        let cx = &mut self.cx;
        cx.authority.turn(cx.now);
        while let Some((sequence, waiter, is_durable)) = cx.authority.poll_settled() {
            match waiter {
                Waiter::Tcp { index, attempt } => {
                    self.tcp.handle_settled(cx, (index, attempt), sequence, is_durable);
                }
                Waiter::Udp { index } => self.udp.handle_settled(cx, index, sequence, is_durable),
                Waiter::Echo { index } => self.echo.handle_settled(cx, index, sequence, is_durable),
                Waiter::Socket { number } => cx.handle_socket_settled(number, is_durable),
                Waiter::Listener => cx.handle_listener_settled(sequence, is_durable),
                Waiter::Resolution { wanted } => cx.resolver.handle_verdict(wanted, is_durable, cx.now),
            }
        }
        cx.tell_of_ledger();
    }

    /// Goes on with what waited to be known who asks for it.
    fn release(&mut self) {
        let mut is_found = std::mem::take(&mut self.is_digest_found);
        let is_late = self.cx.waiting.poll_timeout().is_some_and(|at| at <= self.cx.now);
        if !is_found && !is_late {
            return;
        }
        loop {
            let cx = &mut self.cx;
            let found = is_found.then(|| cx.digests.poll()).flatten();
            is_found = found.is_some();
            for (identity, held) in cx.waiting.release(found, cx.now) {
                self.go_on(identity, held);
            }
            if !is_found {
                return;
            }
        }
    }

    /// Tells each part what the stack has for it.
    fn dispatch(&mut self) {
        while let Some(event) = self.cx.stack.poll_event() {
            let cx = &mut self.cx;
            match event {
                Event::TcpRequest { request, local, remote, .. } => {
                    self.tcp.handle_request(cx, request, local, remote);
                }
                Event::TcpRequestEnded { request } => self.tcp.handle_request_ended(cx, request),
                // No other listener accepts: the one that intercepts defers.
                Event::TcpAccepted { listener, connection, local, remote } => {
                    self.dns.handle_accepted(cx, listener, connection, (local, remote));
                }
                Event::Tcp { connection, event } => {
                    let is_question = self.dns.handle_event(cx, connection, event);
                    if !is_question {
                        self.tcp.handle_event(cx, connection, event);
                    }
                }
                Event::UdpReadable { socket } if socket == self.intercept_udp => {
                    while let Some(datagram) = self.cx.stack.udp_receive(socket) {
                        self.udp.handle_datagram(&mut self.cx, datagram);
                    }
                }
                Event::UdpReadable { socket } => {
                    let are_questions = self.dns.handle_readable(cx, socket);
                    if !are_questions {
                        self.published.handle_readable(cx, socket);
                    }
                }
                Event::EchoRequest(echo) => self.echo.handle_request(cx, echo),
                // An address conflict means nothing on a link that has two ends.
                _ => {}
            }
        }
    }

    /// Gives resolved names to the flows that wait for them.
    fn deliver_names(&mut self) {
        while let Some(resolved) = self.cx.resolver.poll_resolved() {
            for (source, index) in self.cx.waiters.take(&resolved) {
                let name = resolved.name.clone();
                let known = partial(resolved.clone());
                match source {
                    Sources::Tcp => self.tcp.handle_resolved(&mut self.cx, index, &name, known),
                    Sources::Udp => self.udp.handle_resolved(&mut self.cx, index, &name, known),
                    Sources::Echo => self.echo.handle_resolved(&mut self.cx, index, &name, known),
                    _ => {}
                }
            }
        }
    }

    /// Signals for the gateway are meant for the command.
    fn handle_signals(&mut self) {
        while let Some(arrived @ Arrived { number, .. }) = self.signals.next() {
            if self.handle_terminal_signal(arrived) {
                continue;
            }
            if number == libc::SIGINT {
                self.handle_interrupts(1);
            }
            self.is_told_to_end |=
                matches!(number, libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT);
            if let Some(signal) = Signal::from_named_raw(number) {
                // A command that has ended needs no signal any more.
                let _ = self.sandbox.signal(signal);
            }
        }
    }

    fn handle_control(&mut self) -> Result<(), EngineError> {
        let doing = "hearing from the sandbox's init process";
        let exit = self.sandbox.try_status().map_err(|error| EngineError { doing, error })?;
        while let Some(news) = self.sandbox.take_guard_news() {
            match news {
                GuardNews::Called(call) => self.cx.handle_call(call),
                GuardNews::Asked(asked) => self.cx.handle_socket(asked),
                GuardNews::Opened { number, error } => self.cx.handle_socket_opened(number, error),
                GuardNews::Lost => self.cx.tell_of_loss(),
            }
        }
        let interrupts = self.sandbox.take_interrupts();
        self.handle_interrupts(interrupts);
        self.hear_interrupts();
        if self.sandbox.take_stop() {
            self.suspend();
        }
        if let (Some(exit), Life::Running { .. } | Life::TimedOut { .. }) = (exit, &self.life) {
            self.handle_exit(exit);
        }
        Ok(())
    }

    /// The command has ended.
    fn handle_exit(&mut self, exit: Exit) {
        let (timed_out, is_over, asks_until) = match self.life {
            Life::Running { until, interrupts } => (false, interrupts > 0, until),
            Life::TimedOut { .. } => (true, true, None),
            Life::Ended { .. } => return,
        };
        if is_over || self.is_told_to_end {
            self.stop_asking();
        }
        if let Some(inquiries) = &mut self.cx.inquiries {
            inquiries.ask_of_lookups();
        }
        self.life = Life::Ended { exit, timed_out, until: self.cx.now + LINGER, handed: 0, asks_until };
        // What it sent last lies in the device, whether or not that was reported in time.
        self.arrived = true;
    }

    /// Once ends the command, if it lets itself be ended; twice kills everything inside.
    pub(super) fn handle_interrupts(&mut self, count: u32) {
        if let Life::Running { interrupts, .. } = &mut self.life {
            *interrupts += count;
            if *interrupts > 1 {
                self.sandbox.kill();
            }
        }
    }

    /// How the run ended, once it has.
    fn outcome(&mut self) -> Option<Outcome> {
        let (now, is_conversing) = (self.cx.now, self.is_conversing());
        match &mut self.life {
            Life::Running { until: Some(until), .. } if *until <= now => {
                let _ = self.sandbox.signal(Signal::TERM);
                self.life = Life::TimedOut { kill_at: now + GRACE };
                None
            }
            Life::TimedOut { kill_at } if *kill_at <= now => {
                self.sandbox.kill();
                *kill_at = Instant::MAX;
                None
            }
            Life::Running { .. } | Life::TimedOut { .. } => None,
            Life::Ended { asks_until, .. } if asks_until.is_some_and(|at| at <= now) => {
                *asks_until = None;
                self.stop_asking();
                None
            }
            Life::Ended { exit, timed_out, until, handed, .. } => {
                let sent = self.tcp.handed_over();
                // Who is asked takes the time that it takes.
                if sent != *handed || is_conversing {
                    *handed = sent;
                    *until = now + LINGER;
                }
                let is_shown = self.console.as_ref().is_none_or(Console::is_drained);
                let is_held = !self.cx.waiting.is_empty();
                let is_sending = self.arrived || self.tcp.is_sending() || self.udp.is_sending();
                let sending = is_sending || is_held || !is_shown;
                let over = *until <= now || !sending && !is_conversing;
                over.then_some(Outcome { exit: *exit, timed_out: *timed_out })
            }
        }
    }
}

impl Life {
    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Running { until, .. } => *until,
            Self::TimedOut { kill_at } => Some(*kill_at),
            Self::Ended { until, asks_until, .. } => Some(asks_until.map_or(*until, |at| at.min(*until))),
        }
    }
}

/// The gateway itself failed while the command ran.
#[derive(Debug)]
pub struct EngineError {
    doing: &'static str,
    error: rustix::io::Errno,
}

impl EngineError {
    fn device(error: packet::DeviceError) -> Self {
        Self { doing: error.doing, error: rustix::io::Errno::from_raw_os_error(error.code) }
    }
}

impl std::fmt::Display for EngineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} failed: {}; the command has lost its network and is ended", self.doing, self.error)
    }
}
