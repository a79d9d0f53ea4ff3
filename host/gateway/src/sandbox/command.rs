//! The command: a child of init in a user namespace of its own, where it waits until it may run.

use super::confine;
use super::error::{During, LaunchError, Step};
use super::filter::{self, Wanted};
use super::identity::IdentityMaps;
use super::inherited::Inherited;
use super::process::{self, Cloned};
use rustix::cmsg_space;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::process::{Pid, PidfdFlags};
use std::ffi::{CStr, CString, OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The program and its arguments, as the kernel takes them.
#[derive(Clone, Debug)]
pub(super) struct CommandLine(Vec<CString>);

impl CommandLine {
    pub fn new(arguments: &[OsString]) -> Result<Self, LaunchError> {
        let wrong = |detail: &str| Err(LaunchError::new(Step::ReadCommand, detail, Errno::INVAL));
        if arguments.is_empty() {
            return wrong("no command is given");
        }
        match arguments.iter().map(|argument| CString::new(argument.clone().into_vec())).collect() {
            Ok(arguments) => Ok(Self(arguments)),
            Err(_) => wrong("an argument holds a zero byte"),
        }
    }
}

/// What binds the command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Confinement {
    /// `/proc` shows processes outside of the sandbox.
    pub foreign_proc: bool,
    /// Who connects to Unix sockets is judged.
    pub judged: bool,
}

/// How it went.
#[derive(Debug)]
pub(super) struct Bound {
    /// Where calls are judged, if they are.
    pub listener: Option<OwnedFd>,
    /// The seccomp program.
    pub filter: Result<(), Errno>,
    /// The Landlock domain.
    pub domain: Result<(), Errno>,
}

/// The command before and after it starts.
pub(super) struct Command {
    pid: Pid,
    channel: OwnedFd,
}

/// What the command tells init: its name in `/proc`, then only that it could not be executed.
const NAME_BYTES_MAX: usize = 16;

impl Command {
    /// Makes the process; it waits for [`start`](Self::start).
    pub fn spawn(line: &CommandLine, maps: &IdentityMaps, bonds: Confinement) -> Result<Self, LaunchError> {
        let step = Step::MakeCommand;
        let flags = SocketFlags::CLOEXEC;
        let (channel, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
                .during(step, "a channel to it")?;
        let pid = match process::clone(libc::CLONE_NEWUSER).during(step, "")? {
            Cloned::Parent(pid) => pid,
            Cloned::Child => {
                drop(channel);
                run(line, bonds, &theirs)
            }
        };
        drop(theirs);
        let command = Self { pid, channel };
        let mut name = [0; NAME_BYTES_MAX];
        let length = command.receive(&mut name).during(step, "hearing from it")?;
        let path = [b"/proc/", &name[..length]].concat();
        let directory = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .during(step, "its directory in /proc")?;
        maps.write(&directory)?;
        command.send().during(step, "answering it")?;
        Ok(command)
    }

    /// Waits until it is bound, and says how that went.
    pub fn bound(&self) -> Result<Bound, LaunchError> {
        let mut codes = [0; 8];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let step = Step::ConfineCommand;
        let received = rustix::net::recvmsg(
            &self.channel,
            &mut [IoSliceMut::new(&mut codes)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        );
        if received.during(step, "hearing from it")?.bytes < codes.len() {
            return Err(Errno::PIPE).during(step, "it ended");
        }
        let listener = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        let code =
            |at: usize| match i32::from_ne_bytes([codes[at], codes[at + 1], codes[at + 2], codes[at + 3]]) {
                0 => Ok(()),
                code => Err(Errno::from_raw_os_error(code)),
            };
        Ok(Bound { listener, filter: code(0), domain: code(4) })
    }

    /// Its number inside.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// A descriptor of the process, whatever number it has where.
    pub fn pidfd(&self) -> Result<OwnedFd, LaunchError> {
        rustix::process::pidfd_open(self.pid, PidfdFlags::empty()).during(Step::MakeCommand, "its pidfd")
    }

    /// Lets it run. Whether it was executed; waits until that is known.
    pub fn start(&self) -> Result<(), Errno> {
        self.send()?;
        let mut code = [0; 4];
        match self.receive(&mut code) {
            // Closed by being executed, or by its death, of which wait tells.
            Ok(length) if length < code.len() => Ok(()),
            Ok(_) => Err(Errno::from_raw_os_error(i32::from_ne_bytes(code))),
            Err(error) => Err(error),
        }
    }

    fn send(&self) -> Result<(), Errno> {
        rustix::net::send(&self.channel, &[1], SendFlags::NOSIGNAL).map(drop)
    }

    fn receive(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        receive(&self.channel, buffer)
    }
}

fn receive(channel: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match rustix::net::recv(channel, &mut *buffer, RecvFlags::empty()) {
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => return Ok(0),
            other => return other.map(|(_, length)| length),
        }
    }
}

/// The child's side: everything from the copy of init to the program.
fn run(line: &CommandLine, bonds: Confinement, channel: &OwnedFd) -> ! {
    let error = match prepare(bonds, channel) {
        Ok(()) => {
            let arguments: Vec<&CStr> = line.0.iter().map(CString::as_c_str).collect();
            match process::execute(&arguments) {
                Errno::ACCESS if !exists(&line.0[0]) => Errno::NOENT,
                error => error,
            }
        }
        Err(error) => error,
    };
    let _ = rustix::net::send(channel, &error.raw_os_error().to_ne_bytes(), SendFlags::NOSIGNAL);
    process::exit(super::handle::status_of_error(error))
}

/// Whether the program is there at all: a directory of PATH that may not be searched makes the C library say that access
/// is denied, although nothing was found.
fn exists(program: &CStr) -> bool {
    let name = OsStr::from_bytes(program.to_bytes());
    let path = std::env::var_os("PATH").unwrap_or_default();
    name.as_bytes().contains(&b'/') || std::env::split_paths(&path).any(|part| part.join(name).exists())
}

fn prepare(bonds: Confinement, channel: &OwnedFd) -> Result<(), Errno> {
    // Init writes this process's maps, which only its owner may while it is not dumpable.
    confine::hide_memory(false)?;
    let name = rustix::fs::readlinkat(CWD, "/proc/self", Vec::new())?;
    rustix::net::send(channel, name.as_bytes(), SendFlags::NOSIGNAL)?;
    let mut go = [0];
    if receive(channel, &mut go)? == 0 {
        return Err(Errno::PIPE);
    }
    rustix::thread::set_no_new_privs(true)?;
    bind(bonds, channel)?;
    if receive(channel, &mut go)? == 0 {
        return Err(Errno::PIPE);
    }
    process::close_on_execute_from_3()?;
    Inherited::now().restore();
    Ok(())
}

/// Gives up what a hostile program would use, and tells init how that went: it decides what can be done without.
fn bind(bonds: Confinement, channel: &OwnedFd) -> Result<(), Errno> {
    confine::leave_keys();
    let no_cores = confine::keep_cores_inside();
    let domain = confine::enter_landlock_domain(bonds.foreign_proc);
    let filter = filter::install(Wanted { judged: bonds.judged, no_cores });
    let code = |failed: Option<Errno>| failed.map_or(0, Errno::raw_os_error).to_ne_bytes();
    let codes = [code(filter.as_ref().err().copied()), code(domain.err())].concat();
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let listener = filter.ok().flatten();
    let descriptors: Vec<_> = listener.iter().map(AsFd::as_fd).collect();
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    rustix::net::sendmsg(channel, &[IoSlice::new(&codes)], &mut ancillary, SendFlags::NOSIGNAL).map(drop)
}
