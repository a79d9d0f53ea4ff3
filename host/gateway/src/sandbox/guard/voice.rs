//! How the guard asks the gateway: nothing of the host's is opened before it has said yes and written that down, and nobody
//! who was refused goes on, and may end, before it has looked who that was.

use super::judgement::Use;
use crate::sandbox::control::{Control, Deed, Report};
use rustix::fd::OwnedFd;
use rustix::io::{self, Errno};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::sync::atomic::{AtomicU64, Ordering};

/// See the module.
#[derive(Debug)]
pub(in crate::sandbox) struct Voice {
    control: Control,
    next: AtomicU64,
}

/// A yes of the gateway's, by the number under which it hears what came of it.
#[derive(Debug)]
pub(super) struct Leave(u64);

impl Voice {
    /// Over this end of init's.
    pub fn new(control: Control) -> Self {
        Self { control, next: AtomicU64::new(0) }
    }

    /// Asks, and waits for the answer; `None` where it is no, or where the gateway is gone.
    pub(super) fn ask(&self, wanted: Use<'_>) -> Option<Leave> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let caller = wanted.caller.try_clone().ok()?;
        let (path, rule) = (wanted.path.to_owned(), wanted.rule.map(str::to_owned));
        let (denied, may_ask) = (wanted.denied, wanted.may_ask);
        self.put(|answer| Report::Socket { number, caller, answer, path, rule, denied, may_ask })?;
        Some(Leave(number))
    }

    /// Tells what somebody does who waits in a call, and waits until the gateway has looked who it is; `None` where it may
    /// not be, and where nobody has looked: the gateway is gone, or there was no descriptor to tell it by. Then it must not
    /// be done, or it would be told as another's.
    pub(super) fn announce(&self, caller: &OwnedFd, deed: Deed) -> Option<()> {
        let caller = caller.try_clone().ok()?;
        self.put(|answer| Report::Called { caller, answer, deed })
    }

    /// Puts something to the gateway, and waits for its yes.
    fn put(&self, report: impl FnOnce(OwnedFd) -> Report) -> Option<()> {
        let (flags, kind) = (SocketFlags::CLOEXEC, SocketType::SEQPACKET);
        let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None).ok()?;
        self.control.report(&report(theirs));
        let mut byte = [0];
        loop {
            match rustix::io::read(&ours, &mut byte) {
                Ok(1) => return Some(()),
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => return None,
            }
        }
    }

    /// Tells what came of it.
    pub(super) fn tell(&self, Leave(number): Leave, outcome: io::Result<()>) {
        self.control.report(&Report::SocketOpened { number, error: outcome.err() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_looked_at_may_not_be() {
        let (init, gateway) = Control::pair().expect("a pair");
        let voice = Voice::new(init);
        drop(gateway);
        let caller = OwnedFd::from(std::fs::File::open("/dev/null").expect("a file"));
        for deed in [Deed::Connects(1), Deed::Disconnects(1), Deed::Makes(1)] {
            assert_eq!(voice.announce(&caller, deed), None);
        }
    }
}
