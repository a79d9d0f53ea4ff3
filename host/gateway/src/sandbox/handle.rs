//! A sandbox that stands, in the gateway's hands.

use super::control::{Control, Deed, Order, Report};
use super::device::{AttachedDevice, Attachment};
use super::error::{LaunchError, Step, Warning};
use super::terminal::Terminal;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Pid, Signal, WaitOptions};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// What [`launch`](super::launch) gives.
#[derive(Debug)]
pub struct Launched {
    /// The processes.
    pub sandbox: Sandbox,
    /// The frames.
    pub device: AttachedDevice,
    /// A NETLINK_SOCK_DIAG socket of the sandbox's network namespace: it lists the sockets inside
    /// (sock_diag(7)), by which a connection's owner is found.
    pub socket_tables: OwnedFd,
    /// The near end of the command's own terminal, where it has one.
    pub terminal: Option<OwnedFd>,
}

/// The processes of a sandbox. Dropped, it kills them all and waits until they are gone.
#[derive(Debug)]
pub struct Sandbox {
    control: Control,
    init: Pid,
    command: OwnedFd,
    command_pid: Pid,
    attachment: Attachment,
    warnings: Vec<Warning>,
    terminal: Option<Terminal>,
    interrupts: u32,
    is_stopped: bool,
    is_guarded: bool,
    news: VecDeque<GuardNews>,
    exit: Option<Exit>,
}

/// What the guard tells.
#[derive(Debug)]
pub enum GuardNews {
    /// A program inside waits in a call until it was looked at.
    Called(Call),
    /// A program inside asks for a Unix socket of the host's.
    Asked(SocketQuestion),
    /// It was allowed, and what came of connecting to it.
    Opened {
        /// The question's number.
        number: u64,
        /// Why it was not connected.
        error: Option<Errno>,
    },
    /// One of the first two came without its descriptors, for which the gateway has no place: it was refused by that.
    Lost,
}

/// A program inside waits in a call. The kernel goes on with it when the last copy of the answer is gone.
#[derive(Debug)]
pub struct Call {
    /// The number, among the gateway's processes, of the thread that called; `None` where it has ended.
    pub thread: Option<Pid>,
    /// What it does.
    pub deed: Deed,
    /// Where it is said that it was looked at.
    pub answer: Answer,
}

/// A program inside asks for a Unix socket of the host's, and waits for the answer.
#[derive(Clone, Debug)]
pub struct SocketQuestion {
    /// The question's own number.
    pub number: u64,
    /// The number, among the gateway's processes, of the thread that asks; `None` where it has ended.
    pub thread: Option<Pid>,
    /// The socket's path, as the sandbox sees it.
    pub path: String,
    /// The rule that means it, as it was written; `None` where none does.
    pub rule: Option<String>,
    /// Whether it is refused: by that rule, or because there is none. Where it is not, and there is no rule, it is refused
    /// because who asks is in another network namespace than the command, of whose rules none speaks there.
    pub denied: bool,
    /// Whether a yes opens it though no rule does: it is the socket that lies at the path.
    pub may_ask: bool,
    /// Where the answer goes.
    pub answer: Answer,
}

impl SocketQuestion {
    /// Whether it is refused for where it is asked: in a network namespace that was made inside.
    pub fn is_elsewhere(&self) -> bool {
        self.rule.is_none() && !self.denied
    }
}

/// Where the answer to a question goes. When the last copy of it goes without one, that is a no.
#[derive(Clone, Debug)]
pub struct Answer(Arc<OwnedFd>);

impl Answer {
    /// Yes: the call goes on. One that has ended meanwhile hears nothing.
    pub fn allow(&self) {
        let _ = rustix::net::send(&*self.0, &[1], SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }

    /// Whether the sandbox is still there to hear it.
    pub fn is_awaited(&self) -> bool {
        let mut ready = [PollFd::new(&*self.0, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut ready, Some(&now)).is_ok() && !ready[0].revents().contains(PollFlags::HUP)
    }
}

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status.
    Status(u8),
    /// It was ended by this signal.
    Signal(i32),
    /// It was never executed, for this reason.
    NotExecuted(Errno),
    /// Its init process ended without telling: somebody killed the sandbox.
    Killed,
}

impl Exit {
    /// The exit status that says the same of another process, as shells have it: 128 and the signal, 127 where the
    /// program was not found, 126 where it could not be executed.
    pub fn status(self) -> u8 {
        match self {
            Self::Status(status) => status,
            Self::Signal(signal) => 128u8.saturating_add(u8::try_from(signal).unwrap_or(127)),
            Self::NotExecuted(error) => status_of_error(error),
            Self::Killed => 128 + 9,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exited with {status}"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::NotExecuted(Errno::NOENT) => f.write_str("not found"),
            Self::NotExecuted(error) => write!(f, "cannot be executed: {error}"),
            Self::Killed => f.write_str("killed with its sandbox"),
        }
    }
}

pub(super) fn status_of_error(error: Errno) -> u8 {
    if error == Errno::NOENT { 127 } else { 126 }
}

impl Sandbox {
    /// Waits for init's word that it stands, and takes over what it hands out.
    pub(super) fn await_ready(
        (control, init): (Control, Pid),
        mtu: u16,
        strict: bool,
        own_terminal: Option<OwnedFd>,
    ) -> Result<Launched, LaunchError> {
        let mut building = Building { init: Some(init), warnings: Vec::new() };
        loop {
            let error = match control.next_report(RecvFlags::empty()) {
                Ok(Some(Report::Warned(warning))) if !(strict && warning.step.closes_a_way()) => {
                    building.warnings.push(warning);
                    continue;
                }
                Ok(Some(Report::Ready { attachment, device, socket_tables, command, guarded })) => {
                    let command_pid = pid_of(&command)?;
                    let device = AttachedDevice::new(attachment, device, mtu);
                    building.init = None;
                    let lent = own_terminal.is_none().then(|| Terminal::open(init)).flatten();
                    let sandbox = Self {
                        control,
                        init,
                        command,
                        command_pid,
                        attachment,
                        warnings: std::mem::take(&mut building.warnings),
                        terminal: lent,
                        interrupts: 0,
                        is_stopped: false,
                        is_guarded: guarded,
                        news: VecDeque::new(),
                        exit: None,
                    };
                    return Ok(Launched { sandbox, device, socket_tables, terminal: own_terminal });
                }
                Ok(Some(Report::Failed(error) | Report::Warned(error))) => error,
                Ok(Some(other)) => {
                    LaunchError::new(Step::WaitForInit, format!("it said {other:?}"), Errno::PROTO)
                }
                Ok(None) => LaunchError::new(Step::WaitForInit, "it ended", Errno::CHILD),
                Err(error) => LaunchError::new(Step::WaitForInit, "", error),
            };
            return Err(error);
        }
    }

    /// Lets the command run. Once; more often does nothing.
    ///
    /// # Errors
    ///
    /// Where init is gone.
    pub fn start(&mut self) -> Result<(), Errno> {
        if let Some(terminal) = &self.terminal {
            terminal.lend();
        }
        self.control.order(Order::Start)
    }

    /// How the link is attached.
    pub fn attachment(&self) -> Attachment {
        self.attachment
    }

    /// What could not be done, and is done without.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// A descriptor that becomes readable when [`try_status`](Self::try_status) has something to do.
    pub fn control_fd(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// The command's number among the gateway's processes.
    pub fn command_pid(&self) -> Pid {
        self.command_pid
    }

    /// Init's number among the gateway's processes: all processes inside descend from it.
    pub fn init_pid(&self) -> Pid {
        self.init
    }

    /// Takes in what init has told, and says how the command ended once it has.
    ///
    /// Where the terminal stopped the command, this stops the gateway with it, and returns when both go on.
    ///
    /// # Errors
    ///
    /// Why init is not to be understood any more.
    pub fn try_status(&mut self) -> Result<Option<Exit>, Errno> {
        while self.exit.is_none() {
            match self.control.next_report(RecvFlags::DONTWAIT) {
                Ok(Some(Report::Interrupted)) => self.interrupts += 1,
                Ok(Some(Report::Socket { number, caller, answer, path, rule, denied, may_ask })) => {
                    let (thread, answer) = (pid_of(&caller).ok(), Answer(Arc::new(answer)));
                    let question = SocketQuestion { number, thread, path, rule, denied, may_ask, answer };
                    self.news.push_back(GuardNews::Asked(question));
                }
                Ok(Some(Report::SocketOpened { number, error })) => {
                    self.news.push_back(GuardNews::Opened { number, error });
                }
                Ok(Some(Report::Called { caller, answer, deed })) => {
                    let (thread, answer) = (pid_of(&caller).ok(), Answer(Arc::new(answer)));
                    self.news.push_back(GuardNews::Called(Call { thread, deed, answer }));
                }
                Ok(Some(Report::Lost)) => self.news.push_back(GuardNews::Lost),
                Ok(Some(Report::Stopped(signal))) => match &self.terminal {
                    Some(terminal) => terminal.stop_with_command(signal),
                    None => self.is_stopped |= signal == libc::SIGTSTP,
                },
                Ok(Some(Report::NotExecuted(error))) => self.exit = Some(Exit::NotExecuted(error)),
                // wait(2) gives eight bits of it.
                Ok(Some(Report::Exited(status))) => self.exit = Some(Exit::Status(status as u8)),
                Ok(Some(Report::Signalled(signal))) => self.exit = Some(Exit::Signal(signal)),
                Ok(Some(Report::Warned(_) | Report::Failed(_) | Report::Ready { .. })) => {
                    return Err(Errno::PROTO);
                }
                Ok(None) => self.exit = Some(Exit::Killed),
                Err(Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(self.exit)
    }

    /// How often the terminal has interrupted the command (Ctrl-C) since the last call. The command has had the
    /// signal already.
    pub fn take_interrupts(&mut self) -> u32 {
        std::mem::take(&mut self.interrupts)
    }

    /// Whether the command was stopped by its own terminal (Ctrl-Z) since the last call. It goes on by
    /// [`resume`](Self::resume).
    pub fn take_stop(&mut self) -> bool {
        std::mem::take(&mut self.is_stopped)
    }

    /// Has the command go on that was stopped.
    pub fn resume(&self) {
        // A command that has a terminal of its own has a group of its own there.
        let _ = rustix::process::kill_process_group(self.command_pid, Signal::CONT);
    }

    /// The next that the guard has told.
    pub fn take_guard_news(&mut self) -> Option<GuardNews> {
        self.news.pop_front()
    }

    /// Whether there is a guard, which tells who calls. There is none in a run within a run, whose calls the outer one
    /// judges.
    pub fn is_guarded(&self) -> bool {
        self.is_guarded
    }

    /// Passes a signal on to the command.
    ///
    /// # Errors
    ///
    /// ESRCH where it has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        rustix::process::pidfd_send_signal(&self.command, signal)
    }

    /// Ends all processes inside at once.
    pub fn kill(&self) {
        // Init has not been waited for: its number is still its own.
        let _ = rustix::process::kill_process(self.init, Signal::KILL);
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        end(self.init);
        if let Some(terminal) = &self.terminal {
            terminal.take_back();
        }
    }
}

/// Kills init, and with it everything inside, and waits until all of it is gone.
pub(super) fn end(init: Pid) {
    let _ = rustix::process::kill_process(init, Signal::KILL);
    while let Err(Errno::INTR) = rustix::process::waitpid(Some(init), WaitOptions::empty()) {}
}

/// What has been gathered while init builds; dropped on the way, it ends init.
struct Building {
    init: Option<Pid>,
    warnings: Vec<Warning>,
}

impl Drop for Building {
    fn drop(&mut self) {
        if let Some(init) = self.init {
            end(init);
        }
    }
}

/// The number that the process of a pidfd has among ours (pidfd_open(2): the `Pid:` of its fdinfo).
fn pid_of(pidfd: &OwnedFd) -> Result<Pid, LaunchError> {
    use rustix::fd::AsRawFd;
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let number = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    // One that has ended has the number -1.
    number.filter(|number| *number > 0).and_then(Pid::from_raw).ok_or(LaunchError::new(
        Step::WaitForInit,
        path,
        Errno::SRCH,
    ))
}
