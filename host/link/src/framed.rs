//! A file descriptor that gives and takes one frame a call, each behind a virtio-net header.
//!
//! One plain `read` or `write` a frame: measured, `writev` of a gathered frame costs 8 to 17 % more than `write`
//! at 64 KB, but the copy that gathers it costs 19 %. So a small frame is gathered, a large one is not.

use crate::drops::{DropReason, Drops};
use crate::farewell;
use crate::virtio::{VIRTIO_HEADER_LENGTH, VirtioHeader};
use packet::{Batch, Bytes, DeviceError, FrameBuffer, HEADER_CAPACITY, Packet, Pool};
use rustix::fd::OwnedFd;
use rustix::io::{self, Errno, IoSlice};

/// The longest frame, in bytes with its Ethernet header: one more and the kernel cuts it in software.
pub(crate) const FRAME_BYTES_MAX: usize = 65_535;

/// A frame to be sent that is no longer than this is gathered into one buffer, in bytes. One page: up to there
/// the copy costs less than the kernel's walk over several parts.
const GATHER_BYTES_MAX: usize = 4096;

/// How many parts `writev` takes at most; a frame of more is gathered. IOV_MAX is 1024; a frame of 64 KB in more
/// parts than this has parts so small that the copy is cheaper.
const PARTS_MAX: usize = 64;

/// Room for the largest frame that Linux makes by itself: 64 KB of IP, Ethernet, a VLAN tag, and our header.
const BUFFER_BYTES: usize = 65_536 + 64;

/// A received frame shorter than this part of its buffer is copied to a buffer of its own size: a connection
/// that holds a few bytes unread must not hold 64 KB.
const COPY_BYTES_MAX: usize = BUFFER_BYTES / 4;

/// How many large buffers are kept for reuse: one batch of large frames.
const BUFFERS_KEPT_MAX: usize = 64;

const ETHERNET_LENGTH: usize = 14;

/// The descriptor, its buffers, and what it dropped.
#[derive(Debug)]
pub(crate) struct Framed {
    pub fd: OwnedFd,
    pub drops: Drops,
    pool: Pool,
    /// The buffer for the next frame: kept over when a frame was copied out of it.
    spare: Option<FrameBuffer>,
    gathered: Vec<u8>,
    doing_receive: &'static str,
    doing_transmit: &'static str,
    /// Declared, and so dropped, after `fd`: see there.
    _farewell: Option<OwnedFd>,
}

impl Framed {
    /// A descriptor that is non-blocking already, and how to name what it does in errors.
    pub fn new(fd: OwnedFd, doing_receive: &'static str, doing_transmit: &'static str) -> Self {
        Self {
            _farewell: farewell::hold(&fd),
            fd,
            drops: Drops::default(),
            pool: Pool::new(BUFFER_BYTES, BUFFERS_KEPT_MAX),
            spare: None,
            gathered: Vec::new(),
            doing_receive,
            doing_transmit,
        }
    }

    pub fn receive(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        while !batch.is_full() {
            let mut buffer = self.spare.take().unwrap_or_else(|| self.pool.take());
            match io::read(&self.fd, &mut buffer[..]) {
                // A socket whose other end is closed; an interface never gives this.
                Ok(0) => {
                    let code = Errno::CONNRESET.raw_os_error();
                    return Err(DeviceError { doing: self.doing_receive, code });
                }
                Ok(length) => {
                    if let Some(packet) = self.parse(buffer, length) {
                        // The batch is not full: there is room.
                        let _ = batch.push(packet);
                    }
                }
                Err(Errno::AGAIN) => {
                    self.spare = Some(buffer);
                    return Ok(());
                }
                Err(Errno::INTR) => self.spare = Some(buffer),
                // Both leave the queue behind: the frame is gone, the next read gives the next one.
                Err(Errno::INVAL | Errno::MSGSIZE) => {
                    self.spare = Some(buffer);
                    self.drops.count(DropReason::OffloadUnknown);
                }
                Err(error) => {
                    return Err(DeviceError { doing: self.doing_receive, code: error.raw_os_error() });
                }
            }
        }
        Ok(())
    }

    fn parse(&mut self, buffer: FrameBuffer, length: usize) -> Option<Packet> {
        let reason = match buffer[..length].split_first_chunk::<VIRTIO_HEADER_LENGTH>() {
            // A full buffer may be half a frame: the kernel cuts silently.
            _ if length == buffer.len() => DropReason::Oversized,
            Some((header, frame)) if frame.len() >= ETHERNET_LENGTH => {
                match VirtioHeader(*header).decode(frame) {
                    Ok(offload) => {
                        let frame = if length <= COPY_BYTES_MAX {
                            let frame = Bytes::copy_from_slice(frame);
                            self.spare = Some(buffer);
                            frame
                        } else {
                            buffer.freeze(length).slice(VIRTIO_HEADER_LENGTH..)
                        };
                        return Some(Packet::received(frame, offload));
                    }
                    Err(_) => DropReason::OffloadMalformed,
                }
            }
            _ => DropReason::Runt,
        };
        self.spare = Some(buffer);
        self.drops.count(reason);
        None
    }

    pub fn transmit(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        while let Some(packet) = batch.front() {
            if packet.len() > FRAME_BYTES_MAX {
                self.drops.count(DropReason::TooLong);
                batch.pop();
                continue;
            }
            match write(&self.fd, &mut self.gathered, packet) {
                Ok(()) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                // The link's queue is full and the kernel says so by an error of this frame, or the frame is
                // one that it does not take. Either way the frame is lost as on a wire.
                Err(Errno::IO | Errno::INVAL | Errno::MSGSIZE | Errno::NOBUFS | Errno::NOMEM) => {
                    self.drops.count(DropReason::Refused);
                }
                Err(error) => {
                    return Err(DeviceError { doing: self.doing_transmit, code: error.raw_os_error() });
                }
            }
            batch.pop();
        }
        Ok(())
    }
}

/// Hands one frame to the kernel.
fn write(fd: &OwnedFd, gathered: &mut Vec<u8>, packet: &Packet) -> io::Result<()> {
    let header = VirtioHeader::encode(&packet.offload).0;
    let parts = packet.body.chunks().len();
    if packet.len() <= GATHER_BYTES_MAX || parts > PARTS_MAX {
        gathered.clear();
        gathered.extend_from_slice(&header);
        gathered.extend_from_slice(&packet.headers);
        for chunk in packet.body.chunks() {
            gathered.extend_from_slice(chunk);
        }
        return io::write(fd, gathered).map(drop);
    }
    let mut front = [0; VIRTIO_HEADER_LENGTH + HEADER_CAPACITY];
    let front_length = VIRTIO_HEADER_LENGTH + packet.headers.len();
    front[..VIRTIO_HEADER_LENGTH].copy_from_slice(&header);
    front[VIRTIO_HEADER_LENGTH..front_length].copy_from_slice(&packet.headers);
    let mut slices = [IoSlice::new(&[]); PARTS_MAX + 1];
    slices[0] = IoSlice::new(&front[..front_length]);
    for (slice, chunk) in slices[1..].iter_mut().zip(packet.body.chunks()) {
        *slice = IoSlice::new(chunk);
    }
    io::writev(fd, &slices[..=parts]).map(drop)
}
