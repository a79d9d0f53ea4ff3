//! Control groups, out of the command's reach.
//!
//! Who owns a control group namespace may mount the groups below it (cgroup_namespaces(7)), and anybody owns those made in
//! a user namespace of theirs. The group at the top of such a mount is the one that the command was started in, and the
//! files of a group obey the user whose group it is: by it, everything outside that shares the group could be stopped or
//! killed. So none is made inside. Its number is limited by user namespace, for that one and all below it
//! (namespaces(7)): init's is the limit, the command's lies below.

use super::error::{During, LaunchError, Step};
use super::process::{self, Cloned};
use rustix::io::Errno;
use rustix::process::WaitOptions;

/// The limit of the user namespace whose process opens the file, wherever the file is mounted.
const LIMIT: &str = "/proc/sys/user/max_cgroup_namespaces";

/// Has nobody in the caller's user namespace, or in one below it, make a control group namespace from now on.
pub(super) fn close() -> Result<(), LaunchError> {
    match std::fs::write(LIMIT, "0") {
        // A run around this one has its own limit, and settings that are read-only.
        Err(_) if is_closed().during(Step::CloseGroups, "trying to make one")? => Ok(()),
        written => written.during(Step::CloseGroups, LIMIT),
    }
}

/// Whether a limit further out, or the kernel, lets none be made: found out by a process that ends at once.
fn is_closed() -> Result<bool, Errno> {
    let child = match process::clone(libc::CLONE_NEWCGROUP) {
        Ok(Cloned::Child) => process::exit(0),
        Ok(Cloned::Parent(child)) => child,
        Err(Errno::NOSPC | Errno::INVAL) => return Ok(true),
        Err(error) => return Err(error),
    };
    loop {
        match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
            Err(Errno::INTR) => {}
            other => return other.map(|_| false),
        }
    }
}
