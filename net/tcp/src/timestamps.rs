//! Timestamps (RFC 7323 §3 to §5): the clock that is sent, the peer's that is echoed, and PAWS.

use time::{Duration, Instant, SequenceNumber};
use wire::tcp::{Options, Timestamps};

/// A TS.Recent older than this proves nothing (RFC 7323 §5.5): the peer's clock may have gone half round.
const RECENT_AGE_SECS_MAX: u32 = 24 * 24 * 3_600;

/// Both clocks of one connection.
#[derive(Debug)]
pub(crate) struct TimestampClock {
    enabled: bool,
    /// Added to our clock, so that it tells nobody how long we run (RFC 7323 §7.1).
    offset: u32,
    /// TS.Recent.
    recent: u32,
    /// When it was taken, in seconds modulo 2^32.
    recent_at_secs: u32,
}

impl TimestampClock {
    /// Timestamps are `offered` in our SYN; until the peer's SYN is known it counts as agreed.
    pub(crate) const fn new(offered: bool, offset: u32) -> Self {
        Self { enabled: offered, offset, recent: 0, recent_at_secs: 0 }
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The peer's SYN: both must have sent the option (RFC 7323 §3.2).
    pub(crate) fn agree(&mut self, options: &Options, now: Instant) {
        match options.timestamps {
            Some(peer) if self.enabled => {
                self.recent = peer.value;
                self.recent_at_secs = seconds(now);
            }
            _ => self.enabled = false,
        }
    }

    /// The option of a segment that leaves now; TSecr is 0 without an ACK bit (RFC 7323 §3.2).
    pub(crate) fn option(&self, acknowledges: bool, now: Instant) -> Option<Timestamps> {
        self.enabled
            .then(|| Timestamps { value: self.value(now), echo: if acknowledges { self.recent } else { 0 } })
    }

    /// Whether the segment is a duplicate from long ago (RFC 7323 §5.3, R1), modulo 2^32 (§5.2).
    pub(crate) fn is_old(&self, value: u32, now: Instant) -> bool {
        before(value, self.recent) && seconds(now).wrapping_sub(self.recent_at_secs) < RECENT_AGE_SECS_MAX
    }

    /// Keeps the value to echo (RFC 7323 §4.3): of the earliest segment that our last acknowledgement left open.
    pub(crate) fn update(
        &mut self,
        value: u32,
        sequence: SequenceNumber,
        acknowledged: SequenceNumber,
        now: Instant,
    ) {
        if sequence.at_or_before(acknowledged) && !before(value, self.recent) {
            self.recent = value;
            self.recent_at_secs = seconds(now);
        }
    }

    /// The round trip that an echo tells (RFC 7323 §4.1); none where it cannot be one.
    pub(crate) fn elapsed(&self, echo: u32, now: Instant) -> Option<Duration> {
        let millis = self.value(now).wrapping_sub(echo);
        (echo != 0 && millis < u32::MAX / 2).then(|| Duration::from_millis(u64::from(millis)))
    }

    /// Whether a new SYN's value is later than all that the old connection sent (RFC 6191 §2); `None` where
    /// the old one had no timestamps.
    pub(crate) fn is_later(&self, value: u32) -> Option<bool> {
        self.enabled.then(|| before(self.recent, value))
    }

    /// Whether it is the last value that the old connection sent.
    pub(crate) fn is_same(&self, value: u32) -> bool {
        self.recent == value
    }

    /// One tick is a millisecond (RFC 7323 §5.4: between 1 ms and 1 s).
    fn value(&self, now: Instant) -> u32 {
        (now.as_millis() as u32).wrapping_add(self.offset)
    }
}

fn seconds(at: Instant) -> u32 {
    (at.as_millis() / 1_000) as u32
}

fn before(a: u32, b: u32) -> bool {
    SequenceNumber(a).before(SequenceNumber(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(value: u32, now: Instant) -> TimestampClock {
        let mut clock = TimestampClock::new(true, 7);
        let options = Options { timestamps: Some(Timestamps { value, echo: 0 }), ..Options::default() };
        clock.agree(&options, now);
        clock
    }

    #[test]
    fn an_older_value_is_old_for_24_days() {
        let now = Instant::from_secs(1);
        let clock = agreed(u32::MAX, now);
        assert!(clock.is_old(u32::MAX - 1, now));
        assert!(!clock.is_old(3, now), "the clock has wrapped");
        assert!(!clock.is_old(u32::MAX - 1, now + Duration::from_secs(RECENT_AGE_SECS_MAX.into())));
    }

    #[test]
    fn what_is_echoed_now_is_as_old_as_its_arrival() {
        let age = Duration::from_secs(RECENT_AGE_SECS_MAX.into());
        let now = Instant::from_secs(1) + age;
        let mut clock = agreed(10, Instant::from_secs(1));
        clock.update(20, SequenceNumber(100), SequenceNumber(100), now);
        assert!(clock.is_old(15, now) && !clock.is_old(15, now + age));
    }

    #[test]
    fn only_the_segment_that_the_last_acknowledgement_left_open_is_echoed() {
        let now = Instant::from_secs(1);
        let mut clock = agreed(10, now);
        clock.update(20, SequenceNumber(101), SequenceNumber(100), now);
        assert_eq!(clock.option(true, now).unwrap().echo, 10);
        clock.update(20, SequenceNumber(100), SequenceNumber(100), now);
        assert_eq!(clock.option(true, now).unwrap(), Timestamps { value: 1_007, echo: 20 });
        assert_eq!(clock.option(false, now).unwrap().echo, 0);
    }

    #[test]
    fn an_echo_of_the_future_is_no_measurement() {
        let now = Instant::from_secs(1);
        let clock = agreed(10, now);
        assert_eq!(clock.elapsed(907, now), Some(Duration::from_millis(100)));
        assert_eq!(clock.elapsed(2_000, now), None);
        assert_eq!(clock.elapsed(0, now), None);
    }
}
