//! The terminal of the person who runs weft, and the modes that it is in.

use crate::sandbox::open_controlling;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::{self, Errno};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, QueueSelector, Termios, Winsize, tcflush,
    tcgetattr, tcgetwinsize, tcsetattr,
};

/// The terminal. Dropped, it has the modes that it was found with.
#[derive(Debug)]
pub(crate) struct Person {
    terminal: OwnedFd,
    found: Termios,
    is_changed: bool,
}

impl Person {
    /// The process's controlling terminal.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn open() -> io::Result<Self> {
        Self::at(open_controlling(OFlags::NONBLOCK)?)
    }

    /// At this terminal, whose reads and writes do not wait.
    pub(super) fn at(terminal: OwnedFd) -> io::Result<Self> {
        let found = tcgetattr(&terminal)?;
        Ok(Self { terminal, found, is_changed: false })
    }

    /// Every key is the command's: its own terminal makes lines and signals of them.
    pub fn pass_everything(&mut self) {
        let mut modes = self.found.clone();
        modes.make_raw();
        self.set(&modes);
    }

    /// Lines are read, and shown as they are typed. What was typed before is nobody's answer.
    pub fn read_lines(&mut self) {
        let mut modes = self.found.clone();
        modes.input_modes |= InputModes::ICRNL | InputModes::BRKINT;
        modes.input_modes -= InputModes::INLCR | InputModes::IGNCR;
        modes.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
        modes.local_modes |= LocalModes::ICANON
            | LocalModes::ISIG
            | LocalModes::IEXTEN
            | LocalModes::ECHO
            | LocalModes::ECHOE
            | LocalModes::ECHOK;
        modes.local_modes -= LocalModes::NOFLSH;
        self.set(&modes);
        // One that is gone has nothing to be forgotten.
        let _ = tcflush(&self.terminal, QueueSelector::IFlush);
    }

    /// As it was found.
    pub fn restore(&mut self) {
        if std::mem::take(&mut self.is_changed) {
            // As above: one that is gone has no modes.
            let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.found);
        }
    }

    /// Where the process is in the background of it, this waits until it is not (termios(3): SIGTTOU).
    fn set(&mut self, modes: &Termios) {
        self.is_changed = true;
        while let Err(Errno::INTR) = tcsetattr(&self.terminal, OptionalActions::Now, modes) {}
    }

    /// Its size.
    pub fn size(&self) -> Option<Winsize> {
        tcgetwinsize(&self.terminal).ok()
    }

    /// Whether it has been hung up.
    pub fn is_gone(&self) -> bool {
        tcgetattr(&self.terminal).is_err()
    }

    /// Reads what was typed; EAGAIN where that is nothing.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        io::read(&self.terminal, room)
    }

    /// Shows bytes; EAGAIN where it takes none now.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        io::write(&self.terminal, bytes)
    }

    /// Has [`write`](Self::write) wait from here on.
    pub fn wait_for_room(&self) {
        let flags = rustix::fs::fcntl_getfl(&self.terminal).map(|flags| flags - OFlags::NONBLOCK);
        // Where that fails, what does not fit is lost.
        let _ = flags.and_then(|flags| rustix::fs::fcntl_setfl(&self.terminal, flags));
    }
}

impl AsFd for Person {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.terminal.as_fd()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.restore();
    }
}
