//! Whether a socket's file was made inside: whether a socket that is bound to it is of the caller's network namespace,
//! and held by a process of the sandbox.
//!
//! The kernel's tables name a socket by the path that it was given once, and the file's number is in them by its lower
//! half only. So the socket itself is borrowed from whoever holds it, and asked for its file (SIOCUNIXFILE). A file is
//! bound to one socket for good: what is true of it now stays true.

use super::caller::{Identity, Status, number_of};
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use rustix::fs::FileType;
use rustix::io::{self, Errno};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags};
use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// How many processes are looked at for one socket.
const PROCESSES_MAX: usize = 4_096;
/// How many descriptors are looked at for one socket, in all processes together. Each costs about 1 µs.
const DESCRIPTORS_MAX: usize = 65_536;
/// How many holders are tried first.
const RECENT_MAX: usize = 16;
/// How much of a table of sockets is read, in bytes: about 50,000 of them.
const TABLE_BYTES_MAX: u64 = 4 << 20;
/// __SO_ACCEPTCON: a socket listens, in the tables.
const LISTENS: u32 = 1 << 16;

/// A descriptor of a process inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    process: Pid,
    descriptor: i32,
}

/// Who holds listening sockets inside.
#[derive(Debug)]
pub(super) struct Holders {
    /// How deep our PID namespace lies below the one that `/proc` shows; 0 where it is the same.
    depth: usize,
    /// Where sockets were found lately, the latest first.
    recent: Mutex<VecDeque<Place>>,
}

impl Holders {
    /// None found yet.
    pub fn new() -> io::Result<Self> {
        let status = Status::of(std::process::id()).or_else(|| {
            let own = rustix::fs::readlink("/proc/self", Vec::new()).ok()?;
            Status::of(own.to_str().ok()?.parse().ok()?)
        });
        let depth = status.ok_or(Errno::NOENT)?.list("NSpid").count().saturating_sub(1);
        Ok(Self { depth, recent: Mutex::default() })
    }

    /// Whether a socket that listens in the network namespace of process `caller` (its number in `/proc`) is bound to
    /// this file.
    pub fn made_inside(&self, caller: u32, file: Identity) -> bool {
        let listening = listening(caller);
        if listening.is_empty() {
            return false;
        }
        let is_it = |place: &Place| {
            let process = rustix::process::pidfd_open(place.process, PidfdFlags::empty());
            process.is_ok_and(|process| is_bound(&process, place.descriptor, &listening, file))
        };
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let found = recent.iter().copied().find(is_it).or_else(|| self.search(&listening, file));
        let Some(found) = found else { return false };
        recent.retain(|place| *place != found);
        recent.push_front(found);
        recent.truncate(RECENT_MAX);
        *self.recent.lock().unwrap_or_else(PoisonError::into_inner) = recent;
        true
    }

    fn search(&self, listening: &HashSet<u64>, file: Identity) -> Option<Place> {
        let entries = std::fs::read_dir("/proc").ok()?;
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut left = DESCRIPTORS_MAX;
        // The youngest have the highest numbers, and are the likeliest to have just made one.
        let mut numbers: Vec<u32> = numbers.collect();
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        numbers.into_iter().take(PROCESSES_MAX).find_map(|number| {
            let (process, descriptor, size) = self.inside(number)?;
            let size = size.min(left);
            left -= size;
            let numbers = 0..i32::try_from(size).unwrap_or(i32::MAX);
            let number = { numbers }.find(|number| is_bound(&descriptor, *number, listening, file))?;
            Some(Place { process, descriptor: number })
        })
    }

    /// The process with this number in `/proc`, if it is one of the sandbox's, and the size of its table of descriptors.
    fn inside(&self, number: u32) -> Option<(Pid, OwnedFd, usize)> {
        let status = Status::of(number)?;
        let own = i32::try_from(status.list("NSpid").nth(self.depth)?.parse::<u32>().ok()?).ok()?;
        let process = Pid::from_raw(own)?;
        let descriptor = rustix::process::pidfd_open(process, PidfdFlags::empty()).ok()?;
        // A `/proc` of the host's shows other containers too, which count in the same depth.
        let is_it = self.depth == 0 || number_of(&descriptor) == Some(number);
        is_it.then(|| (process, descriptor, status.number("FDSize", 0).unwrap_or(0) as usize))
    }
}

/// Whether a descriptor of `process` is one of the sockets in `listening`, and bound to `file`.
fn is_bound(process: &OwnedFd, descriptor: i32, listening: &HashSet<u64>, file: Identity) -> bool {
    let bound = || {
        let socket = rustix::process::pidfd_getfd(process, descriptor, PidfdGetfdFlags::empty())?;
        let stat = rustix::fs::fstat(&socket)?;
        let is_socket = FileType::from_raw_mode(stat.st_mode) == FileType::Socket;
        if !is_socket || !listening.contains(&stat.st_ino) {
            return Ok(false);
        }
        let bound = file_of(&socket)?;
        rustix::fs::fstat(bound).map(|stat| Identity::of(&stat) == file)
    };
    bound().unwrap_or(false)
}

/// The file that a Unix socket is bound to. Needs CAP_NET_ADMIN over its network namespace.
fn file_of(socket: &OwnedFd) -> io::Result<OwnedFd> {
    const SIOCUNIXFILE: u32 = 0x89e0;
    // SAFETY: takes no argument, and returns a new descriptor.
    let raw = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCUNIXFILE as _, 0) };
    if raw < 0 {
        return Err(crate::sandbox::process::last_error());
    }
    // SAFETY: `raw` was just opened and is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// The inodes of the sockets that listen at a path, in the network namespace of a process.
fn listening(process: u32) -> HashSet<u64> {
    let mut table = Vec::new();
    let opened = File::open(format!("/proc/{process}/net/unix"));
    let read = opened.and_then(|file| file.take(TABLE_BYTES_MAX).read_to_end(&mut table));
    read.map_or_else(|_| HashSet::new(), |_| rows(&table).map(|(inode, _)| inode).collect())
}

/// Whether a table lists a socket that listens and whose path ends in `leaf`.
pub(super) fn lists(table: &File, leaf: &OsStr) -> bool {
    let mut bytes = Vec::new();
    let mut block = [0; 16_384];
    while bytes.len() < TABLE_BYTES_MAX as usize {
        match table.read_at(&mut block, bytes.len() as u64) {
            Ok(0) | Err(_) => break,
            Ok(length) => bytes.extend_from_slice(&block[..length]),
        }
    }
    rows(&bytes).any(|(_, path)| Path::new(OsStr::from_bytes(path)).file_name() == Some(leaf))
}

/// The inode and path of each socket that listens at a path, of the table `/proc/net/unix`:
/// `number: references protocol flags type state inode [path]`.
fn rows(table: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    table.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut words = line.splitn(7, |byte| *byte == b' ');
        let flags = u32::from_str_radix(std::str::from_utf8(words.nth(3)?).ok()?, 16).ok()?;
        // The inode is right-aligned in five columns, so that a short one has spaces before it.
        let rest = words.nth(2)?.trim_ascii_start();
        let space = rest.iter().position(|byte| *byte == b' ')?;
        let inode = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
        let path = &rest[space + 1..];
        (flags & LISTENS != 0 && !path.starts_with(b"@")).then_some((inode, path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_table_names_those_that_listen_at_a_path() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 18543 /run/docker sock\n\
            0000000000000000: 00000002 00000000 00010000 0001 01    77 @abstract\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 19000 /run/accepted\n\
            0000000000000000: 00000002 00000000 00000000 0002 01 19001\n\
            0000000000000000: 00000002 00000000 00010000 0005 01   912 relative\n";
        let found: Vec<_> = rows(table).collect();
        assert_eq!(found, [(18_543, &b"/run/docker sock"[..]), (912, b"relative")]);
    }

    #[test]
    fn the_kernels_own_table_is_read() {
        let directory = std::env::temp_dir().join(format!("weft-origin-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let listener = UnixListener::bind(directory.join("here")).expect("a listener");
        let inode = rustix::fs::fstat(&listener).expect("its inode").st_ino;
        assert!(listening(std::process::id()).contains(&inode));
        let table = File::open("/proc/net/unix").expect("the table");
        assert!(lists(&table, OsStr::new("here")) && !lists(&table, OsStr::new("weft-no-such-socket")));
        drop(listener);
        assert!(!listening(std::process::id()).contains(&inode));
        std::fs::remove_dir_all(directory).expect("gone");
    }
}
