//! A terminal of the command's own: a pseudo-terminal whose near end the gateway has. What the command shows and what is
//! typed for it passes through the gateway, which keeps both back while it asks a person something: what is on the screen
//! then is the gateway's, and what is typed is for it.
//!
//! The command's session and foreground group are those of its own terminal, so that Ctrl-C, Ctrl-Z and a program that
//! reads in the background are what they are on any terminal, and concern the gateway's as little as those of another
//! window. The terminal that it takes the place of is covered inside: it has a name there, and belongs to the same user.

use super::error::{During, LaunchError, Step};
use super::process;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io;
use rustix::process::{Pid, Signal};
use rustix::pty::OpenptFlags;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Both ends, before the command has its own.
#[derive(Debug)]
pub(super) struct PseudoTerminal {
    pub near: OwnedFd,
    pub far: FarEnd,
}

/// The command's end.
#[derive(Debug)]
pub(super) struct FarEnd {
    terminal: OwnedFd,
    /// Which of the standard streams are the terminal that it takes the place of.
    streams: [bool; 3],
    /// Where that one is found.
    pub covered: Option<PathBuf>,
}

/// The process's controlling terminal, opened anew, so that flags of the descriptor are its own.
///
/// # Errors
///
/// ENXIO where the process has none.
pub(crate) fn open_controlling(flags: OFlags) -> io::Result<OwnedFd> {
    rustix::fs::open("/dev/tty", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | flags, Mode::empty())
}

/// Whether `stream` is the terminal `terminal`, by whatever name each was opened.
pub(crate) fn is_same_terminal(stream: BorrowedFd<'_>, terminal: BorrowedFd<'_>) -> bool {
    let device = process::terminal_device(terminal);
    device.is_some() && process::terminal_device(stream) == device
}

/// Sends a signal to the foreground group of the terminal whose near end this is, as its keys do: SIGINT, SIGQUIT or
/// SIGTSTP.
pub(crate) fn signal_foreground(near: BorrowedFd<'_>, signal: Signal) {
    // Where nobody is there any more, there is nobody to be signalled.
    let _ = process::signal_foreground(near, signal.as_raw());
}

impl PseudoTerminal {
    /// A new one, in the place of the process's controlling terminal, with its modes and size.
    pub fn open() -> Result<Self, LaunchError> {
        let step = Step::OpenTerminal;
        let replaced = open_controlling(OFlags::empty()).during(step, "/dev/tty")?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let near = rustix::pty::openpt(flags).during(step, "/dev/ptmx")?;
        rustix::pty::unlockpt(&near).during(step, "unlocking it")?;
        let terminal = rustix::pty::ioctl_tiocgptpeer(&near, flags).during(step, "its far end")?;
        let modes = rustix::termios::tcgetattr(&replaced).during(step, "reading the terminal's modes")?;
        rustix::termios::tcsetattr(&terminal, rustix::termios::OptionalActions::Now, &modes)
            .during(step, "its modes")?;
        if let Ok(size) = rustix::termios::tcgetwinsize(&replaced) {
            rustix::termios::tcsetwinsize(&terminal, size).during(step, "its size")?;
        }
        let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
        let streams = streams.map(|stream| is_same_terminal(stream, replaced.as_fd()));
        let covered = process::terminal_device(replaced.as_fd()).and_then(path_of);
        Ok(Self { near, far: FarEnd { terminal, streams, covered } })
    }
}

impl FarEnd {
    /// Begins a session whose terminal this is, and puts it in the place of the other one.
    pub fn take(&self) -> io::Result<()> {
        rustix::process::setsid()?;
        rustix::process::ioctl_tiocsctty(&self.terminal)?;
        let [stdin, stdout, stderr] = self.streams;
        if stdin {
            rustix::stdio::dup2_stdin(&self.terminal)?;
        }
        if stdout {
            rustix::stdio::dup2_stdout(&self.terminal)?;
        }
        if stderr {
            rustix::stdio::dup2_stderr(&self.terminal)?;
        }
        Ok(())
    }

    /// Puts a process of the session into a group of its own, in the foreground. Its parent is in another group then, without
    /// which the terminal would stop none of the group (POSIX.1, orphaned process groups).
    pub fn hand_over(&self, process: Pid) -> io::Result<()> {
        rustix::process::setpgid(Some(process), Some(process))?;
        rustix::termios::tcsetpgrp(&self.terminal, process)
    }
}

/// Where a terminal is found by its device's number, if it has a name here at all.
fn path_of(device: u64) -> Option<PathBuf> {
    let is_it = |path: &Path| {
        std::fs::symlink_metadata(path).is_ok_and(|found| {
            FileType::from_raw_mode(found.mode()) == FileType::CharacterDevice && found.rdev() == device
        })
    };
    let entries = ["/dev/pts", "/dev"].into_iter().filter_map(|directory| std::fs::read_dir(directory).ok());
    entries.flatten().flatten().map(|entry| entry.path()).find(|path| is_it(path))
}
