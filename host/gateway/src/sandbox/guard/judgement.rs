//! Where a path leads, whether that is open, and the connection itself: by the caller's root, working directory, user,
//! groups and capabilities, in a thread that has taken them on.

use super::caller::{Caller, Identity, Place, connect as connect_to, number_of};
use super::opened::{Opened, lies_at};
use super::origin::{self, Holders};
use super::voice::Voice;
use crate::sandbox::error::{During, LaunchError, Step};
use crate::sandbox::process;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags};
use rustix::io::{self, Errno};
use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};
use std::fs::File;
use std::path::Path;

/// Where everything starts: init's own root and namespaces.
#[derive(Debug)]
pub(in crate::sandbox) struct Base {
    root: OwnedFd,
    /// The sandbox's network namespace.
    pub(super) network: Identity,
    /// The command's user namespace.
    users: Identity,
    /// The list of the host's own Unix sockets (`/proc/net/unix`), opened there.
    outside: Option<File>,
    /// Whether groups may be changed; where not, all have the same.
    sets_groups: bool,
    /// When that was, in seconds since 1970 and nanoseconds, by the clock that files are dated by.
    since: (i64, u32),
    /// Who held sockets that were found lately.
    holders: Holders,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use<'a> {
    /// Who asks.
    pub caller: &'a OwnedFd,
    /// The socket's path, as the sandbox sees it.
    pub path: &'a str,
    /// The rule that decides.
    pub rule: Option<&'a str>,
    /// Whether it is denied: by that rule, or because there is none. Neither, and no rule, where none speaks to the caller.
    pub denied: bool,
    /// Whether a yes opens it all the same.
    pub may_ask: bool,
}

/// What a rule, or the lack of one, made of a socket of the host's.
#[derive(Debug)]
pub(super) enum Verdict {
    Opened {
        path: String,
        rule: String,
    },
    /// `denied` where rules were looked at, which is not so in another network namespace. `may_ask` where no rule speaks of
    /// it, and it is what lies at the path: a person who is asked is told no other's name.
    Refused {
        path: String,
        rule: Option<String>,
        error: Errno,
        denied: bool,
        may_ask: bool,
    },
}

impl Base {
    /// Of the calling process, and of the command, by a descriptor of its process. `outside` is the list of the host's
    /// sockets.
    pub fn of_caller(
        command: &OwnedFd,
        outside: Option<File>,
        sets_groups: bool,
    ) -> Result<Self, LaunchError> {
        let step = Step::GuardSockets;
        let number = number_of(command).ok_or(Errno::SRCH).during(step, "the command's number")?;
        let users = format!("/proc/{number}/ns/user");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            root: rustix::fs::open("/", flags, Mode::empty()).during(step, "/")?,
            network: Identity::at("/proc/self/ns/net").during(step, "/proc/self/ns/net")?,
            users: Identity::at(&users).during(step, &users)?,
            outside,
            since: now(),
            sets_groups,
            holders: Holders::new().during(step, "/proc/self/status")?,
        })
    }
}

/// Connects the caller's Unix socket, if what its address leads to is open, and where that is the host's, once the gateway
/// has said yes. Changes the calling thread for good.
pub(super) fn connect(
    (base, rules, voice): (&Base, &Opened, &Voice),
    caller: &Caller,
    socket: &OwnedFd,
    address: &[u8],
    waits: &dyn Fn() -> bool,
) -> io::Result<()> {
    let Some(path) = path_of(address) else {
        // An abstract name is one of the socket's own network namespace.
        return connect_plainly(base, caller, socket, address, waits);
    };
    let expect_waiting = || if waits() { Ok(()) } else { Err(Errno::INTR) };
    let place = caller.place()?;
    let file = find(base, &place, path)?;
    expect_waiting()?;
    let caller = caller.as_descriptor();
    let leave = match judge(base, rules, &place, &file)? {
        None => None,
        Some(Verdict::Refused { path, rule, error, denied, may_ask }) => {
            let wanted = Use { caller, path: &path, rule: rule.as_deref(), denied, may_ask };
            Some(voice.ask(wanted).filter(|_| may_ask).ok_or(error)?)
        }
        Some(Verdict::Opened { path, rule }) => {
            let wanted = Use { caller, path: &path, rule: Some(&rule), denied: false, may_ask: false };
            Some(voice.ask(wanted).ok_or(Errno::ACCESS)?)
        }
    };
    // The caller may have been interrupted meanwhile, and go on.
    let done = expect_waiting()
        .and_then(|()| take_identity(base, &place))
        .and_then(|()| connect_to(socket, &address_of(&file)));
    if let Some(leave) = leave {
        voice.tell(leave, done);
    }
    done
}

/// Connects a socket to an address that is no path, by the caller's rights. Changes the calling thread for good.
pub(super) fn connect_plainly(
    base: &Base,
    caller: &Caller,
    socket: &OwnedFd,
    address: &[u8],
    waits: &dyn Fn() -> bool,
) -> io::Result<()> {
    become_caller(base, caller, waits)?;
    connect_to(socket, address)
}

/// Has a Unix socket listen, by the caller's rights, whose user and group it tells to whom it connects. Changes the calling
/// thread for good.
pub(super) fn listen_plainly(
    base: &Base,
    caller: &Caller,
    socket: &OwnedFd,
    backlog: i32,
    waits: &dyn Fn() -> bool,
) -> io::Result<()> {
    become_caller(base, caller, waits)?;
    rustix::net::listen(socket, backlog)
}

fn become_caller(base: &Base, caller: &Caller, waits: &dyn Fn() -> bool) -> io::Result<()> {
    let place = caller.place()?;
    if !waits() {
        return Err(Errno::INTR);
    }
    set_groups(base, &place)?;
    set_ids(&place)?;
    hold(CapabilitySet::empty())
}

/// The path in a Unix address; `None` where it is no path, or no Unix address.
fn path_of(address: &[u8]) -> Option<&[u8]> {
    let (family, path) = address.split_first_chunk()?;
    let path = path.split(|byte| *byte == 0).next()?;
    (u16::from_ne_bytes(*family) == libc::AF_UNIX as u16 && !path.is_empty()).then_some(path)
}

/// The address of a file that is held open, by no name that anybody could change.
fn address_of(file: &OwnedFd) -> Vec<u8> {
    let mut address = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
    address.extend(format!("/proc/self/fd/{}\0", file.as_raw_fd()).bytes());
    address
}

/// Opens what a path of the caller's leads to, as the kernel would have looked for it.
fn find(base: &Base, place: &Place, path: &[u8]) -> io::Result<OwnedFd> {
    let own = (rustix::process::geteuid(), rustix::process::getegid());
    let held = rustix::thread::capabilities(None)?.permitted;
    process::unshare(UnshareFlags::FS)?;
    set_groups(base, place)?;
    rustix::process::fchdir(&place.root)?;
    rustix::process::chroot(".")?;
    rustix::process::fchdir(&place.directory)?;
    set_file_ids(place.files);
    let needed = CapabilitySet::SYS_CHROOT | CapabilitySet::SETUID | CapabilitySet::SETGID;
    raise(needed | overriding(base, place))?;
    let found =
        rustix::fs::open(&*own_links(path, place.number), OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    set_file_ids(own);
    raise(held)?;
    rustix::process::fchdir(&base.root)?;
    rustix::process::chroot(".")?;
    found
}

/// A path through the caller's own directory in `/proc`, which is another's for us.
fn own_links(path: &[u8], number: u32) -> Vec<u8> {
    let rest = [&b"/proc/self/"[..], b"/proc/thread-self/"].iter().find_map(|own| path.strip_prefix(*own));
    match rest {
        Some(rest) => [format!("/proc/{number}/").as_bytes(), rest].concat(),
        None => path.to_vec(),
    }
}

/// What becomes of a connection to `file`: `None` where it is none of the host's sockets.
fn judge(base: &Base, rules: &Opened, place: &Place, file: &OwnedFd) -> io::Result<Option<Verdict>> {
    let stat = rustix::fs::fstat(file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Ok(None);
    }
    let identity = Identity::of(&stat);
    let link = rustix::fs::readlink(format!("/proc/self/fd/{}", file.as_raw_fd()), Vec::new())?;
    let path = link.to_string_lossy().into_owned();
    // A network namespace made inside, as that of a run within this one, has the sockets made there and no others.
    let speaks = place.network == base.network;
    let at = Path::new(&path);
    if let Some(rule) = speaks.then(|| rules.denies(identity, at)).flatten() {
        let (rule, error) = (Some(rule), Errno::ACCESS);
        return Ok(Some(Verdict::Refused { path, rule, error, denied: true, may_ask: false }));
    }
    if base.holders.made_inside(place.number, identity) {
        return Ok(None);
    }
    if let Some(rule) = speaks.then(|| rules.allows(identity, at)).flatten() {
        return Ok(Some(Verdict::Opened { path, rule }));
    }
    let may_ask = speaks && lies_at(identity, at);
    let error = refusal(base, file, at)?;
    Ok(Some(Verdict::Refused { path, rule: None, error, denied: speaks, may_ask }))
}

/// A socket that was not made inside by any that lives: one of the host's, or one that nobody holds any more. A
/// program that left one behind has to be told so, or it would not start again; but it must not take one that lives for
/// such, and remove it. Gives what the former is told.
fn refusal(base: &Base, file: &OwnedFd, path: &Path) -> io::Result<Errno> {
    let leaf = path.file_name().unwrap_or_default();
    if base.outside.as_ref().is_none_or(|table| origin::lists(table, leaf)) {
        return Ok(Errno::ACCESS);
    }
    if born(file).is_some_and(|born| born >= base.since) {
        return Err(Errno::CONNREFUSED);
    }
    // It was there before. It may live in a network namespace that the host's table does not show, as a container
    // engine's that was mounted into a container.
    Ok(Errno::CONNREFUSED)
}

/// When a file was made, where its file system knows, else when it was last changed.
fn born(file: &OwnedFd) -> Option<(i64, u32)> {
    let wanted = StatxFlags::BTIME | StatxFlags::CTIME;
    let stat = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, wanted).ok()?;
    let time = if stat.stx_mask & StatxFlags::BTIME.bits() != 0 { stat.stx_btime } else { stat.stx_ctime };
    Some((time.tv_sec, time.tv_nsec))
}

/// The time that a file would get which is made now.
fn now() -> (i64, u32) {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    (now.tv_sec, now.tv_nsec as u32)
}

/// Takes on the caller's user, group, and capabilities over files: the peer is told of them, and the file's mode is judged
/// by them.
fn take_identity(base: &Base, place: &Place) -> io::Result<()> {
    let kept = overriding(base, place);
    set_ids(place)?;
    hold(kept)
}

fn set_groups(base: &Base, place: &Place) -> io::Result<()> {
    if base.sets_groups { rustix::thread::set_thread_groups(&place.groups) } else { Ok(()) }
}

fn set_ids(place: &Place) -> io::Result<()> {
    let (user, group) = place.effective;
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_thread_res_uid(user, user, user)
}

/// The caller's capabilities over files, as far as its user namespace is the command's own: in one made inside it has
/// them over nothing that was there before.
fn overriding(base: &Base, place: &Place) -> CapabilitySet {
    match place.overrides && place.users == base.users {
        true => CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH,
        false => CapabilitySet::empty(),
    }
}

/// Has files looked for by this user and group.
fn set_file_ids((user, group): (Uid, Gid)) {
    // SAFETY: both take a number, and are about the calling thread. They tell no failure: where they fail, what was there
    // before stays, which is this process's own.
    unsafe {
        libc::setfsgid(group.as_raw());
        libc::setfsuid(user.as_raw());
    }
}

/// Has the thread's capabilities in effect that it may have and that are in `wanted`.
fn raise(wanted: CapabilitySet) -> io::Result<()> {
    let held = rustix::thread::capabilities(None)?;
    let effective = held.permitted & wanted;
    rustix::thread::set_capabilities(None, CapabilitySets { effective, ..held })
}

/// Leaves the thread these capabilities and no others.
fn hold(kept: CapabilitySet) -> io::Result<()> {
    let kept = rustix::thread::capabilities(None)?.permitted & kept;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_a_path_or_something_else() {
        let address = |family: i32, rest: &[u8]| [&(family as u16).to_ne_bytes()[..], rest].concat();
        assert_eq!(path_of(&address(libc::AF_UNIX, b"/run/x")), Some(&b"/run/x"[..]));
        assert_eq!(path_of(&address(libc::AF_UNIX, b"x\0garbage")), Some(&b"x"[..]));
        assert_eq!(path_of(&address(libc::AF_UNIX, b"\0abstract")), None);
        assert_eq!(path_of(&address(libc::AF_UNIX, b"")), None);
        assert_eq!(path_of(&address(libc::AF_INET, b"/run/x")), None);
        assert_eq!(path_of(b"1"), None);
    }

    #[test]
    fn a_path_through_ones_own_process_is_the_callers() {
        assert_eq!(own_links(b"/proc/self/fd/5/x", 7), b"/proc/7/fd/5/x");
        assert_eq!(own_links(b"/proc/thread-self/cwd/x", 7), b"/proc/7/cwd/x");
        assert_eq!(own_links(b"/proc/selfish", 7), b"/proc/selfish");
    }
}
