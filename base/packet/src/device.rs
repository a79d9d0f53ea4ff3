//! The Device seam: owned packets in batches, in and out of whatever carries frames.

use crate::Packet;
use alloc::collections::VecDeque;
use core::fmt;

/// Something that carries frames: a TAP, a packet socket, a NIC, a simulated link.
///
/// Neither call blocks. A device that can take no more leaves the rest in the batch.
///
/// ```
/// use packet::{Batch, Bytes, Capabilities, Device, DeviceError, Medium, Offload, Packet};
/// use std::collections::VecDeque;
///
/// /// What is sent comes back.
/// #[derive(Default)]
/// struct Loop(VecDeque<Packet>);
///
/// /// More than that is lost, as on a wire.
/// const PACKETS_MAX: usize = 2;
///
/// impl Device for Loop {
///     fn capabilities(&self) -> Capabilities {
///         let (medium, mtu) = (Medium::Ip, 1_500);
///         Capabilities { medium, mtu, transmit_checksum: false, segmentation_bytes_max: 0 }
///     }
///
///     fn receive(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
///         while !batch.is_full() {
///             let Some(packet) = self.0.pop_front() else { break };
///             batch.push(packet).expect("there is room");
///         }
///         Ok(())
///     }
///
///     fn transmit(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
///         while let Some(packet) = batch.pop() {
///             if self.0.len() < PACKETS_MAX && packet.len() <= usize::from(self.capabilities().mtu) {
///                 // Received packets are one chunk.
///                 self.0.push_back(Packet::received(packet.into_bytes(), Offload::default()));
///             }
///         }
///         Ok(())
///     }
/// }
///
/// let mut device = Loop::default();
/// let mut batch = Batch::with_capacity(8);
/// for _ in 0..3 {
///     batch.push(Packet { body: Bytes::from_static(b"hello").into(), ..Packet::default() }).expect("there is room");
/// }
/// device.transmit(&mut batch)?;
/// assert!(batch.is_empty());
/// device.receive(&mut batch)?;
/// assert_eq!(batch.len(), 2);
/// # Ok::<(), DeviceError>(())
/// ```
pub trait Device {
    /// What the device does and what it takes.
    fn capabilities(&self) -> Capabilities;

    /// Moves received packets into `batch` until it is full or nothing more is waiting.
    ///
    /// # Errors
    ///
    /// [`DeviceError`] where the device is gone or broken; "nothing is waiting" is no error.
    fn receive(&mut self, batch: &mut Batch) -> Result<(), DeviceError>;

    /// Sends packets from the front of `batch` until it is empty or the device can take no more.
    ///
    /// # Errors
    ///
    /// [`DeviceError`] where the device is gone or broken. A packet that the device will never take
    /// (too large, say) is dropped, not kept at the front for ever.
    fn transmit(&mut self, batch: &mut Batch) -> Result<(), DeviceError>;
}

impl<D: Device + ?Sized> Device for alloc::boxed::Box<D> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    fn receive(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        (**self).receive(batch)
    }

    fn transmit(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        (**self).transmit(batch)
    }
}

/// What a device does for packets, fixed for its life.
///
/// ```
/// use packet::{Capabilities, Medium};
///
/// // A TAP with a virtio-net header, which takes TCP in packets of 64 KB and cuts them.
/// let tap = Capabilities {
///     medium: Medium::Ethernet,
///     mtu: 1_500,
///     transmit_checksum: true,
///     segmentation_bytes_max: 65_549,
/// };
/// // The same without offloads.
/// let plain = Capabilities { transmit_checksum: false, segmentation_bytes_max: 0, ..tap };
/// assert_ne!(tap, plain);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// What a packet's first byte belongs to.
    pub medium: Medium,
    /// The largest IP packet in bytes, without the link header.
    pub mtu: u16,
    /// Whether [`Checksum::Partial`](crate::Checksum::Partial) may be left on transmitted packets.
    pub transmit_checksum: bool,
    /// The largest TCP packet over IPv4 and IPv6 that the device cuts by itself, in bytes with its link
    /// header; 0 where it cuts none.
    pub segmentation_bytes_max: u32,
}

/// What a packet's first byte belongs to.
///
/// ```
/// use packet::Medium;
///
/// /// Bytes in front of the IP header.
/// fn link_header_bytes(medium: Medium) -> usize {
///     match medium {
///         Medium::Ethernet => 14,
///         Medium::Ip => 0,
///     }
/// }
/// assert_eq!(link_header_bytes(Medium::Ethernet), 14);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// An Ethernet II header.
    Ethernet,
    /// An IP header.
    Ip,
}

/// A device is gone or broken: what was tried, and the operating system's number for why.
///
/// ```
/// use packet::DeviceError;
/// let gone = DeviceError { doing: "reading from the TAP", code: 77 };
/// assert_eq!(gone.to_string(), "reading from the TAP failed with error 77");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceError {
    /// What was tried, as a gerund: "reading from the TAP".
    pub doing: &'static str,
    /// The operating system's error number; 0 where there is none.
    pub code: i32,
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed with error {}", self.doing, self.code)
    }
}

impl core::error::Error for DeviceError {}

/// Packets in order, up to a bound that its owner sets.
///
/// ```
/// use packet::{Batch, Packet};
///
/// let mut batch = Batch::with_capacity(2);
/// assert!(batch.push(Packet::default()).is_ok() && batch.push(Packet::default()).is_ok());
/// // A full one gives it back.
/// assert!(batch.is_full() && batch.push(Packet::default()).is_err());
/// assert_eq!((batch.len(), batch.iter().len()), (2, 2));
/// assert!(batch.front().is_some_and(Packet::is_empty));
/// assert!(batch.pop().is_some() && !batch.is_full());
/// ```
#[derive(Debug)]
pub struct Batch {
    packets: VecDeque<Packet>,
    capacity: usize,
}

impl Batch {
    /// An empty batch that is full at `capacity` packets.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { packets: VecDeque::with_capacity(capacity), capacity }
    }

    /// How many packets are in it.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether no packet is in it.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Whether it holds as many packets as it may.
    pub fn is_full(&self) -> bool {
        self.packets.len() >= self.capacity
    }

    /// Adds a packet at the back, or gives it back where the batch is full.
    ///
    /// # Errors
    ///
    /// The packet, where the batch is full.
    #[allow(clippy::result_large_err, reason = "the packet itself comes back, and full batches are rare")]
    pub fn push(&mut self, packet: Packet) -> Result<(), Packet> {
        if self.is_full() {
            return Err(packet);
        }
        self.packets.push_back(packet);
        Ok(())
    }

    /// Takes the packet at the front.
    pub fn pop(&mut self) -> Option<Packet> {
        self.packets.pop_front()
    }

    /// The packets, from the front.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Packet> {
        self.packets.iter()
    }

    /// The packet at the front.
    pub fn front(&self) -> Option<&Packet> {
        self.packets.front()
    }
}
