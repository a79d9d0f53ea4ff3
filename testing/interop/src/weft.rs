//! A run of the command under test: how it is set up, started, and waited for.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::outcome::Outcome;
use crate::programs;
use crate::wait;
use crate::world::World;

/// The ordinary user's number, and group.
pub const ORDINARY_ID: u32 = 1000;

/// Who runs weft.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum User {
    /// Root, with all that this test has.
    #[default]
    Root,
    /// A user without any privilege.
    Ordinary,
}

/// How weft's namespace is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attach {
    /// As weft chooses.
    #[default]
    Auto,
    /// A TAP device; for an ordinary user with `/dev/net/tun` open to all, as most distributions have it.
    Tap,
    /// A veth pair, for root with `/dev/net/tun` out of reach.
    Veth,
}

/// Who runs weft, and how it attaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Who runs it.
    pub user: User,
    /// How it attaches.
    pub attach: Attach,
}

/// A run to be.
#[derive(Debug)]
#[must_use]
pub struct Run<'w> {
    world: &'w World,
    way: Way,
    task: &'static str,
    options: Vec<String>,
    variables: Vec<(String, String)>,
    input: Option<PathBuf>,
    has_host_resolver: bool,
    has_dns_option: bool,
    mounts: String,
    serial: u32,
    limit: Duration,
}

impl<'w> Run<'w> {
    pub(crate) fn new(world: &'w World, way: Way, serial: u32) -> Self {
        let variables = Vec::new();
        let limit = wait::PATIENCE;
        Self {
            world,
            way,
            task: "run",
            options: Vec::new(),
            variables,
            input: None,
            has_host_resolver: false,
            has_dns_option: true,
            mounts: String::new(),
            serial,
            limit,
        }
    }

    /// Adds `--allow RULE`.
    pub fn allow(self, rule: impl Into<String>) -> Self {
        self.option("--allow").option(rule)
    }

    /// Adds `--deny RULE`.
    pub fn deny(self, rule: impl Into<String>) -> Self {
        self.option("--deny").option(rule)
    }

    /// Adds one word to the options.
    pub fn option(mut self, word: impl Into<String>) -> Self {
        self.options.push(word.into());
        self
    }

    /// Learns instead, into this file.
    pub fn learn(mut self, output: &Path) -> Self {
        self.task = "learn";
        self.option("--output").option(output.to_string_lossy())
    }

    /// Adds a variable to the environment.
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Mounts something first, by a shell command in a mount namespace of the run's own.
    pub fn mount(mut self, command: impl AsRef<str>) -> Self {
        self.mounts = self.mounts + command.as_ref() + "\n";
        self
    }

    /// Gives weft, and what it runs, at most so many descriptors.
    pub fn open_files(self, most: u32) -> Self {
        self.mount(format!("ulimit -n {most}"))
    }

    /// Gives the command this text as its standard input.
    pub fn input(mut self, text: &str) -> Self {
        self.input = Some(self.world.write(&format!("input-{}", self.serial), text));
        self
    }

    /// Leaves `--dns` out, and makes the test's resolver the host's own.
    pub fn with_host_resolver(mut self) -> Self {
        self.has_host_resolver = true;
        self.has_dns_option = false;
        self
    }

    /// Gives the run longer than other waits.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs a shell script, and waits for its end.
    ///
    /// # Panics
    ///
    /// Where it does not end in time.
    pub fn shell(self, script: &str) -> Outcome {
        self.output(&["sh", "-c", script])
    }

    /// Runs a program, and waits for its end.
    ///
    /// # Panics
    ///
    /// Where it does not end in time.
    pub fn output<A: AsRef<OsStr>>(self, command: &[A]) -> Outcome {
        let limit = self.limit;
        self.start(command).finish_within(limit)
    }

    /// Starts a program.
    ///
    /// # Panics
    ///
    /// Where it cannot be started.
    pub fn start<A: AsRef<OsStr>>(self, command: &[A]) -> Running {
        let input =
            self.input.as_ref().map_or_else(Stdio::null, |path| File::open(path).expect("the input").into());
        self.start_on(command, input, None)
    }

    /// Starts a program on this standard input; with a terminal, that is also its output.
    pub(crate) fn start_on<A: AsRef<OsStr>>(
        self,
        command: &[A],
        input: Stdio,
        terminal: Option<&File>,
    ) -> Running {
        let stem = |suffix: &str| self.world.home().join(format!("run-{}.{suffix}", self.serial));
        let running_files = Files { stdout: stem("out"), stderr: stem("err"), events: stem("events") };
        let mut full = self.command(command, &running_files.events);
        if terminal.is_some() {
            // A session of its own, with its standard input as the terminal that it is controlled from.
            let mut session = Command::new(programs::path("setsid"));
            session.args(["--ctty", "--wait"]).arg(full.get_program()).args(full.get_args());
            session.current_dir(self.world.home());
            session.env_clear();
            session.envs(full.get_envs().filter_map(|(name, value)| Some((name, value?))));
            full = session;
        }
        let output = |path: &Path| {
            terminal.map_or_else(
                || File::create(path).expect("a file for output"),
                |terminal| terminal.try_clone().expect("a second descriptor"),
            )
        };
        full.stdin(input).stdout(output(&running_files.stdout)).stderr(output(&running_files.stderr));
        let started = Instant::now();
        let child = self.world.host.within(|| full.spawn()).expect("the run starts");
        Running { child, files: running_files, started, is_done: false }
    }

    /// Where the run keeps its ledger.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        let whose = if self.way.user == User::Ordinary { "ordinary" } else { "root" };
        self.world.home().join(format!(".weft-{whose}/ledger"))
    }

    /// The whole command line: a mount namespace with what this run should find, the user, weft, and the command.
    fn command<A: AsRef<OsStr>>(&self, command: &[A], events: &Path) -> Command {
        let mut full = Command::new(programs::path("unshare"));
        full.args(["--mount", "--propagation", "private", "--", "sh", "-ec"]);
        full.arg(format!("{}exec \"$@\"", self.mounts())).arg("sh");
        if self.way.user == User::Ordinary {
            full.arg(programs::path("setpriv"));
            full.arg(format!("--reuid={ORDINARY_ID}")).arg(format!("--regid={ORDINARY_ID}"));
            full.args(["--clear-groups", "--inh-caps=-all", "--"]);
        }
        if !is_bare() {
            full.arg(binary_for(self.world)).arg(self.task).arg("--events").arg(events);
            if self.has_dns_option {
                full.arg("--dns").arg(self.world.dns().to_string());
            }
            match self.way.attach {
                Attach::Auto => {}
                Attach::Tap => drop(full.args(["--attach", "tap"])),
                Attach::Veth => drop(full.args(["--attach", "veth"])),
            }
            full.args(&self.options).arg("--");
        }
        full.args(command).current_dir(self.world.home());
        full.env_clear().env("HOME", self.world.home()).env("PATH", programs::search_path());
        full.env("LC_ALL", "C.UTF-8").env("TMPDIR", self.world.home());
        // Of each user its own: what root makes in this home, the other could not write.
        full.env("WEFT_LEDGER", self.ledger());
        full.envs(self.variables.iter().map(|(name, value)| (name, value)));
        full
    }

    /// What is mounted over the machine's own files, as shell commands.
    fn mounts(&self) -> String {
        let mut script = self.mounts.clone();
        let mut bind =
            |path: &Path, over: &str| script += &format!("mount --bind {} {over}\n", path.display());
        // Some programs, ssh among them, refuse to run for a user without an entry.
        let mut users = fs::read_to_string("/etc/passwd").expect("the users");
        let entry = format!(":{ORDINARY_ID}:");
        if !users.lines().any(|line| line.contains(&entry)) {
            let home = self.world.home();
            users += &format!("ordinary:x:{ORDINARY_ID}:{ORDINARY_ID}::{}:/bin/sh\n", home.display());
        }
        bind(&self.world.write("passwd", users), "/etc/passwd");
        if self.has_host_resolver || is_bare() {
            let contents = format!("nameserver {}\n", self.world.dns().ip());
            bind(&self.world.write("resolv.conf", contents), "/etc/resolv.conf");
        }
        match (self.way.attach, self.way.user) {
            (Attach::Tap, User::Ordinary) => {
                let node = self.world.directory().join("tun");
                let node = node.display();
                script += &format!(
                    "[ -e {node} ] || mknod {node} c 10 200\nchmod 666 {node}\nmount --bind {node} /dev/net/tun\n"
                );
            }
            (Attach::Veth, User::Root) => bind(Path::new("/dev/null"), "/dev/net/tun"),
            (Attach::Auto, _) | (Attach::Tap, User::Root) | (Attach::Veth, User::Ordinary) => {}
        }
        script
    }
}

#[derive(Debug)]
struct Files {
    stdout: PathBuf,
    stderr: PathBuf,
    events: PathBuf,
}

/// A run that was started. It is killed when dropped before its end.
#[derive(Debug)]
pub struct Running {
    child: Child,
    files: Files,
    started: Instant,
    is_done: bool,
}

impl Running {
    /// The process that was started: weft itself, unless on a terminal.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What was written to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read(&self.files.stdout)
    }

    /// What was written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        read(&self.files.stderr)
    }

    /// Waits until standard output has a whole line that starts with `start`, and gives the rest of it.
    ///
    /// # Panics
    ///
    /// Where that takes too long, or the run ends without it.
    pub fn line(&mut self, start: &str) -> String {
        wait::until(&format!("a line {start:?}"), || {
            let ended = self.child.try_wait().expect("the run can be waited for");
            let output = self.stdout();
            let whole = output.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
            let found =
                whole.filter_map(|line| line.strip_prefix(start)).next().map(|rest| rest.trim().to_owned());
            assert!(
                found.is_some() || ended.is_none(),
                "ended without a line {start:?}: {output}\n{}",
                self.stderr()
            );
            found
        })
    }

    /// Whether the run is over.
    ///
    /// # Panics
    ///
    /// Where it cannot be waited for.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("the run can be waited for").is_some()
    }

    /// Sends a signal to weft itself.
    ///
    /// # Panics
    ///
    /// Where it is gone.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).expect("weft takes a signal");
    }

    /// Waits for the end.
    ///
    /// # Panics
    ///
    /// Where it does not come in time.
    pub fn finish(self) -> Outcome {
        self.finish_within(wait::PATIENCE)
    }

    /// Waits for the end.
    ///
    /// # Panics
    ///
    /// Where it does not come in time.
    pub fn finish_within(mut self, limit: Duration) -> Outcome {
        let status = wait::within(limit, || self.child.try_wait().expect("the run can be waited for"));
        let took = self.started.elapsed();
        let Some(status) = status else {
            panic!("the run did not end within {limit:?}:\n{}\n{}", self.stdout(), self.stderr());
        };
        self.is_done = true;
        let events = read(&self.files.events);
        let events = events.lines().map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("an event is not JSON: {error}: {line}"))
        });
        Outcome { status, stdout: self.stdout(), stderr: self.stderr(), events: events.collect(), took }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_done {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// Whether programs run without weft: `WEFT_INTEROP=bare`.
#[must_use]
pub fn is_bare() -> bool {
    env::var_os("WEFT_INTEROP").is_some_and(|mode| mode == "bare")
}

/// The command under test.
///
/// # Panics
///
/// Where it was not built.
#[must_use]
pub fn binary() -> PathBuf {
    let path = env::var_os("WEFT_BIN").map_or_else(
        || {
            let own = env::current_exe().expect("this test's path");
            own.parent().and_then(Path::parent).expect("a build directory").join("weft")
        },
        PathBuf::from,
    );
    assert!(path.is_file(), "{} is missing: run `cargo build -p weft-cli`, or set WEFT_BIN", path.display());
    path
}

/// The command under test where every user can execute it.
///
/// # Panics
///
/// Where it was not built, or cannot be copied.
#[must_use]
pub fn binary_for(world: &World) -> PathBuf {
    let (built, shared) = (binary(), world.directory().join("weft"));
    if !shared.exists() && fs::hard_link(&built, &shared).is_err() {
        fs::copy(&built, &shared).expect("a copy of weft");
    }
    shared
}

fn read(path: &Path) -> String {
    fs::read(path).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}
