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
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use packet::{Batch, Bytes, Device, Offload, Packet};
    ///
    /// let (mut left, mut right) = link::FrameSocket::pair(1_500)?;
    /// let mut batch = Batch::with_capacity(8);
    /// let frame = Packet::received(Bytes::from_static(b"a frame of an unknown kind"), Offload::default());
    /// batch.push(frame).expect("there is room");
    /// left.transmit(&mut batch)?;
    /// right.receive(&mut batch)?;
    /// assert_eq!(batch.pop().map(Packet::into_bytes).as_deref(), Some(&b"a frame of an unknown kind"[..]));
    /// # Ok(())
    /// # }
    /// ```
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
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use link::FrameSocket;
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// // The other end may be given to another process.
    /// let (ours, theirs) = UnixDatagram::pair()?;
    /// ours.set_nonblocking(true)?;
    /// let mut device = FrameSocket::from_fd(ours.into(), 1_500);
    /// theirs.send(b"a frame of an unknown kind")?;
    /// let mut batch = packet::Batch::with_capacity(8);
    /// packet::Device::receive(&mut device, &mut batch)?;
    /// assert_eq!(batch.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
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
