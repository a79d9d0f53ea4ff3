//! Accurate ECN (RFC 9768): each end counts what arrives marked, and says in every segment how far its counter is.
//!
//! ```text
//!    AE  CWR ECE
//!   +---+---+---+   in SYNs: what is asked for, and the codepoint of the SYN that is answered
//!   |    ACE    |   in the bare answer to a SYN-ACK: the codepoint of that
//!   +---+---+---+   in all others: the three low bits of the packets that arrived marked
//! ```

use super::bytes::ByteCounters;
use crate::EcnOption;
use wire::Ecn;
use wire::tcp::{AccurateEcn, Flags};

/// Where the counter of packets starts: not at zero, which is what those make of it who clear what they do not know
/// (RFC 9768 §3.2.1).
const PACKETS_INITIAL: u32 = 5;
/// The largest value of the field, and so the most that it can move without a doubt.
const ACE_MAX: u32 = 7;
/// Marks since the last acknowledgement that bring the next one, where data waits for it and where not
/// (RFC 9768 §3.2.2.5.1).
const MARKS_WITH_DATA: u8 = 2;
const MARKS_WITHOUT_DATA: u8 = 3;
/// Where acknowledgements are for more packets than this on average, that one is for many is no sign that others were
/// lost on the way.
const PACKETS_PER_ACK: u32 = 4;
/// The average is kept in parts of so many, and each acknowledgement weighs an eighth of it.
const PARTS: u32 = 64;

/// One connection's counters.
#[derive(Debug)]
pub(super) struct Accurate {
    /// r.cep: packets that arrived marked.
    received: u32,
    /// s.cep: packets that the peer says arrived there marked.
    told: u32,
    /// The codepoint of the peer's last SYN or SYN-ACK.
    syn: Ecn,
    /// It is to be said in the next bare acknowledgement (RFC 9768 §3.2.2.1).
    answer: bool,
    /// The packet before was marked.
    was_marked: bool,
    /// Packets that arrived marked since the last acknowledgement left.
    unsaid: u8,
    /// What the peer tells is believed.
    heeded: bool,
    /// Feedback after the handshake has been seen.
    tested: bool,
    /// Packets for each acknowledgement, on average, in parts.
    packets_per_ack: u32,
    /// The SYN has come more than once: its answer may have been dropped for what stood in it.
    repeated: bool,
    bytes: ByteCounters,
}

/// What a segment with feedback acknowledges.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coverage {
    pub(super) packets: u32,
    /// There cannot have been more.
    pub(super) exact: bool,
    pub(super) mss: u32,
    /// By how much the peer's count of marked bytes has grown, where it is known.
    pub(super) marked_bytes: Option<u32>,
}

/// What the peer says of a packet in its handshake (RFC 9768 §3.1.1, §3.2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Echo {
    /// It arrived with this codepoint.
    Arrived(Ecn),
    /// Nothing that means anything yet (§3.1.3, §3.2.2.1, table 4).
    Unknown,
    /// All bits are clear.
    Zero,
}

/// The three flags as a number.
pub(super) fn ace(flags: Flags) -> u8 {
    (flags.0 >> 6 & 7) as u8
}

/// A number as the three flags.
const fn flags(ace: u32) -> Flags {
    Flags(((ace & ACE_MAX) as u16) << 6)
}

/// A codepoint as the handshake writes it (RFC 9768, tables 2 and 3).
fn encoded(ecn: Ecn) -> Flags {
    flags(match ecn {
        Ecn::NotEct => 0b010,
        Ecn::Ect1 => 0b011,
        Ecn::Ect0 => 0b100,
        Ecn::Ce => 0b110,
    })
}

/// The same, read.
pub(super) fn decoded(flags: Flags) -> Echo {
    match ace(flags) {
        0b000 => Echo::Zero,
        0b010 => Echo::Arrived(Ecn::NotEct),
        0b011 => Echo::Arrived(Ecn::Ect1),
        0b100 => Echo::Arrived(Ecn::Ect0),
        0b110 => Echo::Arrived(Ecn::Ce),
        _ => Echo::Unknown,
    }
}

impl Accurate {
    /// The peer's SYN, or SYN-ACK where `answers`, arrived with `syn`.
    pub(super) fn new(syn: Ecn, answers: bool, sending: EcnOption) -> Self {
        // RFC 9768 §3.2.2.2: a marked SYN is not counted, since the SYN-ACK tells of it; a marked SYN-ACK is.
        let marked = answers && syn == Ecn::Ce;
        Self {
            received: PACKETS_INITIAL + u32::from(marked),
            told: PACKETS_INITIAL,
            syn,
            answer: answers,
            was_marked: false,
            unsaid: 0,
            heeded: true,
            tested: false,
            packets_per_ack: PARTS,
            repeated: false,
            bytes: ByteCounters::new(sending, answers),
        }
    }

    /// The peer's SYN, or SYN-ACK where `answers`, came once more: the last one is told of (RFC 9768 §3.1.5).
    pub(super) fn handle_syn_again(&mut self, syn: Ecn, answers: bool) {
        self.syn = syn;
        self.answer = answers;
        self.repeated = true;
        // RFC 9768 §3.2.2.2: counted once, however many come.
        if answers && syn == Ecn::Ce {
            self.received = self.received.max(PACKETS_INITIAL + 1);
        }
    }

    /// The flags of a SYN-ACK that agrees.
    pub(super) fn flags_of_syn_ack(&self) -> Flags {
        encoded(self.syn)
    }

    /// What the bare acknowledgement that ends the handshake says of our SYN-ACK (RFC 9768 §3.2.2.1, table 4).
    pub(super) fn handle_final(&mut self, echo: Echo) {
        match echo {
            // The one exception to what is counted: it was said in the handshake's way.
            Echo::Arrived(Ecn::Ce) => self.told = PACKETS_INITIAL + 1,
            // The peer has no part in it: whatever it says means nothing.
            Echo::Zero => self.heeded = false,
            Echo::Arrived(_) | Echo::Unknown => {}
        }
    }

    /// `packets` have arrived together with `ecn` and `bytes` of payload; `waits` where data is not acknowledged yet. Returns
    /// whether that is to be said at once.
    pub(super) fn handle_arrival(&mut self, ecn: Ecn, packets: u16, bytes: usize, waits: bool) -> bool {
        self.bytes.handle_arrival(ecn, bytes);
        let (marked, data) = (ecn == Ecn::Ce, bytes > 0);
        let changed = data && marked && !self.was_marked;
        self.was_marked = marked;
        if marked {
            self.received = self.received.wrapping_add(packets.into());
            self.unsaid = self.unsaid.saturating_add(u8::try_from(packets).unwrap_or(u8::MAX));
        }
        let most = if data || waits { MARKS_WITH_DATA } else { MARKS_WITHOUT_DATA };
        // RFC 9768 §3.2.2.5.1: one answer for packets that came as one is enough.
        changed || (marked && self.unsaid >= most)
    }

    /// What arrived says how many of our packets arrived marked; it acknowledges some of them. Returns how many more that
    /// are, and whether somebody on the path must have changed the field (RFC 9768 §3.2.2.2, §3.2.2.4).
    pub(super) fn handle_feedback(&mut self, flags: Flags, coverage: Coverage) -> (u32, bool) {
        let packets = coverage.packets;
        let ace = u32::from(ace(flags));
        let cleared = !core::mem::replace(&mut self.tested, true) && ace == 0;
        if cleared {
            self.heeded = false;
        }
        if packets > 0 {
            self.packets_per_ack = (self.packets_per_ack * 7 + packets.min(1 << 16) * PARTS) / 8;
        }
        let more = self.moved(ace, coverage);
        self.told = self.told.wrapping_add(more);
        // RFC 9768 §3.2.3.2.5: bytes without packets, where the field cannot have turned.
        let certain = coverage.exact && packets <= ACE_MAX && more == 0;
        let mangled = certain && coverage.marked_bytes.is_some_and(|bytes| bytes > 0);
        (if self.heeded { more } else { 0 }, cleared || mangled)
    }

    /// By how much the peer's counter has moved, of which the field shows the low bits.
    fn moved(&self, ace: u32, coverage: Coverage) -> u32 {
        let Coverage { packets, mss, marked_bytes, .. } = coverage;
        let least = ace.wrapping_sub(self.told) & ACE_MAX;
        if packets <= ACE_MAX {
            return least;
        }
        // RFC 9768 §3.2.2.5.2: acknowledgements were lost, and with them perhaps whole turns of the field.
        let most = packets - ((packets - least) & ACE_MAX);
        match marked_bytes {
            // The fewest that can have carried so many bytes.
            Some(bytes) => {
                let needed = bytes.div_ceil(mss.max(1));
                let turns = needed.saturating_sub(least).div_ceil(ACE_MAX + 1);
                least.saturating_add(turns * (ACE_MAX + 1)).min(most)
            }
            None if self.packets_per_ack > PACKETS_PER_ACK * PARTS => least,
            None => most,
        }
    }

    /// A segment that tells something has this option, or none; by how many bytes those have grown that arrived marked.
    pub(super) fn handle_option(&mut self, option: Option<AccurateEcn>) -> Option<u32> {
        self.bytes.handle_option(option)
    }

    /// The option of a SYN-ACK.
    pub(super) fn option_of_syn_ack(&self) -> Option<AccurateEcn> {
        if self.repeated { None } else { self.bytes.option_of_syn_ack() }
    }

    /// The option of a segment that leaves with `room` for it.
    pub(super) fn option(&mut self, room: usize) -> Option<AccurateEcn> {
        self.bytes.option(room)
    }

    /// Whether data leaves room for the option.
    pub(super) fn leaves_room(&self) -> bool {
        self.bytes.is_always()
    }

    /// Whether something is to be told by an option soon.
    pub(super) fn is_pressing(&self) -> bool {
        self.bytes.is_pressing()
    }

    /// The field as it would stand if nothing more had been marked.
    pub(super) fn idle_flags(&self) -> Flags {
        flags(self.told)
    }

    /// Whether a bare acknowledgement has to leave before anything else.
    pub(super) fn owes_answer(&self) -> bool {
        self.answer
    }

    /// Whether the segment that leaves may not be cut by a device, which would leave CWR to the first piece alone
    /// (RFC 9768 §3.3.4).
    pub(super) fn is_single(&self) -> bool {
        self.flags_of_counter().contains(Flags::CWR)
    }

    /// The flags of a segment that leaves; `bare` where it says nothing but what it acknowledges.
    pub(super) fn flags(&mut self, bare: bool) -> Flags {
        self.unsaid = 0;
        if bare && core::mem::take(&mut self.answer) {
            return encoded(self.syn);
        }
        self.flags_of_counter()
    }

    fn flags_of_counter(&self) -> Flags {
        flags(self.received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags_of(ace: u32) -> Flags {
        flags(ace)
    }

    /// So many full packets, and no option.
    fn of(packets: u32) -> Coverage {
        Coverage { packets, exact: true, mss: 1_000, marked_bytes: None }
    }

    #[test]
    fn marked_bytes_tell_how_often_the_field_has_turned() {
        for (bytes, marks) in [(0, 1), (1_000, 1), (1_001, 9), (9_000, 9), (9_001, 17), (90_000, 17)] {
            let mut accurate = Accurate::new(Ecn::NotEct, false, EcnOption::Never);
            let coverage = Coverage { marked_bytes: Some(bytes), ..of(20) };
            assert_eq!(accurate.handle_feedback(flags_of(6), coverage), (marks, false), "{bytes}");
        }
    }

    #[test]
    fn marked_bytes_without_marked_packets_were_made_up_on_the_way() {
        let told = |exact, packets| {
            let mut accurate = Accurate::new(Ecn::NotEct, false, EcnOption::Never);
            let coverage = Coverage { marked_bytes: Some(900), exact, ..of(packets) };
            accurate.handle_feedback(flags_of(5), coverage).1
        };
        assert!(told(true, 7));
        assert!(!told(true, 8) && !told(false, 7), "the field may have turned");
    }

    #[test]
    fn codepoints_are_written_as_they_are_read() {
        for ecn in [Ecn::NotEct, Ecn::Ect1, Ecn::Ect0, Ecn::Ce] {
            assert_eq!(decoded(encoded(ecn)), Echo::Arrived(ecn));
        }
        assert_eq!(encoded(Ecn::NotEct), Flags::CWR);
        assert_eq!(encoded(Ecn::Ce), Flags::AE | Flags::CWR);
        assert_eq!(decoded(Flags::ACK), Echo::Zero);
        assert_eq!(decoded(Flags::AE | Flags::ECE), Echo::Unknown);
    }

    #[test]
    fn a_syn_ack_is_told_of_once_and_counted_once() {
        let mut accurate = Accurate::new(Ecn::Ce, true, EcnOption::Never);
        accurate.handle_syn_again(Ecn::Ce, true);
        assert!(accurate.owes_answer());
        assert_eq!(accurate.flags(false), flags_of(6), "not beside data");
        assert_eq!(accurate.flags(true), encoded(Ecn::Ce));
        assert_eq!(accurate.flags(true), flags_of(6));
        assert_eq!(Accurate::new(Ecn::Ce, false, EcnOption::Never).received, 5, "a SYN is not counted");
    }

    #[test]
    fn marks_are_said_when_they_begin_and_then_every_second() {
        let mut accurate = Accurate::new(Ecn::NotEct, false, EcnOption::Never);
        let mut arrives = |ecn| accurate.handle_arrival(ecn, 1, 9, true);
        assert!(!arrives(Ecn::Ect0));
        assert!(arrives(Ecn::Ce), "the first");
        assert!(arrives(Ecn::Ce), "the second since the last acknowledgement");
        accurate.flags(true);
        assert!(!accurate.handle_arrival(Ecn::Ce, 1, 9, true));
        assert_eq!(accurate.flags(true), flags_of(8));
        for answered in [false, false, true] {
            assert_eq!(accurate.handle_arrival(Ecn::Ce, 1, 0, false), answered, "every third without data");
        }
    }

    #[test]
    fn the_field_turns_only_where_acknowledgements_were_lost() {
        let mut accurate = Accurate::new(Ecn::NotEct, false, EcnOption::Never);
        assert_eq!(accurate.handle_feedback(flags_of(6), of(2)), (1, false));
        assert_eq!(accurate.handle_feedback(flags_of(5), of(7)), (7, false));
        // Eight or more at once: the most that fits. It shows one more than the 13 that are known.
        assert_eq!(accurate.handle_feedback(flags_of(14), of(16)), (9, false));
        for _ in 0..40 {
            accurate.handle_feedback(flags_of(22), of(20));
        }
        assert_eq!(accurate.handle_feedback(flags_of(23), of(20)), (1, false), "they always are for so many");
    }

    #[test]
    fn a_field_that_starts_at_zero_was_cleared() {
        let mut accurate = Accurate::new(Ecn::NotEct, false, EcnOption::Never);
        assert_eq!(accurate.handle_feedback(flags_of(0), of(1)), (0, true));
        assert_eq!(accurate.handle_feedback(flags_of(2), of(1)), (0, false), "and is not believed");
        let mut accurate = Accurate::new(Ecn::NotEct, false, EcnOption::Never);
        assert_eq!(accurate.handle_feedback(flags_of(5), of(1)), (0, false));
        assert_eq!(accurate.handle_feedback(flags_of(0), of(3)), (3, false), "it may come to zero");
    }

    #[test]
    fn who_ends_the_handshake_with_zero_is_not_believed() {
        let mut accurate = Accurate::new(Ecn::NotEct, false, EcnOption::Never);
        accurate.handle_final(Echo::Zero);
        assert_eq!(accurate.handle_feedback(flags_of(7), of(1)), (0, false));
        let mut accurate = Accurate::new(Ecn::NotEct, false, EcnOption::Never);
        accurate.handle_final(Echo::Arrived(Ecn::Ce));
        assert_eq!(accurate.handle_feedback(flags_of(6), of(1)), (0, false), "it is counted already");
    }
}
