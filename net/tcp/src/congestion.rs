//! The congestion window (RFC 5681, RFC 6928): how much may be in flight. When it moves is the loss detector's
//! business ([`loss`](crate::loss)); by how much is decided here, and only here.

use crate::Config;

/// The window that stands for "no limit yet" (RFC 5681 §3.1: arbitrarily high).
const THRESHOLD_INITIAL: u32 = u32::MAX;
/// The window never grows beyond what any peer's window can be.
const WINDOW_BYTES_MAX: u32 = 1 << 30;

/// NewReno's window, in bytes.
#[derive(Debug)]
pub(crate) struct Congestion {
    window: u32,
    threshold: u32,
    /// Bytes acknowledged in congestion avoidance since the window last grew.
    credit: u32,
}

impl Congestion {
    pub(crate) const fn new() -> Self {
        Self { window: 0, threshold: THRESHOLD_INITIAL, credit: 0 }
    }

    /// cwnd, in bytes.
    pub(crate) fn window(&self) -> u32 {
        self.window
    }

    /// The handshake is over. A SYN that had to be sent again leaves one segment (RFC 5681 §3.1).
    pub(crate) fn start(&mut self, config: &Config, mss: u32, syn_lost: bool) {
        self.window = if syn_lost { mss } else { initial_window(config, mss) };
    }

    /// `acked` new bytes were acknowledged, with `flight` in flight before (RFC 5681 §3.1).
    pub(crate) fn grow(&mut self, acked: u32, flight: u32, mss: u32) {
        // A window that was not used says nothing about the path (RFC 7661 §4.3).
        if self.window < self.threshold {
            if flight < self.window / 2 {
                return;
            }
            // DEVIATES RFC 5681 §3.1, RFC 3465 §2.3 (at most two segments for one acknowledgement): a receiver
            // behind receive offload acknowledges dozens at once, and would keep the window small for long.
            self.window = self.window.saturating_add(acked).min(self.threshold.max(self.window));
        } else {
            if flight.saturating_add(mss) < self.window {
                return;
            }
            // RFC 3465 §2.1: one segment for each window of bytes acknowledged.
            self.credit = self.credit.saturating_add(acked);
            if self.credit >= self.window {
                self.credit -= self.window;
                self.window = self.window.saturating_add(mss);
            }
        }
        self.window = self.window.min(WINDOW_BYTES_MAX);
    }

    /// Fast retransmit (RFC 6582 §3.2, steps 2 and 3): half of what was in flight, and the three segments that
    /// have left the network.
    pub(crate) fn enter_recovery(&mut self, flight: u32, mss: u32) {
        self.threshold = (flight / 2).max(2 * mss);
        self.window = self.threshold + 3 * mss;
        self.credit = 0;
    }

    /// One more segment has left the network (RFC 6582 §3.2, step 3).
    pub(crate) fn inflate(&mut self, mss: u32) {
        self.window = self.window.saturating_add(mss).min(WINDOW_BYTES_MAX);
    }

    /// A partial acknowledgement (RFC 6582 §3.2, step 3).
    pub(crate) fn deflate(&mut self, acked: u32, mss: u32) {
        self.window = self.window.saturating_sub(acked).max(mss);
        if acked >= mss {
            self.window += mss;
        }
    }

    /// Everything that was in flight at the loss is acknowledged (RFC 6582 §3.2, step 3, option 1).
    pub(crate) fn leave_recovery(&mut self, flight: u32, mss: u32) {
        self.window = self.threshold.min(flight.max(mss) + mss);
    }

    /// The retransmission timer went off (RFC 5681 §3.1): `first` where it is not a repetition.
    pub(crate) fn collapse(&mut self, flight: u32, mss: u32, first: bool) {
        if first {
            self.threshold = (flight / 2).max(2 * mss);
        }
        self.window = mss;
        self.credit = 0;
    }

    /// Nothing was sent for longer than RTO (RFC 5681 §4.1).
    pub(crate) fn restart(&mut self, config: &Config, mss: u32) {
        self.window = self.window.min(initial_window(config, mss));
    }
}

/// RFC 6928 §2, with the number of segments from the profile.
fn initial_window(config: &Config, mss: u32) -> u32 {
    let segments = u32::from(config.initial_window_segments);
    (segments * mss).min((segments * 1_460).max(2 * mss))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1_000;

    fn started() -> Congestion {
        let mut congestion = Congestion::new();
        congestion.start(&Config::linux(), MSS, false);
        congestion
    }

    #[test]
    fn slow_start_doubles_and_avoidance_adds_one_segment_a_window() {
        let mut congestion = started();
        assert_eq!(congestion.window(), 10 * MSS);
        congestion.grow(10 * MSS, 10 * MSS, MSS);
        assert_eq!(congestion.window(), 20 * MSS);
        congestion.enter_recovery(20 * MSS, MSS);
        assert_eq!(congestion.window(), 13 * MSS);
        congestion.leave_recovery(30 * MSS, MSS);
        assert_eq!(congestion.window(), 10 * MSS);
        for _ in 0..10 {
            congestion.grow(MSS, 10 * MSS, MSS);
        }
        assert_eq!(congestion.window(), 11 * MSS);
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut congestion = started();
        congestion.grow(2 * MSS, 2 * MSS, MSS);
        assert_eq!(congestion.window(), 10 * MSS);
    }

    #[test]
    fn a_timeout_leaves_one_segment_and_half_the_flight_once() {
        let mut congestion = started();
        congestion.collapse(10 * MSS, MSS, true);
        congestion.collapse(MSS, MSS, false);
        assert_eq!((congestion.window(), congestion.threshold), (MSS, 5 * MSS));
    }

    #[test]
    fn a_syn_that_was_lost_leaves_one_segment() {
        let mut congestion = Congestion::new();
        congestion.start(&Config::linux(), MSS, true);
        assert_eq!(congestion.window(), MSS);
    }

    #[test]
    fn large_segments_make_a_smaller_initial_window() {
        assert_eq!(initial_window(&Config::linux(), 9_000), 18_000);
        assert_eq!(initial_window(&Config::linux(), 1_448), 14_480);
    }
}
