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

/// Takes from init all capabilities but those in `kept`; of its first thread, that is all: what it does from now on is
/// waiting and telling.
pub(super) fn confine_init(kept: CapabilitySet) -> Result<(), LaunchError> {
    keep_capabilities(kept).during(Step::ConfineInit, "capabilities")
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

/// Puts the calling process into a Landlock domain that forbids nothing but tracing, reading the memory of, and signalling
/// processes outside of it, and connecting to their abstract sockets: a second lock on doors that namespaces close.
///
/// An older Landlock knows no such scopes, and its smallest domain may mount nothing. It is for where `/proc` still shows
/// processes outside (`foreign_proc`).
pub(super) fn enter_landlock_domain(foreign_proc: bool) -> io::Result<()> {
    let ruleset = landlock_ruleset(foreign_proc)?;
    // SAFETY: takes a descriptor and no flags.
    let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) };
    if result < 0 { Err(process::last_error()) } else { Ok(()) }
}

/// Leaves the keys of whoever started the command: a new session keyring takes the place of the old one.
pub(super) fn leave_keys() {
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    // A kernel without keys has none to leave.
    // SAFETY: a null pointer for a name stands for a keyring without one.
    unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<u8>()) };
}

/// Whether core dumps are given to a program or a socket of the host's (core(5)), and no dump may be made then. A limit of
/// one byte is the one by which the kernel starts no such program.
pub(super) fn keep_cores_inside() -> bool {
    let pattern = std::fs::read("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let leaves = matches!(pattern.first(), Some(b'|' | b'@'));
    if leaves {
        use rustix::process::{Resource, Rlimit, setrlimit};
        // One that is already lower stays.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(1), maximum: Some(1) });
    }
    leaves
}

/// The smallest ruleset that makes a domain: where Landlock can (its sixth version), signals and abstract sockets stay
/// inside; else, where it is needed, no block devices are made, which a user namespace could not make anyway.
fn landlock_ruleset(foreign_proc: bool) -> io::Result<OwnedFd> {
    const SCOPE_ABSTRACT_SOCKETS: u64 = 1;
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
    create(&[0, 0, SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNAL])
        .or_else(|error| if foreign_proc { create(&[MAKE_BLOCK]) } else { Err(error) })
}

/// The version of Landlock that the kernel has; 0 where it has none.
pub(crate) fn landlock_version() -> u32 {
    const VERSION: u32 = 1;
    // SAFETY: asks for a number; nothing is read or written.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u64>(), 0usize, VERSION) };
    u32::try_from(version).unwrap_or(0)
}
