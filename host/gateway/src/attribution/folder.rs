//! One process: its folder in `/proc`, held open. Once the process has ended nothing is found in it, whoever has the id by
//! then.

use super::budget::{Budget, Unsure};
use super::executable::Version;
use rustix::buffer::spare_capacity;
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RawDir, SeekFrom, StatxFlags, openat, readlinkat, readlinkat_raw, seek, statx,
};
use rustix::io::{pread, read};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Descriptors that are listed at once.
const WINDOW: u32 = 256;
/// The entries `.` and `..` come before descriptor 0 (proc(5)).
const DOTS: u64 = 2;
/// Bytes in which a window's entries fit, each with the 24 that one takes.
const LISTING_BYTES: usize = 8 * 1_024;
/// Bytes of `stat`: some fifty numbers, and a name of at most 64.
const STAT_BYTES_MAX: usize = 2_048;
/// Bytes of `fdinfo/N` that are read: what is wanted stands in the second line.
const FDINFO_BYTES_MAX: usize = 128;
/// Bytes of `status` that are read; its end is of no use here.
const STATUS_BYTES_MAX: usize = 4_096;
/// Bytes of a thread's list of children: some 8,000, more than a family may have.
const CHILDREN_BYTES_MAX: usize = 64 * 1_024;
/// The links of a folder of one thread (proc(5)): its own two, and one for each thread.
const LINKS_OF_ONE_THREAD: u32 = 3;

/// An open `/proc/PID`.
#[derive(Debug)]
pub(super) struct Folder {
    id: u32,
    folder: OwnedFd,
}

/// What `/proc/PID/stat` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// The program's name, as the kernel has it.
    pub name: String,
    /// The id of the process above.
    pub parent: u32,
    /// When it was started, in clock ticks since the machine was.
    pub start_ticks: u64,
}

impl Folder {
    /// That of the process with this id; `None` where there is none.
    pub fn open(id: u32) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, format!("/proc/{id}"), flags, Mode::empty()).ok()?;
        Some(Self { id, folder })
    }

    /// The process's id, as the host sees it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its name, its parent and its age.
    pub fn stat(&self) -> Option<Stat> {
        Stat::parse(&self.open_file("stat")?.read(STAT_BYTES_MAX)?)
    }

    /// The user that it runs as: its effective one, whom the folder belongs to.
    pub fn user(&self) -> Option<u32> {
        statx(&self.folder, "", AtFlags::EMPTY_PATH, StatxFlags::UID).ok().map(|about| about.stx_uid)
    }

    /// Where its arguments are read, each with a zero byte behind it, as the program itself keeps them. The kernel reads no
    /// page for that which a file system would have to bring first.
    pub fn open_command_line(&self) -> Option<Content> {
        self.open_file("cmdline")
    }

    /// The control groups that it is in, cut to so many bytes.
    pub fn control_groups(&self, bytes_max: usize) -> Option<Vec<u8>> {
        self.read_all("cgroup", bytes_max)
    }

    /// The path of its executable, as the kernel has it.
    pub fn executable_path(&self) -> Option<Vec<u8>> {
        Some(readlinkat(&self.folder, "exe", Vec::new()).ok()?.into_bytes())
    }

    /// The file that it executes.
    pub fn executable_version(&self) -> Option<Version> {
        Version::of(&self.folder, "exe")
    }

    /// The file that it executes. Content cannot be read from this descriptor: opening it for that would ask the file
    /// system, which may be the process's own.
    pub fn open_executable(&self) -> Option<OwnedFd> {
        openat(&self.folder, "exe", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()
    }

    /// The id of the process that this thread belongs to, where the folder is a thread's.
    pub fn thread_group(&self) -> Option<u32> {
        self.status("Tgid:")
    }

    /// Whether it has a thread with this id.
    pub fn has_thread(&self, thread: u32) -> bool {
        let path = format!("task/{thread}");
        statx(&self.folder, path, AtFlags::empty(), StatxFlags::INO).is_ok()
    }

    /// The children of all its threads, in the order in which a thread started them.
    pub fn children(&self, budget: &mut Budget) -> Result<Vec<u32>, Unsure> {
        let mut children = Vec::new();
        let about = statx(&self.folder, "task", AtFlags::empty(), StatxFlags::NLINK);
        if about.is_ok_and(|about| about.stx_nlink == LINKS_OF_ONE_THREAD) {
            self.add_children(self.id, budget, &mut children)?;
            return Ok(children);
        }
        let Some(threads) = self.open_directory("task") else { return Ok(children) };
        let mut room = [MaybeUninit::uninit(); LISTING_BYTES];
        let mut listing = RawDir::new(threads, &mut room);
        while let Some(Ok(entry)) = listing.next() {
            if let Some(thread) = number(entry.file_name().to_bytes()) {
                self.add_children(thread, budget, &mut children)?;
            }
        }
        Ok(children)
    }

    fn add_children(&self, thread: u32, budget: &mut Budget, to: &mut Vec<u32>) -> Result<(), Unsure> {
        budget.take(1)?;
        let list = self.read_all(&format!("task/{thread}/children"), CHILDREN_BYTES_MAX).unwrap_or_default();
        if list.len() == CHILDREN_BYTES_MAX {
            return Err(Unsure);
        }
        to.extend(list.split(|byte| *byte == b' ').filter_map(number));
        Ok(())
    }

    /// What this descriptor of the process is, compared with a link.
    pub fn compare(&self, descriptor: u32, link: &str) -> Compared {
        // A longer target is cut, and is another all the same.
        let mut room = [MaybeUninit::uninit(); 64];
        match readlinkat_raw(&self.folder, format!("fd/{descriptor}"), &mut room) {
            Ok((target, _)) if *target == *link.as_bytes() => Compared::Same,
            Ok(_) => Compared::Other,
            Err(_) => Compared::Closed,
        }
    }

    /// Whether this descriptor of the process is closed where it becomes another program.
    pub fn closes_at_exec(&self, descriptor: u32) -> Option<bool> {
        let about = self.open_file(&format!("fdinfo/{descriptor}"))?.read(FDINFO_BYTES_MAX)?;
        let flags = about.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"flags:"))?;
        let flags = u32::from_str_radix(std::str::from_utf8(flags).ok()?.trim(), 8).ok()?;
        Some(flags & OFlags::CLOEXEC.bits() != 0)
    }

    /// A descriptor of the process that is this link. The newest mostly have the highest numbers, and are looked at first.
    pub fn find_descriptor(&self, link: &str, budget: &mut Budget) -> Result<Option<u32>, Unsure> {
        // How many there are; 0 where the kernel is older than 6.2.
        let about = statx(&self.folder, "fd", AtFlags::empty(), StatxFlags::SIZE);
        let count = about.ok().and_then(|about| u32::try_from(about.stx_size).ok()).unwrap_or(0);
        if !(1..=WINDOW).contains(&count) {
            return self.find_among_many(link, budget);
        }
        // Mostly their numbers have no gaps, and need not be listed.
        budget.take(count as usize)?;
        let mut others = 0;
        for descriptor in (0..count).rev() {
            match self.compare(descriptor, link) {
                Compared::Same => return Ok(Some(descriptor)),
                Compared::Other => others += 1,
                Compared::Closed => {}
            }
        }
        match self.open_directory("fd") {
            Some(directory) if others < count => {
                self.find_in_window(&directory, count..u32::MAX, link, budget)
            }
            _ => Ok(None),
        }
    }

    /// The same from the top of the table downwards, window by window.
    fn find_among_many(&self, link: &str, budget: &mut Budget) -> Result<Option<u32>, Unsure> {
        let Some(directory) = self.open_directory("fd") else { return Ok(None) };
        let mut end = self.status("FDSize:").unwrap_or(0);
        while end > 0 {
            let start = end.saturating_sub(WINDOW);
            if let Some(found) = self.find_in_window(&directory, start..end, link, budget)? {
                return Ok(Some(found));
            }
            end = start;
        }
        Ok(None)
    }

    /// A descriptor with one of these numbers that is this link, the newest first.
    fn find_in_window(
        &self,
        directory: &OwnedFd,
        numbers: Range<u32>,
        link: &str,
        budget: &mut Budget,
    ) -> Result<Option<u32>, Unsure> {
        budget.take(1)?;
        if seek(directory, SeekFrom::Start(u64::from(numbers.start) + DOTS)).is_err() {
            return Ok(None);
        }
        let mut found = list(directory, numbers.end, budget)?.into_iter().rev();
        Ok(found.find(|descriptor| self.compare(*descriptor, link) == Compared::Same))
    }

    /// A number in `status`.
    fn status(&self, field: &str) -> Option<u32> {
        let status = self.open_file("status")?.read(STATUS_BYTES_MAX)?;
        let value =
            status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(field.as_bytes()))?;
        number(value.trim_ascii())
    }

    fn open_directory(&self, leaf: &str) -> Option<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.folder, leaf, flags, Mode::empty()).ok()
    }

    fn open_file(&self, leaf: &str) -> Option<Content> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        Some(Content(openat(&self.folder, leaf, flags, Mode::empty()).ok()?))
    }

    /// A file's content, cut to so many bytes; `None` where the process has ended, or is not for us to read.
    fn read_all(&self, leaf: &str, bytes_max: usize) -> Option<Vec<u8>> {
        let Content(file) = self.open_file(leaf)?;
        let mut content = Vec::with_capacity(1_024);
        while content.len() < bytes_max {
            content.reserve(1);
            if read(&file, spare_capacity(&mut content)).ok()? == 0 {
                break;
            }
        }
        content.truncate(bytes_max);
        Some(content)
    }
}

/// What a descriptor is, compared with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// That link.
    Same,
    /// Another.
    Other,
    /// There is none of that number.
    Closed,
}

/// An open file of a process's, whose content the kernel writes anew whenever it is read.
#[derive(Debug)]
pub(super) struct Content(OwnedFd);

impl Content {
    /// What it holds now, cut to so many bytes; `None` where the process has ended.
    pub fn read(&self, bytes_max: usize) -> Option<Vec<u8>> {
        let mut content = Vec::with_capacity(bytes_max);
        pread(&self.0, spare_capacity(&mut content), 0).ok()?;
        content.truncate(bytes_max);
        Some(content)
    }
}

/// The descriptors that are listed before `end`, from where the directory stands.
fn list(directory: &OwnedFd, end: u32, budget: &mut Budget) -> Result<Vec<u32>, Unsure> {
    let mut room = [MaybeUninit::uninit(); LISTING_BYTES];
    let mut listing = RawDir::new(directory, &mut room);
    let mut found = Vec::with_capacity(WINDOW as usize);
    while let Some(Ok(entry)) = listing.next() {
        let Some(descriptor) = number(entry.file_name().to_bytes()) else { continue };
        if descriptor >= end {
            break;
        }
        budget.take(1)?;
        found.push(descriptor);
    }
    Ok(found)
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Stat {
    /// `4711 (name) S 4710 ...`, where a name may hold anything, brackets and spaces too (proc_pid_stat(5)).
    fn parse(line: &[u8]) -> Option<Self> {
        let open = line.iter().position(|byte| *byte == b'(')?;
        let close = line.iter().rposition(|byte| *byte == b')')?;
        let name = String::from_utf8_lossy(line.get(open + 1..close)?).into_owned();
        let mut fields = std::str::from_utf8(&line[close + 1..]).ok()?.split_ascii_whitespace();
        let parent = fields.nth(1)?.parse().ok()?;
        let start_ticks = fields.nth(17)?.parse().ok()?;
        Some(Self { name, parent, start_ticks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_that_looks_like_numbers_is_a_name() {
        let rest = "S 17 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        let expected = Stat { name: "a) R 1 (b".to_owned(), parent: 17, start_ticks: 4_711 };
        assert_eq!(Stat::parse(format!("12 (a) R 1 (b) {rest}\n").as_bytes()), Some(expected));
        assert_eq!(Stat::parse(b"12 (a) S 17"), None);
        assert_eq!(Stat::parse(b"12 )a( S 17"), None);
    }

    #[test]
    fn a_folder_tells_of_this_process() {
        let folder = Folder::open(std::process::id()).expect("this process");
        let stat = folder.stat().expect("it runs");
        assert_eq!(stat.parent, std::os::unix::process::parent_id());
        assert_eq!(folder.thread_group(), Some(std::process::id()));
        assert!(folder.has_thread(std::process::id()) && !folder.has_thread(1));
        assert_eq!(folder.compare(u32::MAX, "x"), Compared::Closed);
        assert_eq!(folder.closes_at_exec(u32::MAX), None);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line: Vec<u8>) {
            let _ = Stat::parse(&line);
        }
    }
}
