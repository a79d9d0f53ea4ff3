//! The task that moves frames between the stack and its device.

use super::Sockets;
use super::core::{Accepted, Connection, Shared, State};
use super::error::Stopped;
use super::group::Siblings;
use crate::{Port, Spin};
use packet::Device;
use stack::Event;
use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use time::Instant;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor, watched for both directions.
#[allow(
    unsafe_code,
    reason = "tokio asks for a promise about the descriptor that the type system cannot give"
)]
fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is one descriptor for its whole life, and open until it is dropped with the AsyncFd.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE | Interest::WRITABLE) }?)
}

impl Sockets {
    /// Moves frames between the stack and `device`; to be spawned. Returns when the device fails, or after
    /// [`stop`](Self::stop).
    ///
    /// From then on, and where it panics or is dropped, nothing moves any more: whoever waits for a socket of the stack is
    /// told why, by an error of the kind `NotConnected`, and so is every later call that would wait.
    ///
    /// ```
    /// # use packet::Device;
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (device, _other_end) = link::FrameSocket::pair(1_500)?;
    /// # let clock = runtime::Clock::start();
    /// # let mut stack = stack::Stack::new(stack::Config::default(), [7; 32], clock.now());
    /// # let address = stack::Prefix::new([192, 0, 2, 1], 24);
    /// # let config = stack::InterfaceConfig::new(device.capabilities(), [2, 0, 0, 0, 0, 1], vec![address]);
    /// # let interface = stack.add_interface(config, clock.now()).expect("a sound interface");
    /// # let sockets = Sockets::new(stack, interface, clock);
    /// use std::io::ErrorKind;
    ///
    /// let turning = tokio::spawn(sockets.clone().drive(device));
    /// let listener = sockets.listen(([192, 0, 2, 1], 80).into())?;
    /// turning.abort();
    /// let told = listener.accept().await.unwrap_err();
    /// assert_eq!(told.kind(), ErrorKind::NotConnected);
    /// assert_eq!(told.to_string(), "the stack has stopped: what turned it was dropped");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The device's error, or tokio's where the descriptor cannot be polled.
    pub fn drive<D: Device + AsFd>(self, device: D) -> impl Future<Output = io::Result<()>> {
        self.drive_among(device, Siblings::default())
    }

    /// Stops the stack for good: [`drive`](Self::drive) returns and lets go of the device, and whoever waits for a socket is
    /// told, as where the device fails.
    ///
    /// The peers are told nothing. What they should see end is to be [closed](crate::TcpStream::close) before.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let (client, server) = Sockets::pair()?;
    /// let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// let (accepted, ()) = tokio::join!(listener.accept(), async {
    ///     tokio::task::yield_now().await;
    ///     server.stop();
    /// });
    /// assert_eq!(accepted.unwrap_err().to_string(), "the stack has stopped: its program stopped it");
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stop(&self) {
        self.shared.lock().stop(Stopped::Asked);
        self.shared.work.notify_one();
    }

    /// As [`drive`](Self::drive), and hands on to siblings what arrives for all.
    pub(super) fn drive_among<D: Device + AsFd>(
        self,
        device: D,
        siblings: Siblings,
    ) -> impl Future<Output = io::Result<()>> {
        // Made here, so that a future that is dropped before its first poll tells too.
        let mut end = End { shared: self.shared.clone(), why: None };
        async move {
            let Err(stopped) = self.turn_on(device, siblings).await;
            end.because(stopped);
            match stopped {
                Stopped::Asked => Ok(()),
                _ => Err(stopped.error()),
            }
        }
    }

    /// Turns the stack until that cannot go on.
    async fn turn_on<D: Device + AsFd>(&self, device: D, siblings: Siblings) -> Result<Infallible, Stopped> {
        let unwatched = |error: io::Error| Stopped::Watch(error.kind());
        let descriptor = device.as_fd().try_clone_to_owned().map_err(unwatched)?;
        let readiness = watch(descriptor).map_err(unwatched)?;
        let mut port = Port::new(self.shared.interface, device);
        let mut spin = Spin::new(self.shared.clock.now());
        loop {
            let Turned { worked, more, blocked, next } = self.turn(&mut port, &siblings)?;
            let now = self.shared.clock.now();
            if worked {
                spin.handle_work(now);
            }
            if more || spin.is_worth_it(now) {
                // Other tasks have their turn: what they write leaves with the next.
                tokio::task::yield_now().await;
                continue;
            }
            let deadline = async {
                match next {
                    Some(at) => tokio::time::sleep(at.since(self.shared.clock.now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ready = readiness.readable() => ready.map_err(unwatched)?.clear_ready(),
                // A TAP that is removed is told of as an error alone: the next exchange says which.
                ready = readiness.ready(Interest::ERROR) => ready.map_err(unwatched)?.clear_ready(),
                ready = readiness.writable(), if blocked => ready.map_err(unwatched)?.clear_ready(),
                () = self.shared.work.notified() => {}
                () = deadline => {}
            }
        }
    }

    /// One exchange with the device.
    fn turn<D: Device>(&self, port: &mut Port<D>, siblings: &Siblings) -> Result<Turned, Stopped> {
        let now = self.shared.clock.now();
        let mut for_all = Vec::new();
        let mut state = self.shared.lock();
        if let Some(stopped) = state.stopped {
            return Err(stopped);
        }
        let before = state.exchanged();
        let received = if siblings.is_empty() {
            port.receive(&mut state.stack, now)
        } else {
            port.receive_after(&mut state.stack, now, |frame| siblings.look(frame, &mut for_all))
        };
        let more = received.map_err(Stopped::Device)?;
        if state.stack.poll_timeout().is_some_and(|at| at <= now) {
            state.stack.handle_timeout(now);
        }
        state.dispatch(now);
        let blocked = port.transmit(&mut state.stack, now).map_err(Stopped::Device)?;
        // Sending can end a connection or free room.
        state.dispatch(now);
        let next = state.stack.poll_timeout();
        let worked = state.exchanged() > before;
        // A sibling may be about to hand something to this one: no lock is held while another is taken.
        drop(state);
        siblings.hand_over(for_all);
        Ok(Turned { worked, more, blocked, next })
    }
}

/// Tells the sockets of a stack that nothing turns it any more, however that came about.
struct End {
    shared: Arc<Shared>,
    why: Option<Stopped>,
}

impl End {
    fn because(&mut self, stopped: Stopped) {
        self.why = Some(stopped);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let unwinding = if std::thread::panicking() { Stopped::Panicked } else { Stopped::Dropped };
        self.shared.lock().stop(self.why.unwrap_or(unwinding));
    }
}

/// What came of one exchange with the device.
struct Turned {
    /// Frames were exchanged.
    worked: bool,
    /// More wait in the device.
    more: bool,
    /// The device takes no more.
    blocked: bool,
    /// When to come back.
    next: Option<Instant>,
}

impl State {
    /// Frames that were exchanged so far.
    fn exchanged(&self) -> u64 {
        let counters = self.stack.counters();
        counters.received + counters.transmitted
    }

    /// Nothing moves any more: whoever waits is told why.
    fn stop(&mut self, why: Stopped) {
        self.stopped.get_or_insert(why);
        for connection in self.connections.values_mut() {
            connection.read.wake();
            connection.write.wake();
        }
        self.listeners.values_mut().for_each(|accepting| accepting.task.wake());
        self.datagrams.values_mut().for_each(|receiving| receiving.task.wake());
    }

    /// Wakes whoever waits for what has happened.
    pub(super) fn dispatch(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            match event {
                Event::Tcp { connection, event } => {
                    let Some(connection) = self.connections.get_mut(&connection) else { continue };
                    connection.handle_event(event);
                }
                Event::TcpAccepted { listener, connection, local, remote } => {
                    let Some(accepting) = self.listeners.get_mut(&listener) else {
                        self.stack.tcp_abort(connection, now);
                        self.stack.tcp_release(connection, now);
                        continue;
                    };
                    accepting.ready.push_back(Accepted { id: connection, local, remote });
                    accepting.task.wake();
                    self.connections
                        .insert(connection, Connection { established: true, ..Connection::default() });
                }
                Event::UdpReadable { socket } => {
                    if let Some(receiving) = self.datagrams.get_mut(&socket) {
                        receiving.task.wake();
                    }
                }
                // Nothing here defers, intercepts, or answers for an address conflict.
                _ => {}
            }
        }
    }
}

impl Connection {
    fn handle_event(&mut self, event: tcp::Event) {
        match event {
            tcp::Event::Established => {
                self.established = true;
                self.write.wake();
            }
            tcp::Event::Readable | tcp::Event::PeerClosed => self.read.wake(),
            tcp::Event::Writable | tcp::Event::SendingDone => self.write.wake(),
            tcp::Event::Closed(reason) => {
                self.closed = Some(reason);
                self.read.wake();
                self.write.wake();
            }
        }
    }
}
