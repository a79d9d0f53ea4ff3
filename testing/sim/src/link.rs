//! What a link does to what passes it, as data.

use crate::narrow::Narrow;
use packet::Medium;
use time::Duration;

/// A link, the same both ways. Chances are in parts per million.
#[derive(Clone, Debug)]
pub struct Link {
    /// What its packets start with. Default Ethernet.
    pub medium: Medium,
    /// The largest IP packet in bytes. Default 1,500.
    pub mtu: u16,
    /// Where it carries less than that, unknown to its ends. Default nowhere.
    pub narrow: Option<Narrow>,
    /// Who cuts large segments and finishes checksums. Default [`Offloading::None`].
    pub offloading: Offloading,
    /// How long a packet is on its way. Default 1 ms.
    pub delay: Duration,
    /// Up to how much longer some are; the order stays. Default none.
    pub jitter: Duration,
    /// Bits a second that leave; none: as fast as they come. Default none.
    pub rate_bits: Option<u64>,
    /// Packets that may wait to leave where there is a rate; more are dropped. Default 1,000.
    pub queue_packets: usize,
    /// ECN-capable packets that find so many waiting are marked (RFC 3168 §5); the others are not. Default none.
    pub mark_packets: Option<usize>,
    /// How often a packet is lost. Default never.
    pub loss_ppm: u32,
    /// Losses in runs. Default none.
    pub burst: Option<Burst>,
    /// How often a packet is overtaken by those behind it. Default never.
    pub reorder: Option<Reorder>,
    /// How often a packet arrives twice. Default never.
    pub duplicate_ppm: u32,
    /// How often one bit of a packet arrives wrong, somewhere after the link header. Default never. A packet whose
    /// checksum is not finished, and ARP, which has none, is lost instead: the link's own check would drop it.
    pub corrupt_ppm: u32,
    /// Whether ARP and neighbour discovery are never harmed: three losses in a row make a neighbour unreachable,
    /// which is right, but not what a test of TCP asks. Default no.
    pub neighbours_spared: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            medium: Medium::Ethernet,
            mtu: 1_500,
            narrow: None,
            offloading: Offloading::None,
            delay: Duration::from_millis(1),
            jitter: Duration::ZERO,
            rate_bits: None,
            queue_packets: 1_000,
            mark_packets: None,
            loss_ppm: 0,
            burst: None,
            reorder: None,
            duplicate_ppm: 0,
            corrupt_ppm: 0,
            neighbours_spared: false,
        }
    }
}

/// Who cuts large segments and finishes checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offloading {
    /// Whoever sends: the device offers nothing.
    None,
    /// The device, before the packets go on the link, as a network card does.
    Device,
    /// Nobody: packets arrive as they left, marks and all, as through a TAP with a virtio-net header.
    Through,
}

/// Losses in runs: now and then the link turns bad, and every packet is lost until it has turned good again
/// (E. N. Gilbert, "Capacity of a burst-noise channel", 1960; but over time, not over packets, so that a lone
/// retransmission every minute does not meet the same run again).
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    /// How often a packet finds the link turning bad.
    pub begin_ppm: u32,
    /// How long it stays bad, at most.
    pub lasting_max: Duration,
}

/// Packets that are overtaken.
#[derive(Clone, Copy, Debug)]
pub struct Reorder {
    /// How often.
    pub ppm: u32,
    /// By how much such a packet is later, at most.
    pub delay_max: Duration,
}
