//! On the kernel's sockets: one thread, one epoll loop.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

use super::service::{Answer, Service, piece, ports};
use super::tell_listening;

/// Events taken in one turn.
const EVENTS_MAX: usize = 256;
/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;

/// The sockets by descriptor.
struct Server {
    poll: OwnedFd,
    listeners: BTreeMap<u64, TcpListener>,
    connections: BTreeMap<u64, (TcpStream, Service)>,
    events: Vec<Event>,
    buffer: Vec<u8>,
    answer: Answer,
}

/// Serves until it is killed.
pub fn serve(address: IpAddr) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("server: {error}");
    let mut server = Server::listen(address).map_err(failed)?;
    tell_listening();
    loop {
        server.turn().map_err(failed)?;
    }
}

impl Server {
    fn listen(address: IpAddr) -> std::io::Result<Self> {
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut listeners = BTreeMap::new();
        for port in ports() {
            let listener = TcpListener::bind(SocketAddr::new(address, port))?;
            listener.set_nonblocking(true)?;
            listeners.insert(watch(&poll, &listener, EventFlags::IN)?, listener);
        }
        Ok(Self {
            poll,
            listeners,
            connections: BTreeMap::new(),
            events: Vec::with_capacity(EVENTS_MAX),
            buffer: vec![0; READ_BYTES],
            answer: Answer::new(),
        })
    }

    fn turn(&mut self) -> std::io::Result<()> {
        self.events.clear();
        match epoll::wait(&self.poll, spare_capacity(&mut self.events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.answer.renew();
        let events = std::mem::take(&mut self.events);
        for event in &events {
            let descriptor = event.data.u64();
            if self.listeners.contains_key(&descriptor) {
                self.accept(descriptor)?;
            } else if let Some((stream, service)) = self.connections.get_mut(&descriptor)
                && !serve_one(stream, service, &mut self.buffer, self.answer.text())
            {
                self.connections.remove(&descriptor);
            }
        }
        self.events = events;
        Ok(())
    }

    fn accept(&mut self, listener: u64) -> std::io::Result<()> {
        while let Ok((stream, _)) = self.listeners[&listener].accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let service = Service::at(stream.local_addr()?.port());
            let wanted = match service {
                Service::Generate => EventFlags::OUT | EventFlags::RDHUP,
                _ => EventFlags::IN,
            };
            self.connections.insert(watch(&self.poll, &stream, wanted)?, (stream, service));
        }
        Ok(())
    }
}

fn watch(poll: &OwnedFd, socket: &(impl AsFd + AsRawFd), wanted: EventFlags) -> std::io::Result<u64> {
    let descriptor = socket.as_raw_fd() as u64;
    epoll::add(poll, socket, EventData::new_u64(descriptor), wanted)?;
    Ok(descriptor)
}

/// Does what can be done now; false when the connection is over.
fn serve_one(stream: &mut TcpStream, service: &mut Service, buffer: &mut [u8], answer: &[u8]) -> bool {
    if matches!(service, Service::Generate) {
        return match stream.write(piece()) {
            Ok(_) => true,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
    }
    let count = match stream.read(buffer) {
        Ok(0) => return false,
        Ok(count) => count,
        Err(error) => return error.kind() == ErrorKind::WouldBlock,
    };
    match service {
        Service::Echo => stream.write_all(&buffer[..count]).is_ok(),
        Service::Http(requests) => {
            (0..requests.count(&buffer[..count])).all(|_| stream.write_all(answer).is_ok())
        }
        Service::Discard | Service::Generate => true,
    }
}
