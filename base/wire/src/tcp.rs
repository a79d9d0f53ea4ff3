//! The TCP header and its options (RFC 9293 §3.1, §3.2).

use time::SequenceNumber;

/// A TCP header with its options, decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// SEG.SEQ: the first octet of the payload, or the SYN's own number.
    pub sequence: SequenceNumber,
    /// SEG.ACK: the next octet expected; meaningful where [`Flags::ACK`] is set.
    pub acknowledgement: SequenceNumber,
    /// The control bits.
    pub flags: Flags,
    /// SEG.WND as it stands in the header, unscaled.
    pub window: u16,
    /// The urgent pointer; meaningful where [`Flags::URG`] is set.
    pub urgent: u16,
    /// The options that are understood; unknown ones are skipped.
    pub options: Options,
}

/// Control bits (RFC 9293 §3.1), AE (RFC 9768) included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u16);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x001);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x002);
    /// Reset the connection.
    pub const RST: Self = Self(0x004);
    /// Push.
    pub const PSH: Self = Self(0x008);
    /// The acknowledgement field is significant.
    pub const ACK: Self = Self(0x010);
    /// The urgent pointer is significant.
    pub const URG: Self = Self(0x020);
    /// ECN echo.
    pub const ECE: Self = Self(0x040);
    /// Congestion window reduced.
    pub const CWR: Self = Self(0x080);
    /// Accurate ECN.
    pub const AE: Self = Self(0x100);

    /// Whether every bit of `other` is set here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any bit of `other` is set here.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl core::ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The options of one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Maximum segment size (RFC 9293 §3.7.1); on SYN only.
    pub mss: Option<u16>,
    /// Window scale shift as sent, not yet clamped to 14 (RFC 7323 §2); on SYN only.
    pub window_scale: Option<u8>,
    /// SACK permitted (RFC 2018 §2); on SYN only.
    pub sack_permitted: bool,
    /// SACK blocks (RFC 2018 §3), left and right edge, in the order sent.
    pub sack: [Option<(SequenceNumber, SequenceNumber)>; 4],
    /// Timestamps (RFC 7323 §3): value and echo reply.
    pub timestamps: Option<Timestamps>,
}

/// The timestamps option (RFC 7323 §3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// TSval.
    pub value: u32,
    /// TSecr.
    pub echo: u32,
}
