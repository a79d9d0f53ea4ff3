//! A network namespace that lives in this process alone: it has no name, and is gone when its last socket, process and
//! descriptor are.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// A network namespace; clones are the same one.
#[derive(Clone, Debug)]
pub struct Namespace {
    descriptor: Arc<File>,
}

impl Namespace {
    /// A new, empty namespace, with loopback up.
    ///
    /// # Panics
    ///
    /// Where this process may not make one.
    #[must_use]
    pub fn new() -> Self {
        let made = thread::spawn(|| {
            // SAFETY: a new network namespace invalidates no descriptor or memory of this process, and concerns only the
            // calling thread, which ends here.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.expect("a new network namespace");
            File::open("/proc/thread-self/ns/net").expect("the namespace's descriptor")
        });
        let namespace = Self { descriptor: Arc::new(made.join().expect("a namespace was made")) };
        namespace.ip("link set lo up");
        namespace
    }

    /// Runs `action` on a thread inside the namespace: sockets it opens and processes it starts belong there.
    pub fn within<R: Send>(&self, action: impl FnOnce() -> R + Send) -> R {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter();
                action()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a thread inside the namespace that ends with `action`, or with this process.
    pub fn spawn(&self, action: impl FnOnce() + Send + 'static) {
        let namespace = self.clone();
        thread::spawn(move || {
            namespace.enter();
            action();
        });
    }

    fn enter(&self) {
        move_into_link_name_space(self.descriptor.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("this thread moves into the namespace");
    }

    /// A path by which another process of this machine finds the namespace while this process lives.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.descriptor.as_raw_fd())
    }

    /// Runs `ip` commands, one a line.
    ///
    /// # Panics
    ///
    /// Where one of them fails.
    pub fn ip(&self, commands: &str) {
        for command in commands.lines().map(str::trim).filter(|command| !command.is_empty()) {
            let done = self
                .within(|| Command::new("ip").args(command.split_whitespace()).output())
                .expect("ip runs");
            assert!(done.status.success(), "ip {command}: {}", String::from_utf8_lossy(&done.stderr));
        }
    }

    /// Sets a value under `/proc/sys/net`.
    ///
    /// # Panics
    ///
    /// Where the kernel refuses.
    pub fn set(&self, key: &str, value: &str) {
        let path = format!("/proc/sys/net/{key}");
        self.within(|| fs::write(&path, value)).unwrap_or_else(|error| panic!("{path} = {value}: {error}"));
    }

    /// The interfaces' names, in the kernel's order.
    ///
    /// # Panics
    ///
    /// Where the kernel does not tell.
    #[must_use]
    pub fn interfaces(&self) -> Vec<String> {
        let table =
            self.within(|| fs::read_to_string("/proc/thread-self/net/dev")).expect("the interface table");
        table
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, _)| name.trim().to_owned())
            .collect()
    }

    /// Opens a TCP connection from inside.
    ///
    /// # Errors
    ///
    /// As the kernel tells.
    pub fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.within(|| TcpStream::connect_timeout(&address, Duration::from_secs(1)))
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}
