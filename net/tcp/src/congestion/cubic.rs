//! CUBIC (RFC 9438): after a loss the window returns quickly towards where it was lost, lingers there, and then
//! probes beyond, by a cubic function of time and not of round trips:
//!
//! ```text
//!   window          K seconds       :  convex (§4.5)
//!     |  loss                       :       /
//!   W_max  . |  . . . . . ______----:------
//!     |      |      ____/           :
//!     |  0.7 |    /   concave (§4.4):
//!     +------|---/------------------+------------> t
//! ```
//!
//! Where Reno would be faster, it is as fast as Reno (§4.3). Integers only: time in milliseconds, windows in bytes.

use super::Ack;
use time::{Duration, Instant};

/// Milliseconds from the plateau beyond which the function is not followed: with C = 0.4 it has grown by 7 million
/// segments until then, more than any window has.
const DISTANCE_MS_MAX: u64 = 1 << 18;

/// CUBIC's congestion avoidance.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cubic {
    /// `W_max`, in bytes; none before the first loss and after a timeout (§4.8, §4.10).
    window_max: Option<u32>,
    /// `cwnd_prior`: the window at the last loss.
    window_prior: u32,
    epoch: Option<Epoch>,
    /// Growth that did not make a whole byte yet, in parts of which a window's bytes make one.
    remainder: u32,
}

/// One stage of congestion avoidance (§4.1.2).
#[derive(Clone, Copy, Debug)]
struct Epoch {
    /// `t_epoch`, later by every time that the window was not used.
    start: Instant,
    /// When the last acknowledgement came.
    last: Instant,
    /// The plateau, in bytes.
    plateau: u32,
    /// K, in milliseconds.
    k_ms: u32,
    /// `W_est`: the window that Reno would have, in bytes.
    estimate: u32,
    /// Of the estimate, as `remainder`.
    estimate_remainder: u32,
}

impl Cubic {
    /// The new window, for an acknowledgement in congestion avoidance (§4.2 to §4.5).
    pub(crate) fn avoid(&mut self, window: u32, ack: &Ack) -> u32 {
        if ack.application_limited {
            self.pause(ack.now);
            return window;
        }
        let window_max = self.window_max;
        let epoch = self.epoch.get_or_insert_with(|| Epoch::start(window, window_max, ack));
        epoch.last = ack.now;
        let prior = self.window_prior.max(window_max.unwrap_or(0));
        let estimate = epoch.estimate(window, prior, ack);
        let since = ack.now - epoch.start;
        if epoch.function(since, ack.mss) < u64::from(estimate) {
            // §4.3: the Reno-friendly region.
            return window.max(estimate);
        }
        // §4.4, §4.5: towards where the function is one round trip from now, at most half a window of it.
        let rtt = ack.smoothed_rtt.or(ack.rtt).unwrap_or(Duration::ZERO);
        let (low, high) = (u64::from(window), u64::from(window) * 3 / 2);
        let target = epoch.function(since + rtt, ack.mss).clamp(low, high);
        let product = (target - low) * u64::from(ack.acked_bytes.min(window)) + u64::from(self.remainder);
        self.remainder = (product % low.max(1)) as u32;
        window.saturating_add((product / low.max(1)) as u32)
    }

    /// The window was not used since the last acknowledgement: that time does not count (§5.8).
    fn pause(&mut self, now: Instant) {
        if let Some(epoch) = &mut self.epoch {
            epoch.start += now - epoch.last;
            epoch.last = now;
        }
    }

    /// Nothing was sent for `idle`, and the window has shrunk over it: it grows anew, towards the same plateau.
    pub(crate) fn restart(&mut self) {
        self.epoch = None;
    }

    /// A loss, with `flight` in flight: the new threshold (§4.6, §4.7).
    pub(crate) fn reduce(&mut self, window: u32, flight: u32) -> u32 {
        self.note_congestion(window);
        // beta is 0.7.
        share(flight, 7, 10)
    }

    /// A mark: 0.85 (RFC 8511 §3, as RFC 9438 §4.6 allows).
    pub(crate) fn reduce_for_mark(&mut self, window: u32, flight: u32) -> u32 {
        self.note_congestion(window);
        share(flight, 85, 100)
    }

    fn note_congestion(&mut self, window: u32) {
        // §4.7, fast convergence: who is losing ground makes room for newcomers, (1 + beta) / 2.
        let losing = self.window_max.is_some_and(|window_max| window < window_max);
        self.window_max = Some(if losing { share(window, 85, 100) } else { window });
        self.window_prior = window;
        self.epoch = None;
        self.remainder = 0;
    }

    /// The retransmission timer went off (§4.8): after slow start the window grows from where it is then.
    pub(crate) fn collapse(&mut self, window: u32, flight: u32) -> u32 {
        let threshold = self.reduce(window, flight);
        self.window_max = None;
        threshold
    }
}

impl Epoch {
    fn start(window: u32, window_max: Option<u32>, ack: &Ack) -> Self {
        // §4.8, §4.10: no loss to return to: K is 0 and the plateau is here.
        let plateau = window_max.unwrap_or(window).max(window);
        // §4.2, figure 2: K = cbrt((W_max - cwnd_epoch) / C), in segments and seconds; C is 0.4.
        let k_ms = cube_root(u64::from(plateau - window) * 2_500_000_000 / u64::from(ack.mss.max(1))) as u32;
        let now = ack.now;
        Self { start: now, last: now, plateau, k_ms, estimate: window, estimate_remainder: 0 }
    }

    /// `W_cubic(t)` of §4.2, figure 1, in bytes.
    fn function(&self, since: Duration, mss: u32) -> u64 {
        let t_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let k_ms = u64::from(self.k_ms);
        let distance_ms = t_ms.abs_diff(k_ms).min(DISTANCE_MS_MAX);
        // C d^3 segments are 4 mss d^3 / 10^10 bytes where d is in milliseconds; two divisions, so that 64 bits do.
        let offset = distance_ms.pow(3) * 4 / 10_000 * u64::from(mss.min(u16::MAX.into())) / 1_000_000;
        let plateau = u64::from(self.plateau);
        if t_ms < k_ms { plateau.saturating_sub(offset) } else { plateau + offset }
    }

    /// `W_est` after this acknowledgement (§4.3, figure 4).
    fn estimate(&mut self, window: u32, prior: u32, ack: &Ack) -> u32 {
        // alpha is 3 (1 - beta) / (1 + beta) = 9/17, and 1 once what was lost is regained.
        let alpha = if self.estimate < prior { 9 } else { 17 };
        let acked = u64::from(ack.acked_bytes.min(window));
        let product = alpha * acked * u64::from(ack.mss) / 17 + u64::from(self.estimate_remainder);
        let divisor = u64::from(window.max(1));
        self.estimate_remainder = (product % divisor) as u32;
        self.estimate = self.estimate.saturating_add(u32::try_from(product / divisor).unwrap_or(u32::MAX));
        self.estimate
    }
}

/// `parts` of `whole` of a number of bytes.
fn share(bytes: u32, parts: u64, whole: u64) -> u32 {
    (u64::from(bytes) * parts / whole) as u32
}

/// The largest number whose cube is not above `value`: a bit a step, from the top.
fn cube_root(value: u64) -> u64 {
    let mut root = 0_u64;
    for bit in (0..22).rev() {
        let next = root | 1 << bit;
        if next.checked_pow(3).is_some_and(|cube| cube <= value) {
            root = next;
        }
    }
    root
}

#[cfg(test)]
mod tests {
    use super::super::tests::{MSS, ack};
    use super::*;

    const START: Instant = Instant::from_secs(100);

    fn at(ms: u64, acked: u32, window: u32, rtt_ms: u64) -> Ack {
        let smoothed_rtt = Some(Duration::from_millis(rtt_ms));
        Ack { now: START + Duration::from_millis(ms), smoothed_rtt, ..ack(acked, window) }
    }

    /// Round trips of `rtt_ms` in which all of the window is acknowledged; the window at each of `times`.
    fn grow(law: &mut Cubic, mut window: u32, rtt_ms: u64, times: &[u64]) -> alloc::vec::Vec<u32> {
        let mut seen = alloc::vec::Vec::new();
        let end = times.last().copied().unwrap_or(0);
        for now_ms in (0..=end).step_by(rtt_ms as usize) {
            if times.contains(&now_ms) {
                seen.push(window);
            }
            window = law.avoid(window, &at(now_ms, window, window, rtt_ms));
        }
        seen
    }

    #[test]
    fn the_cube_root_is_exact() {
        for root in [0_u64, 1, 2, 3, 10, 1_000, 4_217, 2_642_245] {
            let cube = root.pow(3);
            assert_eq!(cube_root(cube), root);
            assert_eq!(cube_root(cube.saturating_add(3 * root * root)), root);
            if root > 0 {
                assert_eq!(cube_root(cube - 1), root - 1);
            }
        }
        assert_eq!(cube_root(u64::MAX), 2_642_245);
    }

    #[test]
    fn k_and_the_function_are_those_of_the_rfc() {
        // W_max 1,000 segments, cwnd_epoch 700: K = cbrt(300 / 0.4) = cbrt(750) = 9.0856 s.
        let epoch = Epoch::start(700 * MSS, Some(1_000 * MSS), &at(0, 0, 0, 0));
        assert_eq!(epoch.k_ms, 9_085);
        let segments = |ms| epoch.function(Duration::from_millis(ms), MSS) / u64::from(MSS);
        // 1,000 + 0.4 (t - 9.0856)^3: at 0 s 700; at 4 s 947.4; at 9.0856 s 1,000; at 12 s 1,009.9; at 20 s 1,520.
        assert_eq!([0, 4_000, 9_085, 12_000, 20_000].map(segments), [700, 947, 1_000, 1_009, 1_520]);
    }

    #[test]
    fn the_window_follows_the_function() {
        let mut law = Cubic::default();
        assert_eq!(law.reduce(1_000 * MSS, 1_000 * MSS), 700 * MSS);
        let seen = grow(&mut law, 700 * MSS, 100, &[100, 200, 4_000, 9_100, 12_000, 16_000]);
        // At 0 s the function is 700 and Reno's window 700.5. From then on each acknowledgement moves to where the
        // function is one round trip later: W_cubic(0.2) = 719.4.
        let expected = [700.5, 719.4, 947.4, 1_000.0, 1_009.9, 1_132.2];
        for (window, expected) in seen.iter().zip(expected) {
            let segments = f64::from(*window) / f64::from(MSS);
            assert!((segments - expected).abs() < 1.5, "{segments} for {expected}");
        }
    }

    #[test]
    fn a_short_round_trip_is_as_fast_as_reno() {
        // 10 segments and a round trip of 10 ms: Reno's rate with alpha 9/17 is above the function.
        let mut law = Cubic::default();
        assert_eq!(law.reduce(10 * MSS, 10 * MSS), 7 * MSS);
        let seen = grow(&mut law, 7 * MSS, 10, &[50, 100]);
        // Up to W_max 9/17 a round trip: 5 of them 2.65 segments more, the sixth reaches 10.18; then 1 each.
        assert!(seen[0].abs_diff(9_647) <= 5, "{seen:?}");
        assert!(seen[1].abs_diff(14_176) <= 5, "{seen:?}");
    }

    #[test]
    fn who_loses_ground_makes_room() {
        let mut law = Cubic::default();
        law.reduce(1_000 * MSS, 1_000 * MSS);
        law.reduce(800 * MSS, 800 * MSS);
        assert_eq!(law.window_max, Some(680 * MSS));
        assert_eq!(law.reduce(900 * MSS, 900 * MSS), 630 * MSS);
        assert_eq!(law.window_max, Some(900 * MSS));
    }

    #[test]
    fn without_a_loss_or_after_a_timeout_the_plateau_is_where_it_begins() {
        let mut law = Cubic::default();
        assert_eq!(law.collapse(1_000 * MSS, 600 * MSS), 420 * MSS);
        let seen = grow(&mut law, 420 * MSS, 100, &[5_000, 10_000]);
        // K is 0: 420 + 0.4 * 5^3 = 470, 420 + 0.4 * 10^3 = 820.
        assert!(seen[0].abs_diff(470 * MSS) < 2 * MSS && seen[1].abs_diff(820 * MSS) < 2 * MSS, "{seen:?}");
    }

    #[test]
    fn time_in_which_the_window_was_not_used_does_not_count() {
        let mut law = Cubic::default();
        law.reduce(1_000 * MSS, 1_000 * MSS);
        let window = law.avoid(700 * MSS, &at(0, 0, 700 * MSS, 100));
        for ms in [10_000, 60_000] {
            let idle = Ack { application_limited: true, ..at(ms, MSS, MSS, 100) };
            assert_eq!(law.avoid(window, &idle), window);
        }
        let later = law.avoid(window, &at(60_100, window, window, 100));
        assert!(later.abs_diff(719_300) < 2_000, "as if 0.1 s had passed, and one round trip more: {later}");
    }

    #[test]
    fn the_window_grows_by_half_a_round_trip_at_most() {
        let mut law = Cubic::default();
        law.avoid(100 * MSS, &at(0, 0, 100 * MSS, 100));
        assert_eq!(law.avoid(100 * MSS, &at(600_000, 100 * MSS, 100 * MSS, 100)), 150 * MSS);
    }
}
