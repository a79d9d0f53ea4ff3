//! Devices of Linux behind the Device seam, and the kernel's own side of them.
//!
//! - [`Tap`]: a TAP interface, with segmentation and checksum offload both ways
//! - [`PacketSocket`]: a raw socket on an interface that exists, with the same offloads
//! - [`FrameSocket`]: a cable between two stacks, as a pair of Unix sockets
//! - [`Pcap`]: any device, with a capture of what passes
//! - [`netlink`]: interfaces, addresses and routes of the namespace that the caller is in

mod drops;
mod farewell;
mod frame_socket;
mod framed;
pub mod netlink;
mod packet_socket;
mod pcap;
mod tap;
mod virtio;

pub use drops::{DropReason, Drops};
pub use frame_socket::FrameSocket;
pub use packet_socket::PacketSocket;
pub use pcap::Pcap;
pub use tap::{Tap, TapError};
pub use virtio::{VIRTIO_HEADER_LENGTH, VirtioHeader};
