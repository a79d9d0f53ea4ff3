//! When an acknowledgement is due (RFC 9293 §3.8.6.3, RFC 5681 §4.2): at once, soon, or with the next data.

use time::SequenceNumber;

/// Duplicate acknowledgements that one turn sends: three tell the peer of a loss (RFC 5681 §3.2).
const DUPLICATES_MAX: u8 = 3;
/// A full segment is assumed to be no smaller (RFC 9293 §3.7.1).
const SEGMENT_BYTES_MIN: u16 = 536;

#[derive(Debug)]
pub(crate) struct Acknowledging {
    due: Due,
    /// Duplicates among those that are due.
    duplicates: u8,
    /// How many more leave at once.
    quick: u8,
    /// How many more do not wait for what else comes in their turn.
    apart: u8,
    /// Data is answered with data, which acknowledgements can wait for.
    answered: bool,
    /// The largest segment that the peer has sent.
    segment_bytes: u16,
    /// Last.ACK.sent.
    sent: SequenceNumber,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    No,
    Soon,
    Now,
}

impl Acknowledging {
    pub(crate) fn new(quick: u8) -> Self {
        Self {
            due: Due::No,
            duplicates: 0,
            quick,
            apart: 0,
            answered: false,
            segment_bytes: SEGMENT_BYTES_MIN,
            sent: SequenceNumber(0),
        }
    }

    /// The peer's SYN is known, and `next` acknowledges it.
    pub(crate) fn start(&mut self, next: SequenceNumber) {
        self.sent = next;
    }

    /// Payload arrived in order, up to `next`, in segments of `segment_bytes` at most.
    pub(crate) fn handle_data(&mut self, next: SequenceNumber, segment_bytes: usize) {
        self.segment_bytes = self.segment_bytes.max(u16::try_from(segment_bytes).unwrap_or(u16::MAX));
        // RFC 5681 §4.2: at least for every second full segment, however many came in this turn.
        if self.quick > 0 || next - self.sent > u32::from(self.segment_bytes) {
            self.set_now();
        } else if self.due == Due::No {
            self.due = Due::Soon;
        }
    }

    /// The peer's FIN arrived. It may wait as data does: our own FIN, or the last of our data, may carry it.
    pub(crate) fn handle_fin(&mut self) {
        if self.quick > 0 {
            self.set_now();
        } else if self.due == Due::No {
            self.due = Due::Soon;
        }
    }

    /// Payload of `joined` segments arrived out of order (RFC 5681 §4.2: an immediate duplicate for each).
    pub(crate) fn handle_gap(&mut self, joined: u16) {
        self.due = Due::Now;
        let joined = u8::try_from(joined).unwrap_or(u8::MAX);
        self.duplicates = self.duplicates.saturating_add(joined).min(DUPLICATES_MAX);
    }

    /// The peer sends what has arrived: it has not seen what was acknowledged, and may be at its last segment. The next
    /// `quick` leave at once (Linux: tcp_enter_quickack_mode).
    pub(crate) fn handle_duplicate(&mut self, quick: u8) {
        self.answered = false;
        self.quick = self.quick.max(quick);
        self.handle_loss();
    }

    /// Data comes after a pause as long as a timeout: the peer begins with a small window, and waits for each
    /// acknowledgement. The next `quick` leave at once, unless data is likely to carry them (Linux: tcp_event_data_recv).
    pub(crate) fn handle_pause(&mut self, quick: u8) {
        if !self.answered {
            self.quick = self.quick.max(quick);
        }
    }

    /// Something was lost, so that acknowledgements may be too. Where the one for a whole window is lost the peer stands still
    /// until a timeout: the next leave for each second segment, and for each beyond a gap (RFC 5681 §4.2).
    pub(crate) fn handle_loss(&mut self) {
        self.apart = u8::MAX;
    }

    /// One is due now, and none of the segments that are still to come in this turn is waited for.
    pub(crate) fn is_apart(&self) -> bool {
        self.apart > 0 && self.due == Due::Now
    }

    /// The next has waited for data in vain.
    pub(crate) fn handle_timeout(&mut self) {
        self.answered = false;
        self.due = Due::Now;
    }

    /// So many leave at once from now on; with none, they can wait for data until they have done so in vain.
    pub(crate) fn set_quick(&mut self, quick: u8) {
        self.answered = quick == 0;
        self.quick = quick;
    }

    /// The largest segment that the peer has sent, in bytes of payload.
    pub(crate) fn segment_bytes(&self) -> u32 {
        self.segment_bytes.into()
    }

    /// Whether the next leaves at once.
    pub(crate) fn is_quick(&self) -> bool {
        self.quick > 0
    }

    /// One is due now.
    pub(crate) fn set_now(&mut self) {
        self.due = Due::Now;
    }

    pub(crate) fn is_now(&self) -> bool {
        self.due == Due::Now
    }

    /// Whether one is due when the timer says so.
    pub(crate) fn is_soon(&self) -> bool {
        self.due == Due::Soon
    }

    /// Last.ACK.sent.
    pub(crate) fn sent(&self) -> SequenceNumber {
        self.sent
    }

    /// A segment that acknowledges `next` leaves, with data or without.
    pub(crate) fn handle_sent(&mut self, next: SequenceNumber, with_data: bool) {
        self.apart = self.apart.saturating_sub(1);
        if with_data && self.due != Due::No {
            // Whoever answers data with data needs no quick acknowledgements.
            self.quick = 0;
            self.answered = true;
        } else {
            self.quick = self.quick.saturating_sub(1);
        }
        if next != self.sent {
            self.duplicates = 0;
        } else if !with_data {
            // Only a segment without data counts as a duplicate (RFC 5681 §2).
            self.duplicates = self.duplicates.saturating_sub(1);
        }
        self.sent = next;
        self.due = if self.duplicates == 0 { Due::No } else { Due::Now };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u32) -> SequenceNumber {
        SequenceNumber(number)
    }

    #[test]
    fn every_second_full_segment_is_acknowledged_at_once() {
        let mut acks = Acknowledging::new(0);
        acks.handle_data(at(1_000), 1_000);
        assert!(acks.is_soon());
        acks.handle_data(at(2_000), 1_000);
        assert!(acks.is_now());
        acks.handle_sent(at(2_000), false);
        assert!(!acks.is_now() && !acks.is_soon());
    }

    #[test]
    fn the_first_acknowledgements_do_not_wait_unless_data_answers() {
        let mut acks = Acknowledging::new(2);
        acks.handle_data(at(100), 100);
        assert!(acks.is_now());
        acks.handle_sent(at(100), true);
        acks.handle_data(at(200), 100);
        assert!(acks.is_soon());
    }

    #[test]
    fn a_gap_sends_a_duplicate_for_each_segment_up_to_three() {
        let mut acks = Acknowledging::new(0);
        acks.handle_gap(1);
        acks.handle_gap(40);
        let sent = (0..9).take_while(|_| {
            let due = acks.is_now();
            acks.handle_sent(at(0), false);
            due
        });
        assert_eq!(sent.count(), 3);
    }
}
