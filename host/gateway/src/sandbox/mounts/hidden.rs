//! Directories and files of the gateway's own, out of the command's sight: its record of what the command did.
//!
//! A path can be seen at several places, wherever a mount shows it or a part of it. And root reads and writes disks
//! without asking their file systems: it is the owner of their devices, inside as outside.

use super::{LaunchError, Step, new_mount};
use crate::sandbox::error::During;
use crate::sandbox::process;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatVfsMountFlags};
use rustix::io;
use rustix::mount::{MountAttrFlags, MoveMountFlags, OpenTreeFlags};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// One line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// The file system's kind.
    pub kind: String,
    /// Its device.
    device: String,
    /// Which part of the file system it shows.
    root: PathBuf,
    /// Where.
    pub point: PathBuf,
}

/// Covers directories and files, wherever they can be seen, and for `root` the disks that they may lie on.
pub(in crate::sandbox) fn hide(paths: &[PathBuf], root: bool) -> Result<(), LaunchError> {
    if paths.is_empty() {
        return Ok(());
    }
    paths.iter().try_for_each(|path| cover(path, Step::HideDirectories))?;
    if root { hide_disks() } else { Ok(()) }
}

/// Refuses a working directory and standard streams by which the command would get around what is mounted: they lead into
/// what was there before.
pub(in crate::sandbox) fn expect_outside(
    hidden: &[PathBuf],
    read_only: &[PathBuf],
) -> Result<(), LaunchError> {
    let here = rustix::fs::open(".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let here = here.during(Step::HideDirectories, "the working directory")?;
    let (stdin, stdout, stderr) = (rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr());
    let streams = [(stdin, "standard input"), (stdout, "standard output"), (stderr, "standard error")];
    // Where it is only read-only, it is entered again.
    let here = [(here.as_fd(), "the working directory")];
    for (paths, step, handles) in [
        (hidden, Step::HideDirectories, [&here[..], &streams].concat()),
        (read_only, Step::GuardDirectories, streams.to_vec()),
    ] {
        let places = identities(paths, step)?;
        if let Some((_, name)) = handles.iter().find(|(handle, _)| lies_in(*handle, &places)) {
            return Err(LaunchError::new(step, format!("{name} lies in it"), io::Errno::BUSY));
        }
    }
    Ok(())
}

/// Enters the working directory anew, by its path, so that it has what is mounted there by now.
pub(in crate::sandbox) fn enter_again(
    here: io::Result<CString>,
    read_only: &[PathBuf],
) -> Result<(), LaunchError> {
    let step = Step::GuardDirectories;
    let entered = here.and_then(rustix::process::chdir);
    // One that cannot be reached by a path, or has none any more, is as it was, if nothing was mounted over it.
    match entered {
        Err(error) if lies_in(CWD, &identities(read_only, step)?) => {
            Err(error).during(step, "entering the working directory again")
        }
        _ => Ok(()),
    }
}

/// Device and inode of paths, wherever they can be seen.
fn identities(paths: &[PathBuf], step: Step) -> Result<Vec<(u64, u64)>, LaunchError> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let table = std::fs::read("/proc/self/mountinfo").during(step, "/proc/self/mountinfo")?;
    let mounts = parse(&table);
    let mut found = Vec::new();
    for path in paths {
        let whole = std::fs::canonicalize(path).during(step, &path.to_string_lossy())?;
        let places = places(&mounts, &whole);
        found.extend(
            places.iter().filter_map(|place| std::fs::metadata(place).ok()).map(|it| (it.dev(), it.ino())),
        );
    }
    Ok(found)
}

/// Whether a directory is one of these, or lies in one. Above one that may not be searched, none is looked for.
fn lies_in(directory: BorrowedFd<'_>, places: &[(u64, u64)]) -> bool {
    let up = |from: BorrowedFd<'_>| {
        rustix::fs::openat(from, "..", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    };
    let identity = |of: BorrowedFd<'_>| {
        let about = rustix::fs::statat(of, "", AtFlags::EMPTY_PATH).ok()?;
        Some((about.st_dev, about.st_ino))
    };
    let (mut last, mut above) = (identity(directory), up(directory));
    loop {
        if last.is_some_and(|last| places.contains(&last)) {
            return true;
        }
        let Ok(next) = above else { return false };
        let identity = identity(next.as_fd());
        if identity == last {
            return false;
        }
        (last, above) = (identity, up(next.as_fd()));
    }
}

/// Covers a directory, a file or a device, wherever it can be seen.
pub(in crate::sandbox) fn cover(path: &Path, step: Step) -> Result<(), LaunchError> {
    let table = std::fs::read("/proc/self/mountinfo").during(step, "/proc/self/mountinfo")?;
    let mounts = parse(&table);
    let name = path.to_string_lossy();
    let whole = std::fs::canonicalize(path).during(step, &name)?;
    let is_directory = whole.is_dir();
    let device = device_of(&whole);
    let targets = places(&mounts, &whole).into_iter().map(|place| open(&place));
    // All of them are found before the first is covered, and others with it.
    let targets: Vec<OwnedFd> = targets.filter_map(Result::ok).collect();
    let cover = if is_directory { cover_directory } else { cover_file };
    targets.iter().try_for_each(cover).during(step, &name)?;
    // What is there now is empty, and cannot be written.
    let is_left = match is_directory {
        true => std::fs::read_dir(&whole).is_ok_and(|entries| entries.count() > 0),
        false => std::fs::metadata(&whole).is_ok_and(|found| found.is_file()) || device == device_of(&whole),
    };
    if targets.is_empty() || is_left {
        return Err(io::Errno::NOENT).during(step, &name);
    }
    Ok(())
}

/// What tells a file from the device that covers it.
fn device_of(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.rdev()))
}

/// Makes directories read-only, wherever they can be seen, with what is mounted in them.
pub(in crate::sandbox) fn make_read_only(paths: &[PathBuf], root: bool) -> Result<(), LaunchError> {
    let step = Step::GuardDirectories;
    if paths.is_empty() {
        return Ok(());
    }
    let table = std::fs::read("/proc/self/mountinfo").during(step, "/proc/self/mountinfo")?;
    let mounts = parse(&table);
    for path in paths {
        let name = path.to_string_lossy();
        let whole = std::fs::canonicalize(path).during(step, &name)?;
        let targets = places(&mounts, &whole).into_iter().map(|place| open(&place));
        let targets: Vec<OwnedFd> = targets.filter_map(Result::ok).collect();
        targets.iter().try_for_each(cover_with_itself).during(step, &name)?;
        let system = rustix::fs::statvfs(&whole).during(step, &name)?;
        if targets.is_empty() || !system.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(io::Errno::NOENT).during(step, &name);
        }
    }
    if root { hide_disks() } else { Ok(()) }
}

fn cover_with_itself(target: &OwnedFd) -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let itself = rustix::mount::open_tree(target, "", flags)?;
    process::make_read_only(itself.as_fd(), c"")?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(itself.as_fd(), "", target.as_fd(), "", flags)
}

fn open(place: &Path) -> io::Result<OwnedFd> {
    rustix::fs::open(place, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

fn cover_directory(target: &OwnedFd) -> io::Result<()> {
    let options = [("size", "4k"), ("nr_inodes", "2"), ("mode", "0000")];
    let empty = new_mount("tmpfs", &options, MountAttrFlags::MOUNT_ATTR_RDONLY | super::NO_DEVICES)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(empty.as_fd(), "", target.as_fd(), "", flags)
}

fn cover_file(target: &OwnedFd) -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let nothing = rustix::mount::open_tree(CWD, "/dev/null", flags)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(nothing.as_fd(), "", target.as_fd(), "", flags)
}

/// Puts an empty file in the place of each disk's device, and of the devices that speak to disks directly (sg(4)).
fn hide_disks() -> Result<(), LaunchError> {
    let step = Step::HideDirectories;
    for directory in ["/dev", "/dev/mapper", "/dev/bsg"] {
        let Ok(entries) = std::fs::read_dir(directory) else { continue };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let name = entry.file_name();
            let is_raw = directory == "/dev/bsg" || name.as_encoded_bytes().starts_with(b"sg");
            if kind.is_block_device() || (kind.is_char_device() && is_raw) {
                let path = entry.path();
                rustix::mount::mount_bind("/dev/null", &path).during(step, &path.to_string_lossy())?;
            }
        }
    }
    Ok(())
}

/// Where a directory, or a part of it, can be seen: `whole` is its path without symbolic links.
fn places(mounts: &[Mount], whole: &Path) -> Vec<PathBuf> {
    // Of several at one place the last is on top.
    let shown = mounts.iter().filter(|mount| whole.starts_with(&mount.point));
    let Some(mount) = shown.max_by_key(|mount| mount.point.as_os_str().len()) else { return Vec::new() };
    let Ok(below) = whole.strip_prefix(&mount.point) else { return Vec::new() };
    let inner = if below.as_os_str().is_empty() { mount.root.clone() } else { mount.root.join(below) };
    let of_same = mounts.iter().filter(|other| other.device == mount.device);
    let seen = of_same.filter_map(|other| match inner.strip_prefix(&other.root) {
        Ok(rest) if rest.as_os_str().is_empty() => Some(other.point.clone()),
        Ok(rest) => Some(other.point.join(rest)),
        Err(_) => other.root.starts_with(&inner).then(|| other.point.clone()),
    });
    seen.collect()
}

pub(super) fn parse(table: &[u8]) -> Vec<Mount> {
    let lines = table.split(|byte| *byte == b'\n');
    let mounts = lines.filter_map(|line| {
        let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
        // A lone dash ends the fields of which there may be any number.
        let kind = line.split(|byte| *byte == b' ').skip_while(|word| *word != b"-").nth(1)?;
        let mut words = line.split(|byte| *byte == b' ').skip(2);
        Some(Mount {
            kind: text(kind),
            device: text(words.next()?),
            root: unescaped(words.next()?),
            point: unescaped(words.next()?),
        })
    });
    mounts.collect()
}

/// A path as the table has it: space, tab, newline and backslash are three octal digits after a backslash.
fn unescaped(word: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = word;
    while let Some((first, more)) = rest.split_first() {
        let digits =
            more.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(|d| (b'0'..b'8').contains(d)));
        match digits {
            Some(digits) => {
                bytes.push(digits.iter().fold(0u8, |byte, digit| byte.wrapping_mul(8) + (digit - b'0')));
                rest = &more[3..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_found_wherever_a_mount_shows_it() {
        let table = b"22 1 252:0 / / rw - ext4 /dev/vda rw\n\
            23 22 0:21 / /proc rw - proc proc rw\n\
            24 22 252:0 / /mnt/all\\040of\\040it rw - ext4 /dev/vda rw\n\
            25 22 252:0 /var/lib /srv rw - ext4 /dev/vda rw\n\
            26 22 252:0 /var/lib/weft/ledger/tile /tiles rw - ext4 /dev/vda rw\n\
            27 22 252:1 / /other rw - ext4 /dev/vdb rw\n\
            28 22 252:0 /home /elsewhere rw - ext4 /dev/vda rw\n";
        let mounts = parse(table);
        assert_eq!(mounts.len(), 7);
        assert_eq!((mounts[0].kind.as_str(), mounts[1].kind.as_str()), ("ext4", "proc"));
        let found = places(&mounts, Path::new("/var/lib/weft/ledger"));
        let expected =
            ["/var/lib/weft/ledger", "/mnt/all of it/var/lib/weft/ledger", "/srv/weft/ledger", "/tiles"];
        assert_eq!(found, expected.map(PathBuf::from));
        assert_eq!(places(&mounts, Path::new("/other/x")), [PathBuf::from("/other/x")]);
        assert_eq!(
            places(&mounts, Path::new("/srv/weft")),
            ["/var/lib/weft", "/mnt/all of it/var/lib/weft", "/srv/weft", "/tiles"].map(PathBuf::from)
        );
    }
}
