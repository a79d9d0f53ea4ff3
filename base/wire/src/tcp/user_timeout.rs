//! The user timeout option (RFC 5482 §3.3): how long its sender lets data stay unacknowledged.
//!
//! ```text
//!   +--------+--------+-+---------------+
//!   | 28     | 4      |G| user timeout  |   G: in minutes, else in seconds
//!   +--------+--------+-+---------------+
//! ```

use core::num::NonZeroU16;
use time::Duration;

/// The option's kind.
pub(super) const USER_TIMEOUT: u8 = 28;
/// Bytes of the option.
pub(super) const LENGTH: usize = 4;

/// The granularity bit: the rest counts minutes.
const MINUTES: u16 = 1 << 15;
const SECONDS_IN_MINUTE: u64 = 60;
/// The largest number beside the bit.
const COUNT_MAX: u64 = (MINUTES - 1) as u64;

/// A user timeout as it stands on the wire: 1 to 32,767 seconds, or as many minutes.
///
/// ```
/// use std::time::Duration;
/// use wire::tcp::UserTimeout;
///
/// assert_eq!(UserTimeout::new(Duration::from_millis(1_500)).duration(), Duration::from_secs(2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserTimeout(NonZeroU16);

impl UserTimeout {
    /// The least that can be told and is no shorter; the longest that can be told, of what is longer than that.
    pub fn new(timeout: Duration) -> Self {
        let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
        let field = if seconds <= COUNT_MAX {
            seconds as u16
        } else {
            seconds.div_ceil(SECONDS_IN_MINUTE).min(COUNT_MAX) as u16 | MINUTES
        };
        Self(NonZeroU16::new(field).unwrap_or(NonZeroU16::MIN))
    }

    /// How long it is.
    pub fn duration(self) -> Duration {
        let field = self.0.get();
        let count = u64::from(field & !MINUTES);
        Duration::from_secs(if field & MINUTES == 0 { count } else { count * SECONDS_IN_MINUTE })
    }

    /// What the option's data says. RFC 5482 §3.4: zero seconds, or minutes, mean nothing yet.
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        let field = u16::from_be_bytes(data.try_into().ok()?);
        NonZeroU16::new(field).filter(|field| field.get() != MINUTES).map(Self)
    }

    /// The option.
    pub(super) fn bytes(self) -> [u8; LENGTH] {
        let [high, low] = self.0.get().to_be_bytes();
        [USER_TIMEOUT, LENGTH as u8, high, low]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_told_in_seconds_and_in_minutes_where_those_do_not_fit() {
        for (seconds, bytes, told) in [
            (0, [28, 4, 0, 1], 1),
            (100, [28, 4, 0, 100], 100),
            (32_767, [28, 4, 0x7f, 0xff], 32_767),
            (32_768, [28, 4, 0x82, 0x23], 32_820),
            (u64::MAX, [28, 4, 0xff, 0xff], 1_966_020),
        ] {
            let timeout = UserTimeout::new(Duration::from_secs(seconds));
            assert_eq!(timeout.bytes(), bytes, "{seconds}");
            assert_eq!(timeout.duration(), Duration::from_secs(told));
            assert_eq!(UserTimeout::parse(&bytes[2..]), Some(timeout));
        }
        assert_eq!(UserTimeout::new(Duration::from_nanos(1)).duration(), Duration::from_secs(1));
    }

    #[test]
    fn what_means_nothing_yet_is_as_if_it_were_not_there() {
        for data in [&[0, 0][..], &[0x80, 0], &[1], &[0, 0, 1]] {
            assert_eq!(UserTimeout::parse(data), None, "{data:?}");
        }
    }
}
