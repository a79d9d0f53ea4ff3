//! The SACK blocks that we send: what lies beyond a gap, newest first (RFC 2018 §4), and what came twice
//! (RFC 2883 §4). What was told once is not dropped before it is read, but where memory has run out, and
//! then it is told no more (RFC 2018 §8).
//!
//! Several segments that arrive in one turn are answered together. One acknowledgement holds three or four blocks;
//! as long as blocks have changed that no acknowledgement has told, another one is due.

use alloc::boxed::Box;
use alloc::vec::Vec;
use time::SequenceNumber;

/// A left edge, and the number behind the last one (RFC 2018 §3).
pub(crate) type Block = (SequenceNumber, SequenceNumber);

/// Blocks that are remembered; the one that changed least recently is forgotten first. The peer was told of it, or will
/// send it again.
const BLOCKS_MAX: usize = 16;
/// Blocks that one segment can hold (RFC 2018 §3).
pub(crate) const BLOCKS_SENT_MAX: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct SackBlocks {
    /// Not there while all comes in order and once.
    report: Option<Box<Report>>,
}

#[derive(Debug, Default)]
struct Report {
    /// The one that changed last first. They touch neither each other nor RCV.NXT.
    blocks: Vec<Told>,
    /// What came twice, to be told once.
    duplicate: Option<Block>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    block: Block,
    told: bool,
}

impl SackBlocks {
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.report.as_ref().map_or(0, |report| report.blocks.capacity() + 1)
    }

    /// `left .. right` is held out of order.
    pub(crate) fn hold(&mut self, block: Block) {
        self.report.get_or_insert_default().hold(block);
    }

    /// RCV.NXT has moved: what lies before it is no news.
    pub(crate) fn advance(&mut self, next: SequenceNumber) {
        if let Some(report) = &mut self.report {
            report.blocks.retain(|held| held.block.1.after(next));
        }
        self.shrink();
    }

    /// `block` had arrived before. Where several do before an acknowledgement leaves, the first is told. Returns
    /// whether there is anything to tell.
    pub(crate) fn handle_duplicate(&mut self, block: Block) -> bool {
        let tells = block.0.before(block.1);
        if tells {
            self.report.get_or_insert_default().duplicate.get_or_insert(block);
        }
        tells
    }

    /// Blocks that an acknowledgement with room could tell.
    pub(crate) fn count(&self) -> usize {
        self.report.as_ref().map_or(0, |report| report.blocks.len() + usize::from(report.duplicate.is_some()))
    }

    /// Whether an acknowledgement has something to tell that none has told yet.
    pub(crate) fn is_due(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.is_due())
    }

    /// The blocks of an acknowledgement with room for `count`: what came twice, what is new, what was told before.
    pub(crate) fn take(&mut self, count: usize) -> [Option<Block>; BLOCKS_SENT_MAX] {
        let Some(report) = &mut self.report else { return [None; BLOCKS_SENT_MAX] };
        let out = report.take(count);
        self.shrink();
        out
    }

    fn shrink(&mut self) {
        if self.report.as_ref().is_some_and(|report| report.blocks.is_empty() && report.duplicate.is_none()) {
            self.report = None;
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.report = None;
    }
}

impl Report {
    fn hold(&mut self, (mut left, mut right): Block) {
        self.blocks.retain(|&Told { block, .. }| {
            let apart = block.1.before(left) || block.0.after(right);
            if !apart {
                left = left.earlier(block.0);
                right = right.later(block.1);
            }
            apart
        });
        self.blocks.truncate(BLOCKS_MAX - 1);
        self.blocks.insert(0, Told { block: (left, right), told: false });
    }

    fn is_due(&self) -> bool {
        self.duplicate.is_some() || self.blocks.iter().any(|held| !held.told)
    }

    fn take(&mut self, count: usize) -> [Option<Block>; BLOCKS_SENT_MAX] {
        let mut out = [None; BLOCKS_SENT_MAX];
        let mut slots = out.iter_mut().take(count);
        if count > 0
            && let Some(duplicate) = self.duplicate.take()
            && let Some(slot) = slots.next()
        {
            *slot = Some(duplicate);
        }
        // Stable: what is new keeps its order and goes before what was told.
        self.blocks.sort_by_key(|held| held.told);
        for (slot, held) in slots.zip(&mut self.blocks) {
            *slot = Some(held.block);
            held.told = true;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(left: u32, right: u32) -> Block {
        (SequenceNumber(left), SequenceNumber(right))
    }

    fn told(blocks: &mut SackBlocks, count: usize) -> Vec<(u32, u32)> {
        blocks.take(count).into_iter().flatten().map(|(left, right)| (left.0, right.0)).collect()
    }

    #[test]
    fn the_newest_block_is_first_and_neighbours_are_one() {
        let mut blocks = SackBlocks::default();
        blocks.hold(block(10, 20));
        blocks.hold(block(30, 40));
        assert_eq!(told(&mut blocks, 4), [(30, 40), (10, 20)]);
        blocks.hold(block(50, 60));
        blocks.hold(block(20, 30));
        assert_eq!(told(&mut blocks, 4), [(10, 40), (50, 60)]);
        assert!(!blocks.is_due());
        blocks.advance(SequenceNumber(45));
        assert_eq!(told(&mut blocks, 4), [(50, 60)]);
        blocks.advance(SequenceNumber(60));
        assert_eq!(blocks.capacity(), 0);
    }

    #[test]
    fn what_found_no_room_is_told_by_the_next_acknowledgement() {
        let mut blocks = SackBlocks::default();
        (0..5).for_each(|n| blocks.hold(block(10 * n, 10 * n + 5)));
        assert_eq!(told(&mut blocks, 3), [(40, 45), (30, 35), (20, 25)]);
        assert!(blocks.is_due());
        assert_eq!(told(&mut blocks, 3), [(10, 15), (0, 5), (40, 45)]);
        assert!(!blocks.is_due());
    }

    #[test]
    fn a_duplicate_is_told_once_and_first() {
        let mut blocks = SackBlocks::default();
        blocks.hold(block(30, 40));
        blocks.handle_duplicate(block(1, 5));
        blocks.handle_duplicate(block(5, 9));
        assert_eq!(told(&mut blocks, 3), [(1, 5), (30, 40)]);
        assert_eq!(told(&mut blocks, 3), [(30, 40)]);
    }

    #[test]
    fn the_number_of_blocks_is_bounded() {
        let mut blocks = SackBlocks::default();
        (0..100).for_each(|n| blocks.hold(block(10 * n, 10 * n + 5)));
        assert_eq!(blocks.report.unwrap().blocks.len(), BLOCKS_MAX);
    }
}
