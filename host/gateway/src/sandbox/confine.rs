//! What each of the three processes gives up before it serves anything that the command made.

use super::error::{During, LaunchError, Step};
use super::process;
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use rustix::io;
use rustix::process::DumpableBehavior;
use rustix::thread::{CapabilitySet, CapabilitySets};

/// The capabilities that a gateway of root keeps: published ports below 1024, and ICMP echo where ping sockets are
/// closed to it.
const GATEWAY_CAPABILITIES: CapabilitySet = CapabilitySet::NET_BIND_SERVICE.union(CapabilitySet::NET_RAW);

/// Takes from the gateway what it does not need: its memory cannot be read by others of its user, it gains nothing by
/// executing, and a gateway of root keeps two capabilities.
pub(super) fn confine_gateway() -> Result<(), LaunchError> {
    let step = Step::ConfineGateway;
    hide_memory(true).during(step, "its memory")?;
    rustix::thread::set_no_new_privs(true).during(step, "no_new_privs")?;
    keep_capabilities(GATEWAY_CAPABILITIES).during(step, "capabilities")
}

/// Takes from init all capabilities: what it does from now on is waiting and telling.
pub(super) fn confine_init() -> Result<(), LaunchError> {
    keep_capabilities(CapabilitySet::empty()).during(Step::ConfineInit, "capabilities")
}

/// Whether others may trace this process or read its memory.
pub(super) fn hide_memory(hidden: bool) -> rustix::io::Result<()> {
    let behavior = if hidden { DumpableBehavior::NotDumpable } else { DumpableBehavior::Dumpable };
    rustix::process::set_dumpable_behavior(behavior)
}

fn keep_capabilities(kept: CapabilitySet) -> rustix::io::Result<()> {
    let held = rustix::thread::capabilities(None)?;
    let sets = CapabilitySets {
        effective: held.effective & kept,
        permitted: held.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets)
}

/// Puts the calling process into a Landlock domain that forbids nothing but tracing, and reading the memory of,
/// processes outside of it. For where `/proc` still shows them.
pub(super) fn enter_landlock_domain() -> Result<(), LaunchError> {
    let step = Step::ConfineCommand;
    let ruleset = landlock_ruleset().during(step, "making a Landlock ruleset")?;
    // SAFETY: takes a descriptor and no flags.
    let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) };
    if result < 0 {
        return Err(process::last_error()).during(step, "entering a Landlock domain");
    }
    Ok(())
}

/// Keeps the command, and whatever it starts, from typing into its terminal (TIOCSTI, and TIOCLINUX on a console): the
/// shell that reads the terminal next would execute it outside. Linux 6.2 and later mostly forbid it themselves.
pub(super) fn refuse_terminal_input() -> Result<(), LaunchError> {
    let Some(filter) = terminal_filter() else { return Ok(()) };
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the kernel reads the program, which outlives the call, and nothing else.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, mode, 0, &raw const program) };
    if result < 0 {
        return Err(process::last_error()).during(Step::ConfineCommand, "filtering terminal input");
    }
    Ok(())
}

/// The numbers of ioctl on this machine: for each architecture that it executes (linux/audit.h), two at most.
#[cfg(target_arch = "x86_64")]
const IOCTL_NUMBERS: Option<[(u32, [u32; 2]); 2]> =
    // x86-64 with its x32 form, and i386.
    Some([(0xc000_003e, [16, 0x4000_0000 | 514]), (0x4000_0003, [54, 54])]);
#[cfg(target_arch = "aarch64")]
const IOCTL_NUMBERS: Option<[(u32, [u32; 2]); 2]> = Some([(0xc000_00b7, [29, 29]), (0x4000_0028, [54, 54])]);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const IOCTL_NUMBERS: Option<[(u32, [u32; 2]); 2]> = None;

/// The seccomp program. It looks at the number first, so that the kernel knows in advance that every other call passes.
fn terminal_filter() -> Option<Vec<libc::sock_filter>> {
    // Offsets in the kernel's `seccomp_data`.
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;
    const REQUEST: u32 = if cfg!(target_endian = "little") { 24 } else { 28 };
    let load =
        |k| libc::sock_filter { code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, jt: 0, jf: 0, k };
    let equal = |k, jt, jf| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt,
        jf,
        k,
    };
    let give = |k| libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k };
    let [(native, [one, other]), (foreign, [third, fourth])] = IOCTL_NUMBERS?;
    Some(vec![
        load(ARCHITECTURE),
        equal(native, 0, 3),
        load(NUMBER),
        equal(one, 5, 0),
        equal(other, 4, 7),
        equal(foreign, 0, 6),
        load(NUMBER),
        equal(third, 1, 0),
        equal(fourth, 0, 3),
        load(REQUEST),
        equal(libc::TIOCSTI as u32, 2, 0),
        equal(libc::TIOCLINUX as u32, 1, 0),
        give(libc::SECCOMP_RET_ALLOW),
        give(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
    ])
}

/// The smallest ruleset that makes a domain: where Landlock can (its sixth version), signals stay inside; else no
/// block devices are made, which a user namespace could not make anyway.
fn landlock_ruleset() -> io::Result<OwnedFd> {
    const SCOPE_SIGNAL: u64 = 1 << 1;
    const MAKE_BLOCK: u64 = 1 << 11;
    let create = |attributes: &[u64]| {
        // SAFETY: the kernel reads as many bytes as it is told, all of which are there.
        let raw = unsafe {
            libc::syscall(libc::SYS_landlock_create_ruleset, attributes.as_ptr(), size_of_val(attributes), 0)
        };
        let raw = i32::try_from(raw).unwrap_or(-1);
        if raw < 0 {
            return Err(process::last_error());
        }
        // SAFETY: `raw` was just opened and is nobody else's.
        Ok(unsafe { OwnedFd::from_raw_fd(raw) })
    };
    // The kernel's struct: file system rights handled, network rights handled, scopes.
    create(&[0, 0, SCOPE_SIGNAL]).or_else(|_| create(&[MAKE_BLOCK]))
}

/// The version of Landlock that the kernel has; 0 where it has none.
pub(crate) fn landlock_version() -> u32 {
    const VERSION: u32 = 1;
    // SAFETY: asks for a number; nothing is read or written.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u64>(), 0usize, VERSION) };
    u32::try_from(version).unwrap_or(0)
}
