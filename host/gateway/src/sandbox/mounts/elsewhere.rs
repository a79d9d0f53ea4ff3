//! File systems of the kernel's own that are mounted at other places than the usual: as in a directory that is somebody's
//! root (chroot(2)). What they show is the same machine.

use super::hidden::{Mount, parse};
use super::{LaunchError, NO_DEVICES, Step, move_to, new_mount};
use crate::sandbox::error::During;
use crate::sandbox::process;
use rustix::fs::CWD;
use rustix::io::{self, Errno};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

/// By their files, processes are stopped or killed, and the kernel's settings changed.
const SETTINGS: [&str; 10] = [
    "cgroup",
    "cgroup2",
    "proc",
    "sysfs",
    "debugfs",
    "tracefs",
    "securityfs",
    "configfs",
    "efivarfs",
    "binfmt_misc",
];

/// Whose files are the message queues of another IPC namespace, open to whoever opens the file (mq_overview(7)).
const QUEUES: &str = "mqueue";

/// Makes those with settings read-only, and puts the new IPC namespace's queues in the place of the host's.
pub(super) fn protect() -> Result<(), LaunchError> {
    let step = Step::ProtectProc;
    let table = std::fs::read("/proc/self/mountinfo").during(step, "/proc/self/mountinfo")?;
    for mount in parse(&table) {
        let done = match mount.kind.as_str() {
            // The usual places have their own.
            _ if mount.point.starts_with("/proc") || mount.point.starts_with("/sys") => Ok(()),
            QUEUES => replace_queues(&mount),
            kind if SETTINGS.contains(&kind) => make_read_only(&mount),
            _ => Ok(()),
        };
        match done {
            // Another mount lies over it, or it cannot be reached from here.
            Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => {}
            other => other.during(step, &mount.point.to_string_lossy())?,
        }
    }
    Ok(())
}

fn make_read_only(mount: &Mount) -> io::Result<()> {
    let point = CString::new(mount.point.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
    process::make_read_only(CWD, &point)
}

fn replace_queues(mount: &Mount) -> io::Result<()> {
    let queues = new_mount(QUEUES, &[], NO_DEVICES)?;
    move_to(&queues, mount.point.to_str().ok_or(Errno::INVAL)?)
}
