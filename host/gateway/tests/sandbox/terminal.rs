//! The terminal: the command has it as it would have without a sandbox.

use crate::harness::Copy;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

/// A shell command on a terminal of its own (script(1)); what it shows is read, what is typed is written.
struct Session {
    child: Child,
    shown: String,
}

impl Session {
    fn start(command: &str) -> Self {
        let child = Command::new("script")
            .args(["-qefc", command, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script(1)");
        Self { child, shown: String::new() }
    }

    fn type_in(&mut self, keys: &[u8]) {
        let input = self.child.stdin.as_mut().expect("its input");
        input.write_all(keys).expect("it listens");
        input.flush().expect("it listens");
    }

    /// Reads until `text` is shown.
    fn await_text(&mut self, text: &str) {
        let output = self.child.stdout.as_mut().expect("its output");
        while !self.shown.contains(text) {
            let mut bytes = [0; 512];
            let length = output.read(&mut bytes).expect("it shows");
            assert!(length > 0, "ended before '{text}' was shown:\n{}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    }

    fn end(mut self) -> i32 {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        let _ = self.child.stdout.take().expect("its output").read_to_string(&mut rest);
        self.child.wait().expect("its end").code().expect("an exit status")
    }
}

pub fn control_c_reaches_the_command_and_is_told() {
    let copy = Copy::make();
    let path = copy.path();
    let path = path.display();
    // The command ignores it first, so that the gateway lives to tell.
    let script = format!(
        "exec {path} launch veth sh -c 'trap \"echo caught; exec {path} inside await-signal awaiting\" INT; echo ready; \
         while :; do sleep 0.1; done'"
    );
    let mut session = Session::start(&script);
    session.await_text("ready");
    session.type_in(b"\x03");
    session.await_text("interrupted 1");
    session.await_text("caught");
    session.await_text("awaiting");
    session.type_in(b"\x03");
    assert_eq!(session.end(), 40 + libc::SIGINT);
}

pub fn control_z_stops_the_whole_job() {
    let copy = Copy::make();
    let path = copy.path();
    let path = path.display();
    // A shell with job control sees the launcher stop, and brings it back to the foreground.
    let script = format!(
        "set -m; {path} launch veth sh -c 'echo ready; read line; echo got $line; exit 9'; echo stopped $?; \
         echo again; fg; echo ended $?"
    );
    let mut session = Session::start(&script);
    session.await_text("ready");
    session.type_in(b"\x1a");
    session.await_text("again");
    assert!(session.shown.contains(&format!("stopped {}", 128 + libc::SIGTSTP)), "{}", session.shown);
    session.type_in(b"hello\n");
    session.await_text("got hello");
    session.await_text("ended 9");
    assert_eq!(session.end(), 0);
}

pub fn a_terminal_of_its_own_takes_the_place_of_the_other() {
    let copy = Copy::make();
    let path = copy.path();
    let path = path.display();
    // The other is covered where it is found; a group that is stopped goes on, as it has its parent in another one.
    let inside = "test \"$(tty)\" != \"$0\" && test -t 1 && echo other; cmp \"$0\" /dev/null && echo nothing; \
                  stty size; exec 9< /dev/tty && echo open; kill -s TSTP $$; echo went on; exit 7";
    let script = format!(
        "stty rows 7 cols 77; exec {path} launch veth --own-terminal sh -c '{inside}' \"$(tty)\" 2> /dev/null"
    );
    let mut session = Session::start(&script);
    session.await_text("went on");
    for text in ["stopped", "other\r", "nothing\r", "7 77", "open"] {
        assert!(session.shown.contains(text), "{text}: {}", session.shown);
    }
    assert_eq!(session.end(), 7);
}

pub fn nothing_is_typed_into_the_terminal() {
    let copy = Copy::make();
    let path = copy.path();
    let mut session = Session::start(&format!("exec {0} launch veth {0} inside type", path.display()));
    session.await_text("other requests true");
    assert!(session.shown.contains("TIOCSTI PermissionDenied"), "{}", session.shown);
    assert!(session.shown.contains("TIOCLINUX PermissionDenied"), "{}", session.shown);
    assert_eq!(session.end(), 0);
}
