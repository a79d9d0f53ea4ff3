//! A bare relay: what carrying connections on by the host's sockets costs without any TCP of one's own.
//!
//! One thread that reads and writes what is ready, as weft's does; a half-close is carried on.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// What is read at once: the size from which reading more brings nothing here.
const CHUNK_BYTES: usize = 128 * 1024;
/// Events taken in one turn.
const EVENTS_MAX: usize = 256;

/// Carries connections to each of `near` on to the same port of `far`, until it is killed.
pub fn relay(near: &[SocketAddr], far: SocketAddr) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("relay: {error}");
    let listeners = near.iter().map(TcpListener::bind).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let mut relay = Relay::new(listeners, far).map_err(failed)?;
    println!("listening");
    loop {
        relay.turn().map_err(failed)?;
    }
}

/// Listeners by their place, connections by a number that is not used again. A token is a number and a side.
struct Relay {
    poll: OwnedFd,
    far: SocketAddr,
    listeners: Vec<TcpListener>,
    pairs: BTreeMap<u64, Pair>,
    /// The number of the next connection.
    next: u64,
    chunk: Vec<u8>,
    events: Vec<Event>,
}

/// The two connections that are one.
struct Pair {
    streams: [TcpStream; 2],
    directions: [Direction; 2],
}

/// From the stream of the same place to the other.
#[derive(Default)]
struct Direction {
    /// What the last write left over.
    pending: Vec<u8>,
    ended: bool,
}

impl Relay {
    fn new(listeners: Vec<TcpListener>, far: SocketAddr) -> std::io::Result<Self> {
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        for (place, listener) in listeners.iter().enumerate() {
            listener.set_nonblocking(true)?;
            epoll::add(&poll, listener, EventData::new_u64(place as u64 * 2), EventFlags::IN)?;
        }
        let next = listeners.len() as u64;
        let events = Vec::with_capacity(EVENTS_MAX);
        Ok(Self { poll, far, listeners, pairs: BTreeMap::new(), next, chunk: vec![0; CHUNK_BYTES], events })
    }

    /// Waits for events and handles them.
    fn turn(&mut self) -> std::io::Result<()> {
        self.events.clear();
        match epoll::wait(&self.poll, spare_capacity(&mut self.events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let events = std::mem::take(&mut self.events);
        for event in &events {
            let number = event.data.u64() / 2;
            if let Some(pair) = self.pairs.get_mut(&number) {
                // A connection that breaks is closed, which the client takes for a failure.
                if !matches!(pair.carry(&mut self.chunk), Ok(false)) {
                    self.pairs.remove(&number);
                }
            } else if (number as usize) < self.listeners.len() {
                self.accept(number as usize)?;
            }
        }
        self.events = events;
        Ok(())
    }

    fn accept(&mut self, place: usize) -> std::io::Result<()> {
        while let Ok((near, _)) = self.listeners[place].accept() {
            let port = near.local_addr()?.port();
            let far = connect(SocketAddr::new(self.far.ip(), port))?;
            near.set_nonblocking(true)?;
            for (side, stream) in [&near, &far].into_iter().enumerate() {
                stream.set_nodelay(true)?;
                let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
                epoll::add(&self.poll, stream, EventData::new_u64(self.next * 2 + side as u64), flags)?;
            }
            self.pairs.insert(self.next, Pair { streams: [near, far], directions: Default::default() });
            self.next += 1;
        }
        Ok(())
    }
}

/// Starts to connect.
fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

impl Pair {
    /// Moves what can be moved; whether both directions have ended.
    fn carry(&mut self, chunk: &mut [u8]) -> std::io::Result<bool> {
        let [near, far] = &self.streams;
        let [up, down] = &mut self.directions;
        Ok(up.carry(near, far, chunk)? & down.carry(far, near, chunk)?)
    }
}

impl Direction {
    /// Moves what can be moved; whether that was all there ever is.
    fn carry(&mut self, mut from: &TcpStream, mut to: &TcpStream, chunk: &mut [u8]) -> std::io::Result<bool> {
        while !self.ended {
            if !self.pending.is_empty() {
                let Some(count) = unless_blocked(to.write(&self.pending))? else { return Ok(false) };
                self.pending.drain(..count);
                continue;
            }
            let Some(count) = unless_blocked(from.read(chunk))? else { return Ok(false) };
            if count == 0 {
                to.shutdown(Shutdown::Write)?;
                self.ended = true;
                break;
            }
            let written = unless_blocked(to.write(&chunk[..count]))?.unwrap_or(0);
            self.pending.extend_from_slice(&chunk[written..count]);
        }
        Ok(true)
    }
}

/// `None` where the socket would block, or is not connected yet.
fn unless_blocked(outcome: std::io::Result<usize>) -> std::io::Result<Option<usize>> {
    match outcome {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_the_end_are_carried_on() {
        // As everywhere, the far side listens on the port that the near side is reached at.
        let far = TcpListener::bind("127.0.0.2:0").unwrap();
        let far_address = far.local_addr().unwrap();
        let near = TcpListener::bind(("127.0.0.1", far_address.port())).unwrap();
        let near_address = near.local_addr().unwrap();
        // Ends with the test's process.
        std::thread::spawn(move || {
            let mut relay = Relay::new(vec![near], far_address).unwrap();
            while relay.turn().is_ok() {}
        });
        let mut client = TcpStream::connect(near_address).unwrap();
        let (mut server, _) = far.accept().unwrap();
        let sent = vec![b'?'; 4 << 20];
        let received = std::thread::scope(|scope| {
            scope.spawn(|| {
                client.write_all(&sent).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
            });
            let mut received = Vec::new();
            server.read_to_end(&mut received).unwrap();
            received
        });
        assert_eq!(received.len(), sent.len());
        server.write_all(b"answer").unwrap();
        drop(server);
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "answer");
    }
}
