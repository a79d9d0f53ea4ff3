//! Frames as datagrams of a Unix socket: a cable between two stacks, in one process or two.

use packet::{Batch, Bytes, Capabilities, Device, DeviceError, Medium, Offload, Packet};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{self, Errno};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// Bytes of the Ethernet header in front of the largest IP packet.
const LINK_HEADER_BYTES: usize = 14;

/// One end of a cable: each datagram of a Unix socket is one Ethernet frame, without offloads.
///
/// ```
/// use link::FrameSocket;
/// use packet::Device;
/// let (left, right) = FrameSocket::pair(1500)?;
/// assert_eq!(left.capabilities().mtu, right.capabilities().mtu);
/// # Ok::<(), rustix::io::Errno>(())
/// ```
#[derive(Debug)]
pub struct FrameSocket {
    socket: OwnedFd,
    mtu: u16,
    buffer: Vec<u8>,
}

impl FrameSocket {
    /// Both ends of a cable whose largest IP packet is `mtu` bytes.
    ///
    /// # Errors
    ///
    /// The kernel's, where no descriptor is left.
    pub fn pair(mtu: u16) -> io::Result<(Self, Self)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (left, right) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        Ok((Self::from_fd(left, mtu), Self::from_fd(right, mtu)))
    }

    /// An end whose socket somebody else has made and connected; it must be non-blocking and keep datagrams apart.
    pub fn from_fd(socket: OwnedFd, mtu: u16) -> Self {
        Self { socket, mtu, buffer: vec![0; usize::from(mtu) + LINK_HEADER_BYTES] }
    }
}

impl Device for FrameSocket {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            medium: Medium::Ethernet,
            mtu: self.mtu,
            transmit_checksum: false,
            segmentation_bytes_max: 0,
        }
    }

    fn receive(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        while !batch.is_full() {
            match io::read(&self.socket, &mut self.buffer[..]) {
                Ok(length) => {
                    let frame = Bytes::copy_from_slice(&self.buffer[..length]);
                    // The batch is not full: there is room.
                    let _ = batch.push(Packet::received(frame, Offload::default()));
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => {
                    return Err(DeviceError { doing: "reading from the cable", code: error.raw_os_error() });
                }
            }
        }
        Ok(())
    }

    fn transmit(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        while let Some(packet) = batch.pop() {
            if packet.len() > usize::from(self.mtu) + LINK_HEADER_BYTES {
                // No cable carries it, and the batch must go on.
                continue;
            }
            let frame = packet.into_bytes();
            loop {
                match io::write(&self.socket, &frame) {
                    // A full queue, or nobody at the other end: the frame is lost, as on a wire.
                    Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS | Errno::CONNREFUSED) => break,
                    Err(Errno::INTR) => {}
                    Err(error) => {
                        return Err(DeviceError {
                            doing: "writing to the cable",
                            code: error.raw_os_error(),
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

impl AsFd for FrameSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
