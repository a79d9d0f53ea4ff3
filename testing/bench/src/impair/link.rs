//! The process between the two sides: the simulator's link, with the machine's clock and real devices at its ends.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use ::link::Tap;
use packet::{Batch, Device};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::thread::LinkNameSpaceType;
use sim::{Burst, Link, Narrow, Offloading, Port, Reorder, World};
use std::time::Duration;

use super::MTU;
use crate::server::TAP;

/// Frames in a batch.
const BATCH_PACKETS: usize = 64;
/// What one end of a cable may have on its way before a frame is lost, in bytes: as a TAP's queue.
const CABLE_BYTES: usize = 16 << 20;

/// What the link does. One letter and a number each: see [`parse`].
fn parse(words: &[&str]) -> Result<(u64, Link), String> {
    let mut link = Link { mtu: MTU, offloading: Offloading::Device, ..Link::default() };
    link.delay = Duration::ZERO;
    let mut seed = 0;
    for word in words {
        let (name, value) = word.split_once('=').ok_or_else(|| format!("{word}: NAME=NUMBER is wanted"))?;
        let number: u64 = value.parse().map_err(|_| format!("{word}: not a number"))?;
        let ppm = u32::try_from(number).unwrap_or(u32::MAX).min(1_000_000);
        match name {
            "seed" => seed = number,
            "loss-ppm" => link.loss_ppm = ppm,
            "burst-ppm" => {
                link.burst = Some(Burst { begin_ppm: ppm, lasting_max: Duration::from_millis(20) });
            }
            "reorder-ppm" => {
                link.reorder = Some(Reorder { ppm, delay_max: Duration::from_millis(10) });
            }
            "duplicate-ppm" => link.duplicate_ppm = ppm,
            "corrupt-ppm" => link.corrupt_ppm = ppm,
            "delay-us" => link.delay = Duration::from_micros(number),
            "jitter-us" => link.jitter = Duration::from_micros(number),
            "rate-bits" => link.rate_bits = Some(number).filter(|&rate| rate > 0),
            "queue-packets" => link.queue_packets = number as usize,
            "narrow-bytes" => {
                let mtu = u16::try_from(number).map_err(|_| format!("{word}: too large"))?;
                link.narrow = Some(Narrow { mtu, tells: true });
            }
            "mark-packets" => link.mark_packets = Some(number as usize),
            _ => return Err(format!("{name} is nothing that a link does")),
        }
    }
    Ok((seed, link))
}

/// Joins the devices of the left side with those of the right, each several ends by commas, until it is killed.
pub fn run(left: &str, right: &str, words: &[&str]) -> Result<(), String> {
    let (seed, link) = parse(words)?;
    let listen = |ends: &str| ends.split(',').map(End::listen).collect::<Result<Vec<_>, _>>();
    let sides = [listen(left)?, listen(right)?];
    println!("listening");
    let mut sides = sides.map(|side| side.into_iter().map(End::open).collect::<Result<Vec<_>, _>>());
    let [left, right] = &mut sides;
    let ends = [left.as_mut().map_err(|e| e.clone())?, right.as_mut().map_err(|e| e.clone())?];
    carry(seed, link, ends)
}

fn carry(seed: u64, link: Link, mut sides: [&mut Vec<Box<dyn Frames>>; 2]) -> Result<(), String> {
    let clock = runtime::Clock::start();
    let mut world = World::new(seed);
    let start = world.now();
    let begun = clock.now();
    let (_, mut ports) = world.wire(link);
    let mut batch = Batch::with_capacity(BATCH_PACKETS);
    loop {
        let now = start + clock.now().since(begun);
        world.run_for(now.since(world.now()));
        let mut moved = false;
        for (side, ends) in sides.iter_mut().enumerate() {
            for end in ends.iter_mut() {
                end.receive(&mut batch).map_err(|error| error.to_string())?;
                moved |= !batch.is_empty();
                ports[side].transmit(&mut batch).map_err(|error| error.to_string())?;
            }
            ports[side].receive(&mut batch).map_err(|error| error.to_string())?;
            moved |= !batch.is_empty();
            deliver(&mut batch, ends)?;
        }
        if !moved {
            sleep(&ports, &sides, start + clock.now().since(begun))?;
        }
    }
}

/// Gives every frame to every end of a side: whose it is not drops it by its hardware address.
fn deliver(batch: &mut Batch, ends: &mut [Box<dyn Frames>]) -> Result<(), String> {
    let mut copies = Batch::with_capacity(BATCH_PACKETS);
    for number in (0..ends.len()).rev() {
        if number > 0 {
            for packet in batch.iter() {
                // Both batches are of one size.
                let _ = copies.push(packet.clone());
            }
        }
        let leaving = if number > 0 { &mut copies } else { &mut *batch };
        ends[number].transmit(leaving).map_err(|error| error.to_string())?;
        // What the device does not take is lost, as on a wire.
        while leaving.pop().is_some() {}
    }
    Ok(())
}

fn sleep(
    ports: &[Port; 2],
    sides: &[&mut Vec<Box<dyn Frames>>; 2],
    now: time::Instant,
) -> Result<(), String> {
    let next = ports.iter().filter_map(Port::next_arrival).min();
    let wait = next.map(|at| at.since(now));
    let timeout =
        wait.map(|wait| Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) });
    let mut ends: Vec<PollFd<'_>> =
        sides.iter().flat_map(|side| side.iter()).map(|end| PollFd::new(end, PollFlags::IN)).collect();
    match poll(&mut ends, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(format!("poll: {error}")),
    }
}

/// A device that can be waited for.
trait Frames: Device + AsFd {}

impl<D: Device + AsFd> Frames for D {}

/// One end, before somebody is behind it.
enum End {
    Tap(Tap),
    Cable(OwnedFd),
}

impl End {
    /// A path to a namespace, in which a TAP is made; or `cable:PATH`, where a stack connects.
    fn listen(name: &str) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("{name}: {error}");
        if let Some(path) = name.strip_prefix("cable:") {
            let address = SocketAddrUnix::new(path).map_err(|error| failed(&error))?;
            let socket = rustix::net::socket_with(
                AddressFamily::UNIX,
                SocketType::SEQPACKET,
                SocketFlags::CLOEXEC,
                None,
            )
            .map_err(|error| failed(&error))?;
            rustix::net::bind(&socket, &address).map_err(|error| failed(&error))?;
            rustix::net::listen(&socket, 1).map_err(|error| failed(&error))?;
            return Ok(Self::Cable(socket));
        }
        let namespace = File::open(name).map_err(|error| failed(&error))?;
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|error| failed(&error))?;
        Ok(Self::Tap(Tap::open(TAP, MTU).map_err(|error| failed(&error))?))
    }

    fn open(self) -> Result<Box<dyn Frames>, String> {
        match self {
            Self::Tap(tap) => Ok(Box::new(tap)),
            Self::Cable(listener) => {
                let socket =
                    rustix::net::accept_with(&listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
                        .map_err(|error| format!("cable: {error}"))?;
                widen(&socket);
                Ok(Box::new(Tap::from_fd(socket, MTU)))
            }
        }
    }
}

/// A stack's end of the cable at `path`. Frames on it are as on a TAP's descriptor, each behind a virtio-net header, so
/// that a stack on a cable has the same offloads as the kernel behind a TAP.
pub fn connect(path: &str) -> Result<Tap, String> {
    let failed = |error: Errno| format!("{path}: {error}");
    let address = SocketAddrUnix::new(path).map_err(failed)?;
    let flags = SocketFlags::CLOEXEC;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).map_err(failed)?;
    rustix::net::connect(&socket, &address).map_err(failed)?;
    rustix::io::ioctl_fionbio(&socket, true).map_err(failed)?;
    widen(&socket);
    Ok(Tap::from_fd(socket, MTU))
}

/// Room for more frames on the way. Where it may not be had, some are lost that a TAP would keep.
fn widen(socket: &OwnedFd) {
    let _ = rustix::net::sockopt::set_socket_send_buffer_size_force(socket, CABLE_BYTES);
}
