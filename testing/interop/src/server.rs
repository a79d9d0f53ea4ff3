//! A server in the foreground, in a namespace, ended with everything it started.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::namespace::Namespace;
use crate::wait;

/// A running server program. It is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Server {
    /// Starts `program` with `arguments` in `namespace`, its output in a log file in `directory`.
    ///
    /// It runs in a process namespace of its own, whose end takes all workers with it.
    ///
    /// # Panics
    ///
    /// Where it cannot be started.
    #[must_use]
    pub fn start<A: AsRef<str>>(
        namespace: &Namespace,
        directory: &Path,
        program: &Path,
        arguments: &[A],
    ) -> Self {
        let name = program.file_name().expect("a program has a name").to_string_lossy().into_owned();
        let log = directory.join(format!("{name}.log"));
        let output = File::create(&log).expect("a log file");
        let mut command = Command::new("unshare");
        command
            .args(["--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"])
            .arg(program)
            .args(arguments.iter().map(AsRef::as_ref))
            .env("LC_ALL", "C.UTF-8")
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second descriptor"))
            .stderr(output);
        let child = namespace.within(|| command.spawn()).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { child, name, log }
    }

    /// Waits until the server takes connections at `address`.
    ///
    /// # Panics
    ///
    /// Where it ends before, or does not in time.
    #[must_use]
    pub fn ready_at(self, namespace: &Namespace, address: SocketAddr) -> Self {
        self.ready_when(|| namespace.connect(address).is_ok())
    }

    /// Waits until `is_ready`.
    ///
    /// # Panics
    ///
    /// Where the server ends before, or is not ready in time.
    #[must_use]
    pub fn ready_when(mut self, mut is_ready: impl FnMut() -> bool) -> Self {
        let name = self.name.clone();
        let ready = wait::within(wait::PATIENCE, || {
            if let Some(status) = self.child.try_wait().expect("the server can be waited for") {
                panic!("{name} ended with {:?} {:?}:\n{}", status.code(), status.signal(), self.log());
            }
            is_ready().then_some(())
        });
        assert!(ready.is_some(), "{name} did not become ready:\n{}", self.log());
        self
    }

    /// What the server has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Killing `unshare` kills its child, which is the first process of its namespace, and so all of that.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
