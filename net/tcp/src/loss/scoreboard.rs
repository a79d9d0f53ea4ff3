//! The scoreboard: what became of every number between SND.UNA and SND.NXT (RFC 6675 §3 and §4, RFC 8985 §5.2).
//!
//! ```text
//!   una                                                      nxt
//!    | lost | flying, sent again | sacked | flying | sacked | flying |
//!    +------+--------------------+--------+--------+--------+--------+   runs, each with the time it left
//! ```
//!
//! Numbers that left together and fared alike are one run: a segment of 64 KB that the device cuts is one until a part
//! of it is acknowledged. What an acknowledgement changes is found by bisection, and what it does not change is not
//! looked at. RFC 8985 asks for segments in the order in which they left: those that left once stand in that order
//! anyway, and those that were sent again are noted in a second queue. Nothing in flight, no memory.

use super::delivery::{Delivery, Sent};
use crate::sack::Block;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use time::{Duration, Instant, SequenceNumber};

/// Runs at most: a flight of 4 MiB in segments of 256 bytes. SACK blocks that would need more are not believed, and
/// nothing new leaves until some are acknowledged: only a peer that acknowledges single octets gets here.
pub(crate) const RUNS_MAX: usize = 16_384;

#[derive(Debug, Default)]
pub(crate) struct Scoreboard {
    runs: VecDeque<Run>,
    /// What was sent again, in the order in which it left; entries may be out of date. Not there while nothing was.
    #[expect(
        clippy::box_collection,
        reason = "few connections have one, and every connection has its place"
    )]
    repeated: Option<Box<VecDeque<Repeated>>>,
    /// Before it nothing flies that left once.
    originals_from: SequenceNumber,
    /// Before it nothing is lost.
    lost_from: SequenceNumber,
    /// Bytes by what became of them.
    flying: u32,
    sacked: u32,
    lost: u32,
}

/// Numbers that left together and fared alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) start: SequenceNumber,
    pub(crate) end: SequenceNumber,
    /// When it left last.
    pub(crate) sent_at: Instant,
    pub(crate) fate: Fate,
    /// It left more than once.
    pub(crate) repeated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing is known of it.
    Flying,
    /// The peer holds it beyond a gap.
    Sacked,
    /// Deemed lost, and not sent again since.
    Lost,
}

#[derive(Clone, Copy, Debug)]
struct Repeated {
    start: SequenceNumber,
    end: SequenceNumber,
    sent_at: Instant,
}

impl Run {
    fn length(&self) -> u32 {
        self.end - self.start
    }

    fn sent(&self) -> Sent {
        Sent { at: self.sent_at, end: self.end }
    }

    /// Whether it is still the transmission that `entry` noted.
    fn is_of(&self, entry: &Repeated) -> bool {
        self.fate == Fate::Flying && self.repeated && self.sent_at == entry.sent_at
    }
}

impl Scoreboard {
    /// Whether it holds as many runs as it may.
    pub(crate) fn is_full(&self) -> bool {
        self.runs.len() >= RUNS_MAX
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.runs.capacity() + self.repeated.as_ref().map_or(0, |repeated| repeated.capacity())
    }

    /// Bytes in flight (RFC 6675 §4, `pipe`).
    pub(crate) fn flying(&self) -> u32 {
        self.flying
    }

    /// Bytes that the peer holds beyond a gap.
    pub(crate) fn sacked(&self) -> u32 {
        self.sacked
    }

    /// Bytes that have to leave again.
    pub(crate) fn lost(&self) -> u32 {
        self.lost
    }

    /// Bytes in flight that left more than once; every run is looked at.
    pub(crate) fn flying_again(&self) -> u32 {
        let again = self.runs.iter().filter(|run| run.repeated && run.fate == Fate::Flying);
        again.map(Run::length).sum()
    }

    /// Whether the peer once held what it now says it misses (RFC 2018 §8): the number at SND.UNA is one that it had
    /// told to be there.
    pub(crate) fn is_reneged(&self) -> bool {
        self.runs.front().is_some_and(|run| run.fate == Fate::Sacked)
    }

    /// What lies behind the last number leaves for the first time, and ends at `end`.
    pub(crate) fn send(&mut self, start: SequenceNumber, end: SequenceNumber, now: Instant) {
        self.flying += end - start;
        match self.runs.back_mut() {
            Some(last) if last.fate == Fate::Flying && !last.repeated && last.sent_at == now => {
                last.end = end;
            }
            Some(_) => self.runs.push_back(Run::new(start, end, now)),
            None => {
                self.originals_from = start;
                self.lost_from = start;
                self.runs.push_back(Run::new(start, end, now));
            }
        }
    }

    /// `start .. end`, which was lost or is the last of the flight, leaves again.
    pub(crate) fn send_again(&mut self, start: SequenceNumber, end: SequenceNumber, now: Instant) {
        let first = self.cut_at(start);
        let behind = self.cut_at(end);
        for run in self.runs.range(first..behind) {
            match run.fate {
                Fate::Lost => self.lost -= run.length(),
                Fate::Flying => self.flying -= run.length(),
                Fate::Sacked => self.sacked -= run.length(),
            }
        }
        self.flying += end - start;
        self.runs.drain(first + 1..behind);
        self.runs[first] = Run { start, end, sent_at: now, fate: Fate::Flying, repeated: true };
        let repeated = self.repeated.get_or_insert_default();
        match repeated.back_mut() {
            Some(last) if last.sent_at == now && last.end == start => last.end = end,
            _ => repeated.push_back(Repeated { start, end, sent_at: now }),
        }
        if repeated.len() > 2 * self.runs.len() + 16 {
            self.note_repeated_anew();
        }
    }

    /// SND.UNA moves to `una`.
    pub(crate) fn acknowledge(&mut self, una: SequenceNumber, delivery: &mut Delivery) {
        while let Some(first) = self.runs.front_mut()
            && first.start.before(una)
        {
            let piece = Run { end: first.end.earlier(una), ..*first };
            first.start = piece.end;
            if first.start == first.end {
                self.runs.pop_front();
            }
            match piece.fate {
                Fate::Flying => self.flying -= piece.length(),
                Fate::Lost => self.lost -= piece.length(),
                Fate::Sacked => {
                    self.sacked -= piece.length();
                    continue;
                }
            }
            delivery.note_acknowledged(piece.length(), piece.sent(), piece.repeated);
        }
        if self.runs.is_empty() {
            *self = Self::default();
        }
    }

    /// The peer holds `left .. right`, which lies between SND.UNA and SND.NXT (RFC 6675 §4, Update).
    pub(crate) fn sack(&mut self, (left, right): Block, delivery: &mut Delivery) {
        let mut first = self.index_of(left);
        if self.runs.get(first).is_none_or(|run| run.fate == Fate::Sacked && right.at_or_before(run.end)) {
            // Told before: nearly always the rest of the option is this.
            return;
        }
        if self.runs.len() + 2 > RUNS_MAX {
            return;
        }
        if self.runs[first].fate != Fate::Sacked {
            first = self.cut_at(left);
        }
        let mut behind = self.index_of(right);
        if self.runs.get(behind).is_some_and(|run| run.fate != Fate::Sacked && run.start.before(right)) {
            behind = self.cut_at(right);
        } else if self.runs.get(behind).is_some_and(|run| run.start.before(right)) {
            behind += 1;
        }
        for run in self.runs.range(first..behind) {
            match run.fate {
                Fate::Flying => self.flying -= run.length(),
                Fate::Lost => self.lost -= run.length(),
                Fate::Sacked => continue,
            }
            self.sacked += run.length();
            delivery.note_sacked(run.length(), run.sent(), run.repeated);
        }
        self.join_sacked(first, behind);
    }

    /// Makes the runs `first .. behind`, and sacked ones beside them, one.
    fn join_sacked(&mut self, mut first: usize, mut behind: usize) {
        let is_sacked = |run: Option<&Run>| run.is_some_and(|run| run.fate == Fate::Sacked);
        first -= usize::from(first > 0 && is_sacked(self.runs.get(first - 1)));
        behind += usize::from(is_sacked(self.runs.get(behind)));
        let end = self.runs[behind - 1].end;
        self.runs[first].end = end;
        self.runs[first].fate = Fate::Sacked;
        self.runs.drain(first + 1..behind);
    }

    /// The first run that ends behind `number`; as many as there are where none does.
    fn index_of(&self, number: SequenceNumber) -> usize {
        self.runs.partition_point(|run| run.end.at_or_before(number))
    }

    /// Makes a run begin at `number`, and returns its place.
    fn cut_at(&mut self, number: SequenceNumber) -> usize {
        let at = self.index_of(number);
        let Some(run) = self.runs.get_mut(at).filter(|run| run.start.before(number)) else { return at };
        let rest = Run { start: number, ..*run };
        run.end = number;
        self.runs.insert(at + 1, rest);
        at + 1
    }

    /// Deems lost what left before `newest`, which has arrived, and at least `patience` ago (RFC 8985 §6.2, step 5).
    /// Returns when the next that left before it will have waited as long.
    ///
    /// DEVIATES RFC 8985 §6.2, step 5 (the timer waits for the last of them): each is sent again at its own time.
    pub(crate) fn deem_lost(&mut self, newest: Sent, patience: Duration, now: Instant) -> Option<Instant> {
        let originals = self.deem_originals_lost(newest, patience, now);
        let repeated = self.deem_repeated_lost(newest, patience, now);
        [originals, repeated].into_iter().flatten().min()
    }

    fn deem_originals_lost(&mut self, newest: Sent, patience: Duration, now: Instant) -> Option<Instant> {
        let mut at = self.index_of(self.originals_from);
        while let Some(&run) = self.runs.get(at) {
            if run.fate == Fate::Flying && !run.repeated {
                if !newest.is_after(run.sent()) {
                    break;
                }
                let due = run.sent_at + patience;
                if due > now {
                    return Some(due);
                }
                self.lose(at);
            }
            self.originals_from = run.end;
            at += 1;
        }
        None
    }

    fn deem_repeated_lost(&mut self, newest: Sent, patience: Duration, now: Instant) -> Option<Instant> {
        while let Some(entry) = self.repeated.as_ref()?.front().copied() {
            let at = self.index_of(entry.start);
            let Some(&run) = self.runs.get(at).filter(|run| run.start.before(entry.end)) else {
                self.repeated.as_mut()?.pop_front();
                continue;
            };
            if run.is_of(&entry) {
                if !newest.is_after(run.sent()) {
                    return None;
                }
                let due = run.sent_at + patience;
                if due > now {
                    return Some(due);
                }
                self.lose(at);
            }
            self.repeated.as_mut()?.front_mut()?.start = run.end;
        }
        None
    }

    /// Deems one flying run lost.
    fn lose(&mut self, at: usize) {
        let run = &mut self.runs[at];
        let length = run.length();
        run.fate = Fate::Lost;
        self.lost_from = self.lost_from.earlier(run.start);
        self.flying -= length;
        self.lost += length;
    }

    /// Deems the first `count` numbers lost, as far as they fly.
    pub(crate) fn lose_first(&mut self, count: u32) {
        let Some(&first) = self.runs.front().filter(|run| run.fate == Fate::Flying) else { return };
        let end = first.start + count;
        if end.before(first.end) {
            let _ = self.cut_at(end);
        }
        self.lose(0);
    }

    /// Deems lost all that flies and left at or before `until`, if given. What the peer holds stays held, unless it has
    /// shown that it drops what it held (RFC 2018 §8).
    pub(crate) fn lose_all(&mut self, until: Option<Instant>) {
        if self.is_full() {
            return self.lose_details();
        }
        let reneged = self.is_reneged();
        if reneged {
            self.originals_from = self.runs[0].start;
        }
        for at in 0..self.runs.len() {
            let run = &mut self.runs[at];
            if reneged && run.fate == Fate::Sacked {
                run.fate = Fate::Flying;
                // When each of its parts left is not known any more: it measures nothing.
                run.repeated = true;
                self.sacked -= run.length();
                self.flying += run.length();
            }
            if run.fate == Fate::Flying && until.is_none_or(|until| run.sent_at <= until) {
                self.lose(at);
            }
        }
        self.note_repeated_anew();
    }

    /// Deems all lost, and forgets what the peer told.
    fn lose_details(&mut self) {
        let (Some(&first), Some(&last)) = (self.runs.front(), self.runs.back()) else { return };
        let all = Run { end: last.end, fate: Fate::Lost, repeated: true, ..first };
        let ends = (all.end, all.start);
        *self = Self { lost: all.length(), originals_from: ends.0, lost_from: ends.1, ..Self::default() };
        self.runs.push_back(all);
    }

    /// What was deemed lost was only late: it flies again, as of when it left.
    pub(crate) fn find_all(&mut self) {
        for run in self.runs.iter_mut().filter(|run| run.fate == Fate::Lost) {
            run.fate = Fate::Flying;
            self.lost -= run.length();
            self.flying += run.length();
        }
        if let Some(first) = self.runs.front() {
            self.originals_from = first.start;
        }
        self.note_repeated_anew();
    }

    fn note_repeated_anew(&mut self) {
        let flying = self.runs.iter().filter(|run| run.repeated && run.fate == Fate::Flying);
        let mut repeated: VecDeque<_> =
            flying.map(|&Run { start, end, sent_at, .. }| Repeated { start, end, sent_at }).collect();
        repeated.make_contiguous().sort_by_key(|entry| entry.sent_at);
        self.repeated = (!repeated.is_empty()).then(|| Box::new(repeated));
    }

    /// The first numbers that are lost, up to the next that are not (RFC 6675 §4, NextSeg, rule 1).
    pub(crate) fn next_lost(&mut self) -> Option<Block> {
        if self.lost == 0 {
            return None;
        }
        let mut runs =
            self.runs.range(self.index_of(self.lost_from)..).skip_while(|run| run.fate != Fate::Lost);
        let &Run { start, mut end, .. } = runs.next()?;
        self.lost_from = start;
        if !self.is_full() {
            end = runs.take_while(|run| run.fate == Fate::Lost).last().map_or(end, |run| run.end);
        }
        Some((start, end))
    }

    /// The last numbers, at most `count`, if they still fly.
    pub(crate) fn last_flying(&self, count: u32) -> Option<Block> {
        let last = self.runs.back().filter(|run| run.fate == Fate::Flying)?;
        Some((last.start.later(last.end - count), last.end))
    }
}

impl Run {
    fn new(start: SequenceNumber, end: SequenceNumber, now: Instant) -> Self {
        Self { start, end, sent_at: now, fate: Fate::Flying, repeated: false }
    }
}

#[cfg(test)]
mod tests;
