//! The seccomp program that binds the command, and whatever it starts.
//!
//! A program for seccomp sees the numbers that a call is given, and no memory: not to which address a socket is to be
//! connected. What it can see decides which calls pass, fail, or wait until the [`guard`](super::guard) has judged them:
//!
//! | call | what becomes of it |
//! |---|---|
//! | connect | judged: the family stands in memory |
//! | listen | judged: it is no more than a number here which socket that is |
//! | socket and socketpair for Unix datagrams | judged: each datagram could name another path |
//! | socket for IPv4's and IPv6's datagrams | made by init, once the gateway has looked who gets it |
//! | socket of families that lead around the network namespace, or that nobody needs | fails |
//! | io_uring | fails: it connects without a system call |
//! | clone3 | does not exist: in memory it may name a control group to start in; clone does the rest |
//! | keys (keyctl(2)) | fail: they are the host's, and asking for one has the host's programs resolve names |
//! | ioctl that types into a terminal | fails: the shell that reads it next would execute it |
//! | prlimit of init, which judges | fails |
//! | prctl that names another file as the one that a process executes | fails: it would be told as that |
//! | raising the limit of core dumps, where a program of the host's would take them | does nothing |
//!
//! Everything else passes, and the kernel knows so from the number alone: sending and receiving cost nothing more.

use rustix::fd::{FromRawFd, OwnedFd};
use rustix::io::{self, Errno};

/// What the program is to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Unix sockets are judged.
    pub judged: bool,
    /// Core dumps would be given to a program of the host's, and stay off.
    pub no_cores: bool,
}

/// How long an address is that changes something: a family alone ends a connection (connect(2)), and none is longer than
/// `sockaddr_storage`.
pub(super) const ADDRESS_BYTES: std::ops::RangeInclusive<u32> = 2..=128;

/// The families that a command may have: Unix, IPv4, IPv6, netlink, packet. The last is of use only in a network
/// namespace of its own. AF_VSOCK reaches the hypervisor from any namespace.
const FAMILIES: [i32; 5] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_PACKET];

/// Numbers of one architecture's calls (linux/audit.h, asm/unistd.h).
pub(super) struct Numbers {
    /// AUDIT_ARCH_*.
    pub architecture: u32,
    /// connect(2).
    pub connect: u32,
    /// listen(2).
    pub listen: u32,
    /// socket(2).
    pub socket: u32,
    /// socketpair(2).
    pub socketpair: u32,
    ioctl: u32,
    keys: [u32; 3],
    setrlimit: u32,
    prlimit: u32,
    prctl: u32,
    /// The old call for all of the above, whose arguments are in memory.
    socketcall: Option<u32>,
}

/// io_uring_setup, io_uring_enter, io_uring_register: the same everywhere.
const IO_URING: [u32; 3] = [425, 426, 427];
/// clone3: the same everywhere.
const CLONE3: u32 = 435;
/// The number of init inside.
const INIT: u32 = 1;
/// The bit of x32's numbers: a second table of calls under the same architecture.
const X32: u32 = 0x4000_0000;

/// The architectures that this machine executes.
#[cfg(target_arch = "x86_64")]
pub(super) const ARCHITECTURES: &[Numbers] = &[
    Numbers {
        architecture: 0xc000_003e,
        connect: 42,
        listen: 50,
        socket: 41,
        socketpair: 53,
        ioctl: 16,
        keys: [248, 249, 250],
        setrlimit: 160,
        prlimit: 302,
        prctl: 157,
        socketcall: None,
    },
    Numbers {
        architecture: 0x4000_0003,
        connect: 362,
        listen: 363,
        socket: 359,
        socketpair: 360,
        ioctl: 54,
        keys: [286, 287, 288],
        setrlimit: 75,
        prlimit: 340,
        prctl: 172,
        socketcall: Some(102),
    },
];
/// The architectures that this machine executes.
#[cfg(target_arch = "aarch64")]
pub(super) const ARCHITECTURES: &[Numbers] = &[
    Numbers {
        architecture: 0xc000_00b7,
        connect: 203,
        listen: 201,
        socket: 198,
        socketpair: 199,
        ioctl: 29,
        keys: [217, 218, 219],
        setrlimit: 164,
        prlimit: 261,
        prctl: 167,
        socketcall: None,
    },
    Numbers {
        architecture: 0x4000_0028,
        connect: 283,
        listen: 284,
        socket: 281,
        socketpair: 288,
        ioctl: 54,
        keys: [309, 310, 311],
        setrlimit: 75,
        prlimit: 369,
        prctl: 172,
        socketcall: Some(102),
    },
];
/// The architectures that this machine executes; none is known here.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) const ARCHITECTURES: &[Numbers] = &[];

/// Binds the calling process for good. Where calls are judged, the descriptor from which they are read.
///
/// # Errors
///
/// EBUSY where a run around this one judges already: the rest is bound then. Else where the kernel cannot.
pub(super) fn install(wanted: Wanted) -> io::Result<Option<OwnedFd>> {
    if ARCHITECTURES.is_empty() {
        return Err(Errno::NOSYS);
    }
    // Without it, kernels before 5.16 slow the whole process down.
    let plain = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    if !wanted.judged {
        return load(&program(wanted), plain).map(|_| None);
    }
    let judging = plain | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // A signal must not make a program call again what has been done for it; Linux 5.19 and later.
    let killable = judging | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let loaded = load(&program(wanted), killable).or_else(|error| match error {
        Errno::INVAL => load(&program(wanted), judging),
        error => Err(error),
    });
    match loaded {
        // SAFETY: the kernel has just opened it for us, and nothing else owns it.
        Ok(raw) => Ok(Some(unsafe { OwnedFd::from_raw_fd(raw) })),
        Err(error) => {
            load(&program(Wanted { judged: false, ..wanted }), plain)?;
            Err(error)
        }
    }
}

fn load(program: &[libc::sock_filter], flags: libc::c_ulong) -> io::Result<i32> {
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the kernel reads the program, which outlives the call, and nothing else.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
    i32::try_from(result).ok().filter(|result| *result >= 0).ok_or_else(super::process::last_error)
}

/// One section for each architecture; what belongs to none of them does not exist.
fn program(wanted: Wanted) -> Vec<libc::sock_filter> {
    let mut program = vec![load_word(ARCHITECTURE)];
    for numbers in ARCHITECTURES {
        on(&mut program, numbers.architecture, &section(numbers, wanted));
    }
    program.push(fail(Errno::NOSYS));
    program
}

fn section(numbers: &Numbers, wanted: Wanted) -> Vec<libc::sock_filter> {
    let mut code = vec![load_word(NUMBER)];
    if cfg!(target_arch = "x86_64") && numbers.socketcall.is_none() {
        code.extend([jump(libc::BPF_JGE, X32, 0, 1), fail(Errno::NOSYS)]);
    }
    if wanted.judged {
        on(&mut code, numbers.connect, &connect());
        on(&mut code, numbers.listen, &[give(libc::SECCOMP_RET_USER_NOTIF)]);
        on(&mut code, numbers.socketpair, &datagrams());
    }
    on(&mut code, numbers.socket, &socket(wanted));
    on(&mut code, numbers.ioctl, &ioctl());
    let absent = numbers.keys.into_iter().chain(IO_URING).chain([CLONE3]).chain(numbers.socketcall);
    absent.for_each(|number| on(&mut code, number, &[fail(Errno::NOSYS)]));
    on(&mut code, numbers.prctl, &prctl());
    if wanted.no_cores {
        on(&mut code, numbers.setrlimit, &set_core_limit(0, &[give(libc::SECCOMP_RET_ERRNO)]));
    }
    on(&mut code, numbers.prlimit, &prlimit(wanted));
    code.push(give(libc::SECCOMP_RET_ALLOW));
    code
}

fn connect() -> Vec<libc::sock_filter> {
    vec![
        load_word(argument(2)),
        jump(libc::BPF_JGE, *ADDRESS_BYTES.start(), 0, 2),
        jump(libc::BPF_JGT, *ADDRESS_BYTES.end(), 1, 0),
        give(libc::SECCOMP_RET_USER_NOTIF),
        give(libc::SECCOMP_RET_ALLOW),
    ]
}

fn socket(wanted: Wanted) -> Vec<libc::sock_filter> {
    let mut code = vec![load_word(argument(0))];
    if wanted.judged {
        on(&mut code, libc::AF_UNIX as u32, &type_of(&[libc::SOCK_DGRAM, libc::SOCK_RAW]));
        let internet = [libc::AF_INET, libc::AF_INET6];
        internet.into_iter().for_each(|family| on(&mut code, family as u32, &type_of(&[libc::SOCK_DGRAM])));
    }
    FAMILIES.into_iter().for_each(|family| on(&mut code, family as u32, &[give(libc::SECCOMP_RET_ALLOW)]));
    code.push(fail(Errno::AFNOSUPPORT));
    code
}

fn datagrams() -> Vec<libc::sock_filter> {
    let mut code = vec![load_word(argument(0))];
    on(&mut code, libc::AF_UNIX as u32, &type_of(&[libc::SOCK_DGRAM, libc::SOCK_RAW]));
    code.push(give(libc::SECCOMP_RET_ALLOW));
    code
}

/// Judges sockets of these types. The flags are above the lowest four bits. SOCK_RAW is the same as SOCK_DGRAM for Unix
/// sockets; for others it needs a capability that nobody has inside.
fn type_of(judged: &[i32]) -> Vec<libc::sock_filter> {
    let mut code = vec![load_word(argument(1)), statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0xf)];
    judged.iter().for_each(|kind| on(&mut code, *kind as u32, &[give(libc::SECCOMP_RET_USER_NOTIF)]));
    code.push(give(libc::SECCOMP_RET_ALLOW));
    code
}

fn ioctl() -> Vec<libc::sock_filter> {
    let mut code = vec![load_word(argument(1))];
    [libc::TIOCSTI, libc::TIOCLINUX]
        .into_iter()
        .for_each(|request| on(&mut code, request as u32, &[fail(Errno::PERM)]));
    code.push(give(libc::SECCOMP_RET_ALLOW));
    code
}

/// A process names another file as the one that it executes, with nothing but a user namespace of its own.
fn prctl() -> Vec<libc::sock_filter> {
    let mut code = vec![load_word(argument(0))];
    on(&mut code, libc::PR_SET_MM as u32, &[fail(Errno::PERM)]);
    code.push(give(libc::SECCOMP_RET_ALLOW));
    code
}

/// Limits of init are no business of the command's.
fn prlimit(wanted: Wanted) -> Vec<libc::sock_filter> {
    let mut code = vec![load_word(argument(0))];
    on(&mut code, INIT, &[fail(Errno::PERM)]);
    match wanted.no_cores {
        true => code.extend(set_core_limit(1, &change_of_limit())),
        false => code.push(give(libc::SECCOMP_RET_ALLOW)),
    }
    code
}

/// `change` where the resource, which is the argument at `index`, is the size of core dumps.
fn set_core_limit(index: u32, change: &[libc::sock_filter]) -> Vec<libc::sock_filter> {
    let mut code = vec![load_word(argument(index))];
    on(&mut code, libc::RLIMIT_CORE, change);
    code.push(give(libc::SECCOMP_RET_ALLOW));
    code
}

/// prlimit(2) changes a limit where its third argument is no null pointer. It seems to succeed, unless the old one is
/// asked for too, which nobody would fill in.
fn change_of_limit() -> Vec<libc::sock_filter> {
    vec![
        load_word(argument(2)),
        jump(libc::BPF_JEQ, 0, 0, 2),
        load_word(argument(2) + 4),
        jump(libc::BPF_JEQ, 0, 3, 0),
        load_word(argument(3)),
        jump(libc::BPF_JEQ, 0, 0, 2),
        give(libc::SECCOMP_RET_ERRNO),
        give(libc::SECCOMP_RET_ALLOW),
        fail(Errno::PERM),
    ]
}

// Offsets in the kernel's `seccomp_data`. Both architectures above are little-endian.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// The lower half of an argument, which is all of an `int`.
fn argument(index: u32) -> u32 {
    16 + 8 * index
}

/// Appends `then` for where the loaded word is `value`. It ends by giving a verdict.
fn on(code: &mut Vec<libc::sock_filter>, value: u32, then: &[libc::sock_filter]) {
    code.push(jump(libc::BPF_JEQ, value, 0, then.len() as u8));
    code.extend_from_slice(then);
}

fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn load_word(offset: u32) -> libc::sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

fn jump(test: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: (libc::BPF_JMP | test | libc::BPF_K) as u16, jt, jf, k }
}

fn give(verdict: u32) -> libc::sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, verdict)
}

fn fail(error: Errno) -> libc::sock_filter {
    give(libc::SECCOMP_RET_ERRNO | error.raw_os_error() as u32)
}

#[cfg(test)]
mod tests;
