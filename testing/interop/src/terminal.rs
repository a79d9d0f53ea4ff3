//! A pseudo-terminal to run weft on.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::outcome::Outcome;
use crate::wait;
use crate::weft::{Run, Running};

/// A run on a terminal, whose keyboard and screen the test has.
#[derive(Debug)]
pub struct Terminal {
    /// The run; its process is that of `setsid`, which ends as weft does.
    pub running: Running,
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    /// Closed, it ends the reading thread.
    looks: PipeWriter,
}

impl Terminal {
    /// Starts `command` under weft on a new terminal of 132 columns.
    ///
    /// # Panics
    ///
    /// Where there is no terminal to be had.
    #[must_use]
    pub fn start<A: AsRef<OsStr>>(run: Run<'_>, command: &[A]) -> Self {
        let near =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(near.as_fd()).expect("its owner");
        unlockpt(near.as_fd()).expect("its lock");
        let name = ptsname(near.as_fd(), Vec::new()).expect("its name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let far = File::from(rustix::fs::open(name.as_c_str(), flags, Mode::empty()).expect("its far side"));
        tcsetwinsize(&far, Winsize { ws_row: 40, ws_col: 132, ws_xpixel: 0, ws_ypixel: 0 })
            .expect("its size");
        let input = Stdio::from(far.try_clone().expect("a second descriptor"));
        let running = run.start_on(command, input, Some(&far));
        drop(far);

        let keyboard = File::from(near);
        let mut from_far = keyboard.try_clone().expect("a second descriptor");
        let screen = Arc::new(Mutex::new(Vec::new()));
        let shown = screen.clone();
        let (is_looking, looks) = std::io::pipe().expect("a pipe");
        let reader = std::thread::spawn(move || {
            let mut part = [0; 4096];
            loop {
                let mut ready =
                    [PollFd::new(&from_far, PollFlags::IN), PollFd::new(&is_looking, PollFlags::IN)];
                let _ = poll(&mut ready, None);
                if !ready[1].revents().is_empty() {
                    return;
                }
                // The kernel ends this with EIO when the far side's last user is gone.
                let Ok(length @ 1..) = from_far.read(&mut part) else { return };
                shown.lock().expect("no thread panicked with the screen").extend(&part[..length]);
            }
        });
        Self { running, keyboard, screen, reader, looks }
    }

    /// Presses keys.
    ///
    /// # Panics
    ///
    /// Where the terminal is gone.
    pub fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).expect("the terminal takes keys");
    }

    /// Everything shown so far.
    ///
    /// # Panics
    ///
    /// Where the reading thread panicked.
    #[must_use]
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().expect("no thread panicked with the screen")).into_owned()
    }

    /// Waits until the screen shows `text`.
    ///
    /// # Panics
    ///
    /// Where it does not in time.
    pub fn until_shown(&self, text: &str) {
        let seen = wait::within(wait::PATIENCE, || self.shown().contains(text).then_some(()));
        assert!(seen.is_some(), "the terminal never showed {text:?}:\n{}", self.shown());
    }

    /// Waits until everybody whom an interrupt was for has taken it: another would be one with it until then
    /// (signal(7), "Queueing and delivery semantics for standard signals").
    ///
    /// # Panics
    ///
    /// Where somebody does not in time.
    pub fn until_interrupt_taken(&self) {
        let taken = wait::within(wait::PATIENCE, || (!is_interrupt_pending(self.running.id())).then_some(()));
        assert!(taken.is_some(), "an interrupt was never taken:\n{}", self.shown());
    }

    /// Takes the terminal away.
    ///
    /// # Panics
    ///
    /// Where the reading thread panicked.
    #[must_use]
    pub fn hang_up(self) -> Running {
        let Self { running, keyboard, reader, looks, .. } = self;
        // The kernel hangs up when the last of the near side's descriptors is closed.
        drop(looks);
        reader.join().expect("the reading thread did not panic");
        drop(keyboard);
        running
    }

    /// Waits for the end. Gives the outcome and everything that was shown.
    ///
    /// # Panics
    ///
    /// Where the end does not come in time.
    #[must_use]
    pub fn finish(self) -> (Outcome, String) {
        let Self { running, keyboard, screen, reader, looks } = self;
        let outcome = running.finish();
        // With the far side's last user gone, the reading thread comes to the screen's end.
        drop(reader.join());
        drop((keyboard, looks));
        let shown = screen.lock().expect("no thread panicked with the screen");
        (outcome, String::from_utf8_lossy(&shown).into_owned())
    }
}

/// Whether an interrupt waits for `process` or for one that it brought up, from `/proc/PID/status`.
fn is_interrupt_pending(process: u32) -> bool {
    let others = std::fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let others = others.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let statuses: BTreeMap<u32, String> = others
        .filter_map(|id| Some((id, std::fs::read_to_string(format!("/proc/{id}/status")).ok()?)))
        .collect();
    let field = |id: u32, name: &str, radix: u32| {
        let value = statuses.get(&id)?.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(value.trim(), radix).ok()
    };
    let interrupt = 1 << (rustix::process::Signal::INT.as_raw() - 1);
    let mut family = vec![process];
    while let Some(one) = family.pop() {
        if field(one, "ShdPnd:", 16).unwrap_or(0) & interrupt != 0 {
            return true;
        }
        family.extend(statuses.keys().filter(|&&id| field(id, "PPid:", 10) == Some(one.into())));
    }
    false
}
