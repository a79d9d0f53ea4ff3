//! What the command tries besides sockets with a path: everything here must fail.

use crate::harness::say;
use crate::inside::report;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

/// A process outside has no number inside; this is one that nobody has.
const NOBODY: i32 = 4_000_000;

/// Tries each of them.
pub fn run() {
    families();
    keys();
    around_seccomp();
    processes();
    shared();
    say("all tried");
}

fn call(number: libc::c_long, arguments: [usize; 6]) -> Result<i64, Errno> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: each call below is given numbers, or memory that outlives it.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    match result {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).expect("the kernel's error")),
        other => Ok(other),
    }
}

/// Families of sockets that are not of the network namespace, or that nobody needs.
fn families() {
    let families = [
        ("AF_VSOCK", libc::AF_VSOCK),
        ("AF_ALG", libc::AF_ALG),
        ("AF_BLUETOOTH", libc::AF_BLUETOOTH),
        ("AF_TIPC", libc::AF_TIPC),
        ("AF_RXRPC", libc::AF_RXRPC),
        ("AF_KCM", 41),
        ("AF_QIPCRTR", 42),
        ("AF_SMC", 43),
        ("AF_XDP", libc::AF_XDP),
        ("AF_NFC", libc::AF_NFC),
        ("AF_CAN", libc::AF_CAN),
        ("AF_PHONET", libc::AF_PHONET),
    ];
    for (name, family) in families {
        for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET, libc::SOCK_RAW] {
            let made = call(libc::SYS_socket, [family as usize, kind as usize, 0, 0, 0, 0]);
            // Where the kernel lacks the family too, this says nothing; the filter's own test says the rest.
            report(&format!("make a socket of {name} and type {kind}"), made);
        }
    }
    let raw = call(libc::SYS_socket, [libc::AF_INET as usize, libc::SOCK_RAW as usize, 255, 0, 0, 0]);
    report("make a raw socket", raw);
}

fn keys() {
    const SESSION: usize = -3isize as usize;
    const READ: usize = 11;
    let (kind, name) = (c"user", c"weft-test");
    let (kind, name) = (kind.as_ptr() as usize, name.as_ptr() as usize);
    report("add a key", call(libc::SYS_add_key, [kind, name, name, 4, SESSION, 0]));
    report("ask the host for a key", call(libc::SYS_request_key, [kind, name, name, SESSION, 0, 0]));
    let mut room = [0u8; 64];
    report(
        "read the session's keys",
        call(libc::SYS_keyctl, [READ, SESSION, room.as_mut_ptr() as usize, 64, 0, 0]),
    );
    // By number, all that a user has can be read, whoever's session holds them.
    let listed = std::fs::read_to_string("/proc/keys").unwrap_or_default();
    for serial in listed.lines().filter_map(|line| usize::from_str_radix(line.get(..8)?, 16).ok()) {
        report(
            "read a key by its number",
            call(libc::SYS_keyctl, [READ, serial, room.as_mut_ptr() as usize, 64, 0, 0]),
        );
    }
}

/// io_uring connects without a call that seccomp sees, and other architectures' calls have other numbers.
fn around_seccomp() {
    let mut parameters = [0u8; 120];
    report("make an io_uring", call(425, [8, parameters.as_mut_ptr() as usize, 0, 0, 0, 0]));
    if cfg!(target_arch = "x86_64") {
        let x32 = 0x4000_0000;
        report("call by x32", call(x32 | 41, [libc::AF_UNIX as usize, 1, 0, 0, 0, 0]));
    }
    report("listen for calls of one's own", second_listener());
}

/// Whoever could judge its own calls would let them all pass.
fn second_listener() -> Result<i64, Errno> {
    let pass = libc::sock_filter { code: 6, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW };
    let program = libc::sock_fprog { len: 1, filter: (&raw const pass).cast_mut() };
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as usize;
    call(
        libc::SYS_seccomp,
        [libc::SECCOMP_SET_MODE_FILTER as usize, flags, &raw const program as usize, 0, 0, 0],
    )
}

/// Init holds the link, the guard and a list of the host's sockets; others have no number here.
fn processes() {
    let mut byte = 0u8;
    let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let remote = libc::iovec { iov_base: 0x40_0000 as *mut _, iov_len: 1 };
    let (local, remote) = (&raw const local as usize, &raw const remote as usize);
    for (name, process) in [("init", 1usize), ("nobody", NOBODY as usize)] {
        report(
            &format!("read the memory of {name}"),
            call(libc::SYS_process_vm_readv, [process, local, 1, remote, 1, 0]),
        );
        report(
            &format!("write the memory of {name}"),
            call(libc::SYS_process_vm_writev, [process, local, 1, remote, 1, 0]),
        );
        report(
            &format!("compare files with {name}"),
            call(libc::SYS_kcmp, [process, std::process::id() as usize, 2, 0, 0, 0]),
        );
        report(&format!("measure {name}"), perf(process));
    }
    report(
        "open a process that is outside",
        rustix::process::pidfd_open(Pid::from_raw(NOBODY).expect("a number"), PidfdFlags::empty()),
    );
    let init = rustix::process::pidfd_open(Pid::INIT, PidfdFlags::empty()).expect("init is in sight");
    let flags = rustix::process::PidfdGetfdFlags::empty();
    for number in 0..32 {
        report("take a file of init's", rustix::process::pidfd_getfd(&init, number, flags));
    }
    let entered = rustix::thread::move_into_thread_name_spaces(
        rustix::fd::AsFd::as_fd(&init),
        rustix::thread::ThreadNameSpaceType::NETWORK,
    );
    report("enter init's network namespace", entered);
}

fn perf(process: usize) -> Result<i64, Errno> {
    // perf_event_attr: a software clock, of the kernel and of the process.
    let mut attributes = [0u32; 32];
    (attributes[0], attributes[1]) = (1, 128);
    call(libc::SYS_perf_event_open, [attributes.as_ptr() as usize, process, usize::MAX, usize::MAX, 0, 0])
}

/// What processes share by numbers and names rather than by files.
fn shared() {
    let key = std::env::var("WEFT_TEST_SHM").ok().and_then(|key| key.parse::<usize>().ok()).expect("a key");
    report("attach the host's shared memory", call(libc::SYS_shmget, [key, 1, 0, 0, 0, 0]));
    report(
        "open the host's message queue",
        call(libc::SYS_mq_open, [c"weft-test-queue".as_ptr() as usize, 0, 0, 0, 0, 0]),
    );
    let load = call(libc::SYS_bpf, [5, [0u8; 128].as_ptr() as usize, 128, 0, 0, 0]);
    report("load a program into the kernel", load);
}
