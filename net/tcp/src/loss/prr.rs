//! Proportional rate reduction (RFC 9937): how much leaves in fast recovery, so that the flight has shrunk to the
//! threshold when it is over. What leaves is clocked by what arrives.

/// RFC 9937 §6, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prr {
    /// RecoverFS: what was in flight when recovery began.
    flight: u32,
    /// prr_delivered.
    delivered: u32,
    /// prr_out.
    out: u32,
    /// SndCnt: what may leave until the next acknowledgement.
    quota: u32,
}

impl Prr {
    /// Recovery begins with `flight` not known to have arrived (RFC 9937 §6: without what was delivered before the
    /// acknowledgement that began it).
    pub(crate) const fn new(flight: u32) -> Self {
        Self { flight, delivered: 0, out: 0, quota: 0 }
    }

    /// `delivered` bytes have arrived, and `flying` are left in flight. `safe` where SND.UNA has moved and nothing more
    /// is lost (RFC 9937 §5, SafeACK); `lost` where something waits to leave again.
    pub(crate) fn handle_delivery(
        &mut self,
        delivered: u32,
        flying: u32,
        threshold: u32,
        safe: bool,
        lost: bool,
        mss: u32,
    ) {
        if delivered > 0 {
            self.delivered = self.delivered.saturating_add(delivered);
            self.quota = if flying > threshold {
                self.proportional(threshold, mss)
            } else {
                let slack = if safe { mss } else { 0 };
                let bound = delivered.max(self.delivered.saturating_sub(self.out));
                bound.next_multiple_of(mss).saturating_add(slack).min(threshold - flying)
            };
        }
        // A fast retransmit leaves whatever the sums say, but where a mark reduced the window there is none. So does a
        // segment where nothing is in flight, since no more will arrive.
        if (self.out == 0 && (delivered > 0 || lost)) || flying == 0 {
            self.quota = self.quota.max(mss);
        }
    }

    /// ⌈prr_delivered · ssthresh / RecoverFS⌉ - prr_out. Rounded up to whole segments, as if segments were counted: a
    /// part of one cannot leave, and would wait for the next acknowledgement.
    fn proportional(&self, threshold: u32, mss: u32) -> u32 {
        let due = u64::from(self.delivered) * u64::from(threshold);
        let due = due.div_ceil(u64::from(self.flight.max(1))).next_multiple_of(mss.into());
        u32::try_from(due).unwrap_or(u32::MAX).saturating_sub(self.out)
    }

    /// `bytes` leave.
    pub(crate) fn handle_sent(&mut self, bytes: u32) {
        self.out = self.out.saturating_add(bytes);
        self.quota = self.quota.saturating_sub(bytes);
    }

    /// What may leave now.
    pub(crate) fn quota(&self) -> u32 {
        self.quota
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1_000;

    /// Acknowledgements of one segment each, and what leaves for each; returns the flight after each.
    fn recover(flight: u32, lost: u32, threshold: u32, acks: u32) -> std::vec::Vec<u32> {
        let mut prr = Prr::new(flight);
        let mut flying = flight - lost;
        let step = |n: u32| {
            flying -= MSS;
            prr.handle_delivery(MSS, flying, threshold, n > 0, n == 0, MSS);
            let leaves = prr.quota() / MSS * MSS;
            prr.handle_sent(leaves);
            flying += leaves;
            flying
        };
        (0..acks).map(step).collect()
    }

    #[test]
    fn one_leaves_for_every_two_that_arrive_until_the_threshold() {
        // RFC 9937 §3: half, spread over the round trip, the fast retransmit first.
        let flights = recover(20_000, 1_000, 10_000, 19);
        assert_eq!(flights[..6], [19_000, 18_000, 18_000, 17_000, 17_000, 16_000]);
        assert_eq!(flights[14..], [12_000, 11_000, 10_000, 10_000, 10_000]);
    }

    #[test]
    fn after_heavy_loss_it_grows_back_by_what_arrives_and_one_segment() {
        let flights = recover(20_000, 15_000, 10_000, 8);
        assert_eq!(flights, [5_000, 6_000, 7_000, 8_000, 9_000, 10_000, 10_000, 10_000]);
    }

    #[test]
    fn nothing_leaves_for_what_delivers_nothing_but_the_fast_retransmit() {
        let mut prr = Prr::new(20_000);
        prr.handle_delivery(0, 19_000, 10_000, false, true, MSS);
        assert_eq!(prr.quota(), MSS);
        prr.handle_sent(MSS);
        prr.handle_delivery(0, 19_000, 10_000, false, true, MSS);
        assert_eq!(prr.quota(), 0);
    }

    #[test]
    fn after_a_mark_nothing_leaves_until_something_arrives() {
        let mut prr = Prr::new(20_000);
        prr.handle_delivery(0, 20_000, 10_000, false, false, MSS);
        assert_eq!(prr.quota(), 0);
        prr.handle_delivery(MSS, 19_000, 10_000, true, false, MSS);
        assert_eq!(prr.quota(), MSS);
    }
}
