//! The kernel's side of judging calls (seccomp_unotify(2)).

use crate::sandbox::filter::{ARCHITECTURES, Numbers};
use crate::sandbox::process;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::{self, Errno};
use rustix::process::Pid;
use std::mem::MaybeUninit;

/// Wakes the caller on the processor of whoever answers: half the time of a call (Linux 6.6).
const SYNCHRONOUS: u64 = 1;

/// Where held calls are read and answered.
#[derive(Debug)]
pub(in crate::sandbox) struct Listener(OwnedFd);

/// A call that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// Names it as long as it waits.
    pub id: u64,
    /// The thread that called, by its number inside.
    pub thread: Pid,
    /// What was called for.
    pub kind: Kind,
}

/// What was called for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// connect(2): which socket, where the address is, and its length in bytes.
    Connect { socket: i32, address: u64, length: usize },
    /// listen(2): which socket, and how many connections may wait there.
    Listen { socket: i32, backlog: i32 },
    /// socket(2) for Unix datagrams: the type and its flags.
    UnixDatagrams { flags: i32 },
    /// socket(2) for IPv4's or IPv6's: the family, the type and its flags, and the protocol.
    Datagrams { family: i32, flags: i32, protocol: i32 },
    /// socketpair(2) for them: and where the two numbers go.
    DatagramPair { flags: i32, numbers: u64 },
}

impl Listener {
    /// Of the descriptor that [`install`](crate::sandbox::filter::install) gave.
    pub fn new(descriptor: OwnedFd) -> Self {
        // A kernel that cannot does without.
        // SAFETY: takes a number.
        unsafe { libc::ioctl(descriptor.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS as _, SYNCHRONOUS) };
        Self(descriptor)
    }

    /// The next call; `None` where nobody is left to call.
    pub(super) fn receive(&self) -> Option<Call> {
        loop {
            // The kernel wants it zeroed.
            let mut notice = MaybeUninit::<libc::seccomp_notif>::zeroed();
            // SAFETY: the kernel fills in the structure, of the size that the request's number says.
            let result = unsafe {
                libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV as _, notice.as_mut_ptr())
            };
            if result == 0 {
                // SAFETY: it is filled in, and zeroes were a value of it before.
                let notice = unsafe { notice.assume_init() };
                match Call::of(&notice) {
                    Some(call) => return Some(call),
                    // Nothing else is held. Should it be, it fails.
                    None => self.answer(notice.id, Err(Errno::NOSYS)),
                }
            } else if !matches!(process::last_error(), Errno::INTR | Errno::NOENT) || self.is_over() {
                return None;
            }
        }
    }

    fn is_over(&self) -> bool {
        let mut ready = [PollFd::new(&self.0, PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let polled = rustix::event::poll(&mut ready, Some(&now));
        polled.is_err() || ready[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }

    /// Lets the call return. One that nobody waits for any more is forgotten.
    pub(super) fn answer(&self, id: u64, result: Result<i64, Errno>) {
        let error = result.map_or_else(|error| -error.raw_os_error(), |_| 0);
        self.send(libc::seccomp_notif_resp { id, val: result.unwrap_or(0), error, flags: 0 });
    }

    /// Has the kernel do what was called for: of what stands in registers alone, which no other thread can change.
    pub(super) fn pass(&self, id: u64) {
        let flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        self.send(libc::seccomp_notif_resp { id, val: 0, error: 0, flags });
    }

    fn send(&self, mut answer: libc::seccomp_notif_resp) {
        // SAFETY: the kernel reads the structure, of the size that the request's number says.
        unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND as _, &raw mut answer) };
    }

    /// Whether the caller still waits, so that its number is still its own and its memory was read in time.
    pub(super) fn waits(&self, id: u64) -> bool {
        // SAFETY: the kernel reads one number.
        unsafe {
            libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _, &raw const id) == 0
        }
    }

    /// Gives the caller a descriptor, whose number there is returned.
    pub(super) fn hand_over(
        &self,
        id: u64,
        given: BorrowedFd<'_>,
        close_on_execute: bool,
    ) -> io::Result<i32> {
        let newfd_flags = if close_on_execute { libc::O_CLOEXEC as u32 } else { 0 };
        let srcfd = given.as_raw_fd() as u32;
        let mut gift = libc::seccomp_notif_addfd { id, flags: 0, srcfd, newfd: 0, newfd_flags };
        // SAFETY: the kernel reads the structure, of the size that the request's number says.
        let number =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD as _, &raw mut gift) };
        if number < 0 { Err(process::last_error()) } else { Ok(number) }
    }
}

impl Call {
    fn of(notice: &libc::seccomp_notif) -> Option<Self> {
        let data = &notice.data;
        let numbers = ARCHITECTURES.iter().find(|numbers| numbers.architecture == data.arch)?;
        let thread = i32::try_from(notice.pid).ok().and_then(Pid::from_raw)?;
        Some(Self { id: notice.id, thread, kind: Kind::of(numbers, data)? })
    }
}

impl Kind {
    /// Of an `int` only the lower half counts.
    fn of(numbers: &Numbers, data: &libc::seccomp_data) -> Option<Self> {
        let integer = |index: usize| data.args[index] as i32;
        match u32::try_from(data.nr).ok()? {
            number if number == numbers.connect => Some(Self::Connect {
                socket: integer(0),
                address: data.args[1],
                length: usize::try_from(integer(2)).ok()?,
            }),
            number if number == numbers.listen => {
                Some(Self::Listen { socket: integer(0), backlog: integer(1) })
            }
            number if number == numbers.socket => Some(match integer(0) {
                libc::AF_UNIX => Self::UnixDatagrams { flags: integer(1) },
                family => Self::Datagrams { family, flags: integer(1), protocol: integer(2) },
            }),
            number if number == numbers.socketpair => {
                Some(Self::DatagramPair { flags: integer(1), numbers: data.args[3] })
            }
            _ => None,
        }
    }
}
