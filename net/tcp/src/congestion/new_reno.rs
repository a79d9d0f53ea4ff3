//! NewReno: one segment more for each window acknowledged, half after a loss (RFC 5681 §3.1, RFC 3465).

/// NewReno's congestion avoidance.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NewReno {
    /// Bytes acknowledged since the window last grew.
    credit: u32,
}

impl NewReno {
    /// `acked` bytes more: the new window (RFC 5681 §3.1, RFC 3465 §2.1: counted in bytes).
    pub(crate) fn avoid(&mut self, window: u32, acked: u32, mss: u32) -> u32 {
        self.credit = self.credit.saturating_add(acked);
        if self.credit < window {
            return window;
        }
        self.credit -= window;
        window.saturating_add(mss)
    }

    /// Congestion, with `flight` in flight: the new threshold (RFC 5681 §3.1, equation 4).
    pub(crate) fn reduce(&mut self, flight: u32) -> u32 {
        self.credit = 0;
        flight / 2
    }

    /// The network marked a packet instead of dropping it (RFC 8511 §3: 0.8 of what was in flight).
    pub(crate) fn reduce_for_mark(&mut self, flight: u32) -> u32 {
        self.credit = 0;
        flight - flight / 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_acknowledged_adds_one_segment() {
        let mut law = NewReno::default();
        let mut window = 10_000;
        for _ in 0..9 {
            window = law.avoid(window, 1_000, 1_000);
            assert_eq!(window, 10_000);
        }
        assert_eq!(law.avoid(window, 1_500, 1_000), 11_000);
        // 500 bytes are left over: 10,500 more are a window.
        assert_eq!(law.avoid(11_000, 10_499, 1_000), 11_000);
        assert_eq!(law.avoid(11_000, 1, 1_000), 12_000);
    }

    #[test]
    fn a_loss_halves_and_a_mark_takes_a_fifth() {
        let mut law = NewReno::default();
        assert_eq!(law.reduce(20_000), 10_000);
        assert_eq!(law.reduce_for_mark(20_000), 16_000);
    }
}
