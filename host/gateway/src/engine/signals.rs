//! Signals as something to poll: blocked for the gateway, read from a signalfd, and passed on to the command.

use rustix::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io;
use std::mem::MaybeUninit;

/// The signals that are meant for the command and are passed on to it.
const FORWARDED: [i32; 7] =
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2, libc::SIGALRM];

/// The signals of the gateway, readable from a descriptor.
#[derive(Debug)]
pub(super) struct Signals {
    descriptor: OwnedFd,
}

impl Signals {
    /// From now on the forwarded signals do nothing but wait here.
    pub fn catch() -> std::io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset initialises the set that the other calls read.
        let raw = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in FORWARDED {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            libc::signalfd(-1, set.as_ptr(), libc::SFD_NONBLOCK | libc::SFD_CLOEXEC)
        };
        if raw < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: signalfd returned a new descriptor that nothing else owns.
        Ok(Self { descriptor: unsafe { OwnedFd::from_raw_fd(raw) } })
    }

    /// The number of the next signal that waits.
    pub fn next(&self) -> Option<i32> {
        let mut record = [0u8; size_of::<libc::signalfd_siginfo>()];
        let count = io::read(&self.descriptor, &mut record[..]).ok()?;
        // The record starts with ssi_signo (signalfd(2)).
        (count == record.len()).then(|| i32::from_ne_bytes([record[0], record[1], record[2], record[3]]))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
