//! The gateway's authority: what is asked before anything leaves, and where the answers are written down.
//!
//! ```text
//!   flows ── Proposal ──> Authority ── Entry ──> log's head ── Batch ──> recorder ──> disk
//!     ^                      │  policy decides       ^                  (a thread)
//!     └── committed, refused ┘                       └── written, failed ──┘
//! ```
//!
//! What is committed has its number at once. With durability `sync` whoever asked waits until that number is on disk
//! ([`Authority::poll_settled`]); with `batch` nobody waits. Nothing here blocks but [`Authority::finish`].

mod answers;
mod deeds;
mod draft;
mod guarded;
mod lessons;
mod opening;
mod recorder;
mod source;

pub(crate) use answers::Subject;
pub(crate) use deeds::Form;
pub(crate) use draft::Draft;
pub use draft::LearnError;
pub use lessons::LESSONS_MAX;
pub(crate) use lessons::Lessons;
pub(crate) use opening::Opened as OpenedLedger;
use opening::Others;
pub use opening::{LedgerError, is_covered, ledger_files};
pub use source::load_policy;
pub(crate) use source::{Source, Watch};

use axiom::addresses::{NotAdmitted, Pins};
use axiom::policy::{Decision, Policy};
use axiom::{Axiom, Committed, Moment, Proposal, Rejected, Verdict};
use ledger::shards::{EntryNumber, ShardNumber};
use ledger::{Close, Durability, Event, Log, LogConfig, Outcome, Position, RunEnd, RunId, RunStart};
use recorder::{Answer, Recorder};
use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use time::{Duration, Instant};

/// Policy, log and recorder of one run. `W` is what the owner is told of an entry that it waits for.
#[derive(Debug)]
pub(crate) struct Authority<W> {
    axiom: Axiom,
    /// Why nothing is allowed at all, where that is so.
    shut: Option<Arc<str>>,
    run: RunId,
    durability: Durability,
    recorder: Option<Recorder>,
    /// Whether the recorder may have an answer.
    is_woken: bool,
    /// The ledger's shard, and the others; `None` where there is no ledger.
    place: Option<(ShardNumber, Others)>,
    /// Who waits for an entry to be on disk, by rising sequence number.
    awaiting: VecDeque<(u64, W)>,
    totals: Totals,
    started: Instant,
}

/// What the run's last entry tells.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    allowed: u64,
    refused: u64,
    sent_bytes: u64,
    received_bytes: u64,
}

/// What became of a connection, for the entry about its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// By which entry it was authorised.
    pub sequence: u64,
    /// Bytes of payload from the program.
    pub sent_bytes: u64,
    /// Bytes of payload to it.
    pub received_bytes: u64,
    /// How long it was open.
    pub duration: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

impl<W> Authority<W> {
    /// Decides by `policy` and writes into `ledger`, or nowhere. Starts the recorder's thread where there is a ledger.
    ///
    /// # Errors
    ///
    /// Where the recorder cannot be started.
    pub fn start(
        policy: Policy,
        ledger: Option<OpenedLedger>,
        run: RunId,
        now: Instant,
    ) -> std::io::Result<Self> {
        let (position, config) = match &ledger {
            Some(ledger) => (ledger.position, ledger.config),
            None => (Position::default(), LogConfig::default()),
        };
        let (recorder, place) = match ledger {
            Some(ledger) => (Some(Recorder::start(ledger.writer)?), Some((ledger.shard, ledger.others))),
            None => (None, None),
        };
        Ok(Self {
            axiom: Axiom::new(policy, Log::start(position, config)),
            shut: None,
            run,
            durability: config.durability,
            recorder,
            is_woken: false,
            place,
            awaiting: VecDeque::new(),
            totals: Totals::default(),
            started: now,
        })
    }

    /// The run that everything belongs to.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Whether it matters who asks: to the record, or to the policy.
    pub fn asks_who(&self) -> bool {
        self.recorder.is_some() || self.looks_at_programs()
    }

    /// Whether the policy asks who a program is.
    pub fn looks_at_programs(&self) -> bool {
        self.axiom.policy().looks_at_principal()
    }

    /// How people and tools name an entry; `None` where there is no ledger.
    pub fn entry_id(&self, sequence: Option<u64>) -> Option<String> {
        let (shard, _) = self.place.as_ref()?;
        Some(EntryNumber { shard: *shard, sequence: sequence? }.to_string())
    }

    /// The descriptor that becomes readable when the recorder has an answer.
    pub fn wake_fd(&self) -> Option<rustix::fd::BorrowedFd<'_>> {
        self.recorder.as_ref().map(Recorder::wake_fd)
    }

    /// What the policy says, without an entry; of a Unix socket, what it says of that very path.
    pub fn decide(&mut self, proposal: &Proposal, now: Instant) -> Decision {
        match (&self.shut, &proposal.socket) {
            (Some(reason), _) => Decision::failed(reason.clone()),
            (None, Some(path)) => self.decide_socket(path, Some(&proposal.endpoint().to_string()), false),
            (None, None) => self.axiom.decide(proposal, moment(now)),
        }
    }

    /// What the policy says of a port that a program takes inside, without an entry.
    pub fn decide_inside(&self, proposal: &Proposal, now: Instant) -> Decision {
        match &self.shut {
            Some(reason) => Decision::failed(reason.clone()),
            None => self.axiom.decide_inside(proposal, moment(now)),
        }
    }

    /// Whether a connection for a name may go to one of its addresses: by the rules, or because a person has allowed it this
    /// once.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub fn admit(
        &self,
        proposal: &Proposal,
        address: IpAddr,
        known: (&Pins, &HashSet<IpAddr>),
        is_allowed_once: bool,
        now: Instant,
    ) -> Result<(), NotAdmitted> {
        let context = self.axiom.context(moment(now));
        self.axiom.policy().admit(proposal, address, context, known, is_allowed_once)
    }

    /// What denies an address by a rule that what is allowed goes to: [`Policy::denying`], of this policy or another.
    pub fn denying(&self, policy: Option<&Policy>, proposal: &Proposal, now: Instant) -> Option<Decision> {
        let policy = policy.unwrap_or_else(|| self.axiom.policy());
        policy.denying(proposal, self.axiom.context(moment(now)))
    }

    /// Decides and writes that down: [`Axiom::submit`].
    ///
    /// # Errors
    ///
    /// The refusal, which is written down too.
    pub fn submit(&mut self, proposal: &Proposal, now: Instant) -> Result<Committed, Rejected> {
        if self.shut.is_some() {
            let decision = self.decide(proposal, now);
            return Err(self.refuse(proposal, &decision, now));
        }
        let verdict = self.axiom.submit(proposal, moment(now));
        self.count(verdict)
    }

    fn count(&mut self, verdict: Verdict) -> Result<Committed, Rejected> {
        match verdict {
            Verdict::Committed(committed) => {
                self.totals.allowed += 1;
                Ok(committed)
            }
            Verdict::Rejected(rejected) => {
                self.totals.refused += 1;
                Err(rejected)
            }
        }
    }

    /// What becomes of a Unix socket that a rule means, by its text, or denies: [`Policy::decide_socket`].
    pub fn decide_socket(&self, path: &str, rule: Option<&str>, denied: bool) -> Decision {
        match &self.shut {
            Some(reason) => Decision::failed(reason.clone()),
            None => self.axiom.policy().decide_socket(path, rule, denied),
        }
    }

    /// Writes down what was decided: [`Axiom::conclude`].
    ///
    /// # Errors
    ///
    /// The refusal, which is written down too.
    pub fn conclude(
        &mut self,
        proposal: &Proposal,
        decision: &Decision,
        now: Instant,
    ) -> Result<Committed, Rejected> {
        let verdict = self.axiom.conclude(proposal, decision, moment(now));
        self.count(verdict)
    }

    /// Writes a refusal down that was decided by something else than the policy's answer to the proposal.
    pub fn reject(&mut self, proposal: &Proposal, reason: &str, now: Instant) -> Rejected {
        self.totals.refused += 1;
        self.axiom.reject(proposal, reason, moment(now))
    }

    /// Writes down a refusal that [`decide`](Self::decide) gave.
    pub fn refuse(&mut self, proposal: &Proposal, decision: &Decision, now: Instant) -> Rejected {
        self.totals.refused += 1;
        self.axiom.refuse(proposal, decision, moment(now))
    }

    /// Writes down that what was authorised has ended. Where the ledger cannot be written, nobody is left to tell.
    pub fn close(&mut self, ended: Ended, now: Instant) {
        self.totals.sent_bytes += ended.sent_bytes;
        self.totals.received_bytes += ended.received_bytes;
        let close = Close {
            sequence: ended.sequence,
            sent_bytes: ended.sent_bytes,
            received_bytes: ended.received_bytes,
            duration_ns: u64::try_from(ended.duration.as_nanos()).unwrap_or(u64::MAX),
            outcome: ended.outcome,
        };
        self.record(Event::ConnectionClose(close), now);
    }

    /// Whether a connection that is open would be allowed by another policy.
    pub fn would_allow(&self, policy: &Policy, proposal: &Proposal) -> bool {
        policy.would_still_allow(proposal, self.axiom.context(moment(self.started)))
    }

    /// Whether no rule of another policy speaks of a connection that is open.
    pub fn would_be_unruled(&self, policy: &Policy, proposal: &Proposal) -> bool {
        policy.decide(proposal, self.axiom.context(moment(self.started))).is_unruled()
    }

    /// Decides by another policy from here on. `closed` connections were closed that it does not allow any more.
    pub fn change_policy(&mut self, policy: Policy, source: String, closed: u64, now: Instant) {
        self.shut = None;
        // As with every entry: a ledger that cannot be written allows nothing.
        let _ = self.axiom.change_policy(policy, source, self.run, closed, moment(now));
    }

    /// Whether another policy reads as this one does.
    pub fn decides_by(&self, policy: &Policy) -> bool {
        self.shut.is_none() && self.axiom.policy().digest() == policy.digest()
    }

    /// Allows nothing from here on, until there is another policy: this one does not hold.
    pub fn shut(&mut self, source: &str, reason: &str, closed: u64, now: Instant) {
        self.shut = Some(reason.into());
        let nothing = Policy::of_rules(&[], &[]);
        if let Ok(nothing) = nothing {
            let source = format!("{source}, which does not hold: {reason}");
            let _ = self.axiom.change_policy(nothing, source, self.run, closed, moment(now));
        }
    }

    /// Writes down that the run begins.
    pub fn begin(&mut self, start: RunStart, now: Instant) {
        self.started = now;
        let policy = Some(self.axiom.policy().digest());
        self.record(Event::RunStart(RunStart { policy, ..start }), now);
        self.witness(now);
    }

    /// Counts payload that was carried, for policies that look at it.
    pub fn add_carried(&mut self, bytes: u64) {
        self.axiom.add_carried(bytes);
    }

    /// Has `waiter` told by [`poll_settled`](Self::poll_settled) once the entry may be acted upon; `None` where it may be
    /// at once.
    pub fn settle(&mut self, sequence: u64, waiter: W) -> Option<()> {
        if self.durability == Durability::Batch || self.axiom.log().durable() > sequence {
            return None;
        }
        self.awaiting.push_back((sequence, waiter));
        Some(())
    }

    /// Who waited for an entry, and whether it is on disk now: not where the ledger cannot be written.
    pub fn poll_settled(&mut self) -> Option<(u64, W, bool)> {
        let log = self.axiom.log();
        let is_durable = log.durable() > self.awaiting.front()?.0;
        if !is_durable && log.failed().is_none() {
            return None;
        }
        self.awaiting.pop_front().map(|(sequence, waiter)| (sequence, waiter, is_durable))
    }

    /// The recorder has an answer.
    pub fn handle_wake(&mut self) {
        self.is_woken = true;
    }

    /// Takes the recorder's answers in, hands it what is due, and writes down refusals that were only counted.
    pub fn turn(&mut self, now: Instant) {
        if self.axiom.poll_timeout().is_some_and(|at| at <= now) {
            self.axiom.handle_timeout(moment(now));
        }
        let log = self.axiom.log_mut();
        let Some(recorder) = &mut self.recorder else {
            // A log that nobody reads.
            while let Some(batch) = log.poll_write(Instant::MAX) {
                let next = batch.first() + batch.count();
                log.handle_written(ledger::Written { next, checkpoint: String::new() }, now);
            }
            return;
        };
        let is_woken = std::mem::take(&mut self.is_woken);
        while let Some(answer) = is_woken.then(|| recorder.poll()).flatten() {
            take_answer(log, answer, now);
        }
        while let Some(batch) = log.poll_write(now) {
            if let Err(reason) = recorder.write(batch) {
                log.handle_failed(reason);
            }
        }
    }

    /// When [`turn`](Self::turn) is due, besides after each [`handle_wake`](Self::handle_wake).
    pub fn poll_timeout(&self) -> Option<Instant> {
        let log = self.axiom.log().poll_timeout().map(|(at, _)| at);
        log.into_iter().chain(self.axiom.poll_timeout()).min()
    }

    /// Why the ledger cannot be written; `None` while it can.
    pub fn failed(&self) -> Option<&str> {
        self.axiom.log().failed()
    }

    /// Writes down that the run has ended, waits until everything is on disk, and gives the last checkpoint: a signed note,
    /// `None` where there is no ledger.
    ///
    /// # Errors
    ///
    /// Why the ledger is not whole.
    pub fn finish(mut self, status: Option<u32>, now: Instant) -> Result<Option<String>, String> {
        let Totals { allowed, refused, sent_bytes, received_bytes } = self.totals;
        let duration_ns = u64::try_from(now.since(self.started).as_nanos()).unwrap_or(u64::MAX);
        let end = RunEnd { status, allowed, refused, sent_bytes, received_bytes, duration_ns };
        self.axiom.handle_timeout(moment(now + axiom::COUNTING));
        self.witness(now);
        self.record(Event::RunEnd(end), now);
        self.axiom.log_mut().publish(now);
        self.turn(now);
        let log = self.axiom.log_mut();
        let Some(mut recorder) = self.recorder else { return Ok(None) };
        while !log.is_settled() && log.failed().is_none() {
            take_answer(log, recorder.wait(), now);
            while let Some(batch) = log.poll_write(now) {
                if let Err(reason) = recorder.write(batch) {
                    log.handle_failed(reason);
                }
            }
        }
        match log.failed() {
            Some(reason) => Err(reason.to_owned()),
            None => Ok(log.checkpoint().map(str::to_owned)),
        }
    }

    /// Writes down what the other shards have: each is a witness of the others.
    fn witness(&mut self, now: Instant) {
        if let Some(seen) = self.place.as_ref().and_then(|(_, others)| others.seen()) {
            self.record(Event::ShardsSeen(seen), now);
        }
    }

    fn record(&mut self, event: Event, now: Instant) {
        // A log that cannot be written says so to whoever asks next, and at the end.
        let _ = self.axiom.record(self.run, event, moment(now));
    }
}

fn take_answer(log: &mut Log, answer: Answer, now: Instant) {
    match answer {
        Answer::Begun => log.handle_begun(),
        Answer::Written(written) => log.handle_written(written, now),
        Answer::Failed(reason) => log.handle_failed(reason),
    }
}

fn moment(now: Instant) -> Moment {
    Moment { now, time_ns: unix_ns() }
}

/// Nanoseconds since 1970.
pub(crate) fn unix_ns() -> u64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since_1970.map_or(0, |span| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}
