//! What was lost, and what is known of it. It decides; the send half acts.
//!
//! Where both sides permit SACK:
//!
//! ```text
//!   acknowledgement --> Scoreboard --Delivery--> Rack: what left long before what has arrived is lost
//!                            ^                     |
//!   silence: TailProbe, RTO -+                     v
//!                       Mode: Open --> Recovery (Prr: what may leave) --> Open
//!                              |                                           ^
//!                              +-----> Timeout (Forward: was it wrong?) ---+   Undo: was the reduction wrong?
//! ```
//!
//! DEVIATES RFC 6675 §4 (IsLost; NextSeg, rules 3 and 4, which repeat what is not known to be lost): RFC 8985 finds losses
//! in their place, and its probe repeats the tail.
//!
//! Where not: three duplicate acknowledgements (RFC 5681 §3.2), NewReno (RFC 6582), limited transmit (RFC 3042), on the
//! same scoreboard.

mod delivery;
mod forward;
mod prr;
mod rack;
mod scoreboard;
mod tail_probe;
mod undo;

use crate::sack::{BLOCKS_SENT_MAX, Block};
use time::{Duration, Instant, SequenceNumber};

pub(crate) use delivery::Delivery;
pub(crate) use forward::{Finding, Forward};
pub(crate) use prr::Prr;
pub(crate) use rack::{Rack, Situation};
pub(crate) use scoreboard::Scoreboard;
pub(crate) use tail_probe::TailProbe;
pub(crate) use undo::Undo;

/// Duplicate acknowledgements that mean a loss (RFC 5681 §3.2).
const DUPLICATES: u8 = 3;

/// The loss detector's memory.
#[derive(Debug)]
pub(crate) struct Loss {
    mode: Mode,
    /// Both sides permit SACK.
    selective: bool,
    /// Duplicate acknowledgements in a row, without SACK.
    duplicates: u8,
    /// The first lost segment leaves whatever the window says.
    urgent: bool,
    /// Behind the last byte that was in flight at the last loss (RFC 6582 §3.2 `recover`, RFC 6675 §2 RecoveryPoint).
    recover: SequenceNumber,
    /// When RACK will know more (RFC 8985 §6.2, step 5), or [`Instant::MAX`].
    reordering_until: Instant,
    pub(crate) scoreboard: Scoreboard,
    pub(crate) rack: Rack,
    pub(crate) tail_probe: TailProbe,
    pub(crate) undo: Undo,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// Nothing is known to be missing.
    Open,
    /// Nor here, but the network has marked what is in flight, and less shall be.
    Reduced(Prr),
    /// Fast recovery.
    Recovery(Prr),
    /// The same without SACK: the congestion window says what may leave (RFC 6582).
    NewReno,
    /// After a timeout, until what was in flight then is acknowledged.
    Timeout(Forward),
}

/// What an acknowledgement says, besides its number, to the loss detector.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selective {
    pub(crate) number: SequenceNumber,
    pub(crate) blocks: [Option<Block>; BLOCKS_SENT_MAX],
}

impl Loss {
    pub(crate) fn new(initial: SequenceNumber) -> Self {
        Self {
            mode: Mode::Open,
            selective: false,
            duplicates: 0,
            urgent: false,
            recover: initial,
            reordering_until: Instant::MAX,
            scoreboard: Scoreboard::default(),
            rack: Rack::new(initial),
            tail_probe: TailProbe::default(),
            undo: Undo::default(),
        }
    }

    /// The peer's SYN is known.
    pub(crate) fn agree(&mut self, selective: bool) {
        self.selective = selective;
    }

    pub(crate) fn is_selective(&self) -> bool {
        self.selective
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// What may leave in fast recovery, where it is this that decides.
    pub(crate) fn prr(&mut self) -> Option<&mut Prr> {
        match &mut self.mode {
            Mode::Recovery(prr) | Mode::Reduced(prr) => Some(prr),
            Mode::Open | Mode::NewReno | Mode::Timeout(_) => None,
        }
    }

    /// F-RTO, while it may run.
    pub(crate) fn forward(&mut self) -> Option<&mut Forward> {
        match &mut self.mode {
            Mode::Timeout(forward) => Some(forward),
            Mode::Open | Mode::Reduced(_) | Mode::Recovery(_) | Mode::NewReno => None,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.mode, Mode::Open | Mode::Reduced(_))
    }

    /// Whether the window has been reduced for marks on what is in flight.
    pub(crate) fn is_reduced(&self) -> bool {
        matches!(self.mode, Mode::Reduced(_))
    }

    /// Whether a mark is news, of something that was not in flight at the last loss.
    pub(crate) fn is_mark_news(&self, una: SequenceNumber) -> bool {
        matches!(self.mode, Mode::Open) && una.after(self.recover)
    }

    /// The window has been reduced for a mark on what is in flight up to `nxt`.
    pub(crate) fn reduce(&mut self, prr: Prr, nxt: SequenceNumber) {
        self.mode = Mode::Reduced(prr);
        self.recover = nxt;
    }

    /// All that was in flight at a reduction for a mark is acknowledged: from `una` on a loss is a loss.
    pub(crate) fn end_reduction(&mut self, una: SequenceNumber) {
        self.open();
        self.recover = una - 1;
    }

    /// Whether nothing hints at a loss.
    pub(crate) fn is_quiet(&self) -> bool {
        self.is_open() && self.duplicates == 0 && self.scoreboard.sacked() == 0
    }

    /// Whether all that was in flight at the last loss is acknowledged.
    pub(crate) fn is_covered(&self, una: SequenceNumber) -> bool {
        una.at_or_after(self.recover)
    }

    pub(crate) fn recover(&self) -> SequenceNumber {
        self.recover
    }

    /// Another mode, for what is in flight up to `recover`.
    pub(crate) fn enter(&mut self, mode: Mode, recover: SequenceNumber) {
        self.mode = mode;
        self.recover = recover;
        self.duplicates = 0;
        self.urgent = true;
        self.tail_probe.stop();
    }

    /// All is repaired, or nothing was to be.
    pub(crate) fn open(&mut self) {
        self.mode = Mode::Open;
        self.duplicates = 0;
        self.urgent = false;
    }

    /// Brings the scoreboard up to date with the SACK blocks of an acknowledgement that is acceptable, and returns what
    /// it says came twice. `una .. nxt` is outstanding; nothing older than `age_max` before it is believed.
    ///
    /// RFC 2018 §5: what lies outside, or is no block, tells nothing.
    pub(crate) fn read(
        &mut self,
        selective: &Selective,
        una: SequenceNumber,
        nxt: SequenceNumber,
        age_max: u32,
        delivery: &mut Delivery,
    ) -> Option<Block> {
        let [Some(first), second, ..] = selective.blocks else { return None };
        if !self.selective {
            return None;
        }
        let mut blocks = &selective.blocks[..];
        let mut duplicate = None;
        if rack::is_duplicate(first, second, selective.number) {
            blocks = &blocks[1..];
            let recent = first.0.before(first.1) && (una - age_max).at_or_before(first.0);
            duplicate = (recent && first.1.at_or_before(nxt)).then_some(first);
        }
        for &(left, right) in blocks.iter().flatten() {
            let outstanding = left.before(right) && right.after(una) && right.at_or_before(nxt);
            if outstanding && (una - age_max).at_or_before(left) {
                self.scoreboard.sack((left.later(una), right), delivery);
            }
        }
        duplicate
    }

    /// RACK looks for losses (RFC 8985 §6.2, step 5). Returns how many bytes more are lost.
    pub(crate) fn detect(&mut self, situation: Situation, now: Instant) -> u32 {
        let Some(newest) = self.rack.newest().filter(|_| self.selective) else { return 0 };
        let before = self.scoreboard.lost();
        let patience = self.rack.patience(situation);
        self.reordering_until = self.scoreboard.deem_lost(newest, patience, now).unwrap_or(Instant::MAX);
        self.scoreboard.lost() - before
    }

    /// When RACK wants to look again.
    pub(crate) fn reordering_until(&self) -> Instant {
        self.reordering_until
    }

    /// The retransmission timer went off: what of the flight is lost (RFC 8985 §6.3). Without SACK all of it is; with
    /// it, the first segment and what left longer ago than RACK waits, in `patience`.
    ///
    /// DEVIATES RFC 2018 §8 (SHOULD: what the peer told is forgotten): only where it has shown that it drops what it
    /// held, as RFC 6675 §5.1 allows.
    pub(crate) fn lose_flight(&mut self, patience: Duration, mss: u32, now: Instant) {
        let believed = self.selective && !self.scoreboard.is_reneged();
        self.scoreboard.lose_all(believed.then(|| now - patience));
        self.scoreboard.lose_first(mss);
        self.reordering_until = Instant::MAX;
    }

    /// SND.UNA has moved to `una`.
    pub(crate) fn handle_progress(&mut self, una: SequenceNumber) {
        self.duplicates = 0;
        self.rack.handle_progress(una);
        if matches!(self.mode, Mode::Open) && una.after(self.recover) {
            // The last loss stays behind, though it be more than half of all numbers ago (RFC 9293 §3.4).
            self.recover = una - 1;
        }
    }

    /// A duplicate acknowledgement of `una`, without SACK (RFC 5681 §3.2). Returns whether it is the one that means a
    /// loss.
    pub(crate) fn handle_duplicate(&mut self, una: SequenceNumber) -> bool {
        self.duplicates = self.duplicates.saturating_add(1);
        // RFC 6582 §3.2, step 2: duplicates of our own retransmissions are no second loss.
        let fresh = una.after(self.recover) || self.is_reduced();
        self.is_open() && self.duplicates == DUPLICATES && fresh
    }

    /// Segments that limited transmit allows beyond the window (RFC 3042 §2). With SACK each segment that the peer
    /// holds makes room for another.
    pub(crate) fn segments_allowed(&self) -> u32 {
        if self.is_open() { u32::from(self.duplicates.min(DUPLICATES - 1)) } else { 0 }
    }

    /// Whether the first lost segment leaves whatever the window says.
    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent
    }

    pub(crate) fn set_urgent(&mut self, urgent: bool) {
        self.urgent = urgent;
    }

    /// Nothing is outstanding any more.
    pub(crate) fn clear(&mut self) {
        self.scoreboard = Scoreboard::default();
        self.tail_probe.stop();
        self.reordering_until = Instant::MAX;
        self.open();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_of_long_ago_is_no_reason_to_doubt_a_new_one() {
        let mut loss = Loss::new(SequenceNumber(7));
        let mut una = SequenceNumber(7);
        for _ in 0..12 {
            una += 1 << 28;
            loss.handle_progress(una);
            assert!(loss.is_mark_news(una), "{una:?}");
        }
        assert!(!loss.handle_duplicate(una) && !loss.handle_duplicate(una));
        assert!(loss.handle_duplicate(una), "three mean a loss");
    }

    #[test]
    fn what_came_twice_more_than_a_window_ago_is_not_believed() {
        let mut loss = Loss::new(SequenceNumber(7));
        loss.agree(true);
        let una = SequenceNumber(100_000);
        let mut read = |left: u32| {
            let block = (SequenceNumber(left), SequenceNumber(left + 1_000));
            let selective = Selective { number: una, blocks: [Some(block), None, None, None] };
            loss.read(&selective, una, una + 10, 60_000, &mut Delivery::default()) == Some(block)
        };
        assert!(read(40_000) && !read(39_999));
    }
}
