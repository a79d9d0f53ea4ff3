//! A terminal whose keyboard and screen the test has. The command line's tests use it too.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

/// A shell command on a terminal of its own (script(1)); what it shows is read, what is typed is written.
pub struct Session {
    child: Child,
    /// What was shown so far.
    pub shown: String,
}

impl Session {
    /// Starts it.
    pub fn start(command: &str) -> Self {
        let child = Command::new("script")
            .args(["-qefc", command, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script(1)");
        Self { child, shown: String::new() }
    }

    /// Presses keys.
    pub fn type_in(&mut self, keys: &str) {
        let input = self.child.stdin.as_mut().expect("its input");
        input.write_all(keys.as_bytes()).and_then(|()| input.flush()).expect("it listens");
    }

    /// Reads until `text` is shown for the `count`th time.
    pub fn until_shown(&mut self, text: &str, count: usize) {
        let output = self.child.stdout.as_mut().expect("its output");
        while self.shown.matches(text).count() < count {
            let mut bytes = [0; 512];
            let length = output.read(&mut bytes).expect("it shows");
            assert!(length > 0, "ended before '{text}' was shown:\n{}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    }

    /// Its status, and everything that was shown.
    pub fn end(mut self) -> (Option<i32>, String) {
        drop(self.child.stdin.take());
        let mut rest = Vec::new();
        let _ = self.child.stdout.take().expect("its output").read_to_end(&mut rest);
        let status = self.child.wait().expect("its end").code();
        (status, self.shown + &String::from_utf8_lossy(&rest))
    }
}
