//! What the command sees of the file system that is not the host's own: its `/proc`, its network's `/sys`, and the
//! files that say who resolves names. All of it is mounted in the sandbox's own mount namespace.

use super::error::{During, LaunchError, Step, Warning};
use super::unix_rules::UnixRules;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{Access, CWD, Mode, OFlags};
use rustix::io::{self, Errno};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

mod elsewhere;
mod files;
mod hidden;

pub(super) use hidden::{cover, enter_again, expect_outside, hide, make_read_only};

/// The file in the tree that takes the place of a socket: nobody can open it, and none can connect to it.
const EMPTY: &str = "empty";
/// The directory in the tree that holds the files of `/etc`.
const LAYER: &str = "etc";

/// Sockets of the host's services that resolve names: a name that is not allowed must not reach a resolver by them
/// either.
const HIDDEN: [&str; 5] = [
    "/run/nscd/socket",
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/systemd/resolve/io.systemd.Resolve.Monitor",
    "/run/avahi-daemon/socket",
    "/run/dbus/system_bus_socket",
];

/// Kernel settings that belong to the whole machine, or hand out its devices: uid 0 inside is uid 0 for them.
const PROTECTED: [&str; 7] =
    ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/acpi", "/proc/scsi"];

const NO_DEVICES: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Mounts a `/proc` of the new PID namespace. A container whose own `/proc` is partly covered may not; the old one
/// then stays.
pub(super) fn mount_proc() -> Result<(), LaunchError> {
    new_mount("proc", &[], NO_DEVICES)
        .and_then(|proc| move_to(&proc, "/proc"))
        .during(Step::MountProc, "/proc")
}

/// Keeps the kernel's settings from a command that runs as `root`, and shows the new network namespace's devices.
pub(super) fn protect(root: bool, warn: &dyn Fn(Warning)) -> Result<(), LaunchError> {
    if root {
        for path in PROTECTED {
            protect_path(path).during(Step::ProtectProc, path)?;
        }
    }
    match elsewhere::protect() {
        Err(error) if root => return Err(error),
        other => other.unwrap_or_else(warn),
    }
    match mount_sys() {
        Ok(()) => Ok(()),
        // Root could reach the gateway by it. Where nothing is mounted there, there is nothing to reach.
        Err(error) if root && error != Errno::NOENT && error != Errno::INVAL => {
            Err(error).during(Step::MountSys, "/sys")
        }
        Err(error) => {
            warn(LaunchError::new(Step::MountSys, "/sys", error));
            Ok(())
        }
    }
}

fn protect_path(path: &str) -> io::Result<()> {
    match rustix::mount::mount_bind(path, path) {
        // Not every kernel has each of them.
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    }
    let flags =
        MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount_remount(path, flags, "")
}

/// Mounts a `/sys` that shows the new network namespace's interfaces, and makes it read-only with the control groups
/// under it: by those, a user whose groups they are could stop or kill the gateway.
fn mount_sys() -> io::Result<()> {
    const GROUPS: &str = "/sys/fs/cgroup";
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let groups = rustix::mount::open_tree(CWD, GROUPS, flags).ok();
    match new_mount("sysfs", &[], NO_DEVICES) {
        Ok(sys) => {
            move_to(&sys, "/sys")?;
            if let Some(groups) = groups {
                move_to(&groups, GROUPS)?;
            }
        }
        // A container whose `/sys` is partly covered may not; the old one stays, with the host's interfaces.
        Err(Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    super::process::make_read_only(CWD, c"/sys")
}

/// Mounts the files of `/etc` that say who resolves names, and hides the host's own name services but those that a rule
/// opens. `patient` where a person answers questions.
pub(super) fn mount_files(
    (ipv6, patient): (bool, bool),
    opened: &UnixRules,
    warn: &dyn Fn(Warning),
) -> Result<(), LaunchError> {
    let step = Step::MountFiles;
    let tree = new_mount("tmpfs", &[("size", "1m"), ("nr_inodes", "64"), ("mode", "0755")], NO_DEVICES)
        .during(step, "a file system for them")?;
    let files = files::resolver_files(ipv6, patient);
    let etc = write_tree(&tree, &files).during(step, "writing them")?;
    let hidden: Vec<&str> =
        HIDDEN.into_iter().filter(|path| exists(path) && !opened.mentions(path)).collect();
    let targets: Vec<String> = files.iter().map(|file| format!("/etc/{}", file.name)).collect();
    let whole = targets.iter().all(|target| exists(target));
    let below = rustix::fs::open("/etc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .during(step, "/etc")?;
    // Parts of a file system can be mounted elsewhere only while the whole is mounted somewhere.
    move_to(&tree, "/etc").during(step, "/etc")?;
    let parts: Vec<_> = files.iter().map(|file| part(&etc, file.name)).collect();
    let covers: Vec<_> = hidden.iter().map(|_| part(&tree, EMPTY)).collect();
    let layers = if whole { None } else { Some(layered_etc(&below)) };
    rustix::mount::unmount("/etc", UnmountFlags::DETACH).during(step, "/etc")?;
    match layers {
        Some(layers) => layers
            .and_then(|layers| move_to(&layers, "/etc"))
            .during(step, "/etc, where one of them is missing")
            .unwrap_or_else(warn),
        None => {
            for (part, target) in parts.into_iter().zip(&targets) {
                part.and_then(|part| move_to(&part, target)).during(step, target).unwrap_or_else(warn);
            }
        }
    }
    for (cover, target) in covers.into_iter().zip(hidden) {
        cover
            .and_then(|cover| move_to(&cover, target))
            .during(Step::HideServices, target)
            .unwrap_or_else(warn);
    }
    Ok(())
}

/// Writes the resolver files into a directory of the tree, which it returns, and an empty one beside it.
fn write_tree(tree: &OwnedFd, files: &[files::File]) -> io::Result<OwnedFd> {
    write_file(tree, EMPTY, "", 0)?;
    rustix::fs::mkdirat(tree, LAYER, Mode::RWXU)?;
    let etc = rustix::fs::openat(tree, LAYER, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::fs::fchmod(&etc, Mode::from_raw_mode(0o755))?;
    files.iter().try_for_each(|file| write_file(&etc, file.name, &file.text, 0o644))?;
    Ok(etc)
}

/// A mount of one file of a file system that is mounted somewhere.
fn part(directory: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(directory, name, flags)
}

/// The directory of resolver files laid over the host's `/etc`, for where one of them is missing there, so that none
/// can be mounted on it. `/etc` as a whole is then read-only.
fn layered_etc(below: &OwnedFd) -> io::Result<OwnedFd> {
    let layers = format!("/etc/{LAYER}:/proc/self/fd/{}", below.as_raw_fd());
    new_mount("overlay", &[("lowerdir", &layers)], MountAttrFlags::empty())
}

fn exists(path: &str) -> bool {
    rustix::fs::access(path, Access::EXISTS).is_ok()
}

fn write_file(tree: &OwnedFd, name: &str, text: &str, mode: u32) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::openat(tree, name, flags, Mode::RUSR)?;
    // The umask is the command's own.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let length = io::write(&file, rest)?;
        rest = &rest[length..];
    }
    Ok(())
}

/// A new file system, mounted nowhere yet.
fn new_mount(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        rustix::mount::fsconfig_set_string(context.as_fd(), *key, *value)?;
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Mounts `mount` on `target`, following symbolic links.
fn move_to(mount: &OwnedFd, target: &str) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    rustix::mount::move_mount(mount.as_fd(), "", CWD, target, flags)
}
