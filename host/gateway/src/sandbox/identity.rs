//! Who the command is: the same user and groups as the gateway, by identity maps (user_namespaces(7)).

use super::error::{During, LaunchError, Step};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::{self, Errno};
use rustix::thread::CapabilitySet;
use std::fmt::Write;

/// The numbers that are the same inside and outside, as the kernel takes them.
#[derive(Clone, Debug)]
pub(super) struct IdentityMaps {
    users: String,
    groups: String,
    /// Whether the caller may keep setgroups allowed: an ordinary user could drop a group that denies access.
    privileged: bool,
}

impl IdentityMaps {
    /// All numbers that exist here where the caller may map them, else its own two.
    pub fn of_caller() -> Result<Self, LaunchError> {
        let needed = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::SETFCAP;
        let privileged = rustix::thread::capabilities(None)
            .is_ok_and(|capabilities| capabilities.effective.contains(needed));
        if !privileged {
            return Ok(Self::own_numbers());
        }
        let read = |path: &str| {
            let text = std::fs::read_to_string(path).during(Step::MapIdentities, path)?;
            Ok(identity(&text))
        };
        Ok(Self { users: read("/proc/self/uid_map")?, groups: read("/proc/self/gid_map")?, privileged })
    }

    fn own_numbers() -> Self {
        let user = rustix::process::geteuid().as_raw();
        let group = rustix::process::getegid().as_raw();
        Self {
            users: format!("{user} {user} 1\n"),
            groups: format!("{group} {group} 1\n"),
            privileged: false,
        }
    }

    /// Whether processes inside may have other groups than their parents (setgroups(2)).
    pub fn sets_groups(&self) -> bool {
        self.privileged
    }

    /// The first and the last group that exists inside.
    pub fn group_bounds(&self) -> Option<(u32, u32)> {
        let ranges: Vec<(u32, u32)> = ranges(&self.groups).collect();
        let first = ranges.iter().map(|(start, _)| *start).min()?;
        let last = ranges.iter().map(|(start, count)| start.saturating_add(count - 1)).max()?;
        Some((first, last))
    }

    /// Writes the maps of the process whose directory in `/proc` is `process`.
    pub fn write(&self, process: &OwnedFd) -> Result<(), LaunchError> {
        if !self.privileged {
            // user_namespaces(7): an ordinary user maps groups only after giving up setgroups.
            write_once(process, "setgroups", "deny")?;
        }
        write_once(process, "uid_map", &self.users)?;
        write_once(process, "gid_map", &self.groups)
    }
}

fn write_once(process: &OwnedFd, file: &str, text: &str) -> Result<(), LaunchError> {
    let written = || {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(process.as_fd(), file, flags, Mode::empty())?;
        // The kernel takes a map in one write only.
        let length = io::write(&fd, text.as_bytes())?;
        if length == text.len() { Ok(()) } else { Err(Errno::IO) }
    };
    written().during(Step::MapIdentities, file)
}

/// From a map of `/proc`, lines of "inside outside count", the one that maps each number inside to itself.
fn identity(map: &str) -> String {
    ranges(map).fold(String::new(), |mut out, (start, count)| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{start} {start} {count}");
        out
    })
}

fn ranges(map: &str) -> impl Iterator<Item = (u32, u32)> {
    map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse);
        let (start, _, count) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        let _: u32 = count;
        (count > 0).then_some((start, count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_becomes_the_map_of_each_number_to_itself() {
        assert_eq!(identity("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(identity("0 1000 1\n1 100000 65536\n"), "0 0 1\n1 1 65536\n");
        assert_eq!(identity("garbage\n"), "");
    }

    #[test]
    fn group_bounds_span_all_ranges() {
        let groups = "0 0 1\n1 1 65536\n".to_string();
        let maps = IdentityMaps { users: String::new(), groups, privileged: true };
        assert_eq!(maps.group_bounds(), Some((0, 65536)));
        assert_eq!(IdentityMaps { groups: String::new(), ..maps }.group_bounds(), None);
    }
}
