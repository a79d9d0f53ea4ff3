//! The retransmission timeout (RFC 6298), in microseconds.

use crate::Config;
use time::Duration;

/// The clock's granularity G, in microseconds. A timeout is longer by [`Config::rto_min`], which is no less.
const GRANULARITY_US: u32 = 1_000;
/// The largest sample that is believed, in microseconds: more is not a round trip.
const SAMPLE_US_MAX: u32 = 300_000_000;

/// What was thought of the round trip at some moment, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Estimate {
    smoothed_us: u32,
    variation_us: u32,
}

/// Smoothed round-trip time, its variation, and the back-off.
#[derive(Debug, Default)]
pub(crate) struct Rtt {
    smoothed_us: u32,
    variation_us: u32,
    measured: bool,
    /// Data has been measured, not the handshake alone.
    settled: bool,
    /// How often the timeout was doubled since the last progress (§5.5).
    doubled: u8,
    /// The handshake's SYN timed out: the first timeout for data is 3 s (§5.7).
    cautious: bool,
}

impl Rtt {
    /// A measurement of a segment that was sent once (§3: Karn's algorithm).
    pub(crate) fn sample(&mut self, rtt: Duration) {
        let rtt_us = micros(rtt);
        // DEVIATES RFC 6298 §2.3 (the second smooths the first): a handshake may have waited for a neighbour's address, or for
        // a program; where data is faster it counts alone, else slow start would be paced by what is no round trip.
        let anew = !self.settled && rtt_us < self.smoothed_us;
        self.settled = self.measured;
        if self.measured && !anew {
            // RFC 6298 §2.3, beta 1/4 and alpha 1/8.
            let deviation = self.smoothed_us.abs_diff(rtt_us);
            self.variation_us = self.variation_us - self.variation_us / 4 + deviation / 4;
            self.smoothed_us = self.smoothed_us - self.smoothed_us / 8 + rtt_us / 8;
        } else {
            // RFC 6298 §2.2.
            self.smoothed_us = rtt_us;
            self.variation_us = rtt_us / 2;
            self.measured = true;
        }
        self.cautious = false;
        // Karn: only a measurement ends the back-off (RFC 6298 §5, last paragraph).
        self.doubled = 0;
    }

    /// What is thought of the round trip now, once there was a sample.
    pub(crate) fn estimate(&self) -> Option<Estimate> {
        let Self { smoothed_us, variation_us, .. } = *self;
        self.measured.then_some(Estimate { smoothed_us, variation_us })
    }

    /// The first measurement after a timeout that was wrong, with what was thought `before` it (RFC 4015 §3.3): the
    /// timeout shall be longer than both allow, so that the next delay of this kind does not end it.
    pub(crate) fn adapt(&mut self, before: Estimate, rtt: Duration) {
        self.sample(rtt);
        let rtt_us = micros(rtt);
        self.smoothed_us = rtt_us.max(before.smoothed_us + 2 * GRANULARITY_US);
        self.variation_us = (rtt_us / 2).max(before.variation_us);
    }

    /// SRTT, once there was a sample.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.measured.then(|| Duration::from_micros(self.smoothed_us.into()))
    }

    /// RTTVAR.
    pub(crate) fn variation(&self) -> Duration {
        Duration::from_micros(self.variation_us.into())
    }

    /// How often the timeout is doubled.
    pub(crate) fn doubled(&self) -> u8 {
        self.doubled
    }

    /// RTO, doubled as often as the back-off says.
    pub(crate) fn timeout(&self, config: &Config) -> Duration {
        let base = if self.measured {
            // The floor is below what is added, not below the sum: on a long way whose round trips are alike, an
            // acknowledgement that the peer delays would be a timeout.
            let floor_us = config.rto_min.as_secs() * 1_000_000 + u64::from(config.rto_min.subsec_micros());
            let spread_us = (4 * u64::from(self.variation_us)).max(floor_us);
            Duration::from_micros(u64::from(self.smoothed_us) + spread_us)
        } else if self.cautious {
            // RFC 6298 §5.7.
            config.rto_initial.max(Duration::from_secs(3))
        } else {
            config.rto_initial
        };
        base.saturating_mul(1 << self.doubled).min(config.rto_max)
    }

    /// The timer went off (§5.5).
    pub(crate) fn back_off(&mut self) {
        self.doubled = (self.doubled + 1).min(30);
    }

    /// The peer's window has opened: probing is over, and so is its back-off.
    pub(crate) fn settle(&mut self) {
        self.doubled = 0;
    }

    /// The handshake is over, and its SYN was retransmitted: the timeout begins anew (§5.7).
    pub(crate) fn be_cautious(&mut self) {
        self.cautious = !self.measured;
        self.doubled = 0;
    }
}

fn micros(rtt: Duration) -> u32 {
    u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX).min(SAMPLE_US_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sample_sets_and_later_ones_smooth() {
        let config = Config { rto_min: Duration::from_millis(1), ..Config::linux() };
        let mut rtt = Rtt::default();
        assert_eq!(rtt.timeout(&config), Duration::from_secs(1));
        rtt.sample(Duration::from_millis(100));
        assert_eq!(rtt.timeout(&config), Duration::from_millis(300));
        rtt.sample(Duration::from_millis(180));
        // SRTT 110 ms, RTTVAR 3/4 * 50 + 1/4 * 80 = 57.5 ms.
        assert_eq!(rtt.timeout(&config), Duration::from_millis(340));
    }

    #[test]
    fn data_that_is_faster_than_the_handshake_counts_alone() {
        let ms = Duration::from_millis;
        let mut rtt = Rtt::default();
        rtt.sample(ms(400));
        rtt.sample(ms(200));
        assert_eq!((rtt.smoothed(), rtt.variation()), (Some(ms(200)), ms(100)));
        rtt.sample(ms(100));
        assert_eq!(rtt.smoothed(), Some(Duration::from_micros(187_500)), "once");
        let mut rtt = Rtt::default();
        rtt.sample(ms(100));
        rtt.sample(ms(180));
        assert_eq!(rtt.smoothed(), Some(ms(110)), "data that is slower smooths");
    }

    #[test]
    fn the_back_off_doubles_up_to_the_maximum_and_ends_with_a_measurement() {
        let config = Config::linux();
        let mut rtt = Rtt::default();
        rtt.sample(Duration::from_millis(10));
        let once = Duration::from_millis(10) + config.rto_min;
        assert_eq!(rtt.timeout(&config), once);
        rtt.back_off();
        assert_eq!(rtt.timeout(&config), 2 * once);
        for _ in 0..40 {
            rtt.back_off();
        }
        assert_eq!(rtt.timeout(&config), config.rto_max);
        rtt.sample(Duration::from_millis(10));
        assert_eq!(rtt.timeout(&config), once);
    }

    #[test]
    fn round_trips_that_are_alike_leave_room_for_a_delayed_acknowledgement() {
        let config = Config::linux();
        let mut rtt = Rtt::default();
        for _ in 0..100 {
            rtt.sample(Duration::from_millis(600));
        }
        assert_eq!(rtt.timeout(&config), Duration::from_millis(800));
    }

    #[test]
    fn a_retransmitted_syn_makes_the_first_timeout_three_seconds() {
        let mut rtt = Rtt::default();
        rtt.be_cautious();
        assert_eq!(rtt.timeout(&Config::linux()), Duration::from_secs(3));
        rtt.sample(Duration::from_millis(10));
        assert_eq!(rtt.timeout(&Config::linux()), Duration::from_millis(210));
    }

    #[test]
    fn after_a_wrong_timeout_the_larger_of_before_and_now_counts() {
        let config = Config { rto_min: Duration::from_millis(1), ..Config::linux() };
        let mut rtt = Rtt::default();
        rtt.sample(Duration::from_millis(100));
        let before = rtt.estimate().unwrap();
        rtt.sample(Duration::from_millis(500));
        rtt.adapt(before, Duration::from_millis(400));
        assert_eq!(rtt.timeout(&config), Duration::from_millis(400 + 4 * 200));
        rtt.adapt(before, Duration::from_millis(10));
        assert_eq!(rtt.timeout(&config), Duration::from_millis(102 + 4 * 50));
    }
}
