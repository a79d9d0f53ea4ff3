//! The device that carries the sandbox's frames, whichever kind it is.

use link::{Drops, PacketSocket, Tap};
use packet::{Batch, Capabilities, Device, DeviceError};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::fmt;

/// How the sandbox's link reaches the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// A TAP interface.
    Tap,
    /// A veth pair with a packet socket at the far end.
    Veth,
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tap => "tap",
            Self::Veth => "veth",
        })
    }
}

/// The gateway's end of the link.
#[derive(Debug)]
pub enum AttachedDevice {
    /// Frames by a TAP descriptor.
    Tap(Tap),
    /// Frames by a packet socket.
    PacketSocket(PacketSocket),
}

impl AttachedDevice {
    pub(super) fn new(attachment: Attachment, fd: OwnedFd, mtu: u16) -> Self {
        match attachment {
            Attachment::Tap => Self::Tap(Tap::from_fd(fd, mtu)),
            Attachment::Veth => Self::PacketSocket(PacketSocket::from_fd(fd, mtu)),
        }
    }

    /// What ended at the device, by reason.
    pub fn drops(&self) -> Drops {
        match self {
            Self::Tap(device) => device.drops(),
            Self::PacketSocket(device) => device.drops(),
        }
    }
}

impl Device for AttachedDevice {
    fn capabilities(&self) -> Capabilities {
        match self {
            Self::Tap(device) => device.capabilities(),
            Self::PacketSocket(device) => device.capabilities(),
        }
    }

    fn receive(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        match self {
            Self::Tap(device) => device.receive(batch),
            Self::PacketSocket(device) => device.receive(batch),
        }
    }

    fn transmit(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        match self {
            Self::Tap(device) => device.transmit(batch),
            Self::PacketSocket(device) => device.transmit(batch),
        }
    }
}

impl AsFd for AttachedDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tap(device) => device.as_fd(),
            Self::PacketSocket(device) => device.as_fd(),
        }
    }
}
