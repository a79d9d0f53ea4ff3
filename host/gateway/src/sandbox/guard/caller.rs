//! Who called: its memory, its descriptors, and what the kernel would go by if it had gone on with the call.

use crate::sandbox::process;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, Stat};
use rustix::io::{self, Errno};
use rustix::process::{Gid, Pid, PidfdFlags, PidfdGetfdFlags, Uid};

/// PIDFD_THREAD: of a thread that is no process's first (Linux 6.9).
const THREAD: PidfdFlags = PidfdFlags::from_bits_retain(libc::O_EXCL as u32);

/// What keeps the guard from its work on this machine, if something does. It would fail every connection then.
pub(in crate::sandbox) fn obstacle(foreign_proc: bool) -> Option<&'static str> {
    let knows_threads = || rustix::process::pidfd_open(Pid::INIT, THREAD).is_ok();
    if foreign_proc && !knows_threads() {
        // A thread's process cannot be told then, by a `/proc` that counts otherwise.
        return Some("the host's /proc is in sight");
    }
    // Yama's highest: nobody looks into another's memory, whatever its capabilities (Yama.rst).
    let yama = std::fs::read("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    if yama.first() == Some(&b'3') {
        return Some("kernel.yama.ptrace_scope is 3");
    }
    let mut byte = [0];
    let own = Caller::of(Pid::INIT).and_then(|init| init.read(byte.as_ptr() as u64, &mut byte));
    own.is_err().then_some("the kernel lacks process_vm_readv")
}

/// The thread that called, while it waits.
#[derive(Debug)]
pub(super) struct Caller {
    thread: Pid,
    descriptor: OwnedFd,
}

/// Where paths start for it, and by whose rights.
#[derive(Debug)]
pub(super) struct Place {
    /// The thread's number in the `/proc` that we see.
    pub number: u32,
    /// Its root directory.
    pub root: OwnedFd,
    /// Its working directory.
    pub directory: OwnedFd,
    /// The user and group that files are opened by.
    pub files: (Uid, Gid),
    /// The user and group that a peer is told.
    pub effective: (Uid, Gid),
    /// Its other groups.
    pub groups: Vec<Gid>,
    /// Whether it has capabilities over files (CAP_DAC_OVERRIDE) in its user namespace.
    pub overrides: bool,
    /// Its user namespace.
    pub users: Identity,
    /// Its network namespace.
    pub network: Identity,
}

/// What names a file, or a namespace, as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Of a file that was looked at.
    pub fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }

    /// Of what `path` leads to.
    pub fn at(path: &str) -> io::Result<Self> {
        rustix::fs::stat(path).map(|stat| Self::of(&stat))
    }
}

impl Caller {
    /// Of the thread with this number inside.
    pub fn of(thread: Pid) -> io::Result<Self> {
        let descriptor = rustix::process::pidfd_open(thread, THREAD).or_else(|_| {
            rustix::process::pidfd_open(thread, PidfdFlags::empty())
                .or_else(|_| rustix::process::pidfd_open(leader(thread)?, PidfdFlags::empty()))
        })?;
        Ok(Self { thread, descriptor })
    }

    /// Its number inside.
    pub fn thread(&self) -> Pid {
        self.thread
    }

    /// A copy of one of its descriptors.
    pub fn descriptor(&self, number: i32) -> io::Result<OwnedFd> {
        if number < 0 {
            return Err(Errno::BADF);
        }
        rustix::process::pidfd_getfd(&self.descriptor, number, PidfdGetfdFlags::empty())
    }

    /// The descriptor of the thread itself.
    pub fn as_descriptor(&self) -> &OwnedFd {
        &self.descriptor
    }

    /// As many bytes of its memory as `bytes` has, from `address` on.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> io::Result<()> {
        let ours = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let theirs = libc::iovec { iov_base: address as *mut _, iov_len: bytes.len() };
        let thread = self.thread.as_raw_nonzero().get();
        // SAFETY: the kernel writes as many bytes as `bytes` has, into it.
        let count = unsafe { libc::process_vm_readv(thread, &raw const ours, 1, &raw const theirs, 1, 0) };
        if count == bytes.len() as isize { Ok(()) } else { Err(Errno::FAULT) }
    }

    /// Puts `bytes` into its memory at `address`.
    pub fn write(&self, address: u64, bytes: &[u8]) -> io::Result<()> {
        let ours = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let theirs = libc::iovec { iov_base: address as *mut _, iov_len: bytes.len() };
        let thread = self.thread.as_raw_nonzero().get();
        // SAFETY: the kernel reads `bytes`, and writes into the memory of another process.
        let count = unsafe { libc::process_vm_writev(thread, &raw const ours, 1, &raw const theirs, 1, 0) };
        if count == bytes.len() as isize { Ok(()) } else { Err(Errno::FAULT) }
    }

    /// Where it is. True of it if it still waits afterwards.
    pub fn place(&self) -> io::Result<Place> {
        let number = number_of(&self.descriptor).ok_or(Errno::SRCH)?;
        let open = |leaf: &str| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::openat(CWD, format!("/proc/{number}/{leaf}"), flags, Mode::empty())
        };
        let status = Status::of(number).ok_or(Errno::SRCH)?;
        Ok(Place {
            number,
            root: open("root")?,
            directory: open("cwd")?,
            files: status.ids(3).ok_or(Errno::SRCH)?,
            effective: status.ids(1).ok_or(Errno::SRCH)?,
            groups: status.list("Groups").filter_map(parsed).map(Gid::from_raw).collect(),
            overrides: status
                .list("CapEff")
                .next()
                .and_then(|word| u64::from_str_radix(word, 16).ok())
                .is_some_and(|held| held & 1 << 1 != 0),
            users: Identity::at(&format!("/proc/{number}/ns/user"))?,
            network: Identity::at(&format!("/proc/{number}/ns/net"))?,
        })
    }
}

/// `/proc/PID/status` (proc_pid_status(5)).
pub(super) struct Status(String);

impl Status {
    /// Of a process or thread.
    pub fn of(number: u32) -> Option<Self> {
        std::fs::read_to_string(format!("/proc/{number}/status")).ok().map(Self)
    }

    /// The words of a line.
    pub fn list<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.0.lines().find_map(move |line| line.strip_prefix(key)?.strip_prefix(':'));
        found.unwrap_or_default().split_ascii_whitespace()
    }

    /// One of them, as a number.
    pub fn number(&self, key: &str, index: usize) -> Option<u32> {
        self.list(key).nth(index).and_then(parsed)
    }

    /// The user and group at one place of four: real, effective, saved, of files.
    fn ids(&self, index: usize) -> Option<(Uid, Gid)> {
        let (user, group) = (self.number("Uid", index)?, self.number("Gid", index)?);
        Some((Uid::from_raw(user), Gid::from_raw(group)))
    }
}

/// A number that somebody has: the highest stands for none.
fn parsed(word: &str) -> Option<u32> {
    word.parse().ok().filter(|number| *number != u32::MAX)
}

/// The first thread of the process of which this is one, for kernels whose descriptors are of processes only.
fn leader(thread: Pid) -> io::Result<Pid> {
    let number = thread.as_raw_nonzero().get().unsigned_abs();
    let status = Status::of(number).ok_or(Errno::SRCH)?;
    // A `/proc` of the host's counts otherwise: there it is another's number.
    if status.list("NSpid").last() != Some(&number.to_string()) {
        return Err(Errno::SRCH);
    }
    let process = status.number("Tgid", 0).and_then(|number| i32::try_from(number).ok());
    process.and_then(Pid::from_raw).ok_or(Errno::SRCH)
}

/// The number that a process has in the `/proc` that we see (pidfd_open(2): the `Pid:` of its fdinfo).
pub(super) fn number_of(descriptor: &OwnedFd) -> Option<u32> {
    let path = format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd());
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok())
}

/// Connects `socket` to an address as the kernel takes it.
pub(super) fn connect(socket: impl AsFd, address: &[u8]) -> io::Result<()> {
    let number = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel reads as many bytes as there are.
    let result = unsafe { libc::connect(number, address.as_ptr().cast(), address.len() as libc::socklen_t) };
    if result < 0 { Err(process::last_error()) } else { Ok(()) }
}
