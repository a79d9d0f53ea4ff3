//! Pid 1 of the sandbox: builds it, starts the command, and tells the gateway how it ends.

use super::attach;
use super::command::{Command, CommandLine, Confinement};
use super::confine;
use super::control::{Control, Order, Report};
use super::error::{During, LaunchError, Step};
use super::groups;
use super::guard::{self, Base, Listener, Opened, Setting, Voice};
use super::identity::IdentityMaps;
use super::mounts;
use super::process::{self, SignalSet};
use super::pseudo_terminal::FarEnd;
use super::unix_rules::UnixRules;
use crate::options::Attach;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Signal, WaitOptions};
use rustix::thread::CapabilitySet;
use std::ffi::c_int;
use std::fs::File;
use std::path::PathBuf;

/// The signals that init reads; all others stay blocked, and none ends it but the gateway's SIGKILL.
const SIGNALS: [c_int; 2] = [libc::SIGCHLD, libc::SIGINT];

/// What init is told from the start.
pub(super) struct Assignment {
    pub line: CommandLine,
    /// The command's own terminal.
    pub terminal: Option<FarEnd>,
    pub attach: Attach,
    pub mtu: u16,
    pub maps: IdentityMaps,
    pub unix: UnixRules,
    /// Directories that the command must not reach.
    pub hidden: Vec<PathBuf>,
    pub read_only: Vec<PathBuf>,
    pub strict: bool,
    /// The list of the host's Unix sockets.
    pub outside: Option<File>,
    pub control: Control,
}

/// Runs init; does not return. A panic must not unwind into the copy of the gateway's stack.
pub(super) fn run(assignment: &Assignment) -> ! {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| live(assignment)));
    process::exit(match outcome {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            assignment.control.report(&Report::Failed(error));
            1
        }
        Err(_) => 1,
    })
}

fn live(assignment: &Assignment) -> Result<(), LaunchError> {
    let step = Step::PrepareInit;
    let control = &assignment.control;
    if control.next_order() != Some(Order::Build) {
        return Ok(());
    }
    process::set_blocked(SignalSet::all());
    rustix::thread::set_name(c"weft-init").during(step, "its name")?;
    rustix::thread::set_no_new_privs(true).during(step, "no_new_privs")?;
    confine::hide_memory(true).during(step, "its memory")?;
    // A group of its own: the command could otherwise reach the gateway by `kill(0, ...)`, which names the group
    // that it was started in wherever its members are.
    match &assignment.terminal {
        Some(far) => far.take().during(Step::OpenTerminal, "making it the session's")?,
        None => rustix::process::setpgid(None, None).during(step, "its process group")?,
    }
    let signals = process::signal_fd(SignalSet::of(&SIGNALS)).during(step, "its signals")?;
    let command = build(assignment)?;
    leave_files().during(step, "closing the gateway's files")?;
    serve(control, &signals, &command)
}

/// Builds everything, and tells that it stands.
fn build(assignment: &Assignment) -> Result<Command, LaunchError> {
    let control = &assignment.control;
    let warn = |error| control.report(&Report::Warned(error));
    let link = attach::attach(assignment.attach, assignment.mtu)?;
    let ipv6 = attach::configure(assignment.mtu)?;
    let has_ipv6 = ipv6.is_ok();
    ipv6.unwrap_or_else(warn);
    let socket_tables = attach::socket_tables()?;
    let foreign_proc = mounts::mount_proc().map_err(warn).is_err();
    attach::allow_ping(assignment.maps.group_bounds()).unwrap_or_else(warn);
    attach::allow_ports().unwrap_or_else(warn);
    attach::refuse_fast_open().unwrap_or_else(warn);
    groups::close().unwrap_or_else(warn);
    mounts::protect(rustix::process::geteuid().is_root(), &warn)?;
    mounts::mount_files((has_ipv6, assignment.terminal.is_some()), &assignment.unix, &warn)?;
    keep_directories(assignment)?;
    if let Some(terminal) = assignment.terminal.as_ref().and_then(|far| far.covered.clone()) {
        mounts::cover(&terminal, Step::CoverTerminal)?;
    }
    let obstacle = guard::obstacle(foreign_proc);
    if let Some(obstacle) = obstacle {
        warn(LaunchError::new(Step::GuardSockets, obstacle, Errno::NOSYS));
    }
    let bonds = Confinement { foreign_proc, judged: obstacle.is_none() };
    let command = Command::spawn(&assignment.line, &assignment.maps, bonds)?;
    if let Some(far) = &assignment.terminal {
        far.hand_over(command.pid()).during(Step::OpenTerminal, "handing it over")?;
    }
    let pidfd = command.pidfd()?;
    let guarded = guard_sockets(assignment, &command, &pidfd)?;
    confine::confine_init(CapabilitySet::empty())?;
    // After the last change of credentials, which would clear it. A gateway that died before is seen by the end
    // of the control socket.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .during(Step::PrepareInit, "its death signal")?;
    control.report(&Report::Ready {
        attachment: link.attachment,
        device: link.device,
        socket_tables,
        command: pidfd,
        guarded,
    });
    Ok(command)
}

/// Keeps from the command what it must not write, or not see.
fn keep_directories(assignment: &Assignment) -> Result<(), LaunchError> {
    let Assignment { hidden, read_only, .. } = assignment;
    let is_root = rustix::process::geteuid().is_root();
    let here = rustix::process::getcwd(Vec::new());
    mounts::expect_outside(hidden, read_only)?;
    mounts::make_read_only(read_only, is_root)?;
    mounts::hide(hidden, is_root)?;
    mounts::enter_again(here, read_only)
}

/// Has threads of init judge calls, once the command is bound; whether they do.
fn guard_sockets(assignment: &Assignment, command: &Command, pidfd: &OwnedFd) -> Result<bool, LaunchError> {
    let control = &assignment.control;
    let bound = command.bound()?;
    if let Err(error) = bound.domain
        && assignment.strict
    {
        control.report(&Report::Warned(LaunchError::new(Step::EnterDomain, "", error)));
    }
    if let Err(error) = bound.filter {
        control.report(&Report::Warned(LaunchError::new(Step::GuardSockets, "", error)));
    }
    let Some(listener) = bound.listener else { return Ok(false) };
    let step = Step::GuardSockets;
    let outside = assignment.outside.as_ref().map(File::try_clone).transpose().during(step, "a table")?;
    let base = Base::of_caller(pidfd, outside, assignment.maps.sets_groups())?;
    let voice = Voice::new(control.copy()?);
    confine::confine_init(guard::capabilities())?;
    let setting = Setting { rules: Opened::now(&assignment.unix), base, voice };
    guard::start(Listener::new(listener), setting).map(|()| true)
}

/// Lets go of the gateway's standard streams: whoever reads them must see their end when the command closes them.
fn leave_files() -> Result<(), Errno> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)
}

/// Waits: for orders, for children, for the terminal.
fn serve(control: &Control, signals: &OwnedFd, command: &Command) -> Result<(), LaunchError> {
    loop {
        let mut ready = [PollFd::new(control, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        match rustix::event::poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).during(Step::PrepareInit, "waiting"),
        }
        let [control_ready, signals_ready] = ready.map(|fd| !fd.revents().is_empty());
        if control_ready {
            match control.next_order() {
                Some(Order::Start) => {
                    if let Err(error) = command.start() {
                        control.report(&Report::NotExecuted(error));
                        return Ok(());
                    }
                }
                Some(Order::Build) => {}
                None => return Ok(()),
            }
        }
        if signals_ready && handle_signals(control, signals, command) {
            return Ok(());
        }
    }
}

/// Whether the command has ended.
fn handle_signals(control: &Control, signals: &OwnedFd, command: &Command) -> bool {
    while let Some(arrived) = process::read_signal(signals) {
        // Only the terminal counts: the command can send this signal too.
        if arrived.signal == libc::SIGINT && arrived.by_kernel {
            control.report(&Report::Interrupted);
        }
    }
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
        if pid != command.pid() {
            continue;
        }
        if let Some(signal) = status.stopping_signal() {
            control.report(&Report::Stopped(signal));
        } else if let Some(code) = status.exit_status() {
            control.report(&Report::Exited(code));
            return true;
        } else if let Some(signal) = status.terminating_signal() {
            control.report(&Report::Signalled(signal));
            return true;
        }
    }
    false
}
