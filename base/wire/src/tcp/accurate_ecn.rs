//! The options of accurate ECN (RFC 9768 §3.2.3): bytes of payload that arrived with each codepoint.
//!
//! ```text
//! | 172 | 11 | ECT(0) | CE | ECT(1) |   order 0; each counter in 24 bits
//! | 174 | 11 | ECT(1) | CE | ECT(0) |   order 1
//! ```
//!
//! Counters at the end that have not changed may be left out.

/// The kinds of both orders.
pub(super) const ORDER_0: u8 = 172;
pub(super) const ORDER_1: u8 = 174;

/// Bytes of the largest.
const LENGTH_MAX: usize = 11;
/// Bytes of one counter.
const FIELD_LENGTH: usize = 3;

/// The low 24 bits of three counters, or of the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccurateEcn {
    /// ECT(1) stands first.
    ect1_first: bool,
    /// How many counters there are, 0 to 3.
    count: u8,
    /// In the order in which they stand; zeros where there is none.
    fields: [[u8; FIELD_LENGTH]; 3],
}

impl AccurateEcn {
    /// Bytes of the largest option with its padding.
    pub const LENGTH_PADDED_MAX: usize = 12;

    /// The first `count` of the counters, which are `ect0`, `ce`, `ect1`, or the other way round where `ect1_first`.
    pub fn new(ect1_first: bool, count: u8, ect0: u32, ce: u32, ect1: u32) -> Self {
        let [first, last] = if ect1_first { [ect1, ect0] } else { [ect0, ect1] };
        let count = count.min(3);
        let mut fields = [first, ce, last].map(|value| {
            let [_, high, middle, low] = value.to_be_bytes();
            [high, middle, low]
        });
        fields.iter_mut().skip(count.into()).for_each(|field| *field = [0; FIELD_LENGTH]);
        Self { ect1_first, count, fields }
    }

    /// Bytes that arrived with ECT(0), where told.
    pub fn ect0(&self) -> Option<u32> {
        self.field(if self.ect1_first { 2 } else { 0 })
    }

    /// Bytes that arrived marked, where told.
    pub fn ce(&self) -> Option<u32> {
        self.field(1)
    }

    /// Bytes that arrived with ECT(1), where told.
    pub fn ect1(&self) -> Option<u32> {
        self.field(if self.ect1_first { 0 } else { 2 })
    }

    fn field(&self, place: u8) -> Option<u32> {
        let [high, middle, low] = self.fields[usize::from(place)];
        (place < self.count).then(|| u32::from_be_bytes([0, high, middle, low]))
    }

    /// What the option of this kind and data holds. RFC 9768 §3.2.3: of an unknown length, the whole counters in it.
    pub(super) fn parse(kind: u8, data: &[u8]) -> Self {
        let mut fields = [[0; FIELD_LENGTH]; 3];
        let mut count = 0;
        for (field, bytes) in fields.iter_mut().zip(data.chunks_exact(FIELD_LENGTH)) {
            field.copy_from_slice(bytes);
            count += 1;
        }
        Self { ect1_first: kind == ORDER_1, count, fields }
    }

    /// Bytes of the option.
    pub fn length(&self) -> usize {
        2 + FIELD_LENGTH * usize::from(self.count)
    }

    /// The option, and padding behind it.
    pub(super) fn bytes(&self) -> [u8; Self::LENGTH_PADDED_MAX] {
        let mut bytes = [super::NO_OPERATION; Self::LENGTH_PADDED_MAX];
        bytes[0] = if self.ect1_first { ORDER_1 } else { ORDER_0 };
        bytes[1] = self.length() as u8;
        let fields = self.fields.iter().take(self.count.into());
        for (place, field) in bytes[2..LENGTH_MAX].chunks_exact_mut(FIELD_LENGTH).zip(fields) {
            place.copy_from_slice(field);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_order_and_every_length_is_read_as_it_was_written() {
        for ect1_first in [false, true] {
            for count in 0..=3 {
                let option = AccurateEcn::new(ect1_first, count, 0x0100_0001, 0x00fe_dcba, 3);
                let bytes = option.bytes();
                assert_eq!(usize::from(bytes[1]), option.length());
                assert_eq!(AccurateEcn::parse(bytes[0], &bytes[2..option.length()]), option);
                assert_eq!(option.ce(), (count > 1).then_some(0x00fe_dcba));
                let ect0 = if ect1_first { count > 2 } else { count > 0 };
                assert_eq!(option.ect0(), ect0.then_some(1), "24 bits");
                let ect1 = if ect1_first { count > 0 } else { count > 2 };
                assert_eq!(option.ect1(), ect1.then_some(3));
            }
        }
    }

    #[test]
    fn of_an_unknown_length_whole_counters_are_read() {
        let data = [0, 0, 7, 0, 1, 0, 9];
        let option = AccurateEcn::parse(ORDER_0, &data);
        assert_eq!((option.ect0(), option.ce(), option.ect1()), (Some(7), Some(256), None));
        let option = AccurateEcn::parse(ORDER_1, &[0; 14]);
        assert_eq!(option.length(), 11);
    }
}
