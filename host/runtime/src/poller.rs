//! Readiness of file descriptors, edge-triggered: each is registered once, for both directions.

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{self, Errno};
use std::time::Duration;

/// What its owner calls a registered file descriptor.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use runtime::{Poller, Token};
///
/// let (left, _right) = std::os::unix::net::UnixStream::pair()?;
/// let mut poller = Poller::new()?;
/// poller.add(&left, Token(7))?;
/// assert_eq!(poller.wait(None)?.next().map(|ready| ready.token), Some(Token(7)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u64);

/// A file descriptor became ready since it was last reported.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use runtime::{Poller, Token};
///
/// let (left, right) = std::os::unix::net::UnixStream::pair()?;
/// let mut poller = Poller::new()?;
/// poller.add(&left, Token(7))?;
/// drop(right);
/// let ready = poller.wait(None)?.next().expect("the other side is gone");
/// assert!(ready.ended && ready.readable && !ready.urgent);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Readiness {
    /// The descriptor's token.
    pub token: Token,
    /// A read may succeed, or end of stream or an error waits there.
    pub readable: bool,
    /// A write may succeed, or an error waits there.
    pub writable: bool,
    /// The other side has closed or reset: there is an end or an error to read behind what waits.
    pub ended: bool,
    /// An urgent mark stands in the stream: a read stops there, though more waits behind it (RFC 6093 §3.1).
    pub urgent: bool,
}

/// How many descriptors one wait reports at most; the rest come with the next.
const EVENTS_MAX: usize = 256;

/// An epoll instance.
///
/// Edge-triggered: a descriptor is reported when it *becomes* ready, so its owner reads or writes until the
/// descriptor would block, and remembers what is left to do. In return a connection costs one system call to
/// register in its whole life.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use runtime::{Poller, Token};
/// use std::io::Write;
/// use std::os::unix::net::UnixStream;
///
/// let (left, mut right) = UnixStream::pair()?;
/// let mut poller = Poller::new()?;
/// poller.add(&left, Token(7))?;
/// right.write_all(b"x")?;
/// for ready in poller.wait(None)? {
///     assert_eq!((ready.token, ready.readable, ready.ended), (Token(7), true, false));
/// }
/// // Until it becomes ready once more, it is not reported again.
/// assert_eq!(poller.wait(Some(std::time::Duration::ZERO))?.count(), 0);
/// # Ok(())
/// # }
/// ```
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poller").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

impl Poller {
    /// A poller with nothing registered.
    ///
    /// # Errors
    ///
    /// The kernel's, where the process may not open another descriptor.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS_MAX),
        })
    }

    /// Reports `source` as `token` from now on. Closing the descriptor takes it out.
    ///
    /// # Errors
    ///
    /// The kernel's, where the descriptor cannot be polled or memory is short.
    pub fn add(&self, source: impl AsFd, token: Token) -> io::Result<()> {
        let flags = epoll::EventFlags::IN
            | epoll::EventFlags::PRI
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        epoll::add(&self.epoll, source, epoll::EventData::new_u64(token.0), flags)
    }

    /// Waits until something is ready or `timeout` has passed (`None`: for ever), and reports what is.
    ///
    /// # Errors
    ///
    /// The kernel's; an interruption by a signal is an empty report.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<impl Iterator<Item = Readiness> + '_> {
        let timeout = timeout.map(|span| Timespec {
            tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(span.subsec_nanos()),
        });
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        Ok(self.events.iter().map(|event| {
            let flags = event.flags;
            let wrong = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
            Readiness {
                token: Token(event.data.u64()),
                readable: wrong
                    || flags.intersects(
                        epoll::EventFlags::IN | epoll::EventFlags::PRI | epoll::EventFlags::RDHUP,
                    ),
                writable: wrong || flags.contains(epoll::EventFlags::OUT),
                ended: wrong || flags.contains(epoll::EventFlags::RDHUP),
                urgent: flags.contains(epoll::EventFlags::PRI),
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_descriptor_is_reported_once_for_each_time_it_becomes_ready() {
        let (left, mut right) = UnixStream::pair().expect("a socket pair");
        let mut poller = Poller::new().expect("a poller");
        poller.add(&left, Token(7)).expect("register");
        let first: Vec<_> = poller.wait(Some(Duration::ZERO)).expect("wait").collect();
        assert!(first.len() == 1 && first[0].writable && !first[0].readable && first[0].token == Token(7));
        assert_eq!(poller.wait(Some(Duration::ZERO)).expect("wait").count(), 0);
        right.write_all(b"x").expect("write");
        let second: Vec<_> = poller.wait(None).expect("wait").collect();
        assert!(second.len() == 1 && second[0].readable);
        assert_eq!(poller.wait(Some(Duration::ZERO)).expect("wait").count(), 0);
    }
}
