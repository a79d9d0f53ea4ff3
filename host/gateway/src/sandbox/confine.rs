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
