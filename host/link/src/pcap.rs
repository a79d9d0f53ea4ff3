//! A device that writes down what passes through another (draft-ietf-opsawg-pcap, nanosecond form).

use packet::{Batch, Capabilities, Device, DeviceError, Medium, Packet};
use rustix::fd::{AsFd, BorrowedFd};
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// Written first, in our byte order, from which a reader learns it: times are in nanoseconds.
const MAGIC: u32 = 0xa1b2_3c4d;
const VERSION: [u16; 2] = [2, 4];
/// No packet is longer, so none is cut.
const SNAP_LENGTH: u32 = 262_144;
const LINKTYPE_ETHERNET: u32 = 1;
const LINKTYPE_RAW: u32 = 101;

/// Any device, with every packet that it receives or sends written as pcap.
///
/// Packets are written as they pass the seam: a large one is one record, and a checksum that the device is to
/// finish is unfinished. Where writing fails, the capture ends and packets go on;
/// [`take_error`](Self::take_error) tells why.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use link::{FrameSocket, Pcap};
/// use packet::{Batch, Bytes, Device, Offload, Packet};
///
/// let (left, _right) = FrameSocket::pair(1_500)?;
/// let mut capture = Vec::new();
/// let mut device = Pcap::new(left, &mut capture)?;
/// let mut batch = Batch::with_capacity(8);
/// let frame = Packet::received(Bytes::from_static(b"a frame of an unknown kind"), Offload::default());
/// batch.push(frame).expect("there is room");
/// device.transmit(&mut batch)?;
/// device.flush()?;
/// assert!(device.take_error().is_none());
/// // The file's header, the record's, and the frame.
/// assert_eq!(capture.len(), 24 + 16 + 26);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Pcap<D, W> {
    device: D,
    capture: Option<W>,
    error: Option<io::Error>,
}

impl<D: Device, W: Write> Pcap<D, W> {
    /// Wraps `device` and writes the file's header to `capture`, which is best buffered. An example is at [`Pcap`], as for
    /// the others.
    ///
    /// # Errors
    ///
    /// The writer's.
    pub fn new(device: D, mut capture: W) -> io::Result<Self> {
        let linktype = match device.capabilities().medium {
            Medium::Ethernet => LINKTYPE_ETHERNET,
            Medium::Ip => LINKTYPE_RAW,
        };
        let mut header = Vec::with_capacity(24);
        header.extend_from_slice(&MAGIC.to_ne_bytes());
        VERSION.iter().for_each(|part| header.extend_from_slice(&part.to_ne_bytes()));
        header.extend_from_slice(&[0; 8]);
        header.extend_from_slice(&SNAP_LENGTH.to_ne_bytes());
        header.extend_from_slice(&linktype.to_ne_bytes());
        capture.write_all(&header)?;
        Ok(Self { device, capture: Some(capture), error: None })
    }

    /// The device inside.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// Why the capture ended early, once.
    pub fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// Writes out what the writer holds back.
    ///
    /// # Errors
    ///
    /// The writer's.
    pub fn flush(&mut self) -> io::Result<()> {
        self.capture.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl<D: Device, W: Write> Device for Pcap<D, W> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn receive(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        let before = batch.len();
        let result = self.device.receive(batch);
        for packet in batch.iter().skip(before) {
            record(&mut self.capture, &mut self.error, packet);
        }
        result
    }

    fn transmit(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        if self.capture.is_none() {
            return self.device.transmit(batch);
        }
        let packets: Vec<Packet> = batch.iter().cloned().collect();
        let result = self.device.transmit(batch);
        for packet in &packets[..packets.len() - batch.len()] {
            record(&mut self.capture, &mut self.error, packet);
        }
        result
    }
}

impl<D: AsFd, W> AsFd for Pcap<D, W> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// Writes one record, or ends the capture.
fn record<W: Write>(capture: &mut Option<W>, error: &mut Option<io::Error>, packet: &Packet) {
    if let Some(writer) = capture
        && let Err(reason) = write_record(writer, packet)
    {
        *error = Some(reason);
        *capture = None;
    }
}

fn write_record(capture: &mut impl Write, packet: &Packet) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let length = packet.len() as u32;
    let mut header = [0; 16];
    // The format's seconds wrap in 2106.
    header[..4].copy_from_slice(&(now.as_secs() as u32).to_ne_bytes());
    header[4..8].copy_from_slice(&now.subsec_nanos().to_ne_bytes());
    header[8..12].copy_from_slice(&length.to_ne_bytes());
    header[12..].copy_from_slice(&length.to_ne_bytes());
    capture.write_all(&header)?;
    capture.write_all(&packet.headers)?;
    packet.body.chunks().try_for_each(|chunk| capture.write_all(chunk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use packet::Bytes;

    /// Gives one packet, takes one a call.
    struct One(Option<Packet>);

    impl Device for One {
        fn capabilities(&self) -> Capabilities {
            Capabilities {
                medium: Medium::Ethernet,
                mtu: 1500,
                transmit_checksum: false,
                segmentation_bytes_max: 0,
            }
        }

        fn receive(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
            if let Some(packet) = self.0.take() {
                assert!(batch.push(packet).is_ok());
            }
            Ok(())
        }

        fn transmit(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
            batch.pop();
            Ok(())
        }
    }

    fn packet(byte: u8) -> Packet {
        Packet::received(Bytes::from(vec![byte; 20]), packet::Offload::default())
    }

    #[test]
    fn each_packet_is_written_once_when_it_has_passed() {
        let mut capture = Vec::new();
        let mut device = Pcap::new(One(Some(packet(1))), &mut capture).expect("a header");
        let mut batch = Batch::with_capacity(4);
        device.receive(&mut batch).expect("receive");
        device.receive(&mut batch).expect("receive nothing");
        assert_eq!(batch.len(), 1);
        batch.pop();
        assert!(batch.push(packet(2)).is_ok() && batch.push(packet(3)).is_ok());
        device.transmit(&mut batch).expect("transmit one");
        assert_eq!(batch.len(), 1);
        device.transmit(&mut batch).expect("transmit the other");
        assert!(device.take_error().is_none());
        drop(device);
        let records: Vec<&[u8]> = capture[24..].chunks(36).collect();
        assert_eq!(records.len(), 3);
        for (record, byte) in records.iter().zip([1, 2, 3]) {
            assert_eq!(record[12..16], 20u32.to_ne_bytes());
            assert_eq!(record[16..], [byte; 20]);
        }
    }

    #[test]
    fn a_full_disk_ends_the_capture_and_not_the_traffic() {
        let mut room = [0; 30];
        let mut device = Pcap::new(One(Some(packet(1))), &mut room[..]).expect("a header");
        let mut batch = Batch::with_capacity(4);
        device.receive(&mut batch).expect("receive");
        assert_eq!(batch.len(), 1);
        assert!(device.take_error().is_some());
    }
}
