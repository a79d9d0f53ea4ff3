//! A trial sandbox around `true`.

use crate::options::Attach;
use crate::sandbox::{Exit, Launch, LaunchError, Launched, Step, Warning, launch};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// How long `true` may take, in seconds: much longer than on any machine that works.
const COMMAND_SECONDS_MAX: i64 = 10;

/// How a trial went.
#[derive(Debug)]
pub(super) struct Trial {
    /// How long it took until the command could start.
    pub outcome: Result<Duration, LaunchError>,
    /// What the sandbox had to do without.
    pub warnings: Vec<Warning>,
}

impl Trial {
    pub fn works(&self) -> bool {
        self.outcome.is_ok()
    }
}

/// Tries one attachment.
pub(super) fn run(attach: Attach) -> Trial {
    let mut wanted = Launch::new(vec!["true".into()]);
    wanted.attach = attach;
    // There is a second trial to come.
    wanted.confine_caller = false;
    let start = Instant::now();
    match launch(wanted) {
        Ok(launched) => {
            let span = start.elapsed();
            let warnings = launched.sandbox.warnings().to_vec();
            Trial { outcome: finish(launched).map(|()| span), warnings }
        }
        Err(error) => Trial { outcome: Err(error), warnings: Vec::new() },
    }
}

/// Starts the command and waits for its end.
fn finish(launched: Launched) -> Result<(), LaunchError> {
    let mut sandbox = launched.sandbox;
    let failed = |detail: String, code: Errno| LaunchError {
        step: Step::WaitForInit,
        detail,
        code: code.raw_os_error(),
    };
    sandbox.start().map_err(|error| failed("starting the command".into(), error))?;
    let patience = Timespec { tv_sec: COMMAND_SECONDS_MAX, tv_nsec: 0 };
    loop {
        match sandbox.try_status().map_err(|error| failed("hearing from it".into(), error))? {
            Some(Exit::Status(0)) => return Ok(()),
            // A machine without `true` in its PATH has shown that it executes.
            Some(Exit::NotExecuted(Errno::NOENT)) => return Ok(()),
            Some(exit) => return Err(failed(format!("`true` {exit}"), Errno::PROTO)),
            None => {}
        }
        let mut ready = [PollFd::from_borrowed_fd(sandbox.control_fd(), PollFlags::IN)];
        match rustix::event::poll(&mut ready, Some(&patience)) {
            Ok(0) => return Err(failed("`true` does not end".into(), Errno::TIMEDOUT)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(failed("waiting".into(), error)),
        }
    }
}
