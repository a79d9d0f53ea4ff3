//! Packetised path MTU discovery (RFC 4821, RFC 8899): which size passes is learnt from segments of data that are larger
//! than the others, so that it needs no ICMP; and where large segments vanish without a word (a black hole, RFC 2923
//! §2.1), the size falls back to one that nearly every path carries.
//!
//! ```text
//!           nothing is searched: segments are what peer and path take
//!                 |                                             ^
//!   third timeout |                                             | low has come to what they take
//!   in a row, or  v                      probe acknowledged     |
//!   always      Search { low .. high } --------------------> low = its size
//!                 |           ^
//!                 | probe: one segment of (low + high) / 2
//!                 |           |
//!                 +-----------+  lost three times: high = its size - 1; nothing left: again in ten minutes
//! ```
//!
//! Sizes are those of the MSS option: payload behind a header without options (RFC 6691).

use crate::Config;
use alloc::boxed::Box;
use time::{Duration, Instant, SequenceNumber};

/// When segments larger than those that are known to pass are tried (Linux: tcp_mtu_probing).
///
/// ```
/// use tcp::{Config, MtuProbing};
///
/// // For paths whose routers are silent: sizes are tried from 1,200 bytes on.
/// let config = Config { mtu_probing: MtuProbing::Always, probe_base_mss: 1_200, ..Config::linux() };
/// assert_eq!(config.check(), Ok(()));
/// assert_eq!(Config::linux().mtu_probing, MtuProbing::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MtuProbing {
    /// Never: the size is what the path tells by ICMP.
    Off,
    /// Once full segments have vanished several times in a row.
    #[default]
    BlackHole,
    /// From the start, and from [`Config::probe_base_mss`] on.
    Always,
}

/// Timeouts in a row after which a full segment is taken to be too large (Linux: tcp_retries1).
const BLACK_HOLE_TIMEOUTS: u8 = 3;
/// RFC 8899 §5.1.2, MAX_PROBES: losses of one size before it is taken to be too large.
const PROBES_MAX: u8 = 3;
/// A search ends where low and high are closer than this, in bytes (Linux: tcp_probe_threshold).
const STEP_MIN: u16 = 8;
/// How long nothing is tried after a probe was lost: RFC 8899 §5.1.1, the least PROBE_TIMER, so that probes add next to
/// nothing to what the network loses.
const PAUSE: Duration = Duration::from_secs(1);
/// Segments that have to follow a probe, so that its loss is found without a timeout (RFC 4821 §7.4).
const FOLLOWERS: u32 = 4;

/// What is known of the path's size besides what the stack tells.
#[derive(Debug, Default)]
pub(crate) struct PathMtu {
    /// Not there while nothing is searched.
    search: Option<Box<Search>>,
}

#[derive(Debug)]
struct Search {
    /// The largest size that passes: segments have it. RFC 4821 §7.1, search_low.
    low: u16,
    /// The largest that may. RFC 4821 §7.1, search_high.
    high: u16,
    /// What peer and path take.
    ceiling: u16,
    /// A size up to `high` was lost for good since the search began.
    bounded: bool,
    /// Probes of the size under test that were lost.
    lost: u8,
    /// When a probe, or more than a probe, was last lost.
    lost_at: Instant,
    probe: Option<Probe>,
}

/// A probe that is neither acknowledged nor lost.
#[derive(Clone, Copy, Debug)]
struct Probe {
    start: SequenceNumber,
    end: SequenceNumber,
    size: u16,
}

impl PathMtu {
    /// The size of segments where peer and path take `ceiling`.
    #[inline]
    pub(crate) fn size(&mut self, ceiling: u16) -> u16 {
        match &mut self.search {
            None => ceiling,
            Some(search) => {
                search.set_ceiling(ceiling);
                search.low
            }
        }
    }

    /// The handshake is over: the search begins, where the profile wants it at once. `options` bytes of each segment are
    /// taken by options.
    pub(crate) fn start(&mut self, config: &Config, ceiling: u16, options: u16) {
        if config.mtu_probing == MtuProbing::Always {
            self.search = Search::new(config.probe_base_mss + options, ceiling);
        }
    }

    /// The retransmission timer has gone off for the `timeouts`-th time in a row, with `outstanding` bytes unacknowledged
    /// from `una` on. Returns whether segments are smaller from now on.
    pub(crate) fn handle_timeout(
        &mut self,
        config: &Config,
        sizes: Sizes,
        timeouts: u8,
        una: SequenceNumber,
        now: Instant,
    ) -> bool {
        let Sizes { ceiling, options, outstanding } = sizes;
        if let Some(search) = &mut self.search {
            // RFC 4821 §7.6.3: the timer has found the loss of a probe, and whatever else it means, that size is lost.
            match search.probe {
                Some(probe) if probe.start == una => search.handle_lost(now),
                Some(_) | None => search.probe = None,
            }
        }
        if config.mtu_probing == MtuProbing::Off || timeouts < BLACK_HOLE_TIMEOUTS {
            return false;
        }
        // RFC 4821 §7.7: a full stop. Half of what fails, and at first a size that nearly every path carries.
        let base = config.probe_base_mss;
        let fails = self.search.as_ref().map_or(ceiling, |search| search.low);
        let floor = config.probe_floor_mss.min(base);
        // RFC 8899 §5.2: what the base would not have made smaller vanishes all the same.
        let base_fails = timeouts > BLACK_HOLE_TIMEOUTS && outstanding <= u32::from(base);
        let payload = if self.search.is_none() && fails > base + options && !base_fails {
            base
        } else {
            let fails = outstanding.min(fails.saturating_sub(options).into()) as u16;
            (fails / 2).clamp(floor, base)
        };
        let low = payload + options;
        // What is smaller than that has not vanished for its size.
        if low >= fails || outstanding <= u32::from(payload) {
            return false;
        }
        self.search = Search::new(low, ceiling);
        if let Some(search) = &mut self.search {
            search.lost_at = now;
        }
        true
    }

    /// The size to try now, where `left` bytes wait to leave, `usable` may, and full segments hold `mss` bytes behind
    /// `options`.
    #[inline]
    pub(crate) fn probe_size(
        &self,
        left: u32,
        usable: u32,
        (mss, options): (u32, u16),
        config: &Config,
        now: Instant,
    ) -> Option<u16> {
        let search = self.search.as_ref().filter(|search| search.probe.is_none())?;
        let (size, pause) = search.next_size(config);
        if now < search.lost_at + pause {
            return None;
        }
        let needed = u32::from(size - options) + FOLLOWERS * mss;
        (left >= needed && usable >= needed).then_some(size)
    }

    /// A probe of `size` leaves, as `start .. end`.
    pub(crate) fn handle_sent(&mut self, start: SequenceNumber, end: SequenceNumber, size: u16) {
        if let Some(search) = &mut self.search {
            if size > search.high {
                (search.high, search.bounded) = (search.ceiling, false);
            }
            search.probe = Some(Probe { start, end, size });
        }
    }

    /// What a probe that is out holds.
    #[inline]
    pub(crate) fn probe(&self) -> Option<(SequenceNumber, SequenceNumber)> {
        let probe = self.search.as_ref()?.probe?;
        Some((probe.start, probe.end))
    }

    /// SND.UNA has come to `una`.
    #[inline]
    pub(crate) fn handle_progress(&mut self, una: SequenceNumber) {
        let Some(search) = &mut self.search else { return };
        if let Some(probe) = search.probe.take_if(|probe| una.at_or_after(probe.end)) {
            // RFC 4821 §7.6.1.
            search.low = search.low.max(probe.size);
            search.lost = 0;
        }
        if search.low >= search.ceiling {
            self.search = None;
        }
    }

    /// The probe that is out is lost, and nothing else (RFC 4821 §7.6.2).
    pub(crate) fn handle_lost(&mut self, now: Instant) {
        if let Some(search) = &mut self.search {
            search.handle_lost(now);
        }
    }

    /// More is lost than the probe: that says nothing of its size (RFC 4821 §7.6.4).
    pub(crate) fn handle_congestion(&mut self, now: Instant) {
        if let Some(search) = &mut self.search
            && search.probe.take().is_some()
        {
            search.lost_at = now;
        }
    }
}

/// What a full stop is judged by, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// What peer and path take.
    pub(crate) ceiling: u16,
    /// Options of each segment.
    pub(crate) options: u16,
    /// What is not acknowledged.
    pub(crate) outstanding: u32,
}

impl Search {
    /// From `low` up to `ceiling`; nothing where there is no room between them.
    fn new(low: u16, ceiling: u16) -> Option<Box<Self>> {
        (low < ceiling).then(|| {
            Box::new(Self {
                low,
                high: ceiling,
                ceiling,
                bounded: false,
                lost: 0,
                lost_at: Instant::ZERO,
                probe: None,
            })
        })
    }

    /// Peer and path take another size than before: less, as ICMP tells, or more, as nobody denies any longer.
    fn set_ceiling(&mut self, ceiling: u16) {
        if ceiling != self.ceiling {
            self.ceiling = ceiling;
            self.low = self.low.min(ceiling);
            self.high = ceiling;
            self.bounded = false;
            self.lost = 0;
        }
    }

    /// What to try next, and how long after a loss: the middle of what is left (RFC 4821 §7.3, RFC 8899 §5.3.2); once that is next to
    /// nothing, all of it, unless that was lost; and after a while as much as peer and path take, since paths change
    /// (RFC 8899 §5.1.1, PMTU_RAISE_TIMER).
    fn next_size(&self, config: &Config) -> (u16, Duration) {
        let left = self.high.saturating_sub(self.low);
        if left >= STEP_MIN {
            (self.low + left / 2, PAUSE)
        } else if left > 0 && !self.bounded {
            (self.high, PAUSE)
        } else {
            let left = self.ceiling.saturating_sub(self.low);
            (self.low + if left >= STEP_MIN { left / 2 } else { left }, config.probe_interval)
        }
    }

    /// The probe that is out is lost.
    fn handle_lost(&mut self, now: Instant) {
        let Some(probe) = self.probe.take() else { return };
        self.lost_at = now;
        self.lost += 1;
        if self.lost == PROBES_MAX {
            self.lost = 0;
            self.high = (probe.size - 1).max(self.low);
            self.bounded = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const NOW: Instant = Instant::from_secs(1_000);
    const UNA: SequenceNumber = SequenceNumber(5);

    fn always() -> Config {
        Config { mtu_probing: MtuProbing::Always, ..Config::linux() }
    }

    fn started(ceiling: u16) -> PathMtu {
        let mut path = PathMtu::default();
        path.start(&always(), ceiling, 0);
        path
    }

    /// Probes until nothing is left to try, where what is larger than `passes` is lost. The sizes that were tried.
    fn search(path: &mut PathMtu, passes: u16, now: &mut Instant) -> Vec<u16> {
        let mut tried = Vec::new();
        while let Some(size) = path.probe_size(1 << 20, 1 << 20, (1_000, 0), &always(), *now) {
            tried.push(size);
            let (start, end) = (UNA, UNA + u32::from(size));
            path.handle_sent(start, end, size);
            assert_eq!(path.probe(), Some((start, end)));
            assert_eq!(path.probe_size(1 << 20, 1 << 20, (1_000, 0), &always(), *now), None, "one at a time");
            if size > passes {
                path.handle_lost(*now);
                *now += PAUSE;
            } else {
                path.handle_progress(end);
            }
        }
        tried
    }

    #[test]
    fn a_free_path_is_found_by_halves_and_then_in_full() {
        let mut path = started(1_460);
        assert_eq!(path.size(1_460), 1_024);
        let tried = search(&mut path, 9_000, &mut NOW.clone());
        assert_eq!(tried, [1_242, 1_351, 1_405, 1_432, 1_446, 1_453, 1_460]);
        assert!(path.search.is_none(), "nothing is left to know");
        assert_eq!(path.size(1_460), 1_460);
    }

    #[test]
    fn what_was_lost_three_times_bounds_the_search_which_begins_anew_after_ten_minutes() {
        let mut path = started(1_460);
        let mut now = NOW;
        let tried = search(&mut path, 1_360, &mut now);
        assert_eq!(tried[..5], [1_242, 1_351, 1_405, 1_405, 1_405]);
        let found = path.size(1_460);
        assert!((1_360 - STEP_MIN..=1_360).contains(&found), "{found}");
        assert!(tried.len() < 20, "{tried:?}");
        assert_eq!(
            path.probe_size(1 << 20, 1 << 20, (1_000, 0), &always(), now + Duration::from_secs(590)),
            None
        );
        now += Duration::from_secs(600);
        search(&mut path, 9_000, &mut now);
        assert_eq!(path.size(1_460), 1_460);
    }

    #[test]
    fn any_path_between_floor_and_ceiling_is_found() {
        for passes in 1_024..=8_960 {
            let mut path = started(8_960);
            search(&mut path, passes, &mut NOW.clone());
            let found = path.size(8_960);
            assert!(found <= passes && passes - found <= STEP_MIN, "{found} of {passes}");
        }
    }

    #[test]
    fn a_probe_needs_data_and_window_behind_it() {
        let path = started(1_460);
        let needed = 1_242 + 4 * 1_024;
        let sizes = (1_024, 0);
        assert_eq!(path.probe_size(needed, needed, sizes, &always(), NOW), Some(1_242));
        assert_eq!(path.probe_size(needed - 1, needed, sizes, &always(), NOW), None);
        assert_eq!(path.probe_size(needed, needed - 1, sizes, &always(), NOW), None);
    }

    #[test]
    fn congestion_and_another_path_say_nothing_of_the_size() {
        let mut path = started(1_460);
        path.handle_sent(UNA, UNA + 1_242, 1_242);
        path.handle_congestion(NOW);
        assert_eq!(path.probe(), None);
        let later = NOW + PAUSE;
        assert_eq!(path.probe_size(1 << 20, 1 << 20, (1_000, 0), &always(), later), Some(1_242));
        assert_eq!(path.size(1_000), 1_000);
        assert_eq!(path.size(1_400), 1_000);
        assert_eq!(path.probe_size(1 << 20, 1 << 20, (1_000, 0), &always(), later), Some(1_200));
    }

    #[test]
    fn the_third_timeout_of_a_full_segment_makes_it_smaller_and_further_ones_again() {
        let config = Config { probe_floor_mss: 400, ..Config::linux() };
        let mut path = PathMtu::default();
        let sizes = Sizes { ceiling: 1_460, options: 12, outstanding: 10_000 };
        let mut timeout = |timeouts, outstanding| {
            path.handle_timeout(&config, Sizes { outstanding, ..sizes }, timeouts, UNA, NOW)
                .then(|| path.size(1_460))
        };
        assert_eq!(timeout(2, 10_000), None);
        assert_eq!(timeout(3, 1_024), None, "a small segment was lost for another reason");
        assert_eq!(timeout(3, 10_000), Some(1_036));
        assert_eq!(timeout(4, 10_000), Some(524));
        assert_eq!(timeout(5, 10_000), Some(412));
        assert_eq!(timeout(6, 10_000), None);
        let off = Config { mtu_probing: MtuProbing::Off, ..config };
        assert!(!PathMtu::default().handle_timeout(&off, sizes, 9, UNA, NOW));
    }

    #[test]
    fn a_segment_below_the_first_size_that_goes_on_to_vanish_is_halved() {
        let mut path = PathMtu::default();
        let sizes = Sizes { ceiling: 1_220, options: 12, outstanding: 947 };
        assert!(!path.handle_timeout(&Config::linux(), sizes, 3, UNA, NOW));
        assert!(path.handle_timeout(&Config::linux(), sizes, 4, UNA, NOW));
        assert_eq!(path.size(1_220), 548);
        let least = Sizes { outstanding: 536, ..sizes };
        assert!(!PathMtu::default().handle_timeout(&Config::linux(), least, 4, UNA, NOW));
    }

    #[test]
    fn where_the_first_size_of_a_search_fails_itself_half_of_it_is_tried() {
        let mut path = PathMtu::default();
        let sizes = Sizes { ceiling: 966, options: 12, outstanding: 10_000 };
        assert!(path.handle_timeout(&Config::linux(), sizes, 3, UNA, NOW));
        assert_eq!(path.size(966), 548);
    }
}
