//! The window during fast recovery without SACK: inflated by what duplicates tell has left the network
//! (RFC 6582 §3.2). It stands beside the congestion window, which is already what it will be afterwards.

/// What may be in flight during fast recovery.
#[derive(Debug, Default)]
pub(crate) struct Inflation {
    window: Option<u32>,
}

impl Inflation {
    /// Recovery begins (§3.2, steps 2 and 3): the new threshold, and the three segments that have left.
    pub(crate) fn start(&mut self, threshold: u32, mss: u32) {
        self.window = Some(threshold.saturating_add(3 * mss));
    }

    /// One more segment has left the network (§3.2, step 3).
    pub(crate) fn inflate(&mut self, mss: u32) {
        self.window = self.window.map(|window| window.saturating_add(mss));
    }

    /// A partial acknowledgement (§3.2, step 3).
    pub(crate) fn deflate(&mut self, acked: u32, mss: u32) {
        let refill = if acked >= mss { mss } else { 0 };
        self.window = self.window.map(|window| window.saturating_sub(acked).max(mss) + refill);
    }

    /// Recovery is over.
    pub(crate) fn stop(&mut self) {
        self.window = None;
    }

    /// What may be in flight, where the congestion window would say `window`.
    pub(crate) fn apply(&self, window: u32) -> u32 {
        self.window.unwrap_or(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_inflate_and_partial_acknowledgements_deflate() {
        let mut inflation = Inflation::default();
        inflation.inflate(1_000);
        assert_eq!(inflation.apply(7), 7);
        inflation.start(10_000, 1_000);
        assert_eq!(inflation.apply(7), 13_000);
        inflation.inflate(1_000);
        inflation.deflate(4_000, 1_000);
        assert_eq!(inflation.apply(7), 11_000);
        inflation.deflate(400, 1_000);
        assert_eq!(inflation.apply(7), 10_600);
        inflation.deflate(60_000, 1_000);
        assert_eq!(inflation.apply(7), 2_000);
        inflation.stop();
        assert_eq!(inflation.apply(7), 7);
    }
}
