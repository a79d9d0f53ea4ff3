//! Just enough of the usual test harness for `cargo test` and `cargo nextest`, and how a test starts a launcher.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A test's name and what it does; it panics where it fails.
pub type Case = (&'static str, fn());

/// How long anything in a test may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long one test may take before it is ended, in seconds.
const CASE_SECONDS_MAX: u32 = 60;

/// An ordinary user, whether it has a name here or not.
const USER: u32 = 1000;

/// Lists the tests, or runs those that the arguments name.
pub fn run(cases: &[Case], arguments: &[String]) -> ! {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--list") {
        if !has("--ignored") {
            cases.iter().for_each(|(name, _)| println!("{name}: test"));
        }
        std::process::exit(0);
    }
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let chosen = |name: &str| {
        filters.is_empty()
            || filters
                .iter()
                .any(|filter| if has("--exact") { name == *filter } else { name.contains(*filter) })
    };
    let mut failed = 0;
    for (name, case) in cases.iter().filter(|(name, _)| chosen(name)) {
        // A test that waits for what never comes is ended by SIGALRM.
        // SAFETY: takes an integer.
        unsafe { libc::alarm(CASE_SECONDS_MAX) };
        let outcome = catch_unwind(case);
        println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
        failed += usize::from(outcome.is_err());
    }
    println!("{failed} failed");
    std::process::exit(i32::from(failed > 0));
}

/// Whether the test process is root. Where it is not, what only root can set up is told and passed over; on CI that is a
/// failure.
pub fn root_or_passed_over(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!ci, "{what} needs root, and CI must test it");
        println!("passed over, as it needs root: {what}");
    }
    root
}

/// Who launches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Root; the test itself is.
    Root,
    /// An ordinary user.
    User,
}

/// A copy of this binary that every user can execute, gone with the value.
pub struct Copy {
    directory: PathBuf,
}

impl Copy {
    /// Copies the binary into a directory of its own.
    pub fn make() -> Self {
        let directory = std::env::temp_dir().join(format!("weft-sandbox-test-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&directory, open.clone()).expect("permissions");
        let copy = Self { directory };
        std::fs::copy("/proc/self/exe", copy.path()).expect("a copy of the test");
        std::fs::set_permissions(copy.path(), open).expect("permissions");
        copy
    }

    /// Where the copy is.
    pub fn path(&self) -> PathBuf {
        self.directory.join("sandbox-test")
    }

    /// The launcher as `who`, ready to be given options and a command. An ordinary user gets a `/dev/net/tun` that all
    /// may open, in a mount namespace of the test's own.
    pub fn launcher(&self, who: Who, attach: &str) -> Command {
        let root = rustix::process::geteuid().is_root();
        let mut command = match who {
            Who::User if root => {
                let mut shell = self.prepared(
                    "mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && \
                     exec setpriv --reuid $USER_NUMBER --regid $USER_NUMBER --clear-groups \"$@\"",
                );
                shell.env("USER_NUMBER", USER.to_string());
                shell.arg(self.path());
                shell
            }
            _ => Command::new(self.path()),
        };
        command.args(["launch", attach]).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A shell in a mount namespace of its own that prepares something and then executes its arguments.
    pub fn prepared(&self, script: &str) -> Command {
        let mut shell = Command::new("unshare");
        shell.args(["-m", "sh", "-c", script, "sh"]);
        shell
    }

    /// Runs a probe of [`inside`](crate::inside) and returns what it printed, after making sure that it ended well.
    pub fn probe(&self, launcher: &mut Command, arguments: &[&str]) -> String {
        let output = run_to_end(launcher.arg(self.path()).arg("inside").args(arguments));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}\n{text}\n{}", output.status, stderr(&output));
        text
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Runs a command to its end.
pub fn run_to_end(command: &mut Command) -> Output {
    command.output().expect("the command starts")
}

/// What a command wrote to its standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        // What is waited for is the kernel's own work, which tells nobody when it is done.
        std::thread::yield_now();
    }
}

/// Says a line to whoever reads our standard output, at once.
pub fn say(line: &str) {
    println!("{line}");
    let _ = std::io::stdout().flush();
}
