//! How much the stream still takes, so that no message reaches the end of its limit.
//!
//! A server of NATS 2.9 weighs a message by its headers and payload, and stores more of it. So the last one that it lets in
//! may pass the limit, and then the server lets go of the oldest, though the stream is to discard what is new.
//!
//! ```text
//! 0                                                   limit - margin          limit
//! |- - - - - - what it holds - - - - - -|- - - - shares - - -|- - - margin - - -|
//! ```
//!
//! Nothing is published into the margin by what is known. What is not known is what other hosts publish meanwhile: each
//! takes one share, or one message, and asks anew, so that the margin holds for [`HOSTS_MAX`] that ship at once, or for as
//! many as it has room for a message of each.

/// The margin is this part of the limit.
const MARGIN_PART: u64 = 8;
/// And at most so many bytes: a message of each of [`HOSTS_MAX`] hosts that is as long as any can be.
const MARGIN_BYTES_MAX: u64 = 64 << 20;
/// How many hosts may take a share at once: it is what is free, divided by these.
pub const HOSTS_MAX: u64 = 1_000;

/// What may be published before the stream is asked anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It was not asked yet.
    Unknown,
    /// The stream has no limit of its own.
    Endless,
    /// It has one.
    Limited {
        /// How many bytes it may hold.
        bytes_max: u64,
        /// How many are free before the margin, or were when it was asked.
        free: u64,
        /// How many of a share are left.
        share: u64,
        /// Nothing was published since it was asked.
        is_fresh: bool,
    },
}

impl Room {
    /// Of a stream with this limit, -1 for none, which holds so many bytes.
    #[must_use]
    pub fn new(bytes_max: i64, held: u64) -> Self {
        let Some(bytes_max) = u64::try_from(bytes_max).ok().filter(|bytes_max| *bytes_max > 0) else {
            return Self::Endless;
        };
        let left = bytes_max.saturating_sub(held);
        let free = left.saturating_sub(margin(bytes_max));
        Self::Limited { bytes_max, free, share: free.min(left / HOSTS_MAX), is_fresh: true }
    }

    /// Takes what these messages need, by their sizes, as far as there is room; for how many of them, from the first on.
    /// The first one has room at once, where there is any for it: it may be more than a share.
    pub fn take(&mut self, sizes: impl Iterator<Item = u64>) -> usize {
        let Self::Limited { free, share, is_fresh, .. } = self else {
            return if *self == Self::Unknown { 0 } else { sizes.count() };
        };
        let mut count = 0;
        for size in sizes {
            // It is fresh once.
            let is_first = std::mem::take(is_fresh) && size <= *free;
            if size > *share && !is_first {
                break;
            }
            *share = share.saturating_sub(size);
            count += 1;
        }
        count
    }
}

/// How many bytes of this limit are kept free.
#[must_use]
pub fn margin(bytes_max: u64) -> u64 {
    (bytes_max / MARGIN_PART).min(MARGIN_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: u64 = 300;

    fn take(room: &mut Room, count: usize) -> usize {
        room.take(std::iter::repeat_n(MESSAGE, count))
    }

    #[test]
    fn a_stream_without_a_limit_takes_all_and_one_that_was_not_asked_nothing() {
        assert_eq!(take(&mut Room::new(-1, u64::MAX), 1_024), 1_024);
        assert_eq!(take(&mut Room::new(0, 9), 1_024), 1_024);
        assert_eq!(take(&mut Room::Unknown, 1_024), 0);
    }

    #[test]
    fn a_share_lasts_for_some_hundred_messages_where_there_is_room() {
        let mut room = Room::new(1 << 30, 0);
        assert_eq!(take(&mut room, 1_024), 1_024);
        assert_eq!(take(&mut room, 4_096) as u64, (1 << 30) / HOSTS_MAX / MESSAGE - 1_024);
        assert_eq!(take(&mut room, 1), 0);
    }

    #[test]
    fn one_host_alone_never_comes_into_the_margin_and_leaves_not_a_message_before_it() {
        for bytes_max in [5_000, 100_000, 3_000_000_u64] {
            let mut held = 0;
            loop {
                let taken = take(&mut Room::new(bytes_max as i64, held), 1_024);
                held += taken as u64 * MESSAGE;
                if taken == 0 {
                    break;
                }
            }
            let end = bytes_max - margin(bytes_max);
            assert!(held <= end && held > end - MESSAGE, "{held} of {bytes_max}");
        }
    }

    /// All ask at once, again and again, and then all publish what they have taken.
    #[test]
    fn as_many_hosts_as_are_told_stay_below_the_limit() {
        let bytes_max: u64 = 1 << 23;
        let mut held = 0;
        loop {
            let taken = take(&mut Room::new(bytes_max as i64, held), 1_024);
            held += taken as u64 * MESSAGE * HOSTS_MAX;
            assert!(held <= bytes_max, "{held} of {bytes_max}");
            if taken == 0 {
                break;
            }
        }
    }

    #[test]
    fn what_is_longer_than_a_share_has_room_by_itself_and_what_is_full_has_none() {
        let mut room = Room::new(1_000_000, 800_000);
        assert_eq!(room.take([60_000, 60_000].into_iter()), 1);
        assert_eq!(Room::new(1_000_000, 800_000).take([75_001].into_iter()), 0);
        for held in [875_000, 999_999, 1_000_000, 2_000_000] {
            assert_eq!(Room::new(1_000_000, held).take([1].into_iter()), 0, "{held}");
        }
    }
}
