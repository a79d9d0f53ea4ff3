//! What weft itself was started with, before Rust's runtime and the gateway change it: the command gets it back.

use super::process::{self, SignalSet};
use rustix::process::{Resource, Rlimit};
use std::sync::OnceLock;

/// What a process passes on by being started, and that a gateway changes for itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inherited {
    /// The signals that were ignored; all others had their default action.
    ignored: SignalSet,
    /// The signals that were blocked.
    blocked: SignalSet,
    /// How many files may be open.
    open_files: Rlimit,
}

static INHERITED: OnceLock<Inherited> = OnceLock::new();

/// Runs before `main`: Rust's runtime ignores SIGPIPE there, after which nobody can tell what it was before.
#[used]
// SAFETY: the loader calls each pointer in this section once, before `main`, with arguments that a C function
// without parameters ignores.
#[unsafe(link_section = ".init_array")]
static REMEMBER: extern "C" fn() = remember;

extern "C" fn remember() {
    Inherited::now();
}

impl Inherited {
    /// What the process was started with.
    pub fn now() -> &'static Self {
        INHERITED.get_or_init(|| Self {
            ignored: SignalSet::ignored(),
            blocked: SignalSet::blocked(),
            open_files: rustix::process::getrlimit(Resource::Nofile),
        })
    }

    /// Gives it all back to the calling process, which executes the command next.
    pub fn restore(&self) {
        // A limit that was lowered for good cannot be raised again; then it stays.
        let _ = rustix::process::setrlimit(Resource::Nofile, self.open_files);
        process::restore_dispositions(self.ignored);
        process::set_blocked(self.blocked);
    }
}
