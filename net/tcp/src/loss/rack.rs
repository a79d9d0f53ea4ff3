//! RACK (RFC 8985 §6): a segment is lost where one that left later has arrived, and a while has passed since. How long
//! that while is follows from how the network reorders.

use super::delivery::{Delivery, Sent};
use crate::sack::Block;
use time::{Duration, Instant, SequenceNumber};

/// Rounds for which a wider window stays (§6.2, step 4: RACK.reo_wnd_persist).
const PERSIST_ROUNDS: u8 = 16;
/// The window in quarters of the least round trip grows no further: it is bounded by SRTT before.
const MULTIPLIER_MAX: u8 = 32;
/// Selectively acknowledged segments that mean a loss as long as nothing was ever reordered (§6.2, step 4: DupThresh).
pub(crate) const SEGMENTS_MAX: u32 = 3;

#[derive(Debug)]
pub(crate) struct Rack {
    /// RACK.xmit_ts and RACK.end_seq: of all that have arrived, what left last.
    newest: Sent,
    /// RACK.rtt: the round trip of that one, in microseconds.
    rtt_us: u32,
    /// RACK.fack: behind the highest number that has arrived.
    highest: SequenceNumber,
    /// RACK.reordering_seen.
    reordering_seen: bool,
    /// RACK.reo_wnd_mult.
    multiplier: u8,
    /// RACK.reo_wnd_persist.
    persist: u8,
    /// Acknowledgements that told of a segment that came twice.
    duplicates: u32,
    /// RACK.dsack_round: until when another duplicate says nothing new.
    duplicate_round: Option<SequenceNumber>,
}

/// What decides how long RACK waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    /// In fast recovery, or after a timeout.
    pub(crate) recovering: bool,
    /// Segments that the peer holds beyond a gap.
    pub(crate) segments_sacked: u32,
    pub(crate) rtt_min: Duration,
    pub(crate) rtt_smoothed: Duration,
}

impl Rack {
    pub(crate) const fn new(initial: SequenceNumber) -> Self {
        Self {
            newest: Sent { at: Instant::ZERO, end: initial },
            rtt_us: 0,
            highest: initial,
            reordering_seen: false,
            multiplier: 1,
            persist: PERSIST_ROUNDS,
            duplicates: 0,
            duplicate_round: None,
        }
    }

    /// What has arrived (§6.2, steps 1 to 3). `echo_age` is the time since the timestamp that the acknowledgement
    /// echoes, in whole milliseconds, if there is one.
    pub(crate) fn handle_delivery(
        &mut self,
        delivery: &Delivery,
        echo_age: Option<Duration>,
        rtt_min: Duration,
        now: Instant,
    ) {
        if let Some(sent) = delivery.newest_original {
            self.update(sent, now);
        }
        if let Some(sent) = delivery.newest_repeated {
            // §6.2, step 2: an answer to the first transmission says nothing of the second.
            let age_ms = now.as_millis() - sent.at.as_millis();
            let echoes_earlier = echo_age.is_some_and(|echo| echo > Duration::from_millis(age_ms));
            if !echoes_earlier && now - sent.at >= rtt_min {
                self.update(sent, now);
            }
        }
        if delivery.lowest_original.is_some_and(|end| end.before(self.highest)) {
            self.reordering_seen = true;
        }
        self.highest = delivery.highest.map_or(self.highest, |end| end.later(self.highest));
    }

    fn update(&mut self, sent: Sent, now: Instant) {
        if sent.is_after(self.newest) {
            self.newest = sent;
            self.rtt_us = u32::try_from((now - sent.at).as_micros()).unwrap_or(u32::MAX);
        }
    }

    /// SND.UNA has come to `una`.
    pub(crate) fn handle_progress(&mut self, una: SequenceNumber) {
        // A round that is over stays so, though it be more than half of all numbers ago (RFC 9293 §3.4).
        self.duplicate_round.take_if(|round| una.at_or_after(*round));
    }

    /// A segment came twice: what was deemed lost was late (§6.2, step 4). `una` and `nxt` tell the round trips.
    pub(crate) fn handle_duplicate(&mut self, una: SequenceNumber, nxt: SequenceNumber) {
        self.duplicates = self.duplicates.wrapping_add(1);
        if self.duplicate_round.is_none_or(|round| una.at_or_after(round)) {
            self.duplicate_round = Some(nxt);
            self.multiplier = (self.multiplier + 1).min(MULTIPLIER_MAX);
            self.persist = PERSIST_ROUNDS;
        }
    }

    /// Acknowledgements that told of a segment that came twice.
    pub(crate) fn duplicates(&self) -> u32 {
        self.duplicates
    }

    /// RACK.reordering_seen.
    pub(crate) fn has_seen_reordering(&self) -> bool {
        self.reordering_seen
    }

    /// A recovery is over (§6.2, step 4).
    pub(crate) fn handle_recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.multiplier = 1;
        }
    }

    /// What has arrived and left last, if anything has.
    pub(crate) fn newest(&self) -> Option<Sent> {
        (self.newest.at != Instant::ZERO).then_some(self.newest)
    }

    /// How long after it left a segment is lost, if one that left later has arrived (§6.2, step 5).
    pub(crate) fn patience(&self, situation: Situation) -> Duration {
        Duration::from_micros(self.rtt_us.into()) + self.reordering_window(situation)
    }

    /// RACK_update_reo_wnd (§6.2, step 4).
    fn reordering_window(&self, situation: Situation) -> Duration {
        let hasty = situation.recovering || situation.segments_sacked >= SEGMENTS_MAX;
        if !self.reordering_seen && hasty {
            return Duration::ZERO;
        }
        (situation.rtt_min * u32::from(self.multiplier) / 4).min(situation.rtt_smoothed)
    }
}

/// Whether `block`, the first of an acknowledgement of `number`, tells of something that came twice (RFC 2883 §4): it
/// lies below what is acknowledged, or within the second block.
pub(crate) fn is_duplicate(block: Block, second: Option<Block>, number: SequenceNumber) -> bool {
    block.1.at_or_before(number)
        || second.is_some_and(|second| block.0.at_or_after(second.0) && block.1.at_or_before(second.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u64) -> Instant {
        Instant::from_millis(1_000 + ms)
    }

    fn arrived(end: u32, sent_ms: u64, repeated: bool) -> Delivery {
        let mut delivery = Delivery::default();
        delivery.note_sacked(1, Sent { at: at(sent_ms), end: SequenceNumber(end) }, repeated);
        delivery
    }

    fn situation() -> Situation {
        Situation { recovering: false, segments_sacked: 1, rtt_min: 40 * MS, rtt_smoothed: 50 * MS }
    }

    fn handle(rack: &mut Rack, delivery: Delivery, echo: Option<Duration>, now_ms: u64) {
        rack.handle_delivery(&delivery, echo, 40 * MS, at(now_ms));
    }

    #[test]
    fn a_quarter_of_the_least_round_trip_unless_three_are_held_or_recovery_runs() {
        let mut rack = Rack::new(SequenceNumber(0));
        handle(&mut rack, arrived(100, 0, false), None, 44);
        assert_eq!(rack.patience(situation()), 54 * MS);
        assert_eq!(rack.patience(Situation { segments_sacked: 3, ..situation() }), 44 * MS);
        assert_eq!(rack.patience(Situation { recovering: true, ..situation() }), 44 * MS);
    }

    #[test]
    fn reordering_makes_it_wait_even_then() {
        let mut rack = Rack::new(SequenceNumber(0));
        handle(&mut rack, arrived(100, 1, false), None, 44);
        // Sent again: no reordering.
        handle(&mut rack, arrived(80, 2, true), None, 48);
        assert_eq!(rack.patience(Situation { recovering: true, ..situation() }), 46 * MS);
        handle(&mut rack, arrived(90, 0, false), None, 48);
        assert_eq!(rack.newest(), Some(Sent { at: at(2), end: SequenceNumber(80) }));
        assert_eq!(rack.patience(Situation { recovering: true, ..situation() }), 56 * MS);
    }

    #[test]
    fn duplicates_widen_the_window_once_a_round_up_to_the_smoothed_round_trip() {
        let mut rack = Rack::new(SequenceNumber(0));
        for (una, nxt) in [(10, 20), (15, 30), (20, 40)] {
            rack.handle_duplicate(SequenceNumber(una), SequenceNumber(nxt));
        }
        assert_eq!(rack.patience(situation()), 30 * MS);
        for round in 2..200 {
            rack.handle_duplicate(SequenceNumber(20 * round), SequenceNumber(20 * round + 20));
        }
        assert_eq!(rack.patience(situation()), 50 * MS);
        (0..15).for_each(|_| rack.handle_recovered());
        assert_eq!(rack.patience(situation()), 50 * MS);
        rack.handle_recovered();
        assert_eq!(rack.patience(situation()), 10 * MS);
    }

    #[test]
    fn a_duplicate_of_long_ago_is_no_reason_to_overlook_a_new_one() {
        let mut rack = Rack::new(SequenceNumber(0));
        rack.handle_duplicate(SequenceNumber(10), SequenceNumber(20));
        for una in [20, 1 << 30, 2 << 30, (2 << 30) + 30] {
            rack.handle_progress(SequenceNumber(una));
        }
        let una = SequenceNumber((2 << 30) + 30);
        rack.handle_duplicate(una, una + 10);
        assert_eq!(rack.patience(situation()), 30 * MS);
    }

    #[test]
    fn an_answer_to_the_first_transmission_is_not_taken_for_one_to_the_second() {
        let mut rack = Rack::new(SequenceNumber(0));
        handle(&mut rack, arrived(100, 50, true), None, 60);
        assert_eq!(rack.newest(), None, "faster than the least round trip");
        handle(&mut rack, arrived(100, 50, true), Some(100 * MS), 100);
        assert_eq!(rack.newest(), None, "the echo is older");
        handle(&mut rack, arrived(100, 50, true), Some(50 * MS), 100);
        assert_eq!(rack.patience(Situation { recovering: true, ..situation() }), 50 * MS);
    }

    #[test]
    fn a_block_below_the_number_or_within_the_second_is_a_duplicate() {
        let block = |left, right| (SequenceNumber(left), SequenceNumber(right));
        let number = SequenceNumber(100);
        assert!(is_duplicate(block(90, 100), None, number));
        assert!(!is_duplicate(block(90, 101), None, number));
        assert!(is_duplicate(block(120, 130), Some(block(110, 130)), number));
        assert!(!is_duplicate(block(120, 131), Some(block(110, 130)), number));
    }
}
