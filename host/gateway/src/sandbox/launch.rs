//! The gateway's side of building a sandbox.

use super::command::CommandLine;
use super::confine;
use super::control::{Control, Order};
use super::error::{During, LaunchError, Step};
use super::handle::{Launched, Sandbox};
use super::identity::IdentityMaps;
use super::inherited::Inherited;
use super::init::{self, Assignment};
use super::plan;
use super::process::{self, Cloned};
use super::pseudo_terminal::PseudoTerminal;
use super::unix_rules::UnixRules;
use crate::options::Attach;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use rustix::process::Pid;
use std::ffi::OsString;
use std::path::PathBuf;

/// What is to be launched. Environment, working directory, umask, standard streams and the rest of what a process
/// inherits are the caller's own.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program, found by PATH, and its arguments.
    pub command: Vec<OsString>,
    /// How the link is attached.
    pub attach: Attach,
    /// The largest IP packet on the link, in bytes: 1,280 (RFC 8200 §5) to 65,521.
    pub mtu: u16,
    /// Which Unix sockets of the host are open; all others are closed.
    pub unix: UnixRules,
    /// Directories and files that the command must not reach, as root neither: they are empty inside, wherever they can be seen.
    /// For root the disks are out of reach too, then.
    pub hidden: Vec<PathBuf>,
    /// Directories that the command cannot write, as root neither, wherever they can be seen.
    pub read_only: Vec<PathBuf>,
    /// Whether the command has a terminal of its own in the place of the caller's: [`Launched::terminal`] is its near end.
    /// Where not, the caller's is lent to it.
    pub own_terminal: bool,
    /// Whether what closes a way out and cannot be done is an error, rather than a warning.
    pub strict: bool,
    /// Whether the calling process gives up what a gateway does not need, for good: capabilities, gaining
    /// privilege by executing, being traced. A gateway does; a caller that launches several sandboxes as root
    /// must not, or the later ones lose the mapping of other users.
    pub confine_caller: bool,
}

impl Launch {
    /// `command`, attached as it fits, and a caller that confines itself.
    pub fn new(command: Vec<OsString>) -> Self {
        Self {
            command,
            attach: Attach::Auto,
            mtu: plan::MTU_DEFAULT,
            unix: UnixRules::default(),
            hidden: Vec::new(),
            read_only: Vec::new(),
            own_terminal: false,
            strict: false,
            confine_caller: true,
        }
    }
}

/// Builds a sandbox around a command that waits for [`Sandbox::start`].
///
/// The calling process must have one thread: it is copied, and a lock held by another thread would stay held in the
/// copy. Files that need the caller's privileges are best opened before.
///
/// # Errors
///
/// [`LaunchError`]: what was tried, on what, why it failed, and what would help. Nothing is left behind.
pub fn launch(launch: Launch) -> Result<Launched, LaunchError> {
    let threads = std::fs::read_dir("/proc/self/task").during(Step::CheckThreads, "/proc/self/task")?.count();
    if threads != 1 {
        return Err(LaunchError::new(Step::CheckThreads, format!("it has {threads}"), Errno::BUSY));
    }
    check_streams()?;
    Inherited::now();
    let line = CommandLine::new(&launch.command)?;
    let maps = IdentityMaps::of_caller()?;
    let pseudo = launch.own_terminal.then(PseudoTerminal::open).transpose()?;
    let (near, far) = pseudo.map(|PseudoTerminal { near, far }| (near, far)).unzip();
    let (control, theirs) = Control::pair()?;
    // The child's maps can be written only while it shares a memory that may be looked at. A caller that hides its
    // own does so again below.
    confine::hide_memory(false).during(Step::MakeNamespaces, "")?;
    // The list of the host's Unix sockets, which init cannot open from its own network namespace.
    let outside = std::fs::File::open("/proc/net/unix").ok();
    let namespaces = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC;
    let pid = match process::clone(namespaces).during(Step::MakeNamespaces, "")? {
        Cloned::Parent(pid) => pid,
        Cloned::Child => {
            drop((control, near));
            init::run(&Assignment {
                line,
                terminal: far,
                attach: launch.attach,
                mtu: launch.mtu,
                maps,
                unix: launch.unix,
                hidden: launch.hidden,
                read_only: launch.read_only,
                strict: launch.strict,
                outside,
                control: theirs,
            })
        }
    };
    drop((theirs, far));
    let built = give_identity(pid, &maps, &control)
        .and_then(|()| if launch.confine_caller { confine::confine_gateway() } else { Ok(()) });
    // From here on init is waited for in any case: its control socket ends with ours.
    match built {
        Ok(()) => Sandbox::await_ready((control, pid), launch.mtu, launch.strict, near),
        Err(error) => {
            drop(control);
            super::handle::end(pid);
            Err(error)
        }
    }
}

/// Refuses standard streams by which the command could reach any Unix socket: it keeps them, and what is sent to a path on
/// a socket for datagrams is no connection that could be judged.
fn check_streams() -> Result<(), LaunchError> {
    use rustix::net::sockopt::{socket_domain, socket_type};
    use rustix::stdio::{stderr, stdin, stdout};
    let streams = [("standard input", stdin()), ("standard output", stdout()), ("standard error", stderr())];
    for (name, stream) in streams {
        let is_open =
            socket_domain(stream) == Ok(AddressFamily::UNIX) && socket_type(stream) == Ok(SocketType::DGRAM);
        if is_open {
            let detail = format!("{name} is a socket for Unix datagrams");
            return Err(LaunchError::new(Step::CheckStreams, detail, Errno::PROTOTYPE));
        }
    }
    Ok(())
}

/// Writes the new user namespace's maps, and lets init build the rest.
fn give_identity(pid: Pid, maps: &IdentityMaps, control: &Control) -> Result<(), LaunchError> {
    let path = format!("/proc/{}", pid.as_raw_nonzero());
    let directory = rustix::fs::open(&*path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .during(Step::MapIdentities, &path)?;
    maps.write(&directory)?;
    control.order(Order::Build).during(Step::ConnectInit, "")
}
