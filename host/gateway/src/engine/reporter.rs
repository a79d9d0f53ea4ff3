//! What is said on standard error.

/// Says what was refused, and counts it.
#[derive(Debug)]
pub(crate) struct Reporter {
    quiet: bool,
    refusals: u64,
    told_no_ping: bool,
}

impl Reporter {
    /// Where it is `quiet` it only counts.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, refusals: 0, told_no_ping: false }
    }

    /// Something was refused.
    pub fn tell_refusal(&mut self, line: &str) {
        self.refusals += 1;
        if !self.quiet {
            eprintln!("weft: {line}");
        }
    }

    /// An echo request was allowed, and the host lets nobody of this user send one.
    pub fn tell_no_ping(&mut self, error: rustix::io::Errno) {
        if !self.quiet && !std::mem::replace(&mut self.told_no_ping, true) {
            eprintln!(
                "weft: opening a ping socket failed: {error}; \
                 allow it with: sysctl -w net.ipv4.ping_group_range='0 2147483647'"
            );
        }
    }

    /// How much was refused.
    pub fn refusals(&self) -> u64 {
        self.refusals
    }
}
