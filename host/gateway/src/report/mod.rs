//! What a run tells: events for programs, one line for each refusal, and a table at the end for people.
//!
//! The schema of events, with an example of each, is in `docs/events.md`. Whatever the child can choose (names, a
//! program's name) is escaped before it reaches a terminal.

mod escape;
mod event;
mod refusals;
mod reporter;
mod summary;

pub use escape::{escape, escape_whole};
pub use event::{Closing, Event, Kind, Process, Target};
pub use refusals::{REFUSALS_MAX, REPEATS_INTERVAL};
pub use reporter::Reporter;
pub use summary::ROWS_MAX;

use refusals::Refusals;
use std::collections::{HashSet, VecDeque};
use summary::Summary;
use time::Instant;
use time::calendar::to_rfc3339;

/// How many names are told one by one that could not be resolved. Events have them all.
pub const UNRESOLVED_MAX: usize = 64;

/// What was reported so far, and what is still to be written. Owns no file: [`Reporter`] does.
#[derive(Debug, Default)]
pub struct Report {
    refusals: Refusals,
    summary: Summary,
    /// Names of which it was told that they could not be resolved.
    unresolved: HashSet<String>,
    lines: VecDeque<String>,
    messages: VecDeque<String>,
}

impl Report {
    /// Takes what happened at `now`, which on the wall's clock is `unix_nanos`.
    pub fn record(&mut self, event: &Event, now: Instant, unix_nanos: u64) {
        self.lines.push_back(event.to_json(&to_rfc3339(unix_nanos, 3)));
        self.count(event, now);
    }

    /// As [`record`](Self::record), where nobody reads the lines.
    pub fn count(&mut self, event: &Event, now: Instant) {
        self.summary.count(event);
        if let Event::Fail { target, reason, .. } = event
            && target.kind == Kind::Dns
            && self.unresolved.len() < UNRESOLVED_MAX
            && self.unresolved.insert(target.host.clone())
        {
            let name = escape(&target.host);
            self.messages.push_back(format!("weft: {name} could not be resolved: {}", escape(reason)));
        }
        if let Event::Deny { process, target, reason, hint, .. } = event {
            self.messages.extend(self.refusals.count(process.as_ref(), target, reason, hint.as_deref(), now));
        }
    }

    /// The next event, as JSON in one line without its end.
    pub fn poll_line(&mut self) -> Option<String> {
        self.lines.pop_front()
    }

    /// The next line for standard error, without its end.
    pub fn poll_message(&mut self) -> Option<String> {
        self.messages.pop_front()
    }

    /// How often something was refused.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.refusals.total()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout): repeated refusals are to be told.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.refusals.poll_timeout()
    }

    /// Tells how often refusals were repeated.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.refusals.poll_timeout().is_some_and(|when| when <= now) {
            self.messages.extend(self.refusals.repeats(Some(now)));
        }
    }

    /// Tells what was not told yet: nothing more comes.
    pub fn finish(&mut self) {
        self.messages.extend(self.refusals.repeats(None));
    }

    /// The table of everything that was reached and refused; empty where there was nothing.
    #[must_use]
    pub fn summary(&self, colour: bool) -> String {
        self.summary.table(colour)
    }
}

#[cfg(test)]
mod tests;
