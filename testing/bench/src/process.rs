//! Processes in a chosen namespace, bounded in time.
//!
//! Each gets a process group of its own, dies with this process, and is killed by its id when it is dropped or when
//! its time is over. What it prints goes to anonymous memory: nobody has to drain a pipe while it runs, and a
//! grandchild that outlives it cannot keep the reader waiting.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::thread::{Gid, LinkNameSpaceType, Uid};

/// The user and group id of "nobody" on the systems that the peers run on.
const NOBODY: u32 = 65534;

/// Most that is read of one line, in bytes: the lines waited for are a word or a small JSON object.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The unit of times in `/proc` (USER_HZ), the same on every system that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Who a process runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// As this process.
    Same,
    /// As an ordinary user without rights.
    Nobody,
}

/// Where a process runs, and as whom.
#[derive(Debug, Clone)]
pub struct Place {
    /// The network namespace it starts in.
    pub network: Arc<OwnedFd>,
    /// The user it runs as.
    pub user: User,
    /// The processor that it stays on.
    pub processor: Option<usize>,
}

impl Place {
    /// The same, on one processor.
    pub fn on(self, processor: usize) -> Self {
        Self { processor: Some(processor), ..self }
    }

    /// A command that starts in this place.
    pub fn command(&self, words: &[String]) -> Command {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).process_group(0);
        let place = self.clone();
        // SAFETY: between fork and exec only system calls are made; nothing allocates or takes a lock.
        unsafe { command.pre_exec(move || place.enter()) };
        command
    }

    fn enter(&self) -> std::io::Result<()> {
        if let Some(processor) = self.processor {
            let mut set = rustix::thread::CpuSet::new();
            set.set(processor);
            rustix::thread::sched_setaffinity(None, &set)?;
        }
        rustix::thread::move_into_link_name_space(self.network.as_fd(), Some(LinkNameSpaceType::Network))?;
        if self.user == User::Nobody {
            let group = Gid::from_raw(NOBODY);
            rustix::thread::set_thread_groups(&[group])?;
            rustix::thread::set_thread_res_gid(group, group, group)?;
            let user = Uid::from_raw(NOBODY);
            rustix::thread::set_thread_res_uid(user, user, user)?;
        }
        // After the change of user, which clears it.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        Ok(())
    }
}

/// What a process left behind.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output of a process that ended well, else what it complained of.
    pub fn success(self) -> Result<String, String> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        let complaint = last_line(&self.stderr).or_else(|| last_line(&self.stdout)).unwrap_or("said nothing");
        Err(format!("{}: {complaint}", self.status))
    }
}

fn last_line(text: &str) -> Option<&str> {
    text.lines().map(str::trim).rfind(|line| !line.is_empty())
}

/// Runs a command to its end, at most `limit` long.
pub fn run(command: Command, limit: Duration) -> Result<Output, String> {
    run_with_input(command, "", limit)
}

/// Runs a command that reads `input`, at most `limit` long.
pub fn run_with_input(mut command: Command, input: &str, limit: Duration) -> Result<Output, String> {
    let mut stdin = memory()?;
    std::io::Write::write_all(&mut stdin, input.as_bytes()).map_err(|error| error.to_string())?;
    stdin.rewind().map_err(|error| error.to_string())?;
    let (stdout, stderr) = (memory()?, memory()?);
    command.stdin(stdin).stdout(duplicate(&stdout)?).stderr(duplicate(&stderr)?);
    let status = Running::spawn(command)?.wait(limit)?;
    Ok(Output { status, stdout: contents(stdout)?, stderr: contents(stderr)? })
}

/// A process that goes on until it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pidfd: OwnedFd,
    name: String,
    /// What it complained of, where that is kept.
    stderr: Option<File>,
}

impl Running {
    /// Starts a command as it stands.
    pub fn spawn(mut command: Command) -> Result<Self, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        let pidfd = rustix::process::pidfd_open(pid_of(&child), PidfdFlags::empty())
            .map_err(|error| format!("{name}: {error}"))?;
        Ok(Self { child, pidfd, name, stderr: None })
    }

    /// Starts a command with pipes for standard input and output.
    pub fn spawn_piped(mut command: Command) -> Result<(Self, ChildStdin), String> {
        let stderr = memory()?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(duplicate(&stderr)?);
        let mut running = Self::spawn(command)?;
        running.stderr = Some(stderr);
        let stdin = running.child.stdin.take().expect("standard input is a pipe");
        Ok((running, stdin))
    }

    /// Starts a command and waits until a line of its standard output contains `word`.
    pub fn spawn_until(command: Command, word: &str, limit: Duration) -> Result<(Self, ChildStdin), String> {
        let (mut running, stdin) = Self::spawn_piped(command)?;
        running.wait_for_line(word, limit)?;
        Ok((running, stdin))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Seconds that it has run for itself and in the kernel, from `/proc/PID/stat`.
    pub fn seconds_used(&self) -> Option<(f64, f64)> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).ok()?;
        // The name in parentheses may hold anything; after it come the state, and the times as the 12th and 13th.
        let mut times = stat.rsplit_once(") ")?.1.split(' ').skip(11);
        let mut seconds = || times.next()?.parse().ok().map(|ticks: f64| ticks / TICKS_PER_SECOND);
        Some((seconds()?, seconds()?))
    }

    /// Reads standard output, which is a pipe, up to a line that contains `word`.
    pub fn wait_for_line(&mut self, word: &str, limit: Duration) -> Result<String, String> {
        let deadline = Instant::now() + limit;
        let mut line = Vec::new();
        loop {
            line.push(self.read_byte(deadline)?);
            if line.ends_with(b"\n") || line.len() == LINE_BYTES_MAX {
                let text = String::from_utf8_lossy(&line);
                if text.contains(word) {
                    return Ok(text.into_owned());
                }
                line.clear();
            }
        }
    }

    /// Reads standard output, which is a pipe, up to a byte.
    pub fn wait_for_byte(&mut self, byte: u8, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        while self.read_byte(deadline)? != byte {}
        Ok(())
    }

    fn read_byte(&mut self, deadline: Instant) -> Result<u8, String> {
        let stdout = self.child.stdout.as_mut().expect("standard output is a pipe");
        if !readable(&stdout, deadline)? {
            return Err(self.failure("was not ready in time"));
        }
        let mut byte = [0];
        match stdout.read(&mut byte) {
            Ok(1) => Ok(byte[0]),
            Ok(_) => Err(self.failure("ended early")),
            Err(error) => Err(self.failure(&error.to_string())),
        }
    }

    fn failure(&self, what: &str) -> String {
        let said = self.stderr.as_ref().and_then(|file| contents(duplicate(file).ok()?).ok());
        match said.as_deref().and_then(last_line) {
            Some(complaint) => format!("{} {what}: {complaint}", self.name),
            None => format!("{} {what}", self.name),
        }
    }

    /// Waits for its end; after `limit` it is killed.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, String> {
        if readable(&self.pidfd, Instant::now() + limit)? {
            return self.child.wait().map_err(|error| error.to_string());
        }
        self.kill();
        Err(format!("{} was still running after {} s", self.name, limit.as_secs()))
    }

    fn kill(&mut self) {
        // By their own ids: a sandbox may have left the process group. None is reaped before its parent ends, so no
        // id is another's yet; an error means that it is gone already.
        for process in family(self.id()).into_iter().filter_map(|id| Pid::from_raw(id.cast_signed())) {
            let _ = rustix::process::kill_process(process, Signal::KILL);
        }
        let _ = rustix::process::kill_process_group(pid_of(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.kill();
        }
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// Waits until `fd` can be read; false when the deadline came first.
fn readable(fd: &impl AsFd, deadline: Instant) -> Result<bool, String> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout)) {
            Ok(count) => return Ok(count > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// A process and all that it brought up and that still has its parent, parents first.
pub fn family(process: u32) -> Vec<u32> {
    let parents = parents_by_process();
    let mut found = vec![process];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|&(_, &of)| of == parent).map(|(&process, _)| process));
        next += 1;
    }
    found
}

/// The parent of every process of this machine, from `/proc/PID/stat`.
fn parents_by_process() -> BTreeMap<u32, u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let process: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in parentheses may hold anything; after it come the state and the parent.
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            Some((process, parent))
        })
        .collect()
}

/// A path by which another process of the same user opens one of this process's descriptors.
pub fn descriptor_path(fd: &OwnedFd) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd())
}

fn memory() -> Result<File, String> {
    rustix::fs::memfd_create("bench", MemfdFlags::CLOEXEC).map(File::from).map_err(|error| error.to_string())
}

fn duplicate(file: &File) -> Result<File, String> {
    file.try_clone().map_err(|error| error.to_string())
}

fn contents(mut file: File) -> Result<String, String> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0);
        command
    }

    #[test]
    fn output_and_status_are_kept() {
        let output =
            run_with_input(shell("cat; echo why >&2; exit 3"), "in", Duration::from_secs(10)).unwrap();
        assert_eq!((output.stdout.as_str(), output.status.code()), ("in", Some(3)));
        assert!(output.success().unwrap_err().ends_with("why"));
    }

    #[test]
    fn a_process_over_its_time_is_killed() {
        let mut running = Running::spawn(shell("exec sleep 600")).unwrap();
        let path = format!("/proc/{}", running.id());
        assert!(std::fs::exists(&path).unwrap());
        assert!(running.wait(Duration::from_millis(50)).unwrap_err().contains("still running"));
        assert!(!std::fs::exists(&path).unwrap());
    }

    #[test]
    fn what_left_the_group_is_killed_too() {
        let script = "setsid sh -c 'echo mine $$; exec sleep 600' & wait";
        let (mut running, _stdin) = Running::spawn_piped(shell(script)).unwrap();
        let line = running.wait_for_line("mine", Duration::from_secs(10)).unwrap();
        let id: u32 = line.trim().strip_prefix("mine ").unwrap().parse().unwrap();
        assert!(family(running.id()).contains(&id));
        drop(running);
        let deadline = Instant::now() + Duration::from_secs(10);
        let ended =
            || std::fs::read_to_string(format!("/proc/{id}/stat")).map_or(true, |stat| stat.contains(") Z "));
        while !ended() {
            assert!(Instant::now() < deadline, "the grandchild goes on");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_line_is_waited_for() {
        let limit = Duration::from_secs(10);
        let (running, _stdin) =
            Running::spawn_until(shell("echo no; echo ready now; cat"), "ready", limit).unwrap();
        assert!(running.id() > 0);
        assert!(Running::spawn_until(shell("echo sorry >&2"), "ready", limit).unwrap_err().contains("sorry"));
    }
}
