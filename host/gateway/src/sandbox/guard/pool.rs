//! The workers. One waits for calls and does what is done at once. Before a call that may take long, as a connection to
//! where nobody answers does, it leaves the waiting to another. Only one waits, because the kernel wakes all that do.

use super::caller::{Caller, Identity, connect};
use super::inside;
use super::judgement::{self, Base};
use super::listener::{Call, Kind, Listener};
use super::listening::{self, Socket};
use super::opened::Opened;
use super::voice::Voice;
use crate::sandbox::control::{Deed, Listening};
use crate::sandbox::error::{During, LaunchError, Step};
use crate::sandbox::filter::ADDRESS_BYTES;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType};
use rustix::process::Pid;
use rustix::thread::CapabilitySet;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

/// How many threads there are at most.
const THREADS_MAX: usize = 1_024;
/// How many of them may be where nobody can tell how long it takes: the others are for calls that go by who calls.
const LONG_THREADS_MAX: usize = THREADS_MAX - 64;
/// How many workers stand by at most for the next call that takes long.
const SPARES_MAX: usize = 4;
/// How many callers' descriptors are kept for their next call.
const CALLERS_MAX: usize = 16;
/// The longest address that is judged, in bytes.
const ADDRESS_BYTES_MAX: usize = *ADDRESS_BYTES.end() as usize;
/// The longest address of a Unix socket in bytes (unix(7)).
const UNIX_ADDRESS_BYTES_MAX: usize = 110;
/// The stack of one thread in bytes.
const STACK_BYTES: usize = 256 * 1024;

/// What the guard needs in init's user namespace: callers' memory and descriptors, their place, their identity, and which
/// file a socket is bound to. It has nothing outside of that namespace.
pub(in crate::sandbox) fn capabilities() -> CapabilitySet {
    CapabilitySet::SYS_PTRACE
        | CapabilitySet::SYS_CHROOT
        | CapabilitySet::SETUID
        | CapabilitySet::SETGID
        | CapabilitySet::NET_ADMIN
        | CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::DAC_READ_SEARCH
}

/// What the guard goes by, and whom it asks.
pub(in crate::sandbox) struct Setting {
    /// What is open.
    pub rules: Opened,
    /// Where everything starts.
    pub base: Base,
    /// Asks the gateway.
    pub voice: Voice,
}

struct Pool {
    listener: Listener,
    setting: Setting,
    threads: AtomicUsize,
    spares: Mutex<Spares>,
    /// Wakes a spare.
    wanted: Condvar,
}

/// Workers that do not wait for calls.
#[derive(Default)]
struct Spares {
    standing_by: usize,
    /// How many of those that stood by are to wait for calls now.
    called: usize,
    /// How many do what may take long, while another waits for calls.
    busy: usize,
    /// What may take long and has no thread yet, the oldest first.
    parked: VecDeque<(Call, Long)>,
}

/// Starts judging. The calling thread's capabilities are the workers'.
///
/// # Errors
///
/// Where no thread can be made.
pub(in crate::sandbox) fn start(listener: Listener, setting: Setting) -> Result<(), LaunchError> {
    let threads = AtomicUsize::new(0);
    let (spares, wanted) = (Mutex::default(), Condvar::new());
    let pool = Arc::new(Pool { listener, setting, threads, spares, wanted });
    pool.add(THREADS_MAX, |pool| pool.work()).during(Step::GuardSockets, "a thread")
}

impl Pool {
    /// One more thread, if there may be so many.
    fn add(
        self: &Arc<Self>,
        most: usize,
        task: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) -> Result<(), Errno> {
        if self.threads.fetch_add(1, Ordering::Relaxed) >= most {
            self.threads.fetch_sub(1, Ordering::Relaxed);
            return Err(Errno::AGAIN);
        }
        let pool = Arc::clone(self);
        let run = move || {
            task(&pool);
            pool.threads.fetch_sub(1, Ordering::Relaxed);
        };
        let made = Builder::new().name("weft-guard".into()).stack_size(STACK_BYTES).spawn(run);
        made.map(drop).map_err(|error| {
            self.threads.fetch_sub(1, Ordering::Relaxed);
            Errno::from_io_error(&error).unwrap_or(Errno::AGAIN)
        })
    }

    fn work(self: &Arc<Self>) {
        let mut callers = Callers::default();
        loop {
            let Some(call) = self.listener.receive() else { return };
            match self.serve(call, &mut callers) {
                Done::Now(answer) => self.listener.answer(call.id, answer),
                Done::Elsewhere => {}
                Done::Passed => self.listener.pass(call.id),
                Done::Long(long) if self.leave() => {
                    self.finish(call, long);
                    while let Some((call, long)) = self.take_parked() {
                        self.finish(call, long);
                    }
                    if !self.stand_by() {
                        return;
                    }
                }
                // The gateway answers soon.
                Done::Long(long @ Long { wish: Wish::Listen(..), .. }) => {
                    let added = self.add(THREADS_MAX, move |pool| pool.finish(call, long));
                    if let Err(error) = added {
                        self.listener.answer(call.id, Err(error));
                    }
                }
                Done::Long(long) => {
                    if let Some((call, long)) = self.park(call, long) {
                        self.finish(call, long);
                    }
                }
            }
        }
    }

    fn spares(&self) -> MutexGuard<'_, Spares> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has another worker wait for calls, and counts this one as busy; `false` where none can be had.
    fn leave(self: &Arc<Self>) -> bool {
        let mut spares = self.spares();
        if spares.standing_by > 0 {
            spares.standing_by -= 1;
            spares.called += 1;
            spares.busy += 1;
            self.wanted.notify_one();
            return true;
        }
        spares.busy += 1;
        drop(spares);
        let is_left = self.add(LONG_THREADS_MAX, |pool| pool.work()).is_ok();
        if !is_left {
            self.spares().busy -= 1;
        }
        is_left
    }

    /// Leaves something for whoever is busy; gives it back where nobody is.
    fn park(&self, call: Call, long: Long) -> Option<(Call, Long)> {
        let mut spares = self.spares();
        match spares.busy {
            0 => Some((call, long)),
            _ => {
                spares.parked.push_back((call, long));
                None
            }
        }
    }

    /// What was left for this one, which is busy no more where nothing was.
    fn take_parked(&self) -> Option<(Call, Long)> {
        let mut spares = self.spares();
        let next = spares.parked.pop_front();
        spares.busy -= usize::from(next.is_none());
        next
    }

    /// Waits until this worker is to wait for calls again; `false` where enough stand by.
    fn stand_by(&self) -> bool {
        let mut spares = self.spares();
        if spares.standing_by == SPARES_MAX {
            return false;
        }
        spares.standing_by += 1;
        while spares.called == 0 {
            spares = self.wanted.wait(spares).unwrap_or_else(PoisonError::into_inner);
        }
        spares.called -= 1;
        true
    }

    fn serve(self: &Arc<Self>, call: Call, callers: &mut Callers) -> Done {
        let done = match call.kind {
            Kind::Connect { socket, address, length } => self.connect(call, callers, socket, address, length),
            Kind::Listen { socket, backlog } => self.listen(call, callers, socket, backlog),
            Kind::Datagrams { family, flags, protocol } => self.make_datagrams(call, family, flags, protocol),
            Kind::UnixDatagrams { flags } => Ok(Done::Now(self.make_packets(call, flags))),
            Kind::DatagramPair { flags, numbers } => Ok(Done::Now(self.make_pair(call, flags, numbers))),
        };
        done.unwrap_or_else(|error| Done::Now(Err(error)))
    }

    /// Connects by the copy of the address: what the caller makes of its memory meanwhile is of no account, and to what its
    /// socket is of another family the kernel says so.
    fn connect(
        self: &Arc<Self>,
        call: Call,
        callers: &mut Callers,
        number: i32,
        address: u64,
        length: usize,
    ) -> Result<Done, Errno> {
        let (caller, socket) = callers.descriptor(call.thread, number)?;
        let mut bytes = [0; ADDRESS_BYTES_MAX];
        let bytes = bytes.get_mut(..length).ok_or(Errno::INVAL)?;
        caller.read(address, bytes)?;
        self.expect_waiting(call)?;
        let family = bytes.first_chunk().map_or(0, |family| i32::from(u16::from_ne_bytes(*family)));
        let is_stream = rustix::net::sockopt::socket_type(&socket) != Ok(SocketType::DGRAM);
        match family {
            // Whether it waits another thread may change at any moment.
            libc::AF_INET | libc::AF_INET6 if is_stream => {
                let caller = match inside::stays(bytes) {
                    true => None,
                    false => Some(caller.as_descriptor().try_clone().map_err(|_| Errno::MFILE)?),
                };
                let long = Long { socket, caller, wish: Wish::Connect(bytes.to_vec()) };
                Ok(Done::Long(long))
            }
            libc::AF_INET | libc::AF_INET6 => Ok(Done::Now(connect(&socket, bytes).map(|()| 0))),
            // No path is as long as that.
            libc::AF_UNIX if length > UNIX_ADDRESS_BYTES_MAX => Err(Errno::INVAL),
            // The others go by who connects.
            family => {
                if is_stream && family == libc::AF_UNSPEC {
                    self.announce(call, caller.as_descriptor(), Deed::Disconnects(inode_of(&socket)?))?;
                }
                let (caller, bytes) = (Caller::of(call.thread)?, bytes.to_vec());
                let is_unix = family == libc::AF_UNIX;
                self.add(THREADS_MAX, move |pool| pool.connect_as(call, &caller, socket, &bytes, is_unix))?;
                Ok(Done::Elsewhere)
            }
        }
    }

    /// Does what may take long, while another worker waits for calls, and answers.
    fn finish(&self, call: Call, long: Long) {
        let done = self.expect_waiting(call).and_then(|()| self.fulfil(call, long));
        self.listener.answer(call.id, done.map(|()| 0));
    }

    /// The socket's copy is gone when this returns: an answer that comes before would find its address taken.
    fn fulfil(&self, call: Call, Long { socket, caller, wish }: Long) -> Result<(), Errno> {
        match wish {
            Wish::Connect(address) => {
                if let Some(caller) = caller {
                    self.announce(call, &caller, Deed::Connects(inode_of(&socket)?))?;
                }
                connect(&socket, &address)
            }
            Wish::Listen(listening, backlog) => {
                let may =
                    caller.and_then(|caller| self.setting.voice.announce(&caller, Deed::Listens(listening)));
                may.ok_or(Errno::ACCESS)?;
                self.expect_waiting(call)?;
                listening::listen_at(&socket, listening, backlog)
            }
        }
    }

    /// Has the socket listen whose copy this is, whatever the caller puts under its number meanwhile.
    fn listen(
        self: &Arc<Self>,
        call: Call,
        callers: &mut Callers,
        number: i32,
        backlog: i32,
    ) -> Result<Done, Errno> {
        let (caller, socket) = callers.descriptor(call.thread, number)?;
        self.expect_waiting(call)?;
        match listening::look_at(&socket, self.setting.base.network)? {
            Socket::Tcp(listening) => {
                let caller = Some(caller.as_descriptor().try_clone().map_err(|_| Errno::MFILE)?);
                Ok(Done::Long(Long { socket, caller, wish: Wish::Listen(listening, backlog) }))
            }
            Socket::Unix => {
                let caller = Caller::of(call.thread)?;
                self.add(THREADS_MAX, move |pool| pool.listen_as(call, &caller, socket, backlog))?;
                Ok(Done::Elsewhere)
            }
            Socket::Other => Ok(Done::Now(rustix::net::listen(&socket, backlog).map(|()| 0))),
        }
    }

    /// Has a Unix socket listen by the caller's rights. The thread has them for good, and ends.
    fn listen_as(&self, call: Call, caller: &Caller, socket: OwnedFd, backlog: i32) {
        let waits = || self.listener.waits(call.id);
        let done = judgement::listen_plainly(&self.setting.base, caller, &socket, backlog, &waits);
        drop(socket);
        self.listener.answer(call.id, done.map(|()| 0));
    }

    fn expect_waiting(&self, call: Call) -> Result<(), Errno> {
        if self.listener.waits(call.id) { Ok(()) } else { Err(Errno::INTR) }
    }

    /// Has the gateway look who calls, while it can be nobody else: the caller waits, before and afterwards.
    fn announce(&self, call: Call, caller: &OwnedFd, deed: Deed) -> Result<(), Errno> {
        self.setting.voice.announce(caller, deed).ok_or(Errno::NOBUFS)?;
        self.expect_waiting(call)
    }

    /// Makes a socket for datagrams in the caller's place, so that it is known by whom each of them was made. A caller in
    /// another network namespace, as that of a run within this one, makes its own.
    fn make_datagrams(&self, call: Call, family: i32, flags: i32, protocol: i32) -> Result<Done, Errno> {
        let caller = Caller::of(call.thread)?;
        if !self.is_at_base(&caller)? {
            return Ok(Done::Passed);
        }
        let socket = datagram_socket(family, flags, protocol)?;
        self.announce(call, caller.as_descriptor(), Deed::Makes(inode_of(&socket)?))?;
        let number = self.listener.hand_over(call.id, socket.as_fd(), flags & libc::SOCK_CLOEXEC != 0)?;
        Ok(Done::Now(Ok(i64::from(number))))
    }

    /// Connects a socket by the caller's rights. The thread has them for good, and ends.
    fn connect_as(&self, call: Call, caller: &Caller, socket: OwnedFd, address: &[u8], is_unix: bool) {
        let waits = || self.listener.waits(call.id);
        let Setting { rules, base, voice } = &self.setting;
        let answer = match is_unix {
            true => judgement::connect((base, rules, voice), caller, &socket, address, &waits),
            false => judgement::connect_plainly(base, caller, &socket, address, &waits),
        };
        drop(socket);
        self.listener.answer(call.id, answer.map(|()| 0));
    }

    /// In the place of a socket for Unix datagrams, each of which could name another path, one for packets on a
    /// connection: it serves whoever only wants some socket for an ioctl, and its connect is judged.
    fn make_packets(&self, call: Call, flags: i32) -> Result<i64, Errno> {
        self.expect_base(call)?;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, non_blocking(flags), None)?;
        let number = self.listener.hand_over(call.id, socket.as_fd(), flags & libc::SOCK_CLOEXEC != 0)?;
        Ok(i64::from(number))
    }

    /// The same for a pair, which is connected from the start: packets come as datagrams do.
    fn make_pair(&self, call: Call, flags: i32, numbers: u64) -> Result<i64, Errno> {
        let caller = self.expect_base(call)?;
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, non_blocking(flags), None)?;
        let close = flags & libc::SOCK_CLOEXEC != 0;
        // Nothing is handed over where the numbers cannot be told.
        caller.write(numbers, &[0xff; 8])?;
        let first = self.listener.hand_over(call.id, one.as_fd(), close)?;
        let second = self.listener.hand_over(call.id, other.as_fd(), close)?;
        let bytes: Vec<u8> = [first, second].iter().flat_map(|number| number.to_ne_bytes()).collect();
        caller.write(numbers, &bytes)?;
        Ok(0)
    }

    /// The caller, who must be in the network namespace in which a socket of ours is made.
    fn expect_base(&self, call: Call) -> Result<Caller, Errno> {
        let caller = Caller::of(call.thread)?;
        match self.is_at_base(&caller)? && self.listener.waits(call.id) {
            true => Ok(caller),
            false => Err(Errno::PROTONOSUPPORT),
        }
    }

    fn is_at_base(&self, caller: &Caller) -> Result<bool, Errno> {
        let number = super::caller::number_of(caller.as_descriptor()).ok_or(Errno::SRCH)?;
        Ok(Identity::at(&format!("/proc/{number}/ns/net"))? == self.setting.base.network)
    }
}

/// What became of a call.
enum Done {
    /// The answer.
    Now(Result<i64, Errno>),
    /// Another thread answers.
    Elsewhere,
    /// The kernel is to go on with it.
    Passed,
    /// What may take long.
    Long(Long),
}

/// What is to be done with a socket.
struct Long {
    socket: OwnedFd,
    /// Who calls, where the gateway is to look at it.
    caller: Option<OwnedFd>,
    wish: Wish,
}

/// What for.
enum Wish {
    /// A connection to an address as the kernel takes it.
    Connect(Vec<u8>),
    /// To listen where it says, with room for so many connections.
    Listen(Listening, i32),
}

/// The number by which a socket is known.
pub(super) fn inode_of(socket: &OwnedFd) -> Result<u32, Errno> {
    // Those of sockets have 32 bits (fs/inode.c, get_next_ino).
    Ok(rustix::fs::fstat(socket)?.st_ino as u32)
}

/// Those who called last, the latest first.
#[derive(Debug, Default)]
struct Callers(VecDeque<Caller>);

impl Callers {
    /// The caller, and a copy of one of its descriptors. One that has ended has none: another may have its number by now.
    fn descriptor(&mut self, thread: Pid, number: i32) -> Result<(&Caller, OwnedFd), Errno> {
        if let Some(at) = self.0.iter().position(|caller| caller.thread() == thread) {
            match self.0[at].descriptor(number) {
                Ok(copy) => return Ok((&self.0[at], copy)),
                Err(Errno::SRCH) => drop(self.0.remove(at)),
                Err(error) => return Err(error),
            }
        }
        let caller = Caller::of(thread)?;
        let copy = caller.descriptor(number)?;
        self.0.truncate(CALLERS_MAX - 1);
        self.0.push_front(caller);
        Ok((&self.0[0], copy))
    }
}

/// As socket(2) takes them, but closed by exec.
fn datagram_socket(family: i32, flags: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::from_bits_retain((flags & !0xf) as u32) | SocketFlags::CLOEXEC;
    let protocol = NonZeroU32::new(protocol as u32).map(Protocol::from_raw);
    rustix::net::socket_with(AddressFamily::from_raw(family as u16), SocketType::DGRAM, flags, protocol)
}

fn non_blocking(flags: i32) -> SocketFlags {
    match flags & libc::SOCK_NONBLOCK {
        0 => SocketFlags::CLOEXEC,
        _ => SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
    }
}
