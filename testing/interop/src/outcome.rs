//! What a run left behind: its exit status, what it wrote, and its events.

use std::fmt;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;

/// A finished run.
#[derive(Debug)]
pub struct Outcome {
    /// How `weft` itself ended.
    pub status: ExitStatus,
    /// What the command and weft wrote to standard output.
    pub stdout: String,
    /// What they wrote to standard error.
    pub stderr: String,
    /// The lines of `--events`, parsed.
    pub events: Vec<Value>,
    /// From start to end.
    pub took: Duration,
}

impl Outcome {
    /// The run, having ended with status 0.
    ///
    /// # Panics
    ///
    /// Where it ended otherwise.
    #[must_use]
    pub fn succeeded(self) -> Self {
        self.exited(0)
    }

    /// The run, having ended with this status.
    ///
    /// # Panics
    ///
    /// Where it ended otherwise.
    #[must_use]
    pub fn exited(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "exit status of the run:\n{self}");
        self
    }

    /// The run, having ended with another status than 0, of the command's own making.
    ///
    /// # Panics
    ///
    /// Where it succeeded, or weft itself failed.
    #[must_use]
    pub fn failed(self) -> Self {
        let code = self.status.code();
        assert!(code.is_some_and(|code| !matches!(code, 0 | 124..=127)), "the command should fail:\n{self}");
        self
    }

    /// The run, having printed `text`.
    ///
    /// # Panics
    ///
    /// Where standard output does not contain it.
    #[must_use]
    pub fn printed(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "standard output lacks {text:?}:\n{self}");
        self
    }

    /// The run, with `text` on standard error.
    ///
    /// # Panics
    ///
    /// Where standard error does not contain it.
    #[must_use]
    pub fn told(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "standard error lacks {text:?}:\n{self}");
        self
    }

    /// The run, having refused something at `host` and `port` in one line, which also says all of `also`.
    ///
    /// # Panics
    ///
    /// Where standard error has no such line.
    #[must_use]
    pub fn refused(self, also: &[&str]) -> Self {
        let told = self.stderr.lines().any(|line| also.iter().all(|part| line.contains(part)));
        assert!(told, "no line on standard error has all of {also:?}:\n{self}");
        self
    }

    /// Every event of this kind.
    pub fn events_of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.events.iter().filter(move |event| event["event"] == kind)
    }

    /// Whether an event of this kind names `host`.
    #[must_use]
    pub fn has_event(&self, kind: &str, host: &str) -> bool {
        self.events_of(kind).any(|event| event["host"] == host)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} after {:?}", self.status, self.took)?;
        writeln!(f, "--- standard output\n{}", self.stdout)?;
        writeln!(f, "--- standard error\n{}", self.stderr)?;
        writeln!(f, "--- events")?;
        self.events.iter().try_for_each(|event| writeln!(f, "{event}"))
    }
}
