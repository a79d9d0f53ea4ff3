//! Why a device let a frame fall, counted.

/// Why a frame ended at the device.
///
/// ```
/// use link::DropReason;
/// assert_eq!(DropReason::ALL.map(DropReason::name)[0], "device-runt");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Received: shorter than a virtio-net header and an Ethernet header.
    Runt,
    /// Received: longer than the buffer for the largest frame that the kernel makes.
    Oversized,
    /// Received: its virtio-net header contradicts its bytes, or asks for what we did not offer.
    OffloadMalformed,
    /// Received: the kernel could not describe its offload (UDP segments before Linux 6.2).
    OffloadUnknown,
    /// To be sent: longer than the device takes.
    TooLong,
    /// To be sent: the kernel refused this one frame.
    Refused,
}

impl DropReason {
    /// All reasons, in the order in which they are counted.
    pub const ALL: [Self; 6] = [
        Self::Runt,
        Self::Oversized,
        Self::OffloadMalformed,
        Self::OffloadUnknown,
        Self::TooLong,
        Self::Refused,
    ];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runt => "device-runt",
            Self::Oversized => "device-oversized",
            Self::OffloadMalformed => "device-offload-malformed",
            Self::OffloadUnknown => "device-offload-unknown",
            Self::TooLong => "device-too-long",
            Self::Refused => "device-refused",
        }
    }
}

/// How many frames ended at the device, by reason.
///
/// ```
/// use link::{DropReason, Drops};
/// let drops = Drops::default();
/// assert_eq!((drops.total(), drops.of(DropReason::Runt)), (0, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    counts: [u64; DropReason::ALL.len()],
}

impl Drops {
    /// Counts one frame.
    pub(crate) fn count(&mut self, reason: DropReason) {
        self.counts[reason as usize] += 1;
    }

    /// How many frames ended for `reason`.
    pub fn of(&self, reason: DropReason) -> u64 {
        self.counts[reason as usize]
    }

    /// How many frames ended in all.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}
