//! What the two low bits of the traffic class say of congestion (RFC 3168 §5).
//!
//! ```text
//!   0                   5   6   7
//! +---+---+---+---+---+---+---+---+
//! | differentiated services | ECN |   00 Not-ECT, 01 ECT(1), 10 ECT(0), 11 CE
//! +---+---+---+---+---+---+---+---+
//! ```

/// The codepoint of one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// The transport cannot answer a mark: routers drop.
    #[default]
    NotEct,
    /// ECN-capable; RFC 8311 §4.2 keeps it for experiments.
    Ect1,
    /// ECN-capable.
    Ect0,
    /// Congestion experienced: a router marked the packet, and did not drop it.
    Ce,
}

impl Ecn {
    /// The codepoint in a traffic class.
    ///
    /// ```
    /// use wire::Ecn;
    /// assert_eq!(Ecn::of(0b1011_1010), Ecn::Ect0);
    /// ```
    pub const fn of(traffic_class: u8) -> Self {
        match traffic_class & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// The two bits.
    pub const fn bits(self) -> u8 {
        match self {
            Self::NotEct => 0,
            Self::Ect1 => 1,
            Self::Ect0 => 2,
            Self::Ce => 3,
        }
    }

    /// The codepoint of a packet in two parts, of which this is the first; `None` where they cannot be one packet's
    /// (RFC 3168 §5.3): CE must not be lost, and must not be said of a transport that cannot answer it.
    pub const fn joined(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Ce, Self::NotEct) | (Self::NotEct, Self::Ce) => None,
            (_, Self::Ce) => Some(Self::Ce),
            (first, _) => Some(first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codepoint_is_the_two_low_bits() {
        for class in 0..=255 {
            assert_eq!(Ecn::of(class).bits(), class & 3);
        }
    }

    #[test]
    fn parts_keep_a_mark_and_never_invent_one() {
        let all = [Ecn::NotEct, Ecn::Ect1, Ecn::Ect0, Ecn::Ce];
        for one in all {
            assert_eq!(one.joined(one), Some(one));
        }
        assert_eq!(Ecn::Ect0.joined(Ecn::Ce), Some(Ecn::Ce));
        assert_eq!(Ecn::Ce.joined(Ecn::Ect1), Some(Ecn::Ce));
        assert_eq!(Ecn::Ce.joined(Ecn::NotEct), None);
        assert_eq!(Ecn::NotEct.joined(Ecn::Ce), None);
        assert_eq!(Ecn::Ect0.joined(Ecn::NotEct), Some(Ecn::Ect0));
    }
}
