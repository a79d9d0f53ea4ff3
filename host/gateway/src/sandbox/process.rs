//! The kernel's calls on processes and signals that have no safe wrapper: each does one thing.

use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::{self, Errno};
use rustix::process::Pid;
use rustix::thread::UnshareFlags;
use std::ffi::{CStr, c_int};
use std::mem::MaybeUninit;
use std::ptr;

/// The highest signal number.
const SIGNAL_MAX: c_int = 64;

/// What [`clone`] returns: twice, as fork does.
pub(super) enum Cloned {
    /// In the parent.
    Parent(Pid),
    /// In the child.
    Child,
}

/// Copies the calling process into a child with new namespaces of the kinds in `namespaces` (CLONE_NEW*).
///
/// The child has a copy of the caller's memory. The caller makes sure that it has one thread: a lock that another
/// thread held would stay held in the child for ever.
pub(super) fn clone(namespaces: c_int) -> io::Result<Cloned> {
    let flags = namespaces | libc::SIGCHLD;
    let null = ptr::null_mut::<()>();
    // SAFETY: without CLONE_VM the child runs on a copy of this stack, as after fork; no pointer is used.
    let result = unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(flags), null, null, null, null) };
    if result < 0 {
        return Err(last_error());
    }
    // The kernel's process numbers are far below this type's end, and none is negative.
    Ok(match i32::try_from(result).ok().and_then(Pid::from_raw) {
        Some(pid) => Cloned::Parent(pid),
        None => Cloned::Child,
    })
}

/// Ends the calling process at once: nothing that its parent's memory holds is run again.
pub(super) fn exit(status: u8) -> ! {
    // SAFETY: takes an integer and does not return.
    unsafe { libc::_exit(c_int::from(status)) }
}

/// Executes the first of `arguments`, found by PATH, in place of this process; a file that the kernel does not
/// know how to execute is given to the shell, as the shell itself does. Returns only where that failed.
pub(super) fn execute(arguments: &[&CStr]) -> Errno {
    let Some(program) = arguments.first() else { return Errno::NOENT };
    let pointers: Vec<_> = arguments.iter().map(|a| a.as_ptr()).chain([ptr::null()]).collect();
    // SAFETY: every pointer is a C string that outlives the call, and the list ends with a null pointer.
    unsafe { libc::execvp(program.as_ptr(), pointers.as_ptr()) };
    last_error()
}

/// A set of signals.
#[derive(Clone, Copy)]
pub(super) struct SignalSet(libc::sigset_t);

impl std::fmt::Debug for SignalSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries((1..=SIGNAL_MAX).filter(|signal| self.contains(*signal))).finish()
    }
}

impl SignalSet {
    /// These signals.
    pub fn of(signals: &[c_int]) -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset makes the set whole.
        let mut set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            set.assume_init()
        };
        for signal in signals {
            // SAFETY: changes the set, which is whole; a number that is no signal changes nothing.
            unsafe { libc::sigaddset(&raw mut set, *signal) };
        }
        Self(set)
    }

    /// All signals.
    pub fn all() -> Self {
        let all: Vec<c_int> = (1..=SIGNAL_MAX).collect();
        Self::of(&all)
    }

    /// The signals that the process ignores.
    pub fn ignored() -> Self {
        let ignored: Vec<c_int> = (1..=SIGNAL_MAX).filter(|signal| is_ignored(*signal)).collect();
        Self::of(&ignored)
    }

    /// The signals that the thread blocks.
    pub fn blocked() -> Self {
        let mut set = Self::of(&[]);
        // SAFETY: only writes the set that it is given.
        unsafe { libc::sigprocmask(libc::SIG_BLOCK, ptr::null(), &raw mut set.0) };
        set
    }

    fn contains(&self, signal: c_int) -> bool {
        // SAFETY: reads the set, which is whole.
        unsafe { libc::sigismember(&raw const self.0, signal) == 1 }
    }
}

fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: only writes the action that it is given; where it fails, zeroes stay, which are the default.
    let action = unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

/// Has the process ignore `signal`.
pub(super) fn ignore(signal: c_int) {
    // SAFETY: SIG_IGN is no function.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Has the process ignore the signals in `ignored`, and gives all others their default action.
pub(super) fn restore_dispositions(ignored: SignalSet) {
    for signal in 1..=SIGNAL_MAX {
        let action = if ignored.contains(signal) { libc::SIG_IGN } else { libc::SIG_DFL };
        // SAFETY: neither is a function. SIGKILL, SIGSTOP and the C library's own signals are refused.
        unsafe { libc::signal(signal, action) };
    }
}

/// Has the thread block exactly the signals in `blocked`.
pub(super) fn set_blocked(blocked: SignalSet) {
    // SAFETY: only reads the set that it is given.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const blocked.0, ptr::null_mut()) };
}

/// A descriptor from which the signals in `signals`, which are blocked, are read.
pub(super) fn signal_fd(signals: SignalSet) -> io::Result<OwnedFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: only reads the set that it is given.
    let raw = unsafe { libc::signalfd(-1, &raw const signals.0, flags) };
    if raw < 0 {
        return Err(last_error());
    }
    // SAFETY: `raw` was just opened and is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// One signal read from a [`signal_fd`].
pub(super) struct Arrived {
    /// Its number.
    pub signal: c_int,
    /// Whether the kernel sent it, as a terminal does.
    pub by_kernel: bool,
}

/// The next signal from a [`signal_fd`].
pub(super) fn read_signal(fd: &OwnedFd) -> Option<Arrived> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    let length = size_of::<libc::signalfd_siginfo>();
    // SAFETY: `info` has room for `length` bytes.
    let read = unsafe { libc::read(fd.as_raw_fd(), info.as_mut_ptr().cast(), length) };
    if read != length as isize {
        return None;
    }
    // SAFETY: the kernel has filled it, and any bytes are a value of it.
    let info = unsafe { info.assume_init() };
    Some(Arrived { signal: info.ssi_signo as c_int, by_kernel: info.ssi_code == libc::SI_KERNEL })
}

/// The number of a terminal's device; `None` where the descriptor is no terminal.
pub(super) fn terminal_device(fd: BorrowedFd<'_>) -> Option<u64> {
    let mut device: libc::c_uint = 0;
    // SAFETY: the call writes one number there.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGDEV, &raw mut device) };
    (result == 0).then_some(u64::from(device))
}

/// Has the foreground group of the terminal whose near end `fd` is sent a signal, as by its keys (pty(7)): SIGINT, SIGQUIT
/// or SIGTSTP.
pub(super) fn signal_foreground(fd: BorrowedFd<'_>, signal: c_int) -> io::Result<()> {
    // SAFETY: takes a number.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSIG, signal) };
    if result < 0 { Err(last_error()) } else { Ok(()) }
}

/// Marks every descriptor from 3 on to be closed when a program is executed.
pub(super) fn close_on_execute_from_3() -> io::Result<()> {
    // SAFETY: changes flags of descriptors only.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result < 0 { Err(last_error()) } else { Ok(()) }
}

/// The error of the C library's call just made.
pub(super) fn last_error() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// Moves the calling process into new namespaces of the kinds in `namespaces`.
pub(super) fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    // SAFETY: of a process with one thread; descriptors, which CLONE_FILES would unshare, are not asked for.
    unsafe { rustix::thread::unshare_unsafe(namespaces) }
}

/// Makes the mount at `path` read-only, with all mounts under it; where the path is empty, the one that `at` is.
pub(super) fn make_read_only(at: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    let attributes =
        libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let (at, flags) = (at.as_raw_fd(), libc::AT_RECURSIVE | libc::AT_EMPTY_PATH);
    let (path, length) = (path.as_ptr(), size_of_val(&attributes));
    // SAFETY: the path is a C string, and the attributes are as long as told; both are only read.
    let result =
        unsafe { libc::syscall(libc::SYS_mount_setattr, at, path, flags, &raw const attributes, length) };
    if result < 0 { Err(last_error()) } else { Ok(()) }
}
