//! TCP as a bystander sees it: by its control bits alone.
//!
//! ```text
//!  (none) --SYN--> opening --SYN back--> answered --ACK--> established
//!                     |                     |                  | FIN of either
//!                     '------- RST ---------+------------------+--> closing --FIN of both--> closed
//!                                           '-- RST, from everywhere ----------------------> closed
//! ```
//!
//! Sequence numbers are not looked at: a forged reset or end makes the entry short-lived, no more, and what goes on is
//! carried on for as long as it does not pause for four minutes. That is what RFC 5382 §5 asks for after a reset, which
//! its receiver may well ignore.

use wire::tcp::Flags;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TcpState {
    /// A SYN was seen.
    Opening,
    /// And one from the other side, with or without an acknowledgement: both may have opened at once (RFC 5382 §4.1,
    /// REQ-2).
    Answered,
    /// Both sides are open.
    Established,
    /// One side has sent all it will: the one that opened, or the other.
    Closing { opener: bool },
    /// Both have, or one has given up: the same ends may open anew.
    Closed,
}

impl TcpState {
    /// Whether a segment's bits can open a connection: SYN alone, whatever else than ACK, RST and FIN is with it
    /// (RFC 9293 §3.10.7.2, RFC 3168 §6.1.1).
    pub(super) const fn opens(flags: Flags) -> bool {
        flags.contains(Flags::SYN) && !flags.intersects(Flags(Flags::ACK.0 | Flags::RST.0 | Flags::FIN.0))
    }

    /// Whether a segment has bits that none has (RFC 9293 §3.1, §3.10.7.4: all but the first SYN and resets acknowledge).
    pub(super) const fn is_senseless(flags: Flags) -> bool {
        (flags.contains(Flags::SYN) && flags.intersects(Flags(Flags::FIN.0 | Flags::RST.0)))
            || !flags.intersects(Flags(Flags::SYN.0 | Flags::ACK.0 | Flags::RST.0))
    }

    /// How far it is after a segment, from who opened it or from the other side.
    pub(super) const fn after(self, flags: Flags, from_opener: bool) -> Self {
        if flags.contains(Flags::RST) {
            return Self::Closed;
        }
        let is_end = flags.contains(Flags::FIN);
        match self {
            Self::Opening if flags.contains(Flags::SYN) && !from_opener => Self::Answered,
            Self::Opening => Self::Opening,
            Self::Answered | Self::Established if is_end => Self::Closing { opener: from_opener },
            Self::Answered if flags.contains(Flags::ACK) && !flags.contains(Flags::SYN) => Self::Established,
            Self::Closing { opener } if is_end && opener != from_opener => Self::Closed,
            state => state,
        }
    }

    /// Whether both sides are open.
    pub(super) const fn is_established(self) -> bool {
        matches!(self, Self::Established)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN_ACK: Flags = Flags(Flags::SYN.0 | Flags::ACK.0);
    const FIN_ACK: Flags = Flags(Flags::FIN.0 | Flags::ACK.0);

    fn after(steps: &[(Flags, bool)]) -> TcpState {
        steps.iter().fold(TcpState::Opening, |state, &(flags, from_opener)| state.after(flags, from_opener))
    }

    #[test]
    fn a_connection_opens_and_closes_from_either_side() {
        let open = [(SYN_ACK, false), (Flags::ACK, true)];
        assert_eq!(after(&open[..1]), TcpState::Answered);
        assert_eq!(after(&open), TcpState::Established);
        for first in [true, false] {
            let closing = [open[0], open[1], (FIN_ACK, first), (Flags::ACK, !first)];
            assert_eq!(after(&closing), TcpState::Closing { opener: first });
            let again = [closing[2], closing[2], (FIN_ACK, !first)];
            assert_eq!(after(&[&open[..], &again].concat()), TcpState::Closed);
        }
    }

    #[test]
    fn both_may_open_at_once() {
        let both = [(Flags::SYN, false), (SYN_ACK, true), (SYN_ACK, false), (Flags::ACK, true)];
        assert_eq!(after(&both[..3]), TcpState::Answered);
        assert_eq!(after(&both), TcpState::Established);
    }

    #[test]
    fn a_reset_ends_it_wherever_it_is() {
        for steps in [&[][..], &[(SYN_ACK, false)], &[(SYN_ACK, false), (Flags::ACK, true)]] {
            for from_opener in [true, false] {
                let reset = [steps, &[(Flags::RST, from_opener)]].concat();
                assert_eq!(after(&reset), TcpState::Closed);
            }
        }
    }

    #[test]
    fn an_opener_alone_gets_nowhere() {
        assert_eq!(after(&[(Flags::SYN, true), (Flags::ACK, true), (FIN_ACK, true)]), TcpState::Opening);
    }

    #[test]
    fn scans_bits_are_senseless_and_no_others() {
        for flags in [0, 0x29, 0x03, 0x06, 0x01, 0x08] {
            assert!(TcpState::is_senseless(Flags(flags)), "{flags:#x}");
        }
        for flags in
            [Flags::SYN, SYN_ACK, Flags::ACK, FIN_ACK, Flags::RST, Flags::SYN | Flags::ECE | Flags::CWR]
        {
            assert!(!TcpState::is_senseless(flags), "{flags:?}");
        }
        assert!(
            TcpState::opens(Flags::SYN | Flags::ECE | Flags::CWR | Flags::AE) && !TcpState::opens(SYN_ACK)
        );
    }
}
