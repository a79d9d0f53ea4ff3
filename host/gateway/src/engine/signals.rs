//! Signals as something to poll: blocked for the gateway, read from a signalfd, and passed on to the command.

use rustix::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io;
use std::mem::MaybeUninit;

/// The signals that are meant for the command and are passed on to it.
const FORWARDED: [i32; 7] =
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2, libc::SIGALRM];

/// The signals by which a terminal and the shell above speak to whoever has the terminal.
const OF_A_TERMINAL: [i32; 3] = [libc::SIGWINCH, libc::SIGTSTP, libc::SIGCONT];

/// The signals of the gateway, readable from a descriptor.
#[derive(Debug)]
pub(super) struct Signals {
    descriptor: OwnedFd,
}

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    /// Its number.
    pub number: i32,
    /// Whether the kernel sent it, as a terminal does.
    pub by_kernel: bool,
}

impl Signals {
    /// From now on the forwarded signals do nothing but wait here; so do those of a terminal, where it is the gateway's own.
    pub fn catch(has_terminal: bool) -> std::io::Result<Self> {
        let of_terminal = if has_terminal { &OF_A_TERMINAL[..] } else { &[] };
        let signals = FORWARDED.iter().chain(of_terminal);
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset initialises the set that the other calls read.
        let raw = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            signals.for_each(|signal| {
                libc::sigaddset(set.as_mut_ptr(), *signal);
            });
            libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            libc::signalfd(-1, set.as_ptr(), libc::SFD_NONBLOCK | libc::SFD_CLOEXEC)
        };
        if raw < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: signalfd returned a new descriptor that nothing else owns.
        Ok(Self { descriptor: unsafe { OwnedFd::from_raw_fd(raw) } })
    }

    /// Stops the gateway's whole group, as the terminal does where the gateway does not catch that. Returns when the shell
    /// above continues it; at once where there is none that would.
    pub fn stop_group() {
        // Ours waits until it is let through.
        let _ = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
        let (stop, go_on) = (set_of(libc::SIGTSTP), set_of(libc::SIGCONT));
        let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: all of them only read what they are given. The last takes what continued us out of what waits.
        unsafe {
            libc::sigprocmask(libc::SIG_UNBLOCK, &raw const stop, std::ptr::null_mut());
            libc::sigprocmask(libc::SIG_BLOCK, &raw const stop, std::ptr::null_mut());
            libc::sigtimedwait(&raw const go_on, std::ptr::null_mut(), &raw const at_once);
        }
    }

    /// The next signal that waits.
    pub fn next(&self) -> Option<Arrived> {
        let mut record = [0u8; size_of::<libc::signalfd_siginfo>()];
        let count = io::read(&self.descriptor, &mut record[..]).ok()?;
        // The record starts with ssi_signo, ssi_errno and ssi_code (signalfd(2)).
        let number = |at: usize| record[at..].first_chunk().map(|bytes| i32::from_ne_bytes(*bytes));
        let (number, code) = (number(0)?, number(8)?);
        (count == record.len()).then_some(Arrived { number, by_kernel: code == libc::SI_KERNEL })
    }
}

/// This signal alone.
fn set_of(signal: i32) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set that the other call changes.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        set.assume_init()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
