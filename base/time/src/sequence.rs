//! TCP sequence numbers (RFC 9293 §3.4): 32 bits, compared modulo 2^32.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A position in a TCP byte stream, modulo 2^32 (RFC 9293 §3.4).
///
/// `a.before(b)` holds where `b` lies in the half of the circle that follows `a`. There is no `Ord`:
/// the relation is not transitive round the whole circle.
///
/// ```
/// use time::SequenceNumber;
/// let last = SequenceNumber(u32::MAX);
/// assert!(last.before(last + 1));
/// assert_eq!((last + 3) - last, 3);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SequenceNumber(pub u32);

impl SequenceNumber {
    /// Whether this number comes before `other`.
    pub const fn before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// Whether this number comes after `other`.
    pub const fn after(self, other: Self) -> bool {
        other.before(self)
    }

    /// Whether this number is `other` or comes before it.
    pub const fn at_or_before(self, other: Self) -> bool {
        !other.before(self)
    }

    /// Whether this number is `other` or comes after it.
    pub const fn at_or_after(self, other: Self) -> bool {
        !self.before(other)
    }

    /// Whether this number lies in `start .. start + length`.
    pub const fn within(self, start: Self, length: u32) -> bool {
        self.0.wrapping_sub(start.0) < length
    }

    /// The later of two numbers.
    pub const fn later(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }

    /// The earlier of two numbers.
    pub const fn earlier(self, other: Self) -> Self {
        if self.before(other) { self } else { other }
    }
}

impl Add<u32> for SequenceNumber {
    type Output = Self;

    fn add(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

impl AddAssign<u32> for SequenceNumber {
    fn add_assign(&mut self, bytes: u32) {
        *self = *self + bytes;
    }
}

impl Sub<u32> for SequenceNumber {
    type Output = Self;

    fn sub(self, bytes: u32) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }
}

/// The distance from `earlier` to this number, modulo 2^32.
impl Sub<SequenceNumber> for SequenceNumber {
    type Output = u32;

    fn sub(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_holds_across_the_wrap() {
        let a = SequenceNumber(u32::MAX - 1);
        let b = a + 4;
        assert!(a.before(b) && b.after(a) && a.at_or_before(a) && a.at_or_after(a));
        assert_eq!(b - a, 4);
        assert_eq!(a.later(b), b);
        assert_eq!(a.earlier(b), a);
        assert!((a + 3).within(a, 4) && !(a + 4).within(a, 4));
    }
}
