//! On smoltcp: its sockets looked at one after the other each turn, as its own examples do.

use std::io::ErrorKind;
use std::os::fd::{AsRawFd, BorrowedFd};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, TunTapInterface};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpCidr};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::service::{Answer, Purpose, Service, piece};
use super::smoltcp_device::OffloadingTap;
use super::{ADDRESS, MTU, TAP, tell_listening};

/// Bytes of each buffer of a socket that carries a stream.
const STREAM_BYTES: usize = 4 << 20;
/// Bytes of each buffer of a socket that carries requests.
const REQUEST_BYTES: usize = 16 << 10;
/// Polls without a frame before it sleeps.
const POLLS_MAX: u32 = 200;

/// Serves until it is killed; `offload`: segmentation is left to the kernel.
pub fn serve(offload: bool, purpose: Purpose) -> Result<(), String> {
    if offload {
        let tap = link::Tap::open(TAP, MTU).map_err(|error| format!("TAP: {error}"))?;
        let fd = std::os::fd::AsFd::as_fd(&tap).as_raw_fd();
        return turn(OffloadingTap::new(tap), fd, purpose);
    }
    let tap =
        TunTapInterface::new(TAP, smoltcp::phy::Medium::Ethernet).map_err(|error| format!("TAP: {error}"))?;
    let fd = tap.as_raw_fd();
    turn(tap, fd, purpose)
}

/// A socket and what it serves.
struct Socket {
    handle: SocketHandle,
    port: u16,
    service: Service,
}

fn turn<D: Device>(mut device: D, fd: i32, purpose: Purpose) -> Result<(), String> {
    let mut config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 1]).into());
    config.random_seed = std::process::id().into();
    let mut interface = Interface::new(config, &mut device, Instant::now());
    interface.update_ip_addrs(|addresses| {
        let own = IpCidr::new(ADDRESS.into(), 24);
        addresses.push(own).expect("there is room for one address");
    });
    let mut set = SocketSet::new(Vec::new());
    let mut sockets = open(&mut set, purpose)?;
    let mut answer = Answer::new();
    let mut idle = 0_u32;
    tell_listening();
    loop {
        let now = Instant::now();
        let changed = interface.poll(now, &mut device, &mut set);
        answer.renew();
        for socket in &mut sockets {
            socket.serve(set.get_mut(socket.handle), answer.text())?;
        }
        idle = if changed == smoltcp::iface::PollResult::SocketStateChanged { 0 } else { idle + 1 };
        if idle > POLLS_MAX {
            sleep(fd, interface.poll_delay(now, &set))?;
            idle = 0;
        }
    }
}

fn sleep(fd: i32, delay: Option<Duration>) -> Result<(), String> {
    let timeout = delay.map(|delay| Timespec {
        tv_sec: delay.secs() as i64,
        tv_nsec: 1_000 * (delay.total_micros() % 1_000_000) as i64,
    });
    // SAFETY: the device owns the descriptor and outlives this call.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    match poll(&mut [PollFd::new(&fd, PollFlags::IN)], timeout.as_ref()) {
        Ok(_) => Ok(()),
        Err(error) if std::io::Error::from(error).kind() == ErrorKind::Interrupted => Ok(()),
        Err(error) => Err(format!("poll: {error}")),
    }
}

fn open(set: &mut SocketSet<'_>, purpose: Purpose) -> Result<Vec<Socket>, String> {
    let bytes = if purpose == Purpose::Bulk { STREAM_BYTES } else { REQUEST_BYTES };
    let mut sockets = Vec::new();
    for (port, count) in purpose.listeners() {
        for _ in 0..count {
            let buffer = || tcp::SocketBuffer::new(vec![0; bytes]);
            let mut socket = tcp::Socket::new(buffer(), buffer());
            socket.set_nagle_enabled(false);
            socket.listen(port).map_err(|error| format!("listen: {error}"))?;
            sockets.push(Socket { handle: set.add(socket), port, service: Service::at(port) });
        }
    }
    Ok(sockets)
}

impl Socket {
    fn serve(&mut self, socket: &mut tcp::Socket<'_>, answer: &[u8]) -> Result<(), String> {
        if !socket.is_open() {
            self.service = Service::at(self.port);
            socket.listen(self.port).map_err(|error| format!("listen: {error}"))?;
        }
        if matches!(self.service, Service::Generate) {
            while socket.can_send() && socket.send_slice(piece()).unwrap_or(0) > 0 {}
        }
        while socket.can_recv() {
            let room = socket.send_capacity() - socket.send_queue();
            let service = &mut self.service;
            let taken = socket.recv(|bytes| match service {
                Service::Discard | Service::Generate => (bytes.len(), Vec::new()),
                Service::Echo => {
                    let count = bytes.len().min(room);
                    (count, bytes[..count].to_vec())
                }
                Service::Http(requests) => (bytes.len(), answer.repeat(requests.count(bytes))),
            });
            let reply = taken.map_err(|error| format!("receive: {error}"))?;
            if !reply.is_empty() {
                socket.send_slice(&reply).map_err(|error| format!("send: {error}"))?;
            }
            if room == 0 {
                break;
            }
        }
        if !socket.may_recv() && socket.may_send() && socket.state() == tcp::State::CloseWait {
            socket.close();
        }
        Ok(())
    }
}
