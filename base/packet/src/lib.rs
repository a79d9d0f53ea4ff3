//! Packets that own their bytes, and the seam to whatever sends and receives them.
//!
//! - [`Packet`]: headers in place, then a [`Chain`] of shared payload, with [`Offload`] marks
//! - [`Pool`]: frame buffers that come back when their last slice is dropped
//! - [`Device`]: the seam; [`Capabilities`] say what it does, [`Batch`]es go in and out
#![no_std]

extern crate alloc;

mod chain;
mod device;
mod offload;
mod packet;
mod pool;

pub use bytes::{Buf, Bytes};
pub use chain::Chain;
pub use device::{Batch, Capabilities, Device, DeviceError, Medium};
pub use offload::{Checksum, Offload, Segmentation, SegmentationKind};
pub use packet::{HEADER_CAPACITY, Headers, Packet};
pub use pool::{FrameBuffer, Pool};
