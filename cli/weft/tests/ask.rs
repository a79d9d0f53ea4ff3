//! `weft learn --ask` as a shell with job control sees it, and a script without a terminal.

#[path = "../../../host/gateway/tests/sandbox/session.rs"]
mod session;

use session::Session;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A directory of a test's own, gone with the value.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weft-ask-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    /// `weft learn --ask` as a shell writes it.
    fn command(&self) -> String {
        let (weft, rules) = (env!("CARGO_BIN_EXE_weft"), self.file("learned"));
        format!("{weft} learn --ask -o {rules} --no-ledger --")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let directory = Directory::new("none");
    let (weft, rules) = (env!("CARGO_BIN_EXE_weft"), directory.file("learned"));
    // In a session of its own there is none.
    let output = Command::new("setsid")
        .args(["--wait", weft, "learn", "--ask", "-o", &rules, "--no-ledger", "--", "echo", "ran"])
        .stdin(Stdio::null())
        .output()
        .expect("setsid(1)");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0), "{told}");
    assert!(!std::path::Path::new(&rules).exists(), "nothing is written for nothing");
    assert!(told.contains("--ask needs a terminal") && told.contains("or without --ask"), "{told}");
}

#[test]
fn control_z_at_a_question_stops_the_whole_job() {
    let directory = Directory::new("stop");
    let program = "python3 -c 'import socket; s = socket.socket(); s.settimeout(60); s.connect_ex((\"192.0.2.1\", 9)); print(\"went\" + \" on\")'";
    let script = format!(
        "set -m; {} {program}; echo stopped $?; stty -a | grep -o -e ' icanon'; fg; echo ended $?; stty -a | grep -o -e ' icanon'",
        directory.command()
    );
    let mut session = Session::start(&script);
    session.until_shown("tcp://192.0.2.1:9 [o/a/n]? ", 1);
    session.type_in("\x1a");
    session.until_shown(&format!("stopped {}", 128 + 20), 1);
    // The shell has its terminal as it was, and the question is asked again when it goes on.
    session.until_shown(" icanon", 1);
    session.until_shown("tcp://192.0.2.1:9 [o/a/n]? ", 2);
    session.type_in("n\n");
    session.until_shown("went on", 1);
    session.until_shown("ended 0", 1);
    session.until_shown(" icanon", 2);
    let (status, shown) = session.end();
    assert_eq!(status, Some(0), "{shown}");
    let policy = std::fs::read_to_string(directory.file("learned")).expect("the policy");
    assert!(policy.ends_with("\ndeny tcp://192.0.2.1:9\n"), "{policy}");
}

#[test]
fn control_z_in_the_command_stops_it_as_without_weft() {
    let directory = Directory::new("job");
    let script = format!(
        "set -m; {} sh -c 'echo ready; read line; echo got $line; exit 9'; echo stopped $?; fg; echo ended $?",
        directory.command()
    );
    let mut session = Session::start(&script);
    session.until_shown("ready", 1);
    session.type_in("\x1a");
    session.until_shown(&format!("stopped {}", 128 + 20), 1);
    session.type_in("hello\n");
    session.until_shown("got hello", 1);
    session.until_shown("ended 9", 1);
    let (status, shown) = session.end();
    assert_eq!(status, Some(0), "{shown}");
}

#[test]
fn a_shell_with_jobs_of_its_own_runs_inside() {
    let directory = Directory::new("jobs");
    let script = format!(
        "{} sh -m -c 'cat; echo status $?; sh -c \"echo going; exec sleep 1000\"; echo status $?; exit 3'",
        directory.command()
    );
    let mut session = Session::start(&script);
    session.type_in("typed\n");
    // Typed, and shown by cat.
    session.until_shown("typed", 2);
    session.type_in("\x04");
    session.until_shown("status 0", 1);
    session.until_shown("going", 1);
    // The signal is the job's that has the terminal, not the shell's and not weft's.
    session.type_in("\x1c");
    session.until_shown("status 131", 1);
    assert_eq!(session.end().0, Some(3));
}

const CONNECTOR: &str = "import socket, sys\n\
    for path in sys.argv[1:]:\n    \
        try:\n        socket.socket(socket.AF_UNIX).connect(path); told = \"reached\"\n    \
        except OSError as error: told = type(error).__name__\n    \
        print(\"<\" + path.rsplit(\"/\")[-1], told + \">\", flush=True)\n";

#[test]
fn unix_sockets_of_the_host_are_asked_about_as_everything_else() {
    let directory = Directory::new("unix");
    let listeners = ["once", "always", "never", "ruled"]
        .map(|name| UnixListener::bind(directory.file(name)).expect("a socket of the host's"));
    let paths =
        ["once", "once", "always", "always", "never", "never", "ruled"].map(|name| directory.file(name));
    let (program, ruled) = (directory.file("connect.py"), directory.file("ruled"));
    std::fs::write(&program, CONNECTOR).expect("written");
    let weft =
        directory.command().replace(" --no-ledger --", &format!(" --no-ledger --allow unix:{ruled} --"));
    let mut session = Session::start(&format!("{weft} python3 {program} {}", paths.join(" ")));
    let mut answer = |name: &str, count, keys: &str| {
        session.until_shown(&format!("unix:{} [o/a/n]? ", directory.file(name)), count);
        session.type_in(keys);
    };
    answer("once", 1, "o\n");
    answer("once", 2, "\x04");
    answer("always", 1, "a\n");
    answer("never", 1, "n\n");
    let (status, shown) = session.end();
    assert_eq!(status, Some(0), "{shown}");
    for told in ["<once reached>", "<once PermissionError>", "<ruled reached>"] {
        assert_eq!(shown.matches(told).count(), 1, "{told}: {shown}");
    }
    for told in ["<always reached>", "<never PermissionError>"] {
        assert_eq!(shown.matches(told).count(), 2, "{told}: {shown}");
    }
    assert_eq!(
        shown.matches(" [o/a/n]? ").count(),
        4,
        "what was answered for good is not asked again: {shown}"
    );
    assert!(shown.contains("/python3"), "who asks is told: {shown}");
    assert!(shown.contains(&format!("wants to connect to unix:{}", directory.file("always"))), "{shown}");
    assert!(shown.contains("no rule allows it, and nobody at the terminal answered for it"), "{shown}");
    let policy = std::fs::read_to_string(directory.file("learned")).expect("the policy");
    let rules: Vec<&str> = policy.lines().filter(|line| !line.starts_with('#')).collect();
    let [always, never] = ["always", "never"].map(|name| directory.file(name));
    assert_eq!(rules, [format!("unix:{always}"), format!("unix:{ruled}"), format!("deny unix:{never}")]);

    let again = Command::new(env!("CARGO_BIN_EXE_weft"))
        .args(["run", "--no-ledger", "--policy", &directory.file("learned"), "--", "python3", &program])
        .args(&paths)
        .output()
        .expect("weft");
    let told = String::from_utf8_lossy(&again.stdout);
    assert_eq!(told.matches(" reached>").count(), 3, "{told}{again:?}");
    drop(listeners);
}

#[test]
fn control_c_at_a_question_about_a_unix_socket_ends_the_run() {
    let directory = Directory::new("interrupt");
    let listener = UnixListener::bind(directory.file("real")).expect("a socket of the host's");
    let (program, real) = (directory.file("connect.py"), directory.file("real"));
    std::fs::write(&program, CONNECTOR).expect("written");
    let mut session = Session::start(&format!("{} python3 {program} {real}", directory.command()));
    session.until_shown(&format!("unix:{real} [o/a/n]? "), 1);
    session.type_in("\x03");
    let (status, shown) = session.end();
    assert_eq!(status, Some(128 + 2), "{shown}");
    assert!(!shown.contains("reached"), "{shown}");
    let policy = std::fs::read_to_string(directory.file("learned")).expect("the policy");
    assert!(!policy.contains("unix:"), "{policy}");
    drop(listener);
}

#[test]
fn a_socket_by_another_name_than_its_own_is_not_asked_about() {
    let directory = Directory::new("name");
    let listener = UnixListener::bind(directory.file("real")).expect("a socket of the host's");
    let (program, [real, other]) =
        (directory.file("connect.py"), ["real", "other"].map(|name| directory.file(name)));
    std::fs::write(&program, CONNECTOR).expect("written");
    // Whoever may mount something inside could have a person asked about any path.
    let script = format!("touch {other} && mount --bind {real} {other} && exec python3 {program} {other}");
    let session = Session::start(&format!("{} unshare -rm sh -c '{script}'", directory.command()));
    let (status, shown) = session.end();
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("refused") && !shown.contains("reached") && !shown.contains("[o/a/n]"), "{shown}");
    drop(listener);
}
