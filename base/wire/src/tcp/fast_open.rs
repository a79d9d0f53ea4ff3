//! The Fast Open option (RFC 7413 §4.1.1): a cookie, or the request for one.

/// The option's kind (RFC 7413 §4.1.1).
pub(super) const FAST_OPEN: u8 = 34;
/// The kind that experiments share, and the number by which this one is told from others (RFC 6994 §3, RFC 7413
/// appendix A).
pub(super) const EXPERIMENT: u8 = 254;
pub(super) const EXPERIMENT_NUMBER: [u8; 2] = [0xf9, 0x89];

/// Bytes of the smallest and of the largest cookie.
const COOKIE_LENGTH_MIN: usize = 4;
const COOKIE_LENGTH_MAX: usize = 16;

/// A cookie as its server made it, or, where it is empty, the request for one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FastOpen {
    bytes: [u8; COOKIE_LENGTH_MAX],
    length: u8,
    /// It stands in the option that was used before the standard had a kind of its own.
    experimental: bool,
}

impl FastOpen {
    /// The request for a cookie.
    pub const REQUEST: Self = Self { bytes: [0; COOKIE_LENGTH_MAX], length: 0, experimental: false };

    /// A cookie of 4 to 16 bytes, an even number; none is the request for one (RFC 7413 §4.1.1).
    pub fn new(cookie: &[u8]) -> Option<Self> {
        let fits = (COOKIE_LENGTH_MIN..=COOKIE_LENGTH_MAX).contains(&cookie.len());
        if !cookie.is_empty() && (!fits || !cookie.len().is_multiple_of(2)) {
            return None;
        }
        let mut bytes = [0; COOKIE_LENGTH_MAX];
        bytes.get_mut(..cookie.len())?.copy_from_slice(cookie);
        Some(Self { bytes, length: cookie.len() as u8, experimental: false })
    }

    /// The same in the experimental option, or not.
    #[must_use]
    pub const fn experimental(self, on: bool) -> Self {
        Self { experimental: on, ..self }
    }

    /// Whether it stands in the experimental option.
    pub const fn is_experimental(&self) -> bool {
        self.experimental
    }

    /// Whether it is the request for a cookie.
    pub const fn is_request(&self) -> bool {
        self.length == 0
    }

    /// The cookie; empty where it is the request for one.
    pub fn cookie(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// What the option of this kind and data holds, where it is this option.
    pub(super) fn parse(kind: u8, data: &[u8]) -> Option<Self> {
        match (kind, data) {
            (FAST_OPEN, cookie) => Self::new(cookie),
            (EXPERIMENT, [0xf9, 0x89, cookie @ ..]) => {
                Self::new(cookie).map(|cookie| cookie.experimental(true))
            }
            _ => None,
        }
    }

    /// Bytes of the option without padding.
    pub(super) fn length(&self) -> usize {
        usize::from(self.length) + if self.experimental { 4 } else { 2 }
    }

    /// Writes the option into the first [`length`](Self::length) bytes.
    pub(super) fn emit(&self, bytes: &mut [u8]) {
        let length = self.length();
        let head: &[u8] = match self.experimental {
            true => &[EXPERIMENT, length as u8, EXPERIMENT_NUMBER[0], EXPERIMENT_NUMBER[1]],
            false => &[FAST_OPEN, length as u8],
        };
        bytes[..head.len()].copy_from_slice(head);
        bytes[head.len()..length].copy_from_slice(self.cookie());
    }
}

impl core::fmt::Debug for FastOpen {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}FastOpen({:02x?})", if self.experimental { "Experimental" } else { "" }, self.cookie())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_has_an_even_length_of_4_to_16_or_is_a_request() {
        for length in 0..=20 {
            let legal = length == 0 || ((4..=16).contains(&length) && length % 2 == 0);
            assert_eq!(FastOpen::new(&[7; 20][..length]).is_some(), legal, "{length}");
        }
        assert!(FastOpen::new(&[]).is_some_and(|none| none.is_request() && none == FastOpen::REQUEST));
    }

    #[test]
    fn both_kinds_are_read_as_they_were_written() {
        for experimental in [false, true] {
            let cookie = FastOpen::new(&[1, 2, 3, 4, 5, 6, 7, 8]).expect("legal").experimental(experimental);
            let mut bytes = [0; 20];
            cookie.emit(&mut bytes);
            let length = cookie.length();
            assert_eq!(usize::from(bytes[1]), length);
            assert_eq!(FastOpen::parse(bytes[0], &bytes[2..length]), Some(cookie));
        }
        assert_eq!(FastOpen::parse(EXPERIMENT, &[0xf9, 0x88, 1, 2, 3, 4]), None, "another experiment");
        assert_eq!(FastOpen::parse(EXPERIMENT, &[0xf9]), None);
    }
}
