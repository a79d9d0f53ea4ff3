//! The tail loss probe (RFC 8985 §7): where the last segments of a flight are lost, nothing arrives that could tell.
//! After two round trips of silence one more segment leaves, and its acknowledgement lets RACK see the rest; a
//! retransmission timeout would take longer and cost the window.

use crate::sack::Block;
use time::{Duration, SequenceNumber};

/// The timeout before a round trip was measured (§7.2).
const TIMEOUT_INITIAL: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct TailProbe {
    /// A probe has to leave.
    due: bool,
    /// TLP.end_seq: SND.NXT behind the probe, while it is not acknowledged.
    end: Option<SequenceNumber>,
    /// TLP.is_retrans: it repeated the last segment.
    repeated: bool,
}

impl TailProbe {
    /// TLP_calc_PTO (§7.2). `lone` where a single segment is in flight, for which the peer may wait `ack_delay_max`.
    pub(crate) fn timeout(rtt_smoothed: Option<Duration>, lone: bool, ack_delay_max: Duration) -> Duration {
        let Some(smoothed) = rtt_smoothed else { return TIMEOUT_INITIAL };
        2 * smoothed + if lone { ack_delay_max } else { Duration::ZERO }
    }

    /// Whether a probe is out (§7.3: one for each flight).
    pub(crate) fn is_out(&self) -> bool {
        self.end.is_some() || self.due
    }

    /// The timer went off.
    pub(crate) fn set_due(&mut self) {
        self.due = true;
    }

    pub(crate) fn take_due(&mut self) -> bool {
        core::mem::take(&mut self.due)
    }

    /// The probe leaves; `end` is SND.NXT behind it.
    pub(crate) fn handle_sent(&mut self, end: SequenceNumber, repeated: bool) {
        self.end = Some(end);
        self.repeated = repeated;
    }

    /// A recovery begins, which looks after all that is in flight.
    pub(crate) fn stop(&mut self) {
        *self = Self::default();
    }

    /// TLP_process_ack (§7.4.2): an acknowledgement of `number`, with the `duplicate` that it tells of; `bare` where it
    /// acknowledges nothing new and has no SACK block. Returns whether the probe has repaired a loss that nothing else
    /// has shown.
    pub(crate) fn handle_acknowledgement(
        &mut self,
        number: SequenceNumber,
        duplicate: Option<Block>,
        bare: bool,
    ) -> bool {
        let Some(end) = self.end else { return false };
        if number.before(end) {
            return false;
        }
        let came_twice = duplicate.is_some_and(|(_, right)| right == end);
        let repaired = self.repeated && !came_twice && number.after(end);
        if !self.repeated || came_twice || repaired || bare {
            self.end = None;
        }
        repaired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: SequenceNumber = SequenceNumber(100);

    fn out(repeated: bool) -> TailProbe {
        let mut probe = TailProbe::default();
        probe.set_due();
        assert!(probe.take_due());
        probe.handle_sent(END, repeated);
        probe
    }

    #[test]
    fn two_round_trips_and_for_one_segment_the_delay_of_its_acknowledgement() {
        let ms = Duration::from_millis;
        assert_eq!(TailProbe::timeout(Some(ms(40)), false, ms(200)), ms(80));
        assert_eq!(TailProbe::timeout(Some(ms(40)), true, ms(200)), ms(280));
        assert_eq!(TailProbe::timeout(None, true, ms(200)), ms(1_000));
    }

    #[test]
    fn new_data_as_a_probe_repairs_nothing() {
        let mut probe = out(false);
        assert!(!probe.handle_acknowledgement(END - 1, None, false));
        assert!(probe.is_out());
        assert!(!probe.handle_acknowledgement(END + 5, None, false));
        assert!(!probe.is_out());
    }

    #[test]
    fn a_repeated_segment_that_came_twice_repaired_nothing() {
        let mut probe = out(true);
        assert!(!probe.handle_acknowledgement(END, None, false));
        assert!(probe.is_out(), "the answer to the first or to the second");
        assert!(!probe.handle_acknowledgement(END, Some((END - 10, END)), false));
        assert!(!probe.is_out());
        let mut probe = out(true);
        assert!(!probe.handle_acknowledgement(END, None, true));
        assert!(!probe.is_out());
    }

    #[test]
    fn a_repeated_segment_without_a_second_answer_repaired_a_loss() {
        let mut probe = out(true);
        assert!(!probe.handle_acknowledgement(END, None, false));
        assert!(probe.handle_acknowledgement(END + 1, None, false));
        assert!(!probe.is_out());
    }
}
