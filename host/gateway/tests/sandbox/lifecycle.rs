//! Beginning and end: what is passed on, and that nothing stays.

use crate::harness::{Copy, Who, eventually, run_to_end, stderr};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

fn status_of(copy: &Copy, command: &[&str]) -> (i32, String) {
    let output = run_to_end(copy.launcher(Who::User, "veth").args(command));
    (output.status.code().expect("an exit status"), stderr(&output))
}

pub fn exit_statuses_are_the_commands_own() {
    let copy = Copy::make();
    for (script, status) in
        [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -9 $$", 137)]
    {
        assert_eq!(status_of(&copy, &["sh", "-c", script]).0, status, "{script}");
    }
}

pub fn what_cannot_be_executed_is_told_apart() {
    let copy = Copy::make();
    let (status, told) = status_of(&copy, &["no-such-command-anywhere"]);
    assert!(status == 127 && told.contains("not found"), "{status} {told}");
    let (status, told) = status_of(&copy, &["/etc/hosts"]);
    assert!(status == 126 && told.contains("cannot be executed"), "{status} {told}");
    let (status, _) = status_of(&copy, &["/etc"]);
    assert_eq!(status, 126);
    let (status, told) = status_of(&copy, &[""]);
    assert!(status == 127 && told.contains("not found"), "{status} {told}");
}

/// A launcher that ends with the test, also where the test fails.
struct Launcher(Child);

impl Drop for Launcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a launcher whose command says a line when it is ready, and waits for that.
fn ready(command: &mut Command) -> (Launcher, BufReader<std::process::ChildStdout>) {
    let mut launcher = Launcher(command.stdout(Stdio::piped()).spawn().expect("a launcher"));
    let mut lines = BufReader::new(launcher.0.stdout.take().expect("its output"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    (launcher, lines)
}

pub fn signals_are_passed_on() {
    let copy = Copy::make();
    let mut launcher = copy.launcher(Who::User, "veth");
    let (mut running, _lines) = ready(launcher.arg(copy.path()).args(["inside", "await-signal", "ready"]));
    let number = rustix::process::Pid::from_raw(running.0.id() as i32).expect("a number");
    rustix::process::kill_process(number, rustix::process::Signal::USR1).expect("the launcher is there");
    let status = running.0.wait().expect("its end");
    assert_eq!(status.code(), Some(40 + libc::SIGUSR1));
}

pub fn what_a_process_inherits_is_passed_on() {
    let copy = Copy::make();
    for script in ["umask 027; ulimit -S -n 99; trap '' HUP PIPE; cd /usr", "umask 077; cd /tmp"] {
        let with = |inner: &[&OsStr]| {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("{script}; exec \"$@\""), "sh"]).args(inner);
            let told = "umask; ulimit -n; pwd; echo $WEFT_TEST; grep -E 'Sig(Blk|Ign)' /proc/self/status";
            shell.args(["sh", "-c", told]).env("WEFT_TEST", "kept").env("USER_NUMBER", "1000");
            let output = run_to_end(shell.stdin(Stdio::null()));
            (String::from_utf8_lossy(&output.stdout).into_owned(), stderr(&output))
        };
        let launcher = copy.launcher(Who::User, "veth");
        let words: Vec<&OsStr> = [launcher.get_program()].into_iter().chain(launcher.get_args()).collect();
        let ((outside, _), (inside, told)) = (with(&[]), with(&words));
        assert_eq!(inside, outside, "{told}");
        assert!(inside.contains("kept\n") && inside.contains("SigIgn"), "{inside}");
    }
}

/// How many processes of the host have `marker` on their command line.
fn processes_with(marker: &str) -> usize {
    std::fs::read_dir("/proc")
        .expect("proc")
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| line.windows(marker.len()).any(|part| part == marker.as_bytes()))
        .count()
}

fn marker(what: &str) -> String {
    format!("weft-test-{what}-{}", std::process::id())
}

pub fn background_processes_end_with_the_command() {
    let copy = Copy::make();
    let marker = marker("background");
    let script =
        format!("sh -c 'sleep 1000; : {marker}' & setsid sh -c 'sleep 1000; : {marker}' & echo ready");
    let (mut running, _lines) = ready(copy.launcher(Who::User, "veth").args(["sh", "-c", &script]));
    assert!(running.0.wait().expect("its end").success());
    assert_eq!(processes_with(&marker), 0);
}

pub fn a_killed_gateway_leaves_nothing() {
    let copy = Copy::make();
    let interfaces = || {
        let mut names: Vec<_> =
            std::fs::read_dir("/sys/class/net").expect("sys").flatten().map(|e| e.file_name()).collect();
        names.sort();
        names
    };
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let before = (interfaces(), mounts());
    for attach in ["auto", "veth"] {
        let marker = marker(attach);
        let script =
            format!("trap '' TERM HUP; sh -c 'sleep 1000; : {marker}' & echo ready; wait; : {marker}");
        let (mut running, _lines) = ready(copy.launcher(Who::User, attach).args(["sh", "-c", &script]));
        // The launcher, init, and two or more shells; one that is amid its exec has no command line yet.
        eventually("all have their command lines", || processes_with(&marker) >= 4);
        running.0.kill().expect("the launcher is there");
        assert_eq!(running.0.wait().expect("its end").signal(), Some(libc::SIGKILL));
        eventually("every process is gone", || processes_with(&marker) == 0);
    }
    assert_eq!((interfaces(), mounts()), before);
}

pub fn a_gateway_with_threads_is_refused() {
    let copy = Copy::make();
    let (status, told) = status_of(&copy, &["--threads", "true"]);
    assert!(status == 125 && told.contains("has one thread"), "{status} {told}");
}
