//! The far end: sends every byte back, on as many connections as there are descriptors, in one thread.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

/// Events taken in one turn.
const EVENTS_MAX: usize = 256;
/// A request is one byte; more than this many at once are echoed in pieces.
const CHUNK_BYTES: usize = 512;

/// Listens on all endpoints, says so, and serves until it is killed.
pub fn serve(addresses: &[SocketAddr]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("echo server: {error}");
    let mut server = Server::listen(addresses).map_err(failed)?;
    println!("listening");
    loop {
        server.turn().map_err(failed)?;
    }
}

/// The sockets by descriptor.
struct Server {
    poll: OwnedFd,
    listeners: BTreeMap<u64, TcpListener>,
    connections: BTreeMap<u64, TcpStream>,
    events: Vec<Event>,
}

impl Server {
    fn listen(addresses: &[SocketAddr]) -> std::io::Result<Self> {
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut listeners = BTreeMap::new();
        for address in addresses {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            listeners.insert(watch(&poll, &listener)?, listener);
        }
        Ok(Self { poll, listeners, connections: BTreeMap::new(), events: Vec::with_capacity(EVENTS_MAX) })
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
            let descriptor = event.data.u64();
            if let Some(listener) = self.listeners.get(&descriptor) {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    self.connections.insert(watch(&self.poll, &stream)?, stream);
                }
            } else if self.connections.get_mut(&descriptor).is_some_and(|stream| !echo(stream)) {
                self.connections.remove(&descriptor);
            }
        }
        self.events = events;
        Ok(())
    }
}

/// Has `poll` report when a socket can be read, under its descriptor's number, which is returned.
fn watch(poll: &OwnedFd, socket: &(impl AsFd + AsRawFd)) -> std::io::Result<u64> {
    let descriptor = socket.as_raw_fd() as u64;
    epoll::add(poll, socket, EventData::new_u64(descriptor), EventFlags::IN)?;
    Ok(descriptor)
}

/// Sends back what has come; false when the connection is over.
fn echo(stream: &mut TcpStream) -> bool {
    let mut chunk = [0; CHUNK_BYTES];
    match stream.read(&mut chunk) {
        Ok(0) => false,
        Ok(count) => stream.write_all(&chunk[..count]).is_ok(),
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
