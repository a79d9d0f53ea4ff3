//! Goes through a script's events in virtual time.
//!
//! Arrivals and calls happen exactly when the script says. What the stack sends is looked at when an event expects it:
//! its time may be off by the tolerance. A call that blocks is tried again whenever something has happened.

use super::frames::Seen;
use super::matching::{self, Exactness};
use super::options::Options;
use super::outcome::Outcome;
use super::world::World;
use crate::assertion;
use crate::features;
use crate::lexer::SyntaxError;
use crate::parser;
use crate::preprocess::{Defines, preprocess};
use crate::profile::Profile;
use crate::setup::{self, Wish};
use crate::sockets::{Answer, Progress, Sockets, figure};
use crate::syntax::{Action, Call, Direction, Event, Packet, Script, Time, Value};
use std::net::IpAddr;
use std::time::Duration;
use time::Instant;

/// How far a time may be off at least, where the script does not say.
const TOLERANCE: Duration = Duration::from_millis(4);
/// How long past its time a packet is waited for, to tell a late one from one that never comes.
const LATE_MAX: Duration = Duration::from_secs(10);
/// How long a packet with any time is waited for.
const ANY_MAX: Duration = Duration::from_secs(300);
/// The link's MTU, and that of `--ipv6`.
const MTU: u16 = 1_500;
const MTU_V6: u16 = 1_520;
/// Rounds in one wait before something is said to spin.
const ROUNDS_MAX: usize = 1_000_000;

/// How a script is run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Whose defaults.
    pub profile: Profile,
    /// Names that are defined besides the profile's.
    pub defines: Defines,
    /// IP version 6, where the script does not say.
    pub ipv6: bool,
    /// What the stack sent and no event expected fails the script at its end. packetdrill does not look there.
    pub strict_end: bool,
    /// Prints the expected and the sent packet side by side.
    pub trace: bool,
    /// Keeps what passes, for a capture file.
    pub capture: bool,
}

impl Run {
    /// As packetdrill does, with a profile.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            defines: Defines::new(),
            ipv6: false,
            strict_end: false,
            trace: false,
            capture: false,
        }
    }
}

/// Runs a script's text. With the outcome comes the trace, and what passed.
pub fn run(text: &str, how: &Run) -> (Outcome, Vec<String>, sim::Trace) {
    let nothing = |outcome| (outcome, Vec::new(), sim::Trace::default());
    let mut defines: Defines =
        how.profile.defines().iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    defines.extend(how.defines.clone());
    let script = preprocess(text, &defines)
        .map_err(|(line, text)| SyntaxError { line, text })
        .and_then(|text| parser::parse(&text));
    let script = match script {
        Ok(script) => script,
        Err(error) => return nothing(Outcome::unsupported(error.line, format!("syntax: {}", error.text))),
    };
    if let Some((line, what)) = features::missing(&script, &features::Features::of_stack()) {
        return nothing(Outcome::unsupported(line, what));
    }
    match Driver::new(&script, how) {
        Ok(mut driver) => {
            let outcome = driver.go(&script);
            (outcome, driver.trace, driver.world.capture)
        }
        Err(outcome) => nothing(outcome),
    }
}

pub(super) struct Driver {
    pub(super) world: World,
    pub(super) sockets: Sockets,
    exactness: Exactness,
    tolerance: Duration,
    /// Bytes of the segments that a larger packet from the script counts as.
    pub(super) joined_size: Option<u16>,
    /// When the last event ended.
    ended: Instant,
    pending: Option<Pending>,
    strict_end: bool,
    tracing: bool,
    trace: Vec<String>,
}

/// A call that has not returned.
struct Pending {
    line: u32,
    call: Call,
    progress: Progress,
    wake: Option<Instant>,
    began: Instant,
    /// When it has to return.
    due: Instant,
}

impl Driver {
    fn new(script: &Script, how: &Run) -> Result<Self, Outcome> {
        // The suites run scripts that name no version over IPv6 on a link that leaves the MSS as it is over IPv4.
        let names_version = script.options.iter().any(|(name, _)| name == "ip_version");
        let mtu = if how.ipv6 && !names_version { MTU_V6 } else { MTU };
        let mut options = Options { ipv6: how.ipv6, mtu, ..Options::default() };
        for (name, value) in &script.options {
            options.set(name, value).map_err(|what| Outcome::unsupported(1, what))?;
        }
        let address = |own: Option<IpAddr>, v4: [u8; 4], v6: &str| {
            own.unwrap_or_else(|| if options.ipv6 { v6.parse().unwrap_or(v4.into()) } else { v4.into() })
        };
        let local = address(options.local, [192, 168, 0, 1], "fd3d:fa7b:d17d::1");
        let remote = address(options.remote, [192, 0, 2, 1], "2001:db8::1");
        let settings = how.profile.settings();
        let mut world = World::new(settings, how.profile, local, remote, options.mtu)
            .map_err(|what| Outcome::unsupported(1, what))?;
        if how.capture {
            world.capture.start();
        }
        let tolerance = options.tolerance.unwrap_or(TOLERANCE);
        let tick_us = options.tick_us.filter(|tick| *tick > 0);
        let ticks_off_max = tick_us.map_or(0, |tick| (tolerance.as_micros() as u32 / tick).max(1));
        Ok(Self {
            ended: world.now,
            world,
            sockets: Sockets::default(),
            exactness: Exactness { strict_segments: options.strict_segments, tick_us, ticks_off_max },
            tolerance,
            joined_size: options.mss,
            pending: None,
            strict_end: how.strict_end,
            tracing: how.trace,
            trace: Vec::new(),
        })
    }

    fn go(&mut self, script: &Script) -> Outcome {
        let result = self.all(script);
        match result {
            Ok(()) => Outcome::Pass,
            Err(outcome) => outcome,
        }
    }

    fn all(&mut self, script: &Script) -> Result<(), Outcome> {
        if let Some((line, command)) = &script.setup {
            self.command(*line, command)?;
        }
        if script.events.is_empty() {
            return Err(Outcome::fail(1, "a script without an event"));
        }
        for event in &script.events {
            self.event(event)?;
        }
        let last = script.events.last().map_or(1, |event| event.line);
        self.finish_pending()?;
        match self.world.seen.front() {
            Some(seen) if self.strict_end => {
                Err(Outcome::fail(last, format!("extra packet: {}", matching::told(&self.world, seen))))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// One event. Times are relative to the end of the one before; in virtual time an arrival ends when it is due.
    fn event(&mut self, event: &Event) -> Result<(), Outcome> {
        let line = event.line;
        let base = self.ended;
        let (from, to) = match event.time {
            Time::Absolute(at) => (self.world.moment(at), self.world.moment(at)),
            Time::Relative(gap) => (base + gap, base + gap),
            Time::AbsoluteRange(from, to) => (self.world.moment(from), self.world.moment(to)),
            Time::RelativeRange(from, to) => (base + from, base + to),
            Time::Any => (Instant::ZERO, base + ANY_MAX),
        };
        match &event.action {
            Action::Packet(packet) if packet.direction == Direction::Outbound => {
                self.expect(line, packet, from, to)?;
            }
            Action::Packet(packet) => {
                self.wait_until(line, from)?;
                self.arrive(packet).map_err(|what| Outcome::unsupported(line, what))?;
                self.note(|_| format!("line {line}: < arrives"));
                self.settle(line)?;
            }
            Action::Call(call) => {
                self.finish_pending()?;
                self.wait_until(line, from)?;
                let due = call.until.map(|until| match event.time {
                    Time::Absolute(_) | Time::AbsoluteRange(..) => self.world.moment(until),
                    Time::Relative(_) | Time::RelativeRange(..) | Time::Any => base + until,
                });
                self.call(line, call, due)?;
                self.settle(line)?;
            }
            Action::Command(command) => {
                self.wait_until(line, from)?;
                self.command(line, command)?;
            }
            Action::Code(code) => {
                self.wait_until(line, from)?;
                self.assert(line, code)?;
            }
        }
        self.ended = self.world.now;
        Ok(())
    }

    fn note(&mut self, text: impl FnOnce(&World) -> String) {
        if self.tracing {
            let at = self.world.elapsed().as_secs_f64();
            let text = text(&self.world);
            self.trace.push(format!("{at:10.6} {text}"));
        }
    }

    /// Lets the stack and a call that blocks go as far as they can now.
    fn settle(&mut self, line: u32) -> Result<(), Outcome> {
        for _ in 0..ROUNDS_MAX {
            self.world.drain().map_err(|what| Outcome::fail(line, what))?;
            while let Some(event) = self.world.events.pop_front() {
                self.sockets.handle(event);
            }
            let Some(mut pending) = self.pending.take() else { return Ok(()) };
            match self.sockets.call(&mut self.world, &pending.call, &mut pending.progress) {
                Answer::Blocks(wake) => {
                    pending.wake = wake;
                    self.pending = Some(pending);
                    return self.world.drain().map_err(|what| Outcome::fail(line, what));
                }
                answer => self.returned(&pending, answer)?,
            }
        }
        Err(Outcome::fail(line, "the stack never settles"))
    }

    /// Lets time pass up to `to`, or until as many packets wait to be expected as are `wanted`.
    fn pass(&mut self, line: u32, to: Instant, wanted: usize) -> Result<(), Outcome> {
        for _ in 0..ROUNDS_MAX {
            self.settle(line)?;
            if self.world.seen.len() >= wanted {
                return Ok(());
            }
            let wake = self.pending.as_ref().and_then(|pending| pending.wake).filter(|at| *at <= to);
            match self.world.next_timeout(to).into_iter().chain(wake).min() {
                Some(next) => self.world.set_clock(next),
                None => {
                    self.world.set_clock(to);
                    return self.settle(line);
                }
            }
        }
        Err(Outcome::fail(line, "time does not pass"))
    }

    fn wait_until(&mut self, line: u32, at: Instant) -> Result<(), Outcome> {
        self.pass(line, at, usize::MAX)
    }

    /// How far off a time may be that is so long after the last event.
    fn tolerance(&self, gap: Duration) -> Duration {
        self.tolerance.max(gap / 8)
    }

    fn expect(&mut self, line: u32, packet: &Packet, from: Instant, to: Instant) -> Result<(), Outcome> {
        let base = self.ended;
        let tolerance = if from == Instant::ZERO { Duration::ZERO } else { self.tolerance(to - base) };
        if self.world.seen.is_empty() {
            self.pass(line, to + tolerance + LATE_MAX, 1)?;
        }
        // What is paced leaves bit by bit.
        while matching::is_partial(&self.world, packet, self.exactness) {
            let before = self.world.seen.len();
            self.pass(line, to + tolerance, before + 1)?;
            if self.world.seen.len() == before {
                break;
            }
        }
        if self.tracing {
            let expected = matching::expected_text(packet);
            let sent = self.world.seen.front().map(|seen| matching::told(&self.world, seen));
            let sent = sent.unwrap_or_else(|| "nothing".to_owned());
            self.note(|_| format!("line {line}: {expected:<60} | {sent}"));
        }
        if self.world.seen.is_empty() {
            let text =
                format!("missing packet: nothing was sent, expected {}", matching::expected_text(packet));
            return Err(Outcome::fail(line, text));
        }
        let seen = matching::take(&mut self.world, packet, self.exactness);
        let seen: Seen = seen.map_err(|what| Outcome::fail(line, what))?;
        let (earliest, latest) = (from - tolerance.min(from.since(Instant::ZERO)), to + tolerance);
        if seen.at < earliest || seen.at > latest {
            let start = self.world.moment(Duration::ZERO);
            let secs = |at: Instant| at.since(start).as_secs_f64();
            let text = format!(
                "time: expected {:.6} to {:.6} s, sent at {:.6} s",
                secs(earliest),
                secs(latest),
                secs(seen.at)
            );
            return Err(Outcome::fail(line, text));
        }
        Ok(())
    }

    fn call(&mut self, line: u32, call: &Call, due: Option<Instant>) -> Result<(), Outcome> {
        let mut progress = Progress::new(self.world.now);
        let answer = self.sockets.call(&mut self.world, call, &mut progress);
        let began = self.world.now;
        self.note(|_| format!("line {line}: {}() {answer:?}", call.name));
        let due_or_now = due.unwrap_or(began);
        let mut pending = Pending { line, call: call.clone(), progress, wake: None, began, due: due_or_now };
        match answer {
            Answer::Blocks(_) if due.is_none() => {
                // Something that happens at this very moment may let it go on.
                self.pending = Some(pending);
                self.settle(line)?;
                match self.pending.take() {
                    Some(_) => Err(Outcome::fail(line, format!("result: {}() blocks", call.name))),
                    None => Ok(()),
                }
            }
            Answer::Blocks(wake) => {
                pending.wake = wake;
                self.pending = Some(pending);
                Ok(())
            }
            answer => self.returned(&pending, answer),
        }
    }

    /// A call has returned: what, and when.
    fn returned(&mut self, pending: &Pending, answer: Answer) -> Result<(), Outcome> {
        let Pending { line, call, began, due, .. } = pending;
        let expected = match (&call.result, &call.errno) {
            (_, Some(errno)) => format!("-1 {errno}"),
            (Value::Ellipsis, None) => "...".to_owned(),
            (value, None) => figure(value).map_or_else(|| format!("{value:?}"), |number| number.to_string()),
        };
        let returned = match answer {
            Answer::Returns(value) => value.to_string(),
            Answer::Fails(errno) => format!("-1 {errno}"),
            Answer::Differs(what) => return Err(Outcome::fail(*line, what)),
            Answer::Unsupported(what) => return Err(Outcome::unsupported(*line, what)),
            Answer::Blocks(_) => return Ok(()),
        };
        if expected != returned && expected != "..." {
            return Err(Outcome::fail(
                *line,
                format!("result: expected {expected}, {}() returned {returned}", call.name),
            ));
        }
        let now = self.world.now;
        let tolerance = self.tolerance(due.since(*began));
        let off = if now > *due { now - *due } else { *due - now };
        if off > tolerance {
            let start = self.world.moment(Duration::ZERO);
            let secs = |at: Instant| at.since(start).as_secs_f64();
            let text = format!(
                "time: {}() expected to return at {:.6} s, returned at {:.6} s",
                call.name,
                secs(*due),
                secs(now)
            );
            return Err(Outcome::fail(*line, text));
        }
        Ok(())
    }

    /// Waits for the call that blocks.
    fn finish_pending(&mut self) -> Result<(), Outcome> {
        let Some(pending) = &self.pending else { return Ok(()) };
        let (line, due, began) = (pending.line, pending.due, pending.began);
        let latest = due.max(self.world.now) + self.tolerance(due.since(began));
        for _ in 0..ROUNDS_MAX {
            self.settle(line)?;
            let Some(pending) = &self.pending else { return Ok(()) };
            let wake = pending.wake.filter(|at| *at <= latest);
            match self.world.next_timeout(latest).into_iter().chain(wake).min() {
                Some(next) => self.world.set_clock(next),
                None => break,
            }
        }
        let name = self.pending.as_ref().map_or("", |pending| pending.call.name.as_str());
        Err(Outcome::fail(line, format!("time: {name}() has not returned")))
    }

    fn command(&mut self, line: u32, command: &str) -> Result<(), Outcome> {
        let wishes = setup::obey(command, &mut self.world.settings)
            .map_err(|what| Outcome::unsupported(line, what))?;
        for wish in wishes {
            match wish {
                Wish::Wait(span) => self.wait_until(line, self.world.now + span)?,
                Wish::Sockets { state, count } => {
                    let seen = self.sockets.count_in_state(&self.world, &state);
                    let seen =
                        seen.ok_or_else(|| Outcome::unsupported(line, format!("sockets in {state}")))?;
                    if seen != count {
                        return Err(Outcome::fail(
                            line,
                            format!("state: expected {count} in {state}, found {seen}"),
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    fn assert(&mut self, line: u32, code: &str) -> Result<(), Outcome> {
        let subject = self.world.flows.subject.map(|index| self.world.flows.at(index).clone());
        let connection = subject.and_then(|flow| self.sockets.find(&self.world, flow.local, flow.remote));
        let info = connection.and_then(|connection| self.world.stack.tcp_info(connection, self.world.now));
        assertion::check(code, &|name| crate::tcp_values::value(name, info.as_ref())).map_err(|failure| {
            match failure {
                assertion::Failure::Fails(text) => Outcome::fail(line, format!("assertion: {text}")),
                assertion::Failure::Unsupported(what) => Outcome::unsupported(line, what),
            }
        })
    }
}
