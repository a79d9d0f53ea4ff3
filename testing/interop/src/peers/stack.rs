//! weft's own stack as a host on a TAP interface of a namespace, one that gives back what it hears.

use std::fs::File;
use std::io::Read;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use link::Tap;
use packet::{Batch, Device};
use runtime::Clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stack::{Binding, Config, Event, InterfaceConfig, Listen, Prefix, Stack};

use crate::namespace::Namespace;

const MTU: u16 = 1_500;
/// Frames that are taken or sent at once.
const BATCH: usize = 64;
/// Handshakes under way at once.
const BACKLOG: usize = 64;

/// A host at the other end of a TAP interface, until the process ends.
#[derive(Debug)]
pub struct StackHost;

impl StackHost {
    /// Makes the interface `weft0` with `near`/24 in the namespace; behind it is `address`, which listens at `port`.
    ///
    /// # Panics
    ///
    /// Where the kernel refuses an interface.
    pub fn start(namespace: &Namespace, near: Ipv4Addr, address: Ipv4Addr, port: u16) {
        let tap = namespace.within(|| Tap::open("weft0", MTU)).expect("a TAP interface");
        namespace.ip(&format!("address add {near}/24 dev weft0\nlink set weft0 up"));
        let mut seed = [0; 32];
        File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut seed)).expect("random bytes");
        namespace.spawn(move || serve(tap, address, port, seed));
    }
}

fn serve(mut tap: Tap, address: Ipv4Addr, port: u16, seed: [u8; 32]) {
    let clock = Clock::start();
    let mut stack = Stack::new(Config::default(), seed, clock.now());
    let prefixes = vec![Prefix::new(address, 24)];
    let interface = InterfaceConfig::new(tap.capabilities(), [2, 0, 0, 0, 0, 2], prefixes);
    let interface = stack.add_interface(interface, clock.now()).expect("a sound interface");
    let config = Arc::new(tcp::Config::linux());
    let listen = Listen { binding: Binding::Port(port), defer: false, backlog: BACKLOG, config };
    stack.tcp_listen(listen).expect("a free port");
    let mut batch = Batch::with_capacity(BATCH);
    loop {
        wait(&tap, stack.poll_timeout().map(|at| at.since(clock.now())));
        tap.receive(&mut batch).expect("the TAP gives frames");
        stack.handle_batch(interface, &mut batch, clock.now());
        stack.handle_timeout(clock.now());
        while let Some(event) = stack.poll_event() {
            answer(&mut stack, &event, &clock);
        }
        loop {
            stack.poll_transmit(interface, &mut batch, clock.now());
            if batch.is_empty() {
                break;
            }
            tap.transmit(&mut batch).expect("the TAP takes frames");
        }
    }
}

/// Gives back what a connection brought, and lets it go where that was the end.
fn answer(stack: &mut Stack, event: &Event, clock: &Clock) {
    let (Event::TcpAccepted { connection, .. } | Event::Tcp { connection, .. }) = *event else { return };
    while let Some(mut bytes) = stack.tcp_read(connection, usize::MAX, clock.now()) {
        stack.tcp_write(connection, &mut bytes, clock.now());
    }
    let over = matches!(event, Event::Tcp { event: tcp::Event::Closed(_), .. });
    if over || stack.tcp_is_at_end(connection) {
        stack.tcp_release(connection, clock.now());
    }
}

/// Until a frame comes or the time is over.
fn wait(tap: &Tap, limit: Option<Duration>) {
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    let mut waited = [PollFd::from_borrowed_fd(tap.as_fd(), PollFlags::IN)];
    // A signal ends the wait early, and the loop comes back to it.
    let _ = poll(&mut waited, limit.as_ref());
}
