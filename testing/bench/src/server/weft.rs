//! On the stack's own face: one thread that takes frames, answers and sends, as the gateway does.

use super::service::{Answer, Service, piece, ports};
use super::{ADDRESS, MTU, TAP, tell_listening};
use packet::{Bytes, Device};
use runtime::{Clock, Poller, Port, Spin, Token};
use stack::{Binding, Config, Event, InterfaceConfig, Listen, Prefix, Stack, TcpId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use time::Instant;

/// Connections in their handshake at once, at each port.
const BACKLOG: usize = 1_024;
/// Turns of the device before its connections are served.
const BATCHES_MAX: usize = 4;

/// The server.
struct Server {
    stack: Stack,
    connections: HashMap<TcpId, Connection>,
    answer: Answer,
    /// The same, as the stack takes it.
    answer_bytes: Bytes,
}

/// What a connection is at.
struct Connection {
    service: Service,
    /// Written, but without room so far.
    pending: Bytes,
}

/// Serves until it is killed.
pub fn serve() -> Result<(), String> {
    let failed = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    let tap = link::Tap::open(TAP, MTU).map_err(|error| failed("TAP", &error))?;
    let mut poller = Poller::new().map_err(|error| failed("epoll", &error))?;
    poller.add(&tap, Token(0)).map_err(|error| failed("epoll", &error))?;
    let clock = Clock::start();
    let mut now = clock.now();
    let mut stack = Stack::new(Config::default(), seed()?, now);
    let addresses = vec![Prefix::new(ADDRESS, 24)];
    let interface =
        InterfaceConfig { announce: false, ..InterfaceConfig::new(tap.capabilities(), HARDWARE, addresses) };
    let interface = stack.add_interface(interface, now).map_err(|error| failed("interface", &error))?;
    // What is written here is whole answers.
    let config = Arc::new(tcp::Config { nagle: false, ..tcp::Config::linux() });
    for port in ports() {
        let listen =
            Listen { binding: Binding::Port(port), defer: false, backlog: BACKLOG, config: config.clone() };
        stack.tcp_listen(listen).map_err(|error| failed("listen", &error))?;
    }
    let answer = Answer::new();
    let answer_bytes = Bytes::copy_from_slice(answer.text());
    let mut server = Server { stack, connections: HashMap::new(), answer, answer_bytes };
    let mut port = Port::new(interface, tap);
    let (mut arrived, mut blocked) = (false, false);
    let mut spin = Spin::new(now);
    tell_listening();
    loop {
        let wait = match server.stack.poll_timeout() {
            _ if arrived || spin.is_worth_it(now) => Some(Duration::ZERO),
            Some(at) => Some(at.since(clock.now())),
            None => None,
        };
        let mut worked = arrived;
        for readiness in poller.wait(wait).map_err(|error| failed("epoll", &error))? {
            arrived |= readiness.readable;
            blocked &= !readiness.writable;
            worked = true;
        }
        now = clock.now();
        if worked {
            spin.handle_work(now);
        }
        for _ in 0..BATCHES_MAX {
            if !arrived {
                break;
            }
            arrived = port.receive(&mut server.stack, now).map_err(|error| failed("TAP", &error))?;
            server.dispatch(now);
        }
        if server.stack.poll_timeout().is_some_and(|at| at <= now) {
            server.stack.handle_timeout(now);
            server.dispatch(now);
        }
        if !blocked {
            blocked = port.transmit(&mut server.stack, now).map_err(|error| failed("TAP", &error))?;
        }
        server.dispatch(now);
    }
}

/// Administered locally.
const HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn seed() -> Result<[u8; 32], String> {
    let mut seed = [0; 32];
    rustix::rand::getrandom(&mut seed[..], rustix::rand::GetRandomFlags::empty())
        .map_err(|error| format!("random bytes: {error}"))?;
    Ok(seed)
}

impl Server {
    fn dispatch(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            match event {
                Event::TcpAccepted { connection, local, .. } => {
                    let service = Service::at(local.port());
                    self.connections.insert(connection, Connection { service, pending: Bytes::new() });
                    self.serve(connection, now);
                }
                Event::Tcp { connection, event: tcp::Event::Closed(_) } => self.forget(connection, now),
                Event::Tcp { connection, .. } => self.serve(connection, now),
                _ => {}
            }
        }
    }

    fn forget(&mut self, id: TcpId, now: Instant) {
        if self.connections.remove(&id).is_some() {
            self.stack.tcp_release(id, now);
        }
    }

    /// Reads and writes as much as there is.
    fn serve(&mut self, id: TcpId, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if matches!(connection.service, Service::Http(_)) && self.answer.renew() {
            self.answer_bytes = Bytes::copy_from_slice(self.answer.text());
        }
        let open = connection.serve(&mut self.stack, id, &self.answer_bytes, now);
        if !open {
            self.forget(id, now);
        }
    }
}

impl Connection {
    /// Whether there may be more to do later.
    fn serve(&mut self, stack: &mut Stack, id: TcpId, answer: &Bytes, now: Instant) -> bool {
        if !self.pending.is_empty() {
            stack.tcp_write(id, &mut self.pending, now);
        }
        if matches!(self.service, Service::Generate) {
            while stack.tcp_writable(id) > 0 {
                stack.tcp_write(id, &mut Bytes::from_static(piece()), now);
            }
        }
        while self.pending.is_empty() {
            let Some(bytes) = stack.tcp_read(id, usize::MAX, now) else { break };
            match &mut self.service {
                Service::Discard | Service::Generate => {}
                Service::Echo => {
                    self.pending = bytes;
                    stack.tcp_write(id, &mut self.pending, now);
                }
                Service::Http(requests) => {
                    for _ in 0..requests.count(&bytes) {
                        // A client that sends requests and reads no answers is none of this measurement.
                        stack.tcp_write(id, &mut answer.clone(), now);
                    }
                }
            }
        }
        !(self.pending.is_empty() && stack.tcp_is_at_end(id))
    }
}
