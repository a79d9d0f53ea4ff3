//! Two TAP interfaces and a loop between them: every frame of one is written to the other. With a namespace behind each,
//! both of whose TCPs are the kernel's, it tells what a TAP costs.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::thread::LinkNameSpaceType;

use super::{TAP, tell_listening};

/// A frame, its virtio-net header, and to spare.
const BUFFER_BYTES: usize = 65_536 + 64;
/// Frames of one side before the other has its turn.
const FRAMES_MAX: usize = 64;

/// Joins the namespaces behind the two paths until it is killed.
pub fn serve(left: &str, right: &str) -> Result<(), String> {
    let (left, right) = (open_in(left)?, open_in(right)?);
    tell_listening();
    let failed = |error: Errno| format!("bridge: {error}");
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let moved = carry(&left, &right, &mut buffer).map_err(failed)?
            + carry(&right, &left, &mut buffer).map_err(failed)?;
        if moved == 0 {
            let sides = &mut [PollFd::new(&left, PollFlags::IN), PollFd::new(&right, PollFlags::IN)];
            match poll(sides, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

fn open_in(path: &str) -> Result<OwnedFd, String> {
    let namespace = File::open(path).map_err(|error| format!("{path}: {error}"))?;
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|error| format!("{path}: {error}"))?;
    link::Tap::create(TAP).map_err(|error| format!("TAP: {error}"))
}

fn carry(from: &OwnedFd, to: &OwnedFd, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    for moved in 0..FRAMES_MAX {
        let length = match rustix::io::read(from, &mut *buffer) {
            Ok(length) => length,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(moved),
            Err(error) => return Err(error),
        };
        // What the other side does not take is lost, as on a wire.
        let _ = rustix::io::write(to, &buffer[..length]);
    }
    Ok(FRAMES_MAX)
}
