//! The TCP header and its options (RFC 9293 §3.1, §3.2; RFC 7323, RFC 2018, RFC 5482, RFC 7413, RFC 9768).

mod accurate_ecn;
mod fast_open;
mod order;
mod user_timeout;

use crate::field::{put_u16, put_u32, u16_at, u32_at};
use time::SequenceNumber;

pub use accurate_ecn::AccurateEcn;
pub use fast_open::FastOpen;
pub use order::OptionOrder;
pub use user_timeout::UserTimeout;

/// Bytes of a header without options.
pub const HEADER_LENGTH: usize = 20;
/// Bytes of the largest header.
pub const HEADER_LENGTH_MAX: usize = 60;
/// Bytes from the start of the header to the checksum.
pub const CHECKSUM_OFFSET: usize = 16;

const OPTIONS_LENGTH_MAX: usize = HEADER_LENGTH_MAX - HEADER_LENGTH;

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

impl core::ops::BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
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
    /// Fast Open (RFC 7413 §4.1.1); on SYN only.
    pub fast_open: Option<FastOpen>,
    /// Accurate ECN (RFC 9768 §3.2.3); never on a SYN without ACK.
    pub accurate_ecn: Option<AccurateEcn>,
    /// User timeout (RFC 5482 §3.3).
    pub user_timeout: Option<UserTimeout>,
    /// The order in which a SYN's options are written; not read back.
    pub order: OptionOrder,
}

/// The timestamps option (RFC 7323 §3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// TSval.
    pub value: u32,
    /// TSecr.
    pub echo: u32,
}

/// Why bytes are no TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end before the header does.
    Truncated,
    /// A data offset below 5.
    DataOffset,
}

impl Header {
    /// Reads the header at the front of a segment; with it, its length, options included.
    ///
    /// Options never make a segment malformed: one of a wrong length is skipped, and where a length leaves the
    /// header the rest of the options is ignored (RFC 9293 §3.1, MUST-6 and MUST-7).
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), Malformed> {
        let Some((fixed, _)) = bytes.split_first_chunk::<HEADER_LENGTH>() else {
            return Err(Malformed::Truncated);
        };
        let length = usize::from(fixed[12] >> 4) * 4;
        if length < HEADER_LENGTH {
            return Err(Malformed::DataOffset);
        }
        if length > bytes.len() {
            return Err(Malformed::Truncated);
        }
        let flags = Flags(u16_at(fixed, 12) & 0x1ff);
        let header = Self {
            source_port: u16_at(fixed, 0),
            destination_port: u16_at(fixed, 2),
            sequence: SequenceNumber(u32_at(fixed, 4)),
            acknowledgement: SequenceNumber(u32_at(fixed, 8)),
            flags,
            window: u16_at(fixed, 14),
            urgent: u16_at(fixed, 18),
            options: Options::parse(&bytes[HEADER_LENGTH..length], flags.contains(Flags::SYN)),
        };
        Ok((header, length))
    }

    /// Bytes that [`emit`](Self::emit) writes.
    pub fn length(&self) -> usize {
        HEADER_LENGTH + self.options.length()
    }

    /// Writes the header into the first [`length`](Self::length) bytes, with a checksum of 0: the caller stores
    /// the pseudo-header's sum at [`CHECKSUM_OFFSET`] where the device finishes it, or else the checksum.
    pub fn emit(&self, bytes: &mut [u8]) {
        let length = self.length();
        put_u16(bytes, 0, self.source_port);
        put_u16(bytes, 2, self.destination_port);
        put_u32(bytes, 4, self.sequence.0);
        put_u32(bytes, 8, self.acknowledgement.0);
        put_u16(bytes, 12, ((length / 4) as u16) << 12 | (self.flags.0 & 0x1ff));
        put_u16(bytes, 14, self.window);
        put_u16(bytes, CHECKSUM_OFFSET, 0);
        put_u16(bytes, 18, self.urgent);
        self.options.emit(&mut bytes[HEADER_LENGTH..length]);
    }
}

/// What an ICMP error quotes at least of a segment: its first 8 bytes (RFC 792, RFC 5927 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// SEG.SEQ.
    pub sequence: SequenceNumber,
}

impl Quoted {
    /// Reads the first 8 bytes of a header; `None` where there are fewer.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (first, _) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            source_port: u16_at(first, 0),
            destination_port: u16_at(first, 2),
            sequence: SequenceNumber(u32_at(first, 4)),
        })
    }
}

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

impl Options {
    fn parse(mut bytes: &[u8], syn: bool) -> Self {
        let mut options = Self::default();
        // RFC 7323 appendix A: nearly every segment carries exactly this, so it is looked for first.
        if let [NO_OPERATION, NO_OPERATION, TIMESTAMPS, 10, data @ ..] = bytes
            && data.len() == 8
        {
            options.timestamps = Some(Timestamps { value: u32_at(data, 0), echo: u32_at(data, 4) });
            return options;
        }
        while let Some((&kind, rest)) = bytes.split_first() {
            match kind {
                END => break,
                NO_OPERATION => bytes = rest,
                _ => {
                    let Some(&length) = rest.first() else { break };
                    // RFC 9293 §3.1, MUST-7: an illegal length is survived. DEVIATES RFC 1122 §4.2.2.5: the
                    // connection is not reset, since a forged segment could then do that.
                    let Some(data) = bytes.get(2..usize::from(length)) else { break };
                    options.take(kind, data, syn);
                    bytes = &bytes[usize::from(length)..];
                }
            }
        }
        options
    }

    /// Keeps one option, where it is known, has its right length and may stand in this segment.
    fn take(&mut self, kind: u8, data: &[u8], syn: bool) {
        match (kind, data) {
            // RFC 9293 §3.7.1: sent on SYN only; elsewhere it is ignored. So are the next two (RFC 7323 §2.1,
            // RFC 2018 §2).
            (MSS, &[high, low]) if syn => self.mss = Some(u16::from_be_bytes([high, low])),
            (WINDOW_SCALE, &[shift]) if syn => self.window_scale = Some(shift),
            (SACK_PERMITTED, []) if syn => self.sack_permitted = true,
            (TIMESTAMPS, data) if data.len() == 8 => {
                self.timestamps = Some(Timestamps { value: u32_at(data, 0), echo: u32_at(data, 4) });
            }
            (fast_open::FAST_OPEN | fast_open::EXPERIMENT, data) if syn => {
                // RFC 7413 §4.1.1: of an illegal length it is as if it were not there.
                self.fast_open = FastOpen::parse(kind, data).or(self.fast_open);
            }
            (SACK, data) if !syn && data.len().is_multiple_of(8) => {
                for (slot, block) in self.sack.iter_mut().zip(data.chunks_exact(8)) {
                    *slot = Some((SequenceNumber(u32_at(block, 0)), SequenceNumber(u32_at(block, 4))));
                }
            }
            (accurate_ecn::ORDER_0 | accurate_ecn::ORDER_1, data) => {
                self.accurate_ecn = Some(AccurateEcn::parse(kind, data));
            }
            (user_timeout::USER_TIMEOUT, data) => {
                self.user_timeout = UserTimeout::parse(data).or(self.user_timeout);
            }
            _ => {}
        }
    }

    /// Bytes of the options with their padding, a multiple of 4 and at most 40. SACK blocks that find no room are
    /// not counted, as `emit` leaves them out (RFC 2018 §3: three beside timestamps).
    pub fn length(&self) -> usize {
        let length = self.length_without_sack();
        match self.sack_blocks_fitting(length) {
            0 => length,
            blocks => length + 4 + 8 * blocks,
        }
    }

    fn length_without_sack(&self) -> usize {
        if self.order == OptionOrder::FreeBsd {
            return order::freebsd_length(self);
        }
        let mss = if self.mss.is_some() { 4 } else { 0 };
        let permitted_and_timestamps = match (self.sack_permitted, self.timestamps) {
            (_, Some(_)) => 12,
            (true, None) => 4,
            (false, None) => 0,
        };
        let scale = if self.window_scale.is_some() { 4 } else { 0 };
        let fast_open = self.fast_open.map_or(0, |cookie| cookie.length().next_multiple_of(4));
        let accurate_ecn = self.accurate_ecn.map_or(0, |option| option.length().next_multiple_of(4));
        let user_timeout = if self.user_timeout.is_some() { user_timeout::LENGTH } else { 0 };
        mss + permitted_and_timestamps + accurate_ecn + scale + fast_open + user_timeout
    }

    /// How many blocks fit behind `others` bytes of other options.
    fn sack_blocks_fitting(&self, others: usize) -> usize {
        if self.sack[0].is_none() {
            return 0;
        }
        let room = (OPTIONS_LENGTH_MAX - others).saturating_sub(4) / 8;
        self.sack.iter().take_while(|block| block.is_some()).count().min(room)
    }

    /// Writes the options, in Linux's order unless another is asked for, each padded in front to a multiple of 4
    /// bytes: MSS, SACK permitted and timestamps, accurate ECN, window scale, Fast Open, user timeout; SACK last. Without timestamps SACK
    /// permitted follows accurate ECN.
    fn emit(&self, bytes: &mut [u8]) {
        if self.order == OptionOrder::FreeBsd {
            return order::emit_freebsd(self, bytes);
        }
        let mut at = 0;
        let mut put = |part: &[u8]| {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        };
        if let Some(mss) = self.mss {
            let [high, low] = mss.to_be_bytes();
            put(&[MSS, 4, high, low]);
        }
        match (self.sack_permitted, self.timestamps) {
            (true, Some(_)) => put(&[SACK_PERMITTED, 2]),
            (false, Some(_)) => put(&[NO_OPERATION, NO_OPERATION]),
            (_, None) => {}
        }
        if let Some(timestamps) = self.timestamps {
            put(&[TIMESTAMPS, 10]);
            put(&timestamps.value.to_be_bytes());
            put(&timestamps.echo.to_be_bytes());
        }
        if let Some(option) = self.accurate_ecn {
            put(&option.bytes()[..option.length().next_multiple_of(4)]);
        }
        if self.sack_permitted && self.timestamps.is_none() {
            put(&[NO_OPERATION, NO_OPERATION, SACK_PERMITTED, 2]);
        }
        if let Some(shift) = self.window_scale {
            put(&[NO_OPERATION, WINDOW_SCALE, 3, shift]);
        }
        if let Some(cookie) = self.fast_open {
            let mut option = [NO_OPERATION; 20];
            cookie.emit(&mut option);
            put(&option[..cookie.length().next_multiple_of(4)]);
        }
        if let Some(timeout) = self.user_timeout {
            put(&timeout.bytes());
        }
        if self.sack[0].is_none() {
            return;
        }
        let blocks = self.sack_blocks_fitting(self.length_without_sack());
        if blocks > 0 {
            put(&[NO_OPERATION, NO_OPERATION, SACK, (2 + 8 * blocks) as u8]);
            for (left, right) in self.sack.iter().flatten().take(blocks) {
                put(&left.0.to_be_bytes());
                put(&right.0.to_be_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn segment(flags: Flags, options: &[u8]) -> Vec<u8> {
        let mut bytes = alloc::vec![0; HEADER_LENGTH];
        Header { flags, ..Header::default() }.emit(&mut bytes);
        bytes.extend_from_slice(options);
        bytes[12] = ((bytes.len() / 4) as u8) << 4 | bytes[12] & 1;
        bytes
    }

    fn read(flags: Flags, options: &[u8]) -> Options {
        let bytes = segment(flags, options);
        let (header, length) = Header::parse(&bytes).expect("well-formed");
        assert_eq!(length, bytes.len());
        header.options
    }

    #[test]
    fn what_is_wrong_has_a_name() {
        let mut bytes = segment(Flags::SYN, &[0; 4]);
        assert_eq!(Header::parse(&bytes[..19]), Err(Malformed::Truncated));
        assert_eq!(Header::parse(&bytes[..23]), Err(Malformed::Truncated));
        bytes[12] = 0x40;
        assert_eq!(Header::parse(&bytes), Err(Malformed::DataOffset));
    }

    #[test]
    fn an_illegal_option_length_ends_the_options_and_keeps_those_before() {
        for bad in
            [[NO_OPERATION, 99, 0, 9], [NO_OPERATION, 99, 1, 9], [NO_OPERATION, 99, 4, 9], [1, 1, 1, 99]]
        {
            let mut options = alloc::vec![MSS, 4, 5, 180];
            options.extend(bad);
            assert_eq!(
                read(Flags::SYN, &options),
                Options { mss: Some(1460), ..Options::default() },
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_known_option_of_a_wrong_length_is_skipped() {
        let options = [
            MSS,
            3,
            5,
            WINDOW_SCALE,
            4,
            7,
            7,
            SACK_PERMITTED,
            3,
            9,
            TIMESTAMPS,
            4,
            1,
            1,
            SACK,
            4,
            0,
            0,
            MSS,
            4,
        ];
        let mut with_mss = options.to_vec();
        with_mss.extend([1, 0, END, 0]);
        assert_eq!(read(Flags::SYN, &with_mss), Options { mss: Some(256), ..Options::default() });
    }

    #[test]
    fn options_of_a_syn_are_ignored_elsewhere() {
        let options = [MSS, 4, 5, 180, 1, WINDOW_SCALE, 3, 7, 1, 1, SACK_PERMITTED, 2];
        assert_eq!(read(Flags::ACK, &options), Options::default());
        let syn = read(Flags::SYN, &options);
        assert_eq!((syn.mss, syn.window_scale, syn.sack_permitted), (Some(1460), Some(7), true));
    }

    #[test]
    fn a_syn_carries_its_options_in_linux_order() {
        let timestamps = Some(Timestamps { value: 1, echo: 0 });
        let options = Options {
            mss: Some(1460),
            window_scale: Some(8),
            sack_permitted: true,
            timestamps,
            ..Options::default()
        };
        let mut bytes = [0; 40];
        let header = Header { flags: Flags::SYN, options, ..Header::default() };
        header.emit(&mut bytes);
        assert_eq!(bytes[20..40], [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 8]);
        let header = Header { options: Options { timestamps: None, ..options }, ..header };
        header.emit(&mut bytes);
        assert_eq!(bytes[20..32], [2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 8]);
    }

    #[test]
    fn accurate_ecn_stands_behind_timestamps_and_is_read_back() {
        let option = AccurateEcn::new(true, 3, 1, 0, 1);
        let options = Options {
            mss: Some(1460),
            sack_permitted: true,
            accurate_ecn: Some(option),
            window_scale: Some(8),
            ..Options::default()
        };
        let mut bytes = [0; 44];
        let header = Header { flags: Flags::SYN | Flags::ACK, options, ..Header::default() };
        header.emit(&mut bytes);
        let expected = [2, 4, 5, 180, 174, 11, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 4, 2, 1, 3, 3, 8];
        assert_eq!((header.length(), &bytes[20..44]), (44, &expected[..]));
        assert_eq!(Header::parse(&bytes), Ok((header, 44)));
        let timestamps = Some(Timestamps { value: 1, echo: 2 });
        let options = Options { timestamps, accurate_ecn: Some(option), ..Options::default() };
        let header = Header { flags: Flags::ACK, options, ..Header::default() };
        header.emit(&mut bytes);
        assert_eq!(bytes[20..36], [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 174, 11, 0, 0]);
        assert_eq!(Header::parse(&bytes), Ok((header, 44)));
    }

    #[test]
    fn sack_blocks_without_room_are_left_out() {
        let block = |n: u32| Some((SequenceNumber(n), SequenceNumber(n + 1)));
        let sack = [block(10), block(20), block(30), block(40)];
        let alone = Options { sack, ..Options::default() };
        assert_eq!(alone.length(), 36);
        let beside = Options { timestamps: Some(Timestamps::default()), ..alone };
        assert_eq!(beside.length(), 40);
        let mut bytes = [0; HEADER_LENGTH_MAX];
        Header { options: beside, ..Header::default() }.emit(&mut bytes);
        let (read, length) = Header::parse(&bytes).expect("well-formed");
        assert_eq!((read.options.sack[2], read.options.sack[3], length), (block(30), None, 60));
    }

    fn any_options() -> impl Strategy<Value = (bool, Options)> {
        let timestamps = prop::option::of((any::<u32>(), any::<u32>()));
        let blocks = prop::collection::vec((any::<u32>(), any::<u32>()), 0..=3);
        (
            any::<bool>(),
            prop::option::of(any::<u16>()),
            prop::option::of(any::<u8>()),
            any::<bool>(),
            timestamps,
            blocks,
        )
            .prop_map(|(syn, mss, window_scale, sack_permitted, timestamps, blocks)| {
                let timestamps = timestamps.map(|(value, echo)| Timestamps { value, echo });
                let mut options = Options { timestamps, ..Options::default() };
                if syn {
                    options = Options { mss, window_scale, sack_permitted, ..options };
                } else {
                    for (slot, (left, right)) in options.sack.iter_mut().zip(blocks) {
                        *slot = Some((SequenceNumber(left), SequenceNumber(right)));
                    }
                }
                (syn, options)
            })
    }

    proptest! {
        #[test]
        fn a_header_survives_the_wire(
            (syn, options) in any_options(), ports: (u16, u16), numbers: (u32, u32), rest: (u16, u16), flags in 0..512u16,
        ) {
            let syn = if syn { Flags::SYN.0 } else { 0 };
            let header = Header {
                source_port: ports.0,
                destination_port: ports.1,
                sequence: SequenceNumber(numbers.0),
                acknowledgement: SequenceNumber(numbers.1),
                flags: Flags(flags & !Flags::SYN.0 | syn),
                window: rest.0,
                urgent: rest.1,
                options,
            };
            let mut bytes = [0xee; HEADER_LENGTH_MAX];
            header.emit(&mut bytes);
            prop_assert_eq!(Header::parse(&bytes), Ok((header, header.length())));
            let quoted = Quoted { source_port: ports.0, destination_port: ports.1, sequence: header.sequence };
            prop_assert_eq!(Quoted::parse(&bytes[..8]), Some(quoted));
            for keep in 0..header.length() {
                prop_assert_eq!(Header::parse(&bytes[..keep]), Err(Malformed::Truncated));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..64), tidy: bool) {
            if tidy && bytes.len() > 12 {
                bytes[12] |= 0x50;
            }
            if let Ok((header, length)) = Header::parse(&bytes) {
                prop_assert!(length <= bytes.len());
                let mut again = [0; HEADER_LENGTH_MAX];
                header.emit(&mut again);
                prop_assert!(header.length() <= HEADER_LENGTH_MAX);
            }
        }
    }
}
