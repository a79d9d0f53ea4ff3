//! The entry that is asked for, and what the others of its run tell of it.
//!
//! ```text
//!   RunStart ... PolicyChange ... the same refusal ... the ENTRY ... the same refusal ... ConnectionClose ... RunEnd
//!   <────────────── read backwards ─────────────────┘      └─────────────── read forwards ──────────────────────>
//! ```
//!
//! A run writes one shard, so that nothing else is read. Of an entry that is passed over only the head is looked at.

use crate::args::Wanted;
use crate::ledger::{AnySource, Failure, decode, entry_of, shard_of};
use ledger::shards::{ShardSource, Shards};
use ledger::{
    Authorization, Close, Digest, Entry, EntryNumber, Event, Glance, Reader, Record, Refusal, RunId,
    RunStart, Verdict,
};

/// An entry with what belongs to it.
#[derive(Debug)]
pub struct Found {
    pub number: EntryNumber,
    pub record: Record,
    pub entry: Entry,
    /// Of a refusal: how often the run was told the same.
    pub times: Times,
    /// The run, where its beginning is in the ledger.
    pub run: Option<Run>,
    /// The policy that decided, where the ledger tells of it.
    pub policy: Option<InForce>,
    /// How what was allowed ended, where it has.
    pub end: Option<(EntryNumber, Close)>,
    /// Whether the run has ended.
    pub is_over: bool,
}

/// How often, and from when to when: nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub count: u64,
    pub first_ns: u64,
    pub last_ns: u64,
}

/// The beginning of a run.
#[derive(Debug)]
pub struct Run {
    pub number: EntryNumber,
    pub time_ns: u64,
    pub start: RunStart,
}

/// A policy, and the entry since which it decides.
#[derive(Debug)]
pub struct InForce {
    pub number: EntryNumber,
    pub digest: Digest,
    /// Where it was read from; `None` for the one that the run began with, of which the ledger has the digest alone.
    pub source: Option<String>,
}

type ShardReader<'a> = Reader<ShardSource<'a, AnySource>>;

/// Finds it.
pub fn find(shards: &Shards<'_, AnySource>, wanted: Wanted, run: Option<RunId>) -> Result<Found, Failure> {
    let (number, record, entry) = match wanted {
        Wanted::Last => newest_refusal(shards, run)?,
        Wanted::Number(number) => asked_in(shards, number)?,
    };
    if let Some(run) = run.filter(|run| *run != entry.run) {
        let is_of = entry.run;
        return Err(Failure::Absent(format!("entry {number} is not of run {run}, but of {is_of}")));
    }
    let time_ns = entry.time_ns;
    let count = entry.event.authorization().map_or(1, |asked| asked.count);
    let mut found = Found {
        number,
        record,
        entry,
        times: Times { count, first_ns: time_ns, last_ns: time_ns },
        run: None,
        policy: None,
        end: None,
        is_over: false,
    };
    let reader = shard_of(shards, number)?;
    found.look_back(reader)?;
    found.look_ahead(reader)?;
    Ok(found)
}

/// The newest refusal of all shards, by time; those that are only counted, beyond what is told one by one, explain nothing.
fn newest_refusal(
    shards: &Shards<'_, AnySource>,
    run: Option<RunId>,
) -> Result<(EntryNumber, Record, Entry), Failure> {
    let mut newest: Option<(EntryNumber, Record, Entry)> = None;
    for (shard, reader) in shards.readers() {
        for record in reader.entries(0..u64::MAX).rev() {
            let record = record.map_err(Failure::unable)?;
            let Some(head) = Glance::of(&record.bytes) else { continue };
            if newest.as_ref().is_some_and(|(_, _, newest)| newest.time_ns > head.time_ns) {
                break;
            }
            if !head.is_refusal() || run.is_some_and(|run| run != head.run) {
                continue;
            }
            let number = EntryNumber { shard: *shard, sequence: record.sequence };
            let entry = decode(&record, number)?;
            if entry.event.authorization().is_some_and(says_what) {
                newest = Some((number, record, entry));
                break;
            }
        }
    }
    newest.ok_or_else(|| {
        let (count, of) = (shards.count(), run.map(|run| format!(" in run {run}")).unwrap_or_default());
        Failure::Absent(format!("nothing was refused{of}, as far as the {count} entries of the ledger tell"))
    })
}

fn says_what(asked: &Authorization) -> bool {
    asked.name.is_some() || asked.path.is_some() || asked.remote.is_some() || asked.local.is_some()
}

/// The entry of this number; of one that tells of an end, the one that it is the end of.
fn asked_in(
    shards: &Shards<'_, AnySource>,
    number: EntryNumber,
) -> Result<(EntryNumber, Record, Entry), Failure> {
    let (record, entry) = entry_of(shards, number)?;
    let (number, record, entry) = match &entry.event {
        Event::ConnectionClose(close) => {
            let number = EntryNumber { sequence: close.sequence, ..number };
            let (record, entry) = entry_of(shards, number)?;
            (number, record, entry)
        }
        _ => (number, record, entry),
    };
    match entry.event.authorization() {
        Some(_) => Ok((number, record, entry)),
        None => Err(Failure::Absent(format!(
            "nothing was asked for in entry {number}: see weft ledger show {number}"
        ))),
    }
}

impl Found {
    pub fn asked(&self) -> &Authorization {
        self.entry.event.authorization().expect("only what asks is looked for")
    }

    fn is_refused(&self) -> bool {
        self.asked().verdict == Verdict::Refused
    }

    fn number_of(&self, record: &Record) -> EntryNumber {
        EntryNumber { sequence: record.sequence, ..self.number }
    }

    /// To the beginning of the run: what it was, the policy, and the same refusal before.
    fn look_back(&mut self, reader: &ShardReader<'_>) -> Result<(), Failure> {
        let own = self.record.bytes.clone();
        let own = Refusal::of(&own);
        for record in reader.entries(0..self.number.sequence).rev() {
            let record = record.map_err(Failure::unable)?;
            let Some(head) = Glance::of(&record.bytes).filter(|head| head.run == self.entry.run) else {
                continue;
            };
            let number = self.number_of(&record);
            if let Some(own) = own.as_ref().filter(|_| head.is_refusal()) {
                self.times.add(own, head.time_ns, &record);
            } else if head.is_policy_change() && self.policy.is_none() {
                if let Event::PolicyChange(change) = decode(&record, number)?.event {
                    let source = Some(change.source);
                    self.policy = Some(InForce { number, digest: change.digest, source });
                }
            } else if head.is_run_start() {
                let Event::RunStart(start) = decode(&record, number)?.event else { continue };
                if let (None, Some(digest)) = (&self.policy, start.policy) {
                    self.policy = Some(InForce { number, digest, source: None });
                }
                self.run = Some(Run { number, time_ns: head.time_ns, start });
                break;
            }
        }
        Ok(())
    }

    /// To the end of the run: the same refusal again; or, of what was allowed, to its end.
    fn look_ahead(&mut self, reader: &ShardReader<'_>) -> Result<(), Failure> {
        let own = self.record.bytes.clone();
        let own = Refusal::of(&own);
        for record in reader.entries(self.number.sequence.saturating_add(1)..u64::MAX) {
            let record = record.map_err(Failure::unable)?;
            let Some(head) = Glance::of(&record.bytes).filter(|head| head.run == self.entry.run) else {
                continue;
            };
            let number = self.number_of(&record);
            if let Some(own) = own.as_ref().filter(|_| head.is_refusal()) {
                self.times.add(own, head.time_ns, &record);
            } else if head.is_close() && !self.is_refused() {
                let Event::ConnectionClose(close) = decode(&record, number)?.event else { continue };
                if close.sequence == self.number.sequence {
                    self.end = Some((number, close));
                    break;
                }
            } else if head.is_run_end() {
                self.is_over = true;
                break;
            }
        }
        Ok(())
    }
}

impl Times {
    /// Counts a refusal, where it is the same as the one that is explained.
    fn add(&mut self, own: &Refusal<'_>, time_ns: u64, other: &Record) {
        if let Some(other) = Refusal::of(&other.bytes).filter(|other| own.is_same(other)) {
            self.count = self.count.saturating_add(other.count);
            self.first_ns = self.first_ns.min(time_ns);
            self.last_ns = self.last_ns.max(time_ns);
        }
    }
}
