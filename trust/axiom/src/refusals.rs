//! Refusals on their way into the ledger: told one by one as long as they are few, counted where they repeat.
//!
//! A program that is refused may try again as fast as it can. The first refusal is an entry at once; the same again is
//! counted, and told in one entry for each second. Beyond [`NEW_PER_SECOND_MAX`] different ones in a second, and beyond
//! [`WAITING_MAX`] that repeat, all the others of that second are counted in one entry.

use crate::cache::write_question;
use crate::proposal::Proposal;
use ledger::{AppendError, Authorization, Entry, Event, Log, RunId, Verdict};
use std::collections::{HashMap, VecDeque};
use time::{Duration, Instant};

/// How many refusals that differ from all others have an entry of their own in one second.
pub const NEW_PER_SECOND_MAX: u64 = 64;
/// How many different refusals are looked out for, to be counted where they repeat.
pub const WAITING_MAX: usize = 256;
/// For how long the same refusal is counted before it is told again.
pub const COUNTING: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    waiting: HashMap<Box<[u8]>, Waiting>,
    /// What waits, in the order in which it is due.
    due: VecDeque<(Instant, Box<[u8]>)>,
    /// When the second began in which `new` were told, and `others` only counted.
    second: Option<Instant>,
    new: u64,
    others: u64,
    run: RunId,
    question: Vec<u8>,
}

#[derive(Debug)]
struct Waiting {
    entry: Entry,
    sequence: u64,
    repeats: u64,
}

impl Refusals {
    /// Takes a refusal in; gives the number of the entry that tells of it, where one does.
    pub fn refuse(
        &mut self,
        proposal: &Proposal,
        entry: Entry,
        log: &mut Log,
        now: Instant,
    ) -> Result<Option<u64>, AppendError> {
        self.handle_timeout(entry.time_ns, log, now);
        let id = proposal.program.as_ref().map_or(0, |program| program.id);
        write_question(&mut self.question, proposal, true, true);
        self.question.extend_from_slice(&id.to_le_bytes());
        if let Some(asked) = entry.event.authorization() {
            self.question.extend_from_slice(asked.reason.as_bytes());
        }
        if let Some(waiting) = self.waiting.get_mut(&self.question[..]) {
            waiting.repeats += 1;
            return Ok(Some(waiting.sequence));
        }
        self.second.get_or_insert(now);
        if self.new >= NEW_PER_SECOND_MAX || self.waiting.len() >= WAITING_MAX {
            self.others += 1;
            self.run = entry.run;
            return Ok(None);
        }
        let sequence = log.append(&entry, now)?;
        self.new += 1;
        let question: Box<[u8]> = self.question.as_slice().into();
        self.due.push_back((now + COUNTING, question.clone()));
        self.waiting.insert(question, Waiting { entry, sequence, repeats: 0 });
        Ok(Some(sequence))
    }

    /// Tells of what was counted, where its second is over.
    pub fn handle_timeout(&mut self, time_ns: u64, log: &mut Log, now: Instant) {
        while let Some((_, question)) = self.due.pop_front_if(|(due, _)| *due <= now) {
            let Some(waiting) = self.waiting.get_mut(&question) else { continue };
            if waiting.repeats == 0 {
                self.waiting.remove(&question);
                continue;
            }
            waiting.entry.time_ns = time_ns;
            if let Some(asked) = authorization_mut(&mut waiting.entry.event) {
                asked.count = waiting.repeats;
            }
            waiting.repeats = 0;
            // A log that cannot be written says so to whoever asks next; nothing is allowed by it meanwhile.
            if let Ok(sequence) = log.append(&waiting.entry, now) {
                waiting.sequence = sequence;
            }
            self.due.push_back((now + COUNTING, question));
        }
        if self.second.is_some_and(|second| second + COUNTING <= now) {
            if self.others > 0 {
                let asked = Authorization {
                    verdict: Verdict::Refused,
                    reason: "refusals beyond those that are told one by one".into(),
                    count: self.others,
                    ..Authorization::default()
                };
                // As above.
                let _ = log.append(&Entry::new(time_ns, self.run, Event::ConnectionAuthorize(asked)), now);
            }
            (self.second, self.new, self.others) = (None, 0, 0);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        let second = self.second.map(|second| second + COUNTING);
        self.due.front().map(|(due, _)| *due).into_iter().chain(second).min()
    }
}

fn authorization_mut(event: &mut Event) -> Option<&mut Authorization> {
    match event {
        Event::ConnectionAuthorize(asked)
        | Event::ListenAuthorize(asked)
        | Event::ResolveAuthorize(asked) => Some(asked),
        _ => None,
    }
}
