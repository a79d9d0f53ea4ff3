//! The terminal, lent to the command's process group while it runs in the foreground.
//!
//! The command has a process group of its own (see `init`), so that a terminal's Ctrl-C and Ctrl-Z reach it and not
//! the gateway. As a shell does for a job, the gateway makes that group the terminal's foreground group; when the
//! command stops, the gateway takes the terminal back and stops with its own group, so that the shell above sees one
//! job that stopped.

use super::process;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};

/// The process's controlling terminal.
#[derive(Debug)]
pub(super) struct Terminal {
    fd: OwnedFd,
    own_group: Pid,
    command_group: Pid,
}

fn open() -> Option<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open("/dev/tty", flags, Mode::empty()).ok()
}

impl Terminal {
    /// The controlling terminal, for a command in `command_group`; `None` where there is none.
    pub fn open(command_group: Pid) -> Option<Self> {
        let fd = open()?;
        // Handing the terminal on from the background is what we do; it must not stop us.
        process::ignore(libc::SIGTTOU);
        Some(Self { fd, own_group: rustix::process::getpgrp(), command_group })
    }

    /// Gives the terminal to the command, if it is ours to give.
    pub fn lend(&self) {
        if rustix::termios::tcgetpgrp(&self.fd) == Ok(self.own_group) {
            let _ = rustix::termios::tcsetpgrp(&self.fd, self.command_group);
        }
    }

    /// Takes the terminal back, if the command has it, or a group that the command has left behind.
    pub fn take_back(&self) {
        let holder = rustix::termios::tcgetpgrp(&self.fd);
        let someone_else = holder.is_ok_and(|group| group != self.command_group)
            && holder.is_ok_and(|group| rustix::process::test_kill_process_group(group).is_ok());
        if !someone_else {
            let _ = rustix::termios::tcsetpgrp(&self.fd, self.own_group);
        }
    }

    /// The command was stopped by the terminal: stops the gateway's whole group with it, and goes on with it.
    /// Returns when the shell continues us.
    pub fn stop_with_command(&self, signal: i32) {
        let Some(signal) =
            [Signal::TSTP, Signal::TTIN, Signal::TTOU].into_iter().find(|s| s.as_raw() == signal)
        else {
            return;
        };
        self.take_back();
        // We ignore SIGTTOU ourselves.
        let signal = if signal == Signal::TTOU { Signal::TTIN } else { signal };
        let _ = rustix::process::kill_current_process_group(signal);
        self.lend();
        let _ = rustix::process::kill_process_group(self.command_group, Signal::CONT);
    }
}
