//! Writes a report where it belongs: events to their file, lines to standard error.

use super::{Event, Report};
use std::io::{self, Write};
use time::Instant;

/// Where a report goes.
pub struct Reporter {
    report: Report,
    events: Option<Box<dyn Write + Send>>,
    messages: Option<Box<dyn Write + Send>>,
    summary: Option<Colour>,
    failure: Option<io::Error>,
}

/// Whether the summary is coloured.
type Colour = bool;

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reporter").field("report", &self.report).finish_non_exhaustive()
    }
}

impl Reporter {
    /// Events go to `events`, lines for people to `messages` (`None` where the run is quiet), followed at the end by a
    /// summary where `summary` says whether it has colours.
    #[must_use]
    pub fn new(
        events: Option<Box<dyn Write + Send>>,
        messages: Option<Box<dyn Write + Send>>,
        summary: Option<bool>,
    ) -> Self {
        Self { report: Report::default(), events, messages, summary, failure: None }
    }

    /// Reports what happened at `now`, which on the wall's clock is `unix_nanos`.
    pub fn record(&mut self, event: &Event, now: Instant, unix_nanos: u64) {
        if self.events.is_some() {
            self.report.record(event, now, unix_nanos);
        } else {
            self.report.count(event, now);
        }
        self.write();
    }

    /// Whether events are written, so that their details are worth finding out.
    #[must_use]
    pub fn keeps_events(&self) -> bool {
        self.events.is_some()
    }

    /// A line of weft's own for standard error, without its end.
    pub fn say(&mut self, line: &str) {
        if let Some(messages) = &mut self.messages {
            keep(&mut self.failure, write_line(messages, line));
        }
    }

    /// How often something was refused.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.report.refusals()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.report.poll_timeout()
    }

    /// Tells how often refusals were repeated.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.report.handle_timeout(now);
        self.write();
    }

    /// Tells what was not told yet, and the summary.
    ///
    /// # Errors
    ///
    /// The first that occurred in writing, if one did: the events are not whole.
    pub fn finish(&mut self) -> io::Result<()> {
        self.report.finish();
        self.write();
        if let (Some(colour), Some(messages)) = (self.summary, &mut self.messages) {
            keep(&mut self.failure, messages.write_all(self.report.summary(colour).as_bytes()));
        }
        for writer in [&mut self.events, &mut self.messages].into_iter().flatten() {
            keep(&mut self.failure, writer.flush());
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    fn write(&mut self) {
        while let Some(line) = self.report.poll_line() {
            if let Some(events) = &mut self.events {
                keep(&mut self.failure, write_line(events, &line));
            }
        }
        while let Some(message) = self.report.poll_message() {
            self.say(&message);
        }
    }
}

/// One write for a line and its end, so that lines of several writers do not mix.
fn write_line(writer: &mut Box<dyn Write + Send>, line: &str) -> io::Result<()> {
    writer.write_all(format!("{line}\n").as_bytes())
}

/// Keeps the first failure.
fn keep(failure: &mut Option<io::Error>, result: io::Result<()>) {
    if let Err(error) = result {
        failure.get_or_insert(error);
    }
}
