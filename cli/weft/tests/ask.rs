//! `weft learn --ask` as a shell with job control sees it, and a script without a terminal.

#[path = "../../../host/gateway/tests/sandbox/session.rs"]
mod session;

use session::Session;
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
